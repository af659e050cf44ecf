//! The commands of `wampd`.

pub mod args;
pub mod check;
pub mod client;
pub mod derive_key;
mod folder;
pub mod start;
pub mod stop;

use crate::process::guard;
use std::ffi::OsString;
use std::io::{self, BufRead, Write};

/// What a command ends with, for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: 0.
    Success,
    /// It did not work, and why was said: 1.
    Failure,
    /// The command line makes no sense: 2.
    Usage,
    /// The router or the callee answered with an error: 3.
    ErrorReply,
    /// The router did not let the client join: 4.
    Refused,
    /// There was no connection, or it was lost, or the router ended the session: 5.
    NoConnection,
}

impl From<Outcome> for std::process::ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Success => 0,
            Outcome::Failure => 1,
            Outcome::Usage => 2,
            Outcome::ErrorReply => 3,
            Outcome::Refused => 4,
            Outcome::NoConnection => 5,
        })
    }
}

/// What a command reads from and writes to.
pub struct Streams<'a> {
    /// The standard input.
    pub input: &'a mut dyn BufRead,
    /// For what was asked for.
    pub out: &'a mut dyn Write,
    /// For complaints and logs.
    pub err: &'a mut dyn Write,
}

/// A command.
struct Command {
    name: &'static str,
    summary: &'static str,
    usage: &'static str,
    /// Gets what follows the name on the command line.
    run: fn(Vec<String>, &mut Streams<'_>) -> io::Result<Outcome>,
}

const COMMANDS: &[Command] = &[
    Command { name: "start", summary: "runs the router", usage: start::USAGE, run: start::run },
    Command { name: "stop", summary: "ends the router of a node folder", usage: stop::USAGE, run: stop::run },
    Command {
        name: "check",
        summary: "says everything that is wrong with a configuration",
        usage: check::USAGE,
        run: |args, streams| check::run(args, streams.out, streams.err),
    },
    Command { name: "call", summary: "calls a procedure", usage: client::call::USAGE, run: client::call::run },
    Command {
        name: "publish",
        summary: "publishes an event",
        usage: client::publish::USAGE,
        run: client::publish::run,
    },
    Command {
        name: "subscribe",
        summary: "prints the events of a topic",
        usage: client::subscribe::USAGE,
        run: client::subscribe::run,
    },
    Command {
        name: "register",
        summary: "answers the calls of a procedure",
        usage: client::register::USAGE,
        run: client::register::run,
    },
    Command {
        name: "derive-key",
        summary: "derives the key of a salted WAMP-CRA password",
        usage: derive_key::USAGE,
        run: |args, streams| derive_key::run(args, streams.input, streams.out, streams.err),
    },
];

/// Runs a command line without the name of the program.
///
/// # Errors
/// If reading or writing fails.
pub fn run(args: impl IntoIterator<Item = OsString>, streams: &mut Streams<'_>) -> io::Result<Outcome> {
    let args: Result<Vec<String>, OsString> = args.into_iter().map(OsString::into_string).collect();
    let mut args = match args {
        Ok(args) => args.into_iter(),
        Err(arg) => return complain(streams, &format!("{} is not UTF-8", arg.display())),
    };
    match args.next().as_deref() {
        None => complain(streams, "give a command"),
        Some("--help" | "-h") => help(streams),
        Some("help") => match args.next() {
            None => help(streams),
            Some(option) if option == "--help" || option == "-h" => help(streams),
            Some(name) => match find(&name) {
                Some(command) => {
                    writeln!(streams.out, "{}", command.usage)?;
                    Ok(Outcome::Success)
                }
                None => complain(streams, &format!("there is no command {name:?}")),
            },
        },
        Some("--version" | "-V" | "version") => {
            writeln!(streams.out, "wampd {}", env!("CARGO_PKG_VERSION"))?;
            Ok(Outcome::Success)
        }
        // How `wampd start` runs this program beside itself: nothing for users.
        Some(guard::COMMAND) => guard::run(streams.input).map(|()| Outcome::Success),
        Some(name) => match find(name) {
            Some(command) => (command.run)(args.collect(), streams),
            None => complain(streams, &format!("there is no command {name:?}")),
        },
    }
}

fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

fn help(streams: &mut Streams<'_>) -> io::Result<Outcome> {
    writeln!(streams.out, "wampd {}: a WAMP router\n\n{}", env!("CARGO_PKG_VERSION"), usage())?;
    Ok(Outcome::Success)
}

fn complain(streams: &mut Streams<'_>, message: &str) -> io::Result<Outcome> {
    writeln!(streams.err, "wampd: {message}\n\n{}", usage())?;
    Ok(Outcome::Usage)
}

fn usage() -> String {
    let mut text = "usage: wampd COMMAND ...\n       wampd --help | --version | help COMMAND\n\ncommands:".to_owned();
    let width = COMMANDS.iter().map(|command| command.name.len()).max().unwrap_or_default();
    for Command { name, summary, .. } in COMMANDS {
        text += &format!("\n  {name:width$}  {summary}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wampd(args: &[&str]) -> (Outcome, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut streams = Streams { input: &mut io::empty(), out: &mut out, err: &mut err };
        let outcome = run(args.iter().map(OsString::from), &mut streams).expect("memory");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (outcome, text(out), text(err))
    }

    #[test]
    fn help_names_every_command() {
        let (outcome, out, err) = wampd(&["--help"]);
        assert_eq!((outcome, err.as_str()), (Outcome::Success, ""));
        assert_eq!(wampd(&["-h"]).1, out);
        assert_eq!(wampd(&["help"]).1, out);
        assert_eq!(wampd(&["help", "-h"]).1, out);
        for Command { name, usage, .. } in COMMANDS {
            assert!(out.contains(&format!("\n  {name}")), "{out}");
            assert!(usage.starts_with(&format!("usage: wampd {name}")), "{usage}");
            assert_eq!(wampd(&["help", name]), (Outcome::Success, format!("{usage}\n"), String::new()));
            for help in ["--help", "-h"] {
                assert_eq!(wampd(&[name, help]), (Outcome::Success, format!("{usage}\n"), String::new()));
                assert_eq!(wampd(&[name, "a", "-1", help]), (Outcome::Success, format!("{usage}\n"), String::new()));
            }
            let (outcome, out, err) = wampd(&[name, "-x"]);
            assert_eq!((outcome, out.as_str()), (Outcome::Usage, ""));
            assert!(err.contains("unknown option -x"), "{err}");
        }
    }

    #[test]
    fn the_version() {
        let version = format!("wampd {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(wampd(&["--version"]), (Outcome::Success, version, String::new()));
    }

    #[test]
    fn nonsense_is_answered_with_the_usage() {
        for args in [&[][..], &["strat"], &["help", "strat"], &["--start"]] {
            let (outcome, out, err) = wampd(args);
            assert_eq!((outcome, out.as_str()), (Outcome::Usage, ""), "{args:?}");
            assert!(err.starts_with("wampd: ") && err.contains("usage: wampd COMMAND"), "{err}");
        }
    }
}
