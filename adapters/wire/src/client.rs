//! A client's end of a connection.

use std::{fmt, sync::Arc, time::Duration};

use bytes::BytesMut;
use rand_core::Rng;
use wampd_core::{codec::Format, time::Instant};

use crate::{
    buffer::Inbox,
    connection::{parse_http_head, parse_rawsocket_handshake},
    error::TransportError,
    framing::{Encoding, FrameStart, Framing, MessageTooLong},
    http::{HttpError, OPEN_TIMEOUT},
    incoming::Incoming,
    link::Link,
    rawsocket::{self, RawSocket, RawSocketOptions},
    upgrade::{UpgradeRequest, new_key},
    websocket::{ClientRole, CloseCode, Role, WebSocket},
};

/// A client's end of a connection: the opening handshake, then messages.
///
/// Feed it what was read with [`next`](Self::next) until that gives `None`; write to the socket what it appends to `out`.
/// `R` gives the masks of WebSocket frames; it should not be predictable (RFC 6455 section 10.3).
pub struct Client<R> {
    inbox: Inbox,
    state: State<R>,
}

enum State<R> {
    WebSocketHandshake { role: ClientRole<R>, request: UpgradeRequest, key: String, scanned: usize, deadline: Instant },
    RawSocketHandshake { format: Format, serializer: u8, options: RawSocketOptions, deadline: Instant },
    Linked(Link<ClientRole<R>>),
    Closed,
}

impl<R> fmt::Debug for Client<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.state {
            State::WebSocketHandshake { .. } => "Client(WebSocketHandshake)",
            State::RawSocketHandshake { .. } => "Client(RawSocketHandshake)",
            State::Linked(Link::WebSocket(_)) => "Client(WebSocket)",
            State::Linked(Link::RawSocket(_)) => "Client(RawSocket)",
            State::Closed => "Client(Closed)",
        })
    }
}

impl<R: Rng> Client<R> {
    /// How long the opening handshake should be given: 10 s.
    pub const OPEN_TIMEOUT: Duration = OPEN_TIMEOUT;

    /// Opens a WebSocket over a connected socket: appends the upgrade request to `out`.
    ///
    /// The server is given up if the handshake is not over at `open_by`.
    ///
    /// # Errors
    /// [`HttpError::InvalidRequest`]: the request cannot be written in HTTP, or offers no subprotocol.
    pub fn websocket(
        request: UpgradeRequest,
        mut rng: R,
        open_by: Instant,
        out: &mut Vec<u8>,
    ) -> Result<Self, HttpError> {
        let mut random = [0; 16];
        rng.fill_bytes(&mut random);
        let key = new_key(random);
        request.write(&key, out)?;
        let state = State::WebSocketHandshake { role: ClientRole(rng), request, key, scanned: 0, deadline: open_by };
        Ok(Self { inbox: Inbox::default(), state })
    }

    /// Opens a RawSocket over a connected socket: appends the handshake to `out`.
    ///
    /// The server is given up if the handshake is not over at `open_by`. `None`: RawSocket has no number for this serializer.
    pub fn rawsocket(format: Format, options: RawSocketOptions, open_by: Instant, out: &mut Vec<u8>) -> Option<Self> {
        let serializer = rawsocket::serializer_of(format)?;
        out.extend_from_slice(&rawsocket::handshake(options.max_message, serializer));
        let state = State::RawSocketHandshake { format, serializer, options, deadline: open_by };
        Some(Self { inbox: Inbox::default(), state })
    }

    /// As [`Connection::next`](crate::Connection::next); the first thing that comes out is [`Incoming::Open`].
    ///
    /// # Errors
    /// The connection is closed; what the server must be told is in `out`.
    pub fn next(
        &mut self,
        now: Instant,
        input: &mut BytesMut,
        out: &mut Vec<u8>,
    ) -> Result<Option<Incoming>, TransportError> {
        if let State::Linked(link) = &mut self.state {
            return link.next(now, &mut self.inbox, input, out);
        }
        let result = self.open(now, input);
        if result.is_err() {
            self.state = State::Closed;
        }
        if self.is_closed() {
            self.inbox.clear();
            input.clear();
        }
        result
    }

    /// As [`Connection::hold`](crate::Connection::hold).
    pub fn hold(&mut self, input: &mut BytesMut) {
        self.inbox.hold(input);
    }

