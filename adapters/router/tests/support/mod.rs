//! A node in this process, on ports of the system's choice.

#![allow(dead_code, unreachable_pub, reason = "a module of several tests, each of which uses a part of it")]

pub mod authenticator;
pub mod folder;
pub mod websocket;

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use wampd::authn::function::FunctionAuthenticator;
use wampd::config::{self, FunctionAuth, NodeConfig, PathService, Provider, Surroundings, Syntax, WebSocketConfig};
use wampd::log::{Level, Log, LogFormat};
use wampd::node::Node;
use wampd::node::certificates::Reloader;
use wampd::script::ScriptError;
use wampd_core::client::{ClientConfig, Credential};
use wampd_core::uri::Uri;
use wampd_mio::client::{Client, ConnectError, Options, Url};
use wampd_mio::{Endpoint, ServerHandle};

/// The secrets that tests use: they must not be in any log.
const SECRETS: [&str; 5] =
    ["password-of-joe", "secret-of-joe", "secret-of-ann", "prq7+YkJ1/KlW1X0YczMHw==", "ticket-of-tim"];

/// Somewhere to log to.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A node: realms `realm1` and `realm2`, both with roles `user` and `service`, which may do everything, and `guest`.
///
/// Its first transport is a WebSocket at `/ws`, its second RawSocket for `service`, without a password.
pub struct TestNode {
    endpoints: Vec<Endpoint>,
    handle: ServerHandle,
    reloader: Option<Reloader>,
    thread: Option<JoinHandle<io::Result<()>>>,
    log: Memory,
}

impl TestNode {
    /// A node whose WebSocket has this `auth`.
    pub fn new(auth: &str) -> Self {
        Self::build(auth, "{}", |_| {})
    }

    /// A node with limits of its own.
    pub fn with_limits(auth: &str, limits: &str) -> Self {
        Self::build(auth, limits, |_| {})
    }

    /// A node whose WebSocket asks `authenticator` about logins by `method`.
    pub fn with_function(method: &str, authenticator: impl FunctionAuthenticator + 'static) -> Self {
        Self::with_function_and_limits(method, authenticator, "{}")
    }

    /// As [`TestNode::with_function`], with limits of its own.
    pub fn with_function_and_limits(
        method: &str,
        authenticator: impl FunctionAuthenticator + 'static,
        limits: &str,
    ) -> Self {
        let auth = r#"{"anonymous": {"type": "static", "role": "guest"}}"#;
        Self::build(auth, limits, |ws| {
            let name = "a function of the test".to_owned();
            let function =
                FunctionAuth { name, authenticator: Arc::new(authenticator), default_role: Some("guest".into()) };
            match method {
                "anonymous" => ws.auth.anonymous = Some(Provider::Function(function)),
                "ticket" => ws.auth.ticket = Some(Provider::Function(function)),
                "scram" => ws.auth.scram = Some(Provider::Function(function)),
                "wamp-scram" => ws.auth.wamp_scram = Some(Provider::Function(function)),
                "tls" => ws.auth.tls = Some(Provider::Function(function)),
                "cryptosign" => ws.auth.cryptosign = Some(Provider::Function(function)),
                _ => ws.auth.wampcra = Some(Provider::Function(function)),
            }
        })
    }

