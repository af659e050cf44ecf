//! The subscribers of one subscription, and how an event with a resource key finds its node among them (spec: "Sharded
//! Subscription").
//!
//! The specification names the two keys and leaves the rest open. Here it is this:
//! * Subscribers that gave a node key (`nkey`) form nodes, one for each key. All others are on their own.
//! * An event with a resource key (`rkey`) reaches one node, with all its subscribers, and every subscriber on its own.
//!   Equal resource keys reach the same node as long as that node is there. When a node comes or goes, only the keys
//!   that it takes or leaves behind move.
//! * An event without a resource key reaches everybody.
//! * Publisher exclusion and black- and whitelisting count after that: they never redirect an event to another node.

use super::PeerKey;
use super::audience::Filter;
use super::rendezvous::{hash, score};
use crate::id::SubscriptionId;
use core::ops::Bound::{Excluded, Unbounded};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A place among the subscribers, in the order in which they are walked over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// On its own.
    Single(u64),
    /// In a node.
    Sharded(u64),
}

/// Who holds a subscription. Places number the subscribers in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    /// Those without a node key, in the order in which they came: events reach them in this order.
    single: BTreeMap<u64, PeerKey>,
    shards: Option<Box<Shards>>,
}

/// The subscribers with node keys.
#[derive(Debug, Default)]
struct Shards {
    nodes: BTreeMap<Arc<str>, Node>,
    /// The node of each place.
    places: BTreeMap<u64, Arc<str>>,
}

/// The subscribers with one node key; never empty.
#[derive(Debug)]
struct Node {
    hash: u64,
    members: BTreeMap<u64, PeerKey>,
}

impl Subscribers {
    /// Puts a subscriber at its place, in the node of this key if it gave one.
    pub(crate) fn insert(&mut self, place: u64, peer: PeerKey, node: Option<&str>) {
        let Some(key) = node else {
            self.single.insert(place, peer);
            return;
        };
        let shards = self.shards.get_or_insert_default();
        let key = match shards.nodes.get_key_value(key) {
            Some((key, _)) => key.clone(),
            None => Arc::from(key),
        };
        let new = || Node { hash: hash(&key), members: BTreeMap::new() };
        shards.nodes.entry(key.clone()).or_insert_with(new).members.insert(place, peer);
        shards.places.insert(place, key);
    }

