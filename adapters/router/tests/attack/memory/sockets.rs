//! A thousand strangers, each of whom makes the router hold as much as it can before it has joined.

use crate::harness::{Bystander, CBOR, JSON, PATIENCE, Raw, Router, config, connect};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// How many there are of each kind, with default limits of the router.
const STRANGERS: usize = 1_000;

const MOST: u64 = 128 << 20;

/// This process holds the other ends of all connections.
fn allow_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("no more than the maximum");
}

/// Transport 0 also serves a large file and asks a procedure at `/asked`, transport 2 is a WebSocket over TLS.
fn everything() -> (crate::harness::Folder, Value) {
    let folder = crate::harness::Folder::new();
    folder.write("site/large.bin", vec![b'x'; 8 << 20]);
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name").self_signed(&key);
    folder.write("server.pem", certificate.expect("signed").pem());
    folder.write("server.key", key.serialize_pem());
    let mut config = config();
    let worker = &mut config["workers"][0];
    let dynamic = json!({"ticket": {"type": "dynamic", "authenticator": "com.example.authenticate"}});
    worker["transports"][0]["paths"]["site"] = json!({"type": "static", "directory": "site"});
    worker["transports"][0]["paths"]["asked"] = json!({"type": "websocket", "auth": dynamic});
    let tls = json!({"certificate": "server.pem", "key": "server.key"});
    let endpoint = json!({"type": "tcp", "interface": "127.0.0.1", "port": 0, "tls": tls});
    let paths = json!({"ws": {"type": "websocket", "auth": {"anonymous": {"type": "static", "role": "user"}}}});
    worker["transports"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"type": "web", "endpoint": endpoint, "paths": paths}));
    (folder, config)
}

/// As many bytes as the router takes; it may have ended the connection. One that takes no more for now is left alone.
fn flood(stream: &mut TcpStream, bytes: &[u8], most: usize) {
    stream.set_nonblocking(true).expect("set");
    let mut sent = 0;
    while sent < most {
        match stream.write(bytes) {
            Ok(len) if len == bytes.len() => sent += len,
            _ => break,
        }
    }
    stream.set_nonblocking(false).expect("set");
}

fn upgrade(path: &str, protocol: &str, filler: usize) -> String {
    let filler: String = (0..filler / 200).map(|n| format!("X-Filler-{n}: {}\r\n", "x".repeat(180))).collect();
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocol}\r\n{filler}\r\n"
    )
}

