//! Runs a program to answer a call: JSON in, JSON out, bounded in time and output.

use super::payload::from_value;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};
use wampd_core::message::Payload;
use wampd_core::uri::{Uri, error};

/// What a program may print, in bytes.
const MAX_OUTPUT: u64 = 1 << 20;

/// How often to look whether a program that has closed its output has ended too: the system does not tell.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running program. Dropping it kills the program.
pub(super) struct Exec {
    child: Child,
    deadline: Instant,
    /// Gets what the program has printed, once it has closed its output.
    printing: Receiver<Vec<u8>>,
    printed: Option<Vec<u8>>,
}

/// How a program has ended.
pub(super) enum Ran {
    Answer(Payload),
    Failed {
        error: Uri,
        /// For the caller.
        message: &'static str,
        /// For whoever runs the command.
        why: String,
    },
}

impl Ran {
    fn failed(message: &'static str, why: String) -> Self {
        Self::Failed { error: error::RUNTIME_ERROR, message, why }
    }
}

impl Exec {
    /// Starts a program. `wake` is called when it has closed its output.
    pub(super) fn start(
        command: &[String],
        input: String,
        timeout: Duration,
        wake: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let (sender, printing) = mpsc::channel();
        let mut exec = Self { child: command.spawn()?, deadline: Instant::now() + timeout, printing, printed: None };
        // Both threads end with the program's ends of the pipes.
        if let Some(mut stdin) = exec.child.stdin.take() {
            // A program may well not read what it does not need.
            thread::Builder::new().spawn(move || drop(stdin.write_all(input.as_bytes())))?;
        }
        if let Some(stdout) = exec.child.stdout.take() {
            thread::Builder::new().spawn(move || {
                let mut printed = Vec::new();
                // What was read before a failure is not whole, so it will not do as JSON.
                let _ = stdout.take(MAX_OUTPUT + 1).read_to_end(&mut printed);
                let _ = sender.send(printed);
                wake();
            })?;
        }
        Ok(exec)
    }

    /// How long to wait before [`poll`](Self::poll), unless `wake` is called earlier.
    pub(super) fn time_left(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if self.printed.is_some() { left.min(LOOK_AGAIN) } else { left }
    }

    /// How the program has ended; `None` if it has not.
    pub(super) fn poll(&mut self) -> Option<Ran> {
        if self.printed.is_none() {
            self.printed = match self.printing.try_recv() {
                Ok(printed) => Some(printed),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => Some(Vec::new()),
            };
        }
        if let Some(printed) = &self.printed {
            if printed.len() as u64 > MAX_OUTPUT {
                let message = "the program printed too much";
                let why = format!("it printed more than {MAX_OUTPUT} bytes");
                return Some(Ran::Failed { error: error::PAYLOAD_SIZE_EXCEEDED, message, why });
            }
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(answer(status, printed)),
                Ok(None) => {}
                Err(why) => return Some(Ran::failed("the program was lost", why.to_string())),
            }
        }
        if self.deadline <= Instant::now() {
            let message = "the program took too long";
            return Some(Ran::Failed { error: error::TIMEOUT, message, why: "it took too long".to_owned() });
        }
        None
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(status: ExitStatus, printed: &[u8]) -> Ran {
    if !status.success() {
        return Ran::failed("the program failed", status.to_string());
    }
    let not_json = |why: String| Ran::failed("the program did not print JSON", format!("it did not print JSON: {why}"));
    match std::str::from_utf8(printed) {
        Ok(printed) => from_value(printed).map_or_else(not_json, Ran::Answer),
        Err(why) => not_json(why.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::payload::Content;

    fn start(command: &[&str], input: &str, timeout: Duration) -> (io::Result<Exec>, Receiver<()>) {
        let (wake, woken) = mpsc::channel();
        let command: Vec<String> = command.iter().map(|part| (*part).to_owned()).collect();
        let wake = move || {
            let _ = wake.send(());
        };
        (Exec::start(&command, input.to_owned(), timeout, wake), woken)
    }

    /// Runs a shell script to its end.
    fn run(script: &str, input: &str, timeout: Duration) -> Ran {
        let (exec, woken) = start(&["sh", "-c", script], input, timeout);
        let mut exec = exec.expect("a shell");
        loop {
            if let Some(ran) = exec.poll() {
                return ran;
            }
            let _ = woken.recv_timeout(exec.time_left());
        }
    }

    const LONG: Duration = Duration::from_secs(60);

    fn args(script: &str, input: &str) -> String {
        match run(script, input, LONG) {
            Ran::Answer(payload) => Content::of(&payload).to_string(),
            Ran::Failed { why, .. } => panic!("{why}"),
        }
    }

    fn error(script: &str, timeout: Duration) -> Uri {
        match run(script, "", timeout) {
            Ran::Answer(payload) => panic!("{payload:?}"),
            Ran::Failed { error, .. } => error,
        }
    }

    #[test]
    fn what_is_printed_is_the_answer() {
        assert_eq!(args("cat", r#"{"args":[1,"x"]}"#), r#"1 "x""#);
        assert_eq!(args("echo '[1, 2]'; exec >&-; sleep 0.05", ""), "[1, 2]");
        assert_eq!(args("true", ""), "");
        // More than a pipe holds, both ways, and read by nobody.
        let long = format!("\"{}\"", "x".repeat(500_000));
        assert_eq!(args("cat", &long), long);
        assert_eq!(args("echo 1", &long), "1");
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for script in ["exit 3", "kill -9 $$", "echo nonsense", "printf '\\377'", "echo 1 2"] {
            assert_eq!(error(script, LONG), error::RUNTIME_ERROR, "{script}");
        }
        assert_eq!(error("head -c 2000000 /dev/zero", LONG), error::PAYLOAD_SIZE_EXCEEDED);
        assert_eq!(error("exec sleep 600", Duration::from_millis(50)), error::TIMEOUT);
        assert_eq!(error("exec sleep 600 >&-", Duration::from_millis(50)), error::TIMEOUT);
        assert!(start(&["/nonexistent/program"], "", LONG).0.is_err());
        assert!(start(&[], "", LONG).0.is_err());
    }
}
