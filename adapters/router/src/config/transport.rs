//! Transports: an endpoint and what is spoken there.

use super::auth::{self, AuthConfig};
use super::endpoint::{self, Endpoint};
use super::exposure::Open;
use super::proxies;
use super::reader::{Context, Item, Section};
use super::tls::TlsConfig;
use super::web::{self, PathService, Route, Routes};
use super::websocket::{self, WebSocketConfig};
use std::sync::Arc;
use wampd_wire::{HttpOptions, MaxLength, Proxies, RawSocketOptions, ServerOptions};

/// RawSocket announces lengths as powers of two from 2^9 to 2^24.
const RAWSOCKET_SIZES: core::ops::RangeInclusive<u64> = 512..=16 << 20;

/// A transport.
///
/// All types of the configuration come down to this: `web` and `websocket` have only routes, `rawsocket` only
/// RawSocket, `universal` has both and tells them apart by the first byte.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// `id`.
    pub id: Option<String>,
    /// `endpoint`.
    pub endpoint: Endpoint,
    /// `endpoint.tls`.
    pub tls: Option<TlsConfig>,
    /// `wampd.proxies`; `None`: clients connect themselves.
    pub proxies: Option<Arc<Proxies>>,
    /// What is spoken there. `open_timeout` is the longest `open_handshake_timeout` of the WebSocket services and
    /// `handshake_timeout` of RawSocket; RawSocket's `options` are `max_message_size`, `auto_ping_interval`,
    /// `auto_ping_timeout` and `max_ping_size`. What is not given has the default of [`ServerOptions`].
    pub server: Arc<ServerOptions>,
    /// Who may join over RawSocket; there if `server.rawsocket` is.
    pub rawsocket_auth: Option<AuthConfig>,
    /// What is served over HTTP; used if `server.http` is there.
    pub routes: Routes,
}

pub(super) fn read(cx: &mut Context<'_>, item: &Item<'_>) -> Option<TransportConfig> {
    let mut section = item.map(cx)?;
    let kind = section.require(cx, "type", "web, websocket, rawsocket or universal")?;
    let id = section.get("id").and_then(|item| {
        let id = item.name(cx)?;
        cx.sources.transport_ids.push((id.clone(), item.place));
        Some(id)
    });
    if shared_before(cx, item, &mut section) {
        return None;
    }
    let name = kind.str(cx)?;
    if !["web", "websocket", "rawsocket", "universal"].contains(&name) {
        let hint = match name {
            "mqtt" => "connect MQTT devices through a bridge of your own",
            "flashpolicy" => "remove it: Flash is gone",
            "websocket.testee" | "stream.testee" => "remove it: test with the WAMP services",
            _ => "web, websocket, rawsocket or universal",
        };
        cx.error(&kind.place, format!("transports of type {name} are not supported"), hint);
        return None;
    }
    let (endpoint, tls) = endpoint::read(cx, &mut section).unzip();
    if let (Some(endpoint), Some(item)) = (&endpoint, section.get("endpoint")) {
        let any_port = matches!(endpoint, Endpoint::Tcp { address, .. } if address.port() == 0);
        if !any_port {
            cx.sources.endpoints.push((endpoint.clone(), item.place));
        }
    }
    let proxies = proxies::read(cx, &mut section, name, endpoint.as_ref()).map(Arc::new);
    cx.open_timeout = None;
    cx.tls = tls.as_ref().is_some_and(Option::is_some);
    let (rawsocket, routes) = match name {
        "web" => (None, Some(web::read(cx, section))),
        "websocket" => (None, Some((HttpOptions::default(), everywhere(websocket::read(cx, section))))),
        "rawsocket" => (Some(raw(cx, section)), None),
        _ => universal(cx, section),
    };
    let (rawsocket, rawsocket_auth) = rawsocket.unzip();
    let (http, routes) = routes.unzip();
    let mut server = ServerOptions { http, rawsocket, ..ServerOptions::default() };
    server.open_timeout = cx.open_timeout.take().unwrap_or(server.open_timeout);
    let routes = routes.unwrap_or_default();
    let tls = tls.flatten();
    let auths = || rawsocket_auth.iter().chain(routes.routes.iter().filter_map(|route| route.service.auth()));
    cx.sources.open.extend(Open::of(endpoint.as_ref(), auths(), &item.place));
    let certified = tls.as_ref().is_some_and(|tls| !tls.ca_certificates.is_empty());
    if !certified && auths().any(|auth| auth.tls.is_some()) {
        let hint = "add tls with ca_certificates to the endpoint";
        cx.warn(&item.place, "clients can show no certificate here, so nobody can join by method tls", hint);
    }
    Some(TransportConfig { id, endpoint: endpoint?, tls, proxies, server: Arc::new(server), rawsocket_auth, routes })
}

