//! What can go wrong for a client, and whose doing it is.

use std::{fmt, io, sync::Arc};

use wampd_core::{
    client::{AnswerError, RequestError, Side},
    codec::Format,
    id::RequestId,
    message::Payload,
    router::Undeliverable,
    uri::Uri,
    value::{Dict, Value},
};
use wampd_wire::{CloseCode, TransportError};

use crate::tls::TlsError;

/// Why there is no session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host has no address.
    Resolve {
        /// The host.
        host: String,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// No connection, e.g. because it was refused: nobody listens there.
    Socket(Arc<io::Error>),
    /// The authorities that the system trusts can not be had.
    Tls(TlsError),
    /// RawSocket has no number for this serializer.
    Serializer(Format),
    /// The opening handshake of the transport failed, e.g. because the server speaks none of the subprotocols offered
    /// ([`HttpError::UnexpectedStatus`](wampd_wire::HttpError::UnexpectedStatus) 400) or nothing is at the path (404).
    Transport(TransportError),
    /// It took too long.
    Timeout(Stage),
    /// The connection was lost before the session was open.
    Lost(Lost),
    /// Joining was refused: by the router, or by this client.
    Aborted(Aborted),
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Connecting the socket.
    Socket,
    /// The opening handshake of the transport.
    Transport,
    /// Joining the realm.
    Join,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve { host, error } => write!(f, "no address for {host:?}: {error}"),
            Self::Socket(error) => write!(f, "no connection: {error}"),
            Self::Tls(error) => write!(f, "no TLS: {error}"),
            Self::Serializer(format) => write!(f, "RawSocket does not know the serializer {format:?}"),
            Self::Transport(error) => write!(f, "the transport was not opened: {error}"),
            Self::Timeout(Stage::Socket) => f.write_str("connecting took too long"),
            Self::Timeout(Stage::Transport) => f.write_str("opening the transport took too long"),
            Self::Timeout(Stage::Join) => f.write_str("the router took too long to let the client join"),
            Self::Lost(lost) => write!(f, "the connection was lost before the session was open: {lost}"),
            Self::Aborted(aborted) => write!(f, "joining was refused: {aborted}"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve { error, .. } | Self::Socket(error) => Some(&**error),
            Self::Tls(error) => Some(error),
            Self::Transport(error) => Some(error),
            Self::Lost(lost) => Some(lost),
            Self::Serializer(_) | Self::Timeout(_) | Self::Aborted(_) => None,
        }
    }
}

/// Why a request was not done, or is not known to be done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// It was not sent: the application asked for something that is not possible.
    Request(RequestError),
    /// The answer to an invocation, or CANCEL, was not sent: nothing waits for it.
    Answer(AnswerError),
    /// It was not sent: the router takes no message this long, or the serializer cannot carry the payload. Instead of the
    /// answer to an invocation the caller got an error that says so.
    Undeliverable(Undeliverable),
    /// The router, or the callee, answered with an error.
    Failed(Failure),
    /// No answer came in time: see [`ClientLimits::request_timeout`](wampd_core::client::ClientLimits::request_timeout).
    Timeout,
    /// [`Options::max_events`](super::Options::max_events) are waiting to be taken with
    /// [`next_event`](super::Client::next_event), so nothing more is read.
    EventsFull {
        /// The request that was waited for, if it was sent: its answer will come as an event.
        request: Option<RequestId>,
    },
    /// The session is over. If a request was sent before, it may have been done.
    Ended(End),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Answer(error) => error.fmt(f),
            Self::Undeliverable(why) => why.fmt(f),
            Self::Failed(failure) => failure.fmt(f),
            Self::Timeout => f.write_str("no answer came in time"),
            Self::EventsFull { .. } => f.write_str("too many events wait to be taken"),
            Self::Ended(end) => end.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Request(error) => Some(error),
            Self::Answer(error) => Some(error),
            Self::Undeliverable(why) => Some(why),
            Self::Failed(failure) => Some(failure),
            Self::Ended(end) => Some(end),
            Self::Timeout | Self::EventsFull { .. } => None,
        }
    }
}

/// An ERROR that a request was answered with. Displays as its URI, and its first argument if that is a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What went wrong.
    pub error: Uri,
    /// Arguments of the error.
    pub payload: Payload,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        match self.payload.values().ok().and_then(|(args, _)| args.into_iter().next()) {
            Some(Value::Text(text)) => write!(f, ": {text}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// How a session ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum End {
    /// By GOODBYE from both sides, with the reason that the router gave.
    Left(Uri),
    /// By ABORT.
    Aborted(Aborted),
    /// With the connection.
    Lost(Lost),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left(reason) => write!(f, "the session was closed: {reason}"),
            Self::Aborted(aborted) => write!(f, "the session was broken off: {aborted}"),
            Self::Lost(lost) => write!(f, "the connection was lost: {lost}"),
        }
    }
}

impl std::error::Error for End {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Lost(lost) => Some(lost),
            Self::Left(_) | Self::Aborted(_) => None,
        }
    }
}

/// An ABORT. Displays as its URI and text.
#[derive(Clone, Debug, PartialEq)]
pub struct Aborted {
    /// Who sent it.
    pub by: Side,
    /// Why.
    pub reason: Uri,
    /// Details; `message` is a text for people.
    pub details: Dict,
}

impl Aborted {
    /// The text for people, if there is one.
    pub fn message(&self) -> Option<&str> {
        self.details.get("message").and_then(Value::as_str)
    }
}

impl fmt::Display for Aborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        match self.message() {
            Some(message) => write!(f, ": {message}"),
            None => Ok(()),
        }
    }
}

/// Why a connection was lost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Lost {
    /// The router closed the transport without GOODBYE or ABORT.
    Closed {
        /// The code of the close frame of a WebSocket, if there was one.
        code: Option<CloseCode>,
        /// The reason in the close frame, often empty.
        reason: Box<str>,
    },
    /// The socket was closed, without the transport being closed before where that is the custom.
    Cut,
    /// The transport's rules were broken, or the router was silent for too long.
    Transport(TransportError),
    /// What the system said.
    Io(Arc<io::Error>),
    /// The router did not answer GOODBYE in time.
    NoGoodbye,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { code: Some(CloseCode(code)), reason } if reason.is_empty() => {
                write!(f, "the router closed it with code {code}")
            }
            Self::Closed { code: Some(CloseCode(code)), reason } => {
                write!(f, "the router closed it with code {code}: {reason}")
            }
            Self::Closed { code: None, .. } => f.write_str("the router closed it"),
            Self::Cut => f.write_str("the router closed the socket"),
            Self::Transport(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
            Self::NoGoodbye => f.write_str("the router did not answer GOODBYE in time"),
        }
    }
}

impl std::error::Error for Lost {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Transport(error) => Some(error),
            Self::Io(error) => Some(&**error),
            Self::Closed { .. } | Self::Cut | Self::NoGoodbye => None,
        }
    }
}
