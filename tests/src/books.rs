//! The books of one peer: what it has sent, what it has been told, and whether that can be right.
//!
//! They hold for any router, whatever its features:
//! * nothing comes out of turn: no WELCOME without HELLO, nothing but the end after ABORT, nothing of a session after
//!   GOODBYE;
//! * every request has one answer, of the right kind, and every CALL exactly one final answer; progress only where it
//!   was asked for;
//! * invocations of a session are numbered 1, 2, 3..., for a registration that is held, and further parts only where
//!   they were announced; INTERRUPT only to who announced
//!   call_canceling, for an invocation that is open;
//! * events only for a subscription that is held, those of one publisher in the order of publication, each once.

use std::collections::{BTreeMap, BTreeSet};
use wampd_core::id::{RegistrationId, RequestId, SessionId, SubscriptionId};
use wampd_core::message::{
    ChallengeMessage, ClientRoles, Error, Event, Features, Interrupt, Invocation, Message, Payload, RequestType,
};
use wampd_core::value::Value;

/// What a peer knows of its session.
#[derive(Debug, Default)]
pub enum Books {
    /// No session: HELLO may be said.
    #[default]
    Idle,
    /// HELLO or AUTHENTICATE is said.
    Asking(ClientRoles),
    /// CHALLENGE came.
    Challenged(ClientRoles, ChallengeMessage),
    /// WELCOME came.
    Joined(Box<Session>),
    /// The router said GOODBYE: only the end can follow.
    Dismissed,
    /// ABORT came or was said: only the end can follow.
    Aborted,
}

/// What a peer knows of its open session.
#[derive(Debug)]
pub struct Session {
    /// The session's id.
    pub id: SessionId,
    /// What was announced in HELLO.
    pub roles: ClientRoles,
    /// The id of the next request.
    pub next_request: RequestId,
    /// Requests without an answer.
    pub asked: BTreeMap<RequestId, Asked>,
    /// Subscriptions held.
    pub subscriptions: BTreeSet<SubscriptionId>,
    /// Registrations held.
    pub registrations: BTreeSet<RegistrationId>,
    /// Invocations that this peer has not finally answered.
    pub invocations: BTreeMap<RequestId, Open>,
    last_invocation: u64,
    /// The last number heard from a publisher on a subscription.
    heard: BTreeMap<(SubscriptionId, u64), u64>,
    leaving: bool,
}

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SUBSCRIBE
    Subscribe,
    /// UNSUBSCRIBE of this.
    Unsubscribe(SubscriptionId),
    /// REGISTER
    Register,
    /// UNREGISTER of this.
    Unregister(RegistrationId),
    /// PUBLISH with `acknowledge`
    Publish,
    /// CALL
    Call {
        /// What the result is recognized by.
        number: Option<u64>,
        /// Whether progress was asked for.
        progress: bool,
        /// Whether more parts of the call follow.
        sends: bool,
    },
}

impl Asked {
    const fn kind(self) -> RequestType {
        match self {
            Self::Subscribe => RequestType::Subscribe,
            Self::Unsubscribe(_) => RequestType::Unsubscribe,
            Self::Register => RequestType::Register,
            Self::Unregister(_) => RequestType::Unregister,
            Self::Publish => RequestType::Publish,
            Self::Call { .. } => RequestType::Call,
        }
    }
}

/// An invocation that is to be answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Open {
    /// What was called.
    pub registration: RegistrationId,
    /// What came with it, and is to be given back.
    pub payload: Payload,
    /// Whether progress is welcome.
    pub progress: bool,
    /// Whether more parts follow.
    pub comes: bool,
}

/// A payload by which an event or a result is recognized: the publisher (for a call, 0) and a number that grows.
pub fn numbered(publisher: usize, number: u64) -> Payload {
    Payload::from_args([Value::from("numbered"), Value::from(publisher as u64), Value::from(number)])
}

/// Whether a payload is one of [`numbered`].
pub fn is_numbered(payload: &Payload) -> bool {
    numbers(payload).is_some()
}

fn numbers(payload: &Payload) -> Option<(u64, u64)> {
    let (args, _) = payload.values().expect("made in this process");
    match &args[..] {
        [Value::Text(tag), publisher, number] if tag == "numbered" => Some((publisher.as_u64()?, number.as_u64()?)),
        _ => None,
    }
}

