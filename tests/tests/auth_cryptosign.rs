//! Cryptosign from HELLO to WELCOME: right, wrong, replayed, relayed and malformed, with and without a router that has
//! to prove who it is.

use core::time::Duration;
use wampd_core::auth::ChannelBinding;
use wampd_core::auth::cryptosign::{SecretKey, sign};
use wampd_core::client::{ClientConfig, ClientEvent, Credential, Side};
use wampd_core::message::{Authenticate, ClientRoles, Features, Hello, HelloDetails, Message};
use wampd_core::router::{AuthVerdict, Challenge, LinkInfo, RouterConfig};
use wampd_core::uri::error;
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::{REALM, at_once, identity, signing_key};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::sim::{EndId, Sim};

const BOUND: usize = 10_000;

fn router_key() -> SecretKey {
    SecretKey::from_bytes(&[9; 32])
}

/// A router that knows the key of [`signing_key`], and has one of its own.
fn world() -> Sim {
    let config = RouterConfig { cryptosign_key: Some(router_key()), ..open_realm() };
    let answerer = at_once(|request| {
        let grant = identity(request, ANYTHING, "cryptosign");
        AuthVerdict::Challenge(Challenge::Cryptosign { key: signing_key().public(), grant })
    });
    Sim::new(1, config, Duration::ZERO, answerer)
}

fn config(key: SecretKey, router: Option<&SecretKey>) -> ClientConfig {
    let credential = Credential::Cryptosign { key, router: router.map(SecretKey::public) };
    ClientConfig::with_credential(REALM, "joe", credential)
}

fn on(channel: [u8; 32]) -> LinkInfo {
    LinkInfo { channel_binding: Some(ChannelBinding::tls_exporter(channel)), ..LinkInfo::default() }
}

#[track_caller]
fn assert_aborted(event: &ClientEvent, who: Side, why: &wampd_core::uri::Uri, words: &str) {
    let ClientEvent::Aborted { by, reason, details } = event else { panic!("not aborted: {event:?}") };
    assert_eq!((*by, reason), (who, why), "{details:?}");
    assert_eq!(details.get("message").and_then(Value::as_str), Some(words));
}

#[test]
fn the_right_key_opens_a_session_over_every_wire() {
    for wire in Wire::ALL {
        for router in [None, Some(&router_key())] {
            for channel_binding in [false, true] {
                let mut sim = world();
                let config = ClientConfig { channel_binding, ..config(signing_key(), router) };
                let id = sim.client_on(config, wire, on([3; 32]));
                sim.settle(BOUND, |_, _, _| ());
                assert_eq!(sim.session(id).details.authmethod.as_deref(), Some("cryptosign"));
            }
        }
    }
}

#[test]
fn another_key_is_refused() {
    let event = world().outcome(config(SecretKey::from_bytes(&[2; 32]), None), LinkInfo::default());
    assert_aborted(&event, Side::Router, &error::NOT_AUTHORIZED, "signed message has invalid signature");
}

#[test]
fn another_router_is_not_joined() {
    let words = "the router does not have the key that it is known by";
    let stranger = SecretKey::from_bytes(&[8; 32]);
    let event = world().outcome(config(signing_key(), Some(&stranger)), LinkInfo::default());
    assert_aborted(&event, Side::Client, &error::AUTHENTICATION_FAILED, words);
    // One without any key, and one that does not ask for anything.
    let answerer = || {
        at_once(|request| {
            let grant = identity(request, ANYTHING, "cryptosign");
            AuthVerdict::Challenge(Challenge::Cryptosign { key: signing_key().public(), grant })
        })
    };
    let mut keyless = Sim::new(1, open_realm(), Duration::ZERO, answerer());
    let event = keyless.outcome(config(signing_key(), Some(&router_key())), LinkInfo::default());
    assert_aborted(&event, Side::Client, &error::AUTHENTICATION_FAILED, words);
    let lets_in = at_once(|request| AuthVerdict::Welcome(identity(request, ANYTHING, "anonymous")));
    let mut open = Sim::new(1, open_realm(), Duration::ZERO, lets_in);
    let event = open.outcome(config(signing_key(), Some(&router_key())), LinkInfo::default());
    let words = "the router let the client in without proving who it is";
    assert_aborted(&event, Side::Client, &error::AUTHENTICATION_FAILED, words);
}

#[test]
fn a_demanded_binding_is_not_given_up() {
    let bound = ClientConfig { channel_binding: true, ..config(signing_key(), None) };
    let event = world().outcome(bound.clone(), LinkInfo::default());
    let words = "channel binding is demanded, and the connection has none";
    assert_aborted(&event, Side::Client, &error::AUTHENTICATION_FAILED, words);
    // A router that answers without it.
    let lax = at_once(|_| {
        let extra = Dict::from([("challenge".to_owned(), "00".repeat(32).into())]);
        AuthVerdict::Challenge(Challenge::Custom { method: "cryptosign".to_owned(), extra, state: Dict::new() })
    });
    let event = Sim::new(1, open_realm(), Duration::ZERO, lax).outcome(bound, on([3; 32]));
    let words = "channel binding of this type is not possible on this connection";
    assert_aborted(&event, Side::Client, &error::AUTHENTICATION_FAILED, words);
}

