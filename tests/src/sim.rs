//! A router and any number of clients in one simulated world.
//!
//! Nothing in it waits: [`Sim::step`] does one thing that is due (a delivery, a verdict, a timeout; of several, one at
//! random), or else jumps to the next moment at which something is. Everything random comes from the seed.
//!
//! The world watches the router's contract all the time: after each input [`Router::check_invariants`] holds, nothing
//! is sent to a peer after its Close, nobody gets a message twice, [`Output::InputReady`] tells the truth, and every message
//! is valid for its receiver ([`validator`](crate::validator)).

use crate::answerer::{REALM, everybody};
use crate::config::{ANYTHING, open_realm};
use crate::link::{Arrival, Pipe, Wire};
use crate::rng::{BeginningWith, Pcg};
use crate::validator::check_message;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use wampd_core::client::{Client, ClientConfig, ClientEvent, ClientOutput};
use wampd_core::codec::{Format, encode};
use wampd_core::message::{ChallengeMessage, ClientRoles, Message, Welcome};
use wampd_core::router::{
    ActionRequest, ActionVerdict, AuthRequest, AuthVerdict, CloseReason, Congestion, DecisionId, LinkInfo, Output,
    PeerKey, Router, RouterConfig, Undeliverable,
};
use wampd_core::time::{Instant, UnixTime};

/// When the simulated world begins, in wall-clock time: 2026-01-01.
pub const BEGINNING: UnixTime = UnixTime(1_767_225_600_000_000);

/// Decides who may join: verdicts, each after a delay. None at all: silence.
pub type Answerer = Box<dyn FnMut(&AuthRequest, &mut Pcg) -> Vec<(Duration, AuthVerdict)>>;

/// Decides who may act, for roles that are asked about: verdicts, each after a delay. None at all: silence.
pub type Authorizer = Box<dyn FnMut(&ActionRequest, &mut Pcg) -> Vec<(Duration, ActionVerdict)>>;

/// A client or a bare peer of a [`Sim`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndId(pub usize);

/// What an end of the world has been told.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// A client's application: something happened.
    Event(ClientEvent),
    /// A bare peer: a message came.
    Message(Message),
    /// A bare peer: its link was closed by the router, or cut.
    End,
}

/// The world.
pub struct Sim {
    /// The time in it.
    pub now: Instant,
    /// The router.
    pub router: Router,
    /// One line for each message that was put on a link, and for each Close.
    pub trace: Vec<String>,
    /// Why the router closed transports, in order.
    pub closed: Vec<(EndId, CloseReason)>,
    rng: Pcg,
    delay: Duration,
    answerer: Answerer,
    authorizer: Option<Authorizer>,
    ends: Vec<End>,
    peers: BTreeMap<PeerKey, EndId>,
    /// What each peer announced in its last HELLO.
    announced: BTreeMap<PeerKey, ClientRoles>,
    verdicts: BTreeMap<(Instant, u64), (DecisionId, Verdict)>,
    asked: u64,
    told: VecDeque<(EndId, Told)>,
}

enum Verdict {
    Join(AuthVerdict),
    Act(ActionVerdict),
}

struct End {
    wire: Wire,
    /// `None`: a bare peer, whose messages the test makes itself.
    client: Option<Client>,
    link: Option<Link>,
    fill: Fill,
}

/// How much waits to be written to an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fill {
    /// Little.
    #[default]
    Little,
    /// So much that there is no room for what may be left out.
    Much,
    /// So much that there is no room for anything.
    TooMuch,
    /// Too much for the router to go on, after so many further messages.
    After(usize),
}

struct Link {
    /// `None` once the router has closed its side or lost it.
    peer: Option<PeerKey>,
    up: Pipe,
    down: Pipe,
}

/// A thing that can be done at a certain time.
#[derive(Clone, Copy, Debug)]
enum Due {
    Up(EndId),
    Down(EndId),
    Verdict((Instant, u64)),
    RouterTimeout,
    ClientTimeout(EndId),
}

