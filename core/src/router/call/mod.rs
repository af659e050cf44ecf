//! Calls on their way: CALL to INVOCATION, YIELD to RESULT, and every other way a call can end
//! (spec: "Calling and Invocations").
//!
//! Every CALL gets exactly one final answer unless its caller is gone: a call is in the arena from its CALL to its
//! final answer, and whoever takes it out answers.

mod answer;
mod cancel;
mod line;
mod parts;
mod stall;

pub(crate) use line::DueLine;
pub(crate) use parts::CallKind;
pub(crate) use stall::HeldBack;

use super::output::Output;
use super::passthru::needed_in_call;
use super::permission::Decision;
use super::realm::RealmKey;
use super::registration::{Choice, Chosen, Fitness, Wanted};
use super::timers::TimerKey;
use super::{PeerKey, Router};
use crate::arena::{Arena, key};
use crate::id::{RegistrationId, RequestId};
use crate::message::{
    self, Disclosed, Features, Invocation, InvocationDetails, InvocationPolicy, PassThru, Payload, RequestType,
};
use crate::time::Instant;
use crate::uri::{MatchPolicy, Uri, error};
use core::time::Duration;
use std::sync::Arc;

key! {
    /// A call without a final answer.
    pub(crate) CallKey
}

/// All calls of a router that have no final answer.
pub(crate) type Calls = Arena<CallKey, Call>;

/// Error and text of an ERROR.
type Refusal = (Uri, String);

/// What a callee must have announced for progressive invocations.
const PROGRESSIVE_INVOCATIONS: Features = Features::PROGRESSIVE_CALL_INVOCATIONS.union(Features::CALL_CANCELING);

/// A call without a final answer.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) realm: RealmKey,
    pub(crate) caller: PeerKey,
    /// CALL.Request
    pub(crate) request: RequestId,
    pub(crate) registration: RegistrationId,
    pub(crate) stage: Stage,
    /// The caller takes progressive results, and the callee gives them.
    pub(crate) progress: bool,
    /// The router's limit on the time to the next result.
    timeout: Option<Duration>,
    /// When that is over, or the patience with a callee that was interrupted.
    pub(crate) deadline: Option<Instant>,
    /// Until when its caller is not read from, because the callee does not keep up.
    pub(crate) stalled: Option<Instant>,
    /// It waits in line for a callee that does not keep up, which counts against its caller.
    pub(crate) held_back: bool,
    /// What is still needed of the CALL.
    pub(crate) kept: Option<Box<Kept>>,
}

/// Where a call is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// Being given to a callee, or put in line. Never between inputs.
    Unplaced,
    /// In line.
    Waiting {
        /// Its place in line.
        ticket: u64,
        /// The shard that it waits for; else it waits for any callee.
        shard: Option<u64>,
    },
    /// With a callee.
    Invoked(Invoked),
}

/// An INVOCATION without a final answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Invoked {
    pub(crate) callee: PeerKey,
    /// INVOCATION.Request
    pub(crate) invocation: RequestId,
    /// The callee's place in the registration.
    pub(crate) place: u64,
    /// The callee has been interrupted and the caller waits for it (mode `kill`).
    pub(crate) interrupted: bool,
}

/// What a caller asks for, in the words of the router.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    procedure: Uri,
    matching: MatchPolicy,
    /// Who calls, if the caller itself or a rule wants it told.
    caller: Option<Arc<Disclosed>>,
    trustlevel: Option<u64>,
    receive_progress: bool,
    /// More parts of the call follow.
    progress: bool,
    timeout: Option<Duration>,
    rkey: Option<String>,
    pass_thru: Option<Box<PassThru>>,
    payload: Payload,
}

impl Asked {
    /// What the callee must have announced.
    fn needed(&self) -> Features {
        let parts = if self.progress { PROGRESSIVE_INVOCATIONS } else { Features::NONE };
        parts | needed_in_call(self.pass_thru.as_deref(), &self.payload)
    }

    /// How many bytes it takes to keep this, roughly, without the payload.
    fn weight(&self) -> usize {
        size_of::<Kept>()
            + self.procedure.as_str().len()
            + self.rkey.as_ref().map_or(0, String::len)
            + self.pass_thru.as_deref().map_or(0, |pass_thru| 2 * pass_thru.weight())
    }
}

