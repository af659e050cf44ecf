use super::super::load;
use super::super::tests::{lines, node_with, warnings};
use std::os::unix::fs::PermissionsExt;

/// A node whose users log in by a procedure, with these roles and what comes beside the realms.
fn node(roles: &str, more: &str, auth: &str) -> String {
    format!(
        r#"{{"version": 2, "workers": [{{"type": "router", "realms": [{{"name": "realm1", "roles": {roles}}}], {more}
        "transports": [{{"type": "rawsocket", "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": 8080}},
            "auth": {{"wampcra": {{"type": "dynamic", "authenticator": "com.example.authenticate",
                "authenticator-realm": "realm1"}}{auth}}}}}]}}]}}"#
    )
}

fn role(name: &str, uri: &str, matching: &str, allow: &str) -> String {
    let allow: Vec<String> = allow.split_whitespace().map(|action| format!(r#""{action}": true"#)).collect();
    let rule = format!(r#"{{"uri": "{uri}", "match": "{matching}", "allow": {{{}}}}}"#, allow.join(", "));
    format!(r#"{{"name": "{name}", "permissions": [{rule}]}}"#)
}

/// The warnings about the procedure.
fn about(roles: &[String], more: &str, auth: &str) -> Vec<String> {
    let text = node(&format!("[{}]", roles.join(",")), more, auth);
    warnings(&text).into_iter().filter(|line| line.contains("com.example.authenticate")).collect()
}

const PROCEDURE: &str = "com.example.authenticate";
const GUESTS: &str = r#", "anonymous": {"type": "static", "role": "guest"}"#;

#[test]
fn who_may_register_an_authenticator_decides_who_joins() {
    let own = role("authenticator", PROCEDURE, "exact", "register");
    let user = role("user", "com.example.add2", "exact", "call");
    assert_eq!(about(&[own.clone(), user.clone()], "", GUESTS), Vec::<String>::new());
    for (uri, matching) in [(PROCEDURE, "exact"), ("com.example.", "prefix"), ("", "prefix"), ("com..", "wildcard")] {
        let guest = role("guest", uri, matching, "register");
        let found = about(&[own.clone(), user.clone(), guest], "", GUESTS);
        let [warning] = &found[..] else { panic!("{uri}: {found:#?}") };
        let place = "node:3:22: warning: workers[0].transports[0].auth.wampcra: role \"guest\" may register";
        assert!(warning.starts_with(place) && warning.contains("decides who joins"), "{warning}");
    }
}

#[test]
fn a_role_that_proves_nothing_is_not_the_authenticators_own() {
    // The only role that may register it, by name: that of everybody.
    let guest = role("guest", PROCEDURE, "exact", "register");
    assert!(about(std::slice::from_ref(&guest), "", GUESTS)[0].contains("role \"guest\" may register"));
    assert_eq!(about(&[guest], "", ""), Vec::<String>::new());
}

#[test]
fn the_role_of_a_component_is_its_own() {
    let component = r#""components": [{"type": "class", "classname": "a.B", "realm": "realm1", "role": "backend"}],"#;
    let roles = [role("backend", "", "prefix", "register call"), role("user", "com.", "prefix", "register")];
    let found = about(&roles, component, "");
    assert!(found.len() == 1 && found[0].contains("role \"user\" may register"), "{found:#?}");
    // Without one nobody knows whose it is.
    let found = about(&roles, "", "");
    assert!(found.iter().any(|line| line.contains("roles \"backend\", \"user\" may register")), "{found:#?}");
}

#[test]
fn who_may_call_an_authenticator_reads_secrets() {
    let own = role("authenticator", PROCEDURE, "exact", "register");
    let found = about(&[own.clone(), role("user", "com.example.", "prefix", "call")], "", "");
    assert!(found.len() == 1 && found[0].contains("role \"user\" may call"), "{found:#?}");
    let closed = r#"{"name": "user", "permissions": [
        {"uri": "com.example.", "match": "prefix", "allow": {"call": true, "register": true}},
        {"uri": "com.example.authenticate", "match": "exact", "allow": {}}]}"#;
    assert_eq!(about(&[own.clone(), closed.to_owned()], "", ""), Vec::<String>::new(), "what the hint says");
    // The role that it is called with has to.
    let text = node(&format!("[{own}, {}]", role("asker", PROCEDURE, "exact", "call")), "", "")
        .replace(r#""authenticator-realm""#, r#""authenticator-role": "asker", "authenticator-realm""#);
    assert!(!warnings(&text).iter().any(|line| line.contains("may call")));
}

#[test]
fn authorizers_are_decided_by_their_own_too() {
    let asked = r#"{"name": "asked", "authorizer": "com.example.authorize"}"#;
    let roles =
        |guest: &str| format!("[{asked}, {}, {guest}]", role("own", "com.example.authorize", "exact", "register"));
    let auth = r#"{"ticket": {"type": "static", "principals": {"a": {"ticket": "x", "role": "asked"},
        "b": {"ticket": "y", "role": "own"}}}, "anonymous": {"type": "static", "role": "guest"}}"#;
    let found = warnings(&node_with(&roles(&role("guest", "", "prefix", "register call")), auth));
    let at = "workers[0].realms[0].roles[0].authorizer: role \"guest\" may";
    let about = |action: &str| found.iter().any(|line| line.contains(&format!("{at} {action}")));
    assert!(about("register") && about("call"), "{found:#?}");
    assert_eq!(warnings(&node_with(&roles(&role("guest", "com.a", "exact", "call")), auth)), Vec::<String>::new());
}

