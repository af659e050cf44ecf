//! Meta events: who and what comes and goes, told in the right order to whoever wants to know.

use wampd_core::client::ClientEvent;
use wampd_core::id::SubscriptionId;
use wampd_core::message::{Features, InvocationPolicy, Message, RegisterOptions};
use wampd_core::router::{CloseReason, Congestion, Identity, LinkInfo};
use wampd_core::uri::{MatchPolicy, Uri, close, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::REALM;
use wampd_tests::config::ANYTHING;
use wampd_tests::link::Wire;
use wampd_tests::meta::{
    USER, as_asked, call, call_and_see, config, dict, error_of, events_of, join, message, realms, register, session,
    subscribe, value, world,
};
use wampd_tests::sim::{EndId, Sim, Told};

const TOPICS: [&str; 10] = [
    "wamp.session.on_join",
    "wamp.session.on_leave",
    "wamp.registration.on_create",
    "wamp.registration.on_register",
    "wamp.registration.on_unregister",
    "wamp.registration.on_delete",
    "wamp.subscription.on_create",
    "wamp.subscription.on_subscribe",
    "wamp.subscription.on_unsubscribe",
    "wamp.subscription.on_delete",
];

/// A session that is subscribed to every meta event.
struct Watcher {
    id: EndId,
    subscriptions: Vec<SubscriptionId>,
}

impl Watcher {
    fn new(sim: &mut Sim) -> Self {
        let id = join(sim, "watcher", ANYTHING);
        let subscriptions = TOPICS.iter().map(|topic| subscribe(sim, id, topic, MatchPolicy::Exact)).collect();
        Self { id, subscriptions }
    }

    /// The meta events among what was told: topic without `wamp.`, and arguments.
    fn seen(&self, told: &[(EndId, ClientEvent)]) -> Vec<(&'static str, Vec<Value>)> {
        let events = events_of(self.id, told).into_iter().filter_map(|(subscription, args)| {
            let index = self.subscriptions.iter().position(|id| *id == subscription)?;
            Some((&TOPICS[index]["wamp.".len()..], args))
        });
        events.collect()
    }
}

/// What a session that ends leaves behind, in the order of the events.
fn names<'a>(seen: &[(&'a str, Vec<Value>)]) -> Vec<&'a str> {
    seen.iter().map(|(name, _)| *name).collect()
}

#[test]
fn joining_is_told_with_the_details_of_the_session() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let joe = sim.client(config("joe", USER), Wire::Messages);
    let told = sim.events();
    let details = dict([
        ("session", session(&sim, joe)),
        ("authid", "joe".into()),
        ("authrole", USER.into()),
        ("authmethod", "anonymous".into()),
        ("authprovider", "function".into()),
    ]);
    assert_eq!(watcher.seen(&told), [("session.on_join", vec![details.into()])]);
}

#[test]
fn leaving_is_told_however_it_comes_about() {
    type End = fn(&mut Sim, EndId);
    let ends: [End; 5] = [
        |sim, id| sim.act(id, |client, now| client.leave(now, close::NORMAL)),
        |sim, id| sim.cut(id),
        |sim, id| sim.hang_up(id),
        |sim, id| sim.congest(id, Congestion::Hard),
        // Breaks the protocol.
        |sim, id| sim.send(id, message(r#"[1,"realm1",{"roles":{"caller":{}}}]"#)),
    ];
    for end in ends {
        let mut sim = world();
        let watcher = Watcher::new(&mut sim);
        let joe = join(&mut sim, "joe", USER);
        let id = session(&sim, joe);
        end(&mut sim, joe);
        let told = sim.events();
        let expected = vec![id, "joe".into(), USER.into()];
        assert_eq!(watcher.seen(&told), [("session.on_leave", expected)], "{}", sim.tail());
    }
}

#[test]
fn leaving_is_told_by_the_id_alone_where_that_is_wanted() {
    let mut config = realms();
    config.realms[0].leave_event_details = false;
    let mut sim = Sim::new(1, config, Default::default(), as_asked());
    let watcher = Watcher::new(&mut sim);
    let joe = join(&mut sim, "joe", USER);
    let id = session(&sim, joe);
    sim.cut(joe);
    let told = sim.events();
    assert_eq!(watcher.seen(&told), [("session.on_leave", vec![id])]);
}

#[test]
fn one_who_never_joined_has_not_left() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let refused = sim.client(config("joe", "nobody"), Wire::Messages);
    let told = sim.events();
    assert!(!sim.get(refused).is_joined());
    assert_eq!(watcher.seen(&told), []);
}

#[test]
fn services_of_the_router_come_and_go_unseen() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let (authid, authrole) = ("service".to_owned(), "trusted".to_owned());
    let identity = Identity { realm: REALM, authid, authrole, ..Identity::default() };
    let link = LinkInfo { privileged: Some(identity), ..LinkInfo::default() };
    let service = sim.client_on(config("service", "trusted"), Wire::Messages, link);
    let mut told = sim.events();
    sim.act(service, |client, now| client.leave(now, close::NORMAL));
    told.extend(sim.events());
    assert_eq!(watcher.seen(&told), []);
}

