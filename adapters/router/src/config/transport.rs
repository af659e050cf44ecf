//! Transports: an endpoint and what is spoken there.

use super::auth::{self, AuthConfig};
use super::endpoint::{self, Endpoint};
use super::lint::Sources;
use super::node::Globals;
use super::reader::{Context, Item, Section};
use super::web::{self, HttpConfig, PathService, Route};
use super::websocket::{self, WebSocketConfig};
use std::time::Duration;
use wampd_core::codec::Format;

/// RawSocket announces lengths as powers of two from 2^9 to 2^24.
const RAWSOCKET_SIZES: core::ops::RangeInclusive<u64> = 512..=16 << 20;

/// A transport.
///
/// All types of the configuration come down to this: `web` and `websocket` have only `http`, `rawsocket` only
/// `rawsocket`, `universal` has both and tells them apart by the first byte.
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// `id`.
    pub id: Option<String>,
    /// `endpoint`.
    pub endpoint: Endpoint,
    /// WAMP over RawSocket.
    pub rawsocket: Option<RawSocketConfig>,
    /// WAMP over WebSocket, and files, by path.
    pub http: Option<HttpConfig>,
}

/// A RawSocket service.
#[derive(Clone, Debug)]
pub struct RawSocketConfig {
    /// `serializers`. Default: all.
    pub formats: Vec<Format>,
    /// `max_message_size` in bytes, a power of two from 512 to 16 MiB: the longest message accepted. Default 1 MiB.
    pub max_message_size: usize,
    /// `auto_ping_interval` in milliseconds; `None` (0) is off. Default 10 s.
    pub auto_ping_interval: Option<Duration>,
    /// `auto_ping_timeout` in milliseconds: time for the pong. Default 10 s.
    pub auto_ping_timeout: Duration,
    /// `handshake_timeout` in milliseconds: time for the client's first four bytes. Default 10 s.
    pub handshake_timeout: Duration,
    /// `auth`.
    pub auth: AuthConfig,
}

pub(super) fn read(
    cx: &mut Context<'_>,
    item: &Item<'_>,
    globals: &Globals,
    sources: &mut Sources,
) -> Option<TransportConfig> {
    let mut section = item.map(cx)?;
    let kind = section.require(cx, "type", "web, websocket, rawsocket or universal")?;
    let id = section.get("id").and_then(|item| {
        let id = item.name(cx)?;
        sources.transport_ids.push((id.clone(), item.place));
        Some(id)
    });
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
    let endpoint = endpoint::read(cx, &mut section);
    if let (Some(endpoint), Some(item)) = (&endpoint, section.get("endpoint")) {
        let any_port = matches!(endpoint, Endpoint::Tcp { address, .. } if address.port() == 0);
        if !any_port {
            sources.endpoints.push((without_backlog(endpoint), item.place));
        }
    }
    let (rawsocket, http) = match name {
        "web" => {
            let http = web::read(cx, &mut section, globals, sources);
            section.finish(cx);
            (None, Some(http))
        }
        "websocket" => (None, Some(everywhere(websocket::read(cx, section, globals, sources)))),
        "rawsocket" => (Some(raw(cx, section, globals, sources)), None),
        _ => universal(cx, section, globals, sources),
    };
    Some(TransportConfig { id, endpoint: endpoint?, rawsocket, http })
}

/// The place alone: two endpoints clash whatever their backlogs.
fn without_backlog(endpoint: &Endpoint) -> Endpoint {
    match endpoint.clone() {
        Endpoint::Tcp { address, .. } => Endpoint::Tcp { address, backlog: 0 },
        Endpoint::Unix { path, .. } => Endpoint::Unix { path, backlog: 0 },
    }
}

/// A transport of type `websocket` answers on every path.
fn everywhere(service: WebSocketConfig) -> HttpConfig {
    HttpConfig { routes: vec![Route { path: "/".to_owned(), service: PathService::WebSocket(Box::new(service)) }] }
}

fn raw(cx: &mut Context<'_>, mut section: Section<'_>, globals: &Globals, sources: &mut Sources) -> RawSocketConfig {
    let formats = websocket::formats(cx, &mut section);
    let auth = auth::read(cx, &mut section, globals, sources);
    let mut max_message_size = max_message_size(cx, &mut section);
    let mut options = section.get("options").and_then(|item| item.map(cx));
    let (mut interval, mut timeout, mut handshake) = (10_000, 10_000, 10_000);
    if let Some(options) = &mut options {
        const MINUTES_10: u64 = 600_000;
        if options.has("max_message_size") {
            max_message_size = self::max_message_size(cx, options);
        }
        interval = options.integer(cx, "auto_ping_interval", 0..=24 * 6 * MINUTES_10, "ms", interval);
        timeout = options.integer(cx, "auto_ping_timeout", 10..=MINUTES_10, "ms", timeout);
        handshake = options.integer(cx, "handshake_timeout", 10..=MINUTES_10, "ms", handshake);
    }
    if let Some(options) = options {
        options.finish(cx);
    }
    section.ignore(cx, &[("debug", "set the log level")]);
    section.finish(cx);
    RawSocketConfig {
        formats,
        max_message_size,
        auto_ping_interval: Some(Duration::from_millis(interval)).filter(|interval| !interval.is_zero()),
        auto_ping_timeout: Duration::from_millis(timeout),
        handshake_timeout: Duration::from_millis(handshake),
        auth,
    }
}

fn max_message_size(cx: &mut Context<'_>, section: &mut Section<'_>) -> usize {
    const DEFAULT: u64 = 1 << 20;
    let Some(item) = section.get("max_message_size") else { return DEFAULT as usize };
    let size = item.integer(cx, RAWSOCKET_SIZES, "bytes").unwrap_or(DEFAULT);
    let announced = 1 << size.ilog2();
    if announced != size {
        let hint = "RawSocket announces powers of two";
        cx.warn(&item.place, format!("{size} is rounded down to {announced}"), hint);
    }
    announced as usize
}

fn universal(
    cx: &mut Context<'_>,
    mut section: Section<'_>,
    globals: &Globals,
    sources: &mut Sources,
) -> (Option<RawSocketConfig>, Option<HttpConfig>) {
    let rawsocket = section.get("rawsocket").and_then(|item| {
        let section = item.map(cx)?;
        Some(raw(cx, section, globals, sources))
    });
    let mut http: Option<HttpConfig> = None;
    if let Some(mut section) = section.get("web").and_then(|item| item.map(cx)) {
        http = Some(web::read(cx, &mut section, globals, sources));
        section.finish(cx);
    }
    if let Some(item) = section.get("websocket") {
        let routes = &mut http.get_or_insert_default().routes;
        for route in web::websocket_paths(cx, &item, globals, sources) {
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
