//! Who may use the meta API: a blanket rule is enough to be told, but not to touch other sessions.

use wampd_core::client::ClientEvent;
use wampd_core::message::{PublishOptions, RegisterOptions, SubscribeOptions};
use wampd_core::router::{Allow, Permissions, RealmConfig, RoleConfig, RouterConfig, Rule};
use wampd_core::uri::{MatchPolicy, Uri, error};
use wampd_tests::answerer::REALM;
use wampd_tests::config::ANYTHING;
use wampd_tests::meta::{PROCEDURES, TOUCHES_OTHERS, USER, as_asked, call, error_of, join, subscribe, world};
use wampd_tests::sim::{EndId, Sim};

const CALL: Allow = Allow { call: true, ..Allow::NONE };

/// One session in a role with these rules, and one other.
fn with_rules(rules: &[(&'static str, MatchPolicy, Allow)]) -> (Sim, EndId) {
    let rules = rules.iter().map(|&(uri, matching, allow)| Rule::new(Uri::from(uri), matching, allow)).collect();
    let permissions = Permissions::new(rules).expect("no contradiction");
    let role = RoleConfig::new("role", permissions);
    let config = RouterConfig { realms: vec![RealmConfig::new(REALM, vec![role])], ..RouterConfig::default() };
    let mut sim = Sim::new(1, config, Default::default(), as_asked());
    let id = join(&mut sim, "joe", "role");
    join(&mut sim, "ann", "role");
    (sim, id)
}

/// The procedures that a role with these rules may call.
fn callable(rules: &[(&'static str, MatchPolicy, Allow)]) -> Vec<&'static str> {
    let (mut sim, id) = with_rules(rules);
    let mut may = |procedure: &'static str| match call(&mut sim, id, procedure, vec![]) {
        Err((error, _)) => error != error::NOT_AUTHORIZED,
        Ok(_) => true,
    };
    PROCEDURES.into_iter().filter(|procedure| may(procedure)).collect()
}

#[test]
fn a_blanket_rule_lets_a_role_be_told_but_not_touch_others() {
    let mut sim = world();
    let user = join(&mut sim, "joe", USER);
    for procedure in TOUCHES_OTHERS {
        assert_eq!(error_of(call(&mut sim, user, procedure, vec![])), error::NOT_AUTHORIZED, "{procedure}");
    }
    assert_eq!(sim.router.stats().denied, TOUCHES_OTHERS.len() as u64);
    assert_eq!(sim.router.stats().sessions, 1);
    assert_eq!(callable(&[("", MatchPolicy::Prefix, CALL)]), harmless());
}

#[test]
fn a_limited_role_does_not_learn_which_procedures_of_the_router_there_are() {
    let mut sim = world();
    let user = join(&mut sim, "joe", USER);
    for procedure in ["wamp.session.kill", "wamp.session.nothing", "wamp.x"] {
        let answer = call(&mut sim, user, procedure, vec![]);
        assert_eq!(error_of(answer), error::NOT_AUTHORIZED, "{procedure}");
    }
    assert_eq!(callable(&[("com.", MatchPolicy::Prefix, CALL)]), Vec::<&str>::new());
}

fn harmless() -> Vec<&'static str> {
    PROCEDURES.into_iter().filter(|procedure| !TOUCHES_OTHERS.contains(procedure)).collect()
}

#[test]
fn a_rule_of_its_own_lets_a_role_call_what_it_names() {
    use MatchPolicy::{Exact, Prefix, Wildcard};
    let all = &PROCEDURES[..];
    let sessions = &PROCEDURES[..9];
    let harmless = harmless();
    let uncounted: Vec<_> = harmless.iter().copied().filter(|procedure| *procedure != "wamp.session.count").collect();
    let cases: [(Vec<_>, &[&str]); 12] = [
        (vec![("wamp.", Prefix, CALL)], all),
        (vec![("wamp", Prefix, CALL)], all),
        (vec![("wam", Prefix, CALL)], &harmless),
        (vec![("", Prefix, CALL), ("wamp.", Prefix, CALL)], all),
        (vec![("wamp.session.", Prefix, CALL)], sessions),
        (vec![("wamp.session.kill", Prefix, CALL)], &sessions[5..]),
        (vec![("wamp.session.count", Exact, CALL)], &sessions[..1]),
        (vec![("", Prefix, CALL), ("wamp.session.count", Exact, Allow::NONE)], &uncounted),
        (vec![("..count", Wildcard, CALL)], &sessions[..1]),
        (
            vec![("wamp..list", Wildcard, CALL)],
            &["wamp.session.list", "wamp.registration.list", "wamp.subscription.list"],
        ),
        // What is more specific decides.
        (vec![("wamp.session.", Prefix, CALL), ("wamp.session.kill", Prefix, Allow::NONE)], &sessions[..5]),
        (vec![("wamp.session.", Prefix, CALL), ("..kill_all", Wildcard, Allow::NONE)], &sessions[..8]),
    ];
    for (rules, expected) in cases {
        assert_eq!(callable(&rules), expected, "{rules:?}");
    }
}

#[test]
fn the_router_may_be_asked_for_nothing_else() {
    let mut sim = world();
    let admin = join(&mut sim, "admin", ANYTHING);
    for unknown in ["wamp.x", "wamp.session", "wamp.session.on_join", "wamp.session.count.x", "wamp.session.resurrect"]
    {
        assert_eq!(error_of(call(&mut sim, admin, unknown, vec![])), error::NO_SUCH_PROCEDURE, "{unknown}");
    }
}

#[test]
fn nobody_speaks_for_the_router() {
    let mut sim = world();
    let admin = join(&mut sim, "admin", ANYTHING);
    subscribe(&mut sim, admin, "wamp.session.on_join", MatchPolicy::Exact);
    let uri = || Uri::from("wamp.session.on_join");
    let options = PublishOptions { acknowledge: true, exclude_me: Some(false), ..PublishOptions::default() };
    sim.act(admin, |client, now| client.publish(now, uri(), options, Default::default())).expect("joined");
    sim.act(admin, |client, now| client.register(now, uri(), RegisterOptions::default())).expect("joined");
    let told = sim.events();
    assert_eq!(told.len(), 2, "{told:?}");
    for (_, event) in told {
        assert!(matches!(&event, ClientEvent::Failed { error, .. } if *error == error::INVALID_URI), "{event:?}");
    }
}

#[test]
fn meta_events_are_topics_like_others() {
    let mut sim = world();
    let user = join(&mut sim, "joe", USER);
    subscribe(&mut sim, user, "wamp.session.on_join", MatchPolicy::Exact);

    let subscribes = Allow { subscribe: true, ..Allow::NONE };
    let (mut sim, id) = with_rules(&[("com.", MatchPolicy::Prefix, subscribes)]);
    for (topic, matching) in [
        ("wamp.session.on_join", MatchPolicy::Exact),
        ("wamp.", MatchPolicy::Prefix),
        ("", MatchPolicy::Prefix),
        ("..on_join", MatchPolicy::Wildcard),
    ] {
        let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
        sim.act(id, |client, now| client.subscribe(now, Uri::from(topic), options)).expect("joined");
        let told = sim.events();
        assert!(matches!(&told[..], [(_, ClientEvent::Failed { error, .. })] if *error == error::NOT_AUTHORIZED));
    }
    // A rule can take them out of what a blanket rule allows.
    let (mut sim, id) =
        with_rules(&[("", MatchPolicy::Prefix, subscribes), ("wamp.", MatchPolicy::Prefix, Allow::NONE)]);
    for topic in ["wamp.session.on_join", "com.x"] {
        sim.act(id, |client, now| client.subscribe(now, Uri::from(topic), Default::default())).expect("joined");
    }
    let told = sim.events();
    assert!(matches!(&told[..], [(_, ClientEvent::Failed { .. }), (_, ClientEvent::Subscribed { .. })]), "{told:?}");
}
