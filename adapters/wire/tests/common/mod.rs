//! What several test files share.

#![allow(dead_code)] // not every file uses all of it
#![allow(unreachable_pub)] // a module of each test, not an interface

use std::sync::Arc;

use bytes::BytesMut;
use rand_core::{TryRng, utils};
use wampd_core::time::Instant;
use wampd_wire::{Connection, Incoming, ServerOptions, Subprotocol, TransportError, UpgradeOptions, WebSocketOptions};

/// The moment at which tests without a clock happen.
pub const NOW: Instant = Instant::ZERO;

/// Seconds after [`NOW`].
pub fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

/// A small generator (SplitMix64); only tests may use one this weak.
pub struct TestRng(pub u64);

impl TryRng for TestRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(z ^ z >> 31)
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
        utils::fill_bytes_via_next_word(dst, || self.try_next_u64())
    }
}

/// An upgrade request with these lines before the empty one.
pub fn upgrade_with(lines: &[&str]) -> String {
    let mut head = "GET /ws?x=1 HTTP/1.1\r\n".to_owned();
    for line in lines {
        head.extend([line, "\r\n"]);
    }
    head + "\r\n"
}

/// The header lines of a good upgrade request, without a subprotocol.
pub const UPGRADE: [&str; 5] = [
    "Host: localhost",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// An open WebSocket of a server.
pub fn open_websocket(subprotocol: Subprotocol, options: WebSocketOptions) -> Connection {
    let mut server = Connection::new(Arc::new(ServerOptions::default()), NOW);
    let offer = format!("Sec-WebSocket-Protocol: {}", subprotocol.token());
    let head = upgrade_with(&[&UPGRADE[..], &[&offer]].concat());
    let mut out = Vec::new();
    let Ok(Some(Incoming::Http(request))) = server.next(NOW, &mut BytesMut::from(head.as_str()), &mut out) else {
        panic!("no request");
    };
    let options = UpgradeOptions { websocket: Arc::new(options), ..UpgradeOptions::default() };
    server.accept_websocket(NOW, &request, &options, &mut out).unwrap();
    assert!(out.starts_with(b"HTTP/1.1 101 "));
    server
}

/// All that comes out of these bytes, up to an error, and the replies.
pub fn feed(server: &mut Connection, bytes: &[u8]) -> (Vec<Incoming>, Option<TransportError>, Vec<u8>) {
    let (mut input, mut out, mut all) = (BytesMut::from(bytes), Vec::new(), Vec::new());
    loop {
        match server.next(NOW, &mut input, &mut out) {
            Ok(Some(incoming)) => all.push(incoming),
            Ok(None) => return (all, None, out),
            Err(error) => return (all, Some(error), out),
        }
    }
}
