//! Who may act, for the roles that have an authorizer.

use super::host::{Asked, NodeHost, TRUSTED};
use super::services::{Call, CallFailed};
use crate::authz::function::{Attempt, Reply};
use crate::authz::permit::{AuthorizerFailed, Permit, verdict};
use crate::config::{Authorizer, FunctionAuthz};
use crate::log::Log;
use wampd_core::router::{ActionRequest, ActionVerdict, DecisionId};
use wampd_core::uri::{Uri, error};
use wampd_core::value::Value;
use wampd_mio::Context;

/// An attempt that a procedure was called for.
#[derive(Debug)]
pub(super) struct AskedAction {
    id: DecisionId,
    procedure: Uri,
    attempt: Attempt,
}

impl NodeHost {
    /// Asks whoever decides for the role; the answer comes later, if it is not returned.
    pub(super) fn ask_authorizer(&mut self, request: &ActionRequest, cx: &mut Context<'_>) -> Option<ActionVerdict> {
        let identity = &request.identity;
        let authorizer = self.authorizers.get(&identity.realm).and_then(|roles| roles.get(&identity.authrole));
        match authorizer.cloned() {
            Some(Authorizer::Function(function)) => self.ask_function_authorizer(request, function, cx),
            Some(Authorizer::Procedure(procedure)) => {
                let attempt = Attempt::from(request);
                let args = attempt.arguments().to_vec();
                let call = Call { procedure: procedure.clone(), args, timeout: request.expires.since(cx.now()) };
                let asked = Asked::Action(AskedAction { id: request.id, procedure, attempt });
                let realm = identity.realm.clone();
                if let Some((asked, result)) = self.services.call(cx.locals(), realm, TRUSTED.to_owned(), call, asked) {
                    self.answered(asked, result, cx);
                }
                None
            }
            None => Some(ActionVerdict::Failed { message: "the role has no authorizer".to_owned() }),
        }
    }

    fn ask_function_authorizer(
        &mut self,
        request: &ActionRequest,
        function: FunctionAuthz,
        cx: &Context<'_>,
    ) -> Option<ActionVerdict> {
        let (id, attempt) = (request.id, Attempt::from(request));
        let (server, log) = (cx.handle().clone(), self.log.clone());
        let asked = self.functions.run(request.expires.since(cx.now()), move || {
            let FunctionAuthz { name, authorizer } = function;
            let told = attempt.clone();
            let reply = Reply::new(move |answer: Result<Permit, AuthorizerFailed>| {
                log_failure(&log, &name, &told, &answer);
                server.decide_action(id, verdict(answer));
            });
            authorizer.authorize(attempt, reply);
        });
        (!asked).then(|| {
            self.observer.too_many_decisions(&self.log);
            ActionVerdict::Failed { message: "too many decisions wait".to_owned() }
        })
    }

    /// A procedure has decided, or failed to.
    pub(super) fn authorized(&self, asked: AskedAction, result: Result<Value, CallFailed>, cx: &mut Context<'_>) {
        let AskedAction { id, procedure, attempt } = asked;
        let answer = result.map_err(failure).and_then(|value| Permit::from_value(&value));
        log_failure(&self.log, procedure.as_str(), &attempt, &answer);
        cx.decide_action(id, verdict(answer));
    }
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
