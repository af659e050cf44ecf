//! Findings that need the whole configuration: names that refer to nothing, and realms that nobody can reach.

use super::auth::DynamicAuth;
use super::endpoint::Endpoint;
use super::node::NodeConfig;
use super::reader::{Context, Place};
use std::collections::{BTreeMap, BTreeSet};
use wampd_core::router::Action;
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::Value;

/// Where names were given that are checked at the end.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) realms: Vec<(Uri, Place)>,
    pub(super) roles: Vec<RoleUse>,
    pub(super) authenticator_realms: Vec<(Uri, Place)>,
    /// Procedures that decide who may join.
    pub(super) authenticators: Vec<(DynamicAuth, Place)>,
    pub(super) endpoints: Vec<(Endpoint, Place)>,
    /// Interface, version and port of endpoints that several transports may share.
    pub(super) shared: Vec<(Option<Value>, Option<Value>, Option<Value>)>,
    pub(super) transport_ids: Vec<(String, Place)>,
    /// Some authenticator decides roles when clients join, so any role may be meant.
    pub(super) any_role: bool,
}

/// A role that clients get.
pub(super) struct RoleUse {
    pub(super) role: String,
    pub(super) place: Place,
    /// Who gets it, up to the verb: "user \"joe\" has".
    pub(super) who: String,
}

pub(super) fn check(cx: &mut Context<'_>, node: &NodeConfig) {
    let sources = &core::mem::take(&mut cx.sources);
    roles(cx, node, sources);
    reachable(cx, node, sources);
    for (realm, place) in &sources.authenticator_realms {
        if !node.router.realms.iter().any(|known| known.name == *realm) {
            cx.error(place, format!("there is no realm {:?}", realm.as_str()), "add it, or correct the name");
        }
    }
    for (authenticator, place) in &sources.authenticators {
        callable(cx, node, authenticator, place);
    }
    unique(cx, &sources.transport_ids, |id| format!("there is already a transport with id {id:?}"));
    unique(cx, &sources.endpoints, |_| "another transport listens there already".to_owned());
}

fn roles(cx: &mut Context<'_>, node: &NodeConfig, sources: &Sources) {
    let defined: BTreeSet<&str> =
        node.router.realms.iter().flat_map(|realm| &realm.roles).map(|role| role.name.as_str()).collect();
    for used in sources.roles.iter().filter(|used| !defined.contains(used.role.as_str())) {
        let message = format!("{} role {:?}, which no realm defines", used.who, used.role);
        cx.warn(&used.place, message, "add the role to a realm: no client can join without one");
    }
}

/// Whether an authenticator may be called by the role that calls it.
fn callable(cx: &mut Context<'_>, node: &NodeConfig, authenticator: &DynamicAuth, place: &Place) {
    let Some(caller) = &authenticator.role else { return };
    let procedure = authenticator.authenticator.as_str();
    for realm in &node.router.realms {
        let named = authenticator.realm.as_ref() == Some(&realm.name);
        let role = realm.roles.iter().find(|role| role.name == *caller && !role.permissions.is_asked());
        let Some(role) = role.filter(|_| named || authenticator.realm.is_none()) else { continue };
        if role.permissions.decide(Action::Call, procedure, MatchPolicy::Exact).allow {
            continue;
        }
        let message = format!("role {caller:?} may not call {procedure:?} in realm {:?}", realm.name.as_str());
        let hint = "allow it, or leave authenticator-role out";
        if named {
            cx.error(place, message, hint);
        } else {
            cx.warn(place, message, hint);
        }
    }
}

/// Realms whose roles nobody can have.
fn reachable(cx: &mut Context<'_>, node: &NodeConfig, sources: &Sources) {
    if sources.any_role || cx.report.has_errors() {
        return;
    }
    for (realm, (_, place)) in node.router.realms.iter().zip(&sources.realms) {
        let joinable = |role: &str| sources.roles.iter().any(|used| used.role == role);
        if !realm.roles.iter().any(|role| joinable(&role.name)) {
            let hint = "give one of its roles to a user of a transport";
            cx.warn(place, "no client can join with a role of this realm", hint);
        }
    }
}

fn unique<T: Ord>(cx: &mut Context<'_>, named: &[(T, Place)], message: impl Fn(&T) -> String) {
    let mut seen: BTreeMap<&T, ()> = BTreeMap::new();
    for (name, place) in named {
        if seen.insert(name, ()).is_some() {
            cx.error(place, message(name), "change one of the two");
        }
    }
}
