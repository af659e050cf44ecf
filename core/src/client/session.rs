use super::config::ClientLimits;
use super::invocations::{Arrival, Invocations};
use super::output::{AnswerError, ClientEvent, ClientOutput, ClientStats, RequestError};
use super::payloads;
use super::requests::{Answer, Pending, Requests};
use crate::id::{RegistrationId, RequestId, SubscriptionId};
use crate::message::{
    CallResult, Cancel, CancelMode, CancelOptions, Error, Event, Features, Interrupt, Invocation, Message, PassThru,
    Payload, RawDict, Registered, RequestType, Subscribed, Unregister, Unregistered, Unsubscribe, Unsubscribed,
    Welcome, Yield,
};
use crate::time::Instant;
use crate::uri::{Uri, error};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// An open session as the client knows it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) welcome: Box<Welcome>,
    /// GOODBYE was sent; until when its reply is waited for.
    pub(super) leaving: Option<Instant>,
    pub(super) requests: Requests,
    subscriptions: BTreeSet<SubscriptionId>,
    registrations: BTreeSet<RegistrationId>,
    /// The calls in several parts.
    in_parts: BTreeMap<RequestId, InParts>,
    pub(super) invocations: Invocations,
}

/// A call in several parts.
#[derive(Debug)]
struct InParts {
    procedure: Uri,
    /// What its payloads are.
    pass_thru: Option<Box<PassThru>>,
    /// More than the first part has been made.
    begun: bool,
    /// The last part has been made.
    ended: bool,
}

/// What a session works with and does not own.
pub(super) struct Context<'a> {
    now: Instant,
    limits: &'a ClientLimits,
    outputs: &'a mut VecDeque<ClientOutput>,
    stats: &'a mut ClientStats,
}

impl<'a> Context<'a> {
    pub(super) const fn new(
        now: Instant,
        limits: &'a ClientLimits,
        outputs: &'a mut VecDeque<ClientOutput>,
        stats: &'a mut ClientStats,
    ) -> Self {
        Self { now, limits, outputs, stats }
    }

    fn send(&mut self, message: impl Into<Message>) {
        self.outputs.push_back(ClientOutput::Send(message.into()));
    }

    fn tell(&mut self, event: ClientEvent) {
        self.outputs.push_back(ClientOutput::Event(event));
    }

    fn request_deadline(&self) -> Option<Instant> {
        self.limits.request_timeout.map(|timeout| self.now.after(timeout))
    }
}

/// How a session goes on after a message.
pub(super) enum Flow {
    Continue,
    /// The router sent GOODBYE.
    Goodbye(Uri),
    /// The router sent ABORT.
    Aborted(crate::message::Abort),
    /// The router broke the protocol.
    Violation(String),
}

impl Session {
    pub(super) fn new(welcome: Welcome) -> Self {
        Self {
            welcome: Box::new(welcome),
            leaving: None,
            requests: Requests::default(),
            subscriptions: BTreeSet::new(),
            registrations: BTreeSet::new(),
            in_parts: BTreeMap::new(),
            invocations: Invocations::default(),
        }
    }

    /// Makes room for one more request that waits for an answer.
    pub(super) fn expect(&mut self, cx: &mut Context<'_>, kind: Pending) -> Result<RequestId, RequestError> {
        if self.requests.len() >= cx.limits.max_pending {
            cx.stats.refused_requests += 1;
            return Err(RequestError::TooManyPending);
        }
        Ok(self.requests.expect(kind, cx.request_deadline(), false))
    }

    /// Whether the router announced a feature of calls.
    pub(super) fn dealer_has(&self, feature: Features) -> bool {
        self.welcome.details.roles.dealer.is_some_and(|announced| announced.contains(feature))
    }

    /// Remembers that more parts of a call are to be sent.
    pub(super) fn begin_parts(&mut self, call: RequestId, procedure: Uri, pass_thru: Option<Box<PassThru>>) {
        self.in_parts.insert(call, InParts { procedure, pass_thru, begun: false, ended: false });
    }

    /// The procedure of a call of which one more part is sent, and what its payloads are; `last`: and no other.
    pub(super) fn next_part(
        &mut self,
        call: RequestId,
        last: bool,
        announced: Option<Features>,
        payload: &Payload,
    ) -> Result<(Uri, Option<Box<PassThru>>), AnswerError> {
        let router = self.welcome.details.roles.dealer;
        let parts = self.in_parts.get_mut(&call).filter(|parts| !parts.ended).ok_or(AnswerError::UnknownRequest)?;
        payloads::check(announced, router, parts.pass_thru.as_deref(), payload)?;
        (parts.begun, parts.ended) = (true, last);
        Ok((parts.procedure.clone(), parts.pass_thru.clone()))
    }

    /// A CALL was not sent: takes it back, unless parts of it were sent before. Returns whether it was taken back.
    pub(super) fn retract_call(&mut self, call: RequestId) -> bool {
        let begun = self.in_parts.get(&call).is_some_and(|parts| parts.begun);
        if !begun {
            self.in_parts.remove(&call);
            self.requests.retract(call);
        }
        !begun
    }

