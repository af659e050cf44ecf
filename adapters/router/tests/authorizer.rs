//! Roles with an authorizer, served over real sockets: a script, a closure, a procedure.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use wampd::authz::function::Attempt;
use wampd::authz::permit::{AuthorizerFailed, Permit};
use wampd::config::{Authorizer, FunctionAuthz, Surroundings, Syntax, parse};
use wampd::log::{Level, Log, LogFormat};
use wampd::node::Node;
use wampd_core::client::{ClientConfig, ClientEvent, Credential};
use wampd_core::message::{CallOptions, Payload, PublishOptions, RegisterOptions, SubscribeOptions, YieldOptions};
use wampd_core::uri::{Uri, error};
use wampd_core::value::{Dict, Value};
use wampd_mio::client::{Client, Error, Options};
use wampd_mio::{Endpoint, ServerHandle};

const SCRIPT: &str = r#"
    fn create(config) {
        |details, uri, action, options| {
            if uri == "com.broken" { throw "secret123"; }
            let is_known = details.authextra.app == "labgrid";
            #{ allow: is_known && uri.starts_with(`${config.prefix}${details.authid}.`), disclose: true }
        }
    }
"#;

/// A realm with a role for everybody, each with an authorizer of another kind, and one for an administrator.
const CONFIG: &str = r#"{"version": 2, "wampd": {"limits": LIMITS}, "workers": [{"type": "router",
    "realms": [{"name": "realm1", "roles": [
        {"name": "scripted", "authorizer":
            {"type": "function", "script": "x.rhai", "create": "create", "config": {"prefix": "com.of."}}},
        {"name": "closed", "authorizer":
            {"type": "function", "script": "x.rhai", "create": "create", "config": {"prefix": "com.of."}}},
        {"name": "asked", "authorizer": "com.authorize"},
        {"name": "admin", "permissions": [
            {"uri": "*", "allow": {"call": true, "register": true, "publish": true, "subscribe": true}}]}
    ]}],
    "transports": [{"type": "rawsocket", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0}, "auth":
        {"ticket": {"type": "static", "principals": {
            "joe": {"ticket": "t", "role": "scripted"}, "ann": {"ticket": "t", "role": "closed"},
            "eve": {"ticket": "t", "role": "asked"}, "root": {"ticket": "t", "role": "admin"}}}}}]}]}"#;

/// What the node has logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Served {
    address: String,
    lines: Lines,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Serves the configuration; the role `closed` is decided on by `closure`.
    fn new(closure: impl Fn(&Attempt) -> Result<Permit, AuthorizerFailed> + Send + Sync + 'static) -> Self {
        Self::with_limits("{}", closure)
    }

    fn with_limits(
        limits: &str,
        closure: impl Fn(&Attempt) -> Result<Permit, AuthorizerFailed> + Send + Sync + 'static,
    ) -> Self {
        let text = CONFIG.replace("LIMITS", limits);
        let script = |_: &Path| Ok(SCRIPT.to_owned());
        let surroundings =
            Surroundings { folder: Path::new(""), variable: &|_| None, script: &script, tls: &|_| Ok(()) };
        let (mut config, _) = parse("node", &text, Syntax::Json, &surroundings).unwrap_or_else(|e| panic!("{e}"));
        let function = FunctionAuthz { name: "closure".to_owned(), authorizer: Arc::new(closure) };
        let roles = config.authorizers.get_mut(&Uri::from("realm1")).expect("the realm");
        roles.insert("closed".to_owned(), Authorizer::Function(function));
        let lines = Lines::default();
        let log = Arc::new(Log::new(Level::Info, LogFormat::Text, Box::new(lines.clone())));
        let node = Node::bind(config, log).expect("a free port");
        let [Endpoint::Tcp(address)] = node.endpoints() else { panic!("{:?}", node.endpoints()) };
        let (address, handle) = (format!("rs://{address}"), node.handle());
        let thread = Some(std::thread::spawn(|| node.run().expect("served")));
        Self { address, lines, handle, thread }
    }

    fn join(&self, authid: &str) -> Client {
        let credential = Credential::Ticket("t".to_owned());
        let config = ClientConfig::with_credential(Uri::from("realm1"), authid, credential);
        let authextra = Some(Dict::from([("app".to_owned(), "labgrid".into())]));
        let config = ClientConfig { authextra, ..config };
        let url = self.address.parse().expect("a URL");
        Client::connect(&url, &Options::default(), config).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Waits until this is in the log.
    fn logged(&self, part: &str) {
        while !self.log().contains(part) {
            std::thread::yield_now();
        }
    }

    fn log(&self) -> String {
        String::from_utf8(self.lines.0.lock().expect("no panic").clone()).expect("text")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.handle.shut_down();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a clean end");
        }
    }
}

