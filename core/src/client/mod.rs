//! A WAMP client without IO: the state machine of one connection, in all four client roles.
//!
//! Driving it is like driving the router: give one input, then drain [`Client::poll_output`] to `None`, then give the
//! next; `now` never goes back; call [`Client::handle_timeout`] at [`Client::next_deadline`] (early calls are
//! harmless); nothing follows [`ClientOutput::Close`].
//!
//! After the end of a connection the same client may be connected again; the new session starts from nothing.
//!
//! ```
//! use wampd_core::client::{Client, ClientConfig, ClientOutput};
//! use wampd_core::message::Message;
//! use wampd_core::time::Instant;
//! use wampd_core::uri::Uri;
//!
//! let mut client = Client::new(ClientConfig::anonymous(Uri::from("realm1")));
//! client.connected(Instant::ZERO);
//! assert!(matches!(client.poll_output(), Some(ClientOutput::Send(Message::Hello(_)))));
//! assert_eq!(client.poll_output(), None);
//! ```

mod config;
mod handshake;
mod invocations;
mod output;
mod payloads;
mod requests;
mod session;

pub use config::{ClientConfig, ClientLimits, Credential, supported_roles};
pub use output::{AnswerError, ClientEvent, ClientOutput, ClientStats, NotChallenged, RequestError, Side};

use crate::auth::ChannelBinding;
use crate::id::{RegistrationId, RequestId, SubscriptionId};
use crate::message::{
    self, Abort, Authenticate, Call, CallOptions, Cancel, CancelMode, CancelOptions, ChallengeMessage, Features,
    Goodbye, Message, PassThru, Payload, Publish, PublishOptions, RawDict, Register, RegisterOptions, Subscribe,
    SubscribeOptions, Unregister, Unsubscribe, Welcome, YieldOptions,
};
use crate::router::Undeliverable;
use crate::time::Instant;
use crate::uri::{Uri, close, error};
use crate::value::{Dict, Value};
use core::fmt;
use handshake::{Opening, Response, Unanswerable};
use rand_core::CryptoRng;
use requests::Pending;
use session::{Context, Flow, Session, invocation_error, invocation_result};
use std::collections::VecDeque;

/// The client's end of one connection at a time.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    rng: Randomness,
    state: State,
    outputs: VecDeque<ClientOutput>,
    stats: ClientStats,
}

#[derive(Debug)]
enum State {
    /// No transport, or one that is done with.
    Closed,
    /// HELLO was sent.
    Joining {
        deadline: Instant,
        step: Step,
        /// CHALLENGEs received.
        challenges: u32,
        opening: Box<Opening>,
    },
    /// WELCOME was received.
    Open(Box<Session>),
}

/// Whose move it is in a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The router's: WELCOME, CHALLENGE or ABORT.
    Router,
    /// The application's: [`Client::authenticate`].
    Application,
}

/// Where a client's random numbers come from, if it has any.
struct Randomness(Option<Box<dyn CryptoRng + Send>>);

impl fmt::Debug for Randomness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Randomness" } else { "None" })
    }
}

impl Client {
    /// A client that has no transport yet.
    ///
    /// It has no randomness, which [`Credential::Scram`] and the check of the router's key need: a handshake with
    /// those ends before it begins. See [`Client::with_rng`].
    pub fn new(config: ClientConfig) -> Self {
        let (state, outputs) = (State::Closed, VecDeque::new());
        Self { config, rng: Randomness(None), state, outputs, stats: ClientStats::default() }
    }

    /// A client that has no transport yet, for any credential. `rng` is the source of nonces and challenges.
    pub fn with_rng(config: ClientConfig, rng: Box<dyn CryptoRng + Send>) -> Self {
        Self { rng: Randomness(Some(rng)), ..Self::new(config) }
    }

    // ---- inputs from the transport ----

    /// A transport is ready: sends HELLO. Ignored while there is one already.
    pub fn connected(&mut self, now: Instant) {
        self.connected_over(now, None);
    }

    /// A TLS connection is ready, to which proofs can be bound: as [`Client::connected`].
    pub fn connected_over(&mut self, now: Instant, channel: Option<ChannelBinding>) {
        if !matches!(self.state, State::Closed) {
            return;
        }
        match Opening::new(&self.config, channel, self.rng.0.as_mut()) {
            Ok(opening) => {
                self.send(opening.hello(&self.config));
                let deadline = now.after(self.config.limits.handshake_timeout);
                let opening = Box::new(opening);
                self.state = State::Joining { deadline, step: Step::Router, challenges: 0, opening };
            }
            Err(Unanswerable { reason, message }) => {
                let details = Dict::from([("message".to_owned(), Value::from(message))]);
                self.end(now, ClientEvent::Aborted { by: Side::Client, reason, details });
                self.outputs.push_back(ClientOutput::Close);
            }
        }
    }