#[test]
fn everything_for_everybody_is_told_where_others_reach_it() {
    let node = |interface: &str, role: &str| {
        format!(
            r#"{{"version": 2, "workers": [{{"type": "router", "realms": [{{"name": "realm1", "roles": [{role}]}}],
            "transports": [{{"type": "rawsocket", "endpoint": {{"type": "tcp", {interface}"port": 8080}}}}]}}]}}"#
        )
    };
    let all = role("anonymous", "", "prefix", "call register publish subscribe");
    for interface in ["", r#""interface": "192.0.2.1", "#, r#""interface": "::", "#] {
        let found = warnings(&node(interface, &all));
        let place =
            "node:2:28: warning: workers[0].transports[0]: whoever reaches this endpoint has role \"anonymous\"";
        assert!(found.len() == 1 && found[0].starts_with(place), "{found:#?}");
    }
    assert_eq!(warnings(&node(r#""interface": "127.0.0.1", "#, &all)), Vec::<String>::new());
    for some in [("", "call publish subscribe"), ("com.", "call register publish subscribe")] {
        assert_eq!(warnings(&node("", &role("anonymous", some.0, "prefix", some.1))), Vec::<String>::new());
    }
}

#[test]
fn salts_that_are_guessed_or_shared_are_told() {
    let users = |salts: [&str; 2]| {
        let user = |salt: &str| {
            format!(r#"{{"role": "a", "password": "x", "salt": "{salt}", "iterations": 1, "keylen": 32}}"#)
        };
        let users = format!("{{\"u\": {},\n\"v\": {}}}", user(salts[0]), user(salts[1]));
        let auth = format!(r#"{{"wampcra": {{"type": "static", "users": {users}}}}}"#);
        warnings(&node_with(r#"[{"name": "a"}]"#, &auth))
    };
    assert_eq!(users(["kJ2mQ7xW", "Zr8Lp0Vd"]), Vec::<String>::new());
    let found = users(["salt123", "kJ2mQ7xW"]);
    assert!(found.len() == 1 && found[0].contains("users.u.salt: a salt of 7 characters"), "{found:#?}");
    let found = users(["kJ2mQ7xW", "kJ2mQ7xW"]);
    assert!(found.len() == 1 && found[0].contains("users.v.salt: the salt is that of line 2"), "{found:#?}");
    assert!(!found[0].contains("kJ2mQ7xW"), "salts are not shown");
}

#[test]
fn secrets_in_a_file_that_others_can_read_are_told() {
    let folder = std::env::temp_dir().join(format!("wampd-exposure-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("config.json");
    let loaded = |ticket: &str, mode: u32| {
        let auth = format!(
            r#"{{"ticket": {{"type": "static", "principals": {{"u": {{"ticket": "{ticket}", "role": "a"}}}}}}}}"#
        );
        std::fs::write(&file, node_with(r#"[{"name": "a"}]"#, &auth)).expect("written");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("set");
        lines(&load(&file).unwrap_or_else(|report| panic!("{report}")).1)
    };
    let found = loaded("TOPSECRET", 0o644);
    let path = "warning: workers[0].transports[0].auth.ticket.principals.u.ticket: every user of this system can read";
    assert!(found.len() == 1 && found[0].contains("config.json:2:") && found[0].contains(path), "{found:#?}");
    assert!(!found[0].contains("TOPSECRET"));
    assert_eq!(loaded("TOPSECRET", 0o640), Vec::<String>::new());
    assert_eq!(loaded("${PATH}", 0o644), Vec::<String>::new());
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn keys_that_others_can_read_are_told() {
    let folder = std::env::temp_dir().join(format!("wampd-exposure-keys-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let key = folder.join("server.key");
    let text = format!(
        r#"{{"version": 2, "workers": [{{"type": "router", "realms": [{{"name": "realm1", "roles": [{{"name": "anonymous"}}]}}],
        "transports": [{{"type": "rawsocket", "endpoint": {{"type": "tcp", "port": 8080,
            "tls": {{"certificate": "c.pem", "key": "{}"}}}}}}]}}]}}"#,
        key.display()
    );
    for (mode, told) in [(0o644, 1), (0o640, 0), (0o600, 0)] {
        std::fs::write(&key, "a key").expect("written");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).expect("set");
        let found = warnings(&text);
        assert_eq!(found.len(), told, "{found:#?}");
        assert!(found.iter().all(|line| line.contains("tls.key: every user of this system can read this key")));
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}
