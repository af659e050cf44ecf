//! Peers that do not read as fast as others send to them: who waits, who misses something, and that nobody is harmed who
//! did not cause it.

use core::time::Duration;
use wampd_core::client::ClientEvent;
use wampd_core::id::RequestId;
use wampd_core::message::{CallOptions, InvocationPolicy, Payload, PublishOptions, RegisterOptions, SubscribeOptions};
use wampd_core::router::{CloseReason, Congestion, Limits, RouterConfig, SlowSubscribers};
use wampd_core::uri::{Uri, error};
use wampd_core::value::Value;
use wampd_tests::calls::*;
use wampd_tests::config::open_realm;
use wampd_tests::sim::{EndId, Fill, Sim, Told};

fn with(limits: Limits) -> RouterConfig {
    RouterConfig { limits, ..open_realm() }
}

fn is_heard(sim: &Sim, id: EndId) -> bool {
    sim.router.wants_input(sim.peer(id).expect("connected"))
}

fn numbers(invocations: &[(EndId, RequestId, u64)]) -> Vec<(EndId, u64)> {
    invocations.iter().map(|(id, _, n)| (*id, *n)).collect()
}

fn shared(invoke: InvocationPolicy) -> RegisterOptions {
    RegisterOptions { invoke, ..RegisterOptions::default() }
}

/// What everybody is told while time goes by.
fn in_time(sim: &mut Sim, time: Duration) -> Vec<(EndId, ClientEvent)> {
    let mut told = Vec::new();
    sim.run_for(time, 100_000, |_, id, what| {
        if let Told::Event(event) = what {
            told.push((id, event));
        }
    });
    told
}

#[test]
fn calls_wait_until_the_callee_reads_again() {
    let (mut sim, [a, b, callee]) = Sim::joined(1, [WIRE; 3]);
    register(&mut sim, callee, "x");
    sim.congest(callee, Congestion::Soft);
    for (caller, n) in [(a, 1), (b, 2), (a, 3)] {
        call(&mut sim, caller, "x", n);
    }
    assert_eq!(sim.events(), [], "no more for who does not keep up");
    assert!(is_heard(&sim, a) && is_heard(&sim, b), "a few calls are free");
    let stats = sim.router.stats();
    assert_eq!((stats.calls_waiting, stats.calls_queued, stats.calls_held_back), (3, 3, 3));
    sim.congest(callee, Congestion::Clear);
    assert_eq!(numbers(&invocations(&mut sim)), [(callee, 1), (callee, 2), (callee, 3)]);
    assert_eq!((sim.router.stats().calls_waiting, sim.router.next_deadline()), (0, None));
}

#[test]
fn the_callee_gets_one_call_at_a_time_and_no_more_once_it_falls_behind_again() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    sim.congest(callee, Congestion::Soft);
    (0..9).for_each(|n| _ = call(&mut sim, caller, "x", n));
    sim.events();
    for expected in [[0, 1], [2, 3]] {
        sim.fill(callee, Fill::After(2));
        sim.congest(callee, Congestion::Clear);
        assert_eq!(numbers(&invocations(&mut sim)), expected.map(|n| (callee, n)));
    }
    sim.congest(callee, Congestion::Clear);
    assert_eq!(invocations(&mut sim).len(), 5);
}

#[test]
fn lines_of_one_callee_take_turns() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    for name in ["x", "y"] {
        register(&mut sim, callee, name);
    }
    sim.congest(callee, Congestion::Soft);
    (0..3).for_each(|n| _ = call(&mut sim, caller, "x", n));
    (10..13).for_each(|n| _ = call(&mut sim, caller, "y", n));
    sim.events();
    sim.congest(callee, Congestion::Clear);
    let order: Vec<u64> = invocations(&mut sim).into_iter().map(|(_, _, n)| n).collect();
    assert_eq!(order, [0, 10, 1, 11, 2, 12]);
}