    /// A message has arrived. Ignored when there is no connection (any more).
    pub fn receive(&mut self, now: Instant, message: Message) {
        match &mut self.state {
            State::Closed => {}
            State::Joining { step, .. } => {
                let step = *step;
                self.receive_joining(now, step, message);
            }
            State::Open(session) => {
                let mut cx = Context::new(now, &self.config.limits, &mut self.outputs, &mut self.stats);
                match session.receive(&mut cx, message) {
                    Flow::Continue => {}
                    Flow::Goodbye(reason) => self.goodbye(now, reason),
                    Flow::Aborted(abort) => self.aborted(now, abort),
                    Flow::Violation(what) => self.break_off(now, error::PROTOCOL_VIOLATION, what),
                }
            }
        }
    }

    /// Something has arrived that is no WAMP message: ends the session with ABORT.
    ///
    /// `what` says what is wrong with it, for people; it is sent to the router.
    pub fn receive_invalid(&mut self, now: Instant, what: impl fmt::Display) {
        self.break_off(now, error::PROTOCOL_VIOLATION, what.to_string());
    }

    /// The transport is gone. Requests that wait for an answer fail. Ignored after [`ClientOutput::Close`].
    pub fn connection_lost(&mut self, now: Instant) {
        if !matches!(self.state, State::Closed) {
            self.end(now, ClientEvent::Lost);
        }
    }

