//! What the fuzzer starts from: the project's own messages, in every serializer and framing.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --no-default-features --example seeds` writes them to `corpus`, beside
//! what fuzzing has found.

use bytes::Bytes;
use wampd_core::codec::{DecodeLimits, Format, decode, encode};
use wampd_core::message::Message;
use wampd_core::time::Instant;
use wampd_tests::rng::Pcg;
use wampd_wire::{Client, RawSocketOptions, Subprotocol, UpgradeRequest};

/// One input.
#[derive(Debug)]
pub struct Seed {
    /// The target it is for.
    pub target: &'static str,
    /// Its name, unique for the target.
    pub name: String,
    /// The input.
    pub data: Vec<u8>,
}

/// One message of each type at least, with many options.
const MESSAGES: &[&str] = &[
    r#"[1,"realm1",{"roles":{"caller":{"features":{"call_canceling":true}},"subscriber":{}},"authmethods":["wampcra","ticket"],"authid":"client1","authextra":{"n":1.5}}]"#,
    r#"[2,9007199254740992,{"realm":"realm1","authid":"client1","authrole":"frontend","authmethod":"wampcra","authprovider":"function","roles":{"broker":{"features":{"publisher_exclusion":true}},"dealer":{}}}]"#,
    r#"[3,{"message":"no such user"},"com.example.no_such_user"]"#,
    r#"[4,"wampcra",{"challenge":"{\"session\": 1}","salt":"salt123","iterations":100,"keylen":16}]"#,
    r#"[5,"0HNRWNIfyeJAh2USiw9utqoj3HQrZkNq3PH73x3O6Co=",{}]"#,
    r#"[6,{"message":"enough"},"wamp.close.normal"]"#,
    r#"[8,48,1,{},"com.example.error",["text",{"k":null}],{"more":[true,false]}]"#,
    r#"[16,1,{"acknowledge":true,"exclude_me":false,"exclude":[1,2],"eligible_authrole":["a"],"retain":true},"com.example.topic",["h\u00e9llo"]]"#,
    r#"[17,1,2]"#,
    r#"[32,1,{"match":"wildcard","get_retained":true},"com..topic"]"#,
    r#"[33,1,2]"#,
    r#"[34,1,2]"#,
    r#"[35,1]"#,
    r#"[35,0,{"subscription":7,"reason":"wamp.error.revoked"}]"#,
    r#"[36,1,2,{"publisher":3,"publisher_authid":"joe","topic":"com.example.topic","retained":true},[1,-1,1.0]]"#,
    r#"[337,2]"#,
    r#"[48,1,{"receive_progress":true,"timeout":1000,"disclose_me":true},"com.example.add2",[2,3],{"deep":[[[{}]]]}]"#,
    r#"[49,1,{"mode":"killnowait"}]"#,
    r#"[50,1,{"progress":true},["\u0000AAEC/w==","\u0000!"],{"":""}]"#,
    r#"[64,1,{"match":"prefix","invoke":"roundrobin","concurrency":2},"com.example."]"#,
    r#"[65,1,2]"#,
    r#"[66,1,2]"#,
    r#"[67,1]"#,
    r#"[68,1,2,{"caller":3,"caller_authrole":"a","procedure":"com.example.add2","receive_progress":true},[18446744073709551615,-9223372036854775808]]"#,
    r#"[69,1,{"mode":"kill","reason":"wamp.error.canceled"}]"#,
    r#"[70,1,{"progress":true,"ppt_scheme":"x_custom","ppt_serializer":"cbor"},[1e308,-0.0,5e-324]]"#,
    r#"[16,1,{"enc_algo":"cryptobox","enc_serializer":"json"},"com.example.secret","\u0000AAEC/w=="]"#,
];

