//! HTTP heads, the WebSocket opening handshake and plain responses.

mod common;

use std::{borrow::Cow, sync::Arc};

use bytes::BytesMut;
use common::{NOW, TestRng, UPGRADE, at, feed, upgrade_with};
use wampd_core::codec::Format;
use wampd_wire::{
    Client, Connection, ContentLength, Framing, HttpError, HttpOptions, HttpRequest, HttpResponse, Incoming, Method,
    OriginPattern, OriginPolicy, Preference, ServerOptions, Subprotocol, TransportError, UpgradeOptions,
    UpgradeRequest,
};

fn server() -> Connection {
    Connection::new(Arc::new(ServerOptions::default()), NOW)
}

fn request(server: &mut Connection, head: &str) -> HttpRequest {
    let (mut got, error, _) = feed(server, head.as_bytes());
    match (got.pop(), error) {
        (Some(Incoming::Http(request)), None) => *request,
        other => panic!("{other:?}"),
    }
}

/// What a server makes of an upgrade request, and the response.
fn upgrade(head: &str, options: &UpgradeOptions) -> (Result<(Format, Framing), HttpError>, String) {
    let mut server = server();
    let request = request(&mut server, head);
    let mut out = Vec::new();
    let result = server.accept_websocket(NOW, &request, options, &mut out);
    assert_eq!((server.is_open(), server.is_closed()), (result.is_ok(), result.is_err()));
    (result.map(|encoding| (encoding.format, encoding.framing)), String::from_utf8(out).unwrap())
}

#[test]
fn requests_are_read() {
    let mut server = server();
    let request = request(&mut server, "GET /a/b%20c?x=1?y HTTP/1.1\r\nHost: h\r\nX-Y:  z \r\nAccept: a\r\n\r\n");
    assert_eq!((request.method(), request.path(), request.query()), (&Method::Get, "/a/b%20c", Some("x=1?y")));
    let header = |name| request.header(name).map(Cow::into_owned);
    assert_eq!([header("HOST"), header("x-y"), header("no")], [Some("h".to_owned()), Some("z".to_owned()), None]);
    assert_eq!(request.headers().count(), 3);
    assert!(!request.is_websocket_upgrade());
}

#[test]
fn the_rfc_example_is_accepted() {
    let offer = "Sec-WebSocket-Protocol: chat, wamp.2.json";
    let head = upgrade_with(&[&UPGRADE[..], &[offer]].concat());
    let (result, response) = upgrade(&head, &UpgradeOptions::default());
    assert_eq!(result, Ok((Format::Json, Framing::WebSocket)));
    assert_eq!(
        response,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: wamp.2.json\r\n\r\n"
    );
}

#[test]
fn subprotocols_are_chosen_in_the_configured_order() {
    let client = UpgradeOptions {
        subprotocols: vec![Subprotocol::MsgPack, Subprotocol::CborBatched],
        ..UpgradeOptions::default()
    };
    let server = UpgradeOptions { preference: Preference::Server, ..client.clone() };
    let lenient = UpgradeOptions { require_subprotocol: false, ..client.clone() };
    let choice = |offers: &[&str], options: &UpgradeOptions| {
        let offers: Vec<String> = offers.iter().map(|offer| format!("Sec-WebSocket-Protocol: {offer}")).collect();
        let offers: Vec<&str> = offers.iter().map(String::as_str).collect();
        upgrade(&upgrade_with(&[&UPGRADE[..], &offers].concat()), options)
    };
    let both = ["wamp.2.json, wamp.2.cbor.batched", "wamp.2.msgpack"];
    assert_eq!(choice(&both, &client).0, Ok((Format::Cbor, Framing::WebSocketBatched)));
    assert_eq!(choice(&both, &server).0, Ok((Format::MsgPack, Framing::WebSocket)));
    assert_eq!(choice(&[], &client).0, Err(HttpError::NoSubprotocol));
    let (result, response) = choice(&[], &lenient);
    assert_eq!(result, Ok((Format::Json, Framing::WebSocket)));
    assert!(!response.contains("Sec-WebSocket-Protocol"));
    for options in [&client, &lenient] {
        let (result, response) = choice(&["wamp.2.json", "WAMP.2.MSGPACK"], options);
        assert_eq!(result, Err(HttpError::UnsupportedSubprotocol));
        assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n") && response.ends_with("is supported\n"));
    }
}

