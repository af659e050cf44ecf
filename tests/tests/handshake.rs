//! Joining and leaving: for every behaviour of clients and authenticators, on links that are cut anywhere, both ends
//! agree in the end on who has joined, nothing is left behind, and nothing panics. [`Sim`] checks on the way that
//! nothing follows a Close.

use core::time::Duration;
use proptest::prelude::*;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::codec::{DecodeError, Format};
use wampd_core::message::{Authenticate, Goodbye, Message, Payload, PublishOptions, SubscribeOptions};
use wampd_core::router::{CloseReason, Farewell, Limits, LinkInfo, Output, Router, RouterConfig};
use wampd_core::time::Instant;
use wampd_core::uri::{Uri, close, error};
use wampd_core::value::Value;
use wampd_tests::answerer::{REALM, Ruling, Timing, everybody, scripted};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::handshake::{
    Act, Agreement, BOUND, Confusion, Fate, Proof, REALMS, View, assert_nothing_left, hello, nonsense,
};
use wampd_tests::link::Wire;
use wampd_tests::meta::message;
use wampd_tests::rng::Pcg;
use wampd_tests::sim::{BEGINNING, EndId, Sim, Told};

fn any_ruling() -> impl Strategy<Value = (Ruling, Timing)> {
    let timing = prop_oneof![
        4 => Just(Timing::Now),
        2 => (0..20_000_u64).prop_map(Timing::Late),
        2 => (0..20_000_u64).prop_map(Timing::Twice),
        1 => Just(Timing::Never),
    ];
    (prop::sample::select(Ruling::ALL.to_vec()), timing)
}

fn any_wire() -> impl Strategy<Value = Wire> {
    prop::sample::select(Wire::ALL.to_vec())
}

fn any_fate() -> impl Strategy<Value = (u64, usize, Fate)> {
    (prop_oneof![3 => 0..8_u64, 1 => 0..20_000_u64], 0..3_usize, prop::sample::select(Fate::ALL.to_vec()))
}

fn any_act() -> impl Strategy<Value = Act> {
    let realm = prop::sample::select(REALMS.to_vec());
    prop_oneof![
        5 => (realm, prop::bool::weighted(0.9)).prop_map(|(realm, roles)| Act::Hello { realm, roles }),
        4 => any::<bool>().prop_map(|rightly| Act::Authenticate { rightly }),
        5 => prop::sample::select(nonsense()).prop_map(Act::Say),
        1 => Just(Act::Garbage),
        6 => prop_oneof![0..20_u64, 0..20_000_u64].prop_map(Act::Wait),
        1 => Just(Act::Cut),
        1 => Just(Act::HangUp),
    ]
}

proptest! {
    #[test]
    fn both_ends_agree_on_who_has_joined(
        seed: u64,
        wire in any_wire(),
        proofs in prop::collection::vec(prop::sample::select(Proof::ALL.to_vec()), 1..4),
        rulings in prop::collection::vec(any_ruling(), 1..4),
        fates in prop::collection::vec(any_fate(), 0..6),
    ) {
        Agreement { seed, wire, proofs, rulings, fates }.check();
    }

    #[test]
    fn nobody_can_confuse_the_router(
        seed: u64,
        wire in any_wire(),
        rulings in prop::collection::vec(any_ruling(), 1..4),
        acts in prop::collection::vec(any_act(), 0..20),
    ) {
        Confusion { seed, wire, rulings, acts }.check();
    }
}

fn end_of(sim: &mut Sim, id: EndId) -> Vec<Message> {
    let mut messages = Vec::new();
    sim.run(BOUND, |_, whom, told| {
        if let Told::Message(message) = told {
            assert_eq!(whom, id);
            messages.push(message);
        }
    });
    messages
}

fn assert_aborted(messages: &[Message], reason: &Uri) {
    let Some(Message::Abort(abort)) = messages.last() else { panic!("not aborted: {messages:?}") };
    assert_eq!(abort.reason, *reason);
}

#[test]
fn a_peer_that_never_says_hello_is_sent_away() {
    let limits = Limits { handshake_timeout: Duration::from_secs(3), ..Limits::default() };
    let config = RouterConfig { limits, ..open_realm() };
    let mut sim = Sim::new(1, config, Duration::ZERO, everybody(ANYTHING));
    let id = sim.bare(Wire::Messages);
    assert_eq!(sim.router.next_deadline(), Some(Instant::ZERO.after(Duration::from_secs(3))));
    let messages = end_of(&mut sim, id);
    assert!(matches!(messages.as_slice(), [Message::Abort(_)]), "{messages:?}");
    assert_eq!(sim.closed, [(id, CloseReason::Timeout)]);
    assert_nothing_left(&sim);
}

