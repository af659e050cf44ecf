//! Clients behind a proxy: each is taken for the address that the proxy tells, and nobody else chooses its own.

use super::harness::{Folder, Raw, Router, config, connect};
use super::websocket::{WebSocket, outcome};
use serde_json::{Value, json};
use std::io::{Read, Write};

const GUESSER: &str = "203.0.113.66";

/// Failed logins from one address that are free, in these tests.
const FREE: usize = 8;

/// Whoever waits after failed logins waits for longer than a test takes.
fn limits() -> Value {
    json!({"login_backoff_ms": 3_600_000, "max_login_backoff_ms": 3_600_000, "max_failed_logins_per_address": FREE})
}

/// The configuration of the suite, behind these proxies: transport 0 takes users with tickets, transport 1 whom `auth` lets in.
fn behind(trusted: &str, protocol: &str, auth: Value, limits: Value) -> Value {
    let mut config = config();
    let transports = &mut config["workers"][0]["transports"];
    let principals = (0..7).map(|n| (format!("user{n}"), json!({"ticket": format!("ticket of {n}"), "role": "user"})));
    let principals: serde_json::Map<String, Value> = principals.collect();
    transports[0]["paths"]["ws"]["auth"] = json!({"ticket": {"type": "static", "principals": principals}});
    transports[0]["wampd"] = json!({"proxies": {"trusted": [trusted], "protocol": protocol}});
    transports[1]["wampd"] = json!({"proxies": {"trusted": [trusted], "protocol": "proxy"}});
    transports[1]["auth"] = auth;
    config["wampd"] = json!({"limits": limits, "farewell": "told"});
    config
}

fn anonymous() -> Value {
    json!({"anonymous": {"type": "static", "role": "user"}})
}

/// A client at an address, as the proxy passes it on.
fn at(router: &Router, address: &str) -> WebSocket {
    // What a client claims stands left of what the proxy adds.
    WebSocket::open(router.port(0), &format!("X-Forwarded-For: 198.51.100.1, {address}\r\n"))
}

fn log_in(mut socket: WebSocket, user: usize, ticket: &str) -> String {
    let answer = socket.join("realm1", &["ticket"], Some(&format!("user{user}")), ticket);
    match answer[2]["message"].as_str().or_else(|| answer[1]["message"].as_str()) {
        Some(message) if message.starts_with("too many logins have failed") => "throttled".to_owned(),
        _ => outcome(&answer),
    }
}

fn log_in_right(router: &Router, address: &str, user: usize) -> String {
    log_in(at(router, address), user, &format!("ticket of {user}"))
}

/// What a login with the right ticket gives.
fn joined(user: usize) -> String {
    format!("user{user} with role user by static")
}

/// RawSocket over a connection of the proxy, for a client at an address.
fn raw_at(router: &Router, address: &str) -> Raw {
    let mut raw = Raw(connect(router.port(1)));
    raw.0.write_all(format!("PROXY TCP4 {address} 192.0.2.200 4711 443\r\n\x7f").as_bytes()).expect("sent");
    raw.0.write_all(&[0xf1, 0, 0]).expect("sent");
    raw.0.read_exact(&mut [0; 4]).expect("an answer");
    raw
}

#[test]
fn a_guesser_behind_a_proxy_keeps_nobody_else_there_waiting() {
    let router = Router::start(&behind("127.0.0.1", "x-forwarded-for", anonymous(), limits()));
    // Somebody who shares the guesser's address, and has logged in before.
    assert_eq!(log_in_right(&router, GUESSER, 6), joined(6));
    for n in 0..=FREE {
        assert_eq!(log_in(at(&router, GUESSER), n % 5, "a guess"), "wamp.error.not_authorized");
    }
    for n in 0..5 {
        assert_eq!(log_in_right(&router, GUESSER, n), "throttled", "not even the right ticket is told apart");
    }
    // Five users whom the guesser has tried to be, none of whom was there before; one mistypes.
    assert_eq!(log_in(at(&router, "192.0.2.10"), 0, "ticket of O"), "wamp.error.not_authorized");
    for n in 0..5 {
        assert_eq!(log_in_right(&router, &format!("192.0.2.1{n}"), n), joined(n));
    }
    assert_eq!(log_in_right(&router, GUESSER, 6), joined(6), "who has logged in from there has a budget of its own");
    assert_eq!(log_in_right(&router, GUESSER, 0), "throttled");
    router.wait_for_lines("session aborted", FREE + 8);
    let peers: Vec<Value> = router.lines("session aborted").iter().map(|line| line["peer"].clone()).collect();
    assert_eq!(peers.iter().filter(|peer| **peer == format!("tcp4:{GUESSER}:0")).count(), FREE + 7);
    assert!(peers.contains(&"tcp4:192.0.2.10:0".into()), "{peers:?}");
}

