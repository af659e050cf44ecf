//! Taking in what a connection has sent.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use wampd_core::{
    codec::{Format, decode},
    router::{LinkInfo, Overloaded},
    value::Dict,
};
use wampd_wire::{CloseCode, Encoding, Framing, HttpRequest, HttpResponse, Incoming, RawSocketRefusal, UpgradeOptions};

use crate::{
    connection::{Stage, transport_details},
    host::{CloseCause, Host, HttpAction, Observation, Response},
    reactor::{Owner, Server},
    stream::Found,
};

/// Messages and bytes taken from one connection before it is the next one's turn.
const MESSAGES_PER_ROUND: usize = 64;
const BYTES_PER_ROUND: usize = 256 << 10;

/// How a request becomes a WebSocket.
struct Upgrade<'a> {
    options: &'a UpgradeOptions,
    tag: u64,
    headers: &'a [(&'a str, &'a str)],
    details: Dict,
}

fn borrowed(headers: &[(String, String)]) -> Vec<(&str, &str)> {
    headers.iter().map(|(name, value)| (&**name, &**value)).collect()
}

/// What is left of a connection's turn.
struct Budget {
    messages: usize,
    bytes: usize,
}

impl Server {
    /// Reads a connection until nothing is left, the router wants no more, or its turn is over.
    pub(crate) fn read<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let mut budget = Budget { messages: MESSAGES_PER_ROUND, bytes: BYTES_PER_ROUND };
        let mut input = BytesMut::new();
        loop {
            let Some(conn) = self.conns.get_mut(token) else { return };
            if conn.stage != Stage::Live {
                return self.discard(token, host);
            }
            if conn.peer.is_some_and(|peer| !self.router.wants_input(peer)) {
                conn.wire.hold(&mut input);
                return; // until InputReady
            }
            if budget.messages == 0 {
                conn.wire.hold(&mut input);
                return self.enqueue(token);
            }
            match conn.wire.next(self.now, &mut input, &mut self.replies) {
                Ok(None) => {
                    self.queue_replies(token);
                    if !self.fill(token, &mut input, &mut budget, host) {
                        return;
                    }
                }
                Ok(Some(Incoming::Message(frame))) => {
                    budget.messages -= 1;
                    self.queue_replies(token);
                    self.receive(token, frame, host);
                }
                Ok(Some(Incoming::Http(request))) => self.request(token, &request, host),
                Ok(Some(Incoming::RawSocket { format })) => self.open_rawsocket(token, format, host),
                Ok(Some(Incoming::Closed { .. })) => {
                    conn.silenced = !conn.readable;
                    self.end(token, CloseCause::Peer, host);
                }
                Ok(Some(Incoming::Open(_))) => {}
                Err(error) => self.end(token, CloseCause::Transport(error), host),
            }
        }
    }

    /// Reads once from the socket into `input`. False: not now.
    fn fill<H: Host + ?Sized>(
        &mut self,
        token: usize,
        input: &mut BytesMut,
        budget: &mut Budget,
        host: &mut H,
    ) -> bool {
        let Some(conn) = self.conns.get_mut(token) else { return false };
        if !conn.readable {
            return false;
        }
        if budget.bytes == 0 {
            self.enqueue(token);
            return false;
        }
        // What is left of it would keep the buffer from being used again.
        *input = BytesMut::new();
        let space = self.read_buffer.space();
        let offered = space.len();
        let found = conn.stream.receive(space);
        if conn.stream.wants_write() {
            self.mark_dirty(token);
        }
        let Some(conn) = self.conns.get_mut(token) else { return false };
        match found {
            Ok(Found::Bytes(len)) => {
                *input = self.read_buffer.take(len);
                budget.bytes = budget.bytes.saturating_sub(len);
                self.stats.bytes_received += len as u64;
                if len < offered && conn.stream.short_means_drained() && !conn.read_closed {
                    conn.readable = false;
                }
                true
            }
            Ok(Found::Nothing) => {
                conn.readable = false;
                false
            }
            Ok(Found::End) => {
                conn.readable = false;
                conn.silenced = true;
                self.end(token, CloseCause::Peer, host);
                false
            }
            Err(error) => {
                conn.readable = false;
                self.detach(token, host);
                self.remove(token, CloseCause::Io(error), host);
                self.drive(host);
                false
            }
        }
    }

    /// Reads and forgets what a connection sends that is done with, until its peer has closed its side.
    fn discard<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let mut budget = BYTES_PER_ROUND;
        while conn.readable {
            match conn.stream.receive(self.read_buffer.space()) {
                Ok(Found::Bytes(len)) => {
                    self.stats.bytes_received += len as u64;
                    budget = budget.saturating_sub(len);
                    if budget == 0 {
                        return self.enqueue(token);
                    }
                }
                Ok(Found::Nothing) => conn.readable = false,
                Ok(Found::End) if matches!(conn.stage, Stage::Flushing(_)) => {
                    conn.readable = false;
                    conn.silenced = true;
                }
                Ok(Found::End) | Err(_) => return self.remove(token, CloseCause::Peer, host),
            }
        }
    }

    fn receive<H: Host + ?Sized>(&mut self, token: usize, frame: Bytes, host: &mut H) {
        let Some(conn) = self.conns.get(token) else { return };
        let (Some(peer), Some(encoding)) = (conn.peer, conn.wire.encoding()) else { return };
        self.stats.messages_received += 1;
        match decode(encoding.format, frame, &self.limits.decode) {
            Ok(message) => self.router.receive(self.now, peer, message),
            Err(error) => self.router.receive_invalid(self.now, peer, error),
        }
        self.drive(host);
    }

    fn request<H: Host + ?Sized>(&mut self, token: usize, request: &HttpRequest, host: &mut H) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let connection = conn.id;
        match host.http(conn.listener, &conn.address, request) {
            HttpAction::WebSocket { options, tag, headers, details } => {
                let headers = borrowed(&headers);
                self.open_websocket(
                    token,
                    request,
                    Upgrade { options: &options, tag, headers: &headers, details },
                    host,
                );
            }
            HttpAction::Respond(Response { status, content_type, headers, body }) => {
                let headers = borrowed(&headers);
                let response = HttpResponse { status, content_type: &content_type, headers: &headers, body: &body };
                let with_body = conn.wire.respond_head(&response, &mut self.replies);
                self.queue_replies(token);
                if let Some(conn) = self.conns.get_mut(token).filter(|_| with_body) {
                    conn.out.push_shared(body);
                }
                host.observe(&Observation::Responded { connection, request, status });
                self.end(token, CloseCause::Responded, host);
            }
        }
    }

    fn open_websocket<H: Host + ?Sized>(
        &mut self,
        token: usize,
        request: &HttpRequest,
        upgrade: Upgrade<'_>,
        host: &mut H,
    ) {
        let Upgrade { options, tag, headers, details } = upgrade;
        let Some(conn) = self.conns.get_mut(token) else { return };
        let connection = conn.id;
        match conn.wire.accept_websocket_with(self.now, request, options, headers, &mut self.replies) {
            Ok(encoding) => match self.attach(token, encoding, tag, Some((request, details))) {
                Ok(transport) => self.opened(token, encoding, &transport, host),
                Err(why) => {
                    self.queue_replies(token);
                    let (code, cause) = (CloseCode::TRY_AGAIN_LATER, CloseCause::Refused(why));
                    self.close(token, code, "the router takes no more connections", cause);
                }
            },
            Err(error) => {
                let status = error.status().unwrap_or(400);
                host.observe(&Observation::Responded { connection, request, status });
                self.end(token, CloseCause::Transport(error.into()), host);
            }
        }
    }

    fn open_rawsocket<H: Host + ?Sized>(&mut self, token: usize, format: Format, host: &mut H) {
        let Some(conn) = self.conns.get(token) else { return };
        let tag = self.listener_tag(conn.listener);
        let encoding = Encoding { format, framing: Framing::RawSocket };
        let attached = self.attach(token, encoding, tag, None);
        let Some(conn) = self.conns.get_mut(token) else { return };
        match attached {
            Ok(transport) => {
                // There is a handshake to accept: it was asked for just now.
                let _ = conn.wire.accept_rawsocket(self.now, &mut self.replies);
                self.opened(token, encoding, &transport, host);
            }
            Err(why) => {
                conn.wire.refuse_rawsocket(RawSocketRefusal::ConnectionLimit, &mut self.replies);
                self.end(token, CloseCause::Refused(why), host);
            }
        }
    }

    /// Makes a connection a peer of the router; returns what is known of it.
    fn attach(
        &mut self,
        token: usize,
        encoding: Encoding,
        tag: u64,
        request: Option<(&HttpRequest, Dict)>,
    ) -> Result<Arc<Dict>, Overloaded> {
        let Some(conn) = self.conns.get_mut(token) else { return Ok(Arc::default()) };
        let (request, further) = request.unzip();
        let mut transport = transport_details(conn.address, &conn.stream, encoding, request);
        transport.extend(further.unwrap_or_default());
        let transport = Arc::new(transport);
        let link = LinkInfo {
            tag,
            transport: transport.clone(),
            origin: conn.address.origin(),
            channel_binding: conn.stream.channel_binding(),
            privileged: None,
        };
        let peer = self.router.open(self.now, link)?;
        conn.peer = Some(peer);
        self.set_owner(peer, Owner::Connection(token));
        Ok(transport)
    }

    /// The opening handshake is over.
    fn opened<H: Host + ?Sized>(&mut self, token: usize, encoding: Encoding, transport: &Dict, host: &mut H) {
        self.queue_replies(token);
        if let Some(conn) = self.conns.get(token) {
            host.observe(&Observation::Opened { connection: conn.id, encoding, transport });
        }
        self.rearm(token);
        self.drive(host);
    }

    /// The transport has ended: replies are flushed, then the socket is closed.
    fn end<H: Host + ?Sized>(&mut self, token: usize, cause: CloseCause, host: &mut H) {
        self.queue_replies(token);
        self.detach(token, host);
        self.finish(token, cause);
        self.drive(host);
    }
}
