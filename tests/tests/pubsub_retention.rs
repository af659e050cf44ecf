//! Retained events (spec: "Event Retention").

use wampd_core::client::ClientEvent;
use wampd_core::message::{Audience, PassThru, Payload, PublishOptions, SubscribeOptions};
use wampd_core::router::{Limits, Permissions, RoleConfig, RouterConfig};
use wampd_core::uri::MatchPolicy::{Exact, Prefix, Wildcard};
use wampd_core::uri::{MatchPolicy, Uri, close};
use wampd_core::value::Value;
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::pubsub::{
    Heard, get_retained, join, join_on, numbers, publish, retain, retain_for, roles, subscribe, trust, world,
};
use wampd_tests::sim::{EndId, Sim};

/// What a client that has just joined is sent for a subscription.
fn late(sim: &mut Sim, topic: &str, matching: MatchPolicy) -> Vec<u64> {
    let id = join(sim, "late", ANYTHING);
    let events = get(sim, id, topic, matching);
    sim.act(id, |client, now| client.leave(now, close::NORMAL));
    sim.events();
    events
}

fn get(sim: &mut Sim, id: EndId, topic: &str, matching: MatchPolicy) -> Vec<u64> {
    let (_, events) = subscribe(sim, id, topic, get_retained(matching));
    // A pattern may match the router's own topics too.
    let retained = events.into_iter().filter(|event| event.details.retained);
    retained.inspect(|event| assert_eq!(event.who, id)).map(|event| event.n).collect()
}

fn limited(limits: Limits) -> Sim {
    world(RouterConfig { limits, ..open_realm() })
}

