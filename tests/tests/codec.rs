//! Properties of the codec.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use wampd_core::codec::{DecodeError, Format, Problem, TranscodeError, decode, decode_mending, encode, encode_parts};
use wampd_core::id::RequestId;
use wampd_core::message::{Call, CallOptions, Message, Payload};
use wampd_core::value::{Dict, Value};
use wampd_tests::codec::{WIDE as LIMITS, check_round_trip, check_transcoding, decoded, encoded};
use wampd_tests::strategy;
use wampd_tests::validator::{Item, read};

/// Failures are kept beside this file.
fn config() -> ProptestConfig {
    let persistence = FileFailurePersistence::WithSource("proptest-regressions");
    ProptestConfig { failure_persistence: Some(Box::new(persistence)), ..ProptestConfig::default() }
}

/// CALL with one argument, given as it stands on the wire.
fn call_with(format: Format, argument: &[u8]) -> Bytes {
    let (head, end): (&[u8], &[u8]) = match format {
        Format::Json => (b"[48,1,{},\"p\",[", b"]]"),
        Format::Cbor => (b"\x85\x18\x30\x01\xa0\x61p\x81", b""),
        _ => (b"\x95\x30\x01\x80\xa1p\x91", b""),
    };
    [head, argument, end].concat().into()
}

fn call(args: Vec<Value>, kwargs: Dict) -> Message {
    let payload = Payload::from_values(args, kwargs);
    Call { request: RequestId::FIRST, options: CallOptions::default(), procedure: "p".into(), payload }.into()
}

fn payload(message: &Message) -> &Payload {
    wampd_tests::codec::payload(message).expect("has one")
}

/// A frame with a few bytes changed, left out, doubled or cut off.
fn mutated() -> impl Strategy<Value = (Format, Vec<u8>)> {
    let edits = vec((any::<prop::sample::Index>(), 0..5u8, any::<u8>()), 1..4);
    (strategy::message(), strategy::format(), edits).prop_map(|(message, format, edits)| {
        let mut frame = encoded(&message, format).to_vec();
        for (index, edit, byte) in edits {
            if frame.is_empty() {
                break;
            }
            let at = index.index(frame.len());
            match edit {
                0 => frame[at] = byte,
                1 => frame[at] ^= 1 << (byte % 8),
                2 => drop(frame.remove(at)),
                3 => frame.insert(at, byte),
                _ => frame.truncate(at),
            }
        }
        (format, frame)
    })
}

/// JSON of any shape, well-formed or nearly so.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "-?(0|[1-9][0-9]{0,22})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
        "-?[0-9.eE+-]{1,6}",
        "\"([ -~]|\\\\[\"\\\\/bfnrtu]|\\\\u[0-9a-fA-F]{4}|\\\\u[dD][89a-fA-F][0-9a-f]{2}|[^\"]){0,9}\"",
        "true|false|null|tru|nul|True|NaN",
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            (vec(inner.clone(), 0..5), "[ \t\r\n]{0,2},?")
                .prop_map(|(items, space)| format!("[{space}{}]", items.join(&format!(",{space}").replace(",,", ",")))),
            vec((inner.clone(), inner), 0..4).prop_map(|entries| {
                let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key} : {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

/// CBOR of any shape: heads, with or without what must follow them.
fn cbor() -> impl Strategy<Value = Vec<u8>> {
    let head = (0..8u8, prop_oneof![0..4u64, 0..300u64, any::<u64>()], any::<prop::sample::Index>()).prop_map(
        |(major, argument, form)| {
            let bytes = argument.to_be_bytes();
            let forms = [
                vec![major << 5 | (argument % 24) as u8],
                vec![major << 5 | (argument % 24) as u8],
                [&[major << 5 | 24][..], &bytes[7..]].concat(),
                [&[major << 5 | 25][..], &bytes[6..]].concat(),
                [&[major << 5 | 26][..], &bytes[4..]].concat(),
                [&[major << 5 | 27][..], &bytes[..]].concat(),
                vec![major << 5 | 31],
                vec![major << 5 | 28 | (bytes[7] % 4)],
            ];
            forms[form.index(forms.len())].clone()
        },
    );
    let leaf = prop_oneof![
        2 => head,
        1 => any::<String>().prop_map(|text| serde_cbor::to_vec(&text).expect("text")),
        1 => any::<i64>().prop_map(|n| serde_cbor::to_vec(&n).expect("an integer")),
        1 => any::<f64>().prop_map(|n| serde_cbor::to_vec(&n).expect("a float")),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        let length = |major: u8, length: usize| vec![major << 5 | length as u8];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(move |items| [length(4, items.len()), items.concat()].concat()),
            vec(inner.clone(), 0..5).prop_map(|items| [vec![0x9f], items.concat(), vec![0xff]].concat()),
            vec(inner.clone(), 0..6).prop_map(move |items| [length(5, items.len() / 2), items.concat()].concat()),
            vec(inner.clone(), 0..6).prop_map(|items| [vec![0xbf], items.concat(), vec![0xff]].concat()),
            (any::<u8>(), inner).prop_map(|(tag, item)| [vec![0xc0 | (tag % 24)], item].concat()),
        ]
    })
}

