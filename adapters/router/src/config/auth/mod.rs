//! Who may join over a transport.

mod cryptosign;
mod provider;
mod scram;
mod tls;
mod users;

pub use cryptosign::{CryptosignPrincipal, CryptosignPrincipals};
pub use provider::{DynamicAuth, FunctionAuth, Provider};
pub use scram::ScramUser;
pub use tls::{TlsPrincipal, TlsPrincipals};
pub use users::{AnonymousPrincipal, CraUser, TicketPrincipal};

use super::lint::RoleUse;
use super::reader::{Context, Item, Place, Section};
use crate::authn::answerer::STATIC;
use provider::one_spelling;
use std::collections::BTreeMap;
use wampd_core::auth as core_auth;
use wampd_core::auth::scram::Dialect;
use wampd_core::router::Identity;

/// Methods by which proxies of Crossbar.io tell who their clients are.
const PROXY_METHODS: &[(&str, &str)] = &[
    ("anonymous-proxy", "there are no proxies: nobody can join by it"),
    ("cryptosign-proxy", "there are no proxies: nobody can join by it"),
];

/// The authentication methods that a transport offers.
#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    /// `anonymous`.
    pub anonymous: Option<Provider<AnonymousPrincipal>>,
    /// `ticket`; static principals by authid.
    pub ticket: Option<Provider<BTreeMap<String, TicketPrincipal>>>,
    /// `wampcra`; static users by authid.
    pub wampcra: Option<Provider<BTreeMap<String, CraUser>>>,
    /// `scram`: SCRAM as Crossbar.io has it; static users by authid.
    pub scram: Option<Provider<BTreeMap<String, ScramUser>>>,
    /// `wamp-scram`: SCRAM as specified; static users by authid.
    pub wamp_scram: Option<Provider<BTreeMap<String, ScramUser>>>,
    /// `cryptosign`.
    pub cryptosign: Option<Provider<CryptosignPrincipals>>,
    /// `tls`: client certificates.
    pub tls: Option<Provider<TlsPrincipals>>,
    /// `cookie`: who has logged in before is known by a cookie.
    pub cookie: bool,
}

impl AuthConfig {
    /// What a transport without `auth` offers: anonymous, with role `anonymous`.
    pub fn anonymous_only() -> Self {
        let principal = AnonymousPrincipal { role: core_auth::ANONYMOUS.to_owned(), authid: None, realm: None };
        Self { anonymous: Some(Provider::Static(principal)), ..Self::default() }
    }
}

impl AuthConfig {
    /// Whether a static user who has logged in is one still, with the same role. Others are whom they were taken for.
    pub fn still_has(&self, known: &Identity) -> bool {
        if known.authprovider != STATIC {
            return true;
        }
        let authid = known.authid.as_str();
        let role = match known.authmethod.as_str() {
            core_auth::TICKET => role_of(&self.ticket, |users| users.get(authid).map(|user| &user.role)),
            core_auth::WAMPCRA => role_of(&self.wampcra, |users| users.get(authid).map(|user| &user.role)),
            core_auth::SCRAM => role_of(&self.scram, |users| users.get(authid).map(|user| &user.role)),
            core_auth::WAMP_SCRAM => role_of(&self.wamp_scram, |users| users.get(authid).map(|user| &user.role)),
            core_auth::CRYPTOSIGN => {
                role_of(&self.cryptosign, |users| users.by_authid.get(authid).map(|user| &user.role))
            }
            core_auth::TLS => {
                role_of(&self.tls, |users| users.values().find(|user| user.authid == authid).map(|user| &user.role))
            }
            _ => None,
        };
        role == Some(&known.authrole)
    }
}

fn role_of<T>(provider: &Option<Provider<T>>, role: impl FnOnce(&T) -> Option<&String>) -> Option<&String> {
    match provider {
        Some(Provider::Static(users)) => role(users),
        _ => None,
    }
}

