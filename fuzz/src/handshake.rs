//! Clients, authenticators and links that do anything, as the bytes decide.

use wampd_tests::feed::Feed;
use wampd_tests::handshake::{Agreement, Confusion};

/// See [`Agreement::check`] and [`Confusion::check`]; the first byte chooses.
pub fn handshake(data: &[u8]) {
    let mut feed = Feed::new(data);
    if feed.byte() & 1 == 0 {
        Agreement::read(&mut feed).check();
    } else {
        Confusion::read(&mut feed).check();
    }
}
