//! wampd as a library: configuration, authenticators, authorizers and commands.

pub mod authn;
pub mod authz;
pub mod cli;
pub mod config;
mod durable;
pub mod log;
pub mod node;
pub mod process;
mod regular;
pub mod reply;
pub mod script;
