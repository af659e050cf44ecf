//! SCRAM from HELLO to WELCOME, in both dialects: right, wrong, unknown, replayed, relayed and malformed, between client
//! and router and with peers that follow no rules.

use core::time::Duration;
use wampd_core::auth::ChannelBinding;
use wampd_core::auth::scram::{ClientExchange, Dialect};
use wampd_core::client::{ClientConfig, ClientEvent, ClientLimits, Credential, Side};
use wampd_core::message::{
    Authenticate, ChallengeMessage, ClientRoles, Features, Hello, HelloDetails, Message, Welcome,
};
use wampd_core::router::{AuthStep, AuthVerdict, Challenge, LinkInfo};
use wampd_core::uri::error;
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::{CHEAP, REALM, at_once, deny, identity, scram_credential};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::sim::{Answerer, EndId, Sim};

const BOUND: usize = 10_000;
const BOTH: [Dialect; 2] = [Dialect::WampScram, Dialect::Crossbar];

/// Knows `joe`, and nobody else; which the others are not told.
fn router_of_joe() -> Answerer {
    at_once(|request| {
        let AuthStep::Hello { methods, authid, .. } = &request.step else {
            return deny(error::AUTHENTICATION_FAILED, "asked twice");
        };
        let Some(dialect) = BOTH.into_iter().find(|dialect| methods.iter().any(|name| name == dialect.method())) else {
            return deny(error::NO_MATCHING_AUTH_METHOD, "SCRAM alone");
        };
        let credential = match authid.as_deref() {
            Some("joe") => scram_credential(dialect),
            other => scram_credential(dialect).imitate(&[7; 32], other.unwrap_or_default()),
        };
        AuthVerdict::Challenge(Challenge::Scram {
            dialect,
            credential: credential.into(),
            grant: identity(request, ANYTHING, dialect.method()),
        })
    })
}

fn world(answerer: Answerer) -> Sim {
    Sim::new(1, open_realm(), Duration::ZERO, answerer)
}

