//! Callers that are faster than their callees read. They are not read from until the callee has caught up: otherwise
//! what they send would pile up until the callee is given up as a slow consumer, which is not its fault alone.
//!
//! That goes for the parts of a call, and for calls that wait in line since no callee reads; of those a few are free, so
//! that a callee that does not read does not keep its callers from everything else at once. The callee has some time to
//! catch up; then the call is what is given up.

use super::super::config::Limits;
use super::super::peer::Peer;
use super::super::session::sorted_keys;
use super::super::timers::TimerKey;
use super::super::{PeerKey, Router};
use super::line::DueLine;
use super::{Call, CallKey};
use crate::message::CancelMode;
use crate::time::Instant;
use crate::uri::error;

/// What a caller has waiting for callees that do not keep up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeldBack {
    /// Calls.
    pub(crate) calls: usize,
    /// Those of them of which more parts follow.
    pub(crate) that_go_on: usize,
    /// Bytes kept of all of them.
    pub(crate) bytes: usize,
}

impl HeldBack {
    /// Whether so little waits that the caller may make further calls.
    pub(crate) const fn admit_more(&self, limits: &Limits) -> bool {
        self.calls == 0
            || self.that_go_on == 0
                && self.calls < limits.max_calls_held_back
                && self.bytes <= limits.max_kept_call_bytes / 2
    }
}

impl Call {
    /// Bytes kept of it.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes)
    }

    /// What it counts for while it waits for a callee that does not keep up.
    pub(crate) fn as_held_back(&self) -> HeldBack {
        let goes_on = self.kept.as_ref().is_some_and(|kept| kept.asked.progress);
        HeldBack { calls: 1, that_go_on: usize::from(goes_on), bytes: self.kept_bytes() }
    }
}

impl Router {
    /// The queue to a peer has begun to fill, or has emptied again.
    pub(crate) fn congestion_changed(&mut self, now: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        let has_calls = peer.session().is_some_and(|session| !session.registrations.is_empty());
        let patience = (has_calls && peer.is_congested()).then(|| now.after(self.config.limits.stall_timeout));
        if let Some(old) = core::mem::replace(&mut peer.patience, patience) {
            self.timers.cancel(old, TimerKey::Patience(key));
        }
        if let Some(at) = patience {
            self.timers.set(at, TimerKey::Patience(key));
        }
        self.stall_callers(now, key);
        if patience.is_none() {
            self.stop_awaiting(key);
        }
    }

    /// Callers of calls in parts are made to wait for this callee, or not any more.
    fn stall_callers(&mut self, now: Instant, callee: PeerKey) {
        let Some(session) = self.session(callee).filter(|session| !session.invocations.is_empty()) else { return };
        let invocations = sorted_keys(&session.invocations);
        let calls: Vec<CallKey> =
            invocations.iter().filter_map(|invocation| session.invocations.get(invocation).copied()).collect();
        for call in calls {
            self.stall(now, call);
        }
    }

    /// A congested peer has not read enough in time: calls are not to wait for it.
    pub(crate) fn patience_over(&mut self, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key) else { return };
        peer.patience = None;
        if self.session(key).is_some_and(|session| !session.awaited.is_empty()) {
            self.stats.callees_overdue += 1;
        }
        self.stop_awaiting(key);
    }

    /// Lines that wait for a callee move on, one way or the other.
    fn stop_awaiting(&mut self, key: PeerKey) {
        let Some(session) = self.peers.get_mut(key).and_then(Peer::session_mut) else { return };
        let realm = session.realm;
        let mut awaited = core::mem::take(&mut session.awaited);
        awaited.sort_unstable();
        for registration in awaited {
            let Some(&place) = session.registrations.get(&registration) else { continue };
            let Some(entry) = self.realms.get_mut(realm).dealer.registrations.get_mut(registration) else { continue };
            let Some(callee) = entry.callee_at_mut(place).filter(|callee| callee.awaited) else { continue };
            callee.awaited = false;
            entry.awaited -= 1;
            self.due_lines.push_back(DueLine { realm, registration, place: Some(place) });
        }
    }

    /// Whether more parts of a call are to come for a callee that does not keep up.
    pub(crate) fn is_too_fast(&self, key: CallKey) -> bool {
        let Some(call) = self.calls.get(key) else { return false };
        let goes_on = call.kept.as_ref().is_some_and(|kept| kept.asked.progress);
        let callee = call.invoked().filter(|invoked| goes_on && !invoked.interrupted).map(|invoked| invoked.callee);
        callee.and_then(|callee| self.peers.get(callee)).is_some_and(Peer::is_congested)
    }

    /// Stops reading from the caller of a call, or goes on with it, as it is right now.
    pub(super) fn stall(&mut self, now: Instant, key: CallKey) {
        if !self.is_too_fast(key) {
            return self.unstall(key);
        }
        let at = now.after(self.config.limits.stall_timeout);
        let Some(call) = self.calls.get_mut(key).filter(|call| call.stalled.is_none()) else { return };
        call.stalled = Some(at);
        self.timers.set(at, TimerKey::Stall(key));
        self.stats.calls_stalled += 1;
        if let Some(caller) = self.peers.get_mut(call.caller).and_then(|peer| peer.session_mut()) {
            caller.stalled_calls += 1;
        }
    }

    /// A call is no reason any more not to read from its caller.
    pub(super) fn unstall(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        let Some(at) = call.stalled.take() else { return };
        self.timers.cancel(at, TimerKey::Stall(key));
        let caller = call.caller;
        if let Some(session) = self.peers.get_mut(caller).and_then(|peer| peer.session_mut()) {
            session.stalled_calls -= 1;
            self.unstalled.push_back(caller);
        }
    }

    /// A call in line counts against its caller, who is perhaps not read from.
    pub(super) fn hold_back(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key).filter(|call| !call.held_back) else { return };
        call.held_back = true;
        let (caller, counts) = (call.caller, call.as_held_back());
        if let Some(session) = self.peers.get_mut(caller).and_then(Peer::session_mut) {
            let held = &mut session.calls_held_back;
            held.calls += counts.calls;
            held.that_go_on += counts.that_go_on;
            held.bytes += counts.bytes;
        }
    }

    /// A call no longer counts against its caller. To be called while what was kept of it still is.
    pub(super) fn release_held_back(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(key).filter(|call| call.held_back) else { return };
        call.held_back = false;
        let (caller, counts) = (call.caller, call.as_held_back());
        let limits = &self.config.limits;
        if let Some(session) = self.peers.get_mut(caller).and_then(Peer::session_mut) {
            let held = &mut session.calls_held_back;
            let waited = !held.admit_more(limits);
            held.calls -= counts.calls;
            held.that_go_on -= counts.that_go_on;
            held.bytes -= counts.bytes;
            if waited {
                self.unstalled.push_back(caller);
            }
        }
    }

    /// The callee did not catch up in time.
    pub(crate) fn stalled_overdue(&mut self, call: CallKey) {
        self.interrupt(call, CancelMode::KillNoWait, error::CANCELED);
        self.fail_call(call, error::CANCELED, "the callee does not keep up with the parts of the call");
    }

    /// A caller that is read from again.
    pub(crate) fn next_unstalled(&mut self) -> Option<PeerKey> {
        while let Some(caller) = self.unstalled.pop_front() {
            if self.wants_input(caller) {
                return Some(caller);
            }
        }
        None
    }
}
