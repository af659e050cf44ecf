//! Operations on a router with several peers.

use wampd_tests::ops::play;

/// See [`play`]. Long inputs are cut off: they find nothing that several short ones do not, and take their time.
pub fn router_ops(data: &[u8]) {
    play(&data[..data.len().min(2_000)], |_, _, _| ());
}
