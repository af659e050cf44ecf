//! HTTP/1.1 as far as a WebSocket server or client needs it: request and response heads, and short responses.

use std::{borrow::Cow, fmt, time::Duration};

use tungstenite::{
    handshake::{client::Response, machine::TryParse},
    http::HeaderMap,
};

/// Limits of the HTTP part of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// Longest request or response head, in bytes. Default 16 KiB.
    pub max_head: usize,
}

impl HttpOptions {
    /// The default values.
    pub const DEFAULT: Self = Self { max_head: 16 << 10 };
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How long an opening handshake may take by default, from the connection to the first WAMP message that could be sent.
pub(crate) const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// The method of a request (RFC 9110 section 9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// GET
    Get,
    /// HEAD: as GET, but the response has no body.
    Head,
    /// Any other.
    Other(String),
}

/// The head of an HTTP request.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    method: Method,
    target: String,
    http_1_0: bool,
    headers: HeaderMap,
}

impl HttpRequest {
    /// The method.
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// The path as sent, not percent-decoded; begins with `/`, except in `OPTIONS *` and the like.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// What follows the `?`, as sent.
    pub fn query(&self) -> Option<&str> {
        self.target.split_once('?').map(|(_, query)| query)
    }

    /// The first header of this name (in any case), as text: see [`headers`](Self::headers).
    pub fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.headers.get(name).map(|value| text(value.as_bytes()))
    }

    /// All headers, names in lower case, in an unspecified order but for those of the same name, which stay in theirs.
    /// Values are bytes: as text, each is the character of ISO 8859-1.
    pub fn headers(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        self.headers_as_bytes().map(|(name, value)| (name, text(value)))
    }

    /// All headers in an unspecified order, names in lower case, whatever is in their values.
    pub fn headers_as_bytes(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// The lines of a header, in their order.
    pub(crate) fn lines(&self, name: &'static str) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.headers.get_all(name).into_iter().map(|value| value.as_bytes())
    }

    /// Whether the client asks for a WebSocket.
    pub fn is_websocket_upgrade(&self) -> bool {
        has_token(&self.headers, "upgrade", "websocket")
    }

    pub(crate) const fn is_http_1_0(&self) -> bool {
        self.http_1_0
    }

    pub(crate) const fn header_map(&self) -> &HeaderMap {
        &self.headers
    }

    /// Reads a whole head, which ends with an empty line.
    pub(crate) fn parse(head: &[u8]) -> Result<Self, HttpError> {
        let line_end = memchr::memmem::find(head, b"\r\n").ok_or(HttpError::Malformed("request line"))?;
        let (line, rest) = head.split_at(line_end);
        let line = std::str::from_utf8(line).map_err(|_| HttpError::Malformed("request line"))?;
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(HttpError::Malformed("request line"));
        };
        if method.is_empty() || !method.bytes().all(is_token) {
            return Err(HttpError::Malformed("method"));
        }
        let http_1_0 = match version {
            "HTTP/1.1" => false,
            "HTTP/1.0" => true,
            _ if version.starts_with("HTTP/") => return Err(HttpError::UnsupportedVersion),
            _ => return Err(HttpError::Malformed("request line")),
        };
        if target.is_empty() || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HttpError::Malformed("request target"));
        }
        let headers = parse_headers(&rest[2..])?;
        let hosts = headers.get_all("host").iter().count();
        if hosts > 1 || hosts == 0 && !http_1_0 {
            return Err(HttpError::Malformed("Host header missing or repeated"));
        }
        let method = match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            other => Method::Other(other.to_owned()),
        };
        Ok(Self { method, target: origin_form(target).to_owned(), http_1_0, headers })
    }
}

/// The response of a server to an upgrade request: status and headers.
pub(crate) fn parse_response(head: &[u8]) -> Result<(u16, HeaderMap), HttpError> {
    match Response::try_parse(head) {
        Ok(Some((len, response))) if len == head.len() => {
            let (parts, _) = response.into_parts();
            Ok((parts.status.as_u16(), parts.headers))
        }
        _ => Err(HttpError::Malformed("response head")),
    }
}

