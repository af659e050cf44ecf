//! Joining and leaving: for every behaviour of clients and authenticators, on links that are cut anywhere, both ends
//! agree in the end on who has joined, nothing is left behind, and nothing panics. [`Sim`] checks on the way that
//! nothing follows a Close.

use core::time::Duration;
use proptest::prelude::*;
use wampd_core::auth::cra;
use wampd_core::client::{ClientConfig, ClientEvent, Credential};
use wampd_core::codec::Format;
use wampd_core::id::RequestId;
use wampd_core::message::{
    Abort, Authenticate, Call, CallOptions, ClientRoles, Error, Features, Goodbye, Hello, HelloDetails, Message,
    Payload, Publish, PublishOptions, Register, RegisterOptions, RequestType, Subscribe, SubscribeOptions, Yield,
    YieldOptions,
};
use wampd_core::router::{CloseReason, Limits, RouterConfig};
use wampd_core::time::Instant;
use wampd_core::uri::{Uri, close, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::{REALM, Ruling, Timing, everybody, scripted};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::sim::{EndId, Sim, Told};

const BOUND: usize = 100_000;

/// Longer than every deadline of client and router.
const LONG: Duration = Duration::from_secs(120);

fn assert_nothing_left(sim: &Sim) {
    let stats = sim.router.stats();
    let held = [
        stats.peers,
        stats.joining,
        stats.sessions,
        stats.subscriptions,
        stats.registrations,
        stats.calls_in_flight,
        stats.undecided,
        stats.timers,
    ];
    assert_eq!(held, [0; 8], "{stats:?}\n{}", sim.tail());
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug)]
enum Proof {
    Anonymous,
    Ticket(&'static str),
    Cra(&'static str),
    Riddle,
    /// Does not answer the riddle.
    Mute,
    /// Anything the router likes.
    All,
}

impl Proof {
    fn config(self) -> ClientConfig {
        let riddle = || Credential::External { method: "riddle".to_owned() };
        let credentials = match self {
            Self::Anonymous => vec![],
            Self::Ticket(ticket) => vec![Credential::Ticket(ticket.to_owned())],
            Self::Cra(secret) => vec![Credential::Cra(secret.to_owned())],
            Self::Riddle | Self::Mute => vec![riddle()],
            Self::All => vec![
                Credential::Anonymous,
                Credential::Cra("secret".to_owned()),
                Credential::Ticket("secret".to_owned()),
                riddle(),
            ],
        };
        ClientConfig { credentials, authid: Some("joe".to_owned()), ..ClientConfig::anonymous(REALM) }
    }

    /// Whether a client with this proof may be let in if these rulings are all that is made.
    fn suffices(self, rulings: &[(Ruling, Timing)]) -> bool {
        let made = |wanted: &[Ruling]| rulings.iter().any(|(ruling, _)| wanted.contains(ruling));
        let cra = [Ruling::Cra, Ruling::SaltedCra];
        made(&[Ruling::Welcome])
            || match self {
                Self::Cra("secret") => made(&cra),
                Self::Ticket("secret") => made(&[Ruling::Ticket]),
                Self::All => made(&cra) || made(&[Ruling::Ticket]),
                Self::Anonymous | Self::Cra(_) | Self::Ticket(_) | Self::Riddle | Self::Mute => false,
            }
    }
}

fn any_proof() -> impl Strategy<Value = Proof> {
    prop::sample::select(vec![
        Proof::Anonymous,
        Proof::Ticket("secret"),
        Proof::Ticket("wrong"),
        Proof::Cra("secret"),
        Proof::Cra("wrong"),
        Proof::Riddle,
        Proof::Mute,
        Proof::All,
    ])
}

fn any_ruling() -> impl Strategy<Value = (Ruling, Timing)> {
    let timing = prop_oneof![
        4 => Just(Timing::Now),
        2 => (0..20_000_u64).prop_map(Timing::Late),
        2 => (0..20_000_u64).prop_map(Timing::Twice),
        1 => Just(Timing::Never),
    ];
    (prop::sample::select(Ruling::ALL.to_vec()), timing)
}

fn any_wire() -> impl Strategy<Value = Wire> {
    prop::sample::select(Wire::ALL.to_vec())
}

/// What befalls a client some milliseconds after the event before.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Cut,
    Leave,
    HangUp,
    Again,
}

fn any_fate() -> impl Strategy<Value = (u64, usize, Fate)> {
    let fate = prop::sample::select(vec![Fate::Cut, Fate::Leave, Fate::HangUp, Fate::Again]);
    (prop_oneof![3 => 0..8_u64, 1 => 0..20_000_u64], 0..3_usize, fate)
}

/// Answers the riddle, if the client is of that kind.
fn react(sim: &mut Sim, id: EndId, told: &Told, proofs: &[Proof]) {
    if let Told::Event(ClientEvent::Challenged { method, .. }) = told {
        assert_eq!(method, "riddle");
        if !matches!(proofs[id.0], Proof::Mute) {
            sim.act(id, |client, _| client.authenticate("man".to_owned(), Dict::new())).expect("challenged");
        }
    }
}

proptest! {
    #[test]
    fn both_ends_agree_on_who_has_joined(
        seed: u64,
        wire in any_wire(),
        proofs in prop::collection::vec(any_proof(), 1..4),
        rulings in prop::collection::vec(any_ruling(), 1..4),
        fates in prop::collection::vec(any_fate(), 0..6),
    ) {
        let answerer = scripted(rulings.clone(), ANYTHING);
        let mut sim = Sim::new(seed, open_realm(), Duration::from_millis(3), answerer);
        let ids: Vec<EndId> = proofs.iter().map(|proof| sim.client(proof.config(), wire)).collect();
        for (after, whom, fate) in fates {
            sim.run_for(Duration::from_millis(after), BOUND, |sim, id, told| react(sim, id, &told, &proofs));
            let id = ids[whom % ids.len()];
            match fate {
                Fate::Cut => sim.cut(id),
                Fate::Leave => sim.act(id, |client, now| client.leave(now, close::NORMAL)),
                Fate::HangUp => sim.hang_up(id),
                Fate::Again if !sim.is_connected(id) => {
                    sim.connect(id, Default::default());
                }
                Fate::Again => {}
            }
        }
        sim.run_for(LONG, BOUND, |sim, id, told| react(sim, id, &told, &proofs));
        let joined = ids.iter().filter(|id| sim.get(**id).is_joined());
        for id in joined.clone() {
            prop_assert!(proofs[id.0].suffices(&rulings), "{:?} let in by {:?}", proofs[id.0], rulings);
        }
        prop_assert_eq!(sim.router.stats().sessions, joined.count(), "{}", sim.tail());
        prop_assert!(ids.iter().all(|id| sim.get(*id).is_joined() || sim.get(*id).is_closed()), "nobody waits");
        for id in ids {
            sim.act(id, |client, now| client.leave(now, close::NORMAL));
        }
        sim.run(BOUND, |_, _, _| ());
        assert_nothing_left(&sim);
    }
}

/// One thing that a peer of no good manners does.
#[derive(Clone, Debug)]
enum Act {
    Hello {
        realm: Option<&'static str>,
        roles: bool,
    },
    /// Answers the last challenge.
    Authenticate {
        rightly: bool,
    },
    Say(Message),
    Garbage,
    Wait(u64),
    Cut,
    HangUp,
}

fn nonsense() -> Vec<Message> {
    let request = RequestId::FIRST;
    let uri = || Uri::from("com.example.a");
    let payload = Payload::empty;
    vec![
        Goodbye { details: Dict::new(), reason: close::NORMAL }.into(),
        Abort::default().into(),
        Call { request, options: CallOptions::default(), procedure: uri(), payload: payload() }.into(),
        Publish { request, options: PublishOptions::default(), topic: uri(), payload: payload() }.into(),
        Subscribe { request, options: SubscribeOptions::default(), topic: uri() }.into(),
        Register { request, options: RegisterOptions::default(), procedure: uri() }.into(),
        Yield { request, options: YieldOptions::default(), payload: payload() }.into(),
        Error {
            request_type: RequestType::Invocation,
            request,
            pass_thru: None,
            error: error::CANCELED,
            payload: payload(),
        }
        .into(),
        wampd_core::message::ChallengeMessage::default().into(),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    let realm = prop::sample::select(vec![Some("realm1"), Some("realm1"), Some("nowhere"), None]);
    prop_oneof![
        5 => (realm, prop::bool::weighted(0.9)).prop_map(|(realm, roles)| Act::Hello { realm, roles }),
        4 => any::<bool>().prop_map(|rightly| Act::Authenticate { rightly }),
        5 => prop::sample::select(nonsense()).prop_map(Act::Say),
        1 => Just(Act::Garbage),
        6 => prop_oneof![0..20_u64, 0..20_000_u64].prop_map(Act::Wait),
        1 => Just(Act::Cut),
        1 => Just(Act::HangUp),
    ]
}

/// What a bare peer knows of its session.
#[derive(Default)]
struct View {
    joined: bool,
    challenge: Option<(String, Dict)>,
}

impl View {
    fn told(&mut self, told: Told) {
        match told {
            Told::Message(Message::Welcome(_)) => {
                assert!(!self.joined, "welcomed twice");
                self.joined = true;
            }
            Told::Message(Message::Challenge(challenge)) => self.challenge = Some((challenge.method, challenge.extra)),
            Told::Message(Message::Abort(_) | Message::Goodbye(_)) | Told::End => self.joined = false,
            Told::Message(_) => {}
            Told::Event(event) => panic!("not a client: {event:?}"),
        }
    }

    fn answer(&self, rightly: bool) -> Authenticate {
        let secret = if rightly { "secret" } else { "wrong" };
        let signature = match &self.challenge {
            Some((method, extra)) if method == "wampcra" => {
                let text = extra["challenge"].as_str().expect("a text to sign");
                let key = match extra.get("salt").and_then(Value::as_str) {
                    None => secret.to_owned(),
                    Some(salt) => cra::derive_key(secret.as_bytes(), salt.as_bytes(), 2, 32),
                };
                cra::sign(key.as_bytes(), text)
            }
            _ => secret.to_owned(),
        };
        Authenticate { signature, extra: Dict::new() }
    }
}

fn hello(realm: Option<&'static str>, roles: bool) -> Hello {
    let caller = roles.then_some(Features::NONE);
    let roles = ClientRoles { caller, callee: caller, publisher: caller, subscriber: caller };
    Hello { realm: realm.map(Uri::from), details: HelloDetails { roles, ..HelloDetails::default() } }
}

proptest! {
    #[test]
    fn nobody_can_confuse_the_router(
        seed: u64,
        wire in any_wire(),
        rulings in prop::collection::vec(any_ruling(), 1..4),
        acts in prop::collection::vec(any_act(), 0..20),
    ) {
        let mut sim = Sim::new(seed, open_realm(), Duration::from_millis(3), scripted(rulings, ANYTHING));
        let bystander = sim.bare(Wire::Messages);
        let id = sim.bare(wire);
        let mut view = View::default();
        for act in acts {
            match act {
                Act::Hello { realm, roles } => sim.send(id, hello(realm, roles)),
                Act::Authenticate { rightly } => sim.send(id, view.answer(rightly)),
                Act::Say(message) => sim.send(id, message),
                Act::Garbage => sim.send_frame(id, b"\xff garbage"),
                Act::Wait(ms) => sim.run_for(Duration::from_millis(ms), BOUND, |_, whom, told| {
                    if whom == id {
                        view.told(told);
                    }
                }),
                Act::Cut => sim.cut(id),
                Act::HangUp => sim.hang_up(id),
            }
        }
        sim.run_for(LONG, BOUND, |_, whom, told| {
            if whom == id {
                view.told(told);
            }
        });
        prop_assert_eq!(usize::from(view.joined), sim.router.stats().sessions, "{}", sim.tail());
        sim.hang_up(id);
        sim.hang_up(bystander);
        sim.run(BOUND, |_, _, _| ());
        assert_nothing_left(&sim);
    }
}

fn end_of(sim: &mut Sim, id: EndId) -> Vec<Message> {
    let mut messages = Vec::new();
    sim.run(BOUND, |_, whom, told| {
        if let Told::Message(message) = told {
            assert_eq!(whom, id);
            messages.push(message);
        }
    });
    messages
}

fn assert_aborted(messages: &[Message], reason: &Uri) {
    let Some(Message::Abort(abort)) = messages.last() else { panic!("not aborted: {messages:?}") };
    assert_eq!(abort.reason, *reason);
}

#[test]
fn a_peer_that_never_says_hello_is_sent_away() {
    let limits = Limits { handshake_timeout: Duration::from_secs(3), ..Limits::default() };
    let config = RouterConfig { limits, ..open_realm() };
    let mut sim = Sim::new(1, config, Duration::ZERO, everybody(ANYTHING));
    let id = sim.bare(Wire::Messages);
    assert_eq!(sim.router.next_deadline(), Some(Instant::ZERO.after(Duration::from_secs(3))));
    let messages = end_of(&mut sim, id);
    assert!(matches!(messages.as_slice(), [Message::Abort(_)]), "{messages:?}");
    assert_eq!(sim.closed, [(id, CloseReason::Timeout)]);
    assert_nothing_left(&sim);
}

#[test]
fn a_challenge_that_is_not_answered_ends_the_handshake() {
    let rulings = vec![(Ruling::Ticket, Timing::Now)];
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, scripted(rulings, ANYTHING));
    let id = sim.bare(Wire::Messages);
    sim.send(id, hello(Some("realm1"), true));
    let messages = end_of(&mut sim, id);
    assert!(matches!(messages.as_slice(), [Message::Challenge(_), Message::Abort(_)]), "{messages:?}");
    assert_eq!(sim.closed, [(id, CloseReason::Timeout)]);
    assert_eq!(sim.now, Instant::ZERO.after(Limits::default().handshake_timeout));
}

#[test]
fn silence_of_the_authenticator_is_a_denial() {
    let rulings = vec![(Ruling::Welcome, Timing::Never)];
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, scripted(rulings, ANYTHING));
    let id = sim.bare(Wire::Messages);
    sim.send(id, hello(Some("realm1"), true));
    assert_aborted(&end_of(&mut sim, id), &error::AUTHENTICATION_FAILED);
    assert_eq!(sim.closed, [(id, CloseReason::Refused(error::AUTHENTICATION_FAILED))]);
    assert_eq!(sim.now, Instant::ZERO.after(Limits::default().auth_timeout));
}

