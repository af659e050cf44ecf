//! wampd as a library: configuration, authenticators and commands.

pub mod authn;
pub mod cli;
pub mod config;
pub mod log;
pub mod node;
