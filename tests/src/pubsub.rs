//! Subscribing, publishing and listening in the simulated world.

use crate::answerer::{REALM, at_once, identity};
use crate::config::open_realm;
use crate::link::Wire;
use crate::sim::{EndId, Sim};
use core::time::Duration;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::id::{PublicationId, SubscriptionId};
use wampd_core::message::{Audience, EventDetails, Payload, PublishOptions, SubscribeOptions};
use wampd_core::router::{AuthStep, AuthVerdict, Permissions, RoleConfig, RouterConfig};
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::Value;

/// An event that came to a client; its payload is a number.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The receiver.
    pub who: EndId,
    /// The subscription that matched.
    pub subscription: SubscriptionId,
    /// The publication.
    pub publication: PublicationId,
    /// About the publication.
    pub details: EventDetails,
    /// The number.
    pub n: u64,
}

/// A configuration in which these roles may do everything.
pub fn roles(names: &[&str]) -> RouterConfig {
    let mut config = open_realm();
    config.realms[0].roles.extend(names.iter().map(|name| RoleConfig::new(*name, Permissions::all())));
    config
}

/// Sets the trust level of a role.
pub fn trust(config: &mut RouterConfig, role: &str, level: u64) {
    let role = config.realms[0].roles.iter_mut().find(|found| found.name == role).expect("the role");
    role.trustlevel = Some(level);
}

/// A world in which everybody may join as who they say they are, in the role that they ask for.
pub fn world(config: RouterConfig) -> Sim {
    let answerer = at_once(|request| {
        let role = match &request.step {
            AuthStep::Hello { authrole: Some(role), .. } => role,
            _ => crate::config::ANYTHING,
        };
        AuthVerdict::Welcome(identity(request, role, "anonymous"))
    });
    Sim::new(1, config, Duration::ZERO, answerer)
}

/// A client that has joined such a world.
pub fn join(sim: &mut Sim, authid: &str, role: &str) -> EndId {
    join_on(sim, authid, role, Wire::Messages)
}

/// As [`join`], over this kind of link.
pub fn join_on(sim: &mut Sim, authid: &str, role: &str, wire: Wire) -> EndId {
    let config = ClientConfig {
        authid: Some(authid.to_owned()),
        authrole: Some(role.to_owned()),
        ..ClientConfig::anonymous(REALM)
    };
    let id = sim.client(config, wire);
    assert!(matches!(sim.events().as_slice(), [(_, ClientEvent::Joined(_))]), "{}", sim.tail());
    id
}

/// Options that ask for retained events.
pub fn get_retained(matching: MatchPolicy) -> SubscribeOptions {
    SubscribeOptions { matching, get_retained: true, ..SubscribeOptions::default() }
}

/// Options of a publication to be retained.
pub fn retain() -> PublishOptions {
    PublishOptions { retain: true, ..PublishOptions::default() }
}

/// As [`retain`], for this audience alone.
pub fn retain_for(audience: Audience) -> PublishOptions {
    PublishOptions { audience: Some(Box::new(audience)), ..retain() }
}

/// Subscribes; returns the subscription, and the events that came with it, which all follow it.
pub fn subscribe(sim: &mut Sim, id: EndId, topic: &str, options: SubscribeOptions) -> (SubscriptionId, Vec<Heard>) {
    let topic = Uri::from(topic.to_owned());
    let request = sim.act(id, |client, now| client.subscribe(now, topic, options)).expect("joined");
    let mut events = sim.events().into_iter();
    let first = events.next();
    let Some((whom, ClientEvent::Subscribed { request: answered, subscription })) = first else { panic!("{first:?}") };
    assert_eq!((whom, answered), (id, request));
    (subscription, events.map(heard).collect())
}

/// Publishes a number; returns the events that come of it. Nothing else may come.
pub fn publish(sim: &mut Sim, id: EndId, topic: &str, options: PublishOptions, n: u64) -> Vec<Heard> {
    let topic = Uri::from(topic.to_owned());
    let payload = Payload::from_args([Value::from(n)]);
    sim.act(id, |client, now| client.publish(now, topic, options, payload)).expect("joined");
    hear(sim)
}

/// The events that come until nothing more is under way. Nothing else may come.
pub fn hear(sim: &mut Sim) -> Vec<Heard> {
    sim.events().into_iter().map(heard).collect()
}

/// The receivers and numbers of events.
pub fn numbers(heard: &[Heard]) -> Vec<(EndId, u64)> {
    heard.iter().map(|event| (event.who, event.n)).collect()
}

fn heard((who, event): (EndId, ClientEvent)) -> Heard {
    let ClientEvent::Event { subscription, publication, details, payload } = event else { panic!("{event:?}") };
    let (args, _) = payload.values().expect("values");
    Heard { who, subscription, publication, details, n: args[0].as_u64().expect("a number") }
}
