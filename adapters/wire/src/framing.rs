//! Outgoing data frames: header, body and trailer in one buffer.

use std::fmt;

use wampd_core::codec::Format;

use crate::{batch::JsonSeparator, mask::apply_mask};

/// A WebSocket subprotocol of WAMP: a serializer, and whether messages are batched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subprotocol {
    /// `wamp.2.json`
    Json,
    /// `wamp.2.json.batched`
    JsonBatched,
    /// `wamp.2.cbor`
    Cbor,
    /// `wamp.2.cbor.batched`
    CborBatched,
    /// `wamp.2.msgpack`
    MsgPack,
    /// `wamp.2.msgpack.batched`
    MsgPackBatched,
}

impl Subprotocol {
    /// All of them, in the order in which a server with no other preference offers them.
    pub const ALL: [Self; 6] =
        [Self::CborBatched, Self::Cbor, Self::MsgPackBatched, Self::MsgPack, Self::JsonBatched, Self::Json];

    /// The token of `Sec-WebSocket-Protocol`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Json => "wamp.2.json",
            Self::JsonBatched => "wamp.2.json.batched",
            Self::Cbor => "wamp.2.cbor",
            Self::CborBatched => "wamp.2.cbor.batched",
            Self::MsgPack => "wamp.2.msgpack",
            Self::MsgPackBatched => "wamp.2.msgpack.batched",
        }
    }

    /// The subprotocol of a token of `Sec-WebSocket-Protocol`, compared exactly.
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subprotocol| subprotocol.token() == token)
    }

    /// The serializer.
    pub const fn format(self) -> Format {
        match self {
            Self::Json | Self::JsonBatched => Format::Json,
            Self::Cbor | Self::CborBatched => Format::Cbor,
            Self::MsgPack | Self::MsgPackBatched => Format::MsgPack,
        }
    }

    /// Whether one WebSocket message holds several WAMP messages.
    pub const fn is_batched(self) -> bool {
        matches!(self, Self::JsonBatched | Self::CborBatched | Self::MsgPackBatched)
    }
}

/// How the bytes of one WAMP message are wrapped on a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A WebSocket message: text for JSON, otherwise binary.
    WebSocket,
    /// A WebSocket message with a batch of one: 0x1e after JSON, otherwise a 32-bit length before it.
    WebSocketBatched,
    /// The same in Autobahn's JSON dialect: 0x18 after the message.
    WebSocketBatchedCancel,
    /// A RawSocket frame.
    RawSocket,
}

/// Serializer and framing of a connection: equal encodings give equal bytes, so a frame can be shared between receivers.
///
/// Client-to-server WebSocket frames are masked with a fresh key and cannot be shared; [`Client`](crate::Client) makes those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encoding {
    /// The serializer.
    pub format: Format,
    /// The framing around each message.
    pub framing: Framing,
}

/// A frame begun by [`Encoding::begin`], to be given to [`Encoding::finish`].
#[derive(Debug)]
#[must_use = "finish the frame, or abandon it"]
pub struct FrameStart {
    /// Where in the buffer the frame begins.
    at: usize,
    /// Bytes left free for the header.
    gap: usize,
}

impl FrameStart {
    /// Removes the begun frame from the buffer, for example because encoding the message failed.
    pub fn abandon(self, out: &mut Vec<u8>) {
        out.truncate(self.at);
    }
}

/// A message that is too long for its framing or for what the peer accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTooLong {
    /// The length of the encoded message, in bytes.
    pub len: usize,
    /// The greatest length that can be sent, in bytes.
    pub limit: usize,
}

impl fmt::Display for MessageTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "message of {} bytes exceeds the limit of {} bytes", self.len, self.limit)
    }
}

impl std::error::Error for MessageTooLong {}

/// The longest header any framing puts before a message, in bytes: WebSocket with a mask, and the length in a batch.
pub const MAX_HEADER: usize = 14 + 4;

/// The longest RawSocket message, in bytes.
pub(crate) const RAWSOCKET_MAX: usize = 1 << 24;

impl Encoding {
    /// How many values [`index`](Self::index) can have.
    pub const COUNT: usize = 12;

    /// A dense index, below [`COUNT`](Self::COUNT), for a table of encoded frames.
    pub const fn index(self) -> usize {
        self.format as usize * 4 + self.framing as usize
    }

    /// Begins a frame at the end of `out`. Encode the message behind it, then call [`finish`](Self::finish).
    ///
    /// `expected_len` is a guess of the length of the encoded message. A wrong guess costs moving the message by a few bytes.
    pub fn begin(self, out: &mut Vec<u8>, expected_len: usize) -> FrameStart {
        self.begin_masked(out, expected_len, false)
    }

