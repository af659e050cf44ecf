//! What a server asks of the program it runs in: who may join and act, what HTTP requests get, what is logged.

use super::authorize::AskedAction;
use super::demo::{self, Backend};
use super::files::{self, Shelf};
use super::functions::Functions;
use super::observe::Observer;
use super::pages;
use super::processes::Processes;
use super::services::{Call, CallFailed, Services};
use super::site::{Served, Service};
use crate::authn::answerer::{Answer, Answerer, Pending};
use crate::authn::function::{Login, Reply};
use crate::authn::grant::{FunctionError, FunctionGrant};
use crate::authn::scram::ScramSecret;
use crate::config::{AuthConfig, Authorizers, DynamicAuth, FunctionAuth, NodeLimits, Route};
use crate::log::Log;
use core::time::Duration;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use wampd_core::client::ClientEvent;
use wampd_core::router::{ActionRequest, ActionVerdict, AuthRequest, AuthVerdict, DecisionId};
use wampd_core::uri::{Uri, error};
use wampd_core::value::Value;
use wampd_mio::{
    Context, Host, HttpAction, ListenerId, LocalId, Locals, Observation, PeerAddress, Response, ServerHandle,
};
use wampd_wire::HttpRequest;

/// The role of the session that calls an authorizer, and an authenticator if the configuration names none.
pub(super) const TRUSTED: &str = "trusted";

/// Message to the client when a procedure that authenticates does not work.
const DYNAMIC_FAILED: &str = "the dynamic authenticator failed";

#[derive(Debug)]
pub(super) struct NodeHost {
    served: Served,
    realms: BTreeSet<Uri>,
    pub(super) authorizers: Authorizers,
    /// Procedures of realms that decide without knowing the options of requests.
    pub(super) authorizers_without_options: BTreeSet<(Uri, Uri)>,
    shelf: Shelf,
    answerer: Answerer,
    pub(super) functions: Functions,
    pub(super) services: Services<Asked>,
    demo: Option<Backend>,
    pub(super) observer: Observer,
    processes: Processes,
    server: ServerHandle,
    pub(super) log: Arc<Log>,
}

/// What a procedure was called for.
#[derive(Debug)]
pub(super) enum Asked {
    Login(AskedLogin),
    Action(AskedAction),
}

/// A login that a procedure was called for.
#[derive(Debug)]
pub(super) struct AskedLogin {
    id: DecisionId,
    procedure: Uri,
    pending: Pending,
    patience: Duration,
}

impl NodeHost {
    pub(super) fn new(
        served: Served,
        realms: BTreeSet<Uri>,
        authorizers: Authorizers,
        limits: &NodeLimits,
        processes: Processes,
        server: ServerHandle,
        log: Arc<Log>,
    ) -> io::Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        Ok(Self {
            served,
            realms,
            authorizers,
            authorizers_without_options: BTreeSet::new(),
            shelf: Shelf::new(limits.max_file_memory),
            answerer: Answerer::new(seed),
            functions: Functions::new(limits.max_waiting_decisions)?,
            services: Services::new(limits.max_waiting_decisions),
            demo: None,
            observer: Observer::default(),
            processes,
            server,
            log,
        })
    }

    pub(super) fn add_demo(&mut self, locals: &mut Locals) {
        self.demo = Some(Backend::new(locals));
    }

    /// Asks a function; the answer comes later, if it is not returned.
    fn ask_function(
        &mut self,
        request: &AuthRequest,
        function: FunctionAuth,
        login: Login,
        pending: Pending,
        cx: &Context<'_>,
    ) -> Option<AuthVerdict> {
        let (id, server, log) = (request.id, cx.handle().clone(), self.log.clone());
        let asked = self.functions.run(request.expires.since(cx.now()), move || {
            let name = function.name;
            let reply = Reply::new(move |answer| {
                if let Err(error) = &answer {
                    log_failure(&log, &name, pending.method(), error);
                }
                server.decide(id, pending.verdict(answer));
            });
            function.authenticator.authenticate(login, reply);
        });
        (!asked).then(|| self.too_many_logins())
    }

    /// The verdict on a login that there is no room for.
    fn too_many_logins(&mut self) -> AuthVerdict {
        self.observer.too_many_decisions(&self.log);
        AuthVerdict::Deny { reason: error::AUTHENTICATION_FAILED, message: "too many logins wait".to_owned() }
    }

    /// Calls a procedure; the answer comes later, if it is not returned.
    fn ask_procedure(
        &mut self,
        request: &AuthRequest,
        dynamic: DynamicAuth,
        login: Login,
        pending: Pending,
        cx: &mut Context<'_>,
    ) -> Option<AuthVerdict> {
        let Some(realm) = dynamic.realm.or_else(|| login.realm.clone()).filter(|realm| self.realms.contains(realm))
        else {
            let message = match &login.realm {
                Some(realm) => format!("no realm \"{realm}\" exists on this router"),
                None => "no realm requested, and none assigned".to_owned(),
            };
            return Some(AuthVerdict::Deny { reason: error::NO_SUCH_REALM, message });
        };
        let role = dynamic.role.unwrap_or_else(|| TRUSTED.to_owned());
        let optional = |text: Option<&str>| text.map_or(Value::Null, Value::from);
        let args = vec![
            optional(login.realm.as_ref().map(Uri::as_str)),
            optional(login.authid.as_deref()),
            Value::from(login.details),
        ];
        let patience = request.expires.since(cx.now());
        let call = Call { procedure: dynamic.authenticator.clone(), args, timeout: patience };
        let asked = Asked::Login(AskedLogin { id: request.id, procedure: dynamic.authenticator, pending, patience });
        let (asked, result) = self.services.call(cx.locals(), realm, role, call, asked)?;
        self.answered(asked, result, cx);
        None
    }

    /// A procedure has answered, or failed.
    pub(super) fn answered(&mut self, asked: Asked, result: Result<Value, CallFailed>, cx: &mut Context<'_>) {
        match asked {
            Asked::Login(asked) => self.authenticated(asked, result, cx),
            Asked::Action(asked) => self.authorized(asked, result, cx),
        }
    }

    fn authenticated(&mut self, asked: AskedLogin, result: Result<Value, CallFailed>, cx: &mut Context<'_>) {
        let AskedLogin { id, procedure, pending, patience } = asked;
        let answer = result.map_err(denial).and_then(FunctionGrant::from_record);
        if let Err(error) = &answer {
            log_failure(&self.log, procedure.as_str(), pending.method(), error);
        }
        match answer {
            // A key may have to be derived from a password.
            Ok(
                FunctionGrant { cra: Some(_), .. } | FunctionGrant { scram: Some(ScramSecret::Password { .. }), .. },
            ) => {
                let server = cx.handle().clone();
                if !self.functions.run(patience, move || server.decide(id, pending.verdict(answer))) {
                    cx.decide(id, self.too_many_logins());
                }
            }
            _ => cx.decide(id, pending.verdict(answer)),
        }
    }
}

