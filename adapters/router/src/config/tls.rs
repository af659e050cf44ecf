//! TLS of an endpoint.

use super::exposure;
use super::reader::{Context, Item};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The files of an endpoint's TLS, all in PEM; relative paths start at the folder of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TlsConfig {
    /// `certificate`; those that lead to an authority may follow it.
    pub certificate: PathBuf,
    /// `key`: the private key, not encrypted.
    pub key: PathBuf,
    /// `chain_certificates`: those that lead to an authority.
    pub chain_certificates: Vec<PathBuf>,
    /// `ca_certificates`: who signs the certificates of clients. With any, a client must show one.
    pub ca_certificates: Vec<PathBuf>,
}

pub(super) fn read(cx: &mut Context<'_>, item: &Item<'_>) -> Option<TlsConfig> {
    let mut section = item.map(cx)?;
    let mut places = BTreeMap::new();
    let mut file = |cx: &mut Context<'_>, item: &Item<'_>| {
        let name = item.name(cx)?;
        let path = cx.resolve(&name);
        places.entry(path.clone()).or_insert_with(|| item.place.clone());
        Some(path)
    };
    let certificate = section.require(cx, "certificate", "a file in PEM").and_then(|item| file(cx, &item));
    let key = section.require(cx, "key", "a file in PEM").and_then(|item| file(cx, &item));
    let mut files = |cx: &mut Context<'_>, key| {
        let items = section.get(key).and_then(|item| item.list(cx)).unwrap_or_default();
        items.iter().filter_map(|item| file(cx, item)).collect()
    };
    let chain_certificates = files(cx, "chain_certificates");
    let ca_certificates = files(cx, "ca_certificates");
    let reason = "TLS 1.3, and of TLS 1.2 what is safe, without finite-field Diffie-Hellman";
    section.ignore(cx, &[("dhparam", reason), ("ciphers", reason)]);
    section.finish(cx);
    let tls = TlsConfig { certificate: certificate?, key: key?, chain_certificates, ca_certificates };
    if let Err(error) = (cx.surroundings.tls)(&tls) {
        let place = places.get(error.file()).unwrap_or(&item.place);
        cx.error(place, format!("no TLS: {error}"), "");
        return None;
    }
    exposure::readable(&mut cx.report, &tls.key, "this key", "", places.get(&tls.key));
    Some(tls)
}