    /// Completes the frame: writes the header before the encoded message and the trailer behind it.
    ///
    /// Returns the length of the whole frame in bytes, for [`Connection::admits`](crate::Connection::admits).
    ///
    /// # Errors
    /// The message is longer than the framing can express. The frame is removed from `out`.
    pub fn finish(self, out: &mut Vec<u8>, start: FrameStart) -> Result<usize, MessageTooLong> {
        self.finish_masked(out, start, None)
    }

    /// As [`finish`](Self::finish), for a message of which only the head is in `out`: `rest` more bytes of it follow, and then the
    /// trailer that is returned, which is often empty.
    ///
    /// The length of the whole frame is that of what is in `out` since [`begin`](Self::begin), `rest` and that of the trailer.
    ///
    /// # Errors
    /// The message is longer than the framing can express. The frame is removed from `out`.
    pub fn finish_head(
        self,
        out: &mut Vec<u8>,
        start: FrameStart,
        rest: usize,
    ) -> Result<&'static [u8], MessageTooLong> {
        self.place_header(out, &start, rest, None)?;
        Ok(self.separator().map_or(&[], JsonSeparator::octets))
    }

    pub(crate) fn begin_masked(self, out: &mut Vec<u8>, expected_len: usize, masked: bool) -> FrameStart {
        let start = FrameStart { at: out.len(), gap: self.header_len(expected_len, masked) };
        out.resize(start.at + start.gap, 0);
        start
    }

    pub(crate) fn finish_masked(
        self,
        out: &mut Vec<u8>,
        start: FrameStart,
        mask: Option<[u8; 4]>,
    ) -> Result<usize, MessageTooLong> {
        let header_len = self.place_header(out, &start, 0, mask)?;
        if let Some(separator) = self.separator() {
            out.push(separator.octet());
        }
        if let (Some(mask), true) = (mask, self.framing != Framing::RawSocket) {
            let prefix = if self.has_prefix() { 4 } else { 0 };
            apply_mask(&mut out[start.at + header_len - prefix..], mask);
        }
        Ok(out.len() - start.at)
    }

    /// Puts the header before what was written of a message, of which `rest` bytes are elsewhere. Returns its length.
    fn place_header(
        self,
        out: &mut Vec<u8>,
        &FrameStart { at, gap }: &FrameStart,
        rest: usize,
        mask: Option<[u8; 4]>,
    ) -> Result<usize, MessageTooLong> {
        let len = out.len().saturating_sub(at + gap);
        let mut header = Header::default();
        if let Err(error) = self.write_header(&mut header, len.saturating_add(rest), mask) {
            out.truncate(at);
            return Err(error);
        }
        let header = header.as_slice();
        move_body(out, at + gap, at + header.len(), len);
        out[at..at + header.len()].copy_from_slice(header);
        Ok(header.len())
    }

    /// The length of the message in a frame of `frame_len` bytes that was made with this RawSocket encoding.
    pub(crate) const fn rawsocket_body_len(frame_len: usize) -> usize {
        frame_len.saturating_sub(4)
    }

    fn header_len(self, len: usize, masked: bool) -> usize {
        if self.framing == Framing::RawSocket {
            return 4;
        }
        let prefix = if self.has_prefix() { 4 } else { 0 };
        let payload = len.saturating_add(prefix + usize::from(self.separator().is_some()));
        let extended = match payload {
            0..=125 => 0,
            126..=0xffff => 2,
            _ => 8,
        };
        2 + extended + if masked { 4 } else { 0 } + prefix
    }

    fn write_header(self, header: &mut Header, len: usize, mask: Option<[u8; 4]>) -> Result<(), MessageTooLong> {
        if self.framing == Framing::RawSocket {
            header.push(&rawsocket_header(RAWSOCKET_MESSAGE, len)?);
            return Ok(());
        }
        let opcode = if self.format == Format::Json { TEXT } else { BINARY };
        let prefix = if self.has_prefix() { 4 } else { 0 };
        let payload = len.saturating_add(prefix + usize::from(self.separator().is_some()));
        header.push_websocket(opcode, payload, mask);
        if self.has_prefix() {
            let len = u32::try_from(len).map_err(|_| MessageTooLong { len, limit: u32::MAX as usize })?;
            header.push(&len.to_be_bytes());
        }
        Ok(())
    }

    fn is_batched(self) -> bool {
        matches!(self.framing, Framing::WebSocketBatched | Framing::WebSocketBatchedCancel)
    }

    fn has_prefix(self) -> bool {
        self.is_batched() && self.format != Format::Json
    }

    fn separator(self) -> Option<JsonSeparator> {
        match self.framing {
            _ if self.format != Format::Json => None,
            Framing::WebSocketBatched => Some(JsonSeparator::Record),
            Framing::WebSocketBatchedCancel => Some(JsonSeparator::Cancel),
            Framing::WebSocket | Framing::RawSocket => None,
        }
    }
}

