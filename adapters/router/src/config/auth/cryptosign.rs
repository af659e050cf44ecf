//! Principals of cryptosign in the configuration.

use super::provider::uri;
use super::role;
use crate::config::reader::{Context, Section};
use std::collections::BTreeMap;
use wampd_core::auth::cryptosign::PublicKey;
use wampd_core::uri::Uri;

/// The principals of cryptosign.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CryptosignPrincipals {
    /// By authid.
    pub by_authid: BTreeMap<String, CryptosignPrincipal>,
    /// Who has a key; `None` if several have it.
    pub by_key: BTreeMap<[u8; 32], Option<String>>,
}

/// A principal of cryptosign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptosignPrincipal {
    /// `authorized_keys`: any of them is good; at least one.
    pub authorized_keys: Vec<PublicKey>,
    /// `role`, or the method's `default-role`.
    pub role: String,
    /// `realm`; if absent, the one that the client asks for.
    pub realm: Option<Uri>,
}

pub(super) fn principals(
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    default: Option<&str>,
) -> Option<CryptosignPrincipals> {
    let hint = "list the keys of the clients as principals: certificates of WAMP are not read";
    section.refuse(cx, &[("trustroots", hint)]);
    // They stand in the place of principals, which is no second mistake.
    if section.has("trustroots") && !section.has("principals") {
        return None;
    }
    let item = section.require(cx, "principals", "a mapping from authid to authorized_keys and role")?;
    let mut principals = CryptosignPrincipals::default();
    for (authid, item) in item.map(cx)?.items() {
        let Some(mut section) = item.map(cx) else { continue };
        let authorized_keys = keys(cx, &mut section);
        let role = role(cx, &mut section, authid, default);
        let realm = section.get("realm").and_then(|item| uri(cx, &item));
        section.finish(cx);
        let (Some(authorized_keys), Some(role)) = (authorized_keys, role) else { continue };
        for key in &authorized_keys {
            let owner = principals.by_key.entry(*key.as_bytes()).or_insert_with(|| Some(authid.to_owned()));
            if owner.as_deref() != Some(authid) {
                *owner = None;
                let hint = "clients with it have to say in HELLO who they are";
                cx.warn(&item.place, "another principal has one of these keys", hint);
            }
        }
        principals.by_authid.insert(authid.to_owned(), CryptosignPrincipal { authorized_keys, role, realm });
    }
    Some(principals)
}

fn keys(cx: &mut Context<'_>, section: &mut Section<'_>) -> Option<Vec<PublicKey>> {
    let item = section.require(cx, "authorized_keys", "a list of public keys in hexadecimal")?;
    let mut keys = Vec::new();
    for item in item.list(cx)? {
        let Some(text) = item.str(cx) else { continue };
        match PublicKey::from_hex(text) {
            Ok(key) => keys.push(key),
            Err(error) => cx.error(&item.place, error.to_string(), "an Ed25519 public key: 64 hexadecimal digits"),
        }
    }
    if keys.is_empty() {
        cx.error(&item.place, "no key, so nobody could join as this principal", "add one");
        return None;
    }
    Some(keys)
}
