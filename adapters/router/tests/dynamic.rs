//! Dynamic authenticators: procedures that decide who may join.

mod support;

use std::sync::mpsc;
use support::authenticator::{Answer, Authenticator};
use support::{TestNode, cra, refusal, ticket, who};
use wampd_core::client::ClientEvent;
use wampd_core::message::{Payload, RegisterOptions, YieldOptions};
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::{Dict, Value};

const AUTH: &str = r#"{
    "wampcra": {"type": "dynamic", "authenticator": "com.example.authenticate", "authenticator-realm": "realm1"},
    "ticket": {"type": "dynamic", "authenticator": "com.example.authenticate", "default-role": "user"},
    "anonymous": {"type": "dynamic", "authenticator": "com.example.authenticate", "default-role": "guest",
        "authenticator-realm": "realm1", "authenticator-role": "service"}
}"#;

fn dict<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::from(Dict::from(entries.map(|(key, value)| (key.to_owned(), value))))
}

fn decide(authid: &str, details: &Dict) -> Option<Answer> {
    let error = |uri, text: &str| Err((Uri::from_static(uri), Payload::from_args([text.into()])));
    Some(match authid {
        "joe" => {
            Ok(dict([
                ("role", "user".into()),
                ("secret", "secret-of-joe".into()),
                ("extra", dict([("a", 1.into())])),
                // What authenticators of Crossbar.io's examples answer too.
                ("cache", true.into()),
                ("salt", Value::Null),
            ]))
        }
        "ann" => Ok(dict([
            ("role", "user".into()),
            ("realm", "realm2".into()),
            ("authid", "ID1".into()),
            ("password", "secret-of-ann".into()),
            ("salt", "salt".into()),
            ("iterations", 10.into()),
            ("keylen", 32.into()),
        ])),
        "tim" if details.get("ticket").and_then(Value::as_str) == Some("ticket-of-tim") => Ok(dict([])),
        "visitor" => Ok("user".into()),
        "text" => Ok("user".into()),
        "number" => Ok(7.into()),
        "broken" => error("wamp.error.runtime_error", "Traceback: secret-of-joe"),
        "silent" => return None,
        _ => error("com.example.no_such_user", "no such user"),
    })
}

fn failed(message: &str) -> (String, String) {
    ("wamp.error.authentication_failed".to_owned(), message.to_owned())
}

#[test]
fn a_procedure_decides_who_a_client_is() {
    let node = TestNode::new(AUTH);
    let authenticator = Authenticator::new(node.service(), decide);
    let client = node.join("realm1", Some("joe"), cra("secret-of-joe")).expect("joins");
    let text = |text: &str| text.to_owned();
    assert_eq!(who(&client), (text("joe"), text("user"), text("wampcra"), text("dynamic")));
    assert_eq!(client.session().details.authextra, Some(Dict::from([(text("a"), Value::from(1))])));
    // Asks for another realm than the one it is called in, and gets one.
    let client = node.join("anywhere", Some("ann"), cra("secret-of-ann")).expect("joins");
    assert_eq!(client.session().details.realm.as_ref().map(Uri::as_str), Some("realm2"));
    assert_eq!(who(&client).0, "ID1");
    let client = node.join("realm1", Some("tim"), ticket("ticket-of-tim")).expect("joins");
    assert_eq!(who(&client), (text("tim"), text("user"), text("ticket"), text("dynamic")));

    let refused = |authid: &str| refusal(node.join("realm1", Some(authid), cra("wrong")));
    assert_eq!(refused("joe"), (text("wamp.error.not_authorized"), text("WAMP-CRA client signature is invalid")));
    assert_eq!(refused("nobody"), (text("com.example.no_such_user"), text("no such user")));
    assert_eq!(refused("text"), failed("the authenticator gave no secret"));
    assert_eq!(refused("number"), failed("got invalid return type"));
    assert_eq!(refused("broken"), failed("the dynamic authenticator failed"));
    assert_eq!(refusal(node.join("realm1", Some("tim"), ticket("wrong"))).0, "com.example.no_such_user");
    // Where the authenticator is to be called in the realm that the client asks for.
    assert_eq!(refusal(node.join("realm3", Some("tim"), ticket("x"))).0, "wamp.error.no_such_realm");

    let asked = authenticator.stop();
    let [realm, authid, details] = asked[0].as_slice() else { panic!("{asked:?}") };
    assert_eq!((realm.as_str(), authid.as_str()), (Some("realm1"), Some("joe")));
    let keys: Vec<&String> = details.as_dict().expect("details").keys().collect();
    assert_eq!(keys, ["authextra", "authid", "authmethod", "authrole", "session", "transport"]);
}

/// Anonymous clients are let in, or not, by a procedure that an ordinary role calls.
#[test]
fn an_authenticator_is_called_with_its_role() {
    let node = TestNode::new(AUTH);
    let authenticator = Authenticator::new(node.service(), decide);
    let client = node.join("realm1", Some("visitor"), vec![]).expect("joins");
    let (authid, role, method, provider) = who(&client);
    assert_eq!((role.as_str(), method.as_str(), provider.as_str()), ("user", "anonymous", "dynamic"));
    assert!(authid.starts_with("anonymous-"), "{authid}");
    assert_eq!(refusal(node.join("realm1", None, vec![])).0, "com.example.no_such_user");
    assert_eq!(authenticator.stop().len(), 2);
    assert!(node.log().contains("authid=wampd authrole=service"), "{}", node.log());
}

