//! How a user of SCRAM is written down, in configurations and in what authenticators return.
//!
//! Either the keys, as Crossbar.io and Autobahn derive them (`stored-key`, `server-key`), or the `password`, from which
//! they are derived. `salt` and the keys are hexadecimal. The keys of one dialect are none in the other.

use crate::config::Secret;
use core::fmt;
use data_encoding::HEXLOWER_PERMISSIVE;
use wampd_core::auth::ScramCredential;
use wampd_core::auth::scram::{Dialect, Kdf, KdfLimits, ScramError};

/// The members that describe a user.
#[derive(Clone, Copy, Default)]
pub struct ScramMembers<'a> {
    /// The name of the key derivation function.
    pub kdf: Option<&'a str>,
    /// Its iterations.
    pub iterations: Option<u64>,
    /// Its memory in KiB, with Argon2.
    pub memory: Option<u64>,
    /// The salt.
    pub salt: Option<&'a str>,
    /// The key that checks the client's proof.
    pub stored_key: Option<&'a str>,
    /// The key of the router's proof.
    pub server_key: Option<&'a str>,
    /// The password in clear.
    pub password: Option<&'a str>,
}

/// What is known of a user.
#[derive(Clone, Debug, PartialEq)]
pub enum ScramSecret {
    /// The keys.
    Keys(ScramCredential),
    /// The password, and how to salt it.
    Password {
        /// The password.
        password: Secret,
        /// The salt.
        salt: Vec<u8>,
        /// The function and its cost.
        kdf: Kdf,
    },
}

/// Why members do not describe a user.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScramMembersError {
    /// This member is missing.
    Missing(&'static str),
    /// `password` beside keys.
    PasswordAndKeys,
    /// This member is not hexadecimal, or not as long as it must be.
    NotHex(&'static str),
    /// The function, its cost or the salt can not be.
    Kdf(ScramError),
}

impl ScramMembersError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing(_) => "a user needs kdf, iterations, salt, and either stored-key and server-key or password",
            Self::PasswordAndKeys => "the keys are derived from the password: keep the one you mean",
            Self::NotHex("salt") => "hexadecimal, at least 8 bytes",
            Self::NotHex(_) => "64 hexadecimal digits",
            Self::Kdf(ScramError::UnknownKdf) => "argon2id-13 or pbkdf2",
            Self::Kdf(_) => "argon2id-13 needs memory, at least 8 KiB; neither function can have any cost",
        }
    }
}

impl fmt::Display for ScramMembersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(key) => write!(f, "the key {key:?} is missing"),
            Self::PasswordAndKeys => f.write_str("password and derived keys are both given"),
            Self::NotHex(key) => write!(f, "{key} is not what it should be"),
            Self::Kdf(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ScramMembersError {}

impl ScramMembers<'_> {
    /// What the members describe.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn secret(self) -> Result<ScramSecret, ScramMembersError> {
        let required = |member: Option<u64>, name| member.ok_or(ScramMembersError::Missing(name));
        let name = self.kdf.ok_or(ScramMembersError::Missing("kdf"))?;
        let kdf = Kdf::named(name, required(self.iterations, "iterations")?, self.memory);
        let kdf = kdf.map_err(ScramMembersError::Kdf)?;
        let salt = self.salt.ok_or(ScramMembersError::Missing("salt"))?;
        let salt = HEXLOWER_PERMISSIVE.decode(salt.as_bytes()).ok().filter(|salt| salt.len() >= 8);
        let salt = salt.ok_or(ScramMembersError::NotHex("salt"))?;
        let key = |member: Option<&str>, name| {
            let text = member.ok_or(ScramMembersError::Missing(name))?;
            let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok();
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(ScramMembersError::NotHex(name))
        };
        match (self.password, self.stored_key.or(self.server_key)) {
            (Some(_), Some(_)) => Err(ScramMembersError::PasswordAndKeys),
            (Some(password), None) => {
                // As expensive as it may be for a client.
                let limits = KdfLimits { min_pbkdf2_iterations: 1, min_argon2_work: 1, ..KdfLimits::default() };
                limits.check(kdf).map_err(ScramMembersError::Kdf)?;
                Ok(ScramSecret::Password { password: Secret::new(password), salt, kdf })
            }
            (None, _) => {
                let (stored, server) = (key(self.stored_key, "stored-key")?, key(self.server_key, "server-key")?);
                Ok(ScramSecret::Keys(ScramCredential::new(salt, kdf, stored, server)))
            }
        }
    }
}

