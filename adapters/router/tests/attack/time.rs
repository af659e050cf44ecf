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

/// A router with small slices, whose role `user` may also end other sessions.
fn sliced() -> Router {
    let mut config = config();
    config["wampd"]["limits"]["work_slice"] = json!(4_096);
    let all = json!({"call": true, "register": true, "publish": true, "subscribe": true});
    let permissions = &mut config["workers"][0]["realms"][0]["roles"][0]["permissions"];
    permissions.as_array_mut().expect("a list").push(json!({"uri": "wamp.", "match": "prefix", "allow": all}));
    Router::start(&config)
}

/// A session that holds 100,000 subscriptions, and its id.
fn owner(router: &Router) -> (Raw, u64) {
    let mut owner = Raw::open(router.port(1), super::harness::JSON);
    let id = owner.hello()[1].as_u64().expect("WELCOME");
    for from in (0..100_000).step_by(1_000) {
        let topics: Vec<_> = (from..from + 1_000).map(|n| json!([32, n + 1, {}, format!("com.own{n}")])).collect();
        send_all(&mut owner, &topics, 33);
    }
    (owner, id)
}

/// A session that is told when another has left, and all that it held is released.
fn watcher(router: &Router) -> Raw {
    let mut watcher = Raw::join(router.port(1));
    watcher.send(&json!([32, 1, {}, "wamp.session.on_leave"]));
    assert_eq!(watcher.receive()[0], 33);
    watcher
}

#[test]
fn the_end_of_a_session_that_holds_much_leaves_others_their_turn() {
    let router = sliced();
    let bystander = Bystander::join(router.port(1));
    let mut watcher = watcher(&router);
    for how in ["GOODBYE", "lost", "killed"] {
        let (mut owner, id) = owner(&router);
        let ((), noticed) = bystander.during(|| {
            match how {
                "GOODBYE" => {
                    owner.send(&json!([6, {}, "wamp.close.close_realm"]));
                    assert_eq!(owner.receive()[0], 6);
                }
                "lost" => owner.0.shutdown(std::net::Shutdown::Both).expect("open"),
                _ => {
                    watcher.send(&json!([48, 2, {}, "wamp.session.kill", [id]]));
                    assert_eq!(watcher.receive()[0], 50);
                    assert_eq!(owner.receive()[0], 6);
                }
            }
            let left = watcher.receive();
            assert_eq!((&left[0], &left[4][0]), (&json!(36), &json!(id)), "{left}");
        });
        assert!(noticed.answers >= 6, "{how}: {noticed:?}");
    }
}

#[test]
fn events_for_very_many_are_made_up_for_by_their_publisher() {
    let router = sliced();
    let receivers: Vec<_> = (0..300)
        .map(|_| {
            let mut receiver = Raw::join(router.port(1));
            receiver.send(&json!([32, 1, {}, "com.wide"]));
            assert_eq!(receiver.receive()[0], 33);
            receiver
        })
        .collect();
    let mut publisher = Raw::join(router.port(1));
    let bystander = Bystander::join(router.port(1));
    // Each takes 600 units: a slice is used up by 7 of them.
    let publish = |n| json!([16, n, {"acknowledge": true}, "com.wide"]);
    let noticed = attacked(&bystander, &mut publisher, &(1..=400).map(publish).collect::<Vec<_>>(), 17);
    assert!(noticed.answers >= 400 / 7 / 4, "{noticed:?}");
    drop(receivers);
}
