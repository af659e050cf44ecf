//! How to connect, and what a router can make the client spend.

use std::{sync::Arc, time::Duration};

use crate::tls::ClientTls;
use wampd_core::codec::{DecodeLimits, Format};
use wampd_wire::{RawSocketOptions, Subprotocol, WebSocketOptions};

/// How to connect. What concerns the session, e.g. how long an answer may take, is in
/// [`ClientConfig`](wampd_core::client::ClientConfig).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What a WebSocket offers, most wanted first. Default: all, CBOR first.
    pub subprotocols: Vec<Subprotocol>,
    /// The serializer of a RawSocket. Default CBOR.
    pub rawsocket_serializer: Format,
    /// Further headers of the upgrade request of a WebSocket, e.g. `Origin` or `Cookie`.
    pub headers: Vec<(String, String)>,
    /// Whom to trust, and what to show, with `wss` and `rss`; `None`: the authorities that the system trusts, and nothing.
    pub tls: Option<ClientTls>,
    /// Limits, pings and timers of a WebSocket.
    pub websocket: Arc<WebSocketOptions>,
    /// Limits and pings of a RawSocket; [`formats`](RawSocketOptions::formats) is not used here.
    pub rawsocket: RawSocketOptions,
    /// What a message may look like.
    pub decode: DecodeLimits,
    /// Time for connecting and for the opening handshake of the transport, both together. Resolving a name is left to
    /// the system, which has its own limits. Default 10 s.
    pub open_timeout: Duration,
    /// How long the router may take none of the bytes waiting for it before the connection is lost. Default 10 s.
    pub write_timeout: Duration,
    /// How long the router may take to close the transport after the session. Default 5 s.
    pub linger_timeout: Duration,
    /// Bytes waiting to be written above which the next request waits. Default 8 MiB.
    pub max_pending: usize,
    /// Events that may wait to be taken with [`next_event`](super::Client::next_event) while a method waits for the answer
    /// to a request; see [`Error::EventsFull`](super::Error::EventsFull). Default 65,536.
    pub max_events: usize,
    /// Bytes of the payloads of these events. Default 64 MiB.
    pub max_event_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            subprotocols: Subprotocol::ALL.to_vec(),
            rawsocket_serializer: Format::Cbor,
            headers: Vec::new(),
            tls: None,
            websocket: Arc::default(),
            rawsocket: RawSocketOptions::default(),
            decode: DecodeLimits::default(),
            open_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            linger_timeout: Duration::from_secs(5),
            max_pending: 8 << 20,
            max_events: 65_536,
            max_event_bytes: 64 << 20,
        }
    }
}

impl Options {
    /// The default options with one serializer, whatever the transport: plain, then batched on a WebSocket.
    pub fn with_serializer(format: Format) -> Self {
        let mut subprotocols: Vec<_> = Subprotocol::ALL.into_iter().filter(|offer| offer.format() == format).collect();
        subprotocols.sort_by_key(|offer| offer.is_batched());
        Self { subprotocols, rawsocket_serializer: format, ..Self::default() }
    }
}
