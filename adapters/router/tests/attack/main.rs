//! Attacks from outside, each against the real binary on loopback.
//!
//! A test states what the attacker sends, then checks what the others notice: a [`harness::Bystander`] counts the
//! answers that another session gets meanwhile, and [`harness::Router::memory`] reads what the process holds. No test
//! decides by time alone. `SECURITY.md` names the test of each threat.

mod accounts;
mod files;
#[path = "../support/folder.rs"]
mod folder;
mod harness;
mod links;
mod log;
mod login;
mod memory;
mod neighbours;
mod processes;
mod proxies;
mod retained;
mod time;
#[path = "../support/websocket.rs"]
mod websocket;
