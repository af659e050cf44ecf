//! `wampd register`: answers the calls of a procedure.

use super::exec::{Exec, Ran};
use super::payload::{Content, from_value, tame, to_json};
use super::session::{Session, Stop, Who, report};
use super::subscribe::{count, matching};
use super::{Known, Parsed, Spec, common_usage};
use crate::cli::args::Args;
use crate::cli::{Outcome, Streams};
use serde::Serialize;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;
use wampd_core::client::ClientEvent;
use wampd_core::id::RequestId;
use wampd_core::message::{InvocationDetails, InvocationPolicy, Payload, RegisterOptions, YieldOptions};
use wampd_core::uri::{Uri, error};
use wampd_core::value::Value;
use wampd_mio::client::Error;

/// How to use the command.
pub const USAGE: &str = concat!(
    "\
usage: wampd register PROCEDURE --echo | --reply JSON [options]
       wampd register PROCEDURE --exec [options] -- PROGRAM [ARGUMENT ...]

Registers a procedure, answers its calls and prints each call on a line: the procedure, a
colon, and the arguments as JSON. Ends at SIGINT or SIGTERM.

  --echo                answers with the arguments of the call
  --reply JSON          answers with this value, or with args and kwargs of an object that has
                        nothing else
  --exec                runs a program for each call, one after the other. It gets a JSON object
                        with procedure, args and kwargs on its standard input. What it prints is
                        the answer: nothing, or JSON as of --reply. If it fails, prints something
                        else, takes too long or prints more than 1 MiB, the caller gets an error
  --exec-timeout SECONDS
                        time for the program, after which it is killed; 1 to 86400, default 30
  --match POLICY        exact (the default), prefix or wildcard: how procedures are compared
  --invoke POLICY       single (the default), roundrobin, random, first or last: which of
                        several callees gets a call
  --count N             ends after N calls; a signal before that counts as a failure
  --json                prints each call as a JSON object with procedure, args and kwargs, and
                        caller if that is disclosed

",
    common_usage!()
);

const SPEC: Spec = Spec {
    name: "wampd register",
    usage: USAGE,
    options: &[
        Known { name: "--echo", takes_value: false },
        Known { name: "--reply", takes_value: true },
        Known { name: "--exec", takes_value: false },
        Known { name: "--exec-timeout", takes_value: true },
        Known { name: "--match", takes_value: true },
        Known { name: "--invoke", takes_value: true },
        Known { name: "--count", takes_value: true },
    ],
};

/// How calls are answered.
enum Answer {
    Echo,
    Reply(Payload),
    Exec { command: Vec<String>, timeout: Duration },
}

/// Runs the command with what follows its name.
///
/// # Errors
/// If writing fails.
pub fn run(args: Vec<String>, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    super::run(&SPEC, args, streams, |parsed, streams| {
        let Parsed { args, target, json } = parsed;
        let (procedure, command) = args.rest.split_first().ok_or("give a procedure")?;
        let answer = answer(&args, command)?;
        let (procedure, count) = (Uri::from(procedure.clone()), count(&args)?);
        let options =
            RegisterOptions { matching: matching(&args)?, invoke: invoke(&args)?, ..RegisterOptions::default() };
        let ended = Session::open(target).and_then(|session| {
            let (waiting, running) = (VecDeque::new(), None);
            Callee { session, procedure, answer, json, streams, waiting, running, left: count }.serve(options)
        });
        Ok(match ended {
            Ok(()) => Ok(Outcome::Success),
            Err(Stop::Interrupted) if count.is_none() => Ok(Outcome::Success),
            Err(stop) => report(SPEC.name, stop, json, streams),
        })
    })
}

fn answer(args: &Args, command: &[String]) -> Result<Answer, String> {
    let timeout = args.number("--exec-timeout", 1, 86_400, 30).map_err(|error| error.to_string())?;
    match (args.has("--echo"), args.get("--reply"), args.has("--exec")) {
        (false, None, true) if command.is_empty() => Err("--exec needs a program, after --".to_owned()),
        (false, None, true) => Ok(Answer::Exec { command: command.to_vec(), timeout: Duration::from_secs(timeout) }),
        _ if args.has("--exec-timeout") => Err("--exec-timeout is of use only with --exec".to_owned()),
        _ if !command.is_empty() => Err(format!("what is {:?}? Give one procedure", command[0])),
        (true, None, false) => Ok(Answer::Echo),
        (false, Some(json), false) => from_value(json).map(Answer::Reply).map_err(|why| format!("--reply: {why}")),
        _ => Err("give one of --echo, --reply and --exec".to_owned()),
    }
}

fn invoke(args: &Args) -> Result<InvocationPolicy, String> {
    use InvocationPolicy::{First, Last, Random, RoundRobin, Single};
    let name = args.get("--invoke").unwrap_or("single");
    let policy = [Single, RoundRobin, Random, First, Last].into_iter().find(|policy| policy.as_str() == name);
    policy.ok_or_else(|| "--invoke must be single, roundrobin, random, first or last".to_owned())
}

/// A call that is not answered yet.
struct Invocation {
    request: RequestId,
    procedure: Uri,
    payload: Payload,
}

