//! Sessions with ordinary rights beside one that sends whatever bytes decide: [`annoy`].
//!
//! The neighbours, one for each serializer and each of two kinds (one has announced everything, one nothing), subscribe to
//! everything, offer procedures, and call those of the stranger. They do as their applications are told: they give back
//! what they are called with, or take their caller's text for the URI of an error. Every message that they are sent must
//! be valid ([`validator`]), and none of their sessions may end.

use crate::config::{ANYTHING, open_realm};
use crate::feed::Feed;
use crate::rng::Pcg;
use crate::sim::BEGINNING;
use crate::validator;
use bytes::Bytes;
use std::collections::VecDeque;
use wampd_core::codec::{DecodeLimits, Format, decode, encode};
use wampd_core::id::RequestId;
use wampd_core::message::*;
use wampd_core::router::{
    CloseReason, Identity, LinkInfo, Output, PeerKey, RequestIdCheck, Router, RouterConfig, Undeliverable,
};
use wampd_core::time::Instant;
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::Value;

/// A value as the stranger writes it.
#[derive(Clone, Debug)]
pub enum Odd {
    /// null
    Null,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// Text, which in JSON may be written as other serializers cannot.
    Text(String),
    /// A list.
    List(Vec<Self>),
    /// A map.
    Map(Vec<(Self, Self)>),
    /// As it is: JSON, or CBOR and MsgPack in hexadecimal digits.
    Raw(&'static str),
}

/// Keys of options, whoever knows them.
const KEYS: &[&str] = &[
    "acknowledge",
    "exclude_me",
    "disclose_me",
    "retain",
    "enc_algo",
    "enc_key",
    "enc_serializer",
    "ppt_scheme",
    "ppt_serializer",
    "ppt_cipher",
    "ppt_keyid",
    "progress",
    "receive_progress",
    "timeout",
    "rkey",
    "nkey",
    "match",
    "invoke",
    "get_retained",
    "mode",
    "concurrency",
    "runmode",
    "eligible",
    "exclude_authid",
    "x_magic",
];

const URIS: &[&str] = &[
    "com.a",
    "com.a.b",
    "com.stranger",
    "com.neighbour0",
    "com.neighbour3",
    "com.neighbour4",
    "not a uri #!",
    "",
    "com.",
    "com..b",
    "com.a\u{1c}b",
    "com.\u{1f}",
    "com.\u{85}",
    "com.\u{feff}x",
    "com.\u{2028}",
    "\0com",
    "\0YWJj",
    "com.é",
    "com.\0a",
    "wamp.session.count",
    "wamp.session.add_testament",
    "wamp.registration.remove_callee",
    "com.a\n",
    "com.UPPER",
];

const TEXTS: &[&str] = &[
    "cryptobox",
    "mqtt",
    "bogus",
    "x_",
    "x_a",
    "x_ab",
    "x_Ab",
    "",
    "json",
    "cbor",
    "exact",
    "prefix",
    "wildcard",
    "kill",
    "skip",
    "wamp",
    "\0abc",
    "\0YWI=",
    "roundrobin",
    "partition",
    "not a uri #!",
];

/// Values that not every receiver can read, or that no receiver may be sent.
fn contents(format: Format) -> &'static [&'static str] {
    match format {
        Format::Json => &[
            r#""\u0000abc""#,
            r#""\u0000YWI=""#,
            r#""\u0000YW\/=""#,
            r#""\u0000YWJ=""#,
            r#""\u0000""#,
            r#""\ud83d""#,
            r#""\ude00\ud83d""#,
            r#"{"\u0000abc":1}"#,
            r#"{"\ud83d":1}"#,
            "1e300",
            "18446744073709551615",
            "-0",
            "1e400",
            "123456789012345678901234567890",
            r#"["\u0000a"]"#,
            r#"{"a":{"b":"\u0000a"}}"#,
        ],
        Format::Cbor => &[
            "c06178",
            "c074323031332d30332d32315432303a30343a30305a",
            "c07432303133aa2d30332d32315432303a30343a3030",
            "c1c101",
            "c101",
            "c1f97e00",
            "c11bffffffffffffffff",
            "c26178",
            "c240",
            "c249010000000000000000",
            "c301",
            "c48101",
            "c4820102",
            "c582c24101c24101",
            "c5820103",
            "c58261780a",
            "d81901",
            "d81d00",
            "d81e820100",
            "d81e820103",
            "d82361 28",
            "d82401",
            "d82550000102030405060708090a0b0c0d0e0f",
            "d82541aa",
            "d9010201",
            "d90104 447f000001",
            "d9010441aa",
            "d9d9f701",
            "a10102",
            "a1f601",
            "a18001",
            "f7",
            "f97e00",
            "fb7ff0000000000000",
            "f97c00",
            "5f4101ff",
            "7f6161ff",
            "9f01ff",
            "bf616101ff",
            "e0",
            "f8ff",
            "3bffffffffffffffff",
            "1bffffffffffffffff",
            "81c06178",
            "a16161c26178",
            "a1c2410101",
            "d901028101",
            "d9d9f7a1616b01",
            "a1c074323031332d30332d32315432303a30343a30305a01",
            "d9ffffc06178",
            "6300616a",
            "6500595749 3d",
        ],
        _ => &[
            "810102",
            "81c001",
            "d6ff00000000",
            "c701ff00",
            "d7ffffffffff00000000",
            "c70cffffffffff0000000000000000",
            "c70005",
            "d40000",
            "d4057a",
            "cb7ff8000000000000",
            "ca7f800000",
            "cfffffffffffffffff",
            "a400616263",
            "a500595749 3d",
            "91c701ff00",
            "81a161c701ff00",
            "8191 01 01",
            "81c4016101",
        ],
    }
}