fn failure<T: std::fmt::Debug>(result: Result<T, Error>) -> Uri {
    match result {
        Err(Error::Failed(failure)) => failure.error,
        other => panic!("{other:?}"),
    }
}

fn subscribe(client: &mut Client, topic: &'static str) -> Result<(), Error> {
    client.subscribe(topic, SubscribeOptions::default()).map(drop)
}

#[test]
fn a_script_decides() {
    let served = Served::new(|_| Ok(Permit::DENY));
    let (mut joe, mut root) = (served.join("joe"), served.join("root"));
    subscribe(&mut joe, "com.of.joe.x").expect("allowed");
    assert_eq!(failure(subscribe(&mut joe, "com.of.ann.x")), error::NOT_AUTHORIZED);
    assert_eq!(failure(joe.register("com.x", RegisterOptions::default())), error::NOT_AUTHORIZED);
    assert_eq!(failure(joe.call("com.x", CallOptions::default(), Payload::empty())), error::NOT_AUTHORIZED);
    // It discloses who publishes.
    subscribe(&mut root, "com.of.joe.y").expect("allowed");
    joe.publish("com.of.joe.y", PublishOptions { acknowledge: true, ..Default::default() }, Payload::empty())
        .expect("allowed");
    let event = root.next_event(Some(Duration::from_secs(20))).expect("joined");
    let Some(ClientEvent::Event { details, .. }) = event else { panic!("{event:?}") };
    assert_eq!(details.publisher.expect("disclosed").authid.as_deref(), Some("joe"));
}

#[test]
fn a_script_that_fails_denies_and_its_words_go_nowhere() {
    let served = Served::new(|_| Ok(Permit::DENY));
    let mut joe = served.join("joe");
    let failed = subscribe(&mut joe, "com.broken");
    let Err(Error::Failed(failure)) = failed else { panic!("{failed:?}") };
    assert_eq!(failure.error, error::AUTHORIZATION_FAILED);
    assert!(!failure.to_string().contains("secret123"), "{failure}");
    let log = served.log();
    assert!(log.contains("authorizer failed") && log.contains("com.broken") && !log.contains("secret123"), "{log}");
    subscribe(&mut joe, "com.of.joe.x").expect("it goes on");
}

#[test]
fn a_closure_decides() {
    let served = Served::new(|attempt| match attempt.uri.as_str() {
        "com.panic" => panic!("on purpose"),
        "com.fail" => Err(AuthorizerFailed::new("no database")),
        uri => {
            let identity = &attempt.identity;
            let is_ann = identity.authid == "ann" && identity.authextra.get("app") == Some(&"labgrid".into());
            Ok(Permit { allow: uri == "com.ok" && is_ann, ..Permit::DENY })
        }
    });
    let mut ann = served.join("ann");
    subscribe(&mut ann, "com.ok").expect("allowed");
    assert_eq!(failure(subscribe(&mut ann, "com.other")), error::NOT_AUTHORIZED);
    assert_eq!(failure(subscribe(&mut ann, "com.fail")), error::AUTHORIZATION_FAILED);
    assert_eq!(failure(subscribe(&mut ann, "com.panic")), error::AUTHORIZATION_FAILED);
    subscribe(&mut ann, "com.ok").expect("it goes on");
    assert!(served.log().contains("no database"), "{}", served.log());
}

