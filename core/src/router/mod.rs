//! The router: a broker and a dealer for any number of peers, without IO.
//!
//! # Driving it
//!
//! 1. Give one input ([`Router::open`], [`Router::receive`], [`Router::connection_lost`], [`Router::handle_timeout`], ...),
//!    then drain [`Router::poll_output`] until it returns `None`, then give the next input. Answers to
//!    [`Output::Authenticate`] may be given inside the drain.
//! 2. `now` never goes back.
//! 3. Call [`Router::handle_timeout`] at [`Router::next_deadline`]; earlier calls are harmless. It may be in the past:
//!    then a long request is gone on with, see [`Limits::work_slice`].
//! 4. Do not hand in messages of a peer while [`Router::wants_input`] is false for it. [`Output::InputReady`] tells when
//!    it is true again.
//! 5. Outputs come in the order in which they must reach each peer.
//! 6. Nothing follows [`Output::Close`] for a peer; its key is then stale. Inputs for stale keys are ignored.
//!
//! What a peer does wrong ends that peer, never the router: no input can fail or panic for it.

mod audience;
mod authorize;
mod broker;
mod call;
mod config;
mod dealer;
mod features;
mod handshake;
mod history;
mod invariants;
mod leaving;
mod link;
mod meta;
mod output;
mod passthru;
pub(crate) mod pattern;
mod peer;
pub mod permission;
mod proof;
mod publication;
mod realm;
mod registration;
mod rendezvous;
mod retained;
mod revocation;
mod session;
mod shares;
mod stats;
mod subscribers;
mod testament;
mod throttle;
mod timers;
mod work;

pub use config::{
    EventHistory, Farewell, ForceReregister, Limits, RealmConfig, RequestIdCheck, RoleConfig, RouterConfig,
    SlowSubscribers,
};
pub use output::{
    ActionRequest, ActionVerdict, AuthRequest, AuthStep, AuthVerdict, Challenge, CloseReason, Congestion, Identity,
    LinkInfo, Output, Overloaded, Recipients, StaleDecision, Violation,
};
pub use permission::{Action, Allow, Disclose, Permissions, Rule};
pub use stats::RouterStats;
pub use throttle::Origin;

use crate::arena::{Arena, key};
use crate::codec::{DecodeError, TranscodeError};
use crate::hash::{HashMap, Seed};
use crate::id::{RequestId, SessionId};
use crate::message::{Error, Message, Payload, RawDict, RequestType};
use crate::time::{Instant, UnixTime};
use crate::uri::{Uri, error};
use crate::value::Value;
use authorize::Held;
use call::{CallKind, Calls, DueLine};
use history::History;
use meta::MetaEvent;
use peer::{Peer, Question, State};
use rand_core::CryptoRng;
use realm::Realms;
use session::{Sent, Session};
use std::collections::{BTreeMap, VecDeque};
use throttle::Throttle;
use timers::{TimerKey, Timers};
use work::{Job, Work};

key! {
    /// A transport attached to the router, before, during and after its session.
    ///
    /// [`PeerKey::index`] is dense: adapters may index a `Vec` with it. An index is used again after its peer is gone,
    /// then with another generation, so that a stale key is never taken for a new peer.
    pub PeerKey
}

key! {
    /// A question the router has asked.
    pub DecisionId
}

/// Why a message could not be written for a receiver, for [`Router::undeliverable`] and
/// [`Client::undeliverable`](crate::client::Client::undeliverable).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Undeliverable {
    /// The receiver's serializer can not carry the payload.
    Transcode(TranscodeError),
    /// The message is larger than the receiver accepts.
    TooLarge {
        /// Size of the message in bytes.
        size: usize,
        /// The receiver's limit in bytes.
        limit: usize,
    },
    /// Too much waits to be written to the receiver.
    ///
    /// An adapter leaves out whatever [`Message::may_be_left_out`] when more than some part of its limit waits, and
    /// everything else above the limit: so that the events and calls of others do not take the room that the answers to
    /// a peer's own requests need.
    Congested {
        /// Bytes that wait.
        waiting: usize,
        /// How many may when such a message comes.
        limit: usize,
    },
}

