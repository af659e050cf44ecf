//! Callees that take only so many calls at a time, and the calls that wait for them (spec: "Shared Registration"; the
//! limit is Crossbar.io's `concurrency`).

use core::time::Duration;
use wampd_core::client::ClientEvent;
use wampd_core::id::RequestId;
use wampd_core::message::{CallOptions, CancelMode, Features, InvocationPolicy, PassThru, Payload, RegisterOptions};
use wampd_core::router::{Limits, RouterConfig};
use wampd_core::uri::error;
use wampd_core::value::Value;
use wampd_tests::calls::*;
use wampd_tests::config::open_realm;
use wampd_tests::sim::{EndId, Sim};

fn limited(invoke: InvocationPolicy, concurrency: u32) -> RegisterOptions {
    RegisterOptions { invoke, concurrency: Some(concurrency), ..RegisterOptions::default() }
}

fn one() -> RegisterOptions {
    limited(InvocationPolicy::RoundRobin, 1)
}

/// Calls that are to wait: nothing happens.
fn wait<const N: usize>(sim: &mut Sim, caller: EndId, numbers: [u64; N]) -> [RequestId; N] {
    let requests = numbers.map(|n| call(sim, caller, "x", n));
    assert_eq!(sim.events(), []);
    requests
}

/// An answer, and what comes of it: the result and the invocations of those that waited.
fn free(sim: &mut Sim, callee: EndId, invocation: RequestId) -> Vec<(EndId, RequestId, u64)> {
    answer(sim, callee, invocation, 0);
    let events = sim.events();
    let answered = events.iter().filter(|(_, event)| event.answers().is_some()).count();
    assert_eq!(answered, 1, "{events:?}");
    let one = |(id, event): &(EndId, ClientEvent)| match event {
        ClientEvent::Invocation { request, payload, .. } => Some((*id, *request, value(payload))),
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

fn id(n: u64) -> RequestId {
    RequestId::new(n).expect("in range")
}

#[test]
fn calls_wait_in_the_order_in_which_they_came() {
    let (mut sim, [a, b, callee]) = Sim::joined(1, [WIRE; 3]);
    register_with(&mut sim, callee, "x", limited(InvocationPolicy::Single, 2));
    call(&mut sim, a, "x", 1);
    call(&mut sim, b, "x", 2);
    assert_eq!(invocations(&mut sim).len(), 2);
    for n in 3..8 {
        wait(&mut sim, if n % 2 == 0 { a } else { b }, [n]);
    }
    let stats = sim.router.stats();
    assert_eq!((stats.calls_waiting, stats.calls_queued, stats.calls_in_flight), (5, 5, 7));
    for n in 1..=7 {
        let next = free(&mut sim, callee, id(n));
        let expected = (n <= 5).then_some((callee, id(n + 2), n + 2));
        assert_eq!(next, expected.into_iter().collect::<Vec<_>>());
    }
    let stats = sim.router.stats();
    assert_eq!((stats.calls_waiting, stats.calls_in_flight, stats.limited), (0, 0, 0));
}

#[test]
fn whoever_is_free_first_gets_who_waited_longest() {
    let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
    register_with(&mut sim, x, "x", one());
    register_with(&mut sim, y, "x", one());
    for callee in [x, y] {
        call(&mut sim, caller, "x", 0);
        assert_eq!(invocation(&mut sim).0, callee);
    }
    wait(&mut sim, caller, [1, 2, 3]);
    assert_eq!(free(&mut sim, y, id(1)), [(y, id(2), 1)]);
    assert_eq!(free(&mut sim, y, id(2)), [(y, id(3), 2)]);
    assert_eq!(free(&mut sim, x, id(1)), [(x, id(2), 3)]);
}

#[test]
fn a_new_callee_gets_who_waits() {
    let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
    register_with(&mut sim, x, "x", one());
    call(&mut sim, caller, "x", 0);
    invocation(&mut sim);
    wait(&mut sim, caller, [1, 2, 3]);
    ask_register(&mut sim, y, "x", limited(InvocationPolicy::RoundRobin, 2));
    let events = sim.events();
    let of_y: Vec<_> = events.iter().filter(|(id, _)| *id == y).map(|(_, event)| event).collect();
    assert!(
        matches!(
            of_y[..],
            [ClientEvent::Registered { .. }, ClientEvent::Invocation { .. }, ClientEvent::Invocation { .. }]
        ),
        "registered first: {events:?}"
    );
    assert_eq!(sim.router.stats().calls_waiting, 1);
}

#[test]
fn a_line_has_an_end() {
    for (max_queued_calls, waiting) in [(0, 0), (2, 2)] {
        let limits = Limits { max_queued_calls, ..Limits::default() };
        let (mut sim, [caller, callee]) = world(RouterConfig { limits, ..open_realm() });
        register_with(&mut sim, callee, "x", one());
        call(&mut sim, caller, "x", 0);
        invocation(&mut sim);
        for n in 0..waiting {
            wait(&mut sim, caller, [n]);
        }
        let request = call(&mut sim, caller, "x", 9);
        assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
        assert_eq!(sim.router.stats().limited, 1);
        // Each registration has its own line.
        register_with(&mut sim, callee, "y", one());
        call(&mut sim, caller, "y", 0);
        assert_eq!(invocation(&mut sim).0, callee);
    }
}

#[test]
fn what_the_calls_of_a_session_that_wait_may_hold_is_bounded() {
    let limits = Limits { max_kept_call_bytes: 4_000, ..Limits::default() };
    let mut sim = Sim::new(
        1,
        RouterConfig { limits, ..open_realm() },
        Duration::ZERO,
        wampd_tests::answerer::everybody(wampd_tests::config::ANYTHING),
    );
    let json = wampd_tests::link::Wire::Bytes(wampd_core::codec::Format::Json);
    let config = || wampd_core::client::ClientConfig::anonymous(wampd_tests::answerer::REALM);
    let [a, b, callee] = [(); 3].map(|()| sim.client(config(), json));
    sim.events();
    register_with(&mut sim, callee, "x", limited(InvocationPolicy::Single, 1));
    let send = |sim: &mut Sim, id: EndId, bytes: usize| {
        let payload = Payload::from_args([Value::from("x".repeat(bytes))]);
        sim.act(id, |client, now| client.call(now, procedure("x"), CallOptions::default(), payload)).expect("joined")
    };
    send(&mut sim, a, 9_000);
    let (_, first, _) = invocation(&mut sim);
    let held = send(&mut sim, a, 3_000);
    assert_eq!(sim.events(), []);
    let request = send(&mut sim, a, 1_000);
    let refused = |sim: &mut Sim, request| match &sim.events()[..] {
        [(id, ClientEvent::Failed { request: of, error: why, .. })] => {
            assert_eq!((*id, *of, why), (a, request, &error::RESOURCE_LIMIT));
        }
        other => panic!("{other:?}"),
    };
    refused(&mut sim, request);
    send(&mut sim, b, 3_000);
    assert_eq!(sim.events(), [], "another session has its own allowance");
    // What leaves the line gives its bytes back.
    cancel(&mut sim, a, held, None);
    sim.events();
    send(&mut sim, a, 3_000);
    assert_eq!(sim.events(), []);
    let null = Payload::empty();
    sim.act(callee, |client, _| client.yield_result(first, Default::default(), null)).expect("open");
    sim.events();
    assert_eq!(sim.router.stats().calls_waiting, 1, "the one of b was first");
}

#[test]
fn a_call_in_line_can_be_canceled_in_any_way() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register_with(&mut sim, callee, "x", one());
    call(&mut sim, caller, "x", 0);
    let (_, first, _) = invocation(&mut sim);
    let modes = [None, Some(CancelMode::Skip), Some(CancelMode::Kill), Some(CancelMode::KillNoWait)];
    let [a, b, c, d, last] = wait(&mut sim, caller, [1, 2, 3, 4, 5]);
    for (request, mode) in [c, a, d, b].into_iter().zip(modes) {
        cancel(&mut sim, caller, request, mode);
        assert_eq!(outcome(&mut sim, caller, request), Err(error::CANCELED), "{mode:?}");
    }
    let next = free(&mut sim, callee, first);
    assert_eq!(next, [(callee, id(2), 5)]);
    answer(&mut sim, callee, id(2), 6);
    assert_eq!(outcome(&mut sim, caller, last), Ok(6));
}

/// A place that becomes free in any way is taken.
#[test]
fn every_end_of_a_call_frees_its_place() {
    type End = fn(&mut Sim, EndId, EndId, RequestId, RequestId);
    let ends: [(&str, End); 6] = [
        ("result", |sim, _, callee, _, invocation| answer(sim, callee, invocation, 0)),
        ("error", |sim, _, callee, _, invocation| answer_error(sim, callee, invocation, error::INVALID_ARGUMENT)),
        ("unavailable", |sim, _, callee, _, invocation| answer_error(sim, callee, invocation, error::UNAVAILABLE)),
        ("cancel", |sim, caller, _, call, _| cancel(sim, caller, call, None)),
        ("caller gone", |sim, caller, _, _, _| sim.cut(caller)),
        ("timeout", |sim, _, _, _, _| sim.run_for(Duration::from_secs(1), 1_000, |_, _, _| ())),
    ];
    for (what, end) in ends {
        let (mut sim, [a, b, callee]) = Sim::joined(1, [WIRE; 3]);
        register_with(&mut sim, callee, "x", one());
        let request = call_with(&mut sim, a, "x", CallOptions { timeout: Some(1_000), ..CallOptions::default() }, 0);
        let (_, first, _) = invocation(&mut sim);
        // Its own call that waits goes with a caller that is gone.
        let own = call(&mut sim, a, "x", 1);
        let other = call(&mut sim, b, "x", 2);
        sim.events();
        end(&mut sim, a, callee, request, first);
        sim.settle(1_000, |_, _, _| ());
        let stats = sim.router.stats();
        let gone = what == "caller gone";
        assert_eq!(stats.calls_waiting, usize::from(!gone), "{what}: {own} {other}");
        answer(&mut sim, callee, id(2), 5);
        let events = sim.events();
        let [result, ..] = &events[..] else { panic!("{what}: {events:?}") };
        if gone {
            assert_eq!(outcome_in(result, b, other), Ok(5));
        } else {
            assert!(events.iter().any(|event| event.1.answers() == Some(own)), "{what}: {events:?}");
        }
    }
}

#[test]
fn nobody_waits_for_a_callee_that_is_gone() {
    for unregisters in [false, true] {
        let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
        let registration = register_with(&mut sim, callee, "x", one());
        let served = call(&mut sim, caller, "x", 0);
        let (_, first, _) = invocation(&mut sim);
        let waiting = wait(&mut sim, caller, [1, 2]);
        if unregisters {
            sim.act(callee, |client, now| client.unregister(now, registration)).expect("joined");
        } else {
            sim.cut(callee);
        }
        let mut failed: Vec<_> = sim
            .events()
            .into_iter()
            .filter_map(|(_, event)| match event {
                ClientEvent::Failed { request, error, .. } => Some((request, error)),
                _ => None,
            })
            .collect();
        failed.sort_by_key(|(request, _)| *request);
        let mut expected: Vec<_> = waiting.map(|request| (request, error::NO_AVAILABLE_CALLEE)).into();
        if !unregisters {
            expected.insert(0, (served, error::CANCELED));
        }
        assert_eq!(failed, expected);
        if unregisters {
            answer(&mut sim, callee, first, 7);
            assert_eq!(outcome(&mut sim, caller, served), Ok(7), "what it has begun goes on");
        }
        assert_eq!(sim.router.stats().calls_in_flight, 0);
    }
}

#[test]
fn those_in_line_wait_on_for_the_callees_that_are_left() {
    let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
    register_with(&mut sim, x, "x", one());
    register_with(&mut sim, y, "x", one());
    for _ in 0..2 {
        call(&mut sim, caller, "x", 0);
        invocation(&mut sim);
    }
    wait(&mut sim, caller, [1]);
    sim.cut(x);
    assert_eq!(sim.events().len(), 2, "the end of x and of the call it had");
    assert_eq!(free(&mut sim, y, id(1)), [(y, id(2), 1)]);
}

/// The callee that is left has no place in its session, and nobody's answer will tell when it has: no use in waiting.
#[test]
fn nobody_waits_for_ever() {
    let limits = Limits { max_invocations_in_flight: 1, ..Limits::default() };
    let (mut sim, [caller, x, y]) = world(RouterConfig { limits, ..open_realm() });
    register(&mut sim, y, "other");
    call(&mut sim, caller, "other", 0);
    let (_, other, _) = invocation(&mut sim);
    register_with(&mut sim, x, "x", one());
    register_with(&mut sim, y, "x", one());
    call(&mut sim, caller, "x", 0);
    assert_eq!(invocation(&mut sim).0, x);
    let [request] = wait(&mut sim, caller, [1]);
    sim.cut(x);
    let events = sim.events();
    let own: Vec<_> = events.iter().filter(|(_, event)| event.answers() == Some(request)).collect();
    let [failed] = own[..] else { panic!("{events:?}") };
    assert_eq!(outcome_in(failed, caller, request), Err(error::NO_AVAILABLE_CALLEE));
    answer(&mut sim, y, other, 0);
    sim.events();
}

#[test]
fn a_session_can_wait_for_itself_and_vanish() {
    let (mut sim, [a, b]) = Sim::joined(1, [WIRE; 2]);
    register_with(&mut sim, a, "x", one());
    call(&mut sim, a, "x", 0);
    call(&mut sim, b, "x", 1);
    call(&mut sim, a, "x", 2);
    sim.events();
    sim.cut(a);
    let events = sim.events();
    assert_eq!(events.iter().filter(|(id, _)| *id == b).count(), 1, "{events:?}");
    let stats = sim.router.stats();
    assert_eq!((stats.calls_in_flight, stats.calls_waiting, stats.registrations), (0, 0, 0));
}

/// Whoever is first needs what the only callee that is left has not announced: those behind do not suffer for it.
#[test]
fn one_that_nobody_can_take_does_not_hold_up_those_behind() {
    let (mut sim, [caller, able]) = Sim::joined(1, [WIRE; 2]);
    let unable = callee_with(&mut sim, Features::NONE);
    for callee in [able, unable] {
        register_with(&mut sim, callee, "x", one());
        call(&mut sim, caller, "x", 0);
        assert_eq!(invocation(&mut sim).0, callee);
    }
    let scheme = PassThru { ppt_scheme: Some("x_custom".to_owned()), ..PassThru::default() };
    let options = CallOptions { pass_thru: Some(Box::new(scheme)), ..CallOptions::default() };
    let first = call_with(&mut sim, caller, "x", options, 1);
    wait(&mut sim, caller, [2]);
    assert_eq!(free(&mut sim, unable, id(1)), [], "the first waits for the other");
    sim.cut(able);
    let events = sim.events();
    let failed = events.iter().find(|(_, event)| event.answers() == Some(first)).expect("an answer");
    assert_eq!(outcome_in(failed, caller, first), Err(error::NO_AVAILABLE_CALLEE));
    let next = events.iter().find_map(|(id, event)| match event {
        ClientEvent::Invocation { payload, .. } => Some((*id, value(payload))),
        _ => None,
    });
    assert_eq!(next, Some((unable, 2)));
}
