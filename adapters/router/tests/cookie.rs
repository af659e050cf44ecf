//! Cookies of a node: who has logged in once is let in again by its cookie, until it logs out.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use support::websocket::{WebSocket, outcome};
use support::{TestNode, parse};
use wampd_core::uri::close;

const USERS: &str = r#""principals": {"joe": {"ticket": "secret-of-joe", "role": "user"},
    "ann": {"ticket": "secret-of-ann", "role": "user"}}"#;

const MEMORY: &str = r#""store": {"type": "memory"}"#;

/// A node with these cookies and users, which also takes guests.
fn node(cookie: &str, users: &str) -> TestNode {
    TestNode::start(parse(&format!(
        r#"{{"version": 2, "workers": [{{"type": "router",
            "realms": [{{"name": "realm1", "roles": [{{"name": "user"}}, {{"name": "admin"}}, {{"name": "guest"}}]}},
                {{"name": "realm2", "roles": [{{"name": "user"}}, {{"name": "guest"}}]}}],
            "transports": [{{"type": "web", "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": 0}},
                "paths": {{"ws": {{"type": "websocket", "cookie": {{{cookie}}},
                    "options": {{"allowed_origins": ["http://localhost"]}},
                    "auth": {{"ticket": {{"type": "static", {users}}}, "cookie": {{}},
                        "anonymous": {{"type": "static", "role": "guest"}}}}}}}}}}]}}]}}"#
    )))
}

fn open(node: &TestNode) -> WebSocket {
    WebSocket::open(node.port(0), "")
}

fn with(node: &TestNode, cookie: &str) -> WebSocket {
    WebSocket::with_cookie(node.port(0), cookie)
}

/// Logs in by ticket.
fn log_in(socket: &mut WebSocket, user: &str) {
    let welcome = socket.join("realm1", &["ticket"], Some(user), &format!("secret-of-{user}"));
    assert_eq!(outcome(&welcome), format!("{user} with role user by static"));
}

/// A session that has logged in, and its cookie.
fn logged_in(node: &TestNode, user: &str) -> (WebSocket, String) {
    let mut socket = open(node);
    log_in(&mut socket, user);
    let cookie = socket.cookie().expect("a cookie");
    (socket, cookie)
}

/// What a cookie alone is good for.
fn again(node: &TestNode, cookie: &str) -> String {
    outcome(&with(node, cookie).join("realm1", &["cookie"], None, ""))
}

const JOE: &str = "joe with role user by cookie";
const NOBODY: &str = "wamp.error.no_matching_auth_method";

#[test]
fn who_has_logged_in_is_let_in_by_its_cookie() {
    let node = node(MEMORY, USERS);
    let mut socket = open(&node);
    let cookie = socket.cookie().expect("a cookie");
    assert_eq!(again(&node, &cookie), NOBODY);
    log_in(&mut socket, "joe");
    for _ in 0..3 {
        assert_eq!(again(&node, &cookie), JOE);
    }
    // Where a cookie is nobody's, what else the client offers decides.
    let either = ["cookie", "anonymous"];
    let guest = with(&node, "cbtid=unknown").join("realm1", &either, Some("joe"), "");
    assert_eq!(guest[2]["authrole"], "guest");
    assert_eq!(outcome(&with(&node, &cookie).join("realm1", &either, None, "")), JOE);
    // A cookie is good for the realm it was got in.
    assert_eq!(outcome(&with(&node, &cookie).join("realm2", &["cookie"], None, "")), NOBODY);
}