impl Sim {
    /// A world with a router in it. Messages take up to `delay`.
    pub fn new(seed: u64, config: RouterConfig, delay: Duration, answerer: Answerer) -> Self {
        Self::with_hash_key(seed, seed, config, delay, answerer)
    }

    /// A world whose router has hash maps with a key of their own, which nobody may notice.
    pub fn with_hash_key(seed: u64, key: u64, config: RouterConfig, delay: Duration, answerer: Answerer) -> Self {
        let mut rng = Pcg::new(seed);
        let router_rng = Box::new(BeginningWith::new(key, rng.fork()));
        Self {
            now: Instant::ZERO,
            router: Router::new(config, Instant::ZERO, BEGINNING, router_rng),
            trace: Vec::new(),
            closed: Vec::new(),
            rng,
            delay,
            answerer,
            authorizer: None,
            ends: Vec::new(),
            peers: BTreeMap::new(),
            announced: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            asked: 0,
            told: VecDeque::new(),
        }
    }

    /// A world without delays in which everybody may join as [`ANYTHING`], with so many clients that have joined.
    pub fn joined<const N: usize>(seed: u64, wires: [Wire; N]) -> (Self, [EndId; N]) {
        let mut sim = Self::new(seed, open_realm(), Duration::ZERO, everybody(ANYTHING));
        let ids = wires.map(|wire| sim.client(ClientConfig::anonymous(REALM), wire));
        let events = sim.events();
        assert!(events.len() == N && ids.iter().all(|id| sim.get(*id).is_joined()), "{events:?}");
        (sim, ids)
    }

    /// Who decides on the actions of roles that are asked about.
    pub fn authorize_by(&mut self, authorizer: Authorizer) {
        self.authorizer = Some(authorizer);
    }

    // ---- the ends ----

    /// Adds a client and connects it.
    pub fn client(&mut self, config: ClientConfig, wire: Wire) -> EndId {
        self.client_on(config, wire, LinkInfo::default())
    }

    /// Adds a client and connects it over a link that the router knows something about.
    pub fn client_on(&mut self, config: ClientConfig, wire: Wire, info: LinkInfo) -> EndId {
        let client = Client::with_rng(config, Box::new(self.rng.fork()));
        let id = self.add(wire, Some(client));
        self.connect(id, info);
        id
    }

    /// Adds a bare peer and connects it: a test sends messages by hand.
    pub fn bare(&mut self, wire: Wire) -> EndId {
        self.bare_on(wire, LinkInfo::default())
    }

    /// Adds a bare peer and connects it over a link that the router knows something about.
    pub fn bare_on(&mut self, wire: Wire, info: LinkInfo) -> EndId {
        let id = self.add(wire, None);
        self.connect(id, info);
        id
    }

    /// Connects an end that has no link. Returns false if the router does not take it.
    pub fn connect(&mut self, id: EndId, info: LinkInfo) -> bool {
        assert!(self.ends[id.0].link.is_none(), "connected already");
        let channel = info.channel_binding;
        let Ok(peer) = self.router.open(self.now, info) else { return false };
        let wire = self.ends[id.0].wire;
        let mut pipe = || Pipe::new(wire, self.delay, self.rng.fork());
        self.ends[id.0].link = Some(Link { peer: Some(peer), up: pipe(), down: pipe() });
        assert_eq!(self.peers.insert(peer, id), None, "a key given out twice");
        self.drain_router();
        if let Some(client) = &mut self.ends[id.0].client {
            client.connected_over(self.now, channel);
        }
        self.drain_client(id);
        true
    }

    /// Whether the end has a link, be it half dead.
    pub fn is_connected(&self, id: EndId) -> bool {
        self.ends[id.0].link.is_some()
    }

    /// The end's key with the router, as long as the router knows it.
    pub fn peer(&self, id: EndId) -> Option<PeerKey> {
        self.ends[id.0].link.as_ref()?.peer
    }

