//! Path services of a web transport that are answered from the configuration, side by side with WebSocket.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use support::{TestNode, parse, who};
use wampd_core::client::ClientConfig;
use wampd_core::uri::Uri;
use wampd_mio::client::{Client, Options, Url};

fn node() -> TestNode {
    TestNode::start(parse(
        r#"{"version": 2, "workers": [{"type": "router",
            "realms": [{"name": "realm1", "roles": [{"name": "guest"}]}, {"name": "realm2", "roles": [{"name": "guest"}]}],
            "transports": [{"type": "web", "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": 0}, "paths": {
                "/": {"type": "nodeinfo"},
                "plain": {"type": "json", "value": {"b": [1, null, "ä"], "a": 1.5}},
                "pretty": {"type": "json", "value": [1], "options": {"prettify": true, "allow_cross_origin": false,
                    "discourage_caching": true}},
                "away": {"type": "redirect", "url": "https://example.com/there?x=1"},
                "deep": {"type": "path", "paths": {
                    "/": {"type": "json", "value": "deep"},
                    "deeper": {"type": "path", "paths": {
                        "info": {"type": "nodeinfo"},
                        "ws": {"type": "websocket", "auth": {"anonymous":
                            {"type": "static", "role": "guest", "realm": "realm2", "authid": "visitor"}}}}}}},
                "archive": {"type": "archive", "archive": "autobahn.zip", "download": true}}}]}]}"#,
    ))
}

/// Status line and headers, and body.
fn request(node: &TestNode, method: &str, path: &str) -> (String, String) {
    let mut socket = TcpStream::connect(("127.0.0.1", node.port(0))).expect("connected");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("written");
    let mut response = String::new();
    socket.read_to_string(&mut response).expect("text");
    let (head, body) = response.split_once("\r\n\r\n").expect("a response");
    (head.to_owned(), body.to_owned())
}

fn get(node: &TestNode, path: &str) -> (String, String) {
    request(node, "GET", path)
}

#[track_caller]
fn assert_has(head: &str, status: u16, headers: &[&str]) {
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    for header in headers {
        assert!(head.lines().any(|line| line == *header), "{header} in\n{head}");
    }
}

#[test]
fn json_is_served_as_it_is_configured() {
    let node = node();
    for path in ["/plain", "/plain/", "/plain?x=1"] {
        let (head, body) = get(&node, path);
        let type_and_origin = ["Content-Type: application/json; charset=utf-8", "Access-Control-Allow-Origin: *"];
        assert_has(&head, 200, &type_and_origin);
        assert!(!head.contains("Cache-Control"), "{head}");
        assert_eq!(body, r#"{"a":1.5,"b":[1,null,"ä"]}"#);
    }
    let (head, body) = get(&node, "/pretty");
    assert_has(&head, 200, &["Cache-Control: no-store, no-cache, must-revalidate, max-age=0"]);
    assert!(!head.contains("Access-Control"), "{head}");
    assert_eq!(body, "[\n  1\n]");
    assert_has(&get(&node, "/plain/below").0, 404, &[]);
    assert_has(&request(&node, "POST", "/plain").0, 405, &["Allow: GET, HEAD"]);
    let (head, body) = request(&node, "HEAD", "/plain");
    assert_has(&head, 200, &["Content-Length: 27"]);
    assert_eq!(body, "");
}

#[test]
fn redirects_lead_away() {
    let node = node();
    assert_has(&get(&node, "/away").0, 302, &["Location: https://example.com/there?x=1"]);
    assert_has(&get(&node, "/away/further").0, 404, &[]);
}

#[test]
fn the_nodes_page_tells_that_it_is_there() {
    let node = node();
    for path in ["/", "/deep/deeper/info"] {
        let (head, body) = get(&node, path);
        assert_has(&head, 200, &["Content-Type: text/html; charset=utf-8"]);
        assert!(body.contains("<title>wampd</title>") && !body.contains(env!("CARGO_PKG_VERSION")), "{body}");
    }
    // It is no page for everything.
    assert_has(&get(&node, "/nothing").0, 404, &[]);
    assert_has(&get(&node, "/archive").0, 404, &[]);
}

#[test]
fn services_nest_and_websocket_is_one_of_them() {
    let node = node();
    assert_eq!(get(&node, "/deep").1, "\"deep\"");
    assert_has(&get(&node, "/deep/deeper").0, 404, &[]);
    assert_has(&get(&node, "/deep/deeper/ws").0, 426, &[]);
    // Who joins there joins the realm that is configured, whatever it asks for.
    let url: Url = format!("ws://127.0.0.1:{}/deep/deeper/ws", node.port(0)).parse().expect("a URL");
    let client =
        Client::connect(&url, &Options::default(), ClientConfig::anonymous(Uri::from("realm1"))).expect("joins");
    assert_eq!(who(&client).0, "visitor");
    assert_eq!(client.session().details.realm.as_ref().map(Uri::as_str), Some("realm2"));
}
