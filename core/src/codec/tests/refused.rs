//! What is not a message, and why.

use super::*;
use Format::{Cbor, Json, MsgPack};
use Problem::*;

fn malformed(format: Format, at: usize, problem: Problem) -> DecodeError {
    DecodeError::Malformed { format, at, problem }
}

fn element(message: &'static str, element: &'static str, expected: &'static str) -> DecodeError {
    DecodeError::Element { message, element, expected }
}

fn option(message: &'static str, key: &str, expected: &'static str) -> DecodeError {
    DecodeError::Option { message, key: key.to_owned(), expected }
}

const ID: &str = "an integer in 1..=2^53";
const URI: &str = "a URI within the limit on its length";

#[test]
fn malformed_json() {
    for (text, at, problem) in [
        ("", 0, Truncated),
        ("[", 1, Truncated),
        ("[6", 2, Truncated),
        ("[6,", 3, Truncated),
        ("[6,{}", 5, Truncated),
        (r#"[6,{},"a.b"]x"#, 12, TrailingBytes),
        (r#"[6,{},"a.b"],"#, 12, TrailingBytes),
        (r#"[48,1,{},"p",[1,]]"#, 16, UnexpectedByte),
        (r#"[6,,{},"a.b"]"#, 3, UnexpectedByte),
        (r#"[6,{,},"a.b"]"#, 4, UnexpectedByte),
        (r#"[6,{"a"},"a.b"]"#, 7, UnexpectedByte),
        (r#"[6,{"a":1,},"a.b"]"#, 10, UnexpectedByte),
        (r#"[6,{1:1},"a.b"]"#, 4, UnexpectedByte),
        (r#"[6 {},"a.b"]"#, 3, UnexpectedByte),
        (r#"[6,{]"#, 4, UnexpectedByte),
        (r#"[6,{},"a.b}"#, 11, Truncated),
        (r#"[48,1,{},"p",[nul]]"#, 17, UnexpectedByte),
        (r#"[48,1,{},"p",[True]]"#, 14, UnexpectedByte),
        (r#"[48,1,{},"p",[NaN]]"#, 14, UnexpectedByte),
        (r#"[48,1,{},"p",[.5]]"#, 14, UnexpectedByte),
        (r#"[48,1,{},"p",[01]]"#, 16, InvalidNumber),
        (r#"[48,1,{},"p",[-]]"#, 15, InvalidNumber),
        (r#"[48,1,{},"p",[1.]]"#, 16, InvalidNumber),
        (r#"[48,1,{},"p",[1e+]]"#, 17, InvalidNumber),
        (r#"[48,1,{},"p",[1"#, 15, Truncated),
        (r#"[48,1,{},"p",[1."#, 16, Truncated),
        (r#"[48,1,{},"p",["\x"]]"#, 15, InvalidEscape),
        (r#"[48,1,{},"p",["\u12g4"]]"#, 15, InvalidEscape),
        (r#"[48,1,{},"p",["\u+123"]]"#, 15, InvalidEscape),
        (r#"[48,1,{},"p",["\ud800"#, 21, Truncated),
        (r#"[48,1,{},"p",["\ud80"#, 15, InvalidEscape),
        ("[48,1,{},\"p\",[\"a\tb\"]]", 16, UnexpectedByte),
        ("[48,1,{},\"p\",[\"0123456\u{1f}b\"]]", 22, UnexpectedByte),
    ] {
        assert_eq!(decode_text(text), Err(malformed(Json, at, problem)), "{text}");
    }
    // Text is checked before anything else.
    let frame = Bytes::from_static(b"[48,1,{},\"p\",[\"\xff\"]]");
    assert_eq!(decode(Json, frame, &DecodeLimits::default()), Err(malformed(Json, 15, InvalidUtf8)));
    // Python refuses integers of more than 4,300 digits; other numbers may be as long as they like.
    for (digits, is_refused) in [(4_300, false), (4_301, true)] {
        for (sign, end) in [("", ""), ("-", ""), ("", ".0"), ("", "e0")] {
            let text = format!(r#"[48,1,{{}},"p",[{sign}{}{end}]]"#, "1".repeat(digits));
            let expected = is_refused && end.is_empty();
            assert_eq!(decode_text(&text).err(), expected.then(|| malformed(Json, 14, NumberOutOfRange)));
        }
    }
}

#[test]
fn malformed_cbor() {
    // 85 18 30 01 a0 61 70 is [48, 1, {}, "p", ...
    for (hex, at, problem) in [
        ("", 0, Truncated),
        ("83", 1, Truncated),
        ("8306a0", 1, Truncated),
        ("8306a061", 4, Truncated),
        ("8306a063612e62f6", 7, TrailingBytes),
        // Lengths beyond the frame.
        ("9bffffffffffffffff06", 9, Truncated),
        ("85183001a061709a00010000", 12, Truncated),
        ("85183001a06170817bffffffffffffffff", 17, Truncated),
        // Reserved lengths, simple values below 32 in two bytes, stray breaks.
        ("85183001a06170811c", 8, UnexpectedByte),
        ("85183001a06170811f", 8, UnexpectedByte),
        ("85183001a0617081df", 8, UnexpectedByte),
        ("85183001a0617081f800", 9, UnexpectedByte),
        ("85183001a0617081f81f", 9, UnexpectedByte),
        ("85183001a0617081ff", 8, UnexpectedByte),
        ("85183001a061709fc0ff", 9, UnexpectedByte),
        ("85183001a061709f81ff", 9, UnexpectedByte),
        ("85183001a0617081bf6161ff", 11, UnexpectedByte),
        // Not UTF-8; chunks of another type, of indefinite length, or split inside a character.
        ("85183001a06170816261ff", 10, InvalidUtf8),
        ("85183001a06170817f4161ff", 9, UnexpectedByte),
        ("85183001a06170815f7fffff", 9, UnexpectedByte),
        ("85183001a06170817f61c361a4ff", 10, InvalidUtf8),
        ("85183001a06170817f6161", 11, Truncated),
    ] {
        assert_eq!(decode_hex(Cbor, hex), Err(malformed(Cbor, at, problem)), "{hex}");
    }
    // The two-byte form of simple values, even of those that are assigned.
    assert_eq!(decode_hex(Cbor, "85183001a0617081f815"), Err(malformed(Cbor, 9, UnexpectedByte)));
}

#[test]
fn malformed_msgpack() {
    // 95 30 01 80 a1 70 is [48, 1, {}, "p", ...
    for (hex, at, problem) in [
        ("", 0, Truncated),
        ("93", 1, Truncated),
        ("930680", 1, Truncated),
        ("930680a3612e62c0", 7, TrailingBytes),
        ("ddffffffff06", 5, Truncated),
        ("95300180a170ddffffffff00", 11, Truncated),
        ("95300180a17091dfffffffff00", 12, Truncated),
        ("95300180a17091dbffffffff61", 12, Truncated),
        ("95300180a17091c1", 7, UnexpectedByte),
        ("95300180a17091a261ff", 9, InvalidUtf8),
        ("95300180a17091d40100c0", 10, TrailingBytes),
        ("95300180a17091c7ff01", 10, Truncated),
        ("95300180a17091cf00000000", 8, Truncated),
    ] {
        assert_eq!(decode_hex(MsgPack, hex), Err(malformed(MsgPack, at, problem)), "{hex}");
    }
}

#[test]
fn not_messages() {
    for text in ["1", "{}", "null", "\"x\"", "[]", "[\"1\"]", "[null]", "[-1]", "[1.0,\"r\",{}]"] {
        assert_eq!(decode_text(text), Err(DecodeError::NotAMessage), "{text}");
    }
    for code in [0, 7, 9, 71, 256, u64::MAX] {
        assert_eq!(decode_text(&format!("[{code}]")), Err(DecodeError::UnknownMessage { code }));
    }
}

#[test]
fn wrong_elements() {
    let missing = |message, element| DecodeError::Missing { message, element };
    for (text, error) in [
        ("[1]", missing("HELLO", "Realm")),
        (r#"[1,"r"]"#, missing("HELLO", "Details")),
        (r#"[1,"r",{},1]"#, DecodeError::Surplus { message: "HELLO" }),
        (r#"[1,5,{}]"#, element("HELLO", "Realm", URI)),
        (r#"[1,"r",[]]"#, element("HELLO", "Details", "a dictionary")),
        (r#"[2,0,{}]"#, element("WELCOME", "Session", ID)),
        (r#"[3,{}]"#, missing("ABORT", "Reason")),
        (r#"[3,{},"a",[],{},1]"#, DecodeError::Surplus { message: "ABORT" }),
        (r#"[5,null,{}]"#, element("AUTHENTICATE", "Signature", "text")),
        (r#"[6,{},"a",[]]"#, DecodeError::Surplus { message: "GOODBYE" }),
        (r#"[8,33,1,{},"e"]"#, element("ERROR", "REQUEST.Type", "the type of a request")),
        (r#"[17,1]"#, missing("PUBLISHED", "Publication")),
        (r#"[33,1,-1]"#, element("SUBSCRIBED", "Subscription", ID)),
        (r#"[34,1,9007199254740993]"#, element("UNSUBSCRIBE", "SUBSCRIBED.Subscription", ID)),
        (r#"[35,-1]"#, element("UNSUBSCRIBED", "UNSUBSCRIBE.Request", ID)),
        (r#"[35,1,{},1]"#, DecodeError::Surplus { message: "UNSUBSCRIBED" }),
        (r#"[48,0,{},"p"]"#, element("CALL", "Request", ID)),
        (r#"[48,1.0,{},"p"]"#, element("CALL", "Request", ID)),
        (r#"[48,1e0,{},"p"]"#, element("CALL", "Request", ID)),
        (r#"[48,-0,{},"p"]"#, element("CALL", "Request", ID)),
        (r#"[48,"1",{},"p"]"#, element("CALL", "Request", ID)),
        (r#"[48,true,{},"p"]"#, element("CALL", "Request", ID)),
        (r#"[48,1,null,"p"]"#, element("CALL", "Options", "a dictionary")),
        (r#"[48,1,{},null]"#, element("CALL", "Procedure", URI)),
        (r#"[48,1,{},"p",null,null,null]"#, DecodeError::Surplus { message: "CALL" }),
        (r#"[48,1,{},"p",{}]"#, element("CALL", "Arguments", "a list")),
        (r#"[48,1,{},"p",[],[]]"#, element("CALL", "ArgumentsKw", "a dictionary")),
        (r#"[48,1,{},"p",[],{},[]]"#, DecodeError::Surplus { message: "CALL" }),
        (r#"[48,1,{"enc_algo":"xbr"},"p",[]]"#, element("CALL", "Arguments", "binary, because of enc_algo")),
        (r#"[48,1,{"enc_algo":"xbr"},"p","AQID"]"#, element("CALL", "Arguments", "binary, because of enc_algo")),
        (r#"[48,1,{"enc_algo":"xbr"},"p","\u0000AQID",{}]"#, DecodeError::Surplus { message: "CALL" }),
        (r#"[48,1,{},"p","\u0000AQID"]"#, element("CALL", "Arguments", "a list")),
        (r#"[337,1,{}]"#, DecodeError::Surplus { message: "EVENT_RECEIVED" }),
    ] {
        assert_eq!(decode_text(text), Err(error), "{text}");
    }
}

#[test]
fn wrong_options() {
    let (flag, text, dict) = ("true or false", "text", "a dictionary");
    for (frame, error) in [
        (r#"[1,"r",{"roles":[]}]"#, option("HELLO", "roles", dict)),
        (r#"[1,"r",{"roles":{"caller":true}}]"#, option("HELLO", "caller", dict)),
        (r#"[1,"r",{"roles":{"caller":{"features":[]}}}]"#, option("HELLO", "features", dict)),
        (r#"[1,"r",{"authmethods":"ticket"}]"#, option("HELLO", "authmethods", "a list of text")),
        (r#"[1,"r",{"authmethods":[1]}]"#, option("HELLO", "authmethods", "a list of text")),
        (r#"[1,"r",{"authid":5}]"#, option("HELLO", "authid", text)),
        (r#"[1,"r",{"authextra":[]}]"#, option("HELLO", "authextra", dict)),
        (r#"[16,1,{"acknowledge":1},"t"]"#, option("PUBLISH", "acknowledge", flag)),
        (r#"[16,1,{"exclude":5},"t"]"#, option("PUBLISH", "exclude", "a list of ids")),
        (r#"[16,1,{"eligible":[0]},"t"]"#, option("PUBLISH", "eligible", "a list of ids")),
        (r#"[16,1,{"eligible_authid":[null]},"t"]"#, option("PUBLISH", "eligible_authid", "a list of text")),
        (r#"[16,1,{"enc_algo":true},"t"]"#, option("PUBLISH", "enc_algo", text)),
        (r#"[36,1,1,{"topic":1}]"#, option("EVENT", "topic", URI)),
        (r#"[36,1,1,{"publisher":"x"}]"#, option("EVENT", "publisher", ID)),
        (r#"[48,1,{"timeout":-1},"p"]"#, option("CALL", "timeout", "an integer, zero or more")),
        (r#"[48,1,{"timeout":1.5},"p"]"#, option("CALL", "timeout", "an integer, zero or more")),
        (r#"[64,1,{"concurrency":0},"p"]"#, option("REGISTER", "concurrency", "an integer in 1..2^32")),
        (r#"[64,1,{"concurrency":4294967296},"p"]"#, option("REGISTER", "concurrency", "an integer in 1..2^32")),
        (r#"[64,1,{"match":1},"p"]"#, option("REGISTER", "match", text)),
    ] {
        assert_eq!(decode_text(frame), Err(error), "{frame}");
    }
    let unknown = |message, key: &str, name: &str| {
        Err(DecodeError::UnknownName { message, key: key.to_owned(), name: name.to_owned() })
    };
    assert_eq!(decode_text(r#"[32,1,{"match":"regex"},"t"]"#), unknown("SUBSCRIBE", "match", "regex"));
    assert_eq!(decode_text(r#"[64,1,{"invoke":"Random"},"p"]"#), unknown("REGISTER", "invoke", "Random"));
    assert_eq!(decode_text(r#"[49,1,{"mode":""}]"#), unknown("CANCEL", "mode", ""));
    assert_eq!(decode_text(r#"[16,1,{"enc_algo":"bogus"},"t"]"#), unknown("PUBLISH", "enc_algo", "bogus"));
    assert_eq!(decode_text(r#"[70,1,{"enc_serializer":"x_A"}]"#), unknown("YIELD", "enc_serializer", "x_A"));
    let long = format!(r#"[49,1,{{"mode":"{}"}}]"#, "ü".repeat(1000));
    assert_eq!(decode_text(&long), unknown("CANCEL", "mode", &"ü".repeat(32)));
}

#[test]
fn keys_are_text() {
    // [48, 1, {1: 1}, "p"]
    for (format, hex) in [(Cbor, "84183001a101016170"), (MsgPack, "943001810101a170")] {
        assert_eq!(decode_hex(format, hex), Err(DecodeError::Unrepresentable(TranscodeError::KeyNotText)));
    }
}

#[test]
fn limits() {
    let limits = DecodeLimits { max_depth: 5, max_uri: 3, ..DecodeLimits::default() };
    let text = |text: &str| decode(Json, Bytes::copy_from_slice(text.as_bytes()), &limits);
    // The message, args and three lists; the message, options, an unknown option and two lists.
    for (frame, at) in [
        (r#"[48,1,{},"p",[[[[]]]]]"#, None),
        (r#"[48,1,{},"p",[[[[[]]]]]]"#, Some(18)),
        (r#"[48,1,{},"p",[],{"a":{"b":{"c":{}}}}]"#, None),
        (r#"[48,1,{},"p",[],{"a":{"b":{"c":{"d":{}}}}}]"#, Some(37)),
        (r#"[48,1,{"x":[[[]]]},"p"]"#, None),
        (r#"[48,1,{"x":[[[[]]]]},"p"]"#, Some(15)),
        (r#"[1,"r",{"authextra":{"x":[[]]}}]"#, None),
        (r#"[1,"r",{"authextra":{"x":[[[]]]}}]"#, Some(28)),
        (r#"[6,{"x":[[[]]]},"r"]"#, None),
        (r#"[6,{"x":[[[[]]]]},"r"]"#, Some(12)),
    ] {
        let error = text(frame).err();
        assert_eq!(error, at.map(|at| malformed(Json, at, TooDeep)), "{frame}");
    }
    for (format, hex) in [(Cbor, "85183001a0617081818181818100"), (MsgPack, "95300180a17091919191919100")] {
        assert!(matches!(
            decode(format, Bytes::from(bytes(hex)), &limits),
            Err(DecodeError::Malformed { problem: TooDeep, .. })
        ));
    }
    assert!(text(r#"[48,1,{},"a.b"]"#).is_ok());
    assert_eq!(text(r#"[48,1,{},"a.bc"]"#), Err(element("CALL", "Procedure", URI)));
    assert_eq!(text(r#"[48,1,{},"a.\u0062c"]"#), Err(element("CALL", "Procedure", URI)));
    assert_eq!(text(r#"[36,1,1,{"topic":"a.bc"}]"#), Err(option("EVENT", "topic", URI)));
}

/// Whatever is decoded counts, wherever it is; what only travels counts as if it were.
#[test]
fn what_is_decoded_is_limited_in_items_and_weight() {
    let over = |key, limit| Some(DecodeError::OverLimit { key, limit });
    let few = DecodeLimits { max_items: 3, ..DecodeLimits::default() };
    let light = DecodeLimits { max_weight: 1_000, ..DecodeLimits::default() };
    let long = "x".repeat(1_000);
    for (fits, surplus) in [
        (r#"[1,"r",{"authextra":{"a":[1,2]}}]"#, r#"[1,"r",{"authextra":{"a":[1,2,3]}}]"#),
        (r#"[1,"r",{"authmethods":["a","b","c"]}]"#, r#"[1,"r",{"authmethods":["a","b"],"authextra":{"a":{"b":1}}}]"#),
        (r#"[2,1,{"authextra":{"a":{"b":{"c":1}}}}]"#, r#"[2,1,{"authextra":{"a":{"b":{"c":[1]}}}}]"#),
        (r#"[3,{"a":1,"b":2,"c":3},"r"]"#, r#"[3,{"a":1,"b":2,"c":3,"d":4},"r"]"#),
        (r#"[4,"ticket",{"a":1,"b":2,"c":3}]"#, r#"[4,"ticket",{"a":1,"b":2,"c":3,"c":4}]"#),
        (r#"[5,"s",{"a":1,"b":2,"c":3}]"#, r#"[5,"s",{"a":{"a":{"b":{"c":{}}}}}]"#),
        (r#"[6,{"a":1,"b":2,"c":3},"r"]"#, r#"[6,{"a":1,"b":2,"c":[3]},"r"]"#),
        (r#"[16,1,{"exclude":[1,2,3]},"t"]"#, r#"[16,1,{"exclude":[1,2],"eligible_authid":["",""]},"t"]"#),
        // What is ignored, and the arguments, are not decoded.
        (r#"[16,1,{"x":[1,2,3,4]},"t",[1,2,3,4],{"a":[5,6]}]"#, r#"[16,1,{"exclude":[1,1,1,1]},"t"]"#),
    ] {
        for format in Format::ALL {
            let [fits, surplus] = [fits, surplus].map(|text| match format {
                Json => text.as_bytes().to_vec(),
                _ => transcoded(text, format),
            });
            assert_eq!(decode(format, fits.into(), &few).err(), None, "{format:?}");
            assert_eq!(
                decode(format, surplus.clone().into(), &few).err(),
                over("max_items", 3),
                "{format:?} {surplus:?}"
            );
        }
    }
    for heavy in [
        r#"[1,"r",{"authextra":{"a":{"a":1}}}]"#.to_owned(),
        r#"[6,{"a":[[],[],[],[],[],[],[],[],[]]},"r"]"#.to_owned(),
        format!(r#"[5,"{long}",{{}}]"#),
        format!(r#"[5,"",{{"a":"{long}"}}]"#),
        format!(r#"[16,1,{{"rkey":"{long}"}},"t"]"#),
        format!(r#"[16,1,{{"exclude_authrole":["{long}"]}},"t"]"#),
        format!(r#"[48,1,{{"ppt_scheme":"{long}"}},"p"]"#),
        format!(r#"[1,"r",{{"agent":"{long}"}}]"#),
    ] {
        let refused = decode(Json, Bytes::from(heavy.clone()), &light).err();
        assert_eq!(refused, over("max_weight", 1_000), "{heavy}");
        assert_eq!(decode_text(&heavy).err(), None, "{heavy}");
    }
    let shown = "limit max_items (3) on the values of a message exceeded";
    assert_eq!(over("max_items", 3).map(|error| error.to_string()).as_deref(), Some(shown));
}

/// A frame of JSON in another serializer.
fn transcoded(text: &str, format: Format) -> Vec<u8> {
    let payload = decode_text(&format!(r#"[48,1,{{}},"p",{text}]"#)).unwrap();
    let frame = encoded(&payload, format);
    // The head of the call is five bytes of CBOR or MsgPack and two of text.
    let head = encoded(&decode_text(r#"[48,1,{},"p"]"#).unwrap(), format).len();
    frame[head..].to_vec()
}

/// However large the limit, the depth of recursion is bounded.
#[test]
fn depth_has_a_ceiling() {
    let limits = DecodeLimits { max_depth: u8::MAX, ..DecodeLimits::default() };
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        decode(Json, Bytes::from(format!(r#"[48,1,{{}},"p",{open}{close}]"#)), &limits)
    };
    let deepest = nested(128).unwrap();
    assert!(nested(129).is_err() && nested(100_000).is_err());
    for format in Format::ALL {
        let again = decode(format, Bytes::from(encoded(&deepest, format)), &limits);
        assert_eq!(again, Ok(deepest.clone()));
    }
    let tags = [bytes("85183001a0617081"), vec![0xc6; 100_000], vec![0]].concat();
    assert!(decode(Cbor, Bytes::from(tags), &limits).is_ok());
}

/// Text of `\0` that is not base64, is not padded, is of the other alphabet, or has bits left over.
#[test]
fn binary_in_json_is_base64() {
    for inside in
        ["!", "AQ", "__8=", "AQL/ ", "A", "AQ=", "AQ===", "AR==", "AQJ=", "=", "====", "A===", "AQID=", "AQ==AQ=="]
    {
        let text = format!(r#"[48,1,{{}},"p",[{{"k":["\u0000{inside}"]}}]]"#);
        let refused = matches!(decode_text(&text), Err(DecodeError::Malformed { problem: Problem::InvalidBase64, .. }));
        assert!(refused, "{inside}");
    }
}

#[test]
fn tags_of_cbor_say_what_follows() {
    for value in [
        "c06178",
        "c000",
        "c1c101",
        "c16178",
        "c1d93c0001",
        "c1590000",
        "c1b90000",
        "c1f97e00",
        "c11bffffffffffffffff",
        "c1fbffffffffffffffff",
        "c26178",
        "c200",
        "c301",
        "c401",
        "c48101",
        "c483010203",
        "c482616101",
        "c5820161 61",
        "c58261780a",
        "c582c2410101",
        "c5821a00100000 01",
        "d81900",
        "d81d00",
        "d81e820100",
        "d81e8101",
        "d81b80",
        "d82361 28",
        "d82401",
        "d83380",
        "d8344101",
        "d8364101",
        "d84180",
        "d8414101",
        "d84744aabbccdd",
        "d85143aabbcc",
        "d86980",
        "d9dff980",
        "daffffffff00",
        "dbffffffffffffffff00",
        "d8254101",
        "d86461 61",
        "d9010201",
        "d9010441aa",
        "d90105a1447f00000101",
        "d903ec6161",
        "d9a7f801",
        "c074323031332d30322d33305432303a30343a30305a",
        "c074323031332d30332d32315432343a30343a30305a",
        "c074323031332d30332d32315432303a30343a303058",
        "c01864",
    ] {
        let frame = format!("85183001a0617081{value}").replace(' ', "");
        assert!(decode_hex(Cbor, &frame).is_err(), "{value}");
    }
    // Tags make something else of arguments and keys.
    for tail in ["85183001a06170d9010280", "86183001a0617080d9d9f7a0", "86183001a0617080a1d9d9f7616100"] {
        assert!(matches!(decode_hex(Cbor, tail), Err(DecodeError::Element { .. })), "{tail}");
    }
}

#[test]
fn timestamps_of_msgpack_are_times() {
    let frame = |value: &str| decode_hex(MsgPack, &format!("95300180a17091{value}"));
    for right in ["d6ff00000000", "d7ffee6b27fc00000000", "c70cff3b9ac9ff0000000000000000", "d5fe0000", "c70005"] {
        assert!(frame(right).is_ok(), "{right}");
    }
    let wrong = ["c701ff00", "c700ff", "d5ff0000", "d7ffee6b280000000000", "c70cff3b9aca000000000000000000"];
    for value in wrong {
        let refused = matches!(frame(value), Err(DecodeError::Malformed { problem: Problem::InvalidTimestamp, .. }));
        assert!(refused, "{value}");
    }
}

#[test]
fn keys_of_keyword_arguments_are_text() {
    for (format, frame) in
        [(Cbor, "86183001a0617080a10102"), (Cbor, "86183001a0617080a1f602"), (MsgPack, "96300180a17090810102")]
    {
        let expected = element("CALL", "ArgumentsKw", "a dictionary with keys of text");
        assert_eq!(decode_hex(format, frame), Err(expected), "{frame}");
    }
}

#[test]
fn errors_can_be_read() {
    for (text, shown) in [
        ("[6,", "malformed Json at byte 3: truncated"),
        ("[1]", "HELLO without Realm"),
        ("[5,1,{}]", "AUTHENTICATE.Signature must be text"),
        ("[9]", "unknown message type 9"),
        (r#"[49,1,{"mode":"x"}]"#, r#"CANCEL option "mode" cannot be "x""#),
    ] {
        assert_eq!(decode_text(text).unwrap_err().to_string(), shown);
    }
}
