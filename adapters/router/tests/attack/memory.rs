//! Memory that strangers and sessions make the router hold.

mod decode;
mod sockets;

use super::harness::{Bystander, Raw, Router, config};

#[test]
fn bystander_gets_answers_while_strangers_connect_and_leave() {
    let mut router = Router::start(&config());
    let bystander = Bystander::join(router.port(1));
    let ((), noticed) = bystander.during(|| {
        for _ in 0..200 {
            drop(Raw::open(router.port(1), super::harness::JSON));
        }
    });
    assert!(noticed.answers > 0, "{noticed:?}");
    assert!(router.is_running());
    assert!(router.memory().peak < 128 << 20, "{:?}", router.memory());
}
