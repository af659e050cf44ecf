//! Publish and subscribe between clients, end to end.

use core::time::Duration;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::id::{PublicationId, RequestId, SubscriptionId};
use wampd_core::message::{Audience, EventDetails, Payload, PublishOptions, SubscribeOptions};
use wampd_core::router::{CloseReason, Congestion, Limits, RealmConfig, RouterConfig};
use wampd_core::uri::{MatchPolicy, Uri, error};
use wampd_core::value::Value;
use wampd_tests::answerer::{REALM, everybody};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::sim::{EndId, Sim};

const WIRE: Wire = Wire::Messages;
const BOUND: usize = 100_000;

fn topic(name: &str) -> Uri {
    Uri::from(format!("com.example.{name}"))
}

fn ask_subscribe(sim: &mut Sim, id: EndId, topic: Uri, matching: MatchPolicy) -> RequestId {
    let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
    sim.act(id, |client, now| client.subscribe(now, topic, options)).expect("joined")
}

fn subscribe(sim: &mut Sim, id: EndId, topic: Uri, matching: MatchPolicy) -> SubscriptionId {
    let request = ask_subscribe(sim, id, topic, matching);
    match sim.events().as_slice() {
        [(whom, ClientEvent::Subscribed { request: answered, subscription })] => {
            assert_eq!((*whom, *answered), (id, request));
            *subscription
        }
        other => panic!("{other:?}"),
    }
}

fn publish(sim: &mut Sim, id: EndId, topic: Uri, options: PublishOptions, n: u64) -> RequestId {
    let payload = Payload::from_args([Value::from(n)]);
    sim.act(id, |client, now| client.publish(now, topic, options, payload)).expect("joined")
}

fn acknowledged() -> PublishOptions {
    PublishOptions { acknowledge: true, ..PublishOptions::default() }
}

fn failure(sim: &mut Sim, id: EndId, request: RequestId) -> Uri {
    match sim.events().as_slice() {
        [(whom, ClientEvent::Failed { request: failed, error, .. })] => {
            assert_eq!((*whom, *failed), (id, request));
            error.clone()
        }
        other => panic!("{other:?}"),
    }
}

/// An event received: by whom, of which subscription, about what.
type Receipt = (EndId, SubscriptionId, PublicationId, u64);

fn receipts(sim: &mut Sim) -> Vec<(Receipt, EventDetails)> {
    let events = sim.events().into_iter().filter_map(|(id, event)| match event {
        ClientEvent::Event { subscription, publication, details, payload } => {
            let (args, _) = payload.values().expect("values");
            Some(((id, subscription, publication, args[0].as_u64().expect("number")), details))
        }
        _ => None,
    });
    events.collect()
}

fn receivers(sim: &mut Sim) -> Vec<EndId> {
    let mut ids: Vec<_> = receipts(sim).into_iter().map(|((id, ..), _)| id).collect();
    ids.sort();
    ids
}

#[test]
fn equal_subscriptions_have_one_id() {
    let (mut sim, [a, b, c]) = Sim::joined(1, [WIRE; 3]);
    let exact = subscribe(&mut sim, a, topic("x"), MatchPolicy::Exact);
    assert_eq!(subscribe(&mut sim, b, topic("x"), MatchPolicy::Exact), exact);
    assert_eq!(subscribe(&mut sim, a, topic("x"), MatchPolicy::Exact), exact, "twice by one session");
    let prefix = subscribe(&mut sim, c, topic("x"), MatchPolicy::Prefix);
    let wildcard = subscribe(&mut sim, c, topic("x"), MatchPolicy::Wildcard);
    assert!(exact != prefix && exact != wildcard && prefix != wildcard);
    assert_eq!(sim.router.stats().subscriptions, 3);
}

