//! What comes out of a router, and the values that answer its questions.

use super::Action;
use super::{DecisionId, Origin, PeerKey};
use crate::auth::cryptosign::PublicKey;
use crate::auth::scram::Dialect;
use crate::auth::{ChannelBinding, CraSecret, ScramCredential, TicketDigest};
use crate::codec::DecodeError;
use crate::id::{RequestId, SessionId};
use crate::message::{Message, RawDict};
use crate::time::Instant;
use crate::uri::{MatchPolicy, Uri};
use crate::value::Dict;
use core::fmt;
use core::time::Duration;
use std::sync::Arc;

/// Something for the adapter to do, in the order in which it must be done for each peer.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum Output {
    /// Send the message: one EVENT per publication and subscription, whatever the audience.
    Send {
        /// Who gets it.
        to: Recipients,
        /// The message.
        message: Message,
    },
    /// Decide who a peer is, now or later, with [`Router::decide_auth`](super::Router::decide_auth).
    Authenticate(Box<AuthRequest>),
    /// Decide whether a session may act, now or later, with [`Router::decide_action`](super::Router::decide_action).
    /// Asked only for roles with [`Permissions::asked`](super::Permissions::asked).
    Authorize(Box<ActionRequest>),
    /// Flush, then close the transport. Nothing for this peer follows and its key is no longer valid.
    Close {
        /// The peer.
        peer: PeerKey,
        /// Why.
        reason: CloseReason,
    },
    /// [`Router::wants_input`](super::Router::wants_input) became true again for this peer.
    InputReady(PeerKey),
    /// A callee that did not announce `progressive_call_results` is asked for them
    /// ([`RealmConfig::progress_needs_feature`](super::RealmConfig::progress_needs_feature)): its operator may want to
    /// know. Comes once for each session.
    ProgressUnannounced(PeerKey),
    /// A question needs no answer any more, and none has come: its peer is gone, its time is up, or its request was
    /// canceled. Work on it can stop. Comes once for each [`Output::Authenticate`] and [`Output::Authorize`] that ends
    /// this way.
    Withdrawn(DecisionId),
    /// A procedure has a callee that had none: what [`Router::await_procedure`](super::Router::await_procedure) asked for.
    /// Follows the REGISTERED for the callee.
    ProcedureRegistered {
        /// The realm.
        realm: Uri,
        /// The procedure.
        procedure: Uri,
    },
}

/// The receivers of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// One peer.
    One(PeerKey),
    /// Several peers, each once.
    Many(Box<[PeerKey]>),
}

impl Recipients {
    /// The receivers.
    pub const fn as_slice(&self) -> &[PeerKey] {
        match self {
            Self::One(peer) => core::slice::from_ref(peer),
            Self::Many(peers) => peers,
        }
    }
}

/// Why the router ends a transport.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The session was closed by GOODBYE both ways, at the router's wish.
    Goodbye,
    /// The peer sent ABORT.
    AbortedByPeer,
    /// The peer was not let in; it has been sent an ABORT with this reason.
    Refused(Uri),
    /// The peer broke the protocol; it has been sent an ABORT.
    Violation(Violation),
    /// The peer does not read what is sent to it.
    SlowConsumer,
    /// The peer took too long to say HELLO, to answer a challenge or a GOODBYE.
    Timeout,
    /// The router shuts down.
    Shutdown,
    /// Too many peers that have not joined; this one had waited longest. To be cut off.
    Overload,
    /// The peer cannot be let in now, and perhaps later. It has been sent nothing ([`Farewell::Silent`]), and is to be cut
    /// off: what is queued for it is written, and the socket is closed without a closing handshake.
    ///
    /// [`Farewell::Silent`]: super::Farewell::Silent
    Unavailable {
        /// What the reason of an ABORT would have been.
        reason: Uri,
        /// Human-readable message.
        message: String,
    },
}