// ---- peers that follow no rules ----

fn hello(extra: &[(&str, Value)]) -> Hello {
    let details = HelloDetails {
        roles: ClientRoles { caller: Some(Features::NONE), ..ClientRoles::default() },
        authmethods: vec!["cryptosign".to_owned()],
        authextra: Some(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()),
        ..HelloDetails::default()
    };
    Hello { realm: Some(REALM), details }
}

/// A peer on a connection, its challenge and the right answer.
fn challenged(sim: &mut Sim, channel: Option<[u8; 32]>) -> (EndId, [u8; 32], String) {
    let id = sim.bare_on(Wire::Messages, channel.map_or_else(LinkInfo::default, on));
    let kind = channel.map_or(Value::Null, |_| Value::from("tls-exporter"));
    sim.send(id, hello(&[("channel_binding", kind.clone())]));
    let [Message::Challenge(challenge)] = &sim.messages(id)[..] else { panic!("not challenged") };
    assert_eq!(challenge.extra["channel_binding"], kind);
    let text = challenge.extra["challenge"].as_str().expect("a challenge");
    let challenge = core::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex"));
    let binding = channel.map(ChannelBinding::tls_exporter);
    (id, challenge, sign(&signing_key(), &challenge, binding.as_ref()))
}

fn is_welcomed(sim: &mut Sim, id: EndId, signature: &str) -> bool {
    sim.send(id, Authenticate { signature: signature.to_owned(), extra: Default::default() });
    match &sim.messages(id)[..] {
        [Message::Welcome(_)] => true,
        [Message::Abort(abort)] => {
            assert_eq!(abort.reason, error::NOT_AUTHORIZED);
            assert_eq!(abort.details.to_dict()["message"], "signed message has invalid signature".into());
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn signatures_cannot_be_replayed() {
    let mut sim = world();
    let (first, challenge, answer) = challenged(&mut sim, None);
    let (second, other, _) = challenged(&mut sim, None);
    assert_ne!(challenge, other);
    assert!(!is_welcomed(&mut sim, second, &answer));
    assert!(is_welcomed(&mut sim, first, &answer));
}

#[test]
fn signatures_relayed_from_another_connection_are_refused() {
    let mut sim = world();
    let (id, challenge, answer) = challenged(&mut sim, Some([3; 32]));
    assert!(is_welcomed(&mut sim, id, &answer));
    let _ = challenge;
    let (id, challenge, _) = challenged(&mut sim, Some([3; 32]));
    let elsewhere = ChannelBinding::tls_exporter([4; 32]);
    assert!(!is_welcomed(&mut sim, id, &sign(&signing_key(), &challenge, Some(&elsewhere))));
    let (id, challenge, _) = challenged(&mut sim, Some([3; 32]));
    assert!(!is_welcomed(&mut sim, id, &sign(&signing_key(), &challenge, None)));
}

#[test]
fn truncated_and_malformed_signatures_are_refused() {
    let mut sim = world();
    for damage in [
        |_: &str| String::new(),
        |answer: &str| answer[..190].to_owned(),
        |answer: &str| answer[..128].to_owned(),
        |answer: &str| format!("{answer}00"),
        |answer: &str| format!("zz{}", &answer[2..]),
        |answer: &str| format!("{}{}", "00".repeat(64), &answer[128..]),
    ] {
        let (id, _, answer) = challenged(&mut sim, None);
        assert!(!is_welcomed(&mut sim, id, &damage(&answer)));
    }
}

#[test]
fn a_hello_that_cannot_be_challenged_is_refused() {
    for (member, value, words) in [
        ("pubkey", Value::from("00"), "cryptosign pubkey is not an Ed25519 key in hexadecimal"),
        ("challenge", Value::from("00"), "cryptosign challenge is not 32 bytes in hexadecimal"),
        ("challenge", Value::from("0".repeat(5_000)), "cryptosign challenge is not 32 bytes in hexadecimal"),
        ("channel_binding", "tls-unique".into(), "channel binding of this type is not possible on this connection"),
        ("channel_binding", "tls-exporter".into(), "channel binding of this type is not possible on this connection"),
    ] {
        let mut sim = world();
        let id = sim.bare(Wire::Messages);
        sim.send(id, hello(&[(member, value)]));
        let messages = sim.messages(id);
        let [Message::Abort(abort)] = &messages[..] else { panic!("{messages:?}") };
        assert_eq!(abort.reason, error::AUTHENTICATION_FAILED);
        assert_eq!(abort.details.to_dict()["message"], words.into());
    }
}
