//! What a server asks of the program it runs in, and tells it.

use std::{collections::VecDeque, fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use wampd_core::{
    client::ClientEvent,
    id::SessionId,
    router::{ActionRequest, ActionVerdict, AuthRequest, AuthVerdict, CloseReason, DecisionId, Router},
    time::Instant,
    uri::Uri,
    value::Dict,
};
use wampd_wire::{ContentLength, Encoding, HttpRequest, ProxyError, TransportError, UpgradeOptions};

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

    /// A question that [`authenticate`](Self::authenticate) or [`authorize`](Self::authorize) left open is over: it is
    /// answered, or its peer is gone, its time up, or its request canceled. Work on it should stop. Called once for each question, and for each answer that came too late.
    fn settled(&mut self, id: DecisionId, cx: &mut Context<'_>) {
        let _ = (id, cx);
    }

    /// Answers an HTTP request. By default there is nothing at any path.
    ///
    /// An answer that takes time, such as one that reads a file, is made on another thread: see [`HttpAction::Later`].
    /// A connection has one request at most.
    fn http(&mut self, request: &HttpRequest, from: &HttpPeer) -> HttpAction {
        let _ = (request, from);
        HttpAction::Respond(Response::text(404, "there is nothing here\n"))
    }

    /// Something happened to an in-process peer that was added with [`Locals::add`].
    fn local_event(&mut self, local: LocalId, event: ClientEvent, cx: &mut Context<'_>) {
        let _ = (local, event, cx);
    }

    /// A procedure has a callee that [`Context::await_procedure`] was asked about.
    fn procedure_registered(&mut self, realm: &Uri, procedure: &Uri, cx: &mut Context<'_>) {
        let _ = (realm, procedure, cx);
    }

    /// A fact, for logs.
    fn observe(&mut self, fact: &Observation<'_>) {
        let _ = fact;
    }
}

/// Where an HTTP request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpPeer {
    /// The connection: names the request for [`ServerHandle::respond`].
    pub connection: ConnectionId,
    /// Where it was accepted.
    pub listener: ListenerId,
    /// Where it comes from: the client, if a trusted proxy tells it.
    pub address: PeerAddress,
}

/// What a [`Host`] can do while it is called.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) locals: &'a mut Locals,
    pub(crate) verdicts: &'a mut VecDeque<(DecisionId, Verdict)>,
    pub(crate) handle: &'a ServerHandle,
    pub(crate) router: &'a mut Router,
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

    /// Whether a procedure of a realm has a callee. If not, [`Host::procedure_registered`] is called once, as soon as it
    /// has: see [`Router::await_procedure`].
    pub fn await_procedure(&mut self, realm: &Uri, procedure: &Uri) -> bool {
        self.router.await_procedure(realm, procedure)
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
    /// The response comes later, by [`ServerHandle::respond`]. A connection that ends before, or that is not answered
    /// within the [`open_timeout`](wampd_wire::ServerOptions::open_timeout) of its listener, is told to the host as any
    /// other is, by [`Observation::Closed`]: work on the response should stop then.
    Later,
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
    /// What `Content-Length` of the response to a HEAD request says, where the body is not made for it.
    pub length: ContentLength,
}

