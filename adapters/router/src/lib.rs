//! wampd as a library: configuration and authenticators.

pub mod authn;
pub mod config;
