//! URIs and URI patterns with what is stored under them: the tables behind subscriptions, registrations and permission
//! rules (spec: "Pattern-based Subscription", "Pattern-based Registration").
//!
//! A look-up costs one hash look-up for the exact URI, one for each distinct length of a prefix pattern, and one for
//! each distinct *shape* of a wildcard pattern with as many components as the URI. A shape says which components are
//! wildcards; blanking those in the URI gives the text of the only pattern of that shape that can match. That text is
//! made only if a pattern of that shape has the same digest: the sum of the hashes of its other components, which are
//! hashed once for all shapes. Neither depends on how many patterns there are.
//!
//! Peers choose the patterns, so the cost is bounded: the lengths by the longest URI that the router takes, the shapes
//! by [`PatternMap::has_room`]. A walk over a tree of components would have no such bound, since with enough wildcards
//! it visits every pattern.

use crate::hash::{HashMap, Seed, trim};
use crate::uri::{MatchPolicy, Uri};
use std::collections::BTreeMap;

/// Which components of a wildcard pattern are wildcards. In the natural order, the shape that has the longer run of
/// exact components before its first, then its second, ... wildcard comes first: the specification's precedence.
pub(crate) type Shape = Vec<bool>;

/// How many components a URI or pattern has.
fn components(uri: &str) -> usize {
    1 + uri.bytes().filter(|&byte| byte == b'.').count()
}

/// The shape of a wildcard pattern.
pub(crate) fn shape(pattern: &str) -> Shape {
    pattern.split('.').map(str::is_empty).collect()
}

/// Values by URI pattern; at most one for each match policy and text.
#[derive(Clone, Debug)]
pub(crate) struct PatternMap<V> {
    seed: Seed,
    exact: HashMap<Uri, V>,
    prefixes: HashMap<Uri, V>,
    /// How many prefix patterns have each length in bytes.
    prefix_lengths: BTreeMap<usize, usize>,
    /// Wildcard patterns by number of components, then by shape.
    wildcards: BTreeMap<usize, BTreeMap<Shape, Shaped<V>>>,
}

/// The wildcard patterns of one shape.
#[derive(Clone, Debug)]
struct Shaped<V> {
    patterns: HashMap<Uri, V>,
    /// How many of the patterns have each digest.
    digests: HashMap<u64, usize>,
}

/// Components up to which a shape counts once for [`PatternMap::has_room`].
const SHAPE_UNIT: usize = 16;

impl<V: Copy> PatternMap<V> {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self {
            seed: *seed,
            exact: seed.map(),
            prefixes: seed.map(),
            prefix_lengths: BTreeMap::new(),
            wildcards: BTreeMap::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        let wildcards =
            self.wildcards.values().flat_map(BTreeMap::values).map(|shaped| shaped.patterns.len()).sum::<usize>();
        self.exact.len() + self.prefixes.len() + wildcards
    }

    /// Whether the pattern can be stored with no more than `max_shapes` distinct shapes of as many components. A shape
    /// counts once for every 16 components begun, so that a look-up handles at most `16 * max_shapes` components.
    ///
    /// Only shapes of as many components share the room: nobody can use up the room for patterns of few components,
    /// of which there are only 2^components shapes.
    pub(crate) fn has_room(&self, matching: MatchPolicy, uri: &str, max_shapes: usize) -> bool {
        if matching != MatchPolicy::Wildcard {
            return true;
        }
        let weight = components(uri).div_ceil(SHAPE_UNIT);
        let Some(shapes) = self.shapes(uri) else { return weight <= max_shapes };
        (shapes.len() + 1) * weight <= max_shapes || shapes.contains_key(&shape(uri))
    }

    /// What is stored under exactly this pattern.
    pub(crate) fn get(&self, matching: MatchPolicy, uri: &str) -> Option<V> {
        match matching {
            MatchPolicy::Exact => self.exact.get(uri),
            MatchPolicy::Prefix => self.prefixes.get(uri),
            MatchPolicy::Wildcard => {
                let shape = shape(uri);
                self.wildcards.get(&shape.len())?.get(&shape)?.patterns.get(uri)
            }
        }
        .copied()
    }

