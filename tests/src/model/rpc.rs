//! Procedures, callees, calls.

use super::Model;
use super::permission::matches;
use crate::driver::{Seen, Slot};
use core::time::Duration;
use std::sync::Arc;
use wampd_core::id::{RegistrationId, RequestId};
use wampd_core::message::{
    self, CallResult, CancelMode, Disclosed, Error, Features, Interrupt, InterruptOptions, Invocation,
    InvocationDetails, InvocationPolicy, Message, Payload, Register, Registered, RequestType, ResultDetails,
    Unregister, Unregistered,
};
use wampd_core::router::Limits;
use wampd_core::time::Instant;
use wampd_core::uri::{MatchPolicy, Uri, error};

/// A procedure or pattern, and who answers its calls.
#[derive(Debug)]
pub(super) struct Registration {
    id: RegistrationId,
    uri: Uri,
    matching: MatchPolicy,
    invoke: InvocationPolicy,
    callees: Vec<Callee>,
    /// The place of the callee that got the last call.
    last: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Callee {
    slot: Slot,
    /// Its place in the order in which callees came.
    place: u64,
    concurrency: Option<u32>,
    disclose_caller: bool,
}

/// A call without a final answer.
#[derive(Debug)]
pub(super) struct Call {
    caller: Slot,
    request: RequestId,
    registration: RegistrationId,
    procedure: Uri,
    payload: Payload,
    disclosed: Option<Arc<Disclosed>>,
    trustlevel: Option<u64>,
    wants_progress: bool,
    timeout: Option<Duration>,
    pub(super) deadline: Option<Instant>,
    /// `None`: it waits in line.
    invoked: Option<Invoked>,
    /// It waits since a callee does not keep up.
    held_back: bool,
}

#[derive(Clone, Copy, Debug)]
struct Invoked {
    callee: Slot,
    place: u64,
    request: RequestId,
    progress: bool,
    interrupted: bool,
}

/// Names a call: caller and request.
type Key = (Slot, RequestId);

impl Call {
    pub(super) const fn key(&self) -> Key {
        (self.caller, self.request)
    }
}

impl Model {
    // ---- registrations ----

    pub(super) fn register(&mut self, slot: Slot, register: &Register, seen: &[Seen]) {
        let Register { request, options, procedure } = register;
        assert!(!options.force_reregister && !options.forward_timeout, "not modelled: {options:?}");
        assert!(options.nkey.is_none(), "not modelled: {options:?}");
        let present = self.registrations.iter().position(|r| (&r.uri, r.matching) == (procedure, options.matching));
        let index = match present.map(|index| (index, &self.registrations[index])) {
            Some((_, present)) if present.invoke != options.invoke => {
                let error = error::PROCEDURE_EXISTS_WITH_DIFFERENT_POLICY;
                return self.fail(slot, RequestType::Register, *request, error);
            }
            Some((_, present))
                if present.invoke == InvocationPolicy::Single || present.callees.iter().any(|c| c.slot == slot) =>
            {
                return self.fail(slot, RequestType::Register, *request, error::PROCEDURE_ALREADY_EXISTS);
            }
            Some((index, _)) => index,
            None => {
                let given = |seen: &Seen| match seen {
                    Seen::Told(whom, Message::Registered(m)) if (*whom, m.request) == (slot, *request) => {
                        Some(m.registration)
                    }
                    _ => None,
                };
                let id = seen.iter().find_map(given).unwrap_or_else(|| panic!("{slot} is not told REGISTERED"));
                assert!(self.registrations.iter().all(|r| r.id != id), "{id:?} is another registration");
                let (uri, matching, invoke) = (procedure.clone(), options.matching, options.invoke);
                self.registrations.push(Registration { id, uri, matching, invoke, callees: Vec::new(), last: None });
                self.registrations.len() - 1
            }
        };
        let place = self.next_place;
        self.next_place += 1;
        let (concurrency, disclose_caller) = (options.concurrency, options.disclose_caller == Some(true));
        self.registrations[index].callees.push(Callee { slot, place, concurrency, disclose_caller });
        let id = self.registrations[index].id;
        self.tell(slot, Registered { request: *request, registration: id });
        self.serve(id, seen);
    }

    pub(super) fn unregister(&mut self, slot: Slot, unregister: &Unregister, seen: &[Seen]) {
        let Unregister { request, registration } = *unregister;
        let holds = |r: &Registration| r.id == registration && r.callees.iter().any(|c| c.slot == slot);
        if !self.registrations.iter().any(holds) {
            return self.fail(slot, RequestType::Unregister, request, error::NO_SUCH_REGISTRATION);
        }
        self.leave_registration(slot, registration, seen);
        self.tell(slot, Unregistered { request: Some(request), revocation: None });
    }

