//! How servers and sessions end, and peers inside the server's process.

mod support;

use std::{
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use support::{
    peer::{Peer, Socket, Transport},
    server::{Behaviour, REALM, TestServer, anybody, identity, open_server},
};
use wampd_core::{
    client::{ClientConfig, ClientEvent},
    message::{CallOptions, Payload, RegisterOptions, SubscribeOptions, YieldOptions},
    router::{AuthVerdict, DecisionId, Farewell, Identity},
    time::Instant,
    uri::{Uri, close, error},
    value::Value,
};
use wampd_mio::{Endpoint, ServerConfig, ServerLimits};

#[test]
fn a_shutdown_says_goodbye_to_everybody() {
    let server = TestServer::start(open_server());
    let mut peers: Vec<Peer> = Transport::all().map(|how| Peer::join(server.endpoint(), how)).collect();
    let mut silent = Peer::open(server.endpoint(), Transport::JSON, ClientConfig::anonymous(REALM));
    let mut mute = Socket::connect(server.endpoint());
    let Endpoint::Tcp(address) = *server.endpoint() else { panic!() };
    server.wait_until("accepted", |(server, _)| server.accepted == peers.len() as u64 + 2);
    server.handle.shut_down();
    server.handle.shut_down(); // once is enough, twice does no harm
    for peer in &mut peers {
        match peer.event() {
            ClientEvent::Left { reason } => assert_eq!(reason, close::SYSTEM_SHUTDOWN),
            other => panic!("{other:?}"),
        }
        peer.wait_closed();
    }
    silent.on_message(|message| {
        assert!(
            matches!(message, wampd_core::message::Message::Abort(abort) if abort.reason == close::SYSTEM_SHUTDOWN)
        );
    });
    assert_eq!(mute.read_to_close(), b"");
    drop((peers, silent, mute));
    let (stats, router) = server.join();
    assert_eq!((stats.connections, router.peers, router.timeouts), (0, 0, 0));
    assert!(std::net::TcpStream::connect(address).is_err(), "the listener is closed");
}

/// What clients of JavaScript come back from: a WebSocket that is closed as going away, one that is cut before joining.
#[test]
fn a_silent_shutdown_ends_transports_without_a_word() {
    let mut config = open_server();
    config.router.farewell = Farewell::Silent;
    let server = TestServer::start(config);
    let mut peers: Vec<Peer> = Transport::all().map(|how| Peer::join(server.endpoint(), how)).collect();
    let mut silent = Peer::open(server.endpoint(), Transport::JSON, ClientConfig::anonymous(REALM));
    server.wait_until("accepted", |(server, _)| server.accepted == peers.len() as u64 + 1);
    server.wait_until("open", |(_, router)| router.peers == peers.len() + 1);
    server.handle.shut_down();
    for peer in &mut peers {
        assert_eq!(peer.event(), ClientEvent::Lost);
    }
    assert_eq!(silent.socket.read_to_close(), b"", "no ABORT, and no close frame");
    drop((peers, silent));
    let (stats, router) = server.join();
    assert_eq!((stats.connections, router.peers, router.timeouts), (0, 0, 0));
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let limits = ServerLimits { shutdown_timeout: Duration::from_millis(100), ..ServerLimits::default() };
    let server = TestServer::start(ServerConfig { limits, ..open_server() });
    let mut deaf = Peer::join(server.endpoint(), Transport::RAW_CBOR);
    server.handle.shut_down();
    let (stats, _) = server.join();
    assert_eq!(stats.connections, 0);
    assert!(matches!(deaf.event(), ClientEvent::Left { .. }), "it was told all the same");
}

#[test]
fn stop_ends_at_once() {
    let server = TestServer::start(open_server());
    let mut peer = Peer::join(server.endpoint(), Transport::JSON);
    server.handle.stop();
    server.join();
    assert_eq!(peer.event(), ClientEvent::Lost);
}

#[test]
fn a_lost_callee_is_the_routers_to_answer_for() {
    let server = TestServer::start(open_server());
    let mut callee = Peer::join(server.endpoint(), Transport::JSON);
    let mut caller = Peer::join(server.endpoint(), Transport::RAW_CBOR);
    callee.register("com.example.slow");
    let calls: Vec<_> = (0..20).map(|_| caller.call("com.example.slow", Payload::empty())).collect();
    server.wait_until("in flight", |(_, router)| router.calls_in_flight == calls.len());
    drop(callee);
    for call in calls {
        assert_eq!(caller.answer(call), Err(error::CANCELED));
    }
    let call = caller.call("com.example.slow", Payload::empty());
    assert_eq!(caller.answer(call), Err(error::NO_SUCH_PROCEDURE));
    server.fact("left: Lost");
}

#[test]
fn a_lost_caller_interrupts_its_callee_whose_late_answer_does_no_harm() {
    let server = TestServer::start(open_server());
    let mut callee = Peer::join(server.endpoint(), Transport::JSON);
    let mut caller = Peer::join(server.endpoint(), Transport::RAW_CBOR);
    callee.register("com.example.slow");
    caller.call("com.example.slow", Payload::empty());
    let (invocation, payload) = callee.invocation();
    drop(caller);
    assert!(matches!(callee.event(), ClientEvent::Interrupted { request, .. } if request == invocation));
    callee.yield_result(invocation, payload);
    callee.leave();
    let (_, router) = server.wait_until("gone", |(server, _)| server.connections == 0);
    assert_eq!((router.late_answers, router.violations, router.calls_in_flight), (1, 0, 0));
}

/// The server is told of nothing: the connection is reset with answers on their way.
#[test]
fn a_reset_connection_leaves_nothing_behind() {
    let server = TestServer::start(open_server());
    let mut callee = Peer::join(server.endpoint(), Transport::JSON);
    callee.register("com.example.big");
    for _ in 0..20 {
        let mut caller = Peer::join(server.endpoint(), Transport::RAW_CBOR);
        caller.subscribe("com.example.topic");
        caller.call("com.example.big", Payload::empty());
        let (invocation, _) = callee.invocation();
        callee.yield_result(invocation, Payload::from_args([Value::from("x".repeat(3 << 20))]));
        // Closing with unread bytes sends a reset.
        caller.socket.read_bytes(10);
        drop(caller);
    }
    let (_, router) = server.wait_until("one left", |(server, _)| server.connections == 1);
    assert_eq!((router.sessions, router.subscriptions, router.calls_in_flight), (1, 0, 0));
    callee.leave();
}

#[test]
fn an_in_process_peer_serves_and_is_served() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let behaviour = Behaviour {
        on_local: Box::new(move |local, event, cx| {
            let mut peer = cx.locals().get(local).expect("it lives while it is told");
            match &event {
                ClientEvent::Joined(_) => {
                    peer.register("com.example.local".into(), RegisterOptions::default()).unwrap();
                    peer.subscribe("com.example.topic".into(), SubscribeOptions::default()).unwrap();
                }
                ClientEvent::Invocation { request, payload, .. } => {
                    let args = payload.values().unwrap().0;
                    if args.is_empty() {
                        peer.leave(close::NORMAL);
                    } else {
                        peer.yield_result(*request, YieldOptions::default(), payload.clone()).unwrap();
                    }
                }
                ClientEvent::Event { payload, .. } => {
                    peer.call("com.example.remote".into(), CallOptions::default(), payload.clone()).unwrap();
                }
                _ => {}
            }
            seen.lock().unwrap().push(event);
        }),
        ..Behaviour::default()
    };
    let trusted = Identity { authrole: "trusted".to_owned(), ..identity("service", "trusted") };
    let server = TestServer::start_with(open_server(), behaviour, |server| {
        server.locals().add(trusted);
    });
    let mut peer = Peer::join(server.endpoint(), Transport::JSON);
    peer.register("com.example.remote");
    let number = |n: i64| Payload::from_args([Value::from(n)]);
    for n in 0..10 {
        let call = peer.call("com.example.local", number(n));
        assert_eq!(peer.answer(call).unwrap()[0].as_i64(), Some(n));
    }
    peer.publish("com.example.topic", number(5));
    let (invocation, payload) = peer.invocation();
    assert_eq!(payload.values().unwrap().0[0].as_i64(), Some(5));
    peer.yield_result(invocation, number(6));

    // It leaves in the middle of a call, which the router answers then.
    let call = peer.call("com.example.local", Payload::empty());
    assert_eq!(peer.answer(call), Err(error::CANCELED));
    peer.leave();
    let (_, router) = server.wait_until("gone", |(_, router)| router.peers == 0);
    assert_eq!((router.joined, router.violations), (2, 0));
    let events = events.lock().unwrap();
    assert!(matches!(events.first(), Some(ClientEvent::Joined(_))));
    assert!(matches!(events.last(), Some(ClientEvent::Left { .. })), "{events:?}");
    let is_result =
        |event: &&ClientEvent| matches!(event, ClientEvent::Result { payload, .. } if *payload == number(6));
    assert_eq!(events.iter().filter(is_result).count(), 1);
}

