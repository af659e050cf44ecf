//! WAMP v2 without IO: the protocol core of the wampd router, for any event loop.
//!
//! Bytes become messages in [`codec`], messages are values in [`message`], a [`router::Router`] or a [`client::Client`]
//! consumes and produces them. There are no sockets, clocks, threads, files, logs or OS randomness here: time is an
//! argument ([`time::Instant`]), randomness is given at construction. The same seed and the same inputs give the same
//! outputs, byte for byte.
//!
//! # The contract
//!
//! 1. Give one input, then drain `poll_output` until it returns `None`, then give the next input. Answers to
//!    [`Output::Authenticate`](router::Output::Authenticate) may be given inside the drain.
//! 2. `now` never goes back.
//! 3. Call `handle_timeout` at `next_deadline`; early calls are harmless.
//! 4. Obey [`Router::wants_input`](router::Router::wants_input): while it is false for a peer, do not hand in its
//!    messages. [`Output::InputReady`](router::Output::InputReady) tells when it is true again.
//! 5. Outputs are in the order in which they must reach each peer.
//! 6. Nothing follows [`Output::Close`](router::Output::Close) for a peer.
//!
//! Who may join is asked, never looked up: the router puts the question into an output, and whoever drives it answers
//! with [`Router::decide_auth`](router::Router::decide_auth), now or later.
//!
//! # Example
//!
//! A router and a client in one process, in under 60 lines:
//!
//! ```
#![doc = include_str!("../examples/embed.rs")]
//! ```

#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro))]

mod arena;
pub mod auth;
pub mod client;
pub mod codec;
mod hash;
pub mod id;
pub mod message;
mod rng;
pub mod router;
pub mod time;
pub mod uri;
pub mod value;
