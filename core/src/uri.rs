//! URIs of realms, topics, procedures and errors, and how patterns match them
//! (spec: "URIs" in the building blocks, pattern-based subscription and registration in the Advanced Profile).

use bytes::Bytes;
use bytestring::ByteString;
use core::fmt;

/// A WAMP URI or URI pattern: a cheaply cloned string.
///
/// A URI received from a peer is text of any shape until [`Uri::check`] has passed: the rule depends on the realm and
/// on the use. It may share the memory of the frame it came in; [`Uri::detach`] before keeping it for long.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Uri(ByteString);

/// What a URI component may contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UriRule {
    /// Lower-case ASCII letters, digits and `_`.
    Strict,
    /// Anything but white space, `.` and `#`. What any of the languages of clients takes for white space is; and U+0000
    /// cannot come first, because JSON has no text that begins with it.
    #[default]
    Loose,
}

/// How the URI of a subscription, registration or permission is compared with the URI of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MatchPolicy {
    /// Equal, byte for byte.
    #[default]
    Exact,
    /// The message's URI starts with the pattern, by characters: `com.ex` matches `com.example`.
    Prefix,
    /// Equal number of components, each equal or empty in the pattern.
    Wildcard,
}

impl MatchPolicy {
    /// The policy's name in options and meta events: `exact`, `prefix` or `wildcard`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Wildcard => "wildcard",
        }
    }
}

/// Why a text is not a URI under a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidUri {
    /// A component is empty where the match policy does not allow it.
    EmptyComponent,
    /// A component holds a character that the rule does not allow.
    ForbiddenCharacter(char),
}

impl fmt::Display for InvalidUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyComponent => f.write_str("empty component"),
            Self::ForbiddenCharacter(c) => write!(f, "forbidden character {c:?}"),
        }
    }
}

impl core::error::Error for InvalidUri {}

impl Uri {
    /// A URI known when the program was written. It is not checked.
    pub const fn from_static(uri: &'static str) -> Self {
        Self(ByteString::from_static(uri))
    }

    /// A URI as a peer sent it, not checked yet; shares the memory behind `text`.
    pub const fn from_peer(text: ByteString) -> Self {
        Self(text)
    }

    /// Parses a URI that names one thing (no empty component).
    ///
    /// # Errors
    /// The first component that breaks `rule`.
    pub fn parse(text: &str, rule: UriRule) -> Result<Self, InvalidUri> {
        Self::parse_pattern(text, rule, MatchPolicy::Exact)
    }

    /// Parses a URI or pattern for the given match policy.
    ///
    /// # Errors
    /// As [`Uri::check`].
    pub fn parse_pattern(text: &str, rule: UriRule, matching: MatchPolicy) -> Result<Self, InvalidUri> {
        check(text, rule, matching)?;
        Ok(Self(ByteString::from(text)))
    }

    /// Checks the URI against a rule: with [`MatchPolicy::Exact`] no component may be empty, with
    /// [`MatchPolicy::Prefix`] only the last one, with [`MatchPolicy::Wildcard`] any.
    ///
    /// # Errors
    /// The first component that breaks the rule.
    pub fn check(&self, rule: UriRule, matching: MatchPolicy) -> Result<(), InvalidUri> {
        check(self.as_str(), rule, matching)
    }

    /// The URI as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the first component is `wamp`, which the specification reserves for the protocol itself.
    pub fn is_reserved(&self) -> bool {
        is_reserved(self.as_str())
    }

    /// Copies the text out of the frame it shares, so that keeping the URI does not keep the frame.
    pub fn detach(&mut self) {
        self.0 = ByteString::from(self.as_str());
    }
}

