//! Calls in several parts (spec: "Progressive Call Invocations").

use core::time::Duration;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::codec::Format;
use wampd_core::id::RequestId;
use wampd_core::message::{
    Call, CallOptions, CancelMode, ClientRoles, Features, InvocationDetails, InvocationPolicy, PassThru, Payload,
    RegisterOptions,
};
use wampd_core::router::{
    Action, ActionVerdict, CloseReason, Congestion, Limits, RequestIdCheck, RouterConfig, Violation,
};
use wampd_core::uri::{MatchPolicy, error};
use wampd_core::value::Value;
use wampd_tests::answerer::{REALM, everybody};
use wampd_tests::calls::*;
use wampd_tests::config::{ASKED, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::sim::{EndId, Sim, Told};

const PARTS: Features = Features::PROGRESSIVE_CALL_INVOCATIONS.union(Features::CALL_CANCELING);

fn progress() -> CallOptions {
    CallOptions { progress: true, ..CallOptions::default() }
}

fn begin(sim: &mut Sim, id: EndId, name: &str, n: u64) -> RequestId {
    call_with(sim, id, name, progress(), n)
}

fn go_on(sim: &mut Sim, id: EndId, call: RequestId, progress: bool, n: u64) {
    sim.act(id, |client, _| client.continue_call(call, progress, number(n))).expect("the call goes on");
}

/// A part behind the client's back.
fn raw_part(sim: &mut Sim, id: EndId, request: RequestId, name: &str, progress: bool) {
    let options = CallOptions { progress, ..CallOptions::default() };
    sim.send(id, Call { request, options, procedure: procedure(name), payload: number(0) });
}

fn closed(sim: &mut Sim) -> Vec<(EndId, CloseReason)> {
    sim.settle(10_000, |_, _, _| ());
    core::mem::take(&mut sim.closed)
}

fn id(n: u64) -> RequestId {
    RequestId::new(n).expect("in range")
}

#[test]
fn parts_reach_the_callee_as_one_invocation() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    let registration = register(&mut sim, callee, "upload");
    let request = begin(&mut sim, caller, "upload", 0);
    let (_, invocation, details) = invocation(&mut sim);
    assert!(details.progress);
    for (n, more) in [(1, true), (2, true), (3, false)] {
        go_on(&mut sim, caller, request, more, n);
        let events = sim.events();
        let [(whom, ClientEvent::Invocation { request: of, registration: by, details, payload })] = events.as_slice()
        else {
            panic!("{events:?}")
        };
        assert_eq!((*whom, *of, *by, value(payload), details.progress), (callee, invocation, registration, n, more));
    }
    answer(&mut sim, callee, invocation, 4);
    assert_eq!(outcome(&mut sim, caller, request), Ok(4));
    assert_eq!((sim.router.stats().calls, sim.router.stats().calls_in_flight), (1, 0), "one call");
}

#[test]
fn other_calls_go_between_the_parts() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    let (a, b) = (begin(&mut sim, caller, "x", 1), begin(&mut sim, caller, "x", 10));
    let c = call(&mut sim, caller, "x", 20);
    go_on(&mut sim, caller, b, false, 11);
    go_on(&mut sim, caller, a, false, 2);
    let (first, second, third) = (id(1), id(2), id(3));
    let expected = [(first, 1), (second, 10), (third, 20), (second, 11), (first, 2)]
        .map(|(invocation, n)| (callee, invocation, n));
    assert_eq!(invocations(&mut sim), expected);
    for (invocation, request) in [(second, b), (first, a), (third, c)] {
        answer(&mut sim, callee, invocation, 0);
        assert_eq!(outcome(&mut sim, caller, request), Ok(0));
    }
}

#[test]
fn parts_and_progressive_results_make_a_stream_both_ways() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "chat");
    let options = CallOptions { receive_progress: true, ..progress() };
    let request = call_with(&mut sim, caller, "chat", options, 0);
    let (_, invocation, details) = invocation(&mut sim);
    assert!(details.progress && details.receive_progress);
    for n in 0..3 {
        answer_with(&mut sim, callee, invocation, true, n);
        let events = sim.events();
        assert!(matches!(&events[..], [(_, ClientEvent::Result { details, .. })] if details.progress), "{events:?}");
        go_on(&mut sim, caller, request, true, n);
        assert_eq!(invocations(&mut sim), [(callee, invocation, n)]);
    }
    go_on(&mut sim, caller, request, false, 9);
    assert_eq!(invocations(&mut sim), [(callee, invocation, 9)]);
    answer(&mut sim, callee, invocation, 10);
    assert_eq!(outcome(&mut sim, caller, request), Ok(10));
}

