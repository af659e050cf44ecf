//! Function authorizers: code in this process that decides on actions.

use super::permit::{AuthorizerFailed, Permit};
use crate::reply::Answer;
use std::sync::Arc;
use wampd_core::id::SessionId;
use wampd_core::router::{Action, ActionRequest, Identity};
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::{Dict, Value};

/// What a session wants to do.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// The session.
    pub session: SessionId,
    /// Who it is.
    pub identity: Arc<Identity>,
    /// How it is connected.
    pub transport: Arc<Dict>,
    /// What it wants to do.
    pub action: Action,
    /// To which procedure or topic, or to which pattern of them.
    pub uri: Uri,
    /// How the URI is meant.
    pub matching: MatchPolicy,
    /// Options of the request, with the names they have on the wire.
    pub options: Dict,
}

impl From<&ActionRequest> for Attempt {
    fn from(request: &ActionRequest) -> Self {
        Self {
            session: request.session,
            identity: request.identity.clone(),
            transport: request.transport.clone(),
            action: request.action,
            uri: request.uri.clone(),
            matching: request.matching,
            options: request.options.clone(),
        }
    }
}

impl Attempt {
    /// The arguments for a procedure or script, as Crossbar.io gives them: details of the session, URI, action, options.
    pub fn arguments(&self) -> [Value; 4] {
        let identity = &self.identity;
        let details = Dict::from([
            ("session".to_owned(), self.session.get().into()),
            ("realm".to_owned(), identity.realm.as_str().into()),
            ("authid".to_owned(), identity.authid.as_str().into()),
            ("authrole".to_owned(), identity.authrole.as_str().into()),
            ("authmethod".to_owned(), identity.authmethod.as_str().into()),
            ("authprovider".to_owned(), identity.authprovider.as_str().into()),
            ("authextra".to_owned(), identity.authextra.clone().into()),
            ("transport".to_owned(), Dict::clone(&self.transport).into()),
        ]);
        let action = match self.action {
            Action::Call => "call",
            Action::Register => "register",
            Action::Publish => "publish",
            Action::Subscribe => "subscribe",
        };
        [details.into(), self.uri.as_str().into(), action.into(), self.options.clone().into()]
    }
}

/// The way back for the answer on an attempt. Dropped without one, the authorizer has failed.
pub type Reply = crate::reply::Reply<Result<Permit, AuthorizerFailed>>;

impl Answer for Result<Permit, AuthorizerFailed> {
    fn missing() -> Self {
        Err(AuthorizerFailed::new("it gave no answer"))
    }
}

/// Decides on attempts. A closure from [`&Attempt`](Attempt) to its answer is one; so is a script.
pub trait FunctionAuthorizer: Send + Sync {
    /// Answers on an attempt, now or later, from any thread.
    ///
    /// It is called on threads of its own, not on that of the router, for several attempts at a time: see
    /// [`function_threads`](crate::config::NodeLimits::function_threads). One that takes long should hand `reply` on, since
    /// others wait for a thread meanwhile, and may stop when [`Reply::is_wanted`] is false.
    fn authorize(&self, attempt: Attempt, reply: Reply);
}

impl<F> FunctionAuthorizer for F
where
    F: Fn(&Attempt) -> Result<Permit, AuthorizerFailed> + Send + Sync,
{
    fn authorize(&self, attempt: Attempt, reply: Reply) {
        reply.send(self(&attempt));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::mpsc;

    pub(crate) fn attempt(action: Action, uri: &'static str) -> Attempt {
        let identity = Identity { authid: "joe".to_owned(), authrole: "user".to_owned(), ..Identity::default() };
        Attempt {
            session: SessionId::new(7).expect("an id"),
            identity: Arc::new(Identity { realm: Uri::from("realm1"), ..identity }),
            transport: Arc::default(),
            action,
            uri: Uri::from(uri),
            matching: MatchPolicy::Prefix,
            options: Dict::from([("match".to_owned(), Value::from("prefix"))]),
        }
    }

    pub(crate) fn ask(authorizer: &dyn FunctionAuthorizer, attempt: Attempt) -> Result<Permit, AuthorizerFailed> {
        let (sender, receiver) = mpsc::channel();
        authorizer.authorize(attempt, Reply::new(move |answer| sender.send(answer).expect("received")));
        receiver.recv().expect("an answer")
    }

    #[test]
    fn a_closure_answers_at_once() {
        let only_a = |attempt: &Attempt| Ok(Permit { allow: attempt.uri.as_str() == "com.a", ..Permit::DENY });
        assert_eq!(ask(&only_a, attempt(Action::Call, "com.a")), Ok(Permit::ALLOW));
        assert_eq!(ask(&only_a, attempt(Action::Call, "com.b")), Ok(Permit::DENY));
    }

    #[test]
    fn a_type_answers_from_another_thread() {
        struct Slow;
        impl FunctionAuthorizer for Slow {
            fn authorize(&self, _: Attempt, reply: Reply) {
                std::thread::spawn(move || reply.send(Ok(Permit::ALLOW)));
            }
        }
        assert_eq!(ask(&Slow, attempt(Action::Publish, "com.a")), Ok(Permit::ALLOW));
    }

    #[test]
    fn no_answer_is_a_failure() {
        struct Forgetful;
        impl FunctionAuthorizer for Forgetful {
            fn authorize(&self, _: Attempt, _: Reply) {}
        }
        assert!(ask(&Forgetful, attempt(Action::Publish, "com.a")).is_err());
    }

    #[test]
    fn arguments_are_those_of_crossbar() {
        let [details, uri, action, options] = attempt(Action::Subscribe, "com.a.").arguments();
        let text = |key: &str| details.as_dict().and_then(|details| details.get(key)?.as_str()).unwrap_or_default();
        assert_eq!((text("realm"), text("authid"), text("authrole")), ("realm1", "joe", "user"));
        assert_eq!(details.as_dict().and_then(|details| details.get("session")), Some(&Value::from(7)));
        assert_eq!((uri.as_str(), action.as_str()), (Some("com.a."), Some("subscribe")));
        assert_eq!(options.as_dict().and_then(|options| options.get("match")?.as_str()), Some("prefix"));
    }
}
