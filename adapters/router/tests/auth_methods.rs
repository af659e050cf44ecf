//! SCRAM in both dialects and cryptosign, by every provider, between the node and a client over sockets.

mod support;

use std::os::unix::fs::PermissionsExt;
use support::authenticator::{Answer, Authenticator};
use support::folder::Folder;
use support::{TestNode, refusal, who};
use wampd::authn::function::Login;
use wampd::authn::grant::{FunctionError, FunctionGrant};
use wampd_core::auth::cryptosign::SecretKey;
use wampd_core::auth::scram::{Dialect, KdfLimits};
use wampd_core::client::{ClientConfig, ClientLimits, Credential};
use wampd_core::uri::Uri;
use wampd_core::value::{Dict, Value};
use wampd_mio::client::{Client, ConnectError};

/// Keys as Crossbar.io has them in its example, but of a cheaper function, and a password.
const STATIC: &str = r#"{
    "scram": {"type": "static", "principals": {
        "ann": {"role": "user", "kdf": "argon2id-13", "iterations": 32, "memory": 512,
            "salt": "3bc3ca01dd1d501ca1c22e1c5d7d16fe",
            "stored-key": "97163cd952c1e0c55c1666c8b5323340d647c76c372aa1828e753847fef98e3b",
            "server-key": "67c8fb6a19bf6f2b19005bbc1a5ff9013149aeccc8ea599556ca3e1b2aa7d716"},
        "joe": {"role": "user", "kdf": "pbkdf2", "iterations": 4096, "memory": null,
            "salt": "3bc3ca01dd1d501ca1c22e1c5d7d16fe", "password": "password-of-joe"}}},
    "wamp-scram": {"type": "static", "default-role": "user", "principals": {
        "joe": {"kdf": "argon2id13", "iterations": 4, "memory": 4096, "salt": "00112233445566778899aabbccddeeff",
            "password": "password-of-joe"}}},
    "cryptosign": {"type": "static", "principals": {
        "joe": {"role": "user", "authorized_keys": ["KEY2", "KEY1"]},
        "ann": {"role": "user", "authorized_keys": ["KEY3"], "realm": "realm2"}}}
}"#;

const DYNAMIC: &str = r#"{
    "scram": {"type": "dynamic", "authenticator": "com.example.authenticate"},
    "wamp-scram": {"type": "dynamic", "authenticator": "com.example.authenticate"},
    "cryptosign": {"type": "dynamic", "authenticator": "com.example.authenticate"}
}"#;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_bytes(&[seed; 32])
}

fn static_node() -> TestNode {
    let with_keys =
        (1..=3).fold(STATIC.to_owned(), |text, n| text.replace(&format!("KEY{n}"), &key(n).public().to_hex()));
    TestNode::new(&with_keys)
}

fn scram(dialect: Dialect, password: &str) -> Vec<Credential> {
    vec![Credential::Scram { dialect, password: password.to_owned() }]
}

fn cryptosign(seed: u8) -> Vec<Credential> {
    vec![Credential::Cryptosign { key: key(seed), router: None }]
}

fn join(node: &TestNode, authid: Option<&str>, credentials: Vec<Credential>) -> Result<Client, ConnectError> {
    node.connect(ClientConfig {
        authid: authid.map(str::to_owned),
        credentials,
        limits: ClientLimits {
            kdf: KdfLimits { min_pbkdf2_iterations: 10, ..KdfLimits::default() },
            ..ClientLimits::default()
        },
        ..ClientConfig::anonymous(Uri::from("realm1"))
    })
}

fn identity(authid: &str, method: &str, provider: &str) -> (String, String, String, String) {
    (authid.to_owned(), "user".to_owned(), method.to_owned(), provider.to_owned())
}

fn not_authorized(text: &str) -> (String, String) {
    ("wamp.error.not_authorized".to_owned(), text.to_owned())
}

