//! How values change between serializers: the table in the documentation of the codec.

use super::*;
use crate::message::*;
use crate::value::{Dict, Value};
use Format::{Cbor, Json, MsgPack};

/// CALL with one argument, which is given as text in JSON and else in hexadecimal digits.
fn call(format: Format, argument: &str) -> Message {
    let frame = match format {
        Json => format!(r#"[48,1,{{}},"p",[{argument}]]"#).into_bytes(),
        Cbor => bytes(&format!("85183001a0617081{argument}")),
        MsgPack => bytes(&format!("95300180a17091{argument}")),
    };
    decode(format, frame.into(), &DecodeLimits::default()).unwrap_or_else(|error| panic!("{error}: {argument}"))
}

/// The one argument of CALL as it is written, as [`call`] takes it.
fn written(message: &Message, format: Format) -> Result<String, TranscodeError> {
    let mut frame = b"before".to_vec();
    if let Err(error) = encode(message, format, &mut frame) {
        assert_eq!(frame, b"before");
        return Err(error);
    }
    let (head, end): (&[u8], &[u8]) = match format {
        Json => (b"before[48,1,{},\"p\",[", b"]]"),
        Cbor => (b"before\x85\x18\x30\x01\xa0\x61p\x81", b""),
        MsgPack => (b"before\x95\x30\x01\x80\xa1p\x91", b""),
    };
    let argument = frame.strip_prefix(head).and_then(|rest| rest.strip_suffix(end)).expect("CALL with one argument");
    Ok(if format == Json { String::from_utf8(argument.to_vec()).unwrap() } else { hex(argument) })
}

fn value(message: &Message) -> Result<Value, DecodeError> {
    let Message::Call(call) = message else { panic!() };
    call.payload.values().map(|(args, _)| args[0].clone())
}

fn becomes(from: Format, argument: &str, to: Format, expected: &str) {
    let message = call(from, argument);
    assert_eq!(written(&message, to).as_deref(), Ok(expected), "{argument} from {from:?} to {to:?}");
    // What is written can be read.
    call(to, expected);
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn keys_that_are_numbers_truth_values_or_null_are_text_but_in_cbor() {
    for (cbor, msgpack, key) in [
        ("01", "01", "1"),
        ("20", "ff", "-1"),
        ("1bffffffffffffffff", "cfffffffffffffffff", "18446744073709551615"),
        ("f5", "c3", "true"),
        ("f4", "c2", "false"),
        ("f6", "c0", "null"),
        ("fb41f0000000000000", "cb41f0000000000000", "4294967296"),
        ("fb3ff8000000000000", "cb3ff8000000000000", "1.5"),
    ] {
        let (from_cbor, from_msgpack) = (format!("a1{cbor}02"), format!("81{msgpack}02"));
        let json = format!(r#"{{"{key}":2}}"#);
        let packed = format!("81{:02x}{}02", 0xa0 + key.len(), hex(key.as_bytes()));
        becomes(Cbor, &from_cbor, Cbor, &from_cbor);
        becomes(Cbor, &from_cbor, MsgPack, &packed);
        becomes(Cbor, &from_cbor, Json, &json);
        becomes(MsgPack, &from_msgpack, Cbor, &from_cbor);
        // Autobahn|Python ends its session when MsgPack has other keys than text.
        becomes(MsgPack, &from_msgpack, MsgPack, &packed);
        becomes(MsgPack, &from_msgpack, Json, &json);
        let dict = Value::Dict(Dict::from([(key.to_owned(), Value::Int(2))]));
        assert_eq!(value(&call(Cbor, &from_cbor)), Ok(dict.clone()));
        assert_eq!(value(&call(MsgPack, &from_msgpack)), Ok(dict));
    }
    becomes(Cbor, "a1c24901000000000000000002", Json, r#"{"18446744073709551616":2}"#);
    becomes(Cbor, "a13bffffffffffffffff02", Json, r#"{"-18446744073709551616":2}"#);
    // Deep inside, after other arguments, and in what was a map of indefinite length.
    becomes(MsgPack, "91820102a16191810180", MsgPack, "9182a13102a1619181a13180");
    becomes(Cbor, "9fbf01bf02f6ffffff", Json, r#"[{"1":{"2":null}}]"#);
}

#[test]
fn of_keys_that_become_the_same_text_the_last_counts() {
    let both = call(Cbor, "a20102613103");
    assert_eq!(written(&both, Json).as_deref(), Ok(r#"{"1":2,"1":3}"#));
    let last = Value::Dict(Dict::from([("1".to_owned(), Value::Int(3))]));
    assert_eq!(value(&both), Ok(last.clone()));
    assert_eq!(value(&call(Json, r#"{"1":2,"1":3}"#)), Ok(last));
}

#[test]
fn points_in_time_are_text_in_json() {
    for (msgpack, cbor, json) in [
        ("d6ff00000001", "c074313937302d30312d30315430303a30303a30315a", "1970-01-01T00:00:01Z"),
        ("d7ff1d53530053724e00", "c07818323031342d30352d31335431363a35333a32302e3132335a", "2014-05-13T16:53:20.123Z"),
        (
            "c70cff000003e8ffffffffffffffff",
            "c0781b313936392d31322d33315432333a35393a35392e3030303030315a",
            "1969-12-31T23:59:59.000001Z",
        ),
    ] {
        becomes(MsgPack, msgpack, MsgPack, msgpack);
        becomes(MsgPack, msgpack, Json, &format!("\"{json}\""));
        becomes(MsgPack, msgpack, Cbor, cbor);
        assert_eq!(value(&call(MsgPack, msgpack)), Ok(text(json)));
        becomes(Cbor, cbor, Json, &format!("\"{json}\""));
        assert_eq!(value(&call(Cbor, cbor)), Ok(text(json)));
    }
    // Seconds since 1970, in CBOR.
    becomes(Cbor, "c11a53724e00", Json, r#""2014-05-13T16:53:20Z""#);
    becomes(Cbor, "c1fb41d4dc938007df3b", Json, r#""2014-05-13T16:53:20.123Z""#);
    becomes(Cbor, "c1fb41d4dc938007df3b", Cbor, "c1fb41d4dc938007df3b");
    becomes(Cbor, "c1fb41d4dc938007df3b", MsgPack, "c70cff0754d4c00000000053724e00");
    // JSON has text with an offset as it came; MsgPack has the same point in time.
    let cbor = format!("c07819{}", hex(b"2013-03-21T20:04:00+02:30"));
    becomes(Cbor, &cbor, Json, r#""2013-03-21T20:04:00+02:30""#);
    becomes(Cbor, &cbor, MsgPack, "c70cff0000000000000000514b4488");
    // What calendars do not have stays text in CBOR.
    becomes(MsgPack, "c70cff000000007fffffffffffffff", Cbor, &format!("781d{}", hex(b"+292277026596-12-04T15:30:07Z")));
    becomes(MsgPack, "c70cff000000007fffffffffffffff", Json, r#""+292277026596-12-04T15:30:07Z""#);
}

#[test]
fn integers_of_more_than_64_bits_stay_numbers_but_in_msgpack() {
    for (json, cbor) in [
        ("18446744073709551616", "c249010000000000000000"),
        ("-9223372036854775809", "3b8000000000000000"),
        ("-18446744073709551616", "3bffffffffffffffff"),
        ("-18446744073709551617", "c349010000000000000000"),
        ("1180591620717411303424", "c249400000000000000000"),
    ] {
        let packed = format!("{:02x}{}", 0xa0 + json.len(), hex(json.as_bytes()));
        becomes(Json, json, Json, json);
        becomes(Json, json, Cbor, cbor);
        becomes(Cbor, cbor, Cbor, cbor);
        becomes(Cbor, cbor, Json, json);
        for (format, argument) in [(Json, json), (Cbor, cbor)] {
            becomes(format, argument, MsgPack, &packed);
            assert_eq!(value(&call(format, argument)), Ok(Value::Float(json.parse().unwrap())));
        }
    }
    // Bignums that 64 bits hold are integers everywhere.
    for (cbor, json, msgpack) in [
        ("c24101", "1", "01"),
        ("c240", "0", "00"),
        ("c34120", "-33", "d0df"),
        ("c25f4101ff", "1", "01"),
        ("c24a0000ffffffffffffffff", "18446744073709551615", "cfffffffffffffffff"),
    ] {
        becomes(Cbor, cbor, Json, json);
        becomes(Cbor, cbor, MsgPack, msgpack);
    }
    // Longer integers are carried as they are, and converted up to 4,096 bits.
    let digits = "1".repeat(2_000);
    becomes(Json, &digits, Json, &digits);
    becomes(Json, &digits, MsgPack, &format!("da07d0{}", hex(digits.as_bytes())));
    assert_eq!(written(&call(Json, &digits), Cbor), Err(TranscodeError::NumberTooLong));
    let long = format!("c2590201{}", "01".repeat(513));
    becomes(Cbor, &long, Cbor, &long);
    assert_eq!(written(&call(Cbor, &long), Json), Err(TranscodeError::NumberTooLong));
    assert_eq!(written(&call(Cbor, &long), MsgPack), Err(TranscodeError::NumberTooLong));
    assert_eq!(value(&call(Cbor, &long)), Ok(Value::Float(f64::INFINITY)));
}

#[test]
fn floats_without_a_number_are_null_in_json() {
    for (cbor, msgpack) in [
        ("fb7ff8000000000000", "cb7ff8000000000000"),
        ("fb7ff0000000000000", "cb7ff0000000000000"),
        ("fbfff0000000000000", "cbfff0000000000000"),
    ] {
        becomes(Cbor, cbor, MsgPack, msgpack);
        becomes(MsgPack, msgpack, Cbor, cbor);
        becomes(Cbor, cbor, Json, "null");
        becomes(MsgPack, msgpack, Json, "null");
    }
    becomes(Cbor, "f97c00", Json, "null");
    // Numbers of JSON beyond the range of doubles are what its receivers read: infinities.
    for (json, cbor, msgpack) in [
        ("1E400", "fb7ff0000000000000", "cb7ff0000000000000"),
        ("-1.5e+309", "fbfff0000000000000", "cbfff0000000000000"),
    ] {
        becomes(Json, json, Json, json);
        becomes(Json, json, Cbor, cbor);
        becomes(Json, json, MsgPack, msgpack);
    }
    let built = Payload::from_args([Value::Float(f64::NAN)]);
    let request = crate::id::RequestId::FIRST;
    let call: Message = Call { request, options: CallOptions::default(), procedure: "p".into(), payload: built }.into();
    assert_eq!(written(&call, Json).as_deref(), Ok("null"));
}

#[test]
fn simple_values_of_cbor_are_null() {
    for simple in ["e0", "f3", "f820", "f8ff"] {
        for (format, null) in [(Cbor, "f6"), (MsgPack, "c0"), (Json, "null")] {
            becomes(Cbor, simple, format, null);
        }
        assert_eq!(value(&call(Cbor, simple)), Ok(Value::Null));
    }
    // Tags of CBOR but those of the table are lost where something is written anew.
    becomes(Cbor, "84e0c66178c101c24101", Cbor, "84f66178c074313937302d30312d30315430303a30303a30315a01");
}

#[test]
fn what_is_carried_to_nobody() {
    for (from, argument, error) in [
        // Other keys: binary, a list, a dictionary, a point in time, text with a tag, a simple value.
        (Cbor, "a1410102", TranscodeError::KeyNotText),
        (Cbor, "a18002", TranscodeError::KeyNotText),
        (Cbor, "a1a002", TranscodeError::KeyNotText),
        (Cbor, "a1c10102", TranscodeError::KeyNotText),
        (Cbor, "a1c6617802", TranscodeError::KeyNotText),
        (Cbor, "a1e002", TranscodeError::KeyNotText),
        (MsgPack, "81c4016102", TranscodeError::KeyNotText),
        (MsgPack, "819002", TranscodeError::KeyNotText),
        (MsgPack, "818002", TranscodeError::KeyNotText),
        (MsgPack, "81d6ff0000000102", TranscodeError::KeyNotText),
        (MsgPack, "d40100", TranscodeError::Extension),
        (MsgPack, "9281010281d4010002", TranscodeError::KeyNotText),
    ] {
        let message = call(from, argument);
        for to in Format::ALL {
            assert_eq!(written(&message, to), Err(error), "{argument} to {to:?}");
        }
        assert_eq!(value(&message), Err(DecodeError::Unrepresentable(error)));
    }
    // What MsgPack and CBOR carry, but not JSON.
    for (from, argument) in [(Cbor, "650041514944"), (MsgPack, "a50041514944")] {
        assert_eq!(written(&call(from, argument), Json), Err(TranscodeError::ReservedText));
        becomes(from, argument, from, argument);
    }
    // NaN is a key in CBOR alone.
    becomes(MsgPack, "81cb7ff800000000000002", Cbor, "a1fb7ff800000000000002");
    assert_eq!(written(&call(MsgPack, "81cb7ff800000000000002"), Json), Err(TranscodeError::KeyNotText));
}

#[test]
fn details_that_only_travel_are_converted_alike() {
    // [6, {"x": {1: ..., "t": a timestamp}}, "r"]
    let goodbye = decode_hex(MsgPack, "930681a1788201a162a174d6ff00000001a172").unwrap();
    let text = r#"[6,{"x":{"1":"b","t":"1970-01-01T00:00:01Z"}},"r"]"#;
    assert_eq!(encoded(&goodbye, Json), text.as_bytes());
    let Message::Goodbye(read) = &goodbye else { panic!() };
    let inner = Dict::from([("1".to_owned(), "b".into()), ("t".to_owned(), "1970-01-01T00:00:01Z".into())]);
    assert_eq!(read.details.to_dict(), Dict::from([("x".to_owned(), Value::Dict(inner))]));
    // Keys of the details themselves, too.
    let goodbye = decode_hex(MsgPack, "93068101a162a172").unwrap();
    assert_eq!(encoded(&goodbye, MsgPack), bytes("930681a131a162a172"));
}

#[test]
fn applications_types_are_read_from_what_was_converted() {
    let call = |format, argument: &str| match call(format, argument) {
        Message::Call(call) => call.payload,
        other => panic!("{}", other.name()),
    };
    type Map = std::collections::BTreeMap<String, f64>;
    let map = Map::from([("1".to_owned(), 18446744073709551616.0)]);
    for (format, argument) in [(Cbor, "a101c249010000000000000000"), (Json, r#"{"1":18446744073709551616}"#)] {
        assert_eq!(call(format, argument).to_serde(), Ok(((map.clone(),), Dict::new())));
    }
    let time = ("1970-01-01T00:00:01Z".to_owned(),);
    for (format, argument) in [(MsgPack, "d6ff00000001"), (Cbor, "c101")] {
        assert_eq!(call(format, argument).to_serde(), Ok((time.clone(), Dict::new())));
    }
}

/// Nothing of what a peer sends nests the reader deeper than lists and dictionaries do.
#[test]
fn tags_around_tags_take_no_stack() {
    let tags = |tag: &str, count: usize| format!("85183001a0617081{}00", tag.repeat(count));
    for tag in ["c6", "d9a7f882", "d9a7f88201", "c482"] {
        // An error, or none.
        let _ = decode(Cbor, bytes(&tags(tag, 200_000)).into(), &DecodeLimits::default());
    }
}
