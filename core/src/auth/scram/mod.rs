//! Salted challenge response authentication, SCRAM (spec: "Salted Challenge Response Authentication Mechanism" in the
//! Advanced Profile; RFC 5802, RFC 7677): the router knows keys that check a password and cannot be used in its place,
//! and proves to the client that it knows them.
//!
//! Two dialects with names of their own, which do not understand each other: see [`Dialect`].
//!
//! The password goes through a key derivation function on the client's side only; what a router stores is derived once,
//! when the user is set up. Both costs are bounded by [`KdfLimits`].

mod client;
mod kdf;
mod server;
mod transcript;

pub use client::{ClientExchange, ScramAnswer, ServerProof};
pub use kdf::{Kdf, KdfLimits};
pub use server::{ScramRequest, ServerExchange};

use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Length of the output of SHA-256 and HMAC-SHA256 in bytes.
const HASH_LEN: usize = 32;

/// What is looked at in `Extra` of AUTHENTICATE.
pub(crate) const ANSWER_KEYS: [&str; 3] = ["nonce", "channel_binding", "cbind_data"];

/// Length of the random part that each side adds to the nonce, in bytes.
pub const NONCE_LEN: usize = 16;

/// Characters of a nonce that are taken from a peer.
const MAX_NONCE: usize = 1_024;

/// Which SCRAM: the method's name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// As specified, method `wamp-scram`: passwords are normalised by SASLprep, channel binding is possible, and the
    /// router's proof is `authextra.verifier` of WELCOME.
    WampScram,
    /// As Crossbar.io and Autobahn have it, method `scram`: made from an early draft. Passwords are taken as they are,
    /// with Argon2 the salted password is the *text* of the hash (base64 without padding), there is no channel binding,
    /// and the router's proof is `authextra.scram_server_signature` of WELCOME.
    Crossbar,
}

impl Dialect {
    /// Name of the authentication method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::WampScram => super::WAMP_SCRAM,
            Self::Crossbar => super::SCRAM,
        }
    }
}

/// What a router keeps of a user: enough to check the password, not enough to log in with.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramCredential {
    salt: Vec<u8>,
    kdf: Kdf,
    stored_key: [u8; HASH_LEN],
    server_key: [u8; HASH_LEN],
}

impl ScramCredential {
    /// Keys derived before, with the salt and the function that they were derived with.
    pub const fn new(salt: Vec<u8>, kdf: Kdf, stored_key: [u8; HASH_LEN], server_key: [u8; HASH_LEN]) -> Self {
        Self { salt, kdf, stored_key, server_key }
    }

    /// Derives the keys from a password. As slow as `kdf` says: not for the path of a login.
    ///
    /// # Errors
    /// [`ScramError::BadPassword`], [`ScramError::BadSalt`] (Argon2 wants 8 bytes at least) or
    /// [`ScramError::BadCost`].
    pub fn derive(dialect: Dialect, password: &str, salt: Vec<u8>, kdf: Kdf) -> Result<Self, ScramError> {
        let salted = kdf.salted_password(dialect, password, &salt)?;
        let Keys { stored_key, server_key, .. } = Keys::of(&salted);
        Ok(Self { salt, kdf, stored_key, server_key })
    }

    /// What stands in for a user who does not exist: a challenge made with it looks like one to this user and is always
    /// the same for an authid, and no answer to it is right.
    ///
    /// `secret` must be random, and nobody's but the router's.
    #[must_use]
    pub fn imitate(&self, secret: &[u8], authid: &str) -> Self {
        let part = |label: &str| mac(secret, &[label.as_bytes(), &[0], authid.as_bytes()]);
        let salt = part("scram salt").into_iter().cycle().take(self.salt.len()).collect();
        Self { salt, kdf: self.kdf, stored_key: part("scram stored key"), server_key: part("scram server key") }
    }

    /// The salt.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// How the password is salted.
    pub const fn kdf(&self) -> Kdf {
        self.kdf
    }

    /// The key that checks proofs of the password.
    pub const fn stored_key(&self) -> &[u8; HASH_LEN] {
        &self.stored_key
    }

    /// The key of the router's own proof.
    pub const fn server_key(&self) -> &[u8; HASH_LEN] {
        &self.server_key
    }
}

/// Shows the function alone: keys can be attacked with a dictionary.
impl fmt::Debug for ScramCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScramCredential").field("kdf", &self.kdf).finish_non_exhaustive()
    }
}

/// Why an exchange cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScramError {
    /// HELLO or CHALLENGE has no nonce.
    NoNonce,
    /// The nonce is not base64, or too long.
    BadNonce,
    /// The router's nonce does not begin with the client's, or adds nothing to it.
    ForeignNonce,
    /// The salt is missing, not base64, or too short for the function.
    BadSalt,
    /// The key derivation function is missing or unknown.
    UnknownKdf,
    /// The cost of the key derivation function is missing, or not one that it can have.
    BadCost,
    /// The cost is so low that the password could be guessed from the answer.
    CostTooLow,
    /// The cost is above what this side is willing to spend.
    CostTooHigh,
    /// HELLO has no authid.
    NoAuthid,
    /// The authid has characters that SASLprep forbids.
    BadAuthid,
    /// The password has characters that SASLprep forbids.
    BadPassword,
    /// Channel binding is wanted of another type than `tls-exporter`, or on a connection that has none.
    ChannelBinding,
}

impl ScramError {
    /// The error in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoNonce => "SCRAM needs a nonce",
            Self::BadNonce => "SCRAM nonce is not base64, or too long",
            Self::ForeignNonce => "SCRAM nonce of the router does not extend the client's",
            Self::BadSalt => "SCRAM salt is missing, not base64 or too short",
            Self::UnknownKdf => "SCRAM key derivation function is unknown",
            Self::BadCost => "SCRAM key derivation has an impossible cost",
            Self::CostTooLow => "SCRAM challenge demands so low a cost that the password could be guessed",
            Self::CostTooHigh => "SCRAM challenge demands too high a cost",
            Self::NoAuthid => "SCRAM needs an authid",
            Self::BadAuthid => "SCRAM authid has forbidden characters",
            Self::BadPassword => "SCRAM password has forbidden characters",
            Self::ChannelBinding => "channel binding of this type is not possible on this connection",
        }
    }
}

impl fmt::Display for ScramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl core::error::Error for ScramError {}

/// An authid as it is signed, and as users are looked up: normalised by SASLprep (RFC 4013).
///
/// # Errors
/// [`ScramError::BadAuthid`].
pub fn prepare_authid(authid: &str) -> Result<std::borrow::Cow<'_, str>, ScramError> {
    stringprep::saslprep(authid).map_err(|_| ScramError::BadAuthid)
}

/// The keys of a salted password (RFC 5802 section 3).
struct Keys {
    client_key: [u8; HASH_LEN],
    stored_key: [u8; HASH_LEN],
    server_key: [u8; HASH_LEN],
}

impl Keys {
    fn of(salted_password: &[u8]) -> Self {
        let client_key = mac(salted_password, &[b"Client Key"]);
        let stored_key = Sha256::digest(client_key).into();
        Self { client_key, stored_key, server_key: mac(salted_password, &[b"Server Key"]) }
    }
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104 section 2)")]
fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; HASH_LEN] {
    let keyed = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().fold(keyed, |mac, part| mac.chain_update(part)).finalize().into_bytes().into()
}

fn xor(a: &[u8; HASH_LEN], b: &[u8; HASH_LEN]) -> [u8; HASH_LEN] {
    core::array::from_fn(|i| a[i] ^ b[i])
}

#[cfg(test)]
mod tests;
