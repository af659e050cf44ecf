//! A server's end of a connection, from its first octet to its last.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use wampd_core::{codec::Format, time::Instant};

use crate::{
    buffer::{Inbox, Parsed},
    error::TransportError,
    framing::{Encoding, MessageTooLong},
    http::{ContentLength, HttpError, HttpOptions, HttpRequest, HttpResponse, Method, OPEN_TIMEOUT, find_head_end},
    incoming::Incoming,
    link::Link,
    rawsocket::{self, MAGIC, MaxLength, RawSocket, RawSocketError, RawSocketOptions, RawSocketRefusal},
    upgrade::{self, UpgradeOptions},
    websocket::{CloseCode, ServerRole, WebSocket},
};

/// What a listener serves. With both protocols, the first octet decides: 0x7f is RawSocket, anything else HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// HTTP and WebSocket; `None`: not served.
    pub http: Option<HttpOptions>,
    /// RawSocket; `None`: not served.
    pub rawsocket: Option<RawSocketOptions>,
    /// How long the opening handshake may take. Default 10 s.
    pub open_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            http: Some(HttpOptions::default()),
            rawsocket: Some(RawSocketOptions::default()),
            open_timeout: OPEN_TIMEOUT,
        }
    }
}

/// A server's end of a connection.
///
/// Feed it what was read with [`next`](Self::next) until that gives `None`; write to the socket what it appends to `out`, and the
/// frames made with its [`encoding`](Self::encoding). Once [`is_closed`](Self::is_closed), flush and close the socket.
#[derive(Debug)]
pub struct Connection {
    options: Arc<ServerOptions>,
    inbox: Inbox,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing received yet. The deadline is that of the opening handshake, here and in the next four.
    Sniffing {
        deadline: Instant,
    },
    HttpHead {
        deadline: Instant,
        scanned: usize,
    },
    HttpAnswer {
        deadline: Instant,
        head_only: bool,
    },
    RawSocketHandshake {
        deadline: Instant,
    },
    RawSocketAnswer {
        deadline: Instant,
        format: Format,
        peer_accepts: MaxLength,
    },
    Linked(Link<ServerRole>),
    Closed,
}

impl Connection {
    /// A connection accepted at `now`.
    pub fn new(options: Arc<ServerOptions>, now: Instant) -> Self {
        let deadline = now.after(options.open_timeout);
        Self { options, inbox: Inbox::default(), state: State::Sniffing { deadline } }
    }

    /// Takes the next thing the peer has sent off the front of `input`, and appends replies (pong, close) to `out`.
    ///
    /// `None`: nothing more can be made of what was received; `input` is empty then. To stop before that, keep `input` and
    /// come back with it, or call [`hold`](Self::hold).
    ///
    /// # Errors
    /// The connection is closed; what the peer must be told is in `out`.
    pub fn next(
        &mut self,
        now: Instant,
        input: &mut BytesMut,
        out: &mut Vec<u8>,
    ) -> Result<Option<Incoming>, TransportError> {
        if let State::Linked(link) = &mut self.state {
            return link.next(now, &mut self.inbox, input, out);
        }
        let result = self.open(input, out);
        if result.is_err() {
            self.state = State::Closed;
        }
        if self.is_closed() {
            self.inbox.clear();
            input.clear();
        }
        result
    }

    /// Keeps a copy of what is left in `input` for later, for example because the router wants no more for now.
    ///
    /// Continue with [`next`](Self::next) and an empty `input` before reading the socket again.
    pub fn hold(&mut self, input: &mut BytesMut) {
        self.inbox.hold(input);
    }

    /// Bytes kept here that were not consumed yet: an unfinished frame, or what [`hold`](Self::hold) kept.
    pub fn held_len(&self) -> usize {
        self.inbox.len()
    }

    /// Bytes of memory held here: an unfinished frame with the room for what follows, the fragments of an unfinished message,
    /// the rest of a batch, and what [`hold`](Self::hold) kept.
    pub fn held_memory(&self) -> usize {
        let link = if let State::Linked(link) = &self.state { link.held_memory() } else { 0 };
        self.inbox.memory() + link
    }

    /// Refuses messages longer than `limit` bytes from now on, all fragments or a whole batch together, whatever else the
    /// options allow; pings too. `None` ends that. For peers that have not joined a session yet.
    ///
    /// Has an effect only while there are messages: call it after the opening handshake was accepted. A peer that sends a
    /// longer message meets [`WebSocketError::TooLongBeforeJoin`](crate::WebSocketError::TooLongBeforeJoin) or
    /// [`RawSocketError::TooLongBeforeJoin`], as soon as the header of the frame has arrived.
    pub fn limit_messages(&mut self, limit: Option<usize>) {
        if let State::Linked(link) = &mut self.state {
            link.limit_messages(limit.unwrap_or(usize::MAX));
        }
    }

