//! Routing, from frame to frame: `cargo bench -p wampd-core --bench route`.
//!
//! What a message costs must not depend on how many other registrations and subscriptions there are, and the end of a session
//! only on what it held. 0 and 100,000 others are compared: exact URIs, and patterns among them.

mod rig;

use divan::Bencher;
use std::cell::RefCell;
use wampd_core::codec::Format;
use wampd_core::uri::MatchPolicy;

const OTHERS: [usize; 2] = [0, 100_000];

const SAMPLES: u32 = 100;
const SAMPLE: u32 = 200;

/// Messages prepared: more than are measured, since what is measured is tried first.
const MESSAGES: u64 = 2 * SAMPLES as u64 * SAMPLE as u64;

fn main() {
    divan::main();
}

fn call(bencher: Bencher<'_, '_>, format: Format, others: usize) {
    let mut rig = rig::crowded(format, others);
    let (caller, callee) = (rig.join(), rig.join());
    rig.register(callee, rig::PROCEDURE, MatchPolicy::Exact);
    let calls = rig::calls(format, 1..=MESSAGES, 16);
    let mut frames = calls.into_iter().zip(rig::yields(format, 1..=MESSAGES, 16));
    bencher.bench_local(move || {
        let (call, answer) = frames.next().expect("enough were prepared");
        rig.frame(caller, call);
        rig.frame(callee, answer);
    });
}

fn publish(bencher: Bencher<'_, '_>, format: Format, others: usize) {
    let mut rig = rig::crowded(format, others);
    let (publisher, subscriber) = (rig.join(), rig.join());
    rig.subscribe(subscriber, rig::TOPIC, MatchPolicy::Exact);
    let mut frames = rig::publishes(format, 1..=MESSAGES, 16).into_iter();
    bencher.bench_local(move || rig.frame(publisher, frames.next().expect("enough were prepared")));
}

macro_rules! formats {
    ($($name:ident $format:ident;)*) => {$(
        mod $name {
            use super::*;

            #[divan::bench(args = OTHERS, sample_count = SAMPLES, sample_size = SAMPLE)]
            fn call_to_result(bencher: Bencher<'_, '_>, others: usize) {
                call(bencher, Format::$format, others);
            }

            #[divan::bench(args = OTHERS, sample_count = SAMPLES, sample_size = SAMPLE)]
            fn publish_to_event(bencher: Bencher<'_, '_>, others: usize) {
                publish(bencher, Format::$format, others);
            }
        }
    )*};
}

formats! {
    json Json;
    cbor Cbor;
    msgpack MsgPack;
}

/// The end of a session with 100 subscriptions and 100 registrations.
#[divan::bench(args = OTHERS)]
fn disconnect(bencher: Bencher<'_, '_>, others: usize) {
    let rig = RefCell::new(rig::crowded(Format::Json, others));
    let leaving = || {
        let rig = &mut *rig.borrow_mut();
        let peer = rig.join();
        rig::hold(rig, peer, others..others + 100);
        peer
    };
    bencher.with_inputs(leaving).bench_local_values(|peer| rig.borrow_mut().leave(peer));
}
