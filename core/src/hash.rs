//! The only hash maps of the core: keyed against chosen collisions, since peers choose URIs and request ids, and keyed
//! from the injected randomness, since the core asks the operating system for nothing.
//!
//! Their order must never become visible: collect and sort, or keep an ordered table beside them.
#![allow(clippy::disallowed_types, reason = "the aliases that everything else uses are made here")]

use core::hash::{BuildHasher, Hash};
use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use std::sync::OnceLock;

/// A hash map of the core.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, State>;

/// The key of the hash maps of one router.
#[derive(Clone, Copy)]
pub(crate) struct Seed(State);

/// Hashes with the router's key.
#[derive(Clone, Copy)]
pub(crate) struct State {
    key: u64,
    folding: &'static SharedSeed,
}

/// What the hash function multiplies with. Input equal to one of these constants hashes alike under every key. The
/// published ones happen not to be UTF-8, but the hash function promises nothing for them, so they are drawn too: once
/// for all routers of the process, because it can only borrow them for ever.
static FOLDING: OnceLock<SharedSeed> = OnceLock::new();

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed(***)")
    }
}

impl Seed {
    /// A key that was drawn at random.
    pub(crate) fn new(key: u64) -> Self {
        Self(State { key, folding: FOLDING.get_or_init(|| SharedSeed::from_u64(key)) })
    }

    /// A key that everybody knows, for maps into which no peer can insert.
    pub(crate) const fn public() -> Self {
        Self(State { key: 0, folding: SharedSeed::global_fixed() })
    }

    /// The hash of a value.
    pub(crate) fn hash(&self, value: &impl Hash) -> u64 {
        self.0.hash_one(value)
    }

    /// An empty map with this key. It allocates nothing yet.
    pub(crate) fn map<K, V>(&self) -> HashMap<K, V> {
        HashMap::with_hasher(self.0)
    }
}

impl BuildHasher for State {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        FoldHasher::with_seed(self.key, self.folding)
    }
}

/// Gives memory back when a map has shrunk to an eighth of it. To be called after a removal; the cost is O(1),
/// amortised over the removals.
pub(crate) fn trim<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    const WORTH_IT: usize = 64;
    if map.capacity() > WORTH_IT && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_depend_on_the_key() {
        let hash = |seed: Seed, text: &str| seed.0.hash_one(text);
        for text in ["", "com", "com.example.topic1", &"a.".repeat(200)] {
            assert_eq!(hash(Seed::new(1), text), hash(Seed::new(1), text));
            assert_ne!(hash(Seed::new(1), text), hash(Seed::new(2), text), "{text:?}");
        }
    }

    #[test]
    fn the_folding_constants_are_not_the_published_ones() {
        let same_key = State { key: 1, folding: SharedSeed::global_fixed() };
        assert_ne!(Seed::new(1).0.hash_one("com.example"), same_key.hash_one("com.example"));
    }

    #[test]
    fn a_map_gives_memory_back() {
        let mut map = Seed::new(1).map::<u64, ()>();
        map.extend((0..10_000).map(|n| (n, ())));
        for n in 0..10_000 {
            map.remove(&n);
            trim(&mut map);
        }
        assert!(map.capacity() <= 64, "{}", map.capacity());
    }
}
