//! MsgPack (the specification at msgpack.org, with the types `str`, `bin` and `ext`).

use super::error::{Fault, Problem};
use super::reader::{Binary, Open, Reader, Text, Token};
use super::timestamp::Timestamp;
use super::writer::{Mark, Writer, patch};
use super::{Format, TranscodeError, integer};
use bytes::Bytes;
use bytestring::ByteString;

/// Type and data of the extension by which msgpackr and msgpack5, and so wampy, say JavaScript's `undefined`: null, as
/// CBOR's is.
const UNDEFINED: (&[u8], &[u8]) = (&[0], &[0]);

/// Type of the extension for timestamps.
const TIMESTAMP: &[u8] = &[0xff];

pub(super) struct MsgPackReader<'a> {
    frame: &'a Bytes,
    bytes: &'a [u8],
    at: usize,
    /// See [`Reader::is_peculiar`].
    peculiar: bool,
}

impl<'a> MsgPackReader<'a> {
    pub(super) fn new(frame: &'a Bytes) -> Self {
        Self { frame, bytes: frame, at: 0, peculiar: false }
    }

    fn fault(&self, problem: Problem) -> Fault {
        Fault { format: Format::MsgPack, problem, at: self.at }
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| self.fault(Problem::Truncated))?;
        self.at += taken.len();
        Ok(taken)
    }

    /// An unsigned number of 2^`log_size` bytes.
    #[inline]
    fn number(&mut self, log_size: u8) -> Result<u64, Fault> {
        let bytes = self.take(1 << log_size)?;
        Ok(bytes.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte)))
    }

    #[inline]
    fn text(&mut self, length: u64) -> Result<Token<'a>, Fault> {
        let bytes = self.take(length)?;
        match core::str::from_utf8(bytes) {
            Ok(text) => Ok(Token::Text(Text::Plain(text))),
            Err(e) => Err(Fault {
                format: Format::MsgPack,
                problem: Problem::InvalidUtf8,
                at: self.at - bytes.len() + e.valid_up_to(),
            }),
        }
    }

    fn open(&self, length: u64, bytes_per_item: u64) -> Result<Open, Fault> {
        if length > (self.bytes.len() - self.at) as u64 / bytes_per_item {
            return Err(self.fault(Problem::Truncated));
        }
        Ok(Open { left: length })
    }

    fn list(&self, length: u64) -> Result<Token<'a>, Fault> {
        self.open(length, 1).map(Token::List)
    }

    fn dict(&self, length: u64) -> Result<Token<'a>, Fault> {
        self.open(length, 2).map(Token::Dict)
    }

    fn extension(&mut self, length: u64) -> Result<Token<'a>, Fault> {
        let kind = self.take(1)?;
        let data = self.take(length)?;
        if kind == TIMESTAMP {
            let time = Timestamp::from_msgpack(data).ok_or_else(|| self.fault(Problem::InvalidTimestamp))?;
            return Ok(Token::Timestamp(time));
        }
        if (kind, data) == UNDEFINED {
            return Ok(Token::Null);
        }
        self.peculiar = true;
        Ok(Token::Extension)
    }
}