/// Headers are bytes. What is not ASCII hides neither other elements of its list nor other headers.
#[test]
fn bytes_beyond_ascii_spoil_no_header() {
    let lines = ["Upgrade: é, websocket", "Connection: keep-alive, \u{fe}, Upgrade"];
    let lines = [&lines[..], &UPGRADE[3..], &["Sec-WebSocket-Protocol: wämp, wamp.2.json", "X-Name: Zoë"]].concat();
    let head = upgrade_with(&[&UPGRADE[..1], &lines].concat());
    assert_eq!(upgrade(&head, &UpgradeOptions::default()).0, Ok((Format::Json, Framing::WebSocket)));
    let mut server = server();
    let request = request(&mut server, &head);
    assert_eq!(request.header("x-name").as_deref(), Some("Zo\u{c3}\u{ab}"), "each byte is a character");
    assert_eq!(request.headers().count(), request.headers_as_bytes().count());
    // What is compared as a whole is not what it must be.
    for (line, error) in [
        ("Sec-WebSocket-Version: 13, é", HttpError::UnsupportedWebSocketVersion),
        ("Sec-WebSocket-Key: é", HttpError::BadWebSocketKey),
        ("Origin: https://é.example.com", HttpError::OriginNotAllowed),
    ] {
        let (result, _) = upgrade(&upgrade_with(&[&UPGRADE[..], &[line]].concat()), &UpgradeOptions::default());
        assert_eq!(result, Err(error), "{line}");
    }
}

