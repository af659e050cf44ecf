//! What a server asks of the program it runs in: who may join and act, what HTTP requests get, what is logged.

use super::authorize::AskedAction;
use super::demo::{self, Backend};
use super::files::{self, Shelf, Wanted};
use super::functions::{Fate, Functions};
use super::observe::{Observer, Refusals};
use super::pages;
use super::processes::Processes;
use super::questions::{Conclusion, Desk, Questions, too_many};
use super::services::{Call, CallFailed, Caller, Services};
use super::site::{Served, Service};
use crate::authn::answerer::{Answer, Answerer, Pending};
use crate::authn::derived::DerivedKeys;
use crate::authn::function::{Login, Reply};
use crate::authn::grant::{FunctionError, FunctionGrant};
use crate::config::{AuthConfig, Authorizers, DynamicAuth, FunctionAuth, NodeLimits, Route, StaticConfig};
use crate::log::Log;
use crate::reply::Question;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use wampd_core::client::ClientEvent;
use wampd_core::router::{ActionRequest, ActionVerdict, AuthRequest, AuthVerdict, DecisionId, Origin};
use wampd_core::uri::{Uri, error};
use wampd_core::value::Value;
use wampd_mio::{
    ConnectionId, Context, Host, HttpAction, HttpPeer, ListenerId, LocalId, Locals, Observation, PeerAddress, Response,
    ServerHandle,
};
use wampd_wire::HttpRequest;

/// The role of the session that calls an authorizer, and an authenticator if the configuration names none.
pub(super) const TRUSTED: &str = "trusted";

/// Threads for functions, if the configuration does not say how many: as many as there are processors, within these.
const MIN_THREADS: usize = 2;
const MAX_THREADS: usize = 16;

/// Message to the client when a procedure that authenticates does not work.
const DYNAMIC_FAILED: &str = "the dynamic authenticator failed";

#[derive(Debug)]
pub(super) struct NodeHost {
    served: Served,
    realms: BTreeSet<Uri>,
    pub(super) authorizers: Authorizers,
    /// Procedures of realms that decide without knowing the options of requests.
    pub(super) authorizers_without_options: BTreeSet<(Uri, Uri)>,
    shelf: Arc<Shelf>,
    /// Threads that read files.
    files: Functions,
    /// Requests that wait for files.
    requests: BTreeMap<ConnectionId, Arc<Question>>,
    max_listing_entries: usize,
    answerer: Answerer,
    pub(super) desk: Desk,
    pub(super) questions: Questions,
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
    question: Arc<Question>,
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
        let [mut seed, mut secret] = [[0; 32]; 2];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let threads = match limits.function_threads {
            0 => std::thread::available_parallelism().map_or(MIN_THREADS, |n| n.get().clamp(MIN_THREADS, MAX_THREADS)),
            threads => threads,
        };
        let desk = Desk {
            functions: Functions::new("wampd-functions", threads, limits.max_waiting_decisions)?,
            keys: Arc::new(DerivedKeys::new(secret, limits.max_derived_keys)),
            refusals: Arc::new(Refusals::default()),
            server: server.clone(),
            log: log.clone(),
        };
        let services = Services::new(
            limits.max_waiting_decisions,
            limits.max_questions_at_once,
            limits.max_held_decisions,
            desk.refusals.clone(),
            log.clone(),
        );
        Ok(Self {
            served,
            realms,
            authorizers,
            authorizers_without_options: BTreeSet::new(),
            shelf: Arc::new(Shelf::new(limits.max_file_memory)),
            files: Functions::new("wampd-files", limits.file_threads, limits.max_waiting_files)?,
            requests: BTreeMap::new(),
            max_listing_entries: limits.max_listing_entries,
            answerer: Answerer::new(seed, limits.max_authextra_bytes),
            desk,
            questions: Questions::new(limits.max_questions_per_address),
            services,
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
        let patience = request.expires.since(cx.now());
        let Some(question) = self.questions.login(request.id, request.origin, patience) else {
            return Some(self.too_many_from(request));
        };
        let FunctionAuth { name, authenticator, .. } = function;
        let (id, desk) = (request.id, self.desk.clone());
        let conclusion = Conclusion { desk, id, name, pending, question: question.clone() };
        self.desk.functions.run(&question.clone(), move |fate| match fate {
            Fate::Run => {
                let reply = Reply::to(question, |answer| conclusion.answered(answer));
                authenticator.authenticate(login, reply);
            }
            Fate::Refused => conclusion.refused(),
        });
        None
    }

    /// The verdict on a login from an address of which too many are asked about.
    fn too_many_from(&self, request: &AuthRequest) -> AuthVerdict {
        self.desk.refusals.login(&self.log, address(request));
        too_many("too many logins from this address wait")
    }

    /// Has a file read for a request, by a thread.
    fn read_file(&mut self, files: Arc<StaticConfig>, wanted: Wanted, from: &HttpPeer) -> HttpAction {
        let lane = match from.address {
            PeerAddress::Tcp(address) => Some(Origin::from(address.ip())),
            PeerAddress::Unix => None,
        };
        let (connection, question) = (from.connection, Question::new(lane));
        self.requests.insert(connection, question.clone());
        let (shelf, max_entries, desk) = (self.shelf.clone(), self.max_listing_entries, self.desk.clone());
        self.files.run(&question, move |fate| {
            let response = match fate {
                Fate::Run => files::respond(&files, &shelf, max_entries, &wanted),
                Fate::Refused => {
                    desk.refusals.file(&desk.log);
                    files::overloaded()
                }
            };
            desk.server.respond(connection, response);
        });
        HttpAction::Later
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
        let Some(question) = self.questions.login(request.id, request.origin, patience) else {
            return Some(self.too_many_from(request));
        };
        let procedure = dynamic.authenticator;
        let call = Call::new(procedure.clone(), args, request.expires, question.clone());
        let asked = Asked::Login(AskedLogin { id: request.id, procedure, pending, question });
        self.call_service((realm, role), call, asked, cx);
        None
    }

    /// Calls a procedure that decides on a question.
    pub(super) fn call_service(&mut self, caller: Caller, call: Call, asked: Asked, cx: &mut Context<'_>) {
        for (asked, result) in self.services.call(cx, caller, call, asked) {
            self.answered(asked, result, cx);
        }
    }

    /// A procedure has answered, or failed.
    pub(super) fn answered(&mut self, asked: Asked, result: Result<Value, CallFailed>, cx: &mut Context<'_>) {
        match asked {
            Asked::Login(asked) => self.authenticated(asked, result),
            Asked::Action(asked) => self.authorized(asked, result, cx),
        }
    }

    fn authenticated(&self, asked: AskedLogin, result: Result<Value, CallFailed>) {
        let AskedLogin { id, procedure, pending, question } = asked;
        let (desk, name) = (self.desk.clone(), procedure.as_str().to_owned());
        let conclusion = Conclusion { desk, id, name, pending, question };
        conclusion.answered(result.map_err(denial).and_then(FunctionGrant::from_record));
    }
}

/// The address of a peer that asks to join, for the log.
fn address(request: &AuthRequest) -> &str {
    request.transport.get("peer").and_then(Value::as_str).unwrap_or_default()
}

/// What the error of a call means for a login: the authenticator's own errors are what it says to the client; those that
/// say that it could not be asked, or that it broke, are no business of the client.
fn denial(CallFailed { error: uri, message }: CallFailed) -> FunctionError {
    let technical = [
        error::TIMEOUT,
        error::INVALID_ARGUMENT,
        error::PAYLOAD_SIZE_EXCEEDED,
        error::AUTHORIZATION_FAILED,
        error::NO_SUCH_REALM,
        error::NO_SUCH_ROLE,
        error::RUNTIME_ERROR,
    ];
    let for_now = [error::NO_SUCH_PROCEDURE, error::CANCELED, error::UNAVAILABLE, error::NO_AVAILABLE_CALLEE];
    if for_now.contains(&uri) {
        return FunctionError::Unavailable { message: DYNAMIC_FAILED, detail: format!("{uri}: {message}") };
    }
    if technical.contains(&uri) {
        // The text of a runtime error may show anything: it is left to the log of the callee.
        let text = if uri == error::RUNTIME_ERROR { String::new() } else { format!(": {message}") };
        return FunctionError::Failed { message: DYNAMIC_FAILED, detail: format!("{uri}{text}") };
    }
    FunctionError::Denied { uri, message }
}

/// Failures are for the operator; a denial is seen in the ABORT.
pub(super) fn log_failure(log: &Log, authenticator: &str, method: &str, error: &FunctionError) {
    if let FunctionError::Failed { detail, .. } | FunctionError::Unavailable { detail, .. } = error {
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
            Answer::TooLarge(verdict) => {
                self.desk.refusals.authextra(&self.log, address(request));
                Some(verdict)
            }
            Answer::Function(function, login, pending) => self.ask_function(request, function, login, pending, cx),
            Answer::Dynamic(dynamic, login, pending) => self.ask_procedure(request, dynamic, login, pending, cx),
        }
    }