/// What is kept of a CALL that waits, goes on, or may go to another callee.
#[derive(Debug)]
pub(crate) struct Kept {
    asked: Asked,
    /// What the callee was told, which later parts of the call repeat.
    details: Option<InvocationDetails>,
    /// The callee has been given more than the first part.
    continued: bool,
    /// The payload is still there, and all that the callee has been given: another callee can have it instead.
    whole: bool,
    /// How much of the caller's allowance it takes.
    pub(crate) bytes: usize,
    /// Places of callees that have said they are unavailable.
    tried: Vec<u64>,
}

impl Kept {
    /// A CALL that no callee has been given.
    const fn whole(asked: Asked) -> Self {
        Self { asked, details: None, continued: false, whole: true, bytes: 0, tried: Vec::new() }
    }
}

impl Call {
    /// The callee and the rest, unless the call waits for one.
    pub(crate) const fn invoked(&self) -> Option<&Invoked> {
        match &self.stage {
            Stage::Invoked(invoked) => Some(invoked),
            Stage::Unplaced | Stage::Waiting { .. } => None,
        }
    }
}

/// Milliseconds, rounded up: a timeout does not become none.
fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

impl Router {
    pub(crate) fn call(&mut self, now: Instant, key: PeerKey, call: message::Call, decision: Decision) {
        let request = call.request;
        if let Err((error, text)) = self.try_call(now, key, call, decision) {
            self.fail(key, RequestType::Call, request, error, text);
        }
    }

    fn try_call(&mut self, now: Instant, key: PeerKey, call: message::Call, decision: Decision) -> Result<(), Refusal> {
        let message::Call { request, options, procedure, payload } = call;
        let Some(realm_key) = self.session(key).map(|session| session.realm) else { return Ok(()) };
        self.clear_way_to(realm_key, &procedure);
        let Some(session) = self.session(key) else { return Ok(()) };
        let realm = self.realms.get(realm_key);
        if session.calls.len() >= self.config.limits.max_calls_in_flight {
            let text = format!("session has {} calls in flight, as many as it may", session.calls.len());
            self.stats.limited += 1;
            return Err((error::RESOURCE_LIMIT, text));
        }
        if options.partition && options.rkey.is_none() {
            return Err((error::INVALID_ARGUMENT, "runmode \"partition\" needs the option rkey".to_owned()));
        }
        let caller = self.disclosure(session, decision, options.disclose_me)?;
        let by_uri = &realm.dealer.by_uri;
        let found = by_uri.exact(procedure.as_str()).or_else(|| {
            self.work.add(by_uri.cost(procedure.as_str()));
            by_uri.best_pattern(procedure.as_str())
        });
        let Some((id, registration)) = found.and_then(|id| Some((id, realm.dealer.registrations.get(id)?))) else {
            return Err((error::NO_SUCH_PROCEDURE, format!("no callee registered for procedure <{procedure}>")));
        };
        let asked = Asked {
            procedure,
            matching: registration.matching,
            caller,
            trustlevel: session.trustlevel,
            receive_progress: options.receive_progress,
            progress: options.progress,
            timeout: realm.call_timeout(options.timeout),
            rkey: options.rkey,
            pass_thru: options.pass_thru,
            payload,
        };
        if asked.progress && asked.weight() > self.allowance(key) {
            return Err(self.no_allowance());
        }
        // Others have waited longer.
        let by_policy = asked.rkey.is_none() || !registration.is_sharded();
        let waits_behind = by_policy && !registration.queue.is_empty();
        let call = Call {
            realm: realm_key,
            caller: key,
            request,
            registration: id,
            stage: Stage::Unplaced,
            progress: false,
            timeout: asked.timeout,
            deadline: None,
            stalled: None,
            held_back: false,
            kept: None,
        };
        let choice = if waits_behind { Choice::Line(None) } else { self.choose(realm_key, id, &asked, &[]) };
        match choice {
            Choice::Callee(chosen) => {
                let (call, goes_on) = (self.admit(now, call), asked.progress);
                self.invoke(call, chosen, asked, Vec::new());
                if goes_on {
                    self.stall(now, call);
                }
            }
            Choice::Line(shard) => self.wait_in_line(now, call, asked, shard)?,
            Choice::Nowhere => return Err(self.nowhere(&asked.procedure)),
            Choice::Incapable => {
                let needed = asked.needed().names().collect::<Vec<_>>().join(" and ");
                let text = format!("no callee of procedure <{}> has announced {needed}", asked.procedure);
                return Err((error::FEATURE_NOT_SUPPORTED, text));
            }
        }
        Ok(())
    }

