//! TLS of a node: certificates from files, loaded again when they change; clients known by theirs.

mod support;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::authenticator::Authenticator;
use support::{TestNode, parse, refusal, who};
use wampd::authn::function::Login;
use wampd::authn::grant::{FunctionError, FunctionGrant};
use wampd::config::{FunctionAuth, NodeConfig, PathService, Provider, TlsConfig};
use wampd_core::client::{ClientConfig, Credential};
use wampd_core::uri::Uri;
use wampd_core::value::Value;
use wampd_mio::client::{Client, ConnectError, Options, Url};
use wampd_mio::tls::{Authorities, ClientTls, Identity};

/// A folder of a test, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wampd-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).expect("written");
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { pem: params.self_signed(&key).expect("signed").pem(), issuer: Issuer::new(params, key) }
    }

    /// Certificate and key for this name, and the certificate's fingerprint.
    fn sign(&self, name: &str) -> (String, String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let fingerprint =
            Sha256::digest(certificate.der()).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>();
        (certificate.pem(), key.serialize_pem(), fingerprint.join(":"))
    }

    /// Puts a certificate for `localhost` where the node looks for it that was good until the end of 2023.
    fn install_old(&self, folder: &Folder) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2023, 1, 1), date_time_ymd(2023, 12, 31));
        folder.write("server.pem", &params.signed_by(&key, &self.issuer).expect("signed").pem());
        folder.write("server.key", &key.serialize_pem());
    }

    /// Puts a certificate for `localhost` where the node looks for it.
    fn install(&self, folder: &Folder) {
        let (certificate, key, _) = self.sign("localhost");
        folder.write("server.pem", &certificate);
        folder.write("server.key", &key);
    }

    fn options(&self, identity: Option<Identity>) -> Options {
        let authorities = Authorities::Pem(self.pem.clone().into_bytes());
        Options { tls: Some(ClientTls::new(authorities, identity).expect("usable")), ..Options::default() }
    }
}

fn node(folder: &Folder, more: &str, auth: &str) -> TestNode {
    TestNode::start(config(folder, more, auth))
}

fn config(folder: &Folder, more: &str, auth: &str) -> NodeConfig {
    parse(&format!(
        r#"{{"version": 2, "workers": [{{"type": "router",
            "realms": [{{"name": "realm1", "roles": [{{"name": "user"}}, {{"name": "service", "permissions":
                [{{"uri": "", "match": "prefix", "allow": {{"call": true, "register": true}}}}]}}]}}],
            "transports": [
                {{"type": "universal", "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": 0,
                    "tls": {{"certificate": "{}", "key": "{}"{more}}}}},
                  "rawsocket": {{"serializers": ["cbor"], "auth": {auth}}},
                  "websocket": {{"ws": {{"type": "websocket", "auth": {auth}}}}}}},
                {{"type": "rawsocket", "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": 0}},
                  "auth": {{"anonymous": {{"type": "static", "role": "service"}}}}}}]}}]}}"#,
        folder.path("server.pem"),
        folder.path("server.key"),
    ))
}

const ANYBODY: &str = r#"{"anonymous": {"type": "static", "role": "user"}}"#;

fn connect(node: &TestNode, options: &Options, config: ClientConfig) -> Vec<Result<Client, ConnectError>> {
    let port = node.port(0);
    let urls = [format!("wss://localhost:{port}/ws"), format!("rss://localhost:{port}")];
    let connect = |url: String| Client::connect(&url.parse::<Url>().expect("a URL"), options, config.clone());
    urls.into_iter().map(connect).collect()
}

fn anonymous() -> ClientConfig {
    ClientConfig::anonymous(Uri::from("realm1"))
}

fn by_certificate(authid: Option<&str>) -> ClientConfig {
    ClientConfig {
        authid: authid.map(str::to_owned),
        credentials: vec![Credential::External { method: "tls".to_owned() }],
        ..anonymous()
    }
}

