//! What a server asks of the program it runs in, and tells it.

use std::{collections::VecDeque, fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use wampd_core::{
    client::ClientEvent,
    id::SessionId,
    router::{ActionRequest, ActionVerdict, AuthRequest, AuthVerdict, CloseReason, DecisionId},
    time::Instant,
    uri::Uri,
    value::Dict,
};
use wampd_wire::{Encoding, HttpRequest, TransportError, UpgradeOptions};

use crate::{
    config::{Endpoint, ListenerId, PeerAddress},
    handle::ServerHandle,
    locals::{LocalId, Locals},
};

/// The program around a [`Server`](crate::Server): who may join, what HTTP requests get, what is logged.
///
/// All methods are called on the server's thread and must not block: what takes time is given to another thread, which
/// answers with [`ServerHandle::decide`].
pub trait Host {
    /// Decides who a peer is. `None`: the answer comes later, by [`Context::decide`] or [`ServerHandle::decide`]; the router's
    /// own deadline covers the case that it never comes.
    fn authenticate(&mut self, request: &AuthRequest, cx: &mut Context<'_>) -> Option<AuthVerdict>;

    /// Decides whether a session may act, as [`authenticate`](Self::authenticate) does who it is. Asked only for roles with
    /// [`Permissions::asked`](wampd_core::router::Permissions::asked). By default nothing is allowed.
    fn authorize(&mut self, request: &ActionRequest, cx: &mut Context<'_>) -> Option<ActionVerdict> {
        let _ = (request, cx);
        Some(ActionVerdict::Deny { cache: None })
    }

    /// Answers an HTTP request. By default there is nothing at any path.
    fn http(&mut self, listener: ListenerId, peer: &PeerAddress, request: &HttpRequest) -> HttpAction {
        let _ = (listener, peer, request);
        HttpAction::Respond(Response::text(404, "there is nothing here\n"))
    }

    /// Something happened to an in-process peer that was added with [`Locals::add`].
    fn local_event(&mut self, local: LocalId, event: ClientEvent, cx: &mut Context<'_>) {
        let _ = (local, event, cx);
    }

    /// A fact, for logs.
    fn observe(&mut self, fact: &Observation<'_>) {
        let _ = fact;
    }
}

/// What a [`Host`] can do while it is called.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) locals: &'a mut Locals,
    pub(crate) verdicts: &'a mut VecDeque<(DecisionId, Verdict)>,
    pub(crate) handle: &'a ServerHandle,
}

impl Context<'_> {
    /// The time of this turn, on the clock of [`AuthRequest::expires`].
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The in-process peers.
    pub const fn locals(&mut self) -> &mut Locals {
        self.locals
    }

    /// Answers an [`AuthRequest`] that was left open. An answer that comes too late has no effect.
    pub fn decide(&mut self, id: DecisionId, verdict: AuthVerdict) {
        self.verdicts.push_back((id, Verdict::Auth(verdict)));
    }

    /// Answers an [`ActionRequest`] that was left open. An answer that comes too late has no effect.
    pub fn decide_action(&mut self, id: DecisionId, verdict: ActionVerdict) {
        self.verdicts.push_back((id, Verdict::Action(verdict)));
    }

    /// For other threads: may be cloned and sent.
    pub const fn handle(&self) -> &ServerHandle {
        self.handle
    }
}

/// The answer to a question of the router.
#[derive(Debug)]
pub(crate) enum Verdict {
    Auth(AuthVerdict),
    Action(ActionVerdict),
}

impl HttpAction {
    /// A WebSocket without further headers and details.
    pub fn websocket(options: Arc<UpgradeOptions>, tag: u64) -> Self {
        Self::WebSocket { options, tag, headers: Vec::new(), details: Dict::new() }
    }
}

/// The answer to an HTTP request.
#[derive(Clone, Debug)]
pub enum HttpAction {
    /// A WebSocket is served here. A request that is no acceptable upgrade gets the fitting error.
    WebSocket {
        /// What is accepted.
        options: Arc<UpgradeOptions>,
        /// What [`AuthRequest::tag`] will be, e.g. which path this is.
        tag: u64,
        /// Further headers of the response, e.g. `Set-Cookie`. One that is not valid HTTP is left out.
        headers: Vec<(String, String)>,
        /// Added to [`AuthRequest::transport`].
        details: Dict,
    },
    /// A plain response, after which the connection is closed.
    Respond(Response),
}

/// An HTTP response.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: String,
    /// Further headers. One that is not valid HTTP is left out.
    pub headers: Vec<(String, String)>,
    /// The body; for a HEAD request only its length is sent.
    pub body: Bytes,
}

impl Response {
    /// A short text for people.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        let content_type = "text/plain; charset=utf-8".to_owned();
        Self { status, content_type, headers: Vec::new(), body: Bytes::from(body.into()) }
    }
}

/// Numbers the connections of a server from 1 in the order in which they were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who holds a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A connection.
    Connection(ConnectionId),
    /// An in-process peer.
    Local(LocalId),
}

