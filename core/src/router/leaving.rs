//! Sessions that have ended, until all that they owned is taken back.
//!
//! The end of a session costs what it owned, which may be much. For everybody else it is over at once: it has no id any more,
//! receives nothing, is given no calls and is in no list. What it owned is taken back piece by piece (see
//! [`work`](super::work)), mostly at once too, in this order: the calls it made, its registrations, the calls it was to
//! answer, and its subscriptions, each with its meta events; then its testaments are due, and others are told that it has
//! left.
//!
//! Until then its subscriptions and registrations are still in the tables, where they are passed over. One that is in the way
//! of another session, because it would be called or registered, is taken back out of turn. The peer joins again only when
//! nothing is left, so that a peer without a session that is in the tables is one whose session is leaving.

use super::config::Farewell;
use super::output::CloseReason;
use super::peer::State;
use super::realm::RealmKey;
use super::session::Session;
use super::work::{ITEM, Job};
use super::{Output, PeerKey, Router};
use crate::hash::HashMap;
use crate::id::{RegistrationId, RequestId};
use crate::time::Instant;
use crate::uri::{Uri, close, error};
use core::cmp::Reverse;
use std::collections::BinaryHeap;

/// Callees that are taken off a registration out of turn, at most.
const MOST_OUT_OF_TURN: usize = 1_024;

/// Requests put in order in a unit of work.
const ORDERED_PER_UNIT: u64 = 16;

/// A session that has ended, and what is left of what it owned.
#[derive(Debug)]
pub(crate) struct Leaving {
    /// Its peer, which may be gone.
    pub(crate) key: PeerKey,
    pub(crate) session: Box<Session>,
    /// The calls that it made and those that it was to answer, in ascending order. Some may have ended meanwhile.
    calls: BinaryHeap<Reverse<RequestId>>,
    invocations: BinaryHeap<Reverse<RequestId>>,
    /// Others are not told that it has left.
    silently: bool,
}

fn ordered<V>(requests: &HashMap<RequestId, V>) -> BinaryHeap<Reverse<RequestId>> {
    requests.keys().copied().map(Reverse).collect()
}

impl Leaving {
    fn owns_nothing(&self) -> bool {
        let Session { registrations, subscriptions, .. } = &*self.session;
        self.calls.is_empty() && self.invocations.is_empty() && registrations.is_empty() && subscriptions.is_empty()
    }
}

impl Router {
    /// Ends an open session; does nothing to a peer without one. Others learn of it: callers whose callee this was get
    /// their ERROR, callees whose caller this was are interrupted.
    pub(crate) fn end_session(&mut self, now: Instant, key: PeerKey) {
        if let Some(leaving) = self.begin_leaving(key, false) {
            self.take_back(now, leaving);
        }
    }

    /// Ends a session for all other sessions; what it owned remains to be released. `silently`: the others are not
    /// notified that it has left, and its testaments are not published.
    pub(crate) fn begin_leaving(&mut self, key: PeerKey, silently: bool) -> Option<Box<Leaving>> {
        let peer = self.peers.get_mut(key)?;
        if !matches!(peer.state, State::Joined(_)) {
            return None;
        }
        let State::Joined(mut session) = core::mem::replace(&mut peer.state, State::AwaitHello) else { return None };
        self.stats.sessions -= 1;
        self.sessions.remove(&session.id);
        self.realms.get_mut(session.realm).sessions.remove(&session.id);
        self.forget_waiting(&session);
        self.clear_deadline(key);
        if silently {
            self.drop_testaments(&mut session);
        }
        let (calls, invocations) = (ordered(&session.calls), ordered(&session.invocations));
        self.work.add((calls.len() + invocations.len()) as u64 / ORDERED_PER_UNIT);
        let leaving = Leaving { key, session, calls, invocations, silently };
        if !leaving.owns_nothing() {
            self.leaving.insert(key, leaving.session.id);
        }
        Some(Box::new(leaving))
    }

    /// Begins to take back what an ended session owned.
    pub(crate) fn take_back(&mut self, now: Instant, leaving: Box<Leaving>) {
        self.start(now, Job::Leave(leaving));
    }

    /// Goes on with taking back what an ended session owned; what is left if the slice is used up.
    pub(crate) fn go_on_leaving(&mut self, now: Instant, mut leaving: Box<Leaving>) -> Option<Job> {
        while !leaving.owns_nothing() {
            if self.work.is_spent() {
                return Some(Job::Leave(leaving));
            }
            self.take_back_next(&mut leaving);
            // One by one, because notifying the sessions that watch them is work too.
            self.publish_meta_events();
        }
        self.leaving.remove(&leaving.key);
        self.take_testaments(now, &mut leaving.session);
        if !leaving.silently {
            self.note_left(&leaving.session);
            self.publish_meta_events();
        }
        self.end_leaving(now, leaving.key);
        None
    }

