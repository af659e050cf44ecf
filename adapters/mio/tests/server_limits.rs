//! What a server bounds, and that reaching a limit harms nobody else.

mod support;

use std::{
    io::{Read, Write},
    time::Duration,
};

use support::{
    peer::{Peer, Socket, Transport},
    server::{Behaviour, TestServer, loopback, open_router, open_server},
};
use wampd_core::{
    client::{ClientConfig, ClientEvent},
    message::{Payload, PublishOptions},
    router::{Limits, RouterConfig, SlowSubscribers},
    time::Instant,
    uri::error,
    value::Value,
};
use wampd_mio::{Endpoint, ListenerConfig, ServerConfig, ServerLimits};
use wampd_wire::ServerOptions;

fn numbered(n: i64, len: usize) -> Payload {
    Payload::from_args([Value::from(n), Value::from("x".repeat(len))])
}

fn with_limits(limits: Limits) -> ServerConfig {
    ServerConfig { router: RouterConfig { limits, ..open_router() }, ..open_server() }
}

#[test]
fn a_handshake_left_hanging_is_aborted_and_closed() {
    let handshake_timeout = Duration::from_millis(50);
    let server = TestServer::start(with_limits(Limits { handshake_timeout, ..Limits::default() }));
    for transport in Transport::all() {
        let mut peer = Peer::open(server.endpoint(), transport, ClientConfig::anonymous(support::server::REALM));
        // Not a word. The client would take a message as the answer to its HELLO, so it is told of one.
        let mut aborts = 0;
        peer.on_message(|message| {
            assert!(matches!(message, wampd_core::message::Message::Abort(abort) if abort.reason == error::AUTHENTICATION_FAILED));
            aborts += 1;
        });
        assert_eq!(aborts, 1, "{transport:?}");
    }
    let (_, router) = server.wait_until("closed", |(server, _)| server.connections == 0);
    assert_eq!((router.timeouts, router.peers), (9, 0));
}

#[test]
fn a_transport_that_never_opens_is_closed() {
    let open_timeout = Duration::from_millis(50);
    let listener = loopback(ServerOptions { open_timeout, ..ServerOptions::default() });
    let server =
        TestServer::start(ServerConfig { router: open_router(), listeners: vec![listener], ..ServerConfig::default() });
    for (sent, answer) in
        [(&b""[..], &b""[..]), (b"GET /ws HTTP/1.1\r\nHost: local", b"HTTP/1.1 408 "), (b"\x7f\xf1", b"")]
    {
        let mut socket = Socket::connect(server.endpoint());
        socket.write_all(sent).unwrap();
        let got = socket.read_to_close();
        assert!(got.starts_with(answer) && got.is_empty() == answer.is_empty(), "{}", String::from_utf8_lossy(&got));
        drop(socket);
        server.fact("closed");
    }
}

/// Opens connections that never say HELLO, while others join.
fn silent_crowd(silent: usize, joining: usize) {
    let max_opening = silent / 4;
    let limits = ServerLimits { max_opening, ..ServerLimits::default() };
    let config = ServerConfig { limits, ..open_server() };
    let server = TestServer::start(config);
    let mut joined = Vec::new();
    let mut crowd = Vec::new();
    for n in 0..silent {
        let mut socket = Socket::connect(server.endpoint());
        // A third says nothing, a third opens RawSocket and says no HELLO, a third stops in the middle of an upgrade.
        // The server may have dropped it already.
        let _ = socket.write_all([&b""[..], b"\x7f\xf1\0\0", b"GET /ws HTTP/1.1\r\nHost:"][n % 3]);
        crowd.push(socket);
        if n % (silent / joining) == 0 {
            joined.push(Peer::join(server.endpoint(), [Transport::JSON, Transport::RAW_CBOR][n % 2]));
        }
    }
    assert_eq!(joined.len(), joining);
    let accepted = (silent + joining) as u64;
    let (stats, router) =
        server.wait_until("all accepted", |(server, _)| server.accepted == accepted && server.opening <= max_opening);
    assert_eq!((router.sessions, stats.refused), (joining, 0));
    assert_eq!(stats.opening_dropped, (silent - stats.opening) as u64);
    // All that joined are served as ever.
    let mut callee = joined.pop().unwrap();
    callee.register("com.example.echo");
    for (n, caller) in joined.iter_mut().enumerate() {
        let call = caller.call("com.example.echo", numbered(n as i64, 1));
        let (invocation, payload) = callee.invocation();
        callee.yield_result(invocation, payload);
        assert_eq!(caller.answer(call).unwrap()[0].as_i64(), Some(n as i64));
    }
}

