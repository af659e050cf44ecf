//! The rules of the transports over real sockets: fragments, pings, closing, and limits of length.

mod support;

use std::{io::Write, sync::Arc, time::Duration};

use support::{
    PATIENCE,
    peer::{Peer, Socket, Transport},
    server::{Behaviour, TestServer, loopback, open_router, open_server},
};
use wampd_core::{
    client::{ClientConfig, ClientEvent},
    codec::Format,
    message::Payload,
    time::Instant,
    uri::{Uri, error},
    value::Value,
};
use wampd_mio::{Endpoint, ServerConfig, ServerLimits};
use wampd_wire::{
    MaxLength, PingOptions, RawSocketOptions, ServerOptions, Subprotocol, UpgradeOptions, WebSocketOptions,
};

const MASK: [u8; 4] = [1, 2, 3, 4];

/// A client's WebSocket frame; `first` is its first octet.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..126 => frame.push(0x80 | len as u8),
        len @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A socket on which WAMP in JSON over WebSocket begins.
fn websocket(endpoint: &Endpoint) -> Socket {
    let mut socket = Socket::connect(endpoint);
    let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n";
    socket.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(socket.read_bytes(1));
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
    socket
}

/// The next frame of the server: first octet and payload.
fn read_frame(socket: &mut Socket) -> (u8, Vec<u8>) {
    let [first, len] = socket.read_bytes(2)[..] else { panic!() };
    let len = match len {
        126 => u16::from_be_bytes(socket.read_bytes(2).try_into().unwrap()).into(),
        127 => panic!("a long frame"),
        len => usize::from(len),
    };
    (first, socket.read_bytes(len))
}

/// The code of a close frame.
fn close_code((first, payload): (u8, Vec<u8>)) -> u16 {
    assert_eq!(first, 0x88);
    u16::from_be_bytes([payload[0], payload[1]])
}

const HELLO: &[u8] = br#"[1,"realm1",{"roles":{"caller":{},"publisher":{}}}]"#;

#[test]
fn messages_may_come_in_fragments_with_pings_between_them_and_in_single_bytes() {
    let server = TestServer::start(open_server());
    let mut socket = websocket(server.endpoint());
    let (one, rest) = HELLO.split_at(9);
    let (two, three) = rest.split_at(20);
    let bytes =
        [frame(0x01, one), frame(0x89, b"still there?"), frame(0x00, two), frame(0x00, b""), frame(0x80, three)]
            .concat();
    for byte in bytes {
        socket.write_all(&[byte]).unwrap();
    }
    assert_eq!(read_frame(&mut socket), (0x8a, b"still there?".to_vec()));
    let (first, welcome) = read_frame(&mut socket);
    assert_eq!((first, &welcome[..3]), (0x81, &b"[2,"[..]));
    // The closing handshake, begun by the client.
    socket.write_all(&frame(0x88, &1000_u16.to_be_bytes())).unwrap();
    assert_eq!(close_code(read_frame(&mut socket)), 1000);
    assert_eq!(socket.read_to_close(), b"");
    drop(socket);
    server.fact("closed 1: the peer closed the connection");
}

#[test]
fn the_router_closes_a_websocket_in_good_order() {
    let server = TestServer::start(open_server());
    let mut socket = websocket(server.endpoint());
    socket.write_all(&frame(0x81, b"[1,\"nowhere\",{}]")).unwrap();
    let (first, abort) = read_frame(&mut socket);
    assert_eq!((first, &abort[..3]), (0x81, &b"[3,"[..]));
    assert_eq!(close_code(read_frame(&mut socket)), 1002);
    // What still comes is not looked at; the close frame is answered, and only then the socket is closed.
    socket.write_all(&frame(0x81, b"not even JSON")).unwrap();
    socket.write_all(&frame(0x88, &1002_u16.to_be_bytes())).unwrap();
    assert_eq!(socket.read_to_close(), b"");
    drop(socket);
    server.fact("closed 1: protocol violation");
}