fn config(authid: &str, dialect: Dialect, password: &str) -> ClientConfig {
    let credential = Credential::Scram { dialect, password: password.to_owned() };
    let limits = ClientLimits { kdf: CHEAP, ..ClientLimits::default() };
    ClientConfig { limits, ..ClientConfig::with_credential(REALM, authid, credential) }
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
fn the_right_password_opens_a_session_over_every_wire() {
    for dialect in BOTH {
        for wire in Wire::ALL {
            let mut sim = world(router_of_joe());
            let id = sim.client(config("joe", dialect, "secret"), wire);
            sim.settle(BOUND, |_, _, _| ());
            let details = &sim.session(id).details;
            assert_eq!(details.authid.as_deref(), Some("joe"));
            assert_eq!(details.authmethod.as_deref(), Some(dialect.method()));
        }
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_fail_alike() {
    for dialect in BOTH {
        for authid in ["joe", "jim"] {
            let event = world(router_of_joe()).outcome(config(authid, dialect, "wrong"), LinkInfo::default());
            assert_aborted(&event, Side::Router, &error::NOT_AUTHORIZED, "SCRAM authentication failed");
        }
    }
}

#[test]
fn proofs_are_bound_to_the_connection() {
    let bound = || ClientConfig { channel_binding: true, ..config("joe", Dialect::WampScram, "secret") };
    let joined = world(router_of_joe()).outcome(bound(), on([3; 32]));
    assert!(matches!(joined, ClientEvent::Joined(_)), "{joined:?}");
    // Not bound although it could be: as the client likes.
    let joined = world(router_of_joe()).outcome(config("joe", Dialect::WampScram, "secret"), on([3; 32]));
    assert!(matches!(joined, ClientEvent::Joined(_)), "{joined:?}");
    let words = "channel binding is demanded, and the connection has none";
    let event = world(router_of_joe()).outcome(bound(), LinkInfo::default());
    assert_aborted(&event, Side::Client, &error::AUTHENTICATION_FAILED, words);
}

#[test]
fn the_dialect_of_crossbar_has_no_channel_binding() {
    let bound = ClientConfig { channel_binding: true, ..config("joe", Dialect::Crossbar, "secret") };
    let words = "channel binding of this type is not possible on this connection";
    let event = world(router_of_joe()).outcome(bound, on([3; 32]));
    assert_aborted(&event, Side::Client, &error::AUTHENTICATION_FAILED, words);
}

#[test]
fn a_router_that_does_not_prove_itself_is_not_joined() {
    let words = "the router let the client in without proving who it is";
    for dialect in BOTH {
        let lets_in = at_once(|request| AuthVerdict::Welcome(identity(request, ANYTHING, "anonymous")));
        let event = world(lets_in).outcome(config("joe", dialect, "secret"), LinkInfo::default());
        assert_aborted(&event, Side::Client, &error::AUTHENTICATION_FAILED, words);
    }
    // Unless the client offered to join without any proof of the router's.
    let mut either = config("joe", Dialect::WampScram, "secret");
    either.credentials.push(Credential::Ticket("ticket".to_owned()));
    let lets_in = at_once(|request| AuthVerdict::Welcome(identity(request, ANYTHING, "anonymous")));
    assert!(matches!(world(lets_in).outcome(either, LinkInfo::default()), ClientEvent::Joined(_)));
}

/// A thief of a challenge who knows how to ask but not what to check.
#[test]
fn a_router_without_the_users_keys_is_found_out() {
    let thief = at_once(|request| match &request.step {
        AuthStep::Hello { extra, .. } => {
            let nonce = format!("{}AAAA", extra.to_dict()["nonce"].as_str().expect("a nonce"));
            let extra = Dict::from([
                ("nonce".to_owned(), nonce.into()),
                ("salt".to_owned(), "c2FsdHNhbHQ=".into()),
                ("kdf".to_owned(), "pbkdf2".into()),
                ("iterations".to_owned(), 2.into()),
            ]);
            AuthVerdict::Challenge(Challenge::Custom { method: "wamp-scram".to_owned(), extra, state: Dict::new() })
        }
        _ => AuthVerdict::Welcome(identity(request, ANYTHING, "wamp-scram")),
    });
    let event = world(thief).outcome(config("joe", Dialect::WampScram, "secret"), LinkInfo::default());
    let words = "the router does not know the keys of the password";
    assert_aborted(&event, Side::Client, &error::AUTHENTICATION_FAILED, words);
}

// ---- peers that follow no rules ----

fn hello(dialect: Dialect, authid: Option<&str>, extra: &[(&str, Value)]) -> Hello {
    let details = HelloDetails {
        roles: ClientRoles { caller: Some(Features::NONE), ..ClientRoles::default() },
        authmethods: vec![dialect.method().to_owned()],
        authid: authid.map(str::to_owned),
        authextra: Some(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()),
        ..HelloDetails::default()
    };
    Hello { realm: Some(REALM), details }
}

/// An exchange by hand: the challenge, and the right answer to it.
fn challenged(sim: &mut Sim, dialect: Dialect, link: LinkInfo) -> (EndId, ChallengeMessage, Authenticate) {
    let channel = link.channel_binding;
    let id = sim.bare_on(Wire::Messages, link);
    let client = ClientExchange::new(dialect, "joe", [5; 16], channel).expect("a plain name");
    let extra: Vec<_> = client.hello_extra().into_iter().collect();
    let extra: Vec<_> = extra.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    sim.send(id, hello(dialect, Some("joe"), &extra));
    let [Message::Challenge(challenge)] = &sim.messages(id)[..] else { panic!("not challenged") };
    let answer = client.answer("secret", &challenge.extra, &CHEAP).expect("a good challenge");
    let answer = Authenticate { signature: answer.signature, extra: answer.extra.into() };
    (id, challenge.clone(), answer)
}

fn is_welcomed(sim: &mut Sim, id: EndId, answer: Authenticate) -> bool {
    sim.send(id, answer);
    match &sim.messages(id)[..] {
        [Message::Welcome(Welcome { .. })] => true,
        [Message::Abort(abort)] => {
            assert_eq!(abort.reason, error::NOT_AUTHORIZED);
            false
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn challenges_are_never_the_same_and_answers_cannot_be_replayed() {
    for dialect in BOTH {
        let mut sim = world(router_of_joe());
        let (first, challenge, answer) = challenged(&mut sim, dialect, LinkInfo::default());
        let (second, other, _) = challenged(&mut sim, dialect, LinkInfo::default());
        assert_ne!(challenge.extra["nonce"], other.extra["nonce"]);
        assert!(!is_welcomed(&mut sim, second, answer.clone()), "replayed");
        assert!(is_welcomed(&mut sim, first, answer));
    }
}

#[test]
fn an_answer_relayed_over_another_connection_is_refused() {
    let mut sim = world(router_of_joe());
    let (id, _, answer) = challenged(&mut sim, Dialect::WampScram, on([3; 32]));
    assert!(is_welcomed(&mut sim, id, answer));
    // The man in the middle has a connection of his own to the router, and answers with what he got on the other one.
    let client = ClientExchange::new(Dialect::WampScram, "joe", [5; 16], Some(ChannelBinding::tls_exporter([4; 32])))
        .expect("a plain name");
    let extra: Vec<_> = client.hello_extra().into_iter().collect();
    let extra: Vec<_> = extra.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let id = sim.bare_on(Wire::Messages, on([3; 32]));
    sim.send(id, hello(Dialect::WampScram, Some("joe"), &extra));
    let [Message::Challenge(challenge)] = &sim.messages(id)[..] else { panic!("not challenged") };
    let answer = client.answer("secret", &challenge.extra, &CHEAP).expect("a good challenge");
    assert!(!is_welcomed(&mut sim, id, Authenticate { signature: answer.signature, extra: answer.extra.into() }));
}

#[test]
fn truncated_and_malformed_answers_are_refused() {
    for dialect in BOTH {
        let cut =
            |answer: &Authenticate, n| Authenticate { signature: answer.signature[..n].to_owned(), ..answer.clone() };
        let mut sim = world(router_of_joe());
        for n in [0, 1, 20, 40, 43] {
            let (id, _, answer) = challenged(&mut sim, dialect, LinkInfo::default());
            assert!(!is_welcomed(&mut sim, id, cut(&answer, n)), "{n}");
        }
        let (id, _, answer) = challenged(&mut sim, dialect, LinkInfo::default());
        let longer = Authenticate { signature: answer.signature.repeat(2), ..answer };
        assert!(!is_welcomed(&mut sim, id, longer));
        assert_eq!(sim.router.stats().joined, 0);
    }
}

#[test]
fn a_hello_that_cannot_be_challenged_is_refused_whoever_sends_it() {
    let nonce = ("nonce", Value::from("AAAA"));
    for dialect in BOTH {
        for (authid, extra, words) in [
            (Some("joe"), vec![], "SCRAM needs a nonce"),
            (Some("jim"), vec![], "SCRAM needs a nonce"),
            (None, vec![nonce.clone()], "SCRAM needs an authid"),
            (Some("joe\u{7}"), vec![nonce.clone()], "SCRAM authid has forbidden characters"),
            (Some("joe"), vec![("nonce", Value::from("no,=base64"))], "SCRAM nonce is not base64, or too long"),
            (Some("joe"), vec![("nonce", Value::from("A".repeat(4_000)))], "SCRAM nonce is not base64, or too long"),
            (
                Some("joe"),
                vec![nonce.clone(), ("channel_binding", "tls-unique".into())],
                "channel binding of this type is not possible on this connection",
            ),
            (
                Some("joe"),
                vec![nonce.clone(), ("channel_binding", "tls-exporter".into())],
                "channel binding of this type is not possible on this connection",
            ),
        ] {
            let mut sim = world(router_of_joe());
            let id = sim.bare(Wire::Messages);
            sim.send(id, hello(dialect, authid, &extra));
            let messages = sim.messages(id);
            let [Message::Abort(abort)] = &messages[..] else { panic!("{messages:?}") };
            assert_eq!(abort.reason, error::AUTHENTICATION_FAILED);
            assert_eq!(abort.details.to_dict()["message"], words.into());
        }
    }
}

#[test]
fn the_mock_challenge_of_a_name_is_always_the_same() {
    let salt_of = |authid: &str| {
        let mut sim = world(router_of_joe());
        let id = sim.bare(Wire::Messages);
        sim.send(id, hello(Dialect::WampScram, Some(authid), &[("nonce", "AAAA".into())]));
        let [Message::Challenge(challenge)] = &sim.messages(id)[..] else { panic!("not challenged") };
        let keys: Vec<_> = challenge.extra.keys().cloned().collect();
        (challenge.extra["salt"].clone(), keys)
    };
    assert_eq!(salt_of("jim"), salt_of("jim"));
    assert_ne!(salt_of("jim").0, salt_of("tim").0);
    assert_eq!(salt_of("jim").1, salt_of("joe").1);
}
