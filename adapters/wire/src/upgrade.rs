//! The WebSocket opening handshake (RFC 6455 section 4), server and client.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use tungstenite::{handshake::derive_accept_key, http::HeaderMap};

use crate::{
    framing::Subprotocol,
    http::{HttpError, HttpOptions, HttpRequest, Method, has_token, is_valid_header, parse_response, tokens},
    origin::OriginPolicy,
    websocket::WebSocketOptions,
};

/// Whose order of subprotocols decides when several are possible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// The client's: its first subprotocol that the server supports.
    #[default]
    Client,
    /// The server's: its first subprotocol that the client offers.
    Server,
}

/// What a WebSocket endpoint of a server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeOptions {
    /// The subprotocols supported, in the server's order. Default [`Subprotocol::ALL`].
    pub subprotocols: Vec<Subprotocol>,
    /// Whose order decides. Default: the client's.
    pub preference: Preference,
    /// Whether a client must offer a subprotocol; if not, one that offers none speaks `wamp.2.json`. Default: true.
    pub require_subprotocol: bool,
    /// The web pages that may connect. Default: all.
    pub origins: OriginPolicy,
    /// Limits and timers of the connections.
    pub websocket: Arc<WebSocketOptions>,
}

impl Default for UpgradeOptions {
    fn default() -> Self {
        Self {
            subprotocols: Subprotocol::ALL.to_vec(),
            preference: Preference::default(),
            require_subprotocol: true,
            origins: OriginPolicy::default(),
            websocket: Arc::default(),
        }
    }
}

/// Checks an upgrade request and writes the 101 response, with further headers. One that is not valid HTTP is left out.
pub(crate) fn accept(
    request: &HttpRequest,
    options: &UpgradeOptions,
    further: &[(&str, &str)],
    out: &mut Vec<u8>,
) -> Result<Subprotocol, HttpError> {
    let headers = request.header_map();
    if !request.is_websocket_upgrade() || !has_token(headers, "connection", "upgrade") {
        return Err(HttpError::UpgradeRequired);
    }
    if *request.method() != Method::Get {
        return Err(HttpError::MethodNotAllowed);
    }
    if request.is_http_1_0() {
        return Err(HttpError::UnsupportedVersion);
    }
    if !tokens(headers, "sec-websocket-version").eq([b"13"]) {
        return Err(HttpError::UnsupportedWebSocketVersion);
    }
    let mut keys = tokens(headers, "sec-websocket-key");
    let key = match (keys.next(), keys.next()) {
        (Some(key), None) if STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16) => key,
        _ => return Err(HttpError::BadWebSocketKey),
    };
    let mut origins = headers.get_all("origin").iter();
    if let Some(origin) = origins.next() {
        // Browsers send one. Of several nobody knows which the page has.
        let allowed = origin.to_str().is_ok_and(|origin| options.origins.allows(origin));
        if !allowed || origins.next().is_some() {
            return Err(HttpError::OriginNotAllowed);
        }
    }
    let chosen = choose(headers, options)?;
    out.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    push_header(out, "Sec-WebSocket-Accept", &derive_accept_key(key));
    if let Some(subprotocol) = chosen {
        push_header(out, "Sec-WebSocket-Protocol", subprotocol.token());
    }
    for (name, value) in further.iter().filter(|(name, value)| is_valid_header(name, value)) {
        push_header(out, name, value);
    }
    out.extend_from_slice(b"\r\n");
    Ok(chosen.unwrap_or(Subprotocol::Json))
}

/// The subprotocol to use; `None` if none was offered and that is allowed.
fn choose(headers: &HeaderMap, options: &UpgradeOptions) -> Result<Option<Subprotocol>, HttpError> {
    let mut nothing_offered = true;
    let mut offered = Vec::new();
    for token in tokens(headers, "sec-websocket-protocol") {
        nothing_offered = false;
        offered.extend(subprotocol(token));
    }
    if nothing_offered {
        return if options.require_subprotocol { Err(HttpError::NoSubprotocol) } else { Ok(None) };
    }
    let (first, second) = match options.preference {
        Preference::Client => (&offered, &options.subprotocols),
        Preference::Server => (&options.subprotocols, &offered),
    };
    let chosen = first.iter().find(|subprotocol| second.contains(subprotocol));
    chosen.copied().map(Some).ok_or(HttpError::UnsupportedSubprotocol)
}

