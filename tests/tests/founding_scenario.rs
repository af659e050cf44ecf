//! The founding scenario in memory: WAMP-CRA with a custom authenticator and roles with permissions, message for
//! message as a Crossbar.io node and Autobahn|Python exchanged them (`data/wampcra-function.jsonl`).

use core::time::Duration;
use wampd_core::auth::cra;
use wampd_core::client::{ClientConfig, ClientEvent, Credential, Side};
use wampd_core::codec::{DecodeLimits, Format, decode};
use wampd_core::id::{PublicationId, SessionId};
use wampd_core::message::{
    CallOptions, Message, Payload, PublishOptions, RegisterOptions, ResultDetails, SubscribeOptions, Welcome,
    YieldOptions,
};
use wampd_core::router::{CloseReason, LinkInfo};
use wampd_core::uri::{Uri, close, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::{REALM, at_once, founding};
use wampd_tests::config::founding_realm;
use wampd_tests::link::Wire;
use wampd_tests::sim::{EndId, Sim, Told, json};

const BOUND: usize = 10_000;

/// The world with its backend: it subscribes to three topics, is refused a fourth, and registers `add2`.
fn world(wire: Wire) -> (Sim, EndId) {
    let mut sim = Sim::new(1, founding_realm(), Duration::ZERO, at_once(founding));
    let identity = wampd_core::router::Identity {
        realm: REALM,
        authid: "backend".to_owned(),
        authrole: "backend".to_owned(),
        authmethod: "internal".to_owned(),
        authprovider: "internal".to_owned(),
        authextra: Dict::new(),
    };
    let info = LinkInfo { privileged: Some(identity), ..LinkInfo::default() };
    let backend = sim.client_on(ClientConfig::anonymous(REALM), wire, info);
    sim.events();
    for (topic, allowed) in [
        ("com.example.topic1", true),
        ("com.foobar.topic1", true),
        ("com.foobar.topic2", true),
        ("com.example.topic2", false),
    ] {
        sim.act(backend, |client, now| client.subscribe(now, Uri::from(topic), SubscribeOptions::default()))
            .expect("joined");
        let events = sim.events();
        match &events[..] {
            [(_, ClientEvent::Subscribed { .. })] if allowed => {}
            [(_, ClientEvent::Failed { error, .. })] if !allowed => assert_eq!(*error, error::NOT_AUTHORIZED),
            other => panic!("{topic}: {other:?}"),
        }
    }
    let add2 = Uri::from("com.example.add2");
    sim.act(backend, |client, now| client.register(now, add2, RegisterOptions::default())).expect("joined");
    assert!(matches!(&sim.events()[..], [(_, ClientEvent::Registered { .. })]));
    (sim, backend)
}

/// Lets the backend do its work; returns the topics' events that it heard.
fn serve(sim: &mut Sim, backend: EndId, mut others: impl FnMut(EndId, Told)) -> Vec<Vec<Value>> {
    let mut heard = Vec::new();
    sim.settle(BOUND, |sim, id, told| match told {
        Told::Event(ClientEvent::Invocation { request, payload, .. }) if id == backend => {
            let (args, _) = payload.values().expect("values");
            let sum = args.iter().map(|n| n.as_i64().expect("an integer")).sum::<i64>();
            let payload = Payload::from_args([Value::from(sum)]);
            sim.act(id, |client, _| client.yield_result(request, YieldOptions::default(), payload)).expect("open");
        }
        Told::Event(ClientEvent::Event { payload, .. }) if id == backend => {
            heard.push(payload.values().expect("values").0);
        }
        told => others(id, told),
    });
    heard
}

/// Client to router or back, and the message as it was recorded.
fn recorded(connection: u32) -> Vec<(bool, Message)> {
    let prefix = |arrow| format!("{{\"conn\": {connection}, \"dir\": \"{arrow}\", \"wamp\": ");
    let (up, down) = (prefix("C->R"), prefix("R->C"));
    include_str!("../data/wampcra-function.jsonl")
        .lines()
        .filter_map(|line| {
            let up = line.strip_prefix(&up).map(|rest| (true, rest));
            let (is_up, rest) = up.or_else(|| line.strip_prefix(&down).map(|rest| (false, rest)))?;
            let text = rest.strip_suffix('}').expect("an object");
            let frame = text.as_bytes().to_vec().into();
            Some((is_up, decode(Format::Json, frame, &DecodeLimits::default()).expect("a message")))
        })
        .collect()
}

/// A challenge text without what differs each time: the order of its members and its punctuation stay.
fn blank_challenge(text: &str) -> String {
    let mut parts = Vec::new();
    for part in text.split(", ") {
        let (name, value) = part.split_once(": ").expect("a member");
        let varies = ["\"session\"", "\"nonce\"", "\"timestamp\""].contains(&name);
        let kind = if value.starts_with('"') { "\"...\"" } else { "..." };
        let end = if value.ends_with('}') { "}" } else { "" };
        parts.push(if varies { format!("{name}: {kind}{end}") } else { part.to_owned() });
    }
    parts.join(", ")
}

/// The message as text, without what differs from run to run or from router to router.
fn blank(message: &Message, session: SessionId) -> String {
    let one = SessionId::new(1).expect("in range");
    let message = match message.clone() {
        Message::Challenge(mut challenge) => {
            let text = challenge.extra["challenge"].as_str().expect("text");
            let text = blank_challenge(text);
            challenge.extra.insert("challenge".to_owned(), Value::from(text));
            challenge.into()
        }
        // Features differ, and so does what Crossbar.io adds about itself.
        Message::Welcome(Welcome { mut details, .. }) => {
            assert!(details.roles.broker.is_some() && details.roles.dealer.is_some());
            (details.roles, details.authextra) = Default::default();
            Welcome { session: one, details }.into()
        }
        // Crossbar.io discloses the callee.
        Message::Result(mut result) => {
            result.details = ResultDetails::default();
            result.into()
        }
        Message::Published(mut published) => {
            published.publication = PublicationId::new(1).expect("in range");
            published.into()
        }
        // Details are written as they were read, with the recorded spaces.
        Message::Abort(mut abort) => {
            abort.details = abort.details.to_dict().into();
            abort.into()
        }
        other => other,
    };
    json(&message).replace(&session.to_string(), "SESSION")
}

/// Plays the client's part of a recorded connection, and compares the router's part.
fn replay(connection: u32, secret: &str, wire: Wire) -> (Sim, EndId, Vec<Vec<Value>>) {
    let (mut sim, backend) = world(wire);
    let id = sim.bare(wire);
    let [mut challenge, mut heard] = [None, None].map(|_: Option<()>| Vec::<Message>::new());
    let mut events = Vec::new();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (is_up, message) in recorded(connection) {
        if !is_up {
            theirs.push(message);
            continue;
        }
        match message {
            Message::Authenticate(mut answer) => {
                let Some(Message::Challenge(asked)) = challenge.pop() else { panic!("not challenged") };
                let text = asked.extra["challenge"].as_str().expect("text");
                answer.signature = cra::sign(secret.as_bytes(), text);
                sim.send(id, answer);
            }
            other => sim.send(id, other),
        }
        events.extend(serve(&mut sim, backend, |whom, told| match told {
            Told::Message(message) => {
                assert_eq!(whom, id);
                heard.push(message);
            }
            Told::End => assert_eq!(whom, id),
            Told::Event(event) => panic!("{event:?}"),
        }));
        challenge.extend(heard.iter().filter(|message| matches!(message, Message::Challenge(_))).cloned());
        ours.append(&mut heard);
    }
    let session = |messages: &[Message]| {
        let welcomed = messages.iter().find_map(|message| match message {
            Message::Welcome(welcome) => Some(welcome.session),
            _ => None,
        });
        welcomed.unwrap_or(SessionId::new(1 << 53).expect("in range"))
    };
    let texts = |messages: &[Message]| messages.iter().map(|m| blank(m, session(messages))).collect::<Vec<_>>();
    assert_eq!(texts(&ours), texts(&theirs), "{wire:?}");
    assert!(!ours.is_empty());
    (sim, id, events)
}

#[test]
fn the_right_secret_gets_what_was_recorded() {
    for wire in Wire::ALL {
        let (sim, _, events) = replay(1, "secret123", wire);
        let hello = || vec![Value::from("hello")];
        assert_eq!(events, [hello(), hello()], "on com.example.topic1 and com.foobar.topic1");
        assert_eq!(sim.router.stats().denied, 4, "the backend's topic, mul2 and two topics");
    }
}

#[test]
fn the_wrong_secret_gets_what_was_recorded() {
    for wire in Wire::ALL {
        let (sim, id, events) = replay(2, "wrongpassword", wire);
        assert_eq!(events, [] as [Vec<Value>; 0]);
        assert_eq!(sim.closed, [(id, CloseReason::Refused(error::NOT_AUTHORIZED))]);
        assert!(!sim.is_connected(id));
    }
}

/// How a user fares who comes with a secret: the identity it gets, or reason and message of the refusal.
fn join(user: &str, secret: &str, wire: Wire) -> Result<(String, String), (Uri, String)> {
    let (mut sim, backend) = world(wire);
    let credential = Credential::Cra(secret.to_owned());
    let id = sim.client(ClientConfig::with_credential(REALM, user, credential), wire);
    let mut outcome = None;
    serve(&mut sim, backend, |whom, told| {
        assert_eq!(whom, id);
        let Told::Event(event) = told else { panic!("{told:?}") };
        let this = match event {
            ClientEvent::Joined(welcome) => {
                let details = welcome.details;
                assert_eq!(details.realm, Some(REALM));
                assert_eq!(details.authmethod.as_deref(), Some("wampcra"));
                assert_eq!(details.authprovider.as_deref(), Some("function"));
                Ok((details.authid.expect("authid"), details.authrole.expect("authrole")))
            }
            ClientEvent::Aborted { by: Side::Router, reason, details } => {
                Err((reason, details["message"].as_str().expect("a message").to_owned()))
            }
            other => panic!("{other:?}"),
        };
        assert!(outcome.replace(this).is_none(), "one outcome");
    });
    if sim.get(id).is_joined() {
        sim.act(id, |client, now| client.leave(now, close::NORMAL));
        let mut left = Vec::new();
        serve(&mut sim, backend, |_, told| left.push(told));
        assert_eq!(left, [Told::Event(ClientEvent::Left { reason: close::NORMAL })]);
    }
    outcome.expect("an outcome")
}

#[test]
fn every_user_fares_as_the_authenticator_says() {
    let invalid = || Err((error::NOT_AUTHORIZED, "WAMP-CRA client signature is invalid".to_owned()));
    let frontend = |authid: &str| Ok((authid.to_owned(), "frontend".to_owned()));
    for wire in Wire::ALL {
        for (user, secret, expected) in [
            ("client1", "secret123", frontend("client1")),
            ("joe", "secret2", frontend("joe")),
            ("hans", "123456", frontend("ID09125")),
            ("peter", "secret1", frontend("peter")),
            ("client1", "wrongpassword", invalid()),
            ("joe", "secret123", invalid()),
            ("peter", "prq7+YkJ1/KlW1X0YczMHw==", invalid()),
            ("hans", "", invalid()),
        ] {
            assert_eq!(join(user, secret, wire), expected, "{user} with {secret:?} over {wire:?}");
        }
        let (reason, message) = join("mallory", "secret123", wire).expect_err("unknown");
        assert_eq!(reason, Uri::from("com.example.no_such_user"));
        assert_eq!(message, "could not authenticate session - no such user mallory");
    }
}

#[test]
fn the_client_plays_the_recorded_part() {
    for wire in Wire::ALL {
        let (mut sim, backend) = world(wire);
        let credential = Credential::Cra("secret123".to_owned());
        let id = sim.client(ClientConfig::with_credential(REALM, "client1", credential), wire);
        serve(&mut sim, backend, |_, _| ());
        let args = Payload::from_args([Value::from(2), Value::from(3)]);
        sim.act(id, |client, now| {
            client.call(now, Uri::from("com.example.add2"), CallOptions::default(), args).expect("joined");
            client.register(now, Uri::from("com.example.mul2"), RegisterOptions::default()).expect("joined");
            for topic in ["com.example.topic1", "com.foobar.topic1", "com.example.topic2", "com.foobar.topic2"] {
                let options = PublishOptions { acknowledge: true, ..PublishOptions::default() };
                let hello = Payload::from_args([Value::from("hello")]);
                client.publish(now, Uri::from(topic), options, hello).expect("joined");
            }
        });
        let mut answers = std::collections::BTreeMap::new();
        let heard = serve(&mut sim, backend, |_, told| {
            let Told::Event(event) = told else { panic!("{told:?}") };
            let request = event.answers().expect("an answer").get();
            let answer = match event {
                ClientEvent::Result { payload, .. } => format!("{:?}", payload.values().expect("values").0),
                ClientEvent::Published { .. } => "published".to_owned(),
                ClientEvent::Failed { error, .. } => error.to_string(),
                other => panic!("{other:?}"),
            };
            assert_eq!(answers.insert(request, answer), None);
        });
        assert_eq!(heard.len(), 2);
        let denied = "wamp.error.not_authorized";
        let expected = ["[Int(5)]", denied, "published", "published", denied, denied];
        assert!(answers.values().map(String::as_str).eq(expected), "{answers:?}");
    }
}
