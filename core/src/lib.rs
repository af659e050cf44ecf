//! wampd-core: WAMP v2 without IO.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used))]

pub mod auth;
pub mod client;
pub mod codec;
pub mod id;
pub mod message;
mod rng;
pub mod time;
pub mod uri;
pub mod value;
