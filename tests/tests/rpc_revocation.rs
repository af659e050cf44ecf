//! Registrations that the router takes back (spec: "Registration Revocation"; `force_reregister` is Crossbar.io's).

use core::time::Duration;
use wampd_core::client::ClientEvent;
use wampd_core::id::RegistrationId;
use wampd_core::message::{Features, InvocationPolicy, RegisterOptions};
use wampd_core::router::{Allow, AuthVerdict, ForceReregister, Permissions, RouterConfig, Rule};
use wampd_core::uri::{MatchPolicy, Uri, error};
use wampd_tests::answerer::{REALM, everybody};
use wampd_tests::calls::*;
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::sim::{EndId, Sim};

fn force() -> RegisterOptions {
    RegisterOptions { force_reregister: true, ..RegisterOptions::default() }
}

fn realm(force_reregister: ForceReregister) -> RouterConfig {
    realm_with(|realm| realm.force_reregister = force_reregister)
}

fn revoked(events: &[(EndId, ClientEvent)], id: EndId) -> Vec<(RegistrationId, Option<Uri>)> {
    let one = |(whom, event): &(EndId, ClientEvent)| match event {
        ClientEvent::RegistrationRevoked { registration, reason } if *whom == id => {
            Some((*registration, reason.clone()))
        }
        _ => None,
    };
    events.iter().filter_map(one).collect()
}

#[test]
fn nobody_is_pushed_off_by_default() {
    let (mut sim, [a, b]) = world(realm(ForceReregister::default()));
    register(&mut sim, a, "x");
    let request = ask_register(&mut sim, b, "x", force());
    assert_eq!(outcome(&mut sim, b, request), Err(error::PROCEDURE_ALREADY_EXISTS));
    register_with(&mut sim, b, "free", force());
}

#[test]
fn where_it_is_allowed_all_callees_are_pushed_off() {
    let (mut sim, [caller, a, b]) = world(realm(ForceReregister::Anybody));
    let unaware = callee_with(&mut sim, Features::SHARED_REGISTRATION);
    let shared = || RegisterOptions { invoke: InvocationPolicy::First, ..RegisterOptions::default() };
    let old = register_with(&mut sim, a, "x", shared());
    register_with(&mut sim, unaware, "x", shared());
    let begun = call(&mut sim, caller, "x", 1);
    let (_, invocation_of_a, _) = invocation(&mut sim);
    // Another policy, too: nothing is left of the old registration.
    ask_register(&mut sim, b, "x", force());
    let events = sim.events();
    assert_eq!(events.len(), 2, "and nothing for a callee that would not understand: {events:?}");
    assert_eq!(revoked(&events, a), [(old, Some(error::PROCEDURE_ALREADY_EXISTS))]);
    assert_eq!(sim.router.stats().registrations_revoked, 2);
    call(&mut sim, caller, "x", 2);
    assert_eq!(invocation(&mut sim).0, b);
    // What was begun goes on.
    answer(&mut sim, a, invocation_of_a, 3);
    assert_eq!(outcome(&mut sim, caller, begun), Ok(3));
    let request = sim.act(unaware, |client, now| client.unregister(now, old)).expect("joined");
    assert_eq!(outcome(&mut sim, unaware, request), Err(error::NO_SUCH_REGISTRATION));
}

#[test]
fn calls_in_line_do_not_wait_for_one_that_was_pushed_off() {
    let (mut sim, [caller, a, b]) = world(realm(ForceReregister::Anybody));
    register_with(&mut sim, a, "x", RegisterOptions { concurrency: Some(1), ..RegisterOptions::default() });
    call(&mut sim, caller, "x", 1);
    sim.events();
    let waits = call(&mut sim, caller, "x", 2);
    ask_register(&mut sim, b, "x", force());
    let events = sim.events();
    let failed: Vec<_> = events.iter().filter(|(_, event)| event.answers() == Some(waits)).collect();
    let failed = failed.into_iter().find(|(id, _)| *id == caller).expect("an answer");
    assert_eq!(outcome_in(failed, caller, waits), Err(error::NO_AVAILABLE_CALLEE));
}

/// The dead connection of the same principal, which the router does not know to be dead.
#[test]
fn a_principal_may_push_itself_off() {
    let mut authids = ["joe", "joe", "mary"].into_iter();
    let mut welcome = everybody(ANYTHING);
    let answerer = Box::new(move |request: &_, rng: &mut _| {
        let mut verdicts = welcome(request, rng);
        for (_, verdict) in &mut verdicts {
            if let AuthVerdict::Welcome(identity) = verdict {
                identity.authid = authids.next().expect("three clients").to_owned();
            }
        }
        verdicts
    });
    let mut sim = Sim::new(1, realm(ForceReregister::SamePrincipal), Duration::ZERO, answerer);
    let mut join = || {
        let id = sim.client(wampd_core::client::ClientConfig::anonymous(REALM), WIRE);
        sim.events();
        id
    };
    let [old, new, other] = [join(), join(), join()];
    register(&mut sim, old, "x");
    let request = ask_register(&mut sim, other, "x", force());
    assert_eq!(outcome(&mut sim, other, request), Err(error::PROCEDURE_ALREADY_EXISTS));
    ask_register(&mut sim, new, "x", force());
    let events = sim.events();
    assert_eq!((events.len(), revoked(&events, old).len()), (2, 1), "{events:?}");
    // Shared with somebody else it is not its own.
    let shared = RegisterOptions { invoke: InvocationPolicy::First, ..RegisterOptions::default() };
    register_with(&mut sim, old, "y", shared.clone());
    register_with(&mut sim, other, "y", shared);
    let request =
        ask_register(&mut sim, new, "y", RegisterOptions { force_reregister: true, ..RegisterOptions::default() });
    assert_eq!(outcome(&mut sim, new, request), Err(error::PROCEDURE_EXISTS_WITH_DIFFERENT_POLICY));
}

#[test]
fn what_a_role_may_no_longer_register_is_taken_back() {
    let (mut sim, [a, b]) = world(open_realm());
    let prefix = |matching| RegisterOptions { matching, ..RegisterOptions::default() };
    let kept = register(&mut sim, a, "kept");
    let exact = register(&mut sim, a, "gone");
    let pattern = register_with(&mut sim, b, "", prefix(MatchPolicy::Prefix));
    let rules = vec![
        Rule::new(Uri::from(""), MatchPolicy::Prefix, Allow { call: true, ..Allow::NONE }),
        Rule::new(procedure("kept"), MatchPolicy::Exact, Allow::ALL),
    ];
    let permissions = Permissions::new(rules).expect("consistent");
    assert!(sim.with_router(|router, _| router.set_permissions(&REALM, ANYTHING, permissions)));
    let events = sim.events();
    assert_eq!(revoked(&events, a), [(exact, Some(error::NOT_AUTHORIZED))]);
    assert_eq!(revoked(&events, b), [(pattern, Some(error::NOT_AUTHORIZED))]);
    let request = sim.act(a, |client, now| client.unregister(now, kept)).expect("joined");
    assert_eq!(sim.events(), [(a, ClientEvent::Unregistered { request })]);
    // Nobody decides for a role that is asked about.
    assert!(sim.with_router(|router, _| router.set_permissions(&REALM, ANYTHING, Permissions::asked())));
    assert!(!sim.with_router(|router, _| router.set_permissions(&REALM, "nobody", Permissions::none())));
    assert_eq!(sim.events(), []);
}