#[test]
fn an_unsubscribed_session_hears_nothing_more() {
    let (mut sim, [publisher, a, b]) = Sim::joined(1, [WIRE; 3]);
    let id = subscribe(&mut sim, a, topic("x"), MatchPolicy::Exact);
    subscribe(&mut sim, a, topic("x"), MatchPolicy::Exact);
    subscribe(&mut sim, b, topic("x"), MatchPolicy::Exact);
    let request = sim.act(a, |client, now| client.unsubscribe(now, id)).expect("joined");
    assert_eq!(sim.events(), [(a, ClientEvent::Unsubscribed { request })], "once, however often it subscribed");
    publish(&mut sim, publisher, topic("x"), PublishOptions::default(), 1);
    assert_eq!(receivers(&mut sim), [b]);
    let request = sim.act(a, |client, now| client.unsubscribe(now, id)).expect("joined");
    assert_eq!(failure(&mut sim, a, request), error::NO_SUCH_SUBSCRIPTION);
    let stranger = SubscriptionId::new(1 << 50).expect("in range");
    let request = sim.act(b, |client, now| client.unsubscribe(now, stranger)).expect("joined");
    assert_eq!(failure(&mut sim, b, request), error::NO_SUCH_SUBSCRIPTION);
}

#[test]
fn a_subscription_id_is_not_given_to_another_topic() {
    let (mut sim, [a]) = Sim::joined(1, [WIRE]);
    let first = subscribe(&mut sim, a, topic("x"), MatchPolicy::Exact);
    sim.act(a, |client, now| client.unsubscribe(now, first)).expect("joined");
    sim.events();
    let second = subscribe(&mut sim, a, topic("y"), MatchPolicy::Exact);
    assert_ne!(first, second);
}

#[test]
fn publishers_are_left_out_unless_they_ask() {
    let (mut sim, [a, b]) = Sim::joined(1, [WIRE; 2]);
    for id in [a, b] {
        subscribe(&mut sim, id, topic("x"), MatchPolicy::Exact);
    }
    for (exclude_me, expected) in [(None, vec![b]), (Some(true), vec![b]), (Some(false), vec![a, b])] {
        publish(&mut sim, a, topic("x"), PublishOptions { exclude_me, ..PublishOptions::default() }, 1);
        assert_eq!(receivers(&mut sim), expected, "{exclude_me:?}");
    }
}

#[test]
fn acknowledged_publications_are_answered_with_the_id_of_the_event() {
    let (mut sim, [publisher, a]) = Sim::joined(1, [WIRE; 2]);
    let subscription = subscribe(&mut sim, a, topic("x"), MatchPolicy::Exact);
    let request = publish(&mut sim, publisher, topic("x"), acknowledged(), 7);
    let mut events = sim.events();
    events.sort_by_key(|(id, _)| *id);
    let [
        (_, ClientEvent::Published { request: answered, publication: told }),
        (_, ClientEvent::Event { subscription: of, publication, .. }),
    ] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((*answered, told, *of), (request, publication, subscription));
    // Nobody listens: published all the same.
    publish(&mut sim, publisher, topic("y"), acknowledged(), 7);
    assert!(matches!(sim.events().as_slice(), [(_, ClientEvent::Published { .. })]));
    publish(&mut sim, publisher, topic("y"), PublishOptions::default(), 7);
    assert_eq!(sim.events(), [], "not acknowledged");
}

#[test]
fn each_matching_subscription_gets_its_event_of_one_publication() {
    let (mut sim, [publisher, a]) = Sim::joined(1, [WIRE; 2]);
    let exact = subscribe(&mut sim, a, topic("x.y"), MatchPolicy::Exact);
    let prefix = subscribe(&mut sim, a, topic("x"), MatchPolicy::Prefix);
    let wildcard = subscribe(&mut sim, a, Uri::from("com..x.y"), MatchPolicy::Wildcard);
    subscribe(&mut sim, a, topic("y"), MatchPolicy::Prefix);
    publish(&mut sim, publisher, topic("x.y"), PublishOptions::default(), 7);
    let receipts = receipts(&mut sim);
    let mut topics: Vec<_> = receipts.iter().map(|((_, id, ..), details)| (*id, details.topic.clone())).collect();
    topics.sort();
    let named = Some(topic("x.y"));
    let mut expected = [(exact, None), (prefix, named.clone()), (wildcard, named)];
    expected.sort();
    assert_eq!(topics, expected);
    let (_, _, publication, _) = receipts[0].0;
    assert!(receipts.iter().all(|((_, _, other, n), _)| (*other, *n) == (publication, 7)));
}

