//! The wampd binary.

use std::io;
use std::process::ExitCode;
use wampd::cli::{self, Streams};

fn main() -> ExitCode {
    let args = std::env::args_os().skip(1);
    let (mut input, mut out, mut err) = (io::stdin().lock(), io::stdout().lock(), io::stderr());
    let mut streams = Streams { input: &mut input, out: &mut out, err: &mut err };
    match cli::run(args, &mut streams) {
        Ok(outcome) => outcome.into(),
        // Whoever read the output wants no more of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wampd: {error}");
            ExitCode::FAILURE
        }
    }
}
