//! One accepted connection, and what authenticators may know of it.

use std::sync::Arc;

use wampd_core::{
    codec::Format,
    id::SessionId,
    router::{Congestion, PeerKey},
    time::Instant,
    value::{Dict, Value},
};
use wampd_wire::{Connection, Encoding, Framing, HttpRequest, ServerOptions};

use crate::{
    config::{ListenerId, PeerAddress},
    host::{CloseCause, ConnectionId, GiveUpCause, Observation},
    memory::Charge,
    out_queue::OutQueue,
    proxy::ProxyStage,
    stream::Stream,
};

#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) id: ConnectionId,
    pub(crate) stream: Stream,
    pub(crate) wire: Connection,
    pub(crate) out: OutQueue,
    /// The router's end, from the opening handshake to the router's close.
    pub(crate) peer: Option<PeerKey>,
    pub(crate) session: Option<SessionId>,
    /// There is, or was, a session.
    pub(crate) joined: bool,
    /// What it is counted with.
    pub(crate) charge: Charge,
    /// Bytes that the router keeps of the opening handshake and of messages, until a session is joined.
    pub(crate) kept: usize,
    pub(crate) body: Body,
    /// When a message was last received.
    pub(crate) last_message: Instant,
    pub(crate) listener: ListenerId,
    /// Where it comes from: the client, once it is known.
    pub(crate) address: PeerAddress,
    pub(crate) proxy: ProxyStage,
    pub(crate) stage: Stage,
    /// Why it is being closed.
    pub(crate) cause: Option<CloseCause>,
    pub(crate) congestion: Congestion,
    /// While it does not keep up with what is sent to it.
    pub(crate) behind: Option<Box<Behind>>,
    /// What the timers know: see [`Timers::arm`](crate::timers::Timers::arm).
    pub(crate) armed: Option<Instant>,
    /// The socket takes nothing; it must before this.
    pub(crate) stalled: Option<Instant>,
    /// The path of an HTTP request that waits for its response.
    pub(crate) requested: Option<Box<str>>,
    /// The socket may have something to read.
    pub(crate) readable: bool,
    /// The peer has said its last: it has closed its side or the WebSocket, and all that it sent was read.
    pub(crate) silenced: bool,
    /// The peer has closed its side: a short read does not mean that nothing is left to be read.
    pub(crate) read_closed: bool,
    /// The socket may take something.
    pub(crate) writable: bool,
    /// The TLS handshake goes on when it has its turn.
    pub(crate) handshake_waits: bool,
    /// The TLS handshake has its turn.
    pub(crate) may_handshake: bool,
    /// Units of work that it has caused beyond its share of the rounds so far.
    pub(crate) debt: u64,
    /// In the run queue.
    pub(crate) queued: bool,
    /// In the list of those to flush.
    pub(crate) dirty: bool,
}

/// The body of an HTTP response that waits to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    /// This long, and also held elsewhere.
    Shared(usize),
    /// This long, and held for this response alone.
    Own(usize),
}

/// A connection that does not keep up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind {
    /// Since when.
    pub(crate) since: Instant,
    /// How many messages were left out meanwhile.
    pub(crate) left_out: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The transport lives: opening, open, or in its own closing handshake.
    Live,
    /// The rest of the queue is being written. The socket must take some of it before the deadline.
    Flushing(Instant),
    /// Our side is closed. What the peer still sends is discarded until it closes its side, or until the deadline:
    /// closing a socket with unread bytes would destroy what the peer has not read yet.
    Lingering(Instant),
}

impl Conn {
    pub(crate) fn new(
        id: ConnectionId,
        stream: Stream,
        listener: ListenerId,
        (address, proxy): (PeerAddress, ProxyStage),
        options: Arc<ServerOptions>,
        now: Instant,
    ) -> Self {
        Self {
            id,
            stream,
            wire: Connection::new(options, now),
            out: OutQueue::default(),
            peer: None,
            session: None,
            joined: false,
            charge: Charge::default(),
            kept: 0,
            body: Body::None,
            last_message: now,
            listener,
            address,
            proxy,
            stage: Stage::Live,
            cause: None,
            congestion: Congestion::Clear,
            behind: None,
            armed: None,
            stalled: None,
            requested: None,
            readable: false,
            silenced: false,
            read_closed: false,
            writable: true,
            handshake_waits: false,
            may_handshake: false,
            debt: 0,
            queued: false,
            dirty: false,
        }
    }

