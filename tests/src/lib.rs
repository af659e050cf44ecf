//! Test harness: a router and its clients in memory, in simulated time, from a seed.

pub mod answerer;
pub mod codec;
pub mod config;
pub mod link;
pub mod meta;
pub mod rng;
pub mod script;
pub mod sim;
pub mod strategy;
