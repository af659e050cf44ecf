//! Sequences of operations on a router, written as bytes: what fuzzing and random tests make up.
//!
//! The first byte chooses the configuration; then each operation takes four bytes ([`Op`]). An operation that makes no
//! sense in the state of things does nothing. To add one, append to [`Kind`] and to `Play::perform`, so that the bytes
//! of the corpus keep their meaning as far as they can.

use crate::answerer::{REALM, Ruling};
use crate::books::{Asked, Books, Session, numbered};
use crate::config::{ANYTHING, ASKED, founding_realm};
use crate::driver::{Driver, Input, Seen, Slot};
use crate::handshake::sign;
use crate::meta::PROCEDURES;
use crate::rng::Pcg;
use bytes::Bytes;
use core::time::Duration;
use rand_core::Rng;
use std::collections::VecDeque;
use wampd_core::id::{RegistrationId, RequestId, SubscriptionId};
use wampd_core::message::*;
use wampd_core::router::{
    ActionVerdict, Allow, AuthRequest, Congestion, DecisionId, EventHistory, ForceReregister, Limits, Permissions,
    RequestIdCheck, RoleConfig, RouterConfig, RouterStats, Rule, SlowSubscribers,
};
use wampd_core::time::Instant;
use wampd_core::uri::{MatchPolicy, Uri, close, error};
use wampd_core::value::{Dict, Value};

/// How many peers there can be at a time.
pub const SLOTS: usize = 6;

/// The role that may use the meta API.
pub const ADMIN: &str = "admin";

