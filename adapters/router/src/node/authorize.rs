//! Who may act, for the roles that have an authorizer.

use super::functions::Fate;
use super::host::{Asked, NodeHost, TRUSTED};
use super::services::{Call, CallFailed};
use crate::authz::function::{Attempt, Reply};
use crate::authz::permit::{AuthorizerFailed, Permit, verdict};
use crate::config::{Authorizer, FunctionAuthz};
use crate::log::Log;
use crate::reply::Question;
use std::sync::Arc;
use wampd_core::router::{ActionRequest, ActionVerdict, DecisionId};
use wampd_core::time::Instant;
use wampd_core::uri::{Uri, error};
use wampd_core::value::Value;
use wampd_mio::Context;

/// An attempt that a procedure was called for.
#[derive(Debug)]
pub(super) struct AskedAction {
    id: DecisionId,
    procedure: Uri,
    attempt: Attempt,
    expires: Instant,
    question: Arc<Question>,
    /// Whether the procedure was called before, with another number of arguments.
    again: bool,
}

impl NodeHost {
    /// Asks whoever decides for the role; the answer comes later, if it is not returned.
    pub(super) fn ask_authorizer(&mut self, request: &ActionRequest, cx: &mut Context<'_>) -> Option<ActionVerdict> {
        let identity = &request.identity;
        let authorizer = self.authorizers.get(&identity.realm).and_then(|roles| roles.get(&identity.authrole));
        match authorizer.cloned() {
            Some(Authorizer::Function(function)) => self.ask_function_authorizer(request, function, cx),
            Some(Authorizer::Procedure(procedure)) => {
                let (id, attempt, expires) = (request.id, Attempt::from(request), request.expires);
                let question = self.questions.action(id, request.origin, expires.since(cx.now()));
                self.call_authorizer(AskedAction { id, procedure, attempt, expires, question, again: false }, cx);
                None
            }
            None => Some(ActionVerdict::Failed { message: "the role has no authorizer".to_owned() }),
        }
    }

    fn call_authorizer(&mut self, asked: AskedAction, cx: &mut Context<'_>) {
        let realm = asked.attempt.identity.realm.clone();
        let mut args = asked.attempt.arguments().to_vec();
        if self.authorizers_without_options.contains(&(realm.clone(), asked.procedure.clone())) {
            args.pop();
        }
        let call = Call::new(asked.procedure.clone(), args, asked.expires, asked.question.clone());
        self.call_service((realm, TRUSTED.to_owned()), call, Asked::Action(asked), cx);
    }

    /// Whether the procedure failed since it takes another number of arguments than it was given; it gets that from now on.
    fn takes_other_arguments(&mut self, asked: &AskedAction, failed: &CallFailed) -> bool {
        let key = (asked.attempt.identity.realm.clone(), asked.procedure.clone());
        let without_options = self.authorizers_without_options.contains(&key);
        if failed.error != error::RUNTIME_ERROR || mismatch(&failed.message) != Some(without_options) {
            return false;
        }
        if without_options {
            self.authorizers_without_options.remove(&key);
        } else {
            let event = "authorizer takes three arguments: it is called without the options of requests";
            self.log.warn(event).text("authorizer", asked.procedure.as_str()).end();
            self.authorizers_without_options.insert(key);
        }
        true
    }

    fn ask_function_authorizer(
        &mut self,
        request: &ActionRequest,
        function: FunctionAuthz,
        cx: &Context<'_>,
    ) -> Option<ActionVerdict> {
        let (id, attempt) = (request.id, Attempt::from(request));
        let (server, log, refusals) = (cx.handle().clone(), self.log.clone(), self.desk.refusals.clone());
        let question = self.questions.action(id, request.origin, request.expires.since(cx.now()));
        self.desk.functions.run(&question.clone(), move |fate| {
            if fate == Fate::Refused {
                refusals.decision(&log);
                let message = "too many decisions wait".to_owned();
                return server.decide_action(id, ActionVerdict::Failed { message });
            }
            let FunctionAuthz { name, authorizer } = function;
            let told = attempt.clone();
            let reply = Reply::to(question, move |answer: Result<Permit, AuthorizerFailed>| {
                log_failure(&log, &name, &told, &answer);
                server.decide_action(id, verdict(answer));
            });
            authorizer.authorize(attempt, reply);
        });
        None
    }

    /// A procedure has decided, or failed to.
    pub(super) fn authorized(&mut self, asked: AskedAction, result: Result<Value, CallFailed>, cx: &mut Context<'_>) {
        if !asked.again && result.as_ref().is_err_and(|failed| self.takes_other_arguments(&asked, failed)) {
            return self.call_authorizer(AskedAction { again: true, ..asked }, cx);
        }
        let AskedAction { id, procedure, attempt, .. } = asked;
        let answer = result.map_err(failure).and_then(|value| Permit::from_value(&value));
        log_failure(&self.log, procedure.as_str(), &attempt, &answer);
        cx.decide_action(id, verdict(answer));
    }
}

/// What Python says of a function that takes one argument less (false) or more (true) than it was given: authorizers that
/// are older than the options of requests take three, beside the object that they are a method of.
fn mismatch(message: &str) -> Option<bool> {
    let fewer = ["takes 3 positional arguments but 4 were given", "takes 4 positional arguments but 5 were given"];
    if fewer.iter().any(|text| message.ends_with(text)) {
        return Some(false);
    }
    message.contains("missing 1 required positional argument").then_some(true)
}

/// The text of a runtime error may show anything: it is left to the log of the callee.
fn failure(CallFailed { error: uri, message }: CallFailed) -> AuthorizerFailed {
    let text = if uri == error::RUNTIME_ERROR { String::new() } else { format!(": {message}") };
    AuthorizerFailed::new(format!("{uri}{text}"))
}

/// Failures are for the operator; a denial is seen by the client.
fn log_failure(log: &Log, authorizer: &str, attempt: &Attempt, answer: &Result<Permit, AuthorizerFailed>) {
    if let Err(failed) = answer {
        log.error("authorizer failed")
            .text("authorizer", authorizer)
            .text("authrole", &attempt.identity.authrole)
            .text("uri", attempt.uri.as_str())
            .text("why", failed.to_string())
            .end();
    }
}
