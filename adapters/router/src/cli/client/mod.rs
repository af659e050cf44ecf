//! The commands that join a realm as a client: `call`, `publish`, `subscribe` and `register`.

pub mod call;
mod connect;
mod exec;
mod payload;
pub mod publish;
pub mod register;
mod session;
mod signals;
pub mod subscribe;

use super::args::{Args, Known};
use super::{Outcome, Streams};
use connect::Target;
use std::io;

/// The options that all of these commands have, as part of their `USAGE`.
macro_rules! common_usage {
    () => {
        "\
connection:
  --url URL             ws://HOST[:PORT]/PATH, rs://HOST:PORT, with TLS wss:// and rss://;
                        unix:FILE or ws+unix:FILE:/PATH; default ws://127.0.0.1:8080/ws
  --realm REALM         default realm1
  --serializer NAME     json, cbor or msgpack, for WebSocket also with .batched; by default a
                        WebSocket offers all of them and a RawSocket uses cbor
  --timeout SECONDS     for connecting, for joining and for each answer; 1 to 86400, default 30

  --tls-ca FILE         trust the authorities of this file (PEM), not those of the system
  --tls-cert FILE, --tls-key FILE
                        the certificate to show and its private key (PEM)

authentication:
  --auth METHOD         anonymous (the default), ticket, wampcra, scram, wamp-scram, cryptosign
                        (the secret is the private key in hexadecimal) or tls
  --authid NAME         who to join as
  --secret-env NAME     the secret is in this environment variable
  --secret-file FILE    the secret is the first line of this file
  --secret SECRET       the secret itself, for tests: everybody on the machine can see it

Ends with 0 when done, 1 if it failed in another way than those that follow (no answer in
time, interrupted), 2 if it was called wrongly, 3 if the request was answered with an error,
4 if joining was refused, 5 if there was no connection or it was lost."
    };
}
use common_usage;

/// The options that all of these commands have.
const COMMON: [Known; 14] = [
    Known { name: "--url", takes_value: true },
    Known { name: "--realm", takes_value: true },
    Known { name: "--serializer", takes_value: true },
    Known { name: "--timeout", takes_value: true },
    Known { name: "--tls-ca", takes_value: true },
    Known { name: "--tls-cert", takes_value: true },
    Known { name: "--tls-key", takes_value: true },
    Known { name: "--auth", takes_value: true },
    Known { name: "--authid", takes_value: true },
    Known { name: "--secret-env", takes_value: true },
    Known { name: "--secret-file", takes_value: true },
    Known { name: "--secret", takes_value: true },
    Known { name: "--json", takes_value: false },
    Known { name: "--help", takes_value: false },
];

/// A command that joins.
struct Spec {
    /// `wampd call`
    name: &'static str,
    usage: &'static str,
    /// The options it has beside the common ones.
    options: &'static [Known],
}

/// A command line of which the common part is understood.
struct Parsed {
    args: Args,
    target: Target,
    /// Output for programs.
    json: bool,
}

/// Reads a command line and lets `command` do its part, which says what is wrong with the rest of it as `Err`.
fn run(
    spec: &Spec,
    args: Vec<String>,
    streams: &mut Streams<'_>,
    command: impl FnOnce(Parsed, &mut Streams<'_>) -> Result<io::Result<Outcome>, String>,
) -> io::Result<Outcome> {
    let known: Vec<Known> = COMMON.iter().chain(spec.options).copied().collect();
    let args = match Args::parse(args, &known) {
        Ok(args) => args,
        Err(error) => return usage(spec, &error.to_string(), streams),
    };
    if args.has("--help") {
        writeln!(streams.out, "{}", spec.usage)?;
        return Ok(Outcome::Success);
    }
    let (target, warnings) = match Target::from_args(&args) {
        Ok(parsed) => parsed,
        Err(message) => return usage(spec, &message, streams),
    };
    let json = args.has("--json");
    for warning in warnings {
        writeln!(streams.err, "{}: warning: {warning}", spec.name)?;
    }
    match command(Parsed { args, target, json }, streams) {
        Ok(outcome) => outcome,
        Err(message) => usage(spec, &message, streams),
    }
}

fn usage(spec: &Spec, message: &str, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    writeln!(streams.err, "{}: {message}\n\n{}", spec.name, spec.usage)?;
    Ok(Outcome::Usage)
}

#[cfg(test)]
mod tests;
