//! Messages to and from bytes: JSON, CBOR and MsgPack (spec: "Serializers" in the Basic Profile's building blocks).
//!
//! [`decode`] reads the head of a message (ids, URIs, options) into typed values in one pass and leaves the arguments
//! as they came, checked but not decoded: see [`Payload`](crate::message::Payload). [`encode`] writes the head and
//! copies the arguments, or transcodes them when sender and receiver speak different serializers. [`encode_parts`]
//! leaves even the copy out.
//!
//! What a peer may send:
//! * The frame is exactly one message: nothing before, nothing after.
//! * Unknown options and details are ignored, wrong types of known ones are errors, and null is the same as absent.
//! * The arguments obey the whole grammar of the serializer: text is UTF-8; JSON has no raw control
//!   characters and no numbers beyond the range of a double; CBOR has no reserved codes and no stray breaks. Tags and
//!   indefinite lengths are allowed. Duplicate keys are allowed; the last one counts.
//! * Lists and dictionaries nest to a limited depth, and what is decoded of a message holds a limited number of values
//!   that take a limited amount of memory ([`DecodeLimits`]). Dictionaries that only travel stay raw until somebody asks:
//!   see [`RawDict`](crate::message::RawDict).
//!
//! What the encoder writes is always the same for the same message: compact JSON, the shortest integers and lengths in
//! CBOR and MsgPack, options in a fixed order, absent ones left out.
//!
//! How values change from one serializer to another. Each line says what a value of the first column becomes; a dash says
//! that it stays what it is, and "refused" that the message is not written: see [`TranscodeError`].
//!
//! | value | in JSON | in CBOR | in MsgPack | as [`Value`](crate::value::Value) |
//! | --- | --- | --- | --- | --- |
//! | null, `true`, `false`, list | - | - | - | - |
//! | `undefined`, of CBOR and of JavaScript's MsgPack | null | - | - | null |
//! | simple value of CBOR | null | null | null | null |
//! | integer of at most 64 bits | - | - | - | - |
//! | longer integer: number of JSON, integer or bignum (tags 2 and 3) of CBOR | number | integer, bignum | decimal text | float |
//! | float; `1.0` is not `1` | - | - | - | - |
//! | NaN, infinities | null | - | - | float |
//! | number of JSON beyond the range of doubles | - | infinity | infinity | infinity |
//! | text | - | - | - | - |
//! | text that begins with U+0000 | refused | - | - | - |
//! | binary | text of U+0000 and base64 | - | - | - |
//! | timestamp of MsgPack | text of RFC 3339 | the same text with tag 0 | - | text of RFC 3339 |
//! | date and time of CBOR (tags 0 and 1) | text of RFC 3339 | - | timestamp | text of RFC 3339 |
//! | value of CBOR with another tag | value | - | value | value |
//! | extension type of MsgPack but these | refused | refused | refused | refused |
//! | key that is a number, a truth value or null | text | - | text | text |
//! | key that is anything else but text | refused | refused | refused | refused |
//!
//! * Receivers of the same serializer get a payload as it is. It is written anew for them only if the table says that
//!   something in it changes or is refused there: some clients end their session for what others send. Autobahn|Python
//!   takes only text as keys of MsgPack; wampy takes neither simple values of CBOR nor keys that are binary, lists or
//!   dictionaries, and like Autobahn|JS no extension types.
//! * Keys that become the same text are both written. As with all duplicate keys, the last one counts.
//! * A float that is a key is written as JavaScript does: 2.0 is `2`.
//! * Integers of more than 4,096 bits are not converted to or from decimal, but refused; of more than 4,300 digits they
//!   are no JSON here, since Python takes none.
//! * A timestamp of a year beyond 1 to 9999 is text with a sign and six digits or more for the year, also in CBOR, which
//!   has no such date. Seconds of CBOR that are a float are rounded to microseconds.
//! * Binary in JSON is in the standard alphabet of base64, padded. Other text of JSON that begins with U+0000 is refused
//!   when it is received.
//! * Whoever makes a payload that cannot be carried is told, if somebody waits for it: a caller gets an ERROR. Events are
//!   left out for that receiver and counted ([`RouterStats::undeliverable`](crate::router::RouterStats::undeliverable)).

mod budget;
mod cbor;
mod decode;
mod encode;
mod error;
mod integer;
mod json;
mod lazy;
mod msgpack;
mod options;
mod reader;
mod timestamp;
mod transcode;
mod writer;

pub(crate) use budget::Budget;
pub use decode::{DecodeLimits, MAX_DEPTH, decode, decode_mending};
pub use encode::{encode, encode_parts, encode_parts_within};
pub use error::{DecodeError, Problem, TranscodeError};
pub(crate) use lazy::{LazyArguments, LazyValue, payload_of};
pub(crate) use transcode::{
    packed_dict, payload_from_serde, payload_to_serde, payload_values, publish_options, raw_dict_entries,
    request_options,
};

/// A serializer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Format {
    /// JSON, in WebSocket text messages.
    Json,
    /// CBOR.
    Cbor,
    /// MsgPack.
    MsgPack,
}

impl Format {
    /// Every serializer.
    pub const ALL: [Self; 3] = [Self::Json, Self::Cbor, Self::MsgPack];
}

#[cfg(test)]
mod tests;
