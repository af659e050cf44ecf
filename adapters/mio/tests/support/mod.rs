//! A server on a thread of its own, and blocking clients to load it with.

#![allow(dead_code)] // not every file uses all of it
#![allow(unreachable_pub)] // a module of each test, not an interface

pub mod peer;
pub mod rng;
pub mod server;

use std::time::Duration;

/// How long anything may take before a test fails. Nothing is expected to come near it.
pub const PATIENCE: Duration = Duration::from_secs(60);