impl Undeliverable {
    /// The error for whoever waits for the message, and a text for people.
    pub(crate) fn describe(&self) -> (Uri, String) {
        let error = match self {
            Self::Transcode(_) => error::INVALID_ARGUMENT,
            Self::TooLarge { .. } => error::PAYLOAD_SIZE_EXCEEDED,
            Self::Congested { .. } => error::RESOURCE_LIMIT,
        };
        (error, self.to_string())
    }
}

impl core::fmt::Display for Undeliverable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Transcode(why) => write!(f, "payload can not be carried: {why}"),
            Self::TooLarge { size, limit } => {
                write!(f, "message of {size} bytes is over the receiver's limit of {limit} bytes")
            }
            Self::Congested { waiting, limit } => {
                write!(f, "{waiting} bytes wait to be written to the receiver, more than {limit}")
            }
        }
    }
}

impl core::error::Error for Undeliverable {}

/// A WAMP router: see the [module's documentation](self) for how to drive it.
pub struct Router {
    config: RouterConfig,
    start: (Instant, UnixTime),
    rng: Box<dyn CryptoRng + Send>,
    seed: Seed,
    peers: Arena<PeerKey, Peer>,
    /// Peers that have not joined, by the order in which they began to wait.
    joining: BTreeMap<u64, PeerKey>,
    next_joining: u64,
    /// Every session id in use, joined or reserved by a handshake.
    sessions: HashMap<SessionId, PeerKey>,
    /// Sessions that have ended, of which something is still in the tables, by their peers.
    leaving: HashMap<PeerKey, SessionId>,
    realms: Realms,
    calls: Calls,
    decisions: Arena<DecisionId, Question>,
    timers: Timers,
    throttle: Throttle,
    outputs: VecDeque<Output>,
    /// What ended sessions have left; published when there are no other outputs.
    testaments_due: VecDeque<testament::Due>,
    /// Lines of calls that may move on; they do when there are no other outputs.
    due_lines: VecDeque<DueLine>,
    /// Callers that may be read from again; told when all else has been put out, if it is still so then.
    unstalled: VecDeque<PeerKey>,
    /// Events of the meta API to be published before the input is done with.
    meta_events: VecDeque<MetaEvent>,
    /// What was begun, and is gone on with in turn.
    jobs: VecDeque<Job>,
    work: Work,
    stats: RouterStats,
    shutting_down: bool,
}

impl Router {
    /// A router with nothing attached. `wall` is the wall-clock time at `now`; `rng` is the source of session and
    /// publication ids, nonces and hash keys.
    pub fn new(mut config: RouterConfig, now: Instant, wall: UnixTime, mut rng: Box<dyn CryptoRng + Send>) -> Self {
        let seed = Seed::new(rng.next_u64());
        let realms = Realms::new(core::mem::take(&mut config.realms), wall, &seed);
        let work = Work::new(config.limits.work_slice);
        Self {
            config,
            start: (now, wall),
            rng,
            peers: Arena::new(),
            joining: BTreeMap::new(),
            next_joining: 0,
            sessions: seed.map(),
            leaving: seed.map(),
            realms,
            calls: Arena::new(),
            decisions: Arena::new(),
            timers: Timers::default(),
            throttle: Throttle::default(),
            outputs: VecDeque::new(),
            testaments_due: VecDeque::new(),
            due_lines: VecDeque::new(),
            unstalled: VecDeque::new(),
            meta_events: VecDeque::new(),
            jobs: VecDeque::new(),
            work,
            stats: RouterStats::default(),
            shutting_down: false,
            seed,
        }
    }

    /// Attaches a transport, from which HELLO is now awaited.
    ///
    /// With [`Limits::max_joining_peers`] waiting already, the one that has waited longest is dropped.
    ///
    /// # Errors
    /// [`Overloaded`]: the adapter should close the transport. Nothing has been attached.
    pub fn open(&mut self, now: Instant, link: LinkInfo) -> Result<PeerKey, Overloaded> {
        if self.shutting_down {
            return Err(Overloaded::ShuttingDown);
        }
        // Who has left counts as long as what it owned is there.
        if self.peers.len() + self.leaving.len() >= self.config.limits.max_peers {
            self.stats.peers_refused += 1;
            return Err(Overloaded::TooManyPeers);
        }
        self.work.begin();
        let key = self.peers.insert(Peer::new(link));
        self.await_hello(now, key);
        Ok(key)
    }