impl Odd {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    fn write(&self, format: Format, out: &mut Vec<u8>) {
        let long = |codes: [u8; 2], length: usize, out: &mut Vec<u8>| {
            out.push(codes[usize::from(format == Format::MsgPack)]);
            out.extend((length as u16).to_be_bytes());
        };
        match (self, format) {
            (Self::Raw(json), Format::Json) => out.extend_from_slice(json.as_bytes()),
            (Self::Raw(hex), _) => {
                let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
                out.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
            }
            (Self::Null, _) => out.extend_from_slice([&b"null"[..], &[0xf6], &[0xc0]][format as usize]),
            (Self::Bool(b), Format::Json) => out.extend_from_slice(b.to_string().as_bytes()),
            (Self::Bool(b), Format::Cbor) => out.push(0xf4 + u8::from(*b)),
            (Self::Bool(b), _) => out.push(0xc2 + u8::from(*b)),
            (Self::Int(n), Format::Json) => out.extend_from_slice(n.to_string().as_bytes()),
            (Self::Int(n), Format::Cbor) => {
                out.push(if *n < 0 { 0x3b } else { 0x1b });
                out.extend(if *n < 0 { !*n } else { *n }.to_be_bytes());
            }
            (Self::Int(n), _) => {
                out.push(0xd3);
                out.extend(n.to_be_bytes());
            }
            (Self::Text(text), Format::Json) => out.extend(serde_json::to_vec(text).expect("text")),
            (Self::Text(text), _) => {
                long([0x79, 0xda], text.len(), out);
                out.extend_from_slice(text.as_bytes());
            }
            (Self::List(items), _) => {
                match format {
                    Format::Json => out.push(b'['),
                    _ => long([0x99, 0xdc], items.len(), out),
                }
                for (n, item) in items.iter().enumerate() {
                    if format == Format::Json && n > 0 {
                        out.push(b',');
                    }
                    item.write(format, out);
                }
                if format == Format::Json {
                    out.push(b']');
                }
            }
            (Self::Map(entries), _) => {
                match format {
                    Format::Json => out.push(b'{'),
                    _ => long([0xb9, 0xde], entries.len(), out),
                }
                for (n, (key, value)) in entries.iter().enumerate() {
                    if format == Format::Json && n > 0 {
                        out.push(b',');
                    }
                    key.write(format, out);
                    if format == Format::Json {
                        out.push(b':');
                    }
                    value.write(format, out);
                }
                if format == Format::Json {
                    out.push(b'}');
                }
            }
        }
    }
}

/// A session of the street.
struct Neighbour {
    key: PeerKey,
    format: Format,
    roles: ClientRoles,
    next_request: u64,
    /// Invocations that it has not answered; the neighbours answer at once.
    invocations: Vec<u64>,
    subscriptions: Vec<u64>,
    registrations: Vec<u64>,
}