fn parse_headers(bytes: &[u8]) -> Result<HeaderMap, HttpError> {
    match HeaderMap::try_parse(bytes) {
        Ok(Some((len, headers))) if len == bytes.len() => Ok(headers),
        _ => Err(HttpError::Malformed("headers")),
    }
}

/// Path and query of a request target, which may be an absolute URI (RFC 9112 section 3.2.2).
fn origin_form(target: &str) -> &str {
    let absolute = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://"));
    match absolute {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    }
}

/// Whether a header that is a list of tokens contains `token`, in any case.
pub(crate) fn has_token(headers: &HeaderMap, name: &str, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of all headers of a name that are comma-separated lists.
pub(crate) fn tokens<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a [u8]> {
    let elements = headers.get_all(name).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    elements.map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// Bytes as characters of ISO 8859-1.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => bytes.iter().copied().map(char::from).collect(),
    }
}

pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a header can be written as it is, without becoming two.
pub(crate) fn is_valid_header(name: &str, value: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(is_token)
        && value.bytes().all(|byte| byte == b'\t' || byte >= b' ' && byte != 0x7f)
}

/// Finds the end of a head: the index behind its empty line. Looks only at what is new since the last call.
pub(crate) fn find_head_end(bytes: &[u8], scanned: &mut usize) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let from = scanned.saturating_sub(END.len() - 1).min(bytes.len());
    *scanned = bytes.len();
    memchr::memmem::find(&bytes[from..], END).map(|at| from + at + END.len())
}

/// A response to a plain HTTP request. The connection is closed behind it.
#[derive(Clone, Copy, Debug)]
pub struct HttpResponse<'a> {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'a str,
    /// Further headers. One that is not valid HTTP is left out.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body; for a HEAD request only its length is sent.
    pub body: &'a [u8],
    /// What `Content-Length` says.
    pub length: ContentLength,
}

/// What `Content-Length` of a response says. Anything but [`OfBody`](Self::OfBody) is for responses to HEAD requests whose
/// body is not made, which may say nothing (RFC 9110 section 8.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentLength {
    /// The length of the body.
    #[default]
    OfBody,
    /// The length that the body would have.
    Bytes(u64),
    /// Nothing: the length is not known.
    Unknown,
}

impl HttpResponse<'_> {
    pub(crate) fn write(&self, head_only: bool, out: &mut Vec<u8>) {
        self.write_head(out);
        if !head_only {
            out.extend_from_slice(self.body);
        }
    }

    pub(crate) fn write_head(&self, out: &mut Vec<u8>) {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason_phrase(self.status));
        let length = match self.length {
            ContentLength::OfBody => self.body.len().to_string(),
            ContentLength::Bytes(length) => length.to_string(),
            ContentLength::Unknown => String::new(),
        };
        let own = [("Connection", "close"), ("Content-Type", self.content_type), ("Content-Length", &length)];
        // What 304 says of the content would have to be true of the content that is not sent (RFC 9110 section 15.4.5).
        let own = match self.length {
            _ if self.status == 304 => &own[..1],
            ContentLength::Unknown => &own[..2],
            ContentLength::OfBody | ContentLength::Bytes(_) => &own,
        };
        for (name, value) in own.iter().chain(self.headers) {
            if is_valid_header(name, value) {
                head.extend([name, ": ", value, "\r\n"]);
            }
        }
        head.push_str("\r\n");
        out.extend_from_slice(head.as_bytes());
    }
}

fn reason_phrase(status: u16) -> &'static str {
    tungstenite::http::StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or_default()
}