#[test]
fn events_of_a_publisher_come_in_its_order_across_topics() {
    for seed in 0..20 {
        let mut sim = Sim::new(seed, open_realm(), Duration::from_millis(5), everybody(ANYTHING));
        let [a, b, subscriber] = [0; 3].map(|_| sim.client(ClientConfig::anonymous(REALM), WIRE));
        sim.events();
        for name in ["x", "y"] {
            subscribe(&mut sim, subscriber, topic(name), MatchPolicy::Exact);
        }
        for n in 0..50 {
            for (publisher, base) in [(a, 0), (b, 1_000)] {
                let name = if n % 3 == 0 { "x" } else { "y" };
                publish(&mut sim, publisher, topic(name), PublishOptions::default(), base + n);
            }
        }
        let numbers: Vec<u64> = receipts(&mut sim).into_iter().map(|((.., n), _)| n).collect();
        let of = |range: core::ops::Range<u64>| numbers.iter().copied().filter(move |n| range.contains(n));
        assert!(of(0..1_000).eq(0..50) && of(1_000..2_000).eq(1_000..1_050), "{numbers:?}");
    }
}

#[test]
fn an_audience_can_be_chosen() {
    let mut sim = Sim::new(1, open_realm(), Duration::ZERO, everybody(ANYTHING));
    let [publisher, ann, bob] = ["paul", "ann", "bob"].map(|name| {
        let config = ClientConfig { authid: Some(name.to_owned()), ..ClientConfig::anonymous(REALM) };
        sim.client(config, WIRE)
    });
    sim.events();
    for id in [publisher, ann, bob] {
        subscribe(&mut sim, id, topic("x"), MatchPolicy::Exact);
    }
    let session = sim.session(ann).session;
    let names = |name: &str| vec![name.to_owned()];
    for (audience, expected) in [
        (Audience { exclude: vec![session], ..Audience::default() }, vec![bob]),
        (Audience { exclude_authid: names("bob"), ..Audience::default() }, vec![ann]),
        (Audience { exclude_authrole: names(ANYTHING), ..Audience::default() }, vec![]),
        (Audience { eligible: Some(vec![session]), ..Audience::default() }, vec![ann]),
        (Audience { eligible: Some(vec![]), ..Audience::default() }, vec![]),
        (Audience { eligible_authid: Some(names("bob")), ..Audience::default() }, vec![bob]),
        (Audience { eligible_authrole: Some(names("nobody")), ..Audience::default() }, vec![]),
        (Audience { eligible: Some(vec![session]), exclude_authid: names("ann"), ..Audience::default() }, vec![]),
        (Audience { eligible_authid: Some(names("paul")), ..Audience::default() }, vec![]),
    ] {
        let options = PublishOptions { audience: Some(Box::new(audience.clone())), ..PublishOptions::default() };
        publish(&mut sim, publisher, topic("x"), options, 1);
        assert_eq!(receivers(&mut sim), expected, "{audience:?}");
    }
}

/// Ids of subscriptions are those of a realm: a session of another realm can hold one of the same number.
#[test]
fn an_audience_never_reaches_into_another_realm() {
    let mut config = open_realm();
    let other = Uri::from("realm2");
    config.realms.push(RealmConfig::new(other.clone(), config.realms[0].roles.clone()));
    let mut sim = Sim::new(1, config, Duration::ZERO, everybody(ANYTHING));
    let [publisher, a, b] = [0; 3].map(|_| sim.client(ClientConfig::anonymous(REALM), WIRE));
    let stranger = sim.client(ClientConfig { realm: Some(other), ..ClientConfig::anonymous(REALM) }, WIRE);
    sim.events();
    let ids = [a, b, stranger].map(|id| subscribe(&mut sim, id, topic("x"), MatchPolicy::Exact));
    assert_eq!(ids, [ids[0]; 3], "the same number in both realms");
    // Fewer in the list than subscribers, and as many.
    let [ours, foreign] = [a, stranger].map(|id| sim.session(id).session);
    for (eligible, expected) in [(vec![foreign], vec![]), (vec![ours, foreign], vec![a])] {
        let audience = Some(Box::new(Audience { eligible: Some(eligible), ..Audience::default() }));
        publish(&mut sim, publisher, topic("x"), PublishOptions { audience, ..PublishOptions::default() }, 1);
        assert_eq!(receivers(&mut sim), expected);
    }
}

