//! Who may join over a transport.

use super::lint::RoleUse;
use super::reader::{Context, Item, Place, Section};
use super::script;
use super::secret::Secret;
use crate::authn::credentials::{CraMembers, CraMembersError};
use crate::authn::function::FunctionAuthenticator;
use crate::authn::script::ScriptAuthenticator;
use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;
use wampd_core::auth::{self as core_auth, CraSecret, TicketDigest};
use wampd_core::uri::{Uri, UriRule};

/// Methods that this router knows by name but does not offer, with what to do.
const OTHER_METHODS: &[(&str, &str)] = &[
    ("scram", "use wampcra with salted users; WAMP-SCRAM is future work"),
    ("cryptosign", "use wampcra or ticket; WAMP-Cryptosign is future work"),
    ("cryptosign-proxy", "remove it: there are no proxies to trust"),
    ("tls", "use wampcra or ticket; client certificates are future work"),
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
}

impl AuthConfig {
    /// What a transport without `auth` offers: anonymous, with role `anonymous`.
    pub fn anonymous_only() -> Self {
        let principal = AnonymousPrincipal { role: core_auth::ANONYMOUS.to_owned(), authid: None };
        Self { anonymous: Some(Provider::Static(principal)), ..Self::default() }
    }
}

/// Who answers for a method.
#[derive(Clone, Debug)]
pub enum Provider<T> {
    /// `type: static`: the configuration.
    Static(T),
    /// `type: function`: a script.
    Function(FunctionAuth),
    /// `type: dynamic`: a procedure.
    Dynamic(DynamicAuth),
}

/// Who anonymous clients are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnonymousPrincipal {
    /// `role`. Default `anonymous`.
    pub role: String,
    /// `authid`; if absent, a random one for each session.
    pub authid: Option<String>,
}

/// A user of ticket authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketPrincipal {
    /// The digest of `ticket`.
    pub ticket: TicketDigest,
    /// `role`, or the method's `default-role`.
    pub role: String,
}

/// A user of WAMP-CRA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CraUser {
    /// What the user must prove; the key of a salted password is derived already.
    pub secret: CraSecret,
    /// `role`, or the method's `default-role`.
    pub role: String,
}

/// A function authenticator, ready to answer.
#[derive(Clone)]
pub struct FunctionAuth {
    /// What it is called in logs; of a script the file.
    pub name: String,
    /// What answers.
    pub authenticator: Arc<dyn FunctionAuthenticator>,
    /// `default-role`: for answers without a role.
    pub default_role: Option<String>,
}

impl fmt::Debug for FunctionAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, default_role, .. } = self;
        f.debug_struct("FunctionAuth").field("name", name).field("default_role", default_role).finish_non_exhaustive()
    }
}

/// A procedure that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicAuth {
    /// `authenticator`: the procedure.
    pub authenticator: Uri,
    /// `authenticator-realm`: where to call it. Default: the realm that the client asks for.
    pub realm: Option<Uri>,
    /// `authenticator-role`: the role of the caller. Default `trusted`.
    pub role: Option<String>,
    /// `default-role`: for answers without a role.
    pub default_role: Option<String>,
}

