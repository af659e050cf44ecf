//! `wamp.subscription.*`: what is subscribed to, and by whom.

use core::time::Duration;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::id::SubscriptionId;
use wampd_core::message::{Features, Payload, PublishOptions};
use wampd_core::uri::{MatchPolicy, Uri, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::config::ANYTHING;
use wampd_tests::link::Wire;
use wampd_tests::meta::{
    USER, call, call_and_see, call_with, config, dict, error_of, events_of, join, session, subscribe, value, world,
};
use wampd_tests::sim::{EndId, Sim};

/// An administrator, two users, and what these are subscribed to.
struct World {
    sim: Sim,
    admin: EndId,
    users: [EndId; 2],
    exact: SubscriptionId,
    prefix: SubscriptionId,
    wildcard: SubscriptionId,
}

fn subscribed() -> World {
    let mut sim = world();
    let admin = join(&mut sim, "admin", ANYTHING);
    let users = ["joe", "ann"].map(|authid| join(&mut sim, authid, USER));
    let [joe, ann] = users;
    let exact = subscribe(&mut sim, joe, "com.app.news", MatchPolicy::Exact);
    sim.run_for(Duration::from_millis(1_500), 1_000, |_, _, _| ());
    assert_eq!(subscribe(&mut sim, ann, "com.app.news", MatchPolicy::Exact), exact);
    let prefix = subscribe(&mut sim, ann, "com.app", MatchPolicy::Prefix);
    let wildcard = subscribe(&mut sim, joe, "com..news", MatchPolicy::Wildcard);
    World { sim, admin, users, exact, prefix, wildcard }
}

#[test]
fn subscriptions_are_listed_by_match_policy() {
    let World { mut sim, admin, users: [joe, ann], exact, prefix, wildcard } = subscribed();
    let lists = |exact: &[SubscriptionId], prefix: &[SubscriptionId], wildcard: &[SubscriptionId]| {
        let list = |ids: &[SubscriptionId]| ids.iter().map(|id| Value::from(id.get())).collect::<Vec<_>>().into();
        value(dict([("exact", list(exact)), ("prefix", list(prefix)), ("wildcard", list(wildcard))]))
    };
    let list = "wamp.subscription.list";
    assert_eq!(call(&mut sim, admin, list, vec![]), lists(&[exact], &[prefix], &[wildcard]));
    let (of_joe, of_ann, of_admin) = (session(&sim, joe), session(&sim, ann), session(&sim, admin));
    assert_eq!(call(&mut sim, admin, list, vec![of_joe]), lists(&[exact], &[], &[wildcard]));
    assert_eq!(call(&mut sim, admin, list, vec![of_ann]), lists(&[exact], &[prefix], &[]));
    assert_eq!(call(&mut sim, admin, list, vec![of_admin]), lists(&[], &[], &[]));
    assert_eq!(error_of(call(&mut sim, admin, list, vec![1.into()])), error::NO_SUCH_SESSION);
}

#[test]
fn a_subscription_is_looked_up_by_what_was_subscribed_to() {
    let World { mut sim, admin, exact, prefix, wildcard, .. } = subscribed();
    let mut lookup = |uri: &str, matching: Option<&str>| {
        let mut args = vec![Value::from(uri)];
        args.extend(matching.map(|matching| dict([("match", matching.into())]).into()));
        call(&mut sim, admin, "wamp.subscription.lookup", args)
    };
    assert_eq!(lookup("com.app.news", None), value(exact.get()));
    assert_eq!(lookup("com.app.news", Some("exact")), value(exact.get()));
    assert_eq!(lookup("com.app", Some("prefix")), value(prefix.get()));
    assert_eq!(lookup("com..news", Some("wildcard")), value(wildcard.get()));
    for (uri, matching) in [("com.app.news", "prefix"), ("com.app", "exact"), ("com.app.x", "wildcard")] {
        assert_eq!(lookup(uri, Some(matching)), value(Value::Null), "{uri} {matching}");
    }
    assert_eq!(error_of(lookup("com.app", Some("glob"))), error::INVALID_ARGUMENT);
    assert_eq!(error_of(call(&mut sim, admin, "wamp.subscription.lookup", vec![7.into()])), error::INVALID_ARGUMENT);
}

#[test]
fn all_subscriptions_that_match_a_topic_are_found() {
    let World { mut sim, admin, exact, prefix, wildcard, .. } = subscribed();
    let mut matching = |topic: &str| call(&mut sim, admin, "wamp.subscription.match", vec![topic.into()]);
    let list = |ids: &[SubscriptionId]| value(ids.iter().map(|id| Value::from(id.get())).collect::<Vec<_>>());
    assert_eq!(matching("com.app.news"), list(&[exact, prefix, wildcard]));
    assert_eq!(matching("com.app.x"), list(&[prefix]));
    assert_eq!(matching("com.x.news"), list(&[wildcard]));
    assert_eq!(matching("org.x"), value(Value::Null));
    assert_eq!(error_of(call(&mut sim, admin, "wamp.subscription.match", vec![])), error::INVALID_ARGUMENT);
}

#[test]
fn details_of_a_subscription_are_told() {
    let World { mut sim, admin, exact, prefix, .. } = subscribed();
    let mut get = |id: SubscriptionId| call(&mut sim, admin, "wamp.subscription.get", vec![id.get().into()]);
    let details = |id: SubscriptionId, created: &str, uri: &str, matching: &str| {
        let id = id.get().into();
        value(dict([("id", id), ("created", created.into()), ("uri", uri.into()), ("match", matching.into())]))
    };
    let created = "2026-01-01T00:00:00.000Z";
    assert_eq!(get(exact), details(exact, created, "com.app.news", "exact"), "by its first subscriber");
    assert_eq!(get(prefix), details(prefix, "2026-01-01T00:00:01.500Z", "com.app", "prefix"));
}

#[test]
fn subscribers_are_listed_and_counted() {
    let World { mut sim, admin, users: [joe, ann], exact, prefix, .. } = subscribed();
    let of = |id: SubscriptionId| vec![id.get().into()];
    let (joe_id, ann_id) = (session(&sim, joe), session(&sim, ann));
    let list = "wamp.subscription.list_subscribers";
    assert_eq!(call(&mut sim, admin, list, of(exact)), value(vec![joe_id, ann_id.clone()]));
    assert_eq!(call(&mut sim, admin, list, of(prefix)), value(vec![ann_id.clone()]));
    assert_eq!(call(&mut sim, admin, "wamp.subscription.count_subscribers", of(exact)), value(2));
    sim.act(joe, |client, now| client.unsubscribe(now, exact)).expect("joined");
    sim.events();
    assert_eq!(call(&mut sim, admin, list, of(exact)), value(vec![ann_id]));
    assert_eq!(call(&mut sim, admin, "wamp.subscription.count_subscribers", of(exact)), value(1));
}

#[test]
fn unknown_subscriptions_are_said_to_be_so() {
    let World { mut sim, admin, users: [joe, _], wildcard, .. } = subscribed();
    sim.act(joe, |client, now| client.unsubscribe(now, wildcard)).expect("joined");
    sim.events();
    for procedure in
        ["wamp.subscription.get", "wamp.subscription.list_subscribers", "wamp.subscription.count_subscribers"]
    {
        for unknown in [wildcard.get().into(), Value::from(1_u64 << 53), 4_000_000_000_u64.into()] {
            assert_eq!(error_of(call(&mut sim, admin, procedure, vec![unknown])), error::NO_SUCH_SUBSCRIPTION);
        }
        for wrong in [vec![], vec![0.into()], vec!["x".into()], vec![1.into(), 2.into()]] {
            assert_eq!(error_of(call(&mut sim, admin, procedure, wrong)), error::INVALID_ARGUMENT);
        }
    }
}

#[test]
fn a_subscriber_is_removed_and_told_why() {
    let World { mut sim, admin, users: [joe, ann], exact, .. } = subscribed();
    let args = vec![exact.get().into(), session(&sim, joe)];
    let reason = dict([("reason", "com.example.enough".into())]);
    let remove = "wamp.subscription.remove_subscriber";
    let (answer, told) = call_and_see(&mut sim, admin, remove, args.clone(), reason);
    assert_eq!(answer, Ok(vec![]));
    let revoked = ClientEvent::SubscriptionRevoked { subscription: exact, reason: Some("com.example.enough".into()) };
    assert!(told.contains(&(joe, revoked)), "{told:?}");
    let publish = PublishOptions::default();
    sim.act(admin, |client, now| client.publish(now, Uri::from("com.app.news"), publish, Payload::empty()))
        .expect("joined");
    let told = sim.events();
    assert!(events_of(ann, &told).iter().any(|(id, _)| *id == exact));
    assert!(!events_of(joe, &told).iter().any(|(id, _)| *id == exact), "{told:?}");
    assert_eq!(error_of(call(&mut sim, admin, remove, args)), error::NO_SUCH_SUBSCRIPTION);
}

#[test]
fn a_subscriber_that_does_not_know_of_revocation_is_not_told() {
    let World { mut sim, admin, .. } = subscribed();
    let mut plain: ClientConfig = config("old", USER);
    plain.roles.subscriber = Some(Features::NONE);
    let old = sim.client(plain, Wire::Messages);
    sim.events();
    let id = subscribe(&mut sim, old, "com.old", MatchPolicy::Exact);
    let args = vec![id.get().into(), session(&sim, old)];
    let (answer, told) = call_and_see(&mut sim, admin, "wamp.subscription.remove_subscriber", args, Dict::new());
    assert!(answer.is_ok() && told.iter().all(|(whom, _)| *whom != old), "{told:?}");
    let gone = call(&mut sim, admin, "wamp.subscription.get", vec![id.get().into()]);
    assert_eq!(error_of(gone), error::NO_SUCH_SUBSCRIPTION);
}

#[test]
fn wrong_removals_change_nothing() {
    let World { mut sim, admin, users: [joe, ann], exact, wildcard, .. } = subscribed();
    let (id, joe_id, ann_id) = (Value::from(exact.get()), session(&sim, joe), session(&sim, ann));
    let remove = "wamp.subscription.remove_subscriber";
    for (args, expected) in [
        (vec![wildcard.get().into(), ann_id], error::NO_SUCH_SUBSCRIPTION),
        (vec![id.clone(), 1.into()], error::NO_SUCH_SESSION),
        (vec![4_000_000_000_u64.into(), joe_id.clone()], error::NO_SUCH_SUBSCRIPTION),
        (vec![id.clone()], error::INVALID_ARGUMENT),
        (vec![id.clone(), joe_id.clone(), 7.into()], error::INVALID_URI),
    ] {
        assert_eq!(error_of(call(&mut sim, admin, remove, args)), expected);
    }
    let unknown = dict([("because", "x".into())]);
    assert_eq!(
        error_of(call_with(&mut sim, admin, remove, vec![id.clone(), joe_id], unknown)),
        error::INVALID_ARGUMENT
    );
    assert_eq!(call(&mut sim, admin, "wamp.subscription.count_subscribers", vec![id]), value(2));
}