#[test]
fn callees_that_keep_up_are_preferred() {
    use InvocationPolicy::{First, Last, Random, RoundRobin};
    for invoke in [First, Last, Random, RoundRobin] {
        let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
        for callee in [x, y] {
            register_with(&mut sim, callee, "x", shared(invoke));
        }
        for (slow, quick) in [(x, y), (y, x)] {
            sim.congest(slow, Congestion::Soft);
            for n in 0..3 {
                call(&mut sim, caller, "x", n);
                assert_eq!(numbers(&invocations(&mut sim)), [(quick, n)], "{invoke:?}");
            }
            sim.congest(slow, Congestion::Clear);
        }
        sim.congest(x, Congestion::Soft);
        sim.congest(y, Congestion::Soft);
        call(&mut sim, caller, "x", 9);
        assert_eq!(sim.events(), []);
        sim.congest(y, Congestion::Clear);
        assert_eq!(numbers(&invocations(&mut sim)), [(y, 9)], "whoever reads first");
        sim.congest(x, Congestion::Clear);
        assert_eq!(sim.events(), []);
    }
}

#[test]
fn calls_of_a_resource_key_wait_for_their_shard() {
    let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
    for (callee, nkey) in [(x, "a"), (y, "b")] {
        let nkey = Some(nkey.to_owned());
        register_with(&mut sim, callee, "x", RegisterOptions { nkey, ..shared(InvocationPolicy::RoundRobin) });
    }
    let keyed = || CallOptions { rkey: Some("k".to_owned()), ..CallOptions::default() };
    call_with(&mut sim, caller, "x", keyed(), 1);
    let shard = invocations(&mut sim)[0].0;
    let other = if shard == x { y } else { x };
    sim.congest(shard, Congestion::Soft);
    call_with(&mut sim, caller, "x", keyed(), 2);
    assert_eq!(sim.events(), []);
    call(&mut sim, caller, "x", 3);
    assert_eq!(numbers(&invocations(&mut sim)), [(other, 3)]);
    sim.congest(shard, Congestion::Clear);
    assert_eq!(numbers(&invocations(&mut sim)), [(shard, 2)]);
}

#[test]
fn a_caller_with_many_calls_that_wait_is_not_read_from() {
    let limits = Limits { max_calls_held_back: 2, ..Limits::default() };
    let (mut sim, [caller, other, callee, quick]) = world(with(limits));
    register(&mut sim, callee, "x");
    register(&mut sim, quick, "y");
    sim.congest(callee, Congestion::Soft);
    for n in 0..5 {
        call(&mut sim, caller, "x", n);
    }
    assert_eq!(sim.events(), []);
    assert!(!is_heard(&sim, caller) && is_heard(&sim, other));
    assert_eq!(sim.router.stats().calls_in_flight, 2, "the others are not read");
    call(&mut sim, other, "y", 7);
    assert_eq!(numbers(&invocations(&mut sim)), [(quick, 7)]);
    sim.congest(callee, Congestion::Clear);
    assert_eq!(invocations(&mut sim).len(), 5, "all in time");
    assert!(is_heard(&sim, caller));
}

#[test]
fn a_caller_with_large_calls_that_wait_is_not_read_from() {
    let limits = Limits { max_kept_call_bytes: 8_000, ..Limits::default() };
    let (mut sim, [_, callee]) = world(with(limits));
    let json = wampd_tests::link::Wire::Bytes(wampd_core::codec::Format::Json);
    let caller = sim.client(wampd_core::client::ClientConfig::anonymous(wampd_tests::answerer::REALM), json);
    sim.events();
    register(&mut sim, callee, "x");
    sim.congest(callee, Congestion::Soft);
    for n in 0..5_u64 {
        let payload = Payload::from_args([Value::from(n), Value::from("x".repeat(3_000))]);
        sim.act(caller, |client, now| client.call(now, procedure("x"), CallOptions::default(), payload))
            .expect("joined");
    }
    assert_eq!(sim.events(), []);
    assert!(!is_heard(&sim, caller));
    assert!(sim.router.stats().calls_waiting < 3);
    sim.congest(callee, Congestion::Clear);
    assert_eq!((invocations(&mut sim).len(), sim.router.stats().limited), (5, 0));
}