/// The router, the neighbours, and the stranger, who comes last.
pub struct Street {
    router: Router,
    neighbours: Vec<Neighbour>,
    stranger: Option<Neighbour>,
    /// Messages that neighbours are about to send.
    due: VecDeque<(usize, Message)>,
    /// What the stranger was sent.
    pub told: Vec<Message>,
    /// How the stranger's sessions ended.
    pub closed: Vec<CloseReason>,
    /// How many messages neighbours were sent.
    pub heard: usize,
}

const EVERYTHING: usize = 1;

fn announcing(all: bool) -> ClientRoles {
    let features = Features::ALL.iter().fold(Features::NONE, |set, (feature, _)| set | *feature);
    let role = Some(if all { features } else { Features::NONE });
    ClientRoles { publisher: role, subscriber: role, caller: role, callee: role }
}

impl Street {
    /// Six neighbours have moved in.
    ///
    /// # Panics
    /// They could not.
    pub fn new() -> Self {
        let mut config: RouterConfig = open_realm();
        for realm in &mut config.realms {
            realm.request_ids = RequestIdCheck::Warn;
        }
        let router = Router::new(config, Instant::ZERO, BEGINNING, Box::new(Pcg::new(1)));
        let mut street = Self {
            router,
            neighbours: Vec::new(),
            stranger: None,
            due: VecDeque::new(),
            told: Vec::new(),
            closed: Vec::new(),
            heard: 0,
        };
        for n in 0..2 * Format::ALL.len() {
            let neighbour = street.join(Format::ALL[n / 2], announcing(n % 2 == EVERYTHING));
            street.neighbours.push(neighbour);
            street.drain();
            let uri = |text: String| Uri::from(text);
            for (topic, matching) in [("com.a", MatchPolicy::Exact), ("", MatchPolicy::Prefix)] {
                let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
                street.ask(n, |request| Subscribe { request, options, topic: Uri::from(topic) }.into());
            }
            for (name, matching) in [("com.neighbour", MatchPolicy::Exact), ("com.pattern", MatchPolicy::Prefix)] {
                let options = RegisterOptions { matching, ..RegisterOptions::default() };
                street.ask(n, |request| Register { request, options, procedure: uri(format!("{name}{n}")) }.into());
            }
            street.settle();
        }
        assert!(street.heard >= 30, "they were told of what they asked for");
        street
    }

    fn join(&mut self, format: Format, roles: ClientRoles) -> Neighbour {
        let identity = Identity {
            realm: crate::answerer::REALM,
            authid: "someone".to_owned(),
            authrole: ANYTHING.to_owned(),
            ..Identity::default()
        };
        let link = LinkInfo { privileged: Some(identity), ..LinkInfo::default() };
        let key = self.router.open(Instant::ZERO, link).expect("room enough");
        let details = HelloDetails { roles, ..HelloDetails::default() };
        self.router.receive(Instant::ZERO, key, Hello { realm: Some(crate::answerer::REALM), details }.into());
        let (invocations, subscriptions, registrations) = Default::default();
        Neighbour { key, format, roles, next_request: 1, invocations, subscriptions, registrations }
    }

    /// The stranger moves in: with a serializer, and with all features or none.
    pub fn stranger(&mut self, format: Format, all: bool) {
        self.stranger = Some(self.join(format, announcing(all)));
        self.settle();
    }

    fn ask(&mut self, n: usize, request: impl FnOnce(RequestId) -> Message) {
        let id = RequestId::new(self.neighbours[n].next_request).expect("small");
        self.neighbours[n].next_request += 1;
        self.due.push_back((n, request(id)));
    }

    /// The stranger sends a message, if it is there still; the neighbours do as they do.
    ///
    /// # Panics
    /// A neighbour was sent what is not valid, or its session ended.
    pub fn send(&mut self, message: &Odd) {
        let Some(stranger) = &self.stranger else { return };
        let (key, format) = (stranger.key, stranger.format);
        let mut frame = Vec::new();
        message.write(format, &mut frame);
        self.receive(key, format, frame);
        self.settle();
    }

    fn receive(&mut self, key: PeerKey, format: Format, frame: Vec<u8>) {
        match decode(format, Bytes::from(frame), &DecodeLimits::default()) {
            Ok(message) => self.router.receive(Instant::ZERO, key, message),
            Err(error) => self.router.receive_invalid(Instant::ZERO, key, error),
        }
        self.drain();
    }

