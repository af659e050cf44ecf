//! WebSocket connections after the opening handshake (RFC 6455 sections 5 to 7), server and client.

use std::{fmt, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use rand_core::Rng;
use wampd_core::{codec::Format, time::Instant};

use crate::{
    batch::{self, BatchError, JsonSeparator},
    buffer::{Inbox, Parsed},
    error::TransportError,
    framing::{BINARY, CLOSE, Encoding, Framing, PING, PONG, Subprotocol, TEXT, push_control},
    incoming::Incoming,
    keepalive::{KeepAlive, PingOptions, Verdict},
    mask::apply_mask,
};

/// Limits and timers of a WebSocket connection after its opening handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketOptions {
    /// Longest payload of one received frame, in bytes. Default 16 MiB.
    pub max_frame: usize,
    /// Longest received message, all its frames together, in bytes. Default 16 MiB.
    pub max_message: usize,
    /// Automatic pings. Default [`PingOptions::ON`].
    pub ping: PingOptions,
    /// How long the peer may take to answer our close frame. Default 5 s.
    pub close_timeout: Duration,
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self {
            max_frame: 16 << 20,
            max_message: 16 << 20,
            ping: PingOptions::ON,
            close_timeout: Duration::from_secs(5),
        }
    }
}

/// A status code of a close frame (RFC 6455 section 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The endpoint goes away, for example because the server shuts down.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke RFC 6455 or the framing of batches.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A text message on a binary serializer, or the reverse.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// Data does not fit the type of the message, for example text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// A policy was violated, for example by a consumer that is too slow.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// A message is longer than accepted.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// The server cannot fulfil the request.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The server is overloaded.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// Whether the code may stand in a close frame (RFC 6455 section 7.4, and the codes registered since).
    pub const fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// How a peer broke RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebSocketError {
    /// A reserved bit is set although no extension was negotiated.
    ReservedBits,
    /// An opcode without a meaning.
    UnknownOpcode(u8),
    /// A client's frame without a mask.
    MissingMask,
    /// A server's frame with a mask.
    UnexpectedMask,
    /// A control frame that is fragmented.
    FragmentedControl,
    /// A control frame with more than 125 bytes.
    LongControl,
    /// A length that is not written in its shortest form, or has its highest bit set.
    BadLength,
    /// A continuation frame although no message was begun.
    UnexpectedContinuation,
    /// A new message before the last one was finished.
    UnfinishedMessage,
    /// A text message for a binary serializer.
    UnexpectedText,
    /// A binary message for JSON.
    UnexpectedBinary,
    /// A frame longer than [`WebSocketOptions::max_frame`].
    FrameTooLong {
        /// The length of the frame's payload, in bytes.
        len: u64,
    },
    /// A message longer than [`WebSocketOptions::max_message`].
    MessageTooLong {
        /// The length of the message up to the frame that exceeded the limit, in bytes.
        len: u64,
    },
    /// A message longer than what [`Connection::limit_messages`](crate::Connection::limit_messages) allows for now.
    TooLongBeforeJoin {
        /// The length of the message up to the frame that exceeded the limit, in bytes.
        len: u64,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A close frame of one byte, or with a code that must not be sent.
    BadClose,
    /// The reason in a close frame is not UTF-8.
    CloseReasonNotUtf8,
}

impl WebSocketError {
    /// The code for the close frame.
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::UnexpectedText | Self::UnexpectedBinary => CloseCode::UNSUPPORTED_DATA,
            Self::FrameTooLong { .. } | Self::MessageTooLong { .. } | Self::TooLongBeforeJoin { .. } => {
                CloseCode::MESSAGE_TOO_BIG
            }
            Self::CloseReasonNotUtf8 => CloseCode::INVALID_DATA,
            Self::ReservedBits
            | Self::UnknownOpcode(_)
            | Self::MissingMask
            | Self::UnexpectedMask
            | Self::FragmentedControl
            | Self::LongControl
            | Self::BadLength
            | Self::UnexpectedContinuation
            | Self::UnfinishedMessage
            | Self::BadClose => CloseCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "reserved bits are set",
            Self::UnknownOpcode(opcode) => return write!(f, "unknown opcode {opcode}"),
            Self::MissingMask => "frame from a client is not masked",
            Self::UnexpectedMask => "frame from a server is masked",
            Self::FragmentedControl => "fragmented control frame",
            Self::LongControl => "control frame longer than 125 bytes",
            Self::BadLength => "length not in its shortest form",
            Self::UnexpectedContinuation => "continuation without a message",
            Self::UnfinishedMessage => "new message inside a fragmented one",
            Self::UnexpectedText => "text message for a binary serializer",
            Self::UnexpectedBinary => "binary message for a text serializer",
            Self::FrameTooLong { len } => return write!(f, "frame of {len} bytes is too long"),
            Self::MessageTooLong { len } => return write!(f, "message of {len} bytes is too long"),
            Self::TooLongBeforeJoin { len, limit } => {
                return write!(
                    f,
                    "message of {len} bytes exceeds the limit of {limit} bytes before a session is joined"
                );
            }
            Self::BadClose => "bad close frame",
            Self::CloseReasonNotUtf8 => "close reason is not UTF-8",
        })
    }
}

