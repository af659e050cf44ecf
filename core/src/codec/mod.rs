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
//! * The arguments obey the whole grammar of the serializer: text is UTF-8; JSON has no lone surrogates, no raw control
//!   characters and no numbers beyond the range of a double; CBOR has no reserved codes and no stray breaks. Tags and
//!   indefinite lengths are allowed. Duplicate keys are allowed; the last one counts.
//! * Lists and dictionaries nest to a limited depth ([`DecodeLimits`]).
//!
//! What the encoder writes is always the same for the same message: compact JSON, the shortest integers and lengths in
//! CBOR and MsgPack, options in a fixed order, absent ones left out.
//!
//! How values change from one serializer to another:
//! * Integers stay integers and floats stay floats (`1.0` is not `1`). Integers outside -2^63..2^64 become floats. NaN
//!   and infinities cannot be written in JSON.
//! * Binary is text of `\0` and base64 in JSON. JSON text that begins with `\0` but does not go on in base64 (standard
//!   alphabet, padded) is text. Text that would be taken for binary cannot be written in JSON.
//! * Dictionaries with other keys than text, and MsgPack extension types (timestamps too), exist only within their
//!   serializer. CBOR tags are dropped and `undefined` becomes null.

mod cbor;
mod decode;
mod encode;
mod error;
mod json;
mod msgpack;
mod options;
mod reader;
mod transcode;
mod writer;

pub use decode::{DecodeLimits, MAX_DEPTH, decode};
pub use encode::{encode, encode_parts};
pub use error::{DecodeError, Problem, TranscodeError};
pub(crate) use transcode::{
    PackedDict, payload_from_serde, payload_to_serde, payload_values, publish_options, request_options,
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
