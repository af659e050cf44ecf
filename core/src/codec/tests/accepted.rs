//! What real peers send beyond what the encoder writes, and how values change between serializers.

use super::*;
use crate::message::*;
use crate::value::{Dict, Value};
use Format::{Cbor, Json, MsgPack};

fn same(format: Format, hex: &str, text: &str) {
    assert_eq!(decode_hex(format, hex), Ok(decode_text(text).unwrap()), "{text}");
}

fn payload(message: Message) -> Payload {
    match message {
        Message::Call(call) => call.payload,
        other => panic!("{}", other.name()),
    }
}

fn args(frame: Result<Message, DecodeError>) -> Vec<Value> {
    payload(frame.unwrap()).values().unwrap().0
}

/// The messages of a real client and router.
#[test]
fn real_traffic() {
    for text in [
        r#"[1, "realm1", {"roles": {"subscriber": {"features": {"publisher_identification": true, "unheard_of": false}}, "caller": {"features": {}}}, "authmethods": ["wampcra"], "authid": "client1"}]"#,
        r#"[4, "wampcra", {"challenge": "{\"authid\": \"client1\", \"session\": 2317347905483200}"}]"#,
        r#"[5, "0HNRWNIfyeJAh2USiw9utqoj3HQrZkNq3PH73x3O6Co=", {}]"#,
        r#"[2, 2317347905483200, {"x_cb_node": "vm-9533", "x_cb_pid": 9537, "realm": "realm1", "authid": "client1", "authextra": {"x_cb_pid": 9537}, "roles": {"broker": {"features": {"event_retention": true}}}}]"#,
        r#"[50, 1, {"callee": 777122961594753, "callee_authid": "697cb0ad", "callee_authrole": "backend"}, [5]]"#,
        r#"[8, 64, 2, {}, "wamp.error.not_authorized", ["session (authid=\"client1\") is not authorized"]]"#,
        r#"[16, 3, {"acknowledge": true}, "com.example.topic1", ["hello"]]"#,
        r#"[6, {}, "wamp.close.normal"]"#,
    ] {
        let message = decode_text(text).unwrap();
        for format in Format::ALL {
            let frame = Bytes::from(encoded(&message, format));
            assert_eq!(decode(format, frame, &DecodeLimits::default()), Ok(message.clone()), "{text}");
        }
    }
}