    /// A message from a peer.
    pub fn receive(&mut self, now: Instant, peer: PeerKey, message: Message) {
        self.receive_message(now, peer, message);
        self.publish_meta_events();
    }

    // One function, since each that takes the message and looks at it copies it.
    fn receive_message(&mut self, now: Instant, peer: PeerKey, message: Message) {
        let Some(entry) = self.peers.get(peer) else { return };
        self.work.begin();
        let State::Joined(session) = &entry.state else { return self.receive_unjoined(now, peer, message) };
        let sent = Sent::new(&message, &session.roles);
        if let Some(pass_thru) = sent.pass_thru
            && let Some(violation) = passthru::violation(pass_thru, message.name(), sent.role, sent.announced)
        {
            return self.violate(now, peer, violation);
        }
        let Some(request) = sent.request else { return self.receive_other(now, peer, message) };
        let (role, lacks_role) = (sent.role, sent.announced.is_none());
        if let Message::Call(call) = &message {
            let (goes_on, has_streams) = (call.options.progress, !session.streams.is_empty());
            let kind = self.call_kind(session, call);
            if goes_on || has_streams {
                self.note_stream(peer, request, goes_on);
            }
            match kind {
                CallKind::New => {}
                CallKind::Part => {
                    if let Message::Call(part) = message {
                        self.receive_part(now, peer, part);
                    }
                    return;
                }
                CallKind::Late => return self.stats.late_call_parts += 1,
                CallKind::Breach(violation) => return self.violate(now, peer, violation),
            }
        }
        if !self.accept_request(now, peer, request) {
            return;
        }
        if lacks_role {
            return self.refuse_role(peer, &message, role);
        }
        let Some(session) = self.peers.get_mut(peer).and_then(Peer::session_mut) else { return };
        match &mut session.waiting {
            Some(waiting) => waiting.hold(Held::Request(message), &self.config.limits, &mut self.stats),
            None => self.process(now, peer, message),
        }
    }

    /// A message from a peer without an open session.
    fn receive_unjoined(&mut self, now: Instant, peer: PeerKey, message: Message) {
        let Some(entry) = self.peers.get(peer) else { return };
        if matches!(message, Message::Abort(_)) {
            return self.receive_abort(now, peer);
        }
        match &entry.state {
            State::AwaitHello => match message {
                Message::Hello(hello) => self.receive_hello(now, peer, hello),
                other => self.unexpected(now, peer, &["HELLO"], &other),
            },
            State::AwaitAuthenticate(..) => match message {
                Message::Authenticate(answer) => self.receive_authenticate(now, peer, answer),
                other => self.unexpected(now, peer, &["AUTHENTICATE"], &other),
            },
            State::AwaitVerdict(..) => self.violate(now, peer, Violation::SentWhileUndecided(message.name())),
            // The session is over: everything but GOODBYE is ignored (spec: "Session Close").
            State::AwaitGoodbye => {
                if matches!(message, Message::Goodbye(_)) {
                    let reason = if self.shutting_down { CloseReason::Shutdown } else { CloseReason::Goodbye };
                    self.close(peer, reason);
                }
            }
            State::Joined(_) => {}
        }
    }

    /// Bytes from a peer that are not a message: ABORT `wamp.error.protocol_violation`; ignored like all else if its
    /// session is over and only GOODBYE is awaited.
    pub fn receive_invalid(&mut self, now: Instant, peer: PeerKey, error: DecodeError) {
        if self.peers.get(peer).is_some_and(|peer| !matches!(peer.state, State::AwaitGoodbye)) {
            self.work.begin();
            self.violate(now, peer, Violation::Undecodable(error));
            self.publish_meta_events();
        }
    }

    /// A message from [`Output::Send`] could not be written for one of its receivers. May be called inside the drain.
    ///
    /// Whoever waits for an answer gets an ERROR in its place; an EVENT is skipped for this receiver. With
    /// [`Undeliverable::Congested`] a receiver is given up for which a message was meant that may not be left out.
    pub fn undeliverable(&mut self, now: Instant, peer: PeerKey, message: Message, why: &Undeliverable) {
        if matches!(why, Undeliverable::Congested { .. }) {
            self.left_out(now, peer, message);
        } else {
            self.stats.undeliverable += 1;
            let (error, text) = why.describe();
            self.answer_undeliverable(now, peer, message, error, &text);
        }
        self.publish_meta_events();
    }

