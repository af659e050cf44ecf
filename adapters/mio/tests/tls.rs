//! TLS between server and client over sockets: who is trusted, what is bound, what breaks.

mod support;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use support::{
    PATIENCE,
    server::{Behaviour, REALM, TestServer, anybody, identity, loopback, open_router},
};
use wampd_core::{
    auth::{ScramCredential, cryptosign::SecretKey, scram::Dialect, scram::Kdf},
    client::{ClientConfig, ClientEvent, Credential},
    message::{CallOptions, Payload, PublishOptions, RegisterOptions, YieldOptions},
    router::{AuthRequest, AuthStep, AuthVerdict, Challenge, RouterConfig},
    value::{Dict, Value},
};
use wampd_mio::{
    Context, Endpoint, Host, ListenerConfig, Server, ServerConfig,
    client::{Client, ConnectError, Options, Url},
    tls::{Authorities, ClientTls, Identity, ServerTls, TlsAcceptor},
};
use wampd_wire::{Proxies, ProxyProtocol, ServerOptions};

/// An authority, which signs certificates.
struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names, in PEM, and its key.
    fn sign(&self, common_name: &str, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn identity(&self, common_name: &str, names: &[&str]) -> Identity {
        let (certificate, key) = self.sign(common_name, names);
        Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap()
    }

    fn server(&self, clients: Option<&Self>) -> ServerTls {
        let authorities = clients.map(|authority| authority.certificate.as_bytes());
        ServerTls::new(self.identity("router", &["localhost", "127.0.0.1"]), authorities).unwrap()
    }

    fn client(&self, identity: Option<Identity>) -> Options {
        let authorities = Authorities::Pem(self.certificate.clone().into_bytes());
        Options { tls: Some(ClientTls::new(authorities, identity).unwrap()), ..Options::default() }
    }
}

fn serve(tls: &TlsAcceptor, behaviour: Behaviour) -> TestServer {
    let listeners = vec![ListenerConfig { tls: Some(tls.clone()), ..loopback(ServerOptions::default()) }];
    let router = RouterConfig { cryptosign_key: Some(router_key()), ..open_router() };
    TestServer::start_with(ServerConfig { router, listeners, ..ServerConfig::default() }, behaviour, |_| {})
}

fn router_key() -> SecretKey {
    SecretKey::from_bytes(&[9; 32])
}

fn address(server: &TestServer) -> SocketAddr {
    let Endpoint::Tcp(address) = server.endpoint() else { panic!("TCP") };
    *address
}

fn urls(server: &TestServer) -> [Url; 2] {
    let port = address(server).port();
    [format!("wss://localhost:{port}/ws"), format!("rss://127.0.0.1:{port}")].map(|url| url.parse().unwrap())
}

fn anonymous() -> ClientConfig {
    ClientConfig::anonymous(REALM)
}

#[test]
fn websocket_and_rawsocket_are_served_over_tls() {
    let authority = Authority::new("authority");
    let server = serve(&TlsAcceptor::new(authority.server(None)), Behaviour::default());
    let [mut callee, mut caller] =
        urls(&server).map(|url| Client::connect(&url, &authority.client(None), anonymous()).expect("joins"));
    callee.register("com.example.echo", RegisterOptions::default()).unwrap();
    // Longer than a TLS record, and than what TLS keeps inside.
    for len in [0, 1, 20_000, 1_000_000] {
        let blob = Value::Binary((0..len).map(|n| n as u8).collect());
        let call =
            caller.send_call("com.example.echo", CallOptions::default(), Payload::from_args([blob.clone()])).unwrap();
        // Neither works while nobody asks it to.
        let answer = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                loop {
                    if let Some(ClientEvent::Invocation { request, payload, .. }) =
                        callee.next_event(Some(PATIENCE)).unwrap()
                    {
                        callee.yield_result(request, YieldOptions::default(), payload).unwrap();
                        // The result is written.
                        return drop(callee.next_event(Some(Duration::from_millis(1))).unwrap());
                    }
                }
            });
            let answer = caller.next_event(Some(PATIENCE)).unwrap();
            thread.join().unwrap();
            answer
        });
        let Some(ClientEvent::Result { request, payload, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!((request, payload.values().unwrap().0), (call, vec![blob]));
    }
}

