//! The specification's test vectors of single messages, 196 of them: 129 frames that must be read and written, and 67
//! messages with an option or detail, right or wrong. All facts are those of the vectors; the form is this project's.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use wampd_core::codec::{DecodeLimits, Format, decode, encode};
use wampd_core::message::Message;

const FRAMES: &str = include_str!("../data/vectors.txt");

/// What a value of an option or detail is by the vectors.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Right,
    Wrong,
}

use Verdict::{Right, Wrong};

/// Options and details that the router does not know. The vectors refuse some of their values; here they are ignored,
/// as the specification says of attributes that an implementation does not know (Basic Profile, "Extensibility"): the first
/// two are Crossbar.io's own, the third is for links between routers.
const UNKNOWN: [&str; 3] = ["transaction_hash", "x_acknowledged_delivery", "forward_for"];

/// A message with one option or detail; for `enc_*`, a payload of bytes follows.
struct Attribute {
    message: u64,
    key: &'static str,
    value: Value,
    verdict: Verdict,
}

fn of<const R: usize, const W: usize>(
    message: u64,
    key: &'static str,
    right: [Value; R],
    wrong: [Value; W],
) -> Vec<Attribute> {
    let right = right.into_iter().map(|value| (value, Right));
    let all = right.chain(wrong.into_iter().map(|value| (value, Wrong)));
    all.map(|(value, verdict)| Attribute { message, key, value, verdict }).collect()
}

fn attributes() -> Vec<Attribute> {
    let flags = || [json!(true), json!(false)];
    let text = || json!("hello");
    let router = || json!([{"session": 123, "authid": "router1", "authrole": "router"}]);
    let mut all = vec![
        of(16, "acknowledge", flags(), [text(), json!(1)]),
        of(16, "exclude_me", flags(), [text()]),
        of(16, "exclude", [json!([]), json!([123, 456, 789])], [text(), json!(["hello"])]),
        of(16, "exclude_authid", [json!([]), json!(["alice", "bob"])], [text(), json!([123])]),
        of(16, "exclude_authrole", [json!(["manager", "staff"])], [json!("manager")]),
        of(16, "eligible", [json!([]), json!([123, 456])], [text()]),
        of(16, "eligible_authid", [json!(["alice"])], [json!(123)]),
        of(16, "eligible_authrole", [json!(["manager"])], [json!([123])]),
        of(16, "retain", flags(), [text()]),
        of(32, "match", [json!("exact"), json!("prefix"), json!("wildcard")], [json!("invalid"), json!(123)]),
        of(32, "get_retained", flags(), [text()]),
        of(36, "publisher", [json!(789)], [text()]),
        of(36, "publisher_authid", [json!("alice")], [json!(123)]),
        of(36, "publisher_authrole", [json!("manager")], [json!(123)]),
        of(36, "topic", [json!("com.example.topic")], [json!(123)]),
        of(36, "retained", flags(), [text()]),
        of(36, "x_acknowledged_delivery", [json!(true)], [text()]),
    ];
    for message in [16, 32, 36] {
        all.push(of(message, "forward_for", [json!([]), router()], [text()]));
    }
    for message in [16, 36] {
        all.push(of(message, "transaction_hash", [json!("abc123")], [json!(123)]));
        all.push(of(message, "enc_algo", [json!("cryptobox")], [json!("invalid")]));
        all.push(of(message, "enc_serializer", [json!("cbor")], []));
    }
    all.into_iter().flatten().collect()
}

