//! What configurations of Crossbar.io have beyond what a node of wampd would be written with.

use super::tests::{errors, json, lines, node_with, warnings};
use super::{CookieStorage, Endpoint, Link, Listen, PathService};
use std::path::Path;
use wampd_core::router::Action;
use wampd_core::uri::MatchPolicy;

/// A router worker that listens on a unix socket, and these workers.
fn behind_proxies(workers: &str) -> String {
    format!(
        r#"{{"version": 2, "workers": [{workers}
        {{"type": "router", "realms": [{{"name": "realm1", "roles": [{{"name": "a"}}]}}], "transports": [
            {{"type": "rawsocket", "endpoint": {{"type": "unix", "path": "router.sock"}},
              "auth": {{"anonymous": {{"role": "a"}}, "anonymous-proxy": {{"type": "static"}}}}}}]}}]}}"#
    )
}

fn proxy(port: u16, endpoint: &str) -> String {
    format!(
        r#"{{"type": "proxy", "options": {{"env": {{"inherit": ["SECRET"]}}}},
        "connections": {{"up": {{"transport": {{"type": "rawsocket"}}}}}}, "routes": {{"realm1": {{"a": "up"}}}},
        "transports": [{{"type": "websocket", "endpoint": {{"type": "tcp", "port": {port}{endpoint}}},
            "auth": {{"ticket": {{"type": "static", "principals": {{"joe": {{"role": "a", "ticket": "x"}}}}}}}}}}]}},"#
    )
}

#[test]
fn transports_of_proxies_are_served_by_the_router() {
    let (node, report) = json(&behind_proxies(&proxy(8080, ""))).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(node.transports.len(), 2);
    let Some(PathService::WebSocket(websocket)) = node.transports[0].routes.routes.first().map(|route| &route.service)
    else {
        panic!("{node:?}")
    };
    assert!(websocket.auth.ticket.is_some());
    let found = lines(&report);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("workers[0]: the router serves the transports of its proxies itself"), "{found:#?}");
    assert!(found[1].contains("auth.anonymous-proxy: ignored (there are no proxies"), "{found:#?}");
}

