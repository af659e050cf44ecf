//! That attackers learn nothing: what is done for users who do not exist is what is done for those who do.

use super::*;
use crate::config::{self, PathService, Surroundings, Syntax};
use std::path::Path;

const KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// The `auth` of a WebSocket.
fn auth(methods: &str) -> AuthConfig {
    let text = format!(
        r#"{{"version": 2, "workers": [{{"type": "router",
            "realms": [{{"name": "realm1", "roles": [{{"name": "user"}}]}}],
            "transports": [{{"type": "websocket", "endpoint": {{"type": "tcp", "port": 8080}}, "auth": {methods}}}]}}]}}"#
    );
    let script = |_: &Path| panic!("there are no scripts");
    let surroundings = Surroundings { folder: Path::new(""), variable: &|_| None, script: &script, tls: &|_| Ok(()) };
    let (node, _) =
        config::parse("test", &text, Syntax::Json, &surroundings).unwrap_or_else(|report| panic!("{report}"));
    let PathService::WebSocket(websocket) = &node.transports[0].routes.routes[0].service else { panic!("{node:?}") };
    websocket.auth.clone()
}

fn hello<'a>(method: Method, authid: &'a Option<String>, extra: &'a RawDict) -> Hello<'a> {
    Hello { method, authid, authrole: &None, extra }
}

/// What the router does with a wrong answer to a challenge, and how much of it: one function checks all challenges of a
/// kind, so what differs is what it is given.
fn work(answer: Answer) -> String {
    let Answer::Verdict(AuthVerdict::Challenge(challenge)) = answer else { panic!("not challenged: {answer:?}") };
    match challenge {
        Challenge::Cra { secret: CraSecret::Password { .. }, .. } => panic!("a key is derived in each login"),
        Challenge::Cra { secret, .. } => format!("an HMAC, its key has {} blocks", secret.key().len().div_ceil(64)),
        Challenge::Ticket { .. } => "a digest, and a comparison".to_owned(),
        Challenge::Scram { dialect, credential, .. } => {
            format!("{dialect:?}, {:?}, a salt of {} bytes", credential.kdf(), credential.salt().len())
        }
        Challenge::Cryptosign { .. } => "a signature".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn works<U: User>(method: Method, users: &BTreeMap<String, U>, authids: &[String]) -> Vec<String> {
    let (answerer, none) = (Answerer::new([7; 32], 16 << 10), RawDict::new());
    let work = |authid: &String| work(answerer.static_user(&None, &hello(method, &Some(authid.clone()), &none), users));
    let mut works: Vec<_> = authids.iter().map(work).collect();
    works.sort();
    works.dedup();
    works
}

/// Of some users and of many who are none, all of them imitations of one user or another.
fn compare<U: User>(method: Method, provider: Option<Provider<BTreeMap<String, U>>>) {
    let Some(Provider::Static(users)) = provider else { panic!("{method:?} has no users") };
    let strangers: Vec<_> = (0..64).map(|n| format!("stranger{n}")).collect();
    let known: Vec<_> = users.keys().cloned().collect();
    assert_eq!(works(method, &users, &known), works(method, &users, &strangers), "{method:?}");
}

#[test]
fn strangers_are_checked_with_the_same_work_as_users() {
    let salt = r#""salt": "3bc3ca01dd1d501ca1c22e1c5d7d16fe""#;
    let scram = format!(
        r#"{{"type": "static", "principals": {{
            "a": {{"role": "user", "kdf": "argon2id-13", "iterations": 2, "memory": 512, {salt}, "password": "x"}},
            "b": {{"role": "user", "kdf": "pbkdf2", "iterations": 16, {salt}, "password": "x"}}}}}}"#
    );
    let auth = auth(&format!(
        r#"{{"ticket": {{"type": "static", "principals": {{"a": {{"role": "user", "ticket": "x"}}}}}},
            "wampcra": {{"type": "static", "users": {{
                "a": {{"role": "user", "secret": "x"}},
                "b": {{"role": "user", "password": "x", "salt": "y", "iterations": 16, "keylen": 32}},
                "c": {{"role": "user", "secret": "prq7+YkJ1/KlW1X0YczMHw==", "salt": "y", "iterations": 16,
                       "keylen": 16}}}}}},
            "scram": {scram}, "wamp-scram": {scram},
            "cryptosign": {{"type": "static", "principals": {{"a": {{"role": "user", "authorized_keys": ["{KEY}"]}}}}}}}}"#
    ));
    compare(Method::Ticket, auth.ticket);
    compare(Method::Cra, auth.wampcra);
    compare(Method::Scram(Dialect::Crossbar), auth.scram);
    compare(Method::Scram(Dialect::WampScram), auth.wamp_scram);

    let Some(Provider::Static(principals)) = auth.cryptosign else { panic!("there are principals") };
    let (answerer, none) = (Answerer::new([7; 32], 16 << 10), Dict::new());
    let other = SecretKey::from_bytes(&[9; 32]).public().to_hex();
    let shows = |key: &str| Dict::from([("pubkey".to_owned(), Value::from(key))]);
    for (authid, extra) in [
        (Some("a"), shows(KEY)),
        (Some("a"), none.clone()),
        (Some("a"), shows(&other)),
        (Some("stranger"), shows(KEY)),
        (Some("stranger"), none),
        (None, shows(&other)),
    ] {
        let authid = authid.map(str::to_owned);
        let answer = answerer.principal(&None, &hello(Method::Cryptosign, &authid, &extra.into()), &principals);
        assert_eq!(work(answer), "a signature", "{authid:?}");
    }
}

/// Nobody can sign for the key that stands in for that of a stranger.
#[test]
fn a_stranger_has_nobodys_key() {
    let auth = auth(&format!(
        r#"{{"cryptosign": {{"type": "static", "principals": {{"a": {{"role": "user", "authorized_keys": ["{KEY}"]}}}}}}}}"#
    ));
    let Some(Provider::Static(principals)) = auth.cryptosign else { panic!("there are principals") };
    let extra = Dict::from([("pubkey".to_owned(), Value::from(KEY))]).into();
    let key_for = |seed, authid: &str| {
        let authid = Some(authid.to_owned());
        let hello = hello(Method::Cryptosign, &authid, &extra);
        match Answerer::new([seed; 32], 16 << 10).principal(&None, &hello, &principals) {
            Answer::Verdict(AuthVerdict::Challenge(Challenge::Cryptosign { key, .. })) => key.to_hex(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(key_for(1, "a"), KEY);
    assert_eq!(key_for(1, "stranger"), key_for(1, "somebody"));
    assert_ne!(key_for(1, "stranger"), key_for(2, "stranger"));
    assert_ne!(key_for(1, "stranger"), KEY);
}
