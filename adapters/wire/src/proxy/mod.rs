//! Where a client behind a proxy connects from: the PROXY protocol, and the headers `X-Forwarded-For` and `Forwarded`.
//!
//! All three are claims, and count only if [`Proxies::trusts`] whoever makes them.

mod forwarded;
mod header;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use ipnet::IpNet;

pub use header::ProxyHeader;

use crate::http::HttpRequest;

/// The proxies in front of a listener, and how they tell where a client connects from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxies {
    /// Who is believed.
    pub trusted: Vec<TrustedProxy>,
    /// How they tell it. Anything else that claims an address is ignored.
    pub protocol: ProxyProtocol,
}

/// Proxies that are believed. Parsed from `10.0.0.0/8`, `fd00::/8`, `192.0.2.1` or `unix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Those that connect from this network.
    Network(IpNet),
    /// Those that connect over a unix socket.
    Unix,
}

/// How proxies tell where a client connects from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// The PROXY protocol of HAProxy, version 1 or 2: a header in front of everything else, TLS included.
    Proxy,
    /// The header `X-Forwarded-For` of HTTP requests: a list to which each proxy adds whom it was sent the request by.
    XForwardedFor,
    /// The header `Forwarded` of HTTP requests (RFC 7239), such a list too.
    Forwarded,
}

/// What is wrong with what a proxy has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyError {
    /// A connection does not begin with a header of the PROXY protocol.
    Missing,
    /// A header of the PROXY protocol breaks its rules.
    Malformed(&'static str),
    /// A header of the PROXY protocol is longer than this limit, in bytes.
    TooLong(usize),
    /// The last element of `X-Forwarded-For`, or one that only trusted proxies stand behind, is no address.
    XForwardedFor,
    /// Such an element of `Forwarded` breaks the rules of RFC 7239.
    Forwarded,
}

/// A text that names no [`TrustedProxy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTrustedProxy;

impl Proxies {
    /// Whether a peer is believed. `None` stands for one that connects over a unix socket.
    pub fn trusts(&self, peer: Option<IpAddr>) -> bool {
        let peer = peer.map(|address| address.to_canonical());
        self.trusted.iter().any(|trusted| match (trusted, peer) {
            (TrustedProxy::Network(network), Some(address)) => network.contains(&address),
            (TrustedProxy::Unix, None) => true,
            _ => false,
        })
    }

    /// Where the client connects from whose request a trusted proxy has passed on: the rightmost address in the header that is not
    /// trusted, or the leftmost if all are. What is left of it may be the client's invention, and is not looked at. The port is 0
    /// if the proxy does not tell it.
    ///
    /// `None`: no header, or the proxy does not tell an address (`unknown`, or an identifier that hides it); of several proxies,
    /// the one that is asked first.
    ///
    /// # Errors
    /// What a trusted proxy has added is malformed.
    pub fn client(&self, request: &HttpRequest) -> Result<Option<SocketAddr>, ProxyError> {
        self.client_in(|name| request.lines(name))
    }

    /// As [`client`](Self::client), given the lines of each header.
    pub(crate) fn client_in<'a, L>(&self, lines: impl Fn(&'static str) -> L) -> Result<Option<SocketAddr>, ProxyError>
    where
        L: DoubleEndedIterator<Item = &'a [u8]>,
    {
        let trusts = |address| self.trusts(Some(address));
        match self.protocol {
            ProxyProtocol::Proxy => Ok(None),
            ProxyProtocol::XForwardedFor => {
                forwarded::client(lines("x-forwarded-for"), trusts, forwarded::address).ok_or(ProxyError::XForwardedFor)
            }
            ProxyProtocol::Forwarded => {
                forwarded::client(lines("forwarded"), trusts, forwarded::element).ok_or(ProxyError::Forwarded)
            }
        }
    }
}

impl TrustedProxy {
    /// Whether this is every address of IPv4 or of IPv6.
    pub fn is_everybody(&self) -> bool {
        matches!(self, Self::Network(network) if network.prefix_len() == 0)
    }
}

impl FromStr for TrustedProxy {
    type Err = InvalidTrustedProxy;

    fn from_str(text: &str) -> Result<Self, InvalidTrustedProxy> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let network =
            text.parse::<IpNet>().or_else(|_| text.parse().map(|address: IpAddr| address.to_canonical().into()));
        Ok(Self::Network(network.map_err(|_| InvalidTrustedProxy)?.trunc()))
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => network.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

impl fmt::Display for InvalidTrustedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a network such as 10.0.0.0/8, an IP address, or unix")
    }
}

impl std::error::Error for InvalidTrustedProxy {}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the connection does not begin with a header of the PROXY protocol"),
            Self::Malformed(part) => write!(f, "malformed header of the PROXY protocol: {part}"),
            Self::TooLong(limit) => write!(f, "header of the PROXY protocol longer than {limit} bytes"),
            Self::XForwardedFor => f.write_str("malformed X-Forwarded-For header"),
            Self::Forwarded => f.write_str("malformed Forwarded header"),
        }
    }
}

impl std::error::Error for ProxyError {}

#[cfg(test)]
mod tests;
