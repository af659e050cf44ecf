//! A client and a server in memory: every subprotocol and RawSocket, the bytes cut anywhere.

mod common;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use common::{NOW, TestRng, at};
use proptest::prelude::*;
use wampd_core::codec::Format;
use wampd_wire::{
    Client, CloseCode, Connection, Encoding, Framing, Incoming, MaxLength, RawSocketOptions, ServerOptions,
    Subprotocol, UpgradeOptions, UpgradeRequest,
};

#[derive(Clone, Copy, Debug)]
enum Transport {
    WebSocket(Subprotocol),
    RawSocket(Format),
}

fn transports() -> impl Strategy<Value = Transport> {
    prop_oneof![
        proptest::sample::select(&Subprotocol::ALL).prop_map(Transport::WebSocket),
        proptest::sample::select(&[Format::Json, Format::Cbor, Format::MsgPack]).prop_map(Transport::RawSocket),
    ]
}

/// Both ends, and the bytes on their way between them.
struct Pair {
    server: Connection,
    client: Client<TestRng>,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    cuts: Vec<usize>,
    server_got: Vec<Bytes>,
    client_got: Vec<Bytes>,
    closed: Vec<(&'static str, Option<CloseCode>)>,
}

impl Pair {
    /// An open connection. `cuts` are the lengths of the pieces in which bytes arrive, used in turn.
    fn open(transport: Transport, cuts: Vec<usize>) -> Self {
        let mut to_server = Vec::new();
        let client = match transport {
            Transport::WebSocket(subprotocol) => {
                let request = UpgradeRequest::new("localhost", "/ws", vec![subprotocol]);
                Client::websocket(request, TestRng(7), at(10), &mut to_server).unwrap()
            }
            Transport::RawSocket(format) => {
                Client::rawsocket(format, RawSocketOptions::default(), at(10), &mut to_server).unwrap()
            }
        };
        let mut pair = Self {
            server: Connection::new(Arc::new(ServerOptions::default()), NOW),
            client,
            to_server,
            to_client: Vec::new(),
            cuts,
            server_got: Vec::new(),
            client_got: Vec::new(),
            closed: Vec::new(),
        };
        pair.settle();
        assert!(pair.server.is_open() && pair.client.is_open());
        assert_eq!(pair.server.encoding(), pair.client.encoding());
        pair
    }

    /// Carries bytes until there are none left.
    fn settle(&mut self) {
        while !self.to_server.is_empty() || !self.to_client.is_empty() {
            for mut input in cut(std::mem::take(&mut self.to_server), &self.cuts) {
                while let Some(incoming) = self.server.next(NOW, &mut input, &mut self.to_client).unwrap() {
                    self.answer(incoming);
                }
                assert!(input.is_empty());
            }
            for mut input in cut(std::mem::take(&mut self.to_client), &self.cuts) {
                while let Some(incoming) = self.client.next(NOW, &mut input, &mut self.to_server).unwrap() {
                    match incoming {
                        Incoming::Open(encoding) => assert_eq!(Some(encoding), self.client.encoding()),
                        Incoming::Message(message) => self.client_got.push(message),
                        Incoming::Closed { code, .. } => self.closed.push(("client", code)),
                        other => panic!("{other:?}"),
                    }
                }
                assert!(input.is_empty());
            }
        }
    }

    fn answer(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Http(request) => {
                assert_eq!((request.path(), request.query()), ("/ws", None));
                let options = UpgradeOptions::default();
                self.server.accept_websocket(NOW, &request, &options, &mut self.to_client).unwrap();
            }
            Incoming::RawSocket { .. } => {
                self.server.accept_rawsocket(NOW, &mut self.to_client).unwrap();
            }
            Incoming::Message(message) => self.server_got.push(message),
            Incoming::Closed { code, .. } => self.closed.push(("server", code)),
            Incoming::Open(_) => panic!("a server does not open"),
        }
    }

    fn client_sends(&mut self, message: &[u8]) {
        let start = self.client.begin_frame(&mut self.to_server, message.len()).unwrap();
        self.to_server.extend_from_slice(message);
        self.client.finish_frame(&mut self.to_server, start).unwrap();
    }

    fn server_sends(&mut self, message: &[u8]) {
        let encoding = self.server.encoding().unwrap();
        let start = encoding.begin(&mut self.to_client, message.len());
        self.to_client.extend_from_slice(message);
        let frame_len = encoding.finish(&mut self.to_client, start).unwrap();
        self.server.admits(frame_len).unwrap();
    }
}

fn cut(bytes: Vec<u8>, cuts: &[usize]) -> Vec<BytesMut> {
    let mut bytes = BytesMut::from(&bytes[..]);
    let mut pieces = Vec::new();
    for &len in cuts.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        pieces.push(bytes.split_to(len.clamp(1, bytes.len())));
    }
    pieces
}