    fn settle(&mut self) {
        self.drain();
        while let Some((n, message)) = self.due.pop_front() {
            let Neighbour { key, format, .. } = self.neighbours[n];
            let mut frame = Vec::new();
            // What its serializer cannot carry it cannot give back.
            if encode(&message, format, &mut frame).is_ok() {
                self.receive(key, format, frame);
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Send { to, message } => {
                    for &key in to.as_slice() {
                        self.deliver(key, &message);
                    }
                }
                Output::Close { peer, reason } => {
                    assert!(self.neighbours.iter().all(|n| n.key != peer), "a neighbour's session ended: {reason:?}");
                    self.stranger = None;
                    self.closed.push(reason);
                }
                Output::InputReady(_) | Output::ProgressUnannounced(_) => {}
                other => panic!("nobody is asked about: {other:?}"),
            }
        }
        self.router.check_invariants();
    }

    fn deliver(&mut self, key: PeerKey, message: &Message) {
        let n = self.neighbours.iter().position(|neighbour| neighbour.key == key);
        let format = match (n, &self.stranger) {
            (Some(n), _) => self.neighbours[n].format,
            (None, Some(stranger)) => stranger.format,
            // The WELCOME of whoever moves in is of no interest.
            (None, None) => return,
        };
        let mut frame = Vec::new();
        if let Err(why) = encode(message, format, &mut frame) {
            let why = Undeliverable::Transcode(why);
            return self.router.undeliverable(Instant::ZERO, key, message.clone(), &why);
        }
        let Some(n) = n else {
            self.told.push(message.clone());
            return self.learn(message);
        };
        self.heard += 1;
        if let Err(why) = validator::check(format, &frame, &self.neighbours[n].roles) {
            panic!("not valid in {format:?}: {why}: {message:?}, that is {}", String::from_utf8_lossy(&frame));
        }
        assert!(!matches!(message, Message::Goodbye(_) | Message::Abort(_)), "a neighbour is sent {message:?}");
        if let Message::Invocation(_) = message {
            // As it has read it.
            let read = decode(format, Bytes::from(frame), &DecodeLimits::default());
            let Ok(Message::Invocation(invocation)) = read else { panic!("{read:?}") };
            let answer = answer(invocation, self.heard);
            self.due.push_back((n, answer));
        }
    }

    /// What the stranger learns from what it is sent.
    fn learn(&mut self, message: &Message) {
        let Some(stranger) = &mut self.stranger else { return };
        match message {
            Message::Invocation(invocation) => stranger.invocations.push(invocation.request.get()),
            Message::Subscribed(subscribed) => stranger.subscriptions.push(subscribed.subscription.get()),
            Message::Registered(registered) => {
                stranger.registrations.push(registered.registration.get());
                for n in 0..self.neighbours.len() {
                    let options = CallOptions { receive_progress: n % 2 == EVERYTHING, ..CallOptions::default() };
                    let (procedure, payload) = (Uri::from("com.stranger"), Payload::from_args([Value::from(1)]));
                    self.ask(n, |request| Call { request, options, procedure, payload }.into());
                }
            }
            _ => {}
        }
    }
}

impl Default for Street {
    fn default() -> Self {
        Self::new()
    }
}

/// What a neighbour's application answers: what it was called with, or an error that its caller names.
fn answer(invocation: Invocation, n: usize) -> Message {
    let Invocation { request, details, payload, .. } = invocation;
    let named = payload.values().ok().and_then(|(args, _)| args.first().and_then(Value::as_str).map(str::to_owned));
    match named.filter(|_| n.is_multiple_of(2)) {
        Some(error) => {
            let request_type = RequestType::Invocation;
            Error {
                request_type,
                request,
                pass_thru: None,
                details: Default::default(),
                error: Uri::from(error),
                payload: Payload::empty(),
            }
            .into()
        }
        None => {
            let options = YieldOptions { pass_thru: details.pass_thru, ..YieldOptions::default() };
            Yield { request, options, payload }.into()
        }
    }
}

/// A street on which the stranger does what the bytes decide; whenever its session ends, it comes back as somebody else.
///
/// # Panics
/// A neighbour was sent what is not valid, or its session ended.
pub fn annoy(data: &[u8]) -> Street {
    let mut feed = Feed::new(data);
    let mut street = Street::new();
    while !feed.is_empty() {
        if street.stranger.is_none() {
            let choice = feed.byte();
            street.stranger(Format::ALL[usize::from(choice) % 3], choice & 0x80 == 0);
        }
        let Some(stranger) = &mut street.stranger else { return street };
        let message = message(&mut feed, stranger);
        street.send(&message);
    }
    street
}

