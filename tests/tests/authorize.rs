//! Dynamic authorization: questions about actions, answered at once, later, twice or never; and the order of a
//! session's requests, which no question changes.

use core::time::Duration;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use wampd_core::client::ClientEvent;
use wampd_core::id::RequestId;
use wampd_core::message::{
    Audience, CallOptions, InvocationPolicy, Payload, PublishOptions, RegisterOptions, SubscribeOptions, YieldOptions,
};
use wampd_core::router::{
    Action, ActionRequest, ActionVerdict, Allow, LinkInfo, Permissions, RealmConfig, RoleConfig, RouterConfig, Rule,
};
use wampd_core::uri::{MatchPolicy, Uri, close, error};
use wampd_core::value::Value;
use wampd_tests::answerer::REALM;
use wampd_tests::config::{ANYTHING, ASKED};
use wampd_tests::link::Wire;
use wampd_tests::meta::{as_asked, config, dict, join, message, session};
use wampd_tests::sim::{EndId, Sim, Told};

const ALLOW: ActionVerdict = ActionVerdict::Allow { disclose: false, cache: None };
const DENY: ActionVerdict = ActionVerdict::Deny { cache: None };
const SECOND: Duration = Duration::from_secs(1);

const fn cached(cache: Duration) -> ActionVerdict {
    ActionVerdict::Allow { disclose: false, cache: Some(cache) }
}

/// What was asked so far.
type Questions = Rc<RefCell<Vec<ActionRequest>>>;

fn realm() -> RouterConfig {
    let role = |name: &str, permissions| RoleConfig::new(name, permissions);
    let roles = vec![role(ASKED, Permissions::asked()), role(ANYTHING, Permissions::all())];
    RouterConfig { realms: vec![RealmConfig::new(REALM, roles)], ..RouterConfig::default() }
}

/// A world in which each question gets the next of these verdicts, the last of them for ever.
fn world_of(config: RouterConfig, verdicts: &[&[(u64, ActionVerdict)]]) -> (Sim, Questions) {
    let mut sim = Sim::new(1, config, Duration::ZERO, as_asked());
    let questions = Questions::default();
    let (log, mut left): (_, VecDeque<_>) = (questions.clone(), verdicts.iter().map(|list| list.to_vec()).collect());
    sim.authorize_by(Box::new(move |request, _| {
        log.borrow_mut().push(request.clone());
        let verdicts = if left.len() > 1 { left.pop_front() } else { left.front().cloned() };
        let verdicts = verdicts.unwrap_or_default().into_iter();
        verdicts.map(|(millis, verdict)| (Duration::from_millis(millis), verdict)).collect()
    }));
    (sim, questions)
}

fn world(verdicts: &[&[(u64, ActionVerdict)]]) -> (Sim, Questions) {
    world_of(realm(), verdicts)
}

fn at_once(verdict: ActionVerdict) -> (Sim, Questions) {
    world(&[&[(0, verdict)]])
}

fn ask_call(sim: &mut Sim, id: EndId, procedure: &'static str) -> RequestId {
    sim.act(id, |client, now| client.call(now, Uri::from(procedure), CallOptions::default(), Payload::empty()))
        .expect("joined")
}

fn ask_publish(sim: &mut Sim, id: EndId, topic: &'static str, acknowledge: bool) -> RequestId {
    let options = PublishOptions { acknowledge, ..PublishOptions::default() };
    sim.act(id, |client, now| client.publish(now, Uri::from(topic), options, Payload::empty())).expect("joined")
}

fn ask_subscribe(sim: &mut Sim, id: EndId, topic: &'static str) -> RequestId {
    sim.act(id, |client, now| client.subscribe(now, Uri::from(topic), SubscribeOptions::default())).expect("joined")
}

/// Lets so much time pass, and returns what was told.
fn told_within(sim: &mut Sim, millis: u64) -> Vec<(EndId, ClientEvent)> {
    let mut told = Vec::new();
    sim.run_for(Duration::from_millis(millis), 100_000, |_, id, what| match what {
        Told::Event(event) => told.push((id, event)),
        other => panic!("{id:?} {other:?}"),
    });
    told
}