/// Reads the `auth` of a transport or path.
pub(super) fn read(cx: &mut Context<'_>, owner: &mut Section<'_>) -> AuthConfig {
    let Some(item) = owner.get("auth") else {
        use_anonymous_role(cx, core_auth::ANONYMOUS, &owner.place, "clients of a transport without auth have");
        return AuthConfig::anonymous_only();
    };
    let Some(mut section) = item.map(cx) else { return AuthConfig::default() };
    let auth = AuthConfig {
        anonymous: section.get("anonymous").and_then(|item| method(cx, &item, users::anonymous)),
        ticket: section.get("ticket").and_then(|item| method(cx, &item, users::principals)),
        wampcra: section.get("wampcra").and_then(|item| method(cx, &item, users::users)),
        scram: section
            .get("scram")
            .and_then(|item| method(cx, &item, |cx, section, role| scram::users(Dialect::Crossbar, cx, section, role))),
        wamp_scram: section.get("wamp-scram").and_then(|item| {
            method(cx, &item, |cx, section, role| scram::users(Dialect::WampScram, cx, section, role))
        }),
        cryptosign: section.get("cryptosign").and_then(|item| method(cx, &item, cryptosign::principals)),
        cookie: section.get("cookie").and_then(|item| item.map(cx)).map(|section| section.finish(cx)).is_some(),
        tls: section.get("tls").and_then(|item| method(cx, &item, tls::principals)),
    };
    section.ignore(cx, PROXY_METHODS);
    if section.items().next().is_none() {
        cx.error(&item.place, "no method is given, so nobody could join", "add one, or remove auth for anonymous only");
    }
    section.finish(cx);
    auth
}

fn method<T>(
    cx: &mut Context<'_>,
    item: &Item<'_>,
    read_static: fn(&mut Context<'_>, &mut Section<'_>, Option<&str>) -> Option<T>,
) -> Option<Provider<T>> {
    let mut section = item.map(cx)?;
    let default_role = default_role(cx, &mut section);
    let kind = match section.get("type") {
        Some(kind) => kind.one_of(cx, &[("static", 0), ("function", 1), ("dynamic", 2)]),
        // Crossbar.io reads {"role": ..} of the anonymous method without a type.
        None if item.place.path.ends_with("anonymous") => Some(0),
        None => {
            cx.error(&item.place, "the key \"type\" is missing", "static, function or dynamic");
            None
        }
    };
    let provider = match kind? {
        0 => read_static(cx, &mut section, default_role.as_deref()).map(Provider::Static),
        1 => provider::function(cx, &mut section, default_role).map(Provider::Function),
        _ => provider::dynamic(cx, &mut section, default_role).map(Provider::Dynamic),
    };
    section.finish(cx);
    provider
}

fn default_role(cx: &mut Context<'_>, section: &mut Section<'_>) -> Option<String> {
    let item = one_spelling(cx, section, "default-role", "default_role")?;
    let role = item.name(cx)?;
    use_role(cx, &role, &item.place, "answers without a role get");
    Some(role)
}

fn role(cx: &mut Context<'_>, section: &mut Section<'_>, authid: &str, default: Option<&str>) -> Option<String> {
    match (section.get("role"), default) {
        (Some(item), _) => {
            let role = item.name(cx)?;
            use_role(cx, &role, &item.place, &format!("user {authid:?} has"));
            Some(role)
        }
        (None, Some(default)) => Some(default.to_owned()),
        (None, None) => {
            let hint = "add role here, or default-role beside the users";
            cx.error(&section.place, "the key \"role\" is missing", hint);
            None
        }
    }
}

/// Notes that clients may get a role; whether it exists is checked at the end.
fn use_role(cx: &mut Context<'_>, role: &str, place: &Place, who: &str) {
    let (role, place, who) = (role.to_owned(), place.clone(), who.to_owned());
    cx.sources.roles.push(RoleUse { role, place, who, anonymous: false });
}

/// Notes that clients get a role who prove nothing.
fn use_anonymous_role(cx: &mut Context<'_>, role: &str, place: &Place, who: &str) {
    use_role(cx, role, place, who);
    if let Some(used) = cx.sources.roles.last_mut() {
        used.anonymous = true;
    }
}
