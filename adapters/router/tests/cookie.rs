//! Cookies of a node: who has logged in once is let in again by its cookie, until it logs out.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use support::{TestNode, cra, parse, refusal, who};
use wampd_core::client::{ClientConfig, ClientEvent, Credential};
use wampd_core::uri::{Uri, close};
use wampd_mio::client::{Client, ConnectError, Options, Url};

const USERS: &str = r#""users": {"joe": {"secret": "secret-of-joe", "role": "user"}}"#;

/// A node with this store of cookies and these users, which also takes guests.
fn node(store: &str, users: &str) -> TestNode {
    TestNode::start(parse(&format!(
        r#"{{"version": 2, "workers": [{{"type": "router",
            "realms": [{{"name": "realm1", "roles": [{{"name": "user"}}, {{"name": "admin"}}, {{"name": "guest"}}]}},
                {{"name": "realm2", "roles": [{{"name": "user"}}, {{"name": "guest"}}]}}],
            "transports": [{{"type": "web", "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": 0}},
                "paths": {{"ws": {{"type": "websocket", "cookie": {{"store": {store}}},
                    "options": {{"allowed_origins": ["http://localhost"]}},
                    "auth": {{"wampcra": {{"type": "static", {users}}}, "cookie": {{}},
                        "anonymous": {{"type": "static", "role": "guest"}}}}}}}}}}]}}]}}"#
    )))
}

const MEMORY: &str = r#"{"type": "memory"}"#;

/// The response to an upgrade with this header.
fn upgrade(node: &TestNode, header: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", node.port(0))).expect("connected");
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: wamp.2.json\r\n{header}\r\n"
    );
    socket.write_all(request.as_bytes()).expect("written");
    let (mut response, mut byte) = (Vec::new(), [0]);
    while !response.ends_with(b"\r\n\r\n") {
        socket.read_exact(&mut byte).expect("a response");
        response.push(byte[0]);
    }
    String::from_utf8(response).expect("text")
}

/// The cookie that is set, with its attributes.
fn set_cookie(response: &str) -> Option<&str> {
    response.lines().find_map(|line| line.strip_prefix("Set-Cookie: "))
}

/// A cookie as a browser sends it back.
fn cookie(node: &TestNode) -> String {
    let response = upgrade(node, "");
    let (pair, _) = set_cookie(&response).expect("a cookie").split_once(';').expect("attributes");
    pair.to_owned()
}

fn join_as(
    node: &TestNode,
    header: (&str, &str),
    authid: Option<&str>,
    credentials: Vec<Credential>,
    realm: &str,
) -> Result<Client, ConnectError> {
    let url: Url = format!("ws://127.0.0.1:{}/ws", node.port(0)).parse().expect("a URL");
    let options = Options { headers: vec![(header.0.to_owned(), header.1.to_owned())], ..Options::default() };
    let config = ClientConfig {
        authid: authid.map(str::to_owned),
        credentials,
        ..ClientConfig::anonymous(Uri::from(realm.to_owned()))
    };
    Client::connect(&url, &options, config)
}

fn log_in(node: &TestNode, cookie: &str) -> Client {
    join_as(node, ("Cookie", cookie), Some("joe"), cra("secret-of-joe"), "realm1").expect("joins")
}

fn by_cookie() -> Vec<Credential> {
    vec![Credential::External { method: "cookie".to_owned() }]
}

fn again(node: &TestNode, cookie: &str) -> Result<Client, ConnectError> {
    join_as(node, ("Cookie", cookie), None, by_cookie(), "realm1")
}

fn joe(provider: &str) -> (String, String, String, String) {
    ("joe".to_owned(), "user".to_owned(), "wampcra".to_owned(), provider.to_owned())
}

const NOBODY: &str = "wamp.error.no_matching_auth_method";

#[test]
fn who_has_logged_in_is_let_in_by_its_cookie() {
    let node = node(MEMORY, USERS);
    let cookie = cookie(&node);
    assert_eq!(refusal(again(&node, &cookie)).0, NOBODY);
    assert_eq!(who(&log_in(&node, &cookie)), joe("static"));
    for _ in 0..3 {
        assert_eq!(who(&again(&node, &cookie).expect("joins")), joe("cookie"));
    }
    // As Autobahn's example sends it back.
    let sent_back = join_as(&node, ("Set-Cookie", &cookie), None, by_cookie(), "realm1");
    assert_eq!(who(&sent_back.expect("joins")), joe("cookie"));
    // Where a cookie is nobody's, what else the client offers decides.
    let mut either = by_cookie();
    either.push(Credential::Anonymous);
    let guest = join_as(&node, ("Cookie", "cbtid=unknown"), None, either.clone(), "realm1").expect("joins");
    assert_eq!(who(&guest).1, "guest");
    assert_eq!(who(&join_as(&node, ("Cookie", &cookie), None, either, "realm1").expect("joins")), joe("cookie"));
    // A cookie is good for the realm it was got in.
    assert_eq!(refusal(join_as(&node, ("Cookie", &cookie), None, by_cookie(), "realm2")).0, NOBODY);
}

