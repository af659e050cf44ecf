//! Calls on their way: CALL to INVOCATION, YIELD to RESULT, and every other way a call can end
//! (spec: "Calling and Invocations", "Call Canceling", "Call Timeouts", "Progressive Call Results").
//!
//! Every CALL gets exactly one final answer unless its caller is gone: a call is in the arena from its INVOCATION to
//! its final answer, and whoever takes it out answers.

use super::authorize::Waiting;
use super::dealer::{CallKey, Fitness};
use super::output::{CloseReason, Violation};
use super::permission::Decision;
use super::realm::RealmKey;
use super::session::{Session, sorted_keys};
use super::timers::TimerKey;
use super::{PeerKey, Router};
use crate::id::{RegistrationId, RequestId};
use crate::message::{
    self, CallResult, Cancel, CancelMode, Error, Features, Interrupt, InterruptOptions, Invocation, InvocationDetails,
    PassThru, Payload, RequestType, ResultDetails, Yield,
};
use crate::time::Instant;
use crate::uri::{MatchPolicy, Uri, error};
use core::time::Duration;

/// A call without a final answer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) realm: RealmKey,
    pub(crate) caller: PeerKey,
    /// CALL.Request
    pub(crate) request: RequestId,
    pub(crate) callee: PeerKey,
    /// INVOCATION.Request
    pub(crate) invocation: RequestId,
    pub(crate) registration: RegistrationId,
    /// The callee's place in the registration.
    pub(crate) place: u64,
    /// The caller takes progressive results.
    pub(crate) progress: bool,
    /// The callee has been interrupted and the caller waits for it (mode `kill`).
    pub(crate) interrupted: bool,
    pub(crate) deadline: Option<Instant>,
}

impl Router {
    pub(crate) fn call(&mut self, now: Instant, key: PeerKey, call: message::Call, decision: Decision) {
        let request = call.request;
        if let Err((error, text)) = self.try_call(now, key, call, decision) {
            self.fail(key, RequestType::Call, request, error, text);
        }
    }