#[test]
fn bad_upgrades_are_refused_with_their_status() {
    use HttpError as E;
    let offer = "Sec-WebSocket-Protocol: wamp.2.json";
    let with = |index: usize, line: &'static str| {
        let mut lines = UPGRADE;
        lines[index] = line;
        upgrade_with(&[&lines[..], &[offer]].concat())
    };
    let good = with(0, UPGRADE[0]);
    for (head, error, status) in [
        (with(1, "Upgrade: h2c"), E::UpgradeRequired, 426),
        (with(2, "Connection: keep-alive"), E::UpgradeRequired, 426),
        (with(3, "Sec-WebSocket-Version: 8"), E::UnsupportedWebSocketVersion, 426),
        (with(3, "X: y"), E::UnsupportedWebSocketVersion, 426),
        (with(4, "X: y"), E::BadWebSocketKey, 400),
        (with(4, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"), E::BadWebSocketKey, 400),
        (with(4, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAAAA"), E::BadWebSocketKey, 400),
        (good.replace("GET", "POST"), E::MethodNotAllowed, 405),
        (good.replace("HTTP/1.1", "HTTP/1.0"), E::UnsupportedVersion, 505),
    ] {
        let (result, response) = upgrade(&head, &UpgradeOptions::default());
        assert_eq!(result, Err(error), "{head}");
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(response.contains("Connection: close\r\n"));
    }
    let (_, response) = upgrade(&with(3, "Sec-WebSocket-Version: 8"), &UpgradeOptions::default());
    assert!(response.contains("Sec-WebSocket-Version: 13\r\n"));
}

#[test]
fn origins_are_checked() {
    let allowed = vec![OriginPattern::parse("https://*.example.com").unwrap()];
    let origins = OriginPolicy { allowed, allow_null: false };
    let options = UpgradeOptions { origins, require_subprotocol: false, ..UpgradeOptions::default() };
    for (line, expected) in [
        ("X: y", true),
        ("Origin: https://a.example.com", true),
        ("Origin: https://a.example.com:8443", false),
        ("Origin: https://example.org", false),
        ("Origin: null", false),
        ("Origin:", false),
        ("Origin: https://a.example.com\r\nOrigin: https://a.example.com", false),
        ("Origin: https://a.example.com\r\nOrigin: https://example.org", false),
        ("Origin: https://example.org\r\nOrigin: https://a.example.com", false),
        ("Origin: https://a.example.com\r\norigin:", false),
        ("Origin: https://a.example.com, https://example.org", false),
        ("Origin: https://a.example.com https://b.example.com", false),
    ] {
        let (result, response) = upgrade(&upgrade_with(&[&UPGRADE[..], &[line]].concat()), &options);
        assert_eq!(result.is_ok(), expected, "{line}");
        assert_eq!(response.starts_with("HTTP/1.1 403 "), !expected);
    }
}

#[test]
fn malformed_heads_are_answered() {
    for (head, status) in [
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
        ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\x16\x03\x01 nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nbad header: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\n\nX: y\r\n\r\n", 400),
    ] {
        let mut server = server();
        let (got, error, out) = feed(&mut server, head.as_bytes());
        assert!(got.is_empty() && matches!(error, Some(TransportError::Http(_))), "{head:?} {got:?}");
        assert!(String::from_utf8(out).unwrap().starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}");
        assert!(server.is_closed());
    }
}

#[test]
fn a_head_may_come_in_pieces_but_not_be_too_long() {
    let http = HttpOptions { max_head: 100 };
    let options = Arc::new(ServerOptions { http: Some(http), ..ServerOptions::default() });
    let head = |len: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(len - 32));
    for (len, good) in [(100, true), (101, false), (1000, false)] {
        for step in [1, 7, 1000] {
            let mut server = Connection::new(Arc::clone(&options), NOW);
            let (mut requests, mut errors, mut replies) = (0, 0, Vec::new());
            for piece in head(len).as_bytes().chunks(step) {
                let (got, error, out) = feed(&mut server, piece);
                requests += got.len();
                errors += usize::from(error.is_some());
                replies.extend(out);
            }
            assert_eq!((requests, errors), (usize::from(good), usize::from(!good)), "{len} {step}");
            assert_eq!(replies.starts_with(b"HTTP/1.1 431 "), !good);
        }
    }
}

#[test]
fn opening_has_a_deadline() {
    for (sent, reply) in [("", ""), ("GET / HTTP/1.1\r\n", "HTTP/1.1 408 "), ("\x7f\x11", "")] {
        let mut server = server();
        feed(&mut server, sent.as_bytes());
        let mut out = Vec::new();
        assert_eq!(server.next_deadline(), Some(at(10)));
        assert_eq!(server.handle_timeout(at(9), true, &mut out), Ok(()));
        assert_eq!(server.handle_timeout(at(10), true, &mut out), Err(TransportError::OpenTimeout));
        assert!(String::from_utf8(out).unwrap().starts_with(reply));
        assert!(server.is_closed() && server.next_deadline().is_none());
    }
}

#[test]
fn only_what_is_configured_is_served() {
    let options = |http: bool| ServerOptions {
        http: http.then(HttpOptions::default),
        rawsocket: (!http).then(Default::default),
        ..ServerOptions::default()
    };
    for (http, bytes) in [(true, "\x7f\x11\0\0"), (false, "GET / HTTP/1.1\r\n")] {
        let mut server = Connection::new(Arc::new(options(http)), NOW);
        let (got, error, out) = feed(&mut server, bytes.as_bytes());
        assert_eq!((got.len(), error, out.len()), (0, Some(TransportError::ProtocolDisabled), 0));
    }
}

#[test]
fn plain_responses_close_the_connection() {
    let response = HttpResponse {
        status: 200,
        content_type: "text/html",
        headers: &[("X-A", "b"), ("X-Bad", "a\r\nX-Evil: b"), ("X Bad", "c")],
        body: b"<p>",
        length: ContentLength::OfBody,
    };
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: 3\r\nX-A: b\r\n\r\n";
    for (method, expected) in [("GET", format!("{head}<p>")), ("HEAD", head.to_owned())] {
        let mut server = server();
        let line = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        request(&mut server, &line);
        let mut out = Vec::new();
        server.respond(&response, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert!(server.is_closed());
        let mut out = Vec::new();
        server.respond(&response, &mut out);
        assert!(out.is_empty());
    }
}

#[test]
fn a_body_that_is_not_sent_has_no_length() {
    let (headers, length) = (&[("ETag", "\"1\"")], ContentLength::OfBody);
    let response = HttpResponse { status: 304, content_type: "text/html", headers, body: b"", length };
    let mut server = server();
    request(&mut server, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut out = Vec::new();
    assert!(server.respond_head(&response, &mut out));
    let expected = "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nETag: \"1\"\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn the_response_to_head_may_tell_a_length_without_a_body_and_others_may_not() {
    for (length, told) in [
        (ContentLength::OfBody, Some("2")),
        (ContentLength::Bytes(40 << 20), Some("41943040")),
        (ContentLength::Unknown, None),
    ] {
        let response = HttpResponse { status: 200, content_type: "text/html", headers: &[], body: b"ab", length };
        for method in ["HEAD", "GET"] {
            let mut server = server();
            request(&mut server, &format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
            let mut out = Vec::new();
            assert_eq!(server.respond_head(&response, &mut out), method == "GET");
            let head = String::from_utf8(out).unwrap();
            let line = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            assert_eq!(line, if method == "GET" { Some("2") } else { told }, "{head}");
        }
    }
}

#[test]
fn what_follows_the_request_waits_for_the_answer() {
    let mut server = server();
    let offer = "Sec-WebSocket-Protocol: wamp.2.json";
    let mut stream = upgrade_with(&[&UPGRADE[..], &[offer]].concat()).into_bytes();
    stream.extend(b"\x81\x83\0\0\0\0[1]");
    let (mut got, _, _) = feed(&mut server, &stream);
    let Some(Incoming::Http(request)) = got.pop() else { panic!() };
    server.accept_websocket(NOW, &request, &UpgradeOptions::default(), &mut Vec::new()).unwrap();
    let (got, _, _) = feed(&mut server, b"");
    assert!(matches!(&got[..], [Incoming::Message(message)] if message == "[1]"));

    let mut server = Connection::new(Arc::new(ServerOptions::default()), NOW);
    feed(&mut server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (_, error, _) = feed(&mut server, &vec![0; 20_000]);
    assert_eq!(error, Some(HttpError::HeadTooLong { limit: 16_384 }.into()));
}

#[test]
fn a_client_checks_the_response() {
    let start = || {
        let mut out = Vec::new();
        let mut request =
            UpgradeRequest::new("example.com:8080", "/ws?a=b", vec![Subprotocol::Cbor, Subprotocol::Json]);
        request.headers.push(("Origin".to_owned(), "http://example.com".to_owned()));
        let client = Client::websocket(request, TestRng(3), at(10), &mut out).unwrap();
        let head = String::from_utf8(out).unwrap();
        assert!(head.starts_with("GET /ws?a=b HTTP/1.1\r\nHost: example.com:8080\r\n"), "{head}");
        assert!(head.contains("Sec-WebSocket-Protocol: wamp.2.cbor, wamp.2.json\r\nOrigin: http://example.com\r\n"));
        let (_, response) = upgrade(&head, &UpgradeOptions::default());
        (client, response)
    };
    let (mut client, response) = start();
    let opened = client.next(NOW, &mut BytesMut::from(response.as_str()), &mut Vec::new()).unwrap();
    assert!(matches!(opened, Some(Incoming::Open(encoding)) if encoding.format == Format::Cbor));
    for (from, to, error) in [
        ("101 Switching Protocols", "403 Forbidden", HttpError::UnexpectedStatus(403)),
        ("Upgrade: websocket", "Upgrade: x", HttpError::BadUpgrade("Upgrade")),
        ("Connection: Upgrade", "Connection: close", HttpError::BadUpgrade("Connection")),
        ("Accept: ", "Accept: x", HttpError::BadUpgrade("Sec-WebSocket-Accept")),
        ("wamp.2.cbor", "wamp.2.msgpack", HttpError::BadUpgrade("Sec-WebSocket-Protocol")),
        ("Sec-WebSocket-Protocol: wamp.2.cbor\r\n", "", HttpError::BadUpgrade("Sec-WebSocket-Protocol")),
        ("\r\n\r\n", "\r\nSec-WebSocket-Extensions: x\r\n\r\n", HttpError::BadUpgrade("Sec-WebSocket-Extensions")),
        ("HTTP/1.1", "HTTP:1.1", HttpError::Malformed("response head")),
    ] {
        let (mut client, response) = start();
        let response = response.replace(from, to);
        let result = client.next(NOW, &mut BytesMut::from(response.as_str()), &mut Vec::new());
        assert_eq!(result.unwrap_err(), error.into(), "{response}");
        assert!(client.is_closed());
    }
}

#[test]
fn a_client_writes_no_broken_request() {
    let json = || vec![Subprotocol::Json];
    let header = |name: &str, value: &str| {
        let headers = vec![(name.to_owned(), value.to_owned())];
        UpgradeRequest { headers, ..UpgradeRequest::new("a", "/", json()) }
    };
    for request in [
        UpgradeRequest::new("", "/", json()),
        UpgradeRequest::new("a\r\nX: y", "/", json()),
        UpgradeRequest::new("a", "ws", json()),
        UpgradeRequest::new("a", "/ HTTP/1.1\r\nX: y\r\n\r\n", json()),
        UpgradeRequest::new("a", "/", Vec::new()),
        header("X", "a\r\nb"),
        header("X Y", "a"),
        header("", "a"),
    ] {
        let mut out = Vec::new();
        let result = Client::websocket(request, TestRng(1), at(10), &mut out);
        assert_eq!(result.unwrap_err(), HttpError::InvalidRequest);
        assert!(out.is_empty());
    }
}
