//! Time limits of calls (spec: "Call Timeouts", "Progressive Call Results", timeouts; "Call Canceling", mode `kill`).

use core::time::Duration;
use wampd_core::client::ClientEvent;
use wampd_core::message::{CallOptions, CancelMode, Features, InvocationPolicy, RegisterOptions};
use wampd_core::router::{Limits, RealmConfig, RouterConfig};
use wampd_core::uri::{Uri, error};
use wampd_tests::calls::*;
use wampd_tests::config::open_realm;
use wampd_tests::sim::{EndId, Sim, Told};

fn timeout(ms: u64) -> CallOptions {
    CallOptions { timeout: Some(ms), ..CallOptions::default() }
}

fn forward() -> RegisterOptions {
    RegisterOptions { forward_timeout: true, ..RegisterOptions::default() }
}

/// What clients are told within this time, which passes.
fn within(sim: &mut Sim, time: Duration) -> Vec<(EndId, ClientEvent)> {
    let mut events = Vec::new();
    sim.run_for(time, 10_000, |_, id, told| match told {
        Told::Event(event) => events.push((id, event)),
        other => panic!("{other:?}"),
    });
    events
}

fn failures(events: &[(EndId, ClientEvent)]) -> Vec<(EndId, Uri)> {
    let failure = |(id, event): &(EndId, ClientEvent)| match event {
        ClientEvent::Failed { error, .. } => Some((*id, error.clone())),
        _ => None,
    };
    events.iter().filter_map(failure).collect()
}

/// After how many milliseconds the only call ends with this error.
fn ends_after(sim: &mut Sim, caller: EndId, error: &Uri) -> u64 {
    let start = sim.now;
    while sim.router.stats().calls_in_flight > 0 {
        let next = sim.router.next_deadline().expect("a deadline");
        let failed = failures(&within(sim, next.since(sim.now)));
        assert!(failed.iter().all(|failed| *failed == (caller, error.clone())), "{failed:?}");
    }
    u64::try_from(sim.now.since(start).as_millis()).expect("not that long")
}

#[test]
fn a_realm_has_a_default_and_a_maximum() {
    let ms = Duration::from_millis;
    for (default, max, asked, expected) in [
        (None, None, None, None),
        (None, None, Some(0), None),
        (None, None, Some(700), Some(700)),
        (Some(ms(300)), None, None, Some(300)),
        (Some(ms(300)), None, Some(0), None),
        (Some(ms(300)), None, Some(700), Some(700)),
        (None, Some(ms(500)), None, Some(500)),
        (None, Some(ms(500)), Some(0), Some(500)),
        (None, Some(ms(500)), Some(700), Some(500)),
        (None, Some(ms(500)), Some(u64::MAX), Some(500)),
        (None, Some(ms(500)), Some(100), Some(100)),
        (Some(ms(300)), Some(ms(500)), None, Some(300)),
        (Some(ms(900)), Some(ms(500)), None, Some(500)),
    ] {
        let config = realm_with(|realm: &mut RealmConfig| {
            (realm.call_timeout, realm.max_call_timeout) = (default, max);
        });
        let (mut sim, [caller, callee]) = world(config);
        register(&mut sim, callee, "sleep");
        call_with(&mut sim, caller, "sleep", CallOptions { timeout: asked, ..CallOptions::default() }, 1);
        invocation(&mut sim);
        let found = sim.router.next_deadline().map(|_| ends_after(&mut sim, caller, &error::TIMEOUT));
        assert_eq!(found, expected, "{default:?} {max:?} {asked:?}");
    }
}

