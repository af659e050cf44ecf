//! How sessions end, and what is known then.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::BytesMut;
use wampd_core::{
    client::{ClientConfig, ClientEvent, ClientLimits, Side},
    codec::{Format, encode},
    id::SessionId,
    message::{
        CallOptions, Features, Payload, PublishOptions, RegisterOptions, RouterRoles, SubscribeOptions, Welcome,
        WelcomeDetails, YieldOptions,
    },
    time::Instant,
    uri::{close, error},
};
use wampd_mio::client::{Client, End, Error, Lost, Options};
use wampd_wire::{CloseCode, Connection, Incoming, PingOptions, RawSocketOptions, TransportError, UpgradeOptions};

use crate::harness::*;

#[test]
fn leaving_is_answered() {
    let server = TestServer::start();
    for (transport, options) in every_way() {
        for (reason, answer) in [(close::NORMAL, close::NORMAL), (close::CLOSE_REALM, close::GOODBYE_AND_OUT)] {
            let mut client = server.client_with(transport, &options);
            assert_eq!(client.leave(reason).expect("in good order"), answer, "{transport:?}");
            assert!(!client.is_joined());
            let result = client.publish("com.example.news", PublishOptions::default(), Payload::empty());
            assert!(matches!(result, Err(Error::Ended(End::Left(_)))), "{result:?}");
            assert!(matches!(client.leave(close::NORMAL), Err(End::Left(_))));
            let (events, end) = rest(&mut client);
            assert_eq!(events, [ClientEvent::Left { reason: answer }]);
            assert!(matches!(end, End::Left(_)), "{end}");
        }
    }
}

#[test]
fn what_arrived_before_leaving_can_be_taken_afterwards() {
    let server = TestServer::start();
    let mut client = server.client();
    client.subscribe("com.example.news", SubscribeOptions::default()).expect("subscribed");
    let mut other = server.client();
    let acknowledged = PublishOptions { acknowledge: true, ..PublishOptions::default() };
    other.publish("com.example.news", acknowledged, text("hello")).expect("published");
    let result = client.call("com.nothing", CallOptions::default(), Payload::empty());
    assert!(matches!(result, Err(Error::Failed(_))), "{result:?}");
    client.leave(close::NORMAL).expect("in good order");
    let (events, _) = rest(&mut client);
    assert!(matches!(&events[..], [ClientEvent::Event { .. }, ClientEvent::Left { .. }]), "{events:?}");
}

#[test]
fn a_router_that_shuts_down_says_goodbye() {
    for transport in [Transport::Ws, Transport::Rs] {
        let server = TestServer::start();
        let mut client = server.client_with(transport, &Options::default());
        server.shut_down();
        let (events, end) = rest(&mut client);
        assert_eq!(events, [ClientEvent::Left { reason: close::SYSTEM_SHUTDOWN }]);
        assert!(matches!(end, End::Left(reason) if reason == close::SYSTEM_SHUTDOWN));
    }
}

#[test]
fn a_call_in_flight_when_the_router_shuts_down() {
    let server = TestServer::start();
    let mut callee = server.client();
    callee.register("com.example.slow", RegisterOptions::default()).expect("registered");
    let mut caller = server.client();
    let caller = thread::spawn(move || caller.call("com.example.slow", CallOptions::default(), Payload::empty()));
    assert!(matches!(next(&mut callee), ClientEvent::Invocation { .. }));
    server.shut_down();
    let result = caller.join().expect("no panic");
    assert!(matches!(result, Err(Error::Ended(End::Left(_)) | Error::Failed(_))), "{result:?}");
}