/// Arguments in bytes that no encoder here writes, but other peers do.
const ODD: &[(&str, Format, &[u8])] = &[
    ("tags", Format::Cbor, b"\x83\xc1\x1a\x00\x00\x00\x01\xc2\x42\x01\x00\xd9\xd9\xf7\x00"),
    ("indefinite", Format::Cbor, b"\x9f\x5f\x41a\x41b\xff\x7f\x61a\xff\xbf\x61k\x9f\xff\xff\xff"),
    ("floats", Format::Cbor, b"\x85\xf9\x7e\x00\xf9\x7c\x00\xfa\x7f\x80\x00\x00\xfb\xff\xf0\0\0\0\0\0\0\xf9\x00\x01"),
    ("undefined", Format::Cbor, b"\x82\xf7\xe0"),
    ("negative", Format::Cbor, b"\x82\x3b\xff\xff\xff\xff\xff\xff\xff\xff\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"),
    ("keys", Format::Cbor, b"\x81\xa2\x01\x02\x61k\xf6"),
    ("long-forms", Format::Cbor, b"\x9a\x00\x00\x00\x01\x1b\0\0\0\0\0\0\0\x01"),
    ("extension", Format::MsgPack, b"\x92\xd6\xff\0\0\0\x01\xc7\x01\x05\x00"),
    ("keys", Format::MsgPack, b"\x91\x82\x01\x02\xa1k\xc0"),
    (
        "long-forms",
        Format::MsgPack,
        b"\xdc\0\x03\xcf\0\0\0\0\0\0\0\x01\xd3\xff\xff\xff\xff\xff\xff\xff\xff\xdb\0\0\0\x01a",
    ),
    ("floats", Format::MsgPack, b"\x93\xca\x7f\xc0\0\0\xcb\x7f\xf0\0\0\0\0\0\0\xca\x80\0\0\0"),
    ("numbers", Format::Json, b"[1e0, 1E+2 ,-0,-0.0,18446744073709551616,1e-400,0.1,123456789012345678901234567890]"),
    ("escapes", Format::Json, br#"["\ud83d\ude00\u0000\/\b\f\n\r\t","\u0000","\u0000AA==","\u0000AB=="]"#),
    ("duplicates", Format::Json, br#"[{"k":1,"k":2},{"\u0000":[]}]"#),
];

/// All of them.
pub fn seeds() -> Vec<Seed> {
    let all = [
        ("decode", frames()),
        ("roundtrip", frames()),
        ("transcode", frames()),
        ("websocket", websocket()),
        ("rawsocket", rawsocket()),
        ("server", server()),
    ];
    let seeds = |(target, named): (_, Named)| named.into_iter().map(move |(name, data)| Seed { target, name, data });
    all.into_iter().flat_map(seeds).collect()
}

type Named = Vec<(String, Vec<u8>)>;

fn message(json: &'static str) -> Message {
    decode(Format::Json, Bytes::from_static(json.as_bytes()), &DecodeLimits::default()).expect("a message of the list")
}

fn written(message: &Message, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, format, &mut out).expect("a message of the list can be written");
    out
}

fn selector(format: Format) -> u8 {
    Format::ALL.iter().position(|other| *other == format).expect("one of all") as u8
}

/// Serializer and frame. Each message is there in one serializer: the fuzzer changes the first byte by itself, and the
/// serializers take turns.
fn frames() -> Named {
    let messages = MESSAGES.iter().enumerate().map(|(n, json)| {
        let (message, format) = (message(json), Format::ALL[n % Format::ALL.len()]);
        let name = format!("{:02}-{}-{format:?}", n, message.name()).to_lowercase();
        (name, [&[selector(format)][..], &written(&message, format)].concat())
    });
    let odd = ODD.iter().map(|(name, format, arguments)| {
        let (head, end): (&[u8], &[u8]) = match format {
            Format::Json => (b"[48,1,{},\"p\",", b"]"),
            Format::Cbor => (b"\x85\x18\x30\x01\xa0\x61p", b""),
            _ => (b"\x95\x30\x01\x80\xa1p", b""),
        };
        (format!("{name}-{format:?}").to_lowercase(), [&[selector(*format)][..], head, arguments, end].concat())
    });
    messages.chain(odd).collect()
}

/// Choice of subprotocol and reading, cut, then frames: as a list to be written (0x80 in the choice), or as they are.
fn websocket() -> Named {
    let mut seeds = Vec::new();
    for (n, subprotocol) in Subprotocol::ALL.into_iter().enumerate() {
        let (format, opcode) = (subprotocol.format(), if subprotocol.format() == Format::Json { 1 } else { 2 });
        let payload = |json| {
            let message = written(&message(json), format);
            match (subprotocol.is_batched(), format) {
                (false, _) => message,
                (true, Format::Json) => [&message[..], b"\x1e"].concat(),
                (true, _) => [&(message.len() as u32).to_be_bytes()[..], &message].concat(),
            }
        };
        let short: Vec<_> = ["[17,1,2]", "[35,1]", "[49,1,{\"mode\":\"killnowait\"}]"].map(payload).into();
        let list = |frames: &[(u8, &[u8])]| {
            let frames = frames.iter().flat_map(|(first, payload)| {
                [&[*first, u8::try_from(payload.len()).expect("short")][..], payload].concat()
            });
            [0x80 | n as u8, 5].into_iter().chain(frames).collect::<Vec<u8>>()
        };
        let (head, tail) = short[0].split_at(2);
        let name = subprotocol.token().trim_start_matches("wamp.2.");
        seeds.push((format!("{name}-frames"), list(&[(0x80 | opcode, &short[0]), (0x80 | opcode, &short[1])])));
        seeds.push((
            format!("{name}-fragments"),
            list(&[(opcode, head), (0x89, b"ping"), (0x80, tail), (0x8a, b""), (0x88, b"\x03\xe8bye")]),
        ));
        // A client's frame with a mask of zeros; the other end refuses it for its mask.
        let masked = [&[0x80 | opcode, 0x80 | short[2].len() as u8, 0, 0, 0, 0][..], &short[2]].concat();
        seeds.push((format!("{name}-stream"), [&[n as u8, 0][..], &masked, &masked].concat()));
    }
    let batch = written(&message("[17,1,2]"), Format::Json);
    let batch = [&batch[..], b"\x18", &batch, b"\x18"].concat();
    seeds.push(("json.batched-of-autobahn".to_owned(), [&[0x84, 3, 0x81, batch.len() as u8][..], &batch].concat()));
    seeds
}

fn rawsocket_frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&[kind, length[1], length[2], length[3]][..], payload].concat()
}