/// The subprotocol of an element of `Sec-WebSocket-Protocol`.
fn subprotocol(token: &[u8]) -> Option<Subprotocol> {
    std::str::from_utf8(token).ok().and_then(Subprotocol::from_token)
}

/// What a client asks a WebSocket server for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeRequest {
    /// The value of the `Host` header: a name or address, and the port unless it is the default.
    pub host: String,
    /// Path and query, beginning with `/`.
    pub target: String,
    /// The subprotocols offered, most wanted first; at least one.
    pub subprotocols: Vec<Subprotocol>,
    /// Further headers, for example `Origin` or `Cookie`.
    pub headers: Vec<(String, String)>,
    /// Longest response head accepted, in bytes. Default 16 KiB.
    pub max_head: usize,
    /// Limits and timers of the connection.
    pub websocket: Arc<WebSocketOptions>,
}

impl UpgradeRequest {
    /// A request with no further headers and default limits.
    pub fn new(host: impl Into<String>, target: impl Into<String>, subprotocols: Vec<Subprotocol>) -> Self {
        Self {
            host: host.into(),
            target: target.into(),
            subprotocols,
            headers: Vec::new(),
            max_head: HttpOptions::DEFAULT.max_head,
            websocket: Arc::default(),
        }
    }

    /// Writes the request; the key is random per connection.
    pub(crate) fn write(&self, key: &str, out: &mut Vec<u8>) -> Result<(), HttpError> {
        let target_is_valid = self.target.starts_with('/') && self.target.bytes().all(|byte| byte.is_ascii_graphic());
        let host_is_valid = !self.host.is_empty() && self.host.bytes().all(|byte| byte.is_ascii_graphic());
        let headers_are_valid = self.headers.iter().all(|(name, value)| is_valid_header(name, value));
        if !target_is_valid || !host_is_valid || !headers_are_valid || self.subprotocols.is_empty() {
            return Err(HttpError::InvalidRequest);
        }
        out.extend_from_slice(b"GET ");
        out.extend_from_slice(self.target.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        push_header(out, "Host", &self.host);
        push_header(out, "Upgrade", "websocket");
        push_header(out, "Connection", "Upgrade");
        push_header(out, "Sec-WebSocket-Key", key);
        push_header(out, "Sec-WebSocket-Version", "13");
        let offered: Vec<&str> = self.subprotocols.iter().map(|subprotocol| subprotocol.token()).collect();
        push_header(out, "Sec-WebSocket-Protocol", &offered.join(", "));
        for (name, value) in &self.headers {
            push_header(out, name, value);
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Checks the server's response (RFC 6455 section 4.1, the client's last list).
    pub(crate) fn verify(&self, key: &str, head: &[u8]) -> Result<Subprotocol, HttpError> {
        let (status, headers) = parse_response(head)?;
        if status != 101 {
            return Err(HttpError::UnexpectedStatus(status));
        }
        if !has_token(&headers, "upgrade", "websocket") {
            return Err(HttpError::BadUpgrade("Upgrade"));
        }
        if !has_token(&headers, "connection", "upgrade") {
            return Err(HttpError::BadUpgrade("Connection"));
        }
        if !tokens(&headers, "sec-websocket-accept").eq([derive_accept_key(key.as_bytes()).as_bytes()]) {
            return Err(HttpError::BadUpgrade("Sec-WebSocket-Accept"));
        }
        if headers.contains_key("sec-websocket-extensions") {
            return Err(HttpError::BadUpgrade("Sec-WebSocket-Extensions"));
        }
        let mut chosen = tokens(&headers, "sec-websocket-protocol");
        match (chosen.next().and_then(subprotocol), chosen.next()) {
            (Some(subprotocol), None) if self.subprotocols.contains(&subprotocol) => Ok(subprotocol),
            _ => Err(HttpError::BadUpgrade("Sec-WebSocket-Protocol")),
        }
    }
}

/// A fresh `Sec-WebSocket-Key` from 16 random bytes.
pub(crate) fn new_key(random: [u8; 16]) -> String {
    STANDARD.encode(random)
}

fn push_header(out: &mut Vec<u8>, name: &str, value: &str) {
    for part in [name, ": ", value, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}