#[test]
fn registrations_are_told_from_their_creation_to_their_deletion() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let [joe, ann] = ["joe", "ann"].map(|authid| join(&mut sim, authid, USER));
    let (joe_id, ann_id) = (session(&sim, joe), session(&sim, ann));
    let options = RegisterOptions { invoke: InvocationPolicy::Last, ..RegisterOptions::default() };
    let ask_register = |sim: &mut Sim, id| {
        sim.act(id, |client, now| client.register(now, Uri::from("com.app.add"), options.clone())).expect("joined");
        sim.events()
    };

    let told = ask_register(&mut sim, joe);
    let registration = told.iter().find_map(|(_, event)| match event {
        ClientEvent::Registered { registration, .. } => Some(*registration),
        _ => None,
    });
    let registration = registration.expect("registered");
    let id = Value::from(registration.get());
    let details = dict([
        ("id", id.clone()),
        ("created", "2026-01-01T00:00:00.000Z".into()),
        ("uri", "com.app.add".into()),
        ("match", "exact".into()),
        ("invoke", "last".into()),
    ]);
    let pair = |session: &Value| vec![session.clone(), id.clone()];
    assert_eq!(
        watcher.seen(&told),
        [("registration.on_create", vec![joe_id.clone(), details.into()]), ("registration.on_register", pair(&joe_id)),]
    );
    let told = ask_register(&mut sim, ann);
    assert_eq!(watcher.seen(&told), [("registration.on_register", pair(&ann_id))]);

    sim.act(joe, |client, now| client.unregister(now, registration)).expect("joined");
    let told = sim.events();
    assert_eq!(watcher.seen(&told), [("registration.on_unregister", pair(&joe_id))]);
    sim.act(ann, |client, now| client.unregister(now, registration)).expect("joined");
    let told = sim.events();
    let expected = [("registration.on_unregister", pair(&ann_id)), ("registration.on_delete", pair(&ann_id))];
    assert_eq!(watcher.seen(&told), expected);
}

#[test]
fn subscriptions_are_told_from_their_creation_to_their_deletion() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let [joe, ann] = ["joe", "ann"].map(|authid| join(&mut sim, authid, USER));
    let (joe_id, ann_id) = (session(&sim, joe), session(&sim, ann));
    let ask_subscribe = |sim: &mut Sim, id| {
        let options = wampd_core::message::SubscribeOptions { matching: MatchPolicy::Prefix, ..Default::default() };
        sim.act(id, |client, now| client.subscribe(now, Uri::from("com.app."), options)).expect("joined");
        sim.events()
    };

    let told = ask_subscribe(&mut sim, joe);
    let subscription = told.iter().find_map(|(_, event)| match event {
        ClientEvent::Subscribed { subscription, .. } => Some(*subscription),
        _ => None,
    });
    let subscription = subscription.expect("subscribed");
    let id = Value::from(subscription.get());
    let details = dict([
        ("id", id.clone()),
        ("created", "2026-01-01T00:00:00.000Z".into()),
        ("uri", "com.app.".into()),
        ("match", "prefix".into()),
    ]);
    let pair = |session: &Value| vec![session.clone(), id.clone()];
    assert_eq!(
        watcher.seen(&told),
        [
            ("subscription.on_create", vec![joe_id.clone(), details.into()]),
            ("subscription.on_subscribe", pair(&joe_id)),
        ]
    );
    let told = ask_subscribe(&mut sim, ann);
    assert_eq!(watcher.seen(&told), [("subscription.on_subscribe", pair(&ann_id))]);
    let told = ask_subscribe(&mut sim, ann);
    assert_eq!(watcher.seen(&told), [], "it is subscribed already");

    sim.act(joe, |client, now| client.unsubscribe(now, subscription)).expect("joined");
    let told = sim.events();
    assert_eq!(watcher.seen(&told), [("subscription.on_unsubscribe", pair(&joe_id))]);
    sim.act(ann, |client, now| client.unsubscribe(now, subscription)).expect("joined");
    let told = sim.events();
    let expected = [("subscription.on_unsubscribe", pair(&ann_id)), ("subscription.on_delete", pair(&ann_id))];
    assert_eq!(watcher.seen(&told), expected);
}

