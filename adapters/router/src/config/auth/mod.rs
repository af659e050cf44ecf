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
use provider::one_spelling;
use std::collections::BTreeMap;
use wampd_core::auth as core_auth;
use wampd_core::auth::scram::Dialect;

/// Methods that this router knows by name but does not offer, with what to do.
const OTHER_METHODS: &[(&str, &str)] = &[
    ("cryptosign-proxy", "remove it: there are no proxies to trust"),
    ("cookie", "use wampcra or ticket; cookies are future work"),
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
}

impl AuthConfig {
    /// What a transport without `auth` offers: anonymous, with role `anonymous`.
    pub fn anonymous_only() -> Self {
        let principal = AnonymousPrincipal { role: core_auth::ANONYMOUS.to_owned(), authid: None };
        Self { anonymous: Some(Provider::Static(principal)), ..Self::default() }
    }
}

/// Reads the `auth` of a transport or path.
pub(super) fn read(cx: &mut Context<'_>, owner: &mut Section<'_>) -> AuthConfig {
    let Some(item) = owner.get("auth") else {
        use_role(cx, core_auth::ANONYMOUS, &owner.place, "clients of a transport without auth have");
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
        tls: section.get("tls").and_then(|item| method(cx, &item, tls::principals)),
    };
    section.refuse(cx, OTHER_METHODS);
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
    cx.sources.roles.push(RoleUse { role: role.to_owned(), place: place.clone(), who: who.to_owned() });
}