#[test]
fn certificates_are_loaded_again_without_dropping_anybody() {
    let folder = Folder::new("again");
    let (old, new) = (Authority::new(), Authority::new());
    old.install(&folder);
    let node = node(&folder, "", ANYBODY);
    let mut before: Vec<Client> =
        connect(&node, &old.options(None), anonymous()).into_iter().map(|joined| joined.expect("joins")).collect();

    // A file that is none keeps what was there.
    folder.write("server.pem", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    node.reload();
    assert!(node.log().contains("certificates not loaded again: the ones before stay"), "{}", node.log());
    // So does a certificate without its key.
    folder.write("server.pem", &new.sign("localhost").0);
    node.reload();
    // And one that is gone.
    fs::remove_file(folder.path("server.pem")).expect("removed");
    node.reload();
    // And a pipe, which nobody writes to.
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let pipe = folder.path("server.pem");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
    node.reload();
    assert!(node.log().contains("it is not a regular file"), "{}", node.log());
    fs::remove_file(pipe).expect("removed");
    assert_eq!(node.log().matches("not loaded again").count(), 4, "{}", node.log());
    connect(&node, &old.options(None), anonymous()).into_iter().for_each(|joined| drop(joined.expect("joins")));

    new.install(&folder);
    node.reload();
    connect(&node, &new.options(None), anonymous()).into_iter().for_each(|joined| drop(joined.expect("joins")));
    for refused in connect(&node, &old.options(None), anonymous()) {
        assert!(refused.expect_err("another authority").to_string().contains("invalid peer certificate"));
    }
    for client in &mut before {
        client.leave(wampd_core::uri::close::NORMAL).expect("still there");
    }
}

#[test]
fn what_can_not_be_used_is_told_at_the_start() {
    let folder = Folder::new("start");
    let authority = Authority::new();
    let config = |certificate: &str, key: &str| {
        folder.write("server.pem", certificate);
        folder.write("server.key", key);
        TlsConfig {
            certificate: folder.path("server.pem").into(),
            key: folder.path("server.key").into(),
            chain_certificates: Vec::new(),
            ca_certificates: Vec::new(),
        }
    };
    let (certificate, key, _) = authority.sign("localhost");
    let (_, other_key, _) = authority.sign("localhost");
    assert!(wampd::node::certificates::check(&config(&certificate, &key)).is_ok());
    for (certificate, key, file, why) in [
        ("", &*key, "server.pem", "no certificate in it"),
        (&*certificate, "", "server.key", "no private key in it"),
        (&certificate, &other_key, "server.pem", "can not be used"),
    ] {
        let error = wampd::node::certificates::check(&config(certificate, key)).expect_err(why);
        assert_eq!(error.file().file_name(), Some(file.as_ref()));
        let text = error.to_string();
        assert!(text.contains(file) && text.contains(why), "{text}");
    }
}

/// A folder with what a node and its clients need, their two authorities, and what makes the node ask for certificates.
fn both_certified(name: &str) -> (Folder, Authority, Authority, String) {
    let folder = Folder::new(name);
    let (authority, clients) = (Authority::new(), Authority::new());
    authority.install(&folder);
    folder.write("clients.pem", &clients.pem);
    let more = format!(r#", "ca_certificates": ["{}"]"#, folder.path("clients.pem"));
    (folder, authority, clients, more)
}

/// A client of the node, with a certificate for its name.
fn client(authority: &Authority, clients: &Authority, name: &str) -> (Options, String) {
    let (certificate, key, fingerprint) = clients.sign(name);
    let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).expect("usable");
    (authority.options(Some(identity)), fingerprint)
}

#[test]
fn principals_of_the_configuration_are_known_by_their_certificates() {
    let (folder, authority, clients, more) = both_certified("static");
    let (known, fingerprint) = client(&authority, &clients, "client_0");
    let (unknown, _) = client(&authority, &clients, "client_0");
    let auth = format!(
        r#"{{"tls": {{"type": "static", "principals":
            {{"joe": {{"certificate-sha256": "{fingerprint}", "role": "user"}}}}}}}}"#
    );
    let node = node(&folder, &more, &auth);
    for authid in [None, Some("joe"), Some("somebody else")] {
        for joined in connect(&node, &known, by_certificate(authid)) {
            let text = |text: &str| text.to_owned();
            assert_eq!(who(&joined.expect("joins")), (text("joe"), text("user"), text("tls"), text("static")));
        }
    }
    for joined in connect(&node, &unknown, by_certificate(Some("joe"))) {
        let expected = ("wamp.error.not_authorized", "no principal has this TLS client certificate");
        let (reason, text) = refusal(joined);
        assert_eq!((reason.as_str(), text.as_str()), expected);
    }
    for joined in connect(&node, &authority.options(None), by_certificate(Some("joe"))) {
        assert!(matches!(joined, Err(ConnectError::Lost(_) | ConnectError::Transport(_))), "{joined:?}");
    }
    // There was no session to tell of it. The client may know before it is logged.
    let deadline = Instant::now() + Duration::from_secs(10);
    while lines(&node, "peer sent no certificates").filter(|line| line.contains(" info ")).count() < 2 {
        assert!(Instant::now() < deadline, "{}", node.log());
        std::thread::yield_now();
    }
}

fn lines<'a>(node: &TestNode, part: &'a str) -> impl Iterator<Item = String> + use<'a> {
    let log = node.log();
    log.lines().filter(|line| line.contains(part)).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[test]
