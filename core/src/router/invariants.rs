//! What must hold between any two inputs.

use super::Router;
use super::meta::Watched;
use super::peer::State;
use super::realm::Role;

impl Router {
    /// Checks that the tables agree with each other. For tests and fuzzing: costs a walk over everything.
    ///
    /// # Panics
    /// When they do not.
    #[doc(hidden)]
    pub fn check_invariants(&self) {
        let (mut sessions, mut reserved, mut calls, mut invocations, mut deadlines) = (0, 0, 0, 0, 0);
        let (mut subscriptions, mut registrations, mut undecided, mut joining) = (0, 0, 0, 0);
        let mut listed_sessions = 0;
        for (key, peer) in self.peers.iter() {
            deadlines += usize::from(peer.deadline.is_some());
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
        assert_eq!(self.sessions.len(), sessions + reserved, "session ids");
        assert_eq!(self.decisions.len(), undecided, "questions");
        assert_eq!(self.joining.len(), joining, "peers that have not joined");
        assert_eq!((self.calls.len(), self.calls.len()), (calls, invocations), "calls and their two ends");
        let timed_calls = self.calls.iter().filter(|(_, call)| call.deadline.is_some()).count();
        assert_eq!(self.timers.len(), deadlines + timed_calls, "deadlines");

        assert!(self.meta_events.is_empty(), "meta events that are not published");
        let (mut held_subscriptions, mut held_registrations) = (0, 0);
        for realm in self.realms.iter() {
            for (id, subscription) in realm.broker.subscriptions.iter() {
                assert!(!subscription.subscribers.is_empty(), "a subscription that nobody holds");
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
            for (id, registration) in realm.dealer.registrations.iter() {
                assert!(!registration.callees.is_empty(), "a registration that nobody holds");
                assert_eq!(realm.dealer.by_uri.get(registration.matching, registration.uri.as_str()), Some(id));
                held_registrations += registration.callees.len();
                for callee in &registration.callees {
                    let busy =
                        self.calls.iter().filter(|(_, c)| (c.registration, c.place) == (id, callee.place)).count();
                    assert_eq!(usize::try_from(callee.busy), Ok(busy), "busy slots of a callee");
                }
            }
            assert_eq!(realm.dealer.by_uri.len(), realm.dealer.registrations.len(), "procedures");
        }
        let in_realms: usize = self.realms.iter().map(|realm| realm.sessions.len()).sum();
        assert_eq!(in_realms, listed_sessions, "sessions of realms");
        assert_eq!(subscriptions, held_subscriptions, "both ends of subscriptions");
        assert_eq!(registrations, held_registrations, "both ends of registrations");
    }
}
