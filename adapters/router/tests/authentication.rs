//! Who may join a node: methods, and static and function authenticators.

mod support;

use serde_json::json;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use support::authenticator::Authenticator;
use support::websocket::WebSocket;
use support::{TestNode, cra, refusal, ticket, who};
use wampd::authn::function::{FunctionAuthenticator, Login, Reply};
use wampd::authn::grant::{FunctionError, FunctionGrant};
use wampd_core::auth::{CraSecret, TicketDigest};
use wampd_core::client::{ClientConfig, ClientEvent, Credential};
use wampd_core::message::{CallOptions, Payload, SubscribeOptions};
use wampd_core::uri::Uri;
use wampd_core::value::{Dict, Value};
use wampd_mio::client::{Client, Options};

const STATIC: &str = r#"{
    "anonymous": {"type": "static", "role": "guest"},
    "ticket": {"type": "static", "principals": {"tim": {"ticket": "ticket-of-tim", "role": "user"}}},
    "wampcra": {"type": "static", "users": {
        "joe": {"secret": "secret-of-joe", "role": "user"},
        "peter": {"secret": "prq7+YkJ1/KlW1X0YczMHw==", "role": "user", "salt": "salt123", "iterations": 100, "keylen": 16}
    }}
}"#;

fn external(method: &str) -> Credential {
    Credential::External { method: method.to_owned() }
}

fn identity(authid: &str, role: &str, method: &str, provider: &str) -> (String, String, String, String) {
    (authid.to_owned(), role.to_owned(), method.to_owned(), provider.to_owned())
}

fn anonymous() -> ClientConfig {
    ClientConfig::anonymous(Uri::from_static("realm1"))
}

fn failed(message: &str) -> (String, String) {
    ("wamp.error.authentication_failed".to_owned(), message.to_owned())
}

#[test]
fn users_of_the_configuration() {
    let node = TestNode::new(STATIC);
    for (authid, credentials, method) in [
        ("joe", cra("secret-of-joe"), "wampcra"),
        ("peter", cra("secret1"), "wampcra"),
        ("tim", ticket("ticket-of-tim"), "ticket"),
    ] {
        let client = node.join("realm1", Some(authid), credentials).expect("joins");
        assert_eq!(who(&client), identity(authid, "user", method, "static"));
    }
    let not_authorized = |text: &str| ("wamp.error.not_authorized".to_owned(), text.to_owned());
    for (authid, credentials, text) in [
        ("joe", cra("wrong"), "WAMP-CRA client signature is invalid"),
        ("peter", cra("prq7+YkJ1/KlW1X0YczMHw=="), "WAMP-CRA client signature is invalid"),
        ("tim", ticket("wrong"), "ticket in WAMP-Ticket authentication is invalid"),
    ] {
        assert_eq!(refusal(node.join("realm1", Some(authid), credentials)), not_authorized(text), "{authid}");
    }
    assert_eq!(refusal(node.join("realm1", None, cra("x"))).0, "wamp.error.no_such_principal");
    assert_eq!(refusal(node.join("realm3", Some("joe"), cra("secret-of-joe"))).0, "wamp.error.no_such_realm");
}

