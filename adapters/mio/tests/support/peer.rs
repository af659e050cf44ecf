//! Blocking clients: the sans-IO client of the core over the sans-IO client of the wire over a plain socket.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
};

use bytes::BytesMut;
use wampd_core::{
    client::{Client, ClientConfig, ClientEvent, ClientOutput},
    codec::{DecodeLimits, Format, decode, encode},
    id::{RegistrationId, RequestId, SubscriptionId},
    message::{CallOptions, Message, Payload, PublishOptions, RegisterOptions, SubscribeOptions, YieldOptions},
    time::Instant,
    uri::Uri,
    value::Value,
};
use wampd_mio::Endpoint;
use wampd_wire::{Client as Wire, Incoming, MaxLength, RawSocketOptions, Subprotocol, UpgradeRequest};

use super::{PATIENCE, rng::TestRng, server::REALM};

/// Blocking clients do not look at the clock.
const NOW: Instant = Instant::ZERO;

/// How to speak to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket(Subprotocol),
    /// The serializer, and the longest message that the client accepts.
    RawSocket(Format, MaxLength),
}

impl Transport {
    pub const JSON: Self = Self::WebSocket(Subprotocol::Json);
    pub const RAW_CBOR: Self = Self::RawSocket(Format::Cbor, MaxLength::MAX);

    /// Every serializer over every transport.
    pub fn all() -> impl Iterator<Item = Self> {
        let rawsockets = Format::ALL.map(|format| Self::RawSocket(format, MaxLength::MAX));
        Subprotocol::ALL.map(Self::WebSocket).into_iter().chain(rawsockets)
    }
}