#[test]
fn cookies_are_set_once_and_only_to_what_was_made_here() {
    let node = node(MEMORY, USERS);
    let response = upgrade(&node, "");
    let (pair, attributes) = set_cookie(&response).expect("a cookie").split_once("; ").expect("attributes");
    assert_eq!(attributes, "Max-Age=604800; SameSite=Lax; HttpOnly");
    let value = pair.strip_prefix("cbtid=").expect("the usual name");
    assert!(value.len() == 24 && value.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{value}");
    assert_eq!(set_cookie(&upgrade(&node, &format!("Cookie: a=b; {pair}\r\n"))), None);
    // Nobody can give somebody else a cookie of his own making.
    let chosen = upgrade(&node, "Cookie: cbtid=AAAAAAAAAAAAAAAAAAAAAAAA\r\n");
    let other = set_cookie(&chosen).expect("another cookie");
    assert!(!other.contains("AAAAAAAA") && !other.contains(value));
}

#[test]
fn anonymous_clients_and_failed_logins_make_nobody_known() {
    let node = node(MEMORY, USERS);
    let cookie = cookie(&node);
    join_as(&node, ("Cookie", &cookie), Some("joe"), vec![Credential::Anonymous], "realm1").expect("joins");
    assert!(join_as(&node, ("Cookie", &cookie), Some("joe"), cra("wrong"), "realm1").is_err());
    assert_eq!(refusal(again(&node, &cookie)).0, NOBODY);
}

#[test]
fn logging_out_ends_every_session_of_the_cookie_and_no_other() {
    let node = node(MEMORY, USERS);
    let (mine, other) = (cookie(&node), cookie(&node));
    let mut here = log_in(&node, &mine);
    let mut there = again(&node, &mine).expect("joins");
    let mut witness = log_in(&node, &other);
    here.leave(close::LOGOUT).expect("left");
    let ended = loop {
        match there.next_event(None) {
            Ok(Some(ClientEvent::Left { reason })) => break reason,
            Ok(_) => {}
            Err(end) => panic!("{end}"),
        }
    };
    assert_eq!(ended, close::LOGOUT);
    assert_eq!(refusal(again(&node, &mine)).0, NOBODY);
    assert_eq!(who(&again(&node, &other).expect("joins")), joe("cookie"));
    witness.leave(close::NORMAL).expect("still there");
    // Leaving is not logging out.
    assert_eq!(who(&again(&node, &other).expect("joins")), joe("cookie"));
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wampd-cookie-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("cookies.dat")
    }

    fn store(&self, more: &str) -> String {
        format!(r#"{{"type": "file", "filename": "{}"{more}}}"#, self.file().display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_outlives_the_node_and_helps_no_thief() {
    let folder = Folder::new("outlives");
    let node_of = |users: &str, more: &str| node(&folder.store(more), users);
    let first = node_of(USERS, "");
    let (known, logged_out) = (cookie(&first), cookie(&first));
    log_in(&first, &known);
    log_in(&first, &logged_out).leave(close::LOGOUT).expect("left");
    drop(first);

    let text = fs::read_to_string(folder.file()).expect("a file");
    assert!(!text.contains(known.strip_prefix("cbtid=").expect("a value")), "{text}");
    assert_eq!(fs::metadata(folder.file()).expect("a file").permissions().mode() & 0o777, 0o600);

    let second = node_of(USERS, "");
    assert_eq!(who(&again(&second, &known).expect("joins")), joe("cookie"));
    assert_eq!(refusal(again(&second, &logged_out)).0, NOBODY);
    drop(second);
    // What is half written, or nonsense, is left out.
    let mut file = fs::OpenOptions::new().append(true).open(folder.file()).expect("a file");
    file.write_all(b"nonsense\n{\"cookie\": \"00").expect("written");
    drop(file);
    let third = node_of(USERS, "");
    assert_eq!(who(&again(&third, &known).expect("joins")), joe("cookie"));
    drop(third);

    // Who is no user any more, or has another role now, is not let in by what he was.
    for users in [r#""users": {}"#, r#""users": {"joe": {"secret": "secret-of-joe", "role": "admin"}}"#] {
        assert_eq!(refusal(again(&node_of(users, ""), &known)).0, NOBODY);
    }
    assert_eq!(who(&again(&node_of(USERS, ""), &known).expect("joins")), joe("cookie"));
    assert_eq!(refusal(again(&node_of(USERS, r#", "purge_on_startup": true"#), &known)).0, NOBODY);
    assert_eq!(refusal(again(&node_of(USERS, ""), &known)).0, NOBODY);
}
