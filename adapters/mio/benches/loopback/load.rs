//! Load on a router: calls, publications, joins, idle sessions. Every answer is checked.

use std::{collections::BTreeMap, net::SocketAddr};

use bytes::BytesMut;
use wampd_core::{
    auth::cra,
    codec::{DecodeLimits, Format, decode, encode},
    id::RequestId,
    message::{
        Authenticate, Call, CallOptions, ClientRoles, Features, Goodbye, Hello, HelloDetails, Message, Payload,
        Publish, PublishOptions, Register, RegisterOptions, Subscribe, SubscribeOptions, Yield, YieldOptions,
    },
    time::Instant,
    uri::{Uri, close},
    value::Value,
};
use wampd_wire::{Client, CloseCode, Incoming, RawSocketOptions, Subprotocol, UpgradeRequest};

use crate::{
    Meter,
    process::Process,
    rng::TestRng,
    sockets::{Happened, Sockets},
};

const PROCEDURE: Uri = Uri::from_static("com.example.echo");
const TOPIC: Uri = Uri::from_static("com.example.topic");
const NOW: Instant = Instant::ZERO;

/// How the load speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket(Format),
    RawSocket(Format),
}

impl Transport {
    const fn format(self) -> Format {
        match self {
            Self::WebSocket(format) | Self::RawSocket(format) => format,
        }
    }
}

/// Something that came for the load.
enum Got {
    Open,
    Message(Box<Message>),
    Closed,
}

struct Load {
    router: SocketAddr,
    transport: Transport,
    sockets: Sockets,
    clients: BTreeMap<usize, Client<TestRng>>,
    got: Vec<(usize, Got)>,
}

impl Load {
    fn new(transport: Transport, router: &Process) -> Self {
        Self { router: router.address, transport, sockets: Sockets::new(), clients: BTreeMap::new(), got: Vec::new() }
    }

    fn open(&mut self) -> usize {
        let id = self.sockets.connect(self.router);
        let (open_by, out) = (Instant::from_micros(u64::MAX), self.sockets.out(id));
        let client = match self.transport {
            Transport::WebSocket(format) => {
                let subprotocol = match format {
                    Format::Cbor => Subprotocol::Cbor,
                    Format::MsgPack => Subprotocol::MsgPack,
                    _ => Subprotocol::Json,
                };
                let request = UpgradeRequest::new("localhost", "/ws", vec![subprotocol]);
                Client::websocket(request, TestRng(id as u64), open_by, out).expect("a valid request")
            }
            Transport::RawSocket(format) => {
                Client::rawsocket(format, RawSocketOptions::default(), open_by, out).expect("a known serializer")
            }
        };
        self.clients.insert(id, client);
        id
    }

    fn send(&mut self, id: usize, message: impl Into<Message>) {
        let client = self.clients.get_mut(&id).expect("an open connection");
        let out = self.sockets.out(id);
        let frame = client.begin_frame(out, 126).expect("an open connection");
        encode(&message.into(), self.transport.format(), out).expect("encode");
        client.finish_frame(out, frame).expect("not too long");
    }

    /// What has come since; fails after a second of silence.
    fn turn(&mut self) -> Vec<(usize, Got)> {
        let Self { sockets, clients, got, transport, .. } = self;
        let mut replies = Vec::new();
        let alive = sockets.turn(|id, happened| {
            let client = clients.get_mut(&id).expect("an open connection");
            let Happened::Received(bytes) = happened else {
                clients.remove(&id);
                return got.push((id, Got::Closed));
            };
            let (mut input, mut reply) = (BytesMut::from(bytes), Vec::new());
            while let Some(incoming) = client.next(NOW, &mut input, &mut reply).expect("the router obeys") {
                match incoming {
                    Incoming::Message(frame) => {
                        let message = decode(transport.format(), frame, &DecodeLimits::default()).expect("a message");
                        got.push((id, Got::Message(Box::new(message))));
                    }
                    Incoming::Open(_) => got.push((id, Got::Open)),
                    _ => {}
                }
            }
            replies.push((id, reply));
        });
        assert!(alive, "an answer was lost");
        for (id, reply) in replies {
            if !reply.is_empty() {
                self.sockets.out(id).extend_from_slice(&reply);
            }
        }
        std::mem::take(&mut self.got)
    }

