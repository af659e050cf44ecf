//! Guessing secrets: how many guesses are tried, and who has to wait for it.

use core::time::Duration;
use std::net::IpAddr;
use wampd_core::auth::{CraSecret, TicketDigest, cra};
use wampd_core::client::{ClientConfig, ClientEvent, Credential, Side};
use wampd_core::message::{Authenticate, ClientRoles, Features, Hello, HelloDetails, Message};
use wampd_core::router::{AuthStep, AuthVerdict, Challenge, CloseReason, Farewell, LinkInfo, RouterConfig};
use wampd_core::uri::{Uri, error};
use wampd_core::value::Value;
use wampd_tests::answerer::{REALM, at_once, deny, identity};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::sim::{Sim, Told};

const BOUND: usize = 1_000_000;
const WAIT: &str = "too many logins have failed: wait before the next";

/// Knows `joe`, `ann` and `jim` by WAMP-CRA with the secret `secret`, and challenges everybody else in vain. Tickets are
/// asked for from anybody; `ticket` is right.
fn world() -> Sim {
    world_of(open_realm())
}

fn world_of(config: RouterConfig) -> Sim {
    let answerer = at_once(|request| match &request.step {
        AuthStep::Hello { methods, authid, .. } if methods[0] == "wampcra" => {
            let known = authid.as_deref().is_some_and(|authid| ["joe", "ann", "jim"].contains(&authid));
            let secret = CraSecret::Plain(if known { "secret" } else { "nobody has this one" }.to_owned());
            AuthVerdict::Challenge(Challenge::Cra { secret, grant: identity(request, ANYTHING, "wampcra") })
        }
        AuthStep::Hello { methods, .. } if methods[0] == "ticket" => {
            let (digest, grant) = (TicketDigest::of("ticket"), identity(request, ANYTHING, "ticket"));
            AuthVerdict::Challenge(Challenge::Ticket { digest, grant })
        }
        AuthStep::Hello { methods, .. } if methods[0] == "broken" => deny(error::AUTHENTICATION_FAILED, "out of order"),
        AuthStep::Hello { methods, .. } if methods[0] == "function" => {
            deny(Uri::from("com.example.no"), "no such user")
        }
        _ => AuthVerdict::Welcome(identity(request, ANYTHING, "anonymous")),
    });
    Sim::new(1, config, Duration::ZERO, answerer)
}

fn from(address: [u8; 4]) -> LinkInfo {
    LinkInfo { origin: Some(IpAddr::from(address).into()), ..LinkInfo::default() }
}

/// What became of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Joined,
    Refused,
    Throttled,
}

fn try_with(sim: &mut Sim, link: LinkInfo, authid: &str, credential: Credential) -> Outcome {
    let id = sim.client_on(ClientConfig::with_credential(REALM, authid, credential), Wire::Messages, link);
    let mut outcome = None;
    sim.settle(BOUND, |_, whom, told| {
        assert_eq!(whom, id);
        outcome = Some(match told {
            Told::Event(ClientEvent::Joined(_)) => Outcome::Joined,
            Told::Event(ClientEvent::Aborted { by: Side::Router, details, .. }) => {
                if details["message"] == WAIT.into() { Outcome::Throttled } else { Outcome::Refused }
            }
            other => panic!("{other:?}"),
        });
    });
    sim.hang_up(id);
    sim.settle(BOUND, |_, _, _| ());
    outcome.expect("an outcome")
}

fn login(sim: &mut Sim, address: [u8; 4], authid: &str, secret: &str) -> Outcome {
    try_with(sim, from(address), authid, Credential::Cra(secret.to_owned()))
}

const MALLORY: [u8; 4] = [203, 0, 113, 66];
const HOME: [u8; 4] = [198, 51, 100, 7];

