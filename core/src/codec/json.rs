//! JSON (RFC 8259).

use super::error::{Fault, Problem};
use super::reader::{Decimal, Open, Reader, Text, Token};
use super::timestamp::Timestamp;
use super::writer::{Mark, Writer};
use super::{Format, TranscodeError, integer, transcode};
use bytes::Bytes;
use bytestring::ByteString;

pub(super) struct JsonReader<'a> {
    frame: &'a ByteString,
    bytes: &'a [u8],
    at: usize,
}

/// Python refuses integers of more digits, and with them the message.
const MAX_DIGITS: usize = 4_300;

/// The states of [`Open`]: whether the first item is still to come.
const FIRST: u64 = 1;
const LATER: u64 = 0;

impl<'a> JsonReader<'a> {
    pub(super) fn new(frame: &'a ByteString) -> Self {
        Self { frame, bytes: frame.as_ref(), at: 0 }
    }

    /// The frame as text, which is the only check of its encoding.
    pub(super) fn check(frame: Bytes) -> Result<ByteString, Fault> {
        ByteString::try_from(frame).map_err(|e| Fault {
            format: Format::Json,
            problem: Problem::InvalidUtf8,
            at: e.valid_up_to(),
        })
    }

    fn fault(&self, problem: Problem) -> Fault {
        Fault { format: Format::Json, problem, at: self.at }
    }

    fn unexpected(&self) -> Fault {
        self.fault(if self.at < self.bytes.len() { Problem::UnexpectedByte } else { Problem::Truncated })
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        self.align();
        if self.peek() != Some(byte) {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, literal: &str, token: Token<'a>) -> Result<Token<'a>, Fault> {
        for byte in literal.bytes() {
            if self.peek() != Some(byte) {
                return Err(self.unexpected());
            }
            self.at += 1;
        }
        Ok(token)
    }

    /// Whether an item follows in a list or dictionary that ends with `close`.
    #[inline]
    fn follows(&mut self, open: &mut Open, close: u8) -> Result<bool, Fault> {
        self.align();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if open.left == LATER => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if open.left == FIRST => {
                open.left = LATER;
                Ok(true)
            }
            _ => Err(self.unexpected()),
        }
    }

    /// The rest of a string, after its opening quote; whether it stands where a value may stand.
    #[inline]
    fn string<const VALUE: bool>(&mut self) -> Result<Text<'a>, Fault> {
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at = find_special(self.bytes, self.at);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(self.unexpected()),
            }
        }
        // Both ends are quotes, so they are at character boundaries.
        let inside = self.frame.get(start..self.at).unwrap_or_default();
        self.at += 1;
        if escaped {
            if VALUE {
                self.check_binary(inside)?;
            }
            return Ok(Text::Escaped(inside));
        }
        Ok(Text::Plain(inside))
    }

    /// Checks the escape that begins here.
    fn escape(&mut self) -> Result<(), Fault> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 2;
                Ok(())
            }
            Some(b'u') => {
                let unit = hex(self.bytes, self.at + 2).ok_or_else(|| self.fault(Problem::InvalidEscape))?;
                let mut length = 6;
                if (0xd800..0xe000).contains(&unit) {
                    let low = self.bytes[self.at + 6..].starts_with(b"\\u").then(|| hex(self.bytes, self.at + 8));
                    if unit >= 0xdc00 || !low.flatten().is_some_and(|low| (0xdc00..0xe000).contains(&low)) {
                        return Err(self.fault(Problem::LoneSurrogate));
                    }
                    length = 12;
                }
                self.at += length;
                Ok(())
            }
            Some(_) => Err(self.fault(Problem::InvalidEscape)),
            None => Err(self.fault(Problem::Truncated)),
        }
    }

    /// Text that begins with U+0000 stands for binary wherever a value may stand: receivers refuse it if it is none.
    #[cold]
    fn check_binary(&self, inside: &str) -> Result<(), Fault> {
        match inside.strip_prefix("\\u0000") {
            Some(encoded) if !is_base64(encoded) => Err(self.fault(Problem::InvalidBase64)),
            _ => Ok(()),
        }
    }

    fn number(&mut self) -> Result<Token<'a>, Fault> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let first = self.at;
        let mut integer: u64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            integer = integer.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.at - first;
        if digits == 0 || (digits > 1 && self.bytes[first] == b'0') {
            return Err(self.number_fault());
        }
        // Nineteen digits are always less than 2^64.
        let integer =
            if digits < 20 { Some(integer) } else { self.frame.get(first..self.at).and_then(|n| n.parse().ok()) };
        if let (Some(n), false) = (integer, matches!(self.peek(), Some(b'.' | b'e' | b'E'))) {
            match i64::try_from(n) {
                Ok(n) if !negative => return Ok(Token::Int(n)),
                Err(_) if !negative => return Ok(Token::UInt(n)),
                // -0 is a float: no integer keeps its sign.
                Ok(n) if n != 0 => return Ok(Token::Int(-n)),
                _ if n == i64::MIN.unsigned_abs() => return Ok(Token::Int(i64::MIN)),
                _ => {}
            }
        }
        self.decimal(start)
    }

    /// The rest of a number, after the digits before its point.
    fn decimal(&mut self, start: usize) -> Result<Token<'a>, Fault> {
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let number = Decimal(self.frame.get(start..self.at).unwrap_or_default());
        if number.0.len() > MAX_DIGITS && number.0.trim_start_matches('-').len() > MAX_DIGITS && number.is_integer() {
            self.at = start;
            return Err(self.fault(Problem::NumberOutOfRange));
        }
        Ok(Token::Decimal(number))
    }

    /// Skips digits, at least one.
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.number_fault()) } else { Ok(()) }
    }

    fn number_fault(&self) -> Fault {
        self.fault(if self.at < self.bytes.len() { Problem::InvalidNumber } else { Problem::Truncated })
    }
}