    fn authorize(&mut self, request: &ActionRequest, cx: &mut Context<'_>) -> Option<ActionVerdict> {
        self.ask_authorizer(request, cx)
    }

    fn http(&mut self, request: &HttpRequest, from: &HttpPeer) -> HttpAction {
        let ListenerId(number) = from.listener;
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
            Service::Static(files) => {
                let Some(wanted) = Wanted::new(request, rest) else {
                    return HttpAction::Respond(files::method_not_allowed());
                };
                let files = files.clone();
                self.read_file(files, wanted, from)
            }
            Service::Json(value) => HttpAction::Respond(pages::json(value, rest, request)),
            Service::Redirect(url) => HttpAction::Respond(pages::redirect(url, rest)),
            Service::NodeInfo => HttpAction::Respond(pages::node_info(rest, request)),
        }
    }

    fn settled(&mut self, id: DecisionId, cx: &mut Context<'_>) {
        if self.questions.settle(id) {
            self.desk.functions.settled();
            self.services.settled(cx);
        }
    }

    fn procedure_registered(&mut self, realm: &Uri, procedure: &Uri, cx: &mut Context<'_>) {
        for (asked, result) in self.services.registered(cx, realm, procedure) {
            self.answered(asked, result, cx);
        }
    }

    fn local_event(&mut self, local: LocalId, event: ClientEvent, cx: &mut Context<'_>) {
        if let Some(backend) = self.demo.as_mut().filter(|backend| backend.is(local)) {
            return backend.event(event, cx.locals(), &self.log);
        }
        for (asked, result) in self.services.event(cx, local, event).unwrap_or_default() {
            self.answered(asked, result, cx);
        }
    }

    fn observe(&mut self, fact: &Observation<'_>) {
        if matches!(fact, Observation::ShuttingDown) {
            self.processes.settle();
        }
        if let Observation::Closed { connection, .. } | Observation::Responded { connection, .. } = fact
            && let Some(question) = self.requests.remove(connection)
        {
            question.settle();
            self.files.settled();
        }
        self.served.cookies.observe(fact, &self.server);
        self.observer.observe(&self.log, fact);
    }
}

fn not_found() -> HttpAction {
    HttpAction::Respond(Response::text(404, "there is nothing here\n"))
}