    fn try_call(
        &mut self,
        now: Instant,
        key: PeerKey,
        call: message::Call,
        decision: Decision,
    ) -> Result<(), (Uri, String)> {
        let message::Call { request, options, procedure, payload } = call;
        let Some(session) = self.session(key) else { return Ok(()) };
        let realm_key = session.realm;
        let realm = self.realms.get(realm_key);
        if session.calls.len() >= self.config.limits.max_calls_in_flight {
            let text = format!("session has {} calls in flight, as many as it may", session.calls.len());
            self.stats.limited += 1;
            return Err((error::RESOURCE_LIMIT, text));
        }
        let caller = self.disclosure(session, decision, options.disclose_me)?;

        let found = realm.dealer.by_uri.best(procedure.as_str());
        let (peers, max_held) = (&self.peers, self.config.limits.max_held_requests);
        let dealer = &mut self.realms.get_mut(realm_key).dealer;
        let Some((id, registration)) = found.and_then(|id| Some((id, dealer.registrations.get_mut(id)?))) else {
            return Err((error::NO_SUCH_PROCEDURE, format!("no callee registered for procedure <{procedure}>")));
        };
        let matching = registration.matching;
        let max_invocations = self.config.limits.max_invocations_in_flight;
        let fitness = |peer| match peers.get(peer) {
            Some(peer) if peer.session().is_none_or(|callee| callee.invocations.len() >= max_invocations) => {
                Fitness::Full
            }
            Some(peer) if !peer.wants_input(max_held) => Fitness::Congested,
            Some(_) => Fitness::Fit,
            None => Fitness::Full,
        };
        let chosen = registration.choose(&mut *self.rng, fitness).map(|callee| (callee.peer, callee.place));
        let chosen = chosen.and_then(|(key, place)| Some((key, place, self.peers.get_mut(key)?.session_mut()?)));
        let Some((callee_key, place, callee)) = chosen else {
            self.stats.limited += 1;
            let text = format!("no callee of procedure <{procedure}> takes more calls now");
            return Err((error::NO_AVAILABLE_CALLEE, text));
        };

        let invocation = callee.next_invocation;
        callee.next_invocation = invocation.next();
        let progress = options.receive_progress && callee.callee_has(Features::PROGRESSIVE_CALL_RESULTS);
        let deadline = options.timeout.filter(|&ms| ms > 0).map(|ms| now.after(Duration::from_millis(ms)));
        let call = self.calls.insert(Call {
            realm: realm_key,
            caller: key,
            request,
            callee: callee_key,
            invocation,
            registration: id,
            place,
            progress,
            interrupted: false,
            deadline,
        });
        callee.invocations.insert(invocation, call);
        if let Some(caller) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) {
            caller.calls.insert(request, call);
        }
        if let Some(at) = deadline {
            self.timers.set(at, TimerKey::Call(call));
        }
        self.stats.calls += 1;
        let details = InvocationDetails {
            caller,
            procedure: (matching != MatchPolicy::Exact).then_some(procedure),
            receive_progress: progress,
            pass_thru: options.pass_thru,
            ..InvocationDetails::default()
        };
        self.send(callee_key, Invocation { request: invocation, registration: id, details, payload });
        Ok(())
    }

    /// Whether a request id is that of a call without a final answer.
    pub(crate) fn is_call_in_flight(&self, key: PeerKey, request: RequestId) -> bool {
        let is_it =
            |message: &message::Message| matches!(message, message::Message::Call(call) if call.request == request);
        self.session(key).is_some_and(|session| {
            let waits = |waiting: &Waiting| is_it(&waiting.request) || waiting.held.iter().any(is_it);
            session.calls.contains_key(&request) || session.waiting.as_deref().is_some_and(waits)
        })
    }

    pub(crate) fn receive_yield(&mut self, now: Instant, key: PeerKey, answer: Yield) {
        let Some(call) = self.answered_call(now, key, answer.request) else { return };
        let Yield { options, payload, .. } = answer;
        let Some(&Call { caller, request, progress, .. }) = self.calls.get(call) else { return };
        let details = ResultDetails { progress: options.progress, callee: None, pass_thru: options.pass_thru };
        if !options.progress {
            self.finish(call);
        } else if !progress {
            // The caller did not ask for progress: the result to come will do.
            return;
        }
        self.send(caller, CallResult { request, details, payload });
    }

    pub(crate) fn receive_invocation_error(&mut self, now: Instant, key: PeerKey, answer: Error) {
        let Some(call) = self.answered_call(now, key, answer.request) else { return };
        if let Some(call) = self.finish(call) {
            self.send(call.caller, Error { request_type: RequestType::Call, request: call.request, ..answer });
        }
    }

    /// The call that an answer is for; `None` if it is over, or if the callee made the invocation up.
    fn answered_call(&mut self, now: Instant, key: PeerKey, invocation: RequestId) -> Option<CallKey> {
        let session = self.session(key)?;
        if let Some(&call) = session.invocations.get(&invocation) {
            return Some(call);
        }
        if invocation >= session.next_invocation {
            self.violate(now, key, Violation::UnknownInvocation(invocation));
        } else {
            // Canceled, timed out, or the caller is gone: the callee could not know.
            self.stats.late_answers += 1;
        }
        None
    }

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
            CancelMode::Kill => return self.interrupt(call, CancelMode::Kill, error::CANCELED),
            CancelMode::KillNoWait => self.interrupt(call, CancelMode::KillNoWait, error::CANCELED),
        }
        self.fail_call(call, error::CANCELED, "the call was canceled by its caller");
    }

    /// A call took longer than its caller allowed.
    pub(crate) fn call_overdue(&mut self, call: CallKey) {
        self.interrupt(call, CancelMode::KillNoWait, error::TIMEOUT);
        self.fail_call(call, error::TIMEOUT, "the call timed out");
    }

    fn callee_is_interruptible(&self, call: CallKey) -> bool {
        let callee = self.calls.get(call).and_then(|call| self.session(call.callee));
        callee.is_some_and(|callee| callee.callee_has(Features::CALL_CANCELING))
    }

    /// Tells the callee to stop, once, if it announced that it can.
    fn interrupt(&mut self, key: CallKey, mode: CancelMode, reason: Uri) {
        let interruptible = self.callee_is_interruptible(key);
        let Some(call) = self.calls.get_mut(key) else { return };
        if interruptible && !call.interrupted {
            call.interrupted = true;
            let (callee, request) = (call.callee, call.invocation);
            let options = InterruptOptions { mode: Some(mode), reason: Some(reason) };
            self.send(callee, Interrupt { request, options });
        }
    }

    /// Ends a call with an ERROR of the router's own.
    pub(crate) fn fail_call(&mut self, call: CallKey, error: Uri, text: &str) {
        if let Some(call) = self.finish(call) {
            self.fail(call.caller, RequestType::Call, call.request, error, text.to_owned());
        }
    }

    /// Takes a call out of every table. Whoever does this owes the caller the final answer.
    fn finish(&mut self, key: CallKey) -> Option<Call> {
        let call = self.calls.remove(key)?;
        if let Some(caller) = self.peers.get_mut(call.caller).and_then(|peer| peer.session_mut()) {
            caller.calls.remove(&call.request);
        }
        if let Some(callee) = self.peers.get_mut(call.callee).and_then(|peer| peer.session_mut()) {
            callee.invocations.remove(&call.invocation);
        }
        if let Some(at) = call.deadline {
            self.timers.cancel(at, TimerKey::Call(key));
        }
        self.realms.get_mut(call.realm).dealer.release(call.registration, call.place);
        Some(call)
    }

    /// The caller is gone: its callees need not go on, and their answers have nowhere to go.
    pub(crate) fn abandon_calls(&mut self, caller: &Session) {
        for request in sorted_keys(&caller.calls) {
            if let Some(&call) = caller.calls.get(&request) {
                self.interrupt(call, CancelMode::KillNoWait, error::CANCELED);
                self.finish(call);
            }
        }
    }

    /// The callee is gone: its callers get their answer from the router.
    pub(crate) fn fail_invocations(&mut self, callee: &Session) {
        for invocation in sorted_keys(&callee.invocations) {
            if let Some(&call) = callee.invocations.get(&invocation) {
                self.fail_call(call, error::CANCELED, "callee disconnected from in-flight request");
            }
        }
    }

    /// A message could not be written for its receiver: whoever waits for an answer gets one.
    pub(crate) fn answer_undeliverable(&mut self, to: PeerKey, message: message::Message, error: Uri, text: &str) {
        use message::Message;
        match message {
            Message::Invocation(Invocation { request, .. }) => {
                let call = self.session(to).and_then(|callee| callee.invocations.get(&request).copied());
                if let Some(call) = call {
                    self.fail_call(call, error, text);
                }
            }
            Message::Result(CallResult { request, details, .. }) => {
                if details.progress {
                    let call = self.session(to).and_then(|caller| caller.calls.get(&request).copied());
                    if let Some(call) = call {
                        self.interrupt(call, CancelMode::KillNoWait, error.clone());
                        self.fail_call(call, error, text);
                    }
                } else {
                    self.fail(to, RequestType::Call, request, error, text.to_owned());
                }
            }
            Message::Error(refused) => {
                let pass_thru = None::<Box<PassThru>>;
                if refused.payload != Payload::empty() || refused.pass_thru.is_some() {
                    // The application's error, without the arguments that could not be carried.
                    self.send(to, Error { pass_thru, payload: Payload::empty(), ..refused });
                } else if refused.error != error {
                    // It was its URI that could not.
                    self.send(to, Error { error, ..refused });
                }
            }
            // A peer that can not be told how it joins has not joined.
            Message::Welcome(_) | Message::Challenge(_) => {
                self.end_session(to);
                self.send_abort(to, error.clone(), text);
                self.close(to, CloseReason::Refused(error));
            }
            _ => {}
        }
    }
}
