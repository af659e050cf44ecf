//! Calls between clients, end to end.

use core::time::Duration;
use std::collections::BTreeMap;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::id::RequestId;
use wampd_core::message::{
    Call, CallOptions, CancelMode, Features, InvocationDetails, InvocationPolicy, Message, RegisterOptions, Yield,
    YieldOptions,
};
use wampd_core::router::{CloseReason, Limits, RequestIdCheck, RouterConfig, Violation};
use wampd_core::uri::{MatchPolicy, Uri, error};
use wampd_tests::answerer::{REALM, everybody};
use wampd_tests::calls::*;
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::sim::{Sim, Told};

const BOUND: usize = 100_000;

#[test]
fn a_call_reaches_its_callee_and_its_result_the_caller() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    let registration = register(&mut sim, callee, "double");
    let request = call(&mut sim, caller, "double", 21);
    let events = sim.events();
    let [(whom, ClientEvent::Invocation { request: invocation, registration: of, payload, details })] =
        events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((*whom, *of, value(payload)), (callee, registration, 21));
    assert_eq!(*details, InvocationDetails::default(), "nothing is disclosed");
    answer(&mut sim, callee, *invocation, 42);
    assert_eq!(outcome(&mut sim, caller, request), Ok(42));
}

#[test]
fn errors_pass_with_their_arguments() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "fail");
    let request = call(&mut sim, caller, "fail", 1);
    let (_, invocation, _) = invocation(&mut sim);
    let error = procedure("error");
    sim.act(callee, |client, _| client.yield_error(invocation, error.clone(), number(7))).expect("open");
    let events = sim.events();
    let [(_, ClientEvent::Failed { request: failed, error: why, payload, .. })] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((*failed, why, value(payload)), (request, &error, 7));
}

#[test]
fn procedures_exist_while_they_are_registered() {
    let (mut sim, [a, b]) = Sim::joined(1, [WIRE; 2]);
    let request = call(&mut sim, a, "double", 1);
    assert_eq!(outcome(&mut sim, a, request), Err(error::NO_SUCH_PROCEDURE));
    let registration = register(&mut sim, b, "double");
    for id in [a, b] {
        let request = ask_register(&mut sim, id, "double", RegisterOptions::default());
        assert_eq!(outcome(&mut sim, id, request), Err(error::PROCEDURE_ALREADY_EXISTS));
    }
    let request = sim.act(a, |client, now| client.unregister(now, registration)).expect("joined");
    assert_eq!(outcome(&mut sim, a, request), Err(error::NO_SUCH_REGISTRATION), "another session's");
    let request = sim.act(b, |client, now| client.unregister(now, registration)).expect("joined");
    assert_eq!(sim.events(), [(b, ClientEvent::Unregistered { request })]);
    let request = call(&mut sim, a, "double", 1);
    assert_eq!(outcome(&mut sim, a, request), Err(error::NO_SUCH_PROCEDURE));
    assert_ne!(register(&mut sim, a, "double"), registration);
}

#[test]
fn bad_procedures_are_refused() {
    let (mut sim, [a]) = Sim::joined(1, [WIRE]);
    for bad in ["com..x", "com.x y", "", "wamp.session.count", "wamp"] {
        let uri = || Uri::from(bad.to_owned());
        let request =
            sim.act(a, |client, now| client.register(now, uri(), RegisterOptions::default())).expect("joined");
        assert_eq!(outcome(&mut sim, a, request), Err(error::INVALID_URI), "{bad:?}");
    }
    let request = call(&mut sim, a, ".x", 1);
    assert_eq!(outcome(&mut sim, a, request), Err(error::INVALID_URI));
}

#[test]
fn a_registration_outlives_the_calls_it_has_not_answered() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    let registration = register(&mut sim, callee, "double");
    let request = call(&mut sim, caller, "double", 1);
    let (_, invocation, _) = invocation(&mut sim);
    sim.act(callee, |client, now| client.unregister(now, registration)).expect("joined");
    sim.events();
    answer(&mut sim, callee, invocation, 2);
    assert_eq!(outcome(&mut sim, caller, request), Ok(2));
}

#[test]
fn invocations_of_a_callee_are_numbered_from_one() {
    let (mut sim, [a, b, x, y]) = Sim::joined(1, [WIRE; 4]);
    for (callee, name) in [(x, "x1"), (x, "x2"), (y, "y1")] {
        register(&mut sim, callee, name);
    }
    let mut expected = BTreeMap::new();
    for n in 0..30 {
        let caller = if n % 3 == 0 { a } else { b };
        call(&mut sim, caller, ["x1", "y1", "x2", "x1"][n % 4], n as u64);
        let (callee, invocation, _) = invocation(&mut sim);
        let next = expected.entry(callee).or_insert(RequestId::FIRST);
        assert_eq!(invocation, *next);
        *next = next.next();
        if n % 2 == 0 {
            answer(&mut sim, callee, invocation, 0);
            sim.events();
        }
    }
}

