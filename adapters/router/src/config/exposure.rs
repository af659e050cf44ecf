//! Warnings about what others can reach: procedures that decide who may join, secrets in files, everything at once.

use super::endpoint::Endpoint;
use super::lint::Sources;
use super::node::NodeConfig;
use super::reader::{Context, Place};
use super::report::{Problem, Report, Severity};
use super::workers::Link;
use super::{AuthConfig, Provider};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use wampd_core::router::{Action, Allow, RealmConfig, RoleConfig, Rule};
use wampd_core::uri::{MatchPolicy, Uri};

/// Characters of a salt below which a table of all is made quickly.
const MIN_SALT: usize = 8;

/// A procedure that decides who may join, or what a role may do.
pub(super) struct Deciding {
    pub(super) procedure: Uri,
    /// Where it is called; `None`: in the realm that the client asks for.
    pub(super) realm: Option<Uri>,
    /// The role it is called with, if that is one of the realm.
    pub(super) caller: Option<String>,
    pub(super) what: &'static str,
    pub(super) place: Place,
}

/// Who is let in without a proof, over which endpoint.
pub(super) struct Open {
    role: String,
    realm: Option<Uri>,
    place: Place,
}

impl Open {
    /// What a transport lets in from elsewhere.
    pub(super) fn of<'a>(
        endpoint: Option<&Endpoint>,
        auths: impl Iterator<Item = &'a AuthConfig>,
        place: &Place,
    ) -> Vec<Self> {
        let Some(Endpoint::Tcp { address, .. }) = endpoint else { return Vec::new() };
        if address.ip().is_loopback() {
            return Vec::new();
        }
        let anonymous = auths.filter_map(|auth| match &auth.anonymous {
            Some(Provider::Static(anonymous)) => Some(anonymous),
            _ => None,
        });
        anonymous.map(|who| Self { role: who.role.clone(), realm: who.realm.clone(), place: place.clone() }).collect()
    }
}

pub(super) fn check(cx: &mut Context<'_>, node: &NodeConfig, sources: &Sources) {
    let dynamic = sources.authenticators.iter().map(|(dynamic, place)| Deciding {
        procedure: dynamic.authenticator.clone(),
        realm: dynamic.realm.clone(),
        caller: dynamic.role.clone(),
        what: "who joins",
        place: place.clone(),
    });
    let mut seen = BTreeSet::new();
    for deciding in dynamic.collect::<Vec<_>>().iter().chain(&sources.authorizers) {
        for realm in &node.router.realms {
            let called = deciding.realm.as_ref().is_none_or(|named| *named == realm.name);
            if called && seen.insert((&deciding.procedure, &realm.name)) {
                exposed(cx, node, sources, realm, deciding);
            }
        }
    }
    for open in &sources.open {
        everything(cx, node, open);
    }
    if !cx.report.has_errors() {
        salts(cx, &sources.salts);
    }
}

/// Warns of roles that may call or register a procedure that decides.
fn exposed(cx: &mut Context<'_>, node: &NodeConfig, sources: &Sources, realm: &RealmConfig, deciding: &Deciding) {
    let (procedure, ruled) =
        (deciding.procedure.as_str(), realm.roles.iter().filter(|role| !role.permissions.is_asked()));
    let is_caller = |role: &&RoleConfig| deciding.caller.as_ref() == Some(&role.name);
    let registering: Vec<&RoleConfig> = ruled.clone().filter(|role| may_register(role, procedure)).collect();
    let own = own_roles(node, sources, realm, &registering, procedure);
    let others: Vec<&str> =
        registering.iter().filter(|role| !own.contains(role.name.as_str())).map(|role| role.name.as_str()).collect();
    let at = format!("{procedure:?} in realm {:?}", realm.name.as_str());
    if !others.is_empty() {
        let message = format!("{} may register {at}: whoever does decides {}", named(&others), deciding.what);
        let hint = "let one role of the component register it, and no other, nor a pattern that matches it";
        cx.warn(&deciding.place, message, hint);
    }
    let calling = ruled.filter(|role| !is_caller(role) && !own.contains(role.name.as_str()));
    let calling = calling.filter(|role| role.permissions.decide(Action::Call, procedure, MatchPolicy::Exact).allow);
    let calling: Vec<&str> = calling.map(|role| role.name.as_str()).collect();
    if !calling.is_empty() {
        let message = format!("{} may call {at}, and read what it answers, secrets among it", named(&calling));
        let hint = format!("add to those roles {{\"uri\": {procedure:?}, \"match\": \"exact\", \"allow\": {{}}}}");
        cx.warn(&deciding.place, message, hint);
    }
}

