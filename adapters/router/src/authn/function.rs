//! Function authenticators: code in this process that answers logins.

use super::grant::{FunctionError, FunctionGrant};
use super::script::ScriptAuthenticator;
use crate::reply::Answer;
use core::fmt;
use wampd_core::uri::Uri;
use wampd_core::value::Dict;

/// A client that wants to join.
#[derive(Clone, PartialEq)]
pub struct Login {
    /// The realm it asks for.
    pub realm: Option<Uri>,
    /// Who it says it is.
    pub authid: Option<String>,
    /// What else is known, with the names that Crossbar.io gives: `session`, `authmethod`, `authid`, `authrole`,
    /// `authextra` and `transport`; with ticket authentication also `ticket`.
    pub details: Dict,
}

/// The details may hold a ticket: they are not printed.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("realm", &self.realm).field("authid", &self.authid).finish_non_exhaustive()
    }
}

/// Answers logins. A closure from [`&Login`](Login) to its answer is one; so is a script.
pub trait FunctionAuthenticator: Send + Sync {
    /// Answers a login, now or later, from any thread.
    ///
    /// It is called on threads of its own, not on that of the router, for several logins at a time: see
    /// [`function_threads`](crate::config::NodeLimits::function_threads). One that takes long should hand `reply` on, since
    /// others wait for a thread meanwhile, and may stop when [`Reply::is_wanted`] is false.
    fn authenticate(&self, login: Login, reply: Reply);
}

impl<F> FunctionAuthenticator for F
where
    F: Fn(&Login) -> Result<FunctionGrant, FunctionError> + Send + Sync,
{
    fn authenticate(&self, login: Login, reply: Reply) {
        reply.send(self(&login));
    }
}

impl FunctionAuthenticator for ScriptAuthenticator {
    fn authenticate(&self, login: Login, reply: Reply) {
        reply.send(self.ask(login.realm.as_ref().map(Uri::as_str), login.authid.as_deref(), &login.details));
    }
}

/// The way back for the answer to a login. Dropped without one, the login fails.
pub type Reply = crate::reply::Reply<Result<FunctionGrant, FunctionError>>;

impl Answer for Result<FunctionGrant, FunctionError> {
    fn missing() -> Self {
        let detail = "it gave no answer".to_owned();
        Err(FunctionError::Failed { message: "the authenticator failed", detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use wampd_core::value::Value;

    fn login(authid: &str) -> Login {
        let details = Dict::from([("ticket".to_owned(), Value::from("secret123"))]);
        Login { realm: Some(Uri::from("realm1")), authid: Some(authid.to_owned()), details }
    }

    fn ask(authenticator: &dyn FunctionAuthenticator) -> Result<FunctionGrant, FunctionError> {
        let (sender, receiver) = mpsc::channel();
        authenticator.authenticate(login("joe"), Reply::new(move |answer| sender.send(answer).expect("received")));
        receiver.recv().expect("an answer")
    }

    #[test]
    fn a_closure_answers_at_once() {
        let answer = ask(&|login: &Login| Ok(FunctionGrant { role: login.authid.clone(), ..FunctionGrant::default() }));
        assert_eq!(answer.expect("granted").role.as_deref(), Some("joe"));
    }

    #[test]
    fn a_type_answers_from_another_thread() {
        struct Slow;
        impl FunctionAuthenticator for Slow {
            fn authenticate(&self, login: Login, reply: Reply) {
                std::thread::spawn(move || {
                    reply.send(Ok(FunctionGrant { authid: login.authid, ..FunctionGrant::default() }));
                });
            }
        }
        assert_eq!(ask(&Slow).expect("granted").authid.as_deref(), Some("joe"));
    }

    #[test]
    fn no_answer_is_a_failure() {
        struct Forgetful;
        impl FunctionAuthenticator for Forgetful {
            fn authenticate(&self, _: Login, _: Reply) {}
        }
        assert!(matches!(ask(&Forgetful), Err(FunctionError::Failed { .. })));
    }

    #[test]
    fn tickets_are_not_printed() {
        assert!(!format!("{:?}", login("joe")).contains("secret123"));
    }
}