#[test]
fn a_request_that_fails_is_not_told() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let [joe, ann] = ["joe", "ann"].map(|authid| join(&mut sim, authid, USER));
    register(&mut sim, joe, "com.app.add", RegisterOptions::default());
    let options = RegisterOptions::default;
    sim.act(ann, |client, now| client.register(now, Uri::from("com.app.add"), options())).expect("joined");
    sim.act(ann, |client, now| client.register(now, Uri::from("com..add"), options())).expect("joined");
    sim.act(ann, |client, now| client.subscribe(now, Uri::from("com..x"), Default::default())).expect("joined");
    let told = sim.events();
    assert_eq!(told.iter().filter(|(_, event)| matches!(event, ClientEvent::Failed { .. })).count(), 3);
    assert_eq!(watcher.seen(&told), []);
}

#[test]
fn events_follow_the_answer_to_the_request_that_caused_them() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let id = watcher.id;
    let kind = |event: &ClientEvent| match event {
        ClientEvent::Registered { .. } | ClientEvent::Subscribed { .. } => "answer",
        ClientEvent::Unregistered { .. } | ClientEvent::Unsubscribed { .. } => "answer",
        ClientEvent::Event { .. } => "event",
        other => panic!("{other:?}"),
    };
    let order = |sim: &mut Sim| sim.events().iter().map(|(_, event)| kind(event)).collect::<Vec<_>>();
    sim.act(id, |client, now| client.register(now, Uri::from("com.a"), Default::default())).expect("joined");
    assert_eq!(order(&mut sim), ["answer", "event", "event"]);
    sim.act(id, |client, now| client.subscribe(now, Uri::from("com.a"), Default::default())).expect("joined");
    assert_eq!(order(&mut sim), ["answer", "event", "event"]);
    let (joe, ann) = (join(&mut sim, "joe", USER), join(&mut sim, "ann", USER));
    let registration = register(&mut sim, joe, "com.b", Default::default());
    let subscription = subscribe(&mut sim, joe, "com.b", MatchPolicy::Exact);
    let watched = |sim: &mut Sim, procedure, args: Vec<Value>| {
        let (answer, told) = call_and_see(sim, id, procedure, args, Dict::new());
        assert!(answer.is_ok(), "{answer:?}");
        let is_answer =
            |(whom, event): &(EndId, ClientEvent)| *whom == id && matches!(event, ClientEvent::Result { .. });
        let at = told.iter().position(is_answer).expect("answered");
        assert_eq!(events_of(id, &told[..at]), [], "an event before the answer");
        names(&watcher.seen(&told)).join(" ")
    };
    let args = vec![registration.get().into(), session(&sim, joe)];
    let seen = watched(&mut sim, "wamp.registration.remove_callee", args);
    assert_eq!(seen, "registration.on_unregister registration.on_delete");
    let args = vec![subscription.get().into(), session(&sim, joe)];
    let seen = watched(&mut sim, "wamp.subscription.remove_subscriber", args);
    assert_eq!(seen, "subscription.on_unsubscribe subscription.on_delete");
    let args = vec![session(&sim, joe)];
    assert_eq!(watched(&mut sim, "wamp.session.kill", args), "session.on_leave");
    assert_eq!(watched(&mut sim, "wamp.session.kill_by_authrole", vec![USER.into()]), "session.on_leave");
    assert!(!sim.get(ann).is_joined());
}

