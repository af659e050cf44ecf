use super::{Dialect, HASH_LEN, ScramError};
use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::Sha256;

/// How a password is salted, and at what cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kdf {
    /// Argon2id, version 1.3 (RFC 9106), with parallelism 1.
    Argon2id13 {
        /// Passes over the memory, at least 1.
        iterations: u32,
        /// Memory in KiB, at least 8.
        memory: u32,
    },
    /// PBKDF2-HMAC-SHA256 (RFC 8018).
    Pbkdf2 {
        /// Iterations, at least 1.
        iterations: u32,
    },
}

impl Kdf {
    /// The function of a name as either dialect writes it (`argon2id13`, `argon2id-13` or `pbkdf2`), with its cost.
    ///
    /// # Errors
    /// [`ScramError::UnknownKdf`], or [`ScramError::BadCost`] for a cost that the function cannot have.
    pub fn named(name: &str, iterations: u64, memory: Option<u64>) -> Result<Self, ScramError> {
        let positive = |n: u64| u32::try_from(n).ok().filter(|n| *n > 0).ok_or(ScramError::BadCost);
        let kdf = match name {
            "argon2id13" | "argon2id-13" => {
                let memory = positive(memory.ok_or(ScramError::BadCost)?)?;
                Self::Argon2id13 { iterations: positive(iterations)?, memory }
            }
            "pbkdf2" => Self::Pbkdf2 { iterations: positive(iterations)? },
            _ => return Err(ScramError::UnknownKdf),
        };
        if let Self::Argon2id13 { iterations, memory } = kdf {
            params(iterations, memory)?;
        }
        Ok(kdf)
    }

    /// Its name in a dialect.
    pub const fn name(self, dialect: Dialect) -> &'static str {
        match (self, dialect) {
            (Self::Argon2id13 { .. }, Dialect::WampScram) => "argon2id13",
            (Self::Argon2id13 { .. }, Dialect::Crossbar) => "argon2id-13",
            (Self::Pbkdf2 { .. }, _) => "pbkdf2",
        }
    }

    /// Iterations.
    pub const fn iterations(self) -> u32 {
        match self {
            Self::Argon2id13 { iterations, .. } | Self::Pbkdf2 { iterations } => iterations,
        }
    }

    /// Memory in KiB, with Argon2.
    pub const fn memory(self) -> Option<u32> {
        match self {
            Self::Argon2id13 { memory, .. } => Some(memory),
            Self::Pbkdf2 { .. } => None,
        }
    }

    /// The salted password, which is the key of everything else.
    pub(super) fn salted_password(self, dialect: Dialect, password: &str, salt: &[u8]) -> Result<Vec<u8>, ScramError> {
        let prepared = match dialect {
            Dialect::WampScram => stringprep::saslprep(password).map_err(|_| ScramError::BadPassword)?,
            Dialect::Crossbar => password.into(),
        };
        let password = prepared.as_bytes();
        let mut hash = [0; HASH_LEN];
        match self {
            Self::Argon2id13 { iterations, memory } => {
                let function = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(iterations, memory)?);
                // Of what can fail here, the parameters are valid and nobody has a password of 4 GiB.
                function.hash_password_into(password, salt, &mut hash).map_err(|_| ScramError::BadSalt)?;
                if dialect == Dialect::Crossbar {
                    return Ok(STANDARD_NO_PAD.encode(hash).into_bytes());
                }
            }
            Self::Pbkdf2 { iterations } => pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, iterations, &mut hash),
        }
        Ok(hash.to_vec())
    }
}

fn params(iterations: u32, memory: u32) -> Result<Params, ScramError> {
    Params::new(memory, iterations, 1, Some(HASH_LEN)).map_err(|_| ScramError::BadCost)
}

/// What a client is willing to spend on a router's demand, and how little it takes for a router that wants the password
/// guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KdfLimits {
    /// Iterations of PBKDF2, at least. Default 4,096, the least that RFC 7677 allows.
    pub min_pbkdf2_iterations: u32,
    /// Iterations of PBKDF2, at most. Default 1,000,000.
    pub max_pbkdf2_iterations: u32,
    /// Memory of Argon2 in KiB, at most. Default 262,144 (256 MiB).
    pub max_argon2_memory: u32,
    /// Memory in KiB times iterations of Argon2, at least. Default 16,384.
    pub min_argon2_work: u64,
    /// Memory in KiB times iterations of Argon2, at most. Default 4,194,304 (4 GiB written: some seconds).
    pub max_argon2_work: u64,
}

impl Default for KdfLimits {
    fn default() -> Self {
        Self {
            min_pbkdf2_iterations: 4_096,
            max_pbkdf2_iterations: 1_000_000,
            max_argon2_memory: 262_144,
            min_argon2_work: 16_384,
            max_argon2_work: 4_194_304,
        }
    }
}

impl KdfLimits {
    /// Whether a cost is within the limits.
    ///
    /// # Errors
    /// [`ScramError::CostTooLow`] or [`ScramError::CostTooHigh`].
    pub fn check(&self, kdf: Kdf) -> Result<(), ScramError> {
        let (cost, least, most) = match kdf {
            Kdf::Pbkdf2 { iterations } => {
                (iterations.into(), self.min_pbkdf2_iterations.into(), self.max_pbkdf2_iterations.into())
            }
            Kdf::Argon2id13 { memory, .. } if memory > self.max_argon2_memory => return Err(ScramError::CostTooHigh),
            Kdf::Argon2id13 { iterations, memory } => {
                (u64::from(iterations) * u64::from(memory), self.min_argon2_work, self.max_argon2_work)
            }
        };
        if cost < least {
            return Err(ScramError::CostTooLow);
        }
        if cost > most { Err(ScramError::CostTooHigh) } else { Ok(()) }
    }
}
