//! A server on a thread of its own, whose facts and counters tests can wait for.

use std::{
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use wampd_core::{
    client::ClientEvent,
    router::{
        ActionRequest, ActionVerdict, AuthRequest, AuthVerdict, DecisionId, Identity, Permissions, RealmConfig,
        RoleConfig, RouterConfig, RouterStats,
    },
    uri::Uri,
};
use wampd_mio::{
    ConnectionId, Context, Endpoint, Host, HttpAction, HttpPeer, ListenerConfig, LocalId, Observation, Response,
    Server, ServerConfig, ServerHandle, ServerStats,
};
use wampd_wire::{ContentLength, HttpRequest, PingOptions, ServerOptions, UpgradeOptions, WebSocketOptions};

use super::PATIENCE;

/// The realm of every test.
pub const REALM: Uri = Uri::from_static("realm1");

/// Whom everybody joins as.
pub fn anybody(request: &AuthRequest) -> Identity {
    identity(format!("anybody-{}", request.session), "anyone")
}

/// An identity in [`REALM`].
pub fn identity(authid: impl Into<String>, authrole: &str) -> Identity {
    Identity {
        realm: REALM,
        authid: authid.into(),
        authrole: authrole.to_owned(),
        authmethod: "anonymous".to_owned(),
        authprovider: "static".to_owned(),
        ..Identity::default()
    }
}

/// One realm in which everybody may do everything, except those whose role is `asked`: for them the host decides.
pub fn open_router() -> RouterConfig {
    let role = |name: &str, permissions| RoleConfig::new(name, permissions);
    let roles = vec![role("anyone", Permissions::all()), role("asked", Permissions::asked())];
    RouterConfig { realms: vec![RealmConfig::new(REALM, roles)], ..RouterConfig::default() }
}

/// A listener on a port of the loopback that the system chooses.
pub fn loopback(transport: ServerOptions) -> ListenerConfig {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    ListenerConfig {
        endpoint: Endpoint::Tcp(address),
        backlog: ListenerConfig::BACKLOG,
        tls: None,
        transport: Arc::new(transport),
        tag: 0,
        waits: false,
        proxies: None,
    }
}

/// A server with one universal port.
pub fn open_server() -> ServerConfig {
    ServerConfig {
        router: open_router(),
        listeners: vec![loopback(ServerOptions::default())],
        ..ServerConfig::default()
    }
}

type Authenticate = Box<dyn FnMut(&AuthRequest, &mut Context<'_>) -> Option<AuthVerdict> + Send>;
type Authorize = Box<dyn FnMut(&ActionRequest, &mut Context<'_>) -> Option<ActionVerdict> + Send>;
type OnLocal = Box<dyn FnMut(LocalId, ClientEvent, &mut Context<'_>) + Send>;

/// What the server's program does; the default lets everybody in and serves WebSockets at `/ws`.
pub struct Behaviour {
    pub authenticate: Authenticate,
    pub authorize: Authorize,
    pub on_local: OnLocal,
    /// A question is over.
    pub on_settled: Box<dyn FnMut(DecisionId) + Send>,
    /// A request for `/later` waits for its response.
    pub on_later: Box<dyn FnMut(ConnectionId) + Send>,
    pub upgrade: UpgradeOptions,
    /// What `/page` answers.
    pub page: Vec<u8>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            authenticate: Box::new(|request, _| Some(AuthVerdict::Welcome(anybody(request)))),
            authorize: Box::new(|_, _| Some(ActionVerdict::Deny { cache: None })),
            on_local: Box::new(|_, _, _| {}),
            on_settled: Box::new(|_| {}),
            on_later: Box::new(|_| {}),
            upgrade: UpgradeOptions::default(),
            page: b"a page\n".to_vec(),
        }
    }
}

struct TestHost {
    behaviour: Behaviour,
    upgrade: Arc<UpgradeOptions>,
    facts: mpsc::Sender<String>,
}

impl Host for TestHost {
    fn authenticate(&mut self, request: &AuthRequest, cx: &mut Context<'_>) -> Option<AuthVerdict> {
        (self.behaviour.authenticate)(request, cx)
    }

    fn authorize(&mut self, request: &ActionRequest, cx: &mut Context<'_>) -> Option<ActionVerdict> {
        (self.behaviour.authorize)(request, cx)
    }

    fn settled(&mut self, id: DecisionId, _: &mut Context<'_>) {
        (self.behaviour.on_settled)(id);
    }

    fn http(&mut self, request: &HttpRequest, from: &HttpPeer) -> HttpAction {
        match request.path() {
            "/ws" => HttpAction::websocket(Arc::clone(&self.upgrade), 7),
            "/page" => HttpAction::Respond(Response {
                status: 200,
                content_type: "text/plain".to_owned(),
                headers: Vec::new(),
                body: self.behaviour.page.clone().into(),
                length: ContentLength::OfBody,
            }),
            "/later" => {
                (self.behaviour.on_later)(from.connection);
                HttpAction::Later
            }
            _ => HttpAction::Respond(Response::text(404, "there is nothing here\n")),
        }
    }

    fn local_event(&mut self, local: LocalId, event: ClientEvent, cx: &mut Context<'_>) {
        (self.behaviour.on_local)(local, event, cx);
    }

    fn observe(&mut self, fact: &Observation<'_>) {
        let text = match fact {
            Observation::Accepted { .. } | Observation::Opened { .. } => return,
            Observation::Closed { connection, cause } => format!("closed {connection}: {cause}"),
            Observation::Left { cause, .. } => format!("left: {cause:?}"),
            Observation::Aborted { reason, message, .. } => format!("aborted: {reason} ({message})"),
            Observation::Joined { authid, .. } => format!("joined: {authid}"),
            other => format!("{other:?}"),
        };
        // Nobody may be listening any more.
        let _ = self.facts.send(text);
    }
}

/// Takes as many file descriptors as the system lets a process have: both ends of all connections are in this one.
fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("no more than the maximum");
}

/// What a server holds and has counted, after its last turn.
pub type Counters = (ServerStats, RouterStats);

pub struct TestServer {
    pub handle: ServerHandle,
    pub endpoints: Vec<Endpoint>,
    facts: mpsc::Receiver<String>,
    counters: Arc<(Mutex<Counters>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    pub fn start(config: ServerConfig) -> Self {
        Self::start_with(config, Behaviour::default(), |_| {})
    }

    /// Starts a server that gives nobody up for being slow, however busy the machine is.
    pub fn start_unhurried(mut config: ServerConfig) -> Self {
        config.limits.write_timeout = Duration::from_secs(3600);
        let websocket = Arc::new(WebSocketOptions { ping: PingOptions::OFF, ..WebSocketOptions::default() });
        let upgrade = UpgradeOptions { websocket, ..UpgradeOptions::default() };
        Self::start_with(config, Behaviour { upgrade, ..Behaviour::default() }, |_| {})
    }

    /// Starts a server; `prepare` is given it before its first turn.
    pub fn start_with(config: ServerConfig, behaviour: Behaviour, prepare: impl FnOnce(&mut Server)) -> Self {
        allow_files();
        let mut server = Server::bind(config).expect("bind");
        prepare(&mut server);
        let (handle, endpoints) = (server.handle(), server.endpoints().to_vec());
        let (sender, facts) = mpsc::channel();
        let counters = Arc::new((Mutex::new((server.stats(), server.router_stats())), Condvar::new()));
        let shared = Arc::clone(&counters);
        let thread = std::thread::spawn(move || {
            let upgrade = Arc::new(behaviour.upgrade.clone());
            let mut host = TestHost { behaviour, upgrade, facts: sender };
            let mut goes_on = true;
            while goes_on {
                goes_on = server.turn(&mut host, None).expect("turn");
                *shared.0.lock().unwrap() = (server.stats(), server.router_stats());
                shared.1.notify_all();
            }
        });
        Self { handle, endpoints, facts, counters, thread: Some(thread) }
    }

    /// The address of the first listener.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoints[0]
    }

    /// Waits until the counters are as wanted.
    pub fn wait_until(&self, what: &str, wanted: impl Fn(&Counters) -> bool) -> Counters {
        let began = Instant::now();
        let mut counters = self.counters.0.lock().unwrap();
        while !wanted(&counters) {
            assert!(began.elapsed() < PATIENCE, "never {what}: {counters:?}");
            counters = self.counters.1.wait_timeout(counters, PATIENCE / 10).unwrap().0;
        }
        *counters
    }

    pub fn counters(&self) -> Counters {
        self.wait_until("", |_| true)
    }

    /// Waits for a fact that begins with this text, and returns it; the ones before are forgotten.
    pub fn fact(&self, beginning: &str) -> String {
        let mut others = Vec::new();
        loop {
            match self.facts.recv_timeout(PATIENCE) {
                Ok(fact) if fact.starts_with(beginning) => return fact,
                Ok(fact) => others.push(fact),
                Err(error) => panic!("no fact {beginning:?} ({error}): {others:?}"),
            }
        }
    }

    /// Waits for the end of a server that was told to end.
    pub fn join(mut self) -> Counters {
        self.thread.take().expect("not joined before").join().expect("the server panicked");
        self.counters()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.handle.stop();
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}
