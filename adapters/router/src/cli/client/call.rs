//! `wampd call`: calls a procedure and prints its result.

use super::payload::{Content, from_arguments, to_json};
use super::session::{Session, Stop, report};
use super::{Known, Parsed, Spec, common_usage};
use crate::cli::{Outcome, Streams};
use serde::Serialize;
use std::io::{self, Write};
use wampd_core::client::ClientEvent;
use wampd_core::message::{CallOptions, CancelMode, Payload};
use wampd_core::uri::Uri;

/// How to use the command.
pub const USAGE: &str = concat!(
    "\
usage: wampd call PROCEDURE [ARGUMENT ...] [--kwargs JSON] [options]

Calls a procedure and prints its result: each value on a line, text as it is and anything
else as JSON. An argument is JSON if it can be read as JSON, otherwise text; arguments that
begin with - and are no numbers come last, after --.

  --kwargs JSON         keyword arguments, a JSON object
  --progress            takes progressive results too, and prints each as it comes
  --json                prints each result as a JSON object with args and kwargs, progressive
                        ones with \"progress\": true; an error goes to the standard error as
                        an object with error, args and kwargs

",
    common_usage!()
);

const SPEC: Spec = Spec {
    name: "wampd call",
    usage: USAGE,
    options: &[Known { name: "--kwargs", takes_value: true }, Known { name: "--progress", takes_value: false }],
};

/// Runs the command with what follows its name.
///
/// # Errors
/// If writing fails.
pub fn run(args: Vec<String>, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    super::run(&SPEC, args, streams, |parsed, streams| {
        let Parsed { args, target, json } = parsed;
        let (procedure, arguments) = args.rest.split_first().ok_or("give a procedure")?;
        let payload = from_arguments(arguments, args.get("--kwargs"))?;
        let (procedure, progress) = (Uri::from(procedure.clone()), args.has("--progress"));
        let called =
            Session::open(target).and_then(|session| call(session, procedure, payload, progress, json, streams));
        Ok(match called {
            Ok(()) => Ok(Outcome::Success),
            Err(stop) => report(SPEC.name, stop, json, streams),
        })
    })
}

fn call(
    mut session: Session,
    procedure: Uri,
    payload: Payload,
    progress: bool,
    json: bool,
    streams: &mut Streams<'_>,
) -> Result<(), Stop> {
    let options = CallOptions { receive_progress: progress, ..CallOptions::default() };
    let request = session.client.send_call(procedure, options, payload)?;
    let out = &mut *streams.out;
    let answer = session.answer(request, |event| match event {
        ClientEvent::Result { payload, .. } => print(&payload, true, json, out),
        _ => Ok(()),
    });
    let printed = match answer {
        Ok(ClientEvent::Result { payload, .. }) => print(&payload, false, json, out).map_err(Stop::Io),
        Ok(_) => Ok(()),
        Err(Stop::Interrupted) => {
            // The callee can stop too. Whether that arrives is not waited for.
            let _ = session.client.cancel(request, Some(CancelMode::KillNoWait));
            Err(Stop::Interrupted)
        }
        Err(stop) => Err(stop),
    };
    session.leave();
    printed
}

fn print(payload: &Payload, progress: bool, json: bool, out: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Printed {
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        progress: bool,
        #[serde(flatten)]
        content: Content,
    }
    let content = Content::of(payload);
    if json {
        writeln!(out, "{}", to_json(&Printed { progress, content }))?;
    } else {
        write!(out, "{}", content.lines())?;
    }
    out.flush()
}
