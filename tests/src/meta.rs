//! A realm whose meta API is used: an administrator, and others whom it looks at.

use crate::answerer::{REALM, at_once, identity};
use crate::config::ANYTHING;
use crate::link::Wire;
use crate::sim::{Answerer, EndId, Sim};
use bytes::Bytes;
use core::time::Duration;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::codec::{DecodeLimits, Format, decode};
use wampd_core::id::{RegistrationId, SubscriptionId};
use wampd_core::message::{CallOptions, Message, Payload, RegisterOptions, SubscribeOptions};
use wampd_core::router::{Allow, AuthStep, AuthVerdict, Permissions, RealmConfig, RoleConfig, RouterConfig, Rule};
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::{Dict, Value};

/// A role with a blanket rule: everything is allowed, but for calling what [`TOUCHES_OTHERS`].
pub const USER: &str = "user";

/// Every procedure of the meta API.
pub const PROCEDURES: [&str; 24] = [
    "wamp.session.count",
    "wamp.session.list",
    "wamp.session.get",
    "wamp.session.add_testament",
    "wamp.session.flush_testaments",
    "wamp.session.kill",
    "wamp.session.kill_by_authid",
    "wamp.session.kill_by_authrole",
    "wamp.session.kill_all",
    "wamp.registration.list",
    "wamp.registration.lookup",
    "wamp.registration.match",
    "wamp.registration.get",
    "wamp.registration.list_callees",
    "wamp.registration.count_callees",
    "wamp.registration.remove_callee",
    "wamp.subscription.list",
    "wamp.subscription.lookup",
    "wamp.subscription.match",
    "wamp.subscription.get",
    "wamp.subscription.list_subscribers",
    "wamp.subscription.count_subscribers",
    "wamp.subscription.remove_subscriber",
    "wamp.subscription.get_events",
];

/// Those of the procedures that need a rule of their own.
pub const TOUCHES_OTHERS: [&str; 6] = [
    "wamp.session.kill",
    "wamp.session.kill_by_authid",
    "wamp.session.kill_by_authrole",
    "wamp.session.kill_all",
    "wamp.registration.remove_callee",
    "wamp.subscription.remove_subscriber",
];

/// The result of a call, or the error and its first argument.
pub type Answer = Result<Vec<Value>, (Uri, String)>;

/// Two realms, [`REALM`] and `realm2`, each with the roles [`ANYTHING`] and [`USER`].
pub fn realms() -> RouterConfig {
    let blanket = Rule::new(Uri::from(""), MatchPolicy::Prefix, Allow::ALL);
    let role = |name: &str, permissions| RoleConfig::new(name, permissions);
    let roles = vec![
        role(ANYTHING, Permissions::all()),
        role(USER, Permissions::new(vec![blanket]).expect("no contradiction")),
    ];
    let realm = |name| RealmConfig::new(name, roles.clone());
    RouterConfig { realms: vec![realm(REALM), realm(Uri::from("realm2"))], ..RouterConfig::default() }
}

/// Everybody becomes who they say they are.
pub fn as_asked() -> Answerer {
    at_once(|request| {
        let AuthStep::Hello { authrole, .. } = &request.step else { panic!("asked twice") };
        AuthVerdict::Welcome(identity(request, authrole.as_deref().unwrap_or(USER), "anonymous"))
    })
}

/// A world with the realms in it.
pub fn world() -> Sim {
    Sim::new(1, realms(), Duration::ZERO, as_asked())
}

/// How `authid` joins as `authrole`.
pub fn config(authid: &str, authrole: &str) -> ClientConfig {
    let (authid, authrole) = (Some(authid.to_owned()), Some(authrole.to_owned()));
    ClientConfig { authid, authrole, ..ClientConfig::anonymous(REALM) }
}

/// Lets `authid` join as `authrole`.
pub fn join(sim: &mut Sim, authid: &str, authrole: &str) -> EndId {
    let id = sim.client(config(authid, authrole), Wire::Messages);
    sim.settle(1_000, |_, _, _| ());
    assert!(sim.get(id).is_joined(), "{}", sim.tail());
    id
}

/// The session id, as the meta API carries it.
pub fn session(sim: &Sim, id: EndId) -> Value {
    Value::from(sim.session(id).session.get())
}

