//! WAMP over WebSocket.

use super::auth::{self, AuthConfig};
use super::cookie::{self, CookieConfig};
use super::reader::{Context, Place, Section};
use super::tree::Kind;
use std::sync::Arc;
use std::time::Duration;
use wampd_core::codec::Format;
use wampd_wire::{OriginPattern, OriginPolicy, PingOptions, Preference, Subprotocol, UpgradeOptions, WebSocketOptions};

/// A WebSocket service.
#[derive(Clone, Debug)]
pub struct WebSocketConfig {
    /// What it accepts: `serializers`, and of `options` `allowed_origins`, `allow_null_origin`,
    /// `require_websocket_subprotocol`, `subprotocol_order`, `max_frame_size`, `max_message_size`,
    /// `auto_ping_interval`, `auto_ping_timeout` and `close_handshake_timeout`.
    ///
    /// Each serializer includes its batched form. What is not given has the default of [`UpgradeOptions`].
    pub upgrade: Arc<UpgradeOptions>,
    /// `auth`.
    pub auth: AuthConfig,
    /// `cookie`.
    pub cookie: Option<CookieConfig>,
}

/// Most time that a timeout may be set to, in milliseconds.
pub(super) const MAX_TIMEOUT: u64 = 600_000;

/// Longest time between pings in milliseconds.
const MAX_PING_INTERVAL: u64 = 24 * 3_600_000;

/// Reads the keys of a WebSocket service from the mapping they share with the path or transport; finishes it.
///
/// `open_handshake_timeout` raises that of the transport: which service is meant is known only when the request is here.
pub(super) fn read(cx: &mut Context<'_>, mut section: Section<'_>) -> WebSocketConfig {
    let mut upgrade = UpgradeOptions::default();
    if let Some(formats) = formats(cx, &mut section) {
        let both = |format| Subprotocol::ALL.into_iter().filter(move |protocol| protocol.format() == format);
        upgrade.subprotocols = formats.into_iter().flat_map(both).collect();
    }
    let auth = auth::read(cx, &mut section);
    if let Some(section) = section.get("options").and_then(|item| item.map(cx)) {
        options(cx, section, &mut upgrade);
    }
    section.ignore(cx, &[("url", "clients find the service by host, port and path"), ("debug", "set the log level")]);
    section.refuse(cx, &[("user_agent", "remove it")]);
    let cookie = section.get("cookie").and_then(|item| cookie::read(cx, &item));
    if auth.cookie && !section.has("cookie") {
        cx.error(&section.place, "auth.cookie without cookies", "add \"cookie\": {} beside auth");
    }
    if auth.cookie && upgrade.origins == OriginPolicy::default() {
        let hint = "set options.allowed_origins to the sites whose pages may connect";
        cx.warn(&section.place, "with cookies any web page may connect as the user who visits it", hint);
    }
    section.finish(cx);
    WebSocketConfig { upgrade: Arc::new(upgrade), auth, cookie }
}

/// Reads `serializers` of WebSocket and RawSocket.
pub(super) fn formats(cx: &mut Context<'_>, section: &mut Section<'_>) -> Option<Vec<Format>> {
    let item = section.get("serializers")?;
    let items = item.list(cx)?;
    let mut formats = Vec::new();
    for item in &items {
        let Some(name) = item.str(cx) else { continue };
        let format = match name {
            "json" => Format::Json,
            "cbor" => Format::Cbor,
            "msgpack" => Format::MsgPack,
            "ubjson" | "flatbuffers" => {
                let hint = "remove it: clients also offer cbor, msgpack or json";
                cx.error(&item.place, format!("serializer {name} is not supported"), hint);
                continue;
            }
            _ => {
                let hint = "cbor, msgpack or json; each includes its batched form";
                cx.error(&item.place, format!("unknown serializer {name:?}"), hint);
                continue;
            }
        };
        if formats.contains(&format) {
            cx.warn(&item.place, "given twice", "remove one of the two");
        } else {
            formats.push(format);
        }
    }
    if items.is_empty() {
        cx.error(&item.place, "no serializer is given, so nobody could connect", "remove the key for all of them");
    }
    Some(formats)
}

fn options(cx: &mut Context<'_>, mut section: Section<'_>, upgrade: &mut UpgradeOptions) {
    origins(cx, &mut section, &mut upgrade.origins);
    upgrade.require_subprotocol = section.bool(cx, "require_websocket_subprotocol", upgrade.require_subprotocol);
    if let Some(item) = section.get("subprotocol_order") {
        let orders = [("client", Preference::Client), ("server", Preference::Server)];
        upgrade.preference = item.one_of(cx, &orders).unwrap_or_default();
    }
    let mut websocket = WebSocketOptions::default();
    size(cx, &mut section, "max_frame_size", &mut websocket.max_frame);
    size(cx, &mut section, "max_message_size", &mut websocket.max_message);
    websocket.ping = ping(cx, &mut section, websocket.ping);
    duration(cx, &mut section, "close_handshake_timeout", &mut websocket.close_timeout);
    if let Some(item) = section.get("max_frame_size")
        && websocket.max_frame > websocket.max_message
    {
        let hint = "a message is at least one frame: raise max_message_size or lower max_frame_size";
        cx.warn(&item.place, "more than max_message_size, which is what counts", hint);
    }
    upgrade.websocket = Arc::new(websocket);
    opening(cx, &mut section, "open_handshake_timeout");
    without_effect(cx, &mut section);
    section.finish(cx);
}

