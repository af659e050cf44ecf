//! A WAMP router and a WAMP client over sockets, with mio and without an async runtime.
//!
//! * [`Server`] drives one [`Router`](wampd_core::router::Router) with TCP and unix sockets: RawSocket and WebSocket, on one
//!   port if wanted. The program around it is a [`Host`]: it decides who may join, answers HTTP requests, and logs.
//! * [`Locals`] are WAMP clients inside the server's process.
//! * [`tls`] is what listeners and clients need for TLS.
//! * [`client::Client`] is a WAMP client that waits, with a connection of its own.
//!
//! None of them starts threads. Everything is bounded: see [`ServerLimits`] and [`Limits`](wampd_core::router::Limits).

#![forbid(unsafe_code)]

mod accept;
mod addresses;
pub mod client;
mod clock;
mod close;
mod config;
mod connection;
mod drive;
mod fair;
mod frames;
mod handle;
mod handshakes;
mod host;
mod listener;
mod locals;
mod memory;
mod out_queue;
mod proxy;
mod reactor;
mod read;
#[cfg(debug_assertions)]
mod recording;
mod stats;
mod stream;
mod timers;
pub mod tls;
mod write;

pub use config::{AddressLimits, Endpoint, ListenerConfig, ListenerId, PeerAddress, ServerConfig, ServerLimits};
pub use fair::{FairQueue, Lane};
pub use handle::ServerHandle;
pub use host::{
    CloseCause, ConnectionId, Context, GiveUpCause, Holder, Host, HttpAction, HttpPeer, LeaveCause, Observation,
    Response,
};
pub use locals::{LocalId, LocalPeer, Locals};
pub use reactor::{BindError, Server};
pub use stats::ServerStats;
