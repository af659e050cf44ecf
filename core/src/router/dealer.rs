//! Procedures and their callees (spec: "Remote Procedure Calls", "Shared Registration", "Pattern-Based Registration").

use super::invocation::Call;
use super::pattern::PatternMap;
use super::realm::RealmKey;
use super::session::{Session, sorted_keys};
use super::{PeerKey, Router};
use crate::arena::{Arena, key};
use crate::hash::Seed;
use crate::id::{RegistrationId, SessionId};
use crate::message::{InvocationPolicy, Register, RegisterOptions, Registered, RequestType, Unregister, Unregistered};
use crate::time::{Instant, UnixTime};
use crate::uri::{MatchPolicy, Uri, error};
use rand_core::CryptoRng;

key! {
    /// A call without a final answer.
    pub(crate) CallKey
}

/// All calls of a router that have no final answer.
pub(crate) type Calls = Arena<CallKey, Call>;

/// The registrations of a realm.
#[derive(Debug)]
pub(crate) struct Dealer {
    pub(crate) registrations: Arena<RegistrationId, Registration>,
    pub(crate) by_uri: PatternMap<RegistrationId>,
    /// Numbers callees in the order in which they came.
    next_place: u64,
}

/// One procedure and match policy, shared by all its callees.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) uri: Uri,
    pub(crate) matching: MatchPolicy,
    pub(crate) invoke: InvocationPolicy,
    pub(crate) created: UnixTime,
    /// In the order in which they came, so sorted by place; never empty between inputs.
    pub(crate) callees: Vec<Callee>,
    /// The place after which round robin goes on.
    turn: u64,
}

/// One callee of a registration.
#[derive(Debug)]
pub(crate) struct Callee {
    pub(crate) place: u64,
    pub(crate) peer: PeerKey,
    /// Invocations this callee takes at a time for this registration.
    pub(crate) concurrency: Option<u32>,
    /// Invocations of this registration without a final answer.
    pub(crate) busy: u32,
}

impl Callee {
    fn is_free(&self) -> bool {
        self.concurrency.is_none_or(|limit| self.busy < limit)
    }
}

impl Registration {
    fn callee_at(&mut self, place: u64) -> Option<&mut Callee> {
        let index = self.callees.binary_search_by_key(&place, |callee| callee.place).ok()?;
        self.callees.get_mut(index)
    }

    /// Chooses a callee by the invocation policy and counts the call to it: the first in the policy's order that is
    /// fit, else the first that can take the call at all.
    pub(crate) fn choose(&mut self, rng: &mut dyn CryptoRng, fitness: impl Fn(PeerKey) -> Fitness) -> Option<&Callee> {
        let count = self.callees.len();
        let (start, step) = match self.invoke {
            InvocationPolicy::Single | InvocationPolicy::First => (0, 1),
            InvocationPolicy::Last => (count.checked_sub(1)?, count - 1), // backwards, modulo count
            InvocationPolicy::RoundRobin => (self.callees.partition_point(|callee| callee.place < self.turn), 1),
            InvocationPolicy::Random if count > 1 => {
                (usize::try_from(rng.next_u64() % u64::try_from(count).ok()?).ok()?, 1)
            }
            InvocationPolicy::Random => (0, 1),
        };
        let mut second_best = None;
        let mut best = None;
        for index in (0..count).map(|n| (start + n * step) % count) {
            let Some(callee) = self.callees.get(index).filter(|callee| callee.is_free()) else { continue };
            match fitness(callee.peer) {
                Fitness::Fit => {
                    best = Some(index);
                    break;
                }
                Fitness::Congested => second_best = second_best.or(Some(index)),
                Fitness::Full => {}
            }
        }
        let callee = self.callees.get_mut(best.or(second_best)?)?;
        callee.busy += 1;
        self.turn = callee.place + 1;
        Some(callee)
    }
}

/// Whether a callee should be given another call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fitness {
    Fit,
    /// Its queue fills up: others are preferred.
    Congested,
    /// It has as many invocations as it may have.
    Full,
}

impl Dealer {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self { registrations: Arena::new(), by_uri: PatternMap::new(seed), next_place: 0 }
    }

    fn create(&mut self, mut procedure: Uri, options: &RegisterOptions, created: UnixTime) -> RegistrationId {
        procedure.detach();
        let (matching, invoke) = (options.matching, options.invoke);
        let registration =
            Registration { uri: procedure.clone(), matching, invoke, created, callees: Vec::new(), turn: 0 };
        let id = self.registrations.insert(registration);
        self.by_uri.insert(matching, procedure, id);
        id
    }

    fn add(&mut self, id: RegistrationId, peer: PeerKey, concurrency: Option<u32>) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        if let Some(registration) = self.registrations.get_mut(id) {
            registration.callees.push(Callee { place, peer, concurrency, busy: 0 });
        }
        place
    }

    /// Takes a callee off, and returns whether the registration was deleted with its last one.
    fn remove(&mut self, id: RegistrationId, place: u64) -> bool {
        let Some(registration) = self.registrations.get_mut(id) else { return false };
        if let Ok(index) = registration.callees.binary_search_by_key(&place, |callee| callee.place) {
            registration.callees.remove(index);
        }
        let deleted = registration.callees.is_empty();
        if deleted {
            self.by_uri.remove(registration.matching, registration.uri.as_str());
            self.registrations.remove(id);
        }
        deleted
    }

    /// An invocation of this callee is over. The callee may have unregistered meanwhile.
    pub(crate) fn release(&mut self, id: RegistrationId, place: u64) {
        if let Some(callee) = self.registrations.get_mut(id).and_then(|registration| registration.callee_at(place)) {
            callee.busy = callee.busy.saturating_sub(1);
        }
    }
}