#[test]
fn callers_are_disclosed_if_they_ask() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    for disclose_me in [false, true] {
        call_with(&mut sim, caller, "x", CallOptions { disclose_me, ..CallOptions::default() }, 1);
        let (_, _, details) = invocation(&mut sim);
        let session = details.caller.map(|caller| caller.session);
        assert_eq!(session, disclose_me.then(|| sim.session(caller).session));
    }
}

#[test]
fn patterns_tell_the_procedure_that_was_called() {
    let (mut sim, [caller, x, y, z]) = Sim::joined(1, [WIRE; 4]);
    let matching = |matching| RegisterOptions { matching, ..RegisterOptions::default() };
    register_with(&mut sim, x, "a.b", matching(MatchPolicy::Exact));
    register_with(&mut sim, y, "a", matching(MatchPolicy::Prefix));
    register_with(&mut sim, z, "a..c", matching(MatchPolicy::Wildcard));
    for (name, expected) in [("a.b", x), ("a.bc", y), ("a.b.c", y), ("a.b.c.d", y)] {
        call(&mut sim, caller, name, 1);
        let (callee, _, details) = invocation(&mut sim);
        assert_eq!(callee, expected, "{name}");
        assert_eq!(details.procedure, (callee != x).then(|| procedure(name)));
    }
    call(&mut sim, caller, "a.b.c", 1);
    assert_eq!(invocation(&mut sim).0, y, "a prefix goes before a wildcard");
}