#[test]
fn a_call_in_flight_when_the_connection_is_cut() {
    for transport in [Transport::Ws, Transport::Rs, Transport::UnixRs] {
        let mut server = TestServer::start();
        let mut callee = server.client();
        callee.register("com.example.slow", RegisterOptions::default()).expect("registered");
        let mut caller = server.client_with(transport, &Options::default());
        let caller = thread::spawn(move || {
            let result = caller.call("com.example.slow", CallOptions::default(), Payload::empty());
            (result.map(|_| ()), caller)
        });
        let ClientEvent::Invocation { request, .. } = next(&mut callee) else { panic!("no invocation") };
        server.stop();
        let (result, mut caller) = caller.join().expect("no panic");
        assert!(matches!(result, Err(Error::Ended(End::Lost(Lost::Cut | Lost::Io(_))))), "{result:?}");
        let (events, end) = rest(&mut caller);
        assert_eq!(events, [ClientEvent::Lost]);
        assert!(matches!(end, End::Lost(_)), "{end}");
        // An answer that can not be sent any more is no surprise.
        let (events, _) = rest(&mut callee);
        assert_eq!(events.last(), Some(&ClientEvent::Lost));
        let result = callee.yield_result(request, YieldOptions::default(), Payload::empty());
        assert!(matches!(result, Err(Error::Ended(End::Lost(_)))), "{result:?}");
    }
}

#[test]
fn a_call_made_without_waiting_fails_before_the_end() {
    let mut server = TestServer::start();
    let mut callee = server.client();
    callee.register("com.example.slow", RegisterOptions::default()).expect("registered");
    let mut caller = server.client();
    let call = caller.send_call("com.example.slow", CallOptions::default(), Payload::empty()).expect("sent");
    assert!(matches!(next(&mut callee), ClientEvent::Invocation { .. }));
    server.stop();
    let (events, _) = rest(&mut caller);
    let [ClientEvent::Failed { request, error, .. }, ClientEvent::Lost] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*request, error), (call, &error::TRANSPORT_LOST));
}

/// A RawSocket router that lets one client in over JSON, sends it `then`, and waits for it to hang up.
fn router(then: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("rs://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let mut buffer = [0; 4096];
        socket.read_exact(&mut buffer[..4]).expect("a handshake");
        socket.write_all(&[0x7f, 0xf1, 0, 0]).expect("written");
        let _ = socket.read(&mut buffer);
        for text in [r#"[2,7,{"roles":{"broker":{},"dealer":{}}}]"#].iter().chain(then) {
            let len = u32::try_from(text.len()).expect("short").to_be_bytes();
            socket.write_all(&[&len[..], text.as_bytes()].concat()).expect("written");
        }
        while socket.read(&mut buffer).is_ok_and(|len| len > 0) {}
    });
    url
}

/// A WebSocket router that lets one client in and closes the transport at once, without GOODBYE.
fn closing_router(code: CloseCode, reason: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("ws://{}/", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let now = Instant::ZERO;
        let mut wire = Connection::new(Arc::default(), now);
        let (mut buffer, mut out) = ([0; 4096], Vec::new());
        while let Ok(len @ 1..) = socket.read(&mut buffer) {
            let mut input = BytesMut::from(&buffer[..len]);
            while let Some(incoming) = wire.next(now, &mut input, &mut out).expect("a good client") {
                match incoming {
                    Incoming::Http(request) => {
                        wire.accept_websocket(now, &request, &UpgradeOptions::default(), &mut out).expect("an upgrade");
                    }
                    Incoming::Message(_) => {
                        let encoding = wire.encoding().expect("open");
                        let frame = encoding.begin(&mut out, 100);
                        encode(&welcome().into(), encoding.format, &mut out).expect("encodable");
                        encoding.finish(&mut out, frame).expect("short");
                        wire.close(now, code, reason, &mut out);
                    }
                    _ => {}
                }
            }
            socket.write_all(&out).expect("written");
            out.clear();
        }
    });
    url
}

fn welcome() -> Welcome {
    let roles = RouterRoles { broker: Some(Features::NONE), dealer: Some(Features::NONE) };
    Welcome {
        session: SessionId::new(7).expect("in range"),
        details: WelcomeDetails { roles, ..WelcomeDetails::default() },
    }
}