pub(crate) fn is_reserved(uri: &str) -> bool {
    uri.strip_prefix("wamp").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Whether `pattern`, read with `matching`, matches the URI `uri`.
pub fn matches(pattern: &str, matching: MatchPolicy, uri: &str) -> bool {
    match matching {
        MatchPolicy::Exact => pattern == uri,
        MatchPolicy::Prefix => uri.starts_with(pattern),
        MatchPolicy::Wildcard => {
            let mut components = uri.split('.');
            pattern.split('.').all(|want| components.next().is_some_and(|have| want.is_empty() || want == have))
                && components.next().is_none()
        }
    }
}

fn check(uri: &str, rule: UriRule, matching: MatchPolicy) -> Result<(), InvalidUri> {
    if is_plain(uri) {
        // Nearly all URIs are, and each message has one: no need to look at characters one by one.
        return Ok(());
    }
    let allowed = |c: char| match rule {
        UriRule::Strict => c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_',
        UriRule::Loose => c != '#' && !is_space(c),
    };
    if uri.starts_with('\0') {
        return Err(InvalidUri::ForbiddenCharacter('\0'));
    }
    let mut empty_seen = false;
    for component in uri.split('.') {
        if let Some(c) = component.chars().find(|&c| !allowed(c)) {
            return Err(InvalidUri::ForbiddenCharacter(c));
        }
        // With a prefix, an empty component is an error as soon as another one follows it.
        let tolerated = match matching {
            MatchPolicy::Exact => !component.is_empty(),
            MatchPolicy::Prefix => !empty_seen,
            MatchPolicy::Wildcard => true,
        };
        if !tolerated {
            return Err(InvalidUri::EmptyComponent);
        }
        empty_seen |= component.is_empty();
    }
    Ok(())
}

/// Whether the `\s` of the specification's regular expression matches: the separators U+001C to U+001F are white space to
/// Python, the mark U+FEFF is to JavaScript.
const fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}' | '\u{feff}')
}

/// Whether the URI passes under every rule and policy: components of `[0-9a-z_]`, none empty.
fn is_plain(uri: &str) -> bool {
    let mut most = CHARACTER;
    for &byte in uri.as_bytes() {
        let class = CLASSES[usize::from(byte)];
        if class > most {
            return false;
        }
        // A dot is followed by a character.
        most = DOT - class;
    }
    most == DOT
}

const CHARACTER: u8 = 0;
const DOT: u8 = 1;
const OTHER: u8 = 2;

/// What each byte is in a plain URI.
const CLASSES: [u8; 256] = {
    let mut classes = [OTHER; 256];
    let mut byte: u8 = 0;
    while byte < 0x80 {
        if matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_') {
            classes[byte as usize] = CHARACTER;
        }
        byte += 1;
    }
    classes[b'.' as usize] = DOT;
    classes
};

impl From<&'static str> for Uri {
    fn from(uri: &'static str) -> Self {
        Self::from_static(uri)
    }
}

impl From<String> for Uri {
    fn from(uri: String) -> Self {
        Self(ByteString::from(uri))
    }
}

impl From<Uri> for Bytes {
    fn from(uri: Uri) -> Self {
        uri.0.into_bytes()
    }
}

impl core::borrow::Borrow<str> for Uri {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uri({:?})", self.as_str())
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Error URIs of the specification (Basic Profile "Predefined URIs", Advanced Profile "Error URIs") and of Crossbar.io
/// where real clients depend on them.
pub mod error {
    use super::Uri;