struct Callee<'a, 's> {
    session: Session,
    procedure: Uri,
    answer: Answer,
    json: bool,
    streams: &'a mut Streams<'s>,
    /// Calls whose turn has not come.
    waiting: VecDeque<Invocation>,
    running: Option<(RequestId, Exec)>,
    /// Calls to be answered before the end.
    left: Option<u64>,
}

impl Callee<'_, '_> {
    fn serve(mut self, options: RegisterOptions) -> Result<(), Stop> {
        let request = self.session.client.send_register(self.procedure.clone(), options)?;
        let registered = self.session.answer(request, |_| Ok(()));
        let ended = registered.and_then(|_| self.answer_calls());
        self.session.leave();
        ended
    }

    fn answer_calls(&mut self) -> Result<(), Stop> {
        while self.left != Some(0) {
            let until_attention = self.running.as_ref().map(|(_, exec)| exec.time_left());
            match self.session.next(until_attention)? {
                Some(ClientEvent::Invocation { request, details, payload, .. }) => {
                    self.invoked(request, &details, payload)?;
                }
                Some(ClientEvent::Interrupted { request, .. }) => self.interrupted(request)?,
                Some(ClientEvent::RegistrationRevoked { reason, .. }) => return Err(Stop::Revoked(reason)),
                _ => {}
            }
            self.attend()?;
        }
        Ok(())
    }

    fn invoked(&mut self, request: RequestId, details: &InvocationDetails, payload: Payload) -> Result<(), Stop> {
        let procedure = details.procedure.clone().unwrap_or_else(|| self.procedure.clone());
        print(&procedure, details, &payload, self.json, self.streams.out)?;
        match &self.answer {
            Answer::Echo => self.succeed(request, payload),
            Answer::Reply(reply) => {
                let reply = reply.clone();
                self.succeed(request, reply)
            }
            Answer::Exec { .. } => {
                self.waiting.push_back(Invocation { request, procedure, payload });
                Ok(())
            }
        }
    }

    /// The caller does not want the answer any more.
    fn interrupted(&mut self, request: RequestId) -> Result<(), Stop> {
        if self.running.as_ref().is_some_and(|(running, _)| *running == request) {
            self.running = None;
        } else if let Some(position) = self.waiting.iter().position(|invocation| invocation.request == request) {
            self.waiting.remove(position);
        } else {
            return Ok(());
        }
        self.fail(request, error::CANCELED, "the call was canceled")
    }

    /// Looks after the running program, and starts the next one.
    fn attend(&mut self) -> Result<(), Stop> {
        if let Some((request, mut exec)) = self.running.take() {
            match exec.poll() {
                None => self.running = Some((request, exec)),
                Some(Ran::Answer(payload)) => self.succeed(request, payload)?,
                Some(Ran::Failed { error, message, why }) => {
                    self.complain(&why)?;
                    self.fail(request, error, message)?;
                }
            }
        }
        while self.running.is_none() && self.left != Some(0) {
            let Some(invocation) = self.waiting.pop_front() else { break };
            self.start(&invocation)?;
        }
        Ok(())
    }

    fn start(&mut self, Invocation { request, procedure, payload }: &Invocation) -> Result<(), Stop> {
        let Answer::Exec { command, timeout } = &self.answer else { return Ok(()) };
        let Some(input) = Content::of(payload).for_program(procedure.as_str()) else {
            return self.fail(*request, error::INVALID_ARGUMENT, "the arguments can not be written as JSON");
        };
        let waker = self.session.client.waker();
        match Exec::start(command, input, *timeout, move || waker.wake()) {
            Ok(exec) => self.running = Some((*request, exec)),
            Err(why) => {
                self.complain(&why.to_string())?;
                self.fail(*request, error::RUNTIME_ERROR, "the program could not be run")?;
            }
        }
        Ok(())
    }

    fn succeed(&mut self, request: RequestId, payload: Payload) -> Result<(), Stop> {
        let sent = self.session.client.yield_result(request, YieldOptions::default(), payload);
        self.answered(sent)
    }

    fn fail(&mut self, request: RequestId, error: Uri, message: &str) -> Result<(), Stop> {
        let payload = Payload::from_args([Value::from(message)]);
        let sent = self.session.client.yield_error(request, error, payload);
        self.answered(sent)
    }

    fn answered(&mut self, sent: Result<(), Error>) -> Result<(), Stop> {
        self.left = self.left.map(|left| left - 1);
        match sent {
            // The caller was told, or does not wait any more.
            Err(why @ (Error::Undeliverable(_) | Error::Answer(_))) => self.complain(&why.to_string()),
            sent => Ok(sent?),
        }
    }

    /// Says what the caller is not told.
    fn complain(&mut self, why: &str) -> Result<(), Stop> {
        writeln!(self.streams.err, "{}: a call was not answered as it should: {}", SPEC.name, tame(why))?;
        Ok(())
    }
}

fn print(
    procedure: &Uri,
    details: &InvocationDetails,
    payload: &Payload,
    json: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Printed<'a> {
        procedure: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        caller: Option<Who<'a>>,
        #[serde(flatten)]
        content: Content,
    }
    let (procedure, content) = (procedure.as_str(), Content::of(payload));
    if json {
        let caller = details.caller.as_deref().map(Who::from);
        writeln!(out, "{}", to_json(&Printed { procedure, caller, content }))?;
    } else {
        writeln!(out, "{}: {content}", tame(procedure))?;
    }
    out.flush()
}