    fn build(auth: &str, limits: &str, change: impl FnOnce(&mut WebSocketConfig)) -> Self {
        let all = r#"[{"uri": "", "match": "prefix",
            "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}]"#;
        let roles = format!(
            r#"[{{"name": "user", "permissions": {all}}}, {{"name": "guest"}},
                {{"name": "service", "permissions": {all}}}]"#
        );
        let mut config = parse(&format!(
            r#"{{"version": 2, "wampd": {{"limits": {limits}, "farewell": "told"}}, "workers": [{{"type": "router",
            "realms": [{{"name": "realm1", "roles": {roles}}}, {{"name": "realm2", "roles": {roles}}}],
            "transports": [
                {{"type": "web", "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": 0}},
                  "paths": {{"ws": {{"type": "websocket", "auth": {auth}}}}}}},
                {{"type": "rawsocket", "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": 0}},
                  "auth": {{"anonymous": {{"type": "static", "role": "service"}}}}}}]}}]}}"#
        ));
        let route = &mut config.transports[0].routes.routes[0];
        let PathService::WebSocket(ws) = &mut route.service else { panic!("{route:?}") };
        change(ws);
        Self::start(config)
    }

    /// Any node.
    pub fn start(config: NodeConfig) -> Self {
        Self::start_with(config, |node| node)
    }

    /// Any node, changed before it runs.
    pub fn start_with(config: NodeConfig, change: impl FnOnce(Node) -> Node) -> Self {
        let log = Memory::default();
        let node = Node::bind(config, Arc::new(Log::new(Level::Debug, LogFormat::Text, Box::new(log.clone()))));
        let node = change(node.unwrap_or_else(|error| panic!("{error}")));
        let (endpoints, handle, reloader) = (node.endpoints().to_vec(), node.handle(), Some(node.reloader()));
        Self { endpoints, handle, reloader, thread: Some(std::thread::spawn(move || node.run())), log }
    }

    /// The port of a transport.
    pub fn port(&self, transport: usize) -> u16 {
        match &self.endpoints[transport] {
            Endpoint::Tcp(address) => address.port(),
            other => panic!("{other}"),
        }
    }

    /// Joins over the WebSocket.
    pub fn join(
        &self,
        realm: &str,
        authid: Option<&str>,
        credentials: Vec<Credential>,
    ) -> Result<Client, ConnectError> {
        let authid = authid.map(str::to_owned);
        self.connect(ClientConfig { authid, credentials, ..ClientConfig::anonymous(Uri::from(realm.to_owned())) })
    }

    /// Joins over the WebSocket.
    pub fn connect(&self, config: ClientConfig) -> Result<Client, ConnectError> {
        Client::connect(&self.url(), &Options::default(), config)
    }

    /// The WebSocket.
    pub fn url(&self) -> Url {
        format!("ws://127.0.0.1:{}/ws", self.port(0)).parse().expect("a URL")
    }

    /// Joins `realm1` as `service`.
    pub fn service(&self) -> Client {
        let url: Url = format!("rs://127.0.0.1:{}", self.port(1)).parse().expect("a URL");
        Client::connect(&url, &Options::default(), ClientConfig::anonymous(Uri::from("realm1"))).expect("joins")
    }

    /// Begins to shut it down.
    pub fn shut_down(&self) {
        self.handle.shut_down();
    }

    /// Loads the certificates again.
    pub fn reload(&self) {
        self.reloader.as_ref().expect("not ended").reload();
    }

    /// Waits until this is so often in the log.
    pub fn logged(&self, part: &str, times: usize) {
        while self.log().matches(part).count() < times {
            std::thread::yield_now();
        }
    }

    /// What was logged so far.
    pub fn log(&self) -> String {
        String::from_utf8(self.log.0.lock().expect("not poisoned").clone()).expect("text")
    }
}

/// Ends the node; whatever the test did, no secret was logged.
impl Drop for TestNode {
    fn drop(&mut self) {
        self.handle.stop();
        drop(self.reloader.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if std::thread::panicking() {
            return eprintln!("{}", self.log());
        }
        assert!(matches!(ended, Some(Ok(Ok(())))), "{ended:?}");
        let log = self.log();
        for secret in SECRETS {
            assert!(!log.contains(secret), "{secret} in\n{log}");
        }
    }
}

/// A configuration without files.
pub fn parse(text: &str) -> NodeConfig {
    let script = |path: &Path| Err(ScriptError::Unreadable(path.display().to_string()));
    let surroundings = Surroundings { folder: Path::new(""), variable: &|_| None, script: &script, tls: &|_| Ok(()) };
    match config::parse("test", text, Syntax::Json, &surroundings) {
        Ok((node, _)) => node,
        Err(report) => panic!("{report}"),
    }
}

/// Reason and text of the ABORT.
pub fn refusal(joined: Result<Client, ConnectError>) -> (String, String) {
    match joined {
        Err(ConnectError::Aborted(aborted)) => {
            (aborted.reason.to_string(), aborted.message().unwrap_or_default().to_owned())
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// WAMP-CRA with this secret.
pub fn cra(secret: &str) -> Vec<Credential> {
    vec![Credential::Cra(secret.to_owned())]
}

/// This ticket.
pub fn ticket(ticket: &str) -> Vec<Credential> {
    vec![Credential::Ticket(ticket.to_owned())]
}

/// authid, role, method and provider in WELCOME.
pub fn who(client: &Client) -> (String, String, String, String) {
    let details = client.session().details.clone();
    let text = Option::unwrap_or_default;
    (text(details.authid), text(details.authrole), text(details.authmethod), text(details.authprovider))
}