    pub(super) fn receive(&mut self, cx: &mut Context<'_>, message: Message) -> Flow {
        match message {
            Message::Goodbye(goodbye) => return Flow::Goodbye(goodbye.reason),
            Message::Abort(abort) => return Flow::Aborted(abort),
            Message::Published(m) => {
                return self.answered(cx, m.request, RequestType::Publish, |_, _| ClientEvent::Published {
                    request: m.request,
                    publication: m.publication,
                });
            }
            Message::Subscribed(m) => return self.subscribed(cx, &m),
            Message::Unsubscribed(m) => return self.unsubscribed(cx, m),
            Message::Registered(m) => return self.registered(cx, &m),
            Message::Unregistered(m) => return self.unregistered(cx, m),
            Message::Result(m) => return self.result(cx, m),
            Message::Error(m) => return self.error(cx, m),
            Message::Event(m) => self.event(cx, m),
            Message::Invocation(m) => return self.invocation(cx, m),
            Message::Interrupt(m) => self.interrupt(cx, &m),
            Message::Hello(_)
            | Message::Welcome(_)
            | Message::Challenge(_)
            | Message::Authenticate(_)
            | Message::Publish(_)
            | Message::Subscribe(_)
            | Message::Unsubscribe(_)
            | Message::EventReceived(_)
            | Message::Call(_)
            | Message::Cancel(_)
            | Message::Register(_)
            | Message::Unregister(_)
            | Message::Yield(_) => return Flow::Violation(format!("unexpected {} in a session", message.name())),
        }
        Flow::Continue
    }

