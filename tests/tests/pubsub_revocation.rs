//! Subscriptions that the router takes back (spec: "Subscription Revocation").

use wampd_core::client::{ClientConfig, ClientEvent, supported_roles};
use wampd_core::message::{CallOptions, ClientRoles, Features, Message, Payload, PublishOptions, SubscribeOptions};
use wampd_core::router::{Allow, Permissions, Rule};
use wampd_core::uri::MatchPolicy::{Exact, Prefix};
use wampd_core::uri::{MatchPolicy, Uri, error};
use wampd_tests::answerer::REALM;
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::pubsub::{hear, join, join_on, publish, roles, subscribe, world};
use wampd_tests::sim::{EndId, Sim, Told};

fn without_revocation() -> ClientRoles {
    ClientRoles { subscriber: Some(Features::PATTERN_BASED_SUBSCRIPTION), ..supported_roles() }
}

fn join_with(sim: &mut Sim, role: &str, roles: ClientRoles) -> EndId {
    let config = ClientConfig { authrole: Some(role.to_owned()), roles, ..ClientConfig::anonymous(REALM) };
    let id = sim.client(config, Wire::Messages);
    assert!(matches!(&sim.events()[..], [(_, ClientEvent::Joined(_))]));
    id
}

fn matching(matching: MatchPolicy) -> SubscribeOptions {
    SubscribeOptions { matching, ..SubscribeOptions::default() }
}

/// Rules that allow everything but to subscribe to `com.secret`.
fn rules() -> Permissions {
    let rule = |uri: &'static str, matching, allow| Rule::new(Uri::from_static(uri), matching, allow);
    Permissions::new(vec![
        rule("", Prefix, Allow::ALL),
        rule("com.secret", Exact, Allow { subscribe: false, ..Allow::ALL }),
    ])
    .expect("no contradiction")
}

fn forbid(sim: &mut Sim, role: &str) {
    assert!(sim.with_router(|router, _| router.set_permissions(&REALM, role, rules())));
}

#[test]
fn what_a_role_may_no_longer_subscribe_to_is_taken_back() {
    for wire in Wire::ALL {
        let mut sim = world(roles(&["user"]));
        let publisher = join(&mut sim, "paul", ANYTHING);
        let [user, other] = ["user", ANYTHING].map(|role| join_on(&mut sim, "x", role, wire));
        for id in [user, other] {
            subscribe(&mut sim, id, "com.secret", matching(Exact));
            subscribe(&mut sim, id, "com.public", matching(Exact));
        }
        // A pattern that has a denied topic in it is denied.
        let (pattern, _) = subscribe(&mut sim, user, "com.", matching(Prefix));
        forbid(&mut sim, "user");
        let mut told: Vec<_> = sim
            .events()
            .into_iter()
            .map(|(id, event)| match event {
                ClientEvent::SubscriptionRevoked { subscription, reason } => {
                    assert_eq!((id, reason), (user, Some(error::NOT_AUTHORIZED)));
                    subscription
                }
                other => panic!("{other:?}"),
            })
            .collect();
        told.sort_unstable();
        assert_eq!((told.len(), told.contains(&pattern)), (2, true));
        assert_eq!(sim.router.stats().subscriptions_revoked, 2);
        let heard = publish(&mut sim, publisher, "com.secret", PublishOptions::default(), 1);
        assert_eq!(heard.iter().map(|event| event.who).collect::<Vec<_>>(), [other]);
        assert_eq!(publish(&mut sim, publisher, "com.public", PublishOptions::default(), 1).len(), 2);
    }
}

#[test]
fn nothing_is_said_to_who_did_not_announce_it() {
    let mut sim = world(roles(&["user"]));
    let publisher = join(&mut sim, "paul", ANYTHING);
    let id = join_with(&mut sim, "user", without_revocation());
    subscribe(&mut sim, id, "com.secret", matching(Exact));
    forbid(&mut sim, "user");
    assert_eq!(sim.events(), []);
    assert_eq!(publish(&mut sim, publisher, "com.secret", PublishOptions::default(), 1), []);
    assert!(sim.get(id).is_joined());
}