impl std::error::Error for WebSocketError {}

/// Which end of a WebSocket connection this is: decides about masks.
pub(crate) trait Role {
    /// Whether frames of the peer must be masked (otherwise they must not).
    const PEER_MASKS: bool;
    /// The key for the next frame to send.
    fn next_mask(&mut self) -> Option<[u8; 4]>;
}

#[derive(Debug)]
pub(crate) struct ServerRole;

impl Role for ServerRole {
    const PEER_MASKS: bool = true;
    fn next_mask(&mut self) -> Option<[u8; 4]> {
        None
    }
}

pub(crate) struct ClientRole<R>(pub(crate) R);

impl<R: Rng> Role for ClientRole<R> {
    const PEER_MASKS: bool = false;
    fn next_mask(&mut self) -> Option<[u8; 4]> {
        Some(self.0.next_u32().to_ne_bytes())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Our close frame is sent; the peer's must come before this.
    Closing(Instant),
    Closed,
}

/// A WebSocket connection after its opening handshake.
#[derive(Debug)]
pub(crate) struct WebSocket<R> {
    pub(crate) role: R,
    options: Arc<WebSocketOptions>,
    subprotocol: Subprotocol,
    /// The peer's dialect of JSON batches, once it is known.
    separator: Option<JsonSeparator>,
    /// The unmasked frames so far of a fragmented message; `None` outside of one.
    fragments: Option<BytesMut>,
    /// What is left of the last batched message.
    batch: Bytes,
    /// A further limit of the length of messages, see [`limit_messages`](Self::limit_messages).
    limit: usize,
    keepalive: KeepAlive,
    phase: Phase,
}

/// What is known of a frame from its header.
struct FrameHead {
    fin: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
}

const CONTINUATION: u8 = 0x0;

impl<R: Role> WebSocket<R> {
    pub(crate) fn new(role: R, subprotocol: Subprotocol, options: Arc<WebSocketOptions>, now: Instant) -> Self {
        let keepalive = KeepAlive::new(&options.ping, now);
        Self {
            role,
            options,
            subprotocol,
            separator: None,
            fragments: None,
            batch: Bytes::new(),
            limit: usize::MAX,
            keepalive,
            phase: Phase::Open,
        }
    }

    pub(crate) fn limit_messages(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Bytes of memory held beside the inbox.
    pub(crate) fn held_memory(&self) -> usize {
        self.fragments.as_ref().map_or(0, BytesMut::capacity) + self.batch.len()
    }

    pub(crate) fn next(
        &mut self,
        now: Instant,
        inbox: &mut Inbox,
        input: &mut BytesMut,
        out: &mut Vec<u8>,
    ) -> Result<Option<Incoming>, TransportError> {
        if !input.is_empty() {
            self.keepalive.seen(now);
        }
        let result = self.advance(inbox, input, out);
        if let Err(error) = &result {
            self.fail(error, out);
        }
        if self.phase == Phase::Closed {
            inbox.clear();
            input.clear();
        }
        result
    }

    pub(crate) fn encoding(&self) -> Encoding {
        let framing = match self.separator {
            _ if !self.subprotocol.is_batched() => Framing::WebSocket,
            Some(JsonSeparator::Cancel) => Framing::WebSocketBatchedCancel,
            Some(JsonSeparator::Record) | None => Framing::WebSocketBatched,
        };
        Encoding { format: self.subprotocol.format(), framing }
    }

    /// Begins the closing handshake; does nothing if it has begun.
    pub(crate) fn close(&mut self, now: Instant, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        if self.phase == Phase::Open {
            self.push_close(Some(code), reason, out);
            self.phase = Phase::Closing(now.after(self.options.close_timeout));
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    pub(crate) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Open => self.keepalive.deadline(),
            Phase::Closing(deadline) => Some(deadline),
            Phase::Closed => None,
        }
    }

    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        reading: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), TransportError> {
        let error = match self.phase {
            Phase::Open => match self.keepalive.handle_timeout(&self.options.ping, now, reading) {
                Verdict::Alive => return Ok(()),
                Verdict::Ping => {
                    push_control(out, PING, &[], self.role.next_mask());
                    return Ok(());
                }
                Verdict::Dead => TransportError::PingTimeout,
            },
            Phase::Closing(deadline) if now >= deadline => TransportError::CloseTimeout,
            Phase::Closing(_) | Phase::Closed => return Ok(()),
        };
        self.set_closed();
        Err(error)
    }