#[test]
fn options_are_those_of_the_first_part() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register_with(&mut sim, callee, "up", RegisterOptions { matching: MatchPolicy::Prefix, ..Default::default() });
    let scheme = |scheme: &str| Some(Box::new(PassThru { ppt_scheme: Some(scheme.to_owned()), ..PassThru::default() }));
    let options =
        CallOptions { disclose_me: true, receive_progress: true, pass_thru: scheme("x_custom"), ..progress() };
    let request = call_with(&mut sim, caller, "up.load", options, 0);
    let (_, _, first) = invocation(&mut sim);
    assert_eq!((&first.procedure, &first.pass_thru), (&Some(procedure("up.load")), &scheme("x_custom")));
    assert!(first.caller.is_some());
    // What a later part says of anything else is ignored.
    for pass_thru in [None, scheme("x_other")] {
        let options = CallOptions { timeout: Some(1), disclose_me: false, pass_thru, ..progress() };
        let payload = number(1);
        sim.send(caller, Call { request, options, procedure: procedure("up.load"), payload });
        assert_eq!(invocation(&mut sim).2, first);
    }
    go_on(&mut sim, caller, request, false, 2);
    assert_eq!(invocation(&mut sim).2, InvocationDetails { progress: false, ..first });
    assert_eq!(sim.router.next_deadline(), None);
}

#[test]
fn all_parts_go_to_one_callee() {
    let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
    for callee in [x, y] {
        register_with(
            &mut sim,
            callee,
            "x",
            RegisterOptions { invoke: InvocationPolicy::RoundRobin, ..Default::default() },
        );
    }
    let a = begin(&mut sim, caller, "x", 0);
    let (first, ..) = invocation(&mut sim);
    let b = begin(&mut sim, caller, "x", 0);
    let (second, ..) = invocation(&mut sim);
    assert_eq!((first, second), (x, y));
    for (call, callee) in [(a, x), (b, y), (b, y), (a, x)] {
        go_on(&mut sim, caller, call, true, 1);
        assert_eq!(invocation(&mut sim).0, callee);
    }
}

#[test]
fn a_callee_must_have_announced_it() {
    let (mut sim, [caller]) = Sim::joined(1, [WIRE; 1]);
    let lacking = [Features::NONE, Features::CALL_CANCELING, Features::PROGRESSIVE_CALL_INVOCATIONS];
    for (n, features) in lacking.into_iter().enumerate() {
        let callee = callee_with(&mut sim, features);
        let name = format!("x{n}");
        register(&mut sim, callee, &name);
        let request = begin(&mut sim, caller, &name, 1);
        assert_eq!(outcome(&mut sim, caller, request), Err(error::FEATURE_NOT_SUPPORTED), "{features:?}");
    }
    // Of several callees one that has is chosen.
    let options = || RegisterOptions { invoke: InvocationPolicy::First, ..RegisterOptions::default() };
    for features in [Features::NONE, PARTS] {
        let callee = callee_with(&mut sim, features);
        register_with(&mut sim, callee, "x", options());
        if features == PARTS {
            begin(&mut sim, caller, "x", 1);
            assert_eq!(invocation(&mut sim).0, callee);
        }
    }
}

#[test]
fn a_caller_must_have_announced_it() {
    let (mut sim, [callee]) = Sim::joined(1, [WIRE; 1]);
    register(&mut sim, callee, "x");
    let roles = ClientRoles { caller: Some(Features::CALL_CANCELING), ..ClientRoles::default() };
    let caller = sim.client(ClientConfig { roles, ..ClientConfig::anonymous(REALM) }, WIRE);
    sim.events();
    raw_part(&mut sim, caller, id(1), "x", true);
    let violation =
        Violation::NotAnnounced { message: "CALL", role: "caller", feature: "progressive_call_invocations" };
    assert_eq!(closed(&mut sim), [(caller, CloseReason::Violation(violation))]);
}

