//! Findings that need the whole configuration: names that refer to nothing, places that two want, and what nobody can
//! reach.

use super::auth::DynamicAuth;
use super::endpoint::Endpoint;
use super::exposure::{self, Deciding, Open};
use super::node::NodeConfig;
use super::reader::{Context, Place};
use core::net::SocketAddr;
use std::collections::{BTreeMap, BTreeSet};
use wampd_core::router::Action;
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::Value;

/// Where names were given that are checked at the end.
#[derive(Default)]
pub(super) struct Sources {
    pub(super) realms: Vec<(Uri, Place)>,
    /// The list of workers.
    pub(super) workers: Option<Place>,
    pub(super) roles: Vec<RoleUse>,
    pub(super) defined_roles: Vec<(String, Place)>,
    pub(super) authenticator_realms: Vec<(Uri, Place)>,
    /// Procedures that decide who may join.
    pub(super) authenticators: Vec<(DynamicAuth, Place)>,
    pub(super) endpoints: Vec<(Endpoint, Place)>,
    /// Interface, version and port of endpoints that several transports may share.
    pub(super) shared: Vec<(Option<Value>, Option<Value>, Option<Value>)>,
    pub(super) transport_ids: Vec<(String, Place)>,
    /// Procedures that decide what roles may do.
    pub(super) authorizers: Vec<Deciding>,
    /// Who is let in from elsewhere without a proof.
    pub(super) open: Vec<Open>,
    /// Salts of passwords.
    pub(super) salts: Vec<(String, Place)>,
    /// Some authenticator decides roles when clients join, so any role may be meant.
    pub(super) any_role: bool,
}

/// A role that clients get.
pub(super) struct RoleUse {
    pub(super) role: String,
    pub(super) place: Place,
    /// Who gets it, up to the verb: "user \"joe\" has".
    pub(super) who: String,
    /// Whether nothing has to be proved for it.
    pub(super) anonymous: bool,
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
    exposure::check(cx, node, sources);
    unique(cx, &sources.transport_ids, |id| format!("there is already a transport with id {id:?}"));
    places(cx, &sources.endpoints);
}

/// Endpoints that cannot be had at once: the system gives each place to one.
fn places(cx: &mut Context<'_>, endpoints: &[(Endpoint, Place)]) {
    for (number, (endpoint, place)) in endpoints.iter().enumerate() {
        let Some((_, first)) = endpoints.iter().take(number).find(|(other, _)| clash(other, endpoint)) else {
            continue;
        };
        let message = format!("another transport listens there already: that of line {}", first.position.line);
        let hint = match endpoint {
            Endpoint::Tcp { .. } => {
                "change one of the two; without interface an endpoint takes the port of all addresses"
            }
            Endpoint::Unix { .. } => "change one of the two",
        };
        cx.error(place, message, hint);
    }
}

fn clash(one: &Endpoint, other: &Endpoint) -> bool {
    match (one, other) {
        (Endpoint::Tcp { address: one, .. }, Endpoint::Tcp { address: other, .. }) => {
            // A socket that listens on all addresses of IPv6 takes IPv4, too.
            let covers = |all: &SocketAddr, one: &SocketAddr| {
                all.ip().is_unspecified() && (all.is_ipv6() || one.is_ipv4() || one.ip().is_unspecified())
            };
            one.port() == other.port() && (one.ip() == other.ip() || covers(one, other) || covers(other, one))
        }
        (Endpoint::Unix { path: one, .. }, Endpoint::Unix { path: other, .. }) => one == other,
        _ => false,
    }
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

/// Realms and roles that nobody can have.
fn reachable(cx: &mut Context<'_>, node: &NodeConfig, sources: &Sources) {
    if cx.report.has_errors() {
        return;
    }
    if node.transports.is_empty() && node.components.is_empty() {
        if let Some(place) = &sources.workers {
            cx.error(place, "nobody can connect: there is no transport", "add transports to the router worker");
        }
        return;
    }
    if sources.any_role {
        return;
    }
    let joinable = |role: &str| sources.roles.iter().any(|used| used.role == role);
    for (realm, (_, place)) in node.router.realms.iter().zip(&sources.realms) {
        if !realm.roles.iter().any(|role| joinable(&role.name)) {
            let hint = "give one of its roles to a user of a transport";
            cx.error(place, "no client can join with a role of this realm", hint);
        }
    }
    if cx.report.has_errors() {
        return;
    }
    // Node folders that work have such roles, left over or for later.
    for (role, place) in sources.defined_roles.iter().filter(|(role, _)| !joinable(role)) {
        let hint = "give it to a user of a transport, or remove it";
        cx.warn(place, format!("nobody can have the role {role:?}"), hint);
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