/// Message bodies that a JSON batch can carry: not empty, no control characters.
fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let len = prop_oneof![8 => 1..200usize, 1 => 65_400..65_700usize];
    proptest::collection::vec((len, 0x20..0x7fu8).prop_map(|(len, byte)| vec![byte; len]), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_arrive_both_ways_however_bytes_are_cut(
        transport in transports(),
        up in messages(),
        down in messages(),
        cuts in proptest::collection::vec(1..3000usize, 1..5),
    ) {
        let mut pair = Pair::open(transport, cuts);
        for message in &up {
            pair.client_sends(message);
        }
        for message in &down {
            pair.server_sends(message);
        }
        pair.settle();
        prop_assert_eq!(&pair.server_got, &up);
        prop_assert_eq!(&pair.client_got, &down);
        pair.client.close(NOW, CloseCode::NORMAL, "bye", &mut pair.to_server);
        pair.settle();
        if let Transport::WebSocket(_) = transport {
            prop_assert_eq!(pair.closed, [("server", Some(CloseCode::NORMAL)), ("client", Some(CloseCode::NORMAL))]);
        }
        prop_assert!(pair.client.is_closed());
    }
}

#[test]
fn json_batches_are_answered_in_the_dialect_of_the_peer() {
    let mut pair = Pair::open(Transport::WebSocket(Subprotocol::JsonBatched), vec![1000]);
    let encoding = pair.server.encoding().unwrap();
    assert_eq!(encoding.framing, Framing::WebSocketBatched);
    let start = pair.client.begin_frame(&mut pair.to_server, 0).unwrap();
    pair.to_server.extend_from_slice(b"[1]\x1e[2]");
    pair.client.finish_frame(&mut pair.to_server, start).unwrap();
    pair.settle();
    assert_eq!(pair.server_got, [&b"[1]"[..], b"[2]"]);
    assert_eq!(pair.server.encoding(), Some(encoding));

    let mut pair = Pair::open(Transport::WebSocket(Subprotocol::JsonBatched), vec![1000]);
    // A batch in Autobahn's dialect, made by hand: masked with a key of zeros.
    pair.to_server.extend_from_slice(b"\x81\x88\0\0\0\0[1]\x18[2]\x18");
    pair.settle();
    assert_eq!(pair.server_got, [&b"[1]"[..], b"[2]"]);
    let cancel = Encoding { framing: Framing::WebSocketBatchedCancel, ..encoding };
    assert_eq!(pair.server.encoding(), Some(cancel));
    pair.server_sends(b"[3]");
    assert_eq!(pair.to_client, b"\x81\x04[3]\x18");
}

#[test]
fn rawsocket_limits_hold_both_ways() {
    let small = RawSocketOptions { max_message: MaxLength::at_most(1024), ..RawSocketOptions::default() };
    let mut to_server = Vec::new();
    let mut client = Client::<TestRng>::rawsocket(Format::Cbor, small, at(10), &mut to_server).unwrap();
    let options = RawSocketOptions { max_message: MaxLength::at_most(2048), ..RawSocketOptions::default() };
    let options = ServerOptions { rawsocket: Some(options), ..ServerOptions::default() };
    let mut server = Connection::new(Arc::new(options), NOW);
    let mut to_client = Vec::new();
    let mut input = BytesMut::from(&to_server[..]);
    let first = server.next(NOW, &mut input, &mut to_client).unwrap();
    assert!(matches!(first, Some(Incoming::RawSocket { format: Format::Cbor })));
    let encoding = server.accept_rawsocket(NOW, &mut to_client).unwrap();
    client.next(NOW, &mut BytesMut::from(&to_client[..]), &mut to_server).unwrap();

    let frame_len = |len: usize| {
        let mut out = Vec::new();
        let start = encoding.begin(&mut out, len);
        out.resize(out.len() + len, 0);
        encoding.finish(&mut out, start).unwrap()
    };
    server.admits(frame_len(1024)).unwrap();
    let error = server.admits(frame_len(1025)).unwrap_err();
    assert_eq!((error.len, error.limit), (1025, 1024));

    let mut out = b"kept".to_vec();
    let start = client.begin_frame(&mut out, 0).unwrap();
    out.resize(out.len() + 2049, 0);
    assert_eq!(client.finish_frame(&mut out, start).unwrap_err().limit, 2048);
    assert_eq!(out, b"kept");

    let mut input = BytesMut::from(&[0, 0, 8, 1][..]);
    server.next(NOW, &mut input, &mut to_client).unwrap_err();
    assert!(server.is_closed());
}
