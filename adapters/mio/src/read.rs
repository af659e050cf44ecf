//! Taking in what a connection has sent.

use std::{io, sync::Arc};

use bytes::{Bytes, BytesMut};
use wampd_core::{
    codec::{Format, decode_mending},
    message::{Abort, Message, Payload},
    router::{LinkInfo, Overloaded},
    uri::error,
    value::{Dict, Value},
};
use wampd_wire::{
    Encoding, Framing, HttpRequest, HttpResponse, Incoming, RawSocketRefusal, TransportError, UpgradeOptions,
};

use crate::{
    connection::{Body, Conn, Stage, transport_details},
    frames::Audience,
    host::{CloseCause, ConnectionId, Holder, Host, HttpAction, HttpPeer, Observation, Response},
    reactor::{Owner, Server},
    stream::Found,
};

/// Messages and bytes taken from one connection before it is the next one's turn.
const MESSAGES_PER_ROUND: usize = 64;
const BYTES_PER_ROUND: usize = 256 << 10;

/// What a header of an HTTP request takes beside its name and value, once it is a value that authenticators are told.
const HEADER_KEPT: usize = 128;

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
    /// The work of the router when it is over.
    until: u64,
}

impl Server {
    /// Reads a connection until nothing is left, the router wants no more, or its turn is over.
    pub(crate) fn read<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let until = self.router.work().saturating_add(self.share());
        let mut budget = Budget { messages: MESSAGES_PER_ROUND, bytes: BYTES_PER_ROUND, until };
        let mut input = BytesMut::new();
        loop {
            let Some(conn) = self.conns.get_mut(token) else { return };
            if conn.stage != Stage::Live {
                return self.discard(token, host);
            }
            if let Some(peer) = conn.peer.filter(|peer| !self.router.wants_input(*peer)) {
                // What is left to be read is of no use to who has gone before it was let in.
                if conn.read_closed && self.router.is_undecided(peer) {
                    return self.end(token, CloseCause::Peer, host);
                }
                conn.wire.hold(&mut input);
                return; // until InputReady
            }
            if budget.messages == 0 || self.router.work() >= budget.until {
                conn.wire.hold(&mut input);
                return self.enqueue(token);
            }
            match conn.wire.next(self.now, &mut input, &mut self.replies) {
                Ok(None) => {
                    self.queue_replies(token);
                    if self.must_write_first(token, host) {
                        continue;
                    }
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
                Err(error) => {
                    self.abort(token, &error, host);
                    self.end(token, CloseCause::Transport(error), host);
                }
            }
        }
    }