    /// The client. Drain it with [`Sim::act`].
    pub fn get(&self, id: EndId) -> &Client {
        self.ends[id.0].client.as_ref().expect("a client, not a bare peer")
    }

    /// The client's session.
    pub fn session(&self, id: EndId) -> &Welcome {
        self.get(id).session().expect("joined")
    }

    /// All ends.
    pub fn ends(&self) -> impl Iterator<Item = EndId> + use<> {
        (0..self.ends.len()).map(EndId)
    }

    /// Lets the client's application do something.
    pub fn act<R>(&mut self, id: EndId, what: impl FnOnce(&mut Client, Instant) -> R) -> R {
        let client = self.ends[id.0].client.as_mut().expect("a client, not a bare peer");
        let done = what(client, self.now);
        self.drain_client(id);
        done
    }

    /// Sends a message from a bare peer, or behind a client's back. Lost if there is no link.
    pub fn send(&mut self, id: EndId, message: impl Into<Message>) {
        let message = message.into();
        self.note(id, "->", &message);
        if let Some(link) = &mut self.ends[id.0].link {
            link.up.send(self.now, &message).expect("a message made by a test can be encoded");
        }
    }

    /// Sends bytes that need not be a message. On a link of messages, which has no bytes, it is a message that nobody
    /// may send.
    pub fn send_frame(&mut self, id: EndId, frame: &[u8]) {
        if self.ends[id.0].wire == Wire::Messages {
            return self.send(id, ChallengeMessage::default());
        }
        if let Some(link) = &mut self.ends[id.0].link {
            link.up.send_frame(self.now, frame);
        }
    }

    /// Closes the link from the end's side: what it sent still arrives.
    pub fn hang_up(&mut self, id: EndId) {
        if let Some(link) = &mut self.ends[id.0].link {
            link.up.close(self.now);
        }
    }

    /// Cuts the link: of what is under way, something is lost in each direction.
    pub fn cut(&mut self, id: EndId) {
        if let Some(link) = &mut self.ends[id.0].link {
            link.up.cut(self.now);
            link.down.cut(self.now);
            self.trace.push(format!("{} {} cut", self.now.as_micros(), id.0));
        }
    }

    /// Tells the router how full the queue to this end is.
    pub fn congest(&mut self, id: EndId, level: Congestion) {
        if let Some(peer) = self.peer(id) {
            self.router.set_congestion(self.now, peer, level);
            self.drain_router();
        }
    }

    /// From now on so much waits to be written to this end.
    pub fn fill(&mut self, id: EndId, fill: Fill) {
        self.ends[id.0].fill = fill;
    }

    /// Gives the router an input of another kind.
    pub fn with_router<R>(&mut self, what: impl FnOnce(&mut Router, Instant) -> R) -> R {
        let done = what(&mut self.router, self.now);
        self.drain_router();
        done
    }

    // ---- time ----

    /// Does one thing, if there is anything to do, or else moves to the next moment at which there is.
    pub fn step(&mut self) -> bool {
        self.step_until(Instant::from_micros(u64::MAX))
    }

    /// Steps until nothing at all is to be done, however late; `react` is told what the ends are told.
    ///
    /// # Panics
    /// After `bound` steps: the world is in a loop.
    pub fn run(&mut self, bound: usize, react: impl FnMut(&mut Self, EndId, Told)) {
        self.run_until(Instant::from_micros(u64::MAX), bound, react);
    }

    /// As [`Sim::run`], but not beyond the given time from now, to which the time moves in the end.
    pub fn run_for(&mut self, time: Duration, bound: usize, react: impl FnMut(&mut Self, EndId, Told)) {
        let until = self.now.after(time);
        self.run_until(until, bound, react);
        self.now = until;
    }

