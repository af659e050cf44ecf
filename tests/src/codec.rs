//! What the codec promises about every message, whoever made it.

use crate::validator::{Item, integer, read, time};
use bytes::Bytes;
use wampd_core::codec::{DecodeLimits, Format, TranscodeError, decode, decode_mending, encode, encode_parts};
use wampd_core::message::{Message, Payload};
use wampd_core::value::{Dict, Value};

/// Wide enough for everything that has come through them once already.
pub const WIDE: DecodeLimits =
    DecodeLimits { max_depth: 64, max_uri: u16::MAX, max_items: u32::MAX, max_weight: u32::MAX };

/// The message in a serializer that has everything in it.
pub fn encoded(message: &Message, format: Format) -> Bytes {
    try_encode(message, format).unwrap_or_else(|error| panic!("{error}: {message:?}"))
}

/// The message of a frame that the encoder wrote.
pub fn decoded(frame: &Bytes, format: Format) -> Message {
    decode(format, frame.clone(), &WIDE).unwrap_or_else(|error| panic!("{error} in {format:?}: {frame:?}"))
}

/// The payload of a message that can have one.
pub const fn payload(message: &Message) -> Option<&Payload> {
    Some(match message {
        Message::Abort(m) => &m.payload,
        Message::Error(m) => &m.payload,
        Message::Publish(m) => &m.payload,
        Message::Event(m) => &m.payload,
        Message::Call(m) => &m.payload,
        Message::Result(m) => &m.payload,
        Message::Invocation(m) => &m.payload,
        Message::Yield(m) => &m.payload,
        _ => return None,
    })
}

/// What was received can be written again, reads back equal, and is then written the same for ever; its payload is the
/// same whether it is copied, handed over in parts, or detached from its frame.
///
/// # Panics
/// When it is not so.
pub fn check_round_trip(message: &Message, format: Format) {
    // What no receiver takes: see `check_transcoding`.
    let Ok(frame) = try_encode(message, format) else { return };
    let again = decoded(&frame, format);
    assert_same(&again, message);
    assert_eq!(encoded(&again, format), frame, "not stable in {format:?}");
    let mut parts = Vec::new();
    if let Some((payload, end)) = encode_parts(message, format, &mut parts).expect("as a whole it can be written") {
        parts.extend_from_slice(payload);
        parts.extend_from_slice(end);
    }
    assert_eq!(parts, frame, "its parts in {format:?} are not the whole");
    if let Some(payload) = payload(message) {
        let mut detached = payload.clone();
        detached.detach();
        assert_eq!(format!("{:?}", values(&detached)), format!("{:?}", values(payload)));
        assert_eq!(detached.shape(), payload.shape());
    }
}

/// In every serializer the message is what the table in the codec's documentation makes of its frame, or it is refused
/// for a value that the table gives as a reason; then nothing is written. Strict receivers take what is written.
///
/// # Panics
/// When it is not so.
pub fn check_transcoding(message: &Message, format: Format, frame: &[u8]) {
    let elements = |item| match item {
        Ok(Item::List(elements)) => elements,
        other => panic!("{other:?}: {frame:02x?}"),
    };
    // Tags are read over wherever they stand, around the whole message too.
    let mut received = read(format, frame);
    while let Ok(Item::Tagged(content)) = received {
        received = Ok(*content);
    }
    let mut mended = false;
    let _ = decode_mending(format, Bytes::copy_from_slice(frame), &WIDE, &mut mended);
    if mended {
        return;
    }
    // The head, whose unknown options are gone, and the payload as it came. What follows the head of a message without a
    // payload is not forwarded: the details of UNSUBSCRIBED and UNREGISTERED where they say nothing.
    let head = encoded(&without_payload(message.clone()), Format::Cbor);
    let head = elements(read(Format::Cbor, &head));
    let payload = match payload(message) {
        Some(_) => payload_of(elements(received).split_off(head.len())),
        None => Vec::new(),
    };
    for to in Format::ALL {
        let mut out = b"before".to_vec();
        match encode(message, to, &mut out) {
            Ok(()) => {
                let mut written = elements(read(to, &out[6..]));
                decoded(&Bytes::copy_from_slice(&out[6..]), to);
                let written_payload = written.split_off(head.len());
                // NaN is not equal to itself.
                let is_same = |from, written| to == format && format!("{from:?}") == format!("{written:?}");
                let is_right = |(from, written)| is_same(from, written) || becomes(from, written, to);
                assert_eq!(written_payload.len(), payload.len());
                assert!(payload.iter().zip(&written_payload).all(is_right), "{payload:?} {to:?} {written_payload:?}");
                assert!(
                    head.iter().zip(&written).all(|(from, written)| becomes(from, written, to)),
                    "{head:?} {written:?}"
                );
            }
            Err(error) => {
                assert_eq!(out, b"before", "a refused message left something behind");
                let is_refused = |item| !is_carried(item, format, to);
                assert!(
                    payload.iter().any(is_refused) || head.iter().any(is_refused),
                    "{error} from {format:?} to {to:?}: {payload:?}"
                );
            }
        }
    }
}

/// The arguments as they are forwarded: null for a list is an empty one, or none.
fn payload_of(mut elements: Vec<Item>) -> Vec<Item> {
    let is_null = |item: &Item| *without_tag(item) == Item::Null;
    if elements.last().is_some_and(is_null) {
        elements.pop();
    }
    match &elements[..] {
        [args] if is_null(args) => Vec::new(),
        [args, kwargs] if is_null(args) => vec![Item::List(Vec::new()), kwargs.clone()],
        _ => elements,
    }
}

