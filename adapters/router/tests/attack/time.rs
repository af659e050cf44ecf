//! Work that one peer makes the router do while others wait.
//!
//! Each test sends much work at once and counts the bystander's answers until the last answer to the attack. A router
//! that does all of the work in one turn gives the bystander one or two.

use super::harness::{Bystander, Noticed, Raw, Router, config};
use serde_json::{Value, json};

/// Sends messages at once, and reads until an answer of type `last` has come for each, or an ERROR.
fn send_all(attacker: &mut Raw, messages: &[Value], last: u8) {
    let mut bytes = Vec::new();
    for message in messages {
        let message = message.to_string();
        bytes.extend_from_slice(&u32::try_from(message.len()).expect("short").to_be_bytes());
        bytes.extend_from_slice(message.as_bytes());
    }
    std::io::Write::write_all(&mut attacker.0, &bytes).expect("sent");
    let (answer, error) = (format!("[{last},"), "[8,");
    let mut answers = 0;
    while answers < messages.len() {
        let message = attacker.try_receive_bytes().expect("an answer");
        answers += usize::from(message.starts_with(answer.as_bytes()) || message.starts_with(error.as_bytes()));
    }
}

fn attacked(bystander: &Bystander, attacker: &mut Raw, messages: &[Value], last: u8) -> Noticed {
    bystander.during(|| send_all(attacker, messages, last)).1
}

#[test]
fn long_lists_are_made_in_pieces_between_which_others_are_served() {
    let router = Router::start(&config());
    let mut attacker = Raw::join(router.port(1));
    for from in (0..20_000).step_by(1_000) {
        let topics: Vec<_> = (from..from + 1_000).map(|n| json!([32, n + 1, {}, format!("com.own{n}")])).collect();
        send_all(&mut attacker, &topics, 33);
    }
    let bystander = Bystander::join(router.port(1));
    let calls: Vec<_> = (0..60).map(|n| json!([48, 20_001 + n, {}, "wamp.subscription.list"])).collect();
    let noticed = attacked(&bystander, &mut attacker, &calls, 50);
    assert!(noticed.answers >= 6, "{noticed:?}");
}

#[test]
fn searches_for_retained_events_leave_others_their_turn() {
    let router = Router::start(&config());
    let mut publisher = Raw::join(router.port(1));
    for from in (0..10_000).step_by(1_000) {
        let events: Vec<_> = (from..from + 1_000)
            .map(|n| json!([16, n + 1, {"retain": true, "acknowledge": true, "eligible": [1]}, format!("com.kept{n}")]))
            .collect();
        send_all(&mut publisher, &events, 17);
    }
    let mut attacker = Raw::join(router.port(1));
    let bystander = Bystander::join(router.port(1));
    let subscribe = |n| json!([32, n, {"match": "prefix", "get_retained": true}, "com."]);
    let noticed = attacked(&bystander, &mut attacker, &(1..=100).map(subscribe).collect::<Vec<_>>(), 33);
    assert!(noticed.answers >= 6, "{noticed:?}");
}
