//! A queue that serves those who wait in it by turns.

use std::collections::{BTreeMap, VecDeque};

use wampd_core::router::Origin;

/// Whose turn it is: a peer's address, or none for those of the same machine.
pub type Lane = Option<Origin>;

/// A queue of several lanes, of which each gives one item in turn: who asks much waits behind itself, not others behind
/// it. All operations but those that are said to scan cost the logarithm of the number of lanes.
#[derive(Debug)]
pub struct FairQueue<T> {
    lanes: BTreeMap<Lane, VecDeque<T>>,
    /// Lanes that are not empty, the next first.
    turns: VecDeque<Lane>,
    len: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lanes: BTreeMap::new(), turns: VecDeque::new(), len: 0 }
    }
}

impl<T> FairQueue<T> {
    /// How many items wait.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends an item to its lane, whatever waits.
    pub fn push(&mut self, lane: Lane, item: T) {
        let items = self.lanes.entry(lane).or_default();
        if items.is_empty() {
            self.turns.push_back(lane);
        }
        items.push_back(item);
        self.len += 1;
    }

    /// Takes the last item of the longest lane, if that is to the good of this one: if it has two more at least. Scans the
    /// lanes.
    pub fn make_room(&mut self, lane: Lane) -> Option<T> {
        let own = self.lanes.get(&lane).map_or(0, VecDeque::len);
        let longest = self.lanes.values_mut().max_by_key(|items| items.len())?;
        if longest.len() <= own + 1 {
            return None;
        }
        self.len -= 1;
        longest.pop_back()
    }

    /// Takes the first item of the lane whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let lane = self.turns.pop_front()?;
        let items = self.lanes.get_mut(&lane)?;
        let item = items.pop_front();
        if items.is_empty() {
            self.lanes.remove(&lane);
        } else {
            self.turns.push_back(lane);
        }
        self.len -= usize::from(item.is_some());
        item
    }

    /// The first items of all lanes.
    pub fn firsts(&self) -> impl Iterator<Item = &T> {
        self.lanes.values().filter_map(VecDeque::front)
    }

    /// Takes all items of which this is true. Scans.
    pub fn take_if(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        for items in self.lanes.values_mut() {
            for _ in 0..items.len() {
                let Some(item) = items.pop_front() else { break };
                if wanted(&item) {
                    taken.push(item);
                } else {
                    items.push_back(item);
                }
            }
        }
        self.lanes.retain(|_, items| !items.is_empty());
        self.turns.retain(|lane| self.lanes.contains_key(lane));
        self.len -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn lane(n: u8) -> Lane {
        Some(Origin::from(IpAddr::from([127, 0, 0, n])))
    }

    fn queue(items: &[(u8, u32)]) -> FairQueue<u32> {
        let mut queue = FairQueue::default();
        items.iter().for_each(|(n, item)| queue.push(lane(*n), *item));
        queue
    }

    fn all<T>(mut queue: FairQueue<T>) -> Vec<T> {
        let items: Vec<T> = core::iter::from_fn(|| queue.pop()).collect();
        assert!(queue.len == 0 && queue.lanes.is_empty() && queue.turns.is_empty());
        items
    }

    #[test]
    fn lanes_take_turns_and_keep_their_order() {
        assert_eq!(all(queue(&[(1, 10), (1, 11), (1, 12), (2, 20), (3, 30), (3, 31)])), [10, 20, 30, 11, 31, 12]);
        assert_eq!(all(queue(&[])), [0_u32; 0]);
    }

    #[test]
    fn room_is_made_by_who_has_most_for_who_has_less() {
        let mut full = queue(&[(1, 10), (1, 11), (1, 12), (2, 20)]);
        assert_eq!(full.make_room(lane(1)), None, "not for itself");
        assert_eq!(full.make_room(lane(2)), Some(12));
        assert_eq!(full.make_room(lane(2)), None, "no more than the others have");
        assert_eq!(full.make_room(lane(3)), Some(11));
        assert_eq!(full.make_room(lane(3)), None);
        assert_eq!((full.len(), all(full)), (2, vec![10, 20]));
    }

    #[test]
    fn what_is_not_wanted_any_more_is_taken_out_of_all_lanes() {
        let mut some = queue(&[(1, 10), (1, 11), (2, 21), (3, 30)]);
        assert_eq!(some.take_if(|item| item % 10 == 1), [11, 21]);
        assert_eq!(some.len(), 2);
        some.push(lane(2), 22);
        assert_eq!(some.firsts().copied().collect::<Vec<_>>(), [10, 22, 30]);
        assert_eq!(all(some), [10, 30, 22]);
    }
}
