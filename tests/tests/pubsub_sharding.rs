//! Subscribers that share a topic's events by resource key (spec: "Sharded Subscription").

use std::collections::{BTreeMap, BTreeSet};
use wampd_core::client::ClientEvent;
use wampd_core::message::{Audience, PublishOptions, SubscribeOptions};
use wampd_core::router::{Limits, RouterConfig};
use wampd_core::uri::MatchPolicy::{Exact, Wildcard};
use wampd_core::uri::{Uri, close, error};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::pubsub::{get_retained, join, join_on, publish, retain, subscribe, world};
use wampd_tests::sim::{EndId, Sim};

const KEYS: u64 = 60;

fn node(nkey: &str) -> SubscribeOptions {
    SubscribeOptions { nkey: Some(nkey.to_owned()), ..SubscribeOptions::default() }
}

fn keyed(n: u64) -> PublishOptions {
    PublishOptions { rkey: Some(format!("sn{n}")), ..PublishOptions::default() }
}

/// Who receives the event with each resource key.
fn receivers(sim: &mut Sim, publisher: EndId) -> BTreeMap<u64, BTreeSet<EndId>> {
    (0..KEYS)
        .map(|n| (n, publish(sim, publisher, "com.x", keyed(n), n).iter().map(|event| event.who).collect()))
        .collect()
}

#[test]
fn an_event_with_a_resource_key_reaches_one_node_always_the_same() {
    let mut sim = world(open_realm());
    let publisher = join(&mut sim, "paul", ANYTHING);
    let nodes = Wire::ALL.map(|wire| join_on(&mut sim, "node", ANYTHING, wire));
    let ids: BTreeSet<_> =
        nodes.iter().zip(0..).map(|(id, n)| subscribe(&mut sim, *id, "com.x", node(&format!("node{n}"))).0).collect();
    assert_eq!(ids.len(), 1, "one subscription");
    let whole = join(&mut sim, "whole", ANYTHING);
    subscribe(&mut sim, whole, "com.x", SubscribeOptions::default());
    let first = receivers(&mut sim, publisher);
    for reached in first.values() {
        assert!(reached.len() == 2 && reached.contains(&whole), "one node, and who did not give a key: {reached:?}");
    }
    let reached: BTreeSet<_> = first.values().flatten().collect();
    assert_eq!(reached.len(), nodes.len() + 1, "every node has a share");
    assert_eq!(receivers(&mut sim, publisher), first);
    let all = publish(&mut sim, publisher, "com.x", PublishOptions::default(), 1);
    assert_eq!(all.len(), nodes.len() + 1, "without a resource key it reaches everybody");
}

#[test]
fn only_the_keys_of_a_node_that_goes_move() {
    let mut sim = world(open_realm());
    let publisher = join(&mut sim, "paul", ANYTHING);
    let nodes = ["a", "b", "c"].map(|name| {
        let id = join(&mut sim, name, ANYTHING);
        subscribe(&mut sim, id, "com.x", node(name));
        id
    });
    let before = receivers(&mut sim, publisher);
    sim.act(nodes[0], |client, now| client.leave(now, close::NORMAL));
    sim.events();
    let without = receivers(&mut sim, publisher);
    for (n, reached) in &before {
        assert!(reached.contains(&nodes[0]) || without[n] == *reached, "{n}");
    }
    let again = join(&mut sim, "a", ANYTHING);
    subscribe(&mut sim, again, "com.x", node("a"));
    let after = receivers(&mut sim, publisher);
    let renamed = |id: &EndId| if *id == nodes[0] { again } else { *id };
    assert!(before.iter().all(|(n, reached)| after[n] == reached.iter().map(renamed).collect()), "its keys come back");
}

#[test]
fn sessions_of_one_node_receive_the_same_events() {
    let mut sim = world(open_realm());
    let publisher = join(&mut sim, "paul", ANYTHING);
    let [a, b, other] = ["a", "a", "b"].map(|name| {
        let id = join(&mut sim, name, ANYTHING);
        subscribe(&mut sim, id, "com.x", node(name));
        id
    });
    for reached in receivers(&mut sim, publisher).values() {
        assert!(*reached == [a, b].into() || *reached == [other].into(), "{reached:?}");
    }
}

#[test]
fn an_audience_never_sends_an_event_to_another_node() {
    let mut sim = world(open_realm());
    let publisher = join(&mut sim, "paul", ANYTHING);
    let nodes = ["a", "b"].map(|name| {
        let id = join(&mut sim, name, ANYTHING);
        subscribe(&mut sim, id, "com.x", node(name));
        id
    });
    let free = receivers(&mut sim, publisher);
    let session = sim.session(nodes[0]).session;
    let name = || Some(vec!["a".to_owned()]);
    for audience in [
        Audience { eligible: Some(vec![session]), ..Audience::default() },
        Audience { eligible_authid: name(), ..Audience::default() },
    ] {
        for n in 0..KEYS {
            let options = PublishOptions { audience: Some(Box::new(audience.clone())), ..keyed(n) };
            let reached: Vec<_> = publish(&mut sim, publisher, "com.x", options, n).iter().map(|e| e.who).collect();
            let expected: Vec<_> = free[&n].iter().copied().filter(|id| *id == nodes[0]).collect();
            assert_eq!(reached, expected, "{audience:?}");
        }
    }
}