impl ScramSecret {
    /// What checks a client that speaks this dialect. Of a password the keys are derived, which takes its time.
    ///
    /// # Errors
    /// The password or the salt can not be used.
    pub fn credential(self, dialect: Dialect) -> Result<ScramCredential, ScramError> {
        match self {
            Self::Keys(credential) => Ok(credential),
            Self::Password { password, salt, kdf } => ScramCredential::derive(dialect, password.reveal(), salt, kdf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORED: &str = "e796c2f0a51770303ee4616bc630a66774d51a55003154aff2a54ec7c4ac0e38";
    const SERVER: &str = "8de7864c316f3c2356fd76cfdab696db55bc70e680fe5180e2f731e2345acca2";
    const KEYS: ScramMembers<'_> = ScramMembers {
        kdf: Some("argon2id-13"),
        iterations: Some(4_096),
        memory: Some(512),
        salt: Some("3bc3ca01dd1d501ca1c22e1c5d7d16fe"),
        stored_key: Some(STORED),
        server_key: Some(SERVER),
        password: None,
    };

    /// The user of Crossbar.io's SCRAM example, and its password.
    #[test]
    fn keys_and_password_are_the_same_user() {
        let password = ScramMembers { stored_key: None, server_key: None, password: Some("secret123"), ..KEYS };
        let [keys, password] = [KEYS, password]
            .map(|members| members.secret().expect("described").credential(Dialect::Crossbar).expect("derived"));
        assert_eq!(keys, password);
    }

    #[test]
    fn contradictions_are_refused() {
        let error = |members: ScramMembers<'_>| members.secret().expect_err("must be refused");
        assert_eq!(error(ScramMembers { kdf: None, ..KEYS }), ScramMembersError::Missing("kdf"));
        assert_eq!(error(ScramMembers { stored_key: None, ..KEYS }), ScramMembersError::Missing("stored-key"));
        assert_eq!(error(ScramMembers { server_key: None, ..KEYS }), ScramMembersError::Missing("server-key"));
        assert_eq!(error(ScramMembers { salt: None, ..KEYS }), ScramMembersError::Missing("salt"));
        assert_eq!(error(ScramMembers { salt: Some("salt123"), ..KEYS }), ScramMembersError::NotHex("salt"));
        assert_eq!(error(ScramMembers { salt: Some("00"), ..KEYS }), ScramMembersError::NotHex("salt"));
        assert_eq!(error(ScramMembers { stored_key: Some("00"), ..KEYS }), ScramMembersError::NotHex("stored-key"));
        assert_eq!(error(ScramMembers { password: Some("x"), ..KEYS }), ScramMembersError::PasswordAndKeys);
        let unknown = ScramMembersError::Kdf(ScramError::UnknownKdf);
        assert_eq!(error(ScramMembers { kdf: Some("bcrypt"), ..KEYS }), unknown);
        let impossible = ScramMembersError::Kdf(ScramError::BadCost);
        assert_eq!(error(ScramMembers { memory: None, ..KEYS }), impossible);
        let password = ScramMembers { stored_key: None, server_key: None, password: Some("x"), ..KEYS };
        let expensive = ScramMembersError::Kdf(ScramError::CostTooHigh);
        assert_eq!(error(ScramMembers { memory: Some(1 << 20), ..password }), expensive);
    }

    #[test]
    fn passwords_are_not_printed() {
        let password = ScramMembers { stored_key: None, server_key: None, password: Some("hidden"), ..KEYS };
        assert!(!format!("{:?}", password.secret()).contains("hidden"));
    }
}