#[test]
fn of_1000_wrong_secrets_from_one_address_few_are_tried() {
    for authid in [Some("joe"), Some("who does not exist"), None] {
        let mut sim = world();
        let mut outcomes = Vec::new();
        for n in 0..1_000 {
            // A thousand guesses within a second, for one name or for as many.
            sim.run_for(Duration::from_millis(1), BOUND, |_, _, _| ());
            let name = authid.map_or_else(|| format!("user {n}"), str::to_owned);
            outcomes.push(login(&mut sim, MALLORY, &name, "wrong"));
        }
        let tried = outcomes.iter().filter(|outcome| **outcome == Outcome::Refused).count();
        assert_eq!(tried, if authid.is_some() { 11 } else { 21 }, "{authid:?}");
        assert!(!outcomes.contains(&Outcome::Joined));
        let stats = sim.router.stats();
        assert_eq!((stats.logins_failed, stats.logins_throttled), (tried as u64, 1_000 - tried as u64));
        // Not even the right secret is told apart now; everybody else is served.
        assert_eq!(login(&mut sim, MALLORY, authid.unwrap_or("joe"), "secret"), Outcome::Throttled);
        assert_eq!(login(&mut sim, HOME, "ann", "secret"), Outcome::Joined);
    }
}

#[test]
fn guesses_made_at_the_same_time_are_not_tried_either() {
    let mut sim = world();
    let details = HelloDetails {
        roles: ClientRoles { caller: Some(Features::NONE), ..ClientRoles::default() },
        authmethods: vec!["wampcra".to_owned()],
        authid: Some("joe".to_owned()),
        ..HelloDetails::default()
    };
    let ids: Vec<_> = (0..1_000).map(|_| sim.bare_on(Wire::Messages, from(MALLORY))).collect();
    for id in &ids {
        sim.send(*id, Hello { realm: Some(REALM), details: details.clone() });
    }
    let mut challenged = 0;
    sim.settle(BOUND, |_, _, told| challenged += usize::from(matches!(told, Told::Message(Message::Challenge(_)))));
    assert_eq!(challenged, 1_000);
    for id in &ids {
        sim.send(*id, Authenticate { signature: cra::sign(b"wrong", "anything"), extra: Default::default() });
    }
    sim.settle(BOUND, |_, _, _| ());
    let stats = sim.router.stats();
    assert_eq!((stats.logins_failed, stats.logins_throttled, stats.sessions), (11, 989, 0));
}

/// What may work later is not refused by ABORT, of which clients of JavaScript take no second try.
#[test]
fn a_login_that_has_to_wait_is_cut_off_in_silence() {
    let mut sim = world_of(RouterConfig { farewell: Farewell::Silent, ..open_realm() });
    for _ in 0..11 {
        assert_eq!(login(&mut sim, MALLORY, "joe", "wrong"), Outcome::Refused);
    }
    let refused = sim.router.stats().refused;
    for (cuttable, expected) in [(true, None), (false, Some(WAIT))] {
        sim.closed.clear();
        let details = HelloDetails {
            roles: ClientRoles { caller: Some(Features::NONE), ..ClientRoles::default() },
            authmethods: vec!["wampcra".to_owned()],
            authid: Some("joe".to_owned()),
            ..HelloDetails::default()
        };
        let id = sim.bare_on(Wire::Messages, LinkInfo { cuttable, ..from(MALLORY) });
        sim.send(id, Hello { realm: Some(REALM), details });
        let mut told = None;
        sim.settle(BOUND, |_, _, message| match message {
            Told::Message(Message::Abort(abort)) => {
                told = abort.details.get("message").and_then(|text| text.as_str().map(str::to_owned));
            }
            Told::Message(message) => panic!("{message:?}"),
            _ => {}
        });
        assert_eq!(told.as_deref(), expected);
        let cut = matches!(&sim.closed[..], [(_, CloseReason::Unavailable { message, .. })] if message == WAIT);
        assert_eq!(cut, cuttable, "{:?}", sim.closed);
    }
    let stats = sim.router.stats();
    assert_eq!((stats.refused - refused, stats.refused_for_now), (2, 2));
}

#[test]
fn waiting_helps() {
    let mut sim = world();
    for _ in 0..11 {
        assert_eq!(login(&mut sim, MALLORY, "joe", "wrong"), Outcome::Refused);
    }
    assert_eq!(login(&mut sim, MALLORY, "joe", "secret"), Outcome::Throttled);
    sim.run_for(Duration::from_millis(1_001), BOUND, |_, _, _| ());
    assert_eq!(login(&mut sim, MALLORY, "joe", "wrong"), Outcome::Refused);
    sim.run_for(Duration::from_millis(1_999), BOUND, |_, _, _| ());
    assert_eq!(login(&mut sim, MALLORY, "joe", "secret"), Outcome::Throttled);
    sim.run_for(Duration::from_millis(2), BOUND, |_, _, _| ());
    assert_eq!(login(&mut sim, MALLORY, "joe", "secret"), Outcome::Joined);
}