impl<'a> Reader<'a> for JsonReader<'a> {
    const FORMAT: Format = Format::Json;
    const EMPTY_LIST: &'static [u8] = b"[],";

    fn position(&self) -> usize {
        self.at
    }

    #[inline]
    fn align(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn token(&mut self) -> Result<Token<'a>, Fault> {
        self.align();
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                self.string::<true>().map(Token::Text)
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{') => {
                self.at += 1;
                Ok(Token::Dict(Open { left: FIRST }))
            }
            Some(b'[') => {
                self.at += 1;
                Ok(Token::List(Open { left: FIRST }))
            }
            Some(b't') => self.literal("true", Token::Bool(true)),
            Some(b'f') => self.literal("false", Token::Bool(false)),
            Some(b'n') => self.literal("null", Token::Null),
            _ => Err(self.unexpected()),
        }
    }

    #[inline]
    fn next_item(&mut self, list: &mut Open) -> Result<bool, Fault> {
        self.follows(list, b']')
    }

    #[inline]
    fn next_key(&mut self, dict: &mut Open) -> Result<Option<Token<'a>>, Fault> {
        if !self.follows(dict, b'}')? {
            return Ok(None);
        }
        self.expect(b'"')?;
        let key = self.string::<false>()?;
        self.expect(b':')?;
        Ok(Some(Token::Text(key)))
    }

    fn separator(&mut self) -> Result<(), Fault> {
        self.expect(b',')
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.align();
        if self.at < self.bytes.len() { Err(self.fault(Problem::TrailingBytes)) } else { Ok(()) }
    }

    fn too_deep(&self) -> Fault {
        self.fault(Problem::TooDeep)
    }

    fn share(&self, text: &'a str) -> ByteString {
        self.frame.slice_ref(text)
    }

    fn slice(&self, start: usize, end: usize) -> Bytes {
        self.frame.as_bytes().slice(start..end)
    }
}