/// Why an HTTP exchange failed. The first group is a client's fault and has a status; the second is a server's fault, found by
/// [`Client`](crate::Client).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// 400: the head is not HTTP.
    Malformed(&'static str),
    /// 431: the head is longer than [`HttpOptions::max_head`].
    HeadTooLong {
        /// The limit, in bytes.
        limit: usize,
    },
    /// 408: the head did not arrive in time.
    Timeout,
    /// 505: neither HTTP/1.1 nor HTTP/1.0.
    UnsupportedVersion,
    /// 405: an upgrade with another method than GET.
    MethodNotAllowed,
    /// 426: this path is a WebSocket, and the request does not ask for one.
    UpgradeRequired,
    /// 426: another version of WebSocket than 13.
    UnsupportedWebSocketVersion,
    /// 400: `Sec-WebSocket-Key` is missing, repeated, or not 16 bytes in base64.
    BadWebSocketKey,
    /// 403: the `Origin` is not allowed.
    OriginNotAllowed,
    /// 400: no subprotocol is offered.
    NoSubprotocol,
    /// 400: no offered subprotocol is supported.
    UnsupportedSubprotocol,

    /// The server answered with this status instead of 101.
    UnexpectedStatus(u16),
    /// The server's 101 response is wrong in this header.
    BadUpgrade(&'static str),
    /// A host, path or header for the request cannot be written in HTTP.
    InvalidRequest,
}

impl HttpError {
    /// The status of the response; `None` for errors of a server.
    pub const fn status(&self) -> Option<u16> {
        Some(match self {
            Self::Malformed(_) | Self::BadWebSocketKey | Self::NoSubprotocol | Self::UnsupportedSubprotocol => 400,
            Self::OriginNotAllowed => 403,
            Self::MethodNotAllowed => 405,
            Self::Timeout => 408,
            Self::UpgradeRequired | Self::UnsupportedWebSocketVersion => 426,
            Self::HeadTooLong { .. } => 431,
            Self::UnsupportedVersion => 505,
            Self::UnexpectedStatus(_) | Self::BadUpgrade(_) | Self::InvalidRequest => return None,
        })
    }

    /// Writes the response that tells the client; nothing for errors of a server.
    pub(crate) fn write(&self, head_only: bool, out: &mut Vec<u8>) {
        let Some(status) = self.status() else { return };
        let headers: &[(&str, &str)] = match self {
            Self::MethodNotAllowed => &[("Allow", "GET")],
            Self::UpgradeRequired => &[("Upgrade", "websocket")],
            Self::UnsupportedWebSocketVersion => &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
            _ => &[],
        };
        let body = format!("{self}\n");
        let (content_type, length) = ("text/plain; charset=utf-8", ContentLength::OfBody);
        let response = HttpResponse { status, content_type, headers, body: body.as_bytes(), length };
        response.write(head_only, out);
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(what) => return write!(f, "malformed HTTP: {what}"),
            Self::HeadTooLong { limit } => return write!(f, "HTTP head longer than {limit} bytes"),
            Self::Timeout => "the HTTP request took too long",
            Self::UnsupportedVersion => "unsupported HTTP version, use HTTP/1.1",
            Self::MethodNotAllowed => "a WebSocket is opened with GET",
            Self::UpgradeRequired => "this is a WebSocket endpoint",
            Self::UnsupportedWebSocketVersion => "unsupported WebSocket version, use 13",
            Self::BadWebSocketKey => "Sec-WebSocket-Key must be 16 bytes in base64",
            Self::OriginNotAllowed => "this origin may not connect",
            Self::NoSubprotocol => "no WebSocket subprotocol offered, use one of wamp.2.{json,cbor,msgpack}[.batched]",
            Self::UnsupportedSubprotocol => "no offered WebSocket subprotocol is supported",
            Self::UnexpectedStatus(status) => return write!(f, "the server answered with status {status}"),
            Self::BadUpgrade(header) => return write!(f, "the server's upgrade response has a wrong {header}"),
            Self::InvalidRequest => "host, path or header with characters that HTTP does not allow",
        })
    }
}

impl std::error::Error for HttpError {}
