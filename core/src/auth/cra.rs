//! WAMP Challenge Response Authentication (spec: "Challenge Response Authentication" in the Advanced Profile).
//!
//! The router sends a text, the client returns its HMAC-SHA256. The text is signed byte for byte as it was received.
//! With a salted password the HMAC key is the *base64 text* of the PBKDF2 output, not the bytes behind it: so do all
//! implementations.

use crate::id::SessionId;
use crate::time::UnixTime;
use crate::value::{Dict, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::borrow::Cow;

/// Length of the random part of a challenge in bytes: 64 characters as base64.
pub const NONCE_LEN: usize = 48;

/// What a router knows of a user's secret. The three meanings are never guessed from the text.
#[derive(Clone, PartialEq, Eq)]
pub enum CraSecret {
    /// The secret itself is the HMAC key; no salt is sent.
    Plain(String),
    /// The key derived from the user's password: the router does not know the password.
    Derived {
        /// What [`derive_key`] returned: base64 text.
        key: String,
        /// Salt, sent to the client as it is.
        salt: String,
        /// PBKDF2 iterations, at least 1.
        iterations: u32,
        /// Length of the derived key in bytes, before base64.
        keylen: usize,
    },
    /// The password in clear, salted like [`CraSecret::Derived`].
    Password {
        /// The password.
        password: String,
        /// Salt, sent to the client as it is.
        salt: String,
        /// PBKDF2 iterations, at least 1.
        iterations: u32,
        /// Length of the derived key in bytes, before base64.
        keylen: usize,
    },
}

impl CraSecret {
    /// The HMAC key.
    ///
    /// Of [`CraSecret::Password`] it is derived on each call, which costs the iterations: see [`CraSecret::into_derived`].
    pub fn key(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Plain(secret) => Cow::Borrowed(secret.as_bytes()),
            Self::Derived { key, .. } => Cow::Borrowed(key.as_bytes()),
            Self::Password { password, salt, iterations, keylen } => {
                Cow::Owned(derive_key(password.as_bytes(), salt.as_bytes(), *iterations, *keylen).into_bytes())
            }
        }
    }

    /// The members that CHALLENGE.Extra needs beside `challenge`: `salt`, `iterations` and `keylen`, or nothing.
    pub fn challenge_extra(&self) -> Dict {
        match self {
            Self::Plain(_) => Dict::new(),
            Self::Derived { salt, iterations, keylen, .. } | Self::Password { salt, iterations, keylen, .. } => {
                Dict::from([
                    ("salt".to_owned(), Value::from(salt.as_str())),
                    ("iterations".to_owned(), Value::from(*iterations)),
                    ("keylen".to_owned(), Value::from(*keylen as u64)),
                ])
            }
        }
    }

    /// The same secret with the key derived once, so that later logins cost one HMAC.
    #[must_use]
    pub fn into_derived(self) -> Self {
        match self {
            Self::Password { password, salt, iterations, keylen } => {
                let key = derive_key(password.as_bytes(), salt.as_bytes(), iterations, keylen);
                Self::Derived { key, salt, iterations, keylen }
            }
            other => other,
        }
    }
}

/// Shows which kind of secret it is, and nothing of it.
impl fmt::Debug for CraSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain(***)",
            Self::Derived { .. } => "Derived(***)",
            Self::Password { .. } => "Password(***)",
        })
    }
}

/// What a challenge is made of.
#[derive(Clone, Debug)]
pub struct CraChallenge<'a> {
    /// The authid that WELCOME will carry.
    pub authid: &'a str,
    /// The role that WELCOME will carry.
    pub authrole: &'a str,
    /// The provider that WELCOME will carry.
    pub authprovider: &'a str,
    /// The session id that WELCOME will carry.
    pub session: SessionId,
    /// Random bytes, drawn for this challenge alone.
    pub nonce: [u8; NONCE_LEN],
    /// When the challenge is made.
    pub timestamp: UnixTime,
}

/// The challenge text: a JSON object with members and separators as Crossbar.io writes them.
impl fmt::Display for CraChallenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = serde_json::Value::from; // displayed as a JSON string, escaped where JSON demands it only
        write!(
            f,
            r#"{{"authid": {}, "authrole": {}, "authmethod": "{}", "authprovider": {}, "session": {}, "nonce": "{}", "timestamp": "{}"}}"#,
            quoted(self.authid),
            quoted(self.authrole),
            super::WAMPCRA,
            quoted(self.authprovider),
            self.session,
            BASE64.encode(self.nonce),
            self.timestamp.to_iso8601(),
        )
    }
}

/// The signature of a challenge text: base64 of its HMAC-SHA256 under `key`.
pub fn sign(key: &[u8], challenge: &str) -> String {
    BASE64.encode(mac(key).chain_update(challenge).finalize().into_bytes())
}

/// Whether `signature` is what [`sign`] returns for this key and challenge; compares in constant time.
#[must_use]
pub fn verify(key: &[u8], challenge: &str, signature: &str) -> bool {
    BASE64.decode(signature).is_ok_and(|signature| mac(key).chain_update(challenge).verify_slice(&signature).is_ok())
}

