//! A router driven by hand: bare peers in numbered slots, one input at a time, and [`Books`] that must balance.
//!
//! After each input [`Router::check_invariants`] holds, nothing is sent to a peer after its Close, nobody gets a message
//! twice, ABORT is followed by Close at once, [`Output::InputReady`] comes exactly where it must, each question is either
//! answered or withdrawn, once, and every message is valid for its receiver ([`validator`](crate::validator)).

use crate::books::Books;
use crate::rng::{BeginningWith, Pcg};
use crate::sim::BEGINNING;
use crate::validator::check_message;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use wampd_core::codec::{DecodeError, Format, TranscodeError};
use wampd_core::message::{Features, Message, Payload};
use wampd_core::router::{
    ActionRequest, ActionVerdict, AuthRequest, AuthVerdict, CloseReason, Congestion, DecisionId, LinkInfo, Output,
    PeerKey, Permissions, Router, RouterConfig, Undeliverable,
};
use wampd_core::time::Instant;
use wampd_core::uri::{Uri, close};

/// A place for a peer.
pub type Slot = usize;

/// What happens to the router. Inputs that make no sense for the state of things do nothing.
#[derive(Clone, Debug)]
pub enum Input {
    /// A transport is attached, if the slot is free.
    Open(Slot),
    /// A message comes, if the router takes it.
    Say(Slot, Message),
    /// Bytes come that are no message, if the router takes them.
    Garble(Slot),
    /// The transport is lost.
    Cut(Slot),
    /// The queue of bytes fills or drains.
    Congest(Slot, Congestion),
    /// From now on, messages with arguments can not be delivered (or can again).
    Unable(Slot, bool),
    /// From now on, too much waits for what may be left out to be delivered (or does no more).
    Fill(Slot, bool),
    /// An answer to a question about a peer, or what once was one.
    Decide(DecisionId, AuthVerdict),
    /// An answer to a question about an action, or what once was one.
    DecideAction(DecisionId, ActionVerdict),
    /// Time goes by; deadlines are handled when they are due.
    Wait(Duration),
    /// The session in the slot is ended by an administrator.
    Kill(Slot),
    /// A role gets other permissions.
    Permit(Uri, &'static str, Permissions),
    /// Messages and whatever else come for the peer that was in the slot before.
    Stale(Slot, Message),
    /// The router shuts down.
    ShutDown,
}

/// What the router did, as far as it can be seen.
#[derive(Clone, Debug)]
pub enum Seen {
    /// A message for the peer in this slot.
    Told(Slot, Message),
    /// A message that the peer in this slot could not be given, of which the router was told.
    Missed(Slot, Message),
    /// The peer in this slot was closed.
    Closed(Slot, CloseReason),
    /// A question about the peer in this slot.
    Asked(Slot, Box<AuthRequest>),
    /// A question about an action of somebody.
    AskedAction(Box<ActionRequest>),
}

/// The router and its peers.
pub struct Driver {
    /// The time.
    pub now: Instant,
    /// The router.
    pub router: Router,
    slots: Vec<Place>,
    slot_of: BTreeMap<PeerKey, Slot>,
    /// Questions that wait for an answer.
    open: BTreeSet<DecisionId>,
    seen: Vec<Seen>,
}

#[derive(Default)]
struct Place {
    key: Option<PeerKey>,
    previous: Option<PeerKey>,
    unable: bool,
    full: bool,
    /// Whether the adapter would read from it: as long as it was not told otherwise.
    reads: bool,
    books: Books,
}

impl Driver {
    /// A router with so many free slots. `key` is the key of its hash maps, which nobody may notice.
    pub fn new(seed: u64, key: u64, config: RouterConfig, slots: usize) -> Self {
        let now = Instant::ZERO;
        let router = Router::new(config, now, BEGINNING, Box::new(BeginningWith::new(key, Pcg::new(seed))));
        let slots = core::iter::repeat_with(Place::default).take(slots).collect();
        Self { now, router, slots, slot_of: BTreeMap::new(), open: BTreeSet::new(), seen: Vec::new() }
    }