/// Joins as joe when a procedure is there that decides, which it is not yet; `then` has it come.
fn join_early<T>(node: &TestNode, times: usize, then: impl FnOnce() -> T) -> T {
    std::thread::scope(|scope| {
        let joe = scope.spawn(|| node.join("realm1", Some("joe"), cra("secret-of-joe")).expect("joins"));
        node.logged("procedure is not registered yet", times);
        let came = then();
        joe.join().expect("no panic");
        came
    })
}

#[test]
fn a_login_waits_for_its_authenticator_to_be_registered() {
    let node = TestNode::new(AUTH);
    let authenticator = join_early(&node, 1, || Authenticator::new(node.service(), decide));
    authenticator.stop();
    join_early(&node, 2, || Authenticator::new(node.service(), decide)).stop();
    // A pattern will do.
    let service = join_early(&node, 3, || {
        let mut service = node.service();
        let options = RegisterOptions { matching: MatchPolicy::Prefix, ..RegisterOptions::default() };
        service.register("com.example.", options).expect("registered");
        let event = service.next_event(None).expect("an event");
        let Some(ClientEvent::Invocation { request, .. }) = event else { panic!("{event:?}") };
        let secret = Payload::from_args([decide("joe", &Dict::new()).expect("answers").expect("a secret")]);
        service.yield_result(request, YieldOptions::default(), secret).expect("answered");
        service
    });
    drop(service);
}

#[test]
fn a_login_whose_authenticator_goes_away_waits_for_the_next() {
    let node = TestNode::new(AUTH);
    let (asked, is_asked) = mpsc::channel();
    let silent = Authenticator::new(node.service(), move |_, _| {
        asked.send(()).expect("received");
        None
    });
    std::thread::scope(|scope| {
        let joe = scope.spawn(|| node.join("realm1", Some("joe"), cra("secret-of-joe")).expect("joins"));
        is_asked.recv().expect("asked");
        silent.stop();
        node.logged("procedure is not registered yet", 1);
        let authenticator = Authenticator::new(node.service(), decide);
        joe.join().expect("no panic");
        assert_eq!(authenticator.stop().len(), 1);
    });
}

#[test]
fn a_login_that_ends_its_authenticators_is_not_asked_about_for_ever() {
    let node = TestNode::new(AUTH);
    std::thread::scope(|scope| {
        let joe = scope.spawn(|| refusal(node.join("realm1", Some("joe"), cra("secret-of-joe"))));
        for _ in 0..3 {
            let (asked, is_asked) = mpsc::channel();
            let dying = Authenticator::new(node.service(), move |_, _| {
                asked.send(()).expect("received");
                None
            });
            is_asked.recv().expect("asked");
            dying.stop();
        }
        assert_eq!(joe.join().expect("no panic"), failed("the dynamic authenticator failed"));
    });
    assert!(node.log().contains("wamp.error.canceled"), "{}", node.log());
}

#[test]
fn a_login_whose_authenticator_never_comes_is_refused_for_now() {
    let node = TestNode::with_limits(AUTH, r#"{"auth_timeout_ms": 100}"#);
    let refused = refusal(node.join("realm2", Some("tim"), ticket("x")));
    assert_eq!(refused, failed("the authenticator did not answer in time"));
    assert!(node.log().contains("realm=realm2 procedure=com.example.authenticate"), "{}", node.log());
}

#[test]
fn logins_that_wait_for_an_authenticator_are_limited() {
    let node = TestNode::with_limits(AUTH, r#"{"max_held_decisions": 1}"#);
    join_early(&node, 1, || {
        let refused = refusal(node.join("realm1", Some("joe"), cra("x")));
        assert_eq!(refused, failed("the dynamic authenticator failed"));
        node.logged("refused: limit max_held_decisions reached times=1", 1);
        Authenticator::new(node.service(), decide)
    });
}

#[test]
fn an_authenticator_that_never_answers() {
    let node = TestNode::with_limits(AUTH, r#"{"auth_timeout_ms": 300}"#);
    let authenticator = Authenticator::new(node.service(), decide);
    let (reason, _) = refusal(node.join("realm1", Some("silent"), cra("x")));
    assert_eq!(reason, "wamp.error.authentication_failed");
    authenticator.stop();
}

#[test]
fn too_many_logins_are_refused_at_once() {
    let node = TestNode::with_limits(AUTH, r#"{"max_waiting_decisions": 1}"#);
    let (asked, is_asked) = mpsc::channel();
    let authenticator = Authenticator::new(node.service(), move |_, _| {
        asked.send(()).expect("received");
        None
    });
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| refusal(node.join("realm1", Some("one"), cra("x"))));
        is_asked.recv().expect("asked");
        assert_eq!(refusal(node.join("realm1", Some("two"), cra("x"))), failed("the dynamic authenticator failed"));
        assert!(node.log().contains("too many calls wait for an answer"), "{}", node.log());
        assert_eq!(authenticator.stop().len(), 1);
        // Its callee is gone.
        Authenticator::new(node.service(), decide);
        assert_eq!(waiting.join().expect("no panic").0, "com.example.no_such_user");
    });
}