#[test]
fn a_callee_that_can_not_be_interrupted_is_not_told() {
    let (mut sim, [caller]) = Sim::joined(1, [WIRE]);
    let callee = callee_with(&mut sim, Features::NONE);
    register(&mut sim, callee, "sleep");
    let request = call_with(&mut sim, caller, "sleep", timeout(100), 1);
    let (_, invocation, details) = invocation(&mut sim);
    assert_eq!(details.timeout, None);
    let events = within(&mut sim, Duration::from_millis(100));
    let [failed] = &events[..] else { panic!("{events:?}") };
    assert_eq!(outcome_in(failed, caller, request), Err(error::TIMEOUT));
    answer(&mut sim, callee, invocation, 1);
    assert_eq!(sim.events(), []);
    let stats = sim.router.stats();
    assert_eq!((stats.calls_timed_out, stats.late_answers, stats.sessions), (1, 1, 2));
}

#[test]
fn it_is_the_time_between_results() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "count");
    let request = call_with(&mut sim, caller, "count", CallOptions { receive_progress: true, ..timeout(100) }, 1);
    let (_, invocation, _) = invocation(&mut sim);
    for n in 0..10 {
        let events = within(&mut sim, Duration::from_millis(99));
        assert_eq!(events.len(), usize::from(n > 0), "{events:?}");
        answer_with(&mut sim, callee, invocation, true, n);
    }
    let failed = failures(&within(&mut sim, Duration::from_millis(100)));
    assert_eq!(failed, [(caller, error::TIMEOUT)]);
    answer_with(&mut sim, callee, invocation, true, 1);
    assert_eq!(sim.events(), [], "late progress of {request}");
}

/// Progress that the caller did not ask for buys no time.
#[test]
fn progress_that_nobody_wants_does_not_count() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "count");
    call_with(&mut sim, caller, "count", timeout(100), 1);
    let (_, request, _) = invocation(&mut sim);
    within(&mut sim, Duration::from_millis(60));
    let options = wampd_core::message::YieldOptions { progress: true, ..Default::default() };
    sim.send(callee, wampd_core::message::Yield { request, options, payload: number(1) });
    assert_eq!(failures(&within(&mut sim, Duration::from_millis(40))), [(caller, error::TIMEOUT)]);
}

#[test]
fn the_time_of_a_call_in_parts_begins_with_the_first() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "upload");
    let request = call_with(&mut sim, caller, "upload", CallOptions { progress: true, ..timeout(100) }, 1);
    sim.events();
    within(&mut sim, Duration::from_millis(60));
    sim.act(caller, |client, _| client.continue_call(request, true, number(2))).expect("goes on");
    assert_eq!(failures(&within(&mut sim, Duration::from_millis(40))), [(caller, error::TIMEOUT)]);
}

#[test]
fn a_callee_may_ask_to_see_to_it_itself() {
    let config = realm_with(|realm| realm.max_call_timeout = Some(Duration::from_millis(500)));
    let (mut sim, [caller, callee]) = world(config);
    register_with(&mut sim, callee, "sleep", forward());
    for (asked, told) in [(Some(200), 200), (Some(700), 500), (None, 500)] {
        let request = call_with(&mut sim, caller, "sleep", CallOptions { timeout: asked, ..CallOptions::default() }, 1);
        let (_, of, details) = invocation(&mut sim);
        assert_eq!(details.timeout, Some(told));
        assert_eq!(sim.router.next_deadline(), None, "not the router's matter");
        // The client does, with its own clock.
        let events = within(&mut sim, Duration::from_millis(told));
        assert!(events.contains(&(callee, ClientEvent::InvocationTimedOut { request: of })), "{events:?}");
        let failed = failures(&events);
        assert_eq!(failed, [(caller, error::TIMEOUT)], "{request}");
    }
}

#[test]
fn only_callees_that_know_timeouts_are_told_them() {
    let (mut sim, [caller, plain]) = Sim::joined(1, [WIRE; 2]);
    let unable = callee_with(&mut sim, Features::CALL_CANCELING);
    register_with(&mut sim, unable, "x", forward());
    register(&mut sim, plain, "y");
    for name in ["x", "y"] {
        call_with(&mut sim, caller, name, timeout(200), 1);
        assert_eq!(invocation(&mut sim).2.timeout, None, "{name}");
        assert_eq!(ends_after(&mut sim, caller, &error::TIMEOUT), 200, "{name}");
        sim.events();
    }
}

