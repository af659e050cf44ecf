//! Calls that wait: for any callee of a registration to be below its `concurrency`, or for a shard
//! (spec: "Shared Registration"; the limit is an option of Crossbar.io); or for a callee to read what waits to be
//! written to it.
//!
//! Each line is in the order in which its calls came. There is always somebody whose answer will move a line on, or who
//! will read again, or be given up in time: where nobody is, the calls in line are answered at once.
//!
//! Callees get one call of a line at a time, and the next when that is on its way: so that what waits to be written to
//! them is known in between.

use super::super::Router;
use super::super::realm::RealmKey;
use super::super::registration::{Callee, Choice, Registration};
use super::super::work::MESSAGE;
use super::{Asked, Call, CallKey, Kept, Refusal, Stage};
use crate::id::RegistrationId;
use crate::time::Instant;
use crate::uri::error;

/// Why a call in line will get no callee.
const NOBODY: &str = "no callee of the procedure takes more calls now";

/// A place in line: the ticket, and the shard that is waited for, if it is one.
type InLine = (u64, Option<u64>);

/// A line that may move on: its registration, and the place of the callee that may take a call, if it is one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DueLine {
    pub(crate) realm: RealmKey,
    pub(crate) registration: RegistrationId,
    pub(crate) place: Option<u64>,
}

/// What became of the first in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Served {
    /// It has a callee.
    Given,
    /// It is in another line, or its caller is gone.
    Moved,
    /// It stays where it is, and so do those behind it.
    Stays,
}

impl Registration {
    /// Puts a call in line, of which so many bytes are kept.
    fn enter_line(&mut self, (ticket, shard): InLine, call: CallKey, bytes: usize) {
        self.waiting += 1;
        self.waiting_bytes += bytes;
        match shard.and_then(|place| self.callee_at_mut(place)) {
            Some(shard) => shard.queue.insert(ticket, call),
            None => self.queue.insert(ticket, call),
        };
    }

    /// Takes a call out of line.
    fn leave_line(&mut self, (ticket, shard): InLine, bytes: usize) {
        let line = match shard {
            Some(place) => self.callee_at_mut(place).map(|shard| &mut shard.queue),
            None => Some(&mut self.queue),
        };
        if line.and_then(|line| line.remove(&ticket)).is_some() {
            self.waiting -= 1;
            self.waiting_bytes -= bytes;
        }
    }

    /// Who has waited longest for any callee, or for the one at this place.
    fn first_in_line(&self, place: Option<u64>) -> Option<CallKey> {
        let shard = place.and_then(|place| self.callee_at(place)?.queue.first_key_value());
        shard.into_iter().chain(self.queue.first_key_value()).min_by_key(|(ticket, _)| **ticket).map(|(_, call)| *call)
    }

    /// Who waits although nobody will ever move the line on.
    fn stuck(&self, place: Option<u64>) -> Option<CallKey> {
        let idle = |shard: &&Callee| shard.busy == 0 && !shard.awaited;
        let shard = place.and_then(|place| self.callee_at(place)).filter(idle);
        let shard = shard.and_then(|shard| shard.queue.first_key_value());
        let nobody = self.busy == 0 && self.awaited == 0;
        shard.or_else(|| self.queue.first_key_value().filter(|_| nobody)).map(|(_, call)| *call)
    }
}

impl Router {
    fn registration_mut(&mut self, realm: RealmKey, id: RegistrationId) -> Option<&mut Registration> {
        self.realms.get_mut(realm).dealer.registrations.get_mut(id)
    }

