use crate::codec::Format;
use crate::value::{Dict, Value};
use bytes::Bytes;
use core::fmt;
use std::sync::Arc;

/// `args` and `kwargs` of a message, kept as the raw end of the frame they came in.
///
/// They are always the last elements of a message, so one slice holds both: in CBOR and MsgPack the two values one
/// after the other, in JSON the text from the first byte of `args` to the last of `kwargs`, comma included. The router
/// forwards that slice untouched to receivers of the same serializer; decoding happens only on request or to transcode.
#[derive(Clone, Default, PartialEq)]
pub struct Payload(pub(crate) Repr);

#[derive(Clone, Default, PartialEq)]
pub(crate) enum Repr {
    #[default]
    Empty,
    /// As received. The codec has checked that `tail` is well-formed: exactly the values that `shape` names, within the
    /// limits on depth, and in JSON and CBOR all text valid UTF-8.
    #[allow(dead_code, reason = "built by the codec")]
    Raw { format: Format, shape: Shape, tail: Bytes },
    /// Built in this process.
    Values(Arc<(Vec<Value>, Dict)>),
}

/// Which elements a payload has on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing.
    Nothing,
    /// `args`
    Args,
    /// `args, kwargs`
    ArgsKwargs,
    /// One binary value in the place of `args` (Crossbar.io's payload transparency, with `enc_algo`).
    Opaque,
}

impl Payload {
    /// No args, no kwargs.
    pub const fn empty() -> Self {
        Self(Repr::Empty)
    }

    /// A payload of these values. Trailing elements that are empty are left off the wire.
    pub fn from_values(args: Vec<Value>, kwargs: Dict) -> Self {
        if args.is_empty() && kwargs.is_empty() {
            return Self::empty();
        }
        Self(Repr::Values(Arc::new((args, kwargs))))
    }

    /// A payload of positional arguments.
    pub fn from_args<const N: usize>(args: [Value; N]) -> Self {
        Self::from_values(Vec::from(args), Dict::new())
    }

    /// Which elements the payload has on the wire.
    pub fn shape(&self) -> Shape {
        match &self.0 {
            Repr::Empty => Shape::Nothing,
            Repr::Raw { shape, .. } => *shape,
            Repr::Values(values) if values.1.is_empty() => Shape::Args,
            Repr::Values(_) => Shape::ArgsKwargs,
        }
    }

    /// Copies the bytes out of the frame they share, so that keeping the payload does not keep a whole read buffer.
    pub fn detach(&mut self) {
        if let Repr::Raw { tail, .. } = &mut self.0 {
            *tail = Bytes::copy_from_slice(tail);
        }
    }
}

/// Sizes only: payloads are the users' data and do not belong in logs.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Empty => f.write_str("Payload(empty)"),
            Repr::Raw { format, shape, tail } => write!(f, "Payload({format:?}, {shape:?}, {} bytes)", tail.len()),
            Repr::Values(values) => write!(f, "Payload({} args, {} kwargs)", values.0.len(), values.1.len()),
        }
    }
}