    /// Opens sessions, some at a time.
    fn join(&mut self, count: usize) -> Vec<usize> {
        let mut joined = Vec::new();
        let mut opened = 0;
        while joined.len() < count {
            while opened < count && opened - joined.len() < 64 {
                self.open();
                opened += 1;
            }
            for (id, got) in self.turn() {
                match got {
                    Got::Open => self.send(id, hello(false)),
                    Got::Message(message) if matches!(*message, Message::Welcome(_)) => joined.push(id),
                    Got::Message(other) => panic!("{other:?}"),
                    Got::Closed => panic!("the router has closed a connection"),
                }
            }
        }
        joined
    }

    /// The one message that comes next.
    fn answer(&mut self) -> Message {
        loop {
            if let Some((_, Got::Message(message))) = self.turn().pop() {
                return *message;
            }
        }
    }
}

fn start_router() -> Process {
    Process::start(&["--router"])
}

fn hello(authenticated: bool) -> Hello {
    let features = Some(Features::default());
    let roles = ClientRoles { publisher: features, subscriber: features, caller: features, callee: features };
    let authmethods = vec![if authenticated { "wampcra" } else { "anonymous" }.to_owned()];
    let authid = authenticated.then(|| crate::USER.to_owned());
    let details = HelloDetails { roles, authmethods, authid, ..HelloDetails::default() };
    Hello { realm: Some("realm1".into()), details }
}

fn payload(len: usize) -> Payload {
    Payload::from_args([Value::from("x".repeat(len))])
}

/// Calls of one callee.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rpc {
    pub(crate) transport: Transport,
    pub(crate) callers: usize,
    /// Calls of each caller at a time.
    pub(crate) inflight: usize,
    /// Length of the one argument in bytes.
    pub(crate) len: usize,
    /// Sessions that do nothing meanwhile.
    pub(crate) idle: usize,
}

pub(crate) fn rpc(Rpc { transport, callers, inflight, len, idle }: Rpc, meter: &Meter) -> f64 {
    let router = start_router();
    let mut load = Load::new(transport, &router);
    load.join(idle);
    let sessions = load.join(callers + 1);
    let (&callee, callers) = sessions.split_first().expect("at least the callee");
    load.send(
        callee,
        Register { request: RequestId::FIRST, options: RegisterOptions::default(), procedure: PROCEDURE },
    );
    assert!(matches!(load.answer(), Message::Registered(_)));
    let payload = payload(len);
    let call =
        |request| Call { request, options: CallOptions::default(), procedure: PROCEDURE, payload: payload.clone() };
    let mut next: BTreeMap<usize, RequestId> = BTreeMap::new();
    for &caller in callers {
        let mut request = RequestId::FIRST;
        for _ in 0..inflight {
            load.send(caller, call(request));
            request = request.next();
        }
        next.insert(caller, request);
    }
    meter.run(&router, |done| {
        for (id, got) in load.turn() {
            let Got::Message(message) = got else { panic!("the router has closed a connection") };
            match *message {
                Message::Invocation(invocation) => {
                    let (request, payload) = (invocation.request, invocation.payload);
                    load.send(id, Yield { request, options: YieldOptions::default(), payload });
                }
                Message::Result(result) => {
                    assert_eq!(result.payload.raw_len(), raw_len(len, transport), "not what was sent");
                    *done += 1;
                    let request = next.get_mut(&id).expect("a caller");
                    let this = *request;
                    *request = request.next();
                    load.send(id, call(this));
                }
                other => panic!("{other:?}"),
            }
        }
    })
}

/// How long the payload of one text is on the wire.
fn raw_len(len: usize, transport: Transport) -> usize {
    let mut out = Vec::new();
    let empty = |out: &mut Vec<u8>, payload| {
        let message = Message::from(Yield { request: RequestId::FIRST, options: YieldOptions::default(), payload });
        encode(&message, transport.format(), out).expect("encode");
        std::mem::take(out).len()
    };
    empty(&mut out, payload(len)) - empty(&mut out, Payload::empty()) - usize::from(transport.format() == Format::Json)
}

