//! Users of SCRAM in the configuration.

use super::provider::one_spelling;
use super::role;
use crate::authn::scram::{ScramMembers, ScramMembersError};
use crate::config::reader::{Context, Item, Section};
use crate::config::secret::Secret;
use std::collections::BTreeMap;
use std::sync::Arc;
use wampd_core::auth::ScramCredential;
use wampd_core::auth::scram::{Dialect, prepare_authid};

/// A user of SCRAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScramUser {
    /// The dialect of the method.
    pub dialect: Dialect,
    /// What checks the password, in the dialect of the method.
    pub credential: Arc<ScramCredential>,
    /// `role`, or the method's `default-role`.
    pub role: String,
}

/// Users by authid, normalised by SASLprep.
pub(super) fn users(
    dialect: Dialect,
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    default: Option<&str>,
) -> Option<BTreeMap<String, ScramUser>> {
    let item = section.require(cx, "principals", "a mapping from authid to salted keys and role")?;
    let mut users = BTreeMap::new();
    for (authid, item) in item.map(cx)?.items() {
        let Some(mut section) = item.map(cx) else { continue };
        let credential = credential(dialect, cx, &mut section);
        let role = role(cx, &mut section, authid, default);
        section.finish(cx);
        let Ok(prepared) = prepare_authid(authid) else {
            cx.error(&item.place, "the authid has characters that SASLprep forbids", "no user can have this name");
            continue;
        };
        let (Some(credential), Some(role)) = (credential, role) else { continue };
        let user = ScramUser { dialect, credential: Arc::new(credential), role };
        if users.insert(prepared.into_owned(), user).is_some() {
            cx.error(
                &item.place,
                "another authid is the same after normalisation by SASLprep",
                "remove one of the two",
            );
        }
    }
    Some(users)
}

fn credential(dialect: Dialect, cx: &mut Context<'_>, section: &mut Section<'_>) -> Option<ScramCredential> {
    let mut wrong = false;
    let mut text = |cx: &mut Context<'_>, item: Option<Item<'_>>| {
        let read = item.as_ref().and_then(|item| item.secret(cx));
        wrong |= item.is_some() && read.is_none();
        read
    };
    let kdf = text(cx, section.get("kdf"));
    let salt_item = section.get("salt");
    let salt = text(cx, salt_item.clone());
    if let (Some(salt), Some(item)) = (&salt, salt_item) {
        cx.sources.salts.push((salt.reveal().to_owned(), item.place));
    }
    let stored_key = one_spelling(cx, section, "stored-key", "stored_key");
    let stored_key = text(cx, stored_key);
    let server_key = one_spelling(cx, section, "server-key", "server_key");
    let server_key = text(cx, server_key);
    let password = text(cx, section.get("password"));
    let mut number = |cx: &mut Context<'_>, item: Option<Item<'_>>| {
        let null = item.as_ref().is_some_and(Item::is_null);
        let read = item.as_ref().filter(|_| !null).and_then(|item| item.integer(cx, 1..=u64::from(u32::MAX), ""));
        wrong |= item.is_some() && !null && read.is_none();
        read
    };
    let iterations = number(cx, section.get("iterations"));
    let memory = number(cx, section.get("memory"));
    if wrong {
        // That is reported, and what it means together is unknown.
        return None;
    }
    let members = ScramMembers {
        kdf: kdf.as_ref().map(Secret::reveal),
        iterations,
        memory,
        salt: salt.as_ref().map(Secret::reveal),
        stored_key: stored_key.as_ref().map(Secret::reveal),
        server_key: server_key.as_ref().map(Secret::reveal),
        password: password.as_ref().map(Secret::reveal),
    };
    let derived = members.secret().and_then(|secret| secret.credential(dialect).map_err(ScramMembersError::Kdf));
    derived.map_err(|error| cx.error(&section.place, error.to_string(), error.hint())).ok()
}
