//! `wampd subscribe`: prints the events of a topic.

use super::payload::{Content, tame, to_json};
use super::session::{Session, Stop, Who, report};
use super::{Known, Parsed, Spec, common_usage};
use crate::cli::args::Args;
use crate::cli::{Outcome, Streams};
use serde::Serialize;
use std::io::{self, Write};
use wampd_core::client::ClientEvent;
use wampd_core::id::PublicationId;
use wampd_core::message::{EventDetails, Payload, SubscribeOptions};
use wampd_core::uri::{MatchPolicy, Uri};

/// How to use the command.
pub const USAGE: &str = concat!(
    "\
usage: wampd subscribe TOPIC [--match POLICY] [--count N] [options]

Prints the events of a topic as they come, one a line: the topic, a colon, and the values as
JSON. Ends at SIGINT or SIGTERM.

  --match POLICY        exact (the default), prefix or wildcard: how topics are compared
  --count N             ends after N events; a signal before that counts as a failure
  --json                prints each event as a JSON object with topic, publication, args and
                        kwargs, and publisher if that is disclosed

",
    common_usage!()
);

const SPEC: Spec = Spec {
    name: "wampd subscribe",
    usage: USAGE,
    options: &[Known { name: "--match", takes_value: true }, Known { name: "--count", takes_value: true }],
};

/// Runs the command with what follows its name.
///
/// # Errors
/// If writing fails.
pub fn run(args: Vec<String>, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    super::run(&SPEC, args, streams, |parsed, streams| {
        let Parsed { args, target, json } = parsed;
        let [topic] = &args.rest[..] else { return Err("give one topic".to_owned()) };
        let (topic, matching, count) = (Uri::from(topic.clone()), matching(&args)?, count(&args)?);
        let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
        let ended = Session::open(target).and_then(|session| subscribe(session, &topic, options, count, json, streams));
        Ok(match ended {
            Ok(()) => Ok(Outcome::Success),
            Err(Stop::Interrupted) if count.is_none() => Ok(Outcome::Success),
            Err(stop) => report(SPEC.name, stop, json, streams),
        })
    })
}

/// The policy of `--match`.
pub(super) fn matching(args: &Args) -> Result<MatchPolicy, String> {
    let name = args.get("--match").unwrap_or("exact");
    let policies = [MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard];
    let policy = policies.into_iter().find(|policy| policy.as_str() == name);
    policy.ok_or_else(|| "--match must be exact, prefix or wildcard".to_owned())
}

/// The number of `--count`; `None`: no end.
pub(super) fn count(args: &Args) -> Result<Option<u64>, String> {
    let count = args.number("--count", 1, u64::MAX, 0).map_err(|error| error.to_string())?;
    Ok((count > 0).then_some(count))
}

fn subscribe(
    mut session: Session,
    topic: &Uri,
    options: SubscribeOptions,
    count: Option<u64>,
    json: bool,
    streams: &mut Streams<'_>,
) -> Result<(), Stop> {
    let request = session.client.send_subscribe(topic.clone(), options)?;
    let mut printer = Printer { topic, json, left: count, out: &mut *streams.out };
    let subscribed = session.answer(request, |_| Ok(()));
    let ended = subscribed.and_then(|_| {
        while printer.left != Some(0) {
            match session.next(None)? {
                Some(ClientEvent::Event { publication, details, payload, .. }) => {
                    printer.event(publication, &details, &payload)?;
                }
                Some(ClientEvent::SubscriptionRevoked { reason, .. }) => return Err(Stop::Revoked(reason)),
                _ => {}
            }
        }
        Ok(())
    });
    session.leave();
    ended
}

struct Printer<'a> {
    topic: &'a Uri,
    json: bool,
    /// Events to be printed before the end.
    left: Option<u64>,
    out: &'a mut dyn Write,
}

impl Printer<'_> {
    fn event(&mut self, publication: PublicationId, details: &EventDetails, payload: &Payload) -> io::Result<()> {
        #[derive(Serialize)]
        struct Printed<'a> {
            topic: &'a str,
            publication: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            publisher: Option<Who<'a>>,
            #[serde(flatten)]
            content: Content,
        }
        let content = Content::of(payload);
        let topic = details.topic.as_ref().unwrap_or(self.topic).as_str();
        if self.json {
            let (publication, publisher) = (publication.get(), details.publisher.as_deref().map(Who::from));
            writeln!(self.out, "{}", to_json(&Printed { topic, publication, publisher, content }))?;
        } else {
            writeln!(self.out, "{}: {content}", tame(topic))?;
        }
        self.left = self.left.map(|left| left - 1);
        self.out.flush()
    }
}