#[test]
fn where_there_is_no_room_to_wait_there_is_no_available_callee() {
    let count = Limits { max_queued_calls: 2, ..Limits::default() };
    let bytes = Limits { max_queued_call_bytes: 100, ..Limits::default() };
    for (limits, waiting) in [(count, 2), (bytes, 0), (Limits { max_queued_calls: 0, ..Limits::default() }, 0)] {
        let (mut sim, [caller, callee]) = world(with(limits));
        register(&mut sim, callee, "x");
        sim.congest(callee, Congestion::Soft);
        (0..waiting).for_each(|n| _ = call(&mut sim, caller, "x", n));
        assert_eq!(sim.events(), []);
        let request = call(&mut sim, caller, "x", 9);
        assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
        sim.congest(callee, Congestion::Clear);
        assert_eq!(invocations(&mut sim).len() as u64, waiting);
    }
}

#[test]
fn nobody_waits_for_ever_for_a_callee_that_does_not_read() {
    let limits = Limits { stall_timeout: Duration::from_secs(3), max_calls_held_back: 2, ..Limits::default() };
    let (mut sim, [caller, callee]) = world(with(limits));
    register(&mut sim, callee, "x");
    sim.congest(callee, Congestion::Soft);
    assert_eq!(in_time(&mut sim, Duration::from_secs(2)), []);
    let requests = [1, 2, 3].map(|n| call(&mut sim, caller, "x", n));
    assert_eq!(in_time(&mut sim, Duration::from_millis(999)), []);
    assert!(!is_heard(&sim, caller));
    let told = in_time(&mut sim, Duration::from_millis(1));
    let outcomes: Vec<_> =
        told.iter().zip(requests).map(|(event, request)| outcome_in(event, caller, request)).collect();
    assert_eq!(outcomes, [1, 2, 3].map(|_| Err(error::NO_AVAILABLE_CALLEE)), "the third had not been read");
    // From now on it is as if it were not there, until it reads; nobody is made to wait for it again.
    let request = call(&mut sim, caller, "x", 4);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
    assert_eq!((sim.router.stats().callees_overdue, sim.router.next_deadline()), (1, None));
    sim.congest(callee, Congestion::Clear);
    call(&mut sim, caller, "x", 5);
    assert_eq!(numbers(&invocations(&mut sim)), [(callee, 5)]);
}

#[test]
fn a_callee_that_is_given_up_leaves_nobody_waiting() {
    type End = fn(&mut Sim, EndId);
    let ends: [End; 2] = [|sim, callee| sim.congest(callee, Congestion::Hard), |sim, callee| sim.cut(callee)];
    for end in ends {
        let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
        register(&mut sim, callee, "x");
        sim.congest(callee, Congestion::Soft);
        let request = call(&mut sim, caller, "x", 1);
        assert_eq!(sim.events(), []);
        end(&mut sim, callee);
        let mut told = Vec::new();
        sim.settle(1_000, |_, id, what| told.push((id, what)));
        let answers = told.iter().filter_map(|(id, what)| match what {
            Told::Event(event) if *id == caller => Some(outcome_in(&(*id, event.clone()), caller, request)),
            _ => None,
        });
        assert_eq!(answers.collect::<Vec<_>>(), [Err(error::NO_AVAILABLE_CALLEE)]);
        assert_eq!((sim.router.stats().calls_in_flight, sim.router.stats().timers), (0, 0));
    }
}

#[test]
fn a_callee_with_no_room_for_an_invocation_keeps_its_session() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    sim.fill(callee, Fill::Much);
    let request = call(&mut sim, caller, "x", 1);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
    sim.fill(callee, Fill::Little);
    call(&mut sim, caller, "x", 2);
    assert_eq!(numbers(&invocations(&mut sim)), [(callee, 2)]);
    let stats = sim.router.stats();
    assert_eq!((stats.call_messages_dropped, stats.slow_consumers, stats.undeliverable), (1, 0, 0));
}

