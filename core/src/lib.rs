//! wampd-core: WAMP v2 without IO.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

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
