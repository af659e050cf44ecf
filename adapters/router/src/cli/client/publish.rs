//! `wampd publish`: publishes an event.

use super::payload::{from_arguments, to_json};
use super::session::{Session, Stop, report};
use super::{Known, Parsed, Spec, common_usage};
use crate::cli::{Outcome, Streams};
use serde::Serialize;
use std::io;
use wampd_core::client::ClientEvent;
use wampd_core::id::PublicationId;
use wampd_core::message::{Payload, PublishOptions};
use wampd_core::uri::Uri;

/// How to use the command.
pub const USAGE: &str = concat!(
    "\
usage: wampd publish TOPIC [ARGUMENT ...] [--kwargs JSON] [--acknowledge] [options]

Publishes an event. An argument is JSON if it can be read as JSON, otherwise text; arguments
that begin with - and are no numbers come last, after --.

  --kwargs JSON         keyword arguments, a JSON object
  --acknowledge         asks the router whether it has accepted the event, and prints the id of
                        the publication; without it nobody learns of a refusal
  --json                prints the id as a JSON object with publication

",
    common_usage!()
);

const SPEC: Spec = Spec {
    name: "wampd publish",
    usage: USAGE,
    options: &[Known { name: "--kwargs", takes_value: true }, Known { name: "--acknowledge", takes_value: false }],
};

/// Runs the command with what follows its name.
///
/// # Errors
/// If writing fails.
pub fn run(args: Vec<String>, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    super::run(&SPEC, args, streams, |parsed, streams| {
        let Parsed { args, target, json } = parsed;
        let (topic, arguments) = args.rest.split_first().ok_or("give a topic")?;
        let payload = from_arguments(arguments, args.get("--kwargs"))?;
        let options = PublishOptions { acknowledge: args.has("--acknowledge"), ..PublishOptions::default() };
        let topic = Uri::from(topic.clone());
        let published = Session::open(target).and_then(|session| publish(session, topic, options, payload));
        Ok(match published {
            Ok(publication) => print(publication, json, streams).map(|()| Outcome::Success),
            Err(stop) => report(SPEC.name, stop, json, streams),
        })
    })
}

fn publish(
    mut session: Session,
    topic: Uri,
    options: PublishOptions,
    payload: Payload,
) -> Result<Option<PublicationId>, Stop> {
    let acknowledge = options.acknowledge;
    let request = session.client.send_publish(topic, options, payload)?;
    let answer = if acknowledge { session.answer(request, |_| Ok(())).map(Some) } else { Ok(None) };
    // The answer to GOODBYE tells that the event has arrived before.
    session.leave();
    match answer? {
        Some(ClientEvent::Published { publication, .. }) => Ok(Some(publication)),
        _ => Ok(None),
    }
}

fn print(publication: Option<PublicationId>, json: bool, streams: &mut Streams<'_>) -> io::Result<()> {
    #[derive(Serialize)]
    struct Printed {
        publication: u64,
    }
    match publication.map(PublicationId::get) {
        Some(publication) if json => writeln!(streams.out, "{}", to_json(&Printed { publication })),
        Some(publication) => writeln!(streams.out, "{publication}"),
        None => Ok(()),
    }
}
