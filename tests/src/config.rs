//! Router configurations of the tests.

use crate::answerer::REALM;
use wampd_core::router::{Allow, Permissions, RealmConfig, RequestIdCheck, RoleConfig, RouterConfig, Rule};
use wampd_core::uri::{MatchPolicy, Uri};

/// A role that may do everything.
pub const ANYTHING: &str = "anything";

/// One realm, with one role that may do everything; request ids are checked strictly.
pub fn open_realm() -> RouterConfig {
    realm(vec![RoleConfig { name: ANYTHING.to_owned(), permissions: Permissions::all() }])
}

/// The realm of the founding scenario with its two roles.
pub fn founding_realm() -> RouterConfig {
    let exact = |uri: &'static str, allow| Rule::new(Uri::from(uri), MatchPolicy::Exact, allow);
    let prefix = |uri: &'static str, allow| Rule::new(Uri::from(uri), MatchPolicy::Prefix, allow);
    let call = Allow { call: true, ..Allow::NONE };
    let publish = Allow { publish: true, ..Allow::NONE };
    let role = |name: &str, rules| RoleConfig {
        name: name.to_owned(),
        permissions: Permissions::new(rules).expect("no rule contradicts another"),
    };
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
