//! `wampd stop`: ends the node of a folder.

use super::args::{Args, Known};
use super::folder::{self, Running};
use super::{Outcome, Streams};
use rustix::process::{Signal, kill_process};
use std::io;
use std::time::{Duration, Instant};

/// How to use the command.
pub const USAGE: &str = "\
usage: wampd stop [--cbdir DIR] [--timeout-ms MILLISECONDS]

Tells the node that runs from a folder to end, and waits until it has.

  --cbdir DIR       the folder that it was started with; default .crossbar
  --timeout-ms MS   how long to wait for its end, 1 to 600000; default 30000

Ends with 0 when the node has ended, 1 if there is none or it goes on, 2 if it was called
wrongly.";

const KNOWN: &[Known] = &[
    Known { name: "--cbdir", takes_value: true },
    Known { name: "--timeout-ms", takes_value: true },
    Known { name: "--help", takes_value: false },
];

/// How often it is looked whether the node has ended.
const PACE: Duration = Duration::from_millis(10);

/// Runs the command with what follows its name.
///
/// # Errors
/// If writing fails.
pub fn run(args: Vec<String>, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let parsed = Args::parse(args, KNOWN).and_then(|args| Ok((args.number("--timeout-ms", 1, 600_000, 30_000)?, args)));
    let (timeout, args) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return usage(streams, &error.to_string()),
    };
    if args.has("--help") {
        writeln!(streams.out, "{USAGE}")?;
        return Ok(Outcome::Success);
    }
    if let Some(other) = args.rest.first() {
        return usage(streams, &format!("what is {other:?}? Give a folder as --cbdir"));
    }
    let Some(folder) = folder::folder(&args) else {
        return usage(streams, "there is no folder .crossbar here: give one as --cbdir");
    };
    let running = match Running::find(&folder) {
        Ok(Some(running)) => running,
        Ok(None) => return fail(streams, &format!("no node runs from {}", folder.display())),
        Err(error) => return fail(streams, &format!("cannot tell who runs from {}: {error}", folder.display())),
    };
    let pid = running.pid.as_raw_nonzero();
    if let Err(error) = kill_process(running.pid, Signal::TERM) {
        return fail(streams, &format!("cannot stop process {pid}: {error}"));
    }
    let deadline = Instant::now() + Duration::from_millis(timeout);
    while running.is_there()? {
        if Instant::now() >= deadline {
            return fail(streams, &format!("process {pid} was told to end, and goes on"));
        }
        std::thread::sleep(PACE);
    }
    writeln!(streams.out, "process {pid} has ended")?;
    Ok(Outcome::Success)
}

fn fail(streams: &mut Streams<'_>, message: &str) -> io::Result<Outcome> {
    writeln!(streams.err, "wampd stop: {message}")?;
    Ok(Outcome::Failure)
}

fn usage(streams: &mut Streams<'_>, message: &str) -> io::Result<Outcome> {
    writeln!(streams.err, "wampd stop: {message}\n\n{USAGE}")?;
    Ok(Outcome::Usage)
}