#[test]
fn a_late_verdict_has_no_effect() {
    let rulings = vec![(Ruling::Welcome, Timing::Late(16_000))];
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, scripted(rulings, ANYTHING));
    let id = sim.bare(Wire::Messages);
    sim.send(id, hello(Some("realm1"), true));
    assert_aborted(&end_of(&mut sim, id), &error::AUTHENTICATION_FAILED);
    assert_eq!(sim.router.stats().stale_decisions, 1);
    assert_eq!(sim.router.stats().joined, 0);
}

#[test]
fn one_challenge_is_good_for_one_answer() {
    let rulings = vec![(Ruling::Ticket, Timing::Now)];
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, scripted(rulings, ANYTHING));
    let id = sim.bare(Wire::Messages);
    sim.send(id, hello(Some("realm1"), true));
    for ticket in ["wrong", "secret"] {
        sim.send(id, Authenticate { signature: ticket.to_owned(), extra: Dict::new() });
    }
    assert_aborted(&end_of(&mut sim, id), &error::NOT_AUTHORIZED);
    assert_eq!(sim.router.stats().joined, 0);
}

#[test]
fn the_challenge_names_the_session_of_the_welcome() {
    let rulings = vec![(Ruling::Cra, Timing::Now)];
    for seed in 0..20 {
        let mut sim = Sim::new(seed, open_realm(), Duration::ZERO, scripted(rulings.clone(), ANYTHING));
        let id = sim.bare(Wire::Messages);
        sim.send(id, hello(Some("realm1"), true));
        let (mut view, mut welcomed) = (View::default(), None);
        for _ in 0..2 {
            sim.settle(BOUND, |_, _, told| {
                if let Told::Message(Message::Welcome(welcome)) = &told {
                    welcomed = Some(welcome.session);
                }
                view.told(told);
            });
            if !view.joined {
                sim.send(id, view.answer(true));
            }
        }
        let (_, extra) = view.challenge.expect("challenged");
        let session = format!("\"session\": {},", welcomed.expect("welcomed"));
        assert!(extra["challenge"].as_str().expect("text").contains(&session));
    }
}