#[test]
fn null_is_absent() {
    for (nulls, absent) in [
        (
            r#"[1,"r",{"roles":{"caller":{"features":null},"callee":null},"authmethods":null,"authid":null,"authrole":null,"authextra":null,"agent":null,"transport":null}]"#,
            r#"[1,"r",{"roles":{"caller":{}}}]"#,
        ),
        (
            r#"[16,1,{"acknowledge":null,"exclude_me":null,"exclude":null,"eligible":null,"eligible_authid":null,"rkey":null,"enc_algo":null},"t"]"#,
            r#"[16,1,{},"t"]"#,
        ),
        (r#"[32,1,{"match":null,"get_retained":null,"nkey":null},"t"]"#, r#"[32,1,{},"t"]"#),
        (r#"[64,1,{"match":null,"invoke":null,"concurrency":null,"disclose_caller":null},"t"]"#, r#"[64,1,{},"t"]"#),
        (r#"[49,1,{"mode":null}]"#, r#"[49,1,{}]"#),
        (r#"[48,1,{"timeout":null,"disclose_me":null},"p"]"#, r#"[48,1,{},"p"]"#),
        (r#"[36,1,2,{"publisher":null,"topic":null,"trustlevel":null}]"#, r#"[36,1,2,{}]"#),
        (r#"[35,0,{"subscription":null}]"#, r#"[35,0,{}]"#),
    ] {
        assert_eq!(decode_text(nulls), Ok(decode_text(absent).unwrap()), "{nulls}");
    }
}

/// JavaScript's `undefined`, as MsgPack libraries of JavaScript write it.
#[test]
fn undefined_in_msgpack_is_null() {
    for hex in ["94200181a56d61746368d40000a174", "94200181a56d61746368c7010000a174"] {
        same(MsgPack, hex, r#"[32,1,{},"t"]"#);
    }
    // In a payload too; any other extension stays one.
    let undefined = decode_hex(MsgPack, "95300180a17091d40000");
    assert_eq!(args(undefined), [Value::Null]);
    assert!(decode_hex(MsgPack, "94200181a56d61746368d40001a174").is_err());
}

#[test]
fn unknown_options_are_ignored() {
    let known = r#"[48,1,{"timeout":5},"p"]"#;
    for text in [
        r#"[48,1,{"x_a":[1,{"timeout":7},"\n"],"timeout":5,"x_b":1.5e3,"x_c":{}},"p"]"#,
        "\t[ 48 ,\n1 , { \"timeout\" : 5 , \"x\" : [ ] } , \"p\" ] \r\n",
        r#"[48,1,{"\u0074imeout":5},"\u0070"]"#,
        r#"[48,1,{"timeout":4,"timeout":5},"p"]"#,
    ] {
        assert_eq!(decode_text(text), Ok(decode_text(known).unwrap()), "{text}");
    }
    assert_eq!(
        decode_text(r#"[1,"r",{"roles":{"caller":{"features":{"call_timeout":false,"new":true},"x":1},"new":5}}]"#),
        Ok(decode_text(r#"[1,"r",{"roles":{"caller":{}}}]"#).unwrap())
    );
    // An identity without a session is none; details of a reply to a request say nothing about a revocation.
    assert_eq!(decode_text(r#"[36,1,2,{"publisher_authid":"x"}]"#), Ok(decode_text("[36,1,2,{}]").unwrap()));
    assert_eq!(decode_text(r#"[35,1,{"subscription":2}]"#), Ok(decode_text("[35,1]").unwrap()));
    assert_eq!(decode_text(r#"[16,1,{"exclude":[]},"t"]"#), Ok(decode_text(r#"[16,1,{},"t"]"#).unwrap()));
}

#[test]
fn unusual_forms_of_cbor() {
    // Indefinite lengths everywhere, chunked text as key and URI, long heads, a tag, undefined for null.
    same(
        Cbor,
        "9f1830190001bf7f6774696d656f75746000ff1a00000005ff7f6161612eff9fc101f7ffbf6178f5ffff"
            .replace("6000", "60")
            .as_str(),
        r#"[48,1,{"timeout":5},"a.",[1,null],{"x":true}]"#,
    );
    // Half and single precision: 1.5, infinity is only CBOR's.
    same(Cbor, "85183001a0617082f93e00fa3fc00000", r#"[48,1,{},"p",[1.5,1.5]]"#);
    // Binary in chunks.
    same(Cbor, "85183001a06170815f41014202ffff", r#"[48,1,{},"p",["\u0000AQL/"]]"#);
}

/// JavaScript serializers write integers of more than 32 bits as doubles.
#[test]
fn ids_of_javascript() {
    // [34, 1, 4294967296.0]
    same(Cbor, "83182201fb41f0000000000000", "[34,1,4294967296]");
    same(MsgPack, "932201cb41f0000000000000", "[34,1,4294967296]");
    // 0.5, 2^53 + 2, NaN, -1.0
    for bits in ["3fe0000000000000", "4340000000000001", "7ff8000000000000", "bff0000000000000"] {
        assert!(decode_hex(Cbor, &format!("83182201fb{bits}")).is_err(), "{bits}");
        assert!(decode_hex(MsgPack, &format!("932201cb{bits}")).is_err(), "{bits}");
    }
}

#[test]
fn payloads_pass_as_they_came() {
    let json = r#"[ 1.50 , "\/" ] , {"b":1,"a":2,"b":3}"#;
    for (format, head, tail) in [
        (Json, hex(br#"[48,1,{},"p", "#), hex(json.as_bytes())),
        // A tag, an indefinite list, undefined, an integer as key, infinity.
        (Cbor, "86183001a06170".to_owned(), "829fc100fff7a201f97c006161f4".to_owned()),
        // An extension, an integer as key, an integer longer than need be.
        (MsgPack, "96300180a170".to_owned(), "92d40100cf0000000000000001820102a16103".to_owned()),
    ] {
        let end = if format == Json { hex(b" ]") } else { String::new() };
        let message = decode_hex(format, &[&*head, &*tail, &*end].concat()).unwrap();
        assert!(hex(&encoded(&message, format)).contains(&tail), "{tail}");
        let mut detached = payload(message);
        detached.detach();
        assert_eq!(2 * detached.raw_len(), tail.len());
    }
}

#[test]
fn numbers_keep_their_kind() {
    let text = r#"[48,1,{},"p",[0,-1,1.0,-0.0,-0,1e3,9223372036854775807,-9223372036854775808,18446744073709551615,18446744073709551616,-9223372036854775809,1e-400]]"#;
    let values = args(decode_text(text));
    let expected: Vec<Value> = vec![
        Value::Int(0),
        Value::Int(-1),
        Value::Float(1.0),
        Value::Float(-0.0),
        Value::Float(-0.0),
        Value::Float(1000.0),
        Value::Int(i64::MAX),
        Value::Int(i64::MIN),
        Value::UInt(u64::MAX),
        Value::Float(18446744073709551616.0),
        Value::Float(-9223372036854775809.0),
        Value::Float(0.0),
    ];
    assert_eq!(values, expected);
    let message = decode_text(text).unwrap();
    for format in [Cbor, MsgPack] {
        let frame = Bytes::from(encoded(&message, format));
        let received = decode(format, frame, &DecodeLimits::default());
        assert_eq!(args(received.clone()), expected);
        assert_eq!(
            encoded(&received.unwrap(), Json),
            br#"[48,1,{},"p",[0,-1,1.0,-0.0,-0.0,1000.0,9223372036854775807,-9223372036854775808,18446744073709551615,1.8446744073709552e+19,-9.223372036854776e+18,0.0]]"#
        );
    }
    // -2^64 is an integer only in CBOR.
    assert_eq!(args(decode_hex(Cbor, "85183001a06170813bffffffffffffffff")), [Value::Float(-18446744073709551616.0)]);
}

#[test]
fn binary_in_json() {
    let text = |inside: &str| args(decode_text(&format!(r#"[48,1,{{}},"p",["{inside}"]]"#)));
    assert_eq!(text(r"\u0000"), [Value::Binary(vec![])]);
    assert_eq!(text(r"\u0000AQL\/"), [Value::Binary(vec![1, 2, 255])]);
    // Not base64, not padded, of the other alphabet, not at the start: text.
    for inside in ["!", "AQ", "__8=", "AQL/ "] {
        assert_eq!(text(&format!("\\u0000{inside}")), [Value::Text(format!("\0{inside}"))]);
    }
    assert_eq!(text(r"x\u0000AQID"), [Value::Text("x\0AQID".into())]);
    // Deep inside, and in details; never in keys.
    let message = decode_text(r#"[48,1,{},"p",[[{"\u0000AQID":"\u0000AQID"}]]]"#).unwrap();
    let dict = Dict::from([("\0AQID".to_owned(), Value::Binary(vec![1, 2, 3]))]);
    assert_eq!(payload(message.clone()).values().unwrap().0, [Value::List(vec![Value::Dict(dict)])]);
    assert_eq!(hex(&encoded(&message, Cbor)), "85183001a06170818 1a1650041514944 43010203".replace(' ', ""));
    let Ok(Message::Goodbye(goodbye)) = decode_text(r#"[6,{"x":"\u0000AQID"},"r"]"#) else { panic!() };
    assert_eq!(goodbye.details["x"], Value::Binary(vec![1, 2, 3]));
    // A proof is text, whatever it looks like.
    let Ok(Message::Authenticate(proof)) = decode_text(r#"[5,"\u0000AQID",{}]"#) else { panic!() };
    assert_eq!(proof.signature, "\0AQID");
}

#[test]
fn what_cannot_be_transcoded() {
    for (from, received, to, error) in [
        // NaN, infinity, {1: 2}, "\0AQID"
        (Cbor, "85183001a0617081f97e00", Json, TranscodeError::NotFinite),
        (MsgPack, "95300180a17091cb7ff0000000000000", Json, TranscodeError::NotFinite),
        (Cbor, "85183001a0617081a10102", MsgPack, TranscodeError::KeyNotText),
        (MsgPack, "95300180a17091810102", Json, TranscodeError::KeyNotText),
        (Cbor, "85183001a061708165004151 4944", Json, TranscodeError::ReservedText),
        // An extension of one byte; a timestamp.
        (MsgPack, "95300180a17091d40100", Cbor, TranscodeError::Extension),
        (MsgPack, "95300180a17091d6ff00000000", Json, TranscodeError::Extension),
    ] {
        let message = decode_hex(from, &received.replace(' ', "")).unwrap();
        let mut out = b"before".to_vec();
        assert_eq!(encode(&message, to, &mut out), Err(error), "{received}");
        assert_eq!(out, b"before");
        // Values hold all of these but keys and extensions.
        let held = payload(message).values();
        match error {
            TranscodeError::KeyNotText | TranscodeError::Extension => {
                assert_eq!(held, Err(DecodeError::Unrepresentable(error)));
            }
            _ => assert!(held.is_ok()),
        }
    }
}

#[test]
fn long_lists_and_strings() {
    for length in [15, 16, 23, 24, 31, 32, 255, 256, 65_535, 65_536] {
        let list = Value::List(vec![Value::Int(0); length]);
        let dict = (0..length).map(|n| (n.to_string(), Value::Null)).collect();
        let text = Value::Text("x".repeat(length));
        let binary = Value::Binary(vec![7; length]);
        let payload = Payload::from_values(vec![list, text, binary, 1.into()], dict);
        let request = crate::id::RequestId::FIRST;
        let call: Message = Call { request, options: CallOptions::default(), procedure: "p".into(), payload }.into();
        let from_json = decode(Json, Bytes::from(encoded(&call, Json)), &DecodeLimits::default()).unwrap();
        for format in [Cbor, MsgPack] {
            // The heads are the shortest, whether the length was known before or not.
            let frame = encoded(&call, format);
            assert_eq!(decode(format, Bytes::from(frame.clone()), &DecodeLimits::default()), Ok(call.clone()));
            assert_eq!(frame.len(), encoded(&from_json, format).len());
        }
    }
}

#[test]
fn applications_types() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Options {
        name: String,
        limit: Option<u8>,
    }
    let kwargs = Options { name: "x".into(), limit: Some(5) };
    let built = Payload::from_serde(&(1, 2.5, "three"), &kwargs).unwrap();
    let expected = vec![Value::Int(1), Value::Float(2.5), "three".into()];
    assert_eq!(built.values().unwrap().0, expected);
    assert_eq!(built.to_serde(), Ok(((1u8, 2.5, "three".to_owned()), kwargs)));
    for text in [r#"[48,1,{},"p",[1,2.5,"three"]]"#, r#"[48,1,{},"p",[1,2.5,"three"],{}]"#] {
        let received = payload(decode_text(text).unwrap());
        assert_eq!(received.to_serde(), Ok(((1u8, 2.5, "three".to_owned()), Dict::new())));
        assert_eq!(received.to_serde::<(u8,), Dict>(), Err(TranscodeError::Mismatch));
    }
    assert_eq!(Payload::empty().to_serde(), Ok(([0u8; 0], Dict::new())));
    assert_eq!(Payload::from_serde(&1, &Dict::new()), Err(TranscodeError::Mismatch));
    assert_eq!(Payload::from_serde(&(1,), &[1]), Err(TranscodeError::Mismatch));
}