#[test]
fn results_may_come_in_parts() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "count");
    let receive_progress = CallOptions { receive_progress: true, ..CallOptions::default() };
    let request = call_with(&mut sim, caller, "count", receive_progress, 3);
    let (_, invocation, details) = invocation(&mut sim);
    assert!(details.receive_progress);
    for n in 0..3 {
        let options = YieldOptions { progress: n < 2, ..YieldOptions::default() };
        sim.act(callee, |client, _| client.yield_result(invocation, options, number(n))).expect("open");
    }
    let results: Vec<_> = sim
        .events()
        .into_iter()
        .map(|(_, event)| match event {
            ClientEvent::Result { request: of, details, payload } => (of, details.progress, value(&payload)),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(results, [(request, true, 0), (request, true, 1), (request, false, 2)]);
}

#[test]
fn progress_is_asked_of_callees_that_give_it() {
    const BOTH: Features = Features::PROGRESSIVE_CALL_RESULTS.union(Features::CALL_CANCELING);
    for (features, needs_feature, needs_canceling, expected) in [
        (Features::NONE, false, false, true),
        (Features::PROGRESSIVE_CALL_RESULTS, false, false, true),
        (Features::NONE, true, false, false),
        (Features::CALL_CANCELING, true, false, false),
        (Features::PROGRESSIVE_CALL_RESULTS, true, false, true),
        (Features::CALL_CANCELING, false, true, false),
        (Features::PROGRESSIVE_CALL_RESULTS, false, true, false),
        (BOTH, false, true, true),
        (BOTH, true, true, true),
    ] {
        let (mut sim, [caller]) = world(realm_with(|realm| {
            realm.progress_needs_feature = needs_feature;
            realm.progress_needs_canceling = needs_canceling;
        }));
        let callee = callee_with(&mut sim, features);
        register(&mut sim, callee, "count");
        let receive_progress = CallOptions { receive_progress: true, ..CallOptions::default() };
        let request = call_with(&mut sim, caller, "count", receive_progress, 3);
        let (_, invocation, details) = invocation(&mut sim);
        assert_eq!(details.receive_progress, expected, "{features:?} {needs_feature} {needs_canceling}");
        let unannounced = expected && !features.contains(Features::PROGRESSIVE_CALL_RESULTS);
        assert_eq!(sim.router.stats().progress_unannounced, u64::from(unannounced));
        // Progress that was not asked for is dropped.
        let options = YieldOptions { progress: true, ..YieldOptions::default() };
        sim.send(callee, Yield { request: invocation, options, payload: number(1) });
        assert_eq!(sim.events().len(), usize::from(expected));
        answer(&mut sim, callee, invocation, 2);
        assert_eq!(outcome(&mut sim, caller, request), Ok(2));
    }
}

#[test]
fn a_call_can_be_canceled_in_three_ways() {
    for (mode, told_at_once, interrupted) in [
        (Some(CancelMode::Skip), true, false),
        (Some(CancelMode::Kill), false, true),
        (Some(CancelMode::KillNoWait), true, true),
        (None, true, true),
    ] {
        let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
        register(&mut sim, callee, "sleep");
        let request = call(&mut sim, caller, "sleep", 1);
        let (_, invocation, _) = invocation(&mut sim);
        sim.act(caller, |client, _| client.cancel(request, mode)).expect("waits");
        let events = sim.events();
        let was_interrupted = events.iter().any(|(id, event)| {
            *id == callee && matches!(event, ClientEvent::Interrupted { request, .. } if *request == invocation)
        });
        let failed = events.iter().any(|(id, event)| {
            *id == caller
                && matches!(event, ClientEvent::Failed { request: of, error: why, .. }
                    if *of == request && *why == error::CANCELED)
        });
        assert_eq!((failed, was_interrupted), (told_at_once, interrupted), "{mode:?}: {events:?}");
        assert_eq!(events.len(), usize::from(failed) + usize::from(was_interrupted));
        answer(&mut sim, callee, invocation, 2);
        if told_at_once {
            assert_eq!(sim.events(), [], "the late result is dropped, the callee stays");
            assert_eq!(sim.router.stats().late_answers, 1);
        } else {
            assert_eq!(outcome(&mut sim, caller, request), Ok(2));
        }
        assert_eq!(sim.router.stats().sessions, 2);
    }
}

#[test]
fn a_callee_that_can_not_be_interrupted_is_not() {
    let (mut sim, [caller]) = Sim::joined(1, [WIRE]);
    let callee = callee_with(&mut sim, Features::NONE);
    register(&mut sim, callee, "sleep");
    for mode in [CancelMode::Skip, CancelMode::Kill, CancelMode::KillNoWait] {
        let request = call(&mut sim, caller, "sleep", 1);
        sim.events();
        sim.act(caller, |client, _| client.cancel(request, Some(mode))).expect("waits");
        assert_eq!(outcome(&mut sim, caller, request), Err(error::CANCELED), "{mode:?}");
    }
}

#[test]
fn a_call_may_have_a_timeout() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "sleep");
    let timeout = CallOptions { timeout: Some(1_500), ..CallOptions::default() };
    let request = call_with(&mut sim, caller, "sleep", timeout, 1);
    let (_, invocation, _) = invocation(&mut sim);
    sim.run_for(Duration::from_millis(1_499), BOUND, |_, id, told| panic!("{id:?} {told:?}"));
    sim.run_for(Duration::from_millis(1), BOUND, |_, id, told| match told {
        Told::Event(ClientEvent::Failed { request: of, error: why, .. }) => {
            assert_eq!((id, of, why), (caller, request, error::TIMEOUT));
        }
        Told::Event(ClientEvent::Interrupted { request: of, .. }) => assert_eq!((id, of), (callee, invocation)),
        other => panic!("{other:?}"),
    });
    answer(&mut sim, callee, invocation, 2);
    assert_eq!(sim.events(), []);
    assert_eq!(sim.router.stats().calls_in_flight, 0);
}

#[test]
fn shared_registrations_take_turns_as_they_are_told() {
    for (invoke, expected) in [
        (InvocationPolicy::RoundRobin, Some([0, 1, 2, 0, 1, 2])),
        (InvocationPolicy::First, Some([0; 6])),
        (InvocationPolicy::Last, Some([2; 6])),
        (InvocationPolicy::Random, None),
    ] {
        let (mut sim, [caller, x, y, z]) = Sim::joined(1, [WIRE; 4]);
        let callees = [x, y, z];
        let options = || RegisterOptions { invoke, ..RegisterOptions::default() };
        let ids = callees.map(|callee| register_with(&mut sim, callee, "x", options()));
        assert!(ids[0] == ids[1] && ids[1] == ids[2], "one registration");
        let chosen: [usize; 6] = [0; 6].map(|_| {
            call(&mut sim, caller, "x", 1);
            let (callee, ..) = invocation(&mut sim);
            callees.iter().position(|id| *id == callee).expect("one of them")
        });
        if let Some(expected) = expected {
            assert_eq!(chosen, expected, "{invoke:?}");
        }
        let request = ask_register(&mut sim, caller, "x", RegisterOptions::default());
        assert_eq!(outcome(&mut sim, caller, request), Err(error::PROCEDURE_EXISTS_WITH_DIFFERENT_POLICY));
    }
}

