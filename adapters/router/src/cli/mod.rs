//! The commands of `wampd` that need no connection.

pub mod args;
pub mod check;
pub mod derive_key;

/// What a command ends with, for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done: 0.
    Success,
    /// It did not work, and why was said: 1.
    Failure,
    /// The command line makes no sense: 2.
    Usage,
}

impl From<Outcome> for std::process::ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Success => 0,
            Outcome::Failure => 1,
            Outcome::Usage => 2,
        })
    }
}
