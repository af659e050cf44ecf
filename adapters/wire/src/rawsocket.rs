//! RawSocket connections (WAMP spec, "RawSocket Transport"), server and client.

use std::fmt;

use bytes::BytesMut;
use wampd_core::{codec::Format, time::Instant};

use crate::{
    buffer::{Inbox, Parsed},
    error::TransportError,
    framing::{
        Encoding, Framing, MessageTooLong, RAWSOCKET_MAX, RAWSOCKET_MESSAGE, RAWSOCKET_PING, RAWSOCKET_PONG,
        rawsocket_header,
    },
    incoming::Incoming,
    keepalive::{KeepAlive, PingOptions, Verdict},
};

/// The first octet of every RawSocket connection, in both directions.
pub(crate) const MAGIC: u8 = 0x7f;

/// A limit of the length of messages as RawSocket can express it: a power of two from 2^9 to 2^24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaxLength(u8);

impl MaxLength {
    /// 2^24 bytes.
    pub const MAX: Self = Self(15);

    /// The least that a client has to accept: 2^11 bytes for JSON, 2^10 for others. The WELCOME of a router with all its
    /// features does not fit into less, so such a client could never join.
    pub const fn for_welcome(format: Format) -> Self {
        Self(if matches!(format, Format::Json) { 2 } else { 1 })
    }

    /// The greatest limit that is not above `bytes`, at least 2^9.
    pub const fn at_most(bytes: usize) -> Self {
        let mut limit = Self::MAX;
        while limit.0 > 0 && limit.bytes() > bytes {
            limit.0 -= 1;
        }
        limit
    }

    /// The limit in bytes.
    pub const fn bytes(self) -> usize {
        1 << (9 + self.0)
    }
}

/// Limits and timers of RawSocket connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawSocketOptions {
    /// The serializers accepted. Default: all three.
    pub formats: Vec<Format>,
    /// Longest message accepted, announced to the peer. Default 2^24 bytes.
    pub max_message: MaxLength,
    /// Longest payload of a ping or pong accepted, in bytes, if that is less than `max_message`; each is held in memory and
    /// a ping is answered in full. Default 2^24.
    pub max_ping: usize,
    /// Automatic pings. Default [`PingOptions::OFF`]: Autobahn|Python's RawSocket clients do not understand a ping and end
    /// the connection.
    pub ping: PingOptions,
}

impl Default for RawSocketOptions {
    fn default() -> Self {
        Self {
            formats: vec![Format::Json, Format::Cbor, Format::MsgPack],
            max_message: MaxLength::MAX,
            max_ping: RAWSOCKET_MAX,
            ping: PingOptions::OFF,
        }
    }
}

/// Why a server refuses a RawSocket handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawSocketRefusal {
    /// 1: the serializer is not supported.
    SerializerUnsupported,
    /// 2: the maximum message length is unacceptable.
    MaxLengthUnacceptable,
    /// 3: reserved bits are in use.
    ReservedBits,
    /// 4: the maximum number of connections is reached.
    ConnectionLimit,
    /// A code without a meaning, received from a server.
    Unknown(u8),
}

impl RawSocketRefusal {
    const fn code(self) -> u8 {
        match self {
            Self::SerializerUnsupported => 1,
            Self::MaxLengthUnacceptable => 2,
            Self::ReservedBits => 3,
            Self::ConnectionLimit => 4,
            Self::Unknown(code) => code & 0x0f,
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::SerializerUnsupported,
            2 => Self::MaxLengthUnacceptable,
            3 => Self::ReservedBits,
            4 => Self::ConnectionLimit,
            unknown => Self::Unknown(unknown),
        }
    }

    /// The four octets a server answers a refused handshake with.
    pub(crate) const fn reply(self) -> [u8; 4] {
        [MAGIC, self.code() << 4, 0, 0]
    }
}

impl fmt::Display for RawSocketRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SerializerUnsupported => "serializer unsupported",
            Self::MaxLengthUnacceptable => "maximum message length unacceptable",
            Self::ReservedBits => "use of reserved bits",
            Self::ConnectionLimit => "maximum connection count reached",
            Self::Unknown(code) => return write!(f, "error code {code}"),
        })
    }
}