/// Answered before the last part: what the caller sent without knowing is dropped, in all modes.
#[test]
fn parts_of_a_call_that_has_ended_are_dropped() {
    for check in [RequestIdCheck::Strict, RequestIdCheck::Warn, RequestIdCheck::Off] {
        let (mut sim, [caller, callee]) = world(realm_with(|realm| realm.request_ids = check));
        register(&mut sim, callee, "x");
        let request = begin(&mut sim, caller, "x", 1);
        let (_, invocation, _) = invocation(&mut sim);
        answer(&mut sim, callee, invocation, 2);
        assert_eq!(outcome(&mut sim, caller, request), Ok(2), "a result before the last part");
        for more in [true, true, false] {
            raw_part(&mut sim, caller, request, "x", more);
        }
        assert_eq!(sim.events(), []);
        let stats = sim.router.stats();
        assert_eq!((stats.late_call_parts, stats.request_ids_out_of_sequence, stats.sessions), (3, 0, 2), "{check:?}");
        // The sequence goes on where it was.
        let request = call(&mut sim, caller, "x", 3);
        assert_eq!(request, id(2));
        assert_eq!(invocations(&mut sim).len(), 1);
    }
}

#[test]
fn an_id_in_use_is_not_used_for_anything_else() {
    for (name, progressive, finish) in [("x", false, false), ("y", true, false), ("x", true, true)] {
        let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
        register(&mut sim, callee, "x");
        register(&mut sim, callee, "y");
        let options = CallOptions { progress: progressive, ..CallOptions::default() };
        let request = call_with(&mut sim, caller, "x", options, 1);
        if finish {
            go_on(&mut sim, caller, request, false, 2);
        }
        sim.events();
        raw_part(&mut sim, caller, request, name, true);
        let violation = CloseReason::Violation(Violation::RequestInUse(request));
        assert_eq!(closed(&mut sim), [(caller, violation)], "{name} {progressive} {finish}");
    }
}

/// The specification's watermark: a gap is a violation, whatever is in flight.
#[test]
fn a_gap_in_request_ids_is_still_a_violation() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    let first = begin(&mut sim, caller, "x", 1);
    call(&mut sim, caller, "x", 2);
    go_on(&mut sim, caller, first, true, 3);
    assert_eq!(invocations(&mut sim).len(), 3);
    raw_part(&mut sim, caller, id(4), "x", true);
    let violation = Violation::RequestOutOfSequence { expected: id(3), got: id(4) };
    assert_eq!(closed(&mut sim), [(caller, CloseReason::Violation(violation))]);
}

#[test]
fn a_canceled_call_goes_on_no_more() {
    for (mode, ends) in [(CancelMode::Skip, true), (CancelMode::KillNoWait, true), (CancelMode::Kill, false)] {
        let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
        register(&mut sim, callee, "x");
        let request = begin(&mut sim, caller, "x", 1);
        let (_, invocation, _) = invocation(&mut sim);
        cancel(&mut sim, caller, request, Some(mode));
        let events = sim.events();
        let answers = events.iter().filter(|(_, event)| event.answers() == Some(request)).count();
        assert_eq!(answers, usize::from(ends), "{events:?}");
        raw_part(&mut sim, caller, request, "x", true);
        raw_part(&mut sim, caller, request, "x", false);
        assert_eq!(sim.events(), [], "{mode:?}");
        answer_error(&mut sim, callee, invocation, error::CANCELED);
        if ends {
            assert_eq!(sim.events(), []);
        } else {
            assert_eq!(outcome(&mut sim, caller, request), Err(error::CANCELED));
        }
        assert_eq!(sim.router.stats().sessions, 2);
    }
}

#[test]
fn whoever_vanishes_between_parts_ends_the_call() {
    let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
    register(&mut sim, x, "x");
    register(&mut sim, y, "y");
    let request = begin(&mut sim, caller, "x", 1);
    go_on(&mut sim, caller, request, true, 2);
    sim.events();
    sim.cut(x);
    let events = sim.events();
    let failed = |(_, event): &&_| {
        matches!(event, ClientEvent::Failed { request: of, error: why, .. }
        if *of == request && *why == error::CANCELED)
    };
    assert_eq!(events.iter().filter(failed).count(), 1, "{events:?}");
    raw_part(&mut sim, caller, request, "x", true);
    assert_eq!(sim.events(), [], "the caller did not know yet");

    begin(&mut sim, caller, "y", 1);
    let (_, invocation, _) = invocation(&mut sim);
    sim.cut(caller);
    let events = sim.events();
    let mode = Some(CancelMode::KillNoWait);
    assert!(events.contains(&(y, ClientEvent::Interrupted { request: invocation, mode })), "{events:?}");
    assert_eq!(sim.router.stats().calls_in_flight, 0);
}

