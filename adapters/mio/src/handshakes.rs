//! Which TLS handshakes go on in a turn.
//!
//! A signature takes up to 2 ms with a long RSA key. Strangers can ask for thousands of them at once, so each turn does a few,
//! and addresses have their turns one after the other: sessions are served in between, and who comes from elsewhere does not
//! wait for all handshakes of an attacker.

use std::collections::{HashMap, VecDeque};

use wampd_core::router::Origin;

use crate::{host::ConnectionId, reactor::Server};

/// Handshakes with something to be read that have not had their turn. `None` stands for all unix sockets.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    waiting: HashMap<Option<Origin>, VecDeque<(usize, ConnectionId)>>,
    /// The addresses in `waiting`, in the order in which they have their turn.
    order: VecDeque<Option<Origin>>,
    /// How many may go on in this turn of the server.
    left: usize,
}

impl Handshakes {
    pub(crate) const fn begin_turn(&mut self, most: usize) {
        self.left = most;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(crate) fn push(&mut self, origin: Option<Origin>, token: usize, id: ConnectionId) {
        let waiting = self.waiting.entry(origin).or_default();
        if waiting.is_empty() {
            self.order.push_back(origin);
        }
        waiting.push_back((token, id));
    }

    fn pop(&mut self) -> Option<(usize, ConnectionId)> {
        let origin = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&origin)?;
        let next = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&origin);
        } else {
            self.order.push_back(origin);
        }
        next
    }
}

impl Server {
    /// Whether the handshake of this connection may go on now; if not, it is resumed when it has its turn.
    pub(crate) fn may_handshake(&mut self, token: usize) -> bool {
        let Some(conn) = self.conns.get_mut(token) else { return false };
        if std::mem::take(&mut conn.may_handshake) {
            self.stats.tls_handshake_steps += 1;
            return true;
        }
        if !std::mem::replace(&mut conn.handshake_waits, true) {
            self.handshakes.push(conn.address.origin(), token, conn.id);
        }
        false
    }

    /// Lets handshakes go on, as many as are left for this turn.
    pub(crate) fn resume_handshakes(&mut self) {
        while self.handshakes.left > 0
            && let Some((token, id)) = self.handshakes.pop()
        {
            if let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.id == id) {
                (conn.handshake_waits, conn.may_handshake) = (false, true);
                self.handshakes.left -= 1;
                self.enqueue(token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn addresses_take_turns() {
        let origin = |text: &str| Some(Origin::from(text.parse::<IpAddr>().unwrap()));
        let mut handshakes = Handshakes::default();
        for token in 0..5 {
            handshakes.push(origin("192.0.2.1"), token, ConnectionId(0));
        }
        handshakes.push(origin("192.0.2.2"), 10, ConnectionId(0));
        handshakes.push(None, 20, ConnectionId(0));
        let order: Vec<usize> = std::iter::from_fn(|| handshakes.pop()).map(|(token, _)| token).collect();
        assert_eq!(order, [0, 10, 20, 1, 2, 3, 4]);
        assert!(handshakes.is_empty() && handshakes.waiting.is_empty());
    }
}
