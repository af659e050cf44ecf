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
        Message::Yield(answer) => answer.payload,
        Message::Error(error) => error.payload,
        Message::Publish(publish) => publish.payload,
        Message::Abort(abort) => abort.payload,
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
        "9f1830190001bf7f6774696d656f75746000ff1a00000005ff7f6161612eff9fc601f7ffbf6178f5ffff"
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
        (Cbor, "86183001a06170".to_owned(), "829fc100fff7a26162a101f97c006161f4".to_owned()),
        // A timestamp, an integer longer than need be.
        (MsgPack, "96300180a170".to_owned(), "92d6ff00000001cf000000000000000182a16201a16103".to_owned()),
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
    let text =
        r#"[48,1,{},"p",[0,-1,1.0,-0.0,-0,1e3,9223372036854775807,-9223372036854775808,18446744073709551615,1e-400]]"#;
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
            br#"[48,1,{},"p",[0,-1,1.0,-0.0,-0.0,1000.0,9223372036854775807,-9223372036854775808,18446744073709551615,0.0]]"#
        );
    }
    // -2^64 is an integer only in CBOR.
    assert_eq!(args(decode_hex(Cbor, "85183001a06170813bffffffffffffffff")), [Value::Float(-18446744073709551616.0)]);
}

/// nexus' client writes null where there are no arguments before keyword arguments.
#[test]
fn null_for_arguments_is_none() {
    let kwargs = Dict::from([("a".to_owned(), Value::from(1))]);
    for (message, cbor, msgpack) in [
        (r#"[48,1,{},"p""#, "183001a06170", "300180a170"),
        (r#"[70,1,{}"#, "184601a0", "460180"),
        (r#"[8,68,1,{},"e""#, "08184401a06165", "08440180a165"),
        (r#"[16,1,{},"t""#, "1001a06174", "100180a174"),
        (r#"[3,{},"r""#, "03a06172", "0380a172"),
    ] {
        let count = 3 + message.matches(',').count() as u8;
        let frames = |count: u8, json: &str, cbor_tail: &str, msgpack_tail: &str| {
            [
                (Json, hex(format!("{message},{json}]").as_bytes())),
                (Cbor, format!("{:02x}{cbor}{cbor_tail}", 0x80 + count)),
                (MsgPack, format!("{:02x}{msgpack}{msgpack_tail}", 0x90 + count)),
            ]
        };
        for (format, frame) in frames(count, r#" null , {"a":1} "#, "f6a1616101", "c081a16101") {
            let read = payload(decode_hex(format, &frame).unwrap());
            assert_eq!(read.values().unwrap(), (vec![], kwargs.clone()), "{format:?} {message}");
            assert_eq!(read.shape(), Shape::ArgsKwargs);
        }
        for (format, frame) in frames(count - 1, "null", "f6", "c0") {
            assert_eq!(payload(decode_hex(format, &frame).unwrap()).shape(), Shape::Nothing, "{format:?} {message}");
        }
        for (format, frame) in frames(count, "[1],null", "8101f6", "9101c0") {
            assert_eq!(payload(decode_hex(format, &frame).unwrap()).shape(), Shape::Args, "{format:?} {message}");
        }
    }
    // Receivers are sent a list, in every serializer.
    let message = decode_text(r#"[16,1,{},"t",null,{"a":1}]"#).unwrap();
    assert_eq!(hex(&encoded(&message, Json)), hex(br#"[16,1,{},"t",[],{"a":1}]"#));
    assert_eq!(hex(&encoded(&message, Cbor)), "861001a0617480a1616101");
    let message = decode_hex(Cbor, "861001a06174f6a1616101").unwrap();
    assert_eq!(hex(&encoded(&message, Cbor)), "861001a0617480a1616101");
}

#[test]
fn features_that_are_neither_true_nor_false_are_ignored() {
    let hello = r#"[1,"r",{"roles":{"caller":{"features":{"x_magic":"1.2","call_timeout":[{}],"call_canceling":true,
        "x_more":{"a":[1,2]},"progressive_call_results":null}},"x_role":7,"callee":{"x_callee":[1],"features":{}}}}]"#;
    let Ok(Message::Hello(hello)) = decode_text(hello) else { panic!() };
    assert_eq!(hello.details.roles.caller, Some(Features::CALL_CANCELING));
    assert_eq!(hello.details.roles.callee, Some(Features::NONE));
}

#[test]
fn details_of_errors_are_kept_but_those_that_are_the_routers() {
    let frame =
        r#"[8,68,1,{"x_why":[1,{"a":null}],"callee":"x","callee_authid":5,"forward_for":1,"ppt_scheme":"x_a"},"e"]"#;
    let message = decode_text(frame).unwrap();
    assert_eq!(
        String::from_utf8(encoded(&message, Json)).unwrap(),
        r#"[8,68,1,{"ppt_scheme":"x_a","x_why":[1,{"a":null}]},"e"]"#
    );
    for format in Format::ALL {
        let frame = Bytes::from(encoded(&message, format));
        assert_eq!(decode(format, frame, &DecodeLimits::default()), Ok(message.clone()));
    }
}

#[test]
fn partitioned_calls_are_known_by_their_runmode() {
    let partition = |options: &str| match decode_text(&format!(r#"[48,1,{options},"p"]"#)) {
        Ok(Message::Call(call)) => call.options.partition,
        other => panic!("{other:?}"),
    };
    assert!(partition(r#"{"runmode":"partition"}"#));
    assert!(!partition(r#"{"runmode":"all"}"#) && !partition(r#"{"runmode":null}"#) && !partition("{}"));
    let call = decode_text(r#"[48,1,{"rkey":"k","runmode":"partition"},"p"]"#).unwrap();
    assert_eq!(encoded(&call, Json), br#"[48,1,{"rkey":"k","runmode":"partition"},"p"]"#);
}

#[test]
fn tags_of_cbor_pass_around_what_they_hold() {
    let time = "c074323031332d30332d32315432303a30343a30305a";
    for value in [
        time,
        "c100",
        "c120",
        "c1fb41d452d9e20c49ba",
        "c240",
        "c249010000000000000000",
        "c34101",
        "c25f4101ff",
        "c4820102",
        "c48220c24101",
        "c5820103",
        "d81e820103",
        "d8206161",
        "d8246161",
        "d82550000102030405060708090a0b0c0d0e0f",
        "d834447f000001",
        "d84041ff",
        "d841420102",
        "d85540",
        "d86401",
        "d9010280",
        "d90104447f000001",
        "d903ec6a323031332d30332d3231",
        "d9d9f701",
        "d9ffff6161",
        "c6c101",
    ] {
        let frame = format!("85183001a0617081{value}");
        let message = decode_hex(Cbor, &frame).unwrap_or_else(|error| panic!("{value}: {error}"));
        assert_eq!(hex(&encoded(&message, Cbor)), frame);
    }
}

/// Browsers write halves of surrogate pairs for text that was cut inside a character.
#[test]
fn lone_surrogates_of_json_become_replacement_characters() {
    for (inside, text) in [
        (r"ab\ud83d", "ab\u{fffd}"),
        (r"\uDE00\ud83d", "\u{fffd}\u{fffd}"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}\u{1f600}"),
        (r"\ud83d\n\ude00", "\u{fffd}\n\u{fffd}"),
        (r"\\ud83d\ud83d\\", "\\ud83d\u{fffd}\\"),
        (r"\ud83dx\u0041", "\u{fffd}xA"),
    ] {
        let frame = format!(r#"[48,1,{{"x":"{inside}"}},"p",["{inside}"],{{"{inside}":[]}}]"#);
        let mut mended = false;
        let message =
            decode_mending(Json, Bytes::from(frame), &DecodeLimits::default(), &mut mended).expect("a message");
        assert!(mended);
        // Receivers get no halves either.
        assert!(!String::from_utf8(encoded(&message, Json)).unwrap().to_lowercase().contains(r"\ud83d\n"));
        let kwargs = Dict::from([(text.to_owned(), Value::List(vec![]))]);
        assert_eq!(payload(message).values().unwrap(), (vec![Value::from(text)], kwargs), "{inside}");
    }
    let whole = Bytes::from_static(br#"[48,1,{},"p",["\ud83d\ude00"]]"#);
    let mut mended = false;
    assert!(decode_mending(Json, whole, &DecodeLimits::default(), &mut mended).is_ok() && !mended);
}

#[test]
fn binary_in_json() {
    let text = |inside: &str| args(decode_text(&format!(r#"[48,1,{{}},"p",["{inside}"]]"#)));
    assert_eq!(text(r"\u0000"), [Value::Binary(vec![])]);
    assert_eq!(text(r"\u0000AQL\/"), [Value::Binary(vec![1, 2, 255])]);
    assert_eq!(text(r"x\u0000AQID"), [Value::Text("x\0AQID".into())]);
    // Deep inside, and in details; never in keys.
    let message = decode_text(r#"[48,1,{},"p",[[{"\u0000AQID":"\u0000AQID"}]]]"#).unwrap();
    let dict = Dict::from([("\0AQID".to_owned(), Value::Binary(vec![1, 2, 3]))]);
    assert_eq!(payload(message.clone()).values().unwrap().0, [Value::List(vec![Value::Dict(dict)])]);
    assert_eq!(hex(&encoded(&message, Cbor)), "85183001a06170818 1a1650041514944 43010203".replace(' ', ""));
    let Ok(Message::Goodbye(goodbye)) = decode_text(r#"[6,{"x":"\u0000AQID"},"r"]"#) else { panic!() };
    assert_eq!(goodbye.details.to_dict()["x"], Value::Binary(vec![1, 2, 3]));
    // A proof is text, whatever it looks like.
    let Ok(Message::Authenticate(proof)) = decode_text(r#"[5,"\u0000AQID",{}]"#) else { panic!() };
    assert_eq!(proof.signature, "\0AQID");
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
