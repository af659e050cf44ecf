//! Applications that do anything at any time, in a world where links break and authenticators are moody; and the books
//! that must balance all the same.
//!
//! While the world runs, each application checks what it is told:
//! * every request has exactly one final answer, and a result carries what its call asked for;
//! * invocations of a session are numbered 1, 2, 3...;
//! * events of one publisher reach a subscription in the order of their publication, each once, and never the
//!   publisher itself; none comes before SUBSCRIBED or after UNSUBSCRIBED, and no invocation before REGISTERED or after
//!   UNREGISTERED;
//! * neither router nor client ever breaks the protocol.
//!
//! In the end everybody leaves, and the router holds nothing.

use crate::answerer::{CHEAP, REALM, Ruling, moody, signing_key};
use crate::config::{ANYTHING, ASKED, open_realm};
use crate::link::Wire;
use crate::rng::Pcg;
use crate::sim::{Answerer, Authorizer, EndId, Sim, Told};
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use wampd_core::auth::scram::Dialect;
use wampd_core::client::{Client, ClientConfig, ClientEvent, ClientLimits, Credential, Side};
use wampd_core::id::{RegistrationId, RequestId, SubscriptionId};
use wampd_core::message::{
    CallOptions, CancelMode, InvocationPolicy, Payload, PublishOptions, RegisterOptions, SubscribeOptions, YieldOptions,
};
use wampd_core::router::{ActionVerdict, Congestion, LinkInfo};
use wampd_core::time::Instant;
use wampd_core::uri::{MatchPolicy, Uri, close, error};
use wampd_core::value::{Dict, Value};

/// More steps than any of these worlds needs.
const BOUND: usize = 1_000_000;

/// What a world goes through.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// Decides everything.
    pub seed: u64,
    /// How many applications there are.
    pub clients: usize,
    /// How many things happen.
    pub acts: usize,
    /// Whether links break, peers are slow, and authenticators refuse or are silent.
    pub faults: bool,
    /// What links carry; `None`: a different thing for each client.
    pub wire: Option<Wire>,
}

/// Runs a script to its end.
///
/// # Panics
/// Something is wrong with router or client.
pub fn run(script: Script) -> Sim {
    run_with_hash_key(script, script.seed)
}

/// Runs a script to its end, with hash maps of this key in the router.
///
/// # Panics
/// Something is wrong with router or client.
pub fn run_with_hash_key(script: Script, key: u64) -> Sim {
    let mut rng = Pcg::new(script.seed);
    let delay = Duration::from_micros(rng.below(5_000));
    let mut sim = Sim::with_hash_key(rng.below(u64::MAX), key, open_realm(), delay, answerer(script.faults));
    sim.authorize_by(authorizer(script.faults));
    let mut apps = Apps { rng, of: Vec::new(), published: 0 };
    for n in 0..script.clients {
        let wire = script.wire.unwrap_or(Wire::ALL[n % Wire::ALL.len()]);
        let id = sim.client(config(n), wire);
        assert_eq!(id, EndId(apps.of.len()));
        apps.of.push(App::default());
    }
    for _ in 0..script.acts {
        apps.act(&mut sim, script.faults);
        let pause = Duration::from_micros(apps.rng.below(2_000));
        sim.run_for(pause, BOUND, |sim, id, told| apps.told(sim, id, told));
    }
    apps.finish(&mut sim);
    sim
}

/// With faults, about half of those who ask are let in. Every third is of a role that is asked about.
fn answerer(faults: bool) -> Answerer {
    let mut rulings = vec![Ruling::Welcome, Ruling::Cra, Ruling::SaltedCra, Ruling::Ticket];
    let role = |rng: &mut Pcg| if rng.one_in(3) { ASKED } else { ANYTHING };
    if faults {
        rulings.extend(Ruling::ALL);
        let (mut asked, mut others) = (moody(rulings.clone(), ASKED), moody(rulings, ANYTHING));
        return Box::new(move |request, rng| {
            let answerer = if role(rng) == ASKED { &mut asked } else { &mut others };
            answerer(request, rng)
        });
    }
    Box::new(move |request, rng| {
        let ruling = rulings[rng.index(rulings.len())];
        let role = role(rng);
        vec![(Duration::from_micros(rng.below(500)), ruling.verdict(request, role))]
    })
}

