//! Retained events of a realm, which one publisher must not take from the others.

use super::harness::{Raw, Router, config};
use serde_json::json;

#[test]
fn a_flood_of_retained_events_leaves_those_of_others_in_place() {
    let mut config = config();
    config["wampd"]["limits"] = json!({"max_retained_events": 2_000, "max_retained_per_publisher": 1_000});
    let router = Router::start(&config);
    let mut owner = Raw::join(router.port(1));
    let publish = |publisher: &mut Raw, request: u32, topic: String| {
        publisher.send(&json!([16, request, {"retain": true, "acknowledge": true}, topic]));
        assert_eq!(publisher.receive()[0], 17);
    };
    (0..20).for_each(|n| publish(&mut owner, n + 1, format!("com.owner.{n}")));
    let mut attacker = Raw::join(router.port(1));
    (0..2_100).for_each(|n| publish(&mut attacker, n + 1, format!("com.flood.{n}")));
    let mut late = Raw::join(router.port(1));
    for (request, topic, count) in [(1, "com.owner.", 20), (2, "com.flood.", 1_000)] {
        late.send(&json!([32, request * 2 - 1, {"match": "prefix", "get_retained": true}, topic]));
        assert_eq!(late.receive()[0], 33);
        late.send(&json!([48, request * 2, {}, "wamp.session.count"]));
        let events = std::iter::from_fn(|| Some(late.receive()).filter(|message| message[0] == 36)).count();
        assert_eq!(events, count, "{topic}");
    }
}
