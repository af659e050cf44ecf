//! How often the server allocates, from socket to socket: counted, not timed.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use allocation_counter::measure;
use support::{
    peer::{Peer, Transport},
    server::{anybody, open_server},
};
use wampd_core::{
    message::Payload,
    router::{AuthRequest, AuthVerdict},
    value::Value,
};
use wampd_mio::{Context, Host, HttpAction, HttpPeer, Server};
use wampd_wire::{HttpRequest, Subprotocol};

/// Lets everybody in.
struct Open;

impl Host for Open {
    fn authenticate(&mut self, request: &AuthRequest, _: &mut Context<'_>) -> Option<AuthVerdict> {
        Some(AuthVerdict::Welcome(anybody(request)))
    }

    fn http(&mut self, _: &HttpRequest, _: &HttpPeer) -> HttpAction {
        HttpAction::websocket(Arc::default(), 0)
    }
}

const CALLS: u64 = 100;

/// Turns until `flag` is set.
fn serve_until(server: &mut Server, flag: &AtomicBool) {
    while !flag.load(Ordering::SeqCst) {
        server.turn(&mut Open, Some(Duration::from_millis(1))).expect("turn");
    }
}

/// Allocations of the server's thread for each call with arguments of this length, and the bytes of them: CALL and YIELD in,
/// INVOCATION and RESULT out.
fn per_call(transport: Transport, len: usize) -> (f64, f64) {
    let mut server = Server::bind(open_server()).expect("bind");
    let endpoint = server.endpoints()[0].clone();
    let [warm, begun, done] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
    let flags = [&warm, &begun, &done].map(Arc::clone);
    let clients = std::thread::spawn(move || {
        let [warm, begun, done] = flags;
        let mut callee = Peer::join(&endpoint, transport);
        let mut caller = Peer::join(&endpoint, transport);
        callee.register("com.example.echo");
        let payload = Payload::from_args([Value::from("x".repeat(len))]);
        for n in 0..2 * CALLS {
            if n == CALLS {
                warm.store(true, Ordering::SeqCst);
                while !begun.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            }
            let call = caller.call("com.example.echo", payload.clone());
            let (invocation, payload) = callee.invocation();
            callee.yield_result(invocation, payload);
            assert!(caller.answer(call).is_ok());
        }
        done.store(true, Ordering::SeqCst);
        (callee, caller)
    });
    serve_until(&mut server, &warm);
    let info = measure(|| {
        begun.store(true, Ordering::SeqCst);
        serve_until(&mut server, &done);
    });
    clients.join().expect("the clients");
    (info.count_total as f64 / CALLS as f64, info.bytes_total as f64 / CALLS as f64)
}

#[test]
fn a_message_is_received_routed_and_sent_with_two_allocations_at_most() {
    for transport in [Transport::JSON, Transport::WebSocket(Subprotocol::MsgPackBatched), Transport::RAW_CBOR] {
        for len in [16, 4096, 20_000] {
            let (allocations, _) = per_call(transport, len);
            println!("{transport:?}, {len} bytes: {allocations} allocations per call");
            assert!(allocations <= 4.0, "{transport:?}, {len} bytes: {allocations} for the two messages of a call");
        }
    }
}

/// What is copied is copied into memory that is allocated for it: of a payload that does not fit in what is read at once, the
/// pieces are put together once, for which memory grows once at most. One that does fit is sent from where it was read to.
#[test]
fn a_payload_is_copied_once_at_most() {
    for transport in [Transport::JSON, Transport::WebSocket(Subprotocol::MsgPackBatched), Transport::RAW_CBOR] {
        for len in [4096, 1 << 20] {
            let (_, bytes) = per_call(transport, len);
            let copies = bytes / (2 * len) as f64;
            println!("{transport:?}, {len} bytes: {copies:.3} times the payload allocated for each message");
            assert!(copies <= 1.3, "{transport:?}, {len} bytes: {copies} times the payload for each message");
        }
    }
}
