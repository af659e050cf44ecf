//! The answers to an INVOCATION: YIELD and ERROR, and the messages that could not be delivered
//! (spec: "Calling and Invocations", "Progressive Call Results", "Call Re-Routing").

use super::super::config::SlowSubscribers;
use super::super::output::{CloseReason, Violation};
use super::super::passthru::needed_in_call;
use super::super::registration::Choice;
use super::super::{PeerKey, Router};
use super::{Call, CallKey, Kept, Stage};
use crate::id::RequestId;
use crate::message::{
    CallResult, CancelMode, Error, Features, Invocation, Message, PassThru, Payload, RawDict, RequestType,
    ResultDetails, Yield,
};
use crate::time::Instant;
use crate::uri::{MatchPolicy, Uri, UriRule, error};

impl Router {
    pub(crate) fn receive_yield(&mut self, now: Instant, key: PeerKey, answer: Yield) {
        let Some(call) = self.answered_call(now, key, answer.request, answer.options.progress) else { return };
        let Yield { options, payload, .. } = answer;
        let Some(&Call { caller, request, progress, timeout, .. }) = self.calls.get(call) else { return };
        let needed = needed_in_call(options.pass_thru.as_deref(), &payload);
        if (progress || !options.progress) && !self.session(caller).is_some_and(|caller| caller.caller_has(needed)) {
            // Nothing can be said to the callee about a YIELD; the caller still gets its answer.
            let text = format!("the caller has not announced what the result needs: {needed:?}");
            if options.progress {
                self.interrupt(call, CancelMode::KillNoWait, error::FEATURE_NOT_SUPPORTED);
            }
            return self.fail_call(call, error::FEATURE_NOT_SUPPORTED, &text);
        }
        // The callee is told of nobody, and nobody of the callee.
        let details = ResultDetails { progress: options.progress, callee: None, pass_thru: options.pass_thru };
        if !options.progress {
            self.finish(call);
        } else if !progress {
            // The caller did not ask for progress: the result to come will do.
            return;
        } else {
            self.settle_on_callee(call);
            if timeout.is_some() {
                // It is the time between results (spec: "Progressive Call Results", timeouts).
                self.set_call_deadline(now, call);
            }
        }
        self.send(caller, CallResult { request, details, payload });
    }

    pub(crate) fn receive_invocation_error(&mut self, now: Instant, key: PeerKey, answer: Error) {
        let Some(call) = self.answered_call(now, key, answer.request, false) else { return };
        let unavailable = answer.error == error::UNAVAILABLE
            && self.session(key).is_some_and(|callee| callee.callee_has(Features::CALL_REROUTE));
        if unavailable {
            self.reroute(now, call);
        } else if let Err(why) = self.check_error(&answer.error) {
            // The callee may have taken it from its caller: that must not end it. Of an ERROR it cannot be told.
            self.stats.invalid_error_uris += 1;
            self.fail_call(
                call,
                error::INVALID_URI,
                &format!("the callee answered with an error that is no URI: {why}"),
            );
        } else if let Some(call) = self.finish(call) {
            let (request_type, request) = (RequestType::Call, call.request);
            let mut answer = Error { request_type, request, ..answer };
            let needed = needed_in_call(answer.pass_thru.as_deref(), &answer.payload);
            if !self.session(call.caller).is_some_and(|caller| caller.caller_has(needed)) {
                // The application's error, without the arguments that the caller can not take.
                (answer.pass_thru, answer.payload) = (None, Payload::empty());
            }
            self.send(call.caller, answer);
        }
    }

    /// Whether the URI of an application's error can be sent to its caller.
    fn check_error(&self, error: &Uri) -> Result<(), String> {
        let limit = self.config.limits.max_uri_length;
        if error.as_str().len() > limit {
            return Err(format!("more than {limit} bytes"));
        }
        error.check(UriRule::Loose, MatchPolicy::Exact).map_err(|why| why.to_string())
    }