/// Without faults everything is allowed, but not at once.
fn authorizer(faults: bool) -> Authorizer {
    Box::new(move |_, rng| {
        let cache = rng.one_in(3).then(|| Duration::from_micros(rng.below(20_000)));
        let after = Duration::from_micros(rng.below(3_000));
        let allow = ActionVerdict::Allow { disclose: rng.one_in(2), cache };
        if !faults {
            return vec![(after, allow)];
        }
        match rng.below(12) {
            0 => vec![],
            1 => vec![(Duration::from_secs(rng.below(30)), allow)],
            2 => vec![(Duration::ZERO, ActionVerdict::Deny { cache }), (after, allow)],
            3 => vec![(after, ActionVerdict::Failed { message: "no".to_owned() })],
            4 => vec![(Duration::ZERO, allow)],
            _ => vec![(after, allow)],
        }
    })
}

fn config(n: usize) -> ClientConfig {
    let credentials = vec![
        Credential::Cra("secret".to_owned()),
        Credential::Ticket("secret".to_owned()),
        Credential::Scram { dialect: Dialect::WampScram, password: "secret".to_owned() },
        Credential::Scram { dialect: Dialect::Crossbar, password: "secret".to_owned() },
        Credential::Cryptosign { key: signing_key(), router: None },
        Credential::External { method: "riddle".to_owned() },
        Credential::Anonymous,
    ];
    let limits = ClientLimits { kdf: CHEAP, ..ClientLimits::default() };
    ClientConfig { credentials, authid: Some(format!("app{n}")), limits, ..ClientConfig::anonymous(REALM) }
}

struct Apps {
    rng: Pcg,
    of: Vec<App>,
    /// Numbers publications.
    published: u64,
}

/// What an application knows of its session.
#[derive(Default)]
struct App {
    /// Requests that are to be answered, with what was asked.
    waiting: BTreeMap<RequestId, Asked>,
    subscriptions: BTreeSet<SubscriptionId>,
    registrations: BTreeSet<RegistrationId>,
    /// Invocations that are to be answered: the number asked about, and whether progress is welcome.
    open: BTreeMap<RequestId, (u64, bool)>,
    invocations: u64,
    /// The last number heard from a publisher on a subscription.
    heard: BTreeMap<(SubscriptionId, u64), u64>,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Subscribe,
    Unsubscribe(SubscriptionId),
    Register,
    Unregister(RegistrationId),
    Publish,
    Call(u64),
}

fn uri(rng: &mut Pcg) -> Uri {
    Uri::from(["com.a", "com.a.b", "com.a.c", "com.b.c"][rng.index(4)])
}

fn pattern(rng: &mut Pcg) -> (Uri, MatchPolicy) {
    match rng.below(4) {
        0 => (Uri::from(["com.a", "com.", "com.a.b"][rng.index(3)]), MatchPolicy::Prefix),
        1 => (Uri::from(["com..c", "com.a.", "com."][rng.index(3)]), MatchPolicy::Wildcard),
        _ => (uri(rng), MatchPolicy::Exact),
    }
}

fn any_of<T: Copy>(rng: &mut Pcg, set: &BTreeSet<T>) -> Option<T> {
    if set.is_empty() { None } else { set.iter().nth(rng.index(set.len())).copied() }
}