/// As with Crossbar.io: what a client says of itself is told in WELCOME, and to whoever asks for its session.
#[test]
fn what_a_client_says_of_itself_is_told() {
    let text = |text: &str| text.to_owned();
    let said = Dict::from([(text("app"), Value::from("labgrid")), (text("n"), Value::from(7))]);
    let node = TestNode::new(STATIC);
    for (authid, credentials) in
        [(None, vec![]), (Some("joe"), cra("secret-of-joe")), (Some("tim"), ticket("ticket-of-tim"))]
    {
        let authid = authid.map(str::to_owned);
        let config = ClientConfig { authid, credentials, authextra: Some(said.clone()), ..anonymous() };
        let client = node.connect(config).expect("joins");
        assert_eq!(client.session().details.authextra.as_ref(), Some(&said));
        let args = Payload::from_args([client.session().session.get().into()]);
        let told = node.service().call("wamp.session.get", CallOptions::default(), args).expect("allowed");
        let (args, _) = told.payload.values().expect("values");
        assert_eq!(args[0].as_dict().expect("details")["authextra"], Value::from(said.clone()));
    }
    // What the authenticator says counts more.
    let node = TestNode::with_function("ticket", |_: &Login| {
        let extra = Dict::from([("n".to_owned(), Value::from(8)), ("team".to_owned(), Value::from("a"))]);
        Ok(FunctionGrant { extra, ..FunctionGrant::default() })
    });
    let (authid, credentials) = (Some(text("tim")), ticket("any"));
    let config = ClientConfig { authid, credentials, authextra: Some(said), ..anonymous() };
    let merged = [("app", Value::from("labgrid")), ("n", Value::from(8)), ("team", Value::from("a"))];
    let merged: Dict = merged.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    assert_eq!(node.connect(config).expect("joins").session().details.authextra, Some(merged));
}

/// It is kept as long as the session.
#[test]
fn what_a_client_says_of_itself_is_limited() {
    let node = TestNode::with_limits(STATIC, r#"{"max_authextra_bytes": 200}"#);
    let config = |len: usize| ClientConfig {
        authextra: Some(Dict::from([("a".to_owned(), Value::from("x".repeat(len)))])),
        ..anonymous()
    };
    node.connect(config(10)).expect("joins");
    let (reason, message) = refusal(node.connect(config(200)));
    assert_eq!(reason, "wamp.error.invalid_argument");
    assert!(message.contains("max_authextra_bytes (200)"), "{message}");
    let counted =
        node.log().lines().any(|line| line.contains("max_authextra_bytes reached") && line.contains("times=1"));
    assert!(counted, "{}", node.log());
}

/// As with Crossbar.io: `wamp.session.on_join` tells others, with every provider.
#[test]
fn what_a_client_says_of_itself_is_told_to_those_who_hear_of_its_session() {
    let said = Dict::from([("app".to_owned(), Value::from("labgrid"))]);
    let node = TestNode::new(
        r#"{"anonymous": {"type": "static", "role": "guest"},
        "ticket": {"type": "static", "principals": {"tim": {"ticket": "ticket-of-tim", "role": "user"}}},
        "wampcra": {"type": "dynamic", "authenticator": "com.example.authenticate", "default-role": "user"}}"#,
    );
    let extra = Dict::from([("team".to_owned(), Value::from("a"))]);
    let grant = Dict::from([("secret".to_owned(), "secret-of-joe".into()), ("extra".to_owned(), extra.clone().into())]);
    let authenticator = Authenticator::new(node.service(), move |_, _| Some(Ok(grant.clone().into())));
    let mut service = node.service();
    service.subscribe("wamp.session.on_join", SubscribeOptions::default()).expect("allowed");
    let merged: Dict = said.clone().into_iter().chain(extra).collect();
    for (authid, credentials, expected) in [
        (None, vec![], &said),
        (Some("tim"), ticket("ticket-of-tim"), &said),
        (Some("joe"), cra("secret-of-joe"), &merged),
    ] {
        let authid = authid.map(str::to_owned);
        let client = node.connect(ClientConfig { authid, credentials, authextra: Some(said.clone()), ..anonymous() });
        let session = client.expect("joins").session().session;
        // The session that calls the authenticator is announced too.
        let joined = loop {
            let event = service.next_event(Some(Duration::from_secs(20))).expect("joined");
            let Some(ClientEvent::Event { payload, .. }) = event else { panic!("{event:?}") };
            let (args, _) = payload.values().expect("values");
            let details = args[0].as_dict().expect("details").clone();
            if details["session"] == Value::from(session.get()) {
                break details;
            }
        };
        assert_eq!(joined["authextra"], Value::from(expected.clone()), "{joined:?}");
    }
    authenticator.stop();
}

