//! Messages to and from bytes: JSON, CBOR and MsgPack (spec: "Serializers").

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
mod error;
pub use error::{DecodeError, Problem, TranscodeError};