#[test]
fn a_client_that_does_not_answer_the_close_frame_is_dropped_in_time() {
    let websocket_options =
        WebSocketOptions { close_timeout: Duration::from_millis(50), ..WebSocketOptions::default() };
    let upgrade = UpgradeOptions { websocket: Arc::new(websocket_options), ..UpgradeOptions::default() };
    let limits = ServerLimits { linger_timeout: Duration::from_millis(50), ..ServerLimits::default() };
    let config = ServerConfig { limits, ..open_server() };
    let server = TestServer::start_with(config, Behaviour { upgrade, ..Behaviour::default() }, |_| {});
    let mut socket = websocket(server.endpoint());
    socket.write_all(&frame(0x81, b"[]")).unwrap();
    assert_eq!(read_frame(&mut socket).1[..3], *b"[3,");
    assert_eq!(close_code(read_frame(&mut socket)), 1002);
    assert_eq!(socket.read_to_close(), b"");
    // The client never closes its side either; the server does not wait for ever.
    server.fact("closed 1: protocol violation");
}

#[test]
fn violations_of_the_transport_are_told_and_end_the_connection() {
    let websocket_options = WebSocketOptions { max_message: 1000, max_frame: 1000, ..WebSocketOptions::default() };
    let upgrade = UpgradeOptions { websocket: Arc::new(websocket_options), ..UpgradeOptions::default() };
    let server = TestServer::start_with(open_server(), Behaviour { upgrade, ..Behaviour::default() }, |_| {});
    let long = vec![b' '; 1001];
    let half = vec![b' '; 600];
    for (bytes, code) in [
        (frame(0x81, &long), 1009),
        ([frame(0x01, &half), frame(0x80, &half)].concat(), 1009),
        (frame(0x82, b"\x83\x01"), 1003),
        (frame(0xc1, b"[]"), 1002),
        (b"\x81\x02[]".to_vec(), 1002),
        (frame(0x80, b"[]"), 1002),
        // Text that is not UTF-8, which WebSocket has a code for, and other text that is no message.
        (frame(0x81, b"[1,\"\xff\",{}]"), 1007),
        (frame(0x81, b"[1,\"\",{}"), 1002),
    ] {
        for greeting in [&b""[..], HELLO] {
            let mut socket = websocket(server.endpoint());
            if !greeting.is_empty() {
                socket.write_all(&frame(0x81, greeting)).unwrap();
                assert_eq!(read_frame(&mut socket).1[..3], *b"[2,");
            }
            socket.write_all(&bytes).unwrap();
            let (first, abort) = read_frame(&mut socket);
            let abort = String::from_utf8(abort).unwrap();
            let reason = if code == 1009 { "payload_size_exceeded" } else { "protocol_violation" };
            assert!(first == 0x81 && abort.starts_with("[3,") && abort.contains(reason), "{abort}");
            assert_eq!(close_code(read_frame(&mut socket)), code);
            if matches!(code, 1007 | 1002) && bytes[0] == 0x81 && bytes[1] & 0x80 != 0 {
                // What is wrong with the message alone is closed by both sides.
                socket.write_all(&frame(0x88, &code.to_be_bytes())).unwrap();
            }
            assert_eq!(socket.read_to_close(), b"");
        }
    }
    server.wait_until("empty", |(server, router)| server.connections == 0 && router.peers == 0);
}

#[test]
fn a_rawsocket_keeps_the_limits_it_announced() {
    let rawsocket =
        RawSocketOptions { max_message: MaxLength::at_most(512), max_ping: 16, ..RawSocketOptions::default() };
    let listener = loopback(ServerOptions { rawsocket: Some(rawsocket), ..ServerOptions::default() });
    let server =
        TestServer::start(ServerConfig { router: open_router(), listeners: vec![listener], ..ServerConfig::default() });
    let open = || {
        let mut socket = Socket::connect(server.endpoint());
        socket.write_all(b"\x7f\xf1\0\0").unwrap();
        assert_eq!(socket.read_bytes(4), b"\x7f\x01\0\0");
        socket
    };
    let mut socket = open();
    socket.write_all(b"\x01\0\0\x05hello").unwrap();
    assert_eq!(socket.read_bytes(9), b"\x02\0\0\x05hello");
    socket.write_all(&[&[0, 0, 2, 0][..], &[b' '; 512]].concat()).unwrap();
    let answer = socket.read_to_close();
    assert_eq!((&answer[4..7], answer.len() > 7), (&b"[3,"[..], true), "512 spaces are no message");
    drop(socket);
    for over in [&b"\0\0\x02\x01"[..], b"\x01\0\0\x11", b"\x03\0\0\0", b"\x10\0\0\0"] {
        let mut socket = open();
        socket.write_all(over).unwrap();
        let answer = socket.read_to_close();
        assert_eq!(answer[4..7], *b"[3,", "{over:?}");
    }
    // Another serializer, reserved bits, and a client that no WELCOME would fit.
    for (refused, reply) in [
        (b"\x7f\xf5\0\0", b"\x7f\x10\0\0"),
        (b"\x7f\xf1\0\x01", b"\x7f\x30\0\0"),
        (b"\x7f\x01\0\0", b"\x7f\x20\0\0"),
        (b"\x7f\x11\0\0", b"\x7f\x20\0\0"),
        (b"\x7f\x02\0\0", b"\x7f\x20\0\0"),
    ] {
        let mut socket = Socket::connect(server.endpoint());
        socket.write_all(refused).unwrap();
        assert_eq!(socket.read_to_close(), reply);
    }
    server.wait_until("empty", |(server, router)| server.connections == 0 && router.peers == 0);
}

