//! Calls in several parts: CALLs with the same request id, INVOCATIONs with the same request id
//! (spec: "Progressive Call Invocations").

use super::super::authorize::{Held, Waiting};
use super::super::output::Violation;
use super::super::passthru::{needed_in_call, of_part};
use super::super::session::Session;
use super::super::{PeerKey, Router};
use super::{CallKey, Stage};
use crate::id::RequestId;
use crate::message::{self, CancelMode, Features, Invocation, InvocationDetails, Message};
use crate::time::Instant;
use crate::uri::error;

/// What a CALL is to the calls before it.
#[derive(Debug, PartialEq)]
pub(crate) enum CallKind {
    /// A new call.
    New,
    /// The next part of a call that has begun.
    Part,
    /// A further part of a call that has ended: its caller could not know.
    Late,
    /// A breach of the protocol.
    Breach(Violation),
}

impl Router {
    /// Tells new calls from parts of others (spec: "Verification of CALL Request IDs").
    ///
    /// Only what was begun with `progress` has further parts: every other CALL is a call, and gets an answer, whatever
    /// ids the client has used before.
    #[inline]
    pub(crate) fn call_kind(&self, session: &Session, call: &message::Call) -> CallKind {
        let announced = session.caller_has(Features::PROGRESSIVE_CALL_INVOCATIONS);
        if call.options.progress && !announced {
            let feature = "progressive_call_invocations";
            return CallKind::Breach(Violation::NotAnnounced { message: "CALL", role: "caller", feature });
        }
        let held = session.waiting.as_deref().and_then(|waiting| waiting.goes_on(call));
        match held.or_else(|| session.calls.get(&call.request).map(|begun| self.goes_on(*begun, call))) {
            Some(true) => CallKind::Part,
            Some(false) => CallKind::Breach(Violation::RequestInUse(call.request)),
            None if session.streams.contains(&call.request) => CallKind::Late,
            None => CallKind::New,
        }
    }

    /// Notes whether more is to follow of a call, of whatever kind its CALL is.
    pub(crate) fn note_stream(&mut self, key: PeerKey, request: RequestId, goes_on: bool) {
        let most = self.config.limits.max_calls_in_flight;
        let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) else { return };
        if goes_on {
            session.begins_stream(request, most);
        } else if !session.streams.is_empty() {
            session.streams.remove(&request);
        }
    }

    /// Whether a call in flight has said that more parts of it follow.
    fn goes_on(&self, begun: CallKey, part: &message::Call) -> bool {
        let kept = self.calls.get(begun).and_then(|call| call.kept.as_ref());
        kept.is_some_and(|kept| kept.asked.progress && kept.asked.procedure == part.procedure)
    }

    /// The next part of a call: the callee gets it with what it was told of the first. All options but `progress` are
    /// those of the first part.
    pub(crate) fn continue_call(&mut self, now: Instant, key: PeerKey, part: message::Call) {
        let begun = self.session(key).and_then(|session| session.calls.get(&part.request)).copied();
        let Some(begun) = begun.filter(|begun| self.goes_on(*begun, &part)) else {
            // It ended while its part was held behind a question.
            self.stats.late_call_parts += 1;
            return;
        };
        if self.calls.get(begun).is_some_and(|call| matches!(call.stage, Stage::Waiting { .. })) {
            // Its caller is not read from meanwhile: the part was held behind a question.
            return self.fail_call(begun, error::NO_AVAILABLE_CALLEE, "the callee does not keep up with its calls");
        }
        self.settle_on_callee(begun);
        let Some(call) = self.calls.get_mut(begun) else { return };
        let Some(&invoked) = call.invoked() else { return };
        let registration = call.registration;
        let Some(kept) = &mut call.kept else { return };
        (kept.asked.progress, kept.continued) = (part.options.progress, true);
        if invoked.interrupted {
            // Canceled by its caller: the callee is to stop.
            return;
        }
        let message::Call { options, payload, .. } = part;
        let details = kept.details.clone().unwrap_or_default();
        let pass_thru = of_part(details.pass_thru.as_deref(), options.pass_thru);
        let details = InvocationDetails { progress: options.progress, pass_thru, ..details };
        let needed = needed_in_call(details.pass_thru.as_deref(), &payload);
        if !self.session(invoked.callee).is_some_and(|callee| callee.callee_has(needed)) {
            self.interrupt(begun, CancelMode::KillNoWait, error::FEATURE_NOT_SUPPORTED);
            let text = format!("the callee has not announced what this part of the call needs: {needed:?}");
            return self.fail_call(begun, error::FEATURE_NOT_SUPPORTED, &text);
        }
        self.send(invoked.callee, Invocation { request: invoked.invocation, registration, details, payload });
        self.stall(now, begun);
    }
}

impl Waiting {
    /// Whether the call of this id, if one waits, has said that more parts of it follow.
    fn goes_on(&self, part: &message::Call) -> Option<bool> {
        let call_of = |message: &Message| match message {
            Message::Call(call) if call.request == part.request => {
                Some(call.options.progress && call.procedure == part.procedure)
            }
            _ => None,
        };
        let last = self.held.iter().rev().find_map(|held| match held {
            Held::Request(request) => call_of(request),
            Held::Part(call) if call.request == part.request => Some(call.options.progress),
            Held::Part(_) => None,
        });
        last.or_else(|| call_of(&self.request))
    }
}
