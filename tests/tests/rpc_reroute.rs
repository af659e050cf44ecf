//! Callees that say they are unavailable, and the others that get the call instead (spec: "Call Re-Routing").

use wampd_core::client::{ClientConfig, ClientEvent, ClientLimits};
use wampd_core::codec::Format;
use wampd_core::id::RequestId;
use wampd_core::message::{CallOptions, CancelMode, Features, InvocationPolicy, Payload, RegisterOptions};
use wampd_core::router::{Limits, RouterConfig};
use wampd_core::uri::error;
use wampd_core::value::Value;
use wampd_tests::answerer::REALM;
use wampd_tests::calls::*;
use wampd_tests::config::open_realm;
use wampd_tests::link::Wire;
use wampd_tests::sim::{EndId, Sim};

fn shared(invoke: InvocationPolicy) -> RegisterOptions {
    RegisterOptions { invoke, ..RegisterOptions::default() }
}

fn registered<const N: usize>(config: RouterConfig, invoke: InvocationPolicy) -> (Sim, EndId, [EndId; N]) {
    let (mut sim, [caller]) = world(config);
    let callees = [(); N].map(|()| {
        let id = sim.client(ClientConfig::anonymous(REALM), WIRE);
        sim.events();
        register_with(&mut sim, id, "x", shared(invoke));
        id
    });
    (sim, caller, callees)
}

fn unavailable(sim: &mut Sim, callee: EndId, invocation: RequestId) {
    answer_error(sim, callee, invocation, error::UNAVAILABLE);
}

#[test]
fn the_policy_chooses_among_the_others() {
    for (invoke, order) in [
        (InvocationPolicy::First, [0, 1, 2]),
        (InvocationPolicy::Last, [2, 1, 0]),
        (InvocationPolicy::RoundRobin, [0, 1, 2]),
    ] {
        let (mut sim, caller, callees) = registered::<3>(open_realm(), invoke);
        let request = call(&mut sim, caller, "x", 5);
        for (n, index) in order.into_iter().enumerate() {
            let events = sim.events();
            let [(callee, ClientEvent::Invocation { request: invocation, payload, .. })] = &events[..] else {
                panic!("{events:?}")
            };
            assert_eq!((*callee, value(payload)), (callees[index], 5), "{invoke:?}");
            if n < 2 {
                unavailable(&mut sim, *callee, *invocation);
            } else {
                answer(&mut sim, *callee, *invocation, 6);
            }
        }
        assert_eq!(outcome(&mut sim, caller, request), Ok(6));
        assert_eq!(sim.router.stats().calls_rerouted, 2);
    }
}

#[test]
fn random_never_chooses_one_that_was_tried() {
    for seed in 0..20 {
        let (mut sim, caller, callees) = registered::<4>(open_realm(), InvocationPolicy::Random);
        for _ in 0..seed {
            call(&mut sim, caller, "x", 0);
            let (callee, invocation, _) = invocation(&mut sim);
            answer(&mut sim, callee, invocation, 0);
            sim.events();
        }
        let request = call(&mut sim, caller, "x", 0);
        let mut tried = Vec::new();
        for _ in callees {
            let (callee, invocation, _) = invocation(&mut sim);
            assert!(!tried.contains(&callee));
            tried.push(callee);
            unavailable(&mut sim, callee, invocation);
        }
        assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
    }
}

#[test]
fn a_single_callee_has_no_others() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    let request = call(&mut sim, caller, "x", 1);
    let (_, invocation, _) = invocation(&mut sim);
    unavailable(&mut sim, callee, invocation);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
    assert_eq!((sim.router.stats().calls_rerouted, sim.router.stats().calls_in_flight), (0, 0));
}

