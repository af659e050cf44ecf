//! Clients behind proxies: whose address counts, and who is believed.

mod support;

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use support::{
    PATIENCE,
    server::{Behaviour, TestServer, anybody, loopback, open_router},
};
use wampd_core::{router::AuthVerdict, value::Value};
use wampd_mio::{AddressLimits, Endpoint, ListenerConfig, ServerConfig, ServerLimits};
use wampd_wire::{Proxies, ProxyProtocol, ServerOptions};

/// The proxy, and a host that is none.
const PROXY: [u8; 4] = [127, 0, 0, 1];
const STRANGER: [u8; 4] = [127, 0, 0, 2];

const RAWSOCKET_JSON: &[u8] = b"\x7f\xf1\0\0";
const HELLO: &[u8] = br#"[1,"realm1",{"roles":{"caller":{}}}]"#;

/// RawSocket: handshake and HELLO.
fn rawsocket() -> Vec<u8> {
    [RAWSOCKET_JSON, &[0, 0, 0, HELLO.len() as u8], HELLO].concat()
}

/// An upgrade to a WebSocket with these header lines, each ended by CR LF, and HELLO.
fn websocket(headers: &str) -> Vec<u8> {
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: wamp.2.json\r\n{headers}\r\n"
    );
    // A key of zeros masks nothing.
    [head.as_bytes(), &[0x81, 0x80 | HELLO.len() as u8, 0, 0, 0, 0], HELLO].concat()
}

fn v1(client: &str) -> Vec<u8> {
    format!("PROXY TCP4 {client} 192.0.2.200 4711 443\r\n").into_bytes()
}

fn v2(command: u8, family: u8, addresses: &[u8], further: usize) -> Vec<u8> {
    let length = ((addresses.len() + further) as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, addresses, &vec![0xee; further]].concat()
}

/// Version 2 for 192.0.2.7:4711, with so many bytes that are to be skipped.
fn v2_with(further: usize) -> Vec<u8> {
    v2(0x21, 0x11, &[192, 0, 2, 7, 192, 0, 2, 200, 0x12, 0x67, 1, 187], further)
}

/// A server behind a proxy, and where those who say HELLO come from, as authenticators are told.
struct Behind {
    server: TestServer,
    peers: mpsc::Receiver<String>,
}

impl Behind {
    fn start(protocol: ProxyProtocol, trusted: &str) -> Self {
        Self::start_with(protocol, trusted, ServerLimits::default(), |_| {})
    }

    fn start_with(
        protocol: ProxyProtocol,
        trusted: &str,
        limits: ServerLimits,
        change: impl FnOnce(&mut ListenerConfig),
    ) -> Self {
        let proxies = Some(Arc::new(Proxies { trusted: vec![trusted.parse().unwrap()], protocol }));
        let mut listener = ListenerConfig { proxies, ..loopback(ServerOptions::default()) };
        change(&mut listener);
        let (sender, peers) = mpsc::channel();
        let behaviour = Behaviour {
            authenticate: Box::new(move |request, _| {
                let peer = request.transport.get("peer").and_then(Value::as_str).expect("a peer").to_owned();
                let counted = peer.split(':').nth(1).and_then(|address| address.parse::<Ipv4Addr>().ok());
                assert_eq!(request.origin, counted.map(|address| std::net::IpAddr::from(address).into()), "{peer}");
                sender.send(peer).expect("the test runs");
                Some(AuthVerdict::Welcome(anybody(request)))
            }),
            ..Behaviour::default()
        };
        let config = ServerConfig { router: open_router(), listeners: vec![listener], limits };
        Self { server: TestServer::start_with(config, behaviour, |_| {}), peers }
    }

    fn connect_from(&self, address: [u8; 4]) -> TcpStream {
        let Endpoint::Tcp(to) = self.server.endpoint() else { panic!("TCP") };
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((address, 0)).into()).unwrap();
        socket.connect(&(*to).into()).unwrap();
        socket.set_tcp_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.into()
    }

    /// Sends bytes from an address.
    fn send(&self, from: [u8; 4], bytes: &[u8]) -> TcpStream {
        let mut socket = self.connect_from(from);
        socket.write_all(bytes).unwrap();
        socket
    }

    /// Whom the next to say HELLO is taken for.
    fn peer(&self) -> String {
        self.peers.recv_timeout(PATIENCE).expect("somebody says HELLO")
    }
}