#[test]
fn a_challenge_that_is_not_answered_ends_the_handshake() {
    let rulings = vec![(Ruling::Ticket, Timing::Now)];
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, scripted(rulings, ANYTHING));
    let id = sim.bare(Wire::Messages);
    sim.send(id, hello(Some("realm1"), true));
    let messages = end_of(&mut sim, id);
    assert!(matches!(messages.as_slice(), [Message::Challenge(_), Message::Abort(_)]), "{messages:?}");
    assert_eq!(sim.closed, [(id, CloseReason::Timeout)]);
    assert_eq!(sim.now, Instant::ZERO.after(Limits::default().handshake_timeout));
}

#[test]
fn silence_of_the_authenticator_is_a_denial() {
    let rulings = vec![(Ruling::Welcome, Timing::Never)];
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, scripted(rulings, ANYTHING));
    let id = sim.bare(Wire::Messages);
    sim.send(id, hello(Some("realm1"), true));
    assert_aborted(&end_of(&mut sim, id), &error::AUTHENTICATION_FAILED);
    assert_eq!(sim.closed, [(id, CloseReason::Refused(error::AUTHENTICATION_FAILED))]);
    assert_eq!(sim.now, Instant::ZERO.after(Limits::default().auth_timeout));
}

#[test]
fn a_late_verdict_has_no_effect() {
    let rulings = vec![(Ruling::Welcome, Timing::Late(16_000))];
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, scripted(rulings, ANYTHING));
    let id = sim.bare(Wire::Messages);
    sim.send(id, hello(Some("realm1"), true));
    assert_aborted(&end_of(&mut sim, id), &error::AUTHENTICATION_FAILED);
    assert_eq!(sim.router.stats().stale_decisions, 1);
    assert_eq!(sim.router.stats().joined, 0);
}

#[test]
fn a_question_whose_peer_has_left_or_waited_too_long_is_withdrawn_once() {
    for leaves in [true, false] {
        let rulings = vec![(Ruling::Welcome, Timing::Never)];
        let mut sim = Sim::new(1, open_realm(), Duration::ZERO, scripted(rulings, ANYTHING));
        let id = sim.bare(Wire::Messages);
        sim.send(id, hello(Some("realm1"), true));
        sim.settle(BOUND, |_, _, _| ());
        let peer = sim.peer(id).expect("attached");
        assert_eq!((sim.router.stats().undecided, sim.router.stats().withdrawn_decisions), (1, 0));
        let outputs = sim.with_router(|router, now| {
            if leaves {
                router.connection_lost(now, peer);
            } else {
                router.handle_timeout(now.after(Limits::default().auth_timeout));
            }
            core::iter::from_fn(|| router.poll_output()).collect::<Vec<_>>()
        });
        let withdrawn = outputs.iter().filter(|output| matches!(output, Output::Withdrawn(_))).count();
        assert_eq!((withdrawn, sim.router.stats().withdrawn_decisions), (1, 1), "{outputs:?}");
    }
}