#[test]
fn publishers_are_disclosed_if_they_ask() {
    let (mut sim, [publisher, a]) = Sim::joined(1, [WIRE; 2]);
    subscribe(&mut sim, a, topic("x"), MatchPolicy::Exact);
    for disclose_me in [false, true] {
        publish(&mut sim, publisher, topic("x"), PublishOptions { disclose_me, ..PublishOptions::default() }, 1);
        let [(_, details)] = &receipts(&mut sim)[..] else { panic!("one event") };
        let session = details.publisher.as_ref().map(|publisher| publisher.session);
        assert_eq!(session, disclose_me.then(|| sim.session(publisher).session));
    }
}

#[test]
fn bad_topics_are_refused() {
    let (mut sim, [a]) = Sim::joined(1, [WIRE]);
    for bad in ["com..x", "com.x#", "com.x y", "", "wamp.session.on_join", "wamp"] {
        let request = publish(&mut sim, a, Uri::from(bad.to_owned()), acknowledged(), 1);
        assert_eq!(failure(&mut sim, a, request), error::INVALID_URI, "{bad:?}");
        publish(&mut sim, a, Uri::from(bad.to_owned()), PublishOptions::default(), 1);
        assert_eq!(sim.events(), [], "nobody is told without `acknowledge`");
    }
    for (bad, matching) in
        [("com..x", MatchPolicy::Exact), ("com..x", MatchPolicy::Prefix), ("a b", MatchPolicy::Wildcard)]
    {
        let request = ask_subscribe(&mut sim, a, Uri::from(bad.to_owned()), matching);
        assert_eq!(failure(&mut sim, a, request), error::INVALID_URI, "{bad:?}");
    }
    let long = "x".repeat(Limits::default().max_uri_length + 1);
    let request = ask_subscribe(&mut sim, a, Uri::from(long), MatchPolicy::Exact);
    assert_eq!(failure(&mut sim, a, request), error::INVALID_URI);
    subscribe(&mut sim, a, Uri::from("wamp.session.on_join"), MatchPolicy::Exact);
}

#[test]
fn subscriptions_of_a_session_are_bounded() {
    let limits = Limits { max_subscriptions_per_session: 2, ..Limits::default() };
    let mut sim = Sim::new(1, RouterConfig { limits, ..open_realm() }, Duration::ZERO, everybody(ANYTHING));
    let [a, b] = [0; 2].map(|_| sim.client(ClientConfig::anonymous(REALM), WIRE));
    sim.events();
    subscribe(&mut sim, a, topic("x"), MatchPolicy::Exact);
    let second = subscribe(&mut sim, a, topic("y"), MatchPolicy::Exact);
    let request = ask_subscribe(&mut sim, a, topic("z"), MatchPolicy::Exact);
    assert_eq!(failure(&mut sim, a, request), error::RESOURCE_LIMIT);
    assert_eq!(sim.router.stats().limited, 1);
    assert_eq!(subscribe(&mut sim, a, topic("y"), MatchPolicy::Exact), second, "held already");
    subscribe(&mut sim, b, topic("z"), MatchPolicy::Exact);
}

