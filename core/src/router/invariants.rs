//! What must hold between any two inputs.

use super::call::{HeldBack, Invoked, Stage};
use super::meta::Watched;
use super::peer::State;
use super::realm::Role;
use super::registration::{Callee, Registration};
use super::session::Session;
use super::work::Job;
use super::{Peer, PeerKey, Router};
use crate::id::RegistrationId;
use crate::uri::Uri;
use std::collections::BTreeMap;

impl Router {
    /// Checks that the tables agree with each other. For tests and fuzzing: costs a walk over everything.
    ///
    /// # Panics
    /// When they do not.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        let (mut sessions, mut reserved, mut calls, mut invocations, mut deadlines) = (0, 0, 0, 0, 0);
        let (mut subscriptions, mut registrations, mut undecided, mut joining) = (0, 0, 0, 0);
        let (mut listed_sessions, mut testaments) = (0, 0);
        for (&key, session) in &self.leaving_sessions() {
            assert_eq!(self.leaving.get(&key), Some(&session.id), "a session that leaves is not in the list");
            assert!(self.session(key).is_none(), "a peer has joined, and its last session is not gone");
            assert!(self.peers.get(key).is_none_or(|peer| peer.leaving), "a peer whose session leaves");
            calls += session.calls.values().filter(|call| self.calls.get(**call).is_some()).count();
            invocations += session.invocations.values().filter(|call| self.calls.get(**call).is_some()).count();
            subscriptions += session.subscriptions.len();
            testaments += session.testaments.as_ref().map_or(0, |left| left.len());
            let registered = |&(&id, &place): &(&RegistrationId, &u64)| {
                let found = self.realms.get(session.realm).dealer.registrations.get(id);
                found.is_some_and(|registration| registration.callee_at(place).is_some())
            };
            registrations += session.registrations.iter().filter(registered).count();
        }
        assert_eq!(self.leaving.len(), self.leaving_sessions().len(), "sessions that leave");
        for (key, peer) in self.peers.iter() {
            assert!(!peer.leaving || self.leaving.contains_key(&key), "a peer waits for what is done");
            deadlines += [peer.deadline, peer.throttled, peer.patience].iter().flatten().count();
            assert!(peer.patience.is_none() || peer.is_congested(), "patience with a peer that keeps up");
            joining += usize::from(peer.joining.is_some());
            match &peer.state {
                State::Joined(session) => {
                    sessions += 1;
                    assert!(peer.joining.is_none(), "a joined peer is counted as joining");
                    let listed = self.realms.get(session.realm).sessions.get(&session.id) == Some(&key);
                    assert_eq!(listed, session.role != Role::Trusted, "list of the realm's sessions");
                    listed_sessions += usize::from(listed);
                    assert_eq!(self.sessions.get(&session.id), Some(&key), "session id does not lead to its peer");
                    calls += session.calls.len();
                    invocations += session.invocations.len();
                    subscriptions += session.subscriptions.len();
                    if let Some(left) = &session.testaments {
                        left.check_invariants();
                        testaments += left.len();
                    }
                    registrations += session.registrations.len();
                    if let Some(waiting) = &session.waiting {
                        undecided += 1;
                        assert_eq!(
                            self.decisions.get(waiting.decision).map(|d| d.peer),
                            Some(key),
                            "question without its peer"
                        );
                    }
                    assert_eq!(session.waiting.is_some(), peer.deadline.is_some(), "deadline of a question");
                }
                State::AwaitVerdict(decision, handshake) => {
                    undecided += 1;
                    reserved += 1;
                    assert_eq!(self.decisions.get(*decision).map(|d| d.peer), Some(key), "question without its peer");
                    assert_eq!(self.sessions.get(&handshake.session), Some(&key), "session id is not reserved");
                }
                State::AwaitAuthenticate(_, handshake) => {
                    reserved += 1;
                    assert_eq!(self.sessions.get(&handshake.session), Some(&key), "session id is not reserved");
                }
                State::AwaitHello | State::AwaitGoodbye => {}
            }
        }
        assert_eq!(self.stats.sessions, sessions, "count of sessions");
        assert_eq!(self.stats.testaments, testaments, "count of testaments");
        assert_eq!(self.sessions.len(), sessions + reserved, "session ids");
        assert_eq!(self.decisions.len(), undecided, "questions");
        assert_eq!(self.joining.len(), joining, "peers that have not joined");
        assert_eq!(self.calls.len(), calls, "calls of callers");
        assert_eq!(self.calls.len() - self.stats.calls_waiting, invocations, "calls with callees, or in line");
        let timed_calls =
            self.calls.iter().map(|(_, call)| call.deadline.iter().chain(&call.stalled).count()).sum::<usize>();
        assert_eq!(self.timers.len(), deadlines + timed_calls, "deadlines");

