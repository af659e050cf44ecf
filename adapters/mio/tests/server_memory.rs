//! What peers make a server hold, before they have joined a session and afterwards.

mod support;

use std::io::Write;

use support::{
    peer::{Peer, Socket, Transport},
    server::{TestServer, open_server},
};
use wampd_core::{client::ClientConfig, message::Message, uri::error};
use wampd_mio::{Endpoint, ServerConfig, ServerLimits};

fn with_limits(limits: ServerLimits) -> TestServer {
    TestServer::start(ServerConfig { limits, ..open_server() })
}

/// A RawSocket that has said no HELLO, with this much of a message of this length.
fn unfinished(endpoint: &Endpoint, announced: u32, sent: usize) -> Socket {
    let mut socket = Socket::connect(endpoint);
    socket.write_all(b"\x7f\xf1\0\0").expect("sent");
    socket.read_bytes(4);
    socket.write_all(&announced.to_be_bytes()).expect("sent");
    socket.write_all(&vec![b' '; sent]).expect("sent");
    socket
}

/// The header of a message of one frame, as a client sends it, and as much of the message.
fn frame_of(transport: Transport, len: u32, sent: usize) -> Vec<u8> {
    match transport {
        Transport::RawSocket(..) => [&len.to_be_bytes()[..], &vec![b' '; sent]].concat(),
        Transport::WebSocket(_) => [
            &[0x82 - u8::from(transport == Transport::JSON), 0xff, 0, 0, 0, 0],
            &len.to_be_bytes()[..],
            &[0; 4],
            &vec![b' '; sent],
        ]
        .concat(),
    }
}

#[test]
fn a_peer_that_has_not_joined_is_told_that_its_message_is_too_long() {
    let server = with_limits(ServerLimits::default());
    let mut told = 0;
    for transport in [Transport::JSON, Transport::RAW_CBOR] {
        let mut peer = Peer::open(server.endpoint(), transport, ClientConfig::anonymous(support::server::REALM));
        peer.socket.write_all(&frame_of(transport, 65_537, 0)).expect("sent");
        peer.on_message(|message| {
            let Message::Abort(abort) = message else { panic!("{message:?}") };
            assert_eq!(abort.reason, error::PAYLOAD_SIZE_EXCEEDED);
            told += 1;
        });
        drop(peer);
        let closed = server.fact("closed");
        assert!(closed.contains("65537 bytes exceeds the limit of 65536 bytes before a session is joined"), "{closed}");
    }
    assert_eq!(told, 2);
    server.wait_until("counted", |(server, _)| server.too_long_before_join == 2 && server.memory_before_join == 0);
    // Not so afterwards.
    for transport in [Transport::JSON, Transport::RAW_CBOR] {
        let mut peer = Peer::join(server.endpoint(), transport);
        peer.socket.write_all(&frame_of(transport, 8 << 20, 100_000)).expect("sent");
        server.wait_until("held", |(server, _)| server.receive_memory >= 100_000 && server.memory_before_join == 0);
        drop(peer);
        server.wait_until("given back", |(server, _)| server.receive_memory == 0);
    }
}

#[test]
fn memory_of_strangers_is_taken_from_those_who_connected_first_and_hold_some() {
    let max_memory_before_join = 256 << 10;
    let server = with_limits(ServerLimits { max_memory_before_join, ..ServerLimits::default() });
    let mut joined = Peer::join(server.endpoint(), Transport::JSON);
    // It holds nothing, so nothing is gained by dropping it.
    let mut silent = Peer::open(server.endpoint(), Transport::JSON, ClientConfig::anonymous(support::server::REALM));
    let mut greedy = Vec::new();
    for n in 1..=10 {
        greedy.push(unfinished(server.endpoint(), 60_000, 59_999));
        let (stats, _) = server.wait_until("held or dropped", |(server, _)| {
            server.memory_dropped_before_join + server.memory_before_join as u64 / 59_999 >= n
        });
        assert!(stats.memory_before_join <= max_memory_before_join, "{stats:?}");
    }
    let (stats, _) = server.counters();
    assert_eq!((stats.memory_dropped_before_join, stats.opening), (6, 5));
    for socket in &mut greedy[..6] {
        assert_eq!(socket.read_to_close(), b"");
    }
    assert!(server.fact("closed").contains("max_memory_before_join"));
    silent.client.connected(wampd_core::time::Instant::ZERO);
    assert!(silent.next_event().is_some());
    joined.register("com.example.still_there");
    drop(greedy);
    server.wait_until("given back", |(server, _)| server.memory_before_join == 0 && server.receive_memory == 0);
}

#[test]
fn receive_memory_is_taken_from_the_message_that_is_unfinished_for_longest() {
    let max_receive_memory = 1 << 20;
    let server = with_limits(ServerLimits { max_receive_memory, ..ServerLimits::default() });
    let mut stranger = unfinished(server.endpoint(), 60_000, 50_000);
    server.wait_until("held", |(server, _)| server.receive_memory >= 50_000);
    let mut peers = Vec::new();
    for n in 1..=4 {
        let mut peer = Peer::join(server.endpoint(), Transport::RAW_CBOR);
        peer.socket.write_all(&frame_of(Transport::RAW_CBOR, 300_000, 299_999)).expect("sent");
        let (stats, _) = server.wait_until("held", |(server, _)| {
            server.receive_memory_dropped.saturating_sub(1) + server.receive_memory as u64 / 299_999 >= n
        });
        assert!(stats.receive_memory <= max_receive_memory, "{stats:?}");
        peers.push(peer);
    }
    assert_eq!(server.counters().0.receive_memory_dropped, 2);
    // Who has not joined goes first.
    assert_eq!(stranger.read_to_close(), b"");
    peers[0].wait_closed();
    for peer in &mut peers[1..] {
        peer.socket.write_all(b"x").expect("sent");
        // It is no message of WAMP, but it is whole.
        assert!(peer.next_event().is_some());
    }
}

#[test]
fn a_stranger_that_reads_no_pongs_is_not_read_from_any_more() {
    let server = with_limits(ServerLimits::default());
    let mut socket = unfinished(server.endpoint(), 0x0100_0000, 0);
    let ping = [&0x0100_1000_u32.to_be_bytes()[..], &[0; 4_096]].concat();
    let Socket::Tcp(tcp) = &socket else { panic!("TCP") };
    tcp.set_nonblocking(true).expect("set");
    // Until the server takes no more and the system holds no more; far more than that, if it did.
    let (mut sent, mut refused) = (0, 0);
    while sent < 64 << 20 && refused < 200 {
        match socket.write(&ping) {
            // The rest of a ping that was cut is left out: what follows is then a ping of another length, or an error.
            Ok(len) if len == ping.len() => (sent, refused) = (sent + len, 0),
            Ok(_) => break,
            Err(_) => {
                refused += 1;
                std::thread::yield_now();
            }
        }
    }
    let (stats, _) = server.counters();
    assert!(stats.peak_pending < 256 << 10 && stats.memory_before_join < 256 << 10, "{stats:?}");
    assert!(sent < 64 << 20, "{sent} bytes of pings were read");
}