/// With the least limit that a client may announce.
#[test]
fn a_welcome_fits_what_a_rawsocket_client_must_accept() {
    let server = TestServer::start(open_server());
    for format in Format::ALL {
        let least = MaxLength::for_welcome(format);
        Peer::join(server.endpoint(), Transport::RawSocket(format, least)).leave();
    }
}

#[test]
fn a_ping_as_long_as_the_longest_message_is_answered() {
    let server = TestServer::start_unhurried(open_server());
    let mut peer = Peer::join(server.endpoint(), Transport::RAW_CBOR);
    let ping = [&[9, 0, 0, 0][..], &vec![b'p'; 1 << 24]].concat();
    peer.socket.write_all(&ping).unwrap();
    assert_eq!(peer.socket.read_bytes(4), [10, 0, 0, 0]);
    assert!(peer.socket.read_bytes(1 << 24).iter().all(|byte| *byte == b'p'));
    peer.leave();
}

fn text(len: usize) -> Payload {
    Payload::from_args([Value::from("x".repeat(len))])
}

/// A peer that takes 1 KiB at most is never sent more: whoever waits learns it, and nobody loses the connection.
#[test]
fn a_receivers_limit_is_the_senders_error() {
    let server = TestServer::start(open_server());
    let small = Transport::RawSocket(Format::Cbor, MaxLength::at_most(1024));
    let mut limited = Peer::join(server.endpoint(), small);
    let mut other = Peer::join(server.endpoint(), Transport::JSON);
    limited.register("com.example.limited");
    limited.subscribe("com.example.topic");
    other.register("com.example.other");

    let call = other.call("com.example.limited", text(2000));
    assert_eq!(other.answer(call), Err(error::PAYLOAD_SIZE_EXCEEDED), "INVOCATION");

    let call = limited.call("com.example.other", text(1));
    let (invocation, _) = other.invocation();
    other.yield_result(invocation, text(2000));
    assert_eq!(limited.answer(call), Err(error::PAYLOAD_SIZE_EXCEEDED), "RESULT");

    let call = limited.call("com.example.other", text(1));
    let (invocation, _) = other.invocation();
    other.client.yield_error(invocation, "com.example.error".into(), text(2000)).unwrap();
    other.flush();
    assert_eq!(limited.answer(call), Err(Uri::from("com.example.error")), "ERROR: its arguments are left out");

    let call = limited.call("com.example.other", text(1));
    let (invocation, _) = other.invocation();
    let long_uri = Uri::from(format!("com.example.{}", "e".repeat(1010)));
    other.client.yield_error(invocation, long_uri, text(2000)).unwrap();
    other.flush();
    assert_eq!(limited.answer(call), Err(error::PAYLOAD_SIZE_EXCEEDED), "ERROR: its URI alone is too long as well");

    other.publish("com.example.topic", text(2000));
    other.publish_acknowledged("com.example.topic", text(5));
    assert_eq!(limited.published(), text(5).values().unwrap().0, "EVENT: left out for this receiver");
    limited.leave();
    other.leave();
    let (_, router) = server.wait_until("empty", |(server, _)| server.connections == 0);
    assert_eq!((router.undeliverable, router.violations), (6, 0));
}

#[test]
fn a_peer_that_can_not_be_welcomed_is_told_so() {
    let agent = Some("a".repeat(2_000));
    let config = ServerConfig { router: wampd_core::router::RouterConfig { agent, ..open_router() }, ..open_server() };
    let server = TestServer::start(config);
    let tiny = Transport::RawSocket(Format::Json, MaxLength::for_welcome(Format::Json));
    let mut peer = Peer::open(server.endpoint(), tiny, ClientConfig::anonymous(support::server::REALM));
    peer.client.connected(Instant::ZERO);
    match peer.event() {
        ClientEvent::Aborted { reason, .. } => assert_eq!(reason, error::PAYLOAD_SIZE_EXCEEDED),
        other => panic!("{other:?}"),
    }
    peer.wait_closed();
    let (_, router) = server.wait_until("empty", |(_, router)| router.peers == 0);
    assert_eq!(router.sessions, 0);
}