/// The roles that the component has which is to register a procedure, as far as the configuration tells: those of
/// components of the node, or with a rule for this very procedure, or the only one. Never one for which nothing has to be
/// proved.
fn own_roles<'a>(
    node: &NodeConfig,
    sources: &Sources,
    realm: &RealmConfig,
    registering: &[&'a RoleConfig],
    procedure: &str,
) -> BTreeSet<&'a str> {
    let anonymous = |role: &&&RoleConfig| sources.roles.iter().any(|used| used.anonymous && used.role == role.name);
    let has_component = |role: &RoleConfig| {
        let links = node.components.iter().filter(|component| component.realm == realm.name);
        links.into_iter().any(|component| matches!(&component.link, Link::Role(name) if *name == role.name))
    };
    let is_named = |role: &RoleConfig| {
        let named = |rule: &Rule| rule.matching == MatchPolicy::Exact && rule.uri.as_str() == procedure;
        role.permissions.rules().iter().any(|rule| named(rule) && rule.allow.register)
    };
    let mut proved = registering.iter().filter(|role| !anonymous(role));
    let likely: BTreeSet<&str> =
        proved.clone().filter(|role| has_component(role) || is_named(role)).map(|role| role.name.as_str()).collect();
    match (proved.next(), proved.next()) {
        (Some(only), None) if likely.is_empty() => BTreeSet::from([only.name.as_str()]),
        _ => likely,
    }
}

/// Whether a role may register a procedure or a prefix of it.
fn may_register(role: &RoleConfig, procedure: &str) -> bool {
    let may = |uri: &str, matching| role.permissions.decide(Action::Register, uri, matching).allow;
    let mut prefixes = procedure.char_indices().map(|(end, _)| &procedure[..end]);
    may(procedure, MatchPolicy::Exact) || prefixes.any(|prefix| may(prefix, MatchPolicy::Prefix))
}

fn named(roles: &[&str]) -> String {
    let names: Vec<String> = roles.iter().map(|role| format!("{role:?}")).collect();
    format!("role{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
}

/// Warns of roles that everybody who can reach the endpoint has, and that may do everything.
fn everything(cx: &mut Context<'_>, node: &NodeConfig, open: &Open) {
    let realms = node.router.realms.iter().filter(|realm| open.realm.as_ref().is_none_or(|only| *only == realm.name));
    let mut roles = realms.flat_map(|realm| realm.roles.iter().map(move |role| (realm, role)));
    let allowed = |role: &RoleConfig| {
        let rules = role.permissions.rules();
        let everywhere = |rule: &Rule| rule.uri.as_str().is_empty() && rule.matching == MatchPolicy::Prefix;
        rules.iter().any(everywhere) && rules.iter().all(|rule| rule.allow == Allow::ALL)
    };
    let found = roles.find(|(_, role)| role.name == open.role && allowed(role));
    if let Some((realm, role)) = found {
        let (role, realm) = (&role.name, realm.name.as_str());
        let message =
            format!("whoever reaches this endpoint has role {role:?}, which may do everything in realm {realm:?}");
        cx.warn(&open.place, message, "allow the role what clients need, or set interface to 127.0.0.1");
    }
}

fn salts(cx: &mut Context<'_>, salts: &[(String, Place)]) {
    let mut first: BTreeMap<&str, &Place> = BTreeMap::new();
    for (salt, place) in salts {
        if let Some(other) = first.get(salt.as_str()) {
            let message =
                format!("the salt is that of line {}: one table of passwords is good for both", other.position.line);
            cx.warn(place, message, "give each user a random salt of its own");
        } else if salt.len() < MIN_SALT {
            let message =
                format!("a salt of {} characters is guessed, and a table of passwords made before", salt.len());
            cx.warn(place, message, "give each user a random salt of 16 characters or more");
        }
        first.entry(salt).or_insert(place);
    }
}

/// What to do about secrets in the configuration that others can read.
pub(super) const WRITTEN: &str = ", or write ${VARIABLE} in the place of secrets";

/// Warns if others can read a file that holds secrets. `or` is what else helps than to forbid it.
pub(super) fn readable(report: &mut Report, file: &Path, what: &str, or: &str, place: Option<&Place>) {
    let Ok(about) = std::fs::metadata(file) else { return };
    if about.is_file() && about.mode() & 0o004 != 0 {
        let name = file.file_name().unwrap_or(file.as_os_str()).display();
        report.push(Problem {
            severity: Severity::Warning,
            position: place.map(|place| place.position),
            path: place.map(|place| place.path.clone()).unwrap_or_default(),
            message: format!("every user of this system can read {what}"),
            hint: Some(format!("chmod o-r {name}{or}")),
        });
    }
}

#[cfg(test)]
mod tests;
