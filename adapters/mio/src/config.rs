//! What a server is told when it is bound: where to listen, what to speak, and its limits.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use wampd_core::{
    codec::DecodeLimits,
    router::{Origin, RouterConfig},
};
use wampd_wire::ServerOptions;

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
    /// A TCP address.
    Tcp(SocketAddr),
    /// A process on the same machine.
    Unix,
}

impl PeerAddress {
    /// What failed logins from there are counted by; those of the same machine are not.
    pub(crate) fn origin(self) -> Option<Origin> {
        match self {
            Self::Tcp(address) => Some(address.ip().into()),
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
    /// Bytes waiting to be written to one connection. Above 75 % its own requests wait until it is below 50 % again; a
    /// message that finds more than 100 % waiting ends the connection. So this and one message is the most that ever
    /// waits, and a single message of any size is no fault of its receiver. Default 8 MiB.
    pub max_pending: usize,
    /// How long a connection may take none of the bytes waiting for it before it is closed. Default 10 s.
    pub write_timeout: Duration,
    /// How long a connection that is done with may take to read some of what is left, and then to close its side.
    /// Default 5 s.
    pub linger_timeout: Duration,
    /// How long no connection is accepted after the system had no resources for one. Default 100 ms.
    pub accept_pause: Duration,
    /// How long a shutdown may take in all; what is left then is dropped. It should be above
    /// [`Limits::goodbye_timeout`](wampd_core::router::Limits::goodbye_timeout). Default 10 s.
    pub shutdown_timeout: Duration,
    /// Limits of what a message may look like.
    pub decode: DecodeLimits,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_connections: 100_000,
            max_opening: 10_000,
            max_pending: 8 << 20,
            write_timeout: Duration::from_secs(10),
            linger_timeout: Duration::from_secs(5),
            accept_pause: Duration::from_millis(100),
            shutdown_timeout: Duration::from_secs(10),
            decode: DecodeLimits::default(),
        }
    }
}
