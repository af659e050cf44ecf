//! Authenticators: who may join, and with which role.

pub mod credentials;
pub mod grant;
pub mod script;
