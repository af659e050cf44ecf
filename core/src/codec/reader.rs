use super::budget::Budget;
use super::error::Fault;
use super::timestamp::Timestamp;
use super::{DecodeError, Format, TranscodeError, integer};
use crate::value::{Dict, Value};
use bytes::Bytes;
use bytestring::ByteString;
use std::borrow::Cow;

/// Reads one serializer from the start of a frame, a value at a time, without recursion and without allocating.
///
/// Whatever the tokens say has been checked, except that the base of a [`Decimal`] is not evaluated.
pub(super) trait Reader<'a>: Sized {
    /// The serializer.
    const FORMAT: Format;
    /// An empty list, and what stands between it and another argument.
    const EMPTY_LIST: &'static [u8];

    /// How many bytes have been read.
    fn position(&self) -> usize;

    /// Skips what may stand before a value without being part of it, so that `position` is where the value begins.
    fn align(&mut self) {}

    /// The next value; of a list or a dictionary only its beginning.
    fn token(&mut self) -> Result<Token<'a>, Fault>;

    /// Whether a list goes on; if so, the item is read next.
    fn next_item(&mut self, list: &mut Open) -> Result<bool, Fault>;

    /// The next key of a dictionary, after which its value is read next. In CBOR and MsgPack it may be of any type; if
    /// it is a list or a dictionary, its content is to be read before the value.
    fn next_key(&mut self, dict: &mut Open) -> Result<Option<Token<'a>>, Fault>;

    /// Whether the value that begins at `at` is given another meaning by a tag of CBOR.
    fn is_tagged(&self, _at: usize) -> bool {
        false
    }

    /// Whether something was read that not every receiver of this serializer takes, so that it is written anew for
    /// them (see the table in the [module's documentation](super)).
    fn is_peculiar(&self) -> bool {
        false
    }

    /// What stands between two arguments in a payload's tail.
    fn separator(&mut self) -> Result<(), Fault> {
        Ok(())
    }

    /// Checks that nothing follows.
    fn end(&mut self) -> Result<(), Fault>;

    /// The error for a value that begins here and would be nested too deeply.
    fn too_deep(&self) -> Fault;

    /// The text, sharing the memory of the frame; `text` is from this reader.
    fn share(&self, text: &'a str) -> ByteString;

    /// A part of the frame, sharing its memory; the range was read by this reader.
    fn slice(&self, start: usize, end: usize) -> Bytes;

    /// Reads one value and checks it, at most `depth` lists and dictionaries deep.
    fn skip(&mut self, depth: u8) -> Result<(), Fault> {
        let token = self.token()?;
        self.skip_rest(token, depth)
    }

    /// Reads the rest of a value of which `token` is the beginning. Recursion ends at `depth`.
    fn skip_rest(&mut self, token: Token<'a>, depth: u8) -> Result<(), Fault> {
        match token {
            Token::List(mut list) => {
                let depth = depth.checked_sub(1).ok_or_else(|| self.too_deep())?;
                while self.next_item(&mut list)? {
                    self.skip(depth)?;
                }
            }
            Token::Dict(mut dict) => {
                let depth = depth.checked_sub(1).ok_or_else(|| self.too_deep())?;
                while let Some(key) = self.next_key(&mut dict)? {
                    self.skip_rest(key, depth)?;
                    self.skip(depth)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads one value, at most `depth` lists and dictionaries deep.
    fn value(&mut self, depth: u8, budget: &mut Budget) -> Result<Value, DecodeError> {
        let token = self.token()?;
        self.value_rest(token, depth, budget)
    }

    /// Reads the rest of a value of which `token` is the beginning. Recursion ends at `depth`.
    fn value_rest(&mut self, token: Token<'a>, depth: u8, budget: &mut Budget) -> Result<Value, DecodeError> {
        budget.token(token)?;
        Ok(match token {
            Token::Null | Token::Simple => Value::Null,
            Token::Bool(b) => Value::Bool(b),
            Token::Int(n) => Value::Int(n),
            Token::UInt(n) => Value::UInt(n),
            Token::Float(n) => Value::Float(n),
            Token::Decimal(number) => Value::Float(number.value()),
            Token::Bignum(bytes) => Value::Float(integer::to_f64(false, &bytes.to_bytes())),
            Token::NegativeBignum(bytes) => Value::Float(integer::to_f64(true, &bytes.to_bytes())),
            Token::Timestamp(time) => Value::Text(time.to_text()),
            Token::DateTime(text) => Value::Text(text.to_owned()),
            Token::Text(text) => match text.as_binary() {
                Some(bytes) => Value::Binary(bytes),
                None => Value::Text(text.to_str().into_owned()),
            },
            Token::Binary(bytes) => Value::Binary(bytes.to_bytes().into_owned()),
            Token::Extension => return Err(TranscodeError::Extension.into()),
            Token::List(mut list) => {
                let depth = depth.checked_sub(1).ok_or_else(|| self.too_deep())?;
                let mut items = Vec::new();
                while self.next_item(&mut list)? {
                    budget.item(items.is_empty())?;
                    items.push(self.value(depth, budget)?);
                }
                Value::List(items)
            }
            Token::Dict(dict) => Value::Dict(self.dict_rest(dict, depth, budget)?),
        })
    }

    /// Reads the rest of a dictionary. Recursion ends at `depth`.
    fn dict_rest(&mut self, mut open: Open, depth: u8, budget: &mut Budget) -> Result<Dict, DecodeError> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.too_deep())?;
        let mut dict = Dict::new();
        while let Some(key) = self.next_key(&mut open)? {
            weigh_key(key, dict.is_empty(), budget)?;
            let key = key.key_text().ok_or(TranscodeError::KeyNotText)?.into_owned();
            dict.insert(key, self.value(depth, budget)?);
        }
        Ok(dict)
    }

    /// Checks, without allocating, that the rest of a value could be read within this budget.
    fn weigh_rest(&mut self, token: Token<'a>, depth: u8, budget: &mut Budget) -> Result<(), DecodeError> {
        budget.token(token)?;
        match token {
            Token::Extension => return Err(TranscodeError::Extension.into()),
            Token::List(mut list) => {
                let depth = depth.checked_sub(1).ok_or_else(|| self.too_deep())?;
                let mut is_first = true;
                while self.next_item(&mut list)? {
                    budget.item(is_first)?;
                    is_first = false;
                    let item = self.token()?;
                    self.weigh_rest(item, depth, budget)?;
                }
            }
            Token::Dict(dict) => drop(self.weigh_dict(dict, depth, budget)?),
            _ => {}
        }
        Ok(())
    }

    /// As [`Reader::weigh_rest`], of a dictionary; whether it has entries.
    fn weigh_dict(&mut self, mut open: Open, depth: u8, budget: &mut Budget) -> Result<bool, DecodeError> {
        let depth = depth.checked_sub(1).ok_or_else(|| self.too_deep())?;
        let mut has_entries = false;
        while let Some(key) = self.next_key(&mut open)? {
            weigh_key(key, !has_entries, budget)?;
            has_entries = true;
            let value = self.token()?;
            self.weigh_rest(value, depth, budget)?;
        }
        Ok(has_entries)
    }
}

fn weigh_key(key: Token<'_>, is_first: bool, budget: &mut Budget) -> Result<(), DecodeError> {
    match key {
        Token::Text(text) => budget.entry(is_first, text),
        key => {
            let text = key.key_text().ok_or(TranscodeError::KeyNotText)?;
            budget.entry(is_first, Text::Plain(&text))
        }
    }
}

/// A value, or the beginning of one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Token<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    UInt(u64),
    Float(f64),
    Decimal(Decimal<'a>),
    /// An integer of CBOR above `u64::MAX`.
    Bignum(Binary<'a>),
    /// An integer of CBOR below `i64::MIN`; the bytes are those of -1 minus it.
    NegativeBignum(Binary<'a>),
    Text(Text<'a>),
    Binary(Binary<'a>),
    /// A timestamp of MsgPack, or seconds since 1970 of CBOR.
    Timestamp(Timestamp),
    /// Text of RFC 3339 that CBOR says to be one.
    DateTime(&'a str),
    /// A simple value of CBOR that means nothing.
    Simple,
    /// An extension type of MsgPack, or a key of CBOR that is text with a tag.
    Extension,
    List(Open),
    Dict(Open),
}

impl<'a> Token<'a> {
    /// The text that this is as a key where only text may be one, as JavaScript writes it; `None` if there is none.
    pub(super) fn key_text(self) -> Option<Cow<'a, str>> {
        /// Integers below are exact, and written as such.
        const EXACT: f64 = (1_u64 << 53) as f64;
        Some(match self {
            Token::Text(text) => text.to_str(),
            Token::Null => "null".into(),
            Token::Bool(b) => if b { "true" } else { "false" }.into(),
            Token::Int(n) => n.to_string().into(),
            Token::UInt(n) => n.to_string().into(),
            Token::Float(n) if n.fract() == 0.0 && n.abs() < EXACT => (n as i64).to_string().into(),
            Token::Float(n) if n.is_finite() => format!("{n:?}").into(),
            Token::Bignum(bytes) => integer::to_decimal(false, &bytes.to_bytes())?.into(),
            Token::NegativeBignum(bytes) => integer::to_decimal(true, &bytes.to_bytes())?.into(),
            _ => return None,
        })
    }

    /// Whether this is a number, a truth value or null, which every receiver of CBOR takes as a key.
    pub(super) const fn is_scalar(self) -> bool {
        matches!(
            self,
            Token::Null
                | Token::Bool(_)
                | Token::Int(_)
                | Token::UInt(_)
                | Token::Float(_)
                | Token::Bignum(_)
                | Token::NegativeBignum(_)
        )
    }
}

/// How much of a list or a dictionary is left. Its meaning belongs to the reader that made it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) left: u64,
}

/// A JSON number with a fraction or an exponent, or an integer that no integer type holds. Receivers read an infinity
/// where it is beyond the range of doubles.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decimal<'a>(pub(super) &'a str);

impl Decimal<'_> {
    /// Whether the number is an integer, as it is written. -0 is none: no integer keeps its sign.
    pub(super) fn is_integer(self) -> bool {
        self.0 != "-0" && !self.0.contains(['.', 'e', 'E'])
    }

    pub(super) fn value(self) -> f64 {
        // JSON's grammar is a part of Rust's, so parsing does not fail.
        self.0.parse().unwrap_or(f64::NAN)
    }
}

/// Text as it stands in the frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Text<'a> {
    Plain(&'a str),
    /// The inside of a JSON string with escapes, all of them valid.
    Escaped(&'a str),
    /// The chunks of a CBOR string of indefinite length, without the break; each is valid UTF-8.
    Chunked(&'a [u8]),
}

impl<'a> Text<'a> {
    pub(super) fn to_str(self) -> Cow<'a, str> {
        match self {
            Text::Plain(text) => Cow::Borrowed(text),
            Text::Escaped(inside) => Cow::Owned(super::json::unescape(inside)),
            Text::Chunked(chunks) => {
                let mut text = String::new();
                for chunk in super::cbor::chunks(chunks) {
                    text.push_str(&String::from_utf8_lossy(chunk));
                }
                Cow::Owned(text)
            }
        }
    }

    /// The bytes, if this is JSON's text for binary.
    pub(super) fn as_binary(self) -> Option<Vec<u8>> {
        match self {
            // A NUL in JSON is always escaped, and nothing else escapes a NUL in other serializers.
            Text::Escaped(inside) => super::transcode::binary_from_json(inside),
            Text::Plain(_) | Text::Chunked(_) => None,
        }
    }
}

/// Binary as it stands in the frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Binary<'a> {
    Plain(&'a [u8]),
    /// The chunks of a CBOR string of indefinite length, without the break.
    Chunked(&'a [u8]),
}

impl<'a> Binary<'a> {
    pub(super) fn to_bytes(self) -> Cow<'a, [u8]> {
        match self {
            Binary::Plain(bytes) => Cow::Borrowed(bytes),
            Binary::Chunked(chunks) => Cow::Owned(super::cbor::chunks(chunks).flatten().copied().collect()),
        }
    }
}
