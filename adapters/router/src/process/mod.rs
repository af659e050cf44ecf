//! Processes that this one starts, watches and restarts: hosts of functions in other languages, components, guests.
//!
//! Each has a thread, which starts it, writes to it, reads from it, and sees to its end. What a process does wrong is its
//! own end and that of the questions it was asked, never that of the router. Hosts speak the protocol of
//! `HOST_PROTOCOL.md`.

mod backoff;
mod child;
mod exchange;
mod function;
pub(crate) mod guard;
mod json;
mod supervisor;

pub use function::{FunctionKind, HostedFunction};
pub(crate) use supervisor::{Next, Process, Role, Supervisor};

use core::fmt;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use wampd_core::value::Value;

/// The program that runs Python functions and components.
pub(crate) const PYTHON_HOST: &str = include_str!("../../python/host.py");

/// Runs the first line of the standard input, which is [`PYTHON_HOST`]: nothing is left in a file, and lists of processes
/// stay readable.
pub(crate) const PYTHON_BOOT: &str = "import json;exec(compile(json.loads(open(0,'rb',0,closefd=False).readline()),\
     'wampd-host','exec'))";

/// A value as JSON.
pub(crate) fn to_json(value: &Value) -> serde_json::Value {
    serde_json::to_value(json::Json(value)).unwrap_or_default()
}

/// A program to run.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// The file, or a name that is looked for in the path.
    pub executable: PathBuf,
    /// Arguments.
    pub arguments: Vec<String>,
    /// The folder it runs in.
    pub folder: PathBuf,
    /// What of the environment of this process it gets.
    pub inherit: Inherit,
    /// What its environment has beyond that.
    pub variables: BTreeMap<String, String>,
}

/// The variables may hold secrets: their values are not printed.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { executable, arguments, folder, inherit, variables } = self;
        f.debug_struct("Program")
            .field("executable", executable)
            .field("arguments", arguments)
            .field("folder", folder)
            .field("inherit", inherit)
            .field("variables", &variables.keys())
            .finish()
    }
}

/// What an interpreter with [`PYTHON_BOOT`] reads first, and then this request.
pub(crate) fn python_input(request: &serde_json::Value) -> Vec<u8> {
    format!("{}\n{request}\n", serde_json::Value::from(PYTHON_HOST)).into_bytes()
}

/// What a process gets of the environment of this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Inherit {
    /// Everything.
    #[default]
    All,
    /// Only these variables.
    Only(Vec<String>),
}

/// When a process that has ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Always,
    /// If its exit status was not 0.
    OnFailure,
    /// Not at all.
    Never,
}

/// Limits of the processes that this one starts. Reaching one fails what was asked, or ends the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// Questions that wait for a host or are with it at a time. Beyond it the last one of the address that has most is
    /// refused. Default 4,096.
    pub max_questions: usize,
    /// Questions that a host has at a time; others wait, and the addresses they come from take turns. Default 16.
    pub max_questions_at_once: usize,
    /// Bytes that wait to be written to a host. Default 8 MiB.
    pub max_question_bytes: usize,
    /// Length of an answer in bytes. Default 64 KiB.
    pub max_answer: usize,
    /// How long a host may take to answer. One that has answered nothing else meanwhile is taken to hang and is ended.
    /// Default 10 s; it should be below [`auth_timeout`](wampd_core::router::Limits::auth_timeout).
    pub answer_timeout: Duration,
    /// How long a host may take to be ready. Default 30 s.
    pub start_timeout: Duration,
    /// How long after its end a process is started again. It doubles each time, up to `max_restart_backoff`, and begins
    /// anew when a process has run for longer than that. Default 100 ms.
    pub restart_backoff: Duration,
    /// The longest wait before a process is started again. Default 30 s.
    pub max_restart_backoff: Duration,
    /// How long a process may take to end when it is told to; then it is killed. Default 5 s.
    pub stop_timeout: Duration,
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            max_questions: 4_096,
            max_questions_at_once: 16,
            max_question_bytes: 8 << 20,
            max_answer: 64 << 10,
            answer_timeout: Duration::from_secs(10),
            start_timeout: Duration::from_secs(30),
            restart_backoff: Duration::from_millis(100),
            max_restart_backoff: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(5),
        }
    }
}