#[test]
fn a_transport_serves_one_session_after_another() {
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, everybody(ANYTHING));
    let id = sim.bare(Wire::Bytes(Format::Cbor));
    for _ in 0..3 {
        let mut view = View::default();
        sim.send(id, hello(Some("realm1"), true));
        sim.settle(BOUND, |_, _, told| view.told(told));
        assert!(view.joined);
        sim.send(id, Goodbye { details: Dict::new(), reason: close::NORMAL });
        sim.settle(BOUND, |_, _, told| view.told(told));
        assert!(!view.joined && sim.is_connected(id));
    }
    assert_eq!(sim.router.stats().joined, 3);
}

#[test]
fn a_goodbye_is_answered_in_the_peers_own_words() {
    for (reason, reply) in [
        (close::NORMAL, close::NORMAL),
        (close::CLOSE_REALM, close::GOODBYE_AND_OUT),
        (Uri::from("com.example.bye"), close::GOODBYE_AND_OUT),
    ] {
        let mut sim = Sim::new(1, open_realm(), Duration::ZERO, everybody(ANYTHING));
        let id = sim.client(ClientConfig::anonymous(REALM), Wire::Messages);
        sim.settle(BOUND, |_, _, _| ());
        sim.act(id, |client, now| client.leave(now, reason));
        let mut left = None;
        sim.run(BOUND, |_, _, told| {
            if let Told::Event(ClientEvent::Left { reason }) = told {
                assert_eq!(left.replace(reason), None);
            }
        });
        assert_eq!(left, Some(reply));
        assert_nothing_left(&sim);
    }
}