/// The requests answered, in order, each with its error if it failed.
fn answers(id: EndId, told: &[(EndId, ClientEvent)]) -> Vec<(u64, Option<Uri>)> {
    let of = told.iter().filter(|(whom, _)| *whom == id);
    let answers = of.filter_map(|(_, event)| {
        let error = match event {
            ClientEvent::Failed { error, .. } => Some(error.clone()),
            _ => None,
        };
        Some((event.answers()?.get(), error))
    });
    answers.collect()
}

fn uris(questions: &Questions) -> Vec<String> {
    questions.borrow().iter().map(|question| question.uri.to_string()).collect()
}

// ---- what is asked ----

#[test]
fn the_question_says_who_wants_to_do_what() {
    let (mut sim, questions) = at_once(DENY);
    let transport = dict([("peer", "tcp4:127.0.0.1:5".into())]);
    let link = LinkInfo { transport: transport.clone().into(), ..LinkInfo::default() };
    let joe = sim.client_on(config("joe", ASKED), Wire::Messages, link);
    sim.events();
    sim.act(joe, |client, now| {
        let options = CallOptions { receive_progress: true, timeout: Some(5_000), ..CallOptions::default() };
        client.call(now, Uri::from("com.a"), options, Payload::empty()).expect("joined");
        let audience = Audience { eligible_authrole: Some(vec!["x".to_owned()]), ..Audience::default() };
        let options = PublishOptions { retain: true, audience: Some(Box::new(audience)), ..PublishOptions::default() };
        client.publish(now, Uri::from("com.b"), options, Payload::empty()).expect("joined");
        let options = SubscribeOptions { matching: MatchPolicy::Prefix, ..SubscribeOptions::default() };
        client.subscribe(now, Uri::from("com."), options).expect("joined");
        let options = RegisterOptions { invoke: InvocationPolicy::Random, ..RegisterOptions::default() };
        client.register(now, Uri::from("com.d"), options).expect("joined");
    });
    sim.events();
    let asked = questions.take();
    let wanted = [
        (
            Action::Call,
            "com.a",
            MatchPolicy::Exact,
            dict([("receive_progress", true.into()), ("timeout", 5_000.into())]),
        ),
        (
            Action::Publish,
            "com.b",
            MatchPolicy::Exact,
            dict([("retain", true.into()), ("eligible_authrole", vec![Value::from("x")].into())]),
        ),
        (Action::Subscribe, "com.", MatchPolicy::Prefix, dict([("match", "prefix".into())])),
        (Action::Register, "com.d", MatchPolicy::Exact, dict([("invoke", "random".into())])),
    ];
    assert_eq!(asked.len(), wanted.len());
    for (question, (action, uri, matching, options)) in asked.iter().zip(wanted) {
        assert_eq!((question.action, question.uri.as_str(), question.matching), (action, uri, matching));
        assert_eq!(question.options, options, "{uri}");
        assert_eq!(Value::from(question.session.get()), session(&sim, joe));
        let identity = &question.identity;
        assert_eq!((identity.authid.as_str(), identity.authrole.as_str(), &identity.realm), ("joe", ASKED, &REALM));
        assert_eq!(*question.transport, transport);
    }
}

#[test]
fn what_cannot_be_is_not_asked_about() {
    let (mut sim, questions) = at_once(ALLOW);
    let joe = join(&mut sim, "joe", ASKED);
    sim.act(joe, |client, now| {
        client.subscribe(now, Uri::from("com..x"), SubscribeOptions::default()).expect("joined");
        client.register(now, Uri::from("wamp.x"), RegisterOptions::default()).expect("joined");
        client.call(now, Uri::from("a b"), CallOptions::default(), Payload::empty()).expect("joined");
    });
    let told = sim.events();
    assert_eq!(answers(joe, &told), [1, 2, 3].map(|n| (n, Some(error::INVALID_URI))));
    assert_eq!(uris(&questions), Vec::<String>::new());
    // Nothing but these four actions needs a permission.
    ask_subscribe(&mut sim, joe, "com.x");
    let subscription = match &sim.events()[..] {
        [(_, ClientEvent::Subscribed { subscription, .. })] => *subscription,
        other => panic!("{other:?}"),
    };
    sim.act(joe, |client, now| client.unsubscribe(now, subscription)).expect("joined");
    sim.events();
    assert_eq!(uris(&questions), ["com.x"]);
}