/// How a peer broke the protocol.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Violation {
    /// A message that is not allowed in this state.
    UnexpectedMessage {
        /// The messages allowed.
        expected: &'static [&'static str],
        /// The message received.
        got: &'static str,
    },
    /// A request id that does not follow in the session's sequence.
    RequestOutOfSequence {
        /// The id that would have followed.
        expected: RequestId,
        /// The id received.
        got: RequestId,
    },
    /// The id of a call that is still in flight.
    RequestInUse(RequestId),
    /// YIELD or ERROR for an invocation that was never sent.
    UnknownInvocation(RequestId),
    /// HELLO without any role.
    NoRoles,
    /// A message that uses a feature which the peer did not announce for its role.
    NotAnnounced {
        /// The message received.
        message: &'static str,
        /// The role that would have had to announce it.
        role: &'static str,
        /// The name of the feature.
        feature: &'static str,
    },
    /// The peer sent while the router had not yet decided who it is.
    SentWhileUndecided(&'static str),
    /// Bytes that are not a message.
    Undecodable(DecodeError),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnexpectedMessage { expected, got } => {
                write!(f, "received {got}, expected {}", expected.join(" or "))
            }
            Self::RequestOutOfSequence { expected, got } => {
                write!(f, "request id {got} out of sequence, expected {expected}")
            }
            Self::RequestInUse(id) => write!(f, "request id {id} is still in use by a call"),
            Self::UnknownInvocation(id) => write!(f, "invocation {id} was never sent to this session"),
            Self::NoRoles => f.write_str("HELLO announces no role"),
            Self::NotAnnounced { message, role, feature } => {
                write!(f, "received {message} with {feature}, which was not announced for the role {role}")
            }
            Self::SentWhileUndecided(got) => write!(f, "received {got} while authentication was undecided"),
            Self::Undecodable(error) => write!(f, "malformed message: {error}"),
        }
    }
}

impl core::error::Error for Violation {}

/// Who a session is, once authenticated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The realm joined.
    pub realm: Uri,
    /// The authenticated id.
    pub authid: String,
    /// The role granted; the realm must have it.
    pub authrole: String,
    /// The method that authenticated: `anonymous`, `ticket`, `wampcra`, ...
    pub authmethod: String,
    /// What decided: `static`, `function`, `dynamic`, ...
    pub authprovider: String,
    /// Data for the client, sent in WELCOME.
    pub authextra: Dict,
}

/// A question: may this peer join, and as whom?
#[derive(Clone, Debug)]
pub struct AuthRequest {
    /// Names the question in the answer.
    pub id: DecisionId,
    /// Who asks to join.
    pub peer: PeerKey,
    /// The `tag` of the peer's [`LinkInfo`].
    pub tag: u64,
    /// The id the session will have if it joins.
    pub session: SessionId,
    /// The realm asked for, if any.
    pub realm: Option<Uri>,
    /// What the peer has shown so far.
    pub step: AuthStep,
    /// About the transport, from the peer's [`LinkInfo`].
    pub transport: Arc<Dict>,
    /// Where the peer comes from, from its [`LinkInfo`]: who asks much should wait behind those who ask little.
    pub origin: Option<Origin>,
    /// When silence becomes a denial.
    pub expires: Instant,
}

/// How far a handshake is.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum AuthStep {
    /// The peer has said HELLO.
    Hello {
        /// Methods in the client's order of preference; `["anonymous"]` if it named none.
        methods: Vec<String>,
        /// Who it says it is.
        authid: Option<String>,
        /// The role it asks for.
        authrole: Option<String>,
        /// Data for the methods.
        extra: RawDict,
    },
    /// The peer has answered a [`Challenge::Custom`].
    Response {
        /// The method of the challenge.
        method: String,
        /// Who it said it is in HELLO.
        authid: Option<String>,
        /// The answer; with some methods a secret.
        signature: String,
        /// Further data of the answer.
        extra: RawDict,
        /// The state given with the challenge.
        state: Dict,
    },
}

/// The signature and the state may be secrets: they are never printed.
impl fmt::Debug for AuthStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello { methods, authid, .. } => {
                f.debug_struct("Hello").field("methods", methods).field("authid", authid).finish_non_exhaustive()
            }
            Self::Response { method, authid, .. } => {
                f.debug_struct("Response").field("method", method).field("authid", authid).finish_non_exhaustive()
            }
        }
    }
}

/// The answer to an [`AuthRequest`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AuthVerdict {
    /// Let the peer in as this.
    Welcome(Identity),
    /// Ask it for a proof.
    Challenge(Challenge),
    /// Send it away: ABORT with this reason and `{"message": message}`.
    Deny {
        /// The error URI.
        reason: Uri,
        /// Human-readable message.
        message: String,
    },
    /// It cannot be told now, and perhaps later: whoever decides is overloaded, or not there. Like `Deny`, or without a
    /// word: see [`Farewell`](super::Farewell).
    Unavailable {
        /// The error URI.
        reason: Uri,
        /// Human-readable message.
        message: String,
    },
}

/// A question: may this session act?
#[derive(Clone, Debug)]
pub struct ActionRequest {
    /// Names the question in the answer.
    pub id: DecisionId,
    /// Who wants to act.
    pub session: SessionId,
    /// As whom.
    pub identity: Arc<Identity>,
    /// About its transport, from the peer's [`LinkInfo`].
    pub transport: Arc<Dict>,
    /// What it wants to do.
    pub action: Action,
    /// To which procedure or topic, or to which pattern of them.
    pub uri: Uri,
    /// How the URI is meant.
    pub matching: MatchPolicy,
    /// Options of the request, with the names they have on the wire.
    pub options: Dict,
    /// Where the session's peer comes from, from its [`LinkInfo`].
    pub origin: Option<Origin>,
    /// When silence becomes a denial.
    pub expires: Instant,
}

