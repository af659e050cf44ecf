//! The only hash maps of the core: keyed against chosen collisions, since peers choose URIs and request ids, and keyed
//! from the injected randomness, since the core asks the operating system for nothing.
//!
//! Their order must never become visible: collect and sort, or keep an ordered table beside them.
#![allow(clippy::disallowed_types, reason = "the aliases that everything else uses are made here")]

use core::hash::BuildHasher;
use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

/// A hash map of the core.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, State>;

/// The key of the hash maps of one router.
#[derive(Clone, Copy)]
pub(crate) struct Seed(State);

/// Hashes with the router's key.
#[derive(Clone, Copy)]
pub(crate) struct State(u64);

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed(***)")
    }
}

impl Seed {
    pub(crate) const fn new(key: u64) -> Self {
        Self(State(key))
    }

    /// An empty map with this key. It allocates nothing yet.
    pub(crate) fn map<K, V>(&self) -> HashMap<K, V> {
        HashMap::with_hasher(self.0)
    }
}

impl BuildHasher for State {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        SeedableRandomState::with_seed(self.0, SharedSeed::global_fixed()).build_hasher()
    }
}
