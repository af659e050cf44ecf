//! What comes out of a connection.

use bytes::Bytes;
use wampd_core::codec::Format;

use crate::{framing::Encoding, http::HttpRequest, websocket::CloseCode};

/// What a peer has sent.
#[derive(Debug)]
pub enum Incoming {
    /// Server only: an HTTP request. Answer it at once with [`Connection::accept_websocket`](crate::Connection::accept_websocket)
    /// or [`Connection::respond`](crate::Connection::respond).
    Http(Box<HttpRequest>),
    /// Server only: an acceptable RawSocket handshake. Answer it at once with
    /// [`Connection::accept_rawsocket`](crate::Connection::accept_rawsocket) or
    /// [`Connection::refuse_rawsocket`](crate::Connection::refuse_rawsocket).
    RawSocket {
        /// The serializer the client asks for.
        format: Format,
    },
    /// Client only: the server has accepted; messages can be sent.
    Open(Encoding),
    /// The bytes of one WAMP message. Of JSON it is *not* verified that they are UTF-8: the decoder does that.
    Message(Bytes),
    /// The peer has closed the connection in good order, or has answered our close frame. Flush the output, then close the socket.
    Closed {
        /// The peer's code, if it gave one.
        code: Option<CloseCode>,
        /// The peer's reason, often empty.
        reason: Box<str>,
    },
}