#[test]
fn users_of_scram_in_the_configuration() {
    let node = static_node();
    for (dialect, authid, password) in [
        (Dialect::Crossbar, "ann", "p4ssw0rd"),
        (Dialect::Crossbar, "joe", "password-of-joe"),
        (Dialect::WampScram, "joe", "password-of-joe"),
    ] {
        // Autobahn's authid was part of what it signed; the keys are not made from it.
        let client = join(&node, Some(authid), scram(dialect, password)).expect("joins");
        assert_eq!(who(&client), identity(authid, dialect.method(), "static"));
        for (authid, password) in [(authid, "wrong"), ("nobody", password)] {
            let refused = refusal(join(&node, Some(authid), scram(dialect, password)));
            assert_eq!(refused, not_authorized("SCRAM authentication failed"), "{authid}");
        }
    }
    // The keys of one dialect are none of the other.
    let refused = refusal(join(&node, Some("ann"), scram(Dialect::WampScram, "p4ssw0rd")));
    assert_eq!(refused, not_authorized("SCRAM authentication failed"));
}

#[test]
fn principals_of_cryptosign_in_the_configuration() {
    let node = static_node();
    for seed in [1, 2] {
        let client = join(&node, Some("joe"), cryptosign(seed)).expect("joins");
        assert_eq!(who(&client), identity("joe", "cryptosign", "static"));
    }
    // The key says who it is, and the principal where.
    let client = join(&node, None, cryptosign(3)).expect("joins");
    assert_eq!(who(&client), identity("ann", "cryptosign", "static"));
    assert_eq!(client.session().details.realm.as_ref().map(Uri::as_str), Some("realm2"));
    for (authid, seed) in [(Some("joe"), 3), (Some("joe"), 9), (Some("nobody"), 1), (None, 9)] {
        let refused = refusal(join(&node, authid, cryptosign(seed)));
        assert_eq!(refused, not_authorized("signed message has invalid signature"), "{authid:?}");
    }
}

/// `key.priv` is how Crossbar.io writes it; a client that knows the key takes no other router for this one.
#[test]
fn the_key_of_the_node_tells_clients_which_router_it_is() {
    let folder = Folder::new();
    let hex = |byte: &str| byte.repeat(32);
    let config = format!(
        r#"{{"version": 2, "workers": [{{"type": "router",
            "realms": [{{"name": "realm1", "roles": [{{"name": "user"}}]}}],
            "transports": [{{"type": "websocket",
                "endpoint": {{"type": "tcp", "interface": "127.0.0.1", "port": 0}},
                "auth": {{"cryptosign": {{"type": "static", "principals": {{
                    "joe": {{"role": "user", "authorized_keys": ["{}"]}}}}}}}}}}]}}]}}"#,
        key(1).public().to_hex()
    );
    let connect = |node: &TestNode, router: SecretKey| {
        let credentials = vec![Credential::Cryptosign { key: key(1), router: Some(router.public()) }];
        join(node, Some("joe"), credentials)
    };
    folder.write("key.priv", "not a key of a node\n");
    let (_, warnings) = folder.load("config.json", &config);
    assert!(warnings.contains("key.priv beside this file is ignored"), "{warnings}");
    folder.write("key.priv", format!("private-key-ed25519: {}\n", hex("7")));
    let broken = wampd::config::load(&folder.path().join("config.json")).expect_err("must be refused").to_string();
    assert!(broken.contains("key.priv beside this file is broken") && !broken.contains("7777"), "{broken}");

    let file =
        folder.write("key.priv", format!("Crossbar.io node private key\n\nprivate-key-ed25519: {}\n", hex("08")));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
    let (_, warnings) = folder.load("config.json", &config);
    assert!(warnings.contains("every user of this system can read key.priv"), "{warnings}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("set");
    let (config, warnings) = folder.load("config.json", &config);
    assert!(!warnings.contains("key.priv"), "{warnings}");
    let node = TestNode::start(config);
    assert_eq!(who(&connect(&node, key(8)).expect("joins")), identity("joe", "cryptosign", "static"));
    let other = connect(&node, key(9)).expect_err("another router");
    assert!(matches!(other, ConnectError::Aborted(_)), "{other:?}");
}