    /// All slots.
    pub const fn slots(&self) -> core::ops::Range<Slot> {
        0..self.slots.len()
    }

    /// Whether there is a peer in the slot.
    pub fn is_attached(&self, slot: Slot) -> bool {
        self.slots[slot].key.is_some()
    }

    /// The books of the peer in the slot.
    pub fn books(&self, slot: Slot) -> &Books {
        &self.slots[slot].books
    }

    /// Whether the router takes messages of the peer in the slot.
    pub fn is_heard(&self, slot: Slot) -> bool {
        self.slots[slot].key.is_some_and(|key| self.router.wants_input(key))
    }

    /// Gives the router an input; returns what it did.
    ///
    /// # Panics
    /// The router broke a promise.
    pub fn apply(&mut self, input: Input) -> Vec<Seen> {
        match input {
            Input::Open(slot) if !self.is_attached(slot) => {
                if let Ok(key) = self.router.open(self.now, LinkInfo::default()) {
                    let previous = self.slots[slot].previous;
                    self.slots[slot] = Place { key: Some(key), previous, reads: true, ..Place::default() };
                    assert_eq!(self.slot_of.insert(key, slot), None, "a key given out twice");
                }
            }
            Input::Say(slot, message) if self.is_heard(slot) => {
                self.slots[slot].books.sent(&message);
                self.on_peer(slot, |router, now, key| router.receive(now, key, message));
            }
            Input::Garble(slot) if self.is_heard(slot) => {
                self.on_peer(slot, |router, now, key| router.receive_invalid(now, key, DecodeError::NotAMessage));
            }
            Input::Open(_) | Input::Say(..) | Input::Garble(_) => {}
            Input::Cut(slot) => {
                self.on_peer(slot, |router, now, key| router.connection_lost(now, key));
                self.leave(slot);
            }
            Input::Congest(slot, level) => {
                self.on_peer(slot, |router, now, key| router.set_congestion(now, key, level));
            }
            Input::Unable(slot, unable) => self.slots[slot].unable = unable,
            Input::Fill(slot, full) => self.slots[slot].full = full,
            // A late verdict must have no effect; whether it is late is the router's to know.
            Input::Decide(id, verdict) => {
                let taken = self.router.decide_auth(self.now, id, verdict).is_ok();
                assert!(!taken || self.open.remove(&id), "an answer taken to what was not asked");
            }
            Input::DecideAction(id, verdict) => {
                let taken = self.router.decide_action(self.now, id, verdict).is_ok();
                assert!(!taken || self.open.remove(&id), "an answer taken to what was not asked");
            }
            Input::Wait(time) => return self.wait(time),
            Input::Kill(slot) => {
                if let Some(session) = self.books(slot).session().map(|session| session.id) {
                    assert!(self.router.kill(self.now, session, close::KILLED, "enough"), "{session:?} is open");
                }
            }
            Input::Permit(realm, role, permissions) => {
                assert!(self.router.set_permissions(&realm, role, permissions), "{role} exists");
            }
            Input::Stale(slot, message) => self.stale(slot, message),
            Input::ShutDown => self.router.shut_down(self.now),
        }
        self.drain();
        core::mem::take(&mut self.seen)
    }

    fn on_peer(&mut self, slot: Slot, what: impl FnOnce(&mut Router, Instant, PeerKey)) {
        if let Some(key) = self.slots[slot].key {
            what(&mut self.router, self.now, key);
        }
    }

    /// Goes from deadline to deadline.
    fn wait(&mut self, time: Duration) -> Vec<Seen> {
        let until = self.now.after(time);
        while let Some(at) = self.router.next_deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            let before = self.router.work();
            self.router.handle_timeout(self.now);
            self.drain();
            let next = self.router.next_deadline();
            let acted = self.router.work() > before + 8;
            assert!(acted || next.is_none_or(|next| next > self.now), "the router does not act on a deadline");
        }
        self.now = until;
        self.router.handle_timeout(self.now);
        self.drain();
        core::mem::take(&mut self.seen)
    }