#[test]
fn roles_with_rules_are_not_asked_about() {
    let (mut sim, questions) = at_once(DENY);
    let admin = join(&mut sim, "admin", ANYTHING);
    ask_subscribe(&mut sim, admin, "com.x");
    let told = sim.events();
    assert_eq!(answers(admin, &told), [(1, None)]);
    assert!(questions.borrow().is_empty());
}

// ---- verdicts ----

#[test]
fn verdicts_are_carried_out() {
    let failed = ActionVerdict::Failed { message: "no database".to_owned() };
    for (verdict, expected) in
        [(ALLOW, None), (DENY, Some(error::NOT_AUTHORIZED)), (failed, Some(error::AUTHORIZATION_FAILED))]
    {
        let (mut sim, _) = at_once(verdict);
        let joe = join(&mut sim, "joe", ASKED);
        ask_subscribe(&mut sim, joe, "com.x");
        sim.act(joe, |client, now| client.register(now, Uri::from("com.x"), RegisterOptions::default()))
            .expect("joined");
        ask_publish(&mut sim, joe, "com.x", true);
        let told = sim.events();
        assert_eq!(answers(joe, &told), [1, 2, 3].map(|n| (n, expected.clone())));
    }
}

#[test]
fn a_failure_says_why() {
    let (mut sim, _) = at_once(ActionVerdict::Failed { message: "no database".to_owned() });
    let joe = join(&mut sim, "joe", ASKED);
    ask_call(&mut sim, joe, "com.x");
    match &sim.events()[..] {
        [(_, ClientEvent::Failed { payload, .. })] => {
            let text = &payload.values().expect("values").0[0];
            assert_eq!(text.as_str(), Some("failed to authorize calling procedure 'com.x': no database"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_publisher_that_asks_for_no_answer_gets_none() {
    let (mut sim, questions) = at_once(DENY);
    let (joe, ann) = (join(&mut sim, "joe", ASKED), join(&mut sim, "ann", ANYTHING));
    ask_subscribe(&mut sim, ann, "com.x");
    sim.events();
    ask_publish(&mut sim, joe, "com.x", false);
    assert_eq!(sim.events(), []);
    assert_eq!((questions.borrow().len(), sim.router.stats().denied), (1, 1));
}

#[test]
fn a_verdict_can_disclose_who_acts() {
    for disclose in [false, true] {
        let (mut sim, _) = at_once(ActionVerdict::Allow { disclose, cache: None });
        let (joe, ann) = (join(&mut sim, "joe", ASKED), join(&mut sim, "ann", ANYTHING));
        ask_subscribe(&mut sim, ann, "com.x");
        sim.act(ann, |client, now| client.register(now, Uri::from("com.x"), RegisterOptions::default()))
            .expect("joined");
        sim.events();
        ask_publish(&mut sim, joe, "com.x", false);
        ask_call(&mut sim, joe, "com.x");
        let disclosed: Vec<_> = sim
            .events()
            .into_iter()
            .filter_map(|(_, event)| match event {
                ClientEvent::Event { details, .. } => Some(details.publisher.is_some()),
                ClientEvent::Invocation { details, .. } => Some(details.caller.is_some()),
                _ => None,
            })
            .collect();
        assert_eq!(disclosed, [disclose; 2]);
    }
}

#[test]
fn the_meta_api_can_be_allowed_by_verdict() {
    let (mut sim, questions) = world(&[&[(0, ALLOW)], &[(0, DENY)]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_call(&mut sim, joe, "wamp.session.count");
    ask_call(&mut sim, joe, "wamp.session.kill_all");
    let told = sim.events();
    assert_eq!(answers(joe, &told), [(1, None), (2, Some(error::NOT_AUTHORIZED))]);
    assert_eq!(uris(&questions), ["wamp.session.count", "wamp.session.kill_all"]);
}

// ---- order ----

#[test]
fn requests_behind_a_question_keep_their_order() {
    let (mut sim, questions) = world(&[&[(30, ALLOW)], &[(0, DENY)], &[(20, ALLOW)], &[(5, DENY)]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_subscribe(&mut sim, joe, "com.a");
    ask_subscribe(&mut sim, joe, "com.b");
    sim.act(joe, |client, now| client.register(now, Uri::from("com.c"), RegisterOptions::default())).expect("joined");
    ask_publish(&mut sim, joe, "com.d", true);
    let told = told_within(&mut sim, 25);
    assert_eq!(told, [], "all wait for the first");
    assert_eq!(uris(&questions), ["com.a"], "one question at a time");
    let told = told_within(&mut sim, 75);
    let denied = Some(error::NOT_AUTHORIZED);
    assert_eq!(answers(joe, &told), [(1, None), (2, denied.clone()), (3, None), (4, denied)]);
    assert_eq!(uris(&questions), ["com.a", "com.b", "com.c", "com.d"]);
}

#[test]
fn what_needs_no_permission_waits_for_its_turn_too() {
    let (mut sim, _) = world(&[&[(0, ALLOW)], &[(30, ALLOW)]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_subscribe(&mut sim, joe, "com.a");
    let subscription = match &sim.events()[..] {
        [(_, ClientEvent::Subscribed { subscription, .. })] => *subscription,
        other => panic!("{other:?}"),
    };
    ask_subscribe(&mut sim, joe, "com.b");
    sim.act(joe, |client, now| client.unsubscribe(now, subscription)).expect("joined");
    assert_eq!(told_within(&mut sim, 10), []);
    let told = told_within(&mut sim, 50);
    assert_eq!(answers(joe, &told), [(2, None), (3, None)]);
}

#[test]
fn other_sessions_do_not_wait() {
    let (mut sim, _) = world(&[&[(50, ALLOW)], &[(0, ALLOW)]]);
    let (joe, ann) = (join(&mut sim, "joe", ASKED), join(&mut sim, "ann", ASKED));
    ask_subscribe(&mut sim, joe, "com.a");
    ask_subscribe(&mut sim, ann, "com.a");
    let told = told_within(&mut sim, 10);
    assert_eq!((answers(joe, &told), answers(ann, &told)), (vec![], vec![(1, None)]));
}

#[test]
fn answers_to_invocations_pass() {
    let (mut sim, _) = world(&[&[(0, ALLOW)], &[(50, ALLOW)]]);
    let (joe, ann) = (join(&mut sim, "joe", ASKED), join(&mut sim, "ann", ANYTHING));
    sim.act(joe, |client, now| client.register(now, Uri::from("com.x"), RegisterOptions::default())).expect("joined");
    sim.events();
    let calls = [0, 1].map(|_| ask_call(&mut sim, ann, "com.x"));
    let invocations: Vec<_> = sim
        .events()
        .into_iter()
        .filter_map(|(_, event)| match event {
            ClientEvent::Invocation { request, .. } => Some(request),
            _ => None,
        })
        .collect();
    // The authorizer might be waiting for just this.
    ask_subscribe(&mut sim, joe, "com.y");
    told_within(&mut sim, 1);
    sim.act(joe, |client, _| client.yield_result(invocations[0], YieldOptions::default(), Payload::empty()))
        .expect("open");
    sim.act(joe, |client, _| client.yield_error(invocations[1], Uri::from("com.error"), Payload::empty()))
        .expect("open");
    let told = told_within(&mut sim, 10);
    assert_eq!(
        answers(ann, &told),
        [(calls[0].get(), None), (calls[1].get(), Some(Uri::from("com.error")))],
        "{told:?}"
    );
    assert_eq!(answers(joe, &told), [], "its own request still waits");
}

#[test]
fn a_call_that_is_asked_about_can_be_canceled() {
    let (mut sim, _) = world(&[&[(50, ALLOW)], &[(0, DENY)]]);
    let joe = join(&mut sim, "joe", ASKED);
    let call = ask_call(&mut sim, joe, "com.x");
    let next = ask_subscribe(&mut sim, joe, "com.y");
    sim.act(joe, |client, _| client.cancel(call, None)).expect("open");
    let told = told_within(&mut sim, 10);
    let expected = [(call.get(), Some(error::CANCELED)), (next.get(), Some(error::NOT_AUTHORIZED))];
    assert_eq!(answers(joe, &told), expected, "and what waited behind it goes on");
    assert_eq!(told_within(&mut sim, 100), []);
    assert_eq!((sim.router.stats().stale_decisions, sim.router.stats().undecided), (1, 0));
}

#[test]
fn a_call_that_is_held_can_be_canceled() {
    let (mut sim, questions) = world(&[&[(50, ALLOW)]]);
    let joe = join(&mut sim, "joe", ASKED);
    let first = ask_subscribe(&mut sim, joe, "com.y");
    let call = ask_call(&mut sim, joe, "com.x");
    sim.act(joe, |client, _| client.cancel(call, None)).expect("open");
    let told = told_within(&mut sim, 10);
    assert_eq!(answers(joe, &told), [(call.get(), Some(error::CANCELED))]);
    let told = told_within(&mut sim, 100);
    assert_eq!(answers(joe, &told), [(first.get(), None)]);
    assert_eq!(uris(&questions), ["com.y"]);
}

#[test]
fn a_session_that_leaves_takes_its_requests_with_it() {
    type End = fn(&mut Sim, EndId);
    let ends: [End; 4] = [
        |sim, id| sim.act(id, |client, now| client.leave(now, close::NORMAL)),
        |sim, id| sim.cut(id),
        |sim, id| {
            let session = sim.session(id).session;
            sim.with_router(|router, now| router.kill(now, session, close::KILLED, "enough"));
        },
        |sim, id| sim.send(id, message(r#"[1,"realm1",{"roles":{"caller":{}}}]"#)),
    ];
    for end in ends {
        let (mut sim, _) = world(&[&[(50, ALLOW)]]);
        let (joe, ann) = (join(&mut sim, "joe", ASKED), join(&mut sim, "ann", ANYTHING));
        ask_subscribe(&mut sim, ann, "com.x");
        sim.events();
        ask_publish(&mut sim, joe, "com.x", false);
        ask_publish(&mut sim, joe, "com.x", false);
        told_within(&mut sim, 10);
        end(&mut sim, joe);
        let told = told_within(&mut sim, 100);
        assert!(!told.iter().any(|(id, _)| *id == ann), "{told:?}");
        let stats = sim.router.stats();
        assert_eq!((stats.undecided, stats.stale_decisions, stats.publications), (0, 1, 0));
    }
}

// ---- late, twice, never ----

#[test]
fn silence_is_a_denial() {
    let (mut sim, _) = world(&[&[], &[(0, ALLOW)]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_subscribe(&mut sim, joe, "com.a");
    ask_subscribe(&mut sim, joe, "com.b");
    assert_eq!(told_within(&mut sim, 14_900), []);
    let told = told_within(&mut sim, 200);
    assert_eq!(answers(joe, &told), [(1, Some(error::AUTHORIZATION_FAILED)), (2, None)]);
    assert_eq!(sim.router.stats().timers, 0);
}

#[test]
fn a_verdict_after_the_deadline_has_no_effect() {
    let (mut sim, _) = world(&[&[(16_000, cached(SECOND))], &[(0, DENY)]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_subscribe(&mut sim, joe, "com.a");
    let told = told_within(&mut sim, 20_000);
    assert_eq!(answers(joe, &told), [(1, Some(error::AUTHORIZATION_FAILED))]);
    assert_eq!(sim.router.stats().stale_decisions, 1);
    ask_subscribe(&mut sim, joe, "com.a");
    let told = told_within(&mut sim, 10);
    assert_eq!(answers(joe, &told), [(2, Some(error::NOT_AUTHORIZED))], "it was not cached either");
}

#[test]
fn a_verdict_on_who_may_join_is_none_on_what_may_be_done() {
    let (mut sim, questions) = world(&[&[]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_subscribe(&mut sim, joe, "com.a");
    told_within(&mut sim, 1);
    let id = questions.borrow()[0].id;
    let deny = wampd_core::router::AuthVerdict::Deny { reason: error::NOT_AUTHORIZED, message: String::new() };
    assert!(sim.with_router(|router, now| router.decide_auth(now, id, deny)).is_err());
    assert!(sim.with_router(|router, now| router.decide_action(now, id, ALLOW)).is_ok(), "it is still asked");
    assert_eq!(answers(joe, &told_within(&mut sim, 1)), [(1, None)]);
}

#[test]
fn the_first_of_two_verdicts_counts() {
    let (mut sim, _) = world(&[&[(5, DENY), (10, ALLOW)]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_subscribe(&mut sim, joe, "com.a");
    let told = told_within(&mut sim, 100);
    assert_eq!(answers(joe, &told), [(1, Some(error::NOT_AUTHORIZED))]);
    assert_eq!(sim.router.stats().stale_decisions, 1);
}

#[test]
fn a_verdict_is_not_taken_for_the_answer_to_the_next_question() {
    let (mut sim, questions) = world(&[&[(5, ALLOW), (10, ALLOW)], &[(30, DENY)]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_subscribe(&mut sim, joe, "com.a");
    ask_subscribe(&mut sim, joe, "com.b");
    let told = told_within(&mut sim, 100);
    assert_eq!(answers(joe, &told), [(1, None), (2, Some(error::NOT_AUTHORIZED))]);
    assert_eq!(uris(&questions), ["com.a", "com.b"]);
}

#[test]
fn what_is_held_is_bounded() {
    let mut config = realm();
    config.limits.max_held_requests = 2;
    let (mut sim, questions) = world_of(config, &[&[(50, ALLOW)], &[(0, ALLOW)]]);
    let joe = join(&mut sim, "joe", ASKED);
    let peer = sim.peer(joe).expect("attached");
    for topic in ["com.a", "com.b", "com.c", "com.d", "com.e"] {
        ask_subscribe(&mut sim, joe, topic);
    }
    told_within(&mut sim, 10);
    assert!(!sim.router.wants_input(peer), "the world obeys, and delivers no more than three");
    assert_eq!(sim.router.stats().held_full, 1);
    let told = told_within(&mut sim, 100);
    assert_eq!(answers(joe, &told), [1, 2, 3, 4, 5].map(|n| (n, None)));
    assert_eq!(questions.borrow().len(), 5);
    assert!(sim.router.wants_input(peer));
}

#[test]
fn canceling_what_is_held_makes_room() {
    let mut config = realm();
    config.limits.max_held_requests = 1;
    let (mut sim, _) = world_of(config, &[&[(50, ALLOW)]]);
    let joe = join(&mut sim, "joe", ASKED);
    let peer = sim.peer(joe).expect("attached");
    ask_subscribe(&mut sim, joe, "com.a");
    ask_call(&mut sim, joe, "com.b");
    told_within(&mut sim, 1);
    assert!(!sim.router.wants_input(peer));
    // A transport that has read ahead hands it in all the same.
    let cancel = message("[49,2,{}]");
    let outputs = sim.with_router(|router, now| {
        router.receive(now, peer, cancel);
        core::iter::from_fn(|| router.poll_output()).collect::<Vec<_>>()
    });
    let ready = |output: &wampd_core::router::Output| matches!(output, wampd_core::router::Output::InputReady(ready) if *ready == peer);
    assert!(outputs.iter().any(ready), "{outputs:?}");
    assert!(sim.router.wants_input(peer));
}

#[test]
fn one_that_is_killed_while_too_much_is_held_can_still_say_goodbye() {
    let mut config = realm();
    config.limits.max_held_requests = 1;
    let (mut sim, _) = world_of(config, &[&[]]);
    let joe = join(&mut sim, "joe", ASKED);
    let peer = sim.peer(joe).expect("attached");
    for topic in ["com.a", "com.b"] {
        ask_subscribe(&mut sim, joe, topic);
    }
    told_within(&mut sim, 1);
    assert!(!sim.router.wants_input(peer));
    let session = sim.session(joe).session;
    let outputs = sim.with_router(|router, now| {
        assert!(router.kill(now, session, close::KILLED, "enough"));
        core::iter::from_fn(|| router.poll_output()).collect::<Vec<_>>()
    });
    let ready = |output: &wampd_core::router::Output| matches!(output, wampd_core::router::Output::InputReady(ready) if *ready == peer);
    assert!(sim.router.wants_input(peer) && outputs.iter().any(ready), "{outputs:?}");
}

// ---- the cache ----

/// Does the same thing so many times, and returns how often it was asked about.
fn asked_when(verdict: ActionVerdict, act: impl Fn(&mut Sim, EndId)) -> usize {
    let (mut sim, questions) = at_once(verdict);
    let joe = join(&mut sim, "joe", ASKED);
    act(&mut sim, joe);
    sim.events();
    questions.borrow().len()
}

#[test]
fn a_verdict_is_kept_as_long_as_it_says() {
    for (verdict, error) in
        [(cached(SECOND), None), (ActionVerdict::Deny { cache: Some(SECOND) }, Some(error::NOT_AUTHORIZED))]
    {
        let (mut sim, questions) = at_once(verdict);
        let joe = join(&mut sim, "joe", ASKED);
        ask_publish(&mut sim, joe, "com.a", true);
        told_within(&mut sim, 900);
        ask_publish(&mut sim, joe, "com.a", true);
        let told = told_within(&mut sim, 99);
        assert_eq!(answers(joe, &told), [(2, error)]);
        assert_eq!(questions.borrow().len(), 1);
        told_within(&mut sim, 1);
        ask_publish(&mut sim, joe, "com.a", true);
        told_within(&mut sim, 1);
        assert_eq!(questions.borrow().len(), 2, "asked anew");
    }
    let twice = |sim: &mut Sim, joe| {
        ask_publish(sim, joe, "com.a", true);
        ask_publish(sim, joe, "com.a", true);
    };
    assert_eq!(asked_when(ALLOW, twice), 2, "not kept unless it says so");
    assert_eq!(asked_when(ActionVerdict::Failed { message: String::new() }, twice), 2, "failures are never kept");
    assert_eq!(asked_when(cached(SECOND), twice), 1, "held behind it: in the cache by then");
}

#[test]
fn a_verdict_is_good_for_nobody_else() {
    let (mut sim, questions) = world(&[&[(0, cached(SECOND))], &[(0, DENY)]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_publish(&mut sim, joe, "com.a", true);
    sim.events();
    // The same name and role, and even the same transport: another session all the same.
    let twin = join(&mut sim, "joe", ASKED);
    ask_publish(&mut sim, twin, "com.a", true);
    let told = sim.events();
    assert_eq!(answers(twin, &told), [(1, Some(error::NOT_AUTHORIZED))]);
    sim.act(joe, |client, now| client.leave(now, close::NORMAL));
    sim.events();
    sim.connect(joe, LinkInfo::default());
    sim.events();
    ask_publish(&mut sim, joe, "com.a", true);
    let told = sim.events();
    assert_eq!(answers(joe, &told), [(1, Some(error::NOT_AUTHORIZED))], "nor for its own next session");
    assert_eq!(questions.borrow().len(), 3);
}

#[test]
fn a_verdict_is_good_for_nothing_else() {
    let verdict = cached(SECOND);
    let subscribe = |sim: &mut Sim, id, uri: &'static str, matching, get_retained| {
        let options = SubscribeOptions { matching, get_retained, ..SubscribeOptions::default() };
        sim.act(id, |client, now| client.subscribe(now, Uri::from(uri), options)).expect("joined");
    };
    let publish = |sim: &mut Sim, id, options: PublishOptions| {
        sim.act(id, |client, now| client.publish(now, Uri::from("com.a"), options, Payload::empty())).expect("joined");
    };
    let acknowledged = || PublishOptions { acknowledge: true, ..PublishOptions::default() };
    let different = asked_when(verdict.clone(), |sim, id| {
        subscribe(sim, id, "com.a", MatchPolicy::Exact, false);
        subscribe(sim, id, "com.a", MatchPolicy::Prefix, false);
        subscribe(sim, id, "com.a", MatchPolicy::Wildcard, false);
        subscribe(sim, id, "com.a.b", MatchPolicy::Exact, false);
        publish(sim, id, acknowledged());
        ask_call(sim, id, "com.a");
    });
    assert_eq!(different, 6, "another action, URI or match policy");
    let options = asked_when(verdict.clone(), |sim, id| {
        publish(sim, id, acknowledged());
        publish(sim, id, PublishOptions { retain: true, ..acknowledged() });
        publish(sim, id, PublishOptions { disclose_me: true, ..acknowledged() });
        subscribe(sim, id, "com.a", MatchPolicy::Exact, false);
        subscribe(sim, id, "com.a", MatchPolicy::Exact, true);
    });
    assert_eq!(options, 5, "other options");
    let audience = asked_when(verdict, |sim, id| {
        let audience = Audience { eligible_authid: Some(vec!["joe".to_owned()]), ..Audience::default() };
        for _ in 0..2 {
            publish(sim, id, PublishOptions { audience: Some(Box::new(audience.clone())), ..acknowledged() });
        }
    });
    assert_eq!(audience, 2, "verdicts on what is different each time are not kept");
}

#[test]
fn a_change_of_roles_drops_verdicts() {
    let (mut sim, questions) = at_once(cached(SECOND));
    let joe = join(&mut sim, "joe", ASKED);
    ask_publish(&mut sim, joe, "com.a", true);
    sim.events();
    assert!(sim.with_router(|router, _| router.set_permissions(&REALM, ASKED, Permissions::asked())));
    ask_publish(&mut sim, joe, "com.a", true);
    sim.events();
    assert_eq!(questions.borrow().len(), 2);
    assert!(sim.with_router(|router, _| router.set_permissions(&REALM, ASKED, Permissions::none())));
    ask_publish(&mut sim, joe, "com.a", true);
    let told = sim.events();
    assert_eq!(answers(joe, &told), [(3, Some(error::NOT_AUTHORIZED))]);
    assert!(!sim.with_router(|router, _| router.set_permissions(&REALM, "nobody", Permissions::none())));
    assert_eq!(questions.borrow().len(), 2);
}

#[test]
fn a_verdict_on_a_role_that_has_changed_meanwhile_has_no_effect() {
    let (mut sim, questions) = world(&[&[(50, cached(SECOND))]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_publish(&mut sim, joe, "com.a", true);
    ask_publish(&mut sim, joe, "com.b", true);
    told_within(&mut sim, 10);
    let rule = Rule::new(Uri::from("com.b"), MatchPolicy::Exact, Allow::ALL);
    let permissions = Permissions::new(vec![rule]).expect("one rule");
    assert!(sim.with_router(|router, _| router.set_permissions(&REALM, ASKED, permissions)));
    let told = told_within(&mut sim, 100);
    assert_eq!(answers(joe, &told), [(1, Some(error::NOT_AUTHORIZED)), (2, None)], "the new rules decide");
    assert_eq!(questions.borrow().len(), 1);

    let (mut sim, questions) = world(&[&[(50, ALLOW)], &[(0, DENY)]]);
    let joe = join(&mut sim, "joe", ASKED);
    ask_publish(&mut sim, joe, "com.a", true);
    told_within(&mut sim, 10);
    assert!(sim.with_router(|router, _| router.set_permissions(&REALM, ASKED, Permissions::asked())));
    let told = told_within(&mut sim, 100);
    assert_eq!(answers(joe, &told), [(1, Some(error::NOT_AUTHORIZED))], "asked once more");
    assert_eq!(questions.borrow().len(), 2);
}

#[test]
fn the_cache_is_bounded() {
    for (max, expected, dropped) in [(2, 4, 2), (3, 3, 0), (0, 4, 0)] {
        let mut config = realm();
        config.limits.max_cached_verdicts = max;
        let (mut sim, questions) = world_of(config, &[&[(0, cached(SECOND))]]);
        let joe = join(&mut sim, "joe", ASKED);
        for topic in ["com.a", "com.b", "com.c", "com.a"] {
            ask_publish(&mut sim, joe, topic, true);
        }
        let told = sim.events();
        assert_eq!(answers(joe, &told), [1, 2, 3, 4].map(|n| (n, None)));
        assert_eq!(questions.borrow().len(), expected, "at most {max}");
        assert_eq!(sim.router.stats().verdicts_dropped, dropped, "at most {max}");
    }
}
