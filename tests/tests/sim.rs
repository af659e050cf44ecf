//! Whole worlds from seeds: see [`wampd_tests::script`] for what is checked in them.
//!
//! `WAMPD_SEEDS=from..to` runs other seeds than the usual ones.

use wampd_tests::link::Wire;
use wampd_tests::rng::seeds;
use wampd_tests::script::{Script, run};

/// Runs the worlds; names the seed of one that fails.
fn run_all(usual: core::ops::Range<u64>, script: impl Fn(u64) -> Script) -> wampd_core::router::RouterStats {
    let mut total = wampd_core::router::RouterStats::default();
    for seed in seeds(usual) {
        let script = script(seed);
        let done = std::panic::catch_unwind(|| run(script).router.stats());
        let stats = done.unwrap_or_else(|_| panic!("{script:?}"));
        total.joined += stats.joined;
        total.events += stats.events;
        total.calls += stats.calls;
        total.late_answers += stats.late_answers;
        total.refused += stats.refused;
        total.slow_consumers += stats.slow_consumers;
        total.denied += stats.denied;
        total.stale_decisions += stats.stale_decisions;
    }
    total
}

#[test]
fn worlds_in_which_everything_goes_wrong() {
    let total =
        run_all(0..350, |seed| Script { seed, clients: 2 + seed as usize % 5, acts: 250, faults: true, wire: None });
    // The worlds would prove little if nothing happened in them.
    assert!(total.joined > 1_500 && total.refused > 500 && total.events > 4_000 && total.calls > 2_500, "{total:?}");
    assert!(total.late_answers > 500 && total.slow_consumers > 100, "{total:?}");
    assert!(total.denied > 100 && total.stale_decisions > 500, "{total:?}");
}

#[test]
fn worlds_in_which_nothing_goes_wrong() {
    let total = run_all(0..100, |seed| Script { seed, clients: 4, acts: 300, faults: false, wire: None });
    assert!(total.events > 10_000 && total.calls > 2_000, "{total:?}");
}

#[test]
fn worlds_of_messages() {
    run_all(1_000..1_200, |seed| Script { seed, clients: 6, acts: 400, faults: true, wire: Some(Wire::Messages) });
}