    macro_rules! uris {
        ($($(#[$doc:meta])* $name:ident = $uri:literal;)*) => {$(
            $(#[$doc])*
            #[doc = concat!(" (`", $uri, "`)")]
            pub const $name: Uri = Uri::from_static($uri);
        )*};
    }

    uris! {
        /// A peer broke the protocol.
        PROTOCOL_VIOLATION = "wamp.error.protocol_violation";
        /// A URI breaks the realm's rule or is reserved.
        INVALID_URI = "wamp.error.invalid_uri";
        /// No callee is registered for the procedure.
        NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure";
        /// The procedure is registered by another session.
        PROCEDURE_ALREADY_EXISTS = "wamp.error.procedure_already_exists";
        /// The procedure is registered by another session with another invocation policy.
        PROCEDURE_EXISTS_WITH_DIFFERENT_POLICY = "wamp.error.procedure_exists_with_different_invocation_policy";
        /// The session does not hold this registration.
        NO_SUCH_REGISTRATION = "wamp.error.no_such_registration";
        /// The session does not hold this subscription.
        NO_SUCH_SUBSCRIPTION = "wamp.error.no_such_subscription";
        /// There is no such session.
        NO_SUCH_SESSION = "wamp.error.no_such_session";
        /// Arguments can not be used, or can not be carried by the receiver's serializer.
        INVALID_ARGUMENT = "wamp.error.invalid_argument";
        /// A message is larger than the receiver accepts.
        PAYLOAD_SIZE_EXCEEDED = "wamp.error.payload_size_exceeded";
        /// The call was canceled by the caller, or its callee is gone.
        CANCELED = "wamp.error.canceled";
        /// The call took longer than its timeout.
        TIMEOUT = "wamp.error.timeout";
        /// The callee can not take the call now.
        UNAVAILABLE = "wamp.error.unavailable";
        /// No callee of the registration takes the call now: each has as many as it may, or said that it is unavailable.
        NO_AVAILABLE_CALLEE = "wamp.error.no_available_callee";
        /// The callee has not announced what the call needs.
        FEATURE_NOT_SUPPORTED = "wamp.error.feature_not_supported";
        /// The option is known but not allowed here.
        OPTION_NOT_ALLOWED = "wamp.error.option_not_allowed";
        /// The realm does not let this session ask for disclosure.
        DISCLOSE_ME_NOT_ALLOWED = "wamp.error.option_disallowed.disclose_me";
        /// The role's permissions do not allow the action.
        NOT_AUTHORIZED = "wamp.error.not_authorized";
        /// The authorizer itself failed.
        AUTHORIZATION_FAILED = "wamp.error.authorization_failed";
        /// The peer sent no proof although one is required.
        AUTHENTICATION_REQUIRED = "wamp.error.authentication_required";
        /// The proof was wrong.
        AUTHENTICATION_DENIED = "wamp.error.authentication_denied";
        /// The authentication could not be carried out.
        AUTHENTICATION_FAILED = "wamp.error.authentication_failed";
        /// None of the offered methods is configured (the specification's name).
        NO_MATCHING_AUTH_METHOD = "wamp.error.no_matching_auth_method";
        /// None of the offered methods is configured (Crossbar.io's name).
        NO_AUTH_METHOD = "wamp.error.no_auth_method";
        /// No such realm.
        NO_SUCH_REALM = "wamp.error.no_such_realm";
        /// The realm has no such role.
        NO_SUCH_ROLE = "wamp.error.no_such_role";
        /// No such authid.
        NO_SUCH_PRINCIPAL = "wamp.error.no_such_principal";
        /// The procedure failed in a way it did not foresee (Autobahn's name).
        RUNTIME_ERROR = "wamp.error.runtime_error";
        /// No past events are kept of the subscription (Crossbar.io's name).
        HISTORY_UNAVAILABLE = "wamp.error.history_unavailable";
        /// The peer is over one of the router's limits.
        RESOURCE_LIMIT = "wamp.error.resource_limit";
        /// The transport to the peer failed or was closed (client side only).
        TRANSPORT_LOST = "wamp.error.transport_lost";
    }
}

/// Reasons of GOODBYE (spec: "Session Close").
pub mod close {
    use super::Uri;

    /// The peer leaves; Autobahn's and Crossbar.io's default (`wamp.close.normal`).
    pub const NORMAL: Uri = Uri::from_static("wamp.close.normal");
    /// The client wants not to be known any more: what lets it in again, as a cookie does, is forgotten (Crossbar.io).
    pub const LOGOUT: Uri = Uri::from_static("wamp.close.logout");
    /// Reply to a GOODBYE (`wamp.close.goodbye_and_out`).
    pub const GOODBYE_AND_OUT: Uri = Uri::from_static("wamp.close.goodbye_and_out");
    /// The router shuts down (`wamp.close.system_shutdown`).
    pub const SYSTEM_SHUTDOWN: Uri = Uri::from_static("wamp.close.system_shutdown");
    /// The realm is closed or left (`wamp.close.close_realm`).
    pub const CLOSE_REALM: Uri = Uri::from_static("wamp.close.close_realm");
    /// The session was killed (`wamp.close.killed`).
    pub const KILLED: Uri = Uri::from_static("wamp.close.killed");
}

#[cfg(test)]
mod tests {
    use super::*;
    use MatchPolicy::{Exact, Prefix, Wildcard};
    use UriRule::{Loose, Strict};

    #[test]
    fn checks_components_by_policy() {
        let ok = |text: &str, rule, matching| Uri::parse_pattern(text, rule, matching).is_ok();
        assert!(ok("com.example.add2", Strict, Exact));
        assert!(!ok("com.Example", Strict, Exact) && ok("com.Example", Loose, Exact));
        assert!(!ok("com.ex ample", Loose, Exact) && !ok("com.a#b", Loose, Exact));
        for space in ['\t', '\u{1c}', '\u{1d}', '\u{1e}', '\u{1f}', '\u{85}', '\u{a0}', '\u{2028}', '\u{feff}'] {
            assert!(!ok(&format!("com.a{space}b"), Loose, Exact), "{space:?}");
        }
        for policy in [Exact, Prefix, Wildcard] {
            assert!(!ok("\0com", Loose, policy) && ok("com.a\0", Loose, policy), "{policy:?}");
        }
        for (text, exact, prefix, wildcard) in [
            ("", false, true, true),
            ("com.", false, true, true),
            (".com", false, false, true),
            ("com..x", false, false, true),
            ("com..", false, false, true),
        ] {
            assert_eq!(
                (ok(text, Loose, Exact), ok(text, Loose, Prefix), ok(text, Loose, Wildcard)),
                (exact, prefix, wildcard),
                "{text:?}"
            );
        }
        assert_eq!(Uri::parse("a b", Loose), Err(InvalidUri::ForbiddenCharacter(' ')));
        assert_eq!(Uri::parse("a..b", Loose), Err(InvalidUri::EmptyComponent));
    }

    #[test]
    fn plain_uris_are_those_that_pass_the_strictest_check() {
        let slowly = |uri: &str| {
            let strict = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            uri.split('.').all(|component| !component.is_empty() && component.chars().all(strict))
        };
        let pieces = ["", ".", "a", "z9", "_", "A", "#", " ", "é", "..", "x.y"];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    let uri = [a, b, c].concat();
                    assert_eq!(is_plain(&uri), slowly(&uri), "{uri:?}");
                }
            }
        }
    }

    #[test]
    fn matching_follows_the_policy() {
        assert!(
            matches("com.ex", Prefix, "com.example") && matches("", Prefix, "x") && !matches("com.x", Prefix, "com.")
        );
        assert!(matches("com..z", Wildcard, "com.y.z") && !matches("com..z", Wildcard, "com.y.z.a"));
        assert!(!matches("com..z.a", Wildcard, "com.y.z") && matches(".y", Wildcard, "com.y"));
        assert!(matches("a.b", Exact, "a.b") && !matches("a.b", Exact, "a.b.c"));
    }

    #[test]
    fn wamp_is_reserved_as_a_component() {
        for (uri, reserved) in [("wamp", true), ("wamp.session.get", true), ("wampire.x", false), ("com.wamp", false)] {
            assert_eq!(Uri::from_static(uri).is_reserved(), reserved, "{uri}");
        }
    }
}
