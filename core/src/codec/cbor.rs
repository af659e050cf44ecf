//! CBOR (RFC 8949). The only module that uses serde_cbor.

use super::error::{Fault, Problem};
use super::reader::{Binary, Open, Reader, Text, Token};
use super::writer::{Mark, Writer, patch};
use super::{Format, TranscodeError};
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

/// The head of a data item: its major type, the low five bits, and the argument they stand for.
struct Head {
    major: u8,
    info: u8,
    argument: u64,
}

impl<'a> CborReader<'a> {
    pub(super) fn new(frame: &'a Bytes) -> Self {
        Self { frame, bytes: frame, at: 0 }
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

    fn simple_or_float(&mut self, head: &Head) -> Result<Token<'a>, Fault> {
        Ok(match (head.info, head.argument) {
            (20, _) => Token::Bool(false),
            (21, _) => Token::Bool(true),
            // null and undefined
            (22 | 23, _) => Token::Null,
            (25, bits) => Token::Float(half(bits as u16)),
            (26, bits) => Token::Float(f64::from(f32::from_bits(bits as u32))),
            (27, bits) => Token::Float(f64::from_bits(bits)),
            _ => {
                self.at -= 1;
                return Err(self.fault(Problem::UnexpectedByte));
            }
        })
    }
}

impl<'a> Reader<'a> for CborReader<'a> {
    const FORMAT: Format = Format::Cbor;

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
                    Err(_) => Token::Float(-1.0 - head.argument as f64),
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
                TAG => continue,
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
        if self.follows(dict) { self.token().map(Some) } else { Ok(None) }
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
}

impl<'o> CborWriter<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out }
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

    fn key(&mut self, key: &str) -> Result<(), TranscodeError> {
        self.string(key)
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

    fn float(&mut self, n: f64) -> Result<(), TranscodeError> {
        self.out.push(0xfb);
        self.out.extend_from_slice(&n.to_be_bytes());
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), TranscodeError> {
        self.head(TEXT, text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn binary_head(&mut self, length: usize) -> Result<(), TranscodeError> {
        self.head(BYTES, length as u64);
        Ok(())
    }
}