    /// As much is kept of calls of the session as may be.
    fn no_allowance(&mut self) -> Refusal {
        self.stats.limited += 1;
        let most = self.config.limits.max_kept_call_bytes;
        (error::RESOURCE_LIMIT, format!("more than {most} bytes would be kept of the session's calls"))
    }

    /// No callee takes the call.
    fn nowhere(&mut self, procedure: &Uri) -> Refusal {
        self.stats.limited += 1;
        (error::NO_AVAILABLE_CALLEE, format!("no callee of procedure <{procedure}> takes more calls now"))
    }

    /// Chooses where a call goes, but for callees that were tried.
    fn choose(&mut self, realm: RealmKey, id: RegistrationId, asked: &Asked, tried: &[u64]) -> Choice {
        let dealer = &mut self.realms.get_mut(realm).dealer;
        let Some(registration) = dealer.registrations.get_mut(id) else { return Choice::Nowhere };
        let (peers, limits) = (&self.peers, &self.config.limits);
        let wanted = Wanted { rkey: asked.rkey.as_deref(), tried, some_gone: !self.leaving.is_empty() };
        let needed = asked.needed();
        let looked = core::cell::Cell::new(0);
        let choice = registration.choose(&mut *self.rng, wanted, |peer| {
            looked.set(looked.get() + 1);
            let Some(peer) = peers.get(peer) else { return Fitness::Gone };
            match peer.session() {
                None => Fitness::Gone,
                Some(callee) if !callee.callee_has(needed) => Fitness::Incapable,
                Some(callee) if callee.invocations.len() >= limits.max_invocations_in_flight => Fitness::Full,
                Some(_) if peer.wants_input(limits) => Fitness::Fit,
                Some(_) if peer.is_awaited() => Fitness::Congested,
                Some(_) if peer.is_congested() => Fitness::Full,
                Some(_) => Fitness::Unread,
            }
        });
        self.work.add(looked.get());
        choice
    }

    /// Enters a call into the books. Its time runs.
    fn admit(&mut self, now: Instant, call: Call) -> CallKey {
        let (caller, request) = (call.caller, call.request);
        let key = self.calls.insert(call);
        if let Some(caller) = self.peers.get_mut(caller).and_then(|peer| peer.session_mut()) {
            caller.calls.insert(request, key);
        }
        self.set_call_deadline(now, key);
        self.stats.calls += 1;
        key
    }

    /// Gives a call to the callee that was chosen for it.
    fn invoke(&mut self, key: CallKey, to: Chosen, asked: Asked, tried: Vec<u64>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        // Chosen are only the callees of open sessions.
        let Some(callee) = self.peers.get_mut(to.peer).and_then(|peer| peer.session_mut()) else { return };
        let (realm, caller_key, registration) = (call.realm, call.caller, call.registration);
        let invocation = callee.next_invocation;
        callee.next_invocation = invocation.next();
        callee.invocations.insert(invocation, key);
        call.stage = Stage::Invoked(Invoked { callee: to.peer, invocation, place: to.place, interrupted: false });
        call.progress = asked.receive_progress && callee.callee_has(self.realms.get(call.realm).progressive_results);
        let receive_progress = call.progress;
        if receive_progress && !callee.callee_has(Features::PROGRESSIVE_CALL_RESULTS) && !callee.asked_unannounced {
            callee.asked_unannounced = true;
            self.stats.progress_unannounced += 1;
            self.outputs.push_back(Output::ProgressUnannounced(to.peer));
        }
        let reroutes = callee.callee_has(Features::CALL_REROUTE);
        let timeout = asked.timeout.filter(|_| to.forward_timeout && callee.callee_has(Features::CALL_TIMEOUT));
        if timeout.is_some() {
            // The callee takes care of it (spec: "Call Timeouts").
            call.timeout = None;
            self.clear_call_deadline(key);
        }
        let caller = match &asked.caller {
            None if to.disclose_caller => self.session(caller_key).map(|caller| caller.disclosed.clone()),
            _ => None,
        };
        let whole = reroutes && self.is_shared(realm, registration);
        let kept = (asked.progress || whole).then(|| asked.clone());
        let details = InvocationDetails {
            caller: asked.caller.or(caller),
            procedure: (asked.matching != MatchPolicy::Exact).then_some(asked.procedure),
            trustlevel: asked.trustlevel,
            timeout: timeout.map(millis),
            receive_progress,
            progress: asked.progress,
            pass_thru: asked.pass_thru,
        };
        if let Some(asked) = kept {
            let details = asked.progress.then(|| details.clone());
            self.keep(key, Kept { asked, details, whole, continued: false, bytes: 0, tried });
        }
        self.send(to.peer, Invocation { request: invocation, registration, details, payload: asked.payload });
    }