impl Books {
    /// The open session.
    pub const fn session(&self) -> Option<&Session> {
        match self {
            Self::Joined(session) => Some(session),
            _ => None,
        }
    }

    /// The roles that the peer announced last, as far as they matter still.
    pub fn announced(&self) -> ClientRoles {
        match self {
            Self::Asking(roles) | Self::Challenged(roles, _) => *roles,
            Self::Joined(session) => session.roles,
            Self::Idle | Self::Dismissed | Self::Aborted => ClientRoles::default(),
        }
    }

    /// Enters what the peer says.
    pub fn sent(&mut self, message: &Message) {
        match (&mut *self, message) {
            (_, Message::Abort(_)) => *self = Self::Aborted,
            (Self::Idle, Message::Hello(hello)) => *self = Self::Asking(hello.details.roles),
            (Self::Challenged(roles, _), Message::Authenticate(_)) => *self = Self::Asking(*roles),
            (Self::Joined(session), message) => session.sent(message),
            // Out of turn; or after GOODBYE, when it is ignored.
            _ => {}
        }
    }

    /// Enters what the peer is told.
    ///
    /// # Panics
    /// It can not be right.
    pub fn told(&mut self, message: &Message) {
        match (&mut *self, message) {
            (Self::Asking(roles), Message::Welcome(welcome)) => {
                *self = Self::Joined(Box::new(Session::new(welcome.session, *roles)));
            }
            (Self::Asking(roles), Message::Challenge(challenge)) => *self = Self::Challenged(*roles, challenge.clone()),
            (Self::Idle | Self::Asking(_) | Self::Challenged(..) | Self::Joined(_), Message::Abort(_)) => {
                *self = Self::Aborted;
            }
            (Self::Joined(session), Message::Goodbye(_)) => {
                *self = if session.leaving { Self::Idle } else { Self::Dismissed };
            }
            (Self::Joined(session), message) => {
                assert!(!session.leaving, "{message:?} instead of GOODBYE");
                session.told(message);
            }
            (books, message) => panic!("{message:?} out of turn: {books:?}"),
        }
    }

    /// Enters that a message could not be delivered, and that the router knows.
    pub fn missed(&mut self, message: &Message) {
        if let (Self::Joined(session), Message::Invocation(invocation)) = (self, message) {
            // A part that is missed ends the call that is open; the first one takes a number all the same.
            if session.invocations.remove(&invocation.request).is_none() {
                session.last_invocation += 1;
            }
        }
    }
}

impl Session {
    fn new(id: SessionId, roles: ClientRoles) -> Self {
        Self {
            id,
            roles,
            next_request: RequestId::FIRST,
            asked: BTreeMap::new(),
            subscriptions: BTreeSet::new(),
            registrations: BTreeSet::new(),
            invocations: BTreeMap::new(),
            last_invocation: 0,
            heard: BTreeMap::new(),
            leaving: false,
        }
    }

    fn sent(&mut self, message: &Message) {
        let (request, asked) = match message {
            Message::Subscribe(m) => (m.request, Asked::Subscribe),
            Message::Unsubscribe(m) => (m.request, Asked::Unsubscribe(m.subscription)),
            Message::Register(m) => (m.request, Asked::Register),
            Message::Unregister(m) => (m.request, Asked::Unregister(m.registration)),
            Message::Publish(m) if m.options.acknowledge => (m.request, Asked::Publish),
            Message::Publish(m) => return self.next_request = m.request.next(),
            Message::Call(m) => {
                let more = m.options.progress;
                if let Some(Asked::Call { number, sends: sends @ true, .. }) = self.asked.get_mut(&m.request) {
                    // The next part. Its result may carry what any of them carried.
                    return (*number, *sends) = (None, more);
                }
                let number = numbers(&m.payload).map(|(_, number)| number);
                (m.request, Asked::Call { number, progress: m.options.receive_progress, sends: more })
            }
            Message::Yield(m) if !m.options.progress => return drop(self.invocations.remove(&m.request)),
            Message::Error(m) if m.request_type == RequestType::Invocation => {
                return drop(self.invocations.remove(&m.request));
            }
            Message::Goodbye(_) => return self.leaving = true,
            _ => return,
        };
        self.next_request = request.next();
        // An id that is in use already ends the session: it does not matter which of the two stays in the books.
        self.asked.insert(request, asked);
    }