    /// The serializer and framing; `None` before [`Incoming::Open`].
    pub fn encoding(&self) -> Option<Encoding> {
        match &self.state {
            State::Linked(link) => Some(link.encoding()),
            _ => None,
        }
    }

    /// Begins a frame at the end of `out`: encode the message behind it, then call [`finish_frame`](Self::finish_frame).
    ///
    /// `None`: the connection is not open. For `expected_len` see [`Encoding::begin`].
    pub fn begin_frame(&self, out: &mut Vec<u8>, expected_len: usize) -> Option<FrameStart> {
        let encoding = self.encoding().filter(|_| self.is_open())?;
        Some(encoding.begin_masked(out, expected_len, encoding.framing != Framing::RawSocket))
    }

    /// Completes a frame and masks it.
    ///
    /// # Errors
    /// The server or the framing does not take a message this long. The frame is removed from `out`.
    pub fn finish_frame(&mut self, out: &mut Vec<u8>, start: FrameStart) -> Result<(), MessageTooLong> {
        let State::Linked(link) = &mut self.state else {
            start.abandon(out);
            return Ok(());
        };
        let encoding = link.encoding();
        let mask = match link {
            Link::WebSocket(link) => link.role.next_mask(),
            Link::RawSocket(_) => None,
        };
        let frame_len = encoding.finish_masked(out, start, mask)?;
        link.admits(frame_len).inspect_err(|_| out.truncate(out.len() - frame_len))
    }

    /// As [`Connection::close`](crate::Connection::close).
    pub fn close(&mut self, now: Instant, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        match &mut self.state {
            State::Linked(link) => link.close(now, code, reason, out),
            _ => self.state = State::Closed,
        }
    }

    /// Whether messages can be sent.
    pub fn is_open(&self) -> bool {
        matches!(&self.state, State::Linked(link) if link.is_open())
    }

    /// Whether nothing will be received or replied any more: flush, then close the socket.
    pub fn is_closed(&self) -> bool {
        match &self.state {
            State::Linked(link) => link.is_closed(),
            State::Closed => true,
            _ => false,
        }
    }

    /// As [`Connection::next_deadline`](crate::Connection::next_deadline).
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::WebSocketHandshake { deadline, .. } | State::RawSocketHandshake { deadline, .. } => Some(*deadline),
            State::Linked(link) => link.next_deadline(),
            State::Closed => None,
        }
    }

    /// As [`Connection::handle_timeout`](crate::Connection::handle_timeout).
    ///
    /// # Errors
    /// The server was given up; the connection is closed.
    pub fn handle_timeout(&mut self, now: Instant, reading: bool, out: &mut Vec<u8>) -> Result<(), TransportError> {
        if let State::Linked(link) = &mut self.state {
            return link.handle_timeout(now, reading, out);
        }
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        self.inbox.clear();
        self.state = State::Closed;
        Err(TransportError::OpenTimeout)
    }

    fn open(&mut self, now: Instant, input: &mut BytesMut) -> Result<Option<Incoming>, TransportError> {
        let link = match std::mem::replace(&mut self.state, State::Closed) {
            State::WebSocketHandshake { role, request, key, mut scanned, deadline } => {
                let limit = request.max_head;
                match self.inbox.frame(input, |bytes| parse_http_head(bytes, &mut scanned, limit))? {
                    None => {
                        self.state = State::WebSocketHandshake { role, request, key, scanned, deadline };
                        return Ok(None);
                    }
                    Some(((), head)) => {
                        let subprotocol = request.verify(&key, &head)?;
                        Link::WebSocket(WebSocket::new(role, subprotocol, Arc::clone(&request.websocket), now))
                    }
                }
            }
            State::RawSocketHandshake { format, serializer, options, deadline } => {
                match self.inbox.frame(input, parse_rawsocket_handshake)? {
                    None => {
                        self.state = State::RawSocketHandshake { format, serializer, options, deadline };
                        return Ok(None);
                    }
                    Some((octets, _)) => {
                        let server_accepts = rawsocket::parse_reply(octets, serializer)?;
                        Link::RawSocket(RawSocket::new(format, server_accepts, &options, now))
                    }
                }
            }
            State::Linked(_) | State::Closed => return Ok(None),
        };
        let encoding = link.encoding();
        self.state = State::Linked(link);
        Ok(Some(Incoming::Open(encoding)))
    }
}