/// A stream has no bound, so that it can not wait in line.
#[test]
fn a_call_in_parts_does_not_wait_for_a_busy_callee() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register_with(&mut sim, callee, "x", RegisterOptions { concurrency: Some(1), ..RegisterOptions::default() });
    begin(&mut sim, caller, "x", 1);
    let (_, invocation, _) = invocation(&mut sim);
    let request = begin(&mut sim, caller, "x", 1);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
    answer(&mut sim, callee, invocation, 1);
    sim.events();
    begin(&mut sim, caller, "x", 1);
    invocation_of(&mut sim, callee);
}

fn invocation_of(sim: &mut Sim, callee: EndId) {
    assert_eq!(invocation(sim).0, callee);
}

#[test]
fn a_part_that_the_callee_can_not_read_ends_the_call() {
    let (mut sim, [caller]) = Sim::joined(1, [WIRE; 1]);
    let callee = sim.client(ClientConfig::anonymous(REALM), Wire::Bytes(Format::Json));
    sim.events();
    register(&mut sim, callee, "x");
    let request = begin(&mut sim, caller, "x", 1);
    let (_, invocation, _) = invocation(&mut sim);
    let reserved = Payload::from_args([Value::from("\0x")]); // which JSON takes for binary
    sim.act(caller, |client, _| client.continue_call(request, true, reserved)).expect("the call goes on");
    let (of_callee, of_caller): (Vec<_>, Vec<_>) = sim.events().into_iter().partition(|(id, _)| *id == callee);
    let mode = Some(CancelMode::KillNoWait);
    assert_eq!(of_callee, [(callee, ClientEvent::Interrupted { request: invocation, mode })]);
    let [failed] = &of_caller[..] else { panic!("{of_caller:?}") };
    assert_eq!(outcome_in(failed, caller, request), Err(error::INVALID_ARGUMENT));
}

/// A caller of whom an authorizer is asked each time, which takes a second to allow calls of `good` and to deny others.
fn world_with_authorizer() -> (Sim, EndId, EndId) {
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, everybody(ASKED));
    sim.authorize_by(Box::new(|request, _| {
        let verdict = match (request.action, request.uri.as_str()) {
            (Action::Call, "com.example.bad") => ActionVerdict::Deny { cache: None },
            _ => ActionVerdict::Allow { disclose: false, cache: None },
        };
        vec![(Duration::from_secs(1), verdict)]
    }));
    let [caller, callee] = [(); 2].map(|()| sim.client(ClientConfig::anonymous(REALM), WIRE));
    sim.events();
    register(&mut sim, callee, "good");
    (sim, caller, callee)
}

#[test]
fn parts_are_held_in_order_behind_a_question() {
    let (mut sim, caller, callee) = world_with_authorizer();
    let first = begin(&mut sim, caller, "good", 0);
    go_on(&mut sim, caller, first, true, 1);
    go_on(&mut sim, caller, first, true, 2);
    let expected = [0, 1, 2].map(|n| (callee, id(1), n));
    assert_eq!(invocations(&mut sim), expected);
    // Behind a question about another call, so that calls stay in order; the part itself is not asked about.
    call(&mut sim, caller, "good", 10);
    go_on(&mut sim, caller, first, false, 3);
    assert_eq!(invocations(&mut sim), [(callee, id(2), 10), (callee, id(1), 3)]);
    // The last part is on its way: more is a violation, though nothing was decided yet.
    let second = begin(&mut sim, caller, "good", 0);
    go_on(&mut sim, caller, second, false, 1);
    raw_part(&mut sim, caller, second, "good", true);
    assert_eq!(closed(&mut sim), [(caller, CloseReason::Violation(Violation::RequestInUse(second)))]);
}

