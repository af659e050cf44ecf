//! Calls that wait: for any callee of a registration to be below its `concurrency`, or for a shard
//! (spec: "Shared Registration"; the limit is an option of Crossbar.io).
//!
//! Each line is in the order in which its calls came. There is always somebody busy whose answer will move a line on:
//! where nobody is, the calls in line are answered at once.

use super::super::Router;
use super::super::realm::RealmKey;
use super::super::registration::{Callee, Choice, Registration};
use super::{Asked, Call, CallKey, Kept, Refusal, Stage};
use crate::id::RegistrationId;
use crate::time::Instant;
use crate::uri::error;

/// Why a call in line will get no callee.
const NOBODY: &str = "no callee of the procedure takes more calls now";

/// A place in line: the ticket, and the shard that is waited for, if it is one.
type InLine = (u64, Option<u64>);

impl Registration {
    /// Puts a call in line.
    fn enter_line(&mut self, (ticket, shard): InLine, call: CallKey) {
        self.waiting += 1;
        match shard.and_then(|place| self.callee_at_mut(place)) {
            Some(shard) => shard.queue.insert(ticket, call),
            None => self.queue.insert(ticket, call),
        };
    }

    /// Takes a call out of line.
    fn leave_line(&mut self, (ticket, shard): InLine) {
        let line = match shard {
            Some(place) => self.callee_at_mut(place).map(|shard| &mut shard.queue),
            None => Some(&mut self.queue),
        };
        let left = line.and_then(|line| line.remove(&ticket));
        self.waiting -= usize::from(left.is_some());
    }

    /// Who has waited longest for any callee, or for the one at this place.
    fn first_in_line(&self, place: Option<u64>) -> Option<CallKey> {
        let shard = place.and_then(|place| self.callee_at(place)?.queue.first_key_value());
        shard.into_iter().chain(self.queue.first_key_value()).min_by_key(|(ticket, _)| **ticket).map(|(_, call)| *call)
    }

    /// Who waits although nobody will ever move the line on.
    fn stuck(&self, place: Option<u64>) -> Option<CallKey> {
        let shard = place.and_then(|place| self.callee_at(place)).filter(|shard| shard.busy == 0);
        let shard = shard.and_then(|shard| shard.queue.first_key_value());
        shard.or_else(|| self.queue.first_key_value().filter(|_| self.busy == 0)).map(|(_, call)| *call)
    }
}

impl Router {
    fn registration_mut(&mut self, realm: RealmKey, id: RegistrationId) -> Option<&mut Registration> {
        self.realms.get_mut(realm).dealer.registrations.get_mut(id)
    }

    /// Lets a call wait, if there is room. The parts of a progressive call have no bound, so that it can not wait.
    pub(super) fn wait_in_line(
        &mut self,
        now: Instant,
        call: Call,
        asked: Asked,
        shard: Option<u64>,
    ) -> Result<(), Refusal> {
        let (realm, id) = (call.realm, call.registration);
        let waiting = self.registration_mut(realm, id).map_or(0, |registration| registration.waiting);
        if asked.progress || waiting >= self.config.limits.max_queued_calls {
            return Err(self.nowhere(&asked.procedure));
        }
        if asked.weight() + asked.payload.weight() > self.allowance(call.caller) {
            return Err(self.no_allowance());
        }
        let key = self.admit(now, call);
        let dealer = &mut self.realms.get_mut(realm).dealer;
        let ticket = dealer.next_ticket;
        dealer.next_ticket += 1;
        self.stats.calls_queued += 1;
        self.keep(key, Kept::whole(asked));
        self.enter_line(key, (ticket, shard));
        self.serve_line(realm, id, None);
        Ok(())
    }

    fn enter_line(&mut self, key: CallKey, (ticket, shard): InLine) {
        let Some(call) = self.calls.get_mut(key) else { return };
        call.stage = Stage::Waiting { ticket, shard };
        let (realm, id) = (call.realm, call.registration);
        if let Some(registration) = self.registration_mut(realm, id) {
            registration.enter_line((ticket, shard), key);
            self.stats.calls_waiting += 1;
        }
    }

    /// Takes a call out of line, if it waits.
    pub(super) fn leave_line(&mut self, key: CallKey) -> Option<InLine> {
        let call = self.calls.get_mut(key)?;
        let Stage::Waiting { ticket, shard } = call.stage else { return None };
        call.stage = Stage::Unplaced;
        let (realm, id) = (call.realm, call.registration);
        self.registration_mut(realm, id)?.leave_line((ticket, shard));
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

    /// Gives calls in line to callees, as long as there are both. `place`: where a callee may have become free.
    pub(crate) fn serve_line(&mut self, realm: RealmKey, id: RegistrationId, place: Option<u64>) {
        loop {
            while let Some(key) = self.registration_mut(realm, id).and_then(|found| found.first_in_line(place)) {
                if !self.serve_first(key) {
                    break;
                }
            }
            // Those behind one that nobody can take may have more luck.
            let Some(key) = self.registration_mut(realm, id).and_then(|found| found.stuck(place)) else { return };
            self.fail_call(key, error::NO_AVAILABLE_CALLEE, NOBODY);
        }
    }

    /// Moves the first in a line on. False: it stays where it is, and so do those behind it.
    fn serve_first(&mut self, key: CallKey) -> bool {
        let Some((ticket, shard)) = self.leave_line(key) else { return false };
        let (line, moved) = match self.give(key) {
            Choice::Callee(_) => return true,
            Choice::Line(line) => (line, line != shard),
            Choice::Nowhere | Choice::Incapable => (shard, false),
        };
        self.enter_line(key, (ticket, line));
        moved
    }

    /// Gives a call that is out of line to a callee, if it is time for it.
    fn give(&mut self, key: CallKey) -> Choice {
        let Some(call) = self.calls.get_mut(key) else { return Choice::Nowhere };
        let (realm, id) = (call.realm, call.registration);
        let Some(kept) = call.kept.take() else { return Choice::Nowhere };
        let choice = self.choose(realm, id, &kept.asked, &[]);
        if let Some(call) = self.calls.get_mut(key) {
            call.kept = Some(kept);
        }
        if let Choice::Callee(chosen) = choice
            && let Some(kept) = self.take_kept(key)
        {
            self.invoke(key, chosen, kept.asked, Vec::new());
        }
        choice
    }

    /// A callee is no longer one: those who waited for it wait for another, or for nobody.
    pub(crate) fn move_line(&mut self, realm: RealmKey, id: RegistrationId, gone: Option<Callee>) {
        for (ticket, key) in gone.map_or_else(Default::default, |callee| callee.queue) {
            if let Some(registration) = self.registration_mut(realm, id) {
                registration.waiting -= 1;
                self.stats.calls_waiting -= 1;
            }
            if let Some(call) = self.calls.get_mut(key) {
                call.stage = Stage::Unplaced;
            }
            match self.give(key) {
                Choice::Callee(_) => {}
                Choice::Line(line) => self.enter_line(key, (ticket, line)),
                Choice::Nowhere | Choice::Incapable => self.fail_call(key, error::NO_AVAILABLE_CALLEE, NOBODY),
            }
        }
        self.serve_line(realm, id, None);
    }
}