impl Apps {
    /// Something goes wrong.
    fn fault(&mut self, sim: &mut Sim, id: EndId) {
        match self.rng.below(8) {
            0 => sim.cut(id),
            1 => sim.hang_up(id),
            2 => sim.congest(id, Congestion::Soft),
            3 | 4 => sim.congest(id, Congestion::Clear),
            5 if self.rng.one_in(3) => sim.congest(id, Congestion::Hard),
            6 if self.rng.one_in(3) => {
                if let Some(session) = sim.get(id).session().map(|welcome| welcome.session) {
                    sim.with_router(|router, now| router.kill(now, session, close::KILLED, "enough"));
                }
            }
            _ => {
                let pause = Duration::from_millis(self.rng.below(200));
                sim.run_for(pause, BOUND, |sim, id, told| self.told(sim, id, told));
            }
        }
    }

    /// Does one thing.
    fn act(&mut self, sim: &mut Sim, faults: bool) {
        let id = EndId(self.rng.index(self.of.len()));
        if !sim.is_connected(id) {
            sim.connect(id, LinkInfo::default());
            return;
        }
        if faults && self.rng.one_in(12) {
            return self.fault(sim, id);
        }
        match self.rng.below(34) {
            0..=4 => self.request(sim, id, |_, rng, client, now| {
                let (topic, matching) = pattern(rng);
                let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
                client.subscribe(now, topic, options).ok().map(|id| (id, Asked::Subscribe))
            }),
            5 => self.request(sim, id, |app, rng, client, now| {
                let subscription = any_of(rng, &app.subscriptions)?;
                client.unsubscribe(now, subscription).ok().map(|id| (id, Asked::Unsubscribe(subscription)))
            }),
            6..=12 => self.publish(sim, id),
            13..=15 => self.request(sim, id, |_, rng, client, now| {
                let (procedure, matching) = pattern(rng);
                let invoke = if rng.one_in(3) { InvocationPolicy::Single } else { InvocationPolicy::RoundRobin };
                let concurrency = rng.one_in(4).then_some(1);
                let options = RegisterOptions { matching, invoke, concurrency, ..RegisterOptions::default() };
                client.register(now, procedure, options).ok().map(|id| (id, Asked::Register))
            }),
            16 => self.request(sim, id, |app, rng, client, now| {
                let registration = any_of(rng, &app.registrations)?;
                client.unregister(now, registration).ok().map(|id| (id, Asked::Unregister(registration)))
            }),
            17..=24 => self.request(sim, id, |_, rng, client, now| {
                let n = rng.below(1_000_000);
                let options = CallOptions {
                    receive_progress: rng.one_in(3),
                    timeout: rng.one_in(6).then(|| 1 + rng.below(10)),
                    disclose_me: rng.one_in(4),
                    ..CallOptions::default()
                };
                let payload = Payload::from_args([Value::from(n)]);
                client.call(now, uri(rng), options, payload).ok().map(|id| (id, Asked::Call(n)))
            }),
            25 | 26 => self.cancel(sim, id),
            33 if self.rng.one_in(4) => sim.act(id, |client, now| client.leave(now, close::NORMAL)),
            _ => self.answer(sim, id),
        }
    }

    fn request(
        &mut self,
        sim: &mut Sim,
        id: EndId,
        ask: impl FnOnce(&App, &mut Pcg, &mut Client, Instant) -> Option<(RequestId, Asked)>,
    ) {
        let (app, rng) = (&mut self.of[id.0], &mut self.rng);
        if let Some((request, asked)) = sim.act(id, |client, now| ask(app, rng, client, now)) {
            assert!(app.waiting.insert(request, asked).is_none(), "a request id used twice");
        }
    }

    fn publish(&mut self, sim: &mut Sim, id: EndId) {
        let n = self.published;
        self.published += 1;
        let acknowledge = self.rng.one_in(3);
        let options = PublishOptions { acknowledge, ..PublishOptions::default() };
        let payload = Payload::from_args([Value::from(id.0 as u64), Value::from(n)]);
        let topic = uri(&mut self.rng);
        let asked = sim.act(id, |client, now| client.publish(now, topic, options, payload));
        if let (Ok(request), true) = (asked, acknowledge) {
            self.of[id.0].waiting.insert(request, Asked::Publish);
        }
    }

