//! Authorizers: who may act, where the rules of a role do not say it.

pub mod function;
pub mod permit;
pub mod script;
