//! CBOR (RFC 8949). The only module that uses serde_cbor.

use super::error::{Fault, Problem};
use super::reader::{Binary, Open, Reader, Text, Token};
use super::timestamp::{EARLIEST, LATEST, Timestamp, is_date, is_date_and_time};
use super::writer::{Mark, Writer, patch};
use super::{Format, TranscodeError, integer};
use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value of an application from CBOR. The bytes are from [`CborWriter`]: no tags, and nested no deeper than a frame.
pub(super) fn to_serde<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TranscodeError> {
    serde_cbor::from_slice(bytes).map_err(|_| TranscodeError::Mismatch)
}

/// A value of an application as CBOR.
pub(super) fn from_serde<T: Serialize>(value: &T) -> Result<Vec<u8>, TranscodeError> {
    serde_cbor::to_vec(value).map_err(|_| TranscodeError::Mismatch)
}

pub(super) struct CborReader<'a> {
    frame: &'a Bytes,
    bytes: &'a [u8],
    at: usize,
    /// See [`Reader::is_peculiar`].
    peculiar: bool,
}

/// In [`Open`]: the list or dictionary ends with a break. No length is as large, because lengths are checked against
/// what is left of the frame.
const INDEFINITE: u64 = u64::MAX;
const BREAK: u8 = 0xff;

const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
const FLOAT: u8 = 7;

/// More than 2 to this power is more than Python's decimals hold.
const LARGEST_EXPONENT: u64 = 1 << 20;
/// Tags from here on are reserved for what has none, or more than JavaScript's decoders take.
const FIRST_RESERVED_TAG: u64 = u32::MAX as u64;

/// How long an element of the typed array with this tag is, in octets (RFC 8746, section 2.1).
const fn element_size(tag: u64) -> u64 {
    let (is_float, exponent) = (tag >> 4 & 1, tag & 3);
    1 << (is_float + exponent)
}

/// The head of a data item: its major type, the low five bits, and the argument they stand for.
struct Head {
    major: u8,
    info: u8,
    argument: u64,
}

impl<'a> CborReader<'a> {
    pub(super) fn new(frame: &'a Bytes) -> Self {
        Self { frame, bytes: frame, at: 0, peculiar: false }
    }

    fn fault(&self, problem: Problem) -> Fault {
        Fault { format: Format::Cbor, problem, at: self.at }
    }

    #[inline]
    fn head(&mut self) -> Result<Head, Fault> {
        read_head(self.bytes, &mut self.at).map_err(|problem| self.fault(problem))
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let taken = taken.ok_or_else(|| self.fault(Problem::Truncated))?;
        self.at += taken.len();
        Ok(taken)
    }

    fn utf8(&self, bytes: &'a [u8]) -> Result<&'a str, Fault> {
        core::str::from_utf8(bytes).map_err(|e| Fault {
            format: Format::Cbor,
            problem: Problem::InvalidUtf8,
            at: self.at - bytes.len() + e.valid_up_to(),
        })
    }

    fn open(&self, head: &Head, bytes_per_item: u64) -> Result<Open, Fault> {
        if head.info == 31 {
            return Ok(Open { left: INDEFINITE });
        }
        if head.argument > (self.bytes.len() - self.at) as u64 / bytes_per_item {
            return Err(self.fault(Problem::Truncated));
        }
        Ok(Open { left: head.argument })
    }

    #[inline]
    fn follows(&mut self, open: &mut Open) -> bool {
        if open.left == INDEFINITE {
            let ended = self.bytes.get(self.at) == Some(&BREAK);
            self.at += usize::from(ended);
            return !ended;
        }
        let follows = open.left > 0;
        open.left = open.left.saturating_sub(1);
        follows
    }

    /// The chunks of a string of indefinite length; each is a string of the same type and of definite length.
    fn chunked(&mut self, major: u8) -> Result<&'a [u8], Fault> {
        let start = self.at;
        loop {
            let at = self.at;
            if self.bytes.get(at) == Some(&BREAK) {
                self.at += 1;
                return Ok(self.bytes.get(start..at).unwrap_or_default());
            }
            let head = self.head()?;
            if head.major != major || head.info == 31 {
                self.at = at;
                return Err(self.fault(Problem::UnexpectedByte));
            }
            let chunk = self.take(head.argument)?;
            if major == TEXT {
                self.utf8(chunk)?;
            }
        }
    }