/// On the wire it is UNSUBSCRIBED with request 0, and says what and why.
#[test]
fn the_message_is_the_specifications() {
    let mut sim = world(roles(&["user"]));
    let id = join(&mut sim, "x", "user");
    let (subscription, _) = subscribe(&mut sim, id, "com.secret", matching(Exact));
    forbid(&mut sim, "user");
    let line = sim.trace.last().expect("a line").clone();
    let expected = format!("[35,0,{{\"subscription\":{subscription},\"reason\":\"wamp.error.not_authorized\"}}]");
    assert!(line.ends_with(&expected), "{line}");
    sim.events();
}

/// The client's UNSUBSCRIBE and the revocation cross.
#[test]
fn an_unsubscribe_may_cross_it() {
    let mut sim = world(roles(&["user"]));
    let id = join(&mut sim, "x", "user");
    let (subscription, _) = subscribe(&mut sim, id, "com.secret", matching(Exact));
    let request = sim.act(id, |client, now| client.unsubscribe(now, subscription)).expect("joined");
    forbid(&mut sim, "user");
    let events = sim.events();
    assert!(matches!(&events[0].1, ClientEvent::SubscriptionRevoked { subscription: of, .. } if *of == subscription));
    let [_, (_, ClientEvent::Failed { request: failed, error: why, .. })] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*failed, why), (request, &error::NO_SUCH_SUBSCRIPTION));
}

#[test]
fn others_see_that_it_was_taken_back() {
    let mut sim = world(roles(&["user"]));
    let watcher = join(&mut sim, "walter", ANYTHING);
    subscribe(&mut sim, watcher, "wamp.subscription.on_unsubscribe", matching(Exact));
    subscribe(&mut sim, watcher, "wamp.subscription.on_delete", matching(Exact));
    let id = join(&mut sim, "x", "user");
    let (subscription, _) = subscribe(&mut sim, id, "com.secret", matching(Exact));
    forbid(&mut sim, "user");
    let mut told = Vec::new();
    for (who, event) in sim.events() {
        if let (true, ClientEvent::Event { payload, .. }) = (who == watcher, event) {
            told.push(payload.values().expect("values").0);
        }
    }
    let expected = vec![sim.session(id).session.get().into(), subscription.get().into()];
    assert_eq!(told, [expected.clone(), expected], "on_unsubscribe and on_delete");
}

#[test]
fn a_subscriber_can_be_removed_by_an_administrator() {
    let mut sim = world(open_realm());
    let [admin, id, other] = ["ada", "x", "y"].map(|name| join(&mut sim, name, ANYTHING));
    let (subscription, _) = subscribe(&mut sim, id, "com.x", matching(Exact));
    subscribe(&mut sim, other, "com.x", matching(Exact));
    let args = [subscription.get().into(), sim.session(id).session.get().into()];
    let kwargs = [("reason".to_owned(), "com.enough".into())].into_iter().collect();
    let payload = Payload::from_values(args.into(), kwargs);
    let procedure = Uri::from("wamp.subscription.remove_subscriber");
    sim.act(admin, |client, now| client.call(now, procedure, CallOptions::default(), payload)).expect("joined");
    let events = sim.events();
    let revoked = ClientEvent::SubscriptionRevoked { subscription, reason: Some(Uri::from("com.enough")) };
    assert!(events.len() == 2 && events.contains(&(id, revoked)), "{events:?}");
    let heard = publish(&mut sim, admin, "com.x", PublishOptions::default(), 1);
    assert_eq!(heard.iter().map(|event| event.who).collect::<Vec<_>>(), [other]);
    // It may subscribe again.
    assert_eq!(subscribe(&mut sim, id, "com.x", matching(Exact)).0, subscription);
    assert_eq!(hear(&mut sim), []);
}

#[test]
fn it_is_announced_with_and_without_the_meta_api() {
    for meta_api in [true, false] {
        let mut config = open_realm();
        config.realms[0].meta_api = meta_api;
        let mut sim = world(config);
        let bare = sim.bare(Wire::Messages);
        let hello = wampd_core::message::Hello {
            realm: Some(REALM),
            details: wampd_core::message::HelloDetails { roles: supported_roles(), ..Default::default() },
        };
        sim.send(bare, hello);
        sim.settle(1_000, |_, _, told| {
            let Told::Message(Message::Welcome(welcome)) = told else { panic!("{told:?}") };
            let broker = welcome.details.roles.broker.expect("a broker");
            assert!(broker.contains(Features::SUBSCRIPTION_REVOCATION));
        });
    }
}
