use crate::id::{PublicationId, RegistrationId, RequestId, SubscriptionId};
use crate::message::{
    CancelMode, EventDetails, Features, InvocationDetails, Message, PassThru, Payload, ResultDetails, Welcome,
};
use crate::uri::Uri;
use crate::value::Dict;
use core::fmt;

/// What a client wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientOutput {
    /// Send this message.
    Send(Message),
    /// Tell the application.
    Event(ClientEvent),
    /// Send what is to be sent, then close the transport. Nothing follows until the next
    /// [`Client::connected`](super::Client::connected).
    Close,
}

/// What happened, for the application.
///
/// Each connection ends with exactly one of [`Aborted`](Self::Aborted), [`Left`](Self::Left) and
/// [`Lost`](Self::Lost), after which no event follows. Each request that expects an answer gets exactly one final
/// answer, [`Failed`](Self::Failed) at the latest when the connection ends.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The session is open.
    Joined(Box<Welcome>),
    /// The router chose a [`Credential::External`](super::Credential::External):
    /// answer with [`Client::authenticate`](super::Client::authenticate).
    Challenged {
        /// The method chosen.
        method: String,
        /// What to prove knowledge for.
        extra: Dict,
    },
    /// The session was not opened, or broken off.
    Aborted {
        /// Who broke it off.
        by: Side,
        /// Why.
        reason: Uri,
        /// `message` is a text for people.
        details: Dict,
    },
    /// The session was closed by GOODBYE from both sides.
    Left {
        /// The reason that the router gave.
        reason: Uri,
    },
    /// The transport was lost, or the router did not answer GOODBYE in time.
    Lost,
    /// Answer to SUBSCRIBE.
    Subscribed {
        /// The request.
        request: RequestId,
        /// The subscription that its events carry; the same for equal topics and match policies.
        subscription: SubscriptionId,
    },
    /// Answer to UNSUBSCRIBE: no more events of this subscription follow.
    Unsubscribed {
        /// The request.
        request: RequestId,
    },
    /// The router took a subscription back.
    SubscriptionRevoked {
        /// Which.
        subscription: SubscriptionId,
        /// Why, if the router said so.
        reason: Option<Uri>,
    },
    /// Answer to REGISTER.
    Registered {
        /// The request.
        request: RequestId,
        /// The registration that its invocations carry.
        registration: RegistrationId,
    },
    /// Answer to UNREGISTER: no more invocations of this registration follow.
    Unregistered {
        /// The request.
        request: RequestId,
    },
    /// The router took a registration back.
    RegistrationRevoked {
        /// Which.
        registration: RegistrationId,
        /// Why, if the router said so.
        reason: Option<Uri>,
    },
    /// Answer to PUBLISH with `acknowledge`.
    Published {
        /// The request.
        request: RequestId,
        /// The publication that its events carry.
        publication: PublicationId,
    },
    /// An event of one of the client's subscriptions.
    Event {
        /// The subscription that matched.
        subscription: SubscriptionId,
        /// The publication.
        publication: PublicationId,
        /// About the publication.
        details: EventDetails,
        /// The event.
        payload: Payload,
    },
    /// A result of a CALL: final unless `details.progress`.
    Result {
        /// The request.
        request: RequestId,
        /// About the result.
        details: ResultDetails,
        /// The result.
        payload: Payload,
    },
    /// A call of one of the client's registrations: answer with
    /// [`Client::yield_result`](super::Client::yield_result) or [`Client::yield_error`](super::Client::yield_error). With
    /// `details.progress` further parts of the call follow, as events with the same `request`; it can be answered
    /// before the last of them.
    Invocation {
        /// The invocation, to be named in the answer.
        request: RequestId,
        /// The registration that matched.
        registration: RegistrationId,
        /// About the call.
        details: InvocationDetails,
        /// The arguments.
        payload: Payload,
    },
    /// The time that the caller allows for an invocation is over, and the callee had asked to see to that itself
    /// (`forward_timeout`): the client has answered it with `wamp.error.timeout`.
    InvocationTimedOut {
        /// The invocation.
        request: RequestId,
    },
    /// The caller no longer wants an invocation. It is still to be answered, the sooner the better.
    Interrupted {
        /// The invocation.
        request: RequestId,
        /// How it was canceled, if the router said so.
        mode: Option<CancelMode>,
    },
    /// A request failed: the router's ERROR, or `wamp.error.timeout` or `wamp.error.transport_lost` from the client.
    Failed {
        /// The request.
        request: RequestId,
        /// What went wrong.
        error: Uri,
        /// What the payload is, if not arguments.
        pass_thru: Option<Box<PassThru>>,
        /// Arguments of the error.
        payload: Payload,
    },
}

