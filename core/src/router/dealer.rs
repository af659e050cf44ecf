//! Procedures and their callees: REGISTER, UNREGISTER, and what the router takes back itself
//! (spec: "Registering and Unregistering", "Pattern-Based Registration", "Registration Revocation").

use super::config::ForceReregister;
use super::pattern::PatternMap;
use super::realm::RealmKey;
use super::registration::{Callee, Registration};
use super::rendezvous;
use super::work::ITEM;
use super::{Output, PeerKey, Router};
use crate::arena::Arena;
use crate::hash::Seed;
use crate::id::{RegistrationId, SessionId};
use crate::message::{
    Features, InvocationPolicy, Register, RegisterOptions, Registered, RequestType, Revocation, Unregister,
    Unregistered,
};
use crate::time::{Instant, UnixTime};
use crate::uri::{Uri, error, matches};
use std::collections::{BTreeMap, BTreeSet};

/// Callees that move up in a unit of work when one of those before them goes.
const MOVED_PER_UNIT: u64 = 16;

/// The registrations of a realm.
#[derive(Debug)]
pub(crate) struct Dealer {
    pub(crate) registrations: Arena<RegistrationId, Registration>,
    pub(crate) by_uri: PatternMap<RegistrationId>,
    /// Numbers callees in the order in which they came.
    next_place: u64,
    /// Numbers calls that wait for a callee in the order in which they came.
    pub(crate) next_ticket: u64,
    /// Procedures that nobody has registered, and whose registration is to be told.
    pub(crate) awaited: BTreeSet<Uri>,
}

impl Dealer {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self {
            registrations: Arena::new(),
            by_uri: PatternMap::new(seed),
            next_place: 0,
            next_ticket: 0,
            awaited: BTreeSet::new(),
        }
    }

    fn create(&mut self, mut procedure: Uri, options: &RegisterOptions, created: UnixTime) -> RegistrationId {
        procedure.detach();
        let registration = Registration::new(procedure.clone(), options.matching, options.invoke, created);
        let id = self.registrations.insert(registration);
        self.by_uri.insert(options.matching, procedure, id);
        id
    }

    fn add(&mut self, id: RegistrationId, peer: PeerKey, options: &RegisterOptions) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        if let Some(registration) = self.registrations.get_mut(id) {
            registration.add(Callee {
                place,
                peer,
                concurrency: options.concurrency,
                disclose_caller: options.disclose_caller == Some(true),
                forward_timeout: options.forward_timeout,
                shard: options.nkey.as_deref().map(rendezvous::hash),
                busy: 0,
                queue: BTreeMap::new(),
                awaited: false,
            });
        }
        place
    }
}

impl Router {
    /// Asks to be told, by one [`Output::ProcedureRegistered`], when a session registers a procedure of a realm, or a
    /// pattern that matches it. Returns true if one has already, or there is no such realm: then nothing is told. The
    /// router remembers each procedure once, however often it is asked about; how many those are is up to the caller.
    pub fn await_procedure(&mut self, realm: &Uri, procedure: &Uri) -> bool {
        let Some(key) = self.realms.find(realm) else { return true };
        let dealer = &mut self.realms.get_mut(key).dealer;
        if dealer.by_uri.best(procedure.as_str()).is_some() {
            return true;
        }
        if !dealer.awaited.contains(procedure) {
            let mut procedure = procedure.clone();
            procedure.detach();
            dealer.awaited.insert(procedure);
        }
        false
    }

    /// Tells whoever waits for procedures that this registration matches.
    fn tell_awaiting(&mut self, realm: RealmKey, id: RegistrationId) {
        let realm = self.realms.get_mut(realm);
        let Dealer { registrations, awaited, .. } = &mut realm.dealer;
        if awaited.is_empty() {
            return;
        }
        let Some(Registration { uri, matching, .. }) = registrations.get(id) else { return };
        let name = &realm.name;
        let outputs = &mut self.outputs;
        awaited.retain(|procedure| {
            let found = matches(uri.as_str(), *matching, procedure.as_str());
            if found {
                let (realm, procedure) = (name.clone(), procedure.clone());
                outputs.push_back(Output::ProcedureRegistered { realm, procedure });
            }
            !found
        });
    }

    pub(crate) fn register(&mut self, now: Instant, key: PeerKey, register: Register) {
        let request = register.request;
        match self.try_register(now, key, register) {
            Ok((realm, registration)) => {
                self.send(key, Registered { request, registration });
                self.tell_awaiting(realm, registration);
                self.serve_line(realm, registration, None);
            }
            Err((error, text)) => self.fail(key, RequestType::Register, request, error, text),
        }
    }

