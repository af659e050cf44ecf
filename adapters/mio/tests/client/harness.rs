//! A server in a thread of its own, and ways to reach it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use wampd_core::{
    auth::{CraSecret, TicketDigest},
    client::{ClientConfig, ClientEvent, ClientLimits},
    codec::Format,
    message::Payload,
    router::{
        Allow, AuthRequest, AuthStep, AuthVerdict, Challenge, Identity, Permissions, RealmConfig, RequestIdCheck,
        RoleConfig, RouterConfig, Rule,
    },
    uri::{MatchPolicy, Uri},
    value::{Dict, Value},
};
use wampd_mio::{
    Context, Endpoint, Host, HttpAction, HttpPeer, ListenerConfig, Response, Server, ServerConfig, ServerHandle,
    client::{Client, End, Options, Url},
};
use wampd_wire::{HttpRequest, MaxLength, RawSocketOptions, ServerOptions, Subprotocol, UpgradeOptions};

/// Longer than anything here takes unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) const REALM: Uri = Uri::from_static("realm1");

/// What a RawSocket listener takes: far less than WebSockets do.
pub(crate) const SMALL: usize = 4096;

/// Decides who may join, by authid.
struct Door;

impl Host for Door {
    fn authenticate(&mut self, request: &AuthRequest, _: &mut Context<'_>) -> Option<AuthVerdict> {
        let grant = |authid: &str, authmethod: &str| Identity {
            realm: REALM,
            authid: authid.to_owned(),
            authrole: "member".to_owned(),
            authmethod: authmethod.to_owned(),
            authprovider: "test".to_owned(),
            authextra: Dict::new(),
        };
        let verdict = match &request.step {
            AuthStep::Hello { authid, methods, .. } => match (authid.as_deref(), methods.first().map(String::as_str)) {
                (None, None | Some("anonymous")) => AuthVerdict::Welcome(grant("anonymous", "anonymous")),
                (Some("client1"), Some("wampcra")) => AuthVerdict::Challenge(Challenge::Cra {
                    secret: CraSecret::Plain("secret123".to_owned()),
                    grant: grant("client1", "wampcra"),
                }),
                (Some("peter"), Some("wampcra")) => AuthVerdict::Challenge(Challenge::Cra {
                    secret: CraSecret::Derived {
                        key: "prq7+YkJ1/KlW1X0YczMHw==".to_owned(),
                        salt: "salt123".to_owned(),
                        iterations: 100,
                        keylen: 16,
                    },
                    grant: grant("peter", "wampcra"),
                }),
                (Some("tim"), Some("ticket")) => AuthVerdict::Challenge(Challenge::Ticket {
                    digest: TicketDigest::of("tim's ticket"),
                    grant: grant("tim", "ticket"),
                }),
                (Some("sphinx"), Some("riddle")) => AuthVerdict::Challenge(Challenge::Custom {
                    method: "riddle".to_owned(),
                    extra: Dict::from([("question".to_owned(), Value::from("6 times 7"))]),
                    state: Dict::new(),
                }),
                (Some("waiting"), _) => return None,
                (authid, _) => AuthVerdict::Deny {
                    reason: Uri::from("com.example.no_such_user"),
                    message: format!("no such user {}", authid.unwrap_or_default()),
                },
            },
            AuthStep::Response { signature, extra, .. } if signature == "42" && extra.get("sure").is_some() => {
                AuthVerdict::Welcome(grant("sphinx", "riddle"))
            }
            _ => AuthVerdict::Deny { reason: Uri::from("com.example.wrong"), message: "no".to_owned() },
        };
        Some(verdict)
    }

    fn http(&mut self, request: &HttpRequest, _: &HttpPeer) -> HttpAction {
        let subprotocols = match request.path() {
            "/ws" => Subprotocol::ALL.to_vec(),
            "/json" => vec![Subprotocol::Json],
            _ => return HttpAction::Respond(Response::text(404, "nothing here\n")),
        };
        HttpAction::websocket(Arc::new(UpgradeOptions { subprotocols, ..UpgradeOptions::default() }), 0)
    }
}

/// Members may do everything but under `com.secret.`.
fn router_config() -> RouterConfig {
    let rule = |uri: &'static str, allow| Rule::new(Uri::from(uri), MatchPolicy::Prefix, allow);
    let rules = vec![rule("", Allow::ALL), rule("com.secret.", Allow::NONE)];
    let permissions = Permissions::new(rules).expect("no rule contradicts another");
    let roles = vec![RoleConfig::new("member", permissions)];
    let realm = RealmConfig { request_ids: RequestIdCheck::Strict, ..RealmConfig::new(REALM, roles) };
    RouterConfig { realms: vec![realm], ..RouterConfig::default() }
}

