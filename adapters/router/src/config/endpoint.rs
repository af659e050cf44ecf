//! Where a transport listens.

use super::reader::{Context, Item, Section};
use super::tls::{self, TlsConfig};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Connections that may wait to be accepted if the configuration does not say.
const DEFAULT_BACKLOG: u64 = 1_024;

/// A listening endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// `type: tcp`.
    Tcp {
        /// `interface` and `port`. Without an interface all of the IP `version` (4 or 6, default 4); port 0 lets the
        /// system choose.
        address: SocketAddr,
        /// `backlog`: connections that may wait to be accepted. Default 1,024.
        backlog: u32,
    },
    /// `type: unix`.
    Unix {
        /// `path` of the socket; relative ones start at the folder of the configuration.
        path: PathBuf,
        /// `backlog`: connections that may wait to be accepted. Default 1,024.
        backlog: u32,
    },
}

/// Where a transport listens, and its TLS.
pub(super) fn read(cx: &mut Context<'_>, transport: &mut Section<'_>) -> Option<(Endpoint, Option<TlsConfig>)> {
    let item = transport.require(cx, "endpoint", "for example {\"type\": \"tcp\", \"port\": 8080}")?;
    let mut section = item.map(cx)?;
    let kind = section.require(cx, "type", "tcp or unix")?;
    match kind.str(cx)? {
        "tcp" => tcp(cx, section),
        "unix" => Some((unix(cx, section)?, None)),
        "onion" | "tor" => {
            cx.error(&kind.place, "onion services are not supported", "listen on tcp and let tor forward to it");
            None
        }
        "twisted" => {
            cx.error(&kind.place, "Twisted endpoint strings are not supported", "use tcp or unix");
            None
        }
        other => {
            cx.error(&kind.place, format!("unknown endpoint type {other:?}"), "tcp or unix");
            None
        }
    }
}

fn tcp(cx: &mut Context<'_>, mut section: Section<'_>) -> Option<(Endpoint, Option<TlsConfig>)> {
    let port = section.require(cx, "port", "1 to 65535, or 0 for any free port").and_then(|item| port(cx, &item));
    let version = section.get("version").and_then(|item| {
        let version = item.integer(cx, 4..=6, "")?;
        if version == 5 {
            cx.error(&item.place, "there is no IP version 5", "4 or 6");
            return None;
        }
        Some(version)
    });
    let ip = match section.get("interface") {
        Some(item) => interface(cx, &item, version),
        None if version == Some(6) => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        None => Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
    };
    let backlog = backlog(cx, &mut section);
    // One process listens for all that share it.
    section.bool(cx, "shared", false);
    section.ignore(cx, &[("user_timeout", "the time limits of connections are under wampd.limits")]);
    section.refuse(cx, &[("portrange", "give one port")]);
    let tls = section.get("tls").map(|item| tls::read(cx, &item));
    section.finish(cx);
    // Where TLS is wanted, nothing is served without it.
    let tls = match tls {
        Some(tls) => Some(tls?),
        None => None,
    };
    Some((Endpoint::Tcp { address: SocketAddr::new(ip?, port?), backlog }, tls))
}

/// A number, or `${VAR}` or `$VAR` for a number in the environment.
fn port(cx: &mut Context<'_>, item: &Item<'_>) -> Option<u16> {
    let super::tree::Kind::Text(text) = &item.node.kind else {
        return item.integer(cx, 0..=65_535, "").and_then(|port| u16::try_from(port).ok());
    };
    let braced = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let Some(name) = braced.or_else(|| text.strip_prefix('$')) else {
        cx.error(&item.place, "expected an integer, found a string", "a number, or \"${VAR}\"");
        return None;
    };
    let Some(value) = (cx.surroundings.variable)(name) else {
        cx.error(&item.place, format!("environment variable {name} is not set"), "set it, or write the port here");
        return None;
    };
    let port = value.trim().parse().ok();
    if port.is_none() {
        cx.error(&item.place, format!("environment variable {name} is not a port"), "0 to 65535");
    }
    port
}

fn interface(cx: &mut Context<'_>, item: &Item<'_>, version: Option<u64>) -> Option<IpAddr> {
    let text = item.str(cx)?;
    let ip = match (text, version) {
        ("localhost", Some(6)) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ("localhost", _) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => match text.trim_start_matches('[').trim_end_matches(']').parse() {
            Ok(ip) => ip,
            Err(_) => {
                cx.error(
                    &item.place,
                    format!("{text:?} is not an IP address"),
                    "an address of this host, or localhost",
                );
                return None;
            }
        },
    };
    if version.is_some_and(|version| (version == 6) != ip.is_ipv6()) {
        cx.error(&item.place, "not an address of the version of this endpoint", "change interface or version");
        return None;
    }
    Some(ip)
}

fn unix(cx: &mut Context<'_>, mut section: Section<'_>) -> Option<Endpoint> {
    let path = section.require(cx, "path", "the path of the socket").and_then(|item| item.name(cx));
    let backlog = backlog(cx, &mut section);
    section.finish(cx);
    Some(Endpoint::Unix { path: cx.resolve(&path?), backlog })
}

fn backlog(cx: &mut Context<'_>, section: &mut Section<'_>) -> u32 {
    section.integer(cx, "backlog", 1..=65_535, "", DEFAULT_BACKLOG) as u32
}