impl ClientEvent {
    /// Whether this event is the last one of its connection.
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Aborted { .. } | Self::Left { .. } | Self::Lost)
    }

    /// The request that this event answers for good, if it does.
    pub const fn answers(&self) -> Option<RequestId> {
        match self {
            Self::Subscribed { request, .. }
            | Self::Unsubscribed { request }
            | Self::Registered { request, .. }
            | Self::Unregistered { request }
            | Self::Published { request, .. }
            | Self::Failed { request, .. } => Some(*request),
            Self::Result { request, details, .. } if !details.progress => Some(*request),
            _ => None,
        }
    }
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// This client.
    Client,
    /// The router.
    Router,
}

/// Why a request was not sent. Always the application's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no session, or it is being closed.
    NotJoined,
    /// [`ClientLimits::max_pending`](super::ClientLimits::max_pending) requests wait for an answer.
    TooManyPending,
    /// The client did not announce the role of this name, so the router would end the session.
    RoleNotAnnounced(&'static str),
    /// The client did not announce this feature, so the router would end the session; or the router did not.
    FeatureNotAnnounced(Features),
    /// The payload is opaque without `enc_algo` in the options, or the other way round.
    PayloadMismatch,
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJoined => f.write_str("no session is open"),
            Self::TooManyPending => f.write_str("too many requests wait for an answer"),
            Self::RoleNotAnnounced(role) => write!(f, "the client did not announce the role {role}"),
            Self::FeatureNotAnnounced(features) => write!(f, "client or router did not announce {features:?}"),
            Self::PayloadMismatch => f.write_str("opaque bytes and enc_algo are only possible together"),
        }
    }
}

impl core::error::Error for RequestError {}

/// Why an answer to an invocation, or a CANCEL, was not sent. Always the application's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// Nothing of this id waits: it never did, was answered before, or its session is over.
    UnknownRequest,
    /// A progressive result, but the caller did not ask for them.
    ProgressNotRequested,
    /// The client did not announce this feature, so the router would end the session; or the router did not.
    FeatureNotAnnounced(Features),
    /// The payload is opaque without `enc_algo` in the options, or the other way round.
    PayloadMismatch,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRequest => f.write_str("nothing of this id waits for an answer"),
            Self::ProgressNotRequested => f.write_str("the caller did not ask for progressive results"),
            Self::FeatureNotAnnounced(features) => write!(f, "client or router did not announce {features:?}"),
            Self::PayloadMismatch => f.write_str("opaque bytes and enc_algo are only possible together"),
        }
    }
}

impl core::error::Error for AnswerError {}

/// [`Client::authenticate`](super::Client::authenticate) was called, but no challenge waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotChallenged;

impl fmt::Display for NotChallenged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no challenge waits for an answer")
    }
}

impl core::error::Error for NotChallenged {}

/// What a client tolerated or refused since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientStats {
    /// Answers to requests that had been answered, had timed out or expected none.
    pub late_answers: u64,
    /// Events of subscriptions that the client does not hold (any more).
    pub stray_events: u64,
    /// Invocations of registrations that the client does not hold (any more).
    pub stray_invocations: u64,
    /// Invocations refused because of [`ClientLimits::max_invocations`](super::ClientLimits::max_invocations).
    pub refused_invocations: u64,
    /// Requests refused because of [`ClientLimits::max_pending`](super::ClientLimits::max_pending).
    pub refused_requests: u64,
    /// Invocations not answered within the time that their callers allowed.
    pub timed_out_invocations: u64,
    /// Requests without an answer in [`ClientLimits::request_timeout`](super::ClientLimits::request_timeout).
    pub timed_out_requests: u64,
}