/// A service of the server's own process decides who may join: a dynamic authenticator.
#[test]
fn an_in_process_peer_may_decide_who_joins() {
    const AUTHENTICATE: Uri = Uri::from_static("com.example.authenticate");
    type Asked = Vec<(wampd_core::id::RequestId, DecisionId, Identity)>;
    let asked = Arc::new(Mutex::new(Asked::new()));
    let (asking, answered) = (Arc::clone(&asked), asked);
    let service = Arc::new(Mutex::new(None));
    let caller = Arc::clone(&service);
    let behaviour = Behaviour {
        authenticate: Box::new(move |request, cx| {
            if let wampd_core::router::AuthStep::Hello { authid: Some(authid), .. } = &request.step
                && authid == "the authenticator"
            {
                return Some(AuthVerdict::Welcome(anybody(request)));
            }
            let service = caller.lock().unwrap().expect("it was added");
            let payload = Payload::from_args([Value::from("somebody")]);
            let mut service = cx.locals().get(service).expect("it lives");
            match service.call(AUTHENTICATE, CallOptions::default(), payload) {
                Ok(call) => {
                    asking.lock().unwrap().push((call, request.id, anybody(request)));
                    None
                }
                Err(why) => Some(AuthVerdict::Deny { reason: error::AUTHENTICATION_FAILED, message: why.to_string() }),
            }
        }),
        on_local: Box::new(move |_, event, cx| {
            let mut asked = answered.lock().unwrap();
            let Some(at) = event.answers().and_then(|call| asked.iter().position(|asked| asked.0 == call)) else {
                return;
            };
            let (_, id, identity) = asked.remove(at);
            cx.decide(
                id,
                match event {
                    ClientEvent::Result { .. } => AuthVerdict::Welcome(identity),
                    ClientEvent::Failed { error, .. } => AuthVerdict::Deny { reason: error, message: String::new() },
                    other => panic!("{other:?}"),
                },
            );
        }),
        ..Behaviour::default()
    };
    let server = TestServer::start_with(open_server(), behaviour, |server| {
        let trusted = Identity { authrole: "trusted".to_owned(), ..identity("service", "trusted") };
        *service.lock().unwrap() = Some(server.locals().add(trusted));
    });
    let config = ClientConfig { authid: Some("the authenticator".to_owned()), ..ClientConfig::anonymous(REALM) };
    let mut authenticator = Peer::join_as(server.endpoint(), Transport::RAW_CBOR, config);
    authenticator.register("com.example.authenticate");
    let mut guest = Peer::open(server.endpoint(), Transport::JSON, ClientConfig::anonymous(REALM));
    for allowed in [false, true] {
        guest.client.connected(Instant::ZERO);
        guest.flush();
        let (invocation, payload) = authenticator.invocation();
        if allowed {
            authenticator.yield_result(invocation, payload);
            assert!(matches!(guest.event(), ClientEvent::Joined(_)));
        } else {
            authenticator.client.yield_error(invocation, "com.example.no".into(), Payload::empty()).unwrap();
            authenticator.flush();
            assert!(
                matches!(guest.event(), ClientEvent::Aborted { reason, .. } if reason.as_str() == "com.example.no")
            );
            guest.wait_closed();
            guest = Peer::open(server.endpoint(), Transport::JSON, ClientConfig::anonymous(REALM));
        }
    }
    // Without its authenticator nobody joins, and nobody waits.
    authenticator.leave();
    server.wait_until("gone", |(server, _)| server.connections == 1);
    let mut late = Peer::open(server.endpoint(), Transport::JSON, ClientConfig::anonymous(REALM));
    late.client.connected(Instant::ZERO);
    assert!(matches!(late.event(), ClientEvent::Aborted { reason, .. } if reason == error::NO_SUCH_PROCEDURE));
}

