//! A slab whose keys are typed and never mean two things: a slot's generation grows each time it is freed.

use crate::id::{RegistrationId, SubscriptionId};
use core::marker::PhantomData;

/// A key of an [`Arena`]: a slot and its generation.
pub(crate) trait Key: Copy {
    /// The last generation that a key can hold; a slot freed in it is retired.
    const MAX_GENERATION: u32;

    fn from_parts(index: u32, generation: u32) -> Self;
    /// The slot and generation; slots that do not exist are fine.
    fn into_parts(self) -> (u32, u32);
}

/// Declares a key type.
macro_rules! key {
    ($(#[$doc:meta])* $vis:vis $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $vis struct $name {
            index: u32,
            generation: u32,
        }

        impl $name {
            /// The number of the slot, dense from 0.
            #[allow(dead_code, reason = "not every kind of key is used as an index")]
            $vis const fn index(self) -> usize {
                self.index as usize
            }
        }

        impl $crate::arena::Key for $name {
            const MAX_GENERATION: u32 = u32::MAX;

            fn from_parts(index: u32, generation: u32) -> Self {
                Self { index, generation }
            }

            fn into_parts(self) -> (u32, u32) {
                (self.index, self.generation)
            }
        }
    };
}
pub(crate) use key;

/// Ids of the router scope are chosen by the router: 32 bits of slot below 21 bits of generation, plus one, which is
/// exactly 1..=2^53. UNSUBSCRIBE and UNREGISTER thus need no look-up, and a stale id finds nothing.
macro_rules! wire_key {
    ($name:ident) => {
        impl Key for $name {
            const MAX_GENERATION: u32 = (1 << 21) - 1;

            fn from_parts(index: u32, generation: u32) -> Self {
                let packed = u64::from(generation & Self::MAX_GENERATION) << 32 | u64::from(index);
                #[allow(clippy::expect_used, reason = "packed < 2^53, so packed + 1 is in 1..=2^53")]
                Self::new(packed + 1).expect("53 bits plus one is an id")
            }

            fn into_parts(self) -> (u32, u32) {
                let packed = self.get() - 1;
                ((packed & u64::from(u32::MAX)) as u32, (packed >> 32) as u32)
            }
        }
    };
}
wire_key!(SubscriptionId);
wire_key!(RegistrationId);

/// Values by key. All operations are O(1); iteration is in the order of the slots.
#[derive(Debug)]
pub(crate) struct Arena<K, T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
    key: PhantomData<fn() -> K>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<K: Key, T> Arena<K, T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0, key: PhantomData }
    }

    /// Stores a value in the slot that was freed last.
    ///
    /// # Panics
    /// With 2^32 slots in use or retired, which no limit of the router comes near.
    pub(crate) fn insert(&mut self, value: T) -> K {
        self.len += 1;
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            slot.value = Some(value);
            return K::from_parts(index, slot.generation);
        }
        #[allow(clippy::expect_used, reason = "2^32 slots would need hundreds of GiB first")]
        let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 slots");
        self.slots.push(Slot { generation: 0, value: Some(value) });
        K::from_parts(index, 0)
    }

    pub(crate) fn get(&self, key: K) -> Option<&T> {
        let (index, generation) = key.into_parts();
        self.slots.get(index as usize).filter(|slot| slot.generation == generation)?.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        let (index, generation) = key.into_parts();
        self.slots.get_mut(index as usize).filter(|slot| slot.generation == generation)?.value.as_mut()
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<T> {
        let (index, generation) = key.into_parts();
        let slot = self.slots.get_mut(index as usize).filter(|slot| slot.generation == generation)?;
        let value = slot.value.take()?;
        self.len -= 1;
        if generation < K::MAX_GENERATION {
            slot.generation += 1;
            self.free.push(index);
        }
        Some(value)
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.iter_from(0)
    }

    /// As [`Arena::iter`], from the slot of this number on.
    pub(crate) fn iter_from(&self, index: usize) -> impl Iterator<Item = (K, &T)> {
        // There are fewer slots than a u32 counts.
        let from = self.slots.get(index..).unwrap_or_default();
        from.iter()
            .zip(index as u32..)
            .filter_map(|(slot, index)| slot.value.as_ref().map(|value| (K::from_parts(index, slot.generation), value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MAX_ID;

    key! {
        /// A key for tests.
        TestKey
    }

    #[test]
    fn stale_keys_find_nothing() {
        let mut arena = Arena::<TestKey, _>::new();
        let a = arena.insert('a');
        assert_eq!(arena.remove(a), Some('a'));
        let b = arena.insert('b');
        assert_eq!(b.index(), a.index());
        assert_eq!(arena.get(a), None);
        assert_eq!(arena.remove(a), None);
        assert_eq!((arena.get(b), arena.len()), (Some(&'b'), 1));
    }

    #[test]
    fn iterates_in_the_order_of_slots() {
        let mut arena = Arena::<TestKey, _>::new();
        let keys: Vec<_> = (0..4).map(|n| arena.insert(n)).collect();
        arena.remove(keys[1]);
        assert_eq!(arena.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [0, 2, 3]);
    }

    #[test]
    fn wire_ids_start_at_1_and_end_at_2_pow_53() {
        let mut arena = Arena::<SubscriptionId, _>::new();
        assert_eq!(arena.insert(()).get(), 1);
        assert_eq!(arena.insert(()).get(), 2);
        let last = SubscriptionId::from_parts(u32::MAX, SubscriptionId::MAX_GENERATION);
        assert_eq!((last.get(), last.into_parts()), (MAX_ID, (u32::MAX, SubscriptionId::MAX_GENERATION)));
        assert_eq!(arena.get(last), None);
    }

    #[test]
    fn a_slot_is_retired_after_its_last_generation() {
        let mut arena = Arena::<SubscriptionId, _>::new();
        let id = arena.insert(());
        arena.slots[0].generation = SubscriptionId::MAX_GENERATION;
        let last = SubscriptionId::from_parts(0, SubscriptionId::MAX_GENERATION);
        assert_eq!(arena.get(id), None);
        assert_eq!(arena.remove(last), Some(()));
        assert_ne!(arena.insert(()).into_parts().0, 0);
    }
}