#[test]
fn two_thousand_that_never_say_hello_keep_nobody_out() {
    silent_crowd(2_000, 50);
}

#[test]
#[ignore = "needs 12,700 file descriptors"]
fn ten_thousand_that_never_say_hello_keep_nobody_out() {
    silent_crowd(10_000, 100);
}

#[test]
fn the_routers_own_limit_of_joining_peers_holds_too() {
    let server = TestServer::start(with_limits(Limits { max_joining_peers: 3, ..Limits::default() }));
    let mut silent: Vec<Peer> = (0..5)
        .map(|_| Peer::open(server.endpoint(), Transport::RAW_CBOR, ClientConfig::anonymous(support::server::REALM)))
        .collect();
    silent.drain(..2).for_each(|mut dropped| dropped.wait_closed());
    let (_, router) = server.wait_until("dropped", |(server, _)| server.connections == 3);
    assert_eq!((router.joining, router.joining_dropped), (3, 2));
    silent[2].client.connected(Instant::ZERO);
    assert!(matches!(silent[2].event(), ClientEvent::Joined(_)));
}

#[test]
fn a_full_server_drops_who_waits_before_it_refuses() {
    let limits = ServerLimits { max_connections: 3, ..ServerLimits::default() };
    let server = TestServer::start(ServerConfig { limits, ..open_server() });
    let mut waiting = Socket::connect(server.endpoint());
    server.wait_until("accepted", |(server, _)| server.connections == 1);
    let members: Vec<Peer> = (0..3).map(|_| Peer::join(server.endpoint(), Transport::JSON)).collect();
    assert_eq!(waiting.read_to_close(), b"");
    // All have sessions now: they are not dropped for one that has none.
    let mut refused = Socket::connect(server.endpoint());
    assert_eq!(refused.read_to_close(), b"");
    server.fact("TooManyConnections");
    let (stats, router) = server.wait_until("refused", |(server, _)| server.refused == 1);
    assert_eq!((stats.opening_dropped, router.sessions), (1, 3));
    members.into_iter().for_each(Peer::leave);
    Peer::join(server.endpoint(), Transport::JSON).leave();
}

#[test]
fn the_router_may_have_no_place_left() {
    let server = TestServer::start(with_limits(Limits { max_peers: 1, ..Limits::default() }));
    let member = Peer::join(server.endpoint(), Transport::JSON);
    let mut late = Socket::connect(server.endpoint());
    late.write_all(b"\x7f\xf1\0\0").unwrap();
    assert_eq!(late.read_to_close(), b"\x7f\x40\0\0", "the maximum of connections is reached");
    drop(late);
    let mut late = Socket::connect(server.endpoint());
    let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: wamp.2.cbor\r\n\r\n";
    late.write_all(request.as_bytes()).unwrap();
    late.shut_down_writing();
    let answer = late.read_to_close();
    // Cut off, not closed: what ends in good order some clients do not take up again.
    assert!(answer.starts_with(b"HTTP/1.1 101 ") && answer.ends_with(b"\r\n\r\n"), "{answer:?}");
    drop(late);
    member.leave();
    server.wait_until("gone", |(server, _)| server.connections == 0);
    Peer::join(server.endpoint(), Transport::JSON).leave();
}

