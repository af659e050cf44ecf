//! What the fuzzer starts from: the project's own messages, in every serializer and framing.
//!
//! `cargo run --manifest-path fuzz/Cargo.toml --no-default-features --example seeds` writes them to `corpus`, beside
//! what fuzzing has found.

use bytes::Bytes;
use wampd_core::codec::{DecodeLimits, Format, decode, encode};
use wampd_core::message::Message;
use wampd_core::time::Instant;
use wampd_tests::meta::PROCEDURES;
use wampd_tests::ops::{Kind, Op};
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
    r#"[50,1,{"progress":true},["\u0000AAEC/w==","\u0000"],{"":""}]"#,
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
    ("scalar-keys", Format::Cbor, b"\x81\xa4\x20\xf5\xf6\xf4\xfb\x3f\xf8\0\0\0\0\0\0\x01\xc2\x49\x01\0\0\0\0\0\0\0\0\x02"),
    ("other-keys", Format::Cbor, b"\x82\xa1\x41a\x01\xa2\xe0\x01\x80\x02"),
    ("times", Format::Cbor, b"\x82\xc0\x742013-03-21T20:04:00Z\xc1\xfb\x41\xd4\xdc\x93\x80\x07\xdf\x3b"),
    ("integers", Format::Cbor, b"\x84\xc3\x41\x00\xc2\x49\x01\0\0\0\0\0\0\0\0\x3b\xff\xff\xff\xff\xff\xff\xff\xff\xf8\x20"),
    ("long-forms", Format::Cbor, b"\x9a\x00\x00\x00\x01\x1b\0\0\0\0\0\0\0\x01"),
    ("extension", Format::MsgPack, b"\x92\xd6\xff\0\0\0\x01\xc7\x01\x05\x00"),
    ("keys", Format::MsgPack, b"\x91\x82\x01\x02\xa1k\xc0"),
    ("other-keys", Format::MsgPack, b"\x92\x81\xc4\x01a\x01\x81\x90\xc7\x0c\xff\0\0\0\x01\x7f\xff\xff\xff\xff\xff\xff\xff"),
    (
        "long-forms",
        Format::MsgPack,
        b"\xdc\0\x03\xcf\0\0\0\0\0\0\0\x01\xd3\xff\xff\xff\xff\xff\xff\xff\xff\xdb\0\0\0\x01a",
    ),
    ("floats", Format::MsgPack, b"\x93\xca\x7f\xc0\0\0\xcb\x7f\xf0\0\0\0\0\0\0\xca\x80\0\0\0"),
    ("numbers", Format::Json, b"[1e0, 1E+2 ,-0,-0.0,18446744073709551616,1e-400,0.1,123456789012345678901234567890,-9223372036854775809,1E400]"),
    ("escapes", Format::Json, br#"["\ud83d\ude00\u0000\/\b\f\n\r\t","\u0000","\u0000AA==","\u0000AB=="]"#),
    ("duplicates", Format::Json, br#"[{"k":1,"k":2},{"\u0000":[]}]"#),
];

/// All of them.
pub fn seeds() -> Vec<Seed> {
    let all = [
        ("decode", frames()),
        ("roundtrip", frames()),
        ("transcode", frames()),
        ("handshake", handshake()),
        ("router_ops", router_ops()),
        ("model", router_ops()),
        ("neighbours", neighbours()),
        ("websocket", websocket()),
        ("rawsocket", rawsocket()),
        ("server", server()),
        ("proxy", proxy()),
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

/// Which of the two, then what [`wampd_tests::handshake`] reads: short ones that come to something.
fn handshake() -> Named {
    // Seed, link; one client with a proof; one ruling: when, what.
    let agreement = |proof, when, what, fates: &[u8]| [&[0, 7, 0, 0, proof, 0, when, what][..], fates].concat();
    let confusion = |when, what, acts: &[u8]| [&[1, 7, 1, 0, when, what][..], acts].concat();
    let mut seeds = vec![
        ("anonymous".to_owned(), agreement(0, 0, 0, &[])),
        ("denied".to_owned(), agreement(0, 0, 3, &[])),
        ("cra".to_owned(), agreement(3, 0, 4, &[])),
        ("cra-wrong".to_owned(), agreement(4, 0, 4, &[])),
        ("cra-salted".to_owned(), agreement(3, 0, 5, &[])),
        ("ticket-cut-and-again".to_owned(), agreement(1, 0, 6, &[1, 0, 1, 0, 0, 2, 0, 9, 0, 3])),
        ("riddle".to_owned(), agreement(5, 0, 7, &[])),
        ("silence".to_owned(), agreement(0, 5, 0, &[])),
        ("hello".to_owned(), confusion(0, 0, &[0, 0])),
        ("hello-twice".to_owned(), confusion(0, 0, &[0, 0, 0, 0])),
        ("answer-twice".to_owned(), confusion(0, 4, &[0, 0, 9, 2, 0, 50, 4, 4])),
        ("garbage".to_owned(), confusion(0, 0, &[0, 0, 8])),
        ("too-early".to_owned(), confusion(5, 0, &[7, 2, 0, 0])),
    ];
    let mut rng = Pcg::new(1);
    seeds.extend((0..6).map(|n| {
        let bytes = (0..40).map(|_| rng.below(256) as u8).collect();
        (format!("random-{n}"), bytes)
    }));
    seeds
}

/// What a stranger does: bytes at random, which make messages of every kind.
fn neighbours() -> Named {
    let mut rng = Pcg::new(2);
    let mut bytes = |count: usize| (0..count).map(|_| rng.below(256) as u8).collect();
    (0..8).map(|n| (format!("random-{n}"), bytes(200))).collect()
}

/// Configuration, then operations.
fn router_ops() -> Named {
    use Kind::*;
    // `how` of Join: two roles that may do everything, of which the second announces call_canceling and progress.
    const ANY: u8 = 0;
    const ABLE: u8 = 0x20;
    const ASKED: u8 = 4;
    // Places in the list of procedures of the meta API.
    let place = |name| PROCEDURES.iter().position(|procedure| *procedure == name).expect("a procedure") as u8;
    let [add_testament, get_events] = ["wamp.session.add_testament", "wamp.subscription.get_events"].map(place);
    let script = |choice: u8, ops: &[(Kind, u8, u8, u8)]| {
        let ops = ops.iter().flat_map(|&(kind, who, what, how)| Op::new(kind, who, what, how).bytes());
        [choice].into_iter().chain(ops).collect::<Vec<u8>>()
    };
    let pair = [(Join, 0, 0, ANY), (Join, 1, 0, ABLE)];
    let with = |choice, ops: &[(Kind, u8, u8, u8)]| script(choice, &[&pair[..], ops].concat());
    let call = [(Register, 1, 0, 0), (Call, 0, 0, 1)];
    [
        ("call", with(1, &[call[0], call[1], (Yield, 1, 0, 1), (Yield, 1, 0, 0)])),
        ("call-error", with(1, &[call[0], call[1], (Error, 1, 0, 0)])),
        ("call-cancel-kill", with(1, &[call[0], call[1], (Cancel, 0, 0, 2), (Error, 1, 0, 0), (Yield, 1, 0, 0xf0)])),
        ("call-cancel-skip", with(1, &[call[0], call[1], (Cancel, 0, 0, 1), (Yield, 1, 0, 0)])),
        ("call-timeout", with(1, &[call[0], (Call, 0, 0, 0x12), (Wait, 0, 0, 3), (Yield, 1, 0, 0)])),
        ("callee-gone", with(0, &[call[0], call[1], (Cut, 1, 0, 0)])),
        ("caller-gone", with(0, &[call[0], call[1], (Goodbye, 0, 0, 0), (Yield, 1, 0, 0)])),
        ("call-itself", with(1, &[(Register, 0, 0, 0), (Call, 0, 0, 0), (Yield, 0, 0, 0)])),
        ("call-undeliverable", with(1, &[(Unable, 1, 0, 1), call[0], call[1], (Unable, 0, 0, 1), (Call, 0, 0, 0)])),
        (
            "shared",
            with(1, &[(Register, 0, 0, 15), (Register, 1, 0, 15), call[1], call[1], call[1], (Unregister, 1, 0, 0)]),
        ),
        ("patterns", with(1, &[(Register, 1, 4, 1), (Register, 1, 5, 2), (Call, 0, 1, 0), (Call, 0, 0, 0)])),
        ("publish", with(1, &[(Subscribe, 1, 0, 0), (Subscribe, 1, 4, 1), (Publish, 0, 0, 1), (Unsubscribe, 1, 0, 0)])),
        (
            "audience",
            with(1, &[(Subscribe, 0, 0, 0), (Subscribe, 1, 0, 0), (Publish, 0, 0, 0x2a), (Publish, 1, 0, 0x10)]),
        ),
        (
            "asked",
            script(
                1,
                &[
                    (Join, 2, 0, ASKED),
                    (Subscribe, 2, 0, 0),
                    (Publish, 2, 0, 1),
                    (Call, 2, 0, 0),
                    (DecideAction, 0, 0, 8),
                    (DecideAction, 0, 0, 2),
                    (Permit, 0, 0, 1),
                    (Wait, 0, 0, 5),
                ],
            ),
        ),
        (
            "asked-cancel",
            script(1, &[(Join, 2, 0, ASKED), (Call, 2, 0, 0), (Call, 2, 0, 0), (Cancel, 2, 1, 0), (Cancel, 2, 0, 0)]),
        ),
        (
            "handshake",
            script(
                2,
                &[
                    (Open, 0, 0, 0),
                    (Hello, 0, 0, 0),
                    (Decide, 0, 0, 4),
                    (Authenticate, 0, 0, 0),
                    (Open, 1, 0, 0),
                    (Open, 2, 0, 0),
                    (Open, 3, 0, 0),
                    (Stale, 1, 0, 0),
                    (Hello, 2, 0, 0),
                    (Decide, 0, 1, 7),
                    (Authenticate, 2, 0, 1),
                ],
            ),
        ),
        (
            "narrow",
            with(
                3,
                &[
                    (Subscribe, 0, 5, 2),
                    (Subscribe, 0, 6, 2),
                    (Subscribe, 1, 0, 0),
                    (Subscribe, 1, 1, 0),
                    (Subscribe, 1, 11, 0),
                ],
            ),
        ),
        ("kill", with(1, &[call[0], call[1], (Kill, 1, 0, 0), (Garble, 1, 0, 0), (Goodbye, 1, 0, 0)])),
        (
            "parts",
            script(
                1,
                &[
                    (Join, 0, 0, ABLE),
                    (Join, 1, 0, ABLE),
                    (Register, 1, 0, 3),
                    (Call, 0, 0x10, 1),
                    (Continue, 0, 0, 1),
                    (Yield, 1, 0, 1),
                    (Continue, 0, 0, 0),
                    (Yield, 1, 0, 0),
                ],
            ),
        ),
        (
            "reroute",
            with(1, &[(Register, 0, 0, 0), (Register, 1, 0, 0), (Call, 0, 0, 0), (Error, 0, 0, 1), (Error, 1, 0, 1)]),
        ),
        (
            "queue",
            with(1, &[(Register, 1, 0, 18), (Call, 0, 0, 0), (Call, 0, 0, 0), (Yield, 1, 0, 0), (Yield, 1, 0, 0)]),
        ),
        (
            "retained",
            with(1, &[(Publish, 0, 0x10, 1), (Publish, 0, 0x11, 1), (Subscribe, 1, 0x14, 1), (Subscribe, 1, 0x10, 0)]),
        ),
        (
            "sharded",
            with(1, &[(Subscribe, 0, 0x20, 0), (Subscribe, 1, 0x60, 0), (Publish, 1, 0x20, 6), (Publish, 1, 0xa0, 6)]),
        ),
        (
            "meta",
            script(
                1,
                &[
                    (Join, 0, 0, 6),
                    (Join, 1, 0, ABLE),
                    (Subscribe, 0, 13, 1),
                    (Register, 1, 0, 0),
                    (Meta, 0, 0, 0),
                    (Meta, 0, 3, 9),
                    (Cut, 1, 0, 0),
                ],
            ),
        ),
        (
            "passthru",
            with(1, &[(Register, 1, 0, 0), (Call, 1, 0x80, 0), (Yield, 1, 0, 0), (Call, 1, 0xc0, 0), (Yield, 1, 0, 0)]),
        ),
        (
            "throttled",
            with(
                5,
                &[(Subscribe, 0, 0, 0), (Congest, 0, 0, 1), (Publish, 1, 0, 1), (Publish, 1, 0, 1), (Wait, 0, 0, 7)],
            ),
        ),
        (
            "history",
            script(
                1,
                &[
                    (Join, 0, 0, 6),
                    (Publish, 0, 0, 1),
                    (Publish, 0, 1, 1),
                    (Subscribe, 0, 4, 1),
                    (Subscribe, 0, 0, 0),
                    (Meta, 0, get_events, 3),
                ],
            ),
        ),
        (
            "testament",
            script(
                1,
                &[
                    (Join, 0, 0, 6),
                    (Join, 1, 0, ABLE),
                    (Subscribe, 1, 0, 0),
                    (Meta, 0, add_testament, 7),
                    (Cut, 0, 0, 0),
                ],
            ),
        ),
        (
            "killed-while-held",
            script(
                3,
                &[
                    (Join, 2, 0, ASKED),
                    (Subscribe, 2, 0, 0),
                    (Subscribe, 2, 1, 0),
                    (Subscribe, 2, 2, 0),
                    (Kill, 2, 0, 0),
                    (Goodbye, 2, 0, 0),
                ],
            ),
        ),
        ("odd", with(1, &[(Odd, 0, 4, 0), (Odd, 1, 6, 0)])),
        ("shut-down", with(1, &[call[0], call[1], (Open, 3, 0, 0), (ShutDown, 0, 0, 0), (Goodbye, 0, 0, 0)])),
        ("congested", with(1, &[call[0], (Congest, 1, 0, 1), call[1], (Congest, 1, 0, 2)])),
    ]
    .map(|(name, data)| (name.to_owned(), data))
    .into()
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

/// What it is, then a header of the PROXY protocol, or the lines of an HTTP header.
fn proxy() -> Named {
    let v2 = |command: u8, family: u8, further: &[u8]| {
        let length = (further.len() as u16).to_be_bytes();
        [b"\0\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, further].concat()
    };
    let list = |choice: u8, lines: &str| [&[choice], lines.as_bytes()].concat();
    [
        ("v1-tcp4", b"\0PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nGET".to_vec()),
        ("v1-tcp6", b"\0PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 1 65535\r\n".to_vec()),
        ("v1-unknown", b"\0PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec()),
        ("v2-local", v2(0x20, 0x00, b"")),
        (
            "v2-tcp4",
            v2(0x21, 0x11, &[&[192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 0x01, 0xbb][..], b"\x04\0\x01x"].concat()),
        ),
        ("v2-tcp6", v2(0x21, 0x21, &[0x20; 36])),
        ("v2-unix", v2(0x21, 0x31, &[b'/'; 216])),
        ("list", list(2, "198.51.100.1, \"[2001:db8::1]:80\"\n192.0.2.1:4711, 10.0.0.1\n unknown:_p ,_x")),
        (
            "forwarded",
            list(3, "for=192.0.2.1;proto=http;by=\"_p\", For=\"[fd00::1]:80\"\nfor=\"10.0.0.1\\\";\" ;host=a:1"),
        ),
        ("forwarded-open", list(3, "for=198.51.100.1;x=\", for=192.0.2.1;proto=\"https\"")),
    ]
    .map(|(name, data)| (name.to_owned(), data))
    .into()
}