#[test]
fn parts_of_a_call_that_is_denied_or_canceled_while_asked_are_dropped() {
    let (mut sim, caller, _) = world_with_authorizer();
    let denied = begin(&mut sim, caller, "bad", 0);
    go_on(&mut sim, caller, denied, true, 1);
    assert_eq!(outcome(&mut sim, caller, denied), Err(error::NOT_AUTHORIZED));
    let canceled = begin(&mut sim, caller, "good", 0);
    go_on(&mut sim, caller, canceled, true, 1);
    cancel(&mut sim, caller, canceled, None);
    assert_eq!(outcome(&mut sim, caller, canceled), Err(error::CANCELED));
    let stats = sim.router.stats();
    assert_eq!((stats.late_call_parts, stats.calls_in_flight, stats.sessions), (2, 0, 2));
}

#[test]
fn limits_are_those_of_one_call() {
    let limits = Limits { max_calls_in_flight: 1, ..Limits::default() };
    let (mut sim, [caller, callee]) = world(RouterConfig { limits, ..open_realm() });
    register(&mut sim, callee, "x");
    let request = begin(&mut sim, caller, "x", 1);
    for n in 0..5 {
        go_on(&mut sim, caller, request, true, n);
    }
    assert_eq!(invocations(&mut sim).len(), 6);
    let refused = call(&mut sim, caller, "x", 1);
    assert_eq!(outcome(&mut sim, caller, refused), Err(error::RESOURCE_LIMIT));
}

#[test]
fn what_is_kept_of_calls_that_go_on_is_bounded() {
    let limits = Limits { max_kept_call_bytes: 2_000, ..Limits::default() };
    let (mut sim, [caller, callee]) = world(RouterConfig { limits, ..open_realm() });
    register(&mut sim, callee, "x");
    let long = || CallOptions { rkey: Some("k".repeat(1_000)), ..progress() };
    let first = call_with(&mut sim, caller, "x", long(), 1);
    let (_, invocation, _) = invocation(&mut sim);
    let second = call_with(&mut sim, caller, "x", long(), 1);
    assert_eq!(outcome(&mut sim, caller, second), Err(error::RESOURCE_LIMIT));
    // Other calls are not kept.
    call(&mut sim, caller, "x", 1);
    assert_eq!(invocations(&mut sim).len(), 1);
    answer(&mut sim, callee, invocation, 1);
    assert_eq!(outcome(&mut sim, caller, first), Ok(1));
    call_with(&mut sim, caller, "x", long(), 1);
    assert_eq!(invocations(&mut sim).len(), 1);
}

/// Parts of a call until its caller is no longer read from.
fn fill(sim: &mut Sim, caller: EndId, callee: EndId, name: &str) -> (RequestId, RequestId) {
    let request = begin(sim, caller, name, 0);
    let (_, invocation, _) = invocation(sim);
    sim.congest(callee, Congestion::Soft);
    assert!(!sim.router.wants_input(sim.peer(caller).expect("connected")));
    go_on(sim, caller, request, true, 1);
    call(sim, caller, name, 2);
    assert_eq!(sim.events(), [], "nothing is read");
    (request, invocation)
}

#[test]
fn a_caller_waits_for_a_callee_that_does_not_keep_up() {
    let (mut sim, [caller, other, callee]) = Sim::joined(1, [WIRE; 3]);
    register(&mut sim, callee, "x");
    let (request, first) = fill(&mut sim, caller, callee, "x");
    // Others make other calls meanwhile; a few of those that wait do not count.
    call(&mut sim, other, "x", 5);
    assert_eq!(sim.events(), []);
    assert!(sim.router.wants_input(sim.peer(other).expect("connected")));
    sim.congest(callee, Congestion::Clear);
    assert_eq!(invocations(&mut sim), [(callee, id(2), 5), (callee, first, 1), (callee, id(3), 2)]);
    assert_eq!(sim.router.next_deadline(), None);
    // With the last part there is nothing more to wait for.
    sim.congest(callee, Congestion::Soft);
    assert!(!sim.router.wants_input(sim.peer(caller).expect("connected")));
    sim.congest(callee, Congestion::Clear);
    go_on(&mut sim, caller, request, false, 3);
    assert_eq!(invocations(&mut sim).len(), 1);
    sim.congest(callee, Congestion::Soft);
    assert!(sim.router.wants_input(sim.peer(caller).expect("connected")));
    assert_eq!(sim.router.stats().calls_stalled, 2);
}

