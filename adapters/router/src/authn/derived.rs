//! Keys derived from passwords that functions and procedures answer with: each is derived once, and kept.
//!
//! A derivation is slow on purpose. What is kept is found by a digest of password, salt and cost, made with a random key
//! of this process: passwords are not kept, and the digest tells nothing of them. What a client shows is never looked up.

use crate::config::Secret;
use core::fmt;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wampd_core::auth::scram::{Dialect, Kdf, ScramError};
use wampd_core::auth::{CraSecret, ScramCredential};

type Digest = [u8; 32];

/// A key to be derived from a password.
#[derive(Clone)]
pub(crate) enum Derivation {
    /// Of WAMP-CRA.
    Cra { password: String, salt: String, iterations: u32, keylen: usize },
    /// Of SCRAM.
    Scram { dialect: Dialect, password: Secret, salt: Vec<u8>, kdf: Kdf },
}

/// Shows nothing of the password.
impl fmt::Debug for Derivation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Derivation")
    }
}

/// What was derived.
#[derive(Clone, Debug)]
pub(crate) enum Derived {
    Cra(CraSecret),
    Scram(Result<ScramCredential, ScramError>),
}

/// What goes on with a key.
type Then = Box<dyn FnOnce(Derived) + Send>;

/// Keys that were derived, those used last.
pub(crate) struct DerivedKeys {
    secret: Digest,
    max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// With when each was used last.
    kept: BTreeMap<Digest, (u64, Derived)>,
    by_use: BTreeMap<u64, Digest>,
    uses: u64,
    /// What waits for keys that are being derived.
    running: BTreeMap<Digest, Vec<Then>>,
    /// Derivations so far.
    derived: u64,
}

impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedKeys").field("max", &self.max).finish_non_exhaustive()
    }
}

impl DerivedKeys {
    /// Keeps `max` keys. `secret` is random bytes that nobody else knows.
    pub(crate) fn new(secret: Digest, max: usize) -> Self {
        Self { secret, max, state: Mutex::default() }
    }

    /// A key that is kept.
    pub(crate) fn kept(&self, derivation: &Derivation) -> Option<Derived> {
        let digest = derivation.digest(&self.secret);
        self.lock().find(&digest)
    }

    /// Derives a key, which takes long, and goes on with it. If another thread derives it already, that one goes on.
    pub(crate) fn derive(&self, derivation: Derivation, then: Then) {
        let digest = derivation.digest(&self.secret);
        let mut state = self.lock();
        if let Some(derived) = state.find(&digest) {
            drop(state);
            return then(derived);
        }
        if let Some(waiting) = state.running.get_mut(&digest) {
            return waiting.push(then);
        }
        state.running.insert(digest, vec![then]);
        drop(state);
        let derived = derivation.run();
        let mut state = self.lock();
        state.derived += 1;
        state.keep(digest, derived.clone(), self.max);
        let waiting = state.running.remove(&digest).unwrap_or_default();
        drop(state);
        waiting.into_iter().for_each(|then| then(derived.clone()));
    }

    /// Derivations so far.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        self.lock().derived
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&mut self, digest: &Digest) -> Option<Derived> {
        let (used, derived) = self.kept.get_mut(digest)?;
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, *digest);
        Some(derived.clone())
    }

    fn keep(&mut self, digest: Digest, derived: Derived, max: usize) {
        self.uses += 1;
        self.by_use.insert(self.uses, digest);
        self.kept.insert(digest, (self.uses, derived));
        while self.kept.len() > max {
            let Some((_, oldest)) = self.by_use.pop_first() else { return };
            self.kept.remove(&oldest);
        }
    }
}

impl Derivation {
    fn run(self) -> Derived {
        match self {
            Self::Cra { password, salt, iterations, keylen } => {
                Derived::Cra(CraSecret::Password { password, salt, iterations, keylen }.into_derived())
            }
            Self::Scram { dialect, password, salt, kdf } => {
                Derived::Scram(ScramCredential::derive(dialect, password.reveal(), salt, kdf))
            }
        }
    }

