//! Test harness: a router and its clients in memory, in simulated time, from a seed.

pub mod answerer;
pub mod books;
pub mod calls;
pub mod codec;
pub mod config;
pub mod counted;
pub mod driver;
pub mod feed;
pub mod handshake;
pub mod link;
pub mod meta;
pub mod model;
pub mod neighbours;
pub mod ops;
pub mod pubsub;
pub mod recording;
pub mod rng;
pub mod script;
pub mod sim;
pub mod strategy;
pub mod validator;
