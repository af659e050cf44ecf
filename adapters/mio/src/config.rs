//! What a server is told when it is bound: where to listen, what to speak, and its limits.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use wampd_core::{
    codec::DecodeLimits,
    router::{Origin, RouterConfig},
};
use wampd_wire::{Proxies, ServerOptions};

use crate::tls::TlsAcceptor;

/// Everything [`Server::bind`](crate::Server::bind) needs to know.
#[derive(Clone, Debug, Default)]
pub struct ServerConfig {
    /// The router: realms, roles and limits of the protocol.
    pub router: RouterConfig,
    /// Where to listen. [`ListenerId`] counts these.
    pub listeners: Vec<ListenerConfig>,
    /// Bounds on connections, memory and time.
    pub limits: ServerLimits,
}

/// One listening socket and what is spoken there.
#[derive(Clone, Debug)]
pub struct ListenerConfig {
    /// Where to listen.
    pub endpoint: Endpoint,
    /// Connections that may wait to be accepted; the system may have a limit of its own. [`ListenerConfig::BACKLOG`] is usual.
    pub backlog: u32,
    /// TLS; `None`: in clear.
    pub tls: Option<TlsAcceptor>,
    /// The protocols and their options. With `http` set, each request is put to [`Host::http`](crate::Host::http).
    pub transport: Arc<ServerOptions>,
    /// The `tag` that [`AuthRequest`](wampd_core::router::AuthRequest) carries for RawSocket peers of this listener.
    /// For WebSocket peers the host gives one per upgrade.
    pub tag: u64,
    /// Whether the address is only taken at first, so that connections are refused until
    /// [`ServerHandle::listen`](crate::ServerHandle::listen).
    pub waits: bool,
    /// The proxies in front of it; `None`: clients connect themselves. With [`ProxyProtocol::Proxy`](wampd_wire::ProxyProtocol::Proxy)
    /// every connection must come from one of them, and begin with a header. With the others a connection that does not come
    /// from one of them is one of a client itself, whatever its headers say.
    pub proxies: Option<Arc<Proxies>>,
}

