//! Who published, and how far that is to be trusted (spec: "Publisher Identification", "Publication Trust Levels").

use wampd_core::client::ClientEvent;
use wampd_core::message::{Payload, PublishOptions, SubscribeOptions};
use wampd_core::router::{Allow, Disclose, Permissions, RoleConfig, RouterConfig, Rule};
use wampd_core::uri::{MatchPolicy, Uri, error};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::pubsub::{join, join_on, publish, roles, subscribe, trust, world};

fn disclosed() -> PublishOptions {
    PublishOptions { disclose_me: true, ..PublishOptions::default() }
}

/// A realm in which nobody may ask to be disclosed, but a rule discloses everybody on one topic.
fn discreet() -> RouterConfig {
    let mut config = open_realm();
    let mut rule = Rule::new(Uri::from("com.open"), MatchPolicy::Exact, Allow::ALL);
    rule.disclose = Disclose { caller: true, publisher: true };
    let everything = Rule::new(Uri::from(""), MatchPolicy::Prefix, Allow::ALL);
    let permissions = Permissions::new(vec![rule, everything]).expect("no contradiction");
    config.realms[0].roles.push(RoleConfig::new("discreet", permissions));
    config.realms[0].disclose_me = false;
    config
}

#[test]
fn a_realm_can_forbid_to_ask_for_disclosure() {
    let mut sim = world(discreet());
    let [publisher, listener] = ["paul", "ann"].map(|name| join(&mut sim, name, "discreet"));
    for topic in ["com.x", "com.open"] {
        subscribe(&mut sim, listener, topic, SubscribeOptions::default());
    }
    assert_eq!(publish(&mut sim, publisher, "com.x", disclosed(), 1), [], "refused without a word");
    let options = PublishOptions { acknowledge: true, ..disclosed() };
    let topic = || Uri::from("com.x");
    let request =
        sim.act(publisher, |client, now| client.publish(now, topic(), options, Payload::empty())).expect("joined");
    let events = sim.events();
    let [(_, ClientEvent::Failed { request: failed, error: why, .. })] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*failed, why), (request, &error::DISCLOSE_ME_NOT_ALLOWED));
    assert_eq!(why.as_str(), "wamp.error.option_disallowed.disclose_me");
    let request = sim
        .act(publisher, |client, now| {
            let options = wampd_core::message::CallOptions { disclose_me: true, ..Default::default() };
            client.call(now, topic(), options, Payload::empty())
        })
        .expect("joined");
    let events = sim.events();
    let [(_, ClientEvent::Failed { request: failed, error: why, .. })] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*failed, why), (request, &error::DISCLOSE_ME_NOT_ALLOWED));
    // What is not asked for is not refused, and what the rules disclose may be asked for.
    for options in [PublishOptions::default(), disclosed()] {
        let [event] = &publish(&mut sim, publisher, "com.open", options, 1)[..] else { panic!("one event") };
        let told = event.details.publisher.as_ref().expect("disclosed by the rule");
        assert_eq!((told.session, told.authid.as_deref()), (sim.session(publisher).session, Some("paul")));
    }
    assert_eq!(publish(&mut sim, publisher, "com.x", PublishOptions::default(), 1).len(), 1);
}

#[test]
fn the_trust_level_is_that_of_the_publishers_role() {
    let mut config = roles(&["sensor", "operator"]);
    trust(&mut config, "sensor", 0);
    trust(&mut config, "operator", 7);
    let mut sim = world(config);
    let listeners = Wire::ALL.map(|wire| {
        let id = join_on(&mut sim, "ann", ANYTHING, wire);
        subscribe(&mut sim, id, "com.x", SubscribeOptions::default());
        id
    });
    for (role, level) in [("sensor", Some(0)), ("operator", Some(7)), (ANYTHING, None)] {
        let publisher = join(&mut sim, "paul", role);
        let events = publish(&mut sim, publisher, "com.x", PublishOptions::default(), 1);
        assert_eq!(events.len(), listeners.len());
        assert!(events.iter().all(|event| event.details.trustlevel == level), "{role}: {events:?}");
    }
}