fn certificates_whose_time_is_over_are_told_of() {
    let folder = Folder::new("old");
    let authority = Authority::new();
    authority.install_old(&folder);
    let config = config(&folder, "", ANYBODY);
    let [(file, why)] = &wampd::node::certificates::check_dates(&config)[..] else { panic!("not told of") };
    assert!(file.ends_with("server.pem") && why.contains("to 2023-12-31T00:00:00.000Z"), "{why}");
    let node = TestNode::start(config);
    for refused in connect(&node, &authority.options(None), anonymous()) {
        assert!(refused.expect_err("too old").to_string().contains("expired"));
    }
    assert_eq!(lines(&node, "clients will not take this certificate").count(), 1, "{}", node.log());
    authority.install(&folder);
    node.reload();
    connect(&node, &authority.options(None), anonymous()).into_iter().for_each(|joined| drop(joined.expect("joins")));
    assert_eq!(lines(&node, "clients will not take this certificate").count(), 1, "{}", node.log());
}

#[test]
fn a_procedure_decides_about_certificates() {
    let (folder, authority, clients, more) = both_certified("dynamic");
    let (joe, fingerprint) = client(&authority, &clients, "joe");
    let (ann, _) = client(&authority, &clients, "ann");
    let auth = r#"{"tls": {"type": "dynamic", "authenticator": "com.example.authenticate"}}"#;
    let node = node(&folder, &more, auth);
    let authenticator = Authenticator::new(node.service(), move |_, details| {
        let certificate = details["transport"].as_dict()?.get("peer_cert")?.as_dict()?;
        let known = certificate["sha256"] == Value::from(fingerprint.as_str());
        Some(if known {
            Ok("user".into())
        } else {
            Err((Uri::from("com.example.invalid_cert"), wampd_core::message::Payload::empty()))
        })
    });
    // Nobody is whom it says it is, but whom its certificate is for.
    for joined in connect(&node, &joe, by_certificate(Some("ann"))) {
        let text = |text: &str| text.to_owned();
        assert_eq!(who(&joined.expect("joins")), (text("joe"), text("user"), text("tls"), text("dynamic")));
    }
    for joined in connect(&node, &ann, by_certificate(Some("joe"))) {
        assert_eq!(refusal(joined).0, "com.example.invalid_cert");
    }
    authenticator.stop();
}

#[test]
fn a_function_decides_about_certificates() {
    let (folder, authority, clients, more) = both_certified("function");
    let (joe, fingerprint) = client(&authority, &clients, "joe");
    let (ann, _) = client(&authority, &clients, "ann");
    let mut config = config(&folder, &more, ANYBODY);
    let authenticator = move |login: &Login| {
        let certificate = login.details["transport"].as_dict().and_then(|transport| transport["peer_cert"].as_dict());
        if certificate.is_some_and(|certificate| certificate["sha256"] == Value::from(fingerprint.as_str())) {
            return Ok(FunctionGrant::default());
        }
        let (uri, message) = (Uri::from("com.example.invalid_cert"), "not this one".to_owned());
        Err(FunctionError::Denied { uri, message })
    };
    let (name, default_role) = ("a function of the test".to_owned(), Some("user".to_owned()));
    let function = FunctionAuth { name, authenticator: Arc::new(authenticator), default_role };
    let PathService::WebSocket(service) = &mut config.transports[0].routes.routes[0].service else {
        panic!("no route")
    };
    service.auth.tls = Some(Provider::Function(function.clone()));
    config.transports[0].rawsocket_auth.as_mut().expect("served").tls = Some(Provider::Function(function));
    let node = TestNode::start(config);
    for joined in connect(&node, &joe, by_certificate(Some("ann"))) {
        let text = |text: &str| text.to_owned();
        assert_eq!(who(&joined.expect("joins")), (text("joe"), text("user"), text("tls"), text("function")));
    }
    for joined in connect(&node, &ann, by_certificate(Some("joe"))) {
        assert_eq!(refusal(joined), ("com.example.invalid_cert".to_owned(), "not this one".to_owned()));
    }
}

/// Where certificates are not asked for, nobody joins by one.
#[test]
fn without_authorities_nobody_has_a_certificate() {
    let folder = Folder::new("none");
    let (authority, clients) = (Authority::new(), Authority::new());
    authority.install(&folder);
    let (joe, _) = client(&authority, &clients, "joe");
    let node = node(&folder, "", r#"{"tls": {"type": "static", "principals": {}}}"#);
    for joined in connect(&node, &joe, by_certificate(Some("joe"))) {
        assert_eq!(refusal(joined).1, "client did not send a TLS client certificate");
    }
    assert!(Path::new(&folder.path("server.pem")).exists());
}