    /// Lets a call wait, if there is room. The parts of a progressive call have no bound, so that it can wait only where
    /// its caller is not read from meanwhile.
    pub(super) fn wait_in_line(
        &mut self,
        now: Instant,
        call: Call,
        asked: Asked,
        shard: Option<u64>,
    ) -> Result<(), Refusal> {
        let (realm, id) = (call.realm, call.registration);
        let (goes_on, bytes) = (asked.progress, asked.weight() + asked.payload.weight());
        let limits = &self.config.limits;
        let room = self.realms.get(realm).dealer.registrations.get(id).is_some_and(|registration| {
            registration.waiting < limits.max_queued_calls
                && registration.waiting_bytes.saturating_add(bytes) <= limits.max_queued_call_bytes
        });
        let held_back = room && self.await_callees(realm, id);
        if !room || goes_on && !held_back {
            return Err(self.nowhere(&asked.procedure));
        }
        if bytes > self.allowance(call.caller) {
            return Err(self.no_allowance());
        }
        let key = self.admit(now, call);
        let dealer = &mut self.realms.get_mut(realm).dealer;
        let ticket = dealer.next_ticket;
        dealer.next_ticket += 1;
        self.stats.calls_queued += 1;
        self.keep(key, Kept::whole(asked));
        self.enter_line(key, (ticket, shard));
        if held_back {
            self.stats.calls_held_back += 1;
            self.hold_back(key);
        }
        self.serve_line(realm, id, None);
        Ok(())
    }

    /// Calls are to wait for the callees of a registration that have to read first: it goes on when one has. Returns
    /// whether there are any.
    fn await_callees(&mut self, realm: RealmKey, id: RegistrationId) -> bool {
        let Some(registration) = self.realms.get_mut(realm).dealer.registrations.get_mut(id) else { return false };
        for callee in registration.callees.iter_mut().filter(|callee| !callee.awaited) {
            let Some(peer) = self.peers.get_mut(callee.peer).filter(|peer| peer.is_awaited()) else { continue };
            if let Some(session) = peer.session_mut() {
                session.awaited.push(id);
                callee.awaited = true;
                registration.awaited += 1;
            }
        }
        registration.awaited > 0
    }

