//! Lists of the addresses that a request has come over, one element for each proxy, the nearest last.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use crate::http::is_token;

/// Who has sent a request to a proxy, as that proxy tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Address(SocketAddr),
    /// It does not tell.
    Unknown,
}

/// The client, from the lines of a header. `read` reads an element of the list. `None`: a trusted proxy has added something
/// that is malformed.
pub(super) fn client<'a>(
    lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    trusts: impl Fn(IpAddr) -> bool,
    read: impl Fn(&[u8]) -> Option<Node>,
) -> Option<Option<SocketAddr>> {
    let mut client = None;
    for element in lines.rev().flat_map(from_the_right) {
        match read(element.trim_ascii())? {
            Node::Address(address) => client = Some(address),
            Node::Unknown => break,
        }
        if !client.is_some_and(|client| trusts(client.ip())) {
            break;
        }
    }
    Some(client)
}

/// The elements of a list, the last one first. So quotation marks that a client leaves open reach no further to the right than the
/// element that they are in.
fn from_the_right(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(list);
    std::iter::from_fn(move || {
        let list = rest?;
        let comma = last_comma(list);
        rest = comma.map(|at| &list[..at]);
        Some(comma.map_or(list, |at| &list[at + 1..]))
    })
}

/// The last comma that is not within a quoted string.
fn last_comma(list: &[u8]) -> Option<usize> {
    let mut quoted = false;
    for (at, byte) in list.iter().enumerate().rev() {
        match byte {
            b'"' if quoted && is_escaped(&list[..at]) => {}
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether what is behind these bytes of a quoted string is escaped.
fn is_escaped(before: &[u8]) -> bool {
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// An element of `X-Forwarded-For`, in quotation marks or not. An empty one tells nothing.
pub(super) fn address(element: &[u8]) -> Option<Node> {
    match element {
        [] => Some(Node::Unknown),
        [b'"', inner @ .., b'"'] => node(inner),
        _ => node(element),
    }
}

/// An element of `Forwarded` (RFC 7239 section 4): pairs of which one may be `for`.
pub(super) fn element(mut rest: &[u8]) -> Option<Node> {
    let mut found = None;
    while !rest.is_empty() {
        if let [b';', behind @ ..] = rest {
            rest = behind.trim_ascii_start();
            continue;
        }
        let equals = rest.iter().position(|byte| *byte == b'=')?;
        let (name, behind) = (&rest[..equals], &rest[equals + 1..]);
        if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
            return None;
        }
        let (value, behind) = value(behind)?;
        if name.eq_ignore_ascii_case(b"for") && found.replace(node(&value)?).is_some() {
            return None;
        }
        rest = behind.trim_ascii_start();
        if !matches!(rest, [] | [b';', ..]) {
            return None;
        }
    }
    Some(found.unwrap_or(Node::Unknown))
}

/// The value of a pair, and what is behind it.
fn value(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let [b'"', quoted @ ..] = text else {
        // Ports and IPv6 addresses should be quoted, and are not always.
        let plain = |byte: &u8| is_token(*byte) || b":[]".contains(byte);
        let end = text.iter().position(|byte| !plain(byte)).unwrap_or(text.len());
        return (end > 0).then(|| (Cow::Borrowed(&text[..end]), &text[end..]));
    };
    let (mut content, mut bytes) = (Vec::new(), quoted.iter());
    loop {
        let byte = match bytes.next()? {
            b'"' => return Some((Cow::Owned(content), bytes.as_slice())),
            b'\\' => bytes.next()?,
            byte => byte,
        };
        if byte.is_ascii_control() && *byte != b'\t' {
            return None;
        }
        content.push(*byte);
    }
}

/// A node (RFC 7239 section 6): an address, `unknown` or an identifier that hides it, each with a port or without. IPv6 is in
/// brackets, or alone.
fn node(text: &[u8]) -> Option<Node> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some(with_port(address.into(), 0));
    }
    if let Some((address, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let port = if rest.is_empty() { 0 } else { port(rest.strip_prefix(':')?)? };
        return Some(with_port(address.parse::<Ipv6Addr>().ok()?.into(), port));
    }
    let (name, port) = match text.split_once(':') {
        Some((name, digits)) => (name, port(digits)?),
        None => (text, 0),
    };
    if name.eq_ignore_ascii_case("unknown") || is_obfuscated(name) {
        return Some(Node::Unknown);
    }
    Some(with_port(name.parse::<Ipv4Addr>().ok()?.into(), port))
}

fn with_port(address: IpAddr, port: u16) -> Node {
    Node::Address(SocketAddr::new(address.to_canonical(), port))
}

/// A port; 0 for one that is hidden.
fn port(text: &str) -> Option<u16> {
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { is_obfuscated(text).then_some(0) }
}

/// Whether this is an identifier that a proxy has made up (RFC 7239 section 6.3).
fn is_obfuscated(text: &str) -> bool {
    text.strip_prefix('_').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    })
}