/// The answer to an [`ActionRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionVerdict {
    /// It may.
    Allow {
        /// Tell the receivers who it is.
        disclose: bool,
        /// How long the answer holds for the same session, action, URI and options; `None`: this once. It is dropped
        /// when roles change, and never kept for a request whose options name others or differ from one to the next:
        /// lists of who may receive an event, resource keys, payload passthru.
        cache: Option<Duration>,
    },
    /// It may not: ERROR `wamp.error.not_authorized`.
    Deny {
        /// How long the answer holds, as for [`ActionVerdict::Allow`].
        cache: Option<Duration>,
    },
    /// The authorizer could not decide: ERROR `wamp.error.authorization_failed`.
    Failed {
        /// Human-readable message.
        message: String,
    },
}

/// A proof to ask for.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Challenge {
    /// WAMP-CRA: the router writes the challenge and checks the signature itself.
    Cra {
        /// The secret shared with the client.
        secret: CraSecret,
        /// What the client becomes if the signature is right.
        grant: Identity,
    },
    /// Ticket: the router compares digests.
    Ticket {
        /// The ticket's digest.
        digest: TicketDigest,
        /// What the client becomes if the ticket is right.
        grant: Identity,
    },
    /// SCRAM: the router checks the client's proof and gives its own in WELCOME.
    Scram {
        /// Which SCRAM.
        dialect: Dialect,
        /// What checks the password, derived in the same dialect.
        credential: Arc<ScramCredential>,
        /// What the client becomes if the proof is right. `authextra` gets the router's proof.
        grant: Identity,
    },
    /// Cryptosign: the router checks the client's signature, and gives its own if it has a key and is asked to.
    Cryptosign {
        /// The client's key.
        key: PublicKey,
        /// What the client becomes if the signature is right.
        grant: Identity,
    },
    /// Any other proof: the router asks again, with [`AuthStep::Response`].
    Custom {
        /// `AuthMethod` of CHALLENGE.
        method: String,
        /// `Extra` of CHALLENGE.
        extra: Dict,
        /// Comes back with the response; never leaves the router.
        state: Dict,
    },
}

impl Challenge {
    /// What a right answer makes of the client; `None` if that is decided later.
    pub const fn grant(&self) -> Option<&Identity> {
        match self {
            Self::Cra { grant, .. }
            | Self::Ticket { grant, .. }
            | Self::Scram { grant, .. }
            | Self::Cryptosign { grant, .. } => Some(grant),
            Self::Custom { .. } => None,
        }
    }
}

/// About a transport being attached.
#[derive(Clone, Debug, Default)]
pub struct LinkInfo {
    /// Anything the adapter likes; comes back in [`AuthRequest::tag`], e.g. which listener accepted the peer.
    pub tag: u64,
    /// What authenticators may know of the transport: peer address, headers, ...
    pub transport: Arc<Dict>,
    /// Where the peer comes from: logins that fail are counted by it. `None`: they are counted by authid alone.
    pub origin: Option<Origin>,
    /// What proofs can be bound to, on a TLS connection.
    pub channel_binding: Option<ChannelBinding>,
    /// An in-process service: joins as this on HELLO, without authentication. Its role may also be `trusted`, which
    /// may do everything and is not open to any other peer.
    pub privileged: Option<Identity>,
    /// Whether the peer can tell that its transport was cut from its being closed in good order, as that of a WebSocket can.
    /// It matters for [`Farewell::Silent`](super::Farewell::Silent).
    pub cuttable: bool,
}

/// How full the queue of bytes to a peer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Congestion {
    /// Room enough.
    #[default]
    Clear,
    /// Filling up: the router takes no more input from this peer, so that its own requests stop producing replies, and
    /// gives it no more calls.
    Soft,
    /// Full, or not read from for too long: the router gives the peer up.
    Hard,
}

/// Why [`Router::open`](super::Router::open) refused a transport. Our limit, not the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overloaded {
    /// [`Limits::max_peers`](super::Limits::max_peers) is reached.
    TooManyPeers,
    /// The router shuts down.
    ShuttingDown,
}

impl fmt::Display for Overloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyPeers => "too many peers",
            Self::ShuttingDown => "the router shuts down",
        })
    }
}

impl core::error::Error for Overloaded {}

/// The question had been answered, had expired, or its peer is gone. The answer had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaleDecision;

impl fmt::Display for StaleDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the decision is no longer awaited")
    }
}

impl core::error::Error for StaleDecision {}