    fn advance(
        &mut self,
        inbox: &mut Inbox,
        input: &mut BytesMut,
        out: &mut Vec<u8>,
    ) -> Result<Option<Incoming>, TransportError> {
        loop {
            if self.phase == Phase::Closed {
                return Ok(None);
            }
            if let Some(message) = self.next_of_batch()? {
                return Ok(Some(Incoming::Message(message)));
            }
            let Some((head, mut payload)) = inbox.frame(input, |bytes| self.parse(bytes))? else {
                return Ok(None);
            };
            if let Some(mask) = head.mask {
                apply_mask(&mut payload, mask);
            }
            match head.opcode {
                PING if self.phase == Phase::Open => push_control(out, PONG, &payload, self.role.next_mask()),
                PING | PONG => {}
                CLOSE => return self.receive_close(&payload, out).map(Some),
                _ => {
                    let Some(message) = self.assemble(head.fin, payload) else { continue };
                    if self.phase != Phase::Open {
                        continue;
                    }
                    if !self.subprotocol.is_batched() {
                        return Ok(Some(Incoming::Message(message)));
                    }
                    if message.is_empty() {
                        return Err(BatchError::Empty.into());
                    }
                    self.batch = message;
                }
            }
        }
    }

    /// Reads and judges a frame header; a violation is found before its payload is waited for.
    fn parse(&self, bytes: &[u8]) -> Result<Parsed<FrameHead>, WebSocketError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(Parsed::Need(2));
        };
        let (fin, opcode) = (first & 0x80 != 0, first & 0x0f);
        let masked = second & 0x80 != 0;
        if first & 0x70 != 0 {
            return Err(WebSocketError::ReservedBits);
        }
        if masked != R::PEER_MASKS {
            return Err(if masked { WebSocketError::UnexpectedMask } else { WebSocketError::MissingMask });
        }
        let mask_len = if masked { 4 } else { 0 };
        let (len, len_len) = match second & 0x7f {
            126 => match rest.first_chunk::<2>() {
                None => return Ok(Parsed::Need(4 + mask_len)),
                Some(len) => (u64::from(u16::from_be_bytes(*len)), 2),
            },
            127 => match rest.first_chunk::<8>() {
                None => return Ok(Parsed::Need(10 + mask_len)),
                Some(len) => (u64::from_be_bytes(*len), 8),
            },
            len => (u64::from(len), 0),
        };
        let shortest = match len_len {
            0 => true,
            2 => len > 125,
            _ => len > 0xffff && len >> 63 == 0,
        };
        if !shortest {
            return Err(WebSocketError::BadLength);
        }
        self.check_opcode(fin, opcode, len)?;
        let header = 2 + len_len + mask_len;
        let mask = if masked {
            match rest[len_len..].first_chunk::<4>() {
                None => return Ok(Parsed::Need(header)),
                Some(mask) => Some(*mask),
            }
        } else {
            None
        };
        let payload = usize::try_from(len).map_err(|_| WebSocketError::FrameTooLong { len })?;
        Ok(Parsed::Frame { head: FrameHead { fin, opcode, mask }, header, payload })
    }

    fn check_opcode(&self, fin: bool, opcode: u8, len: u64) -> Result<(), WebSocketError> {
        match opcode {
            CLOSE | PING | PONG if !fin => return Err(WebSocketError::FragmentedControl),
            CLOSE | PING | PONG if len > 125 => return Err(WebSocketError::LongControl),
            CLOSE | PING | PONG => return Ok(()),
            CONTINUATION if self.fragments.is_none() => return Err(WebSocketError::UnexpectedContinuation),
            CONTINUATION => {}
            TEXT | BINARY if self.fragments.is_some() => return Err(WebSocketError::UnfinishedMessage),
            TEXT if self.subprotocol.format() != Format::Json => return Err(WebSocketError::UnexpectedText),
            BINARY if self.subprotocol.format() == Format::Json => return Err(WebSocketError::UnexpectedBinary),
            TEXT | BINARY => {}
            unknown => return Err(WebSocketError::UnknownOpcode(unknown)),
        }
        if len > self.options.max_frame as u64 {
            return Err(WebSocketError::FrameTooLong { len });
        }
        let before = self.fragments.as_ref().map_or(0, BytesMut::len) as u64;
        let len = len.saturating_add(before);
        if len > self.options.max_message as u64 {
            return Err(WebSocketError::MessageTooLong { len });
        }
        if len > self.limit as u64 {
            return Err(WebSocketError::TooLongBeforeJoin { len, limit: self.limit });
        }
        Ok(())
    }

    /// Adds a data frame to its message; gives the message once it is complete.
    fn assemble(&mut self, fin: bool, payload: BytesMut) -> Option<Bytes> {
        match (&mut self.fragments, fin) {
            (None, true) => Some(payload.freeze()),
            (None, false) => {
                // A copy: a fragment must not keep the whole read buffer alive while the rest is on its way.
                self.fragments = Some(BytesMut::from(&payload[..]));
                None
            }
            (Some(fragments), _) => {
                fragments.extend_from_slice(&payload);
                if fin { self.fragments.take().map(BytesMut::freeze) } else { None }
            }
        }
    }

    fn next_of_batch(&mut self) -> Result<Option<Bytes>, BatchError> {
        if self.batch.is_empty() {
            return Ok(None);
        }
        let message = if self.subprotocol.format() == Format::Json {
            batch::next_json(&mut self.batch, &mut self.separator)
        } else {
            batch::next_prefixed(&mut self.batch)
        };
        if self.batch.is_empty() {
            // An empty slice would still keep the buffer it was cut from.
            self.batch = Bytes::new();
        }
        message
    }

    fn receive_close(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<Incoming, TransportError> {
        let (code, reason) = match payload {
            [] => (None, ""),
            [high, low, reason @ ..] => {
                let code = CloseCode(u16::from_be_bytes([*high, *low]));
                if !code.may_be_sent() {
                    return Err(WebSocketError::BadClose.into());
                }
                (Some(code), std::str::from_utf8(reason).map_err(|_| WebSocketError::CloseReasonNotUtf8)?)
            }
            [_] => return Err(WebSocketError::BadClose.into()),
        };
        if self.phase == Phase::Open {
            self.push_close(code, "", out);
        }
        self.set_closed();
        Ok(Incoming::Closed { code, reason: reason.into() })
    }

    /// Fails the connection (RFC 6455 section 7.1.7): one close frame, then nothing more.
    fn fail(&mut self, error: &TransportError, out: &mut Vec<u8>) {
        if self.phase == Phase::Open {
            let (code, reason) = match error {
                TransportError::WebSocket(error) => (error.close_code(), error.to_string()),
                other => (CloseCode::PROTOCOL_ERROR, other.to_string()),
            };
            self.push_close(Some(code), &reason, out);
        }
        self.set_closed();
    }

    fn set_closed(&mut self) {
        self.phase = Phase::Closed;
        self.batch = Bytes::new();
        self.fragments = None;
    }

    fn push_close(&mut self, code: Option<CloseCode>, reason: &str, out: &mut Vec<u8>) {
        let mask = self.role.next_mask();
        let Some(code) = code else {
            return push_control(out, CLOSE, &[], mask);
        };
        let mut payload = [0; 125];
        let reason = &reason.as_bytes()[..floor_char_boundary(reason, 123)];
        payload[..2].copy_from_slice(&code.0.to_be_bytes());
        payload[2..2 + reason.len()].copy_from_slice(reason);
        push_control(out, CLOSE, &payload[..2 + reason.len()], mask);
    }
}

/// The greatest index of a character boundary that is not above `limit`.
fn floor_char_boundary(text: &str, limit: usize) -> usize {
    (0..=limit.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}
