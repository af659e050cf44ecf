//! What nobody can reach, places that two want, and files that cannot be used.

use super::tests::{ANONYMOUS, errors, json, lines, node_with, transports, valid, warnings};
use super::*;

#[test]
fn what_nobody_can_reach_is_refused() {
    let ghost = r#"{"anonymous": {"type": "static", "role": "ghost"}}"#;
    let found = errors(&node_with(ANONYMOUS, ghost));
    assert_eq!(found.len(), 2, "{found:#?}");
    let parts = [
        "error: workers[0].realms[0]: no client can join with a role of this realm",
        "anonymous.role: anonymous clients have role \"ghost\", which no realm defines",
    ];
    assert!(found.iter().zip(parts).all(|(line, part)| line.contains(part)), "{found:#?}");

    let two = transports(r#"[{"type": "rawsocket", "endpoint": {"type": "tcp", "port": 0}}]"#);
    let two = two.replace(r#""realms": ["#, r#""realms": [{"name": "realm2", "roles": [{"name": "b"}]}, "#);
    let found = errors(&two);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("realms[0]: no client can join with a role of this realm"), "{found:#?}");

    for list in ["[]", r#"[], "id": "w""#] {
        let found = errors(&transports(list));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].contains("workers: nobody can connect: there is no transport"), "{found:#?}");
    }
}

#[test]
fn a_role_left_over_is_told() {
    let roles = r#"[{"name": "a"}, {"name": "b"}]"#;
    let found = warnings(&node_with(roles, r#"{"anonymous": {"type": "static", "role": "b"}}"#));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("roles[0].name: nobody can have the role \"a\""), "{found:#?}");
    // A function or a procedure may give any role.
    assert_eq!(warnings(&node_with(roles, r#"{"ticket": {"type": "dynamic", "authenticator": "com.a"}}"#)).len(), 0);
}

#[test]
fn two_transports_can_not_have_one_place() {
    let listen = |members: &str| {
        let endpoint = |members| format!(r#"{{"type": "rawsocket", "endpoint": {{"type": {members}}}}}"#);
        let list: Vec<String> = members.split(';').map(endpoint).collect();
        transports(&format!("[{}]", list.join(",\n")))
    };
    for taken in [
        r#""tcp", "port": 1;"tcp", "port": 1"#,
        r#""tcp", "port": 1, "interface": "127.0.0.1";"tcp", "port": 1"#,
        r#""tcp", "port": 1;"tcp", "port": 1, "interface": "localhost""#,
        r#""tcp", "port": 1, "version": 6;"tcp", "port": 1"#,
        r#""tcp", "port": 1, "version": 6;"tcp", "port": 1, "interface": "127.0.0.1""#,
        r#""tcp", "port": 1, "interface": "127.0.0.1";"tcp", "port": 1, "backlog": 7, "interface": "localhost""#,
        r#""unix", "path": "a";"unix", "path": "a", "backlog": 7"#,
    ] {
        let found = errors(&listen(taken));
        assert_eq!(found.len(), 1, "{taken}: {found:#?}");
        let part = "transports[1].endpoint: another transport listens there already: that of line 3";
        assert!(found[0].contains(part), "{found:#?}");
    }
    for free in [
        r#""tcp", "port": 0;"tcp", "port": 0"#,
        r#""tcp", "port": 1;"tcp", "port": 2"#,
        r#""tcp", "port": 1, "interface": "127.0.0.1";"tcp", "port": 1, "interface": "127.0.0.2""#,
        r#""tcp", "port": 1;"tcp", "port": 1, "interface": "::1""#,
        r#""unix", "path": "a";"unix", "path": "b""#,
    ] {
        valid(json(&listen(free)));
    }
}

#[test]
fn a_certificate_that_can_not_be_used_is_told_with_its_place() {
    let text = transports(
        r#"[{"type": "rawsocket", "endpoint": {"type": "tcp", "port": 0, "tls": {
            "key": "authenticator.rhai",
            "certificate": "no_such.pem"}}}]"#,
    );
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/wampcra-function"));
    let tls = &certificates::check;
    let surroundings = Surroundings { folder, variable: &|_| None, script: &read_script, tls };
    let found = lines(&parse("node", &text, Syntax::Json, &surroundings).expect_err("refused"));
    assert_eq!(found.len(), 1, "{found:#?}");
    let part = "error: workers[0].transports[0].endpoint.tls.certificate: no TLS: cannot read ";
    assert!(found[0].starts_with("node:5:") && found[0].contains(part), "{found:#?}");
    let text = text.replace("no_such.pem", "config.json");
    let found = lines(&parse("node", &text, Syntax::Json, &surroundings).expect_err("refused"));
    let part = "error: workers[0].transports[0].endpoint.tls.certificate: no TLS: ";
    assert!(found[0].starts_with("node:5:") && found[0].contains(part), "{found:#?}");
}