/// A blocking socket.
pub enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    pub fn connect(endpoint: &Endpoint) -> Self {
        let socket = match endpoint {
            Endpoint::Tcp(address) => Self::Tcp(TcpStream::connect(address).expect("connect")),
            Endpoint::Unix { path, .. } => Self::Unix(UnixStream::connect(path).expect("connect")),
        };
        match &socket {
            Self::Tcp(socket) => {
                socket.set_nodelay(true).unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                socket.set_write_timeout(Some(PATIENCE)).unwrap();
            }
            Self::Unix(socket) => {
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                socket.set_write_timeout(Some(PATIENCE)).unwrap();
            }
        }
        socket
    }

    /// Another handle of the same socket.
    pub fn try_clone(&self) -> Self {
        match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone().expect("clone")),
            Self::Unix(socket) => Self::Unix(socket.try_clone().expect("clone")),
        }
    }

    /// What the other end sends until it closes or resets the connection.
    pub fn read_to_close(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        match self.read_to_end(&mut all) {
            Ok(_) => all,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => all,
            Err(error) => panic!("{error}, after {} bytes", all.len()),
        }
    }

    pub fn read_bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read_exact(&mut bytes).expect("read");
        bytes
    }

    /// Says that nothing more will be sent.
    pub fn shut_down_writing(&self) {
        match self {
            Self::Tcp(socket) => socket.shutdown(std::net::Shutdown::Write),
            Self::Unix(socket) => socket.shutdown(std::net::Shutdown::Write),
        }
        .expect("shutdown");
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(buf),
            Self::Unix(socket) => socket.read(buf),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(buf),
            Self::Unix(socket) => socket.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A client with a session, or on the way to one.
pub struct Peer {
    pub socket: Socket,
    wire: Wire<TestRng>,
    pub client: Client,
    events: VecDeque<ClientEvent>,
    /// Bytes made but not sent yet.
    out: Vec<u8>,
    buffer: Box<[u8]>,
    format: Format,
}

impl Peer {
    /// A client whose transport is open, and that has not said HELLO.
    pub fn open(endpoint: &Endpoint, transport: Transport, config: ClientConfig) -> Self {
        let (mut out, open_by) = (Vec::new(), Instant::from_micros(u64::MAX));
        let (wire, format) = match transport {
            Transport::WebSocket(subprotocol) => {
                let request = UpgradeRequest::new("localhost", "/ws", vec![subprotocol]);
                (Wire::websocket(request, TestRng(7), open_by, &mut out).unwrap(), subprotocol.format())
            }
            Transport::RawSocket(format, max_message) => {
                let options = RawSocketOptions { max_message, ..RawSocketOptions::default() };
                (Wire::rawsocket(format, options, open_by, &mut out).unwrap(), format)
            }
        };
        let mut peer = Self {
            socket: Socket::connect(endpoint),
            wire,
            client: Client::new(config),
            events: VecDeque::new(),
            out,
            buffer: vec![0; 64 << 10].into(),
            format,
        };
        peer.flush();
        while !peer.wire.is_open() {
            assert!(peer.receive(), "closed during the handshake of {transport:?}");
        }
        peer
    }

    /// A client with a session.
    pub fn join(endpoint: &Endpoint, transport: Transport) -> Self {
        Self::join_as(endpoint, transport, ClientConfig::anonymous(REALM))
    }

    pub fn join_as(endpoint: &Endpoint, transport: Transport, config: ClientConfig) -> Self {
        let mut peer = Self::open(endpoint, transport, config);
        peer.client.connected(NOW);
        match peer.event() {
            ClientEvent::Joined(_) => peer,
            other => panic!("{transport:?}: {other:?}"),
        }
    }

    /// Sends what the client and the transport want sent, and takes note of what the client tells.
    pub fn flush(&mut self) {
        while let Some(output) = self.client.poll_output() {
            match output {
                ClientOutput::Send(message) => self.frame(&message),
                ClientOutput::Event(event) => self.events.push_back(event),
                ClientOutput::Close => {}
            }
        }
        let out = std::mem::take(&mut self.out);
        // Of a connection that is lost, the end is seen when it is read from.
        let _ = self.socket.write_all(&out);
    }

    /// Adds a message to what is to be sent.
    pub fn frame(&mut self, message: &Message) {
        let Some(start) = self.wire.begin_frame(&mut self.out, 64) else { return };
        encode(message, self.format, &mut self.out).expect("encode");
        self.wire.finish_frame(&mut self.out, start).expect("not too long");
    }

    /// Reads once. False: the connection is closed.
    fn receive(&mut self) -> bool {
        let len = match self.socket.read(&mut self.buffer) {
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        if len == 0 {
            self.client.connection_lost(NOW);
            self.flush();
            return false;
        }
        let mut input = BytesMut::from(&self.buffer[..len]);
        while let Some(incoming) = self.wire.next(NOW, &mut input, &mut self.out).expect("the server obeys") {
            match incoming {
                Incoming::Message(frame) => {
                    let message = decode(self.format, frame, &DecodeLimits::default()).expect("a message");
                    self.client.receive(NOW, message);
                }
                Incoming::Open(_) => {}
                Incoming::Closed { .. } => self.client.connection_lost(NOW),
                other => panic!("{other:?}"),
            }
        }
        self.flush();
        true
    }

    /// The next event; `None` once the connection is closed and all were given.
    pub fn next_event(&mut self) -> Option<ClientEvent> {
        self.flush();
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if !self.receive() && self.events.is_empty() {
                return None;
            }
        }
    }

    pub fn event(&mut self) -> ClientEvent {
        self.next_event().expect("the connection was closed")
    }

    /// Shows the messages that come until the server closes the connection, past the client.
    pub fn on_message(&mut self, mut show: impl FnMut(Message)) {
        loop {
            let len = self.socket.read(&mut self.buffer).expect("read");
            let mut input = BytesMut::from(&self.buffer[..len]);
            while let Some(incoming) = self.wire.next(NOW, &mut input, &mut self.out).expect("the server obeys") {
                if let Incoming::Message(frame) = incoming {
                    show(decode(self.format, frame, &DecodeLimits::default()).expect("a message"));
                }
            }
            self.flush();
            if len == 0 {
                return;
            }
        }
    }

    /// Waits until the server closes the connection.
    pub fn wait_closed(&mut self) {
        while self.next_event().is_some() {}
    }

    pub fn subscribe(&mut self, topic: &'static str) -> SubscriptionId {
        self.client.subscribe(NOW, topic.into(), SubscribeOptions::default()).expect("joined");
        match self.event() {
            ClientEvent::Subscribed { subscription, .. } => subscription,
            other => panic!("{other:?}"),
        }
    }

    pub fn register(&mut self, procedure: &'static str) -> RegistrationId {
        self.client.register(NOW, procedure.into(), RegisterOptions::default()).expect("joined");
        match self.event() {
            ClientEvent::Registered { registration, .. } => registration,
            other => panic!("{other:?}"),
        }
    }

    /// Sends a CALL and does not wait for its answer.
    pub fn call(&mut self, procedure: &'static str, payload: Payload) -> RequestId {
        let request = self.client.call(NOW, procedure.into(), CallOptions::default(), payload).expect("joined");
        self.flush();
        request
    }

    /// The answer to a call: its arguments, or the URI of its error.
    pub fn answer(&mut self, call: RequestId) -> Result<Vec<Value>, Uri> {
        match self.event() {
            ClientEvent::Result { request, payload, .. } if request == call => Ok(payload.values().expect("values").0),
            ClientEvent::Failed { request, error, .. } if request == call => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// The invocation that arrives next, and its arguments.
    pub fn invocation(&mut self) -> (RequestId, Payload) {
        match self.event() {
            ClientEvent::Invocation { request, payload, .. } => (request, payload),
            other => panic!("{other:?}"),
        }
    }

    pub fn yield_result(&mut self, invocation: RequestId, payload: Payload) {
        self.client.yield_result(invocation, YieldOptions::default(), payload).expect("an open invocation");
        self.flush();
    }

    /// Publishes without acknowledgement.
    pub fn publish(&mut self, topic: &'static str, payload: Payload) {
        self.client.publish(NOW, topic.into(), PublishOptions::default(), payload).expect("joined");
        self.flush();
    }

    /// Publishes and waits for the acknowledgement.
    pub fn publish_acknowledged(&mut self, topic: &'static str, payload: Payload) {
        let options = PublishOptions { acknowledge: true, ..PublishOptions::default() };
        self.client.publish(NOW, topic.into(), options, payload).expect("joined");
        match self.event() {
            ClientEvent::Published { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    /// The arguments of the event that arrives next.
    pub fn published(&mut self) -> Vec<Value> {
        match self.event() {
            ClientEvent::Event { payload, .. } => payload.values().expect("values").0,
            other => panic!("{other:?}"),
        }
    }

    /// Leaves in good order.
    pub fn leave(mut self) {
        self.client.leave(NOW, Uri::from("wamp.close.close_realm"));
        match self.event() {
            ClientEvent::Left { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}