#[test]
fn waiting_in_line_takes_time_too() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register_with(&mut sim, callee, "x", RegisterOptions { concurrency: Some(1), ..RegisterOptions::default() });
    call(&mut sim, caller, "x", 1);
    let (_, first, _) = invocation(&mut sim);
    let waits = call_with(&mut sim, caller, "x", timeout(100), 2);
    let moves_on = call_with(&mut sim, caller, "x", timeout(150), 3);
    let events = within(&mut sim, Duration::from_millis(100));
    let [failed] = &events[..] else { panic!("{events:?}") };
    assert_eq!(outcome_in(failed, caller, waits), Err(error::TIMEOUT));
    answer(&mut sim, callee, first, 1);
    assert!(sim.events().iter().any(|(id, event)| *id == callee && matches!(event, ClientEvent::Invocation { .. })));
    let failed = failures(&within(&mut sim, Duration::from_millis(50)));
    assert_eq!(failed, [(caller, error::TIMEOUT)], "{moves_on}");
}

/// A call that goes from one callee to another does not get more time; one whose callee saw to it gets it anew.
#[test]
fn a_rerouted_call_keeps_its_time() {
    for forwarded in [false, true] {
        let (mut sim, [caller, x, y]) = Sim::joined(1, [WIRE; 3]);
        let options = |forward_timeout| RegisterOptions {
            invoke: InvocationPolicy::First,
            forward_timeout,
            ..RegisterOptions::default()
        };
        register_with(&mut sim, x, "x", options(forwarded));
        register_with(&mut sim, y, "x", options(false));
        call_with(&mut sim, caller, "x", timeout(100), 1);
        let (_, first, _) = invocation(&mut sim);
        within(&mut sim, Duration::from_millis(60));
        answer_error(&mut sim, x, first, error::UNAVAILABLE);
        assert_eq!(invocation(&mut sim).0, y);
        assert_eq!(ends_after(&mut sim, caller, &error::TIMEOUT), if forwarded { 100 } else { 40 });
    }
}

#[test]
fn a_killed_call_does_not_wait_for_ever() {
    let limits = Limits { kill_timeout: Duration::from_secs(2), ..Limits::default() };
    for (call_timeout, expected) in [(0, 2_000), (500, 500), (5_000, 2_000)] {
        let (mut sim, [caller, callee]) = world(RouterConfig { limits, ..open_realm() });
        register(&mut sim, callee, "x");
        let options = CallOptions { receive_progress: true, ..timeout(call_timeout) };
        let request = call_with(&mut sim, caller, "x", options, 1);
        let (_, invocation, _) = invocation(&mut sim);
        cancel(&mut sim, caller, request, Some(CancelMode::Kill));
        assert_eq!(sim.events().len(), 1, "the interrupt");
        // Neither asking again nor progress makes it longer.
        cancel(&mut sim, caller, request, Some(CancelMode::Kill));
        answer_with(&mut sim, callee, invocation, true, 1);
        assert_eq!(sim.events().len(), 1, "the progress");
        assert_eq!(ends_after(&mut sim, caller, &error::CANCELED), expected);
        answer(&mut sim, callee, invocation, 1);
        assert_eq!(sim.events(), [], "too late");
    }
}

#[test]
fn a_killed_call_can_be_given_up_at_once() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register(&mut sim, callee, "x");
    let request = call(&mut sim, caller, "x", 1);
    sim.events();
    cancel(&mut sim, caller, request, Some(CancelMode::Kill));
    assert_eq!(sim.events().len(), 1, "the interrupt");
    cancel(&mut sim, caller, request, Some(CancelMode::KillNoWait));
    assert_eq!(outcome(&mut sim, caller, request), Err(error::CANCELED), "and no second interrupt");
    assert_eq!(sim.router.next_deadline(), None);
}