/// A frame with a mask of zeros, of which not all need be sent.
fn frame(first: u8, announced: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match announced {
        0..=125 => frame.push(0x80 | announced as u8),
        126..=0xffff => frame.extend([0xfe, (announced >> 8) as u8, announced as u8]),
        _ => {
            frame.push(0xff);
            frame.extend(announced.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A WebSocket whose response to the upgrade is not read; the router may end it at any time.
fn websocket(port: u16, path: &str, protocol: &str, then: &[u8]) -> TcpStream {
    let mut stream = connect(port);
    let _ = stream.write_all(upgrade(path, protocol, 14_000).as_bytes());
    let _ = stream.write_all(then);
    stream
}

fn rawsocket(port: u16, then: &[u8]) -> TcpStream {
    let mut stream = connect(port);
    let _ = stream.write_all(&[0x7f, 0xf0 | JSON, 0, 0]);
    let _ = stream.write_all(then);
    stream
}

/// A ClientHello that takes as many records as it can, the last of which is not finished.
fn endless_client_hello() -> Vec<u8> {
    let mut hello = Vec::new();
    let mut body = vec![1, 0, 0xff, 0xf0, 3, 3];
    body.resize(64 << 10, 0);
    for part in body.chunks(16_000) {
        hello.extend([22, 3, 1, (part.len() >> 8) as u8, part.len() as u8]);
        hello.extend(part);
    }
    hello.truncate(hello.len() - 1_000);
    hello
}

/// A HELLO with an authextra of this size, in JSON.
fn hello_with_authextra(len: usize) -> Vec<u8> {
    let authextra = json!({"x": "x".repeat(len)});
    json!([1, "realm1", {"roles": {"caller": {}}, "authmethods": ["ticket"], "authid": "joe", "authextra": authextra}])
        .to_string()
        .into_bytes()
}

/// Every way to make the router hold something, by name.
type Attack = (&'static str, fn(&Router) -> TcpStream);

const ATTACKS: &[Attack] = &[
    ("unfinished frame", |router| {
        websocket(router.port(0), "/ws", "wamp.2.json", &frame(0x81, 65_536, &[b' '; 65_535]))
    }),
    ("frame of 16 MiB", |router| {
        websocket(router.port(0), "/ws", "wamp.2.cbor", &frame(0x82, 16 << 20, &[0; 200_000]))
    }),
    ("fragments", |router| {
        let fragments: Vec<u8> =
            (0..65).flat_map(|n| frame(if n == 0 { 1 } else { 0 }, 1_000, &[b' '; 1_000])).collect();
        websocket(router.port(0), "/ws", "wamp.2.json", &fragments)
    }),
    ("unfinished RawSocket message", |router| {
        rawsocket(router.port(1), &[&65_536_u32.to_be_bytes()[..], &[b' '; 65_535]].concat())
    }),
    ("RawSocket message of 16 MiB", |router| {
        rawsocket(router.port(1), &[&0x00ff_ffff_u32.to_be_bytes()[..], &[b' '; 200_000]].concat())
    }),
    ("unfinished HTTP head", |router| {
        let mut stream = connect(router.port(0));
        let head = upgrade("/ws", "wamp.2.json", 16_000);
        let _ = stream.write_all(&head.as_bytes()[..head.len() - 2]);
        stream
    }),
    ("unfinished ClientHello", |router| {
        let mut stream = connect(router.port(2));
        let _ = stream.write_all(&endless_client_hello());
        stream
    }),
    ("HELLO that waits for its authenticator, and more behind it", |router| {
        let hello = hello_with_authextra(60_000);
        let more = frame(0x81, 65_000, &[b' '; 64_000]);
        let hello = frame(0x81, hello.len() as u64, &hello);
        websocket(router.port(0), "/asked", "wamp.2.json", &[hello, more].concat())
    }),
    ("large file that is not read", |router| {
        let mut stream = connect(router.port(0));
        let _ = stream.write_all(b"GET /site/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream
    }),
    ("pongs that are not read", |router| {
        let mut stream = rawsocket(router.port(1), &[]);
        flood(&mut stream, &[&0x0100_1000_u32.to_be_bytes()[..], &[0; 4_096]].concat(), 1 << 20);
        stream
    }),
];

/// A session that is asked about everybody who logs in at `/asked`, and never answers.
fn silent_authenticator(router: &Router) -> Raw {
    let mut backend = Raw::join(router.port(1));
    backend.send(&json!([64, 1, {}, "com.example.authenticate"]));
    assert_eq!(backend.receive()[0], 65);
    let mut reader = backend.0.try_clone().expect("cloned");
    // It reads its questions, lest they wait for it.
    std::thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
    backend
}

/// A router under attack by as many strangers, the kinds of which take turns. They are there until the end.
fn attack(strangers: usize, address_limit: Option<u64>, kinds: &[Attack]) -> Router {
    allow_files();
    let (folder, config) = everything();
    let mut router = Router::start_in(folder, &config, address_limit);
    let _backend = silent_authenticator(&router);
    let bystander = Bystander::join(router.port(1));
    let (strangers, noticed) = bystander.during(|| {
        let strangers: Vec<TcpStream> = (0..strangers).map(|n| (kinds[n % kinds.len()].1)(&router)).collect();
        bystander.wait_for_answers(50);
        strangers
    });
    println!("{}: {:?}, {noticed:?}", kinds[0].0, router.memory());
    assert!(router.is_running(), "{:?}", router.log().last());
    assert!(router.memory().peak < MOST, "{:?}", router.memory());
    drop(strangers);
    bystander.wait_for_answers(20);
    router
}

#[test]
fn a_thousand_strangers_hold_less_than_128_mib_and_need_less_than_1_gib_of_addresses() {
    attack(STRANGERS, Some(1 << 30), ATTACKS);
}

#[test]
#[ignore = "takes a minute"]
fn a_thousand_strangers_of_each_kind_hold_less_than_128_mib() {
    for kind in ATTACKS {
        attack(STRANGERS, Some(1 << 30), std::slice::from_ref(kind));
    }
}

/// What the router says to a peer whose message is too long before it has joined, in the two transports.
#[test]
fn a_stranger_with_a_long_message_is_told_so() {
    let router = Router::start(&config());
    let mut raw = Raw::open(router.port(1), CBOR);
    raw.0.write_all(&65_537_u32.to_be_bytes()).expect("sent");
    let told = raw.receive_to_close().concat();
    assert!(String::from_utf8_lossy(&told).contains("wamp.error.payload_size_exceeded"), "{told:?}");
    let mut stream = websocket(router.port(0), "/ws", "wamp.2.json", &frame(0x81, 65_537, &[]));
    let mut told = Vec::new();
    let _ = stream.read_to_end(&mut told);
    let text = String::from_utf8_lossy(&told);
    assert!(text.contains("wamp.error.payload_size_exceeded") && text.contains("max_message_before_join"), "{text}");
    // Code 1009.
    assert!(told.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == [0x03, 0xf1]), "{text}");
    Bystander::join(router.port(1)).wait_for_answers(10);
}

/// Connects from another address of this machine.
fn connect_from(source: [u8; 4], port: u16) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("bound");
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).expect("connected");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
}

#[test]
fn an_address_has_no_more_connections_than_it_may_and_another_is_served() {
    let mut config = config();
    config["wampd"]["limits"]["per_address"] = json!({"connections": 20});
    let router = Router::start(&config);
    let bystander = Bystander::join(router.port(1));
    let (mut taken, mut refused) = (Vec::new(), 0);
    for _ in 0..100 {
        let mut stream = connect_from([127, 0, 0, 2], router.port(1));
        let _ = stream.write_all(&[0x7f, 0xf0 | JSON, 0, 0]);
        match stream.read_exact(&mut [0; 4]) {
            Ok(()) => taken.push(stream),
            Err(_) => refused += 1,
        }
    }
    assert_eq!((taken.len(), refused), (20, 80));
    let line = router.wait_for_lines("connection refused: too many from its address", 1);
    assert_eq!(line["limit"], "per_address.connections");
    bystander.wait_for_answers(10);
    // Room is made by those that leave.
    drop(taken);
    bystander.wait_for_answers(10);
    let mut stream = connect_from([127, 0, 0, 2], router.port(1));
    stream.write_all(&[0x7f, 0xf0 | JSON, 0, 0]).expect("sent");
    stream.read_exact(&mut [0; 4]).expect("taken");
}

/// Each ClientHello costs the router a signature, and its sender nothing: it is the same one again and again.
#[test]
fn replayed_client_hellos_leave_turns_to_others() {
    const STRANGERS: usize = 200;
    let (folder, config) = everything();
    let router = Router::start_in(folder, &config, None);
    let bystander = Bystander::join(router.port(1));
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let client = client.expect("versions").with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let mut client =
        rustls::ClientConnection::new(client.into(), "localhost".try_into().expect("a name")).expect("made");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("written");
    let mut strangers: Vec<TcpStream> = (0..STRANGERS).map(|_| connect(router.port(2))).collect();
    bystander.wait_for_answers(50);
    let ((), noticed) = bystander.during(|| {
        strangers.iter_mut().for_each(|stranger| stranger.write_all(&hello).expect("sent"));
        strangers.iter_mut().for_each(|stranger| stranger.read_exact(&mut [0; 5]).expect("a ServerHello"));
    });
    // Two handshakes in a turn make 100 turns, and a call of the bystander takes a handful of them.
    println!("{noticed:?}");
    assert!(noticed.answers >= 10, "{noticed:?}");
}
