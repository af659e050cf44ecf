//! Connecting and joining, and what can go wrong with it.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use wampd_core::{
    client::{ClientConfig, ClientLimits, Credential, Side},
    codec::Format,
    uri::error,
    value::{Dict, Value},
};
use wampd_mio::client::{Challenge, Client, ConnectError, Options, Proof, Stage, Url};
use wampd_wire::{HttpError, RawSocketError, Subprotocol, TransportError};

use crate::harness::*;

fn user(authid: &str, credential: Credential) -> ClientConfig {
    ClientConfig { limits: limits(), ..ClientConfig::with_credential(REALM, authid, credential) }
}

fn cra(authid: &str, secret: &str) -> ClientConfig {
    user(authid, Credential::Cra(secret.to_owned()))
}

fn refused(result: Result<Client, ConnectError>) -> ConnectError {
    result.expect_err("there should be no session")
}

/// A server that reads what comes and answers with what the test says; then it waits for the client to hang up.
fn answering(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("a client");
        let mut buffer = [0; 1024];
        let _ = socket.read(&mut buffer);
        let _ = socket.write_all(answer);
        while socket.read(&mut buffer).is_ok_and(|len| len > 0) {}
    });
    address
}

#[test]
fn every_credential_lets_its_owner_in() {
    let server = TestServer::start();
    let url = server.url(Transport::Ws);
    for (config, authid, method) in [
        (anonymous(), "anonymous", "anonymous"),
        (cra("client1", "secret123"), "client1", "wampcra"),
        (cra("peter", "secret1"), "peter", "wampcra"),
        (user("tim", Credential::Ticket("tim's ticket".to_owned())), "tim", "ticket"),
    ] {
        let client = Client::connect(&url, &Options::default(), config).expect("joined");
        let details = &client.session().details;
        assert_eq!((details.authid.as_deref(), details.authmethod.as_deref()), (Some(authid), Some(method)));
        assert_eq!(details.realm, Some(REALM));
    }
}

#[test]
fn the_application_answers_challenges_of_its_own_methods() {
    let server = TestServer::start();
    let url = server.url(Transport::Rs);
    let config = || user("sphinx", Credential::External { method: "riddle".to_owned() });
    let prove = |signature: &'static str| {
        move |challenge: Challenge<'_>| {
            assert_eq!(challenge.method, "riddle");
            assert_eq!(challenge.extra.get("question"), Some(&Value::from("6 times 7")));
            let extra = Dict::from([("sure".to_owned(), Value::from(true))]);
            Some(Proof { signature: signature.to_owned(), extra })
        }
    };
    let client = Client::connect_with(&url, &Options::default(), config(), prove("42")).expect("joined");
    assert_eq!(client.session().details.authmethod.as_deref(), Some("riddle"));

    let why = refused(Client::connect_with(&url, &Options::default(), config(), prove("41")));
    let ConnectError::Aborted(aborted) = why else { panic!("{why}") };
    assert_eq!((aborted.by, aborted.reason.as_str()), (Side::Router, "com.example.wrong"));

    let why = refused(Client::connect(&url, &Options::default(), config()));
    let ConnectError::Aborted(aborted) = why else { panic!("{why}") };
    assert_eq!((aborted.by, aborted.reason), (Side::Client, error::AUTHENTICATION_FAILED));
}

#[test]
fn a_refusal_carries_uri_and_text() {
    for (transport, options) in every_way() {
        // One each: a router makes logins wait after too many that have failed.
        let server = TestServer::start();
        let url = server.url(transport);
        for (config, text) in [
            (cra("client1", "wrong"), "wamp.error.not_authorized: WAMP-CRA client signature is invalid"),
            (cra("nobody", "secret"), "com.example.no_such_user: no such user nobody"),
        ] {
            let why = refused(Client::connect(&url, &options, config));
            let ConnectError::Aborted(aborted) = &why else { panic!("{transport:?}: {why}") };
            assert_eq!((aborted.by, aborted.to_string().as_str()), (Side::Router, text));
            assert_eq!(why.to_string(), format!("joining was refused: {text}"));
        }
    }
}