#[test]
fn from_a_callee_that_did_not_announce_it_it_is_an_error_like_others() {
    let (mut sim, caller, [_other]) = registered::<1>(open_realm(), InvocationPolicy::Last);
    let callee = callee_with(&mut sim, Features::CALL_CANCELING);
    register_with(&mut sim, callee, "x", shared(InvocationPolicy::Last));
    let request = call(&mut sim, caller, "x", 1);
    let (whom, invocation, _) = invocation(&mut sim);
    assert_eq!(whom, callee);
    unavailable(&mut sim, callee, invocation);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::UNAVAILABLE));
}

#[test]
fn it_is_tried_only_so_often() {
    let limits = Limits { max_reroutes: 2, ..Limits::default() };
    let (mut sim, caller, callees) = registered::<3>(RouterConfig { limits, ..open_realm() }, InvocationPolicy::First);
    let request = call(&mut sim, caller, "x", 1);
    for callee in &callees[..2] {
        let (whom, invocation, _) = invocation(&mut sim);
        assert_eq!(whom, *callee);
        unavailable(&mut sim, whom, invocation);
    }
    assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
    assert_eq!((sim.router.stats().calls_rerouted, sim.router.stats().limited), (1, 1));
}

#[test]
fn the_other_gets_what_the_first_was_to_get() {
    let (mut sim, caller, [x, y]) = registered::<2>(open_realm(), InvocationPolicy::First);
    let options = CallOptions { receive_progress: true, disclose_me: true, ..CallOptions::default() };
    let request = call_with(&mut sim, caller, "x", options, 7);
    let (_, first, details) = invocation(&mut sim);
    unavailable(&mut sim, x, first);
    let events = sim.events();
    let [(whom, ClientEvent::Invocation { request: second, details: again, payload, .. })] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*whom, again, value(payload)), (y, &details, 7));
    // The first is done with it.
    let late = sim.act(x, |client, _| client.yield_result(first, Default::default(), number(1)));
    assert!(late.is_err());
    answer_with(&mut sim, y, *second, true, 8);
    assert_eq!(sim.events().len(), 1);
    answer(&mut sim, y, *second, 9);
    assert_eq!(outcome(&mut sim, caller, request), Ok(9));
}

/// What one callee has begun, another can not go on with.
#[test]
fn a_call_that_was_begun_is_not_rerouted() {
    let (mut sim, caller, [x, _]) = registered::<2>(open_realm(), InvocationPolicy::First);
    // It gave a result.
    let options = CallOptions { receive_progress: true, ..CallOptions::default() };
    let request = call_with(&mut sim, caller, "x", options, 1);
    let (_, first, _) = invocation(&mut sim);
    answer_with(&mut sim, x, first, true, 1);
    sim.events();
    unavailable(&mut sim, x, first);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
    // It was given more than one part.
    let options = CallOptions { progress: true, ..CallOptions::default() };
    let request = call_with(&mut sim, caller, "x", options, 1);
    let (_, second, _) = invocation(&mut sim);
    sim.act(caller, |client, _| client.continue_call(request, true, number(2))).expect("goes on");
    sim.events();
    unavailable(&mut sim, x, second);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
}

#[test]
fn the_first_part_of_a_call_can_be_rerouted() {
    let (mut sim, caller, [x, y]) = registered::<2>(open_realm(), InvocationPolicy::First);
    let options = CallOptions { progress: true, ..CallOptions::default() };
    let request = call_with(&mut sim, caller, "x", options, 1);
    let (_, first, _) = invocation(&mut sim);
    unavailable(&mut sim, x, first);
    let (whom, second, details) = invocation(&mut sim);
    assert_eq!((whom, details.progress), (y, true));
    sim.act(caller, |client, _| client.continue_call(request, false, number(2))).expect("goes on");
    assert_eq!(invocations(&mut sim), [(y, second, 2)]);
}

#[test]
fn a_call_that_was_canceled_is_not_rerouted() {
    let (mut sim, caller, [x, _]) = registered::<2>(open_realm(), InvocationPolicy::First);
    let request = call(&mut sim, caller, "x", 1);
    let (_, first, _) = invocation(&mut sim);
    cancel(&mut sim, caller, request, Some(CancelMode::Kill));
    sim.events();
    unavailable(&mut sim, x, first);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::CANCELED));
}