    /// How much more may be kept of calls of this session.
    fn allowance(&self, caller: PeerKey) -> usize {
        let kept = self.session(caller).map_or(0, |caller| caller.kept_call_bytes);
        self.config.limits.max_kept_call_bytes.saturating_sub(kept)
    }

    /// Keeps what is still needed of a CALL; its payload if that is `whole` and its caller's allowance is not used up.
    fn keep(&mut self, key: CallKey, mut kept: Kept) {
        let Some(caller) = self.calls.get(key).map(|call| call.caller) else { return };
        kept.bytes = kept.asked.weight();
        if kept.whole {
            let bytes = kept.bytes + kept.asked.payload.weight();
            kept.whole = bytes <= self.allowance(caller);
            if kept.whole {
                kept.bytes = bytes;
                kept.asked.payload.detach();
            } else {
                self.stats.limited += 1;
            }
        }
        if !kept.whole {
            kept.asked.payload = Payload::empty();
        }
        if !kept.whole && !kept.asked.progress {
            return;
        }
        kept.asked.procedure.detach();
        if let Some(caller) = self.peers.get_mut(caller).and_then(|peer| peer.session_mut()) {
            caller.kept_call_bytes += kept.bytes;
        }
        if let Some(call) = self.calls.get_mut(key) {
            call.kept = Some(Box::new(kept));
        }
    }

    /// Takes what is kept of a CALL, if anything is.
    fn take_kept(&mut self, key: CallKey) -> Option<Box<Kept>> {
        let call = self.calls.get_mut(key)?;
        let kept = call.kept.take()?;
        if let Some(caller) = self.peers.get_mut(call.caller).and_then(|peer| peer.session_mut()) {
            caller.kept_call_bytes -= kept.bytes;
        }
        Some(kept)
    }

    /// The callee has given a result, or been given more: no other callee can have the call any more.
    fn settle_on_callee(&mut self, key: CallKey) {
        if self.calls.get(key).is_some_and(|call| call.kept.as_ref().is_some_and(|kept| kept.whole))
            && let Some(kept) = self.take_kept(key)
        {
            self.keep(key, Kept { whole: false, ..*kept });
        }
    }

    fn is_shared(&self, realm: RealmKey, id: RegistrationId) -> bool {
        let registration = self.realms.get(realm).dealer.registrations.get(id);
        registration.is_some_and(|registration| registration.invoke != InvocationPolicy::Single)
    }

    fn set_call_deadline(&mut self, now: Instant, key: CallKey) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if let Some(old) = call.deadline.take() {
            self.timers.cancel(old, TimerKey::Call(key));
        }
        if let Some(timeout) = call.timeout {
            let at = now.after(timeout);
            call.deadline = Some(at);
            self.timers.set(at, TimerKey::Call(key));
        }
    }

    fn clear_call_deadline(&mut self, key: CallKey) {
        if let Some(at) = self.calls.get_mut(key).and_then(|call| call.deadline.take()) {
            self.timers.cancel(at, TimerKey::Call(key));
        }
    }
}
