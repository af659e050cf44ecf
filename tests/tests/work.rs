//! Work is bounded and counted: whatever one session asks for, another waits for a slice of it at most.

use wampd_core::message::*;
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::{Dict, Value};
use wampd_tests::counted::{LITTLE, Rig, SLICE, Session};

fn ids(value: &Value) -> Vec<u64> {
    let Value::List(list) = value else { panic!("{value:?}") };
    list.iter().map(|id| id.as_u64().expect("an id")).collect()
}

fn after(id: u64) -> Dict {
    Dict::from([("after".to_owned(), id.into())])
}

/// A long list asked for again and again until it is complete.
fn in_parts(
    rig: &mut Rig,
    (caller, bystander): (&mut Session, &mut Session),
    procedure: &'static str,
    args: &[Value],
    list: impl Fn(&Value) -> Vec<u64>,
) -> Vec<u64> {
    let (mut all, mut from) = (Vec::new(), Dict::new());
    loop {
        rig.call(caller, procedure, args.to_vec(), core::mem::take(&mut from));
        rig.finish(bystander);
        let (args, kwargs) = rig.result(caller);
        all.extend(list(&args[0]));
        match kwargs.get("next") {
            Some(next) => {
                assert_eq!(kwargs.get("truncated"), Some(&Value::Bool(true)));
                from = after(next.as_u64().expect("an id"));
            }
            None => return all,
        }
    }
}

#[test]
fn a_long_list_is_made_in_pieces_and_complete() {
    let mut rig = Rig::new(|_| ());
    let (mut attacker, mut bystander) = (rig.join("user"), rig.join("user"));
    for n in 0..20_000 {
        rig.subscribe(&mut attacker, format!("com.{n}"), MatchPolicy::Exact);
    }
    for args in [vec![], vec![Value::from(attacker.id.get())]] {
        let took = rig.call(&mut attacker, "wamp.subscription.list", args, Dict::new());
        assert!(took <= SLICE / 16 + LITTLE, "{took}");
        assert!(!rig.router.wants_input(attacker.peer), "one at a time");
        let slices = rig.finish(&mut bystander);
        assert!((4..8).contains(&slices), "{slices}");
        assert!(rig.router.wants_input(attacker.peer));
        let (args, kwargs) = rig.result(&attacker);
        let Value::Dict(lists) = &args[0] else { panic!("{args:?}") };
        assert_eq!((ids(&lists["exact"]).len(), kwargs.len()), (20_000, 0));
    }
    assert_eq!(rig.router.stats().jobs_put_off, 2);
}

#[test]
fn a_list_that_is_too_long_ends_and_says_where_to_go_on() {
    let mut rig = Rig::new(|config| config.limits.max_list_reply = 7);
    let (mut caller, mut bystander) = (rig.join("user"), rig.join("user"));
    let mut sessions = vec![caller.id.get(), bystander.id.get()];
    for n in 0..25 {
        let mut session = rig.join("user");
        rig.subscribe(&mut session, "com.shared".into(), MatchPolicy::Exact);
        rig.register(&mut session, format!("com.procedure{n}"));
        rig.subscribe(&mut caller, format!("com.{n}"), [MatchPolicy::Exact, MatchPolicy::Prefix][n % 2]);
        sessions.push(session.id.get());
    }
    sessions.sort_unstable();
    let list = |value: &Value| ids(value);
    assert_eq!(in_parts(&mut rig, (&mut caller, &mut bystander), "wamp.session.list", &[], list), sessions);
    let by_policy = |value: &Value| {
        let Value::Dict(lists) = value else { panic!("{value:?}") };
        lists.values().flat_map(ids).collect()
    };
    for (procedure, args, count) in [
        ("wamp.subscription.list", vec![], 26),
        ("wamp.subscription.list", vec![Value::from(caller.id.get())], 25),
        ("wamp.registration.list", vec![], 25),
        ("wamp.subscription.list_subscribers", vec![Value::from(1)], 25),
    ] {
        let mut found =
            in_parts(&mut rig, (&mut caller, &mut bystander), procedure, &args, by_policy_or_list(by_policy));
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), count, "{procedure}");
    }
    assert!(rig.router.stats().lists_truncated > 10);
}

fn by_policy_or_list(by_policy: impl Fn(&Value) -> Vec<u64>) -> impl Fn(&Value) -> Vec<u64> {
    move |value| if matches!(value, Value::List(_)) { ids(value) } else { by_policy(value) }
}

#[test]
fn counts_with_filters_and_kills_are_made_in_pieces() {
    let mut rig = Rig::new(|_| ());
    let (mut admin, mut bystander) = (rig.join("admin"), rig.join("user"));
    let others: Vec<_> = (0..6_000).map(|_| rig.join("user")).collect();
    let filter = Value::List(vec!["admin".into(), "nobody".into()]);
    let took = rig.call(&mut admin, "wamp.session.count", vec![filter], Dict::new());
    assert!(took <= SLICE / 16 + LITTLE, "{took}");
    assert_eq!(rig.finish(&mut bystander), 2);
    assert_eq!(rig.result(&admin).0, [Value::from(1)]);
    // It is not killed with the others.
    let mut bystander = rig.join("admin");
    let took = rig.call(&mut admin, "wamp.session.kill_by_authrole", vec!["user".into()], Dict::new());
    assert!(took <= SLICE / 16 + LITTLE, "{took}");
    assert!(rig.finish(&mut bystander) > 6_000 / SLICE as usize, "each is told GOODBYE");
    assert_eq!(rig.result(&admin).0, [Value::from(6_001)]);
    assert!(others.iter().all(|session| matches!(rig.take(session.peer)[..], [Message::Goodbye(_)])));
    assert_eq!(rig.router.stats().sessions, 2);
}

#[test]
fn a_look_up_of_retained_events_and_a_wide_event_are_counted() {
    let mut rig = Rig::new(|_| ());
    let (mut publisher, mut subscriber) = (rig.join("user"), rig.join("user"));
    let publish = |rig: &mut Rig, publisher: &mut Session, topic: String, retain, eligible| {
        let request = publisher.request();
        let audience = Some(Box::new(Audience { eligible, ..Audience::default() }));
        let options = PublishOptions { retain, audience, ..PublishOptions::default() };
        rig.say(publisher.peer, Publish { request, options, topic: Uri::from(topic), payload: Payload::empty() })
    };
    let id = publisher.id;
    for n in 0..3_000 {
        publish(&mut rig, &mut publisher, format!("com.kept.{n}"), true, Some(vec![id]));
    }
    let request = subscriber.request();
    let options = SubscribeOptions { matching: MatchPolicy::Prefix, get_retained: true, nkey: None };
    let took = rig.say(subscriber.peer, Subscribe { request, options, topic: Uri::from("com.kept.") });
    assert!((3_000..3_000 + LITTLE).contains(&took), "{took}");
    for _ in 0..500 {
        let mut receiver = rig.join("user");
        rig.subscribe(&mut receiver, "com.wide".into(), MatchPolicy::Exact);
    }
    let took = publish(&mut rig, &mut publisher, "com.wide".into(), false, None);
    assert!((1_000..1_000 + LITTLE).contains(&took), "looked at and received by 500: {took}");
}