/// How a peer broke the RawSocket transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawSocketError {
    /// The server refused a client's handshake, or this server has refused the peer's.
    Refused(RawSocketRefusal),
    /// The server's reply does not begin with 0x7f.
    BadMagic,
    /// The server chose another serializer than the one asked for, with this number.
    WrongSerializer(u8),
    /// Reserved octets of a handshake or reserved bits of a frame are not zero.
    ReservedBits,
    /// A frame of a type without a meaning.
    UnknownFrameType(u8),
    /// A length above 2^24.
    BadLength,
    /// A message longer than the limit announced in the handshake.
    MessageTooLong(MessageTooLong),
    /// A ping or pong longer than [`RawSocketOptions::max_ping`].
    PingTooLong(MessageTooLong),
    /// A message longer than what [`Connection::limit_messages`](crate::Connection::limit_messages) allows for now.
    TooLongBeforeJoin(MessageTooLong),
}

impl fmt::Display for RawSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => write!(f, "handshake refused: {refusal}"),
            Self::BadMagic => f.write_str("handshake does not begin with 0x7f"),
            Self::WrongSerializer(id) => write!(f, "server chose serializer {id}"),
            Self::ReservedBits => f.write_str("reserved bits are set"),
            Self::UnknownFrameType(kind) => write!(f, "unknown frame type {kind}"),
            Self::BadLength => f.write_str("length above 2^24"),
            Self::MessageTooLong(error) | Self::PingTooLong(error) => error.fmt(f),
            Self::TooLongBeforeJoin(error) => write!(f, "{error} before a session is joined"),
        }
    }
}

impl std::error::Error for RawSocketError {}

/// The four octets that open a connection, in either direction.
pub(crate) fn handshake(max_message: MaxLength, serializer: u8) -> [u8; 4] {
    [MAGIC, max_message.0 << 4 | serializer, 0, 0]
}

/// Reads a client's handshake: its serializer and the longest message it accepts.
pub(crate) fn parse_request(
    octets: [u8; 4],
    options: &RawSocketOptions,
) -> Result<(Format, MaxLength), RawSocketRefusal> {
    let [_, second, third, fourth] = octets;
    if (third, fourth) != (0, 0) {
        return Err(RawSocketRefusal::ReservedBits);
    }
    match format_of(second & 0x0f) {
        Some(format) if options.formats.contains(&format) => match MaxLength(second >> 4) {
            accepts if accepts < MaxLength::for_welcome(format) => Err(RawSocketRefusal::MaxLengthUnacceptable),
            accepts => Ok((format, accepts)),
        },
        _ => Err(RawSocketRefusal::SerializerUnsupported),
    }
}

/// Reads a server's reply to a handshake that asked for `serializer`: the longest message the server accepts.
pub(crate) fn parse_reply(octets: [u8; 4], serializer: u8) -> Result<MaxLength, RawSocketError> {
    let [magic, second, third, fourth] = octets;
    if magic != MAGIC {
        return Err(RawSocketError::BadMagic);
    }
    if second & 0x0f == 0 {
        return Err(RawSocketError::Refused(RawSocketRefusal::from_code(second >> 4)));
    }
    if (third, fourth) != (0, 0) {
        return Err(RawSocketError::ReservedBits);
    }
    if second & 0x0f != serializer {
        return Err(RawSocketError::WrongSerializer(second & 0x0f));
    }
    Ok(MaxLength(second >> 4))
}

/// The number of a serializer in the handshake; `None` if RawSocket has none for it.
pub(crate) const fn serializer_of(format: Format) -> Option<u8> {
    match format {
        Format::Json => Some(1),
        Format::MsgPack => Some(2),
        Format::Cbor => Some(3),
        _ => None,
    }
}

fn format_of(serializer: u8) -> Option<Format> {
    [Format::Json, Format::MsgPack, Format::Cbor].into_iter().find(|&format| serializer_of(format) == Some(serializer))
}

