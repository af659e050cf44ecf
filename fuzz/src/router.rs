//! Operations on a router with several peers.

use wampd_tests::model::{Model, tamed};
use wampd_tests::ops::play;

/// Longer inputs are cut off: they find nothing that several short ones do not, and take their time.
const LONGEST: usize = 2_000;

/// See [`play`].
pub fn router_ops(data: &[u8]) {
    play(&data[..data.len().min(LONGEST)], |_, _, _| ());
}

/// See [`Model`].
pub fn model(data: &[u8]) {
    let data = tamed(&data[..data.len().min(LONGEST)]);
    let mut model = Model::new(data.first().copied().unwrap_or_default());
    play(&data, |driver, input, seen| model.observe(driver, input, seen));
}

/// See [`annoy`](wampd_tests::neighbours::annoy).
pub fn neighbours(data: &[u8]) {
    wampd_tests::neighbours::annoy(&data[..data.len().min(LONGEST)]);
}