        assert!(self.meta_events.is_empty(), "meta events that are not published");
        assert!(self.due_lines.is_empty(), "lines that have not moved on");
        self.check_calls();
        let (mut held_subscriptions, mut held_registrations, mut waiting) = (0, 0, 0);
        for realm in self.realms.iter() {
            for (id, subscription) in realm.broker.subscriptions.iter() {
                assert!(
                    !subscription.subscribers.is_empty() || subscription.history.is_some(),
                    "a subscription that nobody holds"
                );

                assert_eq!(realm.broker.by_uri.get(subscription.matching, subscription.uri.as_str()), Some(id));
                held_subscriptions += subscription.subscribers.len();
                assert_eq!(subscription.subscribers.iter().count(), subscription.subscribers.len(), "subscribers");
                subscription.subscribers.check_invariants();
            }
            assert_eq!(realm.broker.by_uri.len(), realm.broker.subscriptions.len(), "topics");
            let mut watched = Watched::default();
            for (_, subscription) in realm.broker.subscriptions.iter() {
                watched.add(subscription.uri.as_str(), subscription.matching);
            }
            assert_eq!(realm.broker.watched, watched, "subscriptions of meta events");
            realm.broker.retained.check_invariants(&self.config.limits);
            realm.broker.histories().for_each(|history| history.check_invariants(&self.config.limits));
            assert_eq!(realm.broker.histories().count(), realm.broker.histories.len(), "a history is gone");
            for (id, registration) in realm.dealer.registrations.iter() {
                assert_eq!(realm.dealer.by_uri.get(registration.matching, registration.uri.as_str()), Some(id));
                held_registrations += registration.callees.len();
                waiting += registration.waiting;
                self.check_registration(registration);
            }
            assert_eq!(realm.dealer.by_uri.len(), realm.dealer.registrations.len(), "procedures");
            let registered = |procedure: &Uri| realm.dealer.by_uri.best(procedure.as_str()).is_some();
            assert!(!realm.dealer.awaited.iter().any(registered), "a procedure that is awaited has a callee");
        }
        let in_realms: usize = self.realms.iter().map(|realm| realm.sessions.len()).sum();
        assert_eq!(in_realms, listed_sessions, "sessions of realms");
        assert_eq!(subscriptions, held_subscriptions, "both ends of subscriptions");
        assert_eq!(registrations, held_registrations, "both ends of registrations");
        assert_eq!(waiting, self.stats.calls_waiting, "calls in line");
    }

    /// The sessions of which something is yet to be taken back.
    fn leaving_sessions(&self) -> BTreeMap<PeerKey, &Session> {
        let leaving =
            self.jobs.iter().filter_map(|job| if let Job::Leave(leaving) = job { Some(leaving) } else { None });
        leaving.map(|leaving| (leaving.key, &*leaving.session)).collect()
    }

    fn check_registration(&self, registration: &Registration) {
        let callees = &registration.callees;
        assert!(!callees.is_empty(), "a registration that nobody holds");
        assert!(callees.is_sorted_by_key(|callee| callee.place), "callees out of order");
        assert_eq!(registration.free, callees.iter().filter(|callee| callee.is_free()).count(), "free callees");
        assert_eq!(registration.busy, callees.iter().map(|callee| callee.busy as usize).sum::<usize>(), "busy callees");
        assert_eq!(registration.is_sharded(), callees.iter().any(|callee| callee.shard.is_some()), "shards");
        let awaited = |callee: &&Callee| {
            let is_awaited = self.peers.get(callee.peer).is_some_and(Peer::is_awaited);
            let is_leaving = self.leaving.contains_key(&callee.peer);
            assert!(!callee.awaited || is_awaited || is_leaving, "a callee that need not be awaited");
            callee.awaited
        };
        assert_eq!(registration.awaited, callees.iter().filter(awaited).count(), "callees that are awaited");
        let moves = registration.busy > 0 || registration.awaited > 0;
        assert!(registration.queue.is_empty() || moves, "a line that nobody moves on");
        let mut waiting = registration.queue.len();
        for callee in callees {
            let moves = callee.busy > 0 || callee.awaited;
            assert!(callee.queue.is_empty() || moves, "a shard's line that nobody moves on");
            assert!(callee.concurrency.is_none_or(|limit| callee.busy <= limit), "more than the callee takes");
            waiting += callee.queue.len();
        }
        assert_eq!(registration.waiting, waiting, "calls in line");
        let lines = callees.iter().map(|callee| &callee.queue).chain([&registration.queue]);
        let bytes = lines.flat_map(|line| line.values()).filter_map(|key| self.calls.get(*key)?.kept.as_ref());
        assert_eq!(registration.waiting_bytes, bytes.map(|kept| kept.bytes).sum::<usize>(), "bytes in line");
    }

    fn check_calls(&self) {
        let mut busy = BTreeMap::new();
        let (mut kept, mut stalled) = (BTreeMap::new(), BTreeMap::new());
        let mut held_back = BTreeMap::<_, HeldBack>::new();
        let leaving = self.leaving_sessions();
        let session = |key: PeerKey| self.session(key).or_else(|| leaving.get(&key).copied());
        for (key, call) in self.calls.iter() {
            let caller = session(call.caller).and_then(|caller| caller.calls.get(&call.request));
            assert_eq!(caller, Some(&key), "a call that its caller does not have");
            *kept.entry(call.caller).or_insert(0) += call.kept.as_ref().map_or(0, |kept| kept.bytes);
            *stalled.entry(call.caller).or_insert(0) += usize::from(call.stalled.is_some());
            let callee_leaves = call.invoked().is_some_and(|invoked| leaving.contains_key(&invoked.callee));
            let is_stalled = call.stalled.is_some();
            assert!(callee_leaves || is_stalled == self.is_too_fast(key), "a call that goes on too fast");
            if call.held_back {
                assert!(matches!(call.stage, Stage::Waiting { .. }), "a call that is held back, and is not in line");
                let (held, counts) = (held_back.entry(call.caller).or_default(), call.as_held_back());
                held.calls += counts.calls;
                held.that_go_on += counts.that_go_on;
                held.bytes += counts.bytes;
            }
            match call.stage {
                Stage::Unplaced => panic!("a call that is nowhere"),
                Stage::Waiting { ticket, shard } => {
                    let registration = self.realms.get(call.realm).dealer.registrations.get(call.registration);
                    let line = registration.and_then(|registration| match shard {
                        Some(place) => registration.callee_at(place).map(|callee| &callee.queue),
                        None => Some(&registration.queue),
                    });
                    assert_eq!(line.and_then(|line| line.get(&ticket)), Some(&key), "a call that is not in line");
                }
                Stage::Invoked(Invoked { callee, invocation, place, .. }) => {
                    let callee = session(callee).and_then(|callee| callee.invocations.get(&invocation));
                    assert_eq!(callee, Some(&key), "an invocation that its callee does not have");
                    *busy.entry((call.realm, place)).or_insert(0) += 1;
                }
            }
        }
        for (key, peer) in self.peers.iter() {
            let Some(session) = peer.session() else { continue };
            assert_eq!(session.calls_held_back, held_back.get(&key).copied().unwrap_or_default(), "calls held back");
            assert_eq!(session.stalled_calls, stalled.get(&key).copied().unwrap_or(0), "stalled calls of a caller");
            assert_eq!(session.kept_call_bytes, kept.get(&key).copied().unwrap_or(0), "bytes kept for a caller");
            for (&id, &place) in &session.registrations {
                let registration = self.realms.get(session.realm).dealer.registrations.get(id);
                let callee = registration.and_then(|registration| registration.callee_at(place));
                let expected = busy.get(&(session.realm, place)).copied().unwrap_or(0);
                assert_eq!(callee.map(|callee| (callee.peer, callee.busy)), Some((key, expected)), "busy callee");
            }
        }
    }
}