/// Cut, then frames.
fn rawsocket() -> Named {
    let frame = |n: usize| rawsocket_frame(0, &written(&message(MESSAGES[n]), Format::Cbor));
    vec![
        ("messages".to_owned(), [&[3][..], &frame(0), &frame(16), &frame(5)].concat()),
        ("pings".to_owned(), [&[0][..], &rawsocket_frame(1, b"are you there"), &rawsocket_frame(2, b"yes")].concat()),
        ("empty".to_owned(), [&[15][..], &rawsocket_frame(0, b""), &frame(8)].concat()),
        ("too-long".to_owned(), [&[7][..], &frame(8), b"\x00\x10\x00\x01", &[0; 50]].concat()),
        ("reserved-type".to_owned(), [&[1][..], &frame(8), &rawsocket_frame(3, b"x")].concat()),
        ("bit-3".to_owned(), [&[1][..], b"\x08\x00\x00\x00"].concat()),
    ]
}

/// Cut, then everything from the first octet on.
fn server() -> Named {
    let mut request = UpgradeRequest::new("localhost:8080", "/ws", Subprotocol::ALL.to_vec());
    request.headers.push(("Origin".to_owned(), "http://localhost:8080".to_owned()));
    let mut websocket = vec![9];
    Client::websocket(request, Pcg::new(1), Instant::ZERO, &mut websocket).expect("a valid request");
    let message = written(&message(MESSAGES[5]), Format::Cbor);
    // The server takes the first subprotocol offered: CBOR, batched.
    websocket.extend([0x82, 0x80 | (4 + message.len()) as u8, 0, 0, 0, 0, 0, 0, 0, message.len() as u8]);
    websocket.extend_from_slice(&message);
    let mut seeds = vec![
        ("websocket".to_owned(), websocket),
        ("get".to_owned(), b"\x05GET /index.html?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("head-folded".to_owned(), b"\x02HEAD / HTTP/1.0\r\nX: a\r\n b\r\n\r\n".to_vec()),
        ("post".to_owned(), b"\x00POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".to_vec()),
        ("rawsocket-unknown-serializer".to_owned(), b"\x00\x7f\xf0\0\0".to_vec()),
        ("rawsocket-reserved".to_owned(), b"\x00\x7f\xf1\0\x01".to_vec()),
    ];
    for format in Format::ALL {
        let mut stream = vec![4];
        Client::<Pcg>::rawsocket(format, RawSocketOptions::default(), Instant::ZERO, &mut stream)
            .expect("has a number");
        stream.extend(rawsocket_frame(0, &written(&self::message(MESSAGES[0]), format)));
        stream.extend(rawsocket_frame(1, b"ping"));
        seeds.push((format!("rawsocket-{format:?}").to_lowercase(), stream));
    }
    seeds
}