#[test]
fn random_reaches_everybody() {
    let (mut sim, [caller, x, y, z]) = Sim::joined(1, [WIRE; 4]);
    let options = || RegisterOptions { invoke: InvocationPolicy::Random, ..RegisterOptions::default() };
    for callee in [x, y, z] {
        register_with(&mut sim, callee, "x", options());
    }
    let mut counts = BTreeMap::new();
    for _ in 0..300 {
        call(&mut sim, caller, "x", 1);
        *counts.entry(invocation(&mut sim).0).or_insert(0) += 1;
    }
    assert!(counts.len() == 3 && counts.values().all(|count| (60..140).contains(count)), "{counts:?}");
}

#[test]
fn a_callee_takes_no_more_than_it_said() {
    let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
    let options = |concurrency| RegisterOptions {
        invoke: InvocationPolicy::First,
        concurrency: Some(concurrency),
        ..RegisterOptions::default()
    };
    register_with(&mut sim, x, "x", options(1));
    register_with(&mut sim, y, "x", options(2));
    let mut first = None;
    for expected in [x, y, y] {
        call(&mut sim, caller, "x", 1);
        let (callee, invocation, _) = invocation(&mut sim);
        assert_eq!(callee, expected);
        first.get_or_insert(invocation);
    }
    answer(&mut sim, x, first.expect("invoked"), 1);
    sim.events();
    let canceled = call(&mut sim, caller, "x", 1);
    assert_eq!(invocation(&mut sim).0, x, "free again");
    sim.act(caller, |client, _| client.cancel(canceled, Some(CancelMode::KillNoWait))).expect("waits");
    sim.events();
    call(&mut sim, caller, "x", 1);
    assert_eq!(invocation(&mut sim).0, x, "a canceled call gives its place back");
}

#[test]
fn what_a_session_may_hold_is_bounded() {
    let limits = Limits {
        max_registrations_per_session: 1,
        max_calls_in_flight: 2,
        max_invocations_in_flight: 3,
        ..Limits::default()
    };
    let mut sim = Sim::new(1, RouterConfig { limits, ..open_realm() }, Duration::ZERO, everybody(ANYTHING));
    let [a, b, callee] = [0; 3].map(|_| sim.client(ClientConfig::anonymous(REALM), WIRE));
    sim.events();
    register(&mut sim, callee, "x");
    let request = ask_register(&mut sim, callee, "y", RegisterOptions::default());
    assert_eq!(outcome(&mut sim, callee, request), Err(error::RESOURCE_LIMIT));
    for _ in 0..2 {
        call(&mut sim, a, "x", 1);
        invocation(&mut sim);
    }
    let request = call(&mut sim, a, "x", 1);
    assert_eq!(outcome(&mut sim, a, request), Err(error::RESOURCE_LIMIT));
    call(&mut sim, b, "x", 1);
    invocation(&mut sim);
    let request = call(&mut sim, b, "x", 1);
    assert_eq!(outcome(&mut sim, b, request), Err(error::NO_AVAILABLE_CALLEE));
    assert_eq!(sim.router.stats().limited, 3);
}

fn raw_call(request: RequestId) -> Call {
    Call { request, options: CallOptions::default(), procedure: procedure("x"), payload: number(1) }
}

#[test]
fn request_ids_are_checked_as_configured() {
    let fifth = RequestId::new(5).expect("in range");
    for (check, tolerated, counted) in
        [(RequestIdCheck::Strict, false, 0), (RequestIdCheck::Warn, true, 1), (RequestIdCheck::Off, true, 0)]
    {
        let mut config = open_realm();
        config.realms[0].request_ids = check;
        let mut sim = Sim::new(1, config, Duration::ZERO, everybody(ANYTHING));
        let [caller, callee] = [0; 2].map(|_| sim.client(ClientConfig::anonymous(REALM), WIRE));
        sim.events();
        register(&mut sim, callee, "x");
        sim.send(caller, raw_call(fifth));
        let events = sim.events();
        if tolerated {
            assert!(matches!(events.as_slice(), [(_, ClientEvent::Invocation { .. })]), "{events:?}");
            assert_eq!(sim.router.stats().request_ids_out_of_sequence, counted);
            // Still in flight: never accepted again.
            sim.send(caller, raw_call(fifth));
            sim.settle(BOUND, |_, _, _| ());
            assert_eq!(sim.closed, [(caller, CloseReason::Violation(Violation::RequestInUse(fifth)))]);
        } else {
            let violation = Violation::RequestOutOfSequence { expected: RequestId::FIRST, got: fifth };
            assert_eq!(sim.closed, [(caller, CloseReason::Violation(violation))]);
        }
    }
}