/// What one serializer has and another has not is the sender's error, never the receiver's.
#[test]
fn what_a_serializer_lacks_is_answered() {
    let server = TestServer::start(open_server());
    let mut json = Peer::join(server.endpoint(), Transport::JSON);
    let mut cbor = Peer::join(server.endpoint(), Transport::WebSocket(Subprotocol::Cbor));
    json.register("com.example.json");
    json.subscribe("com.example.topic");
    let reserved = || Payload::from_args([Value::from("\0x")]);
    let call = cbor.call("com.example.json", reserved());
    assert_eq!(cbor.answer(call), Err(error::INVALID_ARGUMENT));
    cbor.publish("com.example.topic", reserved());
    cbor.publish("com.example.topic", text(1));
    assert_eq!(json.published(), text(1).values().unwrap().0);
}

/// A message far larger than any buffer passes whole, and its receiver is not taken for a slow one.
#[test]
fn large_messages_pass_whole() {
    let limits = ServerLimits { max_pending: 256 << 10, ..ServerLimits::default() };
    let server = TestServer::start(ServerConfig { limits, ..open_server() });
    for transport in [Transport::JSON, Transport::RAW_CBOR, Transport::WebSocket(Subprotocol::MsgPackBatched)] {
        let mut callee = Peer::join(server.endpoint(), transport);
        let mut caller = Peer::join(server.endpoint(), transport);
        let registration = callee.register("com.example.echo");
        for len in [65_535, 65_536, 3 << 20] {
            let call = caller.call("com.example.echo", text(len));
            let (invocation, payload) = callee.invocation();
            callee.yield_result(invocation, payload);
            let answer = caller.answer(call).unwrap();
            assert_eq!(answer[0].as_str().unwrap().len(), len, "{transport:?}");
        }
        callee.client.unregister(Instant::ZERO, registration).unwrap();
        callee.event();
    }
    let (server, router) = server.counters();
    assert_eq!(router.slow_consumers, 0);
    assert!(server.peak_pending > 256 << 10, "the limit was not even touched");
}

/// A server that pings after 20 ms of silence.
fn pinging_server(timeout: Duration) -> TestServer {
    let ping = PingOptions { interval: Some(Duration::from_millis(20)), timeout };
    let websocket = Arc::new(WebSocketOptions { ping, ..WebSocketOptions::default() });
    let upgrade = UpgradeOptions { websocket, ..UpgradeOptions::default() };
    let rawsocket = RawSocketOptions { ping, ..RawSocketOptions::default() };
    let listener = loopback(ServerOptions { rawsocket: Some(rawsocket), ..ServerOptions::default() });
    let config = ServerConfig { router: open_router(), listeners: vec![listener], ..ServerConfig::default() };
    TestServer::start_with(config, Behaviour { upgrade, ..Behaviour::default() }, |_| {})
}

#[test]
fn a_silent_peer_is_pinged_and_then_given_up() {
    let server = pinging_server(Duration::from_millis(20));
    let mut silent = websocket(server.endpoint());
    assert_eq!(silent.read_to_close(), b"\x89\0");
    drop(silent);
    server.fact("closed 1: no answer to a ping");
    let mut silent = Socket::connect(server.endpoint());
    silent.write_all(b"\x7f\xf1\0\0").unwrap();
    assert_eq!(silent.read_to_close(), b"\x7f\xf1\0\0\x01\0\0\0");
    drop(silent);
    server.fact("closed 2: no answer to a ping");
}

#[test]
fn a_peer_that_answers_pings_stays() {
    let server = pinging_server(PATIENCE);
    let mut lively = websocket(server.endpoint());
    lively.write_all(&frame(0x81, HELLO)).unwrap();
    let mut pings = 0;
    while pings < 3 {
        match read_frame(&mut lively) {
            (0x89, payload) if payload.is_empty() => {
                lively.write_all(&frame(0x8a, b"")).unwrap();
                pings += 1;
            }
            (0x81, welcome) => assert_eq!(welcome[..3], *b"[2,"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.counters().1.sessions, 1);
}
