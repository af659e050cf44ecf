//! Users in the configuration: anonymous, ticket and WAMP-CRA.

use super::provider::uri;
use super::{role, use_anonymous_role};
use crate::authn::credentials::{CraMembers, CraMembersError};
use crate::config::reader::{Context, Item, Section};
use crate::config::secret::Secret;
use std::collections::BTreeMap;
use wampd_core::auth::{ANONYMOUS, CraSecret, TicketDigest};
use wampd_core::uri::Uri;

/// Who anonymous clients are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnonymousPrincipal {
    /// `role`. Default `anonymous`.
    pub role: String,
    /// `authid`; if absent, a random one for each session.
    pub authid: Option<String>,
    /// `realm`; if absent, the one that the client asks for.
    pub realm: Option<Uri>,
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

pub(super) fn anonymous(
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    default: Option<&str>,
) -> Option<AnonymousPrincipal> {
    let authid = section.name(cx, "authid");
    let realm = section.get("realm").and_then(|item| uri(cx, &item));
    let (role, place) = match section.get("role") {
        Some(item) => (item.name(cx)?, item.place),
        None => (default.unwrap_or(ANONYMOUS).to_owned(), section.place.clone()),
    };
    use_anonymous_role(cx, &role, &place, "anonymous clients have");
    Some(AnonymousPrincipal { role, authid, realm })
}

pub(super) fn principals(
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

pub(super) fn users(
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    default: Option<&str>,
) -> Option<BTreeMap<String, CraUser>> {
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
    let salt = section.get("salt").and_then(|item| {
        let salt = item.name(cx)?;
        cx.sources.salts.push((salt.clone(), item.place));
        Some(salt)
    });
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
    match members.secret_or_password() {
        Ok((secret, is_password)) => {
            if let (true, Some(item)) = (is_password, &places.0) {
                let message = "taken for the password: it is not base64 of keylen bytes, so it is no derived key";
                cx.warn(&item.place, message, "name it password, or give what wampd derive-key prints");
            }
            Some(secret.into_derived())
        }
        Err(error) => {
            let place = match (&error, places) {
                (CraMembersError::SecretAndPassword, (_, Some(item))) => item.place,
                _ => section.place.clone(),
            };
            cx.error(&place, error.to_string(), error.hint());
            None
        }
    }
}