/// What becomes of a login tells nothing of who exists, before the proof.
#[test]
fn roles_are_looked_at_after_the_proof() {
    let node = TestNode::new(
        r#"{"wampcra": {"type": "static", "users": {
            "joe": {"secret": "secret-of-joe", "role": "user"}, "gone": {"secret": "secret", "role": "no such role"}}},
        "ticket": {"type": "static", "principals": {"gone": {"ticket": "ticket", "role": "no such role"}}},
        "anonymous": {"type": "static", "role": "guest"}}"#,
    );
    for authid in ["joe", "gone", "nobody", "nobody else", "somebody", "someone"] {
        let refused = refusal(node.join("realm1", Some(authid), cra("wrong")));
        let expected = ("wamp.error.not_authorized".to_owned(), "WAMP-CRA client signature is invalid".to_owned());
        assert_eq!(refused, expected, "{authid}");
        let refused = refusal(node.join("realm1", Some(authid), ticket("wrong"))).1;
        assert_eq!(refused, "ticket in WAMP-Ticket authentication is invalid", "{authid}");
    }
    assert_eq!(refusal(node.join("realm1", Some("gone"), cra("secret"))).0, "wamp.error.no_such_role");
    assert_eq!(refusal(node.join("realm1", Some("gone"), ticket("ticket"))).0, "wamp.error.no_such_role");
}

/// As with Crossbar.io, where proxies tell by headers who a user is: bytes that are not ASCII hide nothing.
#[test]
fn authenticators_are_told_all_headers() {
    let (sender, seen) = mpsc::channel();
    let node = TestNode::with_function("anonymous", move |login: &Login| {
        let transport = login.details["transport"].as_dict().expect("a dictionary");
        sender.send(transport["http_headers_received"].as_dict().expect("headers").clone()).expect("still waited for");
        Ok(FunctionGrant { role: Some("guest".to_owned()), ..FunctionGrant::default() })
    });
    let mut socket = WebSocket::open(node.port(0), "X-User: Zoë\r\nX-Via: a\r\nX-Via: b\r\n");
    socket.send(&json!([1, "realm1", {"roles": {"caller": {}}, "authmethods": ["anonymous"]}]));
    let headers = seen.recv_timeout(Duration::from_secs(20)).expect("asked");
    assert_eq!(headers["x-user"], Value::from("Zo\u{c3}\u{ab}"), "each byte is a character of ISO 8859-1");
    assert_eq!(headers["x-via"], Value::from("a, b"));
}

#[test]
fn the_clients_first_method_that_is_offered_decides() {
    let node = TestNode::new(STATIC);
    let unheard_of = || external("unheard-of");
    let joe = || Credential::Cra("secret-of-joe".to_owned());
    let client = node.join("realm1", Some("joe"), vec![unheard_of(), external("scram"), joe()]).expect("joins");
    assert_eq!(who(&client).2, "wampcra");
    let client = node.join("realm1", Some("joe"), vec![Credential::Anonymous, joe()]).expect("joins");
    assert_eq!(who(&client).2, "anonymous");
    // What fails is not made up for by what would have followed.
    let wrong = vec![Credential::Cra("wrong".to_owned()), Credential::Anonymous];
    assert_eq!(refusal(node.join("realm1", Some("joe"), wrong)).0, "wamp.error.not_authorized");
    let (reason, text) = refusal(node.join("realm1", Some("joe"), vec![unheard_of()]));
    assert_eq!(reason, "wamp.error.no_matching_auth_method");
    assert!(text.ends_with("offered: anonymous, ticket, wampcra"), "{text}");
}

