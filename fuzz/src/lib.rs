//! Bodies of the fuzz targets: functions that take any bytes at all and panic when a promise is broken.
//!
//! The programs in `fuzz_targets` hand them what libFuzzer makes up; `tests/tests/fuzz_corpus.rs` in the main workspace
//! hands them what is in `corpus`, on a stable toolchain.

pub mod codec;
pub mod handshake;
pub mod router;
pub mod seeds;

pub use codec::{decode, roundtrip, transcode};
pub use handshake::handshake;
pub use router::{model, neighbours, router_ops};
pub use wampd_wire::fuzz::{proxy, rawsocket, server, websocket};

/// A fuzz target: its name, which is also that of its directory in `corpus`, and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every fuzz target.
pub const TARGETS: &[Target] = &[
    ("decode", decode),
    ("roundtrip", roundtrip),
    ("transcode", transcode),
    ("handshake", handshake),
    ("router_ops", router_ops),
    ("model", model),
    ("neighbours", neighbours),
    ("websocket", websocket),
    ("rawsocket", rawsocket),
    ("server", server),
    ("proxy", proxy),
];