/// Whether an earlier transport listens where this one does, and both say that they share the endpoint, as several workers
/// of Crossbar.io may: once is enough then.
fn shared_before(cx: &mut Context<'_>, item: &Item<'_>, section: &mut Section<'_>) -> bool {
    let Some(mut endpoint) = section.get("endpoint").and_then(|item| item.map(cx)) else { return false };
    let is = |item: Option<Item<'_>>| item.map(|item| item.node.to_value());
    if is(endpoint.get("shared")) != Some(true.into()) {
        return false;
    }
    let place = (is(endpoint.get("interface")), is(endpoint.get("version")), is(endpoint.get("port")));
    if cx.sources.shared.contains(&place) {
        cx.warn(&item.place, "ignored", "another transport is shared there: what that one says counts");
        return true;
    }
    cx.sources.shared.push(place);
    false
}

/// A transport of type `websocket` answers on every path.
fn everywhere(service: WebSocketConfig) -> Routes {
    Routes { routes: vec![Route { path: "/".to_owned(), service: PathService::WebSocket(Box::new(service)) }] }
}

fn raw(cx: &mut Context<'_>, mut section: Section<'_>) -> (RawSocketOptions, AuthConfig) {
    let mut raw = RawSocketOptions::default();
    raw.formats = websocket::formats(cx, &mut section).unwrap_or(raw.formats);
    let auth = auth::read(cx, &mut section);
    if auth.cookie {
        cx.error(&section.place, "RawSocket has no cookies", "remove cookie from auth");
    }
    max_message_size(cx, &mut section, &mut raw.max_message);
    if let Some(mut options) = section.get("options").and_then(|item| item.map(cx)) {
        max_message_size(cx, &mut options, &mut raw.max_message);
        raw.ping = websocket::ping(cx, &mut options, raw.ping);
        raw.max_ping = options.integer(cx, "max_ping_size", 0..=1 << 24, "bytes", raw.max_ping as u64) as usize;
        websocket::opening(cx, &mut options, "handshake_timeout");
        options.finish(cx);
    }
    section.ignore(cx, &[("debug", "set the log level")]);
    section.finish(cx);
    (raw, auth)
}

fn max_message_size(cx: &mut Context<'_>, section: &mut Section<'_>, limit: &mut MaxLength) {
    let Some(item) = section.get("max_message_size") else { return };
    let Some(size) = item.integer(cx, RAWSOCKET_SIZES, "bytes") else { return };
    *limit = MaxLength::at_most(size as usize);
    let announced = limit.bytes() as u64;
    if announced != size {
        let hint = "RawSocket announces powers of two";
        cx.warn(&item.place, format!("{size} is rounded down to {announced}"), hint);
    }
}

/// What a universal transport serves: RawSocket with who may join, and HTTP.
type Universal = (Option<(RawSocketOptions, AuthConfig)>, Option<(HttpOptions, Routes)>);

fn universal(cx: &mut Context<'_>, mut section: Section<'_>) -> Universal {
    let rawsocket = section.get("rawsocket").and_then(|item| {
        let section = item.map(cx)?;
        Some(raw(cx, section))
    });
    let mut http: Option<(HttpOptions, Routes)> = None;
    if let Some(item) = section.get("web") {
        http = item.map(cx).map(|section| web::read(cx, section));
    }
    if let Some(item) = section.get("websocket") {
        let routes = &mut http.get_or_insert_default().1.routes;
        for route in web::websocket_paths(cx, &item) {
            if routes.iter().any(|other| other.path == route.path) {
                let message = format!("the path {} is already served by web", route.path);
                cx.error(&item.place, message, "remove one of the two");
            } else {
                routes.push(route);
            }
        }
        web::by_length(routes);
    }
    section.refuse(cx, &[("mqtt", "connect MQTT devices through a bridge of your own")]);
    if rawsocket.is_none() && http.is_none() {
        cx.error(&section.place, "nothing is served here", "add rawsocket, websocket or web");
    }
    section.finish(cx);
    (rawsocket, http)
}