impl Attribute {
    fn message(&self) -> Value {
        let mut attributes = json!({ self.key: self.value });
        if self.key == "enc_serializer" {
            attributes["enc_algo"] = json!("cryptobox");
        }
        let mut message = match self.message {
            36 => json!([36, 123, 456, attributes]),
            code => json!([code, 123, attributes, "com.example.topic"]),
        };
        let elements = message.as_array_mut().expect("a list");
        match self.message {
            // The vectors write bytes in hexadecimal digits.
            _ if self.key.starts_with("enc_") => elements.push(json!(binary(&hex("a1666e6f74696365")))),
            36 => elements.push(json!(["args"])),
            _ => {}
        }
        message
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let digits = digits.as_bytes().chunks(2).map(|pair| core::str::from_utf8(pair).expect("digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect()
}

/// Bytes as JSON carries them in WAMP.
fn binary(bytes: &[u8]) -> String {
    format!("\0{}", BASE64_STANDARD.encode(bytes))
}

fn read(format: Format, frame: &[u8]) -> Result<Message, String> {
    let message = decode(format, Bytes::copy_from_slice(frame), &DecodeLimits::default());
    message.map_err(|error| error.to_string())
}

fn written(message: &Message, format: Format) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(message, format, &mut frame).expect("it can be written");
    frame
}

/// JSON with a space behind each comma and colon outside text.
fn spaced(json: &str) -> String {
    let mut in_text = false;
    let spread = json.chars().map(|c| {
        in_text ^= c == '"';
        if !in_text && matches!(c, ',' | ':') { format!("{c} ") } else { c.to_string() }
    });
    spread.collect()
}

/// The message as a list, without what the router does not know.
fn known(json: &[u8]) -> Value {
    let mut message: Value = serde_json::from_slice(json).expect("JSON");
    for element in message.as_array_mut().expect("a list") {
        if let Value::Object(attributes) = element {
            attributes.retain(|key, _| !UNKNOWN.contains(&key.as_str()));
        }
    }
    message
}

#[test]
fn the_frames_of_the_vectors_are_read_alike_in_all_serializers_and_written_as_they_are() {
    let mut lines = FRAMES.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut count = 0;
    while let (Some(json), Some(msgpack), Some(cbor)) = (lines.next(), lines.next(), lines.next()) {
        let compact = json.trim_start_matches('+');
        let mut frames = vec![(Format::Json, compact.as_bytes().to_vec())];
        if compact != json {
            frames.push((Format::Json, spaced(compact).into_bytes()));
        }
        frames.extend([(Format::MsgPack, hex(msgpack)), (Format::Cbor, hex(cbor))]);
        for (format, frame) in frames {
            count += 1;
            let message = read(format, &frame).unwrap_or_else(|why| panic!("{why} in {format:?}: {compact}"));
            assert_eq!(known(&written(&message, Format::Json)), known(compact.as_bytes()), "{format:?}");
            let has_unknown = UNKNOWN.iter().any(|key| compact.contains(key));
            // Roles are written in an order of their own.
            if format != Format::Json && !has_unknown && !compact.starts_with("[1,") {
                assert_eq!(written(&message, format), frame, "{format:?}: {compact}");
            }
        }
    }
    assert_eq!(count, 129);
}

#[test]
fn options_and_details_are_taken_and_refused_as_the_vectors_say_but_for_those_that_are_unknown() {
    let (mut count, mut different) = (0, Vec::new());
    for attribute in attributes() {
        count += 1;
        let Attribute { message, key, value, verdict } = &attribute;
        let frame = serde_json::to_vec(&attribute.message()).expect("JSON");
        let found = read(Format::Json, &frame);
        match (verdict, &found) {
            (Right, Ok(_)) => {}
            (Wrong, Err(why)) => assert!(why.contains(key), "{why}: {key} is {value}"),
            _ => different.push((*message, *key, found.map(drop))),
        }
    }
    assert_eq!(count, 67);
    let expected = [
        (36, "x_acknowledged_delivery", Ok(())),
        (16, "forward_for", Ok(())),
        (32, "forward_for", Ok(())),
        (36, "forward_for", Ok(())),
        (16, "transaction_hash", Ok(())),
        (36, "transaction_hash", Ok(())),
    ];
    assert_eq!(different, expected);
    assert!(expected.iter().all(|(_, key, _)| UNKNOWN.contains(key)));
}