    fn cancel(&mut self, sim: &mut Sim, id: EndId) {
        let modes = [None, Some(CancelMode::Skip), Some(CancelMode::Kill), Some(CancelMode::KillNoWait)];
        let mode = modes[self.rng.index(modes.len())];
        let calls = self.of[id.0].waiting.iter().filter(|(_, asked)| matches!(asked, Asked::Call(_)));
        let calls: BTreeSet<_> = calls.map(|(request, _)| *request).collect();
        if let Some(call) = any_of(&mut self.rng, &calls) {
            let _ = sim.act(id, |client, _| client.cancel(call, mode));
        }
    }

    fn answer(&mut self, sim: &mut Sim, id: EndId) {
        let app = &mut self.of[id.0];
        let open = app.open.keys().copied().collect();
        let Some(invocation) = any_of(&mut self.rng, &open) else { return };
        let (n, takes_progress) = app.open[&invocation];
        let progress = takes_progress && self.rng.one_in(2);
        if !progress {
            app.open.remove(&invocation);
        }
        let fails = !progress && self.rng.one_in(4);
        let answered = sim.act(id, |client, _| {
            let payload = Payload::from_args([Value::from(n)]);
            if fails {
                client.yield_error(invocation, Uri::from("com.error"), payload)
            } else {
                client.yield_result(invocation, YieldOptions { progress, ..YieldOptions::default() }, payload)
            }
        });
        assert!(answered.is_ok() || !sim.get(id).is_joined(), "an open invocation can be answered");
    }

    /// Everybody answers what is open.
    fn answer_all(&mut self, sim: &mut Sim) {
        sim.settle(BOUND, |sim, id, told| self.told(sim, id, told));
        while self.of.iter().enumerate().any(|(n, app)| !app.open.is_empty() && sim.get(EndId(n)).is_joined()) {
            for id in sim.ends() {
                self.answer(sim, id);
            }
            sim.settle(BOUND, |sim, id, told| self.told(sim, id, told));
        }
    }

    /// Everybody answers what is open; then everybody leaves.
    fn finish(&mut self, sim: &mut Sim) {
        for id in sim.ends() {
            sim.congest(id, Congestion::Clear);
        }
        self.answer_all(sim);
        // Longer than every deadline: of as many requests as can be held, each may be asked about in vain.
        sim.run_for(Duration::from_secs(1_200), BOUND, |sim, id, told| self.told(sim, id, told));
        // Calls that were held until then.
        self.answer_all(sim);
        for (n, app) in self.of.iter().enumerate() {
            assert!(app.waiting.is_empty(), "{n} waits for {:?}\n{}", app.waiting, sim.tail());
        }
        let joined = sim.ends().filter(|id| sim.get(*id).is_joined()).count();
        assert_eq!(sim.router.stats().sessions, joined, "{}", sim.tail());
        if self.rng.one_in(2) {
            sim.with_router(|router, now| router.shut_down(now));
        } else {
            for id in sim.ends() {
                sim.act(id, |client, now| client.leave(now, close::NORMAL));
            }
        }
        sim.run(BOUND, |sim, id, told| self.told(sim, id, told));
        let stats = sim.router.stats();
        assert_eq!((stats.peers, stats.joining, stats.sessions, stats.undecided), (0, 0, 0, 0), "{stats:?}");
        assert_eq!((stats.subscriptions, stats.registrations, stats.calls_in_flight, stats.timers), (0, 0, 0, 0));
        assert_eq!((stats.violations, stats.request_ids_out_of_sequence), (0, 0), "{}", sim.tail());
        for id in sim.ends() {
            let stats = sim.get(id).stats();
            assert_eq!((stats.late_answers, stats.stray_events, stats.stray_invocations), (0, 0, 0), "{id:?}");
        }
    }