/// Publishes until the server has given up a subscriber that does not read, while all others get every event in order before
/// the next is published.
fn slow_consumer(listener: ListenerConfig, others: usize, len: usize) {
    let max_pending = 256 << 10;
    let limits = ServerLimits { max_pending, ..ServerLimits::default() };
    let mut config = ServerConfig { limits, listeners: vec![listener], ..open_server() };
    config.router.realms[0].slow_subscribers = SlowSubscribers::Close;
    let server = TestServer::start_unhurried(config);
    let endpoint = server.endpoint().clone();
    let mut publisher = Peer::join(&endpoint, Transport::JSON);
    let mut slow = Peer::join(&endpoint, Transport::JSON);
    slow.subscribe("com.example.topic");
    let transports = [Transport::JSON, Transport::RAW_CBOR].into_iter().cycle();
    let mut quick: Vec<Peer> = transports.take(others).map(|how| Peer::join(&endpoint, how)).collect();
    quick.iter_mut().for_each(|peer| {
        peer.subscribe("com.example.topic");
    });
    let mut published = 0;
    while server.counters().1.slow_consumers == 0 {
        assert!(published < 50_000, "the subscriber was never given up");
        publisher.publish_acknowledged("com.example.topic", numbered(published, len));
        published += 1;
        for peer in &mut quick {
            assert_eq!(peer.published()[0].as_i64(), Some(published - 1), "in time and in order");
        }
    }
    server.fact("closed 2: the peer does not read what is sent to it");
    let (stats, router) = server.counters();
    assert_eq!((router.sessions, router.subscriptions, stats.write_timeouts), (1 + others, 1, 0));
    let one_message = len + 100;
    let most = max_pending / 8 * 7 + one_message;
    assert!(stats.peak_pending > max_pending / 8 * 7 && stats.peak_pending <= most, "{}", stats.peak_pending);
    // What it finds when it reads at last: some whole events, in order, and then the end.
    let mut seen = 0;
    while let Some(event) = slow.next_event() {
        match event {
            ClientEvent::Event { payload, .. } => {
                assert_eq!(payload.values().unwrap().0[0].as_i64(), Some(seen));
                seen += 1;
            }
            ClientEvent::Lost => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(seen < published);
}

#[test]
fn a_slow_subscriber_misses_events_and_keeps_its_session() {
    let max_pending = 256 << 10;
    let limits = ServerLimits { max_pending, ..ServerLimits::default() };
    let server = TestServer::start_unhurried(ServerConfig { limits, ..open_server() });
    let mut publisher = Peer::join(server.endpoint(), Transport::JSON);
    let mut slow = Peer::join(server.endpoint(), Transport::JSON);
    slow.subscribe("com.example.topic");
    slow.register("com.example.slow");
    let mut published = 0;
    while server.counters().1.events_dropped < 3 {
        assert!(published < 50_000, "nothing was dropped");
        publisher.publish_acknowledged("com.example.topic", numbered(published, 8 << 10));
        published += 1;
    }
    // There is room for what it asked for itself; calls wait until it reads.
    let call = publisher.call("com.example.slow", numbered(7, 1));
    let (stats, router) = server.wait_until("waiting", |(_, router)| router.calls_waiting == 1);
    assert!(stats.peak_pending <= max_pending / 8 * 7 + (8 << 10) + 100, "{}", stats.peak_pending);
    assert_eq!((router.sessions, router.slow_consumers), (2, 0));
    let mut received = 0;
    let (invocation, payload) = loop {
        match slow.event() {
            ClientEvent::Event { payload, .. } => {
                assert_eq!(payload.values().unwrap().0[0].as_i64(), Some(received), "in order");
                received += 1;
            }
            ClientEvent::Invocation { request, payload, .. } => break (request, payload),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(received, published - router.events_dropped as i64, "those that were not left out");
    slow.yield_result(invocation, payload);
    assert_eq!(publisher.answer(call).unwrap()[0].as_i64(), Some(7));
}

#[test]
fn a_slow_consumer_is_given_up_alone() {
    slow_consumer(loopback(ServerOptions::default()), 2, 8 << 10);
}

/// Over unix sockets, of which the system buffers little.
#[test]
fn a_slow_consumer_among_a_thousand_delays_none_of_them() {
    let path = std::env::temp_dir().join(format!("wampd-{}-thousand.sock", std::process::id()));
    let endpoint = Endpoint::Unix { path, mode: None };
    slow_consumer(ListenerConfig { endpoint, ..loopback(ServerOptions::default()) }, 999, 8 << 10);
}

#[test]
fn a_socket_that_takes_nothing_is_given_up_in_time() {
    let write_timeout = Duration::from_millis(50);
    let server = TestServer::start(ServerConfig {
        limits: ServerLimits { write_timeout, ..ServerLimits::default() },
        ..open_server()
    });
    let mut publisher = Peer::join(server.endpoint(), Transport::JSON);
    let mut slow = Peer::join(server.endpoint(), Transport::JSON);
    slow.subscribe("com.example.topic");
    // Well below `max_pending`, but above what sockets buffer.
    for n in 0..60 {
        publisher.publish_acknowledged("com.example.topic", numbered(n, 128 << 10));
        if server.counters().0.write_timeouts > 0 {
            break;
        }
    }
    let (_, router) =
        server.wait_until("timed out", |(server, _)| server.write_timeouts == 1 && server.connections == 1);
    assert_eq!((router.slow_consumers, router.sessions), (0, 1));
    publisher.leave();
}

/// One that does not read its answers is not read from either: its requests wait in its own socket, not in the server.
#[test]
fn requests_wait_for_their_answers_to_be_read() {
    let limits = ServerLimits { max_pending: 64 << 10, write_timeout: support::PATIENCE, ..ServerLimits::default() };
    let server = TestServer::start(ServerConfig { limits, ..open_server() });
    let mut peer = Peer::join(server.endpoint(), Transport::RAW_CBOR);
    let mut socket = peer.socket.try_clone();
    // Each call of nothing is answered by an error that names it. A thread writes, for it will be made to wait.
    const REQUESTS: u32 = 40_000;
    let writer = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        for n in 1..=REQUESTS {
            let message = [&b"\x84\x18\x30\x1a"[..], &n.to_be_bytes(), b"\xa0\x79\x03\xe8", &[b'x'; 1000]].concat();
            bytes.extend([&u32::try_from(message.len()).unwrap().to_be_bytes()[..], &message].concat());
        }
        socket.write_all(&bytes).unwrap();
    });
    // Until nothing moves any more, nothing is read.
    server.wait_until("paused", |(stats, _)| stats.peak_pending > 48 << 10);
    let mut answers = 0;
    let mut rest = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while answers < REQUESTS {
        let len = peer.socket.read(&mut buffer).unwrap();
        assert!(len > 0, "the connection was closed");
        rest.extend_from_slice(&buffer[..len]);
        let mut at = 0;
        while let Some(head) = rest[at..].first_chunk::<4>() {
            let end = at + 4 + u32::from_be_bytes(*head) as usize;
            if end > rest.len() {
                break;
            }
            (at, answers) = (end, answers + 1);
        }
        rest.drain(..at);
    }
    writer.join().unwrap();
    let (stats, router) = server.counters();
    assert_eq!((router.slow_consumers, router.violations, router.sessions), (0, 0, 1));
    assert!(stats.peak_pending < 65 << 10, "{}", stats.peak_pending);
}

/// Peers may stop at any byte and go away in any way.
#[test]
fn connections_may_break_anywhere() {
    let server = TestServer::start_with(open_server(), Behaviour::default(), |_| {});
    let mut callee = Peer::join(server.endpoint(), Transport::JSON);
    callee.register("com.example.never");
    let hello = b"\x7f\xf1\0\0\0\0\0\x24[1,\"realm1\",{\"roles\":{\"caller\":{}}}]";
    let call = b"\0\0\0\x1d[48,1,{},\"com.example.never\"]";
    let script = [&hello[..], call].concat();
    for cut in 0..=script.len() {
        let mut socket = Socket::connect(server.endpoint());
        socket.write_all(&script[..cut]).unwrap();
        match cut % 3 {
            0 => socket.shut_down_writing(),
            1 => drop(socket.read_bytes(if cut >= 4 { 4 } else { 0 })),
            _ => {}
        }
    }
    let (_, router) = server.wait_until("one left", |(server, router)| {
        server.accepted == script.len() as u64 + 2 && server.connections == 1 && router.peers == 1
    });
    assert_eq!((router.calls_in_flight, router.sessions, router.joining), (0, 1, 0));
    assert!(router.calls > 0 && router.joined > 20, "the script is a valid one: {router:?}");
    let options = PublishOptions::default();
    callee.client.publish(Instant::ZERO, "com.example.still_there".into(), options, Payload::empty()).unwrap();
}

/// What the system holds for a socket is several MiB, and it tells that the socket takes something once a third of it is
/// gone: for longer than the timeout there is no word of a reader that takes 40 KiB in 50 ms.
#[test]
fn a_steady_slow_reader_is_not_taken_for_one_that_does_not_read() {
    let page = vec![b'x'; 16 << 20];
    let behaviour = Behaviour { page: page.clone(), ..Behaviour::default() };
    let timeout = Duration::from_secs(1);
    let limits = ServerLimits { write_timeout: timeout, linger_timeout: timeout, ..ServerLimits::default() };
    let server = TestServer::start_with(ServerConfig { limits, ..open_server() }, behaviour, |_| {});
    let mut socket = Socket::connect(server.endpoint());
    socket.write_all(b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut got = 0;
    for _ in 0..60 {
        got += socket.read_bytes(40 << 10).len();
        // The pace of the reader, which is what is tested.
        std::thread::sleep(Duration::from_millis(50));
    }
    got += socket.read_to_close().len();
    assert!(got > page.len(), "{got} bytes arrived");
    assert_eq!(server.counters().0.write_timeouts, 0);
}