#[test]
fn a_late_subscriber_gets_the_last_retained_event_behind_subscribed() {
    for wire in Wire::ALL {
        let mut sim = world(open_realm());
        let publisher = join_on(&mut sim, "paul", ANYTHING, wire);
        let early = join(&mut sim, "early", ANYTHING);
        subscribe(&mut sim, early, "com.x", SubscribeOptions::default());
        publish(&mut sim, publisher, "com.x", retain(), 1);
        let live = publish(&mut sim, publisher, "com.x", retain(), 2);
        assert!(live.iter().all(|event| !event.details.retained), "{live:?}");
        publish(&mut sim, publisher, "com.x", PublishOptions::default(), 3);
        let subscriber = join_on(&mut sim, "late", ANYTHING, wire);
        let (subscription, events) = subscribe(&mut sim, subscriber, "com.x", get_retained(Exact));
        let [Heard { publication, details, n: 2, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!((events[0].subscription, *publication), (subscription, live[0].publication));
        assert!(details.retained && details.topic.is_none());
        let live = publish(&mut sim, publisher, "com.x", retain(), 4);
        assert!(live.len() == 2 && live.iter().all(|event| !event.details.retained));
    }
}

#[test]
fn retained_events_are_sent_on_request_alone() {
    let mut sim = world(open_realm());
    let [publisher, a] = ["paul", "ann"].map(|name| join(&mut sim, name, ANYTHING));
    publish(&mut sim, publisher, "com.x", retain(), 1);
    publish(&mut sim, publisher, "com.y", PublishOptions::default(), 2);
    let (_, events) = subscribe(&mut sim, a, "com.x", SubscribeOptions::default());
    assert_eq!(events, []);
    assert_eq!(get(&mut sim, a, "com.y", Exact), [0; 0], "it was not to be retained");
    assert_eq!(get(&mut sim, a, "com.x", Exact), [1], "asked for by one that is subscribed already");
    assert_eq!(sim.router.stats().retained_events, 1);
}

#[test]
fn it_is_realm_state_and_stays_when_everybody_leaves() {
    let mut sim = world(open_realm());
    let publisher = join(&mut sim, "paul", ANYTHING);
    publish(&mut sim, publisher, "com.x", retain(), 1);
    sim.act(publisher, |client, now| client.leave(now, close::NORMAL));
    sim.events();
    assert_eq!((sim.router.stats().sessions, sim.router.stats().subscriptions), (0, 0));
    assert_eq!(late(&mut sim, "com.x", Exact), [1]);
}

#[test]
fn a_pattern_gets_the_event_of_each_topic_in_the_order_of_publication() {
    let mut sim = world(open_realm());
    let publisher = join(&mut sim, "paul", ANYTHING);
    let topics = ["com.b.x", "com.a.x", "com.a-b.x", "com.a.y", "com.a", "com.ab.x", "com.c.x.y", "org.a.x", "com.b.x"];
    for (n, topic) in topics.iter().enumerate() {
        publish(&mut sim, publisher, topic, retain(), n as u64);
    }
    for (pattern, matching, expected) in [
        ("com.a", Exact, vec![4]),
        ("com.a", Prefix, vec![1, 2, 3, 4, 5]),
        ("com.a.", Prefix, vec![1, 3]),
        ("", Prefix, vec![1, 2, 3, 4, 5, 6, 7, 8]),
        ("com..x", Wildcard, vec![1, 2, 5, 8]),
        (".a.x", Wildcard, vec![1, 7]),
        ("com..x.", Wildcard, vec![6]),
        ("com.", Wildcard, vec![4]),
        ("..", Wildcard, vec![1, 2, 3, 5, 7, 8]),
        ("com.a.x", Wildcard, vec![1]),
        ("net.", Prefix, vec![]),
        ("net..x", Wildcard, vec![]),
    ] {
        assert_eq!(late(&mut sim, pattern, matching), expected, "{matching:?} {pattern:?}");
    }
    let id = join(&mut sim, "late", ANYTHING);
    let (_, events) = subscribe(&mut sim, id, "com..x", get_retained(Wildcard));
    let told: Vec<_> = events.iter().map(|event| event.details.topic.clone().expect("a pattern")).collect();
    assert_eq!(told, ["com.a.x", "com.a-b.x", "com.ab.x", "com.b.x"].map(Uri::from_static));
}

#[test]
fn the_audience_of_the_event_holds_for_late_subscribers() {
    let mut sim = world(roles(&["user", "admin"]));
    let publisher = join(&mut sim, "paul", "user");
    let ann = join(&mut sim, "ann", "user");
    let bob = join(&mut sim, "bob", "admin");
    let session = sim.session(ann).session;
    let names = |name: &str| vec![name.to_owned()];
    for (n, (audience, for_ann, for_bob)) in [
        (Audience { exclude: vec![session], ..Audience::default() }, false, true),
        (Audience { eligible: Some(vec![session]), ..Audience::default() }, true, false),
        (Audience { exclude_authid: names("ann"), ..Audience::default() }, false, true),
        (Audience { eligible_authid: Some(names("ann")), ..Audience::default() }, true, false),
        (Audience { exclude_authrole: names("user"), ..Audience::default() }, false, true),
        (Audience { eligible_authrole: Some(names("user")), ..Audience::default() }, true, false),
        (Audience { eligible: Some(vec![session]), exclude_authid: names("ann"), ..Audience::default() }, false, false),
    ]
    .into_iter()
    .enumerate()
    {
        let topic = format!("com.x{n}");
        publish(&mut sim, publisher, &topic, retain_for(audience.clone()), 7);
        for (id, expected) in [(ann, for_ann), (bob, for_bob)] {
            let events = get(&mut sim, id, &topic, Exact);
            assert_eq!(events, [7].repeat(usize::from(expected)), "{audience:?}");
        }
    }
}

#[test]
fn each_gets_the_most_recent_event_that_it_may_receive() {
    let mut sim = world(roles(&["user", "admin"]));
    let publisher = join(&mut sim, "paul", "user");
    let admins = || Audience { eligible_authrole: Some(vec!["admin".to_owned()]), ..Audience::default() };
    let ann = join(&mut sim, "ann", "user");
    let bob = join(&mut sim, "bob", "admin");
    publish(&mut sim, publisher, "com.x", retain(), 1);
    publish(&mut sim, publisher, "com.x", retain_for(admins()), 2);
    publish(&mut sim, publisher, "com.x", retain_for(admins()), 3);
    assert_eq!((get(&mut sim, ann, "com.x", Exact), get(&mut sim, bob, "com.x", Exact)), (vec![1], vec![3]));
    assert_eq!(sim.router.stats().retained_events, 2, "an event takes the place of one for the same audience");
    publish(&mut sim, publisher, "com.x", retain(), 4);
    assert_eq!((get(&mut sim, ann, "com.x", Exact), get(&mut sim, bob, "com.x", Exact)), (vec![4], vec![4]));
    assert_eq!(sim.router.stats().retained_events, 1, "an event for everybody takes the place of all");
}

#[test]
fn nobody_is_nobody() {
    let mut sim = world(open_realm());
    let publisher = join(&mut sim, "paul", ANYTHING);
    publish(&mut sim, publisher, "com.x", retain(), 1);
    for audience in [
        Audience { eligible: Some(vec![]), ..Audience::default() },
        Audience { eligible_authid: Some(vec![]), ..Audience::default() },
        Audience { eligible_authrole: Some(vec![]), ..Audience::default() },
    ] {
        publish(&mut sim, publisher, "com.x", retain_for(audience), 2);
    }
    assert_eq!(late(&mut sim, "com.x", Exact), [1]);
    assert_eq!(sim.router.stats().retained_events, 1);
}

#[test]
fn publishers_are_left_out_of_their_own_events() {
    let mut sim = world(open_realm());
    let [paul, quentin] = ["paul", "quentin"].map(|name| join(&mut sim, name, ANYTHING));
    publish(&mut sim, paul, "com.x", retain(), 1);
    assert_eq!(get(&mut sim, paul, "com.x", Exact), [0; 0]);
    publish(&mut sim, paul, "com.x", PublishOptions { exclude_me: Some(false), ..retain() }, 2);
    assert_eq!(get(&mut sim, paul, "com.x", Exact), [2]);
    publish(&mut sim, quentin, "com.x", retain(), 3);
    publish(&mut sim, paul, "com.x", retain(), 4);
    assert_eq!(get(&mut sim, paul, "com.x", Exact), [3], "the most recent one that it would have received");
    assert_eq!(get(&mut sim, quentin, "com.x", Exact), [4]);
    for n in 5..50 {
        publish(&mut sim, paul, "com.x", retain(), n);
    }
    assert_eq!((get(&mut sim, paul, "com.x", Exact), late(&mut sim, "com.x", Exact)), (vec![3], vec![49]));
    assert_eq!(sim.router.stats().retained_events, 2, "no more than anybody can get");
    // Another session of the same application is another session.
    let again = join(&mut sim, "paul", ANYTHING);
    assert_eq!(get(&mut sim, again, "com.x", Exact), [49]);
}

#[test]
fn a_retained_event_says_what_the_live_one_said() {
    let mut config = roles(&["sensor"]);
    trust(&mut config, "sensor", 3);
    let mut sim = world(config);
    let publisher = join(&mut sim, "paul", "sensor");
    let pass_thru = PassThru { ppt_scheme: Some("x_mine".to_owned()), ..PassThru::default() };
    let options = PublishOptions { disclose_me: true, pass_thru: Some(Box::new(pass_thru)), ..retain() };
    let live = join(&mut sim, "live", ANYTHING);
    subscribe(&mut sim, live, "com.", SubscribeOptions { matching: Prefix, ..SubscribeOptions::default() });
    let live = publish(&mut sim, publisher, "com.x", options, 1);
    let [mut event] = <[Heard; 1]>::try_from(live).expect("one event");
    assert_eq!(event.details.trustlevel, Some(3));
    assert!(event.details.publisher.is_some() && event.details.pass_thru.is_some());
    let late = join(&mut sim, "late", ANYTHING);
    let (_, events) = subscribe(&mut sim, late, "com.", get_retained(Prefix));
    event.who = late;
    event.details.retained = true;
    assert_eq!(events, [event]);
}

#[test]
fn the_oldest_topic_makes_room() {
    let mut sim = limited(Limits { max_retained_events: 3, ..Limits::default() });
    let publisher = join(&mut sim, "paul", ANYTHING);
    for (n, topic) in ["com.a", "com.b", "com.c", "com.a", "com.d"].iter().enumerate() {
        publish(&mut sim, publisher, topic, retain(), n as u64);
    }
    assert_eq!(late(&mut sim, "com.", Prefix), [2, 3, 4]);
    let stats = sim.router.stats();
    assert_eq!((stats.retained_events, stats.retained_evicted, stats.retained_refused), (3, 1, 0));
}

/// What late subscribers get after `few` have retained one event each, and then `many` so many each, turn by turn.
fn after_a_flood(
    limits: Limits,
    few: &[(&str, &'static str)],
    many: &[(&str, &'static str)],
    each: u64,
) -> (Sim, usize, usize) {
    let mut config = RouterConfig { limits, ..open_realm() };
    config.realms[0].roles.push(RoleConfig::new("backend", Permissions::all()));
    let mut sim = world(config);
    let few: Vec<_> = few.iter().map(|(name, role)| join(&mut sim, name, role)).collect();
    for (n, id) in few.iter().enumerate() {
        publish(&mut sim, *id, &format!("com.few.{n}"), retain(), 1);
    }
    let many: Vec<_> = many.iter().map(|(name, role)| join(&mut sim, name, role)).collect();
    for n in 0..each {
        for (who, id) in many.iter().enumerate() {
            publish(&mut sim, *id, &format!("com.many.{who}.{n}"), retain(), n);
        }
    }
    let [few, many] = ["com.few.", "com.many."].map(|topic| late(&mut sim, topic, Prefix).len());
    (sim, few, many)
}

#[test]
fn one_publisher_drops_only_what_it_retained_itself() {
    let limits = Limits { max_retained_per_publisher: 5, ..Limits::default() };
    let (sim, few, many) = after_a_flood(limits, &[("ann", ANYTHING), ("bob", ANYTHING)], &[("eve", ANYTHING)], 20);
    assert_eq!((few, many), (2, 5));
    let stats = sim.router.stats();
    assert_eq!((stats.retained_events, stats.retained_evicted, stats.retained_over_share), (7, 15, 15));
    let limits = Limits { max_retained_bytes_per_publisher: 2_000, ..Limits::default() };
    let (_, few, many) = after_a_flood(limits, &[("ann", ANYTHING)], &[("eve", ANYTHING)], 20);
    assert!(few == 1 && (3..8).contains(&many), "{many}");
}

#[test]
fn many_publishers_of_a_role_drop_nothing_of_another_role() {
    let limits = Limits { max_retained_per_role: 6, ..Limits::default() };
    let many = ["eve", "mallory", "trudy"].map(|name| (name, ANYTHING));
    let (sim, few, many) = after_a_flood(limits, &[("ann", "backend"), ("bob", ANYTHING)], &many, 4);
    assert_eq!((few, many), (2, 5), "of the role it is who has most that makes room");
    assert_eq!(sim.router.stats().retained_over_share, 7);
}

#[test]
fn when_the_realm_is_full_who_has_most_makes_room() {
    let limits = Limits { max_retained_events: 10, ..Limits::default() };
    let few = [("ann", "backend"), ("bob", ANYTHING), ("paul", "backend")];
    let (sim, few, many) = after_a_flood(limits, &few, &[("eve", ANYTHING), ("mallory", ANYTHING)], 50);
    assert_eq!((few, many), (3, 7));
    let stats = sim.router.stats();
    assert_eq!((stats.retained_events, stats.retained_evicted, stats.retained_over_share), (10, 93, 0));
}

#[test]
fn bytes_are_bounded() {
    let mut sim = limited(Limits { max_retained_bytes: 10_000, ..Limits::default() });
    let publisher = join(&mut sim, "paul", ANYTHING);
    let publish_text = |sim: &mut Sim, topic: &'static str, length: usize| {
        let payload = Payload::from_args([Value::from("x".repeat(length))]);
        sim.act(publisher, |client, now| client.publish(now, Uri::from(topic), retain(), payload)).expect("joined");
        sim.events();
    };
    let topics = |sim: &mut Sim| {
        let id = join(sim, "late", ANYTHING);
        sim.act(id, |client, now| client.subscribe(now, Uri::from("com."), get_retained(Prefix))).expect("joined");
        let told = sim.events().into_iter().filter_map(|(_, event)| match event {
            ClientEvent::Event { details, .. } => details.topic,
            _ => None,
        });
        told.map(|topic| topic.as_str().to_owned()).collect::<Vec<_>>()
    };
    for topic in ["com.a", "com.b", "com.c"] {
        publish_text(&mut sim, topic, 4_000);
    }
    assert_eq!(topics(&mut sim), ["com.b", "com.c"]);
    assert!((8_000..=10_000).contains(&sim.router.stats().retained_bytes));
    // An event too large for all the room there is: nothing takes the place of what it superseded.
    publish_text(&mut sim, "com.c", 20_000);
    assert_eq!(topics(&mut sim), ["com.b"]);
    let stats = sim.router.stats();
    assert_eq!((stats.retained_evicted, stats.retained_refused), (1, 1));
}

#[test]
fn events_of_one_topic_are_bounded() {
    let mut sim = limited(Limits { max_retained_per_topic: 2, ..Limits::default() });
    let publisher = join(&mut sim, "paul", ANYTHING);
    let [ann, bob] = ["ann", "bob"].map(|name| join(&mut sim, name, ANYTHING));
    publish(&mut sim, publisher, "com.x", retain(), 1);
    for (n, name) in ["ann", "bob"].iter().enumerate() {
        let audience = Audience { eligible_authid: Some(vec![(*name).to_owned()]), ..Audience::default() };
        publish(&mut sim, publisher, "com.x", retain_for(audience), 2 + n as u64);
    }
    assert_eq!((get(&mut sim, ann, "com.x", Exact), get(&mut sim, bob, "com.x", Exact)), (vec![2], vec![3]));
    assert_eq!(late(&mut sim, "com.x", Exact), [0; 0], "the oldest was dropped");
    assert_eq!(sim.router.stats().retained_evicted, 1);
}

#[test]
fn a_look_up_is_bounded() {
    let mut sim = limited(Limits { max_retained_replies: 3, max_retained_search: 10, ..Limits::default() });
    let publisher = join(&mut sim, "paul", ANYTHING);
    for n in (0..20).rev() {
        publish(&mut sim, publisher, &format!("com.a{n:02}.x"), retain(), n);
    }
    for (pattern, matching, expected, truncated) in [
        ("com.a0", Prefix, vec![2, 1, 0], 1),
        ("com..x", Wildcard, vec![2, 1, 0], 2),
        ("com..y", Wildcard, vec![], 3),
        ("com.a07.", Wildcard, vec![7], 3),
    ] {
        assert_eq!(late(&mut sim, pattern, matching), expected, "{pattern}");
        assert_eq!(sim.router.stats().retained_truncated, truncated, "{pattern}");
    }
}

/// What a look-up costs depends on what matches, not on how many topics there are.
#[test]
fn a_look_up_is_no_scan() {
    let mut sim = limited(Limits { max_retained_search: 3, ..Limits::default() });
    let publisher = join(&mut sim, "paul", ANYTHING);
    for n in 0..5_000u64 {
        let topic = Uri::from(format!("com.s{n}.{}", if n % 2 == 0 { "x" } else { "y" }));
        sim.act(publisher, |client, now| client.publish(now, topic, retain(), Payload::from_args([n.into()])))
            .expect("joined");
    }
    sim.settle(1_000_000, |_, _, _| ());
    for (pattern, matching, expected) in [
        ("com.s4711", Prefix, vec![4711]),
        ("com.s4711.", Prefix, vec![4711]),
        ("com.s4711.", Wildcard, vec![4711]),
        ("com.s4711.z", Wildcard, vec![]),
        ("org.", Prefix, vec![]),
        ("org..x", Wildcard, vec![]),
        ("com.s4711..", Wildcard, vec![]),
    ] {
        assert_eq!(late(&mut sim, pattern, matching), expected, "{pattern}");
        assert_eq!(sim.router.stats().retained_truncated, 0, "{pattern}");
    }
}

/// A late subscriber is not sent so much at once that it would be given up as a slow consumer.
#[test]
fn bytes_of_a_look_up_are_bounded() {
    let mut sim = limited(Limits { max_retained_reply_bytes: 3_000, ..Limits::default() });
    let publisher = join(&mut sim, "paul", ANYTHING);
    for (n, length) in [(0, 1_000), (1, 1_000), (2, 1_000), (3, 9_000)] {
        let payload = Payload::from_args([Value::from(n), Value::from("x".repeat(length))]);
        let topic = Uri::from(format!("com.a{n}"));
        sim.act(publisher, |client, now| client.publish(now, topic, retain(), payload)).expect("joined");
        sim.events();
    }
    assert_eq!(late(&mut sim, "com.", Prefix), [0, 1]);
    assert_eq!(sim.router.stats().retained_truncated, 1);
    assert_eq!(late(&mut sim, "com.a3", Prefix), [3], "one is always sent");
    assert_eq!(sim.router.stats().retained_truncated, 1);
}

#[test]
fn numbers_of_events_count_retained_ones() {
    let mut sim = world(open_realm());
    let publisher = join(&mut sim, "paul", ANYTHING);
    publish(&mut sim, publisher, "com.x", retain(), 1);
    let id = join(&mut sim, "late", ANYTHING);
    let before = sim.router.stats();
    let (_, events) = subscribe(&mut sim, id, "com.x", get_retained(Exact));
    assert_eq!(numbers(&events), [(id, 1)]);
    let after = sim.router.stats();
    assert_eq!((after.events - before.events, after.publications - before.publications), (1, 0));
}
