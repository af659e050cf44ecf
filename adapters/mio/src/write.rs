//! Writing what waits for connections.

use crate::{
    connection::Stage,
    host::{CloseCause, Host},
    out_queue::Flushed,
    reactor::{FLUSHES_PER_TURN, Server},
    stream::Parting,
};

impl Server {
    /// Queues what a transport has replied.
    pub(crate) fn queue_replies(&mut self, token: usize) {
        if self.replies.is_empty() {
            return;
        }
        if let Some(conn) = self.conns.get_mut(token) {
            conn.out.push_scratch(&mut self.replies, &mut self.pool);
            self.mark_dirty(token);
        }
        self.replies.clear();
    }

    pub(crate) fn mark_dirty(&mut self, token: usize) {
        if let Some(conn) = self.conns.get_mut(token).filter(|conn| !conn.dirty) {
            conn.dirty = true;
            self.dirty.push_back(token);
        }
    }

    pub(crate) fn flush<H: Host + ?Sized>(&mut self, host: &mut H) {
        for n in 0..FLUSHES_PER_TURN {
            // An event for very many must not hold up what came after it, nor the other way round.
            let next = if n % 2 == 0 { self.dirty.pop_back() } else { self.dirty.pop_front() };
            let Some(token) = next else { return };
            if let Some(conn) = self.conns.get_mut(token).filter(|conn| conn.dirty) {
                conn.dirty = false;
                self.flush_one(token);
                self.after_flush(token, host);
            }
            // Lost connections may make the router send to others: until nothing is left to be flushed.
            if self.dirty.is_empty() {
                self.drive(host);
            }
        }
        self.drive(host);
    }

    /// Writes as much as the socket takes, and notes what follows from it for [`drive`](Self::drive).
    pub(crate) fn flush_one(&mut self, token: usize) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if conn.writable && conn.has_output() {
            let flushed = if conn.silenced && matches!(conn.stage, Stage::Flushing(_)) {
                conn.out.flush(&mut Parting(&mut conn.stream), &mut self.pool)
            } else {
                conn.out.flush(&mut conn.stream, &mut self.pool)
            };
            match flushed {
                Ok(Flushed::All) => conn.stalled = None,
                Ok(Flushed::Blocked { progress }) => {
                    conn.writable = false;
                    if let (Stage::Flushing(deadline), true) = (&mut conn.stage, progress) {
                        *deadline = self.now.after(self.limits.linger_timeout);
                    }
                    if progress || conn.stalled.is_none() {
                        let deadline = self.now.after(self.limits.write_timeout);
                        conn.stalled = Some(deadline);
                        self.timers.arm(token, &mut conn.armed, deadline);
                    }
                }
                Err(error) => {
                    // What cannot be written does not wait.
                    conn.out.clear(&mut self.pool);
                    conn.stalled = None;
                    conn.writable = false;
                    self.lost.push((token, conn.id, error));
                    return;
                }
            }
        }
        self.check_level(token);
        if self.conns.get(token).is_some_and(|conn| !conn.joined) {
            self.account(token);
        }
    }

    /// Tries to write to a socket whose time is up. Systems tell that a socket takes something again once much of what they
    /// hold for it is gone, a third of several MiB; a peer that reads slowly has read some of it by then.
    pub(crate) fn ask_socket<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let flushing = match conn.stage {
            Stage::Flushing(deadline) => Some(deadline),
            Stage::Live | Stage::Lingering(_) => None,
        };
        if conn.has_output() && conn.stalled.into_iter().chain(flushing).any(|deadline| deadline <= self.now) {
            conn.writable = true;
            self.flush_one(token);
            self.after_flush(token, host);
            self.drive(host);
        }
    }

    /// How many bytes may wait for a connection.
    pub(crate) fn max_pending(&self, token: usize) -> usize {
        let stranger = self.conns.get(token).is_some_and(|conn| !conn.joined);
        if stranger { self.limits.max_message_before_join } else { self.limits.max_pending }
    }

    /// Notes whether the queue has crossed a water mark.
    pub(crate) fn check_level(&mut self, token: usize) {
        let max = self.max_pending(token);
        let Some(conn) = self.conns.get_mut(token) else { return };
        let level = conn.level(max);
        if level != conn.congestion && conn.peer.is_some() {
            conn.congestion = level;
            self.congested.push(token);
        }
    }

    fn after_flush<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if !matches!(conn.stage, Stage::Flushing(_)) || conn.has_output() {
            return;
        }
        // In TLS it is said that nothing more comes, also to a peer that has said so itself (RFC 8446, section 6.1).
        if conn.stream.shut_down_writing().is_err() || conn.silenced {
            return self.remove(token, CloseCause::Peer, host);
        }
        conn.stage = Stage::Lingering(self.now.after(self.limits.linger_timeout));
        conn.readable = true;
        self.enqueue(token);
    }
}