    /// Accepts the request of [`Incoming::Http`] as a WebSocket.
    ///
    /// # Errors
    /// The request is not an acceptable upgrade. The error response is in `out` and the connection is closed.
    pub fn accept_websocket(
        &mut self,
        now: Instant,
        request: &HttpRequest,
        options: &UpgradeOptions,
        out: &mut Vec<u8>,
    ) -> Result<Encoding, HttpError> {
        self.accept_websocket_with(now, request, options, &[], out)
    }

    /// As [`Connection::accept_websocket`], with further headers in the response. One that is not valid HTTP is left out.
    ///
    /// # Errors
    /// As there.
    pub fn accept_websocket_with(
        &mut self,
        now: Instant,
        request: &HttpRequest,
        options: &UpgradeOptions,
        headers: &[(&str, &str)],
        out: &mut Vec<u8>,
    ) -> Result<Encoding, HttpError> {
        let State::HttpAnswer { head_only, .. } = self.state else {
            return Err(HttpError::UpgradeRequired);
        };
        match upgrade::accept(request, options, headers, out) {
            Ok(subprotocol) => {
                let link = WebSocket::new(ServerRole, subprotocol, Arc::clone(&options.websocket), now);
                let encoding = link.encoding();
                self.state = State::Linked(Link::WebSocket(link));
                Ok(encoding)
            }
            Err(error) => {
                error.write(head_only, out);
                self.shut();
                Err(error)
            }
        }
    }

    /// Answers the request of [`Incoming::Http`] with a plain response and closes the connection.
    pub fn respond(&mut self, response: &HttpResponse<'_>, out: &mut Vec<u8>) {
        if self.respond_head(response, out) {
            out.extend_from_slice(response.body);
        }
    }

    /// As [`respond`](Self::respond), but leaves the body to the caller if the answer is true: it is to follow what is in `out`,
    /// and need not be copied there.
    #[must_use]
    pub fn respond_head(&mut self, response: &HttpResponse<'_>, out: &mut Vec<u8>) -> bool {
        let State::HttpAnswer { head_only, .. } = self.state else { return false };
        // A body that follows is as long as it is.
        let length = if head_only { response.length } else { ContentLength::OfBody };
        HttpResponse { length, ..*response }.write_head(out);
        self.shut();
        !head_only
    }

