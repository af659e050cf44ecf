//! Proofs of identity as values: what a client sends and what a router checks, without any table of users.
//!
//! * [`cra`]: WAMP Challenge Response Authentication, method `wampcra`.
//! * [`ticket`]: ticket-based authentication, method `ticket`.
//! * [`scram`]: salted challenge response, methods `wamp-scram` and `scram`.
//! * [`cryptosign`]: Ed25519 signatures, method `cryptosign`.
//!
//! [`ChannelBinding`] ties the proofs of the last two to one TLS connection.
//!
//! Secrets are compared in constant time and never printed.

mod binding;
pub mod cra;
pub mod cryptosign;
pub mod scram;
pub mod ticket;

pub use binding::{ChannelBinding, TLS_EXPORTER};
pub use cra::{CraChallenge, CraSecret};
pub use scram::ScramCredential;
pub use ticket::TicketDigest;

/// Method name of anonymous authentication.
pub const ANONYMOUS: &str = "anonymous";
/// Method name of ticket-based authentication.
pub const TICKET: &str = "ticket";
/// Method name of WAMP-CRA.
pub const WAMPCRA: &str = "wampcra";
/// Method name of SCRAM as specified.
pub const WAMP_SCRAM: &str = "wamp-scram";
/// Method name of SCRAM as Crossbar.io has it.
pub const SCRAM: &str = "scram";
/// Method name of WAMP-Cryptosign.
pub const CRYPTOSIGN: &str = "cryptosign";
/// Method name of authentication by a tracking cookie.
pub const COOKIE: &str = "cookie";
/// Method name of authentication by a TLS client certificate.
pub const TLS: &str = "tls";

/// Whether a member of `authextra` is part of a proof, of either side, and no business of other sessions.
pub(crate) fn is_proof(key: &str) -> bool {
    ["nonce", "challenge", "channel_binding", "signature", "verifier", "scram_server_signature"].contains(&key)
}