/// The position, from `at`, of the first byte that does not stand for itself in a string: a quote, a backslash or a
/// control character; the length if there is none.
#[inline]
fn find_special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // Eight bytes at a time: bytes that are zero, or less than a space, borrow into their highest bit. A borrow can
    // spoil only the bytes after the first one found.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    // Long text first: without an exit in the middle, the compiler makes vector instructions of this.
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<64>()) {
        let is_special = |&byte: &u8| u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\');
        if chunk.iter().fold(0, |found, byte| found | is_special(byte)) != 0 {
            break;
        }
        at += 64;
    }
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * u64::from(b' ')) & !word;
        let found = (control | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')))) & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, 0..=0x1f | b'"' | b'\\')) {
        at += 1;
    }
    at
}

/// Whether the inside of a string is base64 as [`binary_from_json`](transcode::binary_from_json) decodes it: the standard
/// alphabet, padded, with no bits left over. Allocates only where a character is escaped.
fn is_base64(inside: &str) -> bool {
    if inside.contains('\\') {
        return is_base64(&unescape(inside));
    }
    let bytes = inside.as_bytes();
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let unpadded = match bytes {
        [digits @ .., _, b'=', b'='] => {
            let last = bytes.get(digits.len());
            if !last.is_some_and(|last| matches!(last, b'A' | b'Q' | b'g' | b'w')) {
                return false;
            }
            digits
        }
        [digits @ .., last, b'='] => {
            if !b"AEIMQUYcgkosw048".contains(last) {
                return false;
            }
            digits
        }
        digits => digits,
    };
    bytes.len().is_multiple_of(4) && unpadded.iter().all(is_digit)
}

/// The frame with U+FFFD, which is as long, in the place of each half of a surrogate pair that is escaped alone.
pub(super) fn replace_surrogates(frame: &ByteString) -> ByteString {
    let mut bytes = frame.as_bytes().to_vec();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'\\' {
            at += 1;
            continue;
        }
        let unit = |at: usize| if bytes.get(at..at + 2) == Some(b"\\u") { hex(&bytes, at + 2) } else { None };
        match unit(at) {
            Some(0xd800..0xdc00) if unit(at + 6).is_some_and(|low| (0xdc00..0xe000).contains(&low)) => at += 12,
            Some(0xd800..0xe000) => {
                bytes.splice(at + 2..at + 6, *b"fffd");
                at += 6;
            }
            // What is escaped may be a backslash.
            _ => at += 2,
        }
    }
    // ASCII stands in the place of ASCII, so it stays text.
    ByteString::try_from(bytes).unwrap_or_default()
}

/// The four hexadecimal digits at `at`.
fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |number, &digit| Some(number * 16 + char::from(digit).to_digit(16)?))
}

/// The text of the inside of a string whose escapes are valid.
pub(super) fn unescape(inside: &str) -> String {
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut length = 1;
        text.push(match escape.as_bytes().first() {
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = hex(escape.as_bytes(), 1).unwrap_or_default();
                length = 5;
                match char::from_u32(unit) {
                    Some(c) => c,
                    None => {
                        let low = hex(escape.as_bytes(), 7).unwrap_or_default();
                        length = 11;
                        let code = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
                        char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                    }
                }
            }
            Some(&same) => char::from(same),
            None => break,
        });
        rest = escape.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

/// Writes compact JSON.
pub(super) struct JsonWriter<'o> {
    out: &'o mut Vec<u8>,
    max_len: usize,
    /// Nothing that needs a comma after it has been written at this place.
    fresh: bool,
}

impl<'o> JsonWriter<'o> {
    /// A writer that ends when `out` is longer than this.
    pub(super) fn within(max_len: usize, out: &'o mut Vec<u8>) -> Self {
        Self { out, max_len, fresh: true }
    }