impl Response {
    /// A short text for people.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        let content_type = "text/plain; charset=utf-8".to_owned();
        Self { content_type, ..Self::new(status, body.into()) }
    }

    /// A response of bytes without a type and further headers.
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        let content_type = "application/octet-stream".to_owned();
        Self { status, content_type, headers: Vec::new(), body: body.into(), length: ContentLength::OfBody }
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
    /// A listener listens that was told to wait ([`ListenerConfig::waits`](crate::ListenerConfig::waits)).
    Listening {
        /// Which.
        listener: ListenerId,
        /// Its address.
        endpoint: &'a Endpoint,
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
    /// A connection was closed at once because of a limit of its address, see
    /// [`ServerLimits::per_address`](crate::ServerLimits::per_address); one of a trusted proxy, once that has told the address of
    /// its client, and a request is answered with status 429.
    TooManyFromAddress {
        /// Where.
        listener: ListenerId,
        /// From where.
        peer: PeerAddress,
        /// The key of the limit under `wampd.limits`, e.g. `per_address.connections`.
        limit: &'static str,
    },
    /// A connection was closed at once because it did not come from a trusted proxy, and the listener expects a header of the
    /// PROXY protocol, see [`ListenerConfig::proxies`](crate::ListenerConfig::proxies).
    NoTrustedProxy {
        /// Where.
        listener: ListenerId,
        /// From where.
        peer: PeerAddress,
    },
    /// A trusted proxy has told where the client of a connection connects from.
    BehindProxy {
        /// The connection.
        connection: ConnectionId,
        /// Where the client connects from: its address from now on.
        peer: PeerAddress,
        /// Where the proxy connects from.
        proxy: PeerAddress,
    },
    /// A connection or request of a trusted proxy is refused because what should tell the address of the client is malformed.
    MalformedProxyHeader {
        /// The connection.
        connection: ConnectionId,
        /// Where.
        listener: ListenerId,
        /// The proxy.
        proxy: PeerAddress,
        /// What is wrong.
        error: ProxyError,
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
        /// The path of the request.
        path: &'a str,
        /// The status of the response.
        status: u16,
    },
    /// A session was opened.
    Joined {
        /// Who holds it.
        holder: Holder,
        /// Its id.
        session: SessionId,
        /// Where it connects from; `None`: it is in this process.
        peer: Option<PeerAddress>,
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
        /// Where it connects from; `None`: it is in this process.
        peer: Option<PeerAddress>,
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
    /// A message could not be written for a receiver. For an event, only the first such receiver is reported;
    /// [`RouterStats::undeliverable`](wampd_core::router::RouterStats::undeliverable) counts them all.
    Undeliverable {
        /// The receiver.
        connection: ConnectionId,
        /// The kind of message, e.g. `EVENT`.
        message: &'static str,
        /// The topic of an EVENT or the procedure of an INVOCATION; that of the subscription or registration where the
        /// message does not name it.
        uri: Option<&'a wampd_core::uri::Uri>,
        /// Why.
        why: &'a wampd_core::router::Undeliverable,
    },
    /// A message held halves of surrogate pairs, which were replaced by U+FFFD.
    SurrogatesReplaced {
        /// The sender.
        connection: ConnectionId,
        /// Its session, if it has one.
        session: Option<SessionId>,
    },
    /// A callee that did not announce `progressive_call_results` is asked for them: see
    /// [`Output::ProgressUnannounced`](wampd_core::router::Output::ProgressUnannounced).
    ProgressUnannounced {
        /// Who holds the callee's session.
        holder: Holder,
        /// The session.
        session: SessionId,
    },
    /// So much waits to be written to a connection that it is not read from, and given no more calls, until less does.
    FallsBehind {
        /// Which.
        connection: ConnectionId,
        /// Its session, if it has one.
        session: Option<SessionId>,
        /// Bytes that wait.
        waiting: usize,
        /// How many may: [`ServerLimits::max_pending`](crate::ServerLimits::max_pending).
        limit: usize,
    },
    /// A connection that had fallen behind has caught up.
    CaughtUp {
        /// Which.
        connection: ConnectionId,
        /// Its session, if it has one.
        session: Option<SessionId>,
        /// How long it was behind.
        lasted: Duration,
        /// Events, calls and the like left out meanwhile since there was no room for them.
        left_out: u64,
    },
    /// A connection is about to be closed because it does not read: the last resort.
    GivenUp {
        /// Which.
        connection: ConnectionId,
        /// Its session, if it has one.
        session: Option<SessionId>,
        /// What ended it.
        cause: GiveUpCause,
        /// Bytes that wait.
        waiting: usize,
        /// How many may: [`ServerLimits::max_pending`](crate::ServerLimits::max_pending).
        limit: usize,
        /// How long it has been behind, if it was.
        behind: Option<Duration>,
        /// Events, calls and the like left out meanwhile since there was no room for them.
        left_out: u64,
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

/// Why a connection that does not read is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GiveUpCause {
    /// There was no room for a message that could not be left out.
    NoRoom,
    /// Its socket took nothing for [`ServerLimits::write_timeout`](crate::ServerLimits::write_timeout).
    WriteTimeout,
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
    /// The server shuts down, and closed the transport without GOODBYE
    /// ([`Farewell::Silent`](wampd_core::router::Farewell::Silent)).
    ShutDown,
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
    /// It was the first to connect of those without a session that held memory, and all together held more than
    /// [`ServerLimits::max_memory_before_join`](crate::ServerLimits::max_memory_before_join).
    MemoryBeforeJoin,
    /// Its message was unfinished for longest, and all receive buffers together were larger than
    /// [`ServerLimits::max_receive_memory`](crate::ServerLimits::max_receive_memory).
    ReceiveMemory,
    /// A trusted proxy has sent no header of the PROXY protocol, or a malformed one.
    ProxyHeader(ProxyError),
    /// The address of its client, which a proxy has told, is at this limit of
    /// [`ServerLimits::per_address`](crate::ServerLimits::per_address).
    TooManyFromAddress(&'static str),
    /// The router refused it.
    Refused(wampd_core::router::Overloaded),
    /// The server shut down before the connection was done with.
    ShutDown,
}

impl CloseCause {
    /// Whether the router did not let the peer in now, and might later, and has not told it so
    /// ([`Farewell::Silent`](wampd_core::router::Farewell::Silent)).
    pub const fn is_refused_for_now(&self) -> bool {
        matches!(self, Self::Router(CloseReason::Unavailable { .. }))
    }

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
            Self::Router(CloseReason::Unavailable { reason, message }) => {
                write!(f, "the peer was not let in for now: {reason}: {message}")
            }
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
            Self::MemoryBeforeJoin => f.write_str(
                "limit max_memory_before_join reached, and this one was the first to connect of those that held memory",
            ),
            Self::ReceiveMemory => {
                f.write_str("limit max_receive_memory reached, and the message of this one was unfinished for longest")
            }
            Self::ProxyHeader(error) => error.fmt(f),
            Self::TooManyFromAddress(limit) => write!(f, "limit {limit} reached"),
            Self::Refused(why) => why.fmt(f),
        }
    }
}