/// An operation: what is done, by whom, with what, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// What is done.
    pub kind: Kind,
    /// The slot, modulo [`SLOTS`].
    pub who: u8,
    /// Which URI, invocation, question...; of a URI the upper four bits are further options.
    pub what: u8,
    /// Options.
    pub how: u8,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Kinds of operations.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Kind { $($(#[$doc])* $name,)* }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

kinds! {
    /// Attach, HELLO, and welcome at once, as a role that `how` chooses.
    Join,
    /// Attach.
    Open,
    /// HELLO, and nothing is decided yet.
    Hello,
    /// Answer the challenge, rightly or not.
    Authenticate,
    /// Decide a question about a peer, whether or not it is still asked.
    Decide,
    /// SUBSCRIBE
    Subscribe,
    /// UNSUBSCRIBE
    Unsubscribe,
    /// PUBLISH
    Publish,
    /// REGISTER
    Register,
    /// UNREGISTER
    Unregister,
    /// CALL
    Call,
    /// CANCEL
    Cancel,
    /// YIELD
    Yield,
    /// ERROR in answer to an invocation.
    Error,
    /// GOODBYE
    Goodbye,
    /// ABORT
    Abort,
    /// The transport is lost.
    Cut,
    /// The queue of bytes fills or drains.
    Congest,
    /// Time goes by.
    Wait,
    /// Decide a question about an action, whether or not it is still asked.
    DecideAction,
    /// A message that is wrong at any time, or at this.
    Odd,
    /// Bytes that are no message.
    Garble,
    /// An administrator ends the session.
    Kill,
    /// Messages with arguments can not be delivered any more, or again.
    Unable,
    /// A role gets other permissions.
    Permit,
    /// Input for a peer that is gone.
    Stale,
    /// The router shuts down, if `what` and `how` say so too: it ends everything.
    ShutDown,
    /// CALL with the next part of a call.
    Continue,
    /// CALL of a procedure of the meta API, with arguments of all sorts.
    Meta,
}

impl Op {
    /// An operation of four numbers.
    pub const fn new(kind: Kind, who: u8, what: u8, how: u8) -> Self {
        Self { kind, who, what, how }
    }

    /// Any four bytes are an operation.
    pub fn read([kind, who, what, how]: [u8; 4]) -> Self {
        Self { kind: Kind::ALL[usize::from(kind) % Kind::ALL.len()], who, what, how }
    }

    /// The bytes that are read as this operation.
    pub const fn bytes(self) -> [u8; 4] {
        [self.kind as u8, self.who, self.what, self.how]
    }
}

/// A configuration: bit 0 strict request ids, bit 1 limits so narrow that they are reached, bit 2 publishers that wait
/// for slow subscribers, bit 3 so little work for each input that long ones are gone on with later; the rest, with bits
/// 2 and 3, is the seed.
pub fn config(choice: u8) -> RouterConfig {
    let mut config = founding_realm();
    for realm in &mut config.realms {
        realm.roles.push(RoleConfig::new(ANYTHING, Permissions::all()));
        realm.roles.push(RoleConfig::new(ASKED, Permissions::asked()));
        let rule = |uri: &'static str| Rule::new(Uri::from(uri), MatchPolicy::Prefix, Allow::ALL);
        let permissions = Permissions::new(vec![rule(""), rule("wamp.")]).expect("no rule contradicts another");
        realm.roles.push(RoleConfig { trustlevel: Some(3), ..RoleConfig::new(ADMIN, permissions) });
        realm.force_reregister = ForceReregister::Anybody;
        let history = |uri: &'static str, matching, limit| EventHistory { uri: Uri::from(uri), matching, limit };
        realm.event_history = vec![history("com.a", MatchPolicy::Exact, 2), history("com.", MatchPolicy::Prefix, 3)];
        realm.throttle_publishers = (choice & 4 != 0).then_some(Duration::from_millis(300));
        realm.slow_subscribers = if choice & 8 != 0 { SlowSubscribers::Close } else { SlowSubscribers::Drop };
        realm.request_ids = if choice & 1 == 0 { RequestIdCheck::Warn } else { RequestIdCheck::Strict };
    }
    if choice & 2 != 0 {
        config.limits = Limits {
            max_peers: 5,
            max_joining_peers: 2,
            max_held_requests: 2,
            max_cached_verdicts: 1,
            max_challenges: 2,
            max_subscriptions_per_session: 2,
            max_registrations_per_session: 2,
            max_calls_in_flight: 2,
            max_invocations_in_flight: 2,
            max_uri_length: 20,
            max_wildcard_shapes: 1,
            max_nodes_per_subscription: 1,
            max_retained_events: 2,
            max_retained_per_publisher: 1,
            max_retained_per_role: 1,
            max_retained_per_topic: 1,
            max_retained_replies: 1,
            max_queued_calls: 1,
            max_calls_held_back: 1,
            max_reroutes: 1,
            max_testaments_per_session: 1,
            max_history_reply: 1,
            max_list_reply: 1,
            ..config.limits
        };
    }
    if choice & 8 != 0 {
        config.limits.work_slice = 1 + u64::from(choice >> 5);
    }
    config
}

/// URIs and patterns, among them such as are allowed to nobody.
pub const URIS: &[&str] = &[
    "com.a",
    "com.a.b",
    "com.example.add2",
    "com.example.topic2",
    "com.",
    "com..b",
    "com.a.",
    "",
    "com.foobar.topic1",
    "wamp.session.count",
    "no uri",
    "com.a.uri.longer.than.20.bytes",
    "wamp.session.on_join",
    "wamp.",
    "wamp.registration.on_create",
    "com.a.b.c",
];

/// Plays operations; `observe` is shown each input, with the state of things after it and what it led to. In the end
/// all that is open is answered, everybody leaves, and nothing may be left.
///
/// Returns the router's counters.
///
/// # Panics
/// The router broke a promise.
pub fn play(data: &[u8], observe: impl FnMut(&Driver, &Input, &[Seen])) -> RouterStats {
    play_with_hash_key(data, 0, observe)
}

/// As [`play`], with hash maps of this key in the router.
///
/// # Panics
/// The router broke a promise.
pub fn play_with_hash_key(data: &[u8], key: u64, mut observe: impl FnMut(&Driver, &Input, &[Seen])) -> RouterStats {
    let (&choice, data) = data.split_first().unwrap_or((&0, &[]));
    let mut play = Play::new(choice, key, &mut observe);
    let (ops, _) = data.as_chunks::<4>();
    for op in ops {
        play.perform(Op::read(*op));
    }
    play.finish();
    play.driver.router.stats()
}

/// As [`play`], with a clock that jumps: back to any time before, or up to weeks ahead, without the deadlines that pass meanwhile
/// being looked at.
///
/// # Panics
/// The router broke a promise.
pub fn play_with_jumps(data: &[u8], seed: u64) -> RouterStats {
    let (mut rng, mut latest) = (Pcg::new(seed), Instant::ZERO);
    let mut observe = |_: &Driver, _: &Input, _: &[Seen]| ();
    let mut play = Play::new(data.first().copied().unwrap_or_default(), 0, &mut observe);
    for op in data.get(1..).unwrap_or_default().as_chunks::<4>().0 {
        match rng.next_u64() % 8 {
            0 => play.driver.now = Instant::from_micros(rng.next_u64() % (play.driver.now.as_micros() + 1)),
            1 => {
                play.driver.now =
                    play.driver.now.after(Duration::from_micros(rng.next_u64() >> (24 + rng.next_u64() % 32)))
            }
            _ => {}
        }
        play.perform(Op::read(*op));
        latest = latest.max(play.driver.now);
    }
    // What was to happen at a time that was left again happens when it is reached.
    play.driver.now = latest;
    play.finish();
    play.driver.router.stats()
}

/// Random operations that [`play`] can read, such that sessions live long enough for something to happen.
pub fn random(seed: u64) -> Vec<u8> {
    use Kind::*;
    let mut rng = Pcg::new(seed);
    // One world in four is about joining; in the others sessions live long enough for something to happen.
    let usual: &[Kind] = if seed.is_multiple_of(4) {
        &[Open, Hello, Hello, Decide, Decide, Authenticate, Authenticate, Goodbye, Wait]
    } else {
        &[
            Subscribe,
            Publish,
            Publish,
            Register,
            Register,
            Call,
            Call,
            Call,
            Call,
            Yield,
            Yield,
            Yield,
            Error,
            Cancel,
            Wait,
            DecideAction,
            DecideAction,
            Unsubscribe,
            Unregister,
            Join,
            Join,
        ]
    };
    let mut byte = |bound: usize| rng.index(bound) as u8;
    let mut data = vec![byte(256)];
    for _ in 0..byte(256) {
        let any = byte(15) == 0;
        let kinds = if any { Kind::ALL } else { usual };
        let kind = kinds[usize::from(byte(kinds.len()))];
        // Mostly few URIs, so that those who publish and call meet those who subscribe and register.
        let what = if any || kind == Meta { byte(256) } else { byte(3) + 16 * byte(16) * byte(2) };
        data.extend(Op::new(kind, byte(SLOTS), what, byte(256)).bytes());
    }
    data
}

struct Play<'a> {
    driver: Driver,
    /// Questions that were asked, the last ones; most of them are decided already.
    questions: VecDeque<AuthRequest>,
    actions: VecDeque<DecisionId>,
    /// Calls that were made in parts, the last ones.
    parts: VecDeque<(RequestId, Uri)>,
    /// Numbers publications and calls.
    number: u64,
    observe: &'a mut dyn FnMut(&Driver, &Input, &[Seen]),
}

/// How many questions are remembered.
const REMEMBERED: usize = 8;

impl<'a> Play<'a> {
    fn new(choice: u8, key: u64, observe: &'a mut dyn FnMut(&Driver, &Input, &[Seen])) -> Self {
        let driver = Driver::new(u64::from(choice >> 2), key, config(choice), SLOTS);
        Self {
            driver,
            questions: VecDeque::new(),
            actions: VecDeque::new(),
            parts: VecDeque::new(),
            number: 0,
            observe,
        }
    }

    fn apply(&mut self, input: Input) {
        let seen = self.driver.apply(input.clone());
        for seen in &seen {
            match seen {
                Seen::Asked(_, request) => self.questions.push_back(AuthRequest::clone(request)),
                Seen::AskedAction(request) => self.actions.push_back(request.id),
                Seen::Told(..) | Seen::Missed(..) | Seen::Closed(..) => {}
            }
        }
        self.questions.drain(..self.questions.len().saturating_sub(REMEMBERED));
        self.actions.drain(..self.actions.len().saturating_sub(REMEMBERED));
        (self.observe)(&self.driver, &input, &seen);
    }

    fn say(&mut self, slot: Slot, message: impl Into<Message>) {
        self.apply(Input::Say(slot, message.into()));
    }

    fn perform(&mut self, op: Op) {
        let slot = usize::from(op.who) % SLOTS;
        match op.kind {
            Kind::Join => self.join(slot, op.how),
            Kind::Open => self.apply(Input::Open(slot)),
            Kind::Hello => {
                let realm = [Some(REALM), Some(Uri::from("nowhere")), None][usize::from(op.what) % 3].clone();
                self.say(slot, hello(realm, op.how));
            }
            Kind::Authenticate => {
                let signature = answer(self.driver.books(slot), op.how & 1 == 0);
                self.say(slot, Authenticate { signature, extra: Default::default() });
            }
            Kind::Decide => {
                let Some(request) = nth(self.questions.iter(), op.what) else { return };
                let ruling = Ruling::ALL[usize::from(op.how) % Ruling::ALL.len()];
                let verdict = ruling.verdict(request, role(op.how >> 3));
                // Now and then what was asked is something else.
                let other = nth(self.actions.iter(), op.what).filter(|_| op.how >= 0xf0);
                self.apply(Input::Decide(*other.unwrap_or(&request.id), verdict));
            }
            Kind::Congest => {
                let level = [Congestion::Clear, Congestion::Soft, Congestion::Hard][usize::from(op.how) % 3];
                self.apply(Input::Congest(slot, level));
            }
            Kind::Wait => {
                let millis = [0, 1, 10, 1_000, 6_000, 20_000, 200, 500][usize::from(op.how) % 8];
                self.apply(Input::Wait(Duration::from_millis(millis)));
            }
            Kind::DecideAction => {
                let Some(&id) = nth(self.actions.iter(), op.what) else { return };
                let other = nth(self.questions.iter(), op.what).filter(|_| op.how >= 0xf0);
                self.apply(Input::DecideAction(other.map_or(id, |request| request.id), action_verdict(op.how)));
            }
            Kind::Cut => self.apply(Input::Cut(slot)),
            Kind::Garble => self.apply(Input::Garble(slot)),
            Kind::Kill => self.apply(Input::Kill(slot)),
            Kind::Unable if op.how & 2 != 0 => self.apply(Input::Fill(slot, op.how & 1 != 0)),
            Kind::Unable => self.apply(Input::Unable(slot, op.how & 1 != 0)),
            Kind::Permit => {
                let permissions = if op.how & 1 == 0 { Permissions::asked() } else { Permissions::none() };
                self.apply(Input::Permit(REALM, ASKED, permissions));
            }
            Kind::Stale => self.apply(Input::Stale(slot, odd(op.what))),
            Kind::ShutDown if op.what == op.how => self.apply(Input::ShutDown),
            Kind::ShutDown => {}
            Kind::Goodbye => {
                let reason = if op.how & 1 == 0 { close::NORMAL } else { close::CLOSE_REALM };
                self.say(slot, Goodbye { details: Default::default(), reason });
            }
            Kind::Abort => self.say(slot, Abort::default()),
            Kind::Odd => self.say(slot, odd(op.what)),
            _ => self.request(slot, op),
        }
    }

    /// What only an open session can do.
    fn request(&mut self, slot: Slot, op: Op) {
        let Some(session) = self.driver.books(slot).session() else { return };
        // Now and then an id that leaves one out.
        let request = if op.how == 0xff { session.next_request.next() } else { session.next_request };
        let uri = Uri::from(URIS[usize::from(op.what) % URIS.len()]);
        let more = op.what >> 4;
        let number = self.number;
        self.number += 1;
        let message: Message = match op.kind {
            Kind::Subscribe => {
                let nkey = (more & 2 != 0).then(|| format!("node{}", more & 4));
                let options = SubscribeOptions { matching: matching(op.how), get_retained: more & 1 != 0, nkey };
                Subscribe { request, options, topic: uri }.into()
            }
            Kind::Unsubscribe => {
                let unknown = SubscriptionId::new(1 + u64::from(op.what)).expect("above 0");
                let subscription = nth(session.subscriptions.iter(), op.what).copied().unwrap_or(unknown);
                Unsubscribe { request, subscription }.into()
            }
            Kind::Publish => {
                let rkey = (more & 2 != 0).then(|| format!("key{}", more & 12));
                let (pass_thru, payload) = passed_thru(more, numbered(slot, number));
                let retain = more & 1 != 0;
                let options = PublishOptions { retain, rkey, pass_thru, ..self.publish_options(op.how) };
                Publish { request, options, topic: uri, payload }.into()
            }
            Kind::Register => Register { request, options: register_options(op.how, more), procedure: uri }.into(),
            Kind::Unregister => {
                let unknown = RegistrationId::new(1 + u64::from(op.what)).expect("above 0");
                let registration = nth(session.registrations.iter(), op.what).copied().unwrap_or(unknown);
                Unregister { request, registration }.into()
            }
            Kind::Call => {
                // Now and then the id of a call in flight.
                let request = if op.how == 0xfe { nth(calls(session), op.what).unwrap_or(request) } else { request };
                let (pass_thru, payload) = passed_thru(more, numbered(0, number));
                let options = CallOptions { pass_thru, ..call_options(op.how, more, number) };
                Call { request, options, procedure: uri, payload }.into()
            }
            Kind::Continue => {
                let Some((request, procedure)) = nth(self.parts.iter(), op.what) else { return };
                let may_continue = matches!(session.asked.get(request), Some(Asked::Call { sends: true, .. }));
                if !may_continue {
                    return;
                }
                let options = CallOptions { progress: op.how & 1 != 0, ..CallOptions::default() };
                let (request, procedure) = (*request, procedure.clone());
                Call { request, options, procedure, payload: numbered(0, number) }.into()
            }
            Kind::Meta => {
                let procedure = Uri::from(PROCEDURES[usize::from(op.what) % PROCEDURES.len()]);
                let payload = self.meta_arguments(session, op.how);
                Call { request, options: CallOptions::default(), procedure, payload }.into()
            }
            Kind::Cancel => {
                let Some(request) = nth(calls(session), op.what) else { return };
                Cancel { request, options: CancelOptions { mode: cancel_mode(op.how) } }.into()
            }
            Kind::Yield | Kind::Error => return self.answer(slot, op),
            _ => return,
        };
        if let Message::Call(Call { request, options: CallOptions { progress: true, .. }, procedure, .. }) = &message {
            self.parts.push_back((*request, procedure.clone()));
            self.parts.drain(..self.parts.len().saturating_sub(REMEMBERED));
        }
        self.say(slot, message);
    }

    /// Arguments that make sense to some procedure of the meta API, or to none.
    fn meta_arguments(&self, session: &Session, how: u8) -> Payload {
        let sessions = self.driver.slots().filter_map(|slot| self.driver.books(slot).session());
        let sessions: Vec<_> = sessions.map(|session| Value::from(session.id.get())).collect();
        let someone = nth(sessions.into_iter(), how >> 3).unwrap_or(Value::Null);
        let registration = nth(session.registrations.iter(), how >> 3).map_or(Value::Null, |id| id.get().into());
        let subscription = nth(session.subscriptions.iter(), how >> 3).map_or(Value::Null, |id| id.get().into());
        let uri = Value::from(URIS[usize::from(how >> 3) % URIS.len()]);
        match how % 9 {
            0 => Payload::empty(),
            1 => Payload::from_args([someone]),
            2 => Payload::from_args([registration]),
            3 => Payload::from_args([subscription]),
            4 => Payload::from_args([registration, someone]),
            5 => Payload::from_args([subscription, someone]),
            6 => Payload::from_args([uri]),
            7 => Payload::from_args([uri, Value::List(Vec::new()), Value::Dict(Dict::new())]),
            _ => Payload::from_args([Value::from(format!("peer{}", how >> 6))]),
        }
    }

    fn answer(&mut self, slot: Slot, op: Op) {
        let Some(session) = self.driver.books(slot).session() else { return };
        let open = nth(session.invocations.iter(), op.what).map(|(request, open)| (*request, open.clone()));
        // With nothing open: now and then an answer that comes twice, or to nothing.
        if open.is_none() && op.how < 0xf0 {
            return;
        }
        let request = open.as_ref().map_or(RequestId::FIRST, |(request, _)| *request);
        let payload = open.as_ref().map_or_else(Payload::empty, |(_, open)| open.payload.clone());
        // What is not a list of arguments says so; and now and then arguments do.
        let opaque = payload.as_opaque().map(|_| opaque());
        let pass_thru = opaque.or_else(|| (op.how & 0x1c == 0x1c).then(scheme)).map(Box::new);
        let message = if op.kind == Kind::Yield {
            // Progress that nobody asked for must not reach the caller.
            let options = YieldOptions { progress: op.how & 3 == 1, pass_thru };
            Yield { request, options, payload }.into()
        } else {
            let error = if op.how & 1 == 0 { Uri::from("com.error") } else { error::UNAVAILABLE };
            Message::from(Error {
                request_type: RequestType::Invocation,
                request,
                pass_thru,
                details: Default::default(),
                error,
                payload,
            })
        };
        self.say(slot, message);
    }

    fn join(&mut self, slot: Slot, how: u8) {
        self.apply(Input::Open(slot));
        if !matches!(self.driver.books(slot), Books::Idle) {
            return;
        }
        self.questions.clear();
        self.say(slot, hello(Some(REALM), how));
        let Some(request) = self.questions.back() else { return };
        let verdict = Ruling::Welcome.verdict(request, role(how));
        self.apply(Input::Decide(request.id, verdict));
    }

    fn publish_options(&self, how: u8) -> PublishOptions {
        let session = |slot: Slot| self.driver.books(slot).session().map(|session| session.id);
        let audience = match how >> 4 & 7 {
            1 => Some(Audience { exclude: session(0).into_iter().collect(), ..Audience::default() }),
            2 => Some(Audience {
                eligible: Some(self.driver.slots().filter_map(session).take(2).collect()),
                ..Audience::default()
            }),
            3 => Some(Audience { eligible: Some(Vec::new()), ..Audience::default() }),
            4 => Some(Audience { exclude_authrole: vec![ANYTHING.to_owned()], ..Audience::default() }),
            5 => Some(Audience { eligible_authrole: Some(vec![ASKED.to_owned()]), ..Audience::default() }),
            6 => Some(Audience { eligible_authid: Some(vec!["peer2".to_owned()]), ..Audience::default() }),
            7 => Some(Audience { exclude_authid: vec!["peer1".to_owned()], ..Audience::default() }),
            _ => None,
        };
        PublishOptions {
            acknowledge: how & 1 != 0,
            exclude_me: (how & 2 != 0).then_some(how & 4 != 0),
            disclose_me: how & 8 != 0,
            audience: audience.map(Box::new),
            ..PublishOptions::default()
        }
    }

    /// Everything that is open is answered, everybody leaves, and nothing is left.
    fn finish(&mut self) {
        for slot in self.driver.slots() {
            self.apply(Input::Unable(slot, false));
            self.apply(Input::Fill(slot, false));
            self.apply(Input::Congest(slot, Congestion::Clear));
        }
        // Each round answers what is open, and waits longer than any question is open, which makes way for what was held
        // behind it. There can not be more of that than there were operations.
        for _ in 0..=self.number {
            if self.is_at_rest() {
                break;
            }
            self.apply(Input::Wait(Duration::from_secs(20)));
            for slot in self.driver.slots() {
                self.perform(Op::new(Kind::Yield, slot as u8, 0, 0));
            }
        }
        for slot in self.driver.slots() {
            let waiting = self.driver.books(slot).session().map_or(0, |session| session.asked.len());
            assert_eq!(waiting, 0, "{slot} waits for an answer: {:?}", self.driver.books(slot));
        }
        for slot in self.driver.slots() {
            match slot % 3 {
                0 => self.apply(Input::Cut(slot)),
                1 => self.say(slot, Abort::default()),
                _ => self.say(slot, Goodbye { details: Default::default(), reason: close::NORMAL }),
            }
        }
        self.apply(Input::Wait(Duration::from_secs(60)));
        for slot in self.driver.slots() {
            assert!(!self.driver.is_attached(slot), "{slot} did not say HELLO again in time");
        }
        let stats = self.driver.router.stats();
        assert_eq!((stats.peers, stats.joining, stats.sessions, stats.undecided), (0, 0, 0, 0), "{stats:?}");
        // Those that keep a history stay.
        assert_eq!((stats.subscriptions, stats.registrations, stats.calls_in_flight, stats.timers), (2, 0, 0, 0));
    }

    fn is_at_rest(&self) -> bool {
        self.driver.slots().all(|slot| {
            let session = self.driver.books(slot).session();
            let done = session.is_none_or(|session| session.invocations.is_empty() && session.asked.is_empty());
            done && (self.driver.is_heard(slot) || !self.driver.is_attached(slot))
        })
    }
}

fn nth<T>(items: impl Iterator<Item = T> + Clone, what: u8) -> Option<T> {
    let count = items.clone().count();
    (count > 0).then(|| items.into_iter().nth(usize::from(what) % count)).flatten()
}

fn calls(session: &Session) -> impl Iterator<Item = RequestId> + Clone {
    let calls = session.asked.iter().filter(|(_, asked)| matches!(asked, Asked::Call { .. }));
    calls.map(|(request, _)| *request)
}

fn scheme() -> PassThru {
    PassThru { ppt_scheme: Some("x_custom".to_owned()), ..PassThru::default() }
}

fn opaque() -> PassThru {
    PassThru { enc_algo: Some("cryptobox".to_owned()), ..PassThru::default() }
}

/// Options and payload of payload passthru mode, of payload transparency, or of neither.
fn passed_thru(more: u8, payload: Payload) -> (Option<Box<PassThru>>, Payload) {
    match more {
        8 | 9 => (Some(Box::new(scheme())), payload),
        12 => (Some(Box::new(opaque())), Payload::opaque(Bytes::from_static(b"opaque"))),
        _ => (None, payload),
    }
}

fn role(how: u8) -> &'static str {
    [ANYTHING, ANYTHING, ANYTHING, ANYTHING, ASKED, ASKED, ADMIN, "frontend"][usize::from(how) % 8]
}

fn matching(how: u8) -> MatchPolicy {
    [MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard][usize::from(how) % 3]
}

fn cancel_mode(how: u8) -> Option<CancelMode> {
    [None, Some(CancelMode::Skip), Some(CancelMode::Kill), Some(CancelMode::KillNoWait)][usize::from(how) % 4]
}

/// HELLO; the upper bits choose what is announced.
fn hello(realm: Option<Uri>, how: u8) -> Hello {
    let all = Features::ALL.iter().fold(Features::NONE, |set, (feature, _)| set | *feature);
    let announced = usize::from(how >> 4) % 4;
    let callee = [Features::NONE, Features::CALL_CANCELING, all, Features::PROGRESSIVE_CALL_RESULTS][announced];
    let other = if announced == 0 { Features::NONE } else { all };
    let any = (how != 0xff).then_some(other);
    let roles = ClientRoles { caller: any, callee: any.map(|_| callee), publisher: any, subscriber: any };
    let authid = Some(format!("peer{}", how >> 6));
    Hello { realm, details: HelloDetails { roles, authid, ..HelloDetails::default() } }
}

fn answer(books: &Books, rightly: bool) -> String {
    let secret = if rightly { "secret" } else { "wrong" };
    match books {
        Books::Challenged(_, challenge) if challenge.method == "wampcra" => sign(&challenge.extra, secret),
        _ => secret.to_owned(),
    }
}

fn action_verdict(how: u8) -> ActionVerdict {
    let cache = (how & 8 != 0).then_some(Duration::from_secs(5));
    match how % 4 {
        0 | 1 => ActionVerdict::Allow { disclose: how % 4 == 1, cache },
        2 => ActionVerdict::Deny { cache },
        _ => ActionVerdict::Failed { message: "broken".to_owned() },
    }
}

fn register_options(how: u8, more: u8) -> RegisterOptions {
    use InvocationPolicy::*;
    RegisterOptions {
        matching: matching(how),
        invoke: [RoundRobin, Single, First, Last, Random][usize::from(how / 3) % 5],
        concurrency: [None, Some(1), Some(2)][usize::from(how / 15) % 3],
        force_reregister: more & 3 == 3,
        disclose_caller: (more & 4 != 0).then_some(true),
        forward_timeout: more & 8 != 0,
        nkey: (more & 9 == 1).then(|| format!("node{}", more & 4)),
    }
}

fn call_options(how: u8, more: u8, number: u64) -> CallOptions {
    CallOptions {
        receive_progress: how & 1 != 0,
        // Seldom two at the same time.
        timeout: (how & 2 != 0).then_some(u64::from(how >> 4) * (100 + number % 31)),
        disclose_me: how & 4 != 0,
        progress: more & 1 != 0,
        rkey: (more & 2 != 0).then(|| format!("key{}", more & 12)),
        ..CallOptions::default()
    }
}

/// Messages that a router never wants, or not from everybody at any time.
fn odd(what: u8) -> Message {
    let request = RequestId::FIRST;
    let uri = || Uri::from("com.a");
    match what % 9 {
        0 => ChallengeMessage::default().into(),
        1 => Hello::default().into(),
        2 => Authenticate::default().into(),
        3 => Subscribed { request, subscription: SubscriptionId::new(1).expect("above 0") }.into(),
        4 => Yield {
            request: RequestId::new(1 << 50).expect("in range"),
            options: YieldOptions::default(),
            payload: Payload::empty(),
        }
        .into(),
        5 => Error {
            request_type: RequestType::Call,
            request,
            pass_thru: None,
            details: Default::default(),
            error: uri(),
            payload: Payload::empty(),
        }
        .into(),
        6 => Cancel { request: RequestId::new(1 << 50).expect("in range"), options: CancelOptions::default() }.into(),
        7 => CallResult { request, details: ResultDetails::default(), payload: Payload::empty() }.into(),
        _ => Interrupt { request, options: InterruptOptions::default() }.into(),
    }
}