    /// The call that an answer is for, of which more follow or not; `None` if it is over, or if the callee made the
    /// invocation up.
    fn answered_call(&mut self, now: Instant, key: PeerKey, invocation: RequestId, goes_on: bool) -> Option<CallKey> {
        let session = self.session(key)?;
        if let Some(&call) = session.invocations.get(&invocation) {
            if !self.leaving.is_empty() && self.is_abandoned(call) {
                self.stats.late_answers += 1;
                if goes_on {
                    self.interrupt(call, CancelMode::KillNoWait, error::CANCELED);
                }
                self.finish(call);
                return None;
            }
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

    /// The callee of a call says that it is unavailable: another gets the call, as if that one did not exist.
    ///
    /// Nobody else can have it if the callee has been given more than the first part of it, or has given results. A
    /// call that was given to a callee once does not wait in line again.
    fn reroute(&mut self, now: Instant, key: CallKey) {
        let kept = self.take_kept(key);
        let Some(call) = self.calls.get(key) else { return };
        let Stage::Invoked(invoked) = call.stage else { return };
        if invoked.interrupted {
            return self.fail_call(key, error::CANCELED, "the call was canceled by its caller");
        }
        let (realm, id) = (call.realm, call.registration);
        let max_tried = self.config.limits.max_reroutes;
        let next = kept.filter(|kept| kept.whole).and_then(|kept| {
            let Kept { asked, mut tried, .. } = *kept;
            tried.push(invoked.place);
            if tried.len() >= max_tried {
                self.stats.limited += 1;
                return None;
            }
            let choice = self.choose(realm, id, &asked, &tried);
            if let Choice::Callee(chosen) = choice { Some((chosen, asked, tried)) } else { None }
        });
        let Some((chosen, asked, tried)) = next else {
            return self.fail_call(key, error::NO_AVAILABLE_CALLEE, "all callees of the procedure are unavailable");
        };
        self.stats.calls_rerouted += 1;
        if let Some(callee) = self.peers.get_mut(invoked.callee).and_then(|peer| peer.session_mut()) {
            callee.invocations.remove(&invoked.invocation);
        }
        if let Some(call) = self.calls.get_mut(key)
            && call.timeout != asked.timeout
        {
            // The one that was to take care of it does so no more.
            call.timeout = asked.timeout;
            self.set_call_deadline(now, key);
        }
        self.invoke(key, chosen, asked, tried);
        self.stall(now, key);
        self.release(realm, id, invoked.place);
    }

    /// A message found too much waiting to be written to its receiver. Nobody but the one who sent it is harmed if that
    /// can be; the receiver is given up where it would have to be told something.
    pub(crate) fn left_out(&mut self, now: Instant, to: PeerKey, message: Message) {
        match message {
            Message::Event(_) if !self.gives_up_slow_subscriber(to) => self.stats.events_dropped += 1,
            Message::Invocation(Invocation { request, .. }) => {
                self.stats.call_messages_dropped += 1;
                let call = self.session(to).and_then(|callee| callee.invocations.get(&request).copied());
                let Some(call) = call else { return };
                let text = "the callee does not keep up with its calls";
                let kept = self.calls.get(call).and_then(|call| call.kept.as_ref());
                if kept.is_some_and(|kept| kept.continued) {
                    self.interrupt(call, CancelMode::KillNoWait, error::NO_AVAILABLE_CALLEE);
                }
                self.fail_call(call, error::NO_AVAILABLE_CALLEE, text);
            }
            // The call is over for its caller anyway, or will be when the callee's time is.
            Message::Interrupt(_) => self.stats.call_messages_dropped += 1,
            Message::Result(CallResult { request, details, .. }) if details.progress => {
                self.stats.call_messages_dropped += 1;
                let call = self.session(to).and_then(|caller| caller.calls.get(&request).copied());
                let Some(call) = call else { return };
                self.interrupt(call, CancelMode::KillNoWait, error::CANCELED);
                self.fail_call(call, error::CANCELED, "the caller does not keep up with the results of the call");
            }
            _ => self.give_up(now, to),
        }
    }

    fn gives_up_slow_subscriber(&self, key: PeerKey) -> bool {
        let realm = self.session(key).map(|session| self.realms.get(session.realm));
        realm.is_some_and(|realm| realm.slow_subscribers == SlowSubscribers::Close)
    }

    /// A message could not be written for its receiver: whoever waits for an answer gets one.
    pub(crate) fn answer_undeliverable(&mut self, now: Instant, to: PeerKey, message: Message, error: Uri, text: &str) {
        match message {
            Message::Invocation(Invocation { request, .. }) => {
                let call = self.session(to).and_then(|callee| callee.invocations.get(&request).copied());
                let Some(call) = call else { return };
                let kept = self.calls.get(call).and_then(|call| call.kept.as_ref());
                if kept.is_some_and(|kept| kept.continued) {
                    // It has been given the parts before.
                    self.interrupt(call, CancelMode::KillNoWait, error.clone());
                }
                self.fail_call(call, error, text);
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
                let (pass_thru, details) = (None::<Box<PassThru>>, RawDict::new());
                let is_bare = refused.payload == Payload::empty() && refused.pass_thru.is_none();
                if !is_bare || !refused.details.is_empty() {
                    // The application's error, without the arguments and details that could not be carried.
                    self.send(to, Error { pass_thru, details, payload: Payload::empty(), ..refused });
                } else if refused.error != error {
                    // It was its URI that could not.
                    self.send(to, Error { error, ..refused });
                }
            }
            // A peer that can not be told how it joins has not joined.
            Message::Welcome(_) | Message::Challenge(_) => {
                self.end_session(now, to);
                self.send_abort(to, error.clone(), text);
                self.close(to, CloseReason::Refused(error));
            }
            _ => {}
        }
    }
}