#[test]
fn a_callee_that_answers_what_it_was_not_asked_is_sent_away() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    let request = call(&mut sim, caller, "x", 1);
    let (_, invocation, _) = invocation(&mut sim);
    let unknown = invocation.next();
    sim.send(callee, Yield { request: unknown, options: YieldOptions::default(), payload: number(1) });
    let mut told = Vec::new();
    sim.settle(BOUND, |_, id, what| told.push((id, what)));
    assert_eq!(sim.closed, [(callee, CloseReason::Violation(Violation::UnknownInvocation(unknown)))]);
    let answers: Vec<_> = told.iter().filter(|(id, _)| *id == caller).collect();
    let [(_, Told::Event(ClientEvent::Failed { request: of, error: why, .. }))] = answers.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((*of, why), (request, &error::CANCELED));
}

#[test]
fn a_session_may_call_itself_and_vanish() {
    let (mut sim, [a, _]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, a, "x");
    let request = call(&mut sim, a, "x", 1);
    let (callee, invocation, _) = invocation(&mut sim);
    assert_eq!(callee, a);
    answer(&mut sim, a, invocation, 2);
    assert_eq!(outcome(&mut sim, a, request), Ok(2));
    call(&mut sim, a, "x", 1);
    sim.events();
    sim.cut(a);
    sim.settle(BOUND, |_, _, _| ());
    let stats = sim.router.stats();
    assert_eq!((stats.sessions, stats.registrations, stats.calls_in_flight), (1, 0, 0));
}

#[test]
fn a_callee_is_told_when_its_caller_is_gone() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    call(&mut sim, caller, "x", 1);
    let (_, invocation, _) = invocation(&mut sim);
    sim.cut(caller);
    let events = sim.events();
    let mode = Some(CancelMode::KillNoWait);
    assert!(events.contains(&(callee, ClientEvent::Interrupted { request: invocation, mode })), "{events:?}");
    answer(&mut sim, callee, invocation, 1);
    assert_eq!(sim.events(), []);
    assert_eq!(sim.router.stats().sessions, 1);
}

/// Whoever vanishes, whenever: each call that a living caller made has exactly one final answer, and nothing remains.
#[test]
fn anybody_may_vanish_at_any_moment() {
    for victim_calls in [false, true] {
        for steps in 0..80 {
            let mut sim = Sim::new(steps, open_realm(), Duration::from_millis(1), everybody(ANYTHING));
            let [a, b, x, y] = [0; 4].map(|_| sim.client(ClientConfig::anonymous(REALM), WIRE));
            sim.events();
            let shared = || RegisterOptions { invoke: InvocationPolicy::RoundRobin, ..RegisterOptions::default() };
            for callee in [x, y] {
                register_with(&mut sim, callee, "x", shared());
            }
            let mut waiting: Vec<_> =
                (0..12).map(|n| if n % 2 == 0 { a } else { b }).map(|id| (id, call(&mut sim, id, "x", 1))).collect();
            let victim = if victim_calls { a } else { x };
            let mut told = Vec::new();
            for step in 0..10_000 {
                if step == steps {
                    sim.cut(victim);
                }
                sim.run_for(Duration::from_micros(20), BOUND, |_, id, what| told.push((id, what)));
                if step > steps && told.is_empty() && step > 400 {
                    break;
                }
                for (id, what) in core::mem::take(&mut told) {
                    let Told::Event(event) = what else { panic!("{what:?}") };
                    if let Some(request) = event.answers() {
                        let before = waiting.len();
                        waiting.retain(|call| *call != (id, request));
                        assert_eq!(waiting.len() + 1, before, "answered twice: {event:?}");
                    }
                    if let ClientEvent::Invocation { request, .. } = event {
                        let _ =
                            sim.act(id, |client, _| client.yield_result(request, YieldOptions::default(), number(2)));
                    }
                }
            }
            assert_eq!(waiting, [], "victim {victim:?} cut at {steps}\n{}", sim.tail());
            let stats = sim.router.stats();
            assert_eq!((stats.peers, stats.calls_in_flight), (3, 0), "victim {victim:?} cut at {steps}");
        }
    }
}

#[test]
fn late_answers_harm_nobody() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    call(&mut sim, caller, "x", 1);
    let (_, invocation, _) = invocation(&mut sim);
    answer(&mut sim, callee, invocation, 1);
    sim.events();
    // A second answer, behind the client's back.
    for _ in 0..2 {
        let again: Message = Yield { request: invocation, options: YieldOptions::default(), payload: number(1) }.into();
        sim.send(callee, again);
        assert_eq!(sim.events(), []);
    }
    assert_eq!(sim.router.stats().late_answers, 2);
}