#[test]
fn a_session_that_ends_gives_everything_back_before_it_has_left() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let [joe, ann] = ["joe", "ann"].map(|authid| join(&mut sim, authid, USER));
    let shared = subscribe(&mut sim, ann, "com.shared", MatchPolicy::Exact);
    subscribe(&mut sim, joe, "com.shared", MatchPolicy::Exact);
    let own = subscribe(&mut sim, joe, "com.own", MatchPolicy::Exact);
    let registration = register(&mut sim, joe, "com.add", RegisterOptions::default());
    let joe_id = session(&sim, joe);
    sim.cut(joe);
    let told = sim.events();
    let with = |id: u64| vec![joe_id.clone(), id.into()];
    assert_eq!(
        watcher.seen(&told),
        [
            ("registration.on_unregister", with(registration.get())),
            ("registration.on_delete", with(registration.get())),
            ("subscription.on_unsubscribe", with(shared.get())),
            ("subscription.on_unsubscribe", with(own.get())),
            ("subscription.on_delete", with(own.get())),
            ("session.on_leave", vec![joe_id.clone(), "joe".into(), USER.into()]),
        ]
    );
}

#[test]
fn nothing_is_told_of_the_routers_own_topics() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let joe = join(&mut sim, "joe", USER);
    let options = wampd_core::message::SubscribeOptions { matching: MatchPolicy::Prefix, ..Default::default() };
    let mut told = Vec::new();
    for (topic, options) in
        [("wamp.session.on_join", Default::default()), ("wamp.", options.clone()), ("wamp.error.x", options)]
    {
        sim.act(joe, |client, now| client.subscribe(now, Uri::from(topic), options)).expect("joined");
        told.extend(sim.events());
    }
    let held = told.iter().filter_map(|(_, event)| match event {
        ClientEvent::Subscribed { subscription, .. } => Some(*subscription),
        _ => None,
    });
    let held: Vec<_> = held.collect();
    assert_eq!(held.len(), 3);
    sim.act(joe, |client, now| client.unsubscribe(now, held[0])).expect("joined");
    sim.cut(joe);
    told.extend(sim.events());
    assert_eq!(names(&watcher.seen(&told)), ["session.on_leave"]);
}

#[test]
fn patterns_receive_meta_events_with_their_topic() {
    let mut sim = world();
    let joe = join(&mut sim, "joe", USER);
    let patterns = [
        ("wamp.session.", MatchPolicy::Prefix),
        ("", MatchPolicy::Prefix),
        ("wamp..on_join", MatchPolicy::Wildcard),
        ("..", MatchPolicy::Wildcard),
        ("wamp.session", MatchPolicy::Wildcard),
        ("wamp.session.on_leave", MatchPolicy::Prefix),
    ];
    let held = patterns.map(|(pattern, matching)| subscribe(&mut sim, joe, pattern, matching));
    sim.client(config("ann", USER), Wire::Messages);
    let told = sim.events();
    let mut publications = Vec::new();
    let received = told.iter().filter_map(|(_, event)| match event {
        ClientEvent::Event { subscription, details, publication, .. } => {
            assert_eq!(details.topic, Some(Uri::from("wamp.session.on_join")));
            assert_eq!(details.publisher, None);
            publications.push(*publication);
            Some(*subscription)
        }
        _ => None,
    });
    assert_eq!(received.collect::<Vec<_>>(), [held[0], held[1], held[2], held[3]]);
    publications.dedup();
    assert_eq!(publications.len(), 1, "one publication");
}

#[test]
fn killing_all_sessions_tells_nobody_that_they_left() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let joe = join(&mut sim, "joe", USER);
    subscribe(&mut sim, joe, "com.a", MatchPolicy::Exact);
    let (answer, told) = call_and_see(&mut sim, watcher.id, "wamp.session.kill_all", vec![], Dict::new());
    assert_eq!(answer, value(1));
    let seen = watcher.seen(&told);
    assert_eq!(names(&seen), ["subscription.on_unsubscribe", "subscription.on_delete"], "no session meta events");
}

