//! One procedure and its callees, and which of them gets a call
//! (spec: "Shared Registration", "Call Re-Routing", "Sharded Registration").
//!
//! # Sharding
//!
//! The specification's chapter is a sketch; this is what the router makes of it. A callee that registers with `nkey` is
//! a shard, named by that node key. A call with `rkey` goes to the shard that this resource key belongs to, whatever the
//! invocation policy: the one with the highest score of rendezvous hashing, where events with the same keys go too. Of
//! shards with equal node keys the first to register gets the calls and the others stand by. A call with `rkey` where
//! there is no shard, and one without `rkey`, go by the invocation policy.

use super::PeerKey;
use super::call::CallKey;
use super::rendezvous::{hash, score};
use crate::message::InvocationPolicy;
use crate::time::UnixTime;
use crate::uri::{MatchPolicy, Uri};
use core::cmp::Reverse;
use rand_core::CryptoRng;
use std::collections::BTreeMap;

/// One procedure and match policy, shared by all its callees.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) uri: Uri,
    pub(crate) matching: MatchPolicy,
    pub(crate) invoke: InvocationPolicy,
    pub(crate) created: UnixTime,
    /// In the order in which they came, so sorted by place; never empty between inputs.
    pub(crate) callees: Vec<Callee>,
    /// The place after which round robin goes on.
    turn: u64,
    /// How many callees are shards.
    shards: usize,
    /// How many callees are below their `concurrency`.
    pub(crate) free: usize,
    /// Invocations of the present callees without a final answer.
    pub(crate) busy: usize,
    /// Calls that wait for any callee, by their tickets: the order in which they came.
    pub(crate) queue: BTreeMap<u64, CallKey>,
    /// How many calls wait for any callee, or for a shard.
    pub(crate) waiting: usize,
    /// Bytes kept of these.
    pub(crate) waiting_bytes: usize,
    /// How many callees are to be waited for until they read again.
    pub(crate) awaited: usize,
}

/// One callee of a registration.
#[derive(Debug)]
pub(crate) struct Callee {
    pub(crate) place: u64,
    pub(crate) peer: PeerKey,
    /// Invocations this callee takes at a time for this registration.
    pub(crate) concurrency: Option<u32>,
    /// Wants to know who calls.
    pub(crate) disclose_caller: bool,
    /// Wants to time calls itself.
    pub(crate) forward_timeout: bool,
    /// The hash of its node key, if it is a shard.
    pub(crate) shard: Option<u64>,
    /// Invocations of this registration without a final answer.
    pub(crate) busy: u32,
    /// Calls that wait for this shard, by their tickets.
    pub(crate) queue: BTreeMap<u64, CallKey>,
    /// Calls wait until it reads again: the registration is in its session's list.
    pub(crate) awaited: bool,
}

impl Callee {
    pub(crate) fn is_free(&self) -> bool {
        self.concurrency.is_none_or(|limit| self.busy < limit)
    }
}

/// Whether a callee should be given another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fitness {
    Fit,
    /// It is not read from for now: others are preferred.
    Unread,
    /// What waits to be written to it is to become less first.
    Congested,
    /// It has as many invocations as it may have, or has not read for too long.
    Full,
    /// It has not announced what the call needs.
    Incapable,
    /// Its session is over: it is passed over.
    Gone,
}

/// What a call asks of its callee.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Its resource key.
    pub(crate) rkey: Option<&'a str>,
    /// The places of callees that have said they are unavailable.
    pub(crate) tried: &'a [u64],
    /// Some callees may be [`Fitness::Gone`].
    pub(crate) some_gone: bool,
}

/// The callee that is to get a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chosen {
    pub(crate) place: u64,
    pub(crate) peer: PeerKey,
    pub(crate) disclose_caller: bool,
    pub(crate) forward_timeout: bool,
}

/// Where a call goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    /// To this callee, which has been counted as busy with it.
    Callee(Chosen),
    /// Into the line for any callee (`None`), or for the shard at this place: it is busy, or does not keep up.
    Line(Option<u64>),
    /// Nowhere: every callee has as many invocations as it may have, or was tried.
    Nowhere,
    /// Nowhere: no callee has announced what the call needs.
    Incapable,
}

impl Registration {
    pub(crate) const fn new(uri: Uri, matching: MatchPolicy, invoke: InvocationPolicy, created: UnixTime) -> Self {
        Self {
            uri,
            matching,
            invoke,
            created,
            callees: Vec::new(),
            turn: 0,
            shards: 0,
            free: 0,
            busy: 0,
            queue: BTreeMap::new(),
            waiting: 0,
            waiting_bytes: 0,
            awaited: 0,
        }
    }

    pub(crate) fn add(&mut self, callee: Callee) {
        self.free += usize::from(callee.is_free());
        self.shards += usize::from(callee.shard.is_some());
        if self.callees.is_empty() {
            // Most have one only.
            self.callees.reserve_exact(1);
        }
        self.callees.push(callee);
    }

