//! The arguments of a payload one by one, decoded when somebody asks for them.

use super::budget::Budget;
use super::cbor::CborReader;
use super::decode::MAX_DEPTH;
use super::error::DecodeError;
use super::json::JsonReader;
use super::msgpack::MsgPackReader;
use super::reader::{Reader, Token};
use super::{Format, TranscodeError};
use crate::message::{Payload, Repr, Shape};
use crate::value::{Dict, Value};
use bytes::Bytes;

/// The arguments of a payload. Those beyond a limit are counted, not kept.
#[derive(Debug, Default)]
pub(crate) struct LazyArguments {
    pub(crate) args: Vec<LazyValue>,
    /// Positional arguments that are not kept.
    pub(crate) surplus: usize,
    /// Of two with the same name the last counts.
    pub(crate) kwargs: Vec<(String, LazyValue)>,
}

/// A value of a payload.
#[derive(Debug)]
pub(crate) enum LazyValue {
    /// As received; `peculiar` as in [`Repr::Raw`].
    Raw {
        format: Format,
        bytes: Bytes,
        peculiar: bool,
    },
    Value(Value),
}

/// Characters of a name that are kept, of which no known name has as many.
const LONGEST_NAME: usize = 64;

impl LazyArguments {
    /// Finds the arguments of a payload, at most `max` of each kind.
    pub(crate) fn of(payload: &Payload, max: usize) -> Result<Self, DecodeError> {
        let (format, shape, tail) = match &payload.0 {
            Repr::Raw { format, shape, tail, .. } => (*format, *shape, tail),
            Repr::Empty | Repr::Opaque(_) | Repr::Values(_) => {
                let (mut args, kwargs) = payload.values()?;
                let surplus = args.len().saturating_sub(max);
                args.truncate(max);
                return Ok(Self {
                    args: args.into_iter().map(LazyValue::Value).collect(),
                    surplus,
                    kwargs: kwargs.into_iter().map(|(key, value)| (key, LazyValue::Value(value))).take(max).collect(),
                });
            }
        };
        match format {
            Format::Json => Self::find(JsonReader::new(&JsonReader::check(tail.clone())?), shape, max),
            Format::Cbor => Self::find(CborReader::new(tail), shape, max),
            Format::MsgPack => Self::find(MsgPackReader::new(tail), shape, max),
        }
    }

    fn find<'a, R: Reader<'a>>(mut reader: R, shape: Shape, max: usize) -> Result<Self, DecodeError> {
        let mut found = Self::default();
        let Token::List(mut list) = reader.token()? else { return Err(TranscodeError::Mismatch.into()) };
        while reader.next_item(&mut list)? {
            let value = skip(&mut reader)?;
            if found.args.len() < max { found.args.push(value) } else { found.surplus += 1 }
        }
        if shape != Shape::ArgsKwargs {
            return Ok(found);
        }
        reader.separator()?;
        let Token::Dict(mut dict) = reader.token()? else { return Err(TranscodeError::Mismatch.into()) };
        while let Some(key) = reader.next_key(&mut dict)? {
            let key = key.key_text().ok_or(TranscodeError::KeyNotText)?;
            let key: String = key.chars().take(LONGEST_NAME).collect();
            let value = skip(&mut reader)?;
            if let Some((_, earlier)) = found.kwargs.iter_mut().find(|(name, _)| *name == key) {
                *earlier = value;
            } else if found.kwargs.len() < max {
                found.kwargs.push((key, value));
            }
        }
        Ok(found)
    }
}

fn skip<'a, R: Reader<'a>>(reader: &mut R) -> Result<LazyValue, DecodeError> {
    reader.align();
    let start = reader.position();
    reader.skip(MAX_DEPTH)?;
    // Of values that follow something peculiar it is said too, which costs only time.
    let peculiar = reader.is_peculiar();
    Ok(LazyValue::Raw { format: R::FORMAT, bytes: reader.slice(start, reader.position()), peculiar })
}

