//! Functions that are answered by a host.

use super::exchange::{Answered, HostError};
use super::guard::Keeper;
use super::supervisor::{Asker, Process, Role, Supervisor};
use super::{HostLimits, Program};
use crate::authn::function::{FunctionAuthenticator, Login, Reply};
use crate::authn::grant::{FunctionError, FunctionGrant};
use crate::authz::function::{Attempt, FunctionAuthorizer, Reply as PermitReply};
use crate::authz::permit::{AuthorizerFailed, Permit};
use crate::log::Log;
use crate::reply::Question;
use core::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use wampd_core::uri::Uri;
use wampd_core::value::Value;

/// What a hosted function is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FunctionKind {
    /// It answers logins.
    Authenticator,
    /// It decides on actions.
    Authorizer,
}

/// A function that a process of its own answers for. It answers once a node has been bound with it.
pub struct HostedFunction {
    /// Names it in the log.
    name: String,
    program: Program,
    /// What the process reads first.
    input: Vec<u8>,
    asker: Mutex<Option<Asker>>,
}

impl HostedFunction {
    pub(crate) const fn new(name: String, program: Program, input: Vec<u8>) -> Self {
        Self { name, program, input, asker: Mutex::new(None) }
    }

    /// What it is called in the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether one process can answer for both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.program == other.program && self.input == other.input
    }

    /// Starts the process.
    pub(crate) fn start(&self, limits: HostLimits, keeper: Arc<Keeper>, log: Arc<Log>) -> io::Result<Supervisor> {
        let role = Role::Host { input: self.input.clone() };
        let process = Process { name: self.name.clone(), program: self.program.clone(), role, waits: false };
        let supervisor = Supervisor::new(process, limits, keeper, log)?;
        *self.asker.lock().unwrap_or_else(PoisonError::into_inner) = Some(supervisor.asker().clone());
        Ok(supervisor)
    }

    fn ask(&self, args: Vec<Value>, question: Arc<Question>, answered: Answered) {
        match &*self.asker.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(asker) => asker.ask(args, question, answered),
            None => {
                let detail = "its process was not started".to_owned();
                answered(Err(HostError::Failed { message: "the authenticator failed", detail }));
            }
        }
    }
}

/// Its configuration may hold secrets: they are not printed.
impl fmt::Debug for HostedFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedFunction").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FunctionAuthenticator for HostedFunction {
    fn authenticate(&self, login: Login, reply: Reply) {
        let optional = |text: Option<&str>| text.map_or(Value::Null, Value::from);
        let Login { realm, authid, details } = login;
        let args = vec![optional(realm.as_ref().map(Uri::as_str)), optional(authid.as_deref()), Value::from(details)];
        let question = reply.question().clone();
        self.ask(args, question, Box::new(move |answer| reply.send(grant(answer))));
    }
}

fn grant(answer: Result<Value, HostError>) -> Result<FunctionGrant, FunctionError> {
    match answer {
        Ok(value) => FunctionGrant::from_record(value),
        Err(HostError::Denied { uri, message }) => Err(FunctionError::Denied { uri, message }),
        Err(HostError::Failed { message, detail }) => Err(FunctionError::Failed { message, detail }),
        Err(HostError::Unavailable { message, detail }) => Err(FunctionError::Unavailable { message, detail }),
    }
}

impl FunctionAuthorizer for HostedFunction {
    fn authorize(&self, attempt: Attempt, reply: PermitReply) {
        let question = reply.question().clone();
        self.ask(attempt.arguments().into(), question, Box::new(move |answer| reply.send(permit(answer))));
    }
}

fn permit(answer: Result<Value, HostError>) -> Result<Permit, AuthorizerFailed> {
    match answer {
        Ok(value) => Permit::from_value(&value),
        Err(HostError::Denied { uri, message }) => Err(AuthorizerFailed::new(format!("{uri}: {message}"))),
        Err(HostError::Failed { detail, .. } | HostError::Unavailable { detail, .. }) => {
            Err(AuthorizerFailed::new(detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_was_not_started_fails() {
        let program = Program {
            executable: "x".into(),
            arguments: Vec::new(),
            folder: ".".into(),
            inherit: super::super::Inherit::All,
            variables: std::collections::BTreeMap::new(),
        };
        let function = HostedFunction::new("x".to_owned(), program, b"secret123".to_vec());
        assert!(!format!("{function:?}").contains("secret123"));
        let (sender, receiver) = std::sync::mpsc::channel();
        function.ask(Vec::new(), Question::new(None), Box::new(move |answer| sender.send(answer).expect("received")));
        assert!(matches!(receiver.recv(), Ok(Err(HostError::Failed { .. }))));
    }
}