    fn raw(&mut self, text: &[u8]) {
        self.comma();
        self.out.extend_from_slice(text);
    }

    fn open(&mut self, bracket: u8) -> Mark {
        self.raw(&[bracket]);
        self.fresh = true;
        Mark(self.out.len())
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.fresh = false;
    }

    /// A string in quotes, whatever it begins with.
    fn quoted(&mut self, text: &str) -> Result<(), TranscodeError> {
        self.comma();
        self.out.push(b'"');
        let bytes = text.as_bytes();
        let mut start = 0;
        loop {
            let end = find_special(bytes, start);
            self.out.extend_from_slice(&bytes[start..end]);
            let Some(&byte) = bytes.get(end) else { break };
            escape(self.out, byte);
            // One byte becomes up to six.
            self.check_len()?;
            start = end + 1;
        }
        self.out.push(b'"');
        Ok(())
    }
}

impl Writer for JsonWriter<'_> {
    const FORMAT: Format = Format::Json;
    const END: &'static [u8] = b"]";

    fn out(&mut self) -> &mut Vec<u8> {
        self.out
    }

    fn max_len(&self) -> usize {
        self.max_len
    }

    fn message(&mut self, _: u8) {
        self.out.push(b'[');
        self.fresh = true;
    }

    #[inline]
    fn comma(&mut self) {
        if !self.fresh {
            self.out.push(b',');
        }
        self.fresh = false;
    }

    fn open_list(&mut self) -> Mark {
        self.open(b'[')
    }

    fn close_list(&mut self, _: Mark, _: usize) -> Result<(), TranscodeError> {
        self.close(b']');
        Ok(())
    }

    fn open_dict(&mut self) -> Mark {
        self.open(b'{')
    }

    fn close_dict(&mut self, _: Mark, _: usize) -> Result<(), TranscodeError> {
        self.close(b'}');
        Ok(())
    }

    fn key(&mut self, key: &str) -> Result<(), TranscodeError> {
        self.quoted(key)?;
        self.out.push(b':');
        self.fresh = true;
        Ok(())
    }

    fn null(&mut self) {
        self.raw(b"null");
    }

    fn bool(&mut self, b: bool) {
        self.raw(if b { b"true" } else { b"false" });
    }

    fn int(&mut self, n: i64) {
        self.comma();
        if n < 0 {
            self.out.push(b'-');
        }
        write_digits(self.out, n.unsigned_abs());
    }

    fn uint(&mut self, n: u64) {
        self.comma();
        write_digits(self.out, n);
    }

    fn float(&mut self, n: f64) {
        self.comma();
        // Writing to a vector does not fail. The shortest text that reads back the same, with a point or an exponent;
        // null for NaN and the infinities.
        let _ = serde_json::to_writer(&mut *self.out, &n);
    }

    fn bignum(&mut self, negative: bool, bytes: &[u8]) -> Result<(), TranscodeError> {
        let digits = integer::to_decimal(negative, bytes).ok_or(TranscodeError::NumberTooLong)?;
        self.decimal(&digits)
    }

    fn decimal(&mut self, digits: &str) -> Result<(), TranscodeError> {
        self.raw(digits.as_bytes());
        Ok(())
    }

    fn timestamp(&mut self, time: Timestamp) -> Result<(), TranscodeError> {
        self.text(&time.to_text())
    }

    fn date_time(&mut self, text: &str) -> Result<(), TranscodeError> {
        self.text(text)
    }

    fn text(&mut self, text: &str) -> Result<(), TranscodeError> {
        if transcode::reads_as_binary(text) {
            return Err(TranscodeError::ReservedText);
        }
        self.quoted(text)
    }

    fn binary(&mut self, bytes: &[u8]) -> Result<(), TranscodeError> {
        self.raw(b"\"");
        transcode::binary_to_json(bytes, self.out);
        self.out.push(b'"');
        Ok(())
    }
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn write_digits(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}