#[test]
fn a_request_whose_authorizer_never_comes_fails_in_time() {
    let served = Served::with_limits(r#"{"authorize_timeout_ms": 100}"#, |_| Ok(Permit::DENY));
    let mut eve = served.join("eve");
    assert_eq!(failure(subscribe(&mut eve, "com.early")), error::AUTHORIZATION_FAILED);
    assert!(served.log().contains("procedure is not registered yet"), "{}", served.log());
}

#[test]
fn a_procedure_decides() {
    let served = Served::new(|_| Ok(Permit::DENY));
    let (mut eve, mut root) = (served.join("eve"), served.join("root"));
    let early = std::thread::spawn(move || {
        let denied = subscribe(&mut eve, "com.early");
        (eve, denied)
    });
    served.logged("procedure is not registered yet");
    root.register("com.authorize", RegisterOptions::default()).expect("allowed");
    let decider = std::thread::spawn(move || {
        let mut asked = Vec::new();
        while asked.last().is_none_or(|uri| uri != "com.end") {
            let event = root.next_event(Some(Duration::from_secs(20))).expect("joined");
            let Some(ClientEvent::Invocation { request, payload, .. }) = event else { panic!("{event:?}") };
            let (args, _) = payload.values().expect("values");
            let [details, uri, action, options] = &args[..] else { panic!("{args:?}") };
            let details = details.as_dict().expect("details");
            assert_eq!((details["authid"].as_str(), details["authrole"].as_str()), (Some("eve"), Some("asked")));
            assert_eq!(details["authextra"].as_dict().expect("what it has said")["app"], "labgrid".into());
            assert!(details["transport"].as_dict().expect("a transport").contains_key("channel_type"));
            assert_eq!((action.as_str(), options), (Some("subscribe"), &Value::from(Dict::new())));
            let uri = uri.as_str().expect("a URI").to_owned();
            let answer: Value = match uri.as_str() {
                "com.yes" => true.into(),
                "com.cached" => {
                    Dict::from([("allow".to_owned(), true.into()), ("cache".to_owned(), true.into())]).into()
                }
                "com.nonsense" => "yes".into(),
                _ => false.into(),
            };
            asked.push(uri);
            let payload = Payload::from_args([answer]);
            root.yield_result(request, YieldOptions::default(), payload).expect("open");
        }
        asked
    });
    let (mut eve, denied) = early.join().expect("no panic");
    assert_eq!(failure(denied), error::NOT_AUTHORIZED, "it has waited for who decides");
    subscribe(&mut eve, "com.yes").expect("allowed");
    assert_eq!(failure(subscribe(&mut eve, "com.no")), error::NOT_AUTHORIZED);
    assert_eq!(failure(subscribe(&mut eve, "com.nonsense")), error::AUTHORIZATION_FAILED);
    subscribe(&mut eve, "com.cached").expect("allowed");
    subscribe(&mut eve, "com.cached").expect("allowed");
    assert_eq!(failure(subscribe(&mut eve, "com.end")), error::NOT_AUTHORIZED);
    let asked = decider.join().expect("no panic");
    assert_eq!(asked, ["com.early", "com.yes", "com.no", "com.nonsense", "com.cached", "com.end"]);
}

/// Authorizers of Crossbar.io from before they were told options say in Python's words that they take three arguments.
#[test]
fn a_procedure_of_three_arguments_decides_without_options() {
    let served = Served::new(|_| Ok(Permit::DENY));
    let (mut eve, mut root) = (served.join("eve"), served.join("root"));
    root.register("com.authorize", RegisterOptions::default()).expect("allowed");
    let decider = std::thread::spawn(move || {
        let mut calls = Vec::new();
        while calls.len() < 5 {
            let event = root.next_event(Some(Duration::from_secs(20))).expect("joined");
            let Some(ClientEvent::Invocation { request, payload, .. }) = event else { panic!("{event:?}") };
            let (args, _) = payload.values().expect("values");
            let uri = args[1].as_str().expect("a URI").to_owned();
            let wanted = if uri == "com.new" { 4 } else { 3 };
            let text = match args.len() {
                given if given == wanted => None,
                4 => Some("Authorizer.authorize() takes 4 positional arguments but 5 were given"),
                _ => Some("Authorizer.authorize() missing 1 required positional argument: 'options'"),
            };
            calls.push((uri, args.len()));
            match text {
                None => root.yield_result(request, YieldOptions::default(), Payload::from_args([true.into()])),
                Some(text) => root.yield_error(request, error::RUNTIME_ERROR, Payload::from_args([text.into()])),
            }
            .expect("open");
        }
        calls
    });
    for topic in ["com.old", "com.older", "com.new"] {
        subscribe(&mut eve, topic).unwrap_or_else(|error| panic!("{topic}: {error}"));
    }
    let calls = decider.join().expect("no panic");
    let calls: Vec<_> = calls.iter().map(|(uri, count)| (uri.as_str(), *count)).collect();
    assert_eq!(calls, [("com.old", 4), ("com.old", 3), ("com.older", 3), ("com.new", 3), ("com.new", 4)]);
    assert!(served.log().contains("authorizer takes three arguments"), "{}", served.log());
}