#[test]
fn others_that_are_busy_or_gone_are_no_choice() {
    let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
    let one = || RegisterOptions { concurrency: Some(1), ..shared(InvocationPolicy::First) };
    register_with(&mut sim, x, "x", one());
    register_with(&mut sim, y, "x", one());
    let a = call(&mut sim, caller, "x", 1);
    let (_, first, _) = invocation(&mut sim);
    call(&mut sim, caller, "x", 2);
    assert_eq!(invocation(&mut sim).0, y);
    // One that waits gets the place of the one that is not taken.
    call(&mut sim, caller, "x", 3);
    unavailable(&mut sim, x, first);
    let events = sim.events();
    let failed: Vec<_> = events.iter().filter(|(_, event)| event.answers() == Some(a)).collect();
    assert_eq!(outcome_in(failed[0], caller, a), Err(error::NO_AVAILABLE_CALLEE));
    let next = |(id, event): &(EndId, ClientEvent)| *id == x && matches!(event, ClientEvent::Invocation { .. });
    assert!(events.iter().any(next), "{events:?}");

    let (mut sim, caller, [x, y]) = registered::<2>(open_realm(), InvocationPolicy::First);
    let request = call(&mut sim, caller, "x", 1);
    let (_, first, _) = invocation(&mut sim);
    sim.cut(y);
    sim.events();
    unavailable(&mut sim, x, first);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
}

/// Arguments are kept as long as another callee may need them, within the caller's allowance.
#[test]
fn what_is_kept_is_bounded() {
    let limits = Limits { max_kept_call_bytes: 4_000, ..Limits::default() };
    let mut sim = Sim::new(
        1,
        RouterConfig { limits, ..open_realm() },
        core::time::Duration::ZERO,
        wampd_tests::answerer::everybody(wampd_tests::config::ANYTHING),
    );
    let [caller, x, y] = [(); 3].map(|()| sim.client(ClientConfig::anonymous(REALM), Wire::Bytes(Format::Json)));
    sim.events();
    for callee in [x, y] {
        register_with(&mut sim, callee, "x", shared(InvocationPolicy::First));
    }
    for (size, kept) in [(3_000, true), (5_000, false), (3_000, true)] {
        let payload = Payload::from_args([Value::from("x".repeat(size))]);
        let call = |client: &mut wampd_core::client::Client, now| {
            client.call(now, procedure("x"), CallOptions::default(), payload.clone()).expect("joined")
        };
        let request = sim.act(caller, call);
        let (_, first, _) = invocation(&mut sim);
        unavailable(&mut sim, x, first);
        if kept {
            let events = sim.events();
            let [(whom, ClientEvent::Invocation { request, payload: again, .. })] = &events[..] else {
                panic!("{events:?}")
            };
            assert_eq!((*whom, again), (y, &payload));
            answer(&mut sim, y, *request, 1);
            sim.events();
        } else {
            assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
        }
    }
    assert_eq!(sim.router.stats().limited, 1);
}

#[test]
fn a_client_that_has_enough_to_do_is_unavailable() {
    let (mut sim, [caller]) = Sim::joined(1, [WIRE]);
    let limits = ClientLimits { max_invocations: 1, ..ClientLimits::default() };
    let callees = [(); 2].map(|()| {
        let id = sim.client(ClientConfig { limits, ..ClientConfig::anonymous(REALM) }, WIRE);
        sim.events();
        register_with(&mut sim, id, "x", shared(InvocationPolicy::First));
        id
    });
    for callee in callees {
        call(&mut sim, caller, "x", 1);
        assert_eq!(invocation(&mut sim).0, callee);
    }
    let request = call(&mut sim, caller, "x", 1);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE));
}