    /// The value with a tag, if that makes another one of it. Its content must be what the tag says: strict receivers
    /// refuse it otherwise, and with it the whole message.
    #[cold]
    fn tagged(&mut self, tag: u64) -> Result<Option<Token<'a>>, Fault> {
        let mut ahead = Self { ..*self };
        if !ahead.holds(tag)? {
            return Err(self.fault(Problem::InvalidTag));
        }
        if tag > 3 {
            return Ok(None);
        }
        // What these tags hold has no tag itself, so recursion ends here.
        Ok(Some(match (tag, self.token()?) {
            (0, Token::Text(Text::Plain(text))) => Token::DateTime(text),
            (1, Token::Int(seconds)) => Token::Timestamp(Timestamp { seconds, nanos: 0 }),
            (1, Token::Float(seconds)) => Token::Timestamp(Timestamp::from_seconds(seconds)),
            (2, Token::Binary(bytes)) => match integer::to_u64(&bytes.to_bytes()) {
                Some(n) => i64::try_from(n).map_or(Token::UInt(n), Token::Int),
                None => Token::Bignum(bytes),
            },
            (3, Token::Binary(bytes)) => match integer::to_u64(&bytes.to_bytes()).map(i64::try_from) {
                Some(Ok(n)) => Token::Int(-1 - n),
                _ => Token::NegativeBignum(bytes),
            },
            (_, token) => token,
        }))
    }

    /// Whether the next value, or the beginning of it, is one that the tag can hold (RFC 8949, section 3.4, and the
    /// registry of tags for those that cbor2 and others decode).
    fn holds(&mut self, tag: u64) -> Result<bool, Fault> {
        let number = |head: &Head| matches!(head.major, UNSIGNED | NEGATIVE);
        if !matches!(
            tag,
            0..=5 | 25 | 27 | 29 | 30 | 32..=37 | 51 | 52 | 54 | 64..=87 | 100 | 105 | 258 | 260 | 261 | 1004 | 43000
                | 57337 | FIRST_RESERVED_TAG..
        ) {
            return Ok(true);
        }
        let head = self.head()?;
        // Octets in one piece, whose count is the argument.
        let octets = head.major == BYTES && head.info != 31;
        Ok(match tag {
            // Text of date and time, and of a date.
            0 | 1004 if head.major == TEXT && head.info != 31 => {
                let text = self.take(head.argument)?;
                if tag == 0 { is_date_and_time(text) } else { is_date(text) }
            }
            // Seconds since 1970; a number, within the years 1 to 9999.
            1 if head.major == UNSIGNED => head.argument <= LATEST,
            1 if head.major == NEGATIVE => head.argument < EARLIEST,
            1 if head.major == FLOAT => {
                let seconds = self.simple_or_float(&head);
                matches!(seconds, Ok(Token::Float(n)) if (-(EARLIEST as f64)..=LATEST as f64).contains(&n))
            }
            // Bignums.
            2 | 3 => head.major == BYTES,
            // Decimal fractions and bigfloats: an exponent, within what can be computed with, and a mantissa.
            4 | 5 if head.major == ARRAY && head.info != 31 && head.argument == 2 => {
                let exponent = self.head()?;
                number(&exponent) && exponent.argument < LARGEST_EXPONENT && self.holds_mantissa()?
            }
            // Rational numbers.
            30 if head.major == ARRAY && head.info != 31 && head.argument == 2 => {
                let numerator = self.head()?;
                let denominator = self.head()?;
                number(&numerator) && denominator.major == UNSIGNED && denominator.argument > 0
            }
            32..=34 | 36 => head.major == TEXT,
            // UUIDs and addresses of IPv6; addresses of IPv4; addresses of the internet and of hardware.
            37 | 54 => octets && head.argument == 16,
            52 => octets && head.argument == 4,
            260 => octets && matches!(head.argument, 4 | 6 | 16),
            // Days since 1970.
            100 => number(&head) && head.argument < LATEST / 86_400 && head.argument < EARLIEST / 86_400,
            // Sets, and complex numbers.
            258 => head.major == ARRAY,
            43000 if head.major == ARRAY && head.info != 31 && head.argument == 2 => {
                let real = |head: &Head| number(head) || (head.major == FLOAT && matches!(head.info, 25..=27));
                real(&self.head()?) && real(&self.head()?)
            }
            // Typed arrays (RFC 8746): a whole number of elements.
            64..=87 => octets && head.argument.is_multiple_of(element_size(tag)),
            // References to what stands elsewhere in the message (25, 29, 51, 57337) mean something else in another one,
            // and definitions of records (105) change what follows. Whether there is a class of a name (27), a text is a
            // regular expression (35), and an address a network (261), only receivers can tell.
            _ => false,
        })
    }

    /// Whether the next value is an integer, of any size.
    fn holds_mantissa(&mut self) -> Result<bool, Fault> {
        let head = self.head()?;
        Ok(match head.major {
            UNSIGNED | NEGATIVE => true,
            TAG if matches!(head.argument, 2 | 3) => self.head()?.major == BYTES,
            _ => false,
        })
    }

    fn simple_or_float(&mut self, head: &Head) -> Result<Token<'a>, Fault> {
        Ok(match (head.info, head.argument) {
            (20, _) => Token::Bool(false),
            (21, _) => Token::Bool(true),
            // null and undefined
            (22 | 23, _) => Token::Null,
            (25, bits) => Token::Float(half(bits as u16)),
            (26, bits) => Token::Float(f64::from(f32::from_bits(bits as u32))),
            (27, bits) => Token::Float(f64::from_bits(bits)),
            (0..20, _) | (24, 32..) => {
                self.peculiar = true;
                Token::Simple
            }
            _ => {
                self.at -= 1;
                return Err(self.fault(Problem::UnexpectedByte));
            }
        })
    }
}