    /// Stores a value, in the place of the one stored under this pattern before.
    pub(crate) fn insert(&mut self, matching: MatchPolicy, uri: Uri, value: V) {
        match matching {
            MatchPolicy::Exact => {
                self.exact.insert(uri, value);
            }
            MatchPolicy::Prefix => {
                let length = uri.as_str().len();
                if self.prefixes.insert(uri, value).is_none() {
                    *self.prefix_lengths.entry(length).or_default() += 1;
                }
            }
            MatchPolicy::Wildcard => {
                let shape = shape(uri.as_str());
                let digest = self.digest(uri.as_str(), &shape);
                let shapes = self.wildcards.entry(shape.len()).or_default();
                let shaped = shapes
                    .entry(shape)
                    .or_insert_with(|| Shaped { patterns: self.seed.map(), digests: self.seed.map() });
                if shaped.patterns.insert(uri, value).is_none() {
                    *shaped.digests.entry(digest).or_default() += 1;
                }
            }
        }
    }

    /// Removes what is stored under exactly this pattern.
    pub(crate) fn remove(&mut self, matching: MatchPolicy, uri: &str) {
        match matching {
            MatchPolicy::Exact => {
                self.exact.remove(uri);
                trim(&mut self.exact);
            }
            MatchPolicy::Prefix => self.remove_prefix(uri),
            MatchPolicy::Wildcard => self.remove_wildcard(uri),
        }
    }

    fn remove_prefix(&mut self, uri: &str) {
        if self.prefixes.remove(uri).is_none() {
            return;
        }
        trim(&mut self.prefixes);
        if let Some(count) = self.prefix_lengths.get_mut(&uri.len()) {
            *count -= 1;
            if *count == 0 {
                self.prefix_lengths.remove(&uri.len());
            }
        }
    }

    fn remove_wildcard(&mut self, uri: &str) {
        let shape = shape(uri);
        let digest = self.digest(uri, &shape);
        let Some(shapes) = self.wildcards.get_mut(&shape.len()) else { return };
        let Some(Shaped { patterns, digests }) = shapes.get_mut(&shape) else { return };
        if patterns.remove(uri).is_none() {
            return;
        }
        if let Some(count) = digests.get_mut(&digest) {
            *count -= 1;
            if *count == 0 {
                digests.remove(&digest);
            }
        }
        trim(patterns);
        trim(digests);
        if patterns.is_empty() {
            shapes.remove(&shape);
            if shapes.is_empty() {
                self.wildcards.remove(&shape.len());
            }
        }
    }

    /// The wildcard patterns that have as many components as the URI.
    fn shapes(&self, uri: &str) -> Option<&BTreeMap<Shape, Shaped<V>>> {
        if self.wildcards.is_empty() { None } else { self.wildcards.get(&components(uri)) }
    }

    /// Units of work of a look-up for patterns that match this URI, beside that for the URI itself.
    pub(crate) fn cost(&self, uri: &str) -> u64 {
        (self.prefix_lengths.len() + 2 * self.shapes(uri).map_or(0, BTreeMap::len)) as u64
    }

    /// What is stored under the URI itself.
    pub(crate) fn exact(&self, uri: &str) -> Option<V> {
        self.exact.get(uri).copied()
    }

    /// What is stored under prefixes of the URI, the longest first.
    pub(crate) fn prefixes(&self, uri: &str) -> impl Iterator<Item = V> {
        let lengths = self.prefix_lengths.range(..=uri.len()).rev();
        lengths.filter_map(move |(&length, _)| self.prefixes.get(uri.get(..length)?).copied())
    }

