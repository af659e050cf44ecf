//! How many bytes of memory a message of a peer costs for each byte received: counted, not timed.
//!
//! Every kind of message in every serializer, with the shapes that take most for their bytes, decoded and given to a
//! router before and after login. The test states the budget; what is beyond it is a fault.

#[path = "../benches/rig/mod.rs"]
mod rig;

use allocation_counter::measure;
use bytes::Bytes;
use rig::Rig;
use std::sync::OnceLock;
use wampd_core::codec::{DecodeLimits, Format, TranscodeError, decode, encode, encode_parts_within};
use wampd_core::message::{Call, CallOptions, Message, Payload};
use wampd_core::router::{LinkInfo, Output};
use wampd_core::time::Instant;

/// Bytes of the shapes.
const SIZE: usize = 24 << 10;

/// So small that a message whose values are decoded beyond it would be seen.
const LIMITS: DecodeLimits = DecodeLimits { max_depth: 64, max_uri: 1_024, max_items: 16_384, max_weight: 16 << 10 };

/// The most that a message may take at a time for each byte received, beside what the limit on weight allows: its texts,
/// once as they came and once as they are read.
const PEAK: usize = 2;

/// What a message may take however short it is.
const BASE: usize = 8 << 10;

/// Values that take much memory for their bytes, as JSON.
fn shapes() -> Vec<(&'static str, String)> {
    let list = |item: &str| format!("[{}{item}]", format!("{item},").repeat(SIZE / (item.len() + 1)));
    let deep = format!("{}0{}", "[".repeat(50), "]".repeat(50));
    let entries: Vec<_> = (0..SIZE / 12).map(|n| format!(r#""{n}":0"#)).collect();
    vec![
        ("dictionaries with an empty key", list(r#"{"":0}"#)),
        ("empty dictionaries", list("{}")),
        ("empty lists", list("[]")),
        ("lists of one", list("[0]")),
        ("numbers", list("1")),
        ("floats", list("0.5")),
        ("empty texts", list(r#""""#)),
        ("short texts", list(r#""a""#)),
        ("escapes", list(r#""\u0001""#)),
        ("binary", list(r#""\u0000AA==""#)),
        ("deep lists", list(&deep)),
        ("a wide dictionary", format!("{{{}}}", entries.join(","))),
        ("a long text", format!(r#""{}""#, "x".repeat(SIZE))),
        ("a long text of escapes", format!(r#""{}""#, r"\u0041".repeat(SIZE / 6))),
        ("a long key", format!(r#"{{"{}":0}}"#, "x".repeat(SIZE))),
    ]
}

/// Messages of every type, with a place for a shape.
const MESSAGES: &[&str] = &[
    r#"[1,"realm1",{"roles":{"caller":{}},"authmethods":["ticket"],"authextra":{"x":ITEMS}}]"#,
    r#"[1,"realm1",{"roles":{"caller":{}},"authmethods":ITEMS}]"#,
    r#"[1,"realm1",{"roles":{"caller":{}},"authid":ITEMS}]"#,
    r#"[1,"realm1",{"roles":{"caller":{}},"agent":ITEMS}]"#,
    r#"[1,"realm1",{"roles":{"caller":{"features":{"x":ITEMS}}}}]"#,
    r#"[1,"realm1",{"roles":{"caller":{}},"x":ITEMS}]"#,
    r#"[1,ITEMS,{"roles":{"caller":{}}}]"#,
    r#"[2,1,{"authextra":{"x":ITEMS}}]"#,
    r#"[2,1,{"authid":ITEMS}]"#,
    r#"[3,{"x":ITEMS},"wamp.close.normal"]"#,
    r#"[3,{},"wamp.close.normal",ITEMS]"#,
    r#"[4,"ticket",{"x":ITEMS}]"#,
    r#"[5,"signature",{"x":ITEMS}]"#,
    r#"[5,ITEMS,{}]"#,
    r#"[6,{"x":ITEMS},"wamp.close.normal"]"#,
    r#"[8,48,1,{"x":ITEMS},"com.example.error"]"#,
    r#"[8,68,1,{},"com.example.error",[ITEMS]]"#,
    r#"[16,1,{"exclude":ITEMS},"com.example.topic"]"#,
    r#"[16,1,{"eligible_authid":ITEMS},"com.example.topic"]"#,
    r#"[16,1,{"x":ITEMS},"com.example.topic"]"#,
    r#"[16,1,{"rkey":ITEMS},"com.example.topic"]"#,
    r#"[16,1,{},"com.example.topic",[],{"x":ITEMS}]"#,
    r#"[16,1,{},ITEMS]"#,
    r#"[32,1,{"x":ITEMS},"com.example.topic"]"#,
    r#"[32,1,{"nkey":ITEMS},"com.example.topic"]"#,
    r#"[36,1,1,{"x":ITEMS},[ITEMS]]"#,
    r#"[48,1,{"x":ITEMS},"com.example.procedure"]"#,
    r#"[48,1,{"ppt_keyid":ITEMS},"com.example.procedure"]"#,
    r#"[48,1,{},"com.example.procedure",[ITEMS]]"#,
    r#"[48,1,{},"wamp.session.add_testament",["com.example.topic",[ITEMS],{"x":ITEMS}]]"#,
    r#"[48,1,{},"wamp.session.add_testament",["com.example.topic",[],{}],{"publish_options":{"x":ITEMS}}]"#,
    r#"[48,1,{},"wamp.session.count",[ITEMS]]"#,
    r#"[48,1,{},"wamp.session.list",[],{"x":ITEMS}]"#,
    r#"[48,1,{},"wamp.subscription.lookup",["a",ITEMS]]"#,
    r#"[49,1,{"mode":ITEMS}]"#,
    r#"[50,1,{"x":ITEMS},[ITEMS]]"#,
    r#"[64,1,{"x":ITEMS},"com.example.procedure"]"#,
    r#"[68,1,1,{"x":ITEMS},[ITEMS]]"#,
    r#"[69,1,{"reason":ITEMS}]"#,
    r#"[70,1,{"x":ITEMS},[ITEMS]]"#,
];

/// The message, with the shape in its place, in each serializer.
fn frames(message: &str, shape: &str) -> Vec<(Format, Bytes)> {
    let text = message.replace("ITEMS", shape);
    // Through the arguments of a call, whose values may be anything.
    let wide = DecodeLimits { max_uri: u16::MAX, ..DecodeLimits::default() };
    let call = |args: Bytes| decode(Format::Json, args, &wide).expect("a message");
    let around = call(Bytes::from(format!(r#"[48,1,{{}},"p",{text}]"#)));
    let empty = Message::from(Call {
        request: wampd_core::id::RequestId::FIRST,
        options: CallOptions::default(),
        procedure: wampd_core::uri::Uri::from_static("p"),
        payload: Payload::empty(),
    });
    let mut all = vec![(Format::Json, Bytes::from(text))];
    for format in [Format::Cbor, Format::MsgPack] {
        let [mut frame, mut head] = [Vec::new(), Vec::new()];
        encode(&around, format, &mut frame).expect("any value");
        encode(&empty, format, &mut head).expect("any value");
        all.push((format, Bytes::from(frame.split_off(head.len()))));
    }
    all
}

/// Half floats, which only CBOR has: three bytes become a number of eight.
fn half_floats() -> Bytes {
    let count = u16::MAX;
    let call = b"\x85\x18\x30\x01\xa0\x75com.example.procedure\x99";
    Bytes::from([&call[..], &count.to_be_bytes(), &[0xf9, 0x00, 0x01].repeat(usize::from(count))].concat())
}

struct Case {
    name: String,
    format: Format,
    frame: Bytes,
}

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(make_cases)
}

fn make_cases() -> Vec<Case> {
    let mut cases = vec![Case { name: "half floats".to_owned(), format: Format::Cbor, frame: half_floats() }];
    for (name, shape) in shapes() {
        for message in MESSAGES {
            cases.extend(frames(message, &shape).into_iter().map(|(format, frame)| Case {
                name: format!("{name} in {message} as {format:?}"),
                format,
                frame,
            }));
        }
    }
    cases
}

/// What was allocated; none if more was given back.
fn bytes(count: impl TryInto<usize>) -> usize {
    count.try_into().unwrap_or(0)
}

#[test]
fn decoding_takes_twice_the_bytes_received_and_what_the_limit_allows() {
    let mut worst = (0.0, String::new());
    for Case { name, format, frame } in cases() {
        let (len, frame) = (frame.len(), frame.clone());
        let mut held = None;
        let info = measure(|| held = decode(*format, frame, &LIMITS).ok());
        let budget = PEAK * len + LIMITS.max_weight as usize + BASE;
        let (peak, kept) = (bytes(info.bytes_max), bytes(info.bytes_current));
        assert!(peak <= budget, "{name}: {len} bytes take {peak}, more than {budget}");
        assert!(kept <= len + LIMITS.max_weight as usize + BASE, "{name}: {len} bytes hold {kept}");
        let factor = peak as f64 / len as f64;
        if factor > worst.0 {
            worst = (factor, name.clone());
        }
    }
    println!("the most for a byte received: {:.2} bytes, {}", worst.0, worst.1);
}

#[test]
fn nothing_is_decoded_of_what_only_travels() {
    for (name, shape) in shapes() {
        for message in [MESSAGES[0], MESSAGES[5], MESSAGES[9], MESSAGES[12], MESSAGES[14], MESSAGES[28]] {
            for (format, frame) in frames(message, &shape) {
                let info = measure(|| drop(decode(format, frame, &LIMITS)));
                assert!(bytes(info.bytes_max) <= 2_048, "{name} in {message} as {format:?}: {}", info.bytes_max);
            }
        }
    }
}

#[test]
fn router_takes_twice_the_bytes_received_and_what_the_limits_allow() {
    for Case { name, format, frame } in cases() {
        let len = frame.len();
        let Ok(message) = decode(*format, frame.clone(), &DecodeLimits::default()) else { continue };
        let mut rig = Rig::new(*format);
        let [peer, other] = [rig.join(), rig.join()];
        rig.register(other, rig::PROCEDURE, Default::default());
        rig.subscribe(other, rig::TOPIC, Default::default());
        // Limits are bytes or a count of items with 256 bytes each.
        let limits = DecodeLimits::default().max_weight as usize + 4_096 * 256;
        let info = measure(|| drop(rig.give(peer, message)));
        let (peak, kept) = (bytes(info.bytes_max), bytes(info.bytes_current));
        assert!(peak <= PEAK * len + limits + BASE, "{name}: {len} bytes take {peak}");
        assert!(kept <= len + BASE, "{name}: {len} bytes hold {kept}");
    }
}

#[test]
fn a_handshake_holds_no_more_than_the_bytes_of_hello_and_gives_them_back() {
    for (name, shape) in shapes() {
        for message in &MESSAGES[..7] {
            for (format, frame) in frames(message, &shape) {
                let len = frame.len();
                let Ok(message) = decode(format, frame, &LIMITS) else { continue };
                let mut rig = Rig::new(format);
                let peer = rig.router.open(Instant::ZERO, LinkInfo::default()).expect("room");
                let mut asked = None;
                let info = measure(|| {
                    rig.router.receive(Instant::ZERO, peer, message);
                    while let Some(output) = rig.router.poll_output() {
                        if let Output::Authenticate(request) = output {
                            asked = Some(request);
                        }
                    }
                });
                let kept = bytes(info.bytes_current);
                assert!(kept <= len + LIMITS.max_weight as usize + BASE, "{name}, {format:?}: {len} bytes hold {kept}");
                let info = measure(|| {
                    drop(asked);
                    rig.leave(peer);
                });
                let given_back = bytes(-info.bytes_current);
                assert!(given_back + 2_048 >= kept, "{name}, {format:?}: {given_back} of {kept} bytes given back");
            }
        }
    }
}

/// What becomes longer in the receiver's serializer is not written much beyond the limit.
#[test]
fn transcoding_ends_at_its_limit() {
    const MOST: usize = 64 << 10;
    let controls = Bytes::from(format!(r#"[48,1,{{}},"p",["{}"]]"#, r"\u0001".repeat(MOST / 4)));
    let controls = decode(Format::Json, controls, &DecodeLimits::default()).expect("a message");
    let mut packed = Vec::new();
    encode(&controls, Format::MsgPack, &mut packed).expect("text");
    for (format, frame) in [(Format::Cbor, half_floats()), (Format::MsgPack, Bytes::from(packed))] {
        let message = decode(format, frame, &DecodeLimits::default()).expect("a message");
        let mut out = b"before".to_vec();
        let mut result = Ok(None);
        let info = measure(|| result = encode_parts_within(&message, Format::Json, MOST, &mut out));
        assert_eq!((result, &*out), (Err(TranscodeError::TooLarge), &b"before"[..]), "{format:?}");
        assert!(bytes(info.bytes_max) <= 4 * MOST, "{format:?}: {} bytes", info.bytes_max);
        encode_parts_within(&message, Format::Json, 64 * MOST, &mut out).expect("long enough");
        // In its own serializer the payload is used as it is.
        encode_parts_within(&message, format, 64, &mut out).expect("a short head");
    }
}
