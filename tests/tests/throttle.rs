//! Publishers that are faster than their subscribers (the realm's `throttle_publishers`).

use core::time::Duration;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::message::{Payload, PublishOptions, SubscribeOptions};
use wampd_core::router::{CloseReason, Congestion, RouterConfig};
use wampd_core::uri::Uri;
use wampd_core::value::Value;
use wampd_tests::answerer::{REALM, everybody};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::sim::{EndId, Sim, Told};

const TOPIC: Uri = Uri::from_static("com.example.topic");
const WAIT: Duration = Duration::from_millis(20);
const BOUND: usize = 100_000;

/// A publisher, and subscribers of what it publishes.
fn world(throttle: Option<Duration>, subscribers: usize) -> (Sim, EndId, Vec<EndId>) {
    let mut config: RouterConfig = open_realm();
    config.realms[0].throttle_publishers = throttle;
    let mut sim = Sim::new(1, config, Duration::ZERO, everybody(ANYTHING));
    let join = |sim: &mut Sim| sim.client(ClientConfig::anonymous(REALM), Wire::Messages);
    let publisher = join(&mut sim);
    let subscribers: Vec<EndId> = (0..subscribers).map(|_| join(&mut sim)).collect();
    sim.events();
    for &id in &subscribers {
        sim.act(id, |client, now| client.subscribe(now, TOPIC, SubscribeOptions::default())).expect("joined");
    }
    sim.events();
    (sim, publisher, subscribers)
}

fn publish(sim: &mut Sim, id: EndId, numbers: core::ops::Range<u64>) {
    for n in numbers {
        let payload = Payload::from_args([Value::from(n)]);
        sim.act(id, |client, now| client.publish(now, TOPIC, PublishOptions::default(), payload)).expect("joined");
    }
}

/// What one end receives until nothing happens any more, and when.
fn received(sim: &mut Sim, by: EndId) -> Vec<(u64, Duration)> {
    let (began, mut events) = (sim.now, Vec::new());
    sim.run(BOUND, |sim, id, told| {
        if let Told::Event(ClientEvent::Event { payload, .. }) = told
            && id == by
        {
            let number = payload.values().expect("values").0[0].as_u64().expect("a number");
            events.push((number, sim.now.since(began)));
        }
    });
    events
}

#[test]
fn a_publisher_waits_for_a_congested_subscriber_and_loses_nothing() {
    let (mut sim, publisher, subscribers) = world(Some(WAIT), 3);
    publish(&mut sim, publisher, 0..3);
    let at_once: Vec<_> = (0..3).map(|n| (n, Duration::ZERO)).collect();
    assert_eq!(received(&mut sim, subscribers[0]), at_once, "nobody is congested");
    sim.congest(subscribers[1], Congestion::Soft);
    publish(&mut sim, publisher, 3..6);
    let slowed: Vec<_> = (0..3).map(|n| (3 + u64::from(n), WAIT * n)).collect();
    assert_eq!(received(&mut sim, subscribers[0]), slowed, "one publication in the time, and all of them");
    assert_eq!(sim.router.stats().publishers_throttled, 3);
    sim.congest(subscribers[1], Congestion::Clear);
    publish(&mut sim, publisher, 6..9);
    assert_eq!(received(&mut sim, subscribers[0]).last(), Some(&(8, Duration::ZERO)));
    assert_eq!(sim.router.stats().publishers_throttled, 3);
    assert_eq!(sim.router.stats().timers, 0);
}

#[test]
fn nobody_waits_for_others_than_the_own_subscribers() {
    let (mut sim, publisher, subscribers) = world(Some(WAIT), 2);
    sim.congest(subscribers[0], Congestion::Soft);
    let payload = Payload::empty();
    sim.act(publisher, |client, now| {
        client.publish(now, "com.example.other".into(), PublishOptions::default(), payload).expect("joined")
    });
    sim.events();
    assert_eq!(sim.router.stats().publishers_throttled, 0);
    publish(&mut sim, publisher, 0..1);
    sim.step();
    assert_eq!(sim.router.stats().publishers_throttled, 1);
    let key = sim.peer(publisher).expect("attached");
    assert!(!sim.router.wants_input(key));
    // A publisher that is gone leaves no timer behind.
    sim.cut(publisher);
    sim.events();
    assert_eq!((sim.router.stats().sessions, sim.router.stats().timers), (2, 0));
}

#[test]
fn by_default_publishers_never_wait() {
    let (mut sim, publisher, subscribers) = world(None, 2);
    sim.congest(subscribers[0], Congestion::Soft);
    publish(&mut sim, publisher, 0..100);
    let events = received(&mut sim, subscribers[1]);
    assert_eq!((events.len(), events.last().expect("some").1), (100, Duration::ZERO));
    sim.congest(subscribers[0], Congestion::Hard);
    assert_eq!(sim.closed, [(subscribers[0], CloseReason::SlowConsumer)]);
    assert_eq!((sim.router.stats().slow_consumers, sim.router.stats().publishers_throttled), (1, 0));
}
