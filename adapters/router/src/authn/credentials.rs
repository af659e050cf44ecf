//! How the secret of a WAMP-CRA user is written down, in configurations and in what authenticators return.
//!
//! With `salt`, `iterations` and `keylen` a `secret` is the *derived key* and a `password` is what the user types, from
//! which the key is derived. Without them either is the shared secret itself.
//!
//! Crossbar.io's documentation says the same of `secret`; its releases since 2025 take it for the password. A `secret`
//! that can not be a derived key of any length, because it is not base64 of so many bytes, can only be meant in the
//! second way: [`CraMembers::secret_or_password`] takes it so. One that can be is never taken for a password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use core::fmt;
use core::ops::RangeInclusive;
use wampd_core::auth::CraSecret;

/// Iterations of PBKDF2 that a salted user may have: the upper end bounds what one login may cost.
pub const ITERATIONS: RangeInclusive<u64> = 1..=1_000_000;

/// Length of a derived key in bytes, before base64.
pub const KEYLEN: RangeInclusive<u64> = 8..=64;

/// The members that describe a WAMP-CRA user's secret.
#[derive(Clone, Copy, Default)]
pub struct CraMembers<'a> {
    /// The shared secret, or with a salt the derived key.
    pub secret: Option<&'a str>,
    /// The password in clear.
    pub password: Option<&'a str>,
    /// The salt.
    pub salt: Option<&'a str>,
    /// PBKDF2 iterations.
    pub iterations: Option<u64>,
    /// Length of the derived key in bytes, before base64.
    pub keylen: Option<u64>,
}

/// Why members do not describe a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CraMembersError {
    /// Neither `secret` nor `password`.
    NoSecret,
    /// Both `secret` and `password`.
    SecretAndPassword,
    /// Some of `salt`, `iterations`, `keylen`, but not all; the names of those missing.
    IncompleteSalt(Vec<&'static str>),
    /// `iterations` outside [`ITERATIONS`].
    Iterations(u64),
    /// `keylen` outside [`KEYLEN`].
    Keylen(u64),
    /// A salted `secret` that is not base64 of `keylen` bytes.
    NotDerived {
        /// The length it should have, in bytes.
        keylen: u64,
        /// The length it has; `None` if it is not base64 at all.
        found: Option<usize>,
    },
}

impl CraMembersError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoSecret => "add secret".to_owned(),
            Self::SecretAndPassword => "with a salt, secret is the derived key and password is what the user types, \
                                        from which the key is derived: keep the one you mean"
                .to_owned(),
            Self::IncompleteSalt(_) => {
                "a salted user needs salt, iterations and keylen; a user without a salt has none of them".to_owned()
            }
            Self::Iterations(_) => format!("{} to {}", ITERATIONS.start(), ITERATIONS.end()),
            Self::Keylen(_) => format!("{} to {} bytes", KEYLEN.start(), KEYLEN.end()),
            Self::NotDerived { .. } => "with a salt, secret is the derived key, as wampd derive-key prints it; \
                                        if this is the password itself, name it password"
                .to_owned(),
        }
    }
}

impl fmt::Display for CraMembersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSecret => f.write_str("neither secret nor password is given"),
            Self::SecretAndPassword => f.write_str("both secret and password are given"),
            Self::IncompleteSalt(missing) => write!(f, "salted, but without {}", missing.join(" and ")),
            Self::Iterations(n) => write!(f, "iterations {n} is out of range"),
            Self::Keylen(n) => write!(f, "keylen {n} is out of range"),
            Self::NotDerived { keylen, found: Some(found) } => {
                write!(f, "secret is not a derived key: base64 of {found} bytes where keylen says {keylen}")
            }
            Self::NotDerived { found: None, .. } => f.write_str("secret is not a derived key: it is not base64"),
        }
    }
}

impl core::error::Error for CraMembersError {}

