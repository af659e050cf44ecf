//! Sessions that harm other sessions by being fast, slow or gone.

use super::harness::{Bystander, Raw, Router, config};
use serde_json::{Value, json};

/// Little may wait for one connection, so that an attack needs little: beside it there is what the system buffers.
fn narrow() -> Value {
    let mut config = config();
    config["wampd"]["limits"]["max_pending"] = json!(1 << 20);
    config
}

/// Registers a procedure.
fn register(session: &mut Raw, procedure: &str) {
    session.send(&json!([64, 1, {}, procedure]));
    assert_eq!(session.receive()[0], 65);
}

/// Sends calls of 64 KiB from a thread of its own, which the router makes wait; the answers are for the other half.
fn call_from_thread(caller: &Raw, procedure: &str, count: u64) -> std::thread::JoinHandle<()> {
    let mut writer = Raw(caller.0.try_clone().expect("a second handle"));
    let procedure = procedure.to_owned();
    std::thread::spawn(move || {
        let payload = "x".repeat(64 << 10);
        for request in 1..=count {
            writer.send(&json!([48, request, {}, procedure, [payload]]));
        }
    })
}

#[test]
fn a_caller_can_not_end_a_callee_by_calling_faster_than_it_reads() {
    const CALLS: u64 = 300; // 19 MiB: more than the router lets wait and the system buffers
    let router = Router::start(&narrow());
    let bystander = Bystander::join(router.port(1));
    let mut callee = Raw::join(router.port(1));
    register(&mut callee, "com.example.slow");
    let mut caller = Raw::join(router.port(1));
    let writer = call_from_thread(&caller, "com.example.slow", CALLS);
    // The callee takes its time: it does not read before the router has noticed.
    let line = router.wait_for_lines("peer does not keep up", 1);
    assert!(line["waiting"].as_u64() > Some(700 << 10) && line["limit"] == 1 << 20, "{line}");
    let ((), noticed) = bystander.during(|| {
        bystander.wait_for_answers(20);
        for _ in 0..CALLS {
            let invocation = callee.receive();
            assert_eq!(invocation[0], 68, "{invocation}");
            callee.send(&json!([70, invocation[1], {}, ["done"]]));
        }
    });
    let answers: Vec<u64> = (0..CALLS)
        .map(|_| {
            let result = caller.receive();
            assert_eq!((&result[0], &result[3][0]), (&json!(50), &json!("done")), "{result}");
            result[1].as_u64().expect("a request id")
        })
        .collect();
    assert_eq!(answers, (1..=CALLS).collect::<Vec<_>>(), "every call is answered by the callee, in order");
    writer.join().expect("all is sent");
    assert!(noticed.answers >= 20, "{noticed:?}");
    assert_eq!(router.lines("peer given up").len(), 0);
    assert!(router.memory().peak < 128 << 20, "{:?}", router.memory());
}

/// A publisher, one that subscribes and does not read, and one that reads at once.
struct Audience {
    router: Router,
    publisher: Raw,
    slow: Raw,
    quick: Raw,
}

const TOPIC: &str = "com.example.topic";
const EVENTS: u64 = 300; // of 64 KiB: more than the router lets wait and the system buffers

impl Audience {
    fn of(config: &Value) -> Self {
        let router = Router::start(config);
        let [publisher, mut slow, mut quick] = [(); 3].map(|()| Raw::join(router.port(1)));
        for session in [&mut slow, &mut quick] {
            session.send(&json!([32, 1, {}, TOPIC]));
            assert_eq!(session.receive()[0], 33);
        }
        Self { router, publisher, slow, quick }
    }

    /// Publishes, and waits until the one that reads has the event.
    fn publish(&mut self, number: u64, text: &str) {
        self.publisher.send(&json!([16, number, {"acknowledge": true}, TOPIC, [number, text]]));
        let published = self.publisher.receive();
        assert_eq!((&published[0], &published[1]), (&json!(17), &json!(number)), "{published}");
        let event = self.quick.receive();
        assert_eq!((&event[0], &event[4][0]), (&json!(36), &json!(number)), "in time and in order");
    }

    fn publish_all(&mut self) {
        let text = "x".repeat(64 << 10);
        (1..=EVENTS).for_each(|number| self.publish(number, &text));
    }
}

fn number_of(event: &Value) -> u64 {
    assert_eq!(event[0], 36, "{event}");
    event[4][0].as_u64().expect("a number")
}

#[test]
fn a_subscriber_that_does_not_read_misses_events_and_harms_nobody() {
    let mut audience = Audience::of(&narrow());
    audience.publish_all();
    let line = audience.router.wait_for_lines("peer does not keep up", 1);
    assert!(line["waiting"].as_u64() > Some(700 << 10) && line["limit"] == 1 << 20, "{line}");
    // It reads at last: what waited comes in order, and then whatever is published.
    let mut received = Vec::new();
    while audience.router.lines("messages left out for a peer that did not keep up").is_empty() {
        received.push(number_of(&audience.slow.receive()));
    }
    let line = audience.router.wait_for_lines("messages left out for a peer that did not keep up", 1);
    audience.publish(EVENTS + 1, "the last");
    while received.last() != Some(&(EVENTS + 1)) {
        received.push(number_of(&audience.slow.receive()));
    }
    assert!(received.is_sorted(), "{received:?}");
    assert_eq!(line["left_out"].as_u64(), Some(EVENTS + 1 - received.len() as u64), "every event missed is counted");
    assert_eq!(audience.router.lines("peer given up").len(), 0);
    assert!(audience.router.memory().peak < 128 << 20, "{:?}", audience.router.memory());
}

#[test]
fn publishers_wait_for_slow_subscribers_where_the_realm_wants_it() {
    let mut config = narrow();
    config["workers"][0]["realms"][0]["wampd"] = json!({"slow_subscribers": "wait", "throttle_publishers_ms": 1});
    let mut audience = Audience::of(&config);
    audience.publish_all();
    audience.router.wait_for_lines("peer does not keep up", 1);
    assert_eq!(audience.router.lines("peer given up").len(), 0);
}

#[test]
fn a_slow_subscriber_is_given_up_where_the_realm_wants_it() {
    let mut config = narrow();
    config["workers"][0]["realms"][0]["wampd"] = json!({"slow_subscribers": "close"});
    let mut audience = Audience::of(&config);
    audience.publish_all();
    let line = audience.router.wait_for_lines("peer given up", 1);
    assert!(line["waiting"].as_u64() > Some(896 << 10) && line["limit"] == 1 << 20, "{line}");
    audience.slow.receive_to_close();
}