    /// Gives up the requests whose deadline has come. A call is canceled, so that the callee can stop.
    pub(super) fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some((request, kind)) = self.requests.expire(cx.now) {
            cx.stats.timed_out_requests += 1;
            self.in_parts.remove(&request);
            let open = self.leaving.is_none();
            if kind == Pending::Call && open && self.dealer_has(Features::CALL_CANCELING) {
                cx.send(Cancel { request, options: CancelOptions { mode: Some(CancelMode::KillNoWait) } });
            }
            cx.tell(failed(request, error::TIMEOUT));
        }
        while let Some(request) = self.invocations.expire(cx.now) {
            cx.stats.timed_out_invocations += 1;
            if self.leaving.is_none() {
                cx.send(invocation_error(request, error::TIMEOUT, Payload::empty()));
                cx.tell(ClientEvent::InvocationTimedOut { request });
            }
        }
    }

    /// Fails whatever still waits.
    pub(super) fn end(self, cx: &mut Context<'_>) {
        for request in self.requests.end() {
            cx.tell(failed(request, error::TRANSPORT_LOST));
        }
    }

    /// Takes an answer: updates the session with `settle` and tells the application the event that it makes, if the
    /// application still waits.
    fn answered(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        answered: RequestType,
        settle: impl FnOnce(&mut Self, Pending) -> ClientEvent,
    ) -> Flow {
        let answer = self.requests.answer(request, answered);
        self.settle(cx, request, answer, settle)
    }

    fn settle(
        &mut self,
        cx: &mut Context<'_>,
        request: RequestId,
        answer: Answer,
        settle: impl FnOnce(&mut Self, Pending) -> ClientEvent,
    ) -> Flow {
        match answer {
            Answer::Wrong => return Flow::Violation(format!("answer to a request {request} that was not made")),
            Answer::Late => cx.stats.late_answers += 1,
            Answer::To { kind, abandoned } => {
                let event = settle(self, kind);
                if abandoned {
                    cx.stats.late_answers += 1;
                } else {
                    cx.tell(event);
                }
            }
        }
        Flow::Continue
    }

    /// A subscription that the application has given up waiting for is ended again, unless it holds it already.
    fn subscribed(&mut self, cx: &mut Context<'_>, m: &Subscribed) -> Flow {
        let Subscribed { request, subscription } = *m;
        let answer = self.requests.answer(request, RequestType::Subscribe);
        if matches!(answer, Answer::To { abandoned: true, .. }) {
            if !self.subscriptions.contains(&subscription) && self.leaving.is_none() {
                let request = self.requests.expect(Pending::Unsubscribe(subscription), None, true);
                cx.send(Unsubscribe { request, subscription });
            }
            cx.stats.late_answers += 1;
            return Flow::Continue;
        }
        self.settle(cx, request, answer, |session, _| {
            session.subscriptions.insert(subscription);
            ClientEvent::Subscribed { request, subscription }
        })
    }

    fn unsubscribed(&mut self, cx: &mut Context<'_>, m: Unsubscribed) -> Flow {
        let Some(request) = m.request else {
            let Some(revoked) = m.revocation else {
                return Flow::Violation("UNSUBSCRIBED without a request and without a subscription".to_owned());
            };
            if self.subscriptions.remove(&revoked.id) {
                cx.tell(ClientEvent::SubscriptionRevoked { subscription: revoked.id, reason: revoked.reason });
            }
            return Flow::Continue;
        };
        self.answered(cx, request, RequestType::Unsubscribe, |session, kind| {
            if let Pending::Unsubscribe(subscription) = kind {
                session.subscriptions.remove(&subscription);
            }
            ClientEvent::Unsubscribed { request }
        })
    }

    /// As [`Session::subscribed`].
    fn registered(&mut self, cx: &mut Context<'_>, m: &Registered) -> Flow {
        let Registered { request, registration } = *m;
        let answer = self.requests.answer(request, RequestType::Register);
        if matches!(answer, Answer::To { abandoned: true, .. }) {
            if !self.registrations.contains(&registration) && self.leaving.is_none() {
                let request = self.requests.expect(Pending::Unregister(registration), None, true);
                cx.send(Unregister { request, registration });
            }
            cx.stats.late_answers += 1;
            return Flow::Continue;
        }
        self.settle(cx, request, answer, |session, _| {
            session.registrations.insert(registration);
            ClientEvent::Registered { request, registration }
        })
    }

    fn unregistered(&mut self, cx: &mut Context<'_>, m: Unregistered) -> Flow {
        let Some(request) = m.request else {
            let Some(revoked) = m.revocation else {
                return Flow::Violation("UNREGISTERED without a request and without a registration".to_owned());
            };
            if self.registrations.remove(&revoked.id) {
                cx.tell(ClientEvent::RegistrationRevoked { registration: revoked.id, reason: revoked.reason });
            }
            return Flow::Continue;
        };
        self.answered(cx, request, RequestType::Unregister, |session, kind| {
            if let Pending::Unregister(registration) = kind {
                session.registrations.remove(&registration);
            }
            ClientEvent::Unregistered { request }
        })
    }

    fn result(&mut self, cx: &mut Context<'_>, m: CallResult) -> Flow {
        let CallResult { request, details, payload } = m;
        let answer = if details.progress {
            self.requests.progress(request, cx.request_deadline())
        } else {
            self.in_parts.remove(&request);
            self.requests.answer(request, RequestType::Call)
        };
        self.settle(cx, request, answer, |_, _| ClientEvent::Result { request, details, payload })
    }

    fn error(&mut self, cx: &mut Context<'_>, m: Error) -> Flow {
        let Error { request_type, request, pass_thru, error, payload, .. } = m;
        if request_type == RequestType::Invocation {
            return Flow::Violation("ERROR for an INVOCATION from a router".to_owned());
        }
        if request_type == RequestType::Call {
            self.in_parts.remove(&request);
        }
        self.answered(cx, request, request_type, |_, _| ClientEvent::Failed { request, error, pass_thru, payload })
    }

    fn event(&self, cx: &mut Context<'_>, m: Event) {
        let Event { subscription, publication, details, payload } = m;
        if self.leaving.is_some() {
            return;
        }
        if !self.subscriptions.contains(&subscription) {
            cx.stats.stray_events += 1;
            return;
        }
        cx.tell(ClientEvent::Event { subscription, publication, details, payload });
    }

    /// An invocation that can not be given to the application is answered with an error, so that no caller waits.
    fn invocation(&mut self, cx: &mut Context<'_>, m: Invocation) -> Flow {
        let Invocation { request, registration, details, payload } = m;
        if self.leaving.is_some() {
            return Flow::Continue;
        }
        match self.invocations.arrive(request, &details) {
            Arrival::New => {}
            Arrival::Part => {
                cx.tell(ClientEvent::Invocation { request, registration, details, payload });
                return Flow::Continue;
            }
            Arrival::Late => {
                cx.stats.stray_invocations += 1;
                return Flow::Continue;
            }
            Arrival::Wrong => {
                return Flow::Violation(format!("INVOCATION {request} is not answered yet and came again"));
            }
        }
        if !self.registrations.contains(&registration) {
            self.invocations.refuse(request, &details);
            cx.stats.stray_invocations += 1;
            cx.send(invocation_error(request, error::NO_SUCH_REGISTRATION, Payload::empty()));
        } else if self.invocations.len() >= cx.limits.max_invocations {
            self.invocations.refuse(request, &details);
            cx.stats.refused_invocations += 1;
            cx.send(invocation_error(request, error::UNAVAILABLE, Payload::empty()));
        } else {
            self.invocations.open(cx.now, request, &details);
            cx.tell(ClientEvent::Invocation { request, registration, details, payload });
        }
        Flow::Continue
    }

    /// The answer may have crossed the INTERRUPT: then there is nothing to interrupt.
    fn interrupt(&self, cx: &mut Context<'_>, m: &Interrupt) {
        if self.leaving.is_none() && self.invocations.is_open(m.request) {
            cx.tell(ClientEvent::Interrupted { request: m.request, mode: m.options.mode });
        }
    }
}

/// A failure that the client itself found.
fn failed(request: RequestId, error: Uri) -> ClientEvent {
    ClientEvent::Failed { request, error, pass_thru: None, payload: Payload::empty() }
}

pub(super) fn invocation_error(request: RequestId, error: Uri, payload: Payload) -> Error {
    let details = RawDict::new();
    Error { request_type: RequestType::Invocation, request, pass_thru: None, details, error, payload }
}

pub(super) fn invocation_result(request: RequestId, options: crate::message::YieldOptions, payload: Payload) -> Yield {
    Yield { request, options, payload }
}