#[test]
fn a_hello_that_names_too_much_is_refused_before_anybody_is_asked() {
    let limits = Limits { max_authid_length: 16, max_authmethods: 2, ..Limits::default() };
    let (fits, long) = ("a".repeat(16), "a".repeat(17));
    let details =
        |member: &str, value: &str| format!(r#"[1,"realm1",{{"roles":{{"caller":{{}}}},"{member}":{value}}}]"#);
    let text = |text: &str| format!("\"{text}\"");
    for (hello, wrong) in [
        (details("authid", &text(&fits)), None),
        (details("authid", &text(&long)), Some("authid of HELLO has 17 bytes: limit max_authid_length (16) exceeded")),
        (details("authrole", &text(&long)), Some("authrole of HELLO")),
        (details("authmethods", &format!("[\"a\",\"{fits}\"]")), None),
        (details("authmethods", &format!("[\"a\",\"{long}\"]")), Some("an authentication method of HELLO")),
        (details("authmethods", r#"["a","b","c"]"#), Some("limit max_authmethods (2)")),
        (details("x", "1").replace("realm1", &long), Some("realm of HELLO")),
    ] {
        let config = RouterConfig { limits, ..open_realm() };
        let mut router = Router::new(config, Instant::ZERO, BEGINNING, Box::new(Pcg::new(1)));
        let peer = router.open(Instant::ZERO, LinkInfo::default()).expect("room");
        router.receive(Instant::ZERO, peer, message(&hello));
        let outputs: Vec<_> = core::iter::from_fn(|| router.poll_output()).collect();
        assert_eq!(router.stats().hellos_too_long, u64::from(wrong.is_some()), "{hello}");
        match (&outputs[..], wrong) {
            ([Output::Authenticate(_)], None) => {}
            ([Output::Send { message: Message::Abort(abort), .. }, Output::Close { .. }], Some(part)) => {
                assert_eq!(abort.reason, error::INVALID_ARGUMENT);
                let told = abort.details.get("message");
                let told = told.as_ref().and_then(Value::as_str).expect("a message");
                assert!(told.contains(part), "{told}");
            }
            other => panic!("{hello}: {other:?}"),
        }
    }
}

#[test]
fn one_challenge_is_good_for_one_answer() {
    let rulings = vec![(Ruling::Ticket, Timing::Now)];
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, scripted(rulings, ANYTHING));
    let id = sim.bare(Wire::Messages);
    sim.send(id, hello(Some("realm1"), true));
    for ticket in ["wrong", "secret"] {
        sim.send(id, Authenticate { signature: ticket.to_owned(), extra: Default::default() });
    }
    assert_aborted(&end_of(&mut sim, id), &error::NOT_AUTHORIZED);
    assert_eq!(sim.router.stats().joined, 0);
}

#[test]
fn the_challenge_names_the_session_of_the_welcome() {
    let rulings = vec![(Ruling::Cra, Timing::Now)];
    for seed in 0..20 {
        let mut sim = Sim::new(seed, open_realm(), Duration::ZERO, scripted(rulings.clone(), ANYTHING));
        let id = sim.bare(Wire::Messages);
        sim.send(id, hello(Some("realm1"), true));
        let (mut view, mut welcomed) = (View::default(), None);
        for _ in 0..2 {
            sim.settle(BOUND, |_, _, told| {
                if let Told::Message(Message::Welcome(welcome)) = &told {
                    welcomed = Some(welcome.session);
                }
                view.told(told);
            });
            if !view.joined {
                sim.send(id, view.answer(true));
            }
        }
        let (_, extra) = view.challenge.expect("challenged");
        let session = format!("\"session\": {},", welcomed.expect("welcomed"));
        assert!(extra["challenge"].as_str().expect("text").contains(&session));
    }
}

#[test]
fn a_transport_serves_one_session_after_another() {
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, everybody(ANYTHING));
    let id = sim.bare(Wire::Bytes(Format::Cbor));
    for _ in 0..3 {
        let mut view = View::default();
        sim.send(id, hello(Some("realm1"), true));
        sim.settle(BOUND, |_, _, told| view.told(told));
        assert!(view.joined);
        sim.send(id, Goodbye { details: Default::default(), reason: close::NORMAL });
        sim.settle(BOUND, |_, _, told| view.told(told));
        assert!(!view.joined && sim.is_connected(id));
    }
    assert_eq!(sim.router.stats().joined, 3);
}

#[test]
fn a_goodbye_is_answered_in_the_peers_own_words() {
    for (reason, reply) in [
        (close::NORMAL, close::NORMAL),
        (close::CLOSE_REALM, close::GOODBYE_AND_OUT),
        (Uri::from("com.example.bye"), close::GOODBYE_AND_OUT),
    ] {
        let mut sim = Sim::new(1, open_realm(), Duration::ZERO, everybody(ANYTHING));
        let id = sim.client(ClientConfig::anonymous(REALM), Wire::Messages);
        sim.settle(BOUND, |_, _, _| ());
        sim.act(id, |client, now| client.leave(now, reason));
        let mut left = None;
        sim.run(BOUND, |_, _, told| {
            if let Told::Event(ClientEvent::Left { reason }) = told {
                assert_eq!(left.replace(reason), None);
            }
        });
        assert_eq!(left, Some(reply));
        assert_nothing_left(&sim);
    }
}

#[test]
fn shutting_down_says_goodbye_to_everybody() {
    let mut sim = Sim::new(1, open_realm(), Duration::from_millis(1), everybody(ANYTHING));
    let joined: Vec<_> = Wire::ALL.map(|wire| sim.client(ClientConfig::anonymous(REALM), wire)).into();
    sim.settle(BOUND, |_, _, _| ());
    let silent = sim.bare(Wire::Messages);
    sim.with_router(|router, now| router.shut_down(now));
    assert!(sim.with_router(|router, now| router.open(now, Default::default())).is_err());
    let mut ends = Vec::new();
    sim.run(BOUND, |_, id, told| match told {
        Told::Event(ClientEvent::Left { reason }) => {
            assert_eq!(reason, close::SYSTEM_SHUTDOWN);
            ends.push(id);
        }
        Told::Event(ClientEvent::Joined(_)) => {}
        Told::Message(Message::Abort(abort)) => assert_eq!((id, abort.reason), (silent, close::SYSTEM_SHUTDOWN)),
        Told::End => assert_eq!(id, silent),
        other => panic!("{other:?}"),
    });
    ends.sort();
    assert_eq!(ends, joined);
    assert_nothing_left(&sim);
}

/// Clients of JavaScript come back from a transport that ends, and from no GOODBYE and no ABORT.
#[test]
fn shutting_down_in_silence_closes_sessions_and_cuts_off_who_has_not_joined() {
    let config = RouterConfig { farewell: Farewell::Silent, ..open_realm() };
    let mut sim = Sim::new(1, config, Duration::from_millis(1), everybody(ANYTHING));
    let joined: Vec<_> = Wire::ALL.map(|wire| sim.client(ClientConfig::anonymous(REALM), wire)).into();
    sim.settle(BOUND, |_, _, _| ());
    let cuttable = sim.bare_on(Wire::Messages, LinkInfo { cuttable: true, ..LinkInfo::default() });
    let other = sim.bare(Wire::Messages);
    sim.with_router(|router, now| router.shut_down(now));
    let mut aborted = Vec::new();
    sim.run(BOUND, |_, id, told| match told {
        Told::Message(Message::Abort(abort)) => aborted.push((id, abort.reason)),
        Told::Message(message) => panic!("{message:?}"),
        Told::Event(ClientEvent::Left { .. } | ClientEvent::Aborted { .. }) => panic!("{told:?}"),
        _ => {}
    });
    // The end of some transports cannot be told from their loss: an ABORT is all that there is.
    assert_eq!(aborted, [(other, close::SYSTEM_SHUTDOWN)]);
    let unavailable =
        CloseReason::Unavailable { reason: close::SYSTEM_SHUTDOWN, message: "the router shuts down".to_owned() };
    for (id, reason) in &sim.closed {
        let expected = if *id == cuttable { &unavailable } else { &CloseReason::Shutdown };
        assert_eq!(reason, expected);
    }
    assert_eq!(sim.closed.len(), joined.len() + 2);
    assert_nothing_left(&sim);
}

#[test]
fn a_killed_session_can_do_nothing_more() {
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, everybody(ANYTHING));
    let [victim, witness] = [0, 0].map(|_| sim.client(ClientConfig::anonymous(REALM), Wire::Messages));
    sim.settle(BOUND, |_, _, _| ());
    let topic = || Uri::from("com.example.topic");
    sim.act(witness, |client, now| client.subscribe(now, topic(), SubscribeOptions::default())).expect("joined");
    sim.settle(BOUND, |_, _, _| ());
    let session = sim.session(victim).session;
    assert!(sim.with_router(|router, now| router.kill(now, session, close::KILLED, "enough")));
    assert!(!sim.with_router(|router, now| router.kill(now, session, close::KILLED, "enough")));
    // The client has not read the GOODBYE yet.
    sim.act(victim, |client, now| client.publish(now, topic(), PublishOptions::default(), Payload::empty()))
        .expect("still joined as far as it knows");
    let mut told = Vec::new();
    sim.settle(BOUND, |_, id, what| told.push((id, what)));
    assert_eq!(told, [(victim, Told::Event(ClientEvent::Left { reason: close::KILLED }))]);
    assert_eq!(sim.router.stats().publications, 0);
}