fn failure(joined: Result<Client, ConnectError>) -> String {
    match joined {
        Ok(_) => panic!("joined"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_client_trusts_the_right_authority_and_name_only() {
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    let server = serve(&TlsAcceptor::new(authority.server(None)), Behaviour::default());
    for url in urls(&server) {
        let error = failure(Client::connect(&url, &stranger.client(None), anonymous()));
        assert!(error.contains("UnknownIssuer"), "{error}");
    }
    let elsewhere = TlsAcceptor::new(ServerTls::new(authority.identity("router", &["example.com"]), None).unwrap());
    let server = serve(&elsewhere, Behaviour::default());
    for url in urls(&server) {
        let error = failure(Client::connect(&url, &authority.client(None), anonymous()));
        assert!(error.contains("not valid for name"), "{error}");
    }
    let [url, _] = urls(&server);
    let clear: Url = url.to_string().replace("wss", "ws").parse().unwrap();
    assert!(Client::connect(&clear, &Options::default(), anonymous()).is_err());
}

#[test]
fn clients_show_certificates_where_the_server_wants_them() {
    let (authority, clients, strangers) =
        (Authority::new("authority"), Authority::new("clients"), Authority::new("strangers"));
    let behaviour = Behaviour {
        authenticate: Box::new(|request, _| {
            let certificate = request.transport["peer_cert"].as_dict().expect("a certificate");
            assert_eq!(request.transport["client_cert"], request.transport["peer_cert"]);
            assert_eq!(request.transport["is_secure"], Value::from(true));
            assert_eq!(request.transport["channel_type"], Value::from("tls"));
            let name = |who: &str| certificate[who].as_dict().unwrap()["cn"].as_str().unwrap().to_owned();
            assert_eq!(name("issuer"), "clients");
            Some(AuthVerdict::Welcome(identity(name("subject"), "anyone")))
        }),
        ..Behaviour::default()
    };
    let server = serve(&TlsAcceptor::new(authority.server(Some(&clients))), behaviour);
    for url in urls(&server) {
        let options = authority.client(Some(clients.identity("client_0", &[])));
        let client = Client::connect(&url, &options, anonymous()).expect("joins");
        assert_eq!(client.session().details.authid.as_deref(), Some("client_0"));
        for wrong in [None, Some(strangers.identity("client_0", &[]))] {
            let error = failure(Client::connect(&url, &authority.client(wrong), anonymous()));
            assert!(error.contains("lost") || error.contains("alert"), "{error}");
        }
    }
}

/// Scram and cryptosign, both bound to the connection; the router proves that it is the one.
#[test]
fn proofs_are_bound_to_the_connection() {
    let authority = Authority::new("authority");
    let behaviour = Behaviour {
        authenticate: Box::new(|request, _| {
            let AuthStep::Hello { methods, extra, .. } = &request.step else { panic!("{:?}", request.step) };
            assert_eq!(extra.to_dict()["channel_binding"], Value::from("tls-exporter"));
            let grant = identity("joe", "anyone");
            Some(AuthVerdict::Challenge(if methods[0] == "cryptosign" {
                Challenge::Cryptosign { key: SecretKey::from_bytes(&[1; 32]).public(), grant }
            } else {
                let kdf = Kdf::Pbkdf2 { iterations: 4_096 };
                let salt = b"saltsalt".to_vec();
                let credential = ScramCredential::derive(Dialect::WampScram, "secret", salt, kdf).unwrap();
                Challenge::Scram { dialect: Dialect::WampScram, credential: Arc::new(credential), grant }
            }))
        }),
        ..Behaviour::default()
    };
    let server = serve(&TlsAcceptor::new(authority.server(None)), behaviour);
    for url in urls(&server) {
        for credential in [
            Credential::Scram { dialect: Dialect::WampScram, password: "secret".to_owned() },
            Credential::Cryptosign { key: SecretKey::from_bytes(&[1; 32]), router: Some(router_key().public()) },
        ] {
            let config =
                ClientConfig { channel_binding: true, ..ClientConfig::with_credential(REALM, "joe", credential) };
            let client = Client::connect(&url, &authority.client(None), config).expect("joins");
            assert_eq!(client.session().details.authid.as_deref(), Some("joe"));
        }
    }
}

/// What a RawSocket over TLS 1.2 gets for a HELLO.
fn answer_over_tls_1_2(server: &TestServer, authority: &Authority, hello: &str) -> String {
    let mut roots = rustls::RootCertStore::empty();
    let pem = authority.certificate.as_bytes();
    let der: rustls::pki_types::CertificateDer<'_> = rustls::pki_types::pem::PemObject::from_pem_slice(pem).unwrap();
    roots.add(der).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut tls = rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut socket = TcpStream::connect(address(server)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    stream.write_all(&[0x7f, 0xf1, 0, 0]).unwrap();
    let mut head = [0; 4];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[..2], [0x7f, 0xf1]);
    stream.write_all(&[0, 0, 0, hello.len() as u8]).unwrap();
    stream.write_all(hello.as_bytes()).unwrap();
    stream.read_exact(&mut head).unwrap();
    let mut answer = vec![0; usize::from(head[2]) << 8 | usize::from(head[3])];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(tls.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
    String::from_utf8(answer).unwrap()
}

#[test]
fn tls_1_2_is_served_without_channel_binding() {
    let authority = Authority::new("authority");
    let behaviour = Behaviour {
        authenticate: Box::new(|request, _| {
            let AuthStep::Hello { methods, .. } = &request.step else { panic!("{:?}", request.step) };
            let (key, grant) = (SecretKey::from_bytes(&[1; 32]).public(), identity("joe", "anyone"));
            Some(match methods[0].as_str() {
                "cryptosign" => AuthVerdict::Challenge(Challenge::Cryptosign { key, grant }),
                _ => AuthVerdict::Welcome(grant),
            })
        }),
        ..Behaviour::default()
    };
    let server = serve(&TlsAcceptor::new(authority.server(None)), behaviour);
    let answer = |details: &str| {
        let hello = format!(r#"[1,"realm1",{{"roles":{{"caller":{{}}}},{details}}}]"#);
        answer_over_tls_1_2(&server, &authority, &hello)
    };
    let welcome = answer(r#""authmethods":["anonymous"]"#);
    assert!(welcome.starts_with("[2,"), "{welcome}");
    let challenge = answer(r#""authmethods":["cryptosign"]"#);
    assert!(challenge.starts_with("[4,"), "{challenge}");
    let bound = answer(r#""authmethods":["cryptosign"],"authextra":{"channel_binding":"tls-exporter"}"#);
    assert!(bound.starts_with("[3,") && bound.contains("channel binding"), "{bound}");
}

#[test]
fn certificates_are_replaced_without_dropping_anybody() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let acceptor = TlsAcceptor::new(old.server(None));
    let server = serve(&acceptor, Behaviour::default());
    let [url, _] = urls(&server);
    let mut before = Client::connect(&url, &old.client(None), anonymous()).expect("joins");
    acceptor.replace(new.server(None));
    assert!(failure(Client::connect(&url, &old.client(None), anonymous())).contains("UnknownIssuer"));
    Client::connect(&url, &new.client(None), anonymous()).expect("joins");
    before.register("com.example.still", RegisterOptions::default()).expect("still there");
}

/// What is no TLS ends its connection, and no other.
#[test]
fn what_is_no_tls_is_sent_away() {
    let authority = Authority::new("authority");
    let server = serve(&TlsAcceptor::new(authority.server(None)), Behaviour::default());
    let [url, _] = urls(&server);
    let mut witness = Client::connect(&url, &authority.client(None), anonymous()).expect("joins");
    for nonsense in [
        &b"GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        &[0x7f, 0xf1, 0, 0],
        &[0x16, 3, 1, 0xff, 0xff],
        &[0; 65_536],
    ] {
        let mut socket = TcpStream::connect(address(&server)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // The server may close before it has taken everything.
        let _ = socket.write_all(nonsense).and_then(|()| socket.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer[0] == 0x15, "an alert at most: {answer:?}");
    }
    witness.register("com.example.still", RegisterOptions::default()).expect("still there");
    drop(witness);
    server.wait_until("empty", |(server, _)| server.connections == 0);
}

#[test]
fn a_handshake_left_hanging_is_ended() {
    let authority = Authority::new("authority");
    let tls = Some(TlsAcceptor::new(authority.server(None)));
    let transport = ServerOptions { open_timeout: Duration::from_millis(50), ..ServerOptions::default() };
    let listeners = vec![ListenerConfig { tls, ..loopback(transport) }];
    let server = TestServer::start(ServerConfig { router: open_router(), listeners, ..ServerConfig::default() });
    let mut socket = TcpStream::connect(address(&server)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(&[0x16, 3, 1]).unwrap();
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    drop(socket);
    server.wait_until("empty", |(server, _)| server.connections == 0);
}

/// Everything arrives, in order, although the reader is slow and what is sent is more than sockets and TLS hold.
#[test]
fn a_slow_reader_gets_everything() {
    let authority = Authority::new("authority");
    let server = serve(&TlsAcceptor::new(authority.server(None)), Behaviour::default());
    let [mut reader, mut writer] =
        urls(&server).map(|url| Client::connect(&url, &authority.client(None), anonymous()).expect("joins"));
    reader.subscribe("com.example.topic", Default::default()).unwrap();
    const EVENTS: u64 = 60;
    let filler = Value::Binary(vec![7; 100_000]);
    for n in 0..EVENTS {
        let payload = Payload::from_values(vec![Value::from(n), filler.clone()], Dict::new());
        // Acknowledged: what is not would be left in the writer, which does nothing while nobody asks it to.
        let options = PublishOptions { acknowledge: true, ..PublishOptions::default() };
        writer.publish("com.example.topic", options, payload).unwrap();
    }
    for n in 0..EVENTS {
        let event = loop {
            if let Some(event) = reader.next_event(Some(PATIENCE)).unwrap() {
                break event;
            }
        };
        let ClientEvent::Event { payload, .. } = event else { panic!("{event:?}") };
        assert_eq!(payload.values().unwrap().0[0], Value::from(n));
    }
    reader.leave(wampd_core::uri::close::NORMAL).unwrap();
    writer.leave(wampd_core::uri::close::NORMAL).unwrap();
    server.wait_until("empty", |(server, router)| server.connections == 0 && router.peers == 0);
}

/// TLS of a client that keeps what it needs to resume sessions.
fn rustls_client(authority: &Authority) -> Arc<rustls::ClientConfig> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Opens RawSocket over TLS; what kind of handshake it took.
fn handshake(address: SocketAddr, config: &Arc<rustls::ClientConfig>) -> rustls::HandshakeKind {
    let mut tls = rustls::ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut socket);
    stream.write_all(&[0x7f, 0xf1, 0, 0]).unwrap();
    // Tickets come before the answer.
    stream.read_exact(&mut [0; 4]).unwrap();
    tls.handshake_kind().unwrap()
}

/// A client that is not answered cannot tell an end from a connection that was cut.
#[test]
fn close_notify_of_a_client_is_answered() {
    let authority = Authority::new("authority");
    let server = serve(&TlsAcceptor::new(authority.server(None)), Behaviour::default());
    let config = rustls_client(&authority);
    // Nothing said, something begun, a handshake, a request for a page, and a request cut off.
    for said in
        [&b""[..], b"\x7f", b"\x7f\xf1\0\0", b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /page HTTP/1.1\r\n"]
    {
        let mut tls = rustls::ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
        let mut socket = TcpStream::connect(address(&server)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).unwrap();
        }
        tls.writer().write_all(said).unwrap();
        tls.send_close_notify();
        // Without close_notify this would be an error: the end of the socket was not expected.
        let mut answer = Vec::new();
        let read = rustls::Stream::new(&mut tls, &mut socket).read_to_end(&mut answer);
        assert!(read.is_ok(), "{read:?} after {said:?}");
    }
    server.wait_until("empty", |(server, _)| server.connections == 0);
}

#[test]
fn a_session_is_resumed_however_many_others_came_since() {
    let authority = Authority::new("authority");
    let server = serve(&TlsAcceptor::new(authority.server(None)), Behaviour::default());
    let client = rustls_client(&authority);
    assert_eq!(handshake(address(&server), &client), rustls::HandshakeKind::Full);
    for _ in 0..300 {
        assert_eq!(handshake(address(&server), &rustls_client(&authority)), rustls::HandshakeKind::Full);
    }
    assert_eq!(handshake(address(&server), &client), rustls::HandshakeKind::Resumed);
}

/// Lets nobody in.
struct Nobody;

impl Host for Nobody {
    fn authenticate(&mut self, _: &AuthRequest, _: &mut Context<'_>) -> Option<AuthVerdict> {
        None
    }
}

#[test]
fn a_turn_does_few_handshakes_and_addresses_take_turns() {
    const STRANGERS: usize = 40;
    let authority = Authority::new("authority");
    let tls = Some(TlsAcceptor::new(authority.server(None)));
    let listeners = vec![ListenerConfig { tls, ..loopback(ServerOptions::default()) }];
    let mut server = Server::bind(ServerConfig { listeners, ..ServerConfig::default() }).expect("bind");
    let Endpoint::Tcp(address) = server.endpoints()[0] else { panic!("TCP") };
    let mut hello = Vec::new();
    let name = "localhost".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(rustls_client(&authority), name).unwrap();
    client.write_tls(&mut hello).unwrap();
    // The same hello again and again: that costs the sender nothing.
    let connect = |source: [u8; 4]| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.write_all(&hello).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let mut strangers: Vec<TcpStream> = (0..STRANGERS).map(|_| connect([127, 0, 0, 2])).collect();
    let mut victim = connect([127, 0, 0, 1]);
    let is_answered = |stream: &mut TcpStream| stream.peek(&mut [0]).is_ok();
    let (mut before_victim, mut turns) = (None, 0);
    while !strangers.iter_mut().all(is_answered) {
        let before = server.stats().tls_handshake_steps;
        server.turn(&mut Nobody, Some(Duration::from_millis(10))).expect("turn");
        let done = server.stats().tls_handshake_steps - before;
        assert!(done <= 2, "{done} handshakes in a turn");
        if before_victim.is_none() && is_answered(&mut victim) {
            before_victim = Some(server.stats().tls_handshake_steps);
        }
        turns += 1;
        assert!(turns < 1_000, "{:?}", server.stats());
    }
    assert!(before_victim.is_some_and(|steps| steps <= 4), "{before_victim:?}");
    assert_eq!(server.stats().tls_handshake_steps as usize, STRANGERS + 1);
    assert!(server.stats().tls_handshakes_deferred >= 19);
}

/// The header comes before TLS, which the proxy passes on as it is.
#[test]
fn a_header_of_the_proxy_protocol_comes_before_tls() {
    let authority = Authority::new("authority");
    let tls = Some(TlsAcceptor::new(authority.server(None)));
    let trusted = vec!["127.0.0.1".parse().unwrap()];
    let proxies = Some(Arc::new(Proxies { trusted, protocol: ProxyProtocol::Proxy }));
    let listeners = vec![ListenerConfig { tls, proxies, ..loopback(ServerOptions::default()) }];
    let (sender, peers) = std::sync::mpsc::channel();
    let behaviour = Behaviour {
        authenticate: Box::new(move |request, _| {
            let told = ["peer", "channel_type"].map(|key| request.transport.get(key).cloned());
            sender.send(told).expect("the test runs");
            Some(AuthVerdict::Welcome(anybody(request)))
        }),
        ..Behaviour::default()
    };
    let config = ServerConfig { router: open_router(), listeners, ..ServerConfig::default() };
    let server = TestServer::start_with(config, behaviour, |_| {});
    let (to, proxy) = (address(&server), TcpListener::bind(("127.0.0.1", 0)).unwrap());
    let url: Url = format!("rss://{}", proxy.local_addr().unwrap()).parse().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (client, _) = proxy.accept().unwrap();
            let mut router = TcpStream::connect(to).unwrap();
            router.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.200 4711 443\r\n").unwrap();
            let (mut from_client, mut to_router) = (client.try_clone().unwrap(), router.try_clone().unwrap());
            std::thread::scope(|scope| {
                scope.spawn(move || {
                    let _ = std::io::copy(&mut from_client, &mut to_router);
                    let _ = to_router.shutdown(Shutdown::Write);
                });
                let _ = std::io::copy(&mut router, &mut &client);
                let _ = client.shutdown(Shutdown::Both);
            });
        });
        let client = Client::connect(&url, &authority.client(None), anonymous()).expect("joins");
        let told = peers.recv_timeout(PATIENCE).expect("a login");
        assert_eq!(told, [Some("tcp4:192.0.2.7:4711".into()), Some("tls".into())]);
        drop(client);
        server.fact("closed");
    });
}