    /// Accepts the handshake of [`Incoming::RawSocket`]; `None` if there is none to answer.
    pub fn accept_rawsocket(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<Encoding> {
        let State::RawSocketAnswer { format, peer_accepts, .. } = self.state else { return None };
        let options = self.options.rawsocket.as_ref()?;
        let serializer = rawsocket::serializer_of(format)?;
        out.extend_from_slice(&rawsocket::handshake(options.max_message, serializer));
        let link = RawSocket::new(format, peer_accepts, options, now);
        let encoding = link.encoding();
        self.state = State::Linked(Link::RawSocket(link));
        Some(encoding)
    }

    /// Refuses the handshake of [`Incoming::RawSocket`] and closes the connection.
    pub fn refuse_rawsocket(&mut self, refusal: RawSocketRefusal, out: &mut Vec<u8>) {
        if let State::RawSocketAnswer { .. } = self.state {
            out.extend_from_slice(&refusal.reply());
            self.shut();
        }
    }

    /// How messages for this peer are encoded and framed; `None` before the connection is open.
    ///
    /// Of `wamp.2.json.batched` the framing is final once the peer's first message has arrived, as it tells the peer's dialect.
    pub fn encoding(&self) -> Option<Encoding> {
        match &self.state {
            State::Linked(link) => Some(link.encoding()),
            _ => None,
        }
    }

    /// Whether the peer accepts a frame of this length, made with [`encoding`](Self::encoding).
    ///
    /// # Errors
    /// The message is longer than what the peer announced in its RawSocket handshake: do not send it.
    pub fn admits(&self, frame_len: usize) -> Result<(), MessageTooLong> {
        match &self.state {
            State::Linked(link) => link.admits(frame_len),
            _ => Ok(()),
        }
    }

    /// Closes the connection from this side. Send no message after this.
    ///
    /// A WebSocket is closed when the peer has answered ([`Incoming::Closed`]) or its time is up ([`next_deadline`](Self::next_deadline));
    /// anything else [`is_closed`](Self::is_closed) at once.
    pub fn close(&mut self, now: Instant, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        match &mut self.state {
            State::Linked(link) => link.close(now, code, reason, out),
            _ => self.shut(),
        }
    }

    /// Whether messages can be sent: the opening handshake is over and the closing one has not begun.
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

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    ///
    /// It moves only when that is called, or when the connection opens or begins to close: not with every message.
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Sniffing { deadline }
            | State::HttpHead { deadline, .. }
            | State::HttpAnswer { deadline, .. }
            | State::RawSocketHandshake { deadline }
            | State::RawSocketAnswer { deadline, .. } => Some(*deadline),
            State::Linked(link) => link.next_deadline(),
            State::Closed => None,
        }
    }

    /// Does what is due: pings an idle peer, gives up a silent one. Early calls are harmless.
    ///
    /// `reading`: false if the adapter has stopped reading this connection; its silence is not held against the peer then.
    ///
    /// # Errors
    /// A peer was given up; the connection is closed.
    pub fn handle_timeout(&mut self, now: Instant, reading: bool, out: &mut Vec<u8>) -> Result<(), TransportError> {
        if let State::Linked(link) = &mut self.state {
            return link.handle_timeout(now, reading, out);
        }
        if self.next_deadline().is_none_or(|deadline| now < deadline) {
            return Ok(());
        }
        if let State::HttpHead { .. } = self.state {
            HttpError::Timeout.write(false, out);
        }
        self.shut();
        Err(TransportError::OpenTimeout)
    }

    /// The opening handshake, up to the question whether to accept.
    fn open(&mut self, input: &mut BytesMut, out: &mut Vec<u8>) -> Result<Option<Incoming>, TransportError> {
        if let State::Sniffing { deadline } = self.state {
            let Some(first) = self.inbox.first().or_else(|| input.first().copied()) else { return Ok(None) };
            self.state = match (first == MAGIC, &self.options.http, &self.options.rawsocket) {
                (true, _, Some(_)) => State::RawSocketHandshake { deadline },
                (false, Some(_), _) => State::HttpHead { deadline, scanned: 0 },
                _ => return Err(TransportError::ProtocolDisabled),
            };
        }
        match self.state {
            State::HttpHead { .. } => self.read_http_head(input).inspect_err(|error| error.write(false, out)),
            State::RawSocketHandshake { .. } => {
                return self.read_rawsocket_handshake(input, out).map_err(TransportError::from);
            }
            State::HttpAnswer { .. } | State::RawSocketAnswer { .. } => self.wait_for_answer(input),
            State::Sniffing { .. } | State::Linked(_) | State::Closed => Ok(None),
        }
        .map_err(TransportError::from)
    }

    fn read_http_head(&mut self, input: &mut BytesMut) -> Result<Option<Incoming>, HttpError> {
        let State::HttpHead { deadline, scanned } = &mut self.state else { return Ok(None) };
        let limit = self.options.http.as_ref().map_or(0, |options| options.max_head);
        let head = self.inbox.frame(input, |bytes| parse_http_head(bytes, scanned, limit))?;
        let Some(((), head)) = head else { return Ok(None) };
        let request = HttpRequest::parse(&head)?;
        self.state = State::HttpAnswer { deadline: *deadline, head_only: *request.method() == Method::Head };
        Ok(Some(Incoming::Http(Box::new(request))))
    }

    fn read_rawsocket_handshake(
        &mut self,
        input: &mut BytesMut,
        out: &mut Vec<u8>,
    ) -> Result<Option<Incoming>, RawSocketError> {
        let (State::RawSocketHandshake { deadline }, Some(options)) = (&self.state, &self.options.rawsocket) else {
            return Ok(None);
        };
        let deadline = *deadline;
        let octets = self.inbox.frame(input, parse_rawsocket_handshake)?;
        let Some((octets, _)) = octets else { return Ok(None) };
        match rawsocket::parse_request(octets, options) {
            Ok((format, peer_accepts)) => {
                self.state = State::RawSocketAnswer { deadline, format, peer_accepts };
                Ok(Some(Incoming::RawSocket { format }))
            }
            Err(refusal) => {
                out.extend_from_slice(&refusal.reply());
                Err(RawSocketError::Refused(refusal))
            }
        }
    }

    /// A peer that sends on before it is answered is kept waiting, within the limit of a head.
    fn wait_for_answer(&mut self, input: &mut BytesMut) -> Result<Option<Incoming>, HttpError> {
        let limit = self.options.http.as_ref().map_or(HttpOptions::DEFAULT.max_head, |options| options.max_head);
        self.inbox.hold(input);
        if self.inbox.len() > limit { Err(HttpError::HeadTooLong { limit }) } else { Ok(None) }
    }

    fn shut(&mut self) {
        self.inbox.clear();
        self.state = State::Closed;
    }
}

pub(crate) fn parse_http_head(bytes: &[u8], scanned: &mut usize, limit: usize) -> Result<Parsed<()>, HttpError> {
    match find_head_end(bytes, scanned) {
        Some(end) if end <= limit => Ok(Parsed::Frame { head: (), header: 0, payload: end }),
        // One byte more than the limit, so that a head that is too long is seen.
        None if bytes.len() <= limit => Ok(Parsed::Need(limit.saturating_add(1))),
        _ => Err(HttpError::HeadTooLong { limit }),
    }
}

pub(crate) fn parse_rawsocket_handshake(bytes: &[u8]) -> Result<Parsed<[u8; 4]>, RawSocketError> {
    Ok(match bytes.first_chunk::<4>() {
        Some(octets) => Parsed::Frame { head: *octets, header: 4, payload: 0 },
        None => Parsed::Need(4),
    })
}