impl<'a> Reader<'a> for CborReader<'a> {
    const FORMAT: Format = Format::Cbor;
    const EMPTY_LIST: &'static [u8] = &[0x80];

    fn position(&self) -> usize {
        self.at
    }

    #[inline]
    fn token(&mut self) -> Result<Token<'a>, Fault> {
        loop {
            let head = self.head()?;
            return Ok(match head.major {
                UNSIGNED => i64::try_from(head.argument).map_or(Token::UInt(head.argument), Token::Int),
                NEGATIVE => match i64::try_from(head.argument) {
                    Ok(n) => Token::Int(-1 - n),
                    // The argument takes all eight bytes.
                    Err(_) => Token::NegativeBignum(Binary::Plain(&self.bytes[self.at - 8..self.at])),
                },
                BYTES if head.info == 31 => Token::Binary(Binary::Chunked(self.chunked(BYTES)?)),
                BYTES => Token::Binary(Binary::Plain(self.take(head.argument)?)),
                TEXT if head.info == 31 => Token::Text(Text::Chunked(self.chunked(TEXT)?)),
                TEXT => {
                    let bytes = self.take(head.argument)?;
                    Token::Text(Text::Plain(self.utf8(bytes)?))
                }
                ARRAY => Token::List(self.open(&head, 1)?),
                MAP => Token::Dict(self.open(&head, 2)?),
                TAG => {
                    let Some(token) = self.tagged(head.argument)? else { continue };
                    token
                }
                _ => return self.simple_or_float(&head),
            });
        }
    }

    #[inline]
    fn next_item(&mut self, list: &mut Open) -> Result<bool, Fault> {
        Ok(self.follows(list))
    }

    #[inline]
    fn next_key(&mut self, dict: &mut Open) -> Result<Option<Token<'a>>, Fault> {
        if !self.follows(dict) {
            return Ok(None);
        }
        let tagged = self.is_tagged(self.at);
        let mut key = self.token()?;
        // To those who read tags it may be anything but text.
        if tagged && matches!(key, Token::Text(_)) {
            key = Token::Extension;
        }
        self.peculiar |= !matches!(key, Token::Text(_)) && !key.is_scalar();
        Ok(Some(key))
    }

    #[inline]
    fn is_tagged(&self, at: usize) -> bool {
        self.bytes.get(at).is_some_and(|initial| initial >> 5 == TAG)
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

#[inline]
fn read_head(bytes: &[u8], at: &mut usize) -> Result<Head, Problem> {
    let initial = *bytes.get(*at).ok_or(Problem::Truncated)?;
    let (major, info) = (initial >> 5, initial & 31);
    let argument = match info {
        0..24 => {
            *at += 1;
            return Ok(Head { major, info, argument: u64::from(info) });
        }
        24..28 => {
            let size = 1 << (info - 24);
            let argument = bytes.get(*at + 1..*at + 1 + size).ok_or(Problem::Truncated)?;
            *at += size;
            argument.iter().fold(0, |argument, &byte| (argument << 8) | u64::from(byte))
        }
        31 if matches!(major, BYTES | TEXT | ARRAY | MAP) => 0,
        _ => return Err(Problem::UnexpectedByte),
    };
    *at += 1;
    Ok(Head { major, info, argument })
}

/// The chunks in what [`CborReader`] has checked to be chunks.
pub(super) fn chunks(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let head = read_head(bytes, &mut at).ok()?;
        let end = at.checked_add(usize::try_from(head.argument).ok()?)?;
        let chunk = bytes.get(at..end)?;
        at = end;
        Some(chunk)
    })
}

/// A half-precision float (RFC 8949, appendix D).
fn half(bits: u16) -> f64 {
    let exponent = i32::from(bits >> 10 & 0x1f);
    let mantissa = f64::from(bits & 0x3ff);
    let magnitude = match exponent {
        0 => mantissa * 2f64.powi(-24),
        31 if mantissa == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mantissa + 1024.0) * 2f64.powi(exponent - 25),
    };
    if bits & 0x8000 == 0 { magnitude } else { -magnitude }
}