/// Publications to many, `window` at a time; every subscriber must get every event in order.
pub(crate) fn pubsub(transport: Transport, subscribers: usize, len: usize, window: u64, meter: &Meter) -> f64 {
    let router = start_router();
    let mut load = Load::new(transport, &router);
    let sessions = load.join(subscribers + 1);
    let (&publisher, sessions) = sessions.split_first().expect("at least the publisher");
    for &id in sessions {
        load.send(id, Subscribe { request: RequestId::FIRST, options: SubscribeOptions::default(), topic: TOPIC });
    }
    let mut received: BTreeMap<usize, u64> = BTreeMap::new();
    while received.len() < subscribers {
        for (id, got) in load.turn() {
            assert!(matches!(got, Got::Message(message) if matches!(*message, Message::Subscribed(_))));
            received.insert(id, 0);
        }
    }
    let text = "x".repeat(len);
    let (mut request, mut published, mut total) = (RequestId::FIRST, 0, 0_u64);
    meter.run(&router, |done| {
        while published < total / subscribers as u64 + window {
            let payload = Payload::from_args([Value::from(published), Value::from(text.as_str())]);
            load.send(publisher, Publish { request, options: PublishOptions::default(), topic: TOPIC, payload });
            (request, published) = (request.next(), published + 1);
        }
        for (id, got) in load.turn() {
            let Got::Message(message) = got else { panic!("the router has closed a connection") };
            let Message::Event(event) = *message else { panic!("{message:?}") };
            let seen = received.get_mut(&id).expect("a subscriber");
            if seen.is_multiple_of(64) {
                let args = event.payload.values().expect("values").0;
                assert_eq!(args[0].as_u64(), Some(*seen), "lost or out of order");
            }
            *seen += 1;
            total += 1;
            *done += 1;
        }
    })
}

/// Connections that join, leave and close.
pub(crate) fn join(transport: Transport, authenticated: bool, concurrency: usize, meter: &Meter) -> f64 {
    let router = start_router();
    let mut load = Load::new(transport, &router);
    meter.run(&router, |done| {
        while load.clients.len() < concurrency {
            load.open();
        }
        for (id, got) in load.turn() {
            let message = match got {
                Got::Open => {
                    load.send(id, hello(authenticated));
                    continue;
                }
                Got::Closed => continue,
                Got::Message(message) => *message,
            };
            match message {
                Message::Challenge(challenge) => {
                    let text = challenge.extra.get("challenge").and_then(Value::as_str).expect("a challenge");
                    let signature = cra::sign(crate::SECRET.as_bytes(), text);
                    load.send(id, Authenticate { signature, extra: Default::default() });
                }
                Message::Welcome(_) => {
                    *done += 1;
                    load.send(id, Goodbye { details: Default::default(), reason: close::CLOSE_REALM });
                }
                Message::Goodbye(_) => {
                    let client = load.clients.get_mut(&id).expect("an open connection");
                    client.close(NOW, CloseCode::NORMAL, "", load.sockets.out(id));
                    if matches!(transport, Transport::RawSocket(_)) {
                        load.clients.remove(&id);
                        load.sockets.close(id);
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    })
}

/// KiB of the router's memory for each of many idle sessions; with `burst`, after a message of that many bytes through each.
pub(crate) fn idle(transport: Transport, count: usize, burst: Option<usize>) -> f64 {
    let router = start_router();
    let mut load = Load::new(transport, &router);
    let before = router.rss();
    let sessions = load.join(count);
    if let Some(len) = burst {
        // Each calls itself, so that a large message goes both ways through each.
        for (n, &id) in sessions.iter().enumerate() {
            let procedure = Uri::from(format!("com.example.echo.n{n}"));
            load.send(
                id,
                Register {
                    request: RequestId::FIRST,
                    options: RegisterOptions::default(),
                    procedure: procedure.clone(),
                },
            );
            load.send(
                id,
                Call {
                    request: RequestId::FIRST.next(),
                    options: CallOptions::default(),
                    procedure,
                    payload: payload(len),
                },
            );
            let mut registration = None;
            loop {
                let mut over = false;
                for (id, got) in load.turn() {
                    let Got::Message(message) = got else { panic!("the router has closed a connection") };
                    match *message {
                        Message::Registered(registered) => registration = Some(registered.registration),
                        Message::Invocation(invocation) => {
                            let (request, payload) = (invocation.request, invocation.payload);
                            load.send(id, Yield { request, options: YieldOptions::default(), payload });
                        }
                        Message::Result(_) => {
                            let registration = registration.expect("registered before");
                            let request = RequestId::FIRST.next().next();
                            load.send(id, wampd_core::message::Unregister { request, registration });
                        }
                        Message::Unregistered(_) => over = true,
                        other => panic!("{other:?}"),
                    }
                }
                if over {
                    break;
                }
            }
        }
    }
    (router.rss() - before) / sessions.len() as f64
}