    /// As [`Sim::run`], but only as long as anything is under way: deadlines are not waited for.
    pub fn settle(&mut self, bound: usize, mut react: impl FnMut(&mut Self, EndId, Told)) {
        let mut steps = 0;
        loop {
            while let Some((id, told)) = self.told.pop_front() {
                react(self, id, told);
            }
            let Some(next) = self.due(false).map(|(at, _)| at).min() else { return };
            steps += 1;
            assert!(steps <= bound, "not settled after {bound} steps:\n{}", self.tail());
            self.step_until(next.max(self.now));
        }
    }

    /// Lets a client try to join, settles, and returns the only thing that it was told.
    ///
    /// # Panics
    /// It was told nothing or more, another client was told something, or the world does not settle.
    pub fn outcome(&mut self, config: ClientConfig, link: LinkInfo) -> ClientEvent {
        let id = self.client_on(config, Wire::ALL[0], link);
        let mut events = Vec::new();
        self.settle(10_000, |_, whom, told| {
            if let Told::Event(event) = told {
                assert_eq!(whom, id);
                events.push(event);
            }
        });
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    /// Settles, and returns the messages that a bare peer was told meanwhile, itself alone.
    ///
    /// # Panics
    /// Another peer was told something, or the world does not settle.
    pub fn messages(&mut self, id: EndId) -> Vec<Message> {
        let mut messages = Vec::new();
        self.settle(10_000, |_, whom, told| {
            assert_eq!(whom, id);
            if let Told::Message(message) = told {
                messages.push(message);
            }
        });
        messages
    }

    /// Settles, and returns what clients were told meanwhile.
    ///
    /// # Panics
    /// A bare peer was told something, or the world does not settle.
    pub fn events(&mut self) -> Vec<(EndId, ClientEvent)> {
        let mut events = Vec::new();
        self.settle(100_000, |_, id, told| match told {
            Told::Event(event) => events.push((id, event)),
            other => panic!("not for a client: {other:?}"),
        });
        events
    }

    fn run_until(&mut self, until: Instant, bound: usize, mut react: impl FnMut(&mut Self, EndId, Told)) {
        let mut steps = 0;
        loop {
            while let Some((id, told)) = self.told.pop_front() {
                react(self, id, told);
            }
            if !self.step_until(until) {
                return;
            }
            steps += 1;
            assert!(steps <= bound, "not done after {bound} steps:\n{}", self.tail());
        }
    }

    /// The last lines of the trace.
    pub fn tail(&self) -> String {
        self.trace[self.trace.len().saturating_sub(30)..].join("\n")
    }

    fn step_until(&mut self, until: Instant) -> bool {
        let Some(next) = self.due(true).map(|(at, _)| at.max(self.now)).min().filter(|at| *at <= until) else {
            return false;
        };
        self.now = next;
        let due: Vec<_> = self.due(true).filter(|(at, _)| *at <= next).map(|(_, what)| what).collect();
        let what = due[self.rng.index(due.len())];
        match what {
            Due::Up(id) => self.deliver_up(id),
            Due::Down(id) => self.deliver_down(id),
            Due::Verdict(key) => {
                if let Some((id, verdict)) = self.verdicts.remove(&key) {
                    // A verdict that is late, or the second, is stale.
                    let _ = match verdict {
                        Verdict::Join(verdict) => self.router.decide_auth(self.now, id, verdict),
                        Verdict::Act(verdict) => self.router.decide_action(self.now, id, verdict),
                    };
                    self.drain_router();
                }
            }
            Due::RouterTimeout => {
                let before = self.router.work();
                self.router.handle_timeout(self.now);
                self.drain_router();
                let next = self.router.next_deadline();
                let acted = self.router.work() > before + 8;
                assert!(acted || next.is_none_or(|next| next > self.now), "the router does not act on a deadline");
            }
            Due::ClientTimeout(id) => self.act(id, |client, now| client.handle_timeout(now)),
        }
        true
    }

    /// What can be done, and from when on; with deadlines or without.
    fn due(&self, deadlines: bool) -> impl Iterator<Item = (Instant, Due)> {
        let ends = self.ends.iter().enumerate().flat_map(move |(index, end)| {
            let id = EndId(index);
            let link = end.link.as_ref();
            let reads = |link: &Link| link.peer.is_none_or(|peer| self.router.wants_input(peer) || link.up.is_at_end());
            let up = link.filter(|link| reads(link)).and_then(|link| link.up.next_arrival(self.now));
            let down = link.and_then(|link| link.down.next_arrival(self.now));
            let timeout = end.client.as_ref().filter(|_| deadlines).and_then(Client::next_deadline);
            up.map(|at| (at, Due::Up(id)))
                .into_iter()
                .chain(down.map(|at| (at, Due::Down(id))))
                .chain(timeout.map(|at| (at, Due::ClientTimeout(id))))
        });
        let verdicts = self.verdicts.keys().next().map(|key| (key.0, Due::Verdict(*key)));
        let deadlines = deadlines || self.router.has_work();
        let router = self.router.next_deadline().filter(|_| deadlines).map(|at| (at, Due::RouterTimeout));
        ends.chain(verdicts).chain(router)
    }

    // ---- how it works ----

    fn add(&mut self, wire: Wire, client: Option<Client>) -> EndId {
        self.ends.push(End { wire, client, link: None, fill: Fill::Little });
        EndId(self.ends.len() - 1)
    }

    fn deliver_up(&mut self, id: EndId) {
        let Some(link) = &mut self.ends[id.0].link else { return };
        let Some(arrival) = link.up.take(self.now) else { return };
        let Some(peer) = link.peer else { return };
        if let Arrival::Message(Message::Hello(hello)) = &arrival {
            self.announced.insert(peer, hello.details.roles);
        }
        match arrival {
            Arrival::Message(message) => self.router.receive(self.now, peer, message),
            Arrival::Invalid(error) => self.router.receive_invalid(self.now, peer, error),
            Arrival::End => {
                self.router.connection_lost(self.now, peer);
                self.peers.remove(&peer);
                link.peer = None;
                link.down.close(self.now);
            }
        }
        self.drain_router();
    }

    fn deliver_down(&mut self, id: EndId) {
        let End { client, link: Some(link), .. } = &mut self.ends[id.0] else { return };
        let Some(arrival) = link.down.take(self.now) else { return };
        match (client, arrival) {
            (Some(client), Arrival::Message(message)) => client.receive(self.now, message),
            (Some(client), Arrival::Invalid(error)) => client.receive_invalid(self.now, error),
            (Some(client), Arrival::End) => {
                client.connection_lost(self.now);
                self.unlink(id);
            }
            (None, Arrival::Message(message)) => self.told.push_back((id, Told::Message(message))),
            (None, Arrival::Invalid(error)) => panic!("the router sent what is no message: {error}"),
            (None, Arrival::End) => {
                self.told.push_back((id, Told::End));
                self.unlink(id);
            }
        }
        self.drain_client(id);
    }

    /// The end knows that its link is gone: so does the router, now or when it has read what was sent.
    fn unlink(&mut self, id: EndId) {
        let Some(link) = self.ends[id.0].link.take() else { return };
        if let Some(peer) = link.peer {
            self.router.connection_lost(self.now, peer);
            self.peers.remove(&peer);
            self.drain_router();
        }
    }

    fn drain_client(&mut self, id: EndId) {
        loop {
            let End { client: Some(client), link, .. } = &mut self.ends[id.0] else { return };
            let Some(output) = client.poll_output() else { return };
            match output {
                ClientOutput::Send(message) => {
                    let link = link.as_mut().expect("a client sends over its link");
                    link.up.send(self.now, &message).expect("a test's payloads can be encoded");
                    self.note(id, "->", &message);
                }
                ClientOutput::Event(event) => self.told.push_back((id, Told::Event(event))),
                ClientOutput::Close => {
                    if let Some(link) = link {
                        link.up.close(self.now);
                    }
                }
            }
        }
    }

    fn drain_router(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Send { to, message } => {
                    let distinct: BTreeSet<_> = to.as_slice().iter().collect();
                    assert!(!distinct.is_empty() && distinct.len() == to.as_slice().len(), "{to:?}");
                    for &peer in to.as_slice() {
                        self.send_down(peer, &message);
                    }
                }
                Output::Authenticate(request) => {
                    assert!(self.peers.contains_key(&request.peer), "a question about a peer that is gone");
                    for (delay, verdict) in (self.answerer)(&request, &mut self.rng) {
                        self.asked += 1;
                        self.verdicts.insert((self.now.after(delay), self.asked), (request.id, Verdict::Join(verdict)));
                    }
                }
                Output::Authorize(request) => {
                    let authorizer = self.authorizer.as_mut().expect("an authorizer, where a role needs one");
                    for (delay, verdict) in authorizer(&request, &mut self.rng) {
                        self.asked += 1;
                        self.verdicts.insert((self.now.after(delay), self.asked), (request.id, Verdict::Act(verdict)));
                    }
                }
                Output::Close { peer, reason } => self.close_down(peer, reason),
                Output::InputReady(peer) => {
                    assert!(self.peers.contains_key(&peer), "input wanted from a peer that is gone");
                    assert!(self.router.wants_input(peer), "InputReady, but input is not wanted");
                }
                Output::Withdrawn(_) | Output::ProgressUnannounced(_) => {}
                other => panic!("the simulation does not know {other:?}"),
            }
        }
        self.router.check_invariants();
    }

    fn send_down(&mut self, peer: PeerKey, message: &Message) {
        let Some(&id) = self.peers.get(&peer) else { panic!("sent to a peer that is gone: {message:?}") };
        let fill = self.ends[id.0].fill;
        if fill == Fill::TooMuch || fill == Fill::Much && message.may_be_left_out() {
            let why = Undeliverable::Congested { waiting: 9, limit: 8 };
            return self.router.undeliverable(self.now, peer, message.clone(), &why);
        }
        if let Fill::After(more) = fill {
            self.ends[id.0].fill = if more > 1 { Fill::After(more - 1) } else { Fill::Little };
            if more <= 1 {
                self.router.set_congestion(self.now, peer, Congestion::Soft);
            }
        }
        self.note(id, "<-", message);
        let formats = match &self.ends[id.0].wire {
            Wire::Messages => &Format::ALL[..],
            Wire::Bytes(format) => core::slice::from_ref(format),
        };
        check_message(message, &self.announced.get(&peer).copied().unwrap_or_default(), formats);
        let link = self.ends[id.0].link.as_mut().expect("the router's peers have links");
        if let Err(why) = link.down.send(self.now, message) {
            self.router.undeliverable(self.now, peer, message.clone(), &Undeliverable::Transcode(why));
        }
    }

    fn close_down(&mut self, peer: PeerKey, reason: CloseReason) {
        let Some(id) = self.peers.remove(&peer) else { panic!("closed a peer that is gone: {reason:?}") };
        self.trace.push(format!("{} {} closed {reason:?}", self.now.as_micros(), id.0));
        self.closed.push((id, reason));
        let link = self.ends[id.0].link.as_mut().expect("the router's peers have links");
        link.peer = None;
        link.down.close(self.now);
    }

    fn note(&mut self, id: EndId, arrow: &str, message: &Message) {
        self.trace.push(format!("{} {} {arrow} {}", self.now.as_micros(), id.0, json(message)));
    }
}

/// The message as JSON.
pub fn json(message: &Message) -> String {
    let mut text = Vec::new();
    match encode(message, Format::Json, &mut text) {
        Ok(()) => String::from_utf8(text).expect("JSON is UTF-8"),
        Err(why) => format!("{message:?} ({why})"),
    }
}
