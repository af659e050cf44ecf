//! WAMP over WebSocket.

use super::auth::{self, AuthConfig};
use super::lint::Sources;
use super::node::Globals;
use super::reader::{Context, Section};
use super::tree::Kind;
use std::time::Duration;
use wampd_core::codec::Format;

/// A WebSocket service.
#[derive(Clone, Debug)]
pub struct WebSocketConfig {
    /// `serializers` in order of preference, each with its batched form. Default: CBOR, MsgPack, JSON.
    pub formats: Vec<Format>,
    /// `options`.
    pub options: WebSocketOptions,
    /// `auth`.
    pub auth: AuthConfig,
}

/// `options` of a WebSocket service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketOptions {
    /// `allowed_origins`: `*` stands for any text. Default: any origin.
    pub allowed_origins: Vec<String>,
    /// `allow_null_origin`: whether the origin may be `null`. Default true.
    pub allow_null_origin: bool,
    /// `require_websocket_subprotocol`: refuse clients that offer none. Otherwise they speak JSON. Default true.
    pub require_subprotocol: bool,
    /// `subprotocol_order`: `server` chooses by the order of `serializers`, `client` (default) by the client's.
    pub server_order: bool,
    /// `max_frame_size` in bytes. Default 1 MiB.
    pub max_frame_size: usize,
    /// `max_message_size` in bytes. Default 1 MiB.
    pub max_message_size: usize,
    /// `auto_ping_interval` in milliseconds; `None` (0) is off. Default 10 s.
    pub auto_ping_interval: Option<Duration>,
    /// `auto_ping_timeout` in milliseconds: time for the pong. Default 10 s.
    pub auto_ping_timeout: Duration,
    /// `open_handshake_timeout` in milliseconds: time for the HTTP request. Default 10 s.
    pub open_handshake_timeout: Duration,
    /// `close_handshake_timeout` in milliseconds: time for the peer's close frame. Default 5 s.
    pub close_handshake_timeout: Duration,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self {
            allowed_origins: vec!["*".to_owned()],
            allow_null_origin: true,
            require_subprotocol: true,
            server_order: false,
            max_frame_size: 1 << 20,
            max_message_size: 1 << 20,
            auto_ping_interval: Some(Duration::from_secs(10)),
            auto_ping_timeout: Duration::from_secs(10),
            open_handshake_timeout: Duration::from_secs(10),
            close_handshake_timeout: Duration::from_secs(5),
        }
    }
}

/// Reads the keys of a WebSocket service from the mapping they share with the path or transport; finishes it.
pub(super) fn read(
    cx: &mut Context<'_>,
    mut section: Section<'_>,
    globals: &Globals,
    sources: &mut Sources,
) -> WebSocketConfig {
    let formats = formats(cx, &mut section);
    let auth = auth::read(cx, &mut section, globals, sources);
    let options = match section.get("options").and_then(|item| item.map(cx)) {
        Some(section) => options(cx, section),
        None => WebSocketOptions::default(),
    };
    section.ignore(cx, &[("url", "clients find the service by host, port and path"), ("debug", "set the log level")]);
    section.refuse(
        cx,
        &[
            ("cookie", "remove it: cookies are not supported"),
            ("user_agent", "remove it"),
            ("enable_webstatus", "remove it: there is no status page"),
        ],
    );
    section.finish(cx);
    WebSocketConfig { formats, options, auth }
}

/// Reads `serializers` of WebSocket and RawSocket.
pub(super) fn formats(cx: &mut Context<'_>, section: &mut Section<'_>) -> Vec<Format> {
    let all = vec![Format::Cbor, Format::MsgPack, Format::Json];
    let Some(item) = section.get("serializers") else { return all };
    let Some(items) = item.list(cx) else { return all };
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
    formats
}

fn options(cx: &mut Context<'_>, mut section: Section<'_>) -> WebSocketOptions {
    const MAX_SIZE: u64 = 64 << 20;
    const MINUTES_10: u64 = 600_000;
    let default = WebSocketOptions::default();
    let options = WebSocketOptions {
        allowed_origins: origins(cx, &mut section).unwrap_or(default.allowed_origins),
        allow_null_origin: section.bool(cx, "allow_null_origin", default.allow_null_origin),
        require_subprotocol: section.bool(cx, "require_websocket_subprotocol", default.require_subprotocol),
        server_order: section
            .get("subprotocol_order")
            .and_then(|item| item.one_of(cx, &[("client", false), ("server", true)]))
            .unwrap_or(default.server_order),
        max_frame_size: size(cx, &mut section, "max_frame_size", MAX_SIZE, default.max_frame_size),
        max_message_size: size(cx, &mut section, "max_message_size", MAX_SIZE, default.max_message_size),
        auto_ping_interval: Some(section.millis(cx, "auto_ping_interval", 0..=24 * 6 * MINUTES_10, 10_000))
            .filter(|interval| !interval.is_zero()),
        auto_ping_timeout: section.millis(cx, "auto_ping_timeout", 10..=MINUTES_10, 10_000),
        open_handshake_timeout: section.millis(cx, "open_handshake_timeout", 10..=MINUTES_10, 10_000),
        close_handshake_timeout: section.millis(cx, "close_handshake_timeout", 10..=MINUTES_10, 5_000),
    };
    if options.max_frame_size > options.max_message_size
        && let Some(item) = section.get("max_frame_size")
    {
        let hint = "a message is at least one frame: raise max_message_size or lower max_frame_size";
        cx.warn(&item.place, "more than max_message_size, which is what counts", hint);
    }
    without_effect(cx, &mut section);
    section.finish(cx);
    options
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
            ("external_port", "origins are compared as the browser sends them"),
        ],
    );
    section.refuse(
        cx,
        &[
            ("compression", "remove it: clients connect without compression"),
            ("flash_policy", "remove it: Flash is gone"),
        ],
    );
}

fn size(cx: &mut Context<'_>, section: &mut Section<'_>, key: &'static str, max: u64, default: usize) -> usize {
    let Some(item) = section.get(key) else { return default };
    if matches!(item.node.kind, Kind::Int(0)) {
        cx.error(&item.place, "0 (unlimited) is not supported: every size is bounded", format!("1 to {max} bytes"));
        return default;
    }
    item.integer(cx, 1..=max, "bytes").map_or(default, |n| n as usize)
}

fn origins(cx: &mut Context<'_>, section: &mut Section<'_>) -> Option<Vec<String>> {
    let item = section.get("allowed_origins")?;
    if let Kind::Text(text) = &item.node.kind {
        return Some(text.split(',').map(|origin| origin.trim().to_owned()).collect());
    }
    let items = item.list(cx)?;
    Some(items.iter().filter_map(|item| item.name(cx)).collect())
}