/// All that is received until the end, by FIN or by RST.
fn rest(mut socket: TcpStream) -> String {
    let mut bytes = Vec::new();
    match socket.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_header_of_the_proxy_protocol_tells_the_address_of_the_client() {
    let behind = Behind::start(ProxyProtocol::Proxy, "127.0.0.1");
    for header in [v1("192.0.2.7"), v2_with(0), v2_with(5_000)] {
        for what in [rawsocket(), websocket("X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n")] {
            let whole = [&header[..], &what].concat();
            let _whole = behind.send(PROXY, &whole);
            assert_eq!(behind.peer(), "tcp4:192.0.2.7:4711");
            assert!(behind.server.fact("BehindProxy").contains("peer: Tcp(192.0.2.7:4711), proxy: Tcp(127.0.0.1:"));
        }
        let mut socket = behind.connect_from(PROXY);
        for byte in [&header[..], &rawsocket()].concat() {
            socket.write_all(&[byte]).unwrap();
        }
        assert_eq!(behind.peer(), "tcp4:192.0.2.7:4711");
    }
}

#[test]
fn a_proxy_that_tells_no_address_is_the_client() {
    let behind = Behind::start(ProxyProtocol::Proxy, "127.0.0.0/8");
    for header in
        [b"PROXY UNKNOWN\r\n".to_vec(), v2(0x20, 0, b"", 0), v2(0x20, 0x11, &[9; 12], 40), v2(0x21, 0, b"", 3)]
    {
        let socket = behind.send(PROXY, &[&header[..], &rawsocket()].concat());
        assert_eq!(behind.peer(), format!("tcp4:{}", socket.local_addr().unwrap()));
    }
    assert_eq!(behind.server.counters().0.proxy_headers_malformed, 0);
}

#[test]
fn a_header_of_the_proxy_protocol_is_taken_from_trusted_proxies_only() {
    let behind = Behind::start(ProxyProtocol::Proxy, "127.0.0.1");
    // Neither what an untrusted host claims nor what it sends itself is looked at.
    for bytes in [[&v1("192.0.2.7")[..], &rawsocket()].concat(), rawsocket()] {
        let socket = behind.send(STRANGER, &bytes);
        assert_eq!(rest(socket), "");
        assert!(behind.server.fact("NoTrustedProxy").contains("peer: Tcp(127.0.0.2:"));
    }
    let (stats, _) = behind.server.wait_until("refused", |(stats, _)| stats.refused_as_no_proxy == 2);
    assert_eq!((stats.accepted, stats.connections), (0, 0));
    assert!(behind.peers.try_recv().is_err());
}

#[test]
fn a_malformed_header_of_the_proxy_protocol_ends_the_connection_of_a_trusted_proxy() {
    let limits = ServerLimits { max_message_before_join: 4_096, ..ServerLimits::default() };
    let behind = Behind::start_with(ProxyProtocol::Proxy, "127.0.0.1", limits, |_| {});
    let cases: [(Vec<u8>, &str); 4] = [
        (rawsocket(), "the connection does not begin with a header of the PROXY protocol"),
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 1 x\r\n".to_vec(), "malformed header of the PROXY protocol: addresses"),
        (v2(0x2f, 0x11, &[0; 12], 0), "malformed header of the PROXY protocol: command"),
        (v2_with(4_096), "header of the PROXY protocol longer than 4096 bytes"),
    ];
    for (number, (bytes, error)) in cases.iter().enumerate() {
        assert_eq!(rest(behind.send(PROXY, bytes)), "");
        assert!(behind.server.fact("MalformedProxyHeader").contains("proxy: Tcp(127.0.0.1:"));
        assert_eq!(behind.server.fact("closed"), format!("closed {}: {error}", number + 1));
    }
    let (stats, _) = behind.server.wait_until("counted", |(stats, _)| stats.proxy_headers_malformed == 4);
    assert_eq!((stats.too_long_before_join, stats.connections), (1, 0));
}

#[test]
fn a_header_of_the_proxy_protocol_has_the_time_of_an_opening_handshake() {
    let options = ServerOptions { open_timeout: Duration::from_millis(50), ..ServerOptions::default() };
    let behind = Behind::start_with(ProxyProtocol::Proxy, "127.0.0.1", ServerLimits::default(), |listener| {
        listener.transport = Arc::new(options);
    });
    // Nothing; a part of it; all but what is skipped.
    let headers = [Vec::new(), v1("192.0.2.7")[..20].to_vec(), v2_with(100)[..50].to_vec()];
    for bytes in &headers {
        let socket = behind.send(PROXY, bytes);
        assert_eq!(rest(socket), "");
        assert!(behind.server.fact("closed").ends_with("the opening handshake took too long"));
    }
}

#[test]
fn a_proxy_that_leaves_within_its_header_is_gone_at_once() {
    let behind = Behind::start(ProxyProtocol::Proxy, "127.0.0.1");
    for bytes in [Vec::new(), v1("192.0.2.7")[..20].to_vec(), v2_with(100)[..50].to_vec()] {
        let socket = behind.send(PROXY, &bytes);
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        assert!(behind.server.fact("closed").ends_with("the peer closed the connection"));
    }
    assert_eq!(behind.server.counters().0.proxy_headers_malformed, 0);
}

#[test]
fn requests_of_trusted_proxies_tell_the_address_of_the_client() {
    let headers = "X-Forwarded-For: 203.0.113.1, 192.0.2.7:4711\r\nX-Forwarded-For: 127.0.0.1\r\n\
                   Forwarded: for=192.0.2.9;proto=https\r\n";
    for (protocol, expected) in
        [(ProxyProtocol::XForwardedFor, "tcp4:192.0.2.7:4711"), (ProxyProtocol::Forwarded, "tcp4:192.0.2.9:0")]
    {
        let behind = Behind::start(protocol, "127.0.0.1");
        let _socket = behind.send(PROXY, &websocket(headers));
        assert_eq!(behind.peer(), expected);
        behind.server.fact("BehindProxy");
        // Whoever is not trusted is who it is, whatever it says, and so is a proxy that tells nothing.
        for (from, bytes) in [
            (STRANGER, websocket(headers)),
            (STRANGER, websocket("X-Forwarded-For: \"\r\nForwarded: \"\r\n")),
            (STRANGER, rawsocket()),
            (PROXY, websocket("")),
            (PROXY, websocket("X-Forwarded-For: 192.0.2.7, unknown\r\nForwarded: for=192.0.2.7, for=_hidden\r\n")),
            (PROXY, rawsocket()),
        ] {
            let socket = behind.send(from, &bytes);
            assert_eq!(behind.peer(), format!("tcp4:{}", socket.local_addr().unwrap()));
        }
        assert_eq!(behind.server.counters().0.proxy_headers_malformed, 0);
    }
}

#[test]
fn a_malformed_header_of_a_request_is_answered_with_400() {
    for (protocol, name, header) in [
        (ProxyProtocol::XForwardedFor, "X-Forwarded-For", "192.0.2.7, example.com"),
        (ProxyProtocol::Forwarded, "Forwarded", "for=192.0.2.7, for=[::1"),
    ] {
        let behind = Behind::start(protocol, "127.0.0.1");
        let page = format!("GET /page HTTP/1.1\r\nHost: localhost\r\n{name}: {header}\r\n\r\n");
        for request in [websocket(&format!("{name}: {header}\r\n")), page.into_bytes()] {
            let response = rest(behind.send(PROXY, &request));
            assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{response}");
            assert!(response.ends_with(&format!("malformed {name} header\n")), "{response}");
            assert!(behind.server.fact("MalformedProxyHeader").contains("proxy: Tcp(127.0.0.1:"));
        }
        behind.server.wait_until("counted", |(stats, _)| stats.proxy_headers_malformed == 2);
    }
}

/// Until its client is known, no address is to blame for a connection of a proxy.
#[test]
fn limits_by_address_hold_for_clients_behind_a_proxy_and_not_for_the_proxy() {
    let per_address = AddressLimits { connections: 2, ..AddressLimits::default() };
    let limits = ServerLimits { per_address, ..ServerLimits::default() };
    for protocol in [ProxyProtocol::Proxy, ProxyProtocol::XForwardedFor] {
        let behind = Behind::start_with(protocol, "127.0.0.1", limits, |_| {});
        let from = |client: &str| match protocol {
            ProxyProtocol::Proxy => [&v1(client)[..], &rawsocket()].concat(),
            _ => websocket(&format!("X-Forwarded-For: {client}\r\n")),
        };
        let idle: Vec<TcpStream> = (0..5).map(|_| behind.send(PROXY, b"")).collect();
        let join = |client: &str| {
            let socket = behind.send(PROXY, &from(client));
            assert!(behind.peer().starts_with(&format!("tcp4:{client}:")));
            socket
        };
        let [first, second, _other] = ["192.0.2.7", "192.0.2.7", "192.0.2.8"].map(join);
        let response = rest(behind.send(PROXY, &from("192.0.2.7")));
        let expected = if protocol == ProxyProtocol::Proxy { "" } else { "HTTP/1.1 429 Too Many Requests\r\n" };
        assert!(response.starts_with(expected), "{response}");
        let refused = behind.server.fact("TooManyFromAddress");
        assert!(refused.contains("192.0.2.7") && refused.contains("per_address.connections"), "{refused}");
        behind.server.wait_until("refused", |(stats, _)| stats.refused_by_address == 1 && stats.connections == 8);
        // One that is gone makes room for one, and the refused one has taken none.
        drop(first);
        behind.server.wait_until("gone", |(stats, _)| stats.connections == 7);
        let third = join("192.0.2.7");
        assert!(rest(behind.send(PROXY, &from("192.0.2.7"))).starts_with(expected));
        behind.server.wait_until("refused", |(stats, _)| stats.refused_by_address == 2);
        drop((second, third, idle));
        behind.server.wait_until("gone", |(stats, _)| stats.connections == 1);
    }
}

#[test]
fn proxies_connect_over_unix_sockets() {
    let path: PathBuf = std::env::temp_dir().join(format!("wampd-proxies-{}.sock", std::process::id()));
    for (protocol, bytes) in [
        (ProxyProtocol::Proxy, [&v2_with(9)[..], &rawsocket()].concat()),
        (ProxyProtocol::XForwardedFor, websocket("X-Forwarded-For: 192.0.2.7:4711\r\n")),
    ] {
        let behind = Behind::start_with(protocol, "unix", ServerLimits::default(), |listener| {
            listener.endpoint = Endpoint::Unix { path: path.clone(), mode: None };
        });
        let mut socket = std::os::unix::net::UnixStream::connect(&path).unwrap();
        socket.write_all(&bytes).unwrap();
        assert_eq!(behind.peer(), "tcp4:192.0.2.7:4711");
    }
}