#[test]
fn a_node_key_can_be_changed_by_subscribing_again() {
    let mut sim = world(open_realm());
    let publisher = join(&mut sim, "paul", ANYTHING);
    let [a, b] = ["a", "b"].map(|name| join(&mut sim, name, ANYTHING));
    let (subscription, _) = subscribe(&mut sim, a, "com.x", node("one"));
    subscribe(&mut sim, b, "com.x", node("two"));
    let share = |sim: &mut Sim| receivers(sim, publisher).values().filter(|reached| reached.contains(&a)).count();
    let one_of_two = share(&mut sim);
    assert!((10..50).contains(&one_of_two), "{one_of_two}");
    assert_eq!(subscribe(&mut sim, a, "com.x", node("two")).0, subscription);
    assert_eq!(share(&mut sim), 60, "both are one node");
    assert_eq!(subscribe(&mut sim, a, "com.x", SubscribeOptions::default()).0, subscription);
    subscribe(&mut sim, b, "com.x", node("one"));
    assert_eq!(share(&mut sim), 60, "on its own");
    let request = sim.act(a, |client, now| client.unsubscribe(now, subscription)).expect("joined");
    assert_eq!(sim.events(), [(a, ClientEvent::Unsubscribed { request })]);
    assert_eq!(share(&mut sim), 0);
}

#[test]
fn a_node_gets_the_retained_events_of_its_keys() {
    let mut sim = world(open_realm());
    let publisher = join(&mut sim, "paul", ANYTHING);
    for n in 0..KEYS {
        let options = PublishOptions { retain: true, ..keyed(n) };
        publish(&mut sim, publisher, &format!("com.sensor.sn{n}.state"), options, n);
    }
    publish(&mut sim, publisher, "com.sensor.all.state", retain(), KEYS);
    let other = join(&mut sim, "b", ANYTHING);
    subscribe(&mut sim, other, "com.sensor..state", SubscribeOptions { matching: Wildcard, ..node("b") });
    let id = join(&mut sim, "a", ANYTHING);
    let options = SubscribeOptions { nkey: Some("a".to_owned()), ..get_retained(Wildcard) };
    let (_, retained) = subscribe(&mut sim, id, "com.sensor..state", options);
    let mut live = BTreeSet::from([KEYS]);
    for n in 0..KEYS {
        let events = publish(&mut sim, publisher, &format!("com.sensor.sn{n}.state"), keyed(n), n);
        live.extend(events.iter().filter(|event| event.who == id).map(|event| event.n));
    }
    assert_eq!(retained.iter().map(|event| event.n).collect::<BTreeSet<_>>(), live);
    assert!(live.len() > 10 && live.len() < 50);
    // Events of one topic with different keys do not take each other's place.
    for n in 0..10 {
        publish(&mut sim, publisher, "com.one", PublishOptions { retain: true, ..keyed(n) }, n);
    }
    let [a, b] = [id, other].map(|id| {
        let nkey = Some(format!("node of {id:?}"));
        subscribe(&mut sim, id, "com.one", SubscribeOptions { nkey, ..SubscribeOptions::default() });
        id
    });
    for id in [a, b] {
        let nkey = Some(format!("node of {id:?}"));
        let (_, events) = subscribe(&mut sim, id, "com.one", SubscribeOptions { nkey, ..get_retained(Exact) });
        let last = (0..10)
            .rev()
            .find(|n| publish(&mut sim, publisher, "com.one", keyed(*n), *n).iter().any(|event| event.who == id));
        assert_eq!(events.iter().map(|event| event.n).collect::<Vec<_>>(), last.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn node_keys_are_bounded() {
    let limits = Limits { max_nodes_per_subscription: 2, ..Limits::default() };
    let mut sim = world(RouterConfig { limits, ..open_realm() });
    let ids = ["a", "b", "c"].map(|name| join(&mut sim, name, ANYTHING));
    subscribe(&mut sim, ids[0], "com.x", node("a"));
    subscribe(&mut sim, ids[1], "com.x", node("b"));
    let long = "x".repeat(Limits::default().max_uri_length + 1);
    for nkey in ["c", &long] {
        let options = node(nkey);
        let request =
            sim.act(ids[2], |client, now| client.subscribe(now, Uri::from("com.x"), options)).expect("joined");
        let events = sim.events();
        let [(_, ClientEvent::Failed { request: failed, error: why, .. })] = &events[..] else { panic!("{events:?}") };
        assert_eq!((*failed, why), (request, &error::RESOURCE_LIMIT));
    }
    subscribe(&mut sim, ids[2], "com.x", node("a"));
    subscribe(&mut sim, ids[2], "com.y", node("c"));
    assert_eq!(sim.router.stats().limited, 2);
}
