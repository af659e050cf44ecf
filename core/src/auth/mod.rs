//! Proofs of identity as values: what a client sends and what a router checks, without any table of users.
//!
//! * [`cra`]: WAMP Challenge Response Authentication, method `wampcra`.
//! * [`ticket`]: ticket-based authentication, method `ticket`.
//!
//! Secrets are compared in constant time and never printed.

pub mod cra;
pub mod ticket;

pub use cra::{CraChallenge, CraSecret};
pub use ticket::TicketDigest;

/// Method name of anonymous authentication.
pub const ANONYMOUS: &str = "anonymous";
/// Method name of ticket-based authentication.
pub const TICKET: &str = "ticket";
/// Method name of WAMP-CRA.
pub const WAMPCRA: &str = "wampcra";