    /// Takes the subscriber at a place away.
    pub(crate) fn remove(&mut self, place: u64) {
        if self.single.remove(&place).is_some() {
            return;
        }
        let Some(shards) = &mut self.shards else { return };
        let Some(key) = shards.places.remove(&place) else { return };
        if let Some(node) = shards.nodes.get_mut(&key) {
            node.members.remove(&place);
            if node.members.is_empty() {
                shards.nodes.remove(&key);
            }
        }
        if shards.nodes.is_empty() {
            self.shards = None;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.single.len() + self.shards.as_ref().map_or(0, |shards| shards.places.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.single.is_empty() && self.shards.is_none()
    }

    /// Whether a node of this key fits beside at most `max_nodes - 1` others.
    pub(crate) fn has_room(&self, key: &str, max_nodes: usize) -> bool {
        let Some(shards) = &self.shards else { return max_nodes > 0 };
        shards.nodes.len() < max_nodes || shards.nodes.contains_key(key)
    }

    /// Every subscriber: those on their own in the order in which they came, then node by node.
    pub(crate) fn iter(&self) -> impl Iterator<Item = PeerKey> {
        let nodes = self.shards.iter().flat_map(|shards| shards.nodes.values());
        self.single.values().chain(nodes.flat_map(|node| node.members.values())).copied()
    }

    /// Where a subscriber is.
    pub(crate) fn locate(&self, place: u64) -> Place {
        if self.single.contains_key(&place) { Place::Single(place) } else { Place::Sharded(place) }
    }

    /// Every subscriber behind a place: those on their own, then those in nodes, each in the order in which they came.
    pub(crate) fn behind(&self, place: Option<Place>) -> impl Iterator<Item = (Place, PeerKey)> {
        let (single, sharded) = match place {
            None => (Unbounded, Unbounded),
            Some(Place::Single(place)) => (Excluded(place), Unbounded),
            Some(Place::Sharded(place)) => (Excluded(u64::MAX), Excluded(place)),
        };
        let single = self.single.range((single, Unbounded)).map(|(place, peer)| (Place::Single(*place), *peer));
        let shards = self.shards.as_deref().into_iter();
        let sharded = shards.flat_map(move |shards| {
            let places = shards.places.range((sharded, Unbounded));
            places.filter_map(|(place, node)| {
                let peer = shards.nodes.get(node)?.members.get(place)?;
                Some((Place::Sharded(*place), *peer))
            })
        });
        single.chain(sharded)
    }

    /// The receivers of an event.
    pub(crate) fn select(&self, filter: &Filter<'_>, id: SubscriptionId, rkey: Option<&str>) -> Vec<PeerKey> {
        if let Some(mut candidates) = filter.eligible(id, self.len()) {
            let node = self.node_of(rkey, |peer| filter.is_there(peer));
            candidates.retain(|&(place, peer)| self.receiver_at(place, rkey, node) == Some(peer));
            let mut selected = Vec::with_capacity(candidates.len());
            filter.select_into(&mut selected, candidates.into_iter().map(|(_, peer)| peer));
            return selected;
        }
        let mut selected = Vec::with_capacity(self.single.len());
        filter.select_into(&mut selected, self.single.values().copied());
        if let Some(shards) = &self.shards {
            match rkey {
                Some(_) => {
                    let node = self.node_of(rkey, |peer| filter.is_there(peer));
                    let members = node.into_iter().flat_map(|node| node.members.values());
                    filter.select_into(&mut selected, members.copied());
                }
                None => {
                    let members = shards.nodes.values().flat_map(|node| node.members.values());
                    filter.select_into(&mut selected, members.copied());
                }
            }
        }
        selected
    }

    /// Whether the subscriber at a place would receive an event with this resource key, among those that are there.
    pub(crate) fn reaches(&self, place: u64, rkey: Option<&str>, is_there: impl Fn(PeerKey) -> bool) -> bool {
        self.receiver_at(place, rkey, self.node_of(rkey, is_there)).is_some()
    }

    /// The node that an event with this resource key is for: one with subscribers that are there.
    fn node_of(&self, rkey: Option<&str>, is_there: impl Fn(PeerKey) -> bool) -> Option<&Node> {
        self.shards.as_ref()?.node_of(rkey?, is_there)
    }

    /// The subscriber at a place, if it would receive an event with this resource key, which is for this node.
    fn receiver_at(&self, place: u64, rkey: Option<&str>, node: Option<&Node>) -> Option<PeerKey> {
        let single = self.single.get(&place);
        let member = || match rkey {
            Some(_) => node?.members.get(&place),
            None => {
                let shards = self.shards.as_ref()?;
                shards.nodes.get(shards.places.get(&place)?)?.members.get(&place)
            }
        };
        single.or_else(member).copied()
    }

    /// # Panics
    /// When the tables do not agree with each other.
    pub(crate) fn check_invariants(&self) {
        let Some(shards) = &self.shards else { return };
        assert!(!shards.nodes.is_empty(), "shards without a node");
        let mut members = 0;
        for (key, node) in &shards.nodes {
            assert!(!node.members.is_empty(), "a node without subscribers");
            members += node.members.len();
            for place in node.members.keys() {
                assert_eq!(shards.places.get(place), Some(key), "a subscriber's node");
                assert!(!self.single.contains_key(place), "a subscriber counted twice");
            }
        }
        assert_eq!(shards.places.len(), members, "subscribers with node keys");
    }
}

impl Shards {
    /// The node with the highest score for a resource key; of equals, the one whose key comes first.
    fn node_of(&self, rkey: &str, is_there: impl Fn(PeerKey) -> bool) -> Option<&Node> {
        let rkey = hash(rkey);
        let score = |node: &Node| score(rkey, node.hash);
        let present = self.nodes.values().filter(|node| node.members.values().any(|peer| is_there(*peer)));
        present.reduce(|best, node| if score(node) > score(best) { node } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Key;

    fn peer(n: u32) -> PeerKey {
        PeerKey::from_parts(n, 0)
    }

    fn nodes(count: u32) -> Subscribers {
        let mut subscribers = Subscribers::default();
        for n in 0..count {
            subscribers.insert(u64::from(n), peer(n), Some(&format!("node{n}")));
        }
        subscribers
    }

    fn node_of(subscribers: &Subscribers, rkey: &str) -> u64 {
        let found = (0..100).filter(|place| subscribers.reaches(*place, Some(rkey), |_| true));
        let [place] = found.collect::<Vec<_>>()[..] else { panic!("one node") };
        place
    }

    /// Part of the contract: a node that comes back after a restart of the router finds its keys again.
    #[test]
    fn keys_are_where_they_have_always_been() {
        let subscribers = nodes(3);
        let at: Vec<_> = ["sn1", "sn2", "sn3", "sn4", "sn5", "sn6"].map(|rkey| node_of(&subscribers, rkey)).into();
        assert_eq!(at, [0, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn a_node_that_goes_leaves_all_other_keys_where_they_are() {
        let mut subscribers = nodes(10);
        let keys: Vec<_> = (0..1_000).map(|n| format!("sn{n}")).collect();
        let before: Vec<_> = keys.iter().map(|key| node_of(&subscribers, key)).collect();
        let mut share = [0; 10];
        before.iter().for_each(|node| share[*node as usize] += 1);
        assert!(share.iter().all(|keys| (60..=140).contains(keys)), "{share:?}");
        subscribers.remove(7);
        subscribers.check_invariants();
        for (key, before) in keys.iter().zip(before) {
            let after = node_of(&subscribers, key);
            assert!(if before == 7 { after != 7 } else { after == before }, "{key}: {before}, {after}");
        }
    }

    #[test]
    fn equal_node_keys_are_one_node() {
        let mut subscribers = Subscribers::default();
        subscribers.insert(1, peer(1), None);
        subscribers.insert(2, peer(2), Some("a"));
        subscribers.insert(3, peer(3), Some("a"));
        subscribers.check_invariants();
        assert!((1..=3).all(|place| subscribers.reaches(place, Some("any"), |_| true)));
        assert_eq!(subscribers.iter().collect::<Vec<_>>(), [peer(1), peer(2), peer(3)]);
        assert!(subscribers.has_room("a", 1) && !subscribers.has_room("b", 1));
        for place in 1..=3 {
            assert_eq!(subscribers.len(), 4 - place as usize);
            subscribers.remove(place);
            subscribers.check_invariants();
        }
        assert!(subscribers.is_empty());
    }
}