    /// The topic of an EVENT, or the procedure of an INVOCATION, that is sent to a peer: that of its subscription or
    /// registration if the message does not name it. `None` for other messages.
    pub fn uri_of<'a>(&'a self, peer: PeerKey, message: &'a Message) -> Option<&'a Uri> {
        let realm = || Some(self.realms.get(self.session(peer)?.realm));
        match message {
            Message::Event(event) => event
                .details
                .topic
                .as_ref()
                .or_else(|| Some(&realm()?.broker.subscriptions.get(event.subscription)?.uri)),
            Message::Invocation(invocation) => invocation
                .details
                .procedure
                .as_ref()
                .or_else(|| Some(&realm()?.dealer.registrations.get(invocation.registration)?.uri)),
            _ => None,
        }
    }

    /// The peer's transport is gone.
    pub fn connection_lost(&mut self, now: Instant, peer: PeerKey) {
        if self.peers.get(peer).is_none() {
            return;
        }
        self.work.begin();
        self.end_session(now, peer);
        self.detach(peer);
        self.publish_meta_events();
    }

    /// How full the queue of bytes to a peer is now. May be called inside the drain, and should be after each output that
    /// changes it: what can wait is put out one by one, so that the router can stop in time.
    pub fn set_congestion(&mut self, now: Instant, peer: PeerKey, level: Congestion) {
        let Some(entry) = self.peers.get_mut(peer) else { return };
        let waited = !entry.wants_input(&self.config.limits);
        self.work.begin();
        let changed = core::mem::replace(&mut entry.congestion, level) != level;
        if level == Congestion::Hard {
            self.give_up(now, peer);
            return self.publish_meta_events();
        }
        if waited && self.wants_input(peer) {
            self.outputs.push_back(Output::InputReady(peer));
        }
        if changed {
            self.congestion_changed(now, peer);
        }
    }

    /// Sends a peer away that does not read what is sent to it: the last resort.
    fn give_up(&mut self, now: Instant, peer: PeerKey) {
        self.stats.slow_consumers += 1;
        self.end_session(now, peer);
        self.close(peer, CloseReason::SlowConsumer);
    }

    /// The answer to an [`Output::Authenticate`]. May be called inside the drain.
    ///
    /// # Errors
    /// [`StaleDecision`]: the question is no longer asked. The answer has no effect, which is safe to ignore.
    pub fn decide_auth(&mut self, now: Instant, id: DecisionId, verdict: AuthVerdict) -> Result<(), StaleDecision> {
        self.work.begin();
        let taken = self.take_verdict(now, id, verdict);
        self.publish_meta_events();
        taken
    }

    /// The answer to an [`Output::Authorize`]. May be called inside the drain.
    ///
    /// # Errors
    /// [`StaleDecision`]: the question is no longer asked. The answer has no effect, which is safe to ignore.
    pub fn decide_action(&mut self, now: Instant, id: DecisionId, verdict: ActionVerdict) -> Result<(), StaleDecision> {
        self.work.begin();
        self.take_action_verdict(now, id, verdict)
    }

    /// Replaces what a role of a realm may do, from the next request on; verdicts cached for it are dropped, and
    /// registrations and subscriptions that it may no longer have are taken back, as much at once as
    /// [`Limits::work_slice`] lets an input do. Returns whether there is such a role.
    pub fn set_permissions(&mut self, realm: &Uri, role: &str, permissions: Permissions) -> bool {
        let Some(key) = self.realms.find(realm) else { return false };
        self.work.begin();
        let realm = self.realms.get_mut(key);
        let changed = realm.set_permissions(role, permissions);
        if let Some(role) = realm.role(role) {
            self.revoke_denied(key, role);
        }
        self.publish_meta_events();
        changed
    }