    fn told(&mut self, sim: &mut Sim, id: EndId, told: Told) {
        let Told::Event(event) = told else { panic!("not for a client: {told:?}") };
        let app = &mut self.of[id.0];
        match event {
            ClientEvent::Joined(_) => assert!(app.waiting.is_empty() && app.open.is_empty()),
            ClientEvent::Challenged { .. } => {
                sim.act(id, |client, _| client.authenticate("man".to_owned(), Dict::new())).expect("challenged");
            }
            ClientEvent::Aborted { by, reason, details } => {
                assert!((by, &reason) != (Side::Client, &error::PROTOCOL_VIOLATION), "{details:?}\n{}", sim.tail());
                assert!((by, &reason) != (Side::Router, &error::PROTOCOL_VIOLATION), "{details:?}\n{}", sim.tail());
                app.ended();
            }
            ClientEvent::Left { .. } | ClientEvent::Lost => app.ended(),
            ClientEvent::Event { subscription, payload, .. } => app.heard(id, subscription, &payload),
            ClientEvent::Invocation { request, registration, details, payload } => {
                assert!(app.registrations.contains(&registration), "an invocation of nothing registered");
                app.invocations += 1;
                assert_eq!(request.get(), app.invocations, "invocations are numbered");
                app.open.insert(request, (numbers(&payload)[0], details.receive_progress));
            }
            ClientEvent::Interrupted { request, .. } => assert!(app.open.contains_key(&request)),
            other => app.answered(&other),
        }
    }
}

fn numbers(payload: &Payload) -> Vec<u64> {
    let (args, _) = payload.values().expect("values");
    args.iter().map(|value| value.as_u64().expect("a number")).collect()
}

impl App {
    fn ended(&mut self) {
        assert!(self.waiting.is_empty(), "ended without an answer to {:?}", self.waiting);
        *self = Self::default();
    }

    fn heard(&mut self, id: EndId, subscription: SubscriptionId, payload: &Payload) {
        let [publisher, n] = numbers(payload)[..] else { panic!("two numbers") };
        assert!(self.subscriptions.contains(&subscription), "an event of nothing subscribed to");
        assert_ne!(publisher, id.0 as u64, "publishers are left out");
        if let Some(before) = self.heard.insert((subscription, publisher), n) {
            assert!(before < n, "{n} after {before}");
        }
    }

    fn answered(&mut self, event: &ClientEvent) {
        if let ClientEvent::Result { request, details, payload } = event {
            if let Some(Asked::Call(n)) = self.waiting.get(request) {
                assert_eq!(numbers(payload), [*n], "the result of another call");
            }
            if details.progress {
                assert!(self.waiting.contains_key(request), "progress of nothing called");
                return;
            }
        }
        let request = event.answers().expect("an answer");
        let asked = self.waiting.remove(&request);
        match (asked, event) {
            (None, _) => panic!("an answer to nothing: {event:?}"),
            (Some(Asked::Subscribe), ClientEvent::Subscribed { subscription, .. }) => {
                self.subscriptions.insert(*subscription);
            }
            (Some(Asked::Unsubscribe(subscription)), ClientEvent::Unsubscribed { .. }) => {
                self.subscriptions.remove(&subscription);
            }
            (Some(Asked::Register), ClientEvent::Registered { registration, .. }) => {
                self.registrations.insert(*registration);
            }
            (Some(Asked::Unregister(registration)), ClientEvent::Unregistered { .. }) => {
                self.registrations.remove(&registration);
            }
            (Some(Asked::Publish), ClientEvent::Published { .. })
            | (Some(Asked::Call(_)), ClientEvent::Result { .. })
            | (Some(_), ClientEvent::Failed { .. }) => {}
            (Some(asked), event) => panic!("{event:?} is no answer to {asked:?}"),
        }
    }
}
