use super::Format;
use core::fmt;

/// Why a frame is not a message. Always the fault of the peer that sent it.
///
/// Nothing in it repeats what the peer sent, except names of options and of policies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes are not exactly one value of the serializer.
    Malformed {
        /// The serializer.
        format: Format,
        /// Where: bytes from the start of the frame.
        at: usize,
        /// What is wrong there.
        problem: Problem,
    },
    /// Not a list that begins with an integer.
    NotAMessage,
    /// No message has this type code.
    UnknownMessage {
        /// The code.
        code: u64,
    },
    /// The message has too few elements.
    Missing {
        /// The message's name.
        message: &'static str,
        /// The first element that is missing, as the specification names it.
        element: &'static str,
    },
    /// The message has too many elements.
    Surplus {
        /// The message's name.
        message: &'static str,
    },
    /// An element has the wrong type or is out of range.
    Element {
        /// The message's name.
        message: &'static str,
        /// The element, as the specification names it.
        element: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A known option or detail has the wrong type or is out of range.
    Option {
        /// The message's name.
        message: &'static str,
        /// The key.
        key: String,
        /// What it must be.
        expected: &'static str,
    },
    /// An option names a policy, mode, algorithm or serializer that does not exist.
    UnknownName {
        /// The message's name.
        message: &'static str,
        /// The option's key.
        key: String,
        /// The name, cut after 32 characters.
        name: String,
    },
    /// Well-formed, but no [`Value`](crate::value::Value) can hold it.
    Unrepresentable(TranscodeError),
    /// The message holds more values, or values that take more memory, than is decoded for one message.
    OverLimit {
        /// The field of [`DecodeLimits`](super::DecodeLimits): `max_items` or `max_weight`.
        key: &'static str,
        /// Its value.
        limit: u32,
    },
}

/// What is wrong with the bytes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// The frame ends inside a value, or a length says more than there is.
    Truncated,
    /// The frame goes on after its value.
    TrailingBytes,
    /// A byte that cannot stand there.
    UnexpectedByte,
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// An escape that JSON does not have.
    InvalidEscape,
    /// An escaped surrogate without its other half.
    LoneSurrogate,
    /// A number that breaks JSON's grammar.
    InvalidNumber,
    /// An integer of more than 4,300 digits.
    NumberOutOfRange,
    /// Lists and dictionaries nested too deeply.
    TooDeep,
    /// JSON text that begins with U+0000, which stands for binary, and does not go on in base64.
    InvalidBase64,
    /// A CBOR tag around what it cannot hold, or one that means nothing outside the message it stands in.
    InvalidTag,
    /// A MsgPack timestamp of another length than 4, 8 or 12 bytes, or of a second's nanoseconds or more.
    InvalidTimestamp,
}

/// Why a message cannot be written in a serializer. The fault of whoever made the arguments, never of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TranscodeError {
    /// An integer of more than 4,096 bits, which is not converted.
    NumberTooLong,
    /// A dictionary with a key that is neither text nor a number, a truth value or null.
    KeyNotText,
    /// A MsgPack extension type.
    Extension,
    /// Text that begins with `\0`, which in JSON stands for binary.
    ReservedText,
    /// Text, binary, a list or a dictionary longer than MsgPack's 2^32 - 1.
    TooLong,
    /// The value cannot be taken for, or made from, the type of the application.
    Mismatch,
    /// The message would be longer than may be written: see [`encode_parts_within`](super::encode_parts_within).
    TooLarge,
}

/// Malformed bytes, before it is known in which message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) format: Format,
    pub(super) problem: Problem,
    pub(super) at: usize,
}

impl From<Fault> for DecodeError {
    fn from(Fault { format, problem, at }: Fault) -> Self {
        Self::Malformed { format, at, problem }
    }
}

impl From<TranscodeError> for DecodeError {
    fn from(error: TranscodeError) -> Self {
        Self::Unrepresentable(error)
    }
}

impl DecodeError {
    /// An option of a message that names what does not exist.
    pub(crate) fn unknown_name(message: &'static str, key: &str, name: &str) -> Self {
        Self::UnknownName { message, key: key.to_owned(), name: name.chars().take(32).collect() }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { format, at, problem } => write!(f, "malformed {format:?} at byte {at}: {problem}"),
            Self::NotAMessage => f.write_str("not a list that begins with a message type"),
            Self::UnknownMessage { code } => write!(f, "unknown message type {code}"),
            Self::Missing { message, element } => write!(f, "{message} without {element}"),
            Self::Surplus { message } => write!(f, "{message} with too many elements"),
            Self::Element { message, element, expected } => write!(f, "{message}.{element} must be {expected}"),
            Self::Option { message, key, expected } => write!(f, "{message} option {key:?} must be {expected}"),
            Self::UnknownName { message, key, name } => write!(f, "{message} option {key:?} cannot be {name:?}"),
            Self::Unrepresentable(error) => error.fmt(f),
            Self::OverLimit { key, limit } => write!(f, "limit {key} ({limit}) on the values of a message exceeded"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "truncated",
            Self::TrailingBytes => "trailing bytes",
            Self::UnexpectedByte => "unexpected byte",
            Self::InvalidUtf8 => "text is not UTF-8",
            Self::InvalidEscape => "invalid escape",
            Self::LoneSurrogate => "lone surrogate",
            Self::InvalidNumber => "invalid number",
            Self::NumberOutOfRange => "number out of range",
            Self::TooDeep => "nested too deeply",
            Self::InvalidBase64 => "text of \\0 is not base64",
            Self::InvalidTag => "a tag around what it cannot hold",
            Self::InvalidTimestamp => "invalid timestamp",
        })
    }
}

impl fmt::Display for TranscodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NumberTooLong => "an integer of more than 4096 bits cannot be converted",
            Self::KeyNotText => "a dictionary key is not text",
            Self::Extension => "MsgPack extension types cannot be converted",
            Self::ReservedText => "text that begins with \\0 stands for binary in JSON",
            Self::TooLong => "longer than MsgPack allows",
            Self::Mismatch => "the arguments are not of the expected type",
            Self::TooLarge => "too long in the serializer of the receiver",
        })
    }
}

impl core::error::Error for DecodeError {}

impl core::error::Error for TranscodeError {}
