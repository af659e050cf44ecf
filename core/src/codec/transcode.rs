//! Payloads from one serializer to another, and to and from values. JSON's convention for binary lives here alone
//! (spec: "Binary conversion of JSON Strings").

use super::budget::Budget;
use super::cbor::{self, CborReader, CborWriter};
use super::decode::{DecodeLimits, MAX_DEPTH, decode};
use super::encode::write_tail;
use super::json::{JsonReader, unescape};
use super::msgpack::{MsgPackReader, MsgPackWriter};
use super::options::{Entries, WriteOptions};
use super::reader::{Open, Reader, Token};
use super::writer::Writer;
use super::{DecodeError, Format, TranscodeError};
use crate::message::{Message, Payload, PublishOptions, RawDict, RawDictRepr, Repr, Shape};
use crate::value::{Dict, Value};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Writes a raw payload of another serializer: the arguments, without what stands around them.
pub(super) fn transcode<W: Writer>(
    from: Format,
    tail: &Bytes,
    shape: Shape,
    writer: &mut W,
) -> Result<(), TranscodeError> {
    match from {
        Format::Json => copy_tail(JsonReader::new(&JsonReader::check(tail.clone()).map_err(checked)?), shape, writer),
        Format::Cbor => copy_tail(CborReader::new(tail), shape, writer),
        Format::MsgPack => copy_tail(MsgPackReader::new(tail), shape, writer),
    }
}

fn copy_tail<'a, R: Reader<'a>, W: Writer>(mut reader: R, shape: Shape, writer: &mut W) -> Result<(), TranscodeError> {
    copy(&mut reader, writer)?;
    if shape == Shape::ArgsKwargs {
        reader.separator().map_err(checked)?;
        copy(&mut reader, writer)?;
    }
    Ok(())
}

/// Writes a dictionary of a message, as it is or transcoded.
pub(super) fn write_raw_dict<W: Writer>(dict: &RawDict, writer: &mut W) -> Result<(), TranscodeError> {
    match &dict.0 {
        RawDictRepr::Empty => writer.dict(&Dict::new()),
        RawDictRepr::Values(dict) => writer.dict(dict),
        RawDictRepr::Raw { format, bytes } if *format == W::FORMAT => {
            writer.comma();
            writer.out().extend_from_slice(bytes);
            Ok(())
        }
        RawDictRepr::Raw { format, bytes } => transcode(*format, bytes, Shape::Args, writer),
    }
}

/// Those entries of a raw dictionary whose keys are `wanted`; the others are not decoded.
pub(crate) fn raw_dict_entries(format: Format, bytes: &Bytes, wanted: impl Fn(&str) -> bool) -> Dict {
    let entries = match format {
        Format::Json => JsonReader::check(bytes.clone())
            .map_err(DecodeError::from)
            .and_then(|text| wanted_entries(JsonReader::new(&text), wanted)),
        Format::Cbor => wanted_entries(CborReader::new(bytes), wanted),
        Format::MsgPack => wanted_entries(MsgPackReader::new(bytes), wanted),
    };
    // Checked when it was received: reading it again does not fail.
    entries.unwrap_or_default()
}

fn wanted_entries<'a, R: Reader<'a>>(mut reader: R, wanted: impl Fn(&str) -> bool) -> Result<Dict, DecodeError> {
    let mut dict = Dict::new();
    let Token::Dict(mut open) = reader.token()? else { return Ok(dict) };
    while let Some(key) = reader.next_key(&mut open)? {
        let key = key.key_text().ok_or(TranscodeError::KeyNotText)?;
        if wanted(&key) {
            let value = reader.value(MAX_DEPTH, &mut Budget::unlimited())?;
            dict.insert(key.into_owned(), value);
        } else {
            reader.skip(MAX_DEPTH)?;
        }
    }
    Ok(dict)
}

/// Reads a dictionary as the options of PUBLISH, by the same rules as those of a message.
pub(crate) fn publish_options(options: &Dict) -> Result<PublishOptions, DecodeError> {
    let mut frame = Vec::new();
    let mut writer = CborWriter::new(&mut frame);
    writer.message(4);
    writer.uint(16);
    writer.uint(1);
    writer.dict(options)?;
    writer.text("topic")?;
    let limits = DecodeLimits { max_depth: MAX_DEPTH, ..DecodeLimits::default() };
    match decode(Format::Cbor, frame.into(), &limits)? {
        Message::Publish(publish) => Ok(publish.options),
        _ => Err(DecodeError::NotAMessage),
    }
}

