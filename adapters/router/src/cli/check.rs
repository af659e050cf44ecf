//! `wampd check`: says everything that is wrong with a configuration, without serving it.

use super::Outcome;
use super::args::{Args, Known};
use super::folder::Given;
use crate::config::{self, LimitDoc};
use crate::node::certificates;
use std::io::{self, Write};
use std::path::PathBuf;

/// How to use the command.
pub const USAGE: &str = "\
usage: wampd check FILE | [--config FILE] [--cbdir DIR]
       wampd check --limits

Says everything that is wrong with a node configuration, with line, column and path,
and warns of what likely is not meant. Scripts of authenticators and certificates
are loaded too.

  --config FILE  the configuration, JSON or YAML; with --cbdir, a file of that folder
  --cbdir DIR    the folder of the configuration, config.json or config.yaml; default
                 .crossbar
  --limits       lists every limit with its key, range and default

Ends with 0 if the configuration can be served, 1 if not, 2 if it was called wrongly.";

const KNOWN: &[Known] = &[
    Known { name: "--config", takes_value: true },
    Known { name: "--cbdir", takes_value: true },
    Known { name: "--limits", takes_value: false },
    Known { name: "--help", takes_value: false },
];

/// Runs the command with what follows its name. Findings go to `out`, complaints about the call to `err`.
///
/// # Errors
/// If writing fails.
pub fn run(args: impl IntoIterator<Item = String>, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Outcome> {
    let args = match Args::parse(args, KNOWN) {
        Ok(args) => args,
        Err(error) => return usage(err, &error.to_string()),
    };
    if args.has("--help") {
        writeln!(out, "{USAGE}")?;
        return Ok(Outcome::Success);
    }
    if args.has("--limits") {
        return limits(out);
    }
    let file = match (args.rest.as_slice(), Given::of(&args)) {
        ([file], _) if args.get("--config").is_none() && args.get("--cbdir").is_none() => Ok(PathBuf::from(file)),
        ([], Some(given)) => given.file(),
        _ => return usage(err, "give one configuration"),
    };
    match file.and_then(|file| config::load(&file).map(|found| (file, found))) {
        Err(report) => {
            let (errors, warnings) = (report.errors().count(), report.warnings().count());
            writeln!(out, "{report}{} and {}", counted(errors, "error"), counted(warnings, "warning"))?;
            Ok(Outcome::Failure)
        }
        Ok((file, (node, report))) => {
            let dates = certificates::check_dates(&node);
            for (certificate, why) in &dates {
                let certificate = certificate.display();
                writeln!(out, "{}: warning: clients will not take {certificate}: {why}", file.display())?;
            }
            let warnings = counted(report.warnings().count() + dates.len(), "warning");
            let realms = counted(node.router.realms.len(), "realm");
            let transports = counted(node.transports.len(), "transport");
            writeln!(out, "{report}{}: can be served: {realms}, {transports}, {warnings}", file.display())?;
            Ok(Outcome::Success)
        }
    }
}

fn usage(err: &mut dyn Write, message: &str) -> io::Result<Outcome> {
    writeln!(err, "wampd check: {message}\n\n{USAGE}")?;
    Ok(Outcome::Usage)
}

fn limits(out: &mut dyn Write) -> io::Result<Outcome> {
    for LimitDoc { path, meaning, unit, range, default } in config::limit_docs() {
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        writeln!(out, "{path}: {meaning}; {} to {}{unit}, default {default}{unit}", range.start(), range.end())?;
    }
    Ok(Outcome::Success)
}

fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wampcra-function");

    fn check(args: &[&str]) -> (Outcome, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = run(args.iter().map(|arg| (*arg).to_owned()), &mut out, &mut err).expect("memory");
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (outcome, text(out), text(err))
    }

    #[test]
    fn a_good_configuration() {
        let (outcome, out, err) = check(&["--cbdir", EXAMPLES]);
        assert_eq!((outcome, err.as_str()), (Outcome::Success, ""));
        assert!(out.contains("config.json: can be served: 1 realm, 2 transports,"), "{out}");
    }

    #[test]
    fn a_bad_configuration() {
        let (outcome, out, err) = check(&[&format!("{EXAMPLES}/authenticator.rhai")]);
        assert_eq!((outcome, err.as_str()), (Outcome::Failure, ""));
        assert!(out.ends_with("1 error and 0 warnings\n"), "{out}");
        assert_eq!(check(&["--cbdir", "/nonexistent"]).0, Outcome::Failure);
    }

    #[test]
    fn wrong_calls() {
        for args in [&[][..], &["a", "b"], &["a", "--config", "b"], &["--what"]] {
            let (outcome, out, err) = check(args);
            assert_eq!((outcome, out.as_str()), (Outcome::Usage, ""));
            assert!(err.contains("usage: wampd check"), "{err}");
        }
        assert_eq!(check(&["--help"]).0, Outcome::Success);
        assert!(check(&["--limits"]).1.contains("wampd.limits.handshake_timeout_ms: "));
    }
}
