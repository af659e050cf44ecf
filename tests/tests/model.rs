//! Random operations on a router, compared with a naive model of the specification: see [`wampd_tests::model`].
//!
//! `WAMPD_SEEDS=from..to` runs other seeds than the usual ones.

use std::panic::{AssertUnwindSafe, catch_unwind};
use wampd_tests::model::{Model, modelled};
use wampd_tests::ops::play;
use wampd_tests::rng::seeds;

#[test]
fn the_router_does_as_the_model_says() {
    let (mut followed, mut reached, seeds) = (0, [0; 7], seeds(0..2_000));
    for seed in seeds.clone() {
        let data = modelled(seed);
        let mut model = Model::new(data[0]);
        let stats =
            catch_unwind(AssertUnwindSafe(|| play(&data, |driver, input, seen| model.observe(driver, input, seen))));
        let stats = stats.unwrap_or_else(|_| panic!("seed {seed}"));
        let calls = [stats.calls, stats.calls_queued, stats.calls_held_back, stats.late_answers];
        let counters = calls.into_iter().chain([stats.joined, stats.events, stats.violations]);
        reached.iter_mut().zip(counters).for_each(|(total, count)| *total += count);
        followed += usize::from(model.follows());
    }
    // It would prove little if little happened.
    assert!(reached.iter().all(|&count| count > 200), "{reached:?}");
    let worlds = seeds.count();
    assert!(followed * 4 > worlds * 3, "followed {followed} of {worlds} to their end");
}