    /// Of all that the key depends on, each with its length.
    fn digest(&self, secret: &Digest) -> Digest {
        let hash = Sha256::new().chain_update(secret);
        let part = |hash: Sha256, part: &[u8]| hash.chain_update((part.len() as u64).to_be_bytes()).chain_update(part);
        let number = |hash: Sha256, n: u64| hash.chain_update(n.to_be_bytes());
        let hash = match self {
            Self::Cra { password, salt, iterations, keylen } => {
                let hash = part(part(part(hash, b"wampcra"), password.as_bytes()), salt.as_bytes());
                number(number(hash, u64::from(*iterations)), *keylen as u64)
            }
            Self::Scram { dialect, password, salt, kdf } => {
                let hash = part(part(hash, dialect.method().as_bytes()), password.reveal().as_bytes());
                let hash = part(part(hash, salt), kdf.name(*dialect).as_bytes());
                number(number(hash, u64::from(kdf.iterations())), u64::from(kdf.memory().unwrap_or_default()))
            }
        };
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Barrier, mpsc};

    fn cra(password: &str, salt: &str, iterations: u32, keylen: usize) -> Derivation {
        Derivation::Cra { password: password.to_owned(), salt: salt.to_owned(), iterations, keylen }
    }

    fn scram(password: &str, iterations: u32) -> Derivation {
        let (password, salt, kdf) = (Secret::new(password), vec![7; 16], Kdf::Pbkdf2 { iterations });
        Derivation::Scram { dialect: Dialect::Crossbar, password, salt, kdf }
    }

    fn derive(keys: &DerivedKeys, derivation: Derivation) -> Derived {
        let (sender, receiver) = mpsc::channel();
        keys.derive(derivation, Box::new(move |derived| sender.send(derived).expect("received")));
        receiver.recv().expect("derived")
    }

    #[test]
    fn a_key_is_derived_once_and_is_the_right_one() {
        let keys = DerivedKeys::new([1; 32], 10);
        assert!(keys.kept(&cra("secret1", "salt123", 100, 16)).is_none());
        for _ in 0..3 {
            let Derived::Cra(secret) = derive(&keys, cra("secret1", "salt123", 100, 16)) else { panic!("of WAMP-CRA") };
            assert_eq!(secret.key(), b"prq7+YkJ1/KlW1X0YczMHw==".as_slice());
        }
        assert_eq!(keys.count(), 1);
        for _ in 0..2 {
            let Derived::Scram(Ok(credential)) = derive(&keys, scram("secret1", 16)) else { panic!("of SCRAM") };
            let direct =
                ScramCredential::derive(Dialect::Crossbar, "secret1", vec![7; 16], Kdf::Pbkdf2 { iterations: 16 });
            assert_eq!(Ok(credential), direct);
        }
        assert_eq!(keys.count(), 2);
    }

    #[test]
    fn all_that_a_key_depends_on_tells_it_from_others() {
        let derivations = [
            cra("a", "salt", 1, 16),
            cra("b", "salt", 1, 16),
            cra("as", "alt", 1, 16),
            cra("a", "salt", 2, 16),
            cra("a", "salt", 1, 17),
            scram("a", 1),
            scram("a", 2),
            scram("b", 1),
        ];
        let mut digests: Vec<_> = derivations.iter().map(|derivation| derivation.digest(&[1; 32])).collect();
        digests.push(derivations[0].digest(&[2; 32]));
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), derivations.len() + 1, "another process has other digests");
        assert!(!format!("{:?}", derivations[0]).contains("salt"));
    }

    #[test]
    fn the_key_that_was_not_used_for_longest_is_forgotten() {
        let keys = DerivedKeys::new([1; 32], 2);
        for password in ["a", "b", "a", "c"] {
            derive(&keys, cra(password, "salt", 1, 16));
        }
        assert!(keys.kept(&cra("b", "salt", 1, 16)).is_none());
        assert!(keys.kept(&cra("a", "salt", 1, 16)).is_some() && keys.kept(&cra("c", "salt", 1, 16)).is_some());
        let none = DerivedKeys::new([1; 32], 0);
        derive(&none, cra("a", "salt", 1, 16));
        assert!(none.kept(&cra("a", "salt", 1, 16)).is_none());
    }

    #[test]
    fn threads_that_want_the_same_key_wait_for_one_derivation() {
        let (keys, barrier) = (Arc::new(DerivedKeys::new([1; 32], 10)), Arc::new(Barrier::new(4)));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    barrier.wait();
                    let (sender, receiver) = mpsc::channel();
                    keys.derive(cra("a", "salt", 1_000, 16), Box::new(move |_| sender.send(()).expect("received")));
                    receiver.recv().expect("derived");
                });
            }
        });
        assert_eq!(keys.count(), 1);
    }
}
