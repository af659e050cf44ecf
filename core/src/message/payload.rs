use crate::codec::{self, Budget, DecodeError, Format, TranscodeError};
use crate::value::{Dict, Value};
use bytes::Bytes;
use core::fmt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// `args` and `kwargs` of a message, kept as the raw end of the frame they came in.
///
/// They are always the last elements of a message, so one slice holds both: in CBOR and MsgPack the two values one
/// after the other, in JSON the text from the first byte of `args` to the last of `kwargs`, comma included. The router
/// forwards that slice untouched to receivers of the same serializer; decoding happens only on request or to transcode.
///
/// Payloads are equal if they hold equal values, whatever the serializer; a float is never equal to an integer.
#[derive(Clone, Default)]
pub struct Payload(pub(crate) Repr);

#[derive(Clone, Default)]
pub(crate) enum Repr {
    #[default]
    Empty,
    /// As received. The codec has checked that `tail` is well-formed: exactly the values that `shape` names, within the
    /// limits on depth, and all text valid UTF-8. `peculiar`: there is something in it that not every receiver of its
    /// serializer takes, so it is written anew even for them.
    Raw { format: Format, shape: Shape, tail: Bytes, peculiar: bool },
    /// The bytes of a binary value in the place of `args`.
    Opaque(Bytes),
    /// Built in this process; not both are empty.
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

    /// A payload of types of the application: `args` must serialize as a list (a tuple, a `Vec`), `kwargs` as a
    /// dictionary with text keys (a struct, a map).
    ///
    /// # Errors
    /// The types serialize as something else.
    pub fn from_serde<A, K>(args: &A, kwargs: &K) -> Result<Self, TranscodeError>
    where
        A: Serialize,
        K: Serialize,
    {
        codec::payload_from_serde(args, kwargs)
    }

    /// Opaque bytes in the place of the arguments; only with `enc_algo` in the options.
    pub const fn opaque(bytes: Bytes) -> Self {
        Self(Repr::Opaque(bytes))
    }

    /// Which elements the payload has on the wire.
    pub fn shape(&self) -> Shape {
        match &self.0 {
            Repr::Empty => Shape::Nothing,
            Repr::Raw { shape, .. } => *shape,
            Repr::Opaque(_) => Shape::Opaque,
            Repr::Values(values) if values.1.is_empty() => Shape::Args,
            Repr::Values(_) => Shape::ArgsKwargs,
        }
    }

    /// The args and kwargs, decoded anew at each call; empty where there are none. Opaque bytes are one binary argument.
    /// What [`Value`] lacks is converted as the table in [`codec`] says.
    ///
    /// # Errors
    /// [`DecodeError::Unrepresentable`]: the payload came with something that nothing else can hold.
    pub fn values(&self) -> Result<(Vec<Value>, Dict), DecodeError> {
        self.values_with(&mut Budget::unlimited())
    }

    /// As [`Payload::values`], if the values take no more than about `max_weight` bytes of memory. Small values take up
    /// to two hundred times the bytes that they take on the wire: for payloads of peers that are not trusted with that.
    ///
    /// # Errors
    /// As there, and [`DecodeError::OverLimit`].
    pub fn values_within(&self, max_weight: u32) -> Result<(Vec<Value>, Dict), DecodeError> {
        self.values_with(&mut Budget::new(u32::MAX, max_weight))
    }

    pub(crate) fn values_with(&self, budget: &mut Budget) -> Result<(Vec<Value>, Dict), DecodeError> {
        codec::payload_values(self, budget)
    }

    /// The args and kwargs as types of the application, e.g. a tuple and a struct; empty where there are none.
    ///
    /// # Errors
    /// [`TranscodeError::Mismatch`] if the values are not of these types; else as [`Payload::values`].
    pub fn to_serde<A, K>(&self) -> Result<(A, K), TranscodeError>
    where
        A: DeserializeOwned,
        K: DeserializeOwned,
    {
        codec::payload_to_serde(self)
    }

    /// The opaque bytes, if that is what the payload is.
    pub const fn as_opaque(&self) -> Option<&Bytes> {
        match &self.0 {
            Repr::Opaque(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// How many bytes the payload takes on the wire, if it is still as received; 0 if it was built in this process.
    pub const fn raw_len(&self) -> usize {
        match &self.0 {
            Repr::Raw { tail, .. } | Repr::Opaque(tail) => tail.len(),
            Repr::Empty | Repr::Values(_) => 0,
        }
    }

    /// How many bytes the payload takes in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        match &self.0 {
            Repr::Raw { .. } | Repr::Opaque(_) | Repr::Empty => self.raw_len(),
            Repr::Values(values) => {
                values.0.iter().map(Value::weight).sum::<usize>() + crate::value::weight_of_dict(&values.1)
            }
        }
    }

    /// Copies the bytes out of the frame they share, so that keeping the payload does not keep a whole read buffer.
    pub fn detach(&mut self) {
        if let Repr::Raw { tail, .. } | Repr::Opaque(tail) = &mut self.0 {
            *tail = Bytes::copy_from_slice(tail);
        }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (
                Repr::Raw { format, shape, tail, .. },
                Repr::Raw { format: other_format, shape: other_shape, tail: other_tail, .. },
            ) if format == other_format && shape == other_shape && tail == other_tail => true,
            (Repr::Opaque(bytes), Repr::Opaque(other)) => bytes == other,
            (Repr::Opaque(_), _) | (_, Repr::Opaque(_)) => false,
            _ => matches!((self.values(), other.values()), (Ok(values), Ok(other)) if values == other),
        }
    }
}

/// Sizes only: payloads are the users' data and do not belong in logs.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Empty => f.write_str("Payload(empty)"),
            Repr::Raw { format, shape, tail, .. } => write!(f, "Payload({format:?}, {shape:?}, {} bytes)", tail.len()),
            Repr::Opaque(bytes) => write!(f, "Payload({} opaque bytes)", bytes.len()),
            Repr::Values(values) => write!(f, "Payload({} args, {} kwargs)", values.0.len(), values.1.len()),
        }
    }
}