    fn leave_registration(&mut self, slot: Slot, id: RegistrationId, seen: &[Seen]) {
        for registration in self.registrations.iter_mut().filter(|registration| registration.id == id) {
            registration.callees.retain(|callee| callee.slot != slot);
        }
        self.serve(id, seen);
        self.registrations.retain(|registration| !registration.callees.is_empty());
    }

    /// A session is over: what becomes of its registrations, of its calls, and of those it was to answer.
    pub(super) fn leave_calls(&mut self, slot: Slot, seen: &[Seen]) {
        self.calls.retain(|call| call.caller != slot || call.invoked.is_some());
        let held = self.registrations.iter().filter(|r| r.callees.iter().any(|c| c.slot == slot));
        for id in held.map(|registration| registration.id).collect::<Vec<_>>() {
            self.leave_registration(slot, id, seen);
        }
        let made = self.calls.iter().filter(|call| call.caller == slot).map(Call::key);
        for key in made.collect::<Vec<_>>() {
            self.interrupt(key, CancelMode::KillNoWait, error::CANCELED);
            self.take(key, seen);
        }
        let to_answer =
            self.calls.iter().filter(|call| call.invoked.is_some_and(|to| to.callee == slot)).map(Call::key);
        for key in to_answer.collect::<Vec<_>>() {
            self.fail_call(key, error::CANCELED, seen);
        }
    }

    /// The registration whose callee a call goes to.
    fn best(&self, procedure: &str) -> Option<&Registration> {
        let specific = |registration: &&Registration| {
            let pattern = registration.uri.as_str();
            match registration.matching {
                MatchPolicy::Exact => (2, 0, Vec::new()),
                MatchPolicy::Prefix => (1, pattern.len(), Vec::new()),
                // The first component that only one of them gives decides.
                MatchPolicy::Wildcard => (0, 0, pattern.split('.').map(|component| !component.is_empty()).collect()),
            }
        };
        let all = self.registrations.iter();
        all.filter(|r| matches(r.uri.as_str(), r.matching, procedure)).max_by_key(specific)
    }

    // ---- calls ----

    pub(super) fn call(&mut self, slot: Slot, call: &message::Call, disclose: bool, seen: &[Seen]) {
        let message::Call { request, options, procedure, payload } = call;
        assert!(
            !options.progress && options.rkey.is_none() && options.pass_thru.is_none(),
            "not modelled: {options:?}"
        );
        let Some(registration) = self.best(procedure.as_str()).map(|registration| registration.id) else {
            return self.fail(slot, RequestType::Call, *request, error::NO_SUCH_PROCEDURE);
        };
        let session = &self.sessions[&slot];
        let timeout = options.timeout.filter(|ms| *ms > 0).map(Duration::from_millis);
        let call = Call {
            caller: slot,
            request: *request,
            registration,
            procedure: procedure.clone(),
            payload: payload.clone(),
            disclosed: (disclose || options.disclose_me).then(|| session.disclosed.clone()),
            trustlevel: session.trustlevel(),
            wants_progress: options.receive_progress,
            timeout,
            deadline: timeout.map(|timeout| self.now.after(timeout)),
            invoked: None,
            held_back: false,
        };
        let key = call.key();
        self.calls.push(call);
        self.serve(registration, seen);
        let held_back = self.is_any_awaited(registration);
        for call in self.calls.iter_mut().filter(|call| call.key() == key) {
            call.held_back = held_back;
        }
    }

    pub(super) fn calls_held_back(&self, slot: Slot) -> usize {
        self.calls.iter().filter(|call| call.caller == slot && call.held_back && call.invoked.is_none()).count()
    }

    /// Whether a callee may read again in time.
    fn is_any_awaited(&self, id: RegistrationId) -> bool {
        let registration = self.registrations.iter().find(|registration| registration.id == id);
        let awaited = |callee: &Callee| matches!(self.congested.get(&callee.slot), Some(Some(_)));
        registration.is_some_and(|registration| registration.callees.iter().any(awaited))
    }

    pub(super) fn is_callee(&self, slot: Slot) -> bool {
        self.registrations.iter().any(|r| r.callees.iter().any(|callee| callee.slot == slot))
    }