/// The answer of one value.
pub fn value(value: impl Into<Value>) -> Answer {
    Ok(vec![value.into()])
}

/// The error of an answer.
pub fn error_of(answer: Answer) -> Uri {
    answer.expect_err("an error").0
}

/// The ids of an answer that is one list of them.
pub fn ids(answer: Answer) -> Vec<Value> {
    match answer.as_deref() {
        Ok([Value::List(ids)]) => ids.clone(),
        other => panic!("{other:?}"),
    }
}

/// A dictionary.
pub fn dict<const N: usize>(entries: [(&str, Value); N]) -> Dict {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Calls a procedure, and returns its answer and all that clients are told until everything is quiet, in order.
pub fn call_and_see(
    sim: &mut Sim,
    id: EndId,
    procedure: &'static str,
    args: Vec<Value>,
    kwargs: Dict,
) -> (Answer, Vec<(EndId, ClientEvent)>) {
    let payload = Payload::from_values(args, kwargs);
    let options = CallOptions::default();
    let call = sim.act(id, |client, now| client.call(now, Uri::from(procedure), options, payload)).expect("joined");
    let events = sim.events();
    let answer = events.iter().find_map(|(whom, event)| match event {
        ClientEvent::Result { request, payload, .. } if (*whom, *request) == (id, call) => {
            let (args, kwargs) = payload.values().expect("values");
            assert!(kwargs.is_empty(), "{kwargs:?}");
            Some(Ok(args))
        }
        ClientEvent::Failed { request, error, payload, .. } if (*whom, *request) == (id, call) => {
            let (args, _) = payload.values().expect("values");
            Some(Err((error.clone(), args[0].as_str().expect("a text").to_owned())))
        }
        _ => None,
    });
    (answer.unwrap_or_else(|| panic!("no answer:\n{}", sim.tail())), events)
}

/// Calls a procedure, and returns its answer.
pub fn call(sim: &mut Sim, id: EndId, procedure: &'static str, args: Vec<Value>) -> Answer {
    call_and_see(sim, id, procedure, args, Dict::new()).0
}

/// Calls a procedure with keyword arguments, and returns its answer.
pub fn call_with(sim: &mut Sim, id: EndId, procedure: &'static str, args: Vec<Value>, kwargs: Dict) -> Answer {
    call_and_see(sim, id, procedure, args, kwargs).0
}

/// Subscribes, and returns the subscription.
pub fn subscribe(sim: &mut Sim, id: EndId, topic: &'static str, matching: MatchPolicy) -> SubscriptionId {
    let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
    let asked = sim.act(id, |client, now| client.subscribe(now, Uri::from(topic), options)).expect("joined");
    let found = sim.events().into_iter().find_map(|(whom, event)| match event {
        ClientEvent::Subscribed { request, subscription } if (whom, request) == (id, asked) => Some(subscription),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("not subscribed:\n{}", sim.tail()))
}

/// Registers, and returns the registration.
pub fn register(sim: &mut Sim, id: EndId, procedure: &'static str, options: RegisterOptions) -> RegistrationId {
    let asked = sim.act(id, |client, now| client.register(now, Uri::from(procedure), options)).expect("joined");
    let found = sim.events().into_iter().find_map(|(whom, event)| match event {
        ClientEvent::Registered { request, registration } if (whom, request) == (id, asked) => Some(registration),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("not registered:\n{}", sim.tail()))
}

/// The events that `id` was told, each as its subscription and arguments.
pub fn events_of(id: EndId, told: &[(EndId, ClientEvent)]) -> Vec<(SubscriptionId, Vec<Value>)> {
    let events = told.iter().filter(|(whom, _)| *whom == id).filter_map(|(_, event)| match event {
        ClientEvent::Event { subscription, payload, .. } => {
            let (args, kwargs) = payload.values().expect("values");
            assert!(kwargs.is_empty(), "{kwargs:?}");
            Some((*subscription, args))
        }
        _ => None,
    });
    events.collect()
}

/// The message written as JSON.
pub fn message(text: &str) -> Message {
    decode(Format::Json, Bytes::copy_from_slice(text.as_bytes()), &DecodeLimits::default()).expect("a message")
}
