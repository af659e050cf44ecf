//! What authenticators are told of a certificate. The names are those of Crossbar.io and Autobahn.

use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::ops::RangeInclusive;
use wampd_core::{
    time::UnixTime,
    value::{Dict, Value},
};
use x509_parser::{
    certificate::X509Certificate,
    objects::{oid_registry, oid2abbrev},
    prelude::FromDer,
    time::ASN1Time,
    x509::X509Name,
};

/// `sha1` and `sha256` as openssl writes them, and of what can be read of it: `serial`, `version`, `not_before` and
/// `not_after`, and `subject` and `issuer` by the abbreviations of their parts in lower case, e.g. `cn`.
pub(crate) fn details(der: &[u8]) -> Dict {
    let mut details = Dict::from([
        ("sha1".to_owned(), Value::from(fingerprint(&Sha1::digest(der)))),
        ("sha256".to_owned(), Value::from(fingerprint(&Sha256::digest(der)))),
    ]);
    if let Ok((_, certificate)) = X509Certificate::from_der(der) {
        let validity = certificate.validity();
        details.extend([
            ("serial".to_owned(), Value::from(certificate.raw_serial_as_string())),
            ("version".to_owned(), Value::from(certificate.version().0)),
            ("not_before".to_owned(), Value::from(validity.not_before.to_string())),
            ("not_after".to_owned(), Value::from(validity.not_after.to_string())),
            ("subject".to_owned(), Value::from(name(certificate.subject()))),
            ("issuer".to_owned(), Value::from(name(certificate.issuer()))),
        ]);
    }
    details
}

/// From when to when a certificate is good; what is before 1970 is as good as 1970.
pub(crate) fn validity(der: &[u8]) -> Option<RangeInclusive<UnixTime>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let time = |time: ASN1Time| UnixTime(u64::try_from(time.timestamp()).unwrap_or_default().saturating_mul(1_000_000));
    let validity = certificate.validity();
    Some(time(validity.not_before)..=time(validity.not_after))
}

/// In hexadecimal of upper case, with colons.
fn fingerprint(digest: &[u8]) -> String {
    let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

/// Of a part that is given more than once the last.
fn name(name: &X509Name<'_>) -> Dict {
    let mut parts = Dict::new();
    for attribute in name.iter_attributes() {
        let key = oid2abbrev(attribute.attr_type(), oid_registry());
        if let (Ok(key), Ok(text)) = (key, attribute.as_str()) {
            parts.insert(key.to_lowercase(), Value::from(text));
        }
    }
    parts
}
