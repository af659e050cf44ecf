//! A session that owns much ends at once for all other sessions, and what it owned is taken back slice by slice.

use std::collections::BTreeMap;
use wampd_core::codec::DecodeError;
use wampd_core::message::*;
use wampd_core::router::{Allow, Congestion, Permissions, Router, Rule};
use wampd_core::time::Instant;
use wampd_core::uri::{MatchPolicy, Uri, close, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::REALM;
use wampd_tests::counted::{LITTLE, Rig, SLICE, Session};

/// What an input may take.
const INPUT: u64 = SLICE / 16 + LITTLE;

const NOW: Instant = Instant::ZERO;

/// How a session ends.
type End = fn(&mut Router, Session);

/// A session with so many subscriptions, and as many registrations.
fn owner(rig: &mut Rig, count: u64) -> Session {
    owner_of(rig, "com", count)
}

fn owner_of(rig: &mut Rig, whose: &str, count: u64) -> Session {
    let mut owner = rig.join("user");
    for n in 0..count {
        rig.subscribe(&mut owner, format!("{whose}.topic.{n}"), MatchPolicy::Exact);
        rig.register(&mut owner, format!("{whose}.procedure.{n}"));
    }
    owner
}

fn call(rig: &mut Rig, caller: &mut Session, procedure: &str) -> u64 {
    let request = caller.request();
    let (options, procedure, payload) = (CallOptions::default(), Uri::from(procedure.to_owned()), Payload::empty());
    rig.say(caller.peer, Call { request, options, procedure, payload })
}

fn publish(rig: &mut Rig, publisher: &mut Session, topic: &str) -> u64 {
    let request = publisher.request();
    let (options, topic, payload) = (PublishOptions::default(), Uri::from(topic.to_owned()), Payload::empty());
    rig.say(publisher.peer, Publish { request, options, topic, payload })
}

/// The errors that a session was told of.
fn errors(rig: &mut Rig, session: &Session) -> Vec<Uri> {
    let error = |message| if let Message::Error(error) = message { Some(error.error) } else { None };
    rig.take(session.peer).into_iter().filter_map(error).collect()
}

#[test]
fn every_end_of_a_session_is_over_at_once_and_released_in_slices() {
    let goodbye = || Goodbye { details: RawDict::new(), reason: close::NORMAL };
    let abort = || Abort { details: RawDict::new(), reason: close::NORMAL, payload: Payload::empty() };
    let ends: [(&str, End); 6] = [
        ("lost", |router, session| router.connection_lost(NOW, session.peer)),
        ("invalid", |router, session| router.receive_invalid(NOW, session.peer, DecodeError::NotAMessage)),
        ("given up", |router, session| router.set_congestion(NOW, session.peer, Congestion::Hard)),
        ("killed", |router, session| assert!(router.kill(NOW, session.id, close::KILLED, "enough"))),
        ("goodbye", |_, _| ()),
        ("abort", |_, _| ()),
    ];
    for (how, end) in ends {
        let mut rig = Rig::new(|_| ());
        let (owner, mut bystander) = (owner(&mut rig, 4_000), rig.join("user"));
        let took = match how {
            "goodbye" => rig.say(owner.peer, goodbye()),
            "abort" => rig.say(owner.peer, abort()),
            _ => rig.input(|router| end(router, owner)),
        };
        assert!(took <= INPUT, "{how}: {took}");
        let stats = rig.router.stats();
        assert_eq!((stats.sessions, stats.leaving, stats.jobs_put_off), (1, 1, 1), "{how}");
        assert!(stats.subscriptions > 3_000 && rig.router.has_work(), "{how}: not all is released at once");
        let told = rig.take(owner.peer);
        let expected = match how {
            "lost" | "given up" | "abort" => told.is_empty(),
            "invalid" => matches!(told[..], [Message::Abort(_)]),
            _ => matches!(told[..], [Message::Goodbye(_)]),
        };
        assert!(expected, "{how}: {told:?}");
        let slices = rig.finish(&mut bystander);
        assert!((8..=40).contains(&slices), "{how}: {slices}");
        let stats = rig.router.stats();
        assert_eq!((stats.leaving, stats.subscriptions, stats.registrations), (0, 0, 0), "{how}");
        assert_eq!(rig.take(owner.peer), [], "{how}: nothing follows");
    }
}

#[test]
fn sessions_killed_by_a_procedure_are_released_in_slices() {
    for procedure in ["wamp.session.kill", "wamp.session.kill_by_authrole", "wamp.session.kill_all"] {
        let mut rig = Rig::new(|_| ());
        let owners = ["a", "b", "c"].map(|whose| owner_of(&mut rig, whose, 1_500));
        let mut admin = rig.join("admin");
        let args = match procedure {
            "wamp.session.kill" => vec![owners[0].id.get().into()],
            "wamp.session.kill_by_authrole" => vec!["user".into()],
            _ => vec![],
        };
        let killed = if procedure == "wamp.session.kill" { 1 } else { 3 };
        let took = rig.call(&mut admin, procedure, args, Dict::new());
        assert!(took <= INPUT, "{procedure}: {took}");
        // All of them are gone at once.
        assert_eq!(rig.router.stats().sessions, 4 - killed, "{procedure}");
        rig.result(&admin);
        let mut bystander = rig.join("admin");
        assert!(rig.finish(&mut bystander) >= 3 * killed, "{procedure}");
        let stats = rig.router.stats();
        assert_eq!(stats.subscriptions, 1_500 * (3 - killed), "{procedure}");
        for owner in &owners[..killed] {
            assert!(matches!(rig.take(owner.peer)[..], [Message::Goodbye(_)]), "{procedure}");
        }
    }
}

#[test]
fn meta_events_of_the_end_are_complete_in_order_and_counted_as_work() {
    let mut rig = Rig::new(|_| ());
    let mut owner = owner(&mut rig, 300);
    // The owner's own subscription to them is passed over.
    rig.subscribe(&mut owner, "wamp.".into(), MatchPolicy::Prefix);
    let mut watchers: Vec<_> = (0..30).map(|_| rig.join("user")).collect();
    for watcher in &mut watchers {
        rig.subscribe(watcher, "wamp.".into(), MatchPolicy::Prefix);
    }
    for session in watchers.iter().chain([&owner]) {
        rig.take(session.peer);
    }
    let mut bystander = rig.join("user");
    watchers.iter().for_each(|watcher| drop(rig.take(watcher.peer)));
    rig.take(owner.peer);
    let took = rig.input(|router| router.connection_lost(NOW, owner.peer));
    assert!(took <= INPUT, "{took}");
    assert!(rig.finish(&mut bystander) > 1_200 * 30 / (2 * SLICE as usize), "each event reaches thirty");
    assert_eq!(rig.take(owner.peer), []);
    for watcher in &watchers {
        let told = rig.take(watcher.peer);
        let topics: Vec<String> = told
            .iter()
            .map(|message| match message {
                Message::Event(event) => event.details.topic.as_ref().expect("of a pattern").to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        let mut counts = BTreeMap::new();
        topics.iter().for_each(|topic| *counts.entry(topic.as_str()).or_insert(0) += 1);
        assert_eq!(
            counts,
            BTreeMap::from([
                ("wamp.registration.on_delete", 300),
                ("wamp.registration.on_unregister", 300),
                ("wamp.session.on_leave", 1),
                ("wamp.subscription.on_delete", 300),
                ("wamp.subscription.on_unsubscribe", 300),
            ])
        );
        assert_eq!(topics.last().map(String::as_str), Some("wamp.session.on_leave"));
    }
}

#[test]
fn whoever_is_leaving_receives_nothing_and_is_not_counted() {
    let mut rig = Rig::new(|_| ());
    let (mut owner, mut other) = (owner(&mut rig, 2_000), rig.join("user"));
    for session in [&mut owner, &mut other] {
        rig.subscribe(session, "com.zz.shared".into(), MatchPolicy::Exact);
    }
    let mut bystander = rig.join("user");
    rig.input(|router| router.connection_lost(NOW, owner.peer));
    assert!(rig.router.has_work());
    publish(&mut rig, &mut bystander, "com.zz.shared");
    publish(&mut rig, &mut bystander, "com.topic.1999");
    assert!(matches!(rig.take(other.peer)[..], [Message::Event(_)]));
    assert_eq!(rig.take(owner.peer), []);
    rig.call(&mut bystander, "wamp.subscription.lookup", vec!["com.zz.shared".into()], Dict::new());
    let id = rig.result(&bystander).0.remove(0);
    for (procedure, args, expected) in [
        ("wamp.subscription.count_subscribers", vec![id.clone()], Value::from(1)),
        ("wamp.subscription.list_subscribers", vec![id], Value::List(vec![other.id.get().into()])),
        ("wamp.session.count", vec![], Value::from(2)),
    ] {
        assert!(rig.router.has_work(), "it is still leaving");
        rig.call(&mut bystander, procedure, args, Dict::new());
        assert_eq!(rig.result(&bystander).0, [expected], "{procedure}");
    }
    rig.call(&mut bystander, "wamp.session.get", vec![owner.id.get().into()], Dict::new());
    assert_eq!(errors(&mut rig, &bystander), [error::NO_SUCH_SESSION]);
    rig.finish(&mut bystander);
}

#[test]
fn procedures_of_a_session_that_is_leaving_are_free_at_once() {
    let mut rig = Rig::new(|_| ());
    let (mut other, mut caller) = (rig.join("user"), rig.join("user"));
    let owner = owner(&mut rig, 3_000);
    rig.input(|router| router.connection_lost(NOW, owner.peer));
    assert!(rig.router.has_work());
    call(&mut rig, &mut caller, "com.procedure.2990");
    assert_eq!(errors(&mut rig, &caller), [error::NO_SUCH_PROCEDURE]);
    // Registered again without an error, whatever the policy.
    rig.register(&mut other, "com.procedure.2991".into());
    let request = other.request();
    let options = RegisterOptions { invoke: InvocationPolicy::RoundRobin, ..RegisterOptions::default() };
    rig.say(other.peer, Register { request, options, procedure: Uri::from("com.procedure.2992") });
    assert!(matches!(rig.take(other.peer)[..], [Message::Registered(_)]));
    for procedure in ["com.procedure.2991", "com.procedure.2992"] {
        call(&mut rig, &mut caller, procedure);
        assert!(matches!(rig.take(other.peer)[..], [Message::Invocation(_)]), "{procedure}");
    }
    // A pattern that the registration hid is found.
    let request = other.request();
    let options = RegisterOptions { matching: MatchPolicy::Prefix, ..RegisterOptions::default() };
    rig.say(other.peer, Register { request, options, procedure: Uri::from("com.procedure.") });
    rig.take(other.peer);
    let took = call(&mut rig, &mut caller, "com.procedure.2993");
    assert!(took <= LITTLE, "{took}");
    assert!(matches!(rig.take(other.peer)[..], [Message::Invocation(_)]));
    rig.router.check_invariants();
    assert!(rig.router.has_work(), "it is still leaving");
    let mut bystander = rig.join("user");
    rig.finish(&mut bystander);
    assert_eq!(rig.router.stats().registrations, 3);
}

#[test]
fn calls_go_to_those_callees_that_are_not_leaving() {
    for nkey in [None, Some("node")] {
        let mut rig = Rig::new(|_| ());
        let (mut leaver, mut stays, mut caller) = (owner(&mut rig, 2_000), rig.join("user"), rig.join("user"));
        for (session, key) in [(&mut leaver, nkey), (&mut stays, None)] {
            let request = session.request();
            let options = RegisterOptions {
                invoke: InvocationPolicy::First,
                nkey: key.map(str::to_owned),
                concurrency: Some(8),
                ..RegisterOptions::default()
            };
            rig.say(session.peer, Register { request, options, procedure: Uri::from("com.zz.shared") });
            assert!(matches!(rig.take(session.peer)[..], [Message::Registered(_)]));
        }
        rig.input(|router| router.connection_lost(NOW, leaver.peer));
        assert!(rig.router.has_work());
        for _ in 0..5 {
            let request = caller.request();
            let options = CallOptions { rkey: nkey.map(str::to_owned), ..CallOptions::default() };
            let procedure = Uri::from("com.zz.shared");
            rig.say(caller.peer, Call { request, options, procedure, payload: Payload::empty() });
            assert!(matches!(rig.take(stays.peer)[..], [Message::Invocation(_)]), "{nkey:?}");
        }
        rig.router.check_invariants();
        let mut bystander = rig.join("user");
        rig.finish(&mut bystander);
    }
}

#[test]
fn calls_of_a_session_that_is_leaving_end_in_slices_and_are_answered_to_nobody() {
    let mut rig = Rig::new(|_| ());
    let (mut callee, mut caller) = (rig.join("user"), rig.join("user"));
    rig.register(&mut callee, "com.x".into());
    for _ in 0..3_000 {
        call(&mut rig, &mut caller, "com.x");
    }
    let invocations = rig.take(callee.peer);
    let took = rig.input(|router| router.connection_lost(NOW, caller.peer));
    assert!(took <= INPUT, "{took}");
    assert!(rig.router.stats().calls_in_flight > 2_000, "not all have ended");
    // An answer to one of those that have not ended has nowhere to go.
    let Some(Message::Invocation(last)) = invocations.last() else { panic!("{invocations:?}") };
    let (request, options, payload) = (last.request, YieldOptions::default(), Payload::empty());
    rig.take(callee.peer);
    rig.say(callee.peer, Yield { request, options, payload });
    assert_eq!((rig.router.stats().late_answers, rig.take(callee.peer)), (1, vec![]));
    let mut bystander = rig.join("user");
    assert!(rig.finish(&mut bystander) > 5);
    let stats = rig.router.stats();
    assert_eq!((stats.calls_in_flight, rig.take(caller.peer)), (0, vec![]));
}

#[test]
fn callers_of_a_session_that_is_leaving_each_get_one_error() {
    let mut rig = Rig::new(|_| ());
    let (mut callee, mut caller) = (owner(&mut rig, 1), rig.join("user"));
    let request = callee.request();
    let options = RegisterOptions { concurrency: Some(2_000), ..RegisterOptions::default() };
    rig.say(callee.peer, Register { request, options, procedure: Uri::from("com.x") });
    for _ in 0..3_000 {
        call(&mut rig, &mut caller, "com.x");
    }
    assert_eq!(rig.router.stats().calls_waiting, 1_000);
    assert_eq!(rig.take(caller.peer), []);
    let took = rig.input(|router| router.connection_lost(NOW, callee.peer));
    assert!(took <= INPUT, "{took}");
    let mut bystander = rig.join("user");
    assert!(rig.finish(&mut bystander) > 5);
    let errors = errors(&mut rig, &caller);
    let canceled = errors.iter().filter(|error| **error == error::CANCELED).count();
    let unavailable = errors.iter().filter(|error| **error == error::NO_AVAILABLE_CALLEE).count();
    assert_eq!((errors.len(), canceled, unavailable), (3_000, 2_000, 1_000));
}

#[test]
fn a_peer_joins_again_only_when_its_last_session_is_gone() {
    let mut rig = Rig::new(|_| ());
    let (owner, mut bystander) = (owner(&mut rig, 2_000), rig.join("user"));
    rig.say(owner.peer, Goodbye { details: RawDict::new(), reason: close::NORMAL });
    assert!(matches!(rig.take(owner.peer)[..], [Message::Goodbye(_)]));
    assert!(!rig.router.wants_input(owner.peer));
    rig.ready.clear();
    rig.finish(&mut bystander);
    assert_eq!(rig.ready, [owner.peer]);
    let mut again = rig.join_again(owner.peer, "user");
    rig.subscribe(&mut again, "com.topic.1".into(), MatchPolicy::Exact);
    publish(&mut rig, &mut bystander, "com.topic.1");
    assert!(matches!(rig.take(again.peer)[..], [Message::Event(_)]));
}

#[test]
fn sessions_that_are_leaving_count_as_peers() {
    let mut rig = Rig::new(|config| config.limits.max_peers = 3);
    let mut bystander = rig.join("user");
    let owners = ["a", "b"].map(|whose| owner_of(&mut rig, whose, 1_000));
    for owner in owners {
        rig.input(|router| router.connection_lost(NOW, owner.peer));
    }
    assert!(rig.router.open(NOW, Default::default()).is_err(), "what they owned is still held");
    rig.finish(&mut bystander);
    assert!(rig.router.open(NOW, Default::default()).is_ok());
}

#[test]
fn what_a_role_may_no_longer_hold_is_taken_back_in_slices() {
    let mut rig = Rig::new(|_| ());
    let (owner, mut bystander) = (owner(&mut rig, 4_000), rig.join("admin"));
    let mut kept = rig.join("user");
    rig.subscribe(&mut kept, "org.kept".into(), MatchPolicy::Exact);
    let only = |uri: &'static str| {
        let rule = Rule::new(Uri::from(uri), MatchPolicy::Prefix, Allow::ALL);
        Permissions::new(vec![rule]).expect("no contradiction")
    };
    let took = rig.input(|router| assert!(router.set_permissions(&REALM, "user", only("com.topic."))));
    assert!(took <= INPUT, "{took}");
    assert!(rig.router.has_work());
    // The rules change again before the first change is through: the last one counts.
    let took = rig.input(|router| assert!(router.set_permissions(&REALM, "user", only("org."))));
    assert!(took <= INPUT, "{took}");
    assert!(rig.finish(&mut bystander) > 10);
    let (mut unsubscribed, mut unregistered) = (0, 0);
    for message in rig.take(owner.peer) {
        match message {
            Message::Unsubscribed(_) => unsubscribed += 1,
            Message::Unregistered(_) => unregistered += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((unsubscribed, unregistered), (4_000, 4_000));
    let stats = rig.router.stats();
    assert_eq!((stats.subscriptions, stats.registrations), (1, 0));
}

#[test]
fn a_shutdown_of_many_sessions_takes_slices() {
    let mut rig = Rig::new(|_| ());
    let sessions: Vec<_> = (0..1_000).map(|_| rig.join("user")).collect();
    let owners = ["a", "b"].map(|whose| owner_of(&mut rig, whose, 1_000));
    let took = rig.input(|router| router.shut_down(NOW));
    assert!(took <= SLICE + LITTLE, "{took}");
    assert!(rig.router.open(NOW, Default::default()).is_err());
    let mut slices = 0;
    while rig.router.has_work() {
        let took = rig.input(|router| router.handle_timeout(NOW));
        assert!(took <= 2 * SLICE + LITTLE, "{took}");
        rig.router.check_invariants();
        slices += 1;
    }
    assert!(slices > 4, "{slices}");
    for session in sessions.iter().chain(&owners) {
        assert!(matches!(rig.take(session.peer)[..], [Message::Goodbye(_)]));
        assert_eq!(rig.say(session.peer, Goodbye { details: RawDict::new(), reason: close::GOODBYE_AND_OUT }), 8);
    }
    let stats = rig.router.stats();
    assert_eq!((stats.peers, stats.sessions, stats.subscriptions, stats.timers), (0, 0, 0, 0));
}
