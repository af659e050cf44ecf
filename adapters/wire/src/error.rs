//! Why a connection failed.

use std::fmt;

use crate::{batch::BatchError, http::HttpError, rawsocket::RawSocketError, websocket::WebSocketError};

/// Why a connection cannot continue.
///
/// What the peer must be told (an HTTP error, a close frame, a RawSocket error reply) has already been appended to the
/// output: flush it, then close the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportError {
    /// The HTTP request, or the response to ours, is unacceptable.
    Http(HttpError),
    /// A violation of RFC 6455.
    WebSocket(WebSocketError),
    /// A violation of the RawSocket transport.
    RawSocket(RawSocketError),
    /// A batched message cannot be split.
    Batch(BatchError),
    /// This listener does not speak the protocol the first octet announces.
    ProtocolDisabled,
    /// The opening handshake was not completed in time.
    OpenTimeout,
    /// Nothing arrived for the whole time allowed after a ping.
    PingTimeout,
    /// The peer did not answer the close frame in time.
    CloseTimeout,
}

/// Who caused an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The peer broke the protocol.
    Peer,
    /// The peer or the network between was too slow or is gone.
    Network,
}

impl TransportError {
    /// Whether a message was longer than what [`Connection::limit_messages`](crate::Connection::limit_messages) allows.
    pub const fn is_too_long_before_join(&self) -> bool {
        matches!(
            self,
            Self::WebSocket(WebSocketError::TooLongBeforeJoin { .. })
                | Self::RawSocket(RawSocketError::TooLongBeforeJoin(_))
        )
    }

    /// Whether a message, a frame or a ping was longer than accepted.
    pub const fn is_too_long(&self) -> bool {
        self.is_too_long_before_join()
            || matches!(
                self,
                Self::WebSocket(WebSocketError::FrameTooLong { .. } | WebSocketError::MessageTooLong { .. })
                    | Self::RawSocket(RawSocketError::MessageTooLong(_) | RawSocketError::PingTooLong(_))
            )
    }

    /// Who caused it.
    pub const fn fault(&self) -> Fault {
        match self {
            Self::Http(_) | Self::WebSocket(_) | Self::RawSocket(_) | Self::Batch(_) | Self::ProtocolDisabled => {
                Fault::Peer
            }
            Self::OpenTimeout | Self::PingTimeout | Self::CloseTimeout => Fault::Network,
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => write!(f, "HTTP: {error}"),
            Self::WebSocket(error) => write!(f, "WebSocket: {error}"),
            Self::RawSocket(error) => write!(f, "RawSocket: {error}"),
            Self::Batch(error) => error.fmt(f),
            Self::ProtocolDisabled => f.write_str("the protocol of the first octet is not served here"),
            Self::OpenTimeout => f.write_str("the opening handshake took too long"),
            Self::PingTimeout => f.write_str("no answer to a ping"),
            Self::CloseTimeout => f.write_str("no answer to a close frame"),
        }
    }
}

impl std::error::Error for TransportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Http(error) => Some(error),
            Self::WebSocket(error) => Some(error),
            Self::RawSocket(error) => Some(error),
            Self::Batch(error) => Some(error),
            Self::ProtocolDisabled | Self::OpenTimeout | Self::PingTimeout | Self::CloseTimeout => None,
        }
    }
}

impl From<HttpError> for TransportError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

impl From<WebSocketError> for TransportError {
    fn from(error: WebSocketError) -> Self {
        Self::WebSocket(error)
    }
}

impl From<RawSocketError> for TransportError {
    fn from(error: RawSocketError) -> Self {
        Self::RawSocket(error)
    }
}

impl From<BatchError> for TransportError {
    fn from(error: BatchError) -> Self {
        Self::Batch(error)
    }
}
