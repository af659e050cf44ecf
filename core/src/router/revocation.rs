//! What is taken back from sessions when their role may do less than before (spec: "Registration Revocation",
//! "Subscription Revocation"): a walk over all sessions and what they hold, piece by piece (see [`work`](super::work)).

use super::permission::Action;
use super::realm::{RealmKey, Role};
use super::work::Job;
use super::{PeerKey, Router};
use crate::id::{RegistrationId, SessionId, SubscriptionId};
use crate::uri::error;
use core::ops::Bound::{self, Excluded, Unbounded};
use std::collections::VecDeque;

/// Items looked at before the slice is looked at again.
const PIECE: u64 = 1_024;

/// The walk after a change of what a role may do, and how far it has come.
#[derive(Debug)]
pub(crate) struct Revoking {
    realm: RealmKey,
    role: Role,
    /// The slot of the peer that is looked at, and behind which of its items.
    slot: usize,
    registration: Option<RegistrationId>,
    subscription: Option<SubscriptionId>,
    /// What was found and is to be taken back.
    denied: VecDeque<(PeerKey, SessionId, Held)>,
}

/// What a session holds.
#[derive(Clone, Copy, Debug)]
enum Held {
    Registration(RegistrationId),
    Subscription(SubscriptionId),
}

fn behind<T>(after: Option<T>) -> (Bound<T>, Bound<T>) {
    (after.map_or(Unbounded, Excluded), Unbounded)
}

impl Revoking {
    const fn new(realm: RealmKey, role: Role) -> Self {
        Self { realm, role, slot: 0, registration: None, subscription: None, denied: VecDeque::new() }
    }

    fn next_peer(&mut self, slot: usize) {
        (self.slot, self.registration, self.subscription) = (slot, None, None);
    }

    /// Looks at the next items. Returns at how many: fewer than `room` if these were the last.
    fn look(&mut self, router: &Router, room: u64) -> u64 {
        let realm = router.realms.get(self.realm);
        let Some(permissions) = realm.permissions(self.role) else { return 0 };
        let mut looked = 0;
        for (key, peer) in router.peers.iter_from(self.slot) {
            if looked >= room {
                break;
            }
            if key.index() != self.slot {
                self.next_peer(key.index());
            }
            looked += 1;
            let Some(session) = peer.session().filter(|s| s.realm == self.realm && s.role == self.role) else {
                self.next_peer(key.index() + 1);
                continue;
            };
            for &id in session.registrations.range(behind(self.registration)).map(|(id, _)| id) {
                if looked == room {
                    return looked;
                }
                looked += 1;
                self.registration = Some(id);
                let found = realm.dealer.registrations.get(id);
                if found.is_some_and(|one| !permissions.decide(Action::Register, one.uri.as_str(), one.matching).allow)
                {
                    self.denied.push_back((key, session.id, Held::Registration(id)));
                }
            }
            for &id in session.subscriptions.range(behind(self.subscription)).map(|(id, _)| id) {
                if looked == room {
                    return looked;
                }
                looked += 1;
                self.subscription = Some(id);
                let found = realm.broker.subscriptions.get(id);
                if found.is_some_and(|one| !permissions.decide(Action::Subscribe, one.uri.as_str(), one.matching).allow)
                {
                    self.denied.push_back((key, session.id, Held::Subscription(id)));
                }
            }
            self.next_peer(key.index() + 1);
        }
        looked
    }
}

impl Router {
    /// Takes back what sessions of a role hold and may no longer register or subscribe to. An earlier walk for the same role
    /// need not go on.
    pub(crate) fn revoke_denied(&mut self, realm: RealmKey, role: Role) {
        self.jobs.retain(|job| !matches!(job, Job::Revoke(earlier) if (earlier.realm, earlier.role) == (realm, role)));
        if let Some(job) = self.go_on_revoking(Box::new(Revoking::new(realm, role))) {
            self.put_off(job);
        }
    }

    /// Goes on with taking back what may not be held any more; what is left if the slice is used up.
    pub(crate) fn go_on_revoking(&mut self, mut revoking: Box<Revoking>) -> Option<Job> {
        loop {
            while let Some((key, session, held)) = revoking.denied.pop_front() {
                if self.session(key).is_some_and(|open| open.id == session) {
                    self.revoke_held(key, held);
                    self.publish_meta_events();
                }
                if self.work.is_spent() {
                    return Some(Job::Revoke(revoking));
                }
            }
            let room = self.work.left().min(PIECE);
            if room == 0 {
                return Some(Job::Revoke(revoking));
            }
            let looked = revoking.look(self, room);
            self.work.add(looked);
            if looked < room && revoking.denied.is_empty() {
                return None;
            }
        }
    }

    fn revoke_held(&mut self, key: PeerKey, held: Held) {
        let reason = Some(error::NOT_AUTHORIZED);
        match held {
            Held::Registration(id) => self.revoke(key, id, reason),
            Held::Subscription(id) => self.revoke_subscription(key, id, reason),
        };
    }
}