    fn try_register(
        &mut self,
        now: Instant,
        key: PeerKey,
        register: Register,
    ) -> Result<(RealmKey, RegistrationId), (Uri, String)> {
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
        let realm = self.realms.get(realm_key);
        if options.disclose_caller == Some(true) && !realm.disclose_me {
            let text = "the realm does not let callees ask for the identity of callers".to_owned();
            return Err((error::OPTION_NOT_ALLOWED, text));
        }
        let mut present = realm.dealer.by_uri.get(options.matching, procedure.as_str());
        if let Some(id) = present
            && (self.take_back_registration(realm_key, id)
                || options.force_reregister && self.may_push_off(key, id) && self.push_off(realm_key, id))
        {
            present = None;
        }
        let holds = present.is_some_and(|id| self.session(key).is_some_and(|s| s.registrations.contains_key(&id)));
        let max_shapes = self.config.limits.max_wildcard_shapes;
        let dealer = &mut self.realms.get_mut(realm_key).dealer;
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
                check_shared(&procedure, policy, options.invoke, holds)?;
                id
            }
        };
        let place = dealer.add(id, key, &options);
        if let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) {
            session.registrations.insert(id, place);
        }
        self.note_registered(realm_key, session_id, id, present.is_none());
        Ok((realm_key, id))
    }

    /// Whether the realm lets a session push all present callees off a registration. A walk over them.
    fn may_push_off(&self, key: PeerKey, id: RegistrationId) -> bool {
        let Some(session) = self.session(key) else { return false };
        let realm = self.realms.get(session.realm);
        match realm.force_reregister {
            ForceReregister::Nobody => false,
            ForceReregister::Anybody => true,
            ForceReregister::SamePrincipal => {
                let is_same = |callee: &Callee| {
                    // Whoever is leaving is as good as gone.
                    self.session(callee.peer).is_none_or(|other| {
                        (&other.identity.authid, other.role) == (&session.identity.authid, session.role)
                    })
                };
                realm.dealer.registrations.get(id).is_some_and(|present| present.callees.iter().all(is_same))
            }
        }
    }

    /// Takes a registration back from all its callees. The last first, so that none of the others moves up.
    fn push_off(&mut self, realm: RealmKey, id: RegistrationId) -> bool {
        let present = self.realms.get(realm).dealer.registrations.get(id);
        let callees = present.into_iter().flat_map(|registration| &registration.callees).rev();
        let callees: Vec<(PeerKey, u64)> = callees.map(|callee| (callee.peer, callee.place)).collect();
        for (callee, place) in callees {
            if !self.revoke(callee, id, Some(error::PROCEDURE_ALREADY_EXISTS)) {
                self.take_back_callee(realm, id, callee, place);
            }
        }
        true
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

    /// Takes a registration back from a session, and tells it if it announced that it understands (spec:
    /// "Registration Revocation"). False if the session does not hold it. Calls that it has begun to answer go on.
    pub(crate) fn revoke(&mut self, key: PeerKey, registration: RegistrationId, reason: Option<Uri>) -> bool {
        if !self.remove_callee(key, registration) {
            return false;
        }
        self.stats.registrations_revoked += 1;
        if self.session(key).is_some_and(|session| session.callee_has(Features::REGISTRATION_REVOCATION)) {
            let revocation = Some(Box::new(Revocation { id: registration, reason }));
            self.send(key, Unregistered { request: None, revocation });
        }
        true
    }

    /// Takes a session off a registration. False if it does not hold it. Calls that it has begun to answer go on.
    pub(crate) fn remove_callee(&mut self, key: PeerKey, id: RegistrationId) -> bool {
        let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) else { return false };
        let (realm, session_id) = (session.realm, session.id);
        let Some(place) = session.registrations.remove(&id) else { return false };
        self.leave_registration(realm, session_id, id, place);
        true
    }

    /// Takes a session off a registration at this place, if it is there still.
    pub(crate) fn leave_registration(&mut self, realm: RealmKey, session: SessionId, id: RegistrationId, place: u64) {
        let dealer = &mut self.realms.get_mut(realm).dealer;
        let Some(registration) = dealer.registrations.get_mut(id) else { return };
        let Some(callee) = registration.remove(place) else { return };
        let moved = registration.callees_behind(Some(place)).len() as u64;
        self.work.add(ITEM + moved / MOVED_PER_UNIT);
        let deleted = registration.callees.is_empty();
        if deleted {
            dealer.by_uri.remove(registration.matching, registration.uri.as_str());
        }
        self.move_line(realm, id, callee);
        if deleted {
            self.realms.get_mut(realm).dealer.registrations.remove(id);
        }
        self.note_unregistered(realm, session, id, deleted);
    }
}

/// Whether one more callee may share a registration that is there (spec: "Shared Registration").
fn check_shared(
    procedure: &Uri,
    present: InvocationPolicy,
    asked: InvocationPolicy,
    holds: bool,
) -> Result<(), (Uri, String)> {
    if present != asked {
        let text = format!(
            "register for already registered procedure '{procedure}' with invocation policy {} (present: {})",
            asked.as_str(),
            present.as_str()
        );
        return Err((error::PROCEDURE_EXISTS_WITH_DIFFERENT_POLICY, text));
    }
    if holds || present == InvocationPolicy::Single {
        return Err((
            error::PROCEDURE_ALREADY_EXISTS,
            format!("register for already registered procedure '{procedure}'"),
        ));
    }
    Ok(())
}
