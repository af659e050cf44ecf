//! How often the hot paths allocate: counted, not timed.
//!
//! A message that is decoded, routed and encoded again may allocate twice.

#[path = "../benches/rig/mod.rs"]
mod rig;

use allocation_counter::measure;
use rig::Rig;
use wampd_core::codec::Format;
use wampd_core::uri::MatchPolicy;

/// Messages measured, after as many for tables to grow to their size.
const COUNT: u64 = 1000;

/// The most allocations that one message may cost.
const LIMIT: u64 = 2;

fn per_message(what: &str, run: impl FnOnce()) {
    let info = measure(run);
    let each = info.count_total as f64 / COUNT as f64;
    println!("{what}: {each} allocations and {} bytes per message", info.bytes_total / COUNT);
    assert!(info.count_total <= LIMIT * COUNT, "{what}: {each} allocations per message");
}

#[test]
fn calls_and_results() {
    for format in Format::ALL {
        for len in [16, 4096] {
            let mut rig = Rig::new(format);
            let (caller, callee) = (rig.join(), rig.join());
            rig.register(callee, rig::PROCEDURE, MatchPolicy::Exact);
            let mut calls = rig::calls(format, 1..=2 * COUNT, len);
            let mut yields = rig::yields(format, 1..=2 * COUNT, len);
            let mut step = |rig: &mut Rig| {
                (0..COUNT).for_each(|_| rig.frame(caller, calls.pop_front().expect("made before")));
            };
            let mut answer = |rig: &mut Rig| {
                (0..COUNT).for_each(|_| rig.frame(callee, yields.pop_front().expect("made before")));
            };
            step(&mut rig);
            answer(&mut rig);
            per_message(&format!("{format:?}, {len} bytes, CALL to INVOCATION"), || step(&mut rig));
            per_message(&format!("{format:?}, {len} bytes, YIELD to RESULT"), || answer(&mut rig));
            assert_eq!(rig.sent as u64, 4 * COUNT, "all were routed");
        }
    }
}

#[test]
fn events() {
    for format in Format::ALL {
        for (len, subscribers) in [(16, 1), (16, 100), (4096, 100)] {
            let mut rig = Rig::new(format);
            let publisher = rig.join();
            for _ in 0..subscribers {
                let subscriber = rig.join();
                rig.subscribe(subscriber, rig::TOPIC, MatchPolicy::Exact);
            }
            let mut publishes = rig::publishes(format, 1..=2 * COUNT, len);
            let mut step = |rig: &mut Rig| {
                (0..COUNT).for_each(|_| rig.frame(publisher, publishes.pop_front().expect("made before")));
            };
            step(&mut rig);
            per_message(&format!("{format:?}, {len} bytes, PUBLISH to EVENT for {subscribers}"), || step(&mut rig));
            assert_eq!(rig.sent, 2 * COUNT as usize * subscribers, "all were routed");
        }
    }
}
