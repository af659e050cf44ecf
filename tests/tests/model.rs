//! Random operations on a router, compared with a naive model of the specification: see [`wampd_tests::model`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use wampd_tests::model::{Model, modelled};
use wampd_tests::ops::play;

#[test]
fn the_router_does_as_the_model_says() {
    let (mut followed, mut reached, worlds) = (0, [0; 6], 2_000);
    for seed in 0..worlds {
        let data = modelled(seed);
        let mut model = Model::new(data[0]);
        let stats =
            catch_unwind(AssertUnwindSafe(|| play(&data, |driver, input, seen| model.observe(driver, input, seen))));
        let stats = stats.unwrap_or_else(|_| panic!("seed {seed}"));
        let counters =
            [stats.joined, stats.events, stats.calls, stats.calls_queued, stats.late_answers, stats.violations];
        reached.iter_mut().zip(counters).for_each(|(total, count)| *total += count);
        followed += usize::from(model.follows());
    }
    // It would prove little if little happened.
    assert!(reached.iter().all(|&count| count > 1_000), "{reached:?}");
    assert!(followed * 4 > worlds as usize * 3, "followed {followed} of {worlds} to their end");
}