    /// The lines of a callee go on, one way or the other.
    pub(super) fn serve_of(&mut self, slot: Slot) {
        let its = self.registrations.iter().filter(|r| r.callees.iter().any(|callee| callee.slot == slot));
        let mut ids: Vec<_> = its.map(|registration| registration.id).collect();
        ids.sort();
        self.due_lines.extend(ids);
    }

    /// Goes on with lines, one call of each at a time.
    pub(super) fn serve_due(&mut self, seen: &[Seen]) {
        while let Some(id) = self.due_lines.pop_front() {
            self.serve(id, seen);
        }
    }

    fn busy(&self, id: RegistrationId, place: u64) -> usize {
        let with = |call: &&Call| call.registration == id && call.invoked.is_some_and(|invoked| invoked.place == place);
        self.calls.iter().filter(with).count()
    }

    /// Gives the call that has waited longest to a callee that is free.
    fn serve(&mut self, id: RegistrationId, seen: &[Seen]) {
        loop {
            let waits = |call: &Call| call.registration == id && call.invoked.is_none();
            let Some(first) = self.calls.iter().position(waits) else { return };
            let payload = self.calls[first].payload.clone();
            if let Some(callee) = self.choose(id, &payload, seen) {
                self.invoke(first, callee);
                return self.due_lines.push_back(id);
            }
            let registration = self.registrations.iter().find(|registration| registration.id == id);
            let any_busy = registration.is_some_and(|r| r.callees.iter().any(|c| self.busy(id, c.place) > 0));
            if any_busy || self.is_any_awaited(id) {
                return;
            }
            let key = self.calls[first].key();
            self.fail_call(key, error::NO_AVAILABLE_CALLEE, seen);
        }
    }

    /// The callee that gets a call, if one is free and keeps up: the first in the order of the policy that is heard, or else
    /// the first.
    fn choose(&mut self, id: RegistrationId, payload: &Payload, seen: &[Seen]) -> Option<Callee> {
        let registration = self.registrations.iter().find(|registration| registration.id == id)?;
        let mut order = registration.callees.clone();
        match registration.invoke {
            InvocationPolicy::Single | InvocationPolicy::First | InvocationPolicy::Random => {}
            InvocationPolicy::Last => order.reverse(),
            InvocationPolicy::RoundRobin => order.sort_by_key(|c| (Some(c.place) <= registration.last, c.place)),
        }
        order.retain(|c| c.concurrency.is_none_or(|most| self.busy(id, c.place) < most as usize));
        order.retain(|c| !self.congested.contains_key(&c.slot));
        let heard: Vec<_> = order.iter().filter(|callee| self.is_heard(callee.slot)).copied().collect();
        let candidates = if heard.is_empty() { order } else { heard };
        let callee = match registration.invoke {
            InvocationPolicy::Random if candidates.len() > 1 => {
                let got_it = |callee: &&Callee| {
                    seen.iter().any(|seen| match seen {
                        Seen::Told(slot, Message::Invocation(m)) => {
                            (*slot, m.registration, &m.payload) == (callee.slot, id, payload)
                        }
                        _ => false,
                    })
                };
                *candidates.iter().find(got_it).unwrap_or_else(|| panic!("none of {candidates:?} is called"))
            }
            _ => *candidates.first()?,
        };
        for registration in self.registrations.iter_mut().filter(|registration| registration.id == id) {
            registration.last = Some(callee.place);
        }
        Some(callee)
    }

    fn invoke(&mut self, index: usize, callee: Callee) {
        let call = &self.calls[index];
        let caller = call.disclosed.clone();
        let caller = caller.or_else(|| callee.disclose_caller.then(|| self.sessions[&call.caller].disclosed.clone()));
        let registration = self.registrations.iter().find(|r| r.id == call.registration).expect("of the callee");
        let pattern = registration.matching != MatchPolicy::Exact;
        let Some(session) = self.sessions.get_mut(&callee.slot) else { panic!("{callee:?} has no session") };
        let request = session.next_invocation;
        session.next_invocation = request.next();
        // Whatever the callee announced: that is how the realm is configured.
        let progress = call.wants_progress;
        let details = InvocationDetails {
            caller,
            procedure: pattern.then(|| call.procedure.clone()),
            trustlevel: call.trustlevel,
            receive_progress: progress,
            ..InvocationDetails::default()
        };
        let (registration, payload) = (call.registration, call.payload.clone());
        let invoked = Invoked { callee: callee.slot, place: callee.place, request, progress, interrupted: false };
        self.calls[index].invoked = Some(invoked);
        self.tell(callee.slot, Invocation { request, registration, details, payload });
    }

