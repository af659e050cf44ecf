//! What the codec promises about every message, whoever made it.

use bytes::Bytes;
use wampd_core::codec::{DecodeLimits, Format, TranscodeError, decode, encode, encode_parts};
use wampd_core::message::{Message, Payload};
use wampd_core::value::{Dict, Value};

/// Wide enough for everything that has come through them once already.
pub const WIDE: DecodeLimits = DecodeLimits { max_depth: 64, max_uri: u16::MAX };

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
    let frame = encoded(message, format);
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

/// In every other serializer the message is the same, there and back, or is refused for a reason that its values give;
/// then nothing is written.
///
/// # Panics
/// When it is not so.
pub fn check_transcoding(message: &Message, format: Format) {
    let values = values_of(message);
    for to in Format::ALL.into_iter().filter(|to| *to != format) {
        let mut out = b"before".to_vec();
        match encode(message, to, &mut out) {
            Ok(()) => {
                let there = decoded(&Bytes::copy_from_slice(&out[6..]), to);
                assert_same(&there, message);
                let mut back = Vec::new();
                encode(&there, format, &mut back).unwrap_or_else(|e| panic!("{e} from {to:?} to {format:?}"));
                assert_same(&decoded(&back.into(), format), message);
            }
            Err(error) => {
                assert_eq!(out, b"before", "a refused message left something behind");
                match (&values, &error) {
                    (Some(Err(_)), _) => {}
                    (Some(Ok((args, kwargs))), TranscodeError::NotFinite | TranscodeError::ReservedText) => {
                        assert_eq!(to, Format::Json, "{error}");
                        let lacks = |value: &Value| json_lacks(value, &error);
                        assert!(args.iter().any(lacks) || kwargs.values().any(lacks), "{error}: {args:?} {kwargs:?}");
                    }
                    // Dictionaries and texts outside the payload: details of HELLO, WELCOME, CHALLENGE...
                    (None, TranscodeError::NotFinite | TranscodeError::ReservedText) => assert_eq!(to, Format::Json),
                    (values, error) => panic!("{error} from {format:?} to {to:?}: {values:?}"),
                }
            }
        }
    }
}

/// Whether a value has in it what JSON lacks.
fn json_lacks(value: &Value, what: &TranscodeError) -> bool {
    match value {
        Value::Float(number) => *what == TranscodeError::NotFinite && !number.is_finite(),
        Value::Text(text) => *what == TranscodeError::ReservedText && text.starts_with('\0'),
        Value::List(items) => items.iter().any(|item| json_lacks(item, what)),
        Value::Dict(dict) => dict.values().any(|item| json_lacks(item, what)),
        _ => false,
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
