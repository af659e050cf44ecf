//! Authenticators: who may join, and with which role.

pub mod answerer;
pub mod cookie;
pub mod credentials;
pub(crate) mod derived;
pub mod function;
pub mod grant;
pub mod scram;
pub mod script;