#[test]
fn a_slow_subscriber_is_given_up_and_nobody_else_notices() {
    let (mut sim, [publisher, slow, quick]) = Sim::joined(1, [WIRE; 3]);
    for id in [slow, quick] {
        subscribe(&mut sim, id, topic("x"), MatchPolicy::Exact);
    }
    sim.congest(slow, Congestion::Soft);
    publish(&mut sim, publisher, topic("x"), PublishOptions::default(), 1);
    assert_eq!(receivers(&mut sim), [slow, quick], "events still reach a peer that is slow");
    sim.congest(slow, Congestion::Hard);
    publish(&mut sim, publisher, topic("x"), PublishOptions::default(), 2);
    assert_eq!(receivers(&mut sim), [quick]);
    assert_eq!(sim.closed, [(slow, CloseReason::SlowConsumer)]);
    assert_eq!(sim.router.stats().slow_consumers, 1);
}

#[test]
fn a_congested_peer_is_not_read_until_it_is_clear() {
    let (mut sim, [publisher, subscriber]) = Sim::joined(1, [WIRE; 2]);
    subscribe(&mut sim, subscriber, topic("x"), MatchPolicy::Exact);
    sim.congest(publisher, Congestion::Soft);
    publish(&mut sim, publisher, topic("x"), PublishOptions::default(), 1);
    assert_eq!(receivers(&mut sim), []);
    sim.congest(publisher, Congestion::Clear);
    assert_eq!(receivers(&mut sim), [subscriber]);
}

/// Whenever a subscriber vanishes, the others get all their events, and nothing of it remains.
#[test]
fn a_subscriber_may_vanish_at_any_moment() {
    for steps in 0..60 {
        let mut sim = Sim::new(9, open_realm(), Duration::from_millis(1), everybody(ANYTHING));
        let [publisher, witness] = [0; 2].map(|_| sim.client(ClientConfig::anonymous(REALM), WIRE));
        sim.events();
        subscribe(&mut sim, witness, topic("x"), MatchPolicy::Exact);
        let victim = sim.client(ClientConfig::anonymous(REALM), WIRE);
        sim.settle(BOUND, |_, _, _| ());
        for matching in [MatchPolicy::Exact, MatchPolicy::Prefix] {
            ask_subscribe(&mut sim, victim, topic("x"), matching);
        }
        for n in 0..10 {
            publish(&mut sim, publisher, topic("x"), PublishOptions::default(), n);
        }
        for _ in 0..steps {
            sim.step();
        }
        sim.cut(victim);
        let numbers: Vec<_> =
            receipts(&mut sim).into_iter().filter(|((id, ..), _)| *id == witness).map(|((.., n), _)| n).collect();
        assert_eq!(numbers, (0..10).collect::<Vec<_>>(), "cut after {steps} steps");
        let stats = sim.router.stats();
        assert_eq!((stats.peers, stats.sessions, stats.subscriptions), (2, 2, 1), "cut after {steps} steps");
    }
}

/// All lists count together; nobody receives what is refused, whether its publisher is told or not.
#[test]
fn publication_that_names_too_many_receivers_is_refused() {
    let limits = Limits { max_audience: 4, ..Limits::default() };
    let mut sim = Sim::new(1, RouterConfig { limits, ..open_realm() }, Duration::ZERO, everybody(ANYTHING));
    let [publisher, subscriber] = [0; 2].map(|_| sim.client(ClientConfig::anonymous(REALM), WIRE));
    sim.events();
    subscribe(&mut sim, subscriber, topic("x"), MatchPolicy::Exact);
    let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    let audience = |count: usize| {
        Some(Box::new(Audience { exclude_authid: names(2), exclude_authrole: names(count - 2), ..Audience::default() }))
    };
    let request =
        publish(&mut sim, publisher, topic("x"), PublishOptions { audience: audience(5), ..acknowledged() }, 1);
    assert_eq!(failure(&mut sim, publisher, request), error::RESOURCE_LIMIT);
    publish(&mut sim, publisher, topic("x"), PublishOptions { audience: audience(5), ..Default::default() }, 2);
    assert_eq!(receipts(&mut sim), []);
    assert_eq!((sim.router.stats().limited, sim.router.stats().publications), (2, 0));
    publish(&mut sim, publisher, topic("x"), PublishOptions { audience: audience(4), ..Default::default() }, 3);
    assert_eq!(receipts(&mut sim).len(), 1);
}
