//! Sessions over real sockets: every transport with every serializer, over TCP and unix sockets.

mod support;

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use support::{
    peer::{Peer, Transport},
    server::{Behaviour, REALM, TestServer, anybody, identity, loopback, open_router, open_server},
};
use wampd_core::{
    auth::CraSecret,
    client::{ClientConfig, ClientEvent, Credential},
    message::{Error, Message, Payload, RequestType},
    router::{ActionVerdict, AuthStep, AuthVerdict, Challenge},
    uri::{Uri, error},
    value::{Dict, Value},
};
use wampd_mio::{Endpoint, ListenerConfig, Response, ServerConfig};
use wampd_wire::{HttpOptions, RawSocketOptions, ServerOptions};

/// A path for a unix socket that no other test uses.
fn socket_path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("wampd-{}-{name}.sock", std::process::id()))
}

fn unix(path: PathBuf) -> ListenerConfig {
    let endpoint = Endpoint::Unix { path, mode: Some(0o600) };
    ListenerConfig {
        endpoint,
        backlog: ListenerConfig::BACKLOG,
        tls: None,
        transport: Arc::new(ServerOptions::default()),
        tag: 0,
        waits: false,
        proxies: None,
    }
}

fn arguments(n: i64) -> Payload {
    let text = Value::from("naïve \u{1f980} \"quoted\"");
    Payload::from_args([Value::from(n), text, Value::Binary(vec![0, 255, 7]), Value::Float(0.5), Value::Null])
}

/// Every pair of transports calls, answers, publishes and receives through one port.
#[test]
fn every_transport_and_serializer_speaks_to_every_other() {
    let server = TestServer::start(open_server());
    let mut callees: Vec<Peer> = Transport::all().map(|transport| Peer::join(server.endpoint(), transport)).collect();
    let mut callers: Vec<Peer> = Transport::all().map(|transport| Peer::join(server.endpoint(), transport)).collect();
    let expected = arguments(1).values().unwrap().0;
    for callee in &mut callees {
        let registration = callee.register("com.example.echo");
        callee.subscribe("com.example.topic");
        for caller in &mut callers {
            let call = caller.call("com.example.echo", arguments(1));
            let (invocation, payload) = callee.invocation();
            assert_eq!(payload.values().unwrap().0, expected);
            callee.yield_result(invocation, payload);
            assert_eq!(caller.answer(call).unwrap(), expected);
            caller.publish("com.example.topic", arguments(1));
            assert_eq!(callee.published(), expected);
        }
        callee.client.unregister(wampd_core::time::Instant::ZERO, registration).unwrap();
        assert!(matches!(callee.event(), ClientEvent::Unregistered { .. }));
    }
    callers.into_iter().chain(callees).for_each(Peer::leave);
    server.wait_until("empty", |(server, router)| server.connections == 0 && router.peers == 0);
}

/// JSON takes text that begins with U+0000 for binary.
#[test]
fn what_cannot_be_carried_is_told_with_its_uri_and_counted_for_each_receiver() {
    let server = TestServer::start(open_server());
    let mut subscribers = [Transport::JSON, Transport::RAW_CBOR, Transport::JSON].map(|transport| {
        let mut subscriber = Peer::join(server.endpoint(), transport);
        subscriber.subscribe("com.example.topic");
        subscriber
    });
    subscribers[0].register("com.example.procedure");
    let mut peer = Peer::join(server.endpoint(), Transport::RAW_CBOR);
    let odd = || Payload::from_args([Value::from("\0x")]);
    peer.publish_acknowledged("com.example.topic", odd());
    peer.publish("com.example.topic", arguments(1));
    for subscriber in &mut subscribers {
        let first = subscriber.published();
        let is_cbor = first == odd().values().unwrap().0;
        let last = if is_cbor { subscriber.published() } else { first };
        assert_eq!(last, arguments(1).values().unwrap().0);
    }
    let call = peer.call("com.example.procedure", odd());
    assert_eq!(peer.answer(call), Err(error::INVALID_ARGUMENT));
    for uri in ["com.example.topic", "com.example.procedure"] {
        let fact = server.fact("Undeliverable");
        assert!(fact.contains(uri), "{fact}");
    }
    server.wait_until("counted", |(_, router)| router.undeliverable == 3);
}