    /// Acts on deadlines that are due, and goes on with what earlier inputs began: as much of each as
    /// [`Limits::work_slice`] lets an input do. If that was not all, [`Router::next_deadline`] is still in the past.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.work.begin();
        self.work.begin_slice();
        while !self.work.is_spent()
            && let Some(key) = self.timers.pop_due(now)
        {
            self.work.add(work::ITEM);
            match key {
                TimerKey::Peer(peer) => self.peer_overdue(now, peer),
                TimerKey::Call(call) => {
                    if let Some(entry) = self.calls.get_mut(call) {
                        entry.deadline = None;
                    }
                    self.call_overdue(call);
                }
                TimerKey::Publisher(peer) => self.release_publisher(peer),
                TimerKey::Stall(call) => self.stalled_overdue(call),
                TimerKey::Patience(peer) => self.patience_over(peer),
            }
        }
        self.go_on_with_jobs(now);
        self.publish_meta_events();
    }

    /// Ends one session at the router's wish: GOODBYE with this reason and message. It can do nothing more, whether it
    /// answers or not. Returns whether there was such a session.
    pub fn kill(&mut self, now: Instant, session: SessionId, reason: Uri, message: &str) -> bool {
        let Some(&peer) = self.sessions.get(&session) else { return false };
        let joined = self.session(peer).is_some();
        self.work.begin();
        if joined {
            self.dismiss(now, peer, reason, Some(message));
            self.publish_meta_events();
        }
        joined
    }

    /// Ends everything: GOODBYE `wamp.close.system_shutdown` to every session, ABORT to every peer that has not joined.
    /// Each is closed when it has answered, or failed to in time. New transports are refused. What does not fit into a slice
    /// of work is done by [`Router::handle_timeout`].
    ///
    /// With [`Farewell::Silent`] sessions are closed at once, and other peers cut off, without a word; in-process services
    /// still get GOODBYE.
    pub fn shut_down(&mut self, now: Instant) {
        self.shutting_down = true;
        self.work.begin();
        self.work.begin_slice();
        self.start(now, Job::ShutDown(0));
    }

    /// The next thing to do; `None` when there is nothing until the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() {
            self.put_out_due();
        }
        self.outputs.pop_front()
    }

    /// When to call [`Router::handle_timeout`]; at once if this is in the past.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.has_work() { Some(Instant::ZERO) } else { self.timers.next() }
    }

    /// Whether messages of this peer may be handed in now. False for a stale key.
    pub fn wants_input(&self, peer: PeerKey) -> bool {
        self.peers.get(peer).is_some_and(|peer| peer.wants_input(&self.config.limits))
    }

    /// Whether an [`Output::Authenticate`] about this peer waits for its answer. Nothing that the peer has sent since is of
    /// use once its transport is lost: call [`Router::connection_lost`] then, and the question is withdrawn.
    pub fn is_undecided(&self, peer: PeerKey) -> bool {
        matches!(self.peers.get(peer).map(|peer| &peer.state), Some(State::AwaitVerdict(..)))
    }

    /// Counters, and how much the router holds now.
    pub fn stats(&self) -> RouterStats {
        RouterStats {
            peers: self.peers.len(),
            joining: self.joining.len(),
            leaving: self.leaving.len(),
            subscriptions: self.realms.iter().map(|realm| realm.broker.subscriptions.len()).sum(),
            registrations: self.realms.iter().map(|realm| realm.dealer.registrations.len()).sum(),
            calls_in_flight: self.calls.len(),
            undecided: self.decisions.len(),
            timers: self.timers.len(),
            tracked_logins: self.throttle.len(),
            retained_events: self.realms.iter().map(|realm| realm.broker.retained.events()).sum(),
            retained_bytes: self.realms.iter().map(|realm| realm.broker.retained.bytes()).sum(),
            history_events: self.realms.iter().flat_map(|realm| realm.broker.histories()).map(History::len).sum(),
            history_bytes: self.realms.iter().flat_map(|realm| realm.broker.histories()).map(History::bytes).sum(),
            ..self.stats
        }
    }

    /// What an open session sends beside requests.
    fn receive_other(&mut self, now: Instant, peer: PeerKey, message: Message) {
        match message {
            Message::Yield(answer) => self.receive_yield(now, peer, answer),
            Message::Error(answer) if answer.request_type == RequestType::Invocation => {
                self.receive_invocation_error(now, peer, answer);
            }
            Message::Cancel(cancel) => self.receive_cancel(now, peer, &cancel),
            Message::Goodbye(goodbye) => self.receive_goodbye(now, peer, &goodbye),
            Message::Abort(_) => self.receive_abort(now, peer),
            Message::EventReceived(_) => {}
            other => self.unexpected(now, peer, &["a request", "an answer to an INVOCATION", "GOODBYE"], &other),
        }
    }

    /// Never answered (spec: "Session Establishment", ABORT).
    fn receive_abort(&mut self, now: Instant, peer: PeerKey) {
        self.end_session(now, peer);
        self.close(peer, CloseReason::AbortedByPeer);
    }

    fn unexpected(&mut self, now: Instant, peer: PeerKey, expected: &'static [&'static str], got: &Message) {
        self.violate(now, peer, Violation::UnexpectedMessage { expected, got: got.name() });
    }

    fn peer_overdue(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.deadline = None;
        match &peer.state {
            State::AwaitVerdict(_, handshake) => {
                let session = handshake.session;
                self.verdict_overdue(key, session);
            }
            State::AwaitHello | State::AwaitAuthenticate(..) => {
                self.stats.timeouts += 1;
                self.send_abort(key, error::AUTHENTICATION_FAILED, "handshake took too long");
                self.close(key, CloseReason::Timeout);
            }
            State::AwaitGoodbye => {
                self.stats.timeouts += 1;
                self.close(key, CloseReason::Timeout);
            }
            State::Joined(_) => self.action_overdue(now, key),
        }
    }

    /// Puts a peer without a session among those that are awaited to say HELLO.
    fn await_hello(&mut self, now: Instant, key: PeerKey) {
        if self.joining.len() >= self.config.limits.max_joining_peers
            && let Some((_, oldest)) = self.joining.pop_first()
        {
            self.stats.joining_dropped += 1;
            self.close(oldest, CloseReason::Overload);
        }
        let place = self.next_joining;
        self.next_joining += 1;
        self.joining.insert(place, key);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.state = State::AwaitHello;
            peer.joining = Some(place);
        }
        self.set_deadline(key, now.after(self.config.limits.handshake_timeout));
    }

    fn leave_joining(&mut self, key: PeerKey) {
        if let Some(place) = self.peers.get_mut(key).and_then(|peer| peer.joining.take()) {
            self.joining.remove(&place);
        }
    }

    fn set_deadline(&mut self, key: PeerKey, at: Instant) {
        self.clear_deadline(key);
        if let Some(peer) = self.peers.get_mut(key) {
            peer.deadline = Some(at);
            self.timers.set(at, TimerKey::Peer(key));
        }
    }

    fn clear_deadline(&mut self, key: PeerKey) {
        if let Some(at) = self.peers.get_mut(key).and_then(|peer| peer.deadline.take()) {
            self.timers.cancel(at, TimerKey::Peer(key));
        }
    }

    /// The last output for a peer that has no session (any more).
    fn close(&mut self, peer: PeerKey, reason: CloseReason) {
        if self.peers.get(peer).is_some() {
            self.outputs.push_back(Output::Close { peer, reason });
            self.detach(peer);
        }
    }

    /// Forgets a peer that has no session (any more).
    fn detach(&mut self, key: PeerKey) {
        self.forget_handshake(key);
        self.clear_deadline(key);
        self.leave_joining(key);
        let Some(Peer { throttled, patience, .. }) = self.peers.remove(key) else { return };
        if let Some(until) = throttled {
            self.timers.cancel(until, TimerKey::Publisher(key));
        }
        if let Some(until) = patience {
            self.timers.cancel(until, TimerKey::Patience(key));
        }
    }

    fn session(&self, key: PeerKey) -> Option<&Session> {
        self.peers.get(key).and_then(Peer::session)
    }

    /// Answers a request with an ERROR of the router's own.
    fn fail(&mut self, key: PeerKey, request_type: RequestType, request: RequestId, error: Uri, text: String) {
        let payload = Payload::from_args([Value::from(text)]);
        self.send(key, Error { request_type, request, pass_thru: None, details: RawDict::new(), error, payload });
    }

    fn wall_clock(&self, now: Instant) -> UnixTime {
        let (start, wall) = self.start;
        wall.after(now.since(start))
    }
}

impl core::fmt::Debug for Router {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Router").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