#[test]
fn a_call_begun_while_the_callee_is_behind_waits_too() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    sim.congest(callee, Congestion::Soft);
    let request = begin(&mut sim, caller, "x", 0);
    go_on(&mut sim, caller, request, true, 1);
    assert_eq!(sim.events(), [], "the first is kept, the next is not read");
    assert!(!sim.router.wants_input(sim.peer(caller).expect("connected")));
    sim.congest(callee, Congestion::Clear);
    assert_eq!(invocations(&mut sim), [(callee, id(1), 0), (callee, id(1), 1)]);
}

#[test]
fn a_caller_does_not_wait_for_ever() {
    let limits = Limits { stall_timeout: Duration::from_secs(3), ..Limits::default() };
    let (mut sim, [caller, callee]) = world(RouterConfig { limits, ..open_realm() });
    register(&mut sim, callee, "x");
    let (request, first) = fill(&mut sim, caller, callee, "x");
    let mut told = Vec::new();
    sim.run_for(Duration::from_millis(2_999), 1_000, |_, id, what| told.push((id, what)));
    assert_eq!(told, []);
    sim.run_for(Duration::from_millis(1), 1_000, |_, id, what| told.push((id, what)));
    let mode = Some(CancelMode::KillNoWait);
    assert!(told.contains(&(callee, Told::Event(ClientEvent::Interrupted { request: first, mode }))), "{told:?}");
    let failed = |(whom, what): &(EndId, Told)| match what {
        Told::Event(event) if *whom == caller => event.answers() == Some(request),
        _ => false,
    };
    assert!(told.iter().any(failed), "{told:?}");
    // What was not read is read now: a part that is late, and a call, which is not made to wait again.
    assert_eq!((sim.router.stats().late_call_parts, sim.router.stats().calls_in_flight), (1, 0));
}

#[test]
fn however_a_call_ends_its_caller_is_read_from_again() {
    type End = fn(&mut Sim, EndId, RequestId);
    let ends: [(&str, End); 4] = [
        ("result", |sim, callee, invocation| answer(sim, callee, invocation, 1)),
        ("error", |sim, callee, invocation| answer_error(sim, callee, invocation, error::INVALID_ARGUMENT)),
        ("gone", |sim, callee, _| sim.cut(callee)),
        ("slow", |sim, callee, _| sim.congest(callee, Congestion::Hard)),
    ];
    for (what, end) in ends {
        let (mut sim, [caller, callee, other]) = Sim::joined(1, [WIRE; 3]);
        register(&mut sim, callee, "x");
        register(&mut sim, other, "y");
        let (_, first) = fill(&mut sim, caller, callee, "x");
        if what == "result" || what == "error" {
            // A congested peer is not read from either, so its answer comes by hand.
            sim.congest(callee, Congestion::Clear);
            sim.events();
        }
        end(&mut sim, callee, first);
        sim.settle(1_000, |_, _, _| ());
        assert!(sim.router.wants_input(sim.peer(caller).expect("connected")), "{what}");
        call(&mut sim, caller, "y", 9);
        let events = sim.events();
        assert!(events.iter().any(|(id, _)| *id == other), "{what}: {events:?}");
    }
}

#[test]
fn a_call_that_is_rerouted_does_not_wait_for_the_first_callee() {
    let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
    for callee in [x, y] {
        register_with(&mut sim, callee, "x", RegisterOptions { invoke: InvocationPolicy::First, ..Default::default() });
    }
    let request = begin(&mut sim, caller, "x", 0);
    let (_, first, _) = invocation(&mut sim);
    // It has answered before its queue filled up; the answer is read when that is clear again.
    answer_error(&mut sim, x, first, error::UNAVAILABLE);
    sim.congest(x, Congestion::Soft);
    assert!(!sim.router.wants_input(sim.peer(caller).expect("connected")));
    sim.congest(x, Congestion::Clear);
    assert_eq!(invocation(&mut sim).0, y);
    sim.congest(x, Congestion::Soft);
    go_on(&mut sim, caller, request, false, 1);
    assert_eq!(invocations(&mut sim).len(), 1);
}
