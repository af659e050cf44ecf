//! Validates what debug builds of `wampd` have recorded: `check-recording FOLDER`, the folder that `WAMPD_RECORD` named.
//!
//! Prints how many messages were sent in each serializer and framing, and those that a strict receiver would refuse. Ends
//! with 0 if there are messages and none is invalid.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};
use wampd_tests::recording::Findings;

/// More are not worth reading.
const SHOWN: usize = 20;

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: check-recording FOLDER");
        return ExitCode::from(2);
    };
    let findings = match check(&folder) {
        Ok(findings) => findings,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    };
    for ((format, framing), count) in &findings.sent {
        println!("{count} messages in {format:?} over {framing}");
    }
    for invalid in findings.invalid.iter().take(SHOWN) {
        println!("invalid: {invalid}");
    }
    println!("{} invalid", findings.invalid.len());
    let valid = !findings.sent.is_empty() && findings.invalid.is_empty();
    if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn check(folder: &Path) -> io::Result<Findings> {
    let mut findings = Findings::default();
    for entry in fs::read_dir(folder)? {
        findings.add(&fs::read(entry?.path())?).map_err(io::Error::other)?;
    }
    Ok(findings)
}