    // ---- their ends ----

    pub(super) fn answer(&mut self, slot: Slot, request: RequestId, message: &Message, seen: &[Seen]) {
        let is_it = |call: &&mut Call| call.invoked.is_some_and(|to| (to.callee, to.request) == (slot, request));
        let now = self.now;
        let Some(call) = self.calls.iter_mut().find(is_it) else {
            // Late, or made up.
            if request >= self.sessions[&slot].next_invocation {
                self.violate(slot, seen);
            }
            return;
        };
        let key = call.key();
        match message {
            Message::Yield(answer) if answer.options.progress => {
                if !call.invoked.is_some_and(|invoked| invoked.progress) {
                    return;
                }
                // The time allowed is that between results.
                if let Some(timeout) = call.timeout {
                    call.deadline = Some(now.after(timeout));
                }
                let details = ResultDetails { progress: true, ..ResultDetails::default() };
                self.tell(key.0, CallResult { request: key.1, details, payload: answer.payload.clone() });
            }
            Message::Yield(answer) => {
                self.take(key, seen);
                let details = ResultDetails::default();
                self.tell(key.0, CallResult { request: key.1, details, payload: answer.payload.clone() });
            }
            Message::Error(answer) => {
                assert_ne!(answer.error, error::UNAVAILABLE, "not modelled");
                self.take(key, seen);
                self.tell(key.0, Error { request_type: RequestType::Call, request: key.1, ..answer.clone() });
            }
            other => panic!("no answer: {other:?}"),
        }
    }

    pub(super) fn cancel_call(&mut self, key: Key, mode: Option<CancelMode>, seen: &[Seen]) {
        let Some(call) = self.calls.iter().find(|call| call.key() == key) else { return };
        let interruptible = call.invoked.is_some_and(|invoked| self.is_interruptible(invoked.callee));
        let interrupted = call.invoked.is_some_and(|invoked| invoked.interrupted);
        match mode.unwrap_or(CancelMode::KillNoWait) {
            CancelMode::Kill if interrupted => {}
            CancelMode::Kill if interruptible => {
                self.interrupt(key, CancelMode::Kill, error::CANCELED);
                let patience = self.now.after(Limits::default().kill_timeout);
                for call in self.calls.iter_mut().filter(|call| call.key() == key) {
                    // Further results do not make it longer.
                    call.timeout = None;
                    call.deadline = Some(call.deadline.map_or(patience, |deadline| deadline.min(patience)));
                }
            }
            CancelMode::KillNoWait if interruptible => {
                self.interrupt(key, CancelMode::KillNoWait, error::CANCELED);
                self.fail_call(key, error::CANCELED, seen);
            }
            _ => self.fail_call(key, error::CANCELED, seen),
        }
    }

    pub(super) fn overdue(&mut self, key: Key, seen: &[Seen]) {
        let call = self.calls.iter().find(|call| call.key() == key);
        if call.is_some_and(|call| call.invoked.is_some_and(|invoked| invoked.interrupted)) {
            return self.fail_call(key, error::CANCELED, seen);
        }
        self.interrupt(key, CancelMode::KillNoWait, error::TIMEOUT);
        self.fail_call(key, error::TIMEOUT, seen);
    }

    fn is_interruptible(&self, callee: Slot) -> bool {
        self.sessions.get(&callee).is_some_and(|session| session.callee_has(Features::CALL_CANCELING))
    }

    /// Tells the callee to stop, once, if it can.
    fn interrupt(&mut self, key: Key, mode: CancelMode, reason: Uri) {
        let Some(index) = self.calls.iter().position(|call| call.key() == key) else { return };
        let Some(Invoked { callee, request, interrupted: false, .. }) = self.calls[index].invoked else { return };
        if self.is_interruptible(callee) {
            if let Some(invoked) = &mut self.calls[index].invoked {
                invoked.interrupted = true;
            }
            let options = InterruptOptions { mode: Some(mode), reason: Some(reason) };
            self.tell(callee, Interrupt { request, options });
        }
    }

    /// A call is over: its callee is free for another one.
    fn take(&mut self, key: Key, seen: &[Seen]) {
        let Some(index) = self.calls.iter().position(|call| call.key() == key) else { return };
        let call = self.calls.remove(index);
        if call.invoked.is_some() {
            self.serve(call.registration, seen);
        }
    }

    fn fail_call(&mut self, key: Key, error: Uri, seen: &[Seen]) {
        self.take(key, seen);
        self.fail(key.0, RequestType::Call, key.1, error);
    }
}