/// A RawSocket connection after its handshake.
#[derive(Debug)]
pub(crate) struct RawSocket {
    format: Format,
    /// Longest message we accept and the peer accepts.
    max_receive: usize,
    max_send: usize,
    max_ping: usize,
    /// A further limit of all that is received, see [`limit_messages`](Self::limit_messages).
    limit: usize,
    ping: PingOptions,
    keepalive: KeepAlive,
    closed: bool,
}

impl RawSocket {
    pub(crate) fn new(format: Format, peer_accepts: MaxLength, options: &RawSocketOptions, now: Instant) -> Self {
        Self {
            format,
            max_receive: options.max_message.bytes(),
            max_send: peer_accepts.bytes(),
            max_ping: options.max_ping.min(options.max_message.bytes()),
            limit: usize::MAX,
            ping: options.ping,
            keepalive: KeepAlive::new(&options.ping, now),
            closed: false,
        }
    }

    pub(crate) fn limit_messages(&mut self, limit: usize) {
        self.limit = limit;
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
        while !self.closed {
            match inbox.frame(input, |bytes| self.parse(bytes)) {
                Ok(None) => return Ok(None),
                Ok(Some((RAWSOCKET_MESSAGE, payload))) => return Ok(Some(Incoming::Message(payload.freeze()))),
                Ok(Some((RAWSOCKET_PING, payload))) => {
                    // No error: a ping is at most 2^24 bytes.
                    if let Ok(header) = rawsocket_header(RAWSOCKET_PONG, payload.len()) {
                        out.extend_from_slice(&header);
                        out.extend_from_slice(&payload);
                    }
                }
                Ok(Some(_pong)) => {}
                Err(error) => {
                    self.closed = true;
                    inbox.clear();
                    input.clear();
                    return Err(error.into());
                }
            }
        }
        inbox.clear();
        input.clear();
        Ok(None)
    }

    pub(crate) fn encoding(&self) -> Encoding {
        Encoding { format: self.format, framing: Framing::RawSocket }
    }

    pub(crate) fn admits(&self, frame_len: usize) -> Result<(), MessageTooLong> {
        let len = Encoding::rawsocket_body_len(frame_len);
        if len > self.max_send {
            return Err(MessageTooLong { len, limit: self.max_send });
        }
        Ok(())
    }

    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.closed { None } else { self.keepalive.deadline() }
    }

    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        reading: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), TransportError> {
        if self.closed {
            return Ok(());
        }
        match self.keepalive.handle_timeout(&self.ping, now, reading) {
            Verdict::Alive => Ok(()),
            Verdict::Ping => {
                out.extend_from_slice(&[RAWSOCKET_PING, 0, 0, 0]);
                Ok(())
            }
            Verdict::Dead => {
                self.closed = true;
                Err(TransportError::PingTimeout)
            }
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Parsed<u8>, RawSocketError> {
        let Some(&[first, a, b, c]) = bytes.first_chunk::<4>() else {
            return Ok(Parsed::Need(4));
        };
        let kind = first & 0x07;
        if first & 0xf0 != 0 {
            return Err(RawSocketError::ReservedBits);
        }
        let len = u32::from_be_bytes([first >> 3, a, b, c]) as usize;
        if len > RAWSOCKET_MAX {
            return Err(RawSocketError::BadLength);
        }
        let too_long = |limit| MessageTooLong { len, limit };
        match kind {
            RAWSOCKET_MESSAGE if len > self.max_receive => {
                Err(RawSocketError::MessageTooLong(too_long(self.max_receive)))
            }
            RAWSOCKET_PING | RAWSOCKET_PONG if len > self.max_ping => {
                Err(RawSocketError::PingTooLong(too_long(self.max_ping)))
            }
            RAWSOCKET_MESSAGE | RAWSOCKET_PING | RAWSOCKET_PONG if len > self.limit => {
                Err(RawSocketError::TooLongBeforeJoin(too_long(self.limit)))
            }
            RAWSOCKET_MESSAGE | RAWSOCKET_PING | RAWSOCKET_PONG => {
                Ok(Parsed::Frame { head: kind, header: 4, payload: len })
            }
            unknown => Err(RawSocketError::UnknownFrameType(unknown)),
        }
    }
}