#[test]
fn a_header_of_somebody_untrusted_changes_nothing() {
    let router = Router::start(&behind("10.0.0.0/8", "x-forwarded-for", anonymous(), limits()));
    for n in 0..=FREE {
        let socket = at(&router, &format!("192.0.2.{n}"));
        assert_eq!(log_in(socket, n % 5, "a guess"), "wamp.error.not_authorized");
    }
    assert_eq!(log_in_right(&router, "192.0.2.99", 5), "throttled", "another header is no other address");
    router.wait_for_lines("session aborted", FREE + 2);
    for line in router.lines("session aborted") {
        assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("tcp4:127.0.0.1:")), "{line}");
    }
    // Nor does it get past a listener that expects the PROXY protocol.
    let mut stranger = connect(router.port(1));
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.200 4711 443\r\n\x7f\xf1\0\0";
    // The router may be faster than this.
    let _ = stranger.write_all(header);
    assert!(!matches!(stranger.read(&mut [0; 4]), Ok(1..)), "nobody answers");
    let refused = router.wait_for_lines("connection refused: it does not come from a trusted proxy", 1);
    assert!(refused["peer"].as_str().is_some_and(|peer| peer.starts_with("tcp4:127.0.0.1:")), "{refused}");
}

#[test]
fn sessions_and_authenticators_are_told_the_address_of_the_client() {
    let folder = Folder::new();
    let script = r#"fn create(config) {
        |realm, authid, details| #{ role: "user", authid: details.transport.peer }
    }"#;
    folder.write("users.rhai", script);
    let auth = json!({"anonymous": {"type": "function", "script": "users.rhai", "create": "create"}});
    let router = Router::start_in(folder, &behind("127.0.0.1", "forwarded", auth, json!({})), None);
    let mut raw = raw_at(&router, "192.0.2.7");
    let welcome = raw.hello();
    assert_eq!(welcome[2]["authid"], "tcp4:192.0.2.7:4711", "{welcome}");
    let mut session = WebSocket::open(router.port(0), "Forwarded: for=\"[2001:db8::7]:4712\"\r\n");
    let welcome = session.join("realm1", &["ticket"], Some("user0"), "ticket of 0");
    session.send(&json!([48, 1, {}, "wamp.session.get", [welcome[1]]]));
    let result = session.receive();
    assert_eq!(result[3][0]["transport"]["peer"], "tcp6:[2001:db8::7]:4712", "{result}");
    router.wait_for_lines("session joined", 2);
    let peers: Vec<Value> = router.lines("session joined").iter().map(|line| line["peer"].clone()).collect();
    assert_eq!(peers, ["tcp4:192.0.2.7:4711", "tcp6:[2001:db8::7]:4712"]);
}

#[test]
fn what_is_no_address_is_refused_with_400_and_a_line_in_the_log() {
    let router = Router::start(&behind("127.0.0.1", "x-forwarded-for", anonymous(), json!({})));
    let socket = WebSocket::open(router.port(0), "X-Forwarded-For: 192.0.2.7, somewhere\r\n");
    assert_eq!(socket.status(), "400");
    let line = router.wait_for_lines("proxy does not tell the address of its client as configured", 1);
    assert_eq!(line["why"], "malformed X-Forwarded-For header");
    assert!(line["proxy"].as_str().is_some_and(|proxy| proxy.starts_with("tcp4:127.0.0.1:")), "{line}");
}

/// A program that answers once there is a file `go`.
const HOST: &str = r#"
n=0
while read -r line; do
    [ $n -gt 0 ] && while [ ! -e go ]; do sleep 0.01; done
    printf '{"id":%s,"result":"user"}\n' $n
    n=$((n + 1))
done
"#;

#[test]
fn questions_are_limited_by_the_address_of_the_client() {
    let folder = Folder::new();
    folder.write("host.sh", HOST);
    let auth = json!({"anonymous": {"type": "function", "command": ["sh", "host.sh"]}});
    let limits = json!({"max_questions_per_address": 2});
    let router = Router::start_in(folder, &behind("127.0.0.1", "x-forwarded-for", auth, limits), None);
    let hello = |address: &str| {
        let mut raw = raw_at(&router, address);
        raw.send(&json!([1, "realm1", {"roles": {"caller": {}}}]));
        raw
    };
    let mut waiting: Vec<Raw> = [GUESSER, GUESSER, "192.0.2.7", "192.0.2.8"].map(hello).into();
    let abort = hello(GUESSER).receive();
    assert_eq!(abort[1]["message"], "too many logins from this address wait", "{abort}");
    let line = router.wait_for_lines("login refused: limit max_questions_per_address reached", 1);
    assert_eq!(line["peer"], format!("tcp4:{GUESSER}:4711"));
    router.folder.write("go", "");
    for raw in &mut waiting {
        assert_eq!(raw.receive()[0], 2);
    }
}
