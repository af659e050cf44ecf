//! Which TLS handshakes go on in a turn.
//!
//! A signature takes up to 2 ms with a long RSA key. Strangers can ask for thousands of them at once, so each turn does a few,
//! and addresses have their turns one after the other: sessions are served in between, and who comes from elsewhere does not
//! wait for all handshakes of an attacker.

use crate::{fair::FairQueue, host::ConnectionId, reactor::Server};

/// Handshakes with something to be read that have not had their turn.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    waiting: FairQueue<(usize, ConnectionId)>,
    /// How many may go on in this turn of the server.
    left: usize,
}

impl Handshakes {
    pub(crate) const fn begin_turn(&mut self, most: usize) {
        self.left = most;
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
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
            self.handshakes.waiting.push(conn.address.origin(), (token, conn.id));
        }
        false
    }

    /// Lets handshakes go on, as many as are left for this turn.
    pub(crate) fn resume_handshakes(&mut self) {
        while self.handshakes.left > 0
            && let Some((token, id)) = self.handshakes.waiting.pop()
        {
            if let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.id == id) {
                (conn.handshake_waits, conn.may_handshake) = (false, true);
                self.handshakes.left -= 1;
                self.enqueue(token);
            }
        }
    }
}