/// MsgPack of any shape.
fn msgpack() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just(vec![0xc0]),
        any::<i8>().prop_map(|n| vec![0xd0, n as u8]),
        any::<u64>().prop_map(|n| [&[0xcf][..], &n.to_be_bytes()].concat()),
        any::<f64>().prop_map(|n| [&[0xcb][..], &n.to_be_bytes()].concat()),
        "[a-z]{0,9}".prop_map(|text| [&[0xa0 | text.len() as u8][..], text.as_bytes()].concat()),
        any::<u8>().prop_map(|byte| vec![0xc4, 1, byte]),
        any::<u32>().prop_map(|seconds| [&[0xd6, 0xff][..], &seconds.to_be_bytes()].concat()),
        (0..1_000_000_000_u32, any::<i64>()).prop_map(|(nanos, seconds)| {
            [&[0xc7, 12, 0xff][..], &nanos.to_be_bytes(), &seconds.to_be_bytes()].concat()
        }),
        any::<u8>().prop_map(|kind| vec![0xd4, kind, 0]),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|items| [vec![0x90 | items.len() as u8], items.concat()].concat()),
            vec((inner.clone(), inner), 0..4).prop_map(|entries| {
                let items = entries.iter().flat_map(|(key, value)| [key.clone(), value.clone()].concat());
                [0x80 | entries.len() as u8].into_iter().chain(items).collect()
            }),
        ]
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn messages_survive_every_serializer(message in strategy::message()) {
        for format in Format::ALL {
            let frame = encoded(&message, format);
            let received = decoded(&frame, format);
            prop_assert_eq!(&received, &message);
            // As received, the payload is raw: into its own serializer it is copied, into the others transcoded.
            for to in Format::ALL {
                prop_assert_eq!(encoded(&received, to), encoded(&message, to));
            }
        }
    }

    #[test]
    fn parts_are_the_whole(message in strategy::message(), from in strategy::format(), to in strategy::format()) {
        for message in [decoded(&encoded(&message, from), from), message] {
            let mut parts = Vec::new();
            if let Some((payload, end)) = encode_parts(&message, to, &mut parts).expect("can be written") {
                parts.extend_from_slice(payload);
                parts.extend_from_slice(end);
            }
            prop_assert_eq!(Bytes::from(parts), encoded(&message, to));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(format in strategy::format(), bytes in vec(any::<u8>(), 0..200)) {
        let frame = Bytes::from(bytes);
        if let Ok(message) = decode(format, frame.clone(), &LIMITS) {
            check_round_trip(&message, format);
            check_transcoding(&message, format, &frame);
        }
    }

    #[test]
    fn mutated_frames_never_panic((format, frame) in mutated()) {
        let frame = Bytes::from(frame);
        if let Ok(message) = decode(format, frame.clone(), &LIMITS) {
            check_round_trip(&message, format);
            check_transcoding(&message, format, &frame);
        }
    }

    /// From any serializer through any other and back.
    #[test]
    fn values_survive_transcoding(
        args in vec(strategy::value(), 1..4),
        kwargs in strategy::dict(),
        path in vec(strategy::format(), 1..5),
    ) {
        let built = call(args.clone(), kwargs.clone());
        let mut message = built.clone();
        for format in path {
            message = decoded(&encoded(&message, format), format);
            prop_assert_eq!(payload(&message).values(), Ok((args.clone(), kwargs.clone())));
            let mut detached = payload(&message).clone();
            detached.detach();
            prop_assert_eq!(&detached, payload(&message));
        }
        prop_assert_eq!(&message, &built);
    }

    /// What JSON does not have is null there.
    #[test]
    fn every_float_can_be_written(
        value in strategy::value_with_any_float(),
        from in strategy::format(),
    ) {
        let frame = encoded(&call(vec![value], Dict::new()), from);
        let received = decoded(&frame, from);
        check_round_trip(&received, from);
        check_transcoding(&received, from, &frame);
    }

    /// Whatever the arguments are in JSON or CBOR, the table of conversions holds.
    #[test]
    fn arguments_of_any_shape_are_converted_by_the_table(json in json(), cbor in cbor()) {
        for (format, argument) in [(Format::Json, json.as_bytes()), (Format::Cbor, &cbor)] {
            let frame = call_with(format, argument);
            if let Ok(message) = decode(format, frame.clone(), &LIMITS) {
                check_round_trip(&message, format);
                check_transcoding(&message, format, &frame);
            }
        }
    }

    /// The same for what CBOR makes of MsgPack: keys of any type, extension types, timestamps.
    #[test]
    fn arguments_of_any_shape_in_msgpack_are_converted_by_the_table(argument in msgpack()) {
        let frame = call_with(Format::MsgPack, &argument);
        if let Ok(message) = decode(Format::MsgPack, frame.clone(), &LIMITS) {
            check_round_trip(&message, Format::MsgPack);
            check_transcoding(&message, Format::MsgPack, &frame);
        }
    }

    #[test]
    fn text_is_never_taken_for_binary(text in "\0?\0?[A-Za-z0-9+/]{0,8}={0,2}") {
        let message = call(vec![Value::Text(text)], Dict::new());
        let received = decoded(&encoded(&message, Format::Cbor), Format::Cbor);
        let mut json = Vec::new();
        match encode(&received, Format::Json, &mut json) {
            Ok(()) => prop_assert_eq!(decoded(&json.into(), Format::Json), message),
            Err(error) => prop_assert_eq!(error, TranscodeError::ReservedText),
        }
    }

    #[test]
    fn json_agrees_with_serde_json(json in json()) {
        let expected = serde_json::from_str::<Value>(&json).map_err(|e| e.to_string());
        let mut mended = false;
        match (decode_mending(Format::Json, call_with(Format::Json, json.as_bytes()), &LIMITS, &mut mended), expected) {
            // Half a surrogate pair, which is replaced here.
            (Ok(_), Err(_)) if mended => {}
            // A number beyond the range of doubles, which is an infinity.
            (Ok(message), Err(error)) if error.contains("number out of range") => {
                let values = format!("{:?}", payload(&message).values());
                prop_assert!(values.contains("inf"));
            }
            // Text of U+0000 and no base64, which receivers refuse.
            (Err(DecodeError::Malformed { problem: Problem::InvalidBase64, .. }), Ok(_)) => {}
            (Ok(message), Ok(expected)) => {
                let (args, _) = payload(&message).values().expect("JSON has nothing that values lack");
                prop_assert_eq!(&args[..], [restore_binary(expected)]);
            }
            (Err(_), Err(_)) => {}
            (got, expected) => prop_assert!(false, "{json}: {got:?} but serde_json {expected:?}"),
        }
    }

    #[test]
    fn cbor_agrees_with_serde_cbor(cbor in cbor()) {
        let expected = serde_cbor::from_slice::<serde_cbor::Value>(&cbor).map_err(|e| e.to_string());
        let frame = call_with(Format::Cbor, &cbor);
        match (decode(Format::Cbor, frame.clone(), &LIMITS), expected) {
            // What serde_cbor knows nothing of is checked by the table.
            (Ok(_), _) if !is_plain(&read(Format::Cbor, &frame).expect("well-formed")) => {}
            (Ok(message), Ok(_)) => {
                let expected = serde_cbor::from_slice::<Value>(&cbor).expect("plain");
                let (args, _) = payload(&message).values().expect("plain");
                prop_assert_eq!(format!("{:?}", args), format!("{:?}", [expected]));
            }
            (Err(_), Err(_)) => {}
            // Of that serde_cbor knows nothing.
            (Err(DecodeError::Malformed { problem: Problem::InvalidTag, .. }), Ok(_)) => {}
            (Err(DecodeError::Element { element: "Arguments", .. }), Ok(_)) => {}
            (got, expected) => prop_assert!(false, "{cbor:02x?}: {got:?} but serde_cbor {expected:?}"),
        }
    }

    #[test]
    fn depth_is_limited(depth in 1..70usize, format in strategy::format()) {
        let mut value = Value::List(vec![]);
        for _ in 1..depth {
            value = if depth % 2 == 0 { Value::List(vec![value]) } else { Dict::from([("k".into(), value)]).into() };
        }
        let message = call(vec![value], Dict::new());
        let got = decode(format, encoded(&message, format), &LIMITS);
        // The message and its args are two more.
        if depth + 2 <= usize::from(LIMITS.max_depth) {
            prop_assert_eq!(got, Ok(message));
        } else {
            let is_too_deep = matches!(got, Err(DecodeError::Malformed { problem: Problem::TooDeep, .. }));
            prop_assert!(is_too_deep);
        }
    }
}

/// A proptest found these.
#[test]
fn details_that_say_nothing_are_not_forwarded() {
    for frame in
        [r#"[67,1,{"registration":1}]"#, r#"[67,0,{"reason":"a"}]"#, r#"[35,1,{"subscription":1}]"#, "[35,0,{}]"]
    {
        let frame = Bytes::from(frame);
        let message = decode(Format::Json, frame.clone(), &LIMITS).expect("can be read");
        check_round_trip(&message, Format::Json);
        check_transcoding(&message, Format::Json, &frame);
    }
}

/// Whether there is nothing in it but what JSON has too, with binary and all floats.
fn is_plain(item: &Item) -> bool {
    match item {
        Item::Big { .. } | Item::Time(_) | Item::Tagged(_) | Item::Simple | Item::Extension => false,
        Item::List(items) => items.iter().all(is_plain),
        Item::Map(entries) => entries.iter().all(|(key, value)| matches!(key, Item::Text(_)) && is_plain(value)),
        _ => true,
    }
}

/// The values of JSON as WAMP reads them: text of NUL and base64 is binary.
fn restore_binary(value: Value) -> Value {
    match value {
        Value::Text(text) => match text.strip_prefix('\0').map(from_base64) {
            Some(Some(bytes)) => Value::Binary(bytes),
            _ => Value::Text(text),
        },
        Value::List(items) => items.into_iter().map(restore_binary).collect::<Vec<_>>().into(),
        Value::Dict(dict) => dict.into_iter().map(|(key, value)| (key, restore_binary(value))).collect::<Dict>().into(),
        other => other,
    }
}

/// Canonical base64, by its definition (RFC 4648, section 4).
fn from_base64(text: &str) -> Option<Vec<u8>> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bits = Vec::new();
    for digit in digits.bytes() {
        let value = ALPHABET.iter().position(|&letter| letter == digit)?;
        bits.extend((0..6).rev().map(|bit| value >> bit & 1));
    }
    let (bytes, rest) = bits.as_chunks::<8>();
    let canonical = rest.iter().all(|&bit| bit == 0) && rest.len() < 6;
    canonical.then(|| bytes.iter().map(|byte| byte.iter().fold(0, |byte, &bit| byte << 1 | bit as u8)).collect())
}

/// Each tag of 256 around what begins with each byte, up to where it ends: what the codec takes, strict receivers take.
#[test]
fn strict_receivers_take_the_tags_of_cbor_that_the_codec_takes() {
    for (tag, first) in (0..=u8::MAX).flat_map(|tag| (0..=u8::MAX).map(move |first| (tag, first))) {
        for rest in [&[0x3c, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[0; 10], &[1; 10], &[0x61; 10]] {
            for end in 0..=rest.len() {
                let frame = call_with(Format::Cbor, &[&[0xd8, tag, first], &rest[..end]].concat());
                if decode(Format::Cbor, frame.clone(), &LIMITS).is_ok() {
                    assert!(read(Format::Cbor, &frame).is_ok(), "{:?}: {frame:02x?}", read(Format::Cbor, &frame));
                    break;
                }
            }
        }
    }
}