impl Router {
    pub(crate) fn register(&mut self, now: Instant, key: PeerKey, register: Register) {
        let request = register.request;
        match self.try_register(now, key, register) {
            Ok(registration) => self.send(key, Registered { request, registration }),
            Err((error, text)) => self.fail(key, RequestType::Register, request, error, text),
        }
    }

    fn try_register(
        &mut self,
        now: Instant,
        key: PeerKey,
        register: Register,
    ) -> Result<RegistrationId, (Uri, String)> {
        let Register { options, procedure, .. } = register;
        let created = self.wall_clock(now);
        let session = self.session(key).ok_or((error::NO_SUCH_SESSION, String::new()))?;
        let held = session.registrations.len();
        if held >= self.config.limits.max_registrations_per_session {
            self.stats.limited += 1;
            let text = format!("session holds {held} registrations, as many as it may");
            return Err((error::RESOURCE_LIMIT, text));
        }
        let (realm_key, session_id) = (session.realm, session.id);
        let dealer = &mut self.realms.get_mut(realm_key).dealer;
        let max_shapes = self.config.limits.max_wildcard_shapes;
        let present = dealer.by_uri.get(options.matching, procedure.as_str());
        let id = match present {
            None if !dealer.by_uri.has_room(options.matching, procedure.as_str(), max_shapes) => {
                self.stats.limited += 1;
                let text =
                    "the realm's registrations have as many shapes of such wildcard patterns as they may".to_owned();
                return Err((error::RESOURCE_LIMIT, text));
            }
            None => dealer.create(procedure, &options, created),
            Some(id) => {
                let policy = dealer.registrations.get(id).map_or(InvocationPolicy::Single, |found| found.invoke);
                if policy != options.invoke {
                    let text = format!(
                        "register for already registered procedure '{procedure}' with invocation policy {} (present: {})",
                        options.invoke.as_str(),
                        policy.as_str()
                    );
                    return Err((error::PROCEDURE_EXISTS_WITH_DIFFERENT_POLICY, text));
                }
                let holds = self.session(key).is_some_and(|session| session.registrations.contains_key(&id));
                if holds || policy == InvocationPolicy::Single {
                    let text = format!("register for already registered procedure '{procedure}'");
                    return Err((error::PROCEDURE_ALREADY_EXISTS, text));
                }
                id
            }
        };
        let place = self.realms.get_mut(realm_key).dealer.add(id, key, options.concurrency);
        if let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) {
            session.registrations.insert(id, place);
        }
        self.note_registered(realm_key, session_id, id, present.is_none());
        Ok(id)
    }

    pub(crate) fn unregister(&mut self, key: PeerKey, unregister: &Unregister) {
        let Unregister { request, registration } = *unregister;
        if self.remove_callee(key, registration) {
            self.send(key, Unregistered { request: Some(request), revocation: None });
        } else {
            let text = format!("session does not hold registration {registration}");
            self.fail(key, RequestType::Unregister, request, error::NO_SUCH_REGISTRATION, text);
        }
    }

    /// Takes a session off a registration. False if it does not hold it. Calls that it has begun to answer go on.
    pub(crate) fn remove_callee(&mut self, key: PeerKey, id: RegistrationId) -> bool {
        let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) else { return false };
        let (realm, session_id) = (session.realm, session.id);
        let Some(place) = session.registrations.remove(&id) else { return false };
        self.leave_registration(realm, session_id, id, place);
        true
    }

    fn leave_registration(&mut self, realm: RealmKey, session: SessionId, id: RegistrationId, place: u64) {
        let deleted = self.realms.get_mut(realm).dealer.remove(id, place);
        self.note_unregistered(realm, session, id, deleted);
    }

    /// Takes an ended session off its registrations, and out of the calls it made or was to answer.
    pub(crate) fn leave_dealer(&mut self, session: &Session) {
        for id in sorted_keys(&session.registrations) {
            if let Some(&place) = session.registrations.get(&id) {
                self.leave_registration(session.realm, session.id, id, place);
            }
        }
        self.abandon_calls(session);
        self.fail_invocations(session);
    }
}