/// A timeout of the opening handshake: the longest of a transport counts.
pub(super) fn opening(cx: &mut Context<'_>, section: &mut Section<'_>, key: &'static str) {
    if let Some(ms) = section.get(key).and_then(|item| item.integer(cx, 10..=MAX_TIMEOUT, "ms")) {
        cx.open_timeout = cx.open_timeout.max(Some(Duration::from_millis(ms)));
    }
}

/// `auto_ping_interval` (0 is off) and `auto_ping_timeout`.
pub(super) fn ping(cx: &mut Context<'_>, section: &mut Section<'_>, default: PingOptions) -> PingOptions {
    let mut ping = default;
    if let Some(item) = section.get("auto_ping_interval")
        && let Some(ms) = item.integer(cx, 0..=MAX_PING_INTERVAL, "ms")
    {
        ping.interval = (ms > 0).then(|| Duration::from_millis(ms));
    }
    duration(cx, section, "auto_ping_timeout", &mut ping.timeout);
    ping
}

fn duration(cx: &mut Context<'_>, section: &mut Section<'_>, key: &'static str, value: &mut Duration) {
    if let Some(ms) = section.get(key).and_then(|item| item.integer(cx, 10..=MAX_TIMEOUT, "ms")) {
        *value = Duration::from_millis(ms);
    }
}

/// Options of Crossbar.io that describe what happens here anyway, or that cannot be honoured.
fn without_effect(cx: &mut Context<'_>, section: &mut Section<'_>) {
    let rfc = "RFC 6455 says so";
    section.fixed(cx, "validate_utf8", true, rfc);
    section.fixed(cx, "mask_server_frames", false, rfc);
    section.fixed(cx, "require_masked_client_frames", true, rfc);
    section.fixed(cx, "apply_mask", true, rfc);
    section.fixed(cx, "enable_rfc6455", true, "it is the only version of WebSocket here");
    section.fixed(cx, "enable_hixie76", false, "RFC 6455 is the only version of WebSocket here");
    section.fixed(cx, "enable_hybi10", true, "it is the same as RFC 6455");
    section.fixed(cx, "tcp_nodelay", true, "writes are gathered already");
    section.fixed(cx, "enable_flash_policy", false, "Flash is gone");
    section.ignore(
        cx,
        &[
            ("auto_fragment_size", "messages are sent in one frame"),
            ("auto_ping_size", "pings are small already"),
            ("auto_ping_restart_on_any_traffic", "any traffic counts already"),
            ("echo_close_codereason", "close frames are answered as RFC 6455 says"),
            ("fail_by_drop", "failures are told with a close frame, then the connection is dropped"),
            ("enable_webstatus", "there is no status page"),
            ("show_server_version", "the version is not shown"),
            ("compression", "clients connect without"),
            ("external_port", "origins are compared as the browser sends them"),
        ],
    );
    section.refuse(cx, &[("flash_policy", "remove it: Flash is gone")]);
}

fn size(cx: &mut Context<'_>, section: &mut Section<'_>, key: &'static str, value: &mut usize) {
    const MAX: u64 = 64 << 20;
    let Some(item) = section.get(key) else { return };
    if matches!(item.node.kind, Kind::Int(0)) {
        cx.error(&item.place, "0 (unlimited) is not supported: every size is bounded", format!("1 to {MAX} bytes"));
    } else if let Some(size) = item.integer(cx, 1..=MAX, "bytes") {
        *value = size as usize;
    }
}

/// `allowed_origins`, a list or a string separated by commas, and `allow_null_origin`.
fn origins(cx: &mut Context<'_>, section: &mut Section<'_>, policy: &mut OriginPolicy) {
    policy.allow_null = section.bool(cx, "allow_null_origin", policy.allow_null);
    let Some(item) = section.get("allowed_origins") else { return };
    let texts: Vec<(String, Place)> = match &item.node.kind {
        Kind::Text(text) => text.split(',').map(|text| (text.trim().to_owned(), item.place.clone())).collect(),
        _ => {
            let items = item.list(cx).unwrap_or_default().into_iter();
            items.filter_map(|item| Some((item.str(cx)?.to_owned(), item.place))).collect()
        }
    };
    policy.allowed = Vec::new();
    for (text, place) in texts {
        match OriginPattern::parse(&text) {
            Ok(pattern) => policy.allowed.push(pattern),
            Err(error) => cx.error(&place, format!("{text:?} is not a pattern of origins"), error.to_string()),
        }
    }
}
