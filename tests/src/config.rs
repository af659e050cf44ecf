//! Router configurations of the tests.

use crate::answerer::REALM;
use wampd_core::router::{Allow, Permissions, RealmConfig, RequestIdCheck, RoleConfig, RouterConfig, Rule};
use wampd_core::uri::{MatchPolicy, Uri};

/// A role that may do everything.
pub const ANYTHING: &str = "anything";

/// A role whose permissions are asked for each time.
pub const ASKED: &str = "asked";

/// One realm, with one role that may do everything, and one that is asked about; request ids are checked strictly.
pub fn open_realm() -> RouterConfig {
    realm(vec![RoleConfig::new(ANYTHING, Permissions::all()), RoleConfig::new(ASKED, Permissions::asked())])
}

/// The realm of the founding scenario with its two roles.
pub fn founding_realm() -> RouterConfig {
    let exact = |uri: &'static str, allow| Rule::new(Uri::from(uri), MatchPolicy::Exact, allow);
    let prefix = |uri: &'static str, allow| Rule::new(Uri::from(uri), MatchPolicy::Prefix, allow);
    let call = Allow { call: true, ..Allow::NONE };
    let publish = Allow { publish: true, ..Allow::NONE };
    let role = |name, rules| RoleConfig::new(name, Permissions::new(rules).expect("no rule contradicts another"));
    realm(vec![
        role("backend", vec![prefix("", Allow::ALL), exact("com.example.topic2", Allow::NONE)]),
        role(
            "frontend",
            vec![
                exact("com.example.add2", call),
                prefix("com.example.", publish),
                exact("com.example.topic2", Allow::NONE),
                exact("com.foobar.topic1", publish),
            ],
        ),
    ])
}

fn realm(roles: Vec<RoleConfig>) -> RouterConfig {
    let realm = RealmConfig { request_ids: RequestIdCheck::Strict, ..RealmConfig::new(REALM, roles) };
    RouterConfig { realms: vec![realm], ..RouterConfig::default() }
}