/// Not those with which only routers may say who the callee is: clients check them.
#[test]
fn details_of_a_callees_error_are_passed_on() {
    let server = TestServer::start(open_server());
    let mut callee = Peer::join(server.endpoint(), Transport::JSON);
    callee.register("com.example.fail");
    let mut caller = Peer::join(server.endpoint(), Transport::RAW_CBOR);
    caller.call("com.example.fail", arguments(1));
    caller.flush();
    let (request, _) = callee.invocation();
    let why = Dict::from([("why".to_owned(), Value::from("asked to"))]);
    let details = Dict::from([
        ("x_app".to_owned(), Value::from(why.clone())),
        ("callee".to_owned(), Value::from("nobody")),
        ("forward_for".to_owned(), Value::from(1)),
    ]);
    let answer = Error {
        request_type: RequestType::Invocation,
        request,
        pass_thru: None,
        details: details.into(),
        error: Uri::from("com.example.error"),
        payload: Payload::empty(),
    };
    callee.frame(&answer.into());
    callee.flush();
    callee.leave();
    server.handle.shut_down();
    let mut errors = Vec::new();
    caller.on_message(|message| {
        if let Message::Error(error) = message {
            errors.push(error);
        }
    });
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(error.details.to_dict(), Dict::from([("x_app".to_owned(), Value::from(why))]));
    assert_eq!(error.error, Uri::from("com.example.error"));
}

