//! Who is told what of whom (spec: "Caller Identification", "Call Trust Levels").

use core::time::Duration;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::id::SessionId;
use wampd_core::message::{CallOptions, InvocationDetails, RegisterOptions};
use wampd_core::router::{Allow, Permissions, RoleConfig, RouterConfig, Rule};
use wampd_core::uri::{MatchPolicy, Uri, error};
use wampd_tests::answerer::{REALM, everybody};
use wampd_tests::calls::*;
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::sim::{EndId, Sim};

fn disclose_me() -> CallOptions {
    CallOptions { disclose_me: true, ..CallOptions::default() }
}

fn disclose_caller() -> RegisterOptions {
    RegisterOptions { disclose_caller: Some(true), ..RegisterOptions::default() }
}

fn told(details: &InvocationDetails) -> Option<SessionId> {
    details.caller.as_ref().map(|caller| caller.session)
}

/// A realm whose role discloses callers of `com.example.told` by a rule.
fn telling_realm(disclose_me: bool) -> RouterConfig {
    let rule = |uri: &'static str, matching| Rule::new(Uri::from(uri), matching, Allow::ALL);
    let mut telling = rule("com.example.told", MatchPolicy::Exact);
    telling.disclose.caller = true;
    let rules = Permissions::new(vec![rule("", MatchPolicy::Prefix), telling]).expect("consistent");
    let mut config = open_realm();
    config.realms[0].roles = vec![RoleConfig::new(ANYTHING, rules)];
    config.realms[0].disclose_me = disclose_me;
    config
}

#[test]
fn a_caller_is_told_of_if_it_asks_or_the_rule_or_the_callee_does() {
    let (mut sim, [caller, callee]) = world(telling_realm(true));
    register(&mut sim, callee, "plain");
    register(&mut sim, callee, "told");
    register_with(&mut sim, callee, "wants", disclose_caller());
    let session = sim.session(caller).session;
    for (name, options, expected) in [
        ("plain", CallOptions::default(), false),
        ("plain", disclose_me(), true),
        ("told", CallOptions::default(), true),
        ("wants", CallOptions::default(), true),
        ("wants", disclose_me(), true),
    ] {
        call_with(&mut sim, caller, name, options, 1);
        let (_, _, details) = invocation(&mut sim);
        assert_eq!(told(&details), expected.then_some(session), "{name}");
        if let Some(caller) = details.caller {
            assert_eq!((caller.authid.as_deref(), caller.authrole.as_deref()), (Some("nobody"), Some(ANYTHING)));
        }
    }
}

/// What one callee asked for is not told to another.
#[test]
fn each_callee_of_a_registration_asks_for_itself() {
    let (mut sim, [caller, curious, other]) = Sim::joined(1, [WIRE; 3]);
    let options = |disclose_caller| RegisterOptions {
        disclose_caller,
        invoke: wampd_core::message::InvocationPolicy::RoundRobin,
        ..RegisterOptions::default()
    };
    register_with(&mut sim, curious, "x", options(Some(true)));
    register_with(&mut sim, other, "x", options(None));
    for _ in 0..2 {
        call(&mut sim, caller, "x", 1);
        let (callee, _, details) = invocation(&mut sim);
        assert_eq!(details.caller.is_some(), callee == curious);
    }
    // Nor is it when a call is re-routed to the other.
    call(&mut sim, caller, "x", 1);
    let (callee, first, _) = invocation(&mut sim);
    assert_eq!(callee, curious);
    answer_error(&mut sim, curious, first, error::UNAVAILABLE);
    let (callee, _, details) = invocation(&mut sim);
    assert_eq!((callee, details.caller), (other, None));
}

#[test]
fn a_realm_may_forbid_asking() {
    let (mut sim, [caller, callee]) = world(telling_realm(false));
    register(&mut sim, callee, "plain");
    register(&mut sim, callee, "told");
    let request = call_with(&mut sim, caller, "plain", disclose_me(), 1);
    assert_eq!(outcome(&mut sim, caller, request), Err(error::DISCLOSE_ME_NOT_ALLOWED));
    call(&mut sim, caller, "plain", 1);
    assert_eq!(told(&invocation(&mut sim).2), None);
    // The rule is the realm's own.
    for options in [CallOptions::default(), disclose_me()] {
        call_with(&mut sim, caller, "told", options, 1);
        assert!(told(&invocation(&mut sim).2).is_some());
    }
    let request = ask_register(&mut sim, callee, "wants", disclose_caller());
    assert_eq!(outcome(&mut sim, callee, request), Err(error::OPTION_NOT_ALLOWED));
    let not = RegisterOptions { disclose_caller: Some(false), ..RegisterOptions::default() };
    register_with(&mut sim, callee, "wants", not);
}

#[test]
fn the_callee_is_told_to_nobody() {
    let (mut sim, [caller, callee]) = world(telling_realm(true));
    register_with(&mut sim, callee, "told", disclose_caller());
    let options = CallOptions { receive_progress: true, ..disclose_me() };
    call_with(&mut sim, caller, "told", options, 1);
    let (_, invocation, _) = invocation(&mut sim);
    for progress in [true, false] {
        answer_with(&mut sim, callee, invocation, progress, 1);
        let events = sim.events();
        let [(_, ClientEvent::Result { details, .. })] = &events[..] else { panic!("{events:?}") };
        assert_eq!(details.callee, None);
    }
}

/// A world with a role for each trust level.
fn world_of_trust() -> (Sim, [EndId; 3], EndId) {
    let mut config = open_realm();
    config.realms[0].roles = [("low", Some(0)), ("high", Some(7)), ("unknown", None)]
        .map(|(name, trustlevel)| RoleConfig { trustlevel, ..RoleConfig::new(name, Permissions::all()) })
        .into();
    let mut roles = ["low", "high", "unknown", "unknown"].into_iter();
    let mut of_each = everybody("low");
    let answerer = Box::new(move |request: &_, rng: &mut _| {
        let mut verdicts = of_each(request, rng);
        for (_, verdict) in &mut verdicts {
            if let wampd_core::router::AuthVerdict::Welcome(identity) = verdict {
                identity.authrole = roles.next().expect("four clients").to_owned();
            }
        }
        verdicts
    });
    let mut sim = Sim::new(1, config, Duration::ZERO, answerer);
    let mut join = || {
        let id = sim.client(ClientConfig::anonymous(REALM), WIRE);
        sim.events();
        id
    };
    let callers = [join(), join(), join()];
    let callee = join();
    (sim, callers, callee)
}

#[test]
fn the_trust_in_a_caller_is_that_in_its_role() {
    let (mut sim, callers, callee) = world_of_trust();
    register(&mut sim, callee, "x");
    for (caller, expected) in callers.into_iter().zip([Some(0), Some(7), None]) {
        call(&mut sim, caller, "x", 1);
        assert_eq!(invocation(&mut sim).2.trustlevel, expected);
    }
    // All parts of a call have it.
    let progress = CallOptions { progress: true, ..CallOptions::default() };
    let request = call_with(&mut sim, callers[1], "x", progress, 1);
    assert_eq!(invocation(&mut sim).2.trustlevel, Some(7));
    sim.act(callers[1], |client, _| client.continue_call(request, false, number(2))).expect("goes on");
    assert_eq!(invocation(&mut sim).2.trustlevel, Some(7));
}