/// Writes CBOR: the shortest heads, definite lengths, floats as doubles.
pub(super) struct CborWriter<'o> {
    out: &'o mut Vec<u8>,
    max_len: usize,
    /// Only what a [`Value`](crate::value::Value) can hold is written.
    plain: bool,
}

impl<'o> CborWriter<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self::within(usize::MAX, out)
    }

    /// A writer that writes no tags, and only text as keys.
    pub(super) fn plain(out: &'o mut Vec<u8>) -> Self {
        Self { plain: true, ..Self::new(out) }
    }

    /// A writer that ends when `out` is longer than this.
    pub(super) fn within(max_len: usize, out: &'o mut Vec<u8>) -> Self {
        Self { out, max_len, plain: false }
    }

    fn head(&mut self, major: u8, argument: u64) {
        let (bytes, length) = head(major, argument);
        self.out.extend_from_slice(&bytes[..length]);
    }

    fn open(&mut self, major: u8) -> Mark {
        let mark = Mark(self.out.len());
        self.out.push(major << 5);
        mark
    }

    fn close(&mut self, mark: Mark, major: u8, count: usize) {
        let (bytes, length) = head(major, count as u64);
        patch(self.out, mark, &bytes[..length]);
    }
}

/// The shortest head, in the first bytes of the array.
fn head(major: u8, argument: u64) -> ([u8; 9], usize) {
    let mut bytes = [0; 9];
    let (info, size) = match argument {
        0..24 => (argument as u8, 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        _ => (27, 8),
    };
    bytes[0] = major << 5 | info;
    bytes[1..=size].copy_from_slice(&argument.to_be_bytes()[8 - size..]);
    (bytes, 1 + size)
}

impl Writer for CborWriter<'_> {
    const FORMAT: Format = Format::Cbor;
    const END: &'static [u8] = b"";

    fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn max_len(&self) -> usize {
        self.max_len
    }

    fn message(&mut self, length: u8) {
        self.head(ARRAY, u64::from(length));
    }

    fn open_list(&mut self) -> Mark {
        self.open(ARRAY)
    }

    fn close_list(&mut self, mark: Mark, count: usize) -> Result<(), TranscodeError> {
        self.close(mark, ARRAY, count);
        Ok(())
    }

    fn open_dict(&mut self) -> Mark {
        self.open(MAP)
    }

    fn close_dict(&mut self, mark: Mark, count: usize) -> Result<(), TranscodeError> {
        self.close(mark, MAP, count);
        Ok(())
    }

    fn takes_scalar_keys(&self) -> bool {
        !self.plain
    }

    fn key(&mut self, key: &str) -> Result<(), TranscodeError> {
        self.text(key)
    }

    fn null(&mut self) {
        self.out.push(0xf6);
    }

    fn bool(&mut self, b: bool) {
        self.out.push(if b { 0xf5 } else { 0xf4 });
    }

    fn int(&mut self, n: i64) {
        if n < 0 { self.head(NEGATIVE, !n as u64) } else { self.head(UNSIGNED, n as u64) }
    }

    fn uint(&mut self, n: u64) {
        self.head(UNSIGNED, n);
    }

    fn float(&mut self, n: f64) {
        self.out.push(0xfb);
        self.out.extend_from_slice(&n.to_be_bytes());
    }

    fn bignum(&mut self, negative: bool, bytes: &[u8]) -> Result<(), TranscodeError> {
        let bytes = integer::without_zeros(bytes);
        match integer::to_u64(bytes) {
            _ if self.plain => self.float(integer::to_f64(negative, bytes)),
            Some(n) => self.head(if negative { NEGATIVE } else { UNSIGNED }, n),
            None => {
                self.head(TAG, if negative { 3 } else { 2 });
                return self.binary(bytes);
            }
        }
        Ok(())
    }

    fn decimal(&mut self, digits: &str) -> Result<(), TranscodeError> {
        if self.plain {
            self.float(digits.parse().unwrap_or(f64::NAN));
            return Ok(());
        }
        let (negative, bytes) = integer::from_decimal(digits).ok_or(TranscodeError::NumberTooLong)?;
        self.bignum(negative, &bytes)
    }

    fn timestamp(&mut self, time: Timestamp) -> Result<(), TranscodeError> {
        // Receivers refuse a date that calendars do not have.
        if time.has_four_digits() { self.date_time(&time.to_text()) } else { self.text(&time.to_text()) }
    }

    fn date_time(&mut self, text: &str) -> Result<(), TranscodeError> {
        if !self.plain {
            self.head(TAG, 0);
        }
        self.text(text)
    }

    fn text(&mut self, text: &str) -> Result<(), TranscodeError> {
        self.head(TEXT, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn binary_head(&mut self, length: usize) -> Result<(), TranscodeError> {
        self.head(BYTES, length as u64);
        Ok(())
    }
}
