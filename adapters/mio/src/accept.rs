//! Accepting connections, and making room for them.

use std::io;

use mio::{Interest, Token};

use crate::{
    config::{ListenerId, PeerAddress},
    connection::Conn,
    host::{CloseCause, ConnectionId, Host, Observation},
    listener::Accepted,
    proxy::ProxyStage,
    reactor::Server,
    stream::Stream,
};

/// Connections accepted per turn and listener.
const ACCEPTS_PER_TURN: usize = 64;

impl Server {
    pub(crate) fn accept<H: Host + ?Sized>(&mut self, host: &mut H) {
        for number in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                let Some(listener) = &mut self.listeners[number] else { break };
                if listener.paused_until.is_some_and(|until| until <= self.now) {
                    listener.paused_until = None;
                }
                if !listener.ready || listener.paused_until.is_some() {
                    break;
                }
                match listener.accept(self.limits.max_message_before_join) {
                    Accepted::Nothing => listener.ready = false,
                    Accepted::Connection(stream, address) => self.accepted(number, stream, address, host),
                    Accepted::Exhausted(error) => self.exhausted(number, &error, host),
                }
            }
        }
    }

    /// The system is out of file descriptors or memory. The listener stays ready: no further event would come for it.
    fn exhausted<H: Host + ?Sized>(&mut self, number: usize, error: &io::Error, host: &mut H) {
        // Room is made at the cost of those that have no session, so that they cannot keep others out.
        if self.drop_longest_opening(host) {
            return;
        }
        let pause = self.limits.accept_pause;
        self.stats.accept_pauses += 1;
        if let Some(listener) = &mut self.listeners[number] {
            listener.paused_until = Some(self.now.after(pause));
        }
        host.observe(&Observation::AcceptPaused { listener: ListenerId(number), error, pause });
    }

    fn accepted<H: Host + ?Sized>(&mut self, number: usize, stream: Stream, peer: PeerAddress, host: &mut H) {
        let Some(listening) = &self.listeners[number] else { return };
        let (options, listener) = (listening.transport.clone(), ListenerId(number));
        let Some(proxy) = ProxyStage::of(listening.proxies.as_ref(), peer) else {
            self.stats.refused_as_no_proxy += 1;
            return host.observe(&Observation::NoTrustedProxy { listener, peer });
        };
        let counted = proxy.is_counted();
        if counted && self.enter(listener, peer, host).is_err() {
            return;
        }
        if self.opening.len() >= self.limits.max_opening || self.conns.len() >= self.limits.max_connections {
            self.drop_longest_opening(host);
        }
        if self.conns.len() >= self.limits.max_connections {
            self.stats.refused += 1;
            self.left(peer, counted);
            host.observe(&Observation::TooManyConnections { listener, peer });
            return;
        }
        self.next_id += 1;
        let id = ConnectionId(self.next_id);
        let slot = self.conns.vacant_entry();
        let token = slot.key();
        let mut conn = Conn::new(id, stream, listener, (peer, proxy), options, self.now);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut conn.stream, Token(token), interest) {
            self.left(peer, counted);
            return self.exhausted(number, &error, host);
        }
        if let Some(deadline) = conn.next_deadline() {
            self.timers.arm(token, &mut conn.armed, deadline);
        }
        slot.insert(conn);
        self.opening.insert(id, token);
        self.account(token);
        self.stats.accepted += 1;
        host.observe(&Observation::Accepted { connection: id, listener, peer });
    }

    /// A connection from there is gone, for which it was `counted` or not.
    pub(crate) fn left(&mut self, peer: PeerAddress, counted: bool) {
        if let Some(origin) = peer.origin().filter(|_| counted) {
            self.addresses.leave(origin, self.now);
        }
    }

    /// Makes room for a new connection, if one has no session.
    fn drop_longest_opening<H: Host + ?Sized>(&mut self, host: &mut H) -> bool {
        let Some((_, &token)) = self.opening.first_key_value() else { return false };
        self.stats.opening_dropped += 1;
        self.detach(token, host);
        self.remove(token, CloseCause::Overload, host);
        self.drive(host);
        true
    }

    pub(crate) fn listener_tag(&self, ListenerId(number): ListenerId) -> u64 {
        self.listeners.get(number).and_then(Option::as_ref).map_or(0, |listener| listener.tag)
    }
}
