//! Headers of the PROXY protocol (HAProxy's proxy-protocol.txt), versions 1 and 2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::ProxyError;

/// With which version 1 begins.
const V1: &[u8] = b"PROXY ";

/// With which version 2 begins.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The part of version 2 that has the same length in all headers.
const V2_FIXED: usize = 16;

/// A header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHeader {
    /// How many bytes it takes; what follows is the client's.
    pub length: usize,
    /// Where the client connects from; `None`: the proxy does not tell, or speaks for itself (`UNKNOWN`, `LOCAL`, or a family other
    /// than TCP).
    pub source: Option<SocketAddr>,
}

impl ProxyHeader {
    /// The first bytes of a header, which are all that [`parse`](Self::parse) looks at.
    pub const HEAD: usize = 107;

    /// Reads a header off the front of what was received; `None`: too little to tell. Of version 2 what follows the addresses
    /// need not have arrived: it counts in [`length`](Self::length), and is not looked at.
    ///
    /// # Errors
    /// This is no header, whatever follows.
    pub fn parse(bytes: &[u8]) -> Result<Option<Self>, ProxyError> {
        let bytes = &bytes[..bytes.len().min(Self::HEAD)];
        let begins = |signature: &[u8]| bytes.iter().zip(signature).all(|(byte, expected)| byte == expected);
        if begins(V1) {
            v1(bytes)
        } else if begins(V2) {
            v2(bytes)
        } else {
            Err(ProxyError::Missing)
        }
    }
}

fn v1(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n") else {
        return if bytes.len() < ProxyHeader::HEAD { Ok(None) } else { Err(ProxyError::Malformed("no end of line")) };
    };
    // An end of line is behind the signature, which has none.
    let line = &bytes[V1.len()..end];
    let length = end + 2;
    // Whatever follows is to be ignored.
    if line.split(|byte| *byte == b' ').next() == Some(b"UNKNOWN") {
        return Ok(Some(ProxyHeader { length, source: None }));
    }
    let mut parts = std::str::from_utf8(line).map_err(|_| ProxyError::Malformed("not ASCII"))?.split(' ');
    let source = match parts.next() {
        Some("TCP4") => v1_source::<Ipv4Addr>(parts),
        Some("TCP6") => v1_source::<Ipv6Addr>(parts),
        _ => return Err(ProxyError::Malformed("protocol")),
    };
    let source = source.ok_or(ProxyError::Malformed("addresses"))?;
    Ok(Some(ProxyHeader { length, source: Some(source) }))
}

fn v1_source<'a, A: std::str::FromStr + Into<IpAddr>>(mut parts: impl Iterator<Item = &'a str>) -> Option<SocketAddr> {
    let mut address = || parts.next()?.parse::<A>().ok().map(Into::into);
    let (source, _) = (address()?, address()?);
    let mut port = || {
        let digits = parts.next()?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        digits.parse::<u16>().ok().filter(|_| plain)
    };
    let (port, _) = (port()?, port()?);
    parts.next().is_none().then(|| canonical(source, port))
}

fn v2(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED>() else { return Ok(None) };
    let [.., version_and_command, family, high, low] = *fixed;
    let follows = usize::from(u16::from_be_bytes([high, low]));
    let header = |source| Ok(Some(ProxyHeader { length: V2_FIXED + follows, source }));
    match version_and_command {
        // The proxy speaks for itself: whatever follows is to be ignored.
        0x20 => return header(None),
        0x21 => {}
        0x22..=0x2f => return Err(ProxyError::Malformed("command")),
        _ => return Err(ProxyError::Malformed("version")),
    }
    // Of both ends, an address and a port.
    let least = match family {
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Err(ProxyError::Malformed("family")),
    };
    if follows < least {
        return Err(ProxyError::Malformed("length"));
    }
    let source = match family {
        0x11 => match rest {
            [a, b, c, d, _, _, _, _, port_high, port_low, ..] => {
                canonical(Ipv4Addr::new(*a, *b, *c, *d).into(), u16::from_be_bytes([*port_high, *port_low]))
            }
            _ => return Ok(None),
        },
        0x21 => match (rest.first_chunk::<16>(), rest.get(32..34)) {
            (Some(address), Some(&[port_high, port_low])) => {
                canonical(Ipv6Addr::from(*address).into(), u16::from_be_bytes([port_high, port_low]))
            }
            _ => return Ok(None),
        },
        _ => return header(None),
    };
    header(Some(source))
}

/// An IPv4 address in the clothes of IPv6 is one of IPv4.
fn canonical(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address.to_canonical(), port)
}
