//! WAMP transports without sockets: bytes in, messages out, and back.
//!
//! * [`Connection`] is a server's end: the first octet decides between RawSocket and HTTP, HTTP may become a WebSocket.
//! * [`Client`] is a client's end of either.
//! * [`Encoding`] frames outgoing messages; frames of equal encodings are equal, so one can be sent to many peers.
//! * [`Proxies`] and [`ProxyHeader`] tell where a client behind a proxy connects from.
//! * [`ReadBuffer`] is a read buffer shared by all connections of an event loop.
//!
//! There are no sockets, clocks or random numbers here: `now` and the generator are arguments. An event loop does this:
//!
//! 1. Accept a socket, make a [`Connection`].
//! 2. Readable: read into [`ReadBuffer::space`], [`take`](ReadBuffer::take) what was read, and call [`Connection::next`] until it
//!    gives `None`. To stop early, [`Connection::hold`] the rest; before the next read, call `next` with an empty input.
//! 3. [`Incoming::Http`] and [`Incoming::RawSocket`] are questions, answered at once; after that, messages flow.
//! 4. What calls append to `out` is written to the socket in order with the data frames: [`Encoding::begin`], encode,
//!    [`Encoding::finish`], straight into the connection's output or into a buffer to share. Ask [`Connection::admits`] before
//!    sending a frame that was made for several receivers.
//! 5. [`Connection::handle_timeout`] at [`Connection::next_deadline`].
//! 6. After an error, [`Incoming::Closed`] or a [`Connection::close`] that [`is_closed`](Connection::is_closed) at once:
//!    flush, then close the socket. Shut down only the writing side first and drop what still arrives, for a bounded time:
//!    closing a socket with unread bytes resets it, and the peer may lose the last thing it was told.
//! 7. When the socket is closed by the peer or fails before that, the connection is lost: drop it.
//!
//! A message that arrives in one read is not copied here; one that spans several reads is gathered in a buffer of its
//! connection, which grows with what has arrived, never with what a header claims.

#![forbid(unsafe_code)]

pub mod batch;
mod buffer;
mod client;
mod connection;
mod error;
mod framing;
#[doc(hidden)]
pub mod fuzz;
mod http;
mod incoming;
mod keepalive;
mod link;
mod mask;
mod origin;
mod proxy;
mod rawsocket;
mod upgrade;
mod websocket;

pub use buffer::ReadBuffer;
pub use client::Client;
pub use connection::{Connection, ServerOptions};
pub use error::{Fault, TransportError};
pub use framing::{Encoding, FrameStart, Framing, MAX_HEADER, MessageTooLong, Subprotocol};
pub use http::{ContentLength, HttpError, HttpOptions, HttpRequest, HttpResponse, Method};
pub use incoming::Incoming;
pub use keepalive::PingOptions;
pub use origin::{InvalidOriginPattern, OriginPattern, OriginPolicy};
pub use proxy::{InvalidTrustedProxy, Proxies, ProxyError, ProxyHeader, ProxyProtocol, TrustedProxy};
pub use rawsocket::{MaxLength, RawSocketError, RawSocketOptions, RawSocketRefusal};
pub use upgrade::{Preference, UpgradeOptions, UpgradeRequest};
pub use websocket::{CloseCode, WebSocketError, WebSocketOptions};