#[test]
fn sessions_killed_together_hear_nothing_of_each_other() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let victims: Vec<EndId> = (0..5).map(|_| sim.bare(Wire::Messages)).collect();
    for &id in &victims {
        sim.send(id, message(r#"[1,"realm1",{"roles":{"subscriber":{}},"authid":"victim","authrole":"user"}]"#));
        sim.send(id, message(r#"[32,1,{"match":"prefix"},"wamp."]"#));
    }
    sim.settle(10_000, |_, _, _| ());
    let payload = wampd_core::message::Payload::from_args(["victim".into()]);
    let procedure = Uri::from("wamp.session.kill_by_authid");
    sim.act(watcher.id, |client, now| client.call(now, procedure, Default::default(), payload)).expect("joined");
    let (mut told, mut goodbyes) = (Vec::new(), 0);
    sim.settle(10_000, |_, id, what| match what {
        Told::Event(event) => told.push((id, event)),
        Told::Message(Message::Goodbye(_)) => goodbyes += 1,
        other => panic!("{id:?}: {other:?}"),
    });
    assert_eq!((goodbyes, watcher.seen(&told).len()), (5, 5));
}

#[test]
fn shutting_down_is_not_told_session_by_session() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    for authid in ["joe", "ann"] {
        let id = join(&mut sim, authid, USER);
        subscribe(&mut sim, id, "com.a", MatchPolicy::Exact);
    }
    sim.with_router(|router, now| router.shut_down(now));
    let told = sim.events();
    assert_eq!(watcher.seen(&told), []);
    assert!(sim.closed.iter().all(|(_, reason)| *reason == CloseReason::Shutdown) && sim.closed.len() == 3);
}

#[test]
fn without_subscribers_nothing_is_published() {
    let mut sim = world();
    let joe = join(&mut sim, "joe", USER);
    let subscription = subscribe(&mut sim, joe, "wamp.session.on_join", MatchPolicy::Exact);
    sim.act(joe, |client, now| client.unsubscribe(now, subscription)).expect("joined");
    register(&mut sim, joe, "com.a", RegisterOptions::default());
    subscribe(&mut sim, joe, "com.", MatchPolicy::Prefix);
    join(&mut sim, "ann", USER);
    sim.cut(joe);
    sim.events();
    assert_eq!(sim.router.stats().events, 0);
}

#[test]
fn realms_do_not_hear_of_each_other() {
    let mut sim = world();
    let watcher = Watcher::new(&mut sim);
    let mut elsewhere = config("joe", USER);
    elsewhere.realm = Some(Uri::from("realm2"));
    let joe = sim.client(elsewhere, Wire::Messages);
    let mut told = sim.events();
    subscribe(&mut sim, joe, "com.a", MatchPolicy::Exact);
    sim.cut(joe);
    told.extend(sim.events());
    assert_eq!(watcher.seen(&told), []);
}

#[test]
fn a_realm_can_do_without_the_meta_api() {
    let mut config = realms();
    config.realms[0].meta_api = false;
    let mut sim = Sim::new(1, config, Default::default(), as_asked());
    let watcher = Watcher::new(&mut sim);
    let joe = join(&mut sim, "joe", USER);
    register(&mut sim, joe, "com.a", RegisterOptions::default());
    sim.cut(joe);
    sim.events();
    assert_eq!(sim.router.stats().events, 0);
    for procedure in ["wamp.session.count", "wamp.registration.list", "wamp.subscription.list"] {
        assert_eq!(error_of(call(&mut sim, watcher.id, procedure, vec![])), error::NO_SUCH_PROCEDURE);
    }
}

#[test]
fn the_meta_api_is_announced_where_it_is() {
    let mut config = realms();
    config.realms[1].meta_api = false;
    let mut sim = Sim::new(1, config, Default::default(), as_asked());
    let broker = Features::SESSION_META_API | Features::SUBSCRIPTION_META_API | Features::SUBSCRIPTION_REVOCATION;
    let dealer = Features::SESSION_META_API | Features::REGISTRATION_META_API;
    for (realm, has) in [("realm1", true), ("realm2", false)] {
        let mut config = wampd_tests::meta::config("joe", USER);
        config.realm = Some(Uri::from(realm));
        let id = sim.client(config, Wire::Messages);
        sim.events();
        let roles = sim.session(id).details.roles;
        let (at_broker, at_dealer) = (roles.broker.expect("a broker"), roles.dealer.expect("a dealer"));
        assert_eq!(at_broker.contains(broker), has);
        assert_eq!(at_dealer.contains(dealer), has);
        assert_eq!(at_broker.contains(Features::SESSION_META_API), has);
        assert_eq!(at_dealer.contains(Features::SESSION_META_API), has);
    }
}