    /// The earliest thing to look after.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let stage = match self.stage {
            Stage::Live => self.wire.next_deadline(),
            Stage::Flushing(deadline) | Stage::Lingering(deadline) => Some(deadline),
        };
        stage.into_iter().chain(self.stalled).min()
    }

    /// Whether bytes wait to be written.
    pub(crate) fn has_output(&self) -> bool {
        !self.out.is_empty() || self.stream.wants_write()
    }

    /// How full the queue is, of `max` bytes. Between the marks it is as full as it was.
    pub(crate) const fn level(&self, max: usize) -> Congestion {
        let len = self.out.len();
        if len > max / 4 * 3 {
            Congestion::Soft
        } else if len < max / 2 {
            Congestion::Clear
        } else {
            self.congestion
        }
    }

    /// What is told when it is given up, having as much as `limit` bytes to wait for it.
    pub(crate) fn given_up(&self, now: Instant, limit: usize, cause: GiveUpCause) -> Observation<'static> {
        Observation::GivenUp {
            connection: self.id,
            session: self.session,
            cause,
            waiting: self.out.len(),
            limit,
            behind: self.behind.as_ref().map(|behind| now.since(behind.since)),
            left_out: self.behind.as_ref().map_or(0, |behind| behind.left_out),
        }
    }
}

/// What authenticators and the meta API are told of a connection. The names are those of Crossbar.io and Autobahn.
pub(crate) fn transport_details(
    address: PeerAddress,
    stream: &Stream,
    encoding: Encoding,
    request: Option<&HttpRequest>,
) -> Dict {
    let channel_type = match stream {
        Stream::Tls(_) => "tls",
        Stream::Tcp(_) => "tcp",
        Stream::Unix(_) => "unix",
    };
    let framing = if encoding.framing == Framing::RawSocket { "rawsocket" } else { "websocket" };
    let mut details = Dict::from([
        ("channel_type".to_owned(), Value::from(channel_type)),
        ("channel_framing".to_owned(), Value::from(framing)),
        ("channel_serializer".to_owned(), Value::from(serializer(encoding.format))),
        ("peer".to_owned(), Value::from(address.to_string())),
        ("is_secure".to_owned(), Value::from(matches!(stream, Stream::Tls(_)))),
    ]);
    if let Stream::Tls(stream) = stream {
        let certificate = stream.peer_certificate().map_or(Value::Null, Value::from);
        // The second name is the one that Crossbar.io had first.
        details.insert("client_cert".to_owned(), certificate.clone());
        details.insert("peer_cert".to_owned(), certificate);
    }
    if let Some(request) = request {
        let batched = if encoding.framing == Framing::WebSocket { "" } else { ".batched" };
        let protocol = format!("wamp.2.{}{batched}", serializer(encoding.format));
        let headers = headers_received(request);
        details.insert("websocket_protocol".to_owned(), Value::from(protocol));
        details.insert("http_headers_received".to_owned(), Value::from(headers));
    }
    details
}

/// The headers of a request. Those of one name are one, with commas between (RFC 9110 section 5.3).
fn headers_received(request: &HttpRequest) -> Dict {
    let mut headers = Dict::new();
    for (name, value) in request.headers() {
        match headers.get_mut(name) {
            Some(Value::Text(values)) => values.extend([", ", &*value]),
            _ => drop(headers.insert(name.to_owned(), Value::from(value.into_owned()))),
        }
    }
    headers
}

fn serializer(format: Format) -> &'static str {
    match format {
        Format::Json => "json",
        Format::Cbor => "cbor",
        Format::MsgPack => "msgpack",
        _ => "unknown",
    }
}