    /// What is stored under wildcard patterns that match the URI, in the specification's order of precedence.
    pub(crate) fn wildcards(&self, uri: &str) -> impl Iterator<Item = V> {
        let shapes = self.shapes(uri);
        let hashes: Vec<u64> = if shapes.is_some() { self.hashes(uri).collect() } else { Vec::new() };
        let mut blanked = String::new();
        shapes.into_iter().flatten().filter_map(move |(shape, Shaped { patterns, digests })| {
            if !digests.contains_key(&sum(hashes.iter().copied(), shape)) {
                return None;
            }
            blanked.clear();
            for (n, (component, wildcard)) in uri.split('.').zip(shape).enumerate() {
                if n > 0 {
                    blanked.push('.');
                }
                if !wildcard {
                    blanked.push_str(component);
                }
            }
            patterns.get(blanked.as_str()).copied()
        })
    }

    /// The hashes of the components of a URI, each with its place.
    fn hashes(&self, uri: &str) -> impl Iterator<Item = u64> {
        uri.split('.').enumerate().map(|component| self.seed.hash(&component))
    }

    fn digest(&self, pattern: &str, shape: &[bool]) -> u64 {
        sum(self.hashes(pattern), shape)
    }

    /// The one match that a call is routed to: exact, else as [`PatternMap::best_pattern`].
    pub(crate) fn best(&self, uri: &str) -> Option<V> {
        self.exact(uri).or_else(|| self.best_pattern(uri))
    }

    /// What is stored under the longest prefix that matches the URI, else under the most specific wildcard pattern.
    pub(crate) fn best_pattern(&self, uri: &str) -> Option<V> {
        self.prefixes(uri).next().or_else(|| self.wildcards(uri).next())
    }

    /// Every match, in a fixed order: exact, prefixes, wildcards.
    pub(crate) fn for_each_match(&self, uri: &str, mut visit: impl FnMut(V)) {
        if let Some(found) = self.exact(uri) {
            visit(found);
        }
        self.prefixes(uri).chain(self.wildcards(uri)).for_each(visit);
    }
}