#[test]
fn a_proxy_without_a_router_is_refused() {
    let alone = format!(r#"{{"version": 2, "workers": [{}]}}"#, proxy(8080, "").trim_end_matches(','));
    let found = errors(&alone);
    assert!(found.iter().any(|line| line.contains("there is no router worker to be a proxy of")), "{found:#?}");
}

#[test]
fn an_endpoint_that_is_shared_is_served_once() {
    let twice = |endpoint| behind_proxies(&[proxy(8080, endpoint), proxy(8080, endpoint)].concat());
    let (node, report) = json(&twice(r#", "shared": true"#)).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(node.transports.len(), 2);
    assert!(lines(&report).iter().any(|line| line.contains("workers[1].transports[0]: ignored")), "{report}");
    let found = errors(&twice(""));
    assert!(found.iter().any(|line| line.contains("another transport listens there already")), "{found:#?}");
    let two = behind_proxies(&[proxy(8080, r#", "shared": true"#), proxy(8081, r#", "shared": true"#)].concat());
    assert_eq!(json(&two).expect("valid").0.transports.len(), 3);
}

#[test]
fn what_no_rule_speaks_of_may_be_allowed() {
    let roles = r#"[{"name": "anonymous", "allow-by-default": true,
        "permissions": [{"uri": "com.secret.", "match": "prefix"}]}]"#;
    assert_eq!(warnings(&node_with(roles, "")), Vec::<String>::new());
    let (node, _) = json(&node_with(roles, "")).expect("valid");
    let permissions = &node.router.realms[0].roles[0].permissions;
    let may = |uri| permissions.decide(Action::Register, uri, MatchPolicy::Exact).allow;
    assert!(may("com.open") && !may("com.secret.x"));
}

#[test]
fn cookies_of_a_database_are_kept_in_its_folder() {
    let store =
        r#""cookie": {"store": {"type": "database", "path": ".cookies", "purge_on_startup": true, "sync": true}}"#;
    let node = node_with(r#"[{"name": "anonymous"}]"#, "").replace(
        r#"{"type": "rawsocket", "#,
        &format!(r#"{{"type": "websocket", {store}, "options": {{"allowed_origins": ["http://a"]}}, "#),
    );
    let (node, _) = json(&node).unwrap_or_else(|report| panic!("{report}"));
    let PathService::WebSocket(websocket) = &node.transports[0].routes.routes[0].service else { panic!("{node:?}") };
    let store = websocket.cookie.as_ref().map(|cookie| &cookie.store);
    let Some(CookieStorage::Folder { path, purge: true }) = store else { panic!("{store:?}") };
    assert!(path.ends_with(Path::new(".cookies")));
}

/// A container with one component that has these members beside its class and realm.
fn container(members: &str) -> String {
    let component = format!(r#"{{"type": "class", "classname": "a.B", "realm": "realm1"{members}}}"#);
    let container = format!(r#"{{"type": "container", "components": [{component}]}}, {{"type": "router","#);
    let ticket = r#"{"type": "static", "principals": {"b": {"ticket": "t", "role": "backend"}}}"#;
    let auth = format!(r#"{{"anonymous": {{"type": "static"}}, "ticket": {ticket}}}"#);
    let roles = r#"[{"name": "anonymous"}, {"name": "backend"}]"#;
    node_with(roles, &auth).replacen(r#"{"type": "router","#, &container, 1)
}

#[test]
fn components_connect_by_a_transport_of_their_own() {
    let tls =
        r#""tls": {"hostname": "localhost", "key": "c.key", "certificate": "c.crt", "ca_certificates": ["ca.pem"]}"#;
    let transport = format!(
        r#", "transport": {{"type": "websocket", "url": "wss://localhost:8080/ws", "serializer": "cbor",
        "endpoint": {{"type": "tcp", "host": "127.0.0.1", "port": 8080, {tls}}}}}"#
    );
    let (node, report) = json(&container(&transport)).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(report.to_string(), "");
    let Link::Transport(told) = &node.components[0].link else { panic!("{node:?}") };
    assert_eq!(told["url"], "wss://localhost:8080/ws");
    assert_eq!(told["serializers"], serde_json::json!(["cbor"]));
    let key = told["endpoint"]["tls"]["key"].as_str().expect("a path");
    assert!(Path::new(key).is_absolute() && key.ends_with("/c.key"), "{key}");
    let unix = r#", "transport": {"type": "rawsocket", "endpoint": {"type": "unix", "path": "router.sock"}}"#;
    let (node, _) = json(&container(unix)).unwrap_or_else(|report| panic!("{report}"));
    assert!(matches!(&node.components[0].link, Link::Transport(told) if told["endpoint"]["type"] == "unix"));
    let both = format!(r#"{unix}, "role": "backend""#);
    let (node, report) = json(&container(&both)).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(node.components[0].link, Link::Role("backend".to_owned()));
    assert!(report.to_string().contains("components[0].transport: ignored"), "{report}");
    for (wrong, says) in [
        (r#", "transport": {"type": "websocket", "endpoint": {"type": "tcp", "port": 1}}"#, "\"url\" is missing"),
        (r#", "transport": {"type": "rawsocket"}"#, "\"endpoint\" is missing"),
        (
            r#", "transport": {"type": "rawsocket", "endpoint": {"type": "tcp", "port": 1, "tls": {"key": "k"}}}"#,
            "key and certificate belong together",
        ),
    ] {
        let found = errors(&container(wrong));
        assert!(found.iter().any(|line| line.contains(says)), "{wrong}: {found:#?}");
    }
}

#[test]
fn endpoints_are_where_they_are() {
    let (node, _) = json(&behind_proxies("")).unwrap_or_else(|report| panic!("{report}"));
    assert!(matches!(&node.transports[0].endpoint, Endpoint::Unix { path, .. } if path.ends_with("router.sock")));
}

#[test]
fn a_node_folder_tells_the_session_id_alone_when_a_session_leaves_unless_it_says_otherwise() {
    let told = |text: &str| {
        let (node, _) = json(text).unwrap_or_else(|report| panic!("{report}"));
        let before = node.router.realms[0].leave_event_details;
        (before, node.for_node_folder().router.realms[0].leave_event_details)
    };
    let with = |wampd: &str| node_with(&format!(r#"[{{"name": "anonymous"}}], "wampd": {wampd}"#), "");
    assert_eq!(told(&node_with(r#"[{"name": "anonymous"}]"#, "")), (true, false));
    assert_eq!(told(&with(r#"{"leave_event_details": true}"#)), (true, true));
    assert_eq!(told(&with(r#"{"leave_event_details": false}"#)), (false, false));
}

#[test]
fn when_a_node_listens() {
    let with = |listen: &str| {
        let node = node_with(r#"[{"name": "anonymous"}]"#, "");
        node.replacen('{', &format!(r#"{{"wampd": {{"listen": {listen}}}, "#), 1)
    };
    let (node, _) = json(&node_with(r#"[{"name": "anonymous"}]"#, "")).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(node.listen, Listen::WhenReady);
    let (node, _) = json(&with(r#""at_once""#)).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(node.listen, Listen::AtOnce);
    let found = errors(&with("true"));
    assert!(found.iter().any(|line| line.contains("listen")), "{found:#?}");
}