impl<'a> Reader<'a> for MsgPackReader<'a> {
    const FORMAT: Format = Format::MsgPack;
    const EMPTY_LIST: &'static [u8] = &[0x90];

    fn position(&self) -> usize {
        self.at
    }

    #[inline]
    fn token(&mut self) -> Result<Token<'a>, Fault> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.fault(Problem::Truncated))?;
        self.at += 1;
        match byte {
            0x00..=0x7f => Ok(Token::Int(i64::from(byte))),
            0x80..=0x8f => self.dict(u64::from(byte & 15)),
            0x90..=0x9f => self.list(u64::from(byte & 15)),
            0xa0..=0xbf => self.text(u64::from(byte & 31)),
            0xc0 => Ok(Token::Null),
            0xc1 => {
                self.at -= 1;
                Err(self.fault(Problem::UnexpectedByte))
            }
            0xc2 => Ok(Token::Bool(false)),
            0xc3 => Ok(Token::Bool(true)),
            0xc4..=0xc6 => {
                let length = self.number(byte - 0xc4)?;
                Ok(Token::Binary(Binary::Plain(self.take(length)?)))
            }
            0xc7..=0xc9 => {
                let length = self.number(byte - 0xc7)?;
                self.extension(length)
            }
            0xca => Ok(Token::Float(f64::from(f32::from_bits(self.number(2)? as u32)))),
            0xcb => Ok(Token::Float(f64::from_bits(self.number(3)?))),
            0xcc..=0xcf => {
                let n = self.number(byte - 0xcc)?;
                Ok(i64::try_from(n).map_or(Token::UInt(n), Token::Int))
            }
            0xd0 => Ok(Token::Int(i64::from(self.number(0)? as u8 as i8))),
            0xd1 => Ok(Token::Int(i64::from(self.number(1)? as u16 as i16))),
            0xd2 => Ok(Token::Int(i64::from(self.number(2)? as u32 as i32))),
            0xd3 => Ok(Token::Int(self.number(3)? as i64)),
            0xd4..=0xd8 => self.extension(1 << (byte - 0xd4)),
            0xd9..=0xdb => {
                let length = self.number(byte - 0xd9)?;
                self.text(length)
            }
            0xdc | 0xdd => {
                let length = self.number(byte - 0xdb)?;
                self.list(length)
            }
            0xde | 0xdf => {
                let length = self.number(byte - 0xdd)?;
                self.dict(length)
            }
            0xe0..=0xff => Ok(Token::Int(i64::from(byte as i8))),
        }
    }

    #[inline]
    fn next_item(&mut self, list: &mut Open) -> Result<bool, Fault> {
        let follows = list.left > 0;
        list.left = list.left.saturating_sub(1);
        Ok(follows)
    }

    #[inline]
    fn next_key(&mut self, dict: &mut Open) -> Result<Option<Token<'a>>, Fault> {
        if !self.next_item(dict)? {
            return Ok(None);
        }
        let key = self.token()?;
        self.peculiar |= !matches!(key, Token::Text(_));
        Ok(Some(key))
    }

    fn is_peculiar(&self) -> bool {
        self.peculiar
    }

    fn end(&mut self) -> Result<(), Fault> {
        if self.at < self.bytes.len() { Err(self.fault(Problem::TrailingBytes)) } else { Ok(()) }
    }

    fn too_deep(&self) -> Fault {
        self.fault(Problem::TooDeep)
    }

    fn share(&self, text: &'a str) -> ByteString {
        // It is text, so it stays text.
        ByteString::try_from(self.frame.slice_ref(text.as_bytes())).unwrap_or_default()
    }

    fn slice(&self, start: usize, end: usize) -> Bytes {
        self.frame.slice(start..end)
    }
}

/// Writes MsgPack: the shortest integers and lengths, floats as doubles.
pub(super) struct MsgPackWriter<'o> {
    out: &'o mut Vec<u8>,
    max_len: usize,
}

impl<'o> MsgPackWriter<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self::within(usize::MAX, out)
    }

    /// A writer that ends when `out` is longer than this.
    pub(super) fn within(max_len: usize, out: &'o mut Vec<u8>) -> Self {
        Self { out, max_len }
    }

    /// A code and the shortest big-endian number, of 1, 2, 4 or 8 bytes; `codes` are those of the four sizes.
    fn sized(&mut self, codes: [u8; 4], n: u64) {
        let log_size = match n {
            0..0x100 => 0,
            0x100..0x1_0000 => 1,
            0x1_0000..0x1_0000_0000 => 2,
            _ => 3,
        };
        self.out.push(codes[log_size]);
        self.out.extend_from_slice(&n.to_be_bytes()[8 - (1 << log_size)..]);
    }

    fn open(&mut self) -> Mark {
        self.out.push(0);
        Mark(self.out.len() - 1)
    }

    fn close(&mut self, mark: Mark, fix: u8, long: u8, count: usize) -> Result<(), TranscodeError> {
        let count = u32::try_from(count).map_err(|_| TranscodeError::TooLong)?;
        let [a, b, c, d] = count.to_be_bytes();
        match count {
            0..16 => patch(self.out, mark, &[fix | d]),
            16..0x1_0000 => patch(self.out, mark, &[long, c, d]),
            _ => patch(self.out, mark, &[long + 1, a, b, c, d]),
        }
        Ok(())
    }
}