/// What the error of a call means for a login: the authenticator's own errors are what it says to the client; those that
/// say that it could not be asked, or that it broke, are no business of the client.
fn denial(CallFailed { error: uri, message }: CallFailed) -> FunctionError {
    let technical = [
        error::NO_SUCH_PROCEDURE,
        error::CANCELED,
        error::TIMEOUT,
        error::UNAVAILABLE,
        error::NO_AVAILABLE_CALLEE,
        error::INVALID_ARGUMENT,
        error::PAYLOAD_SIZE_EXCEEDED,
        error::AUTHORIZATION_FAILED,
        error::NO_SUCH_REALM,
        error::NO_SUCH_ROLE,
        error::RUNTIME_ERROR,
    ];
    if technical.contains(&uri) {
        // The text of a runtime error may show anything: it is left to the log of the callee.
        let text = if uri == error::RUNTIME_ERROR { String::new() } else { format!(": {message}") };
        return FunctionError::Failed { message: DYNAMIC_FAILED, detail: format!("{uri}{text}") };
    }
    FunctionError::Denied { uri, message }
}

/// Failures are for the operator; a denial is seen in the ABORT.
fn log_failure(log: &Log, authenticator: &str, method: &str, error: &FunctionError) {
    if let FunctionError::Failed { detail, .. } = error {
        log.error("authenticator failed")
            .text("authenticator", authenticator)
            .text("authmethod", method)
            .text("why", detail)
            .end();
    }
}

impl Host for NodeHost {
    fn authenticate(&mut self, request: &AuthRequest, cx: &mut Context<'_>) -> Option<AuthVerdict> {
        let none = AuthConfig::default();
        let auth = usize::try_from(request.tag).ok().and_then(|tag| self.served.auths.get(tag)).unwrap_or(&none);
        let known = self.served.cookies.known(request);
        match self.answerer.answer(auth, request, known) {
            Answer::Verdict(verdict) => Some(verdict),
            Answer::Function(function, login, pending) => self.ask_function(request, function, login, pending, cx),
            Answer::Dynamic(dynamic, login, pending) => self.ask_procedure(request, dynamic, login, pending, cx),
        }
    }

    fn authorize(&mut self, request: &ActionRequest, cx: &mut Context<'_>) -> Option<ActionVerdict> {
        self.ask_authorizer(request, cx)
    }

    fn http(&mut self, ListenerId(number): ListenerId, _: &PeerAddress, request: &HttpRequest) -> HttpAction {
        let Some(site) = self.served.routes.get(number) else { return not_found() };
        let Some((Route { service, .. }, rest)) = site.find(request.path()) else {
            let page = self.demo.as_ref().and_then(|_| demo::page(request.path()));
            return page.map_or_else(not_found, HttpAction::Respond);
        };
        match service {
            Service::WebSocket { options, tag, cookies } => {
                let tracked = cookies.map(|jar| self.served.cookies.upgrade(jar, request));
                let (headers, details) = tracked.unwrap_or_default();
                HttpAction::WebSocket { options: options.clone(), tag: *tag, headers, details }
            }
            Service::Static(files) => HttpAction::Respond(files::respond(files, rest, &mut self.shelf, request)),
            Service::Json(value) => HttpAction::Respond(pages::json(value, rest, request)),
            Service::Redirect(url) => HttpAction::Respond(pages::redirect(url, rest)),
            Service::NodeInfo => HttpAction::Respond(pages::node_info(rest, request)),
        }
    }

    fn local_event(&mut self, local: LocalId, event: ClientEvent, cx: &mut Context<'_>) {
        if let Some(backend) = self.demo.as_mut().filter(|backend| backend.is(local)) {
            return backend.event(event, cx.locals(), &self.log);
        }
        for (asked, result) in self.services.event(cx.locals(), local, event).unwrap_or_default() {
            self.answered(asked, result, cx);
        }
    }

    fn observe(&mut self, fact: &Observation<'_>) {
        if matches!(fact, Observation::ShuttingDown) {
            self.processes.settle();
        }
        self.served.cookies.observe(fact, &self.server);
        self.observer.observe(&self.log, fact);
    }
}

fn not_found() -> HttpAction {
    HttpAction::Respond(Response::text(404, "there is nothing here\n"))
}
