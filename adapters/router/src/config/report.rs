//! What is wrong with a configuration: everything at once, each with its place and what to do.

use super::tree::Position;
use core::fmt;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, but likely does not do what its author thinks.
    Warning,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where in the file; `None` when it concerns the file as a whole.
    pub position: Option<Position>,
    /// Which value, as `workers[0].realms[1].name`; empty for the document itself.
    pub path: String,
    /// What is wrong. Never contains a secret.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// All findings about one configuration.
///
/// Displays as one line each, in the order of the file: `FILE:LINE:COLUMN: error: PATH: message (what to do)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    file: String,
    problems: Vec<Problem>,
}

impl Report {
    /// A report without findings about the file of this name.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), problems: Vec::new() }
    }

    /// Adds a finding.
    pub fn push(&mut self, problem: Problem) {
        let at = self.problems.partition_point(|other| other.position <= problem.position);
        if !self.problems.contains(&problem) {
            self.problems.insert(at, problem);
        }
    }

    /// The findings in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The findings that make the configuration unusable.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error)
    }

    /// The findings that do not.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        self.problems.iter().filter(|problem| problem.severity == Severity::Warning)
    }

    /// Whether the configuration is unusable.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            f.write_str(&self.file)?;
            if let Some(at) = problem.position {
                write!(f, ":{}:{}", at.line, at.column)?;
            }
            let severity = match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            write!(f, ": {severity}: ")?;
            if !problem.path.is_empty() {
                write!(f, "{}: ", problem.path)?;
            }
            f.write_str(&problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(f, " ({hint})")?;
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

impl core::error::Error for Report {}