/// Whether a value becomes this one in a serializer.
fn becomes(from: &Item, written: &Item, to: Format) -> bool {
    match (from, written) {
        (Item::Tagged(content), written) => becomes(content, written, to),
        (Item::Null | Item::Simple, Item::Null) => true,
        (Item::Float(n), Item::Null) => to == Format::Json && !n.is_finite(),
        (Item::Float(a), Item::Float(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
        (Item::Big { .. }, Item::Text(digits)) => to == Format::MsgPack && integer(digits).as_ref() == Some(from),
        (Item::Big { .. }, Item::Big { .. }) => to != Format::MsgPack && from == written,
        (Item::Time(time), Item::Time(same)) => to != Format::Json && (time - same).abs() <= 1_000,
        (Item::Time(time), Item::Text(text)) => {
            // The years 1 to 9999, in the zone in which the text is.
            let has_tag = (-62_135_596_800..253_402_300_800).contains(&time.div_euclid(1_000_000_000));
            let is_text = to == Format::Json || (to == Format::Cbor && !has_tag);
            is_text && self::time(text).is_some_and(|same| (time - same).abs() <= 1_000)
        }
        (Item::Text(_), Item::Text(text)) => from == written && !(to == Format::Json && text.starts_with('\0')),
        (Item::List(items), Item::List(others)) => {
            items.len() == others.len() && items.iter().zip(others).all(|(item, other)| becomes(item, other, to))
        }
        (Item::Map(entries), Item::Map(others)) => {
            entries.len() == others.len()
                && entries.iter().zip(others).all(|((key, value), (written, other))| {
                    let is_key = match (without_tag(key), written) {
                        (Item::Text(text), Item::Text(written)) => text == written,
                        (key, written) if to == Format::Cbor => becomes(key, written, to),
                        (key @ Item::Big { .. }, Item::Text(digits)) => integer(digits).as_ref() == Some(key),
                        (key, Item::Text(text)) => key_text(key).as_ref() == Some(text),
                        _ => false,
                    };
                    is_key && becomes(value, other, to)
                })
        }
        (from, written) => from == written,
    }
}

/// The text of a key that is a scalar.
fn key_text(key: &Item) -> Option<String> {
    Some(match key {
        Item::Null => "null".to_owned(),
        Item::Bool(b) => b.to_string(),
        Item::Int(n) => n.to_string(),
        Item::Float(n) if n.fract() == 0.0 && n.abs() < 9_007_199_254_740_992.0 => (*n as i64).to_string(),
        Item::Float(n) if n.is_finite() => format!("{n:?}"),
        _ => return None,
    })
}

/// A value without the tags of CBOR, which are dropped unless it is text.
fn without_tag(key: &Item) -> &Item {
    match key {
        Item::Tagged(content) if !matches!(without_tag(content), Item::Text(_)) => without_tag(content),
        key => key,
    }
}

/// Whether the serializer can carry the value, which came in another one or in the same.
fn is_carried(item: &Item, from: Format, to: Format) -> bool {
    match item {
        Item::Extension => false,
        Item::Text(text) => !(to == Format::Json && text.starts_with('\0')),
        Item::Big { bytes, .. } => bytes.len() <= 512 || from == to || (from, to) == (Format::Json, Format::MsgPack),
        Item::Tagged(content) => is_carried(content, from, to),
        Item::List(items) => items.iter().all(|item| is_carried(item, from, to)),
        Item::Map(entries) => entries.iter().all(|(key, value)| {
            let is_key = match without_tag(key) {
                Item::Text(_) => true,
                Item::Big { bytes, .. } => bytes.len() <= 512 || to == Format::Cbor,
                Item::Float(_) if to == Format::Cbor => true,
                key => key_text(key).is_some(),
            };
            is_key && is_carried(value, from, to)
        }),
        _ => true,
    }
}

/// Messages are the same if they print the same: unlike equality, this holds for NaN. Payloads print as raw bytes, so
/// they are compared by their values, if they have any.
fn assert_same(a: &Message, b: &Message) {
    assert_eq!(core::mem::discriminant(a), core::mem::discriminant(b));
    match (values_of(a), values_of(b)) {
        (Some(Err(_)), _) | (_, Some(Err(_))) => {}
        (a, b) => assert_eq!(format!("{a:?}"), format!("{b:?}")),
    }
    let [a, b] = [a, b].map(|message| format!("{:?}", without_payload(message.clone())));
    assert_eq!(a, b);
}

/// The message with nothing as its payload.
pub fn without_payload(mut message: Message) -> Message {
    match &mut message {
        Message::Abort(m) => m.payload = Payload::empty(),
        Message::Error(m) => m.payload = Payload::empty(),
        Message::Publish(m) => m.payload = Payload::empty(),
        Message::Event(m) => m.payload = Payload::empty(),
        Message::Call(m) => m.payload = Payload::empty(),
        Message::Result(m) => m.payload = Payload::empty(),
        Message::Invocation(m) => m.payload = Payload::empty(),
        Message::Yield(m) => m.payload = Payload::empty(),
        _ => {}
    }
    message
}

fn values_of(message: &Message) -> Option<Result<(Vec<Value>, Dict), String>> {
    payload(message).map(values)
}

fn values(payload: &Payload) -> Result<(Vec<Value>, Dict), String> {
    if let Some(bytes) = payload.as_opaque() {
        return Ok((vec![Value::Binary(bytes.to_vec())], Dict::new()));
    }
    payload.values().map_err(|error| error.to_string())
}

fn try_encode(message: &Message, format: Format) -> Result<Bytes, TranscodeError> {
    let mut out = Vec::new();
    encode(message, format, &mut out)?;
    Ok(out.into())
}