#[test]
fn unix_sockets_serve_the_same() {
    let path = socket_path("serve");
    let config = ServerConfig { router: open_router(), listeners: vec![unix(path.clone())], ..ServerConfig::default() };
    let server = TestServer::start(config.clone());
    for transport in Transport::all() {
        let mut peer = Peer::join(server.endpoint(), transport);
        peer.register("com.example.echo");
        let call = peer.call("com.example.echo", arguments(2));
        let (invocation, payload) = peer.invocation();
        peer.yield_result(invocation, payload);
        assert_eq!(peer.answer(call).unwrap(), arguments(2).values().unwrap().0);
        peer.leave();
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let second = wampd_mio::Server::bind(config).unwrap_err();
    assert_eq!(second.error.kind(), std::io::ErrorKind::AddrInUse, "a socket in use is not taken over");
    server.handle.shut_down();
    server.join();
    assert!(!path.exists(), "the socket's file is removed");
}

#[test]
fn a_stale_unix_socket_is_replaced_and_another_file_is_not() {
    let path = socket_path("stale");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let config = ServerConfig { router: open_router(), listeners: vec![unix(path.clone())], ..ServerConfig::default() };
    let server = TestServer::start(config.clone());
    Peer::join(server.endpoint(), Transport::JSON).leave();
    drop(server);
    std::fs::write(&path, "precious").unwrap();
    let error = wampd_mio::Server::bind(config).unwrap_err();
    assert_eq!(error.error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_first_octet_decides_and_what_is_not_served_is_refused() {
    let only = |http, rawsocket| loopback(ServerOptions { http, rawsocket, ..ServerOptions::default() });
    let listeners = vec![
        only(Some(HttpOptions::default()), Some(RawSocketOptions::default())),
        only(Some(HttpOptions::default()), None),
        only(None, Some(RawSocketOptions::default())),
    ];
    let server = TestServer::start(ServerConfig { router: open_router(), listeners, ..ServerConfig::default() });
    let [universal, web, raw] = &server.endpoints[..] else { panic!() };
    Peer::join(universal, Transport::JSON).leave();
    Peer::join(universal, Transport::RAW_CBOR).leave();
    Peer::join(web, Transport::JSON).leave();
    Peer::join(raw, Transport::RAW_CBOR).leave();
    for (endpoint, first) in [(web, b"\x7f\xf1\0\0".as_slice()), (raw, b"GET /ws HTTP/1.1\r\n\r\n")] {
        use std::io::Write;
        let mut socket = support::peer::Socket::connect(endpoint);
        socket.write_all(first).unwrap();
        assert_eq!(socket.read_to_close(), b"", "{endpoint}");
        drop(socket);
        while !server.fact("closed").contains("not served here") {}
    }
}

#[test]
fn pages_are_answered_and_the_connection_closed() {
    use std::io::Write;
    let page = vec![b'x'; 3 << 20];
    let server =
        TestServer::start_with(open_server(), Behaviour { page: page.clone(), ..Behaviour::default() }, |_| {});
    for (path, status, body) in
        [("/page", "200 OK", &page[..]), ("/other", "404 Not Found", b"there is nothing here\n")]
    {
        let mut socket = support::peer::Socket::connect(server.endpoint());
        write!(socket, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let answer = socket.read_to_close();
        assert!(answer.starts_with(format!("HTTP/1.1 {status}\r\n").as_bytes()), "{path}");
        assert!(answer.ends_with(body));
        server.fact("Responded");
    }
}

#[test]
fn a_response_may_come_later_and_from_another_thread() {
    use std::io::Write;
    let (later, requested) = mpsc::channel();
    let on_later = Box::new(move |connection| later.send(connection).unwrap());
    let server = TestServer::start_with(open_server(), Behaviour { on_later, ..Behaviour::default() }, |_| {});
    for (method, half_closed, body) in [("GET", false, "late"), ("GET", true, "late"), ("HEAD", false, "")] {
        let mut socket = support::peer::Socket::connect(server.endpoint());
        write!(socket, "{method} /later HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        if half_closed {
            socket.shut_down_writing();
        }
        let connection = requested.recv().unwrap();
        server.handle.respond(connection, Response::text(200, "late"));
        server.handle.respond(connection, Response::text(500, "this has no effect"));
        let answer = String::from_utf8(socket.read_to_close()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("Content-Length: 4\r\n"), "{answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
        assert!(server.fact("Responded").contains("/later"));
    }
}

#[test]
fn a_response_to_one_who_has_left_or_waited_too_long_has_no_effect() {
    use std::io::Write;
    let (later, requested) = mpsc::channel();
    let on_later = Box::new(move |connection| later.send(connection).unwrap());
    let mut config = open_server();
    let open_timeout = Duration::from_millis(20);
    config.listeners = vec![loopback(ServerOptions { open_timeout, ..ServerOptions::default() })];
    let server = TestServer::start_with(config, Behaviour { on_later, ..Behaviour::default() }, |_| {});
    let mut socket = support::peer::Socket::connect(server.endpoint());
    write!(socket, "GET /later HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let connection = requested.recv().unwrap();
    assert_eq!(socket.read_to_close(), b"");
    drop(socket);
    server.fact("closed");
    server.handle.respond(connection, Response::text(200, "too late"));
    Peer::join(server.endpoint(), Transport::JSON).leave();
}

#[test]
fn a_host_is_told_once_that_a_question_is_over() {
    let (ask, asked) = mpsc::channel();
    let (settle, settled) = mpsc::channel();
    let behaviour = Behaviour {
        authenticate: Box::new(move |request, cx| {
            ask.send((request.id, anybody(request), cx.handle().clone())).unwrap();
            None
        }),
        on_settled: Box::new(move |id| settle.send(id).unwrap()),
        ..Behaviour::default()
    };
    let server = TestServer::start_with(open_server(), behaviour, |_| {});
    let stranger = || {
        let mut stranger = Peer::open(server.endpoint(), Transport::JSON, ClientConfig::anonymous(REALM));
        stranger.client.connected(wampd_core::time::Instant::ZERO);
        stranger.flush();
        stranger
    };
    let answered = stranger();
    let (id, identity, handle) = asked.recv().unwrap();
    handle.decide(id, AuthVerdict::Welcome(identity));
    assert_eq!(settled.recv().unwrap(), id);
    let leaves = stranger();
    let (id, ..) = asked.recv().unwrap();
    drop(leaves);
    assert_eq!(settled.recv().unwrap(), id);
    server.wait_until("withdrawn", |(_, router)| router.withdrawn_decisions == 1);
    drop(answered);
    drop(server);
    assert!(settled.try_recv().is_err());
}

#[test]
fn a_verdict_may_come_from_another_thread_or_be_a_challenge() {
    let (ask, asked) = mpsc::channel();
    let behaviour = Behaviour {
        authenticate: Box::new(move |request, cx| match &request.step {
            AuthStep::Hello { methods, authid, .. } if methods.iter().any(|method| method == "wampcra") => {
                let grant = identity(authid.clone()?, "anyone");
                let secret = CraSecret::Plain("secret123".to_owned());
                Some(AuthVerdict::Challenge(Challenge::Cra { secret, grant }))
            }
            _ => {
                ask.send((request.id, anybody(request), cx.handle().clone())).unwrap();
                None
            }
        }),
        ..Behaviour::default()
    };
    let server = TestServer::start_with(open_server(), behaviour, |_| {});
    let decider = std::thread::spawn(move || {
        for (id, identity, handle) in asked {
            let handle: wampd_mio::ServerHandle = handle;
            handle.decide(id, AuthVerdict::Welcome(identity.clone()));
            handle.decide(id, AuthVerdict::Welcome(identity)); // too late, and without effect
        }
    });
    Peer::join(server.endpoint(), Transport::JSON).leave();
    server.wait_until("stale", |(_, router)| router.stale_decisions == 1);

    let cra =
        |secret: &str| ClientConfig::with_credential(support::server::REALM, "joe", Credential::Cra(secret.into()));
    Peer::join_as(server.endpoint(), Transport::RAW_CBOR, cra("secret123")).leave();
    let mut stranger = Peer::open(server.endpoint(), Transport::JSON, cra("guess"));
    stranger.client.connected(wampd_core::time::Instant::ZERO);
    match stranger.event() {
        ClientEvent::Aborted { reason, .. } => assert_eq!(reason, error::NOT_AUTHORIZED),
        other => panic!("{other:?}"),
    }
    stranger.wait_closed();
    server.fact("aborted: wamp.error.not_authorized");
    drop(server);
    decider.join().unwrap();
}

#[test]
fn an_authorizer_may_take_its_time() {
    let (ask, asked) = mpsc::channel();
    let behaviour = Behaviour {
        authenticate: Box::new(|request, _| Some(AuthVerdict::Welcome(identity(request.session.to_string(), "asked")))),
        authorize: Box::new(move |request, cx| {
            ask.send((request.id, request.uri.clone(), cx.handle().clone())).unwrap();
            None
        }),
        ..Behaviour::default()
    };
    let server = TestServer::start_with(open_server(), behaviour, |_| {});
    let decider = std::thread::spawn(move || {
        for (id, uri, handle) in asked {
            let handle: wampd_mio::ServerHandle = handle;
            let verdict = match uri.as_str() {
                "com.example.forbidden" => ActionVerdict::Deny { cache: None },
                _ => ActionVerdict::Allow { disclose: false, cache: None },
            };
            handle.decide_action(id, verdict);
        }
    });
    let mut peer = Peer::join(server.endpoint(), Transport::JSON);
    peer.register("com.example.echo");
    // More than the router holds back behind one that waits: the rest waits in the socket.
    let calls: Vec<_> = (0..500)
        .map(|n| peer.call(if n % 5 == 0 { "com.example.forbidden" } else { "com.example.echo" }, arguments(n)))
        .collect();
    let mut answered = 0;
    while answered < calls.len() {
        match peer.event() {
            ClientEvent::Invocation { request, payload, .. } => peer.yield_result(request, payload),
            ClientEvent::Result { payload, .. } => {
                assert_ne!(payload.values().unwrap().0[0].as_i64().unwrap() % 5, 0);
                answered += 1;
            }
            ClientEvent::Failed { error, .. } => {
                assert_eq!(error, Uri::from("wamp.error.not_authorized"));
                answered += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    peer.leave();
    drop(server);
    decider.join().unwrap();
}