    fn take_back_next(&mut self, leaving: &mut Leaving) {
        let Session { id: session, realm, .. } = *leaving.session;
        let owned = &mut leaving.session;
        self.work.add(ITEM);
        if let Some(Reverse(request)) = leaving.calls.pop() {
            if let Some(&call) = owned.calls.get(&request) {
                self.abandon(call);
            }
        } else if let Some((&id, &place)) = owned.registrations.first_key_value() {
            if !self.move_first(realm, id, place) {
                owned.registrations.pop_first();
                self.leave_registration(realm, session, id, place);
            }
        } else if let Some(Reverse(invocation)) = leaving.invocations.pop() {
            if let Some(&call) = owned.invocations.get(&invocation) {
                self.fail_call(call, error::CANCELED, "callee disconnected from in-flight request");
            }
        } else if let Some((id, place)) = owned.subscriptions.pop_first() {
            self.leave_subscription(realm, session, id, place);
        }
    }

    /// All that the last session of a peer owned is taken back, and the peer may join again: its time to do so begins now.
    fn end_leaving(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.leaving) else { return };
        peer.leaving = false;
        if matches!(peer.state, State::AwaitHello) {
            self.set_deadline(key, now.after(self.config.limits.handshake_timeout));
        }
        if self.wants_input(key) {
            self.outputs.push_back(Output::InputReady(key));
        }
    }

    /// Takes back the registrations that a call of this procedure would find and that only sessions that are leaving
    /// hold.
    pub(crate) fn clear_way_to(&mut self, realm: RealmKey, procedure: &Uri) {
        while !self.leaving.is_empty() {
            let by_uri = &self.realms.get(realm).dealer.by_uri;
            self.work.add(by_uri.cost(procedure.as_str()));
            let found = by_uri.best(procedure.as_str());
            if !found.is_some_and(|id| self.take_back_registration(realm, id)) {
                return;
            }
        }
    }

    /// Takes back a registration that only sessions that are leaving hold. False if there is another callee.
    pub(crate) fn take_back_registration(&mut self, realm: RealmKey, id: RegistrationId) -> bool {
        if self.leaving.is_empty() {
            return false;
        }
        let Some(registration) = self.realms.get(realm).dealer.registrations.get(id) else { return false };
        let callees = &registration.callees;
        let present = callees.iter().take(MOST_OUT_OF_TURN).position(|callee| !self.leaving.contains_key(&callee.peer));
        self.work.add(present.unwrap_or_else(|| callees.len().min(MOST_OUT_OF_TURN)) as u64);
        if present.is_some() || callees.len() > MOST_OUT_OF_TURN {
            return false;
        }
        let callees: Vec<(PeerKey, u64)> = callees.iter().map(|callee| (callee.peer, callee.place)).rev().collect();
        for (peer, place) in callees {
            self.take_back_callee(realm, id, peer, place);
        }
        true
    }

    /// Takes a session that is leaving off a registration.
    pub(crate) fn take_back_callee(&mut self, realm: RealmKey, id: RegistrationId, peer: PeerKey, place: u64) {
        if let Some(&session) = self.leaving.get(&peer) {
            self.leave_registration(realm, session, id, place);
        }
    }

    /// Ends everything, from this slot of the peers on; where to go on if the slice is used up.
    pub(crate) fn go_on_shutting_down(&mut self, now: Instant, mut slot: usize) -> Option<Job> {
        loop {
            if self.work.is_spent() {
                return Some(Job::ShutDown(slot));
            }
            let (key, _) = self.peers.iter_from(slot).next()?;
            slot = key.index() + 1;
            self.work.add(ITEM);
            self.send_away(now, key);
        }
    }

    /// Ends a peer because the router shuts down.
    fn send_away(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get(key) else { return };
        let silent = self.config.farewell == Farewell::Silent && peer.link.privileged.is_none();
        match peer.state {
            State::Joined(_) if silent => {
                self.end_session(now, key);
                self.close(key, CloseReason::Shutdown);
            }
            State::Joined(_) => {
                self.dismiss(now, key, close::SYSTEM_SHUTDOWN, Some("the router shuts down"));
            }
            State::AwaitGoodbye => {}
            State::AwaitHello | State::AwaitVerdict(..) | State::AwaitAuthenticate(..) => {
                if silent && peer.link.cuttable {
                    let message = "the router shuts down".to_owned();
                    self.close(key, CloseReason::Unavailable { reason: close::SYSTEM_SHUTDOWN, message });
                } else {
                    self.send_abort(key, close::SYSTEM_SHUTDOWN, "the router shuts down");
                    self.close(key, CloseReason::Shutdown);
                }
            }
        }
    }
}