    /// Whether a peer without a session has so much to read that it is not read from before it has: a flood of pings makes
    /// pongs without end. What has changed is known to the router then.
    fn must_write_first<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) -> bool {
        let max = self.limits.max_message_before_join;
        let piles_up = |conn: &Conn| !conn.joined && conn.peer.is_some() && conn.level(max) != conn.congestion;
        if !self.conns.get(token).is_some_and(piles_up) {
            return false;
        }
        self.flush_one(token);
        self.drive(host);
        true
    }

    /// Queues an ABORT for a peer that broke the protocol of its transport, before what the transport says of it.
    fn abort<H: Host + ?Sized>(&mut self, token: usize, why: &TransportError, host: &mut H) {
        self.stats.too_long_before_join += u64::from(why.is_too_long_before_join());
        let Some(conn) = self.conns.get_mut(token) else { return };
        // Nothing follows a close frame, and before the transport is open there is no message.
        let Some(encoding) = conn.wire.encoding().filter(|_| conn.peer.is_some()) else { return };
        let (reason, text) = if why.is_too_long_before_join() {
            (error::PAYLOAD_SIZE_EXCEEDED, format!("{why} (limit max_message_before_join)"))
        } else if why.is_too_long() {
            (error::PAYLOAD_SIZE_EXCEEDED, why.to_string())
        } else {
            (error::PROTOCOL_VIOLATION, why.to_string())
        };
        let (holder, peer) = (Holder::Connection(conn.id), Some(conn.address));
        host.observe(&Observation::Aborted { holder, peer, reason: &reason, message: &text });
        let details = Dict::from([("message".to_owned(), Value::from(text))]);
        let message = Message::Abort(Abort { details: details.into(), reason, payload: Payload::default() });
        self.frames.begin();
        if let Ok(frame) = self.frames.make(&message, encoding, Audience::One) {
            #[cfg(debug_assertions)]
            self.recording.iter_mut().for_each(|recording| recording.sent(conn.id, encoding, &frame));
            frame.push(&mut conn.out, &mut self.pool);
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
        if conn.proxy.is_behind_header() && !self.pass_proxy_header(token, host) {
            return false;
        }
        let Some(conn) = self.conns.get_mut(token) else { return false };
        if conn.stream.is_handshaking() && !self.may_handshake(token) {
            return false;
        }
        let Some(conn) = self.conns.get_mut(token) else { return false };
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
            nothing => {
                self.read_nothing(token, nothing, host);
                false
            }
        }
    }

    /// A read has found that nothing is left: for now, or because the peer has closed its side.
    pub(crate) fn read_nothing<H: Host + ?Sized>(&mut self, token: usize, found: io::Result<Found>, host: &mut H) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        conn.readable = false;
        match found {
            Ok(Found::Bytes(_) | Found::Nothing) => {}
            // It may have closed its side only, and wait for the response to its request.
            Ok(Found::End) if conn.requested.is_some() => conn.silenced = true,
            Ok(Found::End) => {
                conn.silenced = true;
                self.end(token, CloseCause::Peer, host);
            }
            Err(error) => {
                self.stats.too_long_before_join += u64::from(conn.stream.handshake_was_too_long());
                self.detach(token, host);
                self.remove(token, CloseCause::Io(error), host);
                self.drive(host);
            }
        }
    }

    /// Reads and forgets what a connection sends that is done with, until its peer has closed its side.
    fn discard<H: Host + ?Sized>(&mut self, token: usize, host: &mut H) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        if conn.stream.is_handshaking() {
            // Nothing was said that it could miss, and its handshake would be work for nothing.
            return self.remove(token, CloseCause::Peer, host);
        }
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
        let Some(conn) = self.conns.get_mut(token) else { return };
        let (Some(peer), Some(encoding)) = (conn.peer, conn.wire.encoding()) else { return };
        self.stats.messages_received += 1;
        conn.last_message = self.now;
        let (connection, session) = (conn.id, conn.session);
        let frame = if conn.joined {
            frame
        } else {
            // What is kept of a handshake must not keep the whole read buffer alive. The router keeps it, and so does who
            // is asked about the peer.
            conn.kept = conn.kept.saturating_add(2 * frame.len());
            Bytes::copy_from_slice(&frame)
        };
        let mut mended = false;
        match decode_mending(encoding.format, frame, &self.limits.decode, &mut mended) {
            Ok(message) => {
                #[cfg(debug_assertions)]
                self.recording.iter_mut().for_each(|recording| recording.received(connection, &message));
                self.router.receive(self.now, peer, message);
            }
            Err(error) => self.router.receive_invalid(self.now, peer, error),
        }
        if mended {
            self.stats.surrogates_replaced += 1;
            host.observe(&Observation::SurrogatesReplaced { connection, session });
        }
        self.drive(host);
    }

    fn request<H: Host + ?Sized>(&mut self, token: usize, request: &HttpRequest, host: &mut H) {
        if !self.learn_from_request(token, request, host) {
            return;
        }
        let Some(conn) = self.conns.get_mut(token) else { return };
        let connection = conn.id;
        let from = HttpPeer { connection, listener: conn.listener, address: conn.address };
        match host.http(request, &from) {
            HttpAction::WebSocket { options, tag, headers, details } => {
                let headers = borrowed(&headers);
                self.open_websocket(
                    token,
                    request,
                    Upgrade { options: &options, tag, headers: &headers, details },
                    host,
                );
            }
            HttpAction::Respond(response) => self.respond(token, request.path(), response, host),
            HttpAction::Later => conn.requested = Some(request.path().into()),
        }
    }

    /// The answer to a request that was left for later; there may be nobody any more to whom it goes.
    pub(crate) fn respond_later<H: Host + ?Sized>(&mut self, id: ConnectionId, response: Response, host: &mut H) {
        // Whoever waits for a response has no session.
        let Some(&token) = self.opening.get(&id) else { return };
        let Some(path) = self.conns.get_mut(token).and_then(|conn| conn.requested.take()) else { return };
        self.respond(token, &path, response, host);
    }

    pub(crate) fn respond<H: Host + ?Sized>(&mut self, token: usize, path: &str, response: Response, host: &mut H) {
        let Some(conn) = self.conns.get_mut(token) else { return };
        let (connection, Response { status, content_type, headers, body, length }) = (conn.id, response);
        let headers = borrowed(&headers);
        let response = HttpResponse { status, content_type: &content_type, headers: &headers, body: &body, length };
        let with_body = conn.wire.respond_head(&response, &mut self.replies);
        self.queue_replies(token);
        if let Some(conn) = self.conns.get_mut(token).filter(|_| with_body) {
            conn.body = if body.is_unique() { Body::Own(body.len()) } else { Body::Shared(body.len()) };
            conn.out.push_shared(body);
        }
        host.observe(&Observation::Responded { connection, path, status });
        self.end(token, CloseCause::Responded, host);
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
                // Cut off, not closed: what ends in good order some clients do not take up again.
                Err(why) => self.end(token, CloseCause::Refused(why), host),
            },
            Err(error) => {
                let status = error.status().unwrap_or(400);
                host.observe(&Observation::Responded { connection, path: request.path(), status });
                self.end(token, CloseCause::Transport(error.into()), host);
            }
        }
    }

    fn open_rawsocket<H: Host + ?Sized>(&mut self, token: usize, format: Format, host: &mut H) {
        let learnt = self.learn_without_request(token, host);
        let Some(conn) = self.conns.get_mut(token) else { return };
        if let Err(limit) = learnt {
            conn.wire.refuse_rawsocket(RawSocketRefusal::ConnectionLimit, &mut self.replies);
            return self.end(token, CloseCause::TooManyFromAddress(limit), host);
        }
        let listener = conn.listener;
        let tag = self.listener_tag(listener);
        let encoding = Encoding { format, framing: Framing::RawSocket };
        let attached = self.attach(token, encoding, tag, None);
        let Some(conn) = self.conns.get_mut(token) else { return };
        match attached {
            Ok(transport) => {
                // There is a handshake to accept: it was asked for just now.
                let _ = conn.wire.accept_rawsocket(self.now, &mut self.replies);
                conn.wire.limit_messages(Some(self.limits.max_message_before_join));
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
        // What is made of the request is kept until the session is over, or the handshake has failed.
        let headers = request.into_iter().flat_map(HttpRequest::headers_as_bytes);
        conn.kept = headers.map(|(name, value)| HEADER_KEPT + name.len() + value.len()).sum();
        let mut transport = transport_details(conn.address, &conn.stream, encoding, request);
        transport.extend(further.unwrap_or_default());
        let transport = Arc::new(transport);
        let link = LinkInfo {
            tag,
            transport: transport.clone(),
            origin: conn.address.origin(),
            channel_binding: conn.stream.channel_binding(),
            privileged: None,
            cuttable: encoding.framing != Framing::RawSocket,
        };
        let peer = self.router.open(self.now, link)?;
        conn.peer = Some(peer);
        conn.wire.limit_messages(Some(self.limits.max_message_before_join));
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
