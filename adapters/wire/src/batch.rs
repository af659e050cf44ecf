//! Batched WebSocket messages: several WAMP messages in one (WAMP spec, "Message Batching").
//!
//! JSON messages are each followed by a separator octet, which cannot occur inside JSON text (control characters are escaped
//! there). CBOR and MsgPack messages are each preceded by their length, 32 bits, big-endian.

use std::fmt;

use bytes::{Buf, Bytes};

/// The octet that follows each message of a JSON batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonSeparator {
    /// 0x1e, ASCII record separator: what the WAMP specification says.
    Record,
    /// 0x18, ASCII cancel: what Autobahn|Python sends and expects.
    Cancel,
}

impl JsonSeparator {
    /// The octet itself.
    pub const fn octet(self) -> u8 {
        match self {
            Self::Record => 0x1e,
            Self::Cancel => 0x18,
        }
    }

    pub(crate) const fn octets(self) -> &'static [u8] {
        match self {
            Self::Record => &[0x1e],
            Self::Cancel => &[0x18],
        }
    }
}

/// Why a batch cannot be split. The peer's fault; the connection cannot continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchError {
    /// The batch holds no message at all.
    Empty,
    /// A message of the batch has no bytes.
    EmptyMessage,
    /// The batch ends without the separator that must follow its last message.
    Unterminated,
    /// Less than four bytes are left where a length is expected.
    TruncatedLength,
    /// A length says more than what is left of the batch.
    LengthBeyondBatch {
        /// The length found, in bytes.
        length: u32,
        /// The bytes that were left.
        left: usize,
    },
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty batch"),
            Self::EmptyMessage => f.write_str("empty message in a batch"),
            Self::Unterminated => f.write_str("batch does not end with a separator"),
            Self::TruncatedLength => f.write_str("batch ends inside a length"),
            Self::LengthBeyondBatch { length, left } => {
                write!(f, "message of {length} bytes in a batch with {left} left")
            }
        }
    }
}

impl std::error::Error for BatchError {}

/// Takes the next message off a JSON batch; `None` when the batch is used up.
///
/// `separator` is the peer's dialect: found with the first message if it is `None`, and then kept.
///
/// # Errors
/// [`BatchError::Unterminated`] or [`BatchError::EmptyMessage`].
pub fn next_json(batch: &mut Bytes, separator: &mut Option<JsonSeparator>) -> Result<Option<Bytes>, BatchError> {
    if batch.is_empty() {
        return Ok(None);
    }
    let end = match *separator {
        Some(known) => memchr::memchr(known.octet(), batch),
        None => memchr::memchr2(JsonSeparator::Record.octet(), JsonSeparator::Cancel.octet(), batch),
    };
    let end = end.ok_or(BatchError::Unterminated)?;
    if end == 0 {
        return Err(BatchError::EmptyMessage);
    }
    separator.get_or_insert(if batch[end] == JsonSeparator::Cancel.octet() {
        JsonSeparator::Cancel
    } else {
        JsonSeparator::Record
    });
    let message = batch.split_to(end);
    batch.advance(1);
    Ok(Some(message))
}

/// Takes the next message off a CBOR or MsgPack batch; `None` when the batch is used up.
///
/// # Errors
/// [`BatchError::TruncatedLength`], [`BatchError::LengthBeyondBatch`] or [`BatchError::EmptyMessage`].
pub fn next_prefixed(batch: &mut Bytes) -> Result<Option<Bytes>, BatchError> {
    if batch.is_empty() {
        return Ok(None);
    }
    let Some(&prefix) = batch.first_chunk::<4>() else {
        return Err(BatchError::TruncatedLength);
    };
    let length = u32::from_be_bytes(prefix);
    let left = batch.len() - prefix.len();
    match usize::try_from(length) {
        Ok(0) => Err(BatchError::EmptyMessage),
        Ok(len) if len <= left => {
            batch.advance(prefix.len());
            Ok(Some(batch.split_to(len)))
        }
        _ => Err(BatchError::LengthBeyondBatch { length, left }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(batch: &'static [u8], separator: &mut Option<JsonSeparator>) -> Result<Vec<Bytes>, BatchError> {
        let mut batch = Bytes::from_static(batch);
        std::iter::from_fn(|| next_json(&mut batch, separator).transpose()).collect()
    }

    fn prefixed(batch: &'static [u8]) -> Result<Vec<Bytes>, BatchError> {
        let mut batch = Bytes::from_static(batch);
        std::iter::from_fn(|| next_prefixed(&mut batch).transpose()).collect()
    }

    #[test]
    fn splits_json_in_both_dialects() {
        for (batch, dialect) in
            [(&b"[1]\x1e[22]\x1e"[..], JsonSeparator::Record), (b"[1]\x18[22]\x18", JsonSeparator::Cancel)]
        {
            let mut separator = None;
            assert_eq!(json(batch, &mut separator).unwrap(), [&b"[1]"[..], b"[22]"]);
            assert_eq!(separator, Some(dialect));
            assert_eq!(json(batch, &mut separator).unwrap().len(), 2);
        }
    }

    #[test]
    fn refuses_bad_json_batches() {
        for (batch, error) in [
            (&b"[1]"[..], BatchError::Unterminated),
            (b"[1]\x1e[2]", BatchError::Unterminated),
            (b"[1]\x1e[2]\x18", BatchError::Unterminated),
            (b"\x1e", BatchError::EmptyMessage),
            (b"[1]\x18\x18", BatchError::EmptyMessage),
        ] {
            assert_eq!(json(batch, &mut None).unwrap_err(), error, "{batch:?}");
        }
        assert_eq!(json(b"[1]\x18", &mut Some(JsonSeparator::Record)), Err(BatchError::Unterminated));
    }

    #[test]
    fn splits_prefixed() {
        assert_eq!(prefixed(b"\0\0\0\x01a\0\0\0\x02bc").unwrap(), [&b"a"[..], b"bc"]);
        for (batch, error) in [
            (&b"\0\0\0"[..], BatchError::TruncatedLength),
            (b"\0\0\0\x01a\0", BatchError::TruncatedLength),
            (b"\0\0\0\0", BatchError::EmptyMessage),
            (b"\0\0\0\x02a", BatchError::LengthBeyondBatch { length: 2, left: 1 }),
            (b"\xff\xff\xff\xffa", BatchError::LengthBeyondBatch { length: u32::MAX, left: 1 }),
        ] {
            assert_eq!(prefixed(batch).unwrap_err(), error, "{batch:?}");
        }
    }
}