impl ListenerConfig {
    /// A backlog that is enough for most.
    pub const BACKLOG: u32 = 1_024;
}

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address; with port 0 the system chooses one.
    Tcp(SocketAddr),
    /// A unix stream socket.
    Unix {
        /// The path of the socket. A socket left there by a server that is gone is replaced; anything else is not.
        path: PathBuf,
        /// Permission bits of the socket's file, e.g. `0o660`; `None`: what the umask leaves.
        mode: Option<u32>,
    },
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write_tcp(f, *address),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Names a listener: its place in [`ServerConfig::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub usize);

/// Where a peer connects from. Displays as `tcp4:127.0.0.1:1234`, `tcp6:[::1]:1234` or `unix`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddress {
    /// A TCP address. The port is 0 if a proxy has told the address without it.
    Tcp(SocketAddr),
    /// A process on the same machine.
    Unix,
}

impl PeerAddress {
    /// What failed logins and connections from there are counted by; those over unix sockets are not.
    pub(crate) fn origin(self) -> Option<Origin> {
        self.ip().map(Origin::from)
    }

    pub(crate) const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix => None,
        }
    }
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write_tcp(f, *address),
            Self::Unix => f.write_str("unix"),
        }
    }
}

fn write_tcp(f: &mut fmt::Formatter<'_>, address: SocketAddr) -> fmt::Result {
    let version = if address.is_ipv4() { 4 } else { 6 };
    write!(f, "tcp{version}:{address}")
}

/// Bounds of a server beyond those of its router. Reaching one never harms a peer that did not cause it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at a time. Beyond it the one that has waited longest for a session is dropped to make room; if all
    /// have sessions, the new one is closed as soon as it is accepted. Default 100,000.
    pub max_connections: usize,
    /// Connections at a time that have no session yet, from the accept to WELCOME; beyond it the one that has waited
    /// longest is dropped to make room. Default 10,000.
    pub max_opening: usize,
    /// Bytes waiting to be written to one connection. Above 75 % its own requests wait, and calls of others that are for it,
    /// until it is below 50 % again. Events, calls and progressive results that find more than 87.5 % waiting are left out; any
    /// other message that finds more than 100 % waiting ends the connection. So this and one message is the most that ever
    /// waits, and a single message of any size is no fault of its receiver. Default 8 MiB.
    pub max_pending: usize,
    /// Bytes of a message that is written in another serializer than it came in, or made by the router. A longer one is
    /// undeliverable, and who waits for it gets an ERROR. Default 32 MiB.
    pub max_transcoded: usize,
    /// How long a connection may take none of the bytes waiting for it before it is closed. One that reads slowly, but
    /// reads, is not closed. Default 10 s.
    pub write_timeout: Duration,
    /// Silence of a TCP connection after which the system asks whether the other end is still there, and a third of which
    /// it waits between its questions, of which three may be left without an answer. 0: it does not ask. Default 30 s.
    pub tcp_keepalive: Duration,
    /// How long what was sent over TCP may be left without an acknowledgement before the system gives the connection up,
    /// and the questions of `tcp_keepalive` without an answer; at least `write_timeout`. Linux only. 0: as long as the system's default, some 15
    /// minutes. Default 30 s.
    pub tcp_user_timeout: Duration,
    /// How long a connection that is done with may take to read some of what is left, and then to close its side.
    /// Default 5 s.
    pub linger_timeout: Duration,
    /// How long no connection is accepted after the system had no resources for one. Default 100 ms.
    pub accept_pause: Duration,
    /// How long a shutdown may take in all; what is left then is dropped. It should be above
    /// [`Limits::goodbye_timeout`](wampd_core::router::Limits::goodbye_timeout). Default 10 s.
    pub shutdown_timeout: Duration,
    /// The longest message of a peer that has not joined a session, in bytes: all fragments or a whole batch together, or
    /// what a TLS handshake sends. A longer one ends the connection, which an ABORT says with a close frame of code 1009
    /// behind it, where one can be written. As many bytes may wait to be written to such a peer before it is not read from
    /// any more. Default 64 KiB.
    pub max_message_before_join: usize,
    /// Memory held for all peers together that have not joined a session, in bytes: receive buffers, output queues, TLS,
    /// and what is kept of a handshake. Beyond it the one that connected first of those that hold some is dropped.
    /// Default 64 MiB.
    pub max_memory_before_join: usize,
    /// Memory of the receive buffers of all connections together, in bytes. Beyond it the one whose message has been
    /// unfinished for longest is dropped; one that has joined a session only if all have. Default 256 MiB.
    pub max_receive_memory: usize,
    /// TLS handshakes that go on in one turn of the server: how often something that a peer has sent of its handshake is
    /// looked at. Each may cost a signature: 0.1 ms with ECDSA, 0.5 ms with RSA of 2048 bits, 2 ms with 4096. The others wait
    /// for later turns, addresses one after the other. Default 2.
    pub max_tls_handshakes_per_turn: usize,
    /// Limits of each address that peers connect from.
    pub per_address: AddressLimits,
    /// Limits of what a message may look like.
    pub decode: DecodeLimits,
}

/// Limits of each address that TCP connections come from: an IPv4 address, or a network of IPv6 with 64 bits of prefix. Many
/// users may share one behind a proxy or a router, so the defaults are above what a crowd of them needs. Connections of a proxy
/// that is [trusted](ListenerConfig::proxies) count for the addresses that it tells, once it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressLimits {
    /// Connections at a time; a new one beyond it is closed as soon as it is accepted. Default 50,000.
    pub connections: usize,
    /// Connections accepted in a second; further ones are closed as soon as they are accepted. Default 10,000.
    pub connections_per_second: usize,
}

impl Default for AddressLimits {
    fn default() -> Self {
        Self { connections: 50_000, connections_per_second: 10_000 }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            max_opening: 10_000,
            max_pending: 8 << 20,
            max_transcoded: 32 << 20,
            write_timeout: Duration::from_secs(10),
            tcp_keepalive: Duration::from_secs(30),
            tcp_user_timeout: Duration::from_secs(30),
            linger_timeout: Duration::from_secs(5),
            accept_pause: Duration::from_millis(100),
            shutdown_timeout: Duration::from_secs(10),
            max_message_before_join: 64 << 10,
            max_memory_before_join: 64 << 20,
            max_receive_memory: 256 << 20,
            max_tls_handshakes_per_turn: 2,
            per_address: AddressLimits::default(),
            decode: DecodeLimits::default(),
        }
    }
}