    fn told(&mut self, message: &Message) {
        match message {
            Message::Subscribed(m) => {
                self.answered(m.request, |asked| asked == Asked::Subscribe);
                self.subscriptions.insert(m.subscription);
            }
            Message::Unsubscribed(m) => {
                if let Some(request) = m.request {
                    let Asked::Unsubscribe(id) =
                        self.answered(request, |asked| asked.kind() == RequestType::Unsubscribe)
                    else {
                        unreachable!("checked")
                    };
                    self.unsubscribed(id);
                } else if let Some(revoked) = &m.revocation {
                    self.unsubscribed(revoked.id);
                }
            }
            Message::Registered(m) => {
                self.answered(m.request, |asked| asked == Asked::Register);
                self.registrations.insert(m.registration);
            }
            Message::Unregistered(m) => {
                if let Some(request) = m.request {
                    let Asked::Unregister(id) = self.answered(request, |asked| asked.kind() == RequestType::Unregister)
                    else {
                        unreachable!("checked")
                    };
                    assert!(self.registrations.remove(&id), "{id:?} unregistered, but not held");
                } else if let Some(revoked) = &m.revocation {
                    assert!(self.registrations.remove(&revoked.id), "{revoked:?}, but not held");
                }
            }
            Message::Published(m) => drop(self.answered(m.request, |asked| asked == Asked::Publish)),
            Message::Event(event) => self.event(event),
            Message::Invocation(invocation) => self.invocation(invocation),
            Message::Interrupt(interrupt) => self.interrupt(interrupt),
            Message::Result(m) => {
                let Some(Asked::Call { number, progress, .. }) = self.asked.get(&m.request).copied() else {
                    panic!("a result of nothing called: {m:?}")
                };
                if let (Some((_, came)), Some(number)) = (numbers(&m.payload), number) {
                    assert_eq!(came, number, "the result of another call");
                }
                assert!(progress || !m.details.progress, "progress that was not asked for");
                if !m.details.progress {
                    self.asked.remove(&m.request);
                }
            }
            Message::Error(Error { request_type, request, .. }) => {
                self.answered(*request, |asked| asked.kind() == *request_type);
            }
            other => panic!("not for a client: {other:?}"),
        }
    }

    /// The one answer to a request.
    fn answered(&mut self, request: RequestId, fits: impl FnOnce(Asked) -> bool) -> Asked {
        match self.asked.remove(&request) {
            Some(asked) if fits(asked) => asked,
            asked => panic!("an answer to {request:?}, which is {asked:?}"),
        }
    }

    fn unsubscribed(&mut self, id: SubscriptionId) {
        assert!(self.subscriptions.remove(&id), "{id:?} unsubscribed, but not held");
        self.heard.retain(|(subscription, _), _| *subscription != id);
    }

    fn event(&mut self, event: &Event) {
        assert!(self.subscriptions.contains(&event.subscription), "an event of nothing subscribed to: {event:?}");
        if let Some((publisher, number)) = numbers(&event.payload).filter(|_| !event.details.retained) {
            let before = self.heard.insert((event.subscription, publisher), number);
            assert!(before.is_none_or(|before| before < number), "{number} after {before:?}");
        }
    }

    fn invocation(&mut self, invocation: &Invocation) {
        let Invocation { request, registration, details, payload } = invocation;
        let open = Open {
            registration: *registration,
            payload: payload.clone(),
            progress: details.receive_progress,
            comes: details.progress,
        };
        match self.invocations.insert(*request, open) {
            Some(before) => assert!(before.comes && before.registration == *registration, "no part of {before:?}"),
            None => {
                assert!(
                    self.registrations.contains(registration),
                    "an invocation of nothing registered: {invocation:?}"
                );
                self.last_invocation += 1;
                assert_eq!(request.get(), self.last_invocation, "invocations are numbered");
            }
        }
    }

    fn interrupt(&self, interrupt: &Interrupt) {
        let announced = self.roles.callee.is_some_and(|callee| callee.contains(Features::CALL_CANCELING));
        assert!(announced, "INTERRUPT to a callee that does not know it");
        assert!(self.invocations.contains_key(&interrupt.request), "{interrupt:?} of what is not open");
    }
}
