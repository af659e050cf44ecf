//! `wampd.proxies` of transports.

use super::tests::{errors, json, transports, valid, warnings};
use wampd_wire::ProxyProtocol;

const ANYWHERE: &str = r#"{"type": "tcp", "port": 8080}"#;
const LOOPBACK: &str = r#"{"type": "tcp", "interface": "127.0.0.1", "port": 8080}"#;
const UNIX: &str = r#"{"type": "unix", "path": "a.sock"}"#;

/// A transport that lets anonymous clients in, with `wampd`.
fn transport(kind: &str, endpoint: &str, wampd: &str) -> String {
    let auth = r#""auth": {"anonymous": {"type": "static", "role": "anonymous"}}"#;
    let websocket = format!(r#"{{"type": "websocket", {auth}}}"#);
    let services = match kind {
        "web" => format!(r#""paths": {{"ws": {websocket}}}"#),
        "universal" => format!(r#""rawsocket": {{{auth}}}, "websocket": {{"ws": {websocket}}}"#),
        _ => auth.to_owned(),
    };
    transports(&format!(r#"[{{"type": "{kind}", "endpoint": {endpoint}, "wampd": {wampd}, {services}}}]"#))
}

fn proxies(trusted: &str, protocol: &str) -> String {
    format!(r#"{{"proxies": {{"trusted": {trusted}, "protocol": "{protocol}"}}}}"#)
}

#[test]
fn proxies_are_trusted_by_network_on_transports_of_all_types() {
    for (name, protocol, kinds) in [
        ("proxy", ProxyProtocol::Proxy, &["web", "websocket", "rawsocket", "universal"][..]),
        ("x-forwarded-for", ProxyProtocol::XForwardedFor, &["web", "websocket"]),
        ("forwarded", ProxyProtocol::Forwarded, &["web", "websocket"]),
    ] {
        for kind in kinds {
            let trusted = r#"["10.0.0.0/8", "192.0.2.1", "fd00::/8", "unix"]"#;
            for endpoint in [ANYWHERE, LOOPBACK, UNIX] {
                let node = valid(json(&transport(kind, endpoint, &proxies(trusted, name))));
                let proxies = node.transports[0].proxies.as_ref().expect("proxies");
                let shown: Vec<String> = proxies.trusted.iter().map(ToString::to_string).collect();
                assert_eq!(shown, ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8", "unix"]);
                assert_eq!(proxies.protocol, protocol);
            }
        }
    }
    let node = valid(json(&transport("web", LOOPBACK, "{}")));
    assert!(node.transports[0].proxies.is_none());
}

#[test]
fn a_network_of_everybody_is_told_where_others_reach_the_endpoint() {
    let told = |endpoint, trusted| warnings(&transport("web", endpoint, &proxies(trusted, "x-forwarded-for")));
    for everybody in [r#"["0.0.0.0/0"]"#, r#"["10.0.0.0/8", "::/0"]"#] {
        let told_of = told(ANYWHERE, everybody);
        assert_eq!(told_of.len(), 1, "{told_of:#?}");
        assert!(told_of[0].contains("whoever reaches this endpoint is believed about its address"), "{told_of:#?}");
        assert_eq!(told(LOOPBACK, everybody), [""; 0]);
    }
    assert_eq!(told(ANYWHERE, r#"["10.0.0.0/8"]"#), [""; 0]);
}

#[test]
fn proxies_that_tell_nothing_or_cannot_connect_are_refused() {
    for (kind, endpoint, wampd, expected) in [
        ("web", ANYWHERE, r#"{"proxies": {"protocol": "proxy"}}"#, "the key \"trusted\" is missing"),
        ("web", ANYWHERE, r#"{"proxies": {"trusted": ["10.0.0.0/8"]}}"#, "the key \"protocol\" is missing"),
        ("web", ANYWHERE, &proxies("[]", "proxy"), "no proxy that is trusted can connect to this endpoint"),
        ("web", ANYWHERE, &proxies(r#"["unix"]"#, "proxy"), "add the network of the proxy"),
        ("web", UNIX, &proxies(r#"["10.0.0.0/8"]"#, "proxy"), "add \"unix\""),
        ("web", ANYWHERE, &proxies(r#"["proxy.example.com"]"#, "proxy"), "\"proxy.example.com\" is no network"),
        ("web", ANYWHERE, &proxies(r#"["10.0.0.0/8"]"#, "x-real-ip"), "unknown value \"x-real-ip\""),
        ("rawsocket", ANYWHERE, &proxies(r#"["10.0.0.0/8"]"#, "forwarded"), "RawSocket has no HTTP headers"),
        ("web", ANYWHERE, r#"{"proxie": {}}"#, "did you mean \"proxies\"?"),
    ] {
        let found = errors(&transport(kind, endpoint, wampd));
        assert!(found.iter().any(|line| line.contains(expected)), "{expected}: {found:#?}");
    }
    let found = warnings(&transport("universal", ANYWHERE, &proxies(r#"["10.0.0.0/8"]"#, "forwarded")));
    assert!(found[0].contains("its clients have the address of the proxy"), "{found:#?}");
}