impl Writer for MsgPackWriter<'_> {
    const FORMAT: Format = Format::MsgPack;
    const END: &'static [u8] = b"";

    fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn max_len(&self) -> usize {
        self.max_len
    }

    fn message(&mut self, length: u8) {
        self.out.push(0x90 | length);
    }

    fn open_list(&mut self) -> Mark {
        self.open()
    }

    fn close_list(&mut self, mark: Mark, count: usize) -> Result<(), TranscodeError> {
        self.close(mark, 0x90, 0xdc, count)
    }

    fn open_dict(&mut self) -> Mark {
        self.open()
    }

    fn close_dict(&mut self, mark: Mark, count: usize) -> Result<(), TranscodeError> {
        self.close(mark, 0x80, 0xde, count)
    }

    fn key(&mut self, key: &str) -> Result<(), TranscodeError> {
        self.text(key)
    }

    fn null(&mut self) {
        self.out.push(0xc0);
    }

    fn bool(&mut self, b: bool) {
        self.out.push(if b { 0xc3 } else { 0xc2 });
    }

    fn int(&mut self, n: i64) {
        let bytes = n.to_be_bytes();
        match n {
            0.. => self.uint(n as u64),
            -32..0 => self.out.push(bytes[7]),
            -0x80..-32 => self.out.extend_from_slice(&[0xd0, bytes[7]]),
            -0x8000..-0x80 => self.out.extend_from_slice(&[0xd1, bytes[6], bytes[7]]),
            -0x8000_0000..-0x8000 => {
                self.out.push(0xd2);
                self.out.extend_from_slice(&bytes[4..]);
            }
            _ => {
                self.out.push(0xd3);
                self.out.extend_from_slice(&bytes);
            }
        }
    }

    fn uint(&mut self, n: u64) {
        if n < 0x80 { self.out.push(n as u8) } else { self.sized([0xcc, 0xcd, 0xce, 0xcf], n) }
    }

    fn float(&mut self, n: f64) {
        self.out.push(0xcb);
        self.out.extend_from_slice(&n.to_be_bytes());
    }

    fn bignum(&mut self, negative: bool, bytes: &[u8]) -> Result<(), TranscodeError> {
        let digits = integer::to_decimal(negative, bytes).ok_or(TranscodeError::NumberTooLong)?;
        self.text(&digits)
    }

    fn decimal(&mut self, digits: &str) -> Result<(), TranscodeError> {
        self.text(digits)
    }

    fn timestamp(&mut self, time: Timestamp) -> Result<(), TranscodeError> {
        self.out.extend_from_slice(&[0xc7, 12, TIMESTAMP[0]]);
        self.out.extend_from_slice(&time.nanos.to_be_bytes());
        self.out.extend_from_slice(&time.seconds.to_be_bytes());
        Ok(())
    }

    fn date_time(&mut self, text: &str) -> Result<(), TranscodeError> {
        match Timestamp::from_text(text) {
            Some(time) => self.timestamp(time),
            None => self.text(text),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), TranscodeError> {
        let length = u32::try_from(text.len()).map_err(|_| TranscodeError::TooLong)?;
        if length < 32 {
            self.out.push(0xa0 | length as u8);
        } else {
            self.sized([0xd9, 0xda, 0xdb, 0], u64::from(length));
        }
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn binary_head(&mut self, length: usize) -> Result<(), TranscodeError> {
        let length = u32::try_from(length).map_err(|_| TranscodeError::TooLong)?;
        self.sized([0xc4, 0xc5, 0xc6, 0], u64::from(length));
        Ok(())
    }
}
