//! The blocking client against a server in the same process, over every transport.

mod endings;
mod harness;
mod opening;
mod requests;
