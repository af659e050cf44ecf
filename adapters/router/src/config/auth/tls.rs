//! Principals of TLS client certificates in the configuration.

use super::role;
use crate::config::reader::{Context, Item, Section};
use data_encoding::HEXLOWER_PERMISSIVE;
use std::collections::BTreeMap;

/// The principals by the SHA-1 or SHA-256 fingerprint of their certificates.
pub type TlsPrincipals = BTreeMap<Vec<u8>, TlsPrincipal>;

/// Who has a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsPrincipal {
    /// The authid.
    pub authid: String,
    /// `role`, or the method's `default-role`.
    pub role: String,
}

pub(super) fn principals(
    cx: &mut Context<'_>,
    section: &mut Section<'_>,
    default: Option<&str>,
) -> Option<TlsPrincipals> {
    let item = section.require(cx, "principals", "a mapping from authid to certificate-sha256 and role")?;
    let mut principals = TlsPrincipals::new();
    for (authid, item) in item.map(cx)?.items() {
        let Some(mut section) = item.map(cx) else { continue };
        let sha1 = section.get("certificate-sha1").and_then(|item| fingerprint(cx, &item, 20));
        let sha256 = section.get("certificate-sha256").and_then(|item| fingerprint(cx, &item, 32));
        if !section.has("certificate-sha1") && !section.has("certificate-sha256") {
            cx.error(&item.place, "no certificate, so nobody could join as this principal", "add certificate-sha256");
        }
        let role = role(cx, &mut section, authid, default);
        section.finish(cx);
        let Some(role) = role else { continue };
        for fingerprint in [sha1, sha256].into_iter().flatten() {
            let principal = TlsPrincipal { authid: authid.to_owned(), role: role.clone() };
            if principals.insert(fingerprint, principal).is_some() {
                cx.error(&item.place, "another principal has this certificate", "one certificate is one principal");
            }
        }
    }
    Some(principals)
}

/// Hexadecimal, with or without colons.
fn fingerprint(cx: &mut Context<'_>, item: &Item<'_>, len: usize) -> Option<Vec<u8>> {
    let text = item.str(cx)?;
    let found = HEXLOWER_PERMISSIVE.decode(text.replace(':', "").as_bytes()).ok().filter(|bytes| bytes.len() == len);
    if found.is_none() {
        let hint = "as openssl x509 -noout -fingerprint prints it";
        cx.error(&item.place, format!("not a fingerprint of {len} bytes in hexadecimal"), hint);
    }
    found
}