/// Reads the `auth` of a transport or path.
pub(super) fn read(cx: &mut Context<'_>, owner: &mut Section<'_>) -> AuthConfig {
    let Some(item) = owner.get("auth") else {
        use_role(cx, core_auth::ANONYMOUS, &owner.place, "clients of a transport without auth have");
        return AuthConfig::anonymous_only();
    };
    let Some(mut section) = item.map(cx) else { return AuthConfig::default() };
    let auth = AuthConfig {
        anonymous: section.get("anonymous").and_then(|item| method(cx, &item, anonymous)),
        ticket: section.get("ticket").and_then(|item| method(cx, &item, principals)),
        wampcra: section.get("wampcra").and_then(|item| method(cx, &item, users)),
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
        1 => function(cx, &mut section, default_role).map(Provider::Function),
        _ => dynamic(cx, &mut section, default_role).map(Provider::Dynamic),
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

fn anonymous(cx: &mut Context<'_>, section: &mut Section<'_>, default: Option<&str>) -> Option<AnonymousPrincipal> {
    let authid = section.name(cx, "authid");
    section.refuse(cx, &[("realm", "remove it: clients join the realm that they ask for")]);
    let (role, place) = match section.get("role") {
        Some(item) => (item.name(cx)?, item.place),
        None => (default.unwrap_or(core_auth::ANONYMOUS).to_owned(), section.place.clone()),
    };
    use_role(cx, &role, &place, "anonymous clients have");
    Some(AnonymousPrincipal { role, authid })
}

fn principals(
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    default: Option<&str>,
) -> Option<BTreeMap<String, TicketPrincipal>> {
    let item = section.require(cx, "principals", "a mapping from authid to ticket and role")?;
    let mut principals = BTreeMap::new();
    for (authid, item) in item.map(cx)?.items() {
        let Some(mut section) = item.map(cx) else { continue };
        let ticket = section.require(cx, "ticket", "what the client must show");
        let ticket = ticket.and_then(|item| item.secret(cx));
        let role = role(cx, &mut section, authid, default);
        section.finish(cx);
        if let (Some(ticket), Some(role)) = (ticket, role) {
            let ticket = TicketDigest::of(ticket.reveal());
            principals.insert(authid.to_owned(), TicketPrincipal { ticket, role });
        }
    }
    Some(principals)
}

fn users(cx: &mut Context<'_>, section: &mut Section<'_>, default: Option<&str>) -> Option<BTreeMap<String, CraUser>> {
    let item = section.require(cx, "users", "a mapping from authid to secret and role")?;
    let mut users = BTreeMap::new();
    for (authid, item) in item.map(cx)?.items() {
        let Some(mut section) = item.map(cx) else { continue };
        let secret = cra_secret(cx, &mut section);
        let role = role(cx, &mut section, authid, default);
        section.finish(cx);
        if let (Some(secret), Some(role)) = (secret, role) {
            users.insert(authid.to_owned(), CraUser { secret, role });
        }
    }
    Some(users)
}

fn cra_secret(cx: &mut Context<'_>, section: &mut Section<'_>) -> Option<CraSecret> {
    let given = ["secret", "password", "salt", "iterations", "keylen"].iter().filter(|key| section.has(key)).count();
    let text = |cx: &mut Context<'_>, item: Option<Item<'_>>| item.and_then(|item| item.secret(cx));
    let places = (section.get("secret"), section.get("password"));
    let secret = text(cx, section.get("secret"));
    let password = text(cx, section.get("password"));
    let salt = section.name(cx, "salt");
    let number = |cx: &mut Context<'_>, item: Option<Item<'_>>| {
        item.and_then(|item| item.integer(cx, 0..=u64::from(u32::MAX), ""))
    };
    let iterations = number(cx, section.get("iterations"));
    let keylen = number(cx, section.get("keylen"));
    let members = CraMembers {
        secret: secret.as_ref().map(Secret::reveal),
        password: password.as_ref().map(Secret::reveal),
        salt: salt.as_deref(),
        iterations,
        keylen,
    };
    let read = [secret.is_some(), password.is_some(), salt.is_some(), iterations.is_some(), keylen.is_some()];
    if read.iter().filter(|read| **read).count() < given {
        // One of them is of the wrong type: that is reported, and what it means together is unknown.
        return None;
    }
    match members.secret() {
        Ok(secret) => Some(secret.into_derived()),
        Err(error) => {
            let place = match (&error, places) {
                (CraMembersError::NotDerived { .. }, (Some(item), _)) => item.place,
                (CraMembersError::SecretAndPassword, (_, Some(item))) => item.place,
                _ => section.place.clone(),
            };
            cx.error(&place, error.to_string(), error.hint());
            None
        }
    }
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

fn function(cx: &mut Context<'_>, section: &mut Section<'_>, default_role: Option<String>) -> Option<FunctionAuth> {
    cx.sources.any_role = true;
    let make = ScriptAuthenticator::from_source;
    let script::Loaded { name, function } = script::read(cx, section, "authenticators", "use type dynamic", make)?;
    Some(FunctionAuth { name, authenticator: Arc::new(function), default_role })
}

fn dynamic(cx: &mut Context<'_>, section: &mut Section<'_>, default_role: Option<String>) -> Option<DynamicAuth> {
    cx.sources.any_role = true;
    let procedure = section.require(cx, "authenticator", "the URI of the procedure that answers");
    let authenticator = procedure.and_then(|item| uri(cx, &item));
    let realm = one_spelling(cx, section, "authenticator-realm", "authenticator_realm").and_then(|item| {
        let uri = uri(cx, &item)?;
        cx.sources.authenticator_realms.push((uri.clone(), item.place));
        Some(uri)
    });
    let role = one_spelling(cx, section, "authenticator-role", "authenticator_role");
    let role = role.and_then(|item| authenticator_role(cx, &item));
    let dynamic = DynamicAuth { authenticator: authenticator?, realm, role, default_role };
    cx.sources.authenticators.push((dynamic.clone(), section.place.clone()));
    Some(dynamic)
}

fn authenticator_role(cx: &mut Context<'_>, item: &Item<'_>) -> Option<String> {
    let role = item.name(cx)?;
    if role != "trusted" {
        use_role(cx, &role, &item.place, "the authenticator is called with");
    }
    Some(role)
}

fn uri(cx: &mut Context<'_>, item: &Item<'_>) -> Option<Uri> {
    let text = item.str(cx)?;
    match Uri::parse(text, UriRule::Loose) {
        Ok(uri) => Some(uri),
        Err(error) => {
            cx.error(&item.place, format!("{text:?} is not a URI: {error}"), "");
            None
        }
    }
}

/// A key that may be written with dashes or underscores, but not both.
fn one_spelling<'t>(
    cx: &mut Context<'_>,
    section: &mut Section<'t>,
    dashes: &'static str,
    underscores: &'static str,
) -> Option<Item<'t>> {
    match (section.get(dashes), section.get(underscores)) {
        (Some(item), Some(other)) => {
            cx.error(&other.place, format!("given twice: {dashes} is the same key"), "remove one of the two");
            Some(item)
        }
        (item, other) => item.or(other),
    }
}

/// Notes that clients may get a role; whether it exists is checked at the end.
fn use_role(cx: &mut Context<'_>, role: &str, place: &Place, who: &str) {
    cx.sources.roles.push(RoleUse { role: role.to_owned(), place: place.clone(), who: who.to_owned() });
}