    fn enter_line(&mut self, key: CallKey, (ticket, shard): InLine) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.stage = Stage::Waiting { ticket, shard };
        let (realm, id) = (call.realm, call.registration);
        let bytes = call.kept_bytes();
        if let Some(registration) = self.registration_mut(realm, id) {
            registration.enter_line((ticket, shard), key, bytes);
            self.stats.calls_waiting += 1;
        }
    }

    /// Takes a call out of line, if it waits.
    pub(super) fn leave_line(&mut self, key: CallKey) -> Option<InLine> {
        self.release_held_back(key);
        let call = self.calls.get_mut(key)?;
        let Stage::Waiting { ticket, shard } = call.stage else { return None };
        call.stage = Stage::Unplaced;
        let (realm, id) = (call.realm, call.registration);
        let bytes = call.kept_bytes();
        self.registration_mut(realm, id)?.leave_line((ticket, shard), bytes);
        self.stats.calls_waiting -= 1;
        Some((ticket, shard))
    }

    /// An invocation of the callee at this place is over: it can take another call.
    pub(super) fn release(&mut self, realm: RealmKey, id: RegistrationId, place: u64) {
        let Some(registration) = self.registration_mut(realm, id) else { return };
        registration.release(place);
        if registration.waiting > 0 {
            self.serve_line(realm, id, Some(place));
        }
    }

    /// Gives the first call in line to a callee, if there are both; the next follows when that is put out. `place`: where
    /// a callee may have become free.
    pub(crate) fn serve_line(&mut self, realm: RealmKey, id: RegistrationId, place: Option<u64>) {
        loop {
            if let Some(key) = self.registration_mut(realm, id).and_then(|found| found.first_in_line(place)) {
                match self.serve_first(key) {
                    Served::Given => {
                        return self.due_lines.push_back(DueLine { realm, registration: id, place });
                    }
                    Served::Moved => continue,
                    Served::Stays => {}
                }
            }
            // Those behind one that nobody can take may have more luck.
            let Some(key) = self.registration_mut(realm, id).and_then(|found| found.stuck(place)) else { return };
            self.fail_call(key, error::NO_AVAILABLE_CALLEE, NOBODY);
        }
    }

    /// Goes on with a line of which the first was given to a callee. False: no line is due.
    pub(crate) fn serve_due_line(&mut self) -> bool {
        let Some(DueLine { realm, registration, place }) = self.due_lines.pop_front() else { return false };
        self.work.add(MESSAGE);
        self.serve_line(realm, registration, place);
        true
    }

    /// Moves the first in a line on.
    fn serve_first(&mut self, key: CallKey) -> Served {
        let Some(&Call { realm, registration, stage: Stage::Waiting { shard, .. }, .. }) = self.calls.get(key) else {
            return Served::Stays;
        };
        if self.is_abandoned(key) {
            self.finish(key);
            return Served::Moved;
        }
        match self.choose_for(key) {
            Choice::Callee(chosen) => {
                self.leave_line(key);
                if let Some(kept) = self.take_kept(key) {
                    self.invoke(key, chosen, kept.asked, Vec::new());
                }
                Served::Given
            }
            Choice::Line(line) => {
                let held_back = self.await_callees(realm, registration);
                if line == shard {
                    return Served::Stays;
                }
                if let Some((ticket, _)) = self.leave_line(key) {
                    self.enter_line(key, (ticket, line));
                    if held_back {
                        self.hold_back(key);
                    }
                }
                Served::Moved
            }
            Choice::Nowhere | Choice::Incapable => Served::Stays,
        }
    }

    /// Chooses where a call goes of which all is kept.
    fn choose_for(&mut self, key: CallKey) -> Choice {
        let Some(call) = self.calls.get_mut(key) else { return Choice::Nowhere };
        let (realm, id) = (call.realm, call.registration);
        let Some(kept) = call.kept.take() else { return Choice::Nowhere };
        let choice = self.choose(realm, id, &kept.asked, &[]);
        if let Some(call) = self.calls.get_mut(key) {
            call.kept = Some(kept);
        }
        choice
    }

    /// A callee is no longer one: those who waited for it wait for another, or for nobody.
    pub(crate) fn move_line(&mut self, realm: RealmKey, id: RegistrationId, gone: Callee) {
        for (ticket, key) in gone.queue {
            self.place_anew(realm, id, ticket, key);
        }
        self.serve_line(realm, id, None);
    }

    /// Moves the first of those on who wait for a callee that is leaving and for no other. False if nobody does.
    pub(crate) fn move_first(&mut self, realm: RealmKey, id: RegistrationId, place: u64) -> bool {
        let Some(registration) = self.registration_mut(realm, id) else { return false };
        let Some(callee) = registration.callee_at_mut(place) else { return false };
        if let Some((ticket, key)) = callee.queue.pop_first() {
            self.place_anew(realm, id, ticket, key);
            return true;
        }
        let alone = registration.callees.len() == 1;
        let Some(&key) = registration.queue.values().next().filter(|_| alone) else { return false };
        self.fail_call(key, error::NO_AVAILABLE_CALLEE, NOBODY);
        true
    }

    /// A call that has been taken out of the line for one callee goes to another, into another line, or nowhere.
    fn place_anew(&mut self, realm: RealmKey, id: RegistrationId, ticket: u64, key: CallKey) {
        self.release_held_back(key);
        let Some(call) = self.calls.get_mut(key) else { return };
        call.stage = Stage::Unplaced;
        let bytes = call.kept_bytes();
        if let Some(registration) = self.registration_mut(realm, id) {
            registration.waiting -= 1;
            registration.waiting_bytes -= bytes;
            self.stats.calls_waiting -= 1;
        }
        if self.is_abandoned(key) {
            self.finish(key);
            return;
        }
        match self.choose_for(key) {
            Choice::Callee(chosen) => {
                if let Some(kept) = self.take_kept(key) {
                    self.invoke(key, chosen, kept.asked, Vec::new());
                }
            }
            Choice::Line(line) => {
                self.enter_line(key, (ticket, line));
                if self.await_callees(realm, id) {
                    self.hold_back(key);
                }
            }
            Choice::Nowhere | Choice::Incapable => self.fail_call(key, error::NO_AVAILABLE_CALLEE, NOBODY),
        }
    }
}