    /// The time is `now`: acts on the deadlines that have come.
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Joining { deadline, .. } if *deadline <= now => {
                self.break_off(now, error::TIMEOUT, "the handshake took too long".to_owned());
            }
            State::Open(session) if session.leaving.is_some_and(|deadline| deadline <= now) => {
                self.end(now, ClientEvent::Lost);
                self.outputs.push_back(ClientOutput::Close);
            }
            State::Open(session) => {
                session.expire(&mut Context::new(now, &self.config.limits, &mut self.outputs, &mut self.stats))
            }
            State::Closed | State::Joining { .. } => {}
        }
    }

    /// A message of [`ClientOutput::Send`] could not be written. To be called before the next request.
    ///
    /// A further part of a call makes the client cancel it. Any other request is taken back as if it had not been made: no answer to it follows, and its id is given out again. Instead
    /// of a result that can not be carried, the router gets an ERROR that says why. Without HELLO or AUTHENTICATE there
    /// is no session: the handshake is broken off.
    pub fn undeliverable(&mut self, now: Instant, message: Message, why: &Undeliverable) {
        let (error, text) = why.describe();
        let request = match message {
            Message::Publish(m) => m.request,
            Message::Subscribe(m) => m.request,
            Message::Unsubscribe(m) => m.request,
            Message::Register(m) => m.request,
            Message::Unregister(m) => m.request,
            Message::Call(m) => return self.retract_call(m.request),
            Message::Hello(_) | Message::Authenticate(_) => return self.break_off(now, error, text),
            Message::Yield(m) => {
                if let State::Open(session) = &mut self.state {
                    // Fails when it was the final answer, which had been taken off the list.
                    let _ = session.invocations.answer(m.request, false);
                    self.send(invocation_error(m.request, error, Payload::from_args([Value::from(text)])));
                }
                return;
            }
            Message::Error(refused) => {
                // The application's error, without the arguments that can not be carried.
                return self.send(message::Error {
                    pass_thru: None,
                    payload: Payload::empty(),
                    details: RawDict::new(),
                    ..refused
                });
            }
            _ => return,
        };
        if let State::Open(session) = &mut self.state {
            session.requests.retract(request);
        }
    }

    // ---- outputs ----

    /// The next thing to do; drain to `None` after each input and each request.
    pub fn poll_output(&mut self) -> Option<ClientOutput> {
        self.outputs.pop_front()
    }

    /// When [`Client::handle_timeout`] is to be called, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Closed => None,
            State::Joining { deadline, .. } => Some(*deadline),
            State::Open(session) => {
                let answers = session.requests.next_deadline().into_iter().chain(session.invocations.next_deadline());
                session.leaving.into_iter().chain(answers).min()
            }
        }
    }

    /// What the router said in WELCOME, while the session is open.
    pub fn session(&self) -> Option<&Welcome> {
        match &self.state {
            State::Open(session) => Some(&session.welcome),
            State::Closed | State::Joining { .. } => None,
        }
    }

    /// Whether requests can be made: the session is open and nobody is leaving.
    pub const fn is_joined(&self) -> bool {
        matches!(&self.state, State::Open(session) if session.leaving.is_none())
    }

    /// Whether there is no connection: there never was one, or it is done with.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// What was tolerated or refused since the client was made.
    pub const fn stats(&self) -> ClientStats {
        self.stats
    }

    // ---- requests of the application ----

    /// Answers [`ClientEvent::Challenged`].
    ///
    /// # Errors
    /// No challenge waits for an answer.
    pub fn authenticate(&mut self, signature: String, extra: Dict) -> Result<(), NotChallenged> {
        match &mut self.state {
            State::Joining { step: step @ Step::Application, .. } => *step = Step::Router,
            _ => return Err(NotChallenged),
        }
        self.send(Authenticate { signature, extra: extra.into() });
        Ok(())
    }

    /// Subscribes to a topic; answered by [`ClientEvent::Subscribed`] or [`ClientEvent::Failed`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn subscribe(
        &mut self,
        now: Instant,
        topic: Uri,
        options: SubscribeOptions,
    ) -> Result<RequestId, RequestError> {
        role("subscriber", self.config.roles.subscriber)?;
        let request = self.expect(now, Pending::Subscribe)?;
        self.send(Subscribe { request, options, topic });
        Ok(request)
    }

    /// Ends a subscription; answered by [`ClientEvent::Unsubscribed`] or [`ClientEvent::Failed`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn unsubscribe(&mut self, now: Instant, subscription: SubscriptionId) -> Result<RequestId, RequestError> {
        role("subscriber", self.config.roles.subscriber)?;
        let request = self.expect(now, Pending::Unsubscribe(subscription))?;
        self.send(Unsubscribe { request, subscription });
        Ok(request)
    }

    /// Publishes an event. With `acknowledge` it is answered by [`ClientEvent::Published`] or
    /// [`ClientEvent::Failed`], without it by nothing.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn publish(
        &mut self,
        now: Instant,
        topic: Uri,
        options: PublishOptions,
        payload: Payload,
    ) -> Result<RequestId, RequestError> {
        role("publisher", self.config.roles.publisher)?;
        let announced = self.config.roles.publisher;
        let router = self.open_session()?.welcome.details.roles.broker;
        payloads::check(announced, router, options.pass_thru.as_deref(), &payload)?;
        let request = if options.acknowledge {
            self.expect(now, Pending::Publish)?
        } else {
            self.open_session()?.requests.issue()
        };
        self.send(Publish { request, options, topic, payload });
        Ok(request)
    }

    /// Registers a procedure; answered by [`ClientEvent::Registered`] or [`ClientEvent::Failed`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn register(
        &mut self,
        now: Instant,
        procedure: Uri,
        options: RegisterOptions,
    ) -> Result<RequestId, RequestError> {
        role("callee", self.config.roles.callee)?;
        let request = self.expect(now, Pending::Register)?;
        self.send(Register { request, options, procedure });
        Ok(request)
    }

    /// Ends a registration; answered by [`ClientEvent::Unregistered`] or [`ClientEvent::Failed`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn unregister(&mut self, now: Instant, registration: RegistrationId) -> Result<RequestId, RequestError> {
        role("callee", self.config.roles.callee)?;
        let request = self.expect(now, Pending::Unregister(registration))?;
        self.send(Unregister { request, registration });
        Ok(request)
    }

    /// Calls a procedure; answered by [`ClientEvent::Result`], with `receive_progress` possibly several, or
    /// [`ClientEvent::Failed`]. With `progress` it is the first part of a call: see [`Client::continue_call`].
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn call(
        &mut self,
        now: Instant,
        procedure: Uri,
        options: CallOptions,
        payload: Payload,
    ) -> Result<RequestId, RequestError> {
        role("caller", self.config.roles.caller)?;
        let parts = Features::PROGRESSIVE_CALL_INVOCATIONS;
        let announced = self.config.roles.caller.is_some_and(|announced| announced.contains(parts));
        if options.progress && !(announced && self.open_session()?.dealer_has(parts)) {
            return Err(RequestError::FeatureNotAnnounced(parts));
        }
        let (announced, router) = (self.config.roles.caller, self.open_session()?.welcome.details.roles.dealer);
        payloads::check(announced, router, options.pass_thru.as_deref(), &payload)?;
        let request = self.expect(now, Pending::Call)?;
        if options.progress {
            self.open_session()?.begin_parts(request, procedure.clone(), options.pass_thru.clone());
        }
        self.send(Call { request, options, procedure, payload });
        Ok(request)
    }

    /// Sends one more part of a call that was begun with `progress`; `progress`: and not the last one. All other options
    /// are those of the first part, and so the payload is of its kind. The answer to the call can come before its last part (spec: "Progressive Call
    /// Invocations").
    ///
    /// # Errors
    /// The call was not begun with `progress`, its last part has been sent or it has been answered, or the session is
    /// being closed; else see [`AnswerError`].
    pub fn continue_call(&mut self, call: RequestId, progress: bool, payload: Payload) -> Result<(), AnswerError> {
        let announced = self.config.roles.caller;
        let session = self.open_session().map_err(|_| AnswerError::UnknownRequest)?;
        let (procedure, pass_thru) = session.next_part(call, !progress, announced, &payload)?;
        let options = CallOptions { progress, pass_thru, ..CallOptions::default() };
        self.send(Call { request: call, options, procedure, payload });
        Ok(())
    }

    /// Asks for a call to be canceled. The call is answered as any other: by an error, or by a result that was faster.
    ///
    /// # Errors
    /// No such call waits for an answer, or the session is being closed.
    pub fn cancel(&mut self, call: RequestId, mode: Option<CancelMode>) -> Result<(), AnswerError> {
        match &self.state {
            State::Open(session) if session.leaving.is_none() && session.requests.is_call(call) => {}
            _ => return Err(AnswerError::UnknownRequest),
        }
        self.send(Cancel { request: call, options: CancelOptions { mode } });
        Ok(())
    }

    /// Answers an invocation with a result: the only one, unless `options.progress`.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn yield_result(
        &mut self,
        invocation: RequestId,
        options: YieldOptions,
        payload: Payload,
    ) -> Result<(), AnswerError> {
        let announced = self.config.roles.callee;
        let session = self.open_session().map_err(|_| AnswerError::UnknownRequest)?;
        let router = session.welcome.details.roles.dealer;
        payloads::check(announced, router, options.pass_thru.as_deref(), &payload)?;
        session.invocations.answer(invocation, options.progress)?;
        self.send(invocation_result(invocation, options, payload));
        Ok(())
    }

    /// Answers an invocation with an error.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn yield_error(&mut self, invocation: RequestId, error: Uri, payload: Payload) -> Result<(), AnswerError> {
        self.yield_error_with(invocation, error, None, payload)
    }

    /// Answers an invocation with an error whose payload is of this kind.
    ///
    /// # Errors
    /// See [`AnswerError`].
    pub fn yield_error_with(
        &mut self,
        invocation: RequestId,
        error: Uri,
        pass_thru: Option<Box<PassThru>>,
        payload: Payload,
    ) -> Result<(), AnswerError> {
        let announced = self.config.roles.callee;
        let session = self.open_session().map_err(|_| AnswerError::UnknownRequest)?;
        let router = session.welcome.details.roles.dealer;
        payloads::check(announced, router, pass_thru.as_deref(), &payload)?;
        session.invocations.answer(invocation, false)?;
        self.send(message::Error { pass_thru, ..invocation_error(invocation, error, payload) });
        Ok(())
    }

    /// Leaves: sends GOODBYE and waits for the router's, or breaks a handshake off. Ignored when there is nothing to
    /// leave, or when leaving already.
    ///
    /// Until the router's GOODBYE, answers to requests still arrive; events and invocations do not.
    pub fn leave(&mut self, now: Instant, reason: Uri) {
        match &mut self.state {
            State::Open(session) if session.leaving.is_none() => {
                session.leaving = Some(now.after(self.config.limits.goodbye_timeout));
                self.send(Goodbye { details: RawDict::new(), reason });
            }
            State::Joining { .. } => self.break_off(now, reason, "the client leaves".to_owned()),
            State::Open(_) | State::Closed => {}
        }
    }

    // ---- how it works ----

    fn retract_call(&mut self, call: RequestId) {
        let State::Open(session) = &mut self.state else { return };
        if !session.retract_call(call) && session.leaving.is_none() {
            self.send(Cancel { request: call, options: CancelOptions { mode: Some(CancelMode::KillNoWait) } });
        }
    }

    fn receive_joining(&mut self, now: Instant, step: Step, message: Message) {
        match (step, message) {
            (_, Message::Abort(abort)) => self.aborted(now, abort),
            (Step::Router, Message::Welcome(welcome)) => {
                let State::Joining { opening, .. } = &self.state else { return };
                if let Err(why) = opening.check(&self.config, &welcome) {
                    return self.break_off(now, why.reason, why.message.to_owned());
                }
                self.outputs.push_back(ClientOutput::Event(ClientEvent::Joined(Box::new(welcome.clone()))));
                self.state = State::Open(Box::new(Session::new(welcome)));
            }
            (Step::Router, Message::Challenge(challenge)) => self.challenged(now, challenge),
            (_, message) => {
                let what = format!("unexpected {} in the handshake", message.name());
                self.break_off(now, error::PROTOCOL_VIOLATION, what);
            }
        }
    }

    fn challenged(&mut self, now: Instant, challenge: ChallengeMessage) {
        let State::Joining { challenges, opening, .. } = &mut self.state else { return };
        *challenges += 1;
        if *challenges > self.config.limits.max_challenges {
            return self.break_off(now, error::PROTOCOL_VIOLATION, "too many CHALLENGEs".to_owned());
        }
        let (next, output) = match opening.respond(&self.config, &challenge) {
            Ok(Response::Send(authenticate)) => (Step::Router, ClientOutput::Send(authenticate.into())),
            Ok(Response::AskApplication) => {
                let ChallengeMessage { method, extra } = challenge;
                (Step::Application, ClientOutput::Event(ClientEvent::Challenged { method, extra }))
            }
            Err(why) => return self.break_off(now, why.reason, why.message.to_owned()),
        };
        self.outputs.push_back(output);
        if let State::Joining { step, .. } = &mut self.state {
            *step = next;
        }
    }

    fn goodbye(&mut self, now: Instant, reason: Uri) {
        if self.is_joined() {
            self.send(Goodbye { details: RawDict::new(), reason: close::GOODBYE_AND_OUT });
        }
        self.end(now, ClientEvent::Left { reason });
        self.outputs.push_back(ClientOutput::Close);
    }

    fn aborted(&mut self, now: Instant, abort: Abort) {
        self.end(
            now,
            ClientEvent::Aborted { by: Side::Router, reason: abort.reason, details: abort.details.to_dict() },
        );
        self.outputs.push_back(ClientOutput::Close);
    }

    /// Ends the connection with ABORT.
    fn break_off(&mut self, now: Instant, reason: Uri, message: String) {
        if matches!(self.state, State::Closed) {
            return;
        }
        let details = Dict::from([("message".to_owned(), Value::from(message))]);
        self.send(Abort { details: details.clone().into(), reason: reason.clone(), payload: Payload::empty() });
        self.end(now, ClientEvent::Aborted { by: Side::Client, reason, details });
        self.outputs.push_back(ClientOutput::Close);
    }

    /// Ends the connection for the application: fails what waits, then tells it the end.
    fn end(&mut self, now: Instant, last: ClientEvent) {
        let state = core::mem::replace(&mut self.state, State::Closed);
        if let State::Open(session) = state {
            session.end(&mut Context::new(now, &self.config.limits, &mut self.outputs, &mut self.stats));
        }
        self.outputs.push_back(ClientOutput::Event(last));
    }

    fn expect(&mut self, now: Instant, kind: Pending) -> Result<RequestId, RequestError> {
        match &mut self.state {
            State::Open(session) if session.leaving.is_none() => {
                session.expect(&mut Context::new(now, &self.config.limits, &mut self.outputs, &mut self.stats), kind)
            }
            _ => Err(RequestError::NotJoined),
        }
    }

    const fn open_session(&mut self) -> Result<&mut Session, RequestError> {
        match &mut self.state {
            State::Open(session) if session.leaving.is_none() => Ok(session),
            _ => Err(RequestError::NotJoined),
        }
    }

    fn send(&mut self, message: impl Into<Message>) {
        self.outputs.push_back(ClientOutput::Send(message.into()));
    }
}

fn role(name: &'static str, announced: Option<Features>) -> Result<(), RequestError> {
    announced.map(|_| ()).ok_or(RequestError::RoleNotAnnounced(name))
}

#[cfg(test)]
mod tests;
