//! Deadlines, in order: exact cancellation, and the earliest first.

use super::PeerKey;
use super::call::CallKey;
use crate::time::Instant;
use std::collections::BTreeSet;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKey {
    /// What the peer is waited for: HELLO, AUTHENTICATE, a verdict about it, its GOODBYE.
    Peer(PeerKey),
    /// A call's timeout.
    Call(CallKey),
    /// The end of the time that a publisher is not read from.
    Publisher(PeerKey),
    /// The callee of a call that goes on has to catch up.
    Stall(CallKey),
    /// A congested peer has to read some of what waits, or calls wait for it no longer.
    Patience(PeerKey),
}

#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Instant, TimerKey)>);

impl Timers {
    pub(crate) fn set(&mut self, at: Instant, key: TimerKey) {
        self.0.insert((at, key));
    }

    pub(crate) fn cancel(&mut self, at: Instant, key: TimerKey) {
        self.0.remove(&(at, key));
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes the earliest deadline that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<TimerKey> {
        self.0.first().filter(|(at, _)| *at <= now)?;
        self.0.pop_first().map(|(_, key)| key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
