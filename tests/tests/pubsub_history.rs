//! Past events (spec: "Event History").

use core::time::Duration;
use wampd_core::client::ClientEvent;
use wampd_core::id::{PublicationId, SubscriptionId};
use wampd_core::message::{Audience, CallOptions, Features, PassThru, Payload, PublishOptions, SubscribeOptions};
use wampd_core::router::{ActionVerdict, Allow, EventHistory, Limits, Permissions, RoleConfig, RouterConfig, Rule};
use wampd_core::uri::MatchPolicy::{Exact, Prefix, Wildcard};
use wampd_core::uri::{MatchPolicy, Uri, close, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::config::{ANYTHING, ASKED, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::pubsub::{Heard, join, join_on, publish, roles, subscribe, trust, world};
use wampd_tests::sim::{EndId, Sim};

const GET_EVENTS: &str = "wamp.subscription.get_events";

fn keeping(mut config: RouterConfig, topics: &[(&'static str, MatchPolicy, usize)]) -> RouterConfig {
    let history = |&(uri, matching, limit)| EventHistory { uri: Uri::from_static(uri), matching, limit };
    config.realms[0].event_history = topics.iter().map(history).collect();
    config
}

type Answer = Result<(Vec<Dict>, Dict), Uri>;

/// Calls the procedure: the events and keywords of the result, or the error.
fn ask(sim: &mut Sim, id: EndId, args: Vec<Value>, kwargs: Dict) -> Answer {
    let payload = Payload::from_values(args, kwargs);
    let procedure = Uri::from(GET_EVENTS);
    sim.act(id, |client, now| client.call(now, procedure, CallOptions::default(), payload)).expect("joined");
    match &sim.events()[..] {
        [(_, ClientEvent::Result { payload, .. })] => {
            let (args, kwargs) = payload.values().expect("values");
            let [Value::List(events)] = &args[..] else { panic!("{args:?}") };
            Ok((events.iter().map(|event| event.as_dict().expect("an event").clone()).collect(), kwargs))
        }
        [(_, ClientEvent::Failed { error, .. })] => Err(error.clone()),
        other => panic!("{other:?}"),
    }
}

fn keywords<const N: usize>(entries: [(&str, Value); N]) -> Dict {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// The numbers of the events asked for.
fn get(sim: &mut Sim, id: EndId, subscription: SubscriptionId, kwargs: Dict) -> Vec<u64> {
    let (events, keywords) = ask(sim, id, vec![subscription.get().into()], kwargs).expect("a result");
    assert_eq!(keywords, Dict::new());
    numbers(&events)
}

fn numbers(events: &[Dict]) -> Vec<u64> {
    events.iter().map(|event| event["args"].as_list().expect("args")[0].as_u64().expect("a number")).collect()
}

/// The subscription of a topic, found without subscribing.
fn lookup(sim: &mut Sim, id: EndId, topic: &str, matching: MatchPolicy) -> SubscriptionId {
    let options = keywords([("match", matching.as_str().into())]);
    let payload = Payload::from_args([topic.into(), options.into()]);
    let procedure = Uri::from("wamp.subscription.lookup");
    sim.act(id, |client, now| client.call(now, procedure, CallOptions::default(), payload)).expect("joined");
    let events = sim.events();
    let [(_, ClientEvent::Result { payload, .. })] = &events[..] else { panic!("{events:?}") };
    let (args, _) = payload.values().expect("values");
    args[0].as_u64().and_then(SubscriptionId::new).expect("a subscription")
}

fn plain() -> PublishOptions {
    PublishOptions::default()
}

fn for_audience(audience: Audience) -> PublishOptions {
    PublishOptions { audience: Some(Box::new(audience)), ..plain() }
}

fn matching(matching: MatchPolicy) -> SubscribeOptions {
    SubscribeOptions { matching, ..SubscribeOptions::default() }
}

#[test]
fn a_history_goes_back_to_before_anybody_subscribed() {
    for wire in Wire::ALL {
        let mut sim = world(keeping(open_realm(), &[("com.x", Exact, 10)]));
        let publisher = join_on(&mut sim, "paul", ANYTHING, wire);
        for n in 1..=3 {
            assert_eq!(publish(&mut sim, publisher, "com.x", plain(), n), []);
            publish(&mut sim, publisher, "com.y", plain(), n);
        }
        let reader = join_on(&mut sim, "rita", ANYTHING, wire);
        let found = lookup(&mut sim, reader, "com.x", Exact);
        let (subscription, _) = subscribe(&mut sim, reader, "com.x", SubscribeOptions::default());
        assert_eq!(found, subscription);
        let live = publish(&mut sim, publisher, "com.x", plain(), 4);
        let [Heard { publication, .. }] = &live[..] else { panic!("{live:?}") };
        let (events, _) = ask(&mut sim, reader, vec![subscription.get().into()], Dict::new()).expect("a result");
        assert_eq!(numbers(&events), [1, 2, 3, 4]);
        let expected = keywords([
            ("timestamp", "2026-01-01T00:00:00.000Z".into()),
            ("subscription", subscription.get().into()),
            ("publication", publication.get().into()),
            ("topic", "com.x".into()),
            ("details", Dict::new().into()),
            ("args", vec![4.into()].into()),
            ("kwargs", Dict::new().into()),
        ]);
        assert_eq!(events[3], expected);
    }
}

#[test]
fn each_subscription_has_the_events_that_match_it() {
    let topics =
        [("com.log.auth", Exact, 9), ("com.log.basket", Exact, 9), ("com.log", Prefix, 9), ("com..auth", Wildcard, 9)];
    let mut sim = world(keeping(open_realm(), &topics));
    let id = join(&mut sim, "paul", ANYTHING);
    for (n, name) in ["auth", "basket", "basket", "basket", "checkout"].iter().enumerate() {
        publish(&mut sim, id, &format!("com.log.{name}"), plain(), n as u64 + 1);
    }
    for ((topic, policy, _), expected) in topics.iter().zip([vec![1], vec![2, 3, 4], vec![1, 2, 3, 4, 5], vec![1]]) {
        let subscription = lookup(&mut sim, id, topic, *policy);
        assert_eq!(get(&mut sim, id, subscription, Dict::new()), expected, "{topic}");
    }
    let prefix = lookup(&mut sim, id, "com.log", Prefix);
    assert_eq!(get(&mut sim, id, prefix, keywords([("topic", "com.log.basket".into())])), [2, 3, 4]);
    assert_eq!(get(&mut sim, id, prefix, keywords([("topic", "com.log".into())])), [0; 0]);
}

#[test]
fn all_filters_of_the_specification() {
    let mut sim = world(keeping(open_realm(), &[("com.x", Exact, 100)]));
    let id = join(&mut sim, "paul", ANYTHING);
    let subscription = lookup(&mut sim, id, "com.x", Exact);
    for n in 0..6 {
        publish(&mut sim, id, "com.x", plain(), n);
        sim.run_for(Duration::from_micros(1_000_300), 1_000, |_, _, _| ());
    }
    let (events, _) = ask(&mut sim, id, vec![subscription.get().into()], Dict::new()).expect("a result");
    let time = |n: usize| events[n]["timestamp"].clone();
    let publication = |n: usize| events[n]["publication"].clone();
    for (filters, expected) in [
        (keywords([]), vec![0, 1, 2, 3, 4, 5]),
        (keywords([("reverse", true.into())]), vec![5, 4, 3, 2, 1, 0]),
        (keywords([("reverse", false.into()), ("limit", 2.into())]), vec![0, 1]),
        (keywords([("reverse", true.into()), ("limit", 2.into())]), vec![5, 4]),
        (keywords([("from_time", time(2))]), vec![2, 3, 4, 5]),
        (keywords([("after_time", time(2))]), vec![3, 4, 5]),
        (keywords([("before_time", time(2))]), vec![0, 1]),
        (keywords([("until_time", time(2))]), vec![0, 1, 2]),
        (keywords([("from_time", "2026-01-01T02:00:04+02:00".into())]), vec![4, 5]),
        (keywords([("from_publication", publication(2))]), vec![2, 3, 4, 5]),
        (keywords([("after_publication", publication(2))]), vec![3, 4, 5]),
        (keywords([("before_publication", publication(2))]), vec![0, 1]),
        (keywords([("until_publication", publication(2))]), vec![0, 1, 2]),
        (
            keywords([("after_time", time(0)), ("until_publication", publication(4)), ("limit", 3.into())]),
            vec![1, 2, 3],
        ),
        (keywords([("before_publication", publication(4)), ("reverse", true.into()), ("limit", 2.into())]), vec![3, 2]),
        (keywords([("from_time", time(4)), ("before_time", time(2))]), vec![]),
        // With and without the end itself: both conditions hold.
        (keywords([("from_time", time(2)), ("after_time", time(2))]), vec![3, 4, 5]),
        (keywords([("from_time", time(4)), ("after_time", time(2))]), vec![4, 5]),
        (keywords([("until_time", time(2)), ("before_time", time(2))]), vec![0, 1]),
        (keywords([("until_time", time(1)), ("before_time", time(4))]), vec![0, 1]),
        (keywords([("from_publication", publication(3)), ("after_publication", publication(1))]), vec![3, 4, 5]),
        (keywords([("until_publication", publication(3)), ("before_publication", publication(3))]), vec![0, 1, 2]),
        (keywords([("after_publication", publication(3)), ("before_publication", publication(3))]), vec![]),
        (keywords([("topic", "com.x".into()), ("from_time", Value::Null)]), vec![0, 1, 2, 3, 4, 5]),
    ] {
        assert_eq!(get(&mut sim, id, subscription, filters.clone()), expected, "{filters:?}");
    }
    // Crossbar.io's positional limit: the latest events first.
    let (latest, _) = ask(&mut sim, id, vec![subscription.get().into(), 2.into()], Dict::new()).expect("a result");
    assert_eq!(numbers(&latest), [5, 4]);
    for filters in [
        keywords([("limit", 0.into())]),
        keywords([("limit", "2".into())]),
        keywords([("reverse", 1.into())]),
        keywords([("from_time", "yesterday".into())]),
        keywords([("after_publication", PublicationId::new(7).expect("in range").get().into())]),
        keywords([("topic", 7.into())]),
        keywords([("limits", 7.into())]),
    ] {
        let answer = ask(&mut sim, id, vec![subscription.get().into()], filters.clone());
        assert_eq!(answer, Err(error::INVALID_ARGUMENT), "{filters:?}");
    }
    let twice = ask(&mut sim, id, vec![subscription.get().into(), 2.into()], keywords([("limit", 2.into())]));
    assert_eq!(twice, Err(error::INVALID_ARGUMENT));
}

#[test]
fn what_is_not_kept_or_not_there() {
    let mut sim = world(keeping(open_realm(), &[("com.x", Exact, 10)]));
    let id = join(&mut sim, "paul", ANYTHING);
    let (other, _) = subscribe(&mut sim, id, "com.y", SubscribeOptions::default());
    assert_eq!(ask(&mut sim, id, vec![other.get().into()], Dict::new()), Err(error::HISTORY_UNAVAILABLE));
    let (prefix, _) = subscribe(&mut sim, id, "com.x", matching(Prefix));
    assert_eq!(ask(&mut sim, id, vec![prefix.get().into()], Dict::new()), Err(error::HISTORY_UNAVAILABLE));
    assert_eq!(ask(&mut sim, id, vec![99_999.into()], Dict::new()), Err(error::NO_SUCH_SUBSCRIPTION));
    assert_eq!(ask(&mut sim, id, vec![], Dict::new()), Err(error::INVALID_ARGUMENT));
    let kept = lookup(&mut sim, id, "com.x", Exact);
    assert_eq!(get(&mut sim, id, kept, Dict::new()), [0; 0]);
}

#[test]
fn lists_of_names_and_roles_hold_for_who_asks_and_lists_of_sessions_keep_an_event_out() {
    let mut sim = world(keeping(roles(&["user", "admin"]), &[("com.x", Exact, 100)]));
    let publisher = join(&mut sim, "paul", "user");
    let [ann, bob] = [("ann", "user"), ("bob", "admin")].map(|(name, role)| join(&mut sim, name, role));
    let session = sim.session(ann).session;
    let names = |name: &str| vec![name.to_owned()];
    let audiences = [
        Audience::default(),
        Audience { exclude_authid: names("ann"), ..Audience::default() },
        Audience { eligible_authid: Some(names("ann")), ..Audience::default() },
        Audience { exclude_authrole: names("user"), ..Audience::default() },
        Audience { eligible_authrole: Some(names("user")), ..Audience::default() },
        Audience { eligible_authrole: Some(vec![]), ..Audience::default() },
        Audience { eligible: Some(vec![session]), ..Audience::default() },
        Audience { eligible: Some(vec![]), ..Audience::default() },
        Audience { exclude: vec![session], ..Audience::default() },
    ];
    for (n, audience) in audiences.into_iter().enumerate() {
        publish(&mut sim, publisher, "com.x", for_audience(audience), n as u64);
    }
    let subscription = lookup(&mut sim, ann, "com.x", Exact);
    assert_eq!(get(&mut sim, ann, subscription, Dict::new()), [0, 2, 4]);
    assert_eq!(get(&mut sim, bob, subscription, Dict::new()), [0, 1, 3]);
    assert_eq!(get(&mut sim, publisher, subscription, Dict::new()), [0, 1, 4], "its own events too");
    assert_eq!(sim.router.stats().history_events, 6);
    // An event that somebody may not see is none that a condition can name.
    let (events, _) = ask(&mut sim, bob, vec![subscription.get().into()], Dict::new()).expect("a result");
    let hidden = keywords([("after_publication", events[1]["publication"].clone())]);
    assert_eq!(ask(&mut sim, ann, vec![subscription.get().into()], hidden), Err(error::INVALID_ARGUMENT));
}

#[test]
fn only_who_may_subscribe_may_ask() {
    let mut config = keeping(open_realm(), &[("com.secret", Exact, 10), ("com.", Prefix, 10)]);
    let rule = |uri: &'static str, matching, allow| Rule::new(Uri::from_static(uri), matching, allow);
    let rules = vec![
        rule("com.", Prefix, Allow::ALL),
        rule("com.secret", Exact, Allow::NONE),
        rule("wamp.", Prefix, Allow { call: true, ..Allow::NONE }),
    ];
    let permissions = Permissions::new(rules).expect("no contradiction");
    config.realms[0].roles.push(RoleConfig::new("limited", permissions));
    let mut sim = world(config);
    let [admin, limited] = [ANYTHING, "limited"].map(|role| join(&mut sim, "x", role));
    publish(&mut sim, admin, "com.secret", plain(), 1);
    let [exact, prefix] =
        [("com.secret", Exact), ("com.", Prefix)].map(|(topic, matching)| lookup(&mut sim, admin, topic, matching));
    for subscription in [exact, prefix] {
        assert_eq!(get(&mut sim, admin, subscription, Dict::new()), [1]);
        let answer = ask(&mut sim, limited, vec![subscription.get().into()], Dict::new());
        assert_eq!(answer, Err(error::NOT_AUTHORIZED), "a denied topic is part of the pattern");
    }
}

/// Nobody asks an authorizer about the past: of a role that is asked about, only subscribers know it.
#[test]
fn of_a_role_that_is_asked_about_the_subscribers_may_ask() {
    let mut sim = world(keeping(open_realm(), &[("com.x", Exact, 10)]));
    sim.authorize_by(Box::new(|_, _| vec![(Duration::ZERO, ActionVerdict::Allow { disclose: false, cache: None })]));
    let id = join(&mut sim, "paul", ASKED);
    publish(&mut sim, id, "com.x", plain(), 1);
    let kept = lookup(&mut sim, id, "com.x", Exact);
    assert_eq!(ask(&mut sim, id, vec![kept.get().into()], Dict::new()), Err(error::NOT_AUTHORIZED));
    subscribe(&mut sim, id, "com.x", SubscribeOptions::default());
    assert_eq!(get(&mut sim, id, kept, Dict::new()), [1]);
}

#[test]
fn the_oldest_events_make_room() {
    let limits = Limits { max_history_bytes: 10_000, ..Limits::default() };
    let config = RouterConfig { limits, ..open_realm() };
    let mut sim = world(keeping(config, &[("com.x", Exact, 3), ("com.y", Exact, 100)]));
    let id = join(&mut sim, "paul", ANYTHING);
    for n in 0..5 {
        publish(&mut sim, id, "com.x", plain(), n);
    }
    let few = lookup(&mut sim, id, "com.x", Exact);
    assert_eq!(get(&mut sim, id, few, Dict::new()), [2, 3, 4]);
    assert_eq!((sim.router.stats().history_events, sim.router.stats().history_dropped), (3, 2));
    let large = |sim: &mut Sim, n: u64, length: usize| {
        let payload = Payload::from_args([n.into(), Value::from("x".repeat(length))]);
        sim.act(id, |client, now| client.publish(now, Uri::from("com.y"), plain(), payload)).expect("joined");
        sim.events();
    };
    for n in 0..4 {
        large(&mut sim, n, 4_000);
    }
    let large_ones = lookup(&mut sim, id, "com.y", Exact);
    assert_eq!(get(&mut sim, id, large_ones, Dict::new()), [2, 3]);
    large(&mut sim, 4, 20_000);
    assert_eq!(get(&mut sim, id, large_ones, Dict::new()), [0; 0], "too large to be kept at all");
    assert_eq!(get(&mut sim, id, few, Dict::new()), [2, 3, 4], "each topic has room of its own");
}

#[test]
fn an_answer_is_bounded_and_says_so() {
    let limits = Limits { max_history_reply: 3, ..Limits::default() };
    let mut sim = world(keeping(RouterConfig { limits, ..open_realm() }, &[("com.x", Exact, 100)]));
    let id = join(&mut sim, "paul", ANYTHING);
    for n in 0..8 {
        publish(&mut sim, id, "com.x", plain(), n);
    }
    let subscription = lookup(&mut sim, id, "com.x", Exact);
    let (mut pages, mut filters) = (Vec::new(), Dict::new());
    loop {
        let (events, keywords) = ask(&mut sim, id, vec![subscription.get().into()], filters.clone()).expect("a result");
        pages.push(numbers(&events));
        if keywords.get("truncated") != Some(&true.into()) {
            assert_eq!(keywords, Dict::new());
            break;
        }
        filters.insert("after_publication".to_owned(), events[2]["publication"].clone());
    }
    assert_eq!(pages, [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
    let (events, keywords) =
        ask(&mut sim, id, vec![subscription.get().into(), 3.into()], Dict::new()).expect("a result");
    assert_eq!((numbers(&events), keywords), (vec![7, 6, 5], Dict::new()), "no more were asked for");
}

#[test]
fn bytes_of_an_answer_are_bounded() {
    let limits = Limits { max_history_reply_bytes: 1_000, ..Limits::default() };
    let mut sim = world(keeping(RouterConfig { limits, ..open_realm() }, &[("com.x", Exact, 100)]));
    let id = join(&mut sim, "paul", ANYTHING);
    for (n, length) in [(0, 100), (1, 100), (2, 5_000), (3, 100)] {
        let payload = Payload::from_args([n.into(), Value::from("x".repeat(length))]);
        sim.act(id, |client, now| client.publish(now, Uri::from("com.x"), plain(), payload)).expect("joined");
        sim.events();
    }
    let subscription = lookup(&mut sim, id, "com.x", Exact);
    let mut page = |kwargs: Dict| ask(&mut sim, id, vec![subscription.get().into()], kwargs).expect("a result").0;
    let first = page(Dict::new());
    assert_eq!(numbers(&first), [0, 1]);
    let second = page(keywords([("after_publication", first[1]["publication"].clone())]));
    assert_eq!(numbers(&second), [2], "one event is always told");
    assert_eq!(numbers(&page(keywords([("after_publication", second[0]["publication"].clone())]))), [3]);
}

#[test]
fn a_past_event_says_what_the_live_one_said() {
    let mut config = keeping(roles(&["sensor"]), &[("com.", Prefix, 10)]);
    trust(&mut config, "sensor", 4);
    let mut sim = world(config);
    let publisher = join(&mut sim, "paul", "sensor");
    let pass_thru = PassThru { enc_algo: Some("x_mine".to_owned()), ..PassThru::default() };
    let options = PublishOptions { disclose_me: true, pass_thru: Some(Box::new(pass_thru)), ..plain() };
    let payload = Payload::opaque(vec![0, 1, 2].into());
    sim.act(publisher, |client, now| client.publish(now, Uri::from("com.x"), options, payload)).expect("joined");
    sim.events();
    let subscription = lookup(&mut sim, publisher, "com.", Prefix);
    let (events, _) = ask(&mut sim, publisher, vec![subscription.get().into()], Dict::new()).expect("a result");
    let details = keywords([
        ("enc_algo", "x_mine".into()),
        ("publisher", sim.session(publisher).session.get().into()),
        ("publisher_authid", "paul".into()),
        ("publisher_authrole", "sensor".into()),
        ("topic", "com.x".into()),
        ("trustlevel", 4.into()),
    ]);
    assert_eq!(events[0]["details"], details.into());
    assert_eq!(events[0]["args"], vec![Value::Binary(vec![0, 1, 2])].into());
}

/// What one serializer can not carry does not keep those who speak it from all other events.
#[test]
fn an_event_that_json_can_not_carry_comes_without_its_payload() {
    let mut sim = world(keeping(open_realm(), &[("com.x", Exact, 10)]));
    let publisher = join_on(&mut sim, "paul", ANYTHING, Wire::Bytes(wampd_core::codec::Format::Cbor));
    let reader = join_on(&mut sim, "rita", ANYTHING, Wire::Bytes(wampd_core::codec::Format::Json));
    let payload = Payload::from_args([Value::from("\0x")]);
    sim.act(publisher, |client, now| client.publish(now, Uri::from("com.x"), plain(), payload)).expect("joined");
    publish(&mut sim, publisher, "com.x", plain(), 1);
    let subscription = lookup(&mut sim, reader, "com.x", Exact);
    let (events, _) = ask(&mut sim, reader, vec![subscription.get().into()], Dict::new()).expect("a result");
    assert!(!events[0].contains_key("args") && !events[0].contains_key("kwargs"));
    assert_eq!(numbers(&events[1..]), [1]);
}

#[test]
fn a_kept_subscription_outlives_its_subscribers() {
    let mut sim = world(keeping(open_realm(), &[("com.x", Exact, 10)]));
    let id = join(&mut sim, "paul", ANYTHING);
    let (subscription, _) = subscribe(&mut sim, id, "com.x", SubscribeOptions::default());
    let request = sim.act(id, |client, now| client.unsubscribe(now, subscription)).expect("joined");
    assert_eq!(sim.events(), [(id, ClientEvent::Unsubscribed { request })]);
    publish(&mut sim, id, "com.x", plain(), 1);
    assert_eq!(subscribe(&mut sim, id, "com.x", SubscribeOptions::default()).0, subscription);
    assert_eq!(get(&mut sim, id, subscription, Dict::new()), [1]);
    sim.act(id, |client, now| client.leave(now, close::NORMAL));
    sim.events();
    assert_eq!(sim.router.stats().subscriptions, 1);
}

#[test]
fn the_feature_is_announced_where_there_is_a_history() {
    for (config, expected) in [
        (open_realm(), false),
        (keeping(open_realm(), &[("com.x", Exact, 10)]), true),
        (
            {
                let mut config = keeping(open_realm(), &[("com.x", Exact, 10)]);
                config.realms[0].meta_api = false;
                config
            },
            false,
        ),
    ] {
        let mut sim = world(config);
        let id = join(&mut sim, "paul", ANYTHING);
        let broker = sim.session(id).details.roles.broker.expect("a broker");
        assert_eq!(broker.contains(Features::EVENT_HISTORY), expected);
    }
}
