use super::timestamp::Timestamp;
use super::{Format, TranscodeError};
use crate::value::{Dict, Value};

/// Writes one serializer, a value at a time.
pub(super) trait Writer {
    /// The serializer.
    const FORMAT: Format;
    /// What ends a message.
    const END: &'static [u8];

    /// The bytes written.
    fn out(&mut self) -> &mut Vec<u8>;

    /// How long what is written may become: it is not written further than one value beyond.
    fn max_len(&self) -> usize;

    /// # Errors
    /// Too much has been written.
    #[inline]
    fn check_len(&mut self) -> Result<(), TranscodeError> {
        if self.out().len() > self.max_len() { Err(TranscodeError::TooLarge) } else { Ok(()) }
    }

    /// Begins a message of `length` elements (at most 15).
    fn message(&mut self, length: u8);

    /// Separates a value written past this writer from the one before it.
    fn comma(&mut self) {}

    /// Begins a list, however many items follow.
    fn open_list(&mut self) -> Mark;

    /// Ends the list that began at `mark`.
    fn close_list(&mut self, mark: Mark, count: usize) -> Result<(), TranscodeError>;

    /// Begins a dictionary, however many entries follow.
    fn open_dict(&mut self) -> Mark;

    /// Ends the dictionary that began at `mark`.
    fn close_dict(&mut self, mark: Mark, count: usize) -> Result<(), TranscodeError>;

    /// Whether a key may be a number, a truth value or null. Elsewhere it is text: other keys are nothing that JSON has,
    /// and receivers of MsgPack refuse them.
    fn takes_scalar_keys(&self) -> bool {
        false
    }

    /// The key of the entry whose value is written next.
    fn key(&mut self, key: &str) -> Result<(), TranscodeError>;

    fn null(&mut self);

    fn bool(&mut self, b: bool);

    fn int(&mut self, n: i64);

    fn uint(&mut self, n: u64);

    /// A float. NaN and the infinities, which JSON does not have, are null there.
    fn float(&mut self, n: f64);

    /// An integer of any size, as CBOR writes it: the bytes of n, or of -1 - n if it is negative.
    fn bignum(&mut self, negative: bool, bytes: &[u8]) -> Result<(), TranscodeError>;

    /// An integer of more than 64 bits in decimal.
    fn decimal(&mut self, digits: &str) -> Result<(), TranscodeError>;

    fn timestamp(&mut self, time: Timestamp) -> Result<(), TranscodeError>;

    /// A date and time in text of RFC 3339.
    fn date_time(&mut self, text: &str) -> Result<(), TranscodeError>;

    /// Text. JSON cannot write text that begins with U+0000, which receivers read as binary wherever they find it.
    fn text(&mut self, text: &str) -> Result<(), TranscodeError>;

    /// What stands before binary of this length. Not in JSON, where binary has another form.
    fn binary_head(&mut self, _length: usize) -> Result<(), TranscodeError> {
        Ok(())
    }

    fn binary(&mut self, bytes: &[u8]) -> Result<(), TranscodeError> {
        self.binary_head(bytes.len())?;
        self.out().extend_from_slice(bytes);
        Ok(())
    }

    fn value(&mut self, value: &Value) -> Result<(), TranscodeError> {
        match value {
            Value::Null => self.null(),
            Value::Bool(b) => self.bool(*b),
            Value::Int(n) => self.int(*n),
            Value::UInt(n) => self.uint(*n),
            Value::Float(n) => self.float(*n),
            Value::Text(text) => self.text(text)?,
            Value::Binary(bytes) => self.binary(bytes)?,
            Value::List(items) => self.list(items)?,
            Value::Dict(dict) => self.dict(dict)?,
        }
        Ok(())
    }

    fn list(&mut self, items: &[Value]) -> Result<(), TranscodeError> {
        let mark = self.open_list();
        for item in items {
            self.value(item)?;
        }
        self.close_list(mark, items.len())
    }

    fn dict(&mut self, dict: &Dict) -> Result<(), TranscodeError> {
        let mark = self.open_dict();
        for (key, value) in dict {
            self.key(key)?;
            self.value(value)?;
        }
        self.close_dict(mark, dict.len())
    }
}

/// Where a list or a dictionary begins.
#[derive(Clone, Copy)]
pub(super) struct Mark(pub(super) usize);

/// Puts the head of a list or dictionary in the place of the one byte that was left for it.
pub(super) fn patch(out: &mut Vec<u8>, Mark(at): Mark, head: &[u8]) {
    match head {
        &[byte] => out[at] = byte,
        _ => drop(out.splice(at..=at, head.iter().copied())),
    }
}
