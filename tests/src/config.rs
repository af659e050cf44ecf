//! Router configurations of the tests.

use crate::answerer::REALM;
use wampd_core::router::{Permissions, RealmConfig, RequestIdCheck, RoleConfig, RouterConfig};

/// A role that may do everything.
pub const ANYTHING: &str = "anything";

/// One realm, with one role that may do everything; request ids are checked strictly.
pub fn open_realm() -> RouterConfig {
    let role = RoleConfig { name: ANYTHING.to_owned(), permissions: Permissions::all() };
    let realm = RealmConfig { request_ids: RequestIdCheck::Strict, ..RealmConfig::new(REALM, vec![role]) };
    RouterConfig { realms: vec![realm], ..RouterConfig::default() }
}
