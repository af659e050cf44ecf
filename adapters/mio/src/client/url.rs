//! Where a client connects to.

use std::{fmt, path::PathBuf, str::FromStr};

/// The address of a router.
///
/// | Form | Meaning |
/// | --- | --- |
/// | `ws://host[:port][/path][?query]` | WebSocket over TCP; port 80 and path `/` by default |
/// | `wss://host[:port][/path][?query]` | WebSocket over TLS; port 443 and path `/` by default |
/// | `rs://host:port` | RawSocket over TCP |
/// | `rss://host:port` | RawSocket over TLS |
/// | `unix:path`, `rs+unix:path` | RawSocket over a unix socket |
/// | `ws+unix:path[:/path]` | WebSocket over a unix socket |
///
/// IPv6 addresses stand in brackets.
///
/// ```
/// # use wampd_mio::client::Url;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let url: Url = "ws://[::1]:8080/ws".parse()?;
/// assert_eq!(url.to_string(), "ws://[::1]:8080/ws");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// The socket.
    pub socket: Socket,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// The socket of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// TCP.
    Tcp {
        /// A name, or an address without brackets.
        host: String,
        /// The port.
        port: u16,
    },
    /// TLS over TCP.
    Tls {
        /// A name, or an address without brackets: the router's certificate must be for it.
        host: String,
        /// The port.
        port: u16,
    },
    /// A unix stream socket.
    Unix(PathBuf),
}

/// The transport protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// WebSocket.
    WebSocket {
        /// Path and query, beginning with `/`.
        target: String,
    },
    /// RawSocket.
    RawSocket,
}

/// Why a text is not the address of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidUrl {
    /// It does not begin with a scheme and a colon.
    NoScheme,
    /// The scheme is none of those of [`Url`].
    UnknownScheme(String),
    /// The host is missing, or not a name, an IPv4 address or an IPv6 address in brackets.
    BadHost,
    /// The port is missing where there is no default, or not a number from 1 to 65535.
    BadPort,
    /// The path of the unix socket is missing.
    NoPath,
    /// RawSocket has no paths: something follows the port.
    PathOfRawSocket,
    /// A user name or password: credentials do not belong here.
    UserInfo,
    /// A `#`, which RFC 6455 does not allow.
    Fragment,
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoScheme => "no scheme: expected ws://, wss://, rs://, rss:// or unix:",
            Self::UnknownScheme(scheme) => {
                return write!(f, "unknown scheme {scheme:?}: expected ws, wss, rs, rss or unix");
            }
            Self::BadHost => "no valid host",
            Self::BadPort => "no valid port",
            Self::NoPath => "no path of a unix socket",
            Self::PathOfRawSocket => "a path, which RawSocket does not have",
            Self::UserInfo => "a user name or password does not belong into a URL",
            Self::Fragment => "a fragment (#) is not allowed",
        })
    }
}

impl std::error::Error for InvalidUrl {}

impl Url {
    /// The value of the `Host` header of a WebSocket: the port is left out where it is the default.
    pub(crate) fn host_header(&self) -> String {
        match &self.socket {
            Socket::Tcp { host, port: HTTP_PORT } | Socket::Tls { host, port: HTTPS_PORT } => bracketed(host),
            Socket::Tcp { host, port } | Socket::Tls { host, port } => format!("{}:{port}", bracketed(host)),
            Socket::Unix(_) => "localhost".to_owned(),
        }
    }
}

/// The port of HTTP.
const HTTP_PORT: u16 = 80;
/// The port of HTTP over TLS.
const HTTPS_PORT: u16 = 443;