#[test]
fn a_router_that_closes_the_transport_only() {
    let url = closing_router(CloseCode::INTERNAL_ERROR, "out of order");
    let mut client = connect(&url, &Options::default(), limits());
    let (events, end) = rest(&mut client);
    assert_eq!(events, [ClientEvent::Lost]);
    assert_eq!(end.to_string(), "the connection was lost: the router closed it with code 1011: out of order");
}

fn connect(url: &str, options: &Options, limits: ClientLimits) -> Client {
    let config = ClientConfig { limits, ..anonymous() };
    Client::connect(&url.parse().expect("valid"), options, config).expect("joined")
}

fn json() -> Options {
    Options::with_serializer(Format::Json)
}

#[test]
fn a_router_that_breaks_the_session_off() {
    let url = router(&[r#"[3,{"message":"enough"},"com.example.enough"]"#]);
    let mut client = connect(&url, &json(), limits());
    let (events, end) = rest(&mut client);
    assert!(matches!(&events[..], [ClientEvent::Aborted { by: Side::Router, .. }]), "{events:?}");
    assert_eq!(end.to_string(), "the session was broken off: com.example.enough: enough");
}

#[test]
fn a_router_that_talks_nonsense() {
    for nonsense in [&["[8,48,1,{},\"com.example\"]"][..], &["nonsense"], &["[36,1]"]] {
        let url = router(nonsense);
        let mut client = connect(&url, &json(), limits());
        let (_, end) = rest(&mut client);
        let End::Aborted(aborted) = end else { panic!("{end}") };
        assert_eq!((aborted.by, aborted.reason), (Side::Client, error::PROTOCOL_VIOLATION));
    }
}

#[test]
fn a_router_that_does_not_say_goodbye() {
    let url = router(&[]);
    let limits = ClientLimits { goodbye_timeout: Duration::from_millis(50), ..limits() };
    let options = Options { linger_timeout: Duration::from_millis(50), ..json() };
    let mut client = connect(&url, &options, limits);
    let end = client.leave(close::NORMAL).expect_err("no answer comes");
    assert!(matches!(end, End::Lost(Lost::NoGoodbye)), "{end}");
}

#[test]
fn a_router_that_is_silent_is_found_by_pings() {
    let url = router(&[]);
    let ping = PingOptions { interval: Some(Duration::from_millis(30)), timeout: Duration::from_millis(30) };
    let options = Options { rawsocket: RawSocketOptions { ping, ..RawSocketOptions::default() }, ..json() };
    let mut client = connect(&url, &options, limits());
    let (events, end) = rest(&mut client);
    assert_eq!(events, [ClientEvent::Lost]);
    assert!(matches!(end, End::Lost(Lost::Transport(TransportError::PingTimeout))), "{end}");
}

#[test]
fn a_router_that_reads_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let url = format!("rs://{}", listener.local_addr().expect("bound"));
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let router = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        socket.read_exact(&mut [0; 4]).expect("a handshake");
        let welcome = r#"[2,7,{"roles":{"broker":{},"dealer":{}}}]"#;
        let len = [0, 0, 0, welcome.len() as u8];
        socket.write_all(&[&[0x7f, 0xf1, 0, 0][..], &len, welcome.as_bytes()].concat()).expect("written");
        let _ = wait.recv();
    });
    let options = Options { write_timeout: Duration::from_millis(50), max_pending: 1 << 20, ..json() };
    let mut client = connect(&url, &options, limits());
    let bulk = text(&"x".repeat(1 << 20));
    let end = loop {
        match client.publish("com.example.bulk", PublishOptions::default(), bulk.clone()) {
            Ok(_) => {}
            Err(Error::Ended(end)) => break end,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(matches!(&end, End::Lost(Lost::Io(error)) if error.kind() == std::io::ErrorKind::TimedOut), "{end}");
    drop(done);
    router.join().expect("no panic");
}
