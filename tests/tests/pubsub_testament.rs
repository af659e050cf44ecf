//! Testaments (spec: "Session Testament").

use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use wampd_core::client::ClientEvent;
use wampd_core::message::{CallOptions, Features, Payload, PublishOptions, SubscribeOptions};
use wampd_core::router::{
    Action, ActionVerdict, Allow, CloseReason, Congestion, Limits, LinkInfo, Permissions, RoleConfig, RouterConfig,
    Rule,
};
use wampd_core::uri::MatchPolicy::{Exact, Prefix};
use wampd_core::uri::{Uri, close, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::config::{ANYTHING, ASKED, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::pubsub::{Heard, get_retained, hear, join, join_on, publish, roles, subscribe, trust, world};
use wampd_tests::sim::{EndId, Sim};

const ADD: &str = "wamp.session.add_testament";
const FLUSH: &str = "wamp.session.flush_testaments";
const BOUND: usize = 1_000_000;

fn keywords<const N: usize>(entries: [(&str, Value); N]) -> Dict {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn call(sim: &mut Sim, id: EndId, procedure: &'static str, args: Vec<Value>, kwargs: Dict) -> Result<(), Uri> {
    let payload = Payload::from_values(args, kwargs);
    let procedure = Uri::from(procedure);
    sim.act(id, |client, now| client.call(now, procedure, CallOptions::default(), payload)).expect("joined");
    match &sim.events()[..] {
        [(_, ClientEvent::Result { payload, .. })] => {
            assert_eq!(*payload, Payload::empty(), "no value is returned");
            Ok(())
        }
        [(_, ClientEvent::Failed { error, .. })] => Err(error.clone()),
        other => panic!("{other:?}"),
    }
}

/// Leaves a testament: a number on a topic.
fn add(sim: &mut Sim, id: EndId, topic: &str, n: u64, kwargs: Dict) -> Result<(), Uri> {
    call(sim, id, ADD, vec![topic.into(), vec![n.into()].into(), Dict::new().into()], kwargs)
}

fn scope(scope: &str) -> Dict {
    keywords([("scope", scope.into())])
}

fn options<const N: usize>(entries: [(&str, Value); N]) -> Dict {
    keywords([("publish_options", keywords(entries).into())])
}

/// A listener on a topic, and what it hears when somebody goes.
fn listener(sim: &mut Sim, topic: &str) -> EndId {
    let id = join(sim, "lea", ANYTHING);
    subscribe(sim, id, topic, SubscribeOptions::default());
    id
}

fn heard_by(sim: &mut Sim, id: EndId) -> Vec<u64> {
    let mut numbers = Vec::new();
    sim.settle(BOUND, |_, who, told| {
        if let (true, wampd_tests::sim::Told::Event(ClientEvent::Event { payload, .. })) = (who == id, told) {
            let (args, _) = payload.values().expect("values");
            numbers.push(args[0].as_u64().expect("a number"));
        }
    });
    numbers
}

/// However a session ends, its testaments are published once, the detached ones before the destroyed ones.
#[test]
fn every_end_of_a_session_publishes_them_in_order() {
    type End = fn(&mut Sim, EndId);
    let ends: [(&str, End); 7] = [
        ("leaves", |sim, id| sim.act(id, |client, now| client.leave(now, close::NORMAL))),
        ("aborts", |sim, id| {
            let abort = wampd_core::message::Abort {
                details: Default::default(),
                reason: Uri::from("com.bye"),
                payload: Payload::empty(),
            };
            sim.send(id, abort);
        }),
        ("vanishes", |sim, id| sim.cut(id)),
        ("hangs up", |sim, id| sim.hang_up(id)),
        ("does not read", |sim, id| sim.congest(id, Congestion::Hard)),
        ("is killed", |sim, id| {
            let session = sim.session(id).session;
            assert!(sim.with_router(|router, now| router.kill(now, session, close::KILLED, "enough")));
        }),
        ("breaks the protocol", |sim, id| {
            let welcome = sim.session(id).clone();
            sim.send(id, welcome);
        }),
    ];
    for (how, end) in ends {
        for wire in Wire::ALL {
            let mut sim = world(open_realm());
            let listener = listener(&mut sim, "com.x");
            let id = join_on(&mut sim, "paul", ANYTHING, wire);
            for (n, kwargs) in
                [(3, scope("destroyed")), (1, scope("detached")), (4, Dict::new()), (2, scope("detached"))]
            {
                add(&mut sim, id, "com.x", n, kwargs).expect("added");
            }
            assert_eq!(sim.router.stats().testaments, 4);
            end(&mut sim, id);
            assert_eq!(heard_by(&mut sim, listener), [1, 2, 3, 4], "{how}");
            let stats = sim.router.stats();
            assert_eq!((stats.testaments, stats.testaments_published, stats.sessions), (0, 4, 1), "{how}");
        }
    }
}

#[test]
fn a_new_session_on_the_same_transport_has_none() {
    let mut sim = world(open_realm());
    let listener = listener(&mut sim, "com.x");
    let id = join(&mut sim, "paul", ANYTHING);
    add(&mut sim, id, "com.x", 1, Dict::new()).expect("added");
    sim.act(id, |client, now| client.leave(now, close::NORMAL));
    assert_eq!(heard_by(&mut sim, listener), [1]);
    sim.run_for(Duration::from_secs(30), BOUND, |_, _, _| ());
    sim.connect(id, LinkInfo::default());
    sim.settle(BOUND, |_, _, _| ());
    sim.cut(id);
    assert_eq!(heard_by(&mut sim, listener), [0; 0]);
}

#[test]
fn a_flush_removes_those_of_its_scope() {
    for (flushed, expected) in [("destroyed", vec![1]), ("detached", vec![2]), ("", vec![1])] {
        let mut sim = world(open_realm());
        let listener = listener(&mut sim, "com.x");
        let id = join(&mut sim, "paul", ANYTHING);
        add(&mut sim, id, "com.x", 1, scope("detached")).expect("added");
        add(&mut sim, id, "com.x", 2, Dict::new()).expect("added");
        let kwargs = if flushed.is_empty() { Dict::new() } else { scope(flushed) };
        call(&mut sim, id, FLUSH, vec![], kwargs).expect("flushed");
        assert_eq!(sim.router.stats().testaments, 1);
        sim.cut(id);
        assert_eq!(heard_by(&mut sim, listener), expected, "{flushed:?}");
    }
    let mut sim = world(open_realm());
    let id = join(&mut sim, "paul", ANYTHING);
    call(&mut sim, id, FLUSH, vec![], Dict::new()).expect("nothing to flush");
}

#[test]
fn publish_options_hold() {
    let mut config = roles(&["sensor"]);
    trust(&mut config, "sensor", 2);
    let mut sim = world(config);
    let [ann, bob] = ["ann", "bob"].map(|name| {
        let id = join(&mut sim, name, ANYTHING);
        subscribe(&mut sim, id, "com.", SubscribeOptions { matching: Prefix, ..SubscribeOptions::default() });
        id
    });
    let id = join(&mut sim, "paul", "sensor");
    let only = |name: &str| Value::from(vec![name.into()]);
    for (n, topic, kwargs) in [
        (1, "com.a", options([("eligible_authid", only("ann"))])),
        (2, "com.b", options([("exclude_authid", only("ann")), ("acknowledge", true.into())])),
        (3, "com.c", options([("eligible", Value::from(vec![]))])),
        (4, "com.d", options([("disclose_me", true.into()), ("retain", true.into()), ("x_unknown", 1.into())])),
    ] {
        add(&mut sim, id, topic, n, kwargs).expect("added");
    }
    let session = sim.session(id).session;
    sim.cut(id);
    let mut heard: BTreeMap<EndId, Vec<Heard>> = BTreeMap::new();
    let events = sim.events();
    assert!(matches!(events.last(), Some((_, ClientEvent::Lost | ClientEvent::Event { .. }))));
    for (who, event) in events {
        if let ClientEvent::Event { subscription, publication, details, payload } = event {
            let n = payload.values().expect("values").0[0].as_u64().expect("a number");
            heard.entry(who).or_default().push(Heard { who, subscription, publication, details, n });
        }
    }
    let numbers = |id: &EndId| heard[id].iter().map(|event| event.n).collect::<Vec<_>>();
    assert_eq!((numbers(&ann), numbers(&bob)), (vec![1, 4], vec![2, 4]));
    let last = heard[&ann].last().expect("an event");
    assert_eq!(last.details.publisher.as_ref().map(|publisher| publisher.session), Some(session));
    assert_eq!(last.details.trustlevel, Some(2));
    assert!(heard[&ann][0].details.publisher.is_none());
    let late = join(&mut sim, "late", ANYTHING);
    let (_, retained) = subscribe(&mut sim, late, "com.d", get_retained(Exact));
    assert_eq!(retained.iter().map(|event| (event.n, event.publication)).collect::<Vec<_>>(), [(4, last.publication)]);
}

#[test]
fn the_permission_to_publish_is_that_of_the_moment() {
    let mut config = open_realm();
    let rule = |uri: &'static str, matching, allow| Rule::new(Uri::from_static(uri), matching, allow);
    let rules = || {
        vec![
            rule("com.mine", Exact, Allow { publish: true, ..Allow::NONE }),
            rule("wamp.", Prefix, Allow { call: true, ..Allow::NONE }),
        ]
    };
    let permissions = Permissions::new(rules()).expect("no contradiction");
    config.realms[0].roles.push(RoleConfig::new("limited", permissions));
    config.realms[0].disclose_me = false;
    let mut sim = world(config);
    let listener = listener(&mut sim, "com.mine");
    let id = join(&mut sim, "paul", "limited");
    assert_eq!(add(&mut sim, id, "com.other", 1, Dict::new()), Err(error::NOT_AUTHORIZED));
    assert_eq!(add(&mut sim, id, "com..x", 1, Dict::new()), Err(error::INVALID_URI));
    assert_eq!(add(&mut sim, id, "wamp.session.on_leave", 1, Dict::new()), Err(error::INVALID_URI));
    let disclosed = options([("disclose_me", true.into())]);
    assert_eq!(add(&mut sim, id, "com.mine", 1, disclosed), Err(error::DISCLOSE_ME_NOT_ALLOWED));
    add(&mut sim, id, "com.mine", 1, Dict::new()).expect("added");
    // What was allowed when it was left is published.
    let realm = wampd_tests::answerer::REALM;
    assert!(sim.with_router(|router, _| router.set_permissions(&realm, "limited", Permissions::none())));
    sim.cut(id);
    assert_eq!(heard_by(&mut sim, listener), [1]);
}

/// A role that is asked about: first whether it may call, then whether it may publish what it leaves.
#[test]
fn an_authorizer_is_asked_about_what_is_left() {
    let mut sim = world(open_realm());
    let listener = listener(&mut sim, "com.x");
    let asked = Rc::new(RefCell::new(Vec::new()));
    let log = asked.clone();
    sim.authorize_by(Box::new(move |request, _| {
        log.borrow_mut().push((request.action, request.uri.as_str().to_owned(), request.options.clone()));
        let cache = (request.action == Action::Publish).then_some(Duration::from_secs(9));
        let verdict = match request.uri.as_str() {
            "com.denied" => ActionVerdict::Deny { cache: None },
            "com.broken" => ActionVerdict::Failed { message: "out of order".to_owned() },
            _ => ActionVerdict::Allow { disclose: true, cache },
        };
        vec![(Duration::ZERO, verdict)]
    }));
    let id = join(&mut sim, "paul", ASKED);
    let taken = |asked: &RefCell<Vec<_>>| core::mem::take(&mut *asked.borrow_mut());
    assert_eq!(add(&mut sim, id, "com.denied", 1, Dict::new()), Err(error::NOT_AUTHORIZED));
    assert_eq!(add(&mut sim, id, "com.broken", 1, Dict::new()), Err(error::AUTHORIZATION_FAILED));
    assert_eq!(add(&mut sim, id, "com..x", 1, Dict::new()), Err(error::INVALID_URI));
    taken(&asked);
    add(&mut sim, id, "com.x", 1, options([("retain", true.into())])).expect("added");
    let call = (Action::Call, ADD.to_owned(), Dict::new());
    let publish = (Action::Publish, "com.x".to_owned(), keywords([("retain", true.into())]));
    assert_eq!(taken(&asked), [call.clone(), publish]);
    add(&mut sim, id, "com.x", 2, options([("retain", true.into())])).expect("added");
    assert_eq!(taken(&asked), [call], "the verdict on the publication was cached");
    let session = sim.session(id).session;
    sim.cut(id);
    let mut heard = Vec::new();
    for (who, event) in sim.events() {
        if let (true, ClientEvent::Event { details, payload, .. }) = (who == listener, event) {
            let n = payload.values().expect("values").0[0].as_u64().expect("a number");
            heard.push((n, details.publisher.map(|publisher| publisher.session)));
        }
    }
    assert_eq!(heard, [(1, Some(session)), (2, Some(session))]);
}

/// Requests behind a testament that waits for its second question keep their order, and CANCEL still finds the call.
#[test]
fn order_is_kept_while_an_authorizer_thinks() {
    let mut sim = world(open_realm());
    sim.authorize_by(Box::new(|request, _| {
        let slow = if request.uri.as_str() == "com.slow" { 1_000 } else { 0 };
        vec![(Duration::from_millis(slow), ActionVerdict::Allow { disclose: false, cache: None })]
    }));
    let id = join(&mut sim, "paul", ASKED);
    let leave = |sim: &mut Sim| {
        let payload = Payload::from_args(["com.slow".into()]);
        sim.act(id, |client, now| client.call(now, Uri::from(ADD), CallOptions::default(), payload)).expect("joined")
    };
    let first = leave(&mut sim);
    let second = sim
        .act(id, |client, now| client.subscribe(now, Uri::from("com.x"), SubscribeOptions::default()))
        .expect("joined");
    let mut answered = Vec::new();
    sim.run_for(Duration::from_secs(2), BOUND, |_, _, told| {
        let wampd_tests::sim::Told::Event(event) = told else { panic!("{told:?}") };
        answered.push(event.answers().expect("an answer"));
    });
    assert_eq!(answered, [first, second]);
    let third = leave(&mut sim);
    sim.run_for(Duration::from_millis(500), BOUND, |_, _, _| ());
    sim.act(id, |client, _| client.cancel(third, None)).expect("a call");
    sim.run_for(Duration::from_secs(2), BOUND, |_, _, told| match told {
        wampd_tests::sim::Told::Event(ClientEvent::Failed { request, error, .. }) => {
            assert_eq!((request, error), (third, error::CANCELED));
        }
        other => panic!("{other:?}"),
    });
    assert_eq!((sim.router.stats().testaments, sim.router.stats().undecided), (1, 0));
}

#[test]
fn wrong_arguments_are_refused() {
    let mut sim = world(open_realm());
    let id = join(&mut sim, "paul", ANYTHING);
    let topic = || Value::from("com.x");
    for (args, kwargs) in [
        (vec![], Dict::new()),
        (vec![1.into()], Dict::new()),
        (vec![topic(), "text".into()], Dict::new()),
        (vec![topic(), vec![].into(), vec![].into()], Dict::new()),
        (vec![topic()], scope("both")),
        (vec![topic()], keywords([("publish_options", 1.into())])),
        (vec![topic()], options([("exclude", "x".into())])),
        (vec![topic()], options([("enc_algo", "xbr".into())])),
        (vec![topic()], keywords([("options", Dict::new().into())])),
    ] {
        assert_eq!(call(&mut sim, id, ADD, args.clone(), kwargs), Err(error::INVALID_ARGUMENT), "{args:?}");
    }
    assert_eq!(call(&mut sim, id, FLUSH, vec![], scope("both")), Err(error::INVALID_ARGUMENT));
    assert_eq!(call(&mut sim, id, ADD, vec![topic()], Dict::new()), Ok(()), "args and kwargs may be left out");
    assert_eq!(sim.router.stats().testaments, 1);
}

#[test]
fn testaments_of_a_session_are_bounded() {
    let limits = Limits { max_testaments_per_session: 2, max_testament_bytes: 2_000, ..Limits::default() };
    let mut sim = world(RouterConfig { limits, ..open_realm() });
    let id = join(&mut sim, "paul", ANYTHING);
    let large = vec!["com.x".into(), vec![Value::from("x".repeat(2_000))].into()];
    assert_eq!(call(&mut sim, id, ADD, large, Dict::new()), Err(error::RESOURCE_LIMIT));
    for n in 0..2 {
        add(&mut sim, id, "com.x", n, scope("detached")).expect("added");
    }
    assert_eq!(add(&mut sim, id, "com.x", 2, Dict::new()), Err(error::RESOURCE_LIMIT));
    call(&mut sim, id, FLUSH, vec![], scope("detached")).expect("flushed");
    add(&mut sim, id, "com.x", 3, Dict::new()).expect("there is room again");
}

/// Nothing is published when a realm is emptied, or the router shuts down.
#[test]
fn who_ends_with_all_others_leaves_nothing() {
    let mut sim = world(open_realm());
    let witness = listener(&mut sim, "com.x");
    let crowd: Vec<EndId> = (0..50)
        .map(|n| {
            let id = listener(&mut sim, "com.x");
            add(&mut sim, id, "com.x", n, Dict::new()).expect("added");
            id
        })
        .collect();
    let payload = Payload::empty();
    let procedure = Uri::from("wamp.session.kill_all");
    sim.act(witness, |client, now| client.call(now, procedure, CallOptions::default(), payload)).expect("joined");
    // As the specification has it, that leaves no testaments, not even to the caller.
    assert_eq!(heard_by(&mut sim, witness), Vec::<u64>::new());
    assert_eq!((sim.router.stats().testaments, sim.router.stats().testaments_published), (0, 0));
    assert!(crowd.iter().all(|id| !sim.get(*id).is_joined()));

    let mut sim = world(open_realm());
    for n in 0..3 {
        let id = listener(&mut sim, "com.x");
        add(&mut sim, id, "com.x", n, Dict::new()).expect("added");
    }
    sim.with_router(|router, now| router.shut_down(now));
    let events = sim.events();
    assert!(events.iter().all(|(_, event)| matches!(event, ClientEvent::Left { .. })), "{events:?}");
    assert_eq!((sim.router.stats().testaments, sim.router.stats().testaments_published), (0, 0));
    assert!(sim.closed.iter().all(|(_, reason)| *reason == CloseReason::Shutdown));
}

#[test]
fn it_is_announced_with_the_meta_api() {
    for meta_api in [true, false] {
        let mut config = open_realm();
        config.realms[0].meta_api = meta_api;
        let mut sim = world(config);
        let id = join(&mut sim, "paul", ANYTHING);
        let dealer = sim.session(id).details.roles.dealer.expect("a dealer");
        assert_eq!(dealer.contains(Features::TESTAMENT_META_API), meta_api);
        assert_eq!(add(&mut sim, id, "com.x", 1, Dict::new()).is_ok(), meta_api);
        publish(&mut sim, id, "com.x", PublishOptions::default(), 1);
        hear(&mut sim);
    }
}