/// The HMAC key of a salted password: base64 of PBKDF2-HMAC-SHA256 (RFC 8018 section 5.2).
///
/// `keylen` is in bytes, before base64. Zero iterations count as one. The cost grows with
/// `iterations * keylen / 32`: bound both before they come from a peer.
pub fn derive_key(password: &[u8], salt: &[u8], iterations: u32, keylen: usize) -> String {
    let mut key = vec![0; keylen];
    pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations.max(1), &mut key);
    BASE64.encode(key)
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104 section 2)")]
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the documentation of Crossbar.io's WAMP-CRA example, and from recorded traffic.
    const SIGNED: [(&str, &str); 2] = [
        (
            r#"{"authid": "client1", "authrole": "frontend", "authmethod": "wampcra", "authprovider": "function", "session": 5140915082691617, "nonce": "4YoonXhegaqWtY4JLJrEzvgiVCtWsnaDPgDCxzsbkFOcWJi3z/nRMyhKOj/vas0R", "timestamp": "2020-08-18T20:47:37.395Z"}"#,
            "78Wx8APd49vrRXEhNWYOgdCtSq7V0yusWudvvFSmN1w=",
        ),
        (
            r#"{"authid": "client1", "authrole": "frontend", "authmethod": "wampcra", "authprovider": "function", "session": 2317347905483200, "nonce": "gILk/DZuEhGxEUsaP1sg2EWeWuFqRhg8iznsm57bOaJZ40D/Q+Ok+lODrp7/ieWj", "timestamp": "2026-11-24T00:09:46.060Z"}"#,
            "0HNRWNIfyeJAh2USiw9utqoj3HQrZkNq3PH73x3O6Co=",
        ),
    ];

    #[test]
    fn signs_and_verifies_known_challenges() {
        for (challenge, signature) in SIGNED {
            assert_eq!(sign(b"secret123", challenge), signature);
            assert!(verify(b"secret123", challenge, signature));
            assert!(!verify(b"secret124", challenge, signature));
            assert!(!verify(b"secret123", &challenge[1..], signature));
        }
    }

    #[test]
    fn refuses_what_is_not_a_signature() {
        let (challenge, signature) = SIGNED[0];
        for wrong in ["", "=", "****", &signature[..40], &format!("{signature}AAAA"), &signature.to_lowercase()] {
            assert!(!verify(b"secret123", challenge, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn derives_known_keys() {
        assert_eq!(derive_key(b"secret1", b"salt123", 100, 16), "prq7+YkJ1/KlW1X0YczMHw==");
        // RFC 7914 section 11.
        assert_eq!(
            derive_key(b"passwd", b"salt", 1, 64),
            "VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLxJypzM8Xm2RZkWZLOdd+8xfHG4RbHjC9UJESBB06GXgw=="
        );
        // A length that is no multiple of the hash: the longer key begins with the shorter one.
        assert_eq!(derive_key(b"passwd", b"salt", 1, 33), "VawEblbjCJ/sFpHCJUS2BflBhSFt3gRl5oudV8INrLxJ");
        assert_eq!(derive_key(b"passwd", b"salt", 0, 33), derive_key(b"passwd", b"salt", 1, 33));
        assert_eq!(derive_key(b"passwd", b"salt", 1, 0), "");
    }

    #[test]
    fn a_password_and_its_derived_key_are_the_same_secret() {
        let (salt, iterations, keylen) = ("salt123".to_owned(), 100, 16);
        let password = CraSecret::Password { password: "secret1".to_owned(), salt: salt.clone(), iterations, keylen };
        let key = "prq7+YkJ1/KlW1X0YczMHw==".to_owned();
        let derived = CraSecret::Derived { key, salt, iterations, keylen };
        assert_eq!(password.key(), derived.key());
        assert_eq!(password.challenge_extra(), derived.challenge_extra());
        assert_eq!(password.into_derived(), derived);
        assert_eq!(
            derived.challenge_extra(),
            Dict::from([
                ("iterations".to_owned(), Value::Int(100)),
                ("keylen".to_owned(), Value::Int(16)),
                ("salt".to_owned(), Value::from("salt123")),
            ])
        );
    }

    #[test]
    fn a_plain_secret_is_never_salted() {
        let plain = CraSecret::Plain("prq7+YkJ1/KlW1X0YczMHw==".to_owned());
        assert_eq!(&*plain.key(), b"prq7+YkJ1/KlW1X0YczMHw==");
        assert!(plain.challenge_extra().is_empty());
        assert_eq!(plain.clone().into_derived(), plain);
    }

    #[test]
    fn challenges_have_the_shape_of_recorded_ones() {
        let nonce = BASE64.decode("4YoonXhegaqWtY4JLJrEzvgiVCtWsnaDPgDCxzsbkFOcWJi3z/nRMyhKOj/vas0R").unwrap();
        let challenge = CraChallenge {
            authid: "client1",
            authrole: "frontend",
            authprovider: "function",
            session: SessionId::new(5_140_915_082_691_617).unwrap(),
            nonce: nonce.try_into().unwrap(),
            timestamp: UnixTime(1_597_783_657_395_000),
        };
        assert_eq!(challenge.to_string(), SIGNED[0].0);
    }

    #[test]
    fn challenges_escape_what_json_demands_and_nothing_else() {
        let challenge = CraChallenge {
            authid: "a\"b\\c\n\u{1}\u{7f}",
            authrole: "gäste/日本",
            authprovider: "static",
            session: SessionId::new(1).unwrap(),
            nonce: [0; NONCE_LEN],
            timestamp: UnixTime(0),
        };
        let text = challenge.to_string();
        let expected = concat!(r#"{"authid": "a\"b\\c\n\u0001"#, "\u{7f}", r#"", "authrole": "gäste/日本", "#);
        assert!(text.starts_with(expected), "{text}");
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed["authid"], challenge.authid);
        assert_eq!(parsed["nonce"], "A".repeat(64));
    }

    #[test]
    fn secrets_are_not_printed() {
        let salted = |secret: &str| CraSecret::Derived {
            key: secret.to_owned(),
            salt: "pepper".to_owned(),
            iterations: 1,
            keylen: 32,
        };
        for secret in [CraSecret::Plain("hidden".to_owned()), salted("hidden")] {
            let shown = format!("{secret:?}");
            assert!(!shown.contains("hidden") && !shown.contains("pepper"), "{shown}");
        }
    }
}