#[test]
fn one_address_that_guesses_on_and_on_keeps_nobody_else_out() {
    let mut sim = world();
    let mut tried = 0;
    for tenth in 0..1_200_u32 {
        sim.run_for(Duration::from_millis(100), BOUND, |_, _, _| ());
        tried += u32::from(login(&mut sim, MALLORY, "joe", "wrong") == Outcome::Refused);
        if tenth % 100 == 99 {
            let new = [192, 0, 2, (tenth / 100) as u8];
            assert_eq!(login(&mut sim, new, "joe", "secret"), Outcome::Joined, "after {tenth} tenths");
        }
    }
    assert!((11..=20).contains(&tried), "{tried} guesses in two minutes");
}

#[test]
fn failures_behind_one_address_make_first_time_users_wait_a_moment() {
    let mut sim = world();
    for n in 0..1_000 {
        login(&mut sim, MALLORY, &format!("user {n}"), "wrong");
    }
    assert_eq!(login(&mut sim, MALLORY, "ann", "secret"), Outcome::Throttled);
    sim.run_for(Duration::from_secs(2), BOUND, |_, _, _| ());
    assert_eq!(login(&mut sim, MALLORY, "ann", "secret"), Outcome::Joined);
    // Who has been there waits for nobody.
    for n in 0..100 {
        login(&mut sim, MALLORY, &format!("user {n}"), "wrong");
    }
    assert_eq!(login(&mut sim, MALLORY, "ann", "secret"), Outcome::Joined);
}

#[test]
fn who_has_logged_in_from_an_address_is_not_locked_out_by_others() {
    let mut sim = world();
    assert_eq!(login(&mut sim, HOME, "joe", "secret"), Outcome::Joined);
    for _ in 0..100 {
        login(&mut sim, MALLORY, "joe", "wrong");
    }
    assert_eq!(login(&mut sim, MALLORY, "joe", "secret"), Outcome::Throttled);
    assert_eq!(login(&mut sim, [192, 0, 2, 1], "joe", "secret"), Outcome::Joined);
    assert_eq!(login(&mut sim, HOME, "joe", "secret"), Outcome::Joined);
}

#[test]
fn pretending_to_be_somebody_without_proof_earns_no_trust() {
    let mut sim = world();
    assert_eq!(try_with(&mut sim, from(MALLORY), "joe", Credential::Anonymous), Outcome::Joined);
    for _ in 0..100 {
        login(&mut sim, MALLORY, "joe", "wrong");
    }
    assert_eq!(sim.router.stats().logins_failed, 11);
    // Whom nothing is asked of need not wait.
    assert_eq!(try_with(&mut sim, from(MALLORY), "joe", Credential::Anonymous), Outcome::Joined);
}

#[test]
fn failures_of_the_router_are_not_counted_and_denials_are() {
    let external = |method: &str| Credential::External { method: method.to_owned() };
    let mut sim = world();
    for _ in 0..100 {
        assert_eq!(try_with(&mut sim, from(HOME), "joe", external("broken")), Outcome::Refused);
    }
    assert_eq!(login(&mut sim, HOME, "ann", "secret"), Outcome::Joined);
    let denied =
        (0..100).filter(|_| try_with(&mut sim, from(MALLORY), "jim", external("function")) == Outcome::Refused);
    assert_eq!(denied.count(), 11);
    assert_eq!(sim.router.stats().logins_failed, 11);
}

#[test]
fn one_connection_is_good_for_one_wrong_answer() {
    let mut sim = world();
    let id = sim.client_on(
        ClientConfig::with_credential(REALM, "joe", Credential::Ticket("wrong".to_owned())),
        Wire::Messages,
        from(MALLORY),
    );
    let mut told_reason = None;
    sim.settle(BOUND, |_, _, told| {
        if let Told::Event(ClientEvent::Aborted { details, .. }) = told {
            told_reason = details.get("message").and_then(Value::as_str).map(str::to_owned);
        }
    });
    assert_eq!(told_reason.as_deref(), Some("ticket in WAMP-Ticket authentication is invalid"));
    assert!(!sim.is_connected(id) && sim.peer(id).is_none());
}