impl CraMembers<'_> {
    /// Whether no member is given at all.
    pub const fn is_empty(&self) -> bool {
        self.secret.is_none()
            && self.password.is_none()
            && self.salt.is_none()
            && self.iterations.is_none()
            && self.keylen.is_none()
    }

    /// The secret that the members describe.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn secret(self) -> Result<CraSecret, CraMembersError> {
        let (text, is_password) = match (self.secret, self.password) {
            (Some(_), Some(_)) => return Err(CraMembersError::SecretAndPassword),
            (None, None) => return Err(CraMembersError::NoSecret),
            (Some(secret), None) => (secret, false),
            (None, Some(password)) => (password, true),
        };
        let (salt, iterations, keylen) = match (self.salt, self.iterations, self.keylen) {
            (None, None, None) => return Ok(CraSecret::Plain(text.to_owned())),
            (Some(salt), Some(iterations), Some(keylen)) => (salt.to_owned(), iterations, keylen),
            _ => return Err(CraMembersError::IncompleteSalt(self.missing())),
        };
        let iterations = in_range(iterations, ITERATIONS).ok_or(CraMembersError::Iterations(iterations))?;
        let bytes = in_range(keylen, KEYLEN).ok_or(CraMembersError::Keylen(keylen))? as usize;
        if is_password {
            return Ok(CraSecret::Password { password: text.to_owned(), salt, iterations, keylen: bytes });
        }
        let found = BASE64.decode(text).ok().map(|key| key.len());
        if found != Some(bytes) {
            return Err(CraMembersError::NotDerived { keylen, found });
        }
        Ok(CraSecret::Derived { key: text.to_owned(), salt, iterations, keylen: bytes })
    }

    /// As [`CraMembers::secret`], and a salted `secret` that can be no derived key is the password; true if it is.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn secret_or_password(self) -> Result<(CraSecret, bool), CraMembersError> {
        match self.secret() {
            Err(CraMembersError::NotDerived { found, .. })
                if found.is_none_or(|bytes| !KEYLEN.contains(&(bytes as u64))) =>
            {
                let password = CraMembers { secret: None, password: self.secret, ..self };
                Ok((password.secret()?, true))
            }
            other => Ok((other?, false)),
        }
    }

    fn missing(&self) -> Vec<&'static str> {
        [("salt", self.salt.is_none()), ("iterations", self.iterations.is_none()), ("keylen", self.keylen.is_none())]
            .into_iter()
            .filter_map(|(name, missing)| missing.then_some(name))
            .collect()
    }
}

fn in_range(n: u64, range: RangeInclusive<u64>) -> Option<u32> {
    range.contains(&n).then(|| u32::try_from(n).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALTED: CraMembers<'_> =
        CraMembers { secret: None, password: None, salt: Some("salt123"), iterations: Some(100), keylen: Some(16) };
    const DERIVED: &str = "prq7+YkJ1/KlW1X0YczMHw==";

    #[test]
    fn unsalted_is_the_secret_itself() {
        let plain = CraMembers { secret: Some("secret123"), ..CraMembers::default() };
        assert!(plain.secret() == Ok(CraSecret::Plain("secret123".to_owned())));
        let plain = CraMembers { password: Some("secret123"), ..CraMembers::default() };
        assert!(plain.secret() == Ok(CraSecret::Plain("secret123".to_owned())));
    }

    #[test]
    fn both_salted_meanings_give_the_same_key() {
        let derived = CraMembers { secret: Some(DERIVED), ..SALTED }.secret().expect("valid");
        let password = CraMembers { password: Some("secret1"), ..SALTED }.secret().expect("valid");
        assert!(matches!(password, CraSecret::Password { .. }));
        assert!(password.into_derived() == derived);
        assert_eq!(derived.key(), DERIVED.as_bytes());
    }

    #[test]
    fn what_can_be_no_derived_key_is_the_password() {
        let read = |secret| CraMembers { secret: Some(secret), ..SALTED }.secret_or_password().expect("valid");
        let password = CraMembers { password: Some("secret1"), ..SALTED }.secret().expect("valid");
        assert!(read("secret1") == (password.clone(), true));
        // Both meanings give the same user, so nobody is locked out by either.
        assert!(read(DERIVED) == (password.into_derived(), false));
        assert!(read("password").1, "base64 of six bytes");
        // A derived key of another length is a mistake, as is a salt that is not complete.
        assert!(CraMembers { secret: Some("prq7+YkJ1/KlW1X0"), ..SALTED }.secret_or_password().is_err());
        assert!(CraMembers { iterations: None, secret: Some("secret1"), ..SALTED }.secret_or_password().is_err());
    }

    #[test]
    fn contradictions_are_refused() {
        let error = |members: CraMembers<'_>| members.secret().expect_err("must be refused");
        assert_eq!(error(SALTED), CraMembersError::NoSecret);
        assert_eq!(
            error(CraMembers { secret: Some(DERIVED), password: Some("secret1"), ..SALTED }),
            CraMembersError::SecretAndPassword
        );
        assert_eq!(
            error(CraMembers { secret: Some(DERIVED), iterations: None, keylen: None, ..SALTED }),
            CraMembersError::IncompleteSalt(vec!["iterations", "keylen"])
        );
        assert_eq!(
            error(CraMembers { secret: Some("secret1"), ..SALTED }),
            CraMembersError::NotDerived { keylen: 16, found: None }
        );
        assert_eq!(
            error(CraMembers { secret: Some(DERIVED), keylen: Some(32), ..SALTED }),
            CraMembersError::NotDerived { keylen: 32, found: Some(16) }
        );
        let password = CraMembers { password: Some("secret1"), ..SALTED };
        assert_eq!(error(CraMembers { iterations: Some(0), ..password }), CraMembersError::Iterations(0));
        assert_eq!(error(CraMembers { keylen: Some(4096), ..password }), CraMembersError::Keylen(4096));
    }
}