/// Raw payloads have been checked when they were received: reading them again does not fail.
fn checked<E>(_: E) -> TranscodeError {
    TranscodeError::Mismatch
}

fn copy<'a, R: Reader<'a>, W: Writer>(reader: &mut R, writer: &mut W) -> Result<(), TranscodeError> {
    let token = reader.token().map_err(checked)?;
    copy_rest(token, reader, writer)
}

/// Recursion is as deep as the payload, and that was limited when it was received.
fn copy_rest<'a, R: Reader<'a>, W: Writer>(
    token: Token<'a>,
    reader: &mut R,
    writer: &mut W,
) -> Result<(), TranscodeError> {
    writer.check_len()?;
    match token {
        Token::Null | Token::Simple => writer.null(),
        Token::Bool(b) => writer.bool(b),
        Token::Int(n) => writer.int(n),
        Token::UInt(n) => writer.uint(n),
        Token::Float(n) => writer.float(n),
        Token::Decimal(number) if number.is_integer() => writer.decimal(number.0)?,
        Token::Decimal(number) => writer.float(number.value()),
        Token::Bignum(bytes) => writer.bignum(false, &bytes.to_bytes())?,
        Token::NegativeBignum(bytes) => writer.bignum(true, &bytes.to_bytes())?,
        Token::Timestamp(time) => writer.timestamp(time)?,
        Token::DateTime(text) => writer.date_time(text)?,
        Token::Text(text) => match text.as_binary() {
            Some(bytes) => writer.binary(&bytes)?,
            None => writer.text(&text.to_str())?,
        },
        Token::Binary(bytes) => writer.binary(&bytes.to_bytes())?,
        Token::Extension => return Err(TranscodeError::Extension),
        Token::List(mut open) => {
            let mark = writer.open_list();
            let mut count = 0;
            while reader.next_item(&mut open).map_err(checked)? {
                copy(reader, writer)?;
                count += 1;
            }
            writer.close_list(mark, count)?;
        }
        Token::Dict(open) => copy_dict(open, reader, writer)?,
    }
    Ok(())
}

fn copy_dict<'a, R: Reader<'a>, W: Writer>(
    mut open: Open,
    reader: &mut R,
    writer: &mut W,
) -> Result<(), TranscodeError> {
    let mark = writer.open_dict();
    let mut count = 0;
    while let Some(key) = reader.next_key(&mut open).map_err(checked)? {
        match key {
            Token::Text(key) => writer.key(&key.to_str())?,
            key if key.is_scalar() && writer.takes_scalar_keys() => copy_rest(key, reader, writer)?,
            key => writer.key(&key.key_text().ok_or(TranscodeError::KeyNotText)?)?,
        }
        copy(reader, writer)?;
        count += 1;
    }
    writer.close_dict(mark, count)
}

/// The values of a payload, args and kwargs, if the budget is enough for those that are still to be decoded.
pub(crate) fn payload_values(payload: &Payload, budget: &mut Budget) -> Result<(Vec<Value>, Dict), DecodeError> {
    let (format, shape, tail) = match &payload.0 {
        Repr::Empty => return Ok((Vec::new(), Dict::new())),
        Repr::Values(values) => return Ok((**values).clone()),
        Repr::Opaque(bytes) => return Ok((vec![Value::Binary(bytes.to_vec())], Dict::new())),
        Repr::Raw { format, shape, tail, .. } => (*format, *shape, tail),
    };
    match format {
        Format::Json => tail_values(JsonReader::new(&JsonReader::check(tail.clone())?), shape, budget),
        Format::Cbor => tail_values(CborReader::new(tail), shape, budget),
        Format::MsgPack => tail_values(MsgPackReader::new(tail), shape, budget),
    }
}

/// The options of a request with the names and values that they have on the wire; empty for other messages.
pub(crate) fn request_options(request: &Message) -> Dict {
    match request {
        Message::Call(call) => options_dict(&call.options),
        Message::Publish(publish) => options_dict(&publish.options),
        Message::Subscribe(subscribe) => options_dict(&subscribe.options),
        Message::Register(register) => options_dict(&register.options),
        _ => Dict::new(),
    }
}