#[test]
fn a_caller_with_no_room_for_progress_loses_the_call_and_not_its_session() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    let options = CallOptions { receive_progress: true, ..CallOptions::default() };
    let request = call_with(&mut sim, caller, "x", options, 1);
    let (_, invocation, _) = invocation(&mut sim);
    answer_with(&mut sim, callee, invocation, true, 1);
    assert_eq!(sim.events().len(), 1);
    sim.fill(caller, Fill::Much);
    answer_with(&mut sim, callee, invocation, true, 2);
    let events = sim.events();
    let interrupted = |(id, event): &(EndId, ClientEvent)| {
        *id == callee && matches!(event, ClientEvent::Interrupted { request, .. } if *request == invocation)
    };
    assert!(events.len() == 2 && events.iter().any(interrupted), "{events:?}");
    let failed = events.iter().find(|(id, _)| *id == caller).expect("an answer");
    assert_eq!(outcome_in(failed, caller, request), Err(error::CANCELED));
    // An answer must be told: where there is no room for it, the caller is given up, and the callee is none the wiser.
    sim.fill(caller, Fill::Little);
    call(&mut sim, caller, "x", 3);
    let (_, invocation, _) = wampd_tests::calls::invocation(&mut sim);
    sim.fill(caller, Fill::TooMuch);
    answer(&mut sim, callee, invocation, 3);
    sim.settle(1_000, |_, _, _| ());
    assert_eq!(sim.closed, [(caller, CloseReason::SlowConsumer)]);
    assert!(is_heard(&sim, callee));
}

#[test]
fn an_interrupt_without_room_harms_nobody() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    let request = call(&mut sim, caller, "x", 1);
    let (_, invocation, _) = invocation(&mut sim);
    sim.fill(callee, Fill::Much);
    cancel(&mut sim, caller, request, None);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::CANCELED));
    sim.fill(callee, Fill::Little);
    answer(&mut sim, callee, invocation, 1);
    assert_eq!(sim.events(), []);
    assert_eq!((sim.router.stats().late_answers, sim.router.stats().slow_consumers), (1, 0));
}

fn subscribe(sim: &mut Sim, id: EndId, topic: impl Into<Uri>) {
    let topic = topic.into();
    sim.act(id, |client, now| client.subscribe(now, topic, SubscribeOptions::default())).expect("joined");
    sim.events();
}

fn publish(sim: &mut Sim, id: EndId, n: u64) {
    let options = PublishOptions::default();
    sim.act(id, |client, now| client.publish(now, procedure("x"), options, number(n))).expect("joined");
}

fn receivers(sim: &mut Sim) -> Vec<EndId> {
    let is_event = |(id, event): (EndId, ClientEvent)| matches!(event, ClientEvent::Event { .. }).then_some(id);
    let mut receivers: Vec<_> = sim.events().into_iter().filter_map(is_event).collect();
    receivers.sort();
    receivers
}

#[test]
fn a_slow_subscriber_misses_events_and_keeps_its_session() {
    let (mut sim, [publisher, slow, quick]) = Sim::joined(1, [WIRE; 3]);
    for id in [slow, quick] {
        subscribe(&mut sim, id, procedure("x"));
    }
    sim.fill(slow, Fill::Much);
    publish(&mut sim, publisher, 1);
    assert_eq!(receivers(&mut sim), [quick]);
    sim.fill(slow, Fill::Little);
    publish(&mut sim, publisher, 2);
    assert_eq!(receivers(&mut sim), [slow, quick]);
    let stats = sim.router.stats();
    assert_eq!((stats.events_dropped, stats.events, stats.slow_consumers), (1, 4, 0));
}

#[test]
fn where_the_realm_wants_it_a_slow_subscriber_is_given_up_and_others_learn_of_it() {
    let config = realm_with(|realm| realm.slow_subscribers = SlowSubscribers::Close);
    let (mut sim, [publisher, slow, quick]) = world(config);
    for id in [slow, quick] {
        subscribe(&mut sim, id, procedure("x"));
    }
    subscribe(&mut sim, quick, "wamp.session.on_leave");
    sim.fill(slow, Fill::Much);
    publish(&mut sim, publisher, 1);
    let mut events = 0;
    sim.settle(1_000, |_, id, _| events += usize::from(id == quick));
    assert_eq!((events, sim.closed.as_slice()), (2, &[(slow, CloseReason::SlowConsumer)][..]));
    assert_eq!((sim.router.stats().events_dropped, sim.router.stats().slow_consumers), (0, 1));
}

#[test]
fn events_of_the_router_and_of_the_dead_are_left_out_too() {
    let (mut sim, [slow, leaver]) = Sim::joined(1, [WIRE; 2]);
    subscribe(&mut sim, slow, "wamp.session.on_leave");
    sim.fill(slow, Fill::Much);
    sim.hang_up(leaver);
    sim.settle(1_000, |_, _, _| ());
    assert_eq!((sim.router.stats().events_dropped, sim.router.stats().sessions), (1, 1));
}