/// An in-process peer that floods the server does not keep the sockets from being served.
#[test]
fn a_busy_in_process_peer_does_not_starve_the_others() {
    let behaviour = Behaviour {
        on_local: Box::new(|local, event, cx| {
            let Some(mut peer) = cx.locals().get(local) else { return };
            match event {
                ClientEvent::Joined(_) => {
                    peer.subscribe("com.example.echo".into(), SubscribeOptions::default()).unwrap();
                }
                ClientEvent::Subscribed { .. } => {
                    let options = wampd_core::message::PublishOptions { exclude_me: Some(false), ..Default::default() };
                    peer.publish("com.example.echo".into(), options, Payload::empty()).unwrap();
                }
                // Each event makes the next one: it never has nothing to do.
                ClientEvent::Event { .. } => {
                    let options = wampd_core::message::PublishOptions { exclude_me: Some(false), ..Default::default() };
                    peer.publish("com.example.echo".into(), options, Payload::empty()).unwrap();
                }
                _ => {}
            }
        }),
        ..Behaviour::default()
    };
    let server = TestServer::start_with(open_server(), behaviour, |server| {
        server.locals().add(Identity { authrole: "trusted".to_owned(), ..identity("busy", "trusted") });
    });
    let mut peer = Peer::join(server.endpoint(), Transport::JSON);
    peer.register("com.example.echo");
    let call = peer.call("com.example.echo", Payload::empty());
    let (invocation, payload) = peer.invocation();
    peer.yield_result(invocation, payload);
    assert!(peer.answer(call).is_ok());
    peer.leave();
}

