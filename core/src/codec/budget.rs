//! How much of a message may be decoded into values, and what that takes in memory.

use super::error::DecodeError;
use super::reader::{Binary, Text, Token};
use crate::value::Value;

/// What is left of the limits on items and weight, for one message.
///
/// The weight is an upper bound of what the values take on the heap: the room that vectors and tables keep in advance,
/// and what the allocator adds to each of them, are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    items: u32,
    weight: u32,
    max_items: u32,
    max_weight: u32,
}

/// What an allocation takes beside its bytes: a header, and being rounded up.
const ALLOCATION: usize = 32;
/// The least that a list with items takes: vectors begin with room for four.
const LIST: usize = ALLOCATION + 4 * size_of::<Value>();
/// What each item of a list takes: a vector that grows has twice the room that it needs.
const ITEM: usize = 2 * size_of::<Value>();
/// The least that a dictionary with entries takes: a node of a B-tree has room for eleven.
const DICT: usize = ALLOCATION + 11 * (size_of::<String>() + size_of::<Value>()) + 16;
/// What each further entry of a dictionary takes: nodes are at least half full.
const ENTRY: usize = DICT / 4;
/// No timestamp has a longer text: twelve digits of a year, and nine after the second.
const TIMESTAMP: usize = 64;

impl Budget {
    pub(crate) const fn unlimited() -> Self {
        Self::new(u32::MAX, u32::MAX)
    }

    pub(crate) const fn new(max_items: u32, max_weight: u32) -> Self {
        Self { items: max_items, weight: max_weight, max_items, max_weight }
    }

    fn take_items(&mut self) -> Result<(), DecodeError> {
        self.items = match self.items.checked_sub(1) {
            // What has no limit is not used up.
            Some(left) => left + u32::from(self.max_items == u32::MAX),
            None => return Err(DecodeError::OverLimit { key: "max_items", limit: self.max_items }),
        };
        Ok(())
    }

    /// Takes memory of this many bytes.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), DecodeError> {
        if self.max_weight == u32::MAX {
            return Ok(());
        }
        self.weight = match u32::try_from(bytes).ok().and_then(|bytes| self.weight.checked_sub(bytes)) {
            Some(left) => left,
            None => return Err(DecodeError::OverLimit { key: "max_weight", limit: self.max_weight }),
        };
        Ok(())
    }

    /// Takes an item of a list of values.
    pub(super) fn item(&mut self, is_first: bool) -> Result<(), DecodeError> {
        self.take_items()?;
        self.take(if is_first { LIST } else { ITEM })
    }

    /// Takes an entry of a dictionary.
    pub(super) fn entry(&mut self, is_first: bool, key: Text<'_>) -> Result<(), DecodeError> {
        self.take_items()?;
        self.take(if is_first { DICT } else { ENTRY })?;
        self.text(key)
    }

    /// Takes the items in a value that is there already; its memory has been taken by whoever made it.
    pub(super) fn items_of(&mut self, value: &Value) -> Result<(), DecodeError> {
        let mut each = |value| {
            self.take_items()?;
            self.items_of(value)
        };
        match value {
            Value::List(items) => items.iter().try_for_each(each),
            Value::Dict(dict) => dict.values().try_for_each(&mut each),
            _ => Ok(()),
        }
    }

    /// Takes an item of `size` bytes of a plain list of a message.
    pub(super) fn plain_item(&mut self, size: usize) -> Result<(), DecodeError> {
        self.take_items()?;
        self.take(2 * size)
    }

    /// Takes what a value owns itself, apart from what it holds.
    pub(super) fn token(&mut self, token: Token<'_>) -> Result<(), DecodeError> {
        match token {
            Token::Text(text) => self.text(text),
            Token::Binary(Binary::Plain(bytes)) => self.bytes(bytes.len()),
            Token::Binary(Binary::Chunked(chunks)) => self.bytes(chunks.len().saturating_mul(2)),
            Token::DateTime(text) => self.bytes(text.len()),
            Token::Timestamp(_) => self.bytes(TIMESTAMP),
            _ => Ok(()),
        }
    }

    /// Takes an owned text.
    pub(super) fn text(&mut self, text: Text<'_>) -> Result<(), DecodeError> {
        self.bytes(match text {
            Text::Plain(text) | Text::Escaped(text) => text.len(),
            // It grows as chunks come.
            Text::Chunked(chunks) => 2 * chunks.len(),
        })
    }

    /// Takes an owned string of bytes.
    pub(super) fn bytes(&mut self, len: usize) -> Result<(), DecodeError> {
        if len == 0 { Ok(()) } else { self.take(len.saturating_add(ALLOCATION)) }
    }
}