#[test]
fn a_client_that_offers_nothing_where_nobody_is_anonymous_is_told_that_it_must() {
    let node =
        TestNode::new(r#"{"ticket": {"type": "static", "principals": {"joe": {"ticket": "t", "role": "guest"}}}}"#);
    for offered in [vec![], vec![Credential::Anonymous]] {
        let (reason, text) = refusal(node.join("realm1", Some("joe"), offered));
        assert_eq!(reason, "wamp.error.authentication_required");
        assert!(text.ends_with("offered: ticket"), "{text}");
    }
}

#[test]
fn anonymous_clients_do_not_choose_who_they_are() {
    let node = TestNode::new(STATIC);
    let name = || {
        let client = node.join("realm1", Some("joe"), vec![]).expect("joins");
        let (authid, role, method, provider) = who(&client);
        assert_eq!((role.as_str(), method.as_str(), provider.as_str()), ("guest", "anonymous", "static"));
        authid
    };
    let (one, other) = (name(), name());
    assert!(one != other && one.starts_with("anonymous-") && one.len() == 24, "{one} {other}");
    let named = TestNode::new(r#"{"anonymous": {"type": "static", "role": "guest", "authid": "visitor"}}"#);
    assert_eq!(who(&named.join("realm1", None, vec![]).expect("joins")).0, "visitor");
}

/// What a client sees of a challenge, and how its wrong answer is refused.
fn challenge(node: &TestNode, authid: &str, method: &str) -> (Dict, (String, String)) {
    let mut seen = None;
    let config = ClientConfig::with_credential(Uri::from("realm1"), authid, external(method));
    let joined = Client::connect_with(&node.url(), &Options::default(), config, |challenge| {
        seen = Some(challenge.extra.clone());
        Some(wampd_mio::client::Proof { signature: "d3Jvbmc=".to_owned(), extra: Dict::new() })
    });
    (seen.expect("challenged"), refusal(joined))
}

#[test]
fn whether_a_user_exists_is_told_to_nobody() {
    let node = TestNode::with_limits(STATIC, r#"{"max_failed_logins_per_address": 1000}"#);
    let shape = |authid: &str| {
        let (mut extra, refused) = challenge(&node, authid, "wampcra");
        let Some(Value::Text(text)) = extra.remove("challenge") else { panic!("{extra:?}") };
        let text: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(text["authid"], authid);
        let role = text["authrole"].as_str().expect("a role").to_owned();
        (extra, role, refused)
    };
    let salt = |extra: &Dict| extra.get("salt").and_then(Value::as_str).map(str::to_owned);
    let (_, _, refused) = shape("joe");
    let (peter, role, _) = shape("peter");
    // With enough names both kinds of users are imitated.
    let (mut plain, mut salted) = (0, std::collections::BTreeSet::new());
    for n in 0..32 {
        let name = format!("nobody{n}");
        let first = shape(&name);
        assert_eq!(first, shape(&name), "the same each time");
        assert_eq!((&first.1, &first.2), (&role, &refused));
        match salt(&first.0) {
            None => plain += 1,
            Some(salt) => {
                assert_eq!(first.0.keys().collect::<Vec<_>>(), peter.keys().collect::<Vec<_>>());
                assert_eq!((&first.0["iterations"], &first.0["keylen"]), (&peter["iterations"], &peter["keylen"]));
                let like = |salt: &str| salt.len() == 7 && salt[..4].chars().all(|c| c.is_ascii_lowercase());
                assert!(like(&salt) && salt[4..].parse::<u32>().is_ok(), "{salt}");
                salted.insert(salt);
            }
        }
    }
    assert!(plain > 0 && salted.len() > 1 && plain + salted.len() == 32, "{plain} {salted:?}");
    assert_eq!(challenge(&node, "nobody", "ticket"), challenge(&node, "tim", "ticket"));
}

#[test]
fn of_1000_wrong_secrets_from_one_address_few_are_tried() {
    let limits = r#"{"max_failed_logins_per_address": 5, "max_failed_logins_per_authid": 3, "login_backoff_ms": 3600000,
        "max_login_backoff_ms": 3600000}"#;
    let node = TestNode::with_limits(STATIC, limits);
    let throttled = failed("too many logins have failed: wait before the next");
    let tried = (0..1_000).filter(|n| {
        let authid = if n % 2 == 0 { "joe" } else { "nobody" };
        refusal(node.join("realm1", Some(authid), cra("wrong"))) != throttled
    });
    assert_eq!(tried.count(), 6);
    assert_eq!(refusal(node.join("realm1", Some("joe"), cra("secret-of-joe"))), throttled);
    assert_eq!(refusal(node.join("realm1", Some("peter"), cra("secret1"))), throttled);
    // Nothing is asked of those who join anonymously.
    assert_eq!(who(&node.join("realm1", None, vec![]).expect("joins")).2, "anonymous");
}

#[test]
fn a_function_decides_who_a_client_is() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let asked = seen.clone();
    let node = TestNode::with_function("wampcra", move |login: &Login| {
        asked.lock().expect("not poisoned").push(login.clone());
        let secret = |secret: &str| Some(CraSecret::Plain(secret.to_owned()));
        match login.authid.as_deref() {
            Some("joe") => Ok(FunctionGrant { cra: secret("secret-of-joe"), ..FunctionGrant::default() }),
            Some("ann") => Ok(FunctionGrant {
                role: Some("user".to_owned()),
                realm: Some(Uri::from("realm2")),
                authid: Some("ID1".to_owned()),
                extra: Dict::from([("x".to_owned(), Value::from(1))]),
                cra: Some(CraSecret::Password {
                    password: "secret-of-ann".to_owned(),
                    salt: "salt".to_owned(),
                    iterations: 10,
                    keylen: 32,
                }),
                ..FunctionGrant::default()
            }),
            Some("root") => {
                let role = Some("trusted".to_owned());
                Ok(FunctionGrant { role, cra: secret("x"), ..FunctionGrant::default() })
            }
            Some("none") => Ok(FunctionGrant::default()),
            Some("crash") => panic!("on purpose"),
            Some("broken") => {
                Err(FunctionError::Failed { message: "it is broken", detail: "for the operator".to_owned() })
            }
            _ => Err(FunctionError::Denied { uri: Uri::from("com.example.no"), message: "never heard of".to_owned() }),
        }
    });
    let client = node.join("realm1", Some("joe"), cra("secret-of-joe")).expect("joins");
    assert_eq!(who(&client), identity("joe", "guest", "wampcra", "function"));
    let client = node.join("realm1", Some("ann"), cra("secret-of-ann")).expect("joins");
    assert_eq!(who(&client), identity("ID1", "user", "wampcra", "function"));
    let details = &client.session().details;
    assert_eq!(details.realm.as_ref().map(Uri::as_str), Some("realm2"));
    assert_eq!(details.authextra, Some(Dict::from([("x".to_owned(), Value::from(1))])));

    let refused = |authid: &str| refusal(node.join("realm1", Some(authid), cra("x")));
    assert_eq!(refused("nobody"), ("com.example.no".to_owned(), "never heard of".to_owned()));
    assert_eq!(refused("root").0, "wamp.error.no_such_role", "nobody from outside is trusted");
    assert_eq!(refused("none"), failed("the authenticator gave no secret"));
    assert_eq!(refused("broken"), failed("it is broken"));
    assert_eq!(refused("crash"), failed("the authenticator failed"));
    assert_eq!(refusal(node.join("realm1", Some("joe"), cra("wrong"))).0, "wamp.error.not_authorized");
    assert!(node.log().contains(r#"why="for the operator""#), "{}", node.log());

    let seen = seen.lock().expect("not poisoned");
    let Login { realm, authid, details } = &seen[0];
    assert_eq!((realm.as_ref().map(Uri::as_str), authid.as_deref()), (Some("realm1"), Some("joe")));
    let keys: Vec<&str> = details.keys().map(String::as_str).collect();
    assert_eq!(keys, ["authextra", "authid", "authmethod", "authrole", "session", "transport"]);
    let transport = details["transport"].as_dict().expect("a dictionary");
    assert_eq!(transport["channel_framing"], Value::from("websocket"));
    assert!(transport["http_headers_received"].as_dict().is_some_and(|headers| headers.contains_key("host")));
}

#[test]
fn an_answer_may_come_later_from_anywhere() {
    struct Later(Mutex<mpsc::Sender<(Login, Reply)>>);
    impl FunctionAuthenticator for Later {
        fn authenticate(&self, login: Login, reply: Reply) {
            self.0.lock().expect("not poisoned").send((login, reply)).expect("received");
        }
    }
    let (sender, receiver) = mpsc::channel();
    let node = TestNode::with_function("anonymous", Later(Mutex::new(sender)));
    std::thread::scope(|scope| {
        let clients: Vec<_> = ["a", "b"].map(|name| scope.spawn(|| node.join("realm1", Some(name), vec![]))).into();
        let mut waiting: Vec<(Login, Reply)> = receiver.iter().take(2).collect();
        // The last one first.
        while let Some((login, reply)) = waiting.pop() {
            reply.send(Ok(FunctionGrant { authid: login.authid, ..FunctionGrant::default() }));
        }
        let mut names: Vec<String> =
            clients.into_iter().map(|client| who(&client.join().expect("no panic").expect("joins")).0).collect();
        names.sort();
        assert_eq!(names, ["a", "b"]);
    });
}

#[test]
fn a_function_sees_the_ticket() {
    let node = TestNode::with_function("ticket", |login: &Login| {
        let shown = login.details.get("ticket").and_then(Value::as_str);
        let extra = login.details["authextra"].as_dict().cloned().unwrap_or_default();
        let grant = FunctionGrant { role: Some("user".to_owned()), extra, ..FunctionGrant::default() };
        match (login.authid.as_deref(), shown) {
            // Checks it itself.
            (Some("tim"), Some("ticket-of-tim")) => Ok(grant),
            // Leaves it to the router.
            (Some("tom"), Some(_)) => Ok(FunctionGrant { ticket: Some(TicketDigest::of("ticket-of-tim")), ..grant }),
            _ => Err(FunctionError::Denied { uri: Uri::from("com.example.no"), message: String::new() }),
        }
    });
    for authid in ["tim", "tom"] {
        let extra = Dict::from([("a".to_owned(), Value::from("b"))]);
        let credential = Credential::Ticket("ticket-of-tim".to_owned());
        let config = ClientConfig::with_credential(Uri::from("realm1"), authid, credential);
        let client = node.connect(ClientConfig { authextra: Some(extra.clone()), ..config }).expect("joins");
        assert_eq!(who(&client), identity(authid, "user", "ticket", "function"));
        assert_eq!(client.session().details.authextra, Some(extra));
    }
    assert_eq!(refusal(node.join("realm1", Some("tim"), ticket("wrong"))).0, "com.example.no");
    assert_eq!(refusal(node.join("realm1", Some("tom"), ticket("wrong"))).0, "wamp.error.not_authorized");
}

/// Peers that ask and go away leave their questions behind, but not without a bound.
#[test]
fn too_many_logins_are_refused_at_once() {
    struct Busy(Mutex<mpsc::Receiver<()>>);
    impl FunctionAuthenticator for Busy {
        fn authenticate(&self, _: Login, reply: Reply) {
            let _ = self.0.lock().expect("not poisoned").recv();
            reply.send(Ok(FunctionGrant::default()));
        }
    }
    let (go_on, may_go_on) = mpsc::channel();
    let node = TestNode::with_function_and_limits(
        "anonymous",
        Busy(Mutex::new(may_go_on)),
        r#"{"max_waiting_decisions": 1, "function_threads": 1}"#,
    );
    std::thread::scope(|scope| {
        // One is asked about, one waits; a third is refused, whoever it is.
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(|| node.join("realm1", None, vec![]))).collect();
        while !node.log().contains("too many logins wait") {
            std::thread::yield_now();
        }
        drop(go_on);
        let joined = clients.into_iter().map(|client| client.join().expect("no panic"));
        let (joined, refused): (Vec<_>, Vec<_>) = joined.partition(Result::is_ok);
        // The first may have been taken so late that the second found no room either.
        assert!(!joined.is_empty() && !refused.is_empty());
        for refused in refused {
            assert_eq!(refusal(refused), failed("too many logins wait"));
        }
    });
}