/// What happened. Holds no secrets.
#[derive(Debug)]
#[non_exhaustive]
pub enum Observation<'a> {
    /// The system had no resources for another connection; none is accepted for a while.
    AcceptPaused {
        /// Where.
        listener: ListenerId,
        /// What the system said.
        error: &'a io::Error,
        /// For how long.
        pause: Duration,
    },
    /// A listener is closed: the server shuts down.
    ListenerClosed {
        /// Which.
        listener: ListenerId,
        /// Its address.
        endpoint: &'a Endpoint,
    },
    /// A connection was accepted.
    Accepted {
        /// The connection.
        connection: ConnectionId,
        /// Where.
        listener: ListenerId,
        /// From where.
        peer: PeerAddress,
    },
    /// A connection was closed at once because there are [`ServerLimits::max_connections`](crate::ServerLimits::max_connections).
    TooManyConnections {
        /// Where.
        listener: ListenerId,
        /// From where.
        peer: PeerAddress,
    },
    /// The transport's opening handshake is over: WAMP begins.
    Opened {
        /// The connection.
        connection: ConnectionId,
        /// Serializer and framing.
        encoding: Encoding,
        /// What is known of it: [`AuthRequest::transport`].
        transport: &'a Dict,
    },
    /// A plain HTTP request was answered, or a WebSocket refused.
    Responded {
        /// The connection.
        connection: ConnectionId,
        /// The request.
        request: &'a HttpRequest,
        /// The status of the response.
        status: u16,
    },
    /// A session was opened.
    Joined {
        /// Who holds it.
        holder: Holder,
        /// Its id.
        session: SessionId,
        /// Its realm.
        realm: &'a str,
        /// Who it is.
        authid: &'a str,
        /// What it may do.
        authrole: &'a str,
        /// How it was authenticated.
        authmethod: &'a str,
        /// By what.
        authprovider: &'a str,
        /// What WELCOME tells it beside.
        authextra: Option<&'a Dict>,
    },
    /// A peer was sent ABORT: it was not let in, or its session was broken off.
    Aborted {
        /// Who.
        holder: Holder,
        /// The reason in the ABORT.
        reason: &'a Uri,
        /// The text in the ABORT.
        message: &'a str,
    },
    /// A session is over.
    Left {
        /// Who held it.
        holder: Holder,
        /// Its id.
        session: SessionId,
        /// How it ended.
        cause: LeaveCause<'a>,
    },
    /// A message could not be written for a receiver.
    Undeliverable {
        /// The receiver.
        connection: ConnectionId,
        /// The kind of message, e.g. `EVENT`.
        message: &'static str,
        /// Why.
        why: &'a wampd_core::router::Undeliverable,
    },
    /// A connection is gone.
    Closed {
        /// Which.
        connection: ConnectionId,
        /// Why.
        cause: &'a CloseCause,
    },
    /// The server shuts down: every session has been sent GOODBYE.
    ShuttingDown,
}

/// How a session ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum LeaveCause<'a> {
    /// The router sent GOODBYE with this reason, by itself or as an answer.
    Goodbye(&'a Uri),
    /// The session was broken off by ABORT, from either side.
    Aborted,
    /// The transport ended before the session did.
    Lost,
}

/// Why a connection ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum CloseCause {
    /// The router ended it.
    Router(CloseReason),
    /// The peer closed it.
    Peer,
    /// The peer broke the transport's rules, or was silent for too long.
    Transport(TransportError),
    /// The system reported an error.
    Io(io::Error),
    /// An HTTP request was answered.
    Responded,
    /// It waited longest of too many connections without a session.
    Overload,
    /// The router refused it.
    Refused(wampd_core::router::Overloaded),
    /// The server shut down before the connection was done with.
    ShutDown,
}

impl CloseCause {
    /// Whether TLS failed since one side does not take the certificate of the other, or misses one.
    pub fn is_certificate_refused(&self) -> bool {
        use rustls::{AlertDescription as Alert, Error};
        let Self::Io(error) = self else { return false };
        let error = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
        matches!(
            error,
            Some(
                Error::InvalidCertificate(_)
                    | Error::NoCertificatesPresented
                    | Error::AlertReceived(
                        Alert::BadCertificate
                            | Alert::CertificateExpired
                            | Alert::CertificateUnknown
                            | Alert::UnknownCA
                            | Alert::UnsupportedCertificate
                    )
            )
        )
    }
}

impl fmt::Display for CloseCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Router(CloseReason::Goodbye) => f.write_str("the session was closed"),
            Self::Router(CloseReason::AbortedByPeer) => f.write_str("the peer sent ABORT"),
            Self::Router(CloseReason::Refused(reason)) => write!(f, "the peer was not let in: {reason}"),
            Self::Router(CloseReason::Violation(violation)) => write!(f, "protocol violation: {violation}"),
            Self::Router(CloseReason::SlowConsumer) => f.write_str("the peer does not read what is sent to it"),
            Self::Router(CloseReason::Timeout) => f.write_str("the peer took too long"),
            Self::Router(CloseReason::Shutdown) | Self::ShutDown => f.write_str("the router shuts down"),
            Self::Router(CloseReason::Overload) | Self::Overload => {
                f.write_str("too many connections without a session, and this one had waited longest")
            }
            Self::Router(other) => write!(f, "{other:?}"),
            Self::Peer => f.write_str("the peer closed the connection"),
            Self::Transport(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::Responded => f.write_str("the HTTP request was answered"),
            Self::Refused(why) => why.fmt(f),
        }
    }
}
