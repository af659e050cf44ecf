//! What WELCOME announces holds in that realm and for that role; a realm that is no URI is refused as such.

use wampd_core::message::{ClientRoles, Features, Hello, HelloDetails, Message};
use wampd_core::router::{
    Allow, EventHistory, Identity, LinkInfo, Output, Permissions, RoleConfig, Router, RouterConfig, Rule,
};
use wampd_core::time::Instant;
use wampd_core::uri::{MatchPolicy, Uri, error};
use wampd_tests::answerer::REALM;
use wampd_tests::config::{ANYTHING, ASKED, open_realm};
use wampd_tests::rng::Pcg;
use wampd_tests::sim::BEGINNING;

fn answer_to_hello(config: RouterConfig, realm: &'static str, role: Option<&str>) -> Message {
    let mut router = Router::new(config, Instant::ZERO, BEGINNING, Box::new(Pcg::new(1)));
    let identity = |role: &str| {
        let (realm, authid, authrole) = (REALM, "a".to_owned(), role.to_owned());
        Identity { realm, authid, authrole, ..Identity::default() }
    };
    let link = LinkInfo { privileged: role.map(identity), ..LinkInfo::default() };
    let peer = router.open(Instant::ZERO, link).expect("room enough");
    let roles = ClientRoles { caller: Some(Features::NONE), ..ClientRoles::default() };
    let details = HelloDetails { roles, ..HelloDetails::default() };
    router.receive(Instant::ZERO, peer, Hello { realm: Some(Uri::from(realm)), details }.into());
    match router.poll_output() {
        Some(Output::Send { message, .. }) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_does_not_hold_is_not_announced() {
    const LIMITED: &str = "limited";
    for (levels, history) in [(false, false), (true, false), (false, true), (true, true)] {
        for (role, may_ask) in [(ANYTHING, true), (ASKED, true), (LIMITED, false)] {
            let mut config = open_realm();
            let realm = &mut config.realms[0];
            let rules = vec![Rule::new(Uri::from("com."), MatchPolicy::Prefix, Allow::ALL)];
            realm.roles.push(RoleConfig::new(LIMITED, Permissions::new(rules).expect("one rule")));
            realm.roles[0].trustlevel = levels.then_some(1);
            if history {
                realm.event_history.push(EventHistory {
                    uri: Uri::from("com.x"),
                    matching: MatchPolicy::Exact,
                    limit: 1,
                });
            }
            let Message::Welcome(welcome) = answer_to_hello(config, "realm1", Some(role)) else { panic!("let in") };
            let (broker, dealer) = (welcome.details.roles.broker, welcome.details.roles.dealer);
            let announced = |features: Option<Features>, feature| features.is_some_and(|all| all.contains(feature));
            assert_eq!(announced(broker, Features::PUBLICATION_TRUSTLEVELS), levels);
            assert_eq!(announced(dealer, Features::CALL_TRUSTLEVELS), levels);
            assert_eq!(announced(broker, Features::EVENT_HISTORY), history && may_ask, "{role}");
        }
    }
}

#[test]
fn a_realm_that_is_no_uri_is_refused_as_such() {
    for realm in ["not a realm", "", "a..b", "a#b", "\0realm1"] {
        let Message::Abort(abort) = answer_to_hello(open_realm(), realm, None) else { panic!("{realm:?}") };
        assert_eq!(abort.reason, error::INVALID_URI, "{realm:?}");
    }
}
