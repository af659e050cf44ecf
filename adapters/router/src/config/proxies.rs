//! Proxies in front of a transport: `wampd.proxies` of it.

use super::endpoint::Endpoint;
use super::reader::{Context, Item, Section};
use wampd_wire::{Proxies, ProxyProtocol, TrustedProxy};

/// How a proxy may tell where a client connects from.
const PROTOCOLS: &[(&str, ProxyProtocol)] = &[
    ("proxy", ProxyProtocol::Proxy),
    ("x-forwarded-for", ProxyProtocol::XForwardedFor),
    ("forwarded", ProxyProtocol::Forwarded),
];

/// Reads `wampd` of a transport of this type, of which `proxies` is all.
pub(super) fn read(
    cx: &mut Context<'_>,
    transport: &mut Section<'_>,
    kind: &str,
    endpoint: Option<&Endpoint>,
) -> Option<Proxies> {
    let mut section = transport.get("wampd")?.map(cx)?;
    let proxies = section.get("proxies");
    section.finish(cx);
    let mut section = proxies?.map(cx)?;
    let protocol = section.require(cx, "protocol", "proxy, x-forwarded-for or forwarded").and_then(|item| {
        let protocol = item.one_of(cx, PROTOCOLS)?;
        if kind == "rawsocket" && protocol != ProxyProtocol::Proxy {
            cx.error(&item.place, "RawSocket has no HTTP headers", "use protocol proxy, in the proxy too");
        } else if transport.has("rawsocket") && protocol != ProxyProtocol::Proxy {
            let message = "RawSocket has no HTTP headers: its clients have the address of the proxy";
            cx.warn(&item.place, message, "use protocol proxy, in the proxy too");
        }
        Some(protocol)
    });
    let trusted = section.require(cx, "trusted", "a list of networks, for example [\"10.0.0.0/8\"]");
    section.finish(cx);
    Some(Proxies { trusted: read_trusted(cx, &trusted?, endpoint)?, protocol: protocol? })
}

fn read_trusted(cx: &mut Context<'_>, list: &Item<'_>, endpoint: Option<&Endpoint>) -> Option<Vec<TrustedProxy>> {
    let mut trusted = Vec::new();
    for item in list.list(cx)? {
        let Some(text) = item.str(cx) else { continue };
        match text.parse::<TrustedProxy>() {
            Ok(proxy) => {
                exposed(cx, &item, proxy, endpoint);
                trusted.push(proxy);
            }
            Err(error) => cx.error(&item.place, format!("{text:?} is no network"), error.to_string()),
        }
    }
    let over_unix = matches!(endpoint, Some(Endpoint::Unix { .. }));
    if endpoint.is_some() && !trusted.iter().any(|proxy| (*proxy == TrustedProxy::Unix) == over_unix) {
        let hint = if over_unix { "add \"unix\"" } else { "add the network of the proxy, for example \"10.0.0.0/8\"" };
        cx.error(&list.place, "no proxy that is trusted can connect to this endpoint", hint);
    }
    Some(trusted)
}

/// Warns where whoever connects can choose the address that it is taken for.
fn exposed(cx: &mut Context<'_>, item: &Item<'_>, proxy: TrustedProxy, endpoint: Option<&Endpoint>) {
    if let Some(Endpoint::Tcp { address, .. }) = endpoint
        && !address.ip().is_loopback()
        && proxy.is_everybody()
    {
        let message = "whoever reaches this endpoint is believed about its address, and so escapes limits and back-off";
        cx.warn(&item.place, message, "trust the network of the proxy only, or set interface to 127.0.0.1");
    }
}
