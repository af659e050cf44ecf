//! Ending connections.

use wampd_wire::CloseCode;

use crate::{
    connection::Stage,
    host::{CloseCause, Host, LeaveCause, Observation},
    reactor::Server,
};

impl Server {
    /// Begins to close the transport from our side.
    pub(crate) fn close(&mut self, token: usize, code: CloseCode, reason: &str, cause: CloseCause) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        conn.wire.close(self.now, code, reason, &mut self.replies);
        if conn.wire.is_closed() {
            self.queue_replies(token);
            return self.finish(token, cause);
        }
        conn.cause.get_or_insert(cause);
        // What the peer sends until it answers is read and thrown away.
        self.enqueue(token);
        self.queue_replies(token);
        self.rearm(token);
    }

    /// The transport is done with: what is queued is written, then the socket is closed.
    pub(crate) fn finish(&mut self, token: usize, cause: CloseCause) {
        let deadline = self.now.after(self.limits.linger_timeout);
        if let Some(conn) = self.conns.get_mut(token) {
            conn.cause.get_or_insert(cause);
            conn.stage = Stage::Flushing(deadline);
            self.mark_dirty(token);
            self.rearm(token);
        }
    }

    /// Takes a connection away from the router, which is to be driven then.
    pub(crate) fn detach<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let Some(peer) = conn.peer.take() else { return };
        let (holder, session) = (crate::Holder::Connection(conn.id), conn.session.take());
        if let Some(owner) = self.owners.get_mut(peer.index()) {
            *owner = None;
        }
        if let Some(session) = session {
            host.observe(&Observation::Left { holder, session, cause: LeaveCause::Lost });
        }
        self.router.connection_lost(self.now, peer);
    }

    /// Closes the socket. The connection must be detached.
    pub(crate) fn remove<H: Host + ?Sized>(&mut self, token: usize, cause: CloseCause, host: &mut H) {
        let Some(mut conn) = self.conns.try_remove(token) else { return };
        self.timers.cancel(token, &mut conn.armed);
        self.opening.remove(&conn.id);
        self.memory.release(token, &mut conn);
        self.left(conn.address, conn.proxy.is_counted());
        conn.out.clear(&mut self.pool);
        // Closing the socket takes it off the poll: there is no other handle to it.
        let cause = conn.cause.take().unwrap_or(cause);
        host.observe(&Observation::Closed { connection: conn.id, cause: &cause });
    }
}
