//! How a component connects that has a transport of its own: as any client, with its own authentication.
//!
//! ```json
//! {"type": "websocket", "url": "ws://127.0.0.1:8080/ws", "endpoint": {"type": "tcp", "host": "127.0.0.1", "port": 8080}}
//! {"type": "rawsocket", "serializer": "cbor", "endpoint": {"type": "unix", "path": "router.sock"}}
//! ```

use super::reader::{Context, Item, Section};
use serde_json::{Value as Json, json};

/// Serializers that Autobahn|Python has; `None`: it chooses.
const SERIALIZERS: [(&str, &str); 5] =
    [("json", "json"), ("cbor", "cbor"), ("msgpack", "msgpack"), ("ubjson", "ubjson"), ("flatbuffers", "flatbuffers")];

/// Reads `transport` of a component: what the program that runs it is told, with absolute paths.
pub(super) fn read(cx: &mut Context<'_>, item: &Item<'_>) -> Option<Json> {
    let mut section = item.map(cx)?;
    let kind = section.require(cx, "type", "websocket or rawsocket")?;
    let websocket = kind.one_of(cx, &[("websocket", true), ("rawsocket", false)])?;
    let url = match section.get("url") {
        Some(item) => Some(item.str(cx)?.to_owned()),
        None if websocket => {
            cx.error(&section.place, "the key \"url\" is missing", "for example ws://127.0.0.1:8080/ws");
            return None;
        }
        None => None,
    };
    let endpoint = section.require(cx, "endpoint", "for example {\"type\": \"tcp\", \"port\": 8080}");
    let endpoint = endpoint.and_then(|item| endpoint_of(cx, &item));
    let mut serializers = Vec::new();
    if let Some(item) = section.get("serializers") {
        let items = item.list(cx).unwrap_or_default();
        serializers.extend(items.iter().filter_map(|item| item.one_of(cx, &SERIALIZERS)));
    }
    serializers.extend(section.get("serializer").and_then(|item| item.one_of(cx, &SERIALIZERS)));
    section.ignore(
        cx,
        &[
            ("options", "the connection has the options of Autobahn"),
            ("debug", "set the log level"),
            ("debug_wamp", "set the log level"),
        ],
    );
    section.finish(cx);
    let kind = if websocket { "websocket" } else { "rawsocket" };
    Some(json!({"type": kind, "url": url, "endpoint": endpoint?, "serializers": serializers}))
}

fn endpoint_of(cx: &mut Context<'_>, item: &Item<'_>) -> Option<Json> {
    let mut section = item.map(cx)?;
    let kind = section.require(cx, "type", "tcp or unix")?;
    let endpoint = if kind.one_of(cx, &[("tcp", true), ("unix", false)])? {
        let host = section.name(cx, "host").unwrap_or_else(|| "127.0.0.1".to_owned());
        let port = section.require(cx, "port", "1 to 65535").and_then(|item| item.integer(cx, 1..=65_535, ""));
        let tls = match section.get("tls") {
            Some(item) => Some(tls(cx, &item)?),
            None => None,
        };
        section.ignore(cx, &[("timeout", "the system decides"), ("version", "by the host")]);
        json!({"type": "tcp", "host": host, "port": port?, "tls": tls})
    } else {
        let path = section.require(cx, "path", "the path of the socket").and_then(|item| item.name(cx));
        json!({"type": "unix", "path": absolute(cx, &path?)})
    };
    section.finish(cx);
    Some(endpoint)
}

/// TLS of a client: whom it trusts, and who it is.
fn tls(cx: &mut Context<'_>, item: &Item<'_>) -> Option<Json> {
    let mut section = item.map(cx)?;
    let hostname = section.name(cx, "hostname");
    let file = |cx: &mut Context<'_>, section: &mut Section<'_>, key| {
        let name = section.name(cx, key)?;
        Some(absolute(cx, &name))
    };
    let (key, certificate) = (file(cx, &mut section, "key"), file(cx, &mut section, "certificate"));
    if key.is_some() != certificate.is_some() {
        cx.error(&section.place, "key and certificate belong together", "give both, or none");
        return None;
    }
    let authorities = section.get("ca_certificates").and_then(|item| item.list(cx)).unwrap_or_default();
    let authorities: Vec<String> =
        authorities.iter().filter_map(|item| item.name(cx).map(|name| absolute(cx, &name))).collect();
    let reason = "TLS 1.3 and 1.2, as the system's library has them";
    section.ignore(cx, &[("dhparam", reason), ("ciphers", reason)]);
    section.finish(cx);
    Some(json!({"hostname": hostname, "key": key, "certificate": certificate, "ca_certificates": authorities}))
}

/// The program that runs a component may run elsewhere.
fn absolute(cx: &Context<'_>, name: &str) -> String {
    cx.python.folder.join(name).to_string_lossy().into_owned()
}