#[test]
fn cookies_are_set_until_somebody_has_logged_in_with_one() {
    let node = node(MEMORY, USERS);
    let (_joe, cookie) = logged_in(&node, "joe");
    assert_eq!(with(&node, &format!("a=b; {cookie}")).set_cookie(), None);
    let fresh = open(&node);
    let (pair, attributes) = fresh.set_cookie().expect("a cookie").split_once("; ").expect("attributes");
    assert_eq!(attributes, "Max-Age=604800; SameSite=Lax; HttpOnly");
    let value = pair.strip_prefix("cbtid=").expect("the usual name");
    assert!(value.len() == 24 && value.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{value}");
    // Nobody can give somebody else a cookie of his own making, or one that was issued to himself.
    for planted in ["cbtid=AAAAAAAAAAAAAAAAAAAAAAAA", pair] {
        let other = with(&node, planted).cookie().expect("another cookie");
        assert!(other != planted && other != cookie);
    }
    // A header of responses says nothing in a request.
    assert!(WebSocket::open(node.port(0), &format!("Set-Cookie: {cookie}\r\n")).set_cookie().is_some());
}

#[test]
fn anonymous_clients_and_failed_logins_make_nobody_known() {
    let node = node(MEMORY, USERS);
    let mut socket = open(&node);
    let cookie = socket.cookie().expect("a cookie");
    assert_eq!(socket.join("realm1", &["anonymous"], Some("joe"), "")[0], 2);
    assert_eq!(again(&node, &cookie), NOBODY);
    let mut socket = open(&node);
    let cookie = socket.cookie().expect("a cookie");
    assert_eq!(socket.join("realm1", &["ticket"], Some("joe"), "wrong")[0], 3);
    assert_eq!(again(&node, &cookie), NOBODY);
}

#[test]
fn logging_out_ends_every_session_of_the_cookie_and_no_other() {
    let node = node(MEMORY, USERS);
    let ((mut here, mine), (mut witness, other)) = (logged_in(&node, "joe"), logged_in(&node, "joe"));
    let mut there = with(&node, &mine);
    assert_eq!(outcome(&there.join("realm1", &["cookie"], None, "")), JOE);
    here.leave(close::LOGOUT.as_str());
    let ended = there.receive();
    assert_eq!((&ended[0], ended[2].as_str()), (&6.into(), Some(close::LOGOUT.as_str())));
    assert_eq!(again(&node, &mine), NOBODY);
    assert_eq!(again(&node, &other), JOE);
    witness.leave(close::NORMAL.as_str());
    // Leaving is not logging out.
    assert_eq!(again(&node, &other), JOE);
    // A cookie that has ended is not taken up again by the connection that it was made for.
    log_in(&mut here, "joe");
    assert_eq!(again(&node, &mine), NOBODY);
}

#[test]
fn leaving_ends_the_cookie_where_the_configuration_says_so() {
    let node = node(&format!(r#"{MEMORY}, "wampd": {{"end_on_normal": true}}"#), USERS);
    let (mut here, cookie) = logged_in(&node, "joe");
    let mut there = with(&node, &cookie);
    assert_eq!(outcome(&there.join("realm1", &["cookie"], None, "")), JOE);
    let (_lost, kept) = logged_in(&node, "joe");
    here.leave(close::NORMAL.as_str());
    assert_eq!(again(&node, &cookie), NOBODY);
    // The other session stays, and a connection that breaks ends nothing.
    there.leave(close::NORMAL.as_str());
    drop(_lost);
    assert_eq!(again(&node, &kept), JOE);
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
        format!(r#""store": {{"type": "file", "filename": "{}"{more}}}"#, self.file().display())
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
    let (_joe, known) = logged_in(&first, "joe");
    let (mut leaver, logged_out) = logged_in(&first, "joe");
    leaver.leave(close::LOGOUT.as_str());
    drop(first);

    let text = fs::read_to_string(folder.file()).expect("a file");
    assert!(!text.contains(known.strip_prefix("cbtid=").expect("a value")), "{text}");
    assert_eq!(fs::metadata(folder.file()).expect("a file").permissions().mode() & 0o777, 0o600);

    let second = node_of(USERS, "");
    assert_eq!(again(&second, &known), JOE);
    assert_eq!(again(&second, &logged_out), NOBODY);
    drop(second);
    // What is half written, or nonsense, is left out.
    let mut file = fs::OpenOptions::new().append(true).open(folder.file()).expect("a file");
    file.write_all(b"nonsense\n{\"cookie\": \"00").expect("written");
    drop(file);
    let third = node_of(USERS, "");
    assert_eq!(again(&third, &known), JOE);
    drop(third);

    // Who is no user any more, or has another role now, is not let in by what he was.
    let admin = r#""principals": {"joe": {"ticket": "secret-of-joe", "role": "admin"}}"#;
    for users in [r#""principals": {}"#, admin] {
        assert_eq!(again(&node_of(users, ""), &known), NOBODY);
    }
    assert_eq!(again(&node_of(USERS, ""), &known), JOE);
    assert_eq!(again(&node_of(USERS, r#", "purge_on_startup": true"#), &known), NOBODY);
    assert_eq!(again(&node_of(USERS, ""), &known), NOBODY);
}