#[test]
fn shutting_down_says_goodbye_to_everybody() {
    let mut sim = Sim::new(1, open_realm(), Duration::from_millis(1), everybody(ANYTHING));
    let joined: Vec<_> = Wire::ALL.map(|wire| sim.client(ClientConfig::anonymous(REALM), wire)).into();
    sim.settle(BOUND, |_, _, _| ());
    let silent = sim.bare(Wire::Messages);
    sim.with_router(|router, now| router.shut_down(now));
    assert!(sim.with_router(|router, now| router.open(now, Default::default())).is_err());
    let mut ends = Vec::new();
    sim.run(BOUND, |_, id, told| match told {
        Told::Event(ClientEvent::Left { reason }) => {
            assert_eq!(reason, close::SYSTEM_SHUTDOWN);
            ends.push(id);
        }
        Told::Event(ClientEvent::Joined(_)) => {}
        Told::Message(Message::Abort(abort)) => assert_eq!((id, abort.reason), (silent, close::SYSTEM_SHUTDOWN)),
        Told::End => assert_eq!(id, silent),
        other => panic!("{other:?}"),
    });
    ends.sort();
    assert_eq!(ends, joined);
    assert_nothing_left(&sim);
}

#[test]
fn a_killed_session_can_do_nothing_more() {
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, everybody(ANYTHING));
    let [victim, witness] = [0, 0].map(|_| sim.client(ClientConfig::anonymous(REALM), Wire::Messages));
    sim.settle(BOUND, |_, _, _| ());
    let topic = || Uri::from("com.example.topic");
    sim.act(witness, |client, now| client.subscribe(now, topic(), SubscribeOptions::default())).expect("joined");
    sim.settle(BOUND, |_, _, _| ());
    let session = sim.session(victim).session;
    assert!(sim.with_router(|router, now| router.kill(now, session, close::KILLED, "enough")));
    assert!(!sim.with_router(|router, now| router.kill(now, session, close::KILLED, "enough")));
    // The client has not read the GOODBYE yet.
    sim.act(victim, |client, now| client.publish(now, topic(), PublishOptions::default(), Payload::empty()))
        .expect("still joined as far as it knows");
    let mut told = Vec::new();
    sim.settle(BOUND, |_, id, what| told.push((id, what)));
    assert_eq!(told, [(victim, Told::Event(ClientEvent::Left { reason: close::KILLED }))]);
    assert_eq!(sim.router.stats().publications, 0);
}

#[test]
fn the_one_that_waits_longest_makes_room() {
    let limits = Limits { max_joining_peers: 3, ..Limits::default() };
    let mut sim = Sim::new(1, RouterConfig { limits, ..open_realm() }, Duration::ZERO, everybody(ANYTHING));
    let silent: Vec<_> = (0..10).map(|_| sim.bare(Wire::Messages)).collect();
    let dropped: Vec<_> = silent[..7].iter().map(|id| (*id, CloseReason::Overload)).collect();
    assert_eq!(sim.closed, dropped);
    let client = sim.client(ClientConfig::anonymous(REALM), Wire::Messages);
    sim.settle(BOUND, |_, _, _| ());
    assert!(sim.get(client).is_joined());
    assert_eq!(sim.router.stats().joining_dropped, 8);
}
