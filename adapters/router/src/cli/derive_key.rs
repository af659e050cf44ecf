//! `wampd derive-key`: the key of a salted WAMP-CRA password, so that the configuration need not hold the password.

use super::Outcome;
use super::args::{Args, ArgsError, Known};
use crate::authn::credentials::{ITERATIONS, KEYLEN};
use std::io::{self, BufRead, Write};
use wampd_core::auth::cra::derive_key;

/// How to use the command.
pub const USAGE: &str = "\
usage: wampd derive-key --salt SALT [--iterations N] [--keylen N] < PASSWORD

Prints the key derived from a password, for \"secret\" of a user of WAMP-CRA with \"salt\",
\"iterations\" and \"keylen\". The password is the first line of the standard input, so that
it is in no list of processes and in no history of the shell.

  --salt SALT      a text that no other user has
  --iterations N   1 to 1000000, default 1000: what one guess of the password costs
  --keylen N       8 to 64 bytes, default 32";

const KNOWN: &[Known] = &[
    Known { name: "--salt", takes_value: true },
    Known { name: "--iterations", takes_value: true },
    Known { name: "--keylen", takes_value: true },
    Known { name: "--help", takes_value: false },
];

/// Longest line accepted as a password, in bytes.
const MAX_PASSWORD: u64 = 4_096;

/// Runs the command with what follows its name. The key goes to `out`, everything else to `err`.
///
/// # Errors
/// If reading or writing fails.
pub fn run(
    args: impl IntoIterator<Item = String>,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Outcome> {
    let (args, iterations, keylen) = match parse(args) {
        Ok(parsed) => parsed,
        Err(error) => return usage(err, &error.to_string()),
    };
    if args.has("--help") {
        writeln!(out, "{USAGE}")?;
        return Ok(Outcome::Success);
    }
    let Some(salt) = args.get("--salt").filter(|salt| !salt.is_empty()) else {
        return usage(err, "--salt is missing");
    };
    if !args.rest.is_empty() {
        return usage(err, "the password is read from the standard input, not from the command line");
    }
    let mut password = String::new();
    io::Read::take(input, MAX_PASSWORD).read_line(&mut password)?;
    let password = password.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        writeln!(err, "wampd derive-key: the standard input has no password")?;
        return Ok(Outcome::Failure);
    }
    writeln!(out, "{}", derive_key(password.as_bytes(), salt.as_bytes(), iterations, keylen))?;
    Ok(Outcome::Success)
}

fn parse(args: impl IntoIterator<Item = String>) -> Result<(Args, u32, usize), ArgsError> {
    let args = Args::parse(args, KNOWN)?;
    let iterations = args.number("--iterations", *ITERATIONS.start(), *ITERATIONS.end(), 1_000)?;
    let keylen = args.number("--keylen", *KEYLEN.start(), *KEYLEN.end(), 32)?;
    // Both ranges end far below the end of the types.
    Ok((args, iterations as u32, keylen as usize))
}

fn usage(err: &mut dyn Write, message: &str) -> io::Result<Outcome> {
    writeln!(err, "wampd derive-key: {message}\n\n{USAGE}")?;
    Ok(Outcome::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derive(args: &[&str], mut input: &[u8]) -> (Outcome, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let args = args.iter().map(|arg| (*arg).to_owned());
        let outcome = run(args, &mut input, &mut out, &mut err).expect("memory");
        (outcome, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn the_known_key() {
        let args = ["--salt", "salt123", "--iterations", "100", "--keylen=16"];
        for input in [&b"secret1\n"[..], b"secret1\r\nmore", b"secret1"] {
            assert_eq!(derive(&args, input), (Outcome::Success, "prq7+YkJ1/KlW1X0YczMHw==\n".to_owned()));
        }
    }

    #[test]
    fn wrong_calls() {
        let refused = (Outcome::Usage, String::new());
        assert_eq!(derive(&[], b"x"), refused);
        assert_eq!(derive(&["--salt", "s", "password"], b"x"), refused);
        assert_eq!(derive(&["--salt", "s", "--keylen", "7"], b"x"), refused);
        assert_eq!(derive(&["--salt", "s"], b"\n"), (Outcome::Failure, String::new()));
    }
}