/// Moves `len` bytes of `out` from `from` to `to`; `out` ends with them afterwards.
fn move_body(out: &mut Vec<u8>, from: usize, to: usize, len: usize) {
    if to > from {
        out.resize(to + len, 0);
    }
    if to != from {
        out.copy_within(from..from + len, to);
    }
    out.truncate(to + len);
}

/// WebSocket opcodes (RFC 6455 section 5.2).
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// RawSocket frame types.
pub(crate) const RAWSOCKET_MESSAGE: u8 = 0;
pub(crate) const RAWSOCKET_PING: u8 = 1;
pub(crate) const RAWSOCKET_PONG: u8 = 2;

/// The four octets before a RawSocket payload: type, and a 24-bit length in which bit 24 stands for exactly 2^24.
pub(crate) fn rawsocket_header(kind: u8, len: usize) -> Result<[u8; 4], MessageTooLong> {
    match u32::try_from(len) {
        Ok(length) if len <= RAWSOCKET_MAX => {
            let [extra, a, b, c] = length.to_be_bytes();
            Ok([kind | extra << 3, a, b, c])
        }
        _ => Err(MessageTooLong { len, limit: RAWSOCKET_MAX }),
    }
}

/// Appends a control frame whole; `payload` is at most 125 bytes.
pub(crate) fn push_control(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let mut header = Header::default();
    header.push_websocket(opcode, payload.len(), mask);
    out.extend_from_slice(header.as_slice());
    let at = out.len();
    out.extend_from_slice(payload);
    if let Some(mask) = mask {
        apply_mask(&mut out[at..], mask);
    }
}

/// A header under construction, on the stack.
#[derive(Default)]
struct Header {
    bytes: [u8; MAX_HEADER],
    len: usize,
}