/// The digest of components with these hashes, without those that are wildcards in the shape.
fn sum(hashes: impl Iterator<Item = u64>, shape: &[bool]) -> u64 {
    hashes.zip(shape).fold(0, |sum, (hash, wildcard)| sum.wrapping_add(if *wildcard { 0 } else { hash }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::matches;
    use MatchPolicy::{Exact, Prefix, Wildcard};
    use proptest::prelude::*;

    fn map(patterns: &[(MatchPolicy, &'static str)]) -> PatternMap<usize> {
        let mut map = PatternMap::new(&Seed::new(1));
        for (n, &(matching, uri)) in patterns.iter().enumerate() {
            map.insert(matching, Uri::from_static(uri), n + 1);
        }
        map
    }

    /// The specification's example with its numbers; where prefixes match by characters, its fifth call is changed so
    /// that no prefix matches.
    #[test]
    fn precedence_is_the_specifications() {
        let map = map(&[
            (Exact, "a1.b2.c3.d4.e55"),
            (Prefix, "a1.b2.c3"),
            (Prefix, "a1.b2.c3.d4"),
            (Wildcard, "a1.b2..d4.e5"),
            (Wildcard, "a1.b2.c44..e5"),
            (Wildcard, "a1.b2..d4.e5..g7"),
            (Wildcard, "a1.b2..d4..f6.g7"),
        ]);
        for (uri, best) in [
            ("a1.b2.c3.d4.e55", Some(1)),
            ("a1.b2.c3.d98.e74", Some(2)),
            ("a1.b2.c3.d4.e325", Some(3)),
            ("a1.b2.c55.d4.e5", Some(4)),
            ("a1.b2.c44.d4.e5", Some(5)),
            ("a1.b2.c88.d4.e5.f6.g7", Some(6)),
            ("a2.b2.c2.d2.e2", None),
        ] {
            assert_eq!(map.best(uri), best, "{uri}");
        }
    }

    #[test]
    fn a_prefix_never_splits_a_character() {
        let map = map(&[(Prefix, "com.é"), (Prefix, "com.e")]);
        assert_eq!(map.best("com.éa"), Some(1));
        assert_eq!(map.best("com.è"), None);
    }

    #[test]
    fn hostile_depth_costs_one_look_up_for_each_shape() {
        let pattern = ".".repeat(50_000);
        let mut map = PatternMap::new(&Seed::new(1));
        map.insert(Wildcard, Uri::from(pattern.clone()), 1);
        assert_eq!(map.best(&vec!["a"; 50_001].join(".")), Some(1));
        map.remove(Wildcard, &pattern);
        assert!(map.wildcards.is_empty());
    }

    #[test]
    fn room_is_for_the_shapes_of_as_many_components() {
        let mut map = map(&[(Wildcard, ".a"), (Wildcard, "a.")]);
        assert!(map.has_room(Wildcard, ".b", 2), "a shape that is there takes no room");
        assert!(!map.has_room(Wildcard, ".", 2) && map.has_room(Wildcard, ".", 3));
        assert!(map.has_room(Wildcard, "..", 2), "other shapes of three components do not matter");
        assert!(map.has_room(Prefix, "b", 2) && map.has_room(Exact, "b", 2));
        map.remove(Wildcard, ".a");
        assert!(map.has_room(Wildcard, ".", 2));
    }

    #[test]
    fn a_deep_shape_takes_room_by_its_components() {
        let mut map = map(&[]);
        let pattern = |components: usize, wild: usize| {
            (0..components).map(|n| if n == wild { "" } else { "a" }).collect::<Vec<_>>().join(".")
        };
        assert!(map.has_room(Wildcard, &pattern(16, 0), 1) && !map.has_room(Wildcard, &pattern(17, 0), 1));
        let mut stored = 0;
        while map.has_room(Wildcard, &pattern(512, stored), 256) {
            map.insert(Wildcard, Uri::from(pattern(512, stored)), stored);
            stored += 1;
        }
        assert_eq!(stored, 8);
        assert!(map.has_room(Wildcard, "a..b", 256));
    }

    fn uris(empty: bool) -> impl Strategy<Value = String> {
        let component = if empty { "[ab]{0,1}" } else { "[ab]" };
        proptest::collection::vec(component, 1..5).prop_map(|components| components.join("."))
    }

    proptest! {
        #[test]
        fn agrees_with_a_list(
            patterns in proptest::collection::vec((0..3u8, uris(true)), 0..12),
            removed in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
            uri in uris(false),
        ) {
            let policy = |n: u8| match n { 0 => Exact, 1 => Prefix, _ => Wildcard };
            let mut map = PatternMap::new(&Seed::new(7));
            let mut list: Vec<(MatchPolicy, String, usize)> = Vec::new();
            for (n, (matching, pattern)) in patterns.iter().enumerate() {
                let matching = policy(*matching);
                map.insert(matching, Uri::from(pattern.clone()), n);
                list.retain(|(m, p, _)| (*m, p) != (matching, pattern));
                list.push((matching, pattern.clone(), n));
            }
            for index in removed {
                if !list.is_empty() {
                    let (matching, pattern, _) = list.remove(index.index(list.len()));
                    map.remove(matching, &pattern);
                    map.remove(matching, &pattern);
                }
            }
            prop_assert_eq!(map.len(), list.len());
            let mut found = Vec::new();
            map.for_each_match(&uri, |n| found.push(n));
            prop_assert_eq!(map.best(&uri), found.first().copied());
            found.sort_unstable();
            let mut expected: Vec<_> =
                list.iter().filter(|(m, p, _)| matches(p, *m, &uri)).map(|(_, _, n)| *n).collect();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
            for (matching, pattern, n) in &list {
                prop_assert_eq!(map.get(*matching, pattern), Some(*n));
            }
        }
    }
}