#[test]
fn nobody_listens() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    for url in [format!("ws://{free}/"), format!("rs://{free}")] {
        let url: Url = url.parse().expect("valid");
        let why = refused(Client::connect(&url, &Options::default(), anonymous()));
        assert!(matches!(&why, ConnectError::Socket(error) if error.kind() == ErrorKind::ConnectionRefused), "{why}");
    }
    let url: Url = "unix:/nonexistent/wampd.sock".parse().expect("valid");
    let why = refused(Client::connect(&url, &Options::default(), anonymous()));
    assert!(matches!(&why, ConnectError::Socket(error) if error.kind() == ErrorKind::NotFound), "{why}");
}

#[test]
fn a_host_without_an_address() {
    // Refused by the resolver without asking the network (RFC 6761: `invalid` never exists).
    let url: Url = "ws://no-such-host.invalid/".parse().expect("valid");
    let why = refused(Client::connect(&url, &Options::default(), anonymous()));
    assert!(matches!(&why, ConnectError::Resolve { host, .. } if host == "no-such-host.invalid"), "{why}");
}

#[test]
fn wrong_paths_and_subprotocols() {
    let server = TestServer::start();
    let url = |path: &str| format!("ws://{}{path}", server.address).parse::<Url>().expect("valid");
    let why = refused(Client::connect(&url("/nothing"), &Options::default(), anonymous()));
    let status = |why: &ConnectError| match why {
        ConnectError::Transport(TransportError::Http(HttpError::UnexpectedStatus(status))) => *status,
        other => panic!("{other}"),
    };
    assert_eq!(status(&why), 404);
    let cbor = Options { subprotocols: vec![Subprotocol::Cbor], ..Options::default() };
    assert_eq!(status(&refused(Client::connect(&url("/json"), &cbor, anonymous()))), 400);
    let client = Client::connect(&url("/json"), &Options::default(), anonymous()).expect("one of those offered fits");
    assert_eq!(client.encoding().format, Format::Json);
    let none = Options { subprotocols: Vec::new(), ..Options::default() };
    let why = refused(Client::connect(&url("/ws"), &none, anonymous()));
    assert!(matches!(why, ConnectError::Transport(TransportError::Http(HttpError::InvalidRequest))), "{why}");
}

#[test]
fn the_other_protocol() {
    let server = TestServer::start();
    let url = format!("ws://{}/ws", server.small).parse().expect("valid");
    let why = refused(Client::connect(&url, &Options::default(), anonymous()));
    assert!(matches!(why, ConnectError::Transport(_) | ConnectError::Lost(_)), "{why}");
    let address = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    let url = format!("rs://{address}").parse().expect("valid");
    let why = refused(Client::connect(&url, &Options::default(), anonymous()));
    assert!(matches!(why, ConnectError::Transport(TransportError::RawSocket(RawSocketError::BadMagic))), "{why}");
}

#[test]
fn a_server_that_does_not_answer() {
    let options = Options { open_timeout: Duration::from_millis(100), ..Options::default() };
    for protocol in ["ws", "rs"] {
        let url = format!("{protocol}://{}", answering(b""));
        let why = refused(Client::connect(&url.parse().expect("valid"), &options, anonymous()));
        assert!(matches!(why, ConnectError::Timeout(Stage::Transport)), "{why}");
    }
    let server = TestServer::start();
    let limits = ClientLimits { handshake_timeout: Duration::from_millis(100), ..limits() };
    let config = ClientConfig { limits, ..cra("waiting", "") };
    let why = refused(Client::connect(&server.url(Transport::Ws), &Options::default(), config));
    assert!(matches!(why, ConnectError::Timeout(Stage::Join)), "{why}");
}

#[test]
fn a_server_that_hangs_up() {
    for protocol in ["ws", "rs"] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let url = format!("{protocol}://{}", listener.local_addr().expect("bound")).parse().expect("valid");
        let hang_up = thread::spawn(move || drop(listener.accept()));
        let why = refused(Client::connect(&url, &Options::default(), anonymous()));
        assert!(matches!(why, ConnectError::Lost(_)), "{why}");
        hang_up.join().expect("no panic");
    }
}
