//! How much memory connections hold, and who is ended when it is too much.
//!
//! What a connection holds is counted where it changes, by the difference, so nothing is ever added up.

use std::collections::{BTreeMap, BTreeSet};

use wampd_core::time::Instant;

use crate::{
    connection::{Body, Conn},
    host::{CloseCause, ConnectionId, Host},
    reactor::Server,
};

/// What one connection is counted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charge {
    /// Receive buffers, output queue, TLS and what the router keeps of the handshake; 0 once a session is joined.
    before_join: usize,
    /// Receive buffers alone.
    receiving: usize,
    /// Its place in [`Memory::receivers`], if it holds an unfinished message.
    place: Option<(bool, Instant)>,
}

/// What all connections hold.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Bytes held for those that have not joined a session.
    pub(crate) before_join: usize,
    /// Bytes in the receive buffers of all.
    pub(crate) receiving: usize,
    /// Those that hold something and have not joined, the oldest first.
    strangers: BTreeMap<ConnectionId, usize>,
    /// Those that hold an unfinished message: those that have not joined first, then those that have, the longest waiting
    /// first. The time may be earlier than that of the message: it is looked at again before anybody is ended, and moved then.
    receivers: BTreeSet<(bool, Instant, usize)>,
}

impl Memory {
    fn change(&mut self, token: usize, conn: &mut Conn, before_join: usize, receiving: usize, now: Instant) {
        let old = conn.charge;
        if (old.before_join == 0) != (before_join == 0) {
            if before_join == 0 {
                self.strangers.remove(&conn.id);
            } else {
                self.strangers.insert(conn.id, token);
            }
        }
        let place = match old.place {
            _ if receiving == 0 => None,
            Some((_, since)) => Some((conn.joined, since)),
            None => Some((conn.joined, now)),
        };
        if place != old.place {
            if let Some((joined, since)) = old.place {
                self.receivers.remove(&(joined, since, token));
            }
            if let Some((joined, since)) = place {
                self.receivers.insert((joined, since, token));
            }
            conn.charge.place = place;
        }
        self.before_join = self.before_join - old.before_join + before_join;
        self.receiving = self.receiving - old.receiving + receiving;
        (conn.charge.before_join, conn.charge.receiving) = (before_join, receiving);
    }

    /// Forgets a connection that is removed.
    pub(crate) fn release(&mut self, token: usize, conn: &mut Conn) {
        self.change(token, conn, 0, 0, Instant::ZERO);
    }
}

impl Conn {
    fn memory_before_join(&self, receiving: usize) -> usize {
        let out = match self.body {
            Body::None => self.out.len(),
            Body::Shared(len) => self.out.len().saturating_sub(len),
            Body::Own(_) if self.out.is_empty() => 0,
            Body::Own(len) => self.out.len().max(len),
        };
        receiving + out + self.stream.memory() + self.kept
    }
}

impl Server {
    /// Counts what a connection holds now.
    pub(crate) fn account(&mut self, token: usize) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let receiving = conn.wire.held_memory();
        let before_join = if conn.joined { 0 } else { conn.memory_before_join(receiving) };
        if (before_join, receiving) != (conn.charge.before_join, conn.charge.receiving) {
            self.memory.change(token, conn, before_join, receiving, self.now);
        }
    }

    /// Ends connections until all together hold no more than they may.
    pub(crate) fn relieve<H: Host + ?Sized>(&mut self, host: &mut H) {
        while self.memory.before_join > self.limits.max_memory_before_join {
            let Some((_, &token)) = self.memory.strangers.first_key_value() else { break };
            self.stats.memory_dropped_before_join += 1;
            self.drop_for_memory(token, CloseCause::MemoryBeforeJoin, host);
        }
        while self.memory.receiving > self.limits.max_receive_memory {
            let Some(token) = self.longest_unfinished() else { break };
            self.stats.receive_memory_dropped += 1;
            self.drop_for_memory(token, CloseCause::ReceiveMemory, host);
        }
    }

    /// The peer whose message has been unfinished for longest; one that has joined only if all have.
    fn longest_unfinished(&mut self) -> Option<usize> {
        loop {
            let &(joined, since, token) = self.memory.receivers.first()?;
            let conn = self.conns.get_mut(token)?;
            if conn.last_message <= since {
                return Some(token);
            }
            // A message has come in since: what is unfinished now is a later one.
            self.memory.receivers.pop_first();
            self.memory.receivers.insert((joined, conn.last_message, token));
            conn.charge.place = Some((joined, conn.last_message));
        }
    }

    fn drop_for_memory<H: Host + ?Sized>(&mut self, token: usize, cause: CloseCause, host: &mut H) {
        self.detach(token, host);
        self.remove(token, cause, host);
        self.drive(host);
    }
}