/// Runs an expression with a reader of the bytes.
macro_rules! with_reader {
    ($format:expr, $bytes:expr, $reader:ident => $run:expr) => {
        match $format {
            Format::Json => {
                let text = JsonReader::check($bytes.clone())?;
                let mut $reader = JsonReader::new(&text);
                $run
            }
            Format::Cbor => {
                let mut $reader = CborReader::new($bytes);
                $run
            }
            Format::MsgPack => {
                let mut $reader = MsgPackReader::new($bytes);
                $run
            }
        }
    };
}

impl LazyValue {
    /// The value, if the budget is enough for it.
    pub(crate) fn into_value(self, budget: &mut Budget) -> Result<Value, DecodeError> {
        match self {
            Self::Value(value) => {
                budget.items_of(&value)?;
                Ok(value)
            }
            Self::Raw { format, bytes, .. } => {
                with_reader!(format, &bytes, reader => reader.value(MAX_DEPTH, budget))
            }
        }
    }

    /// What the value is, as [`Value::kind`] says, and whether it is a list or dictionary without content.
    pub(crate) fn kind(&self) -> Result<(&'static str, bool), DecodeError> {
        match self {
            Self::Value(value) => {
                let is_empty = match value {
                    Value::List(items) => items.is_empty(),
                    Value::Dict(dict) => dict.is_empty(),
                    _ => false,
                };
                Ok((value.kind(), is_empty))
            }
            Self::Raw { format, bytes, .. } => with_reader!(*format, bytes, reader => kind(&mut reader)),
        }
    }
}

fn kind<'a, R: Reader<'a>>(reader: &mut R) -> Result<(&'static str, bool), DecodeError> {
    Ok(match reader.token()? {
        Token::List(mut list) => ("list", !reader.next_item(&mut list)?),
        Token::Dict(mut dict) => ("dict", reader.next_key(&mut dict)?.is_none()),
        Token::Null | Token::Simple => ("null", false),
        Token::Bool(_) => ("bool", false),
        Token::Int(_) | Token::UInt(_) => ("integer", false),
        Token::Float(_) | Token::Decimal(_) | Token::Bignum(_) | Token::NegativeBignum(_) => ("float", false),
        Token::Text(_) | Token::Timestamp(_) | Token::DateTime(_) => ("string", false),
        Token::Binary(_) => ("binary", false),
        Token::Extension => ("extension", false),
    })
}

/// A payload of a list and a dictionary that are arguments of another, as they are; each is not empty if it is there.
pub(crate) fn payload_of(args: Option<LazyValue>, kwargs: Option<LazyValue>) -> Result<Payload, DecodeError> {
    let format = match (&args, &kwargs) {
        (Some(LazyValue::Raw { format, .. }), _) | (None, Some(LazyValue::Raw { format, .. })) => *format,
        _ => {
            let value = |lazy: Option<LazyValue>| lazy.map(|lazy| lazy.into_value(&mut Budget::unlimited()));
            let (args, kwargs) = (value(args).transpose()?, value(kwargs).transpose()?);
            return match (args.unwrap_or(Value::List(Vec::new())), kwargs.unwrap_or(Value::Dict(Dict::new()))) {
                (Value::List(args), Value::Dict(kwargs)) => Ok(Payload::from_values(args, kwargs)),
                _ => Err(TranscodeError::Mismatch.into()),
            };
        }
    };
    let empty_list: &[u8] = match format {
        Format::Json => b"[]",
        Format::Cbor => b"\x80",
        Format::MsgPack => b"\x90",
    };
    let raw = |lazy: &Option<LazyValue>| match lazy {
        Some(LazyValue::Raw { bytes, .. }) => Some(bytes.clone()),
        _ => None,
    };
    let mut tail = raw(&args).as_deref().unwrap_or(empty_list).to_vec();
    let mut shape = Shape::Args;
    if let Some(kwargs) = raw(&kwargs) {
        if format == Format::Json {
            tail.push(b',');
        }
        tail.extend_from_slice(&kwargs);
        shape = Shape::ArgsKwargs;
    }
    let is_peculiar = |lazy: &Option<LazyValue>| matches!(lazy, Some(LazyValue::Raw { peculiar: true, .. }));
    let peculiar = is_peculiar(&args) || is_peculiar(&kwargs);
    Ok(Payload(Repr::Raw { format, shape, tail: Bytes::from(tail.into_boxed_slice()), peculiar }))
}