/// A session may end and another begin on one transport.
#[test]
fn a_transport_is_good_for_several_sessions() {
    let server = TestServer::start(open_server());
    let hello = br#"[1,"realm1",{"roles":{"caller":{}}}]"#;
    let goodbye = br#"[6,{},"wamp.close.normal"]"#;
    let mut socket = Socket::connect(server.endpoint());
    socket.write_all(b"\x7f\xf1\0\0").unwrap();
    assert_eq!(socket.read_bytes(4), b"\x7f\xf1\0\0");
    for _ in 0..3 {
        for (message, answer) in [(&hello[..], b"[2,"), (goodbye, b"[6,")] {
            socket.write_all(&u32::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
            socket.write_all(message).unwrap();
            let len = u32::from_be_bytes(socket.read_bytes(4).try_into().unwrap());
            assert_eq!(socket.read_bytes(len as usize)[..3], *answer);
        }
    }
    let (_, router) = server.wait_until("three sessions", |(_, router)| router.joined == 3 && router.sessions == 0);
    assert_eq!((router.joining, router.violations), (1, 0));
}

#[test]
fn a_listener_that_waits_refuses_connections_until_it_is_told_to_listen() {
    let mut config = open_server();
    config.listeners[0].waits = true;
    let server = TestServer::start(config);
    let Endpoint::Tcp(address) = *server.endpoint() else { panic!() };
    let refused = std::net::TcpStream::connect(address).expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    server.handle.listen();
    server.handle.listen(); // once is enough, twice does no harm
    server.fact("Listening");
    Peer::join(server.endpoint(), Transport::JSON);
}
