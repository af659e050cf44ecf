//! Which web pages may connect: the `Origin` header of browsers (RFC 6454, RFC 6455 section 10.2).

use std::fmt;

/// The origins whose pages may open a WebSocket.
///
/// A request without an `Origin` header is not from a browser's page and always allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPolicy {
    /// Patterns of which one must match. Default: `*`, any origin.
    pub allowed: Vec<OriginPattern>,
    /// Whether the origin `null` (local files, sandboxed frames) is allowed. Default: true.
    pub allow_null: bool,
}

impl Default for OriginPolicy {
    fn default() -> Self {
        Self { allowed: vec![OriginPattern::Any], allow_null: true }
    }
}

impl OriginPolicy {
    /// Whether a page with this value of the `Origin` header may connect.
    pub fn allows(&self, origin: &str) -> bool {
        if origin == "null" {
            return self.allow_null;
        }
        Origin::parse(origin).is_some_and(|origin| self.allowed.iter().any(|pattern| pattern.matches(&origin)))
    }
}

/// A pattern of origins: `*`, or `[scheme://]host[:port]`, where `*` stands for any characters within its part.
///
/// Without a scheme any scheme matches; without a port only the default port of the origin's scheme does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginPattern {
    /// `*`: any origin.
    Any,
    /// Scheme, host and port.
    Parts {
        /// The scheme; `None`: any.
        scheme: Option<String>,
        /// The host.
        host: String,
        /// The port; `None`: the default of the scheme.
        port: Option<String>,
    },
}

/// A pattern that is not of the form `[scheme://]host[:port]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidOriginPattern;

impl fmt::Display for InvalidOriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected *, or [scheme://]host[:port] in which * stands for any characters")
    }
}

impl std::error::Error for InvalidOriginPattern {}

impl OriginPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The text has an empty host or port, or characters an origin cannot have.
    pub fn parse(text: &str) -> Result<Self, InvalidOriginPattern> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let (host, port) = split_port(rest).ok_or(InvalidOriginPattern)?;
        let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte == b'*' || byte.is_ascii_digit());
        if host.is_empty() || scheme.is_some_and(str::is_empty) || !port.is_none_or(is_port) {
            return Err(InvalidOriginPattern);
        }
        Ok(Self::Parts { scheme: scheme.map(str::to_owned), host: host.to_owned(), port: port.map(str::to_owned) })
    }

    fn matches(&self, origin: &Origin<'_>) -> bool {
        let Self::Parts { scheme, host, port } = self else { return true };
        scheme.as_ref().is_none_or(|scheme| glob(scheme, origin.scheme))
            && glob(host, origin.host)
            && match (port, origin.port) {
                (Some(port), Some(actual)) => glob(port, actual),
                (Some(port), None) => glob(port, default_port(origin.scheme)),
                (None, Some(actual)) => actual == default_port(origin.scheme),
                (None, None) => true,
            }
    }
}

struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<&'a str>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = split_port(rest)?;
        let port_is_number = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()));
        (!scheme.is_empty() && port_is_number).then_some(Self { scheme, host, port })
    }
}

/// Splits `host[:port]`, where the host may be an IPv6 address in brackets.
fn split_port(text: &str) -> Option<(&str, Option<&str>)> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"/\\@?#".contains(&byte);
    if !text.bytes().all(allowed) {
        return None;
    }
    let host_len = if text.starts_with('[') { text.find(']')? + 1 } else { text.find(':').unwrap_or(text.len()) };
    let (host, rest) = text.split_at(host_len);
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None if rest.is_empty() => Some((host, None)),
        None => None,
    }
}

fn default_port(scheme: &str) -> &'static str {
    match scheme {
        "http" | "ws" => "80",
        "https" | "wss" => "443",
        _ => "",
    }
}

/// Whether `text` matches `pattern`, in which `*` stands for any characters; letters match in either case.
fn glob(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = strip_prefix(text, first) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        // The leftmost match leaves the most for the pieces that follow, so it is never wrong.
        let found = (0..=rest.len()).filter_map(|at| strip_prefix(rest.get(at..)?, piece)).next();
        let Some(after) = found else { return false };
        rest = after;
    }
    rest.len().checked_sub(last.len()).and_then(|at| rest.get(at..)).is_some_and(|end| end.eq_ignore_ascii_case(last))
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(patterns: &[&str], origin: &str) -> bool {
        let allowed = patterns.iter().map(|pattern| OriginPattern::parse(pattern).unwrap()).collect();
        OriginPolicy { allowed, allow_null: false }.allows(origin)
    }

    #[test]
    fn matches_by_parts() {
        for (pattern, origin, expected) in [
            ("*", "https://anything.example:1234", true),
            ("*", "null", false),
            ("*", "nonsense", false),
            ("http://localhost:8080", "http://localhost:8080", true),
            ("http://localhost:8080", "http://LOCALHOST:8080", true),
            ("http://localhost:8080", "http://localhost", false),
            ("http://localhost:8080", "https://localhost:8080", false),
            ("http://localhost:*", "http://localhost", true),
            ("http://localhost:*", "http://localhost:9", true),
            ("http://localhost:80", "http://localhost", true),
            ("http://localhost", "http://localhost:80", true),
            ("http://localhost", "http://localhost:81", false),
            ("*.example.com", "https://a.b.example.com", true),
            ("*.example.com", "http://a.example.com:443", false),
            ("*.example.com", "https://example.com", false),
            ("*.example.com", "https://evilexample.com", false),
            ("*://*.example.com:*", "https://a.example.com:8443", true),
            ("http://*.example.com:*", "http://evil.com:1.example.com", false),
            ("http://*.example.com:*", "http://evil.com/.example.com", false),
            ("http://*.example.com:*", "http://evil.com@x.example.com", false),
            ("http://a*b*c", "http://aXbXbc", true),
            ("http://a*b*c", "http://aXcXb", false),
            ("http://ab*ba", "http://aba", false),
            ("http://[::1]:*", "http://[::1]:8080", true),
            ("http://[::1]", "http://[::1", false),
        ] {
            assert_eq!(allows(&[pattern], origin), expected, "{pattern} {origin}");
        }
        assert!(allows(&["http://a", "http://b"], "http://b"));
        assert!(!allows(&[], "http://b"));
    }

    #[test]
    fn null_has_its_own_switch() {
        assert!(OriginPolicy::default().allows("null"));
        assert!(!OriginPolicy { allow_null: false, ..OriginPolicy::default() }.allows("null"));
    }

    #[test]
    fn refuses_bad_patterns() {
        for pattern in ["", "http://", "://host", "http://host:", "http://host:a", "http://host/path", "a b"] {
            assert_eq!(OriginPattern::parse(pattern), Err(InvalidOriginPattern), "{pattern}");
        }
    }
}