/// What an authenticator knows of `joe`, for each method.
fn joe(method: &str) -> Dict {
    let text = |text: &str| Value::from(text);
    let members: Vec<(&str, Value)> = match method {
        "cryptosign" => vec![("pubkey", text(&key(1).public().to_hex()))],
        _ => vec![
            ("kdf", text("pbkdf2")),
            ("iterations", 10.into()),
            ("memory", Value::Null),
            ("salt", text("3bc3ca01dd1d501ca1c22e1c5d7d16fe")),
            ("password", text("password-of-joe")),
        ],
    };
    let role = [("role", text("user")), ("extra", Dict::from([("a".to_owned(), 1.into())]).into())];
    members.into_iter().chain(role).map(|(key, value)| (key.to_owned(), value)).collect()
}

fn check(node: &TestNode, method: &str, provider: &str) {
    let credentials = |right: bool| match (method, right) {
        ("scram", true) => scram(Dialect::Crossbar, "password-of-joe"),
        ("scram", false) => scram(Dialect::Crossbar, "wrong"),
        ("wamp-scram", true) => scram(Dialect::WampScram, "password-of-joe"),
        ("wamp-scram", false) => scram(Dialect::WampScram, "wrong"),
        (_, true) => cryptosign(1),
        (_, false) => cryptosign(2),
    };
    let client = join(node, Some("joe"), credentials(true)).expect("joins");
    assert_eq!(who(&client), identity("joe", method, provider));
    assert_eq!(client.session().details.authextra.as_ref().and_then(|extra| extra.get("a")), Some(&Value::Int(1)));
    assert_eq!(refusal(join(node, Some("joe"), credentials(false))).0, "wamp.error.not_authorized");
    assert_eq!(refusal(join(node, Some("nobody"), credentials(true))).0, "com.example.no_such_user");
    let keyless =
        if method == "cryptosign" { "the authenticator gave no pubkey" } else { "the authenticator gave no keys" };
    let refused = refusal(join(node, Some("keyless"), credentials(true)));
    assert_eq!(refused, ("wamp.error.authentication_failed".to_owned(), keyless.to_owned()));
}

#[test]
fn functions_answer_for_every_method() {
    for method in ["scram", "wamp-scram", "cryptosign"] {
        let node = TestNode::with_function(method, move |login: &Login| match login.authid.as_deref() {
            Some("joe") => FunctionGrant::from_value(joe(method).into()),
            Some("keyless") => Ok(FunctionGrant { role: Some("user".to_owned()), ..FunctionGrant::default() }),
            _ => {
                let (uri, message) = (Uri::from("com.example.no_such_user"), "no such user".to_owned());
                Err(FunctionError::Denied { uri, message })
            }
        });
        check(&node, method, "function");
    }
}

#[test]
fn procedures_answer_for_every_method() {
    for method in ["scram", "wamp-scram", "cryptosign"] {
        let node = TestNode::new(DYNAMIC);
        let authenticator = Authenticator::new(node.service(), |authid, details| {
            let method = details["authmethod"].as_str().expect("a method");
            if method == "cryptosign" {
                assert!(details["authextra"].as_dict().is_some_and(|extra| extra.contains_key("pubkey")));
            }
            let answer: Answer = match authid {
                "joe" => Ok(joe(method).into()),
                "keyless" => Ok("user".into()),
                _ => Err((Uri::from("com.example.no_such_user"), wampd_core::message::Payload::empty())),
            };
            Some(answer)
        });
        check(&node, method, "dynamic");
        authenticator.stop();
    }
}
