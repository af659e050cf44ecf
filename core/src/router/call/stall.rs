//! Callers that send the parts of a call faster than its callee reads them. They are not read from until the callee has
//! caught up: otherwise the parts would pile up until the callee is given up as a slow consumer, which is not its fault
//! alone. It has some time for that; then the call is what is given up.

use super::super::peer::Peer;
use super::super::session::sorted_keys;
use super::super::timers::TimerKey;
use super::super::{PeerKey, Router};
use super::CallKey;
use crate::message::CancelMode;
use crate::time::Instant;
use crate::uri::error;

impl Router {
    /// The queue to a callee has begun to fill, or has emptied again.
    pub(crate) fn callee_congestion_changed(&mut self, now: Instant, callee: PeerKey) {
        let Some(session) = self.session(callee).filter(|session| !session.invocations.is_empty()) else { return };
        let invocations = sorted_keys(&session.invocations);
        let calls: Vec<CallKey> =
            invocations.iter().filter_map(|invocation| session.invocations.get(invocation).copied()).collect();
        for call in calls {
            self.stall(now, call);
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
