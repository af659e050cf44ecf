//! `wamp.registration.*`: what is registered, and by whom.

use core::time::Duration;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::id::RegistrationId;
use wampd_core::message::{CallOptions, Features, InvocationPolicy, Payload, RegisterOptions, YieldOptions};
use wampd_core::uri::{MatchPolicy, Uri, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::config::ANYTHING;
use wampd_tests::link::Wire;
use wampd_tests::meta::{
    USER, call, call_and_see, call_with, config, dict, error_of, ids, join, register, session, value, world,
};
use wampd_tests::sim::{EndId, Sim};

fn options(matching: MatchPolicy, invoke: InvocationPolicy) -> RegisterOptions {
    RegisterOptions { matching, invoke, ..RegisterOptions::default() }
}

/// An administrator, two users, and what these have registered.
struct World {
    sim: Sim,
    admin: EndId,
    users: [EndId; 2],
    exact: RegistrationId,
    prefix: RegistrationId,
    wildcard: RegistrationId,
    shared: RegistrationId,
}

fn registered() -> World {
    let mut sim = world();
    let admin = join(&mut sim, "admin", ANYTHING);
    let users = ["joe", "ann"].map(|authid| join(&mut sim, authid, USER));
    let [joe, ann] = users;
    let single = InvocationPolicy::Single;
    let exact = register(&mut sim, joe, "com.app.add", options(MatchPolicy::Exact, single));
    sim.run_for(Duration::from_millis(1_500), 1_000, |_, _, _| ());
    let prefix = register(&mut sim, joe, "com.app.", options(MatchPolicy::Prefix, single));
    let wildcard = register(&mut sim, ann, "com..add", options(MatchPolicy::Wildcard, single));
    let policy = options(MatchPolicy::Exact, InvocationPolicy::RoundRobin);
    let shared = register(&mut sim, ann, "com.app.shared", policy.clone());
    assert_eq!(register(&mut sim, joe, "com.app.shared", policy), shared);
    World { sim, admin, users, exact, prefix, wildcard, shared }
}

#[test]
fn registrations_are_listed_by_match_policy() {
    let World { mut sim, admin, users: [joe, ann], exact, prefix, wildcard, shared } = registered();
    let lists = |exact: &[RegistrationId], prefix: &[RegistrationId], wildcard: &[RegistrationId]| {
        let list = |ids: &[RegistrationId]| ids.iter().map(|id| Value::from(id.get())).collect::<Vec<_>>().into();
        Ok(vec![dict([("exact", list(exact)), ("prefix", list(prefix)), ("wildcard", list(wildcard))]).into()])
    };
    let list = "wamp.registration.list";
    assert_eq!(call(&mut sim, admin, list, vec![]), lists(&[exact, shared], &[prefix], &[wildcard]));
    // Of one session, as with Crossbar.io.
    let (of_joe, of_ann, of_admin) = (session(&sim, joe), session(&sim, ann), session(&sim, admin));
    assert_eq!(call(&mut sim, admin, list, vec![of_joe]), lists(&[exact, shared], &[prefix], &[]));
    assert_eq!(call(&mut sim, admin, list, vec![of_ann]), lists(&[shared], &[], &[wildcard]));
    assert_eq!(call(&mut sim, admin, list, vec![of_admin]), lists(&[], &[], &[]));
    assert_eq!(error_of(call(&mut sim, admin, list, vec![1.into()])), error::NO_SUCH_SESSION);
    assert_eq!(error_of(call(&mut sim, admin, list, vec!["x".into()])), error::INVALID_ARGUMENT);
}

#[test]
fn a_registration_is_looked_up_by_what_was_registered() {
    let World { mut sim, admin, exact, prefix, wildcard, .. } = registered();
    let mut lookup = |uri: &str, matching: Option<&str>| {
        let mut args = vec![Value::from(uri)];
        args.extend(matching.map(|matching| dict([("match", matching.into()), ("invoke", "single".into())]).into()));
        call(&mut sim, admin, "wamp.registration.lookup", args)
    };
    assert_eq!(lookup("com.app.add", None), value(exact.get()));
    assert_eq!(lookup("com.app.add", Some("exact")), value(exact.get()));
    assert_eq!(lookup("com.app.", Some("prefix")), value(prefix.get()));
    assert_eq!(lookup("com..add", Some("wildcard")), value(wildcard.get()));
    for (uri, matching) in
        [("com.app.add", "prefix"), ("com.app.", "exact"), ("com.app.x", "exact"), ("com.app.x", "wildcard")]
    {
        assert_eq!(lookup(uri, Some(matching)), value(Value::Null), "{uri} {matching}");
    }
    assert_eq!(error_of(lookup("com.app.add", Some("glob"))), error::INVALID_ARGUMENT);
    let wrong = call(&mut sim, admin, "wamp.registration.lookup", vec!["x".into(), "exact".into()]);
    assert_eq!(error_of(wrong), error::INVALID_ARGUMENT);
    assert_eq!(error_of(call(&mut sim, admin, "wamp.registration.lookup", vec![])), error::INVALID_ARGUMENT);
}

#[test]
fn a_procedure_is_matched_as_a_call_of_it_would_be() {
    let World { mut sim, admin, users: [joe, _], exact, prefix, wildcard, .. } = registered();
    register(&mut sim, joe, "", options(MatchPolicy::Prefix, InvocationPolicy::Single));
    let mut best = |uri: &str| call(&mut sim, admin, "wamp.registration.match", vec![uri.into()]);
    assert_eq!(best("com.app.add"), value(exact.get()));
    assert_eq!(best("com.app.sub"), value(prefix.get()));
    let everything = best("org.x").expect("a registration");
    assert_ne!(everything, [Value::Null]);
    assert_eq!(best("com.x.add"), Ok(everything), "a prefix goes before a wildcard: not {wildcard}");
    assert_eq!(best("wamp.session.get"), value(Value::Null), "calls of these are never routed");
}

#[test]
fn details_of_a_registration_are_told() {
    let World { mut sim, admin, exact, prefix, shared, .. } = registered();
    let mut get = |id: RegistrationId| call(&mut sim, admin, "wamp.registration.get", vec![id.get().into()]);
    let details = |id: RegistrationId, created: &str, uri: &str, matching: &str, invoke: &str| {
        value(dict([
            ("id", id.get().into()),
            ("created", created.into()),
            ("uri", uri.into()),
            ("match", matching.into()),
            ("invoke", invoke.into()),
        ]))
    };
    assert_eq!(get(exact), details(exact, "2026-01-01T00:00:00.000Z", "com.app.add", "exact", "single"));
    assert_eq!(get(prefix), details(prefix, "2026-01-01T00:00:01.500Z", "com.app.", "prefix", "single"));
    assert_eq!(get(shared), details(shared, "2026-01-01T00:00:01.500Z", "com.app.shared", "exact", "roundrobin"));
}

#[test]
fn callees_are_listed_and_counted() {
    let World { mut sim, admin, users: [joe, ann], exact, shared, .. } = registered();
    let of = |id: RegistrationId| vec![id.get().into()];
    let (joe_id, ann_id) = (session(&sim, joe), session(&sim, ann));
    let list = "wamp.registration.list_callees";
    assert_eq!(call(&mut sim, admin, list, of(exact)), value(vec![joe_id.clone()]));
    assert_eq!(call(&mut sim, admin, list, of(shared)), value(vec![ann_id, joe_id.clone()]));
    assert_eq!(call(&mut sim, admin, "wamp.registration.count_callees", of(shared)), value(2));
    sim.cut(ann);
    sim.events();
    assert_eq!(call(&mut sim, admin, list, of(shared)), value(vec![joe_id]));
    assert_eq!(call(&mut sim, admin, "wamp.registration.count_callees", of(shared)), value(1));
}

#[test]
fn unknown_registrations_are_said_to_be_so() {
    let World { mut sim, admin, users: [joe, _], exact, .. } = registered();
    sim.act(joe, |client, now| client.unregister(now, exact)).expect("joined");
    sim.events();
    for procedure in ["wamp.registration.get", "wamp.registration.list_callees", "wamp.registration.count_callees"] {
        for unknown in [exact.get().into(), Value::from(1_u64 << 53), 4_000_000_000_u64.into()] {
            assert_eq!(error_of(call(&mut sim, admin, procedure, vec![unknown])), error::NO_SUCH_REGISTRATION);
        }
        for wrong in [vec![], vec![0.into()], vec!["x".into()], vec![1.into(), 2.into()]] {
            assert_eq!(error_of(call(&mut sim, admin, procedure, wrong)), error::INVALID_ARGUMENT);
        }
    }
}

#[test]
fn a_callee_is_removed_and_told_why() {
    let World { mut sim, admin, users: [joe, ann], shared, .. } = registered();
    let args = vec![shared.get().into(), session(&sim, joe), "com.example.enough".into()];
    let (answer, told) = call_and_see(&mut sim, admin, "wamp.registration.remove_callee", args.clone(), Dict::new());
    assert_eq!(answer, Ok(vec![]));
    let revoked = ClientEvent::RegistrationRevoked { registration: shared, reason: Some("com.example.enough".into()) };
    assert!(told.contains(&(joe, revoked)), "{told:?}");
    assert_eq!(
        call(&mut sim, admin, "wamp.registration.list_callees", vec![shared.get().into()]),
        value(vec![session(&sim, ann)])
    );
    let again = call(&mut sim, admin, "wamp.registration.remove_callee", args);
    assert_eq!(error_of(again), error::NO_SUCH_REGISTRATION, "it does not hold it any more");
    let last = vec![shared.get().into(), session(&sim, ann)];
    assert_eq!(call(&mut sim, admin, "wamp.registration.remove_callee", last), Ok(vec![]));
    let gone = call(&mut sim, admin, "wamp.registration.get", vec![shared.get().into()]);
    assert_eq!(error_of(gone), error::NO_SUCH_REGISTRATION);
}

#[test]
fn what_a_removed_callee_has_begun_it_may_finish() {
    let World { mut sim, admin, users: [joe, ann], exact, .. } = registered();
    let asked = sim.act(ann, |client, now| {
        client.call(now, Uri::from("com.app.add"), CallOptions::default(), Payload::empty()).expect("joined")
    });
    let events = sim.events();
    let [(_, ClientEvent::Invocation { request, .. })] = events.as_slice() else { panic!("{events:?}") };
    let args = vec![exact.get().into(), session(&sim, joe)];
    assert_eq!(call(&mut sim, admin, "wamp.registration.remove_callee", args), Ok(vec![]));
    let payload = Payload::from_args([5.into()]);
    sim.act(joe, |client, _| client.yield_result(*request, YieldOptions::default(), payload)).expect("still open");
    let events = sim.events();
    assert!(
        matches!(&events[..], [(whom, ClientEvent::Result { request, .. })] if (*whom, *request) == (ann, asked)),
        "{events:?}"
    );
}

#[test]
fn a_callee_that_does_not_know_of_revocation_is_not_told() {
    let World { mut sim, admin, .. } = registered();
    let mut plain: ClientConfig = config("old", USER);
    plain.roles.callee = Some(Features::SHARED_REGISTRATION);
    let old = sim.client(plain, Wire::Messages);
    sim.events();
    let id = register(&mut sim, old, "com.old", RegisterOptions::default());
    let args = vec![id.get().into(), session(&sim, old)];
    let (answer, told) = call_and_see(&mut sim, admin, "wamp.registration.remove_callee", args, Dict::new());
    assert!(answer.is_ok() && told.iter().all(|(whom, _)| *whom != old), "{told:?}");
    let gone = call(&mut sim, admin, "wamp.registration.count_callees", vec![id.get().into()]);
    assert_eq!(error_of(gone), error::NO_SUCH_REGISTRATION);
}

#[test]
fn wrong_removals_change_nothing() {
    let World { mut sim, admin, users: [joe, _], exact, .. } = registered();
    let (id, joe_id, admin_id) = (Value::from(exact.get()), session(&sim, joe), session(&sim, admin));
    let remove = "wamp.registration.remove_callee";
    for (args, expected) in [
        (vec![id.clone(), admin_id], error::NO_SUCH_REGISTRATION),
        (vec![id.clone(), 1.into()], error::NO_SUCH_SESSION),
        (vec![4_000_000_000_u64.into(), joe_id.clone()], error::NO_SUCH_REGISTRATION),
        (vec![id.clone()], error::INVALID_ARGUMENT),
        (vec![id.clone(), joe_id.clone(), "not a uri".into()], error::INVALID_URI),
    ] {
        assert_eq!(error_of(call(&mut sim, admin, remove, args)), expected);
    }
    let reason = dict([("reason", "..".into())]);
    assert_eq!(error_of(call_with(&mut sim, admin, remove, vec![id.clone(), joe_id], reason)), error::INVALID_URI);
    assert_eq!(call(&mut sim, admin, "wamp.registration.count_callees", vec![id]), value(1));
}

#[test]
fn realms_do_not_see_each_other() {
    let World { mut sim, exact, .. } = registered();
    let mut elsewhere = config("spy", ANYTHING);
    elsewhere.realm = Some(Uri::from("realm2"));
    let spy = sim.client(elsewhere, Wire::Messages);
    sim.events();
    let get = call(&mut sim, spy, "wamp.registration.get", vec![exact.get().into()]);
    assert_eq!(error_of(get), error::NO_SUCH_REGISTRATION);
    assert_eq!(ids(call(&mut sim, spy, "wamp.session.list", vec![])), [session(&sim, spy)]);
    assert_eq!(call(&mut sim, spy, "wamp.session.kill_all", vec![]), value(0));
}
