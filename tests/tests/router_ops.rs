//! Random operations on a router: see [`wampd_tests::ops`] for what they are, [`wampd_tests::driver`] and
//! [`wampd_tests::books`] for what is checked after each.
//!
//! `WAMPD_SEEDS=from..to` runs other seeds than the usual ones.

use wampd_core::router::RouterStats;
use wampd_tests::ops::{Op, play, play_with_jumps, random};
use wampd_tests::rng::seeds;

fn outcome(data: &[u8]) -> Option<RouterStats> {
    std::panic::catch_unwind(|| play(data, |_, _, _| ())).ok()
}

/// Leaves out operations as long as it still fails.
fn shrunk(mut data: Vec<u8>) -> Vec<u8> {
    std::panic::set_hook(Box::new(|_| ()));
    let mut at = data.len() - 4;
    while at > 0 {
        let mut shorter = data.clone();
        shorter.drain(at..at + 4);
        if outcome(&shorter).is_none() {
            data = shorter;
        }
        at = at.saturating_sub(4);
    }
    drop(std::panic::take_hook());
    data
}

#[test]
fn nothing_shakes_the_router() {
    let mut reached = [0; 13];
    for seed in seeds(0..2_000) {
        let data = random(seed);
        let Some(stats) = outcome(&data) else {
            let data = shrunk(data);
            let ops: Vec<_> = data[1..].as_chunks::<4>().0.iter().map(|op| format!("{:?}", Op::read(*op))).collect();
            eprintln!("seed {seed}, configuration {}:\n{}", data[0], ops.join("\n"));
            play(&data, |_, input, seen| eprintln!("{input:?}\n    {seen:?}"));
            unreachable!("it fails");
        };
        let counters = [
            stats.joined,
            stats.refused,
            stats.violations,
            stats.timeouts,
            stats.slow_consumers,
            stats.joining_dropped,
            stats.events,
            stats.calls,
            stats.late_answers,
            stats.undeliverable,
            stats.denied,
            stats.limited,
            stats.stale_decisions,
        ];
        reached.iter_mut().zip(counters).for_each(|(total, count)| *total += count);
    }
    // It would prove little if it did not go everywhere, often.
    assert!(reached.iter().all(|&count| count > 60), "{reached:?}");
}

/// An adapter must not let time go back. One that does, or whose clock runs ahead for weeks, gets wrong timeouts, and nothing
/// worse: no panic, no broken books, and sessions that come and go as before.
#[test]
fn a_clock_that_jumps_breaks_nothing() {
    let (mut joined, mut calls) = (0, 0);
    for seed in seeds(0..1_000) {
        let stats = play_with_jumps(&random(seed), seed);
        joined += stats.joined;
        calls += stats.calls;
    }
    assert!(joined > 1_000 && calls > 1_000, "{joined} joined, {calls} calls");
}