/// A running server with one TCP and one unix listener for everything, and one for RawSocket with small messages.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) small: SocketAddr,
    pub(crate) path: PathBuf,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    pub(crate) fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("wampd-client-{}-{number}.sock", std::process::id()));
        let backlog = ListenerConfig::BACKLOG;
        let listener = |endpoint, transport| ListenerConfig {
            endpoint,
            backlog,
            tls: None,
            transport: Arc::new(transport),
            tag: 0,
            waits: false,
            proxies: None,
        };
        let local = || Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let rawsocket = RawSocketOptions { max_message: MaxLength::at_most(SMALL), ..RawSocketOptions::default() };
        let small = ServerOptions { http: None, rawsocket: Some(rawsocket), ..ServerOptions::default() };
        let server = Server::bind(ServerConfig {
            router: router_config(),
            listeners: vec![
                listener(local(), ServerOptions::default()),
                listener(Endpoint::Unix { path: path.clone(), mode: None }, ServerOptions::default()),
                listener(local(), small),
            ],
            ..ServerConfig::default()
        })
        .expect("the listeners can be bound");
        let [Endpoint::Tcp(address), _, Endpoint::Tcp(small)] = *server.endpoints() else { panic!("other listeners") };
        let handle = server.handle();
        let thread = thread::spawn(move || server.run(&mut Door).expect("polling works"));
        Self { address, small, path, handle, thread: Some(thread) }
    }

    pub(crate) fn url(&self, transport: Transport) -> Url {
        let (address, path) = (self.address, self.path.display());
        let text = match transport {
            Transport::Ws => format!("ws://{address}/ws"),
            Transport::Rs => format!("rs://{address}"),
            Transport::UnixWs => format!("ws+unix:{path}:/ws"),
            Transport::UnixRs => format!("unix:{path}"),
        };
        text.parse().expect("a valid address")
    }

    /// A client that has joined anonymously.
    pub(crate) fn client(&self) -> Client {
        self.client_with(Transport::Ws, &Options::default())
    }

    pub(crate) fn client_with(&self, transport: Transport, options: &Options) -> Client {
        Client::connect(&self.url(transport), options, anonymous()).expect("everybody may join")
    }

    /// Says GOODBYE to everybody.
    pub(crate) fn shut_down(&self) {
        self.handle.shut_down();
    }

    /// Cuts all connections, and returns once they are cut.
    pub(crate) fn stop(&mut self) {
        self.handle.stop();
        self.thread.take().expect("not stopped before").join().expect("the server does not panic");
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.handle.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Transport {
    Ws,
    Rs,
    UnixWs,
    UnixRs,
}

/// Every way to reach the server: transports, serializers, batched or not.
pub(crate) fn every_way() -> Vec<(Transport, Options)> {
    let mut ways = Vec::new();
    for transport in [Transport::Ws, Transport::UnixWs] {
        for subprotocol in Subprotocol::ALL {
            ways.push((transport, Options { subprotocols: vec![subprotocol], ..Options::default() }));
        }
    }
    for transport in [Transport::Rs, Transport::UnixRs] {
        for format in [Format::Json, Format::Cbor, Format::MsgPack] {
            ways.push((transport, Options::with_serializer(format)));
        }
    }
    ways
}

/// Nothing in these tests waits for ever.
pub(crate) fn limits() -> ClientLimits {
    ClientLimits { request_timeout: Some(LONG), ..ClientLimits::default() }
}

pub(crate) fn anonymous() -> ClientConfig {
    ClientConfig { limits: limits(), ..ClientConfig::anonymous(REALM) }
}

/// The next event, which must come.
pub(crate) fn next(client: &mut Client) -> ClientEvent {
    client.next_event(Some(LONG)).expect("the session lives").expect("something happens")
}

/// The events up to the end, and how it was.
pub(crate) fn rest(client: &mut Client) -> (Vec<ClientEvent>, End) {
    let mut events = Vec::new();
    loop {
        match client.next_event(Some(LONG)) {
            Ok(event) => events.push(event.expect("something happens")),
            Err(end) => return (events, end),
        }
    }
}

pub(crate) fn text(text: &str) -> Payload {
    Payload::from_args([Value::from(text)])
}

pub(crate) fn kwargs(payload: &Payload) -> BTreeMap<String, Value> {
    payload.values().expect("decodable").1
}

pub(crate) fn args(payload: &Payload) -> Vec<Value> {
    payload.values().expect("decodable").0
}