    /// A peer that is gone can do nothing.
    fn stale(&mut self, slot: Slot, message: Message) {
        let Some(key) = self.slots[slot].previous else { return };
        let before = self.router.stats();
        self.router.receive(self.now, key, message);
        self.router.receive_invalid(self.now, key, DecodeError::NotAMessage);
        self.router.set_congestion(self.now, key, Congestion::Hard);
        self.router.connection_lost(self.now, key);
        assert!(!self.router.wants_input(key));
        assert_eq!(self.router.stats(), before);
        if let Some(output) = self.router.poll_output() {
            panic!("a peer that is gone caused {output:?}");
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Send { to, message } => {
                    let distinct: BTreeSet<_> = to.as_slice().iter().collect();
                    assert!(!distinct.is_empty() && distinct.len() == to.as_slice().len(), "{to:?}");
                    for &key in to.as_slice() {
                        self.deliver(key, &message);
                    }
                }
                Output::Close { peer, reason } => {
                    let slot = *self.slot_of.get(&peer).unwrap_or_else(|| panic!("closed twice: {reason:?}"));
                    self.leave(slot);
                    self.seen.push(Seen::Closed(slot, reason));
                }
                Output::Authenticate(request) => {
                    let slot = *self.slot_of.get(&request.peer).expect("a question about a peer that is there");
                    assert!(request.expires > self.now);
                    assert!(self.open.insert(request.id), "asked twice");
                    self.seen.push(Seen::Asked(slot, request));
                }
                Output::Authorize(request) => {
                    assert!(request.expires > self.now);
                    assert!(self.open.insert(request.id), "asked twice");
                    self.seen.push(Seen::AskedAction(request));
                }
                Output::InputReady(peer) => {
                    let slot = *self.slot_of.get(&peer).expect("input wanted from a peer that is there");
                    assert!(self.router.wants_input(peer), "InputReady, but input is not wanted");
                    self.slots[slot].reads = true;
                }
                Output::ProgressUnannounced(peer) => {
                    let slot = self.slot_of.get(&peer).expect("a callee that is there");
                    let session = self.slots[*slot].books.session().expect("a callee that has joined");
                    let announced = session.roles.callee.expect("a callee");
                    assert!(!announced.contains(Features::PROGRESSIVE_CALL_RESULTS), "{announced:?}");
                }
                Output::Withdrawn(id) => assert!(self.open.remove(&id), "withdrawn, but not asked or answered"),
                other => panic!("the driver does not know {other:?}"),
            }
        }
        assert_eq!(self.open.len(), self.router.stats().undecided, "each question is answered or withdrawn");
        for place in &mut self.slots {
            let Some(key) = place.key else { continue };
            assert!(!matches!(place.books, Books::Aborted), "ABORT without Close");
            let wanted = self.router.wants_input(key);
            assert!(place.reads || !wanted, "input is wanted again, but InputReady did not say so");
            place.reads = wanted;
        }
        self.router.check_invariants();
    }

    fn deliver(&mut self, key: PeerKey, message: &Message) {
        let Some(&slot) = self.slot_of.get(&key) else { panic!("sent to a peer that is gone: {message:?}") };
        let place = &mut self.slots[slot];
        let has_payload = crate::codec::payload(message).is_some_and(|payload| *payload != Payload::empty());
        let full = place.full && message.may_be_left_out();
        if full || place.unable && has_payload {
            place.books.missed(message);
            self.seen.push(Seen::Missed(slot, message.clone()));
            let unable = Undeliverable::Transcode(TranscodeError::Extension);
            let why = if full { Undeliverable::Congested { waiting: 9, limit: 8 } } else { unable };
            self.router.undeliverable(self.now, key, message.clone(), &why);
        } else {
            check_message(message, &place.books.announced(), &[Format::ALL[slot % Format::ALL.len()]]);
            place.books.told(message);
            self.seen.push(Seen::Told(slot, message.clone()));
        }
    }

    fn leave(&mut self, slot: Slot) {
        if let Some(key) = self.slots[slot].key.take() {
            self.slot_of.remove(&key);
            self.slots[slot] = Place { previous: Some(key), ..Place::default() };
        }
    }
}