/// A message of the right form, in which some things are odd.
fn message(feed: &mut Feed<'_>, stranger: &mut Neighbour) -> Odd {
    let format = stranger.format;
    let request = Odd::Int(stranger.next_request as i64);
    let held = |ids: &[u64], feed: &mut Feed<'_>| Odd::Int(if ids.is_empty() { 1 } else { feed.pick(ids) } as i64);
    let kind = feed.below(16);
    if !matches!(kind, 10..=14) {
        stranger.next_request += 1;
    }
    let mut elements = match kind {
        0..=2 => vec![Odd::Int(16), request, options(feed, format), uri(feed)],
        3..=5 => vec![Odd::Int(48), request, options(feed, format), uri(feed)],
        6 => return Odd::List(vec![Odd::Int(32), request, options(feed, format), uri(feed)]),
        7 => return Odd::List(vec![Odd::Int(64), request, options(feed, format), uri(feed)]),
        8 => return Odd::List(vec![Odd::Int(66), request, held(&stranger.registrations, feed)]),
        9 => {
            let options = Odd::Map(Vec::new());
            return Odd::List(vec![Odd::Int(64), request, options, Odd::text("com.stranger")]);
        }
        10 | 11 => {
            let invocation = held(&stranger.invocations, feed);
            vec![Odd::Int(70), invocation, options(feed, format)]
        }
        12 | 13 => {
            let invocation = held(&stranger.invocations, feed);
            vec![Odd::Int(8), Odd::Int(68), invocation, options(feed, format), uri(feed)]
        }
        14 => return Odd::List(vec![Odd::Int(49), Odd::Int(i64::from(feed.byte())), options(feed, format)]),
        _ => {
            let arguments = feed.list(3, |feed| value(feed, format));
            let keywords = Odd::Map(vec![
                (Odd::text("reason"), Odd::text(feed.pick(URIS))),
                (Odd::text("publish_options"), options(feed, format)),
            ]);
            let procedure = Odd::text(feed.pick(&URIS[19..22]));
            vec![Odd::Int(48), request, Odd::Map(Vec::new()), procedure, Odd::List(arguments), keywords]
        }
    };
    if kind < 15 {
        match feed.below(8) {
            0 => {}
            1 => elements.push(value(feed, format)),
            2..=5 => elements.push(Odd::List(vec![value(feed, format)])),
            6 => {
                elements.push(Odd::Null);
                elements.push(Odd::Map(vec![(Odd::text("k"), value(feed, format))]));
            }
            _ => {
                elements.push(Odd::List(Vec::new()));
                let key = match (format, feed.below(3)) {
                    (Format::Json, _) | (_, 0) => Odd::text("k"),
                    (_, 1) => Odd::Int(1),
                    _ => value(feed, format),
                };
                elements.push(Odd::Map(vec![(key, value(feed, format))]));
            }
        }
    }
    Odd::List(elements)
}

fn uri(feed: &mut Feed<'_>) -> Odd {
    let which = feed.below(2 * URIS.len() as u64) as usize;
    Odd::text(URIS.get(which).unwrap_or(&URIS[which % 6]))
}

fn options(feed: &mut Feed<'_>, format: Format) -> Odd {
    let count = [0, 0, 1, 2][feed.below(4) as usize];
    let entries = (0..count).map(|_| (Odd::text(feed.pick(KEYS)), value(feed, format)));
    Odd::Map(entries.collect())
}

fn value(feed: &mut Feed<'_>, format: Format) -> Odd {
    match feed.below(8) {
        0 => Odd::Null,
        1 => Odd::Bool(feed.byte() & 1 == 0),
        2 => Odd::Int(feed.pick(&[0, 1, -1, 1 << 53, i64::MAX, i64::MIN])),
        3 => Odd::text(feed.pick(TEXTS)),
        4 => Odd::text(feed.pick(URIS)),
        5 | 6 => Odd::Raw(feed.pick(contents(format))),
        _ => Odd::List(vec![Odd::Raw(feed.pick(contents(format)))]),
    }
}