impl FromStr for Url {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = text.split_once(':').ok_or(InvalidUrl::NoScheme)?;
        match scheme.to_ascii_lowercase().as_str() {
            scheme @ ("ws" | "wss") => {
                let (host, port, target) = authority_and_rest(rest)?;
                let socket = match scheme {
                    "ws" => Socket::Tcp { host, port: port.unwrap_or(HTTP_PORT) },
                    _ => Socket::Tls { host, port: port.unwrap_or(HTTPS_PORT) },
                };
                Ok(Self { socket, protocol: Protocol::WebSocket { target: target_of(target)? } })
            }
            scheme @ ("rs" | "rss") => {
                let (host, port, rest) = authority_and_rest(rest)?;
                if !matches!(rest, "" | "/") {
                    return Err(InvalidUrl::PathOfRawSocket);
                }
                let port = port.ok_or(InvalidUrl::BadPort)?;
                let socket = if scheme == "rs" { Socket::Tcp { host, port } } else { Socket::Tls { host, port } };
                Ok(Self { socket, protocol: Protocol::RawSocket })
            }
            "unix" | "rs+unix" => Ok(Self { socket: unix(rest)?, protocol: Protocol::RawSocket }),
            "ws+unix" => {
                let (path, target) = match rest.rfind(":/") {
                    Some(at) => (&rest[..at], &rest[at + 1..]),
                    None => (rest, ""),
                };
                Ok(Self { socket: unix(path)?, protocol: Protocol::WebSocket { target: target_of(target)? } })
            }
            _ => Err(InvalidUrl::UnknownScheme(scheme.to_owned())),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.protocol, &self.socket) {
            (Protocol::WebSocket { target }, Socket::Tcp { host, port }) => {
                write!(f, "ws://{}:{port}{target}", bracketed(host))
            }
            (Protocol::WebSocket { target }, Socket::Tls { host, port }) => {
                write!(f, "wss://{}:{port}{target}", bracketed(host))
            }
            (Protocol::RawSocket, Socket::Tcp { host, port }) => write!(f, "rs://{}:{port}", bracketed(host)),
            (Protocol::RawSocket, Socket::Tls { host, port }) => write!(f, "rss://{}:{port}", bracketed(host)),
            (Protocol::WebSocket { target }, Socket::Unix(path)) => write!(f, "ws+unix:{}:{target}", path.display()),
            (Protocol::RawSocket, Socket::Unix(path)) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn unix(path: &str) -> Result<Socket, InvalidUrl> {
    // An empty authority, as in unix:///path.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() { Err(InvalidUrl::NoPath) } else { Ok(Socket::Unix(PathBuf::from(path))) }
}

/// Path and query as they stand in a request.
fn target_of(text: &str) -> Result<String, InvalidUrl> {
    if text.contains('#') {
        return Err(InvalidUrl::Fragment);
    }
    Ok(if text.starts_with('/') { text.to_owned() } else { format!("/{text}") })
}

/// Host, port and what follows them.
fn authority_and_rest(text: &str) -> Result<(String, Option<u16>, &str), InvalidUrl> {
    let text = text.strip_prefix("//").ok_or(InvalidUrl::BadHost)?;
    let (authority, rest) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
    let (host, port) = host_and_port(authority)?;
    Ok((host, port, rest))
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), InvalidUrl> {
    if authority.contains('@') {
        return Err(InvalidUrl::UserInfo);
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(InvalidUrl::BadHost)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| InvalidUrl::BadHost)?;
            match rest {
                "" => (host, None),
                _ => (host, Some(rest.strip_prefix(':').ok_or(InvalidUrl::BadPort)?)),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_valid = |byte: u8| byte.is_ascii_graphic() && !b"/?#[]@\\".contains(&byte);
    if host.is_empty() || !host.bytes().all(is_valid) {
        return Err(InvalidUrl::BadHost);
    }
    let number = |port: &str| match port.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(InvalidUrl::BadPort),
    };
    Ok((host.to_owned(), port.map(number).transpose()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Url, InvalidUrl> {
        text.parse()
    }

    #[test]
    fn addresses_are_read_and_written() {
        for (text, written, host) in [
            ("ws://127.0.0.1:8080/ws", "ws://127.0.0.1:8080/ws", "127.0.0.1:8080"),
            ("WS://localhost", "ws://localhost:80/", "localhost"),
            ("ws://localhost:80?a=b", "ws://localhost:80/?a=b", "localhost"),
            ("ws://[::1]:8080/a/b?c", "ws://[::1]:8080/a/b?c", "[::1]:8080"),
            ("wss://example.com/ws", "wss://example.com:443/ws", "example.com"),
            ("WSS://[::1]:8443", "wss://[::1]:8443/", "[::1]:8443"),
            ("rss://example.com:9001", "rss://example.com:9001", "example.com:9001"),
            ("rs://example.com:9000", "rs://example.com:9000", "example.com:9000"),
            ("rs://[::1]:9000/", "rs://[::1]:9000", "[::1]:9000"),
            ("unix:wampd.sock", "unix:wampd.sock", "localhost"),
            ("rs+unix:/run/wampd.sock", "unix:/run/wampd.sock", "localhost"),
            ("unix:///run/wampd.sock", "unix:/run/wampd.sock", "localhost"),
            ("ws+unix:/run/wampd.sock:/ws?x", "ws+unix:/run/wampd.sock:/ws?x", "localhost"),
            ("ws+unix:/run/wampd.sock", "ws+unix:/run/wampd.sock:/", "localhost"),
        ] {
            let url = parse(text).expect(text);
            assert_eq!((url.to_string().as_str(), url.host_header().as_str()), (written, host));
            assert_eq!(parse(written), Ok(url));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, why) in [
            ("", InvalidUrl::NoScheme),
            ("localhost", InvalidUrl::NoScheme),
            ("localhost:8080", InvalidUrl::UnknownScheme("localhost".to_owned())),
            ("http://localhost", InvalidUrl::UnknownScheme("http".to_owned())),
            ("rss://localhost", InvalidUrl::BadPort),
            ("rss://localhost:1/path", InvalidUrl::PathOfRawSocket),
            ("ws:localhost", InvalidUrl::BadHost),
            ("ws://", InvalidUrl::BadHost),
            ("ws://:80", InvalidUrl::BadHost),
            ("ws://a b", InvalidUrl::BadHost),
            ("ws://[::1", InvalidUrl::BadHost),
            ("ws://[nonsense]", InvalidUrl::BadHost),
            ("ws://[::1]8080", InvalidUrl::BadPort),
            ("ws://::1", InvalidUrl::BadHost),
            ("ws://localhost:", InvalidUrl::BadPort),
            ("ws://localhost:0", InvalidUrl::BadPort),
            ("ws://localhost:65536", InvalidUrl::BadPort),
            ("ws://joe:secret@localhost", InvalidUrl::UserInfo),
            ("ws://localhost/#top", InvalidUrl::Fragment),
            ("rs://localhost", InvalidUrl::BadPort),
            ("rs://localhost:1/path", InvalidUrl::PathOfRawSocket),
            ("unix:", InvalidUrl::NoPath),
            ("ws+unix:", InvalidUrl::NoPath),
        ] {
            assert_eq!(parse(text), Err(why), "{text}");
        }
    }
}
