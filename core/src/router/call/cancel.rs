//! Calls that end before they are answered (spec: "Call Canceling", "Call Timeouts", and "Caller Leaving" and "Callee
//! Leaving" in the Basic Profile).

use super::super::timers::TimerKey;
use super::super::{PeerKey, Router};
use super::{Call, CallKey, Invoked, Stage};
use crate::message::{Cancel, CancelMode, Features, Interrupt, InterruptOptions, RequestType};
use crate::time::Instant;
use crate::uri::{Uri, error};

impl Router {
    pub(crate) fn receive_cancel(&mut self, now: Instant, key: PeerKey, cancel: &Cancel) {
        if self.cancel_held(now, key, cancel) {
            return;
        }
        // Not found: already answered, the answer is under way.
        let Some(&call) = self.session(key).and_then(|session| session.calls.get(&cancel.request)) else { return };
        let wanted = cancel.options.mode.unwrap_or(CancelMode::KillNoWait);
        let mode = if self.callee_is_interruptible(call) { wanted } else { CancelMode::Skip };
        match mode {
            CancelMode::Skip => {}
            CancelMode::Kill => return self.await_killed(now, call),
            CancelMode::KillNoWait => self.interrupt(call, CancelMode::KillNoWait, error::CANCELED),
        }
        self.fail_call(call, error::CANCELED, "the call was canceled by its caller");
    }

    /// Interrupts the callee, whose answer the caller gets if it comes in time.
    fn await_killed(&mut self, now: Instant, key: CallKey) {
        if self.calls.get(key).and_then(Call::invoked).is_none_or(|invoked| invoked.interrupted) {
            return;
        }
        self.interrupt(key, CancelMode::Kill, error::CANCELED);
        self.unstall(key);
        let patience = now.after(self.config.limits.kill_timeout);
        let Some(call) = self.calls.get_mut(key) else { return };
        // From now on results are no reason to wait longer.
        call.timeout = None;
        let at = call.deadline.map_or(patience, |deadline| deadline.min(patience));
        if let Some(old) = call.deadline.replace(at) {
            self.timers.cancel(old, TimerKey::Call(key));
        }
        self.timers.set(at, TimerKey::Call(key));
    }

    /// A call took longer than it may, or its callee longer than it may to be interrupted.
    pub(crate) fn call_overdue(&mut self, call: CallKey) {
        self.stats.calls_timed_out += 1;
        if self.calls.get(call).and_then(Call::invoked).is_some_and(|invoked| invoked.interrupted) {
            return self.fail_call(call, error::CANCELED, "the callee did not answer the interrupt in time");
        }
        self.interrupt(call, CancelMode::KillNoWait, error::TIMEOUT);
        self.fail_call(call, error::TIMEOUT, "the call timed out");
    }

    fn callee_is_interruptible(&self, call: CallKey) -> bool {
        let invoked = self.calls.get(call).and_then(Call::invoked);
        let callee = invoked.and_then(|invoked| self.session(invoked.callee));
        callee.is_some_and(|callee| callee.callee_has(Features::CALL_CANCELING))
    }

    /// Tells the callee to stop, once, if it has the call and announced that it can.
    pub(super) fn interrupt(&mut self, key: CallKey, mode: CancelMode, reason: Uri) {
        let interruptible = self.callee_is_interruptible(key);
        let Some(Call { stage: Stage::Invoked(invoked), .. }) = self.calls.get_mut(key) else { return };
        if interruptible && !invoked.interrupted {
            invoked.interrupted = true;
            let Invoked { callee, invocation: request, .. } = *invoked;
            let options = InterruptOptions { mode: Some(mode), reason: Some(reason) };
            self.send(callee, Interrupt { request, options });
        }
    }

    /// Ends a call with an ERROR of the router's own.
    pub(crate) fn fail_call(&mut self, call: CallKey, error: Uri, text: &str) {
        let abandoned = self.is_abandoned(call);
        if let Some(call) = self.finish(call).filter(|_| !abandoned) {
            self.fail(call.caller, RequestType::Call, call.request, error, text.to_owned());
        }
    }

    /// Takes a call out of every table. Whoever does this owes the caller the final answer.
    pub(super) fn finish(&mut self, key: CallKey) -> Option<Call> {
        self.leave_line(key);
        self.unstall(key);
        let call = self.calls.remove(key)?;
        if let Some(caller) = self.peers.get_mut(call.caller).and_then(|peer| peer.session_mut()) {
            caller.calls.remove(&call.request);
            caller.kept_call_bytes -= call.kept.as_ref().map_or(0, |kept| kept.bytes);
        }
        if let Some(at) = call.deadline {
            self.timers.cancel(at, TimerKey::Call(key));
        }
        if let Some(invoked) = call.invoked() {
            if let Some(callee) = self.peers.get_mut(invoked.callee).and_then(|peer| peer.session_mut()) {
                callee.invocations.remove(&invoked.invocation);
            }
            self.release(call.realm, call.registration, invoked.place);
        }
        Some(call)
    }

    /// Whether the caller is gone, so that an answer has nowhere to go.
    pub(super) fn is_abandoned(&self, key: CallKey) -> bool {
        self.calls.get(key).is_some_and(|call| self.session(call.caller).is_none())
    }

    /// The caller is gone: its callee need not go on, and its answer has nowhere to go.
    pub(crate) fn abandon(&mut self, call: CallKey) {
        self.interrupt(call, CancelMode::KillNoWait, error::CANCELED);
        self.finish(call);
    }
}