fn options_dict(options: &impl WriteOptions) -> Dict {
    let mut bytes = Vec::new();
    let mut writer = CborWriter::new(&mut bytes);
    let mut entries = Entries::new(&mut writer);
    let written = options.write(&mut entries).and_then(|()| entries.close());
    match written.map(|()| CborReader::new(&Bytes::from(bytes)).value(MAX_DEPTH, &mut Budget::unlimited())) {
        Ok(Ok(Value::Dict(dict))) => dict,
        // Options are strings, numbers and lists of them: CBOR carries them all.
        _ => Dict::new(),
    }
}

/// A dictionary as bytes, for what is kept long and looked at seldom; `None` if it cannot be read back.
pub(crate) fn packed_dict(dict: &Dict) -> Option<RawDict> {
    let mut bytes = Vec::new();
    MsgPackWriter::new(&mut bytes).dict(dict).ok()?;
    let bytes = Bytes::from(bytes.into_boxed_slice());
    // Only a dictionary nested deeper than any peer could make it is refused.
    MsgPackReader::new(&bytes).skip(MAX_DEPTH).ok()?;
    Some(RawDict(RawDictRepr::Raw { format: Format::MsgPack, bytes }))
}

fn tail_values<'a, R: Reader<'a>>(
    mut reader: R,
    shape: Shape,
    budget: &mut Budget,
) -> Result<(Vec<Value>, Dict), DecodeError> {
    let Value::List(args) = reader.value(MAX_DEPTH, budget)? else {
        return Err(TranscodeError::Mismatch.into());
    };
    if shape != Shape::ArgsKwargs {
        return Ok((args, Dict::new()));
    }
    reader.separator()?;
    let Value::Dict(kwargs) = reader.value(MAX_DEPTH, budget)? else {
        return Err(TranscodeError::Mismatch.into());
    };
    Ok((args, kwargs))
}

/// The arguments as types of the application; what is missing is empty.
pub(crate) fn payload_to_serde<A: DeserializeOwned, K: DeserializeOwned>(
    payload: &Payload,
) -> Result<(A, K), TranscodeError> {
    // Through plain CBOR: one bridge to serde for all serializers.
    let mut bytes = Vec::new();
    let mut writer = CborWriter::plain(&mut bytes);
    writer.message(2);
    let shape = payload.shape();
    match shape {
        Shape::Nothing => writer.list(&[])?,
        Shape::Opaque => return Err(TranscodeError::Mismatch),
        Shape::Args | Shape::ArgsKwargs => write_tail(payload, &mut writer)?,
    }
    if shape != Shape::ArgsKwargs {
        writer.dict(&Dict::new())?;
    }
    cbor::to_serde(&bytes)
}

/// Arguments of types of the application: `args` must serialize as a list, `kwargs` as a dictionary with text keys.
pub(crate) fn payload_from_serde<A: Serialize, K: Serialize>(args: &A, kwargs: &K) -> Result<Payload, TranscodeError> {
    let (args, kwargs) = (to_value(args)?, to_value(kwargs)?);
    match (args, kwargs) {
        (Value::List(args), Value::Dict(kwargs)) => Ok(Payload::from_values(args, kwargs)),
        _ => Err(TranscodeError::Mismatch),
    }
}

fn to_value<T: Serialize>(value: &T) -> Result<Value, TranscodeError> {
    let bytes = Bytes::from(cbor::from_serde(value)?);
    CborReader::new(&bytes).value(MAX_DEPTH, &mut Budget::unlimited()).map_err(|e| match e {
        DecodeError::Unrepresentable(e) => e,
        _ => TranscodeError::Mismatch,
    })
}

/// The binary that the inside of a JSON string stands for, if it does.
pub(super) fn binary_from_json(inside: &str) -> Option<Vec<u8>> {
    STANDARD.decode(unescape(inside.strip_prefix("\\u0000")?)).ok()
}

/// Appends the inside of the JSON string that stands for binary.
pub(super) fn binary_to_json(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\u0000");
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
}

/// Whether text, written in JSON, would be read as binary, or refused because it is none.
pub(super) fn reads_as_binary(text: &str) -> bool {
    text.starts_with('\0')
}