    /// Takes a callee off. What waited for it has to be placed anew.
    pub(crate) fn remove(&mut self, place: u64) -> Option<Callee> {
        let callee = self.callees.remove(self.index_of(place)?);
        self.free -= usize::from(callee.is_free());
        self.shards -= usize::from(callee.shard.is_some());
        self.busy -= callee.busy as usize;
        self.awaited -= usize::from(callee.awaited);
        Some(callee)
    }

    /// Whether any callee is a shard.
    pub(crate) const fn is_sharded(&self) -> bool {
        self.shards > 0
    }

    /// The callees behind a place.
    pub(crate) fn callees_behind(&self, place: Option<u64>) -> impl ExactSizeIterator<Item = &Callee> {
        let from = place.map_or(0, |place| self.callees.partition_point(|callee| callee.place <= place));
        self.callees.get(from..).unwrap_or_default().iter()
    }

    fn index_of(&self, place: u64) -> Option<usize> {
        self.callees.binary_search_by_key(&place, |callee| callee.place).ok()
    }

    pub(crate) fn callee_at(&self, place: u64) -> Option<&Callee> {
        self.callees.get(self.index_of(place)?)
    }

    pub(crate) fn callee_at_mut(&mut self, place: u64) -> Option<&mut Callee> {
        let index = self.index_of(place)?;
        self.callees.get_mut(index)
    }

    /// An invocation of the callee at this place is over. The callee may have unregistered meanwhile.
    pub(crate) fn release(&mut self, place: u64) {
        let Some(callee) = self.callee_at_mut(place) else { return };
        let was_free = callee.is_free();
        callee.busy = callee.busy.saturating_sub(1);
        let freed = !was_free && callee.is_free();
        self.free += usize::from(freed);
        self.busy -= 1;
    }

    /// Chooses where a call goes. A callee that is chosen counts as busy with it from now on.
    pub(crate) fn choose(
        &mut self,
        rng: &mut dyn CryptoRng,
        wanted: Wanted<'_>,
        fitness: impl Fn(PeerKey) -> Fitness,
    ) -> Choice {
        let is_there = |shard: &Callee| !wanted.some_gone || fitness(shard.peer) != Fitness::Gone;
        let mut shards = self.callees.iter().filter(|callee| callee.shard.is_some());
        let rkey = wanted.rkey.filter(|_| self.is_sharded() && (!wanted.some_gone || shards.any(is_there)));
        let found = match rkey {
            Some(rkey) => self.shard_of(rkey, wanted.tried, is_there, &fitness),
            None => self.by_policy(rng, wanted.tried, fitness),
        };
        let index = match found {
            Ok(index) => index,
            Err(otherwise) => return otherwise,
        };
        let Some(callee) = self.callees.get_mut(index) else { return Choice::Nowhere };
        callee.busy += 1;
        self.busy += 1;
        self.free -= usize::from(!callee.is_free());
        if rkey.is_none() {
            self.turn = callee.place + 1;
        }
        let Callee { place, peer, disclose_caller, forward_timeout, .. } = *callee;
        Choice::Callee(Chosen { place, peer, disclose_caller, forward_timeout })
    }

    /// The first in the policy's order that is fit, else the first that can take the call now.
    fn by_policy(
        &self,
        rng: &mut dyn CryptoRng,
        tried: &[u64],
        fitness: impl Fn(PeerKey) -> Fitness,
    ) -> Result<usize, Choice> {
        let count = self.callees.len();
        let (start, step) = match self.invoke {
            InvocationPolicy::Single | InvocationPolicy::First => (0, 1),
            InvocationPolicy::Last => (count.saturating_sub(1), count.saturating_sub(1)), // backwards, modulo count
            InvocationPolicy::RoundRobin => (self.callees.partition_point(|callee| callee.place < self.turn), 1),
            InvocationPolicy::Random if count > 1 && self.free > 0 => ((rng.next_u64() % count as u64) as usize, 1),
            InvocationPolicy::Random => (0, 1),
        };
        let (mut second_best, mut waits, mut capable, mut all_gone) = (None, false, !tried.is_empty(), true);
        for index in (0..count).map(|n| (start + n * step) % count) {
            let Some(callee) = self.callees.get(index).filter(|callee| !tried.contains(&callee.place)) else {
                continue;
            };
            let fitness = fitness(callee.peer);
            capable |= !matches!(fitness, Fitness::Incapable | Fitness::Gone);
            all_gone &= fitness == Fitness::Gone;
            match fitness {
                Fitness::Incapable | Fitness::Gone => {}
                _ if !callee.is_free() => waits = true,
                Fitness::Fit => return Ok(index),
                Fitness::Unread => second_best = second_best.or(Some(index)),
                Fitness::Congested => waits = true,
                Fitness::Full => {}
            }
            if waits && self.free == 0 {
                // Nobody is free: no use in asking everybody.
                break;
            }
        }
        match second_best {
            Some(index) => Ok(index),
            None if waits => Err(Choice::Line(None)),
            None if capable || all_gone => Err(Choice::Nowhere),
            None => Err(Choice::Incapable),
        }
    }