#[test]
fn the_one_that_waits_longest_makes_room() {
    let limits = Limits { max_joining_peers: 3, ..Limits::default() };
    let mut sim = Sim::new(1, RouterConfig { limits, ..open_realm() }, Duration::ZERO, everybody(ANYTHING));
    let silent: Vec<_> = (0..10).map(|_| sim.bare(Wire::Messages)).collect();
    let dropped: Vec<_> = silent[..7].iter().map(|id| (*id, CloseReason::Overload)).collect();
    assert_eq!(sim.closed, dropped);
    let client = sim.client(ClientConfig::anonymous(REALM), Wire::Messages);
    sim.settle(BOUND, |_, _, _| ());
    assert!(sim.get(client).is_joined());
    assert_eq!(sim.router.stats().joining_dropped, 8);
}

#[test]
fn bytes_that_are_no_message_are_ignored_after_the_routers_goodbye() {
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, everybody(ANYTHING));
    let id = sim.bare(Wire::Bytes(Format::Json));
    sim.send(id, hello(Some("realm1"), true));
    let mut messages = Vec::new();
    sim.settle(BOUND, |_, _, told| messages.push(told));
    let [Told::Message(Message::Welcome(welcome))] = &messages[..] else { panic!("{messages:?}") };
    let (session, peer) = (welcome.session, sim.peer(id).expect("attached"));
    sim.with_router(|router, now| router.kill(now, session, close::KILLED, "enough"));
    sim.with_router(|router, now| router.receive_invalid(now, peer, DecodeError::NotAMessage));
    sim.send(id, Goodbye { details: Default::default(), reason: close::GOODBYE_AND_OUT });
    assert!(matches!(&end_of(&mut sim, id)[..], [Message::Goodbye(_)]), "nothing follows GOODBYE");
    assert_eq!(sim.closed, [(id, CloseReason::Goodbye)]);
}