impl Header {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// A final, unfragmented frame's header with the shortest form of the length (RFC 6455 section 5.2).
    fn push_websocket(&mut self, opcode: u8, payload: usize, mask: Option<[u8; 4]>) {
        let masked = if mask.is_some() { 0x80 } else { 0 };
        let first = 0x80 | opcode;
        match payload {
            0..=125 => self.push(&[first, masked | payload as u8]),
            126..=0xffff => {
                self.push(&[first, masked | 126]);
                self.push(&(payload as u16).to_be_bytes());
            }
            _ => {
                self.push(&[first, masked | 127]);
                self.push(&(payload as u64).to_be_bytes());
            }
        }
        if let Some(mask) = mask {
            self.push(&mask);
        }
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const FORMATS: [Format; 3] = [Format::Json, Format::Cbor, Format::MsgPack];
    const FRAMINGS: [Framing; 4] =
        [Framing::WebSocket, Framing::WebSocketBatched, Framing::WebSocketBatchedCancel, Framing::RawSocket];

    fn all() -> impl Iterator<Item = Encoding> {
        FORMATS.into_iter().flat_map(|format| FRAMINGS.into_iter().map(move |framing| Encoding { format, framing }))
    }

    fn frame(encoding: Encoding, body: &[u8], expected: usize) -> Vec<u8> {
        let mut out = b"before".to_vec();
        let start = encoding.begin(&mut out, expected);
        out.extend_from_slice(body);
        let len = encoding.finish(&mut out, start).unwrap();
        assert_eq!((&out[..6], len), (&b"before"[..], out.len() - 6));
        out.split_off(6)
    }

    #[test]
    fn indices_are_dense() {
        let indices: BTreeSet<usize> = all().map(Encoding::index).collect();
        assert_eq!(indices, (0..Encoding::COUNT).collect());
    }

    #[test]
    fn tokens_round_trip() {
        for subprotocol in Subprotocol::ALL {
            assert_eq!(Subprotocol::from_token(subprotocol.token()), Some(subprotocol));
            assert_eq!(subprotocol.token().ends_with(".batched"), subprotocol.is_batched());
        }
        assert_eq!(Subprotocol::from_token("WAMP.2.JSON"), None);
    }

    #[test]
    fn the_guess_of_the_length_does_not_matter() {
        for encoding in all() {
            for len in [0, 1, 120, 121, 122, 124, 125, 126, 127, 65_530, 65_531, 65_535, 65_536, 70_000] {
                let body = vec![b'x'; len];
                let exact = frame(encoding, &body, len);
                for guess in [0, 125, 126, 65_535, 65_536, usize::MAX] {
                    assert_eq!(frame(encoding, &body, guess), exact, "{encoding:?} {len} {guess}");
                }
            }
        }
    }

    #[test]
    fn a_frame_may_be_made_of_parts() {
        for encoding in all() {
            for (head, rest) in [(0, 0), (3, 0), (0, 5), (60, 65), (60, 66), (80, 65_455), (80, 65_456), (80, 70_000)] {
                let body = vec![b'x'; head + rest];
                let mut out = b"before".to_vec();
                let start = encoding.begin(&mut out, 126);
                out.extend_from_slice(&body[..head]);
                let trailer = encoding.finish_head(&mut out, start, rest).unwrap();
                out.extend_from_slice(&body[head..]);
                out.extend_from_slice(trailer);
                assert_eq!(out[6..], frame(encoding, &body, 0), "{encoding:?} {head} {rest}");
            }
        }
        let encoding = Encoding { format: Format::Cbor, framing: Framing::RawSocket };
        let mut out = b"kept".to_vec();
        let start = encoding.begin(&mut out, 0);
        encoding.finish_head(&mut out, start, RAWSOCKET_MAX + 1).unwrap_err();
        assert_eq!(out, b"kept");
    }

    #[test]
    fn writes_the_expected_bytes() {
        let of = |format, framing, body: &[u8]| frame(Encoding { format, framing }, body, 0);
        assert_eq!(of(Format::Json, Framing::WebSocket, b"[1]"), b"\x81\x03[1]");
        assert_eq!(of(Format::Json, Framing::WebSocketBatched, b"[1]"), b"\x81\x04[1]\x1e");
        assert_eq!(of(Format::Json, Framing::WebSocketBatchedCancel, b"[1]"), b"\x81\x04[1]\x18");
        assert_eq!(of(Format::Json, Framing::RawSocket, b"[1]"), b"\0\0\0\x03[1]");
        assert_eq!(of(Format::Cbor, Framing::WebSocket, b"ab"), b"\x82\x02ab");
        assert_eq!(of(Format::MsgPack, Framing::WebSocketBatched, b"ab"), b"\x82\x06\0\0\0\x02ab");
        assert_eq!(of(Format::Cbor, Framing::WebSocket, &[7; 126])[..4], *b"\x82\x7e\0\x7e");
        assert_eq!(of(Format::Cbor, Framing::WebSocket, &[7; 65_536])[..10], *b"\x82\x7f\0\0\0\0\0\x01\0\0");
    }

    #[test]
    fn masks_all_but_the_websocket_header() {
        let mask = [1, 2, 3, 4];
        for (format, framing) in [
            (Format::Json, Framing::WebSocket),
            (Format::Json, Framing::WebSocketBatched),
            (Format::Cbor, Framing::WebSocketBatched),
        ] {
            let encoding = Encoding { format, framing };
            let plain = frame(encoding, b"abcdef", 0);
            let mut out = Vec::new();
            let start = encoding.begin_masked(&mut out, 6, true);
            out.extend_from_slice(b"abcdef");
            encoding.finish_masked(&mut out, start, Some(mask)).unwrap();
            assert_eq!((out[0], out[1], &out[2..6]), (plain[0], plain[1] | 0x80, &mask[..]));
            apply_mask(&mut out[6..], mask);
            assert_eq!(out[6..], plain[2..]);
        }
    }

    #[test]
    fn rawsocket_lengths() {
        assert_eq!(rawsocket_header(0, 0xabcdef).unwrap(), [0, 0xab, 0xcd, 0xef]);
        assert_eq!(rawsocket_header(RAWSOCKET_PING, RAWSOCKET_MAX).unwrap(), [0x09, 0, 0, 0]);
        assert_eq!(
            rawsocket_header(0, RAWSOCKET_MAX + 1),
            Err(MessageTooLong { len: RAWSOCKET_MAX + 1, limit: RAWSOCKET_MAX })
        );
        let encoding = Encoding { format: Format::Json, framing: Framing::RawSocket };
        let mut out = b"kept".to_vec();
        let start = encoding.begin(&mut out, 0);
        out.resize(out.len() + RAWSOCKET_MAX + 1, 0);
        encoding.finish(&mut out, start).unwrap_err();
        assert_eq!(out, b"kept");
        let start = encoding.begin(&mut out, 0);
        start.abandon(&mut out);
        assert_eq!(out, b"kept");
    }
}