    /// The shard that a resource key belongs to, without those that were tried: see the module's documentation. If it
    /// can not take the call now, no other can in its place.
    fn shard_of(
        &self,
        rkey: &str,
        tried: &[u64],
        is_there: impl Fn(&Callee) -> bool,
        fitness: impl Fn(PeerKey) -> Fitness,
    ) -> Result<usize, Choice> {
        let rkey = hash(rkey);
        let may_have_it = |callee: &Callee| !tried.contains(&callee.place) && is_there(callee);
        let untried = self.callees.iter().enumerate().filter(|(_, callee)| may_have_it(callee));
        let scored = untried.filter_map(|(index, callee)| Some((score(rkey, callee.shard?), Reverse(index))));
        let Reverse(index) = scored.max().ok_or(Choice::Nowhere)?.1;
        let shard = self.callees.get(index).ok_or(Choice::Nowhere)?;
        match fitness(shard.peer) {
            Fitness::Incapable => Err(Choice::Incapable),
            _ if !shard.is_free() => Err(Choice::Line(Some(shard.place))),
            Fitness::Congested => Err(Choice::Line(Some(shard.place))),
            Fitness::Fit | Fitness::Unread => Ok(index),
            Fitness::Full | Fitness::Gone => Err(Choice::Nowhere),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Key;
    use crate::rng::CountingRng;

    fn registration(shards: &[&str]) -> Registration {
        let mut registration =
            Registration::new(Uri::from_static("com.x"), MatchPolicy::Exact, InvocationPolicy::RoundRobin, UnixTime(0));
        for (place, nkey) in (0..).zip(shards) {
            registration.add(Callee {
                place,
                peer: PeerKey::from_parts(0, 0),
                concurrency: None,
                disclose_caller: false,
                forward_timeout: false,
                shard: (!nkey.is_empty()).then(|| hash(nkey)),
                busy: 0,
                queue: BTreeMap::new(),
                awaited: false,
            });
        }
        registration
    }

    fn place(registration: &mut Registration, rkey: &str, tried: &[u64]) -> Option<u64> {
        let wanted = Wanted { rkey: Some(rkey), tried, some_gone: false };
        match registration.choose(&mut CountingRng(1), wanted, |_| Fitness::Fit) {
            Choice::Callee(chosen) => Some(chosen.place),
            _ => None,
        }
    }

    fn rkeys() -> impl Iterator<Item = String> {
        (0..4_000).map(|n| format!("sn{n}"))
    }

    /// Fixed for ever: data is stored by it.
    #[test]
    fn resource_keys_belong_to_their_shards_for_ever() {
        let mut shards = registration(&["node1", "node2", "node3", "node4"]);
        let places = ["sn239019", "a", "b", "", "é", "customer/17"].map(|rkey| place(&mut shards, rkey, &[]));
        assert_eq!(places, [0, 3, 3, 0, 0, 1].map(Some));
    }

    #[test]
    fn shards_get_about_as_much_each() {
        let mut shards = registration(&["a", "b", "c", "d", "e"]);
        let mut counts = [0; 5];
        for rkey in rkeys() {
            counts[place(&mut shards, &rkey, &[]).unwrap() as usize] += 1;
        }
        assert!(counts.iter().all(|count| (700..900).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_shard_that_goes_moves_only_its_own() {
        let mut all = registration(&["a", "b", "c", "d"]);
        let mut fewer = registration(&["a", "b", "c", "d"]);
        fewer.remove(1);
        for rkey in rkeys() {
            let (before, after) = (place(&mut all, &rkey, &[]), place(&mut fewer, &rkey, &[]));
            assert!(before == after || before == Some(1) && after.is_some(), "{rkey}");
            // Tried is as good as gone.
            assert_eq!(place(&mut all, &rkey, &[1]), after);
        }
    }

    #[test]
    fn shards_are_told_from_other_callees() {
        let mut mixed = registration(&["", "a", "", "a"]);
        assert!(rkeys().all(|rkey| place(&mut mixed, &rkey, &[]) == Some(1)), "the first of a node key");
        assert_eq!(place(&mut mixed, "x", &[1]), Some(3));
        assert_eq!(place(&mut mixed, "x", &[1, 3]), None, "others are no shards");
        let mut none = registration(&["", ""]);
        assert_eq!([(); 3].map(|()| place(&mut none, "x", &[])), [Some(0), Some(1), Some(0)]);
    }
}
