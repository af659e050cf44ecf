//! Registering, calling and answering in a [`Sim`], for tests of calls.

use crate::answerer::{REALM, everybody};
use crate::config::{ANYTHING, open_realm};
use crate::link::Wire;
use crate::sim::{EndId, Sim};
use core::time::Duration;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::id::{RegistrationId, RequestId};
use wampd_core::message::{
    CallOptions, CancelMode, ClientRoles, Features, InvocationDetails, Payload, RegisterOptions, YieldOptions,
};
use wampd_core::router::RouterConfig;
use wampd_core::uri::Uri;
use wampd_core::value::Value;

/// What links carry.
pub const WIRE: Wire = Wire::Messages;

/// `com.example.` and the name.
pub fn procedure(name: &str) -> Uri {
    Uri::from(format!("com.example.{name}"))
}

/// One number as the only argument.
pub fn number(n: u64) -> Payload {
    Payload::from_args([Value::from(n)])
}

/// The number that is the first argument.
pub fn value(payload: &Payload) -> u64 {
    payload.values().expect("values").0[0].as_u64().expect("number")
}

/// A world of this configuration, without delays, with so many clients that have joined.
pub fn world<const N: usize>(config: RouterConfig) -> (Sim, [EndId; N]) {
    let mut sim = Sim::new(1, config, Duration::ZERO, everybody(ANYTHING));
    let ids = [(); N].map(|()| sim.client(ClientConfig::anonymous(REALM), WIRE));
    sim.events();
    (sim, ids)
}

/// One realm in which everybody may do everything, with a change to it.
pub fn realm_with(change: impl FnOnce(&mut wampd_core::router::RealmConfig)) -> RouterConfig {
    let mut config = open_realm();
    change(&mut config.realms[0]);
    config
}

/// Adds a callee that announces just these features.
pub fn callee_with(sim: &mut Sim, features: Features) -> EndId {
    let roles = ClientRoles { callee: Some(features), ..ClientRoles::default() };
    let id = sim.client(ClientConfig { roles, ..ClientConfig::anonymous(REALM) }, WIRE);
    sim.events();
    id
}

/// Asks for a registration; the answer is still to come.
pub fn ask_register(sim: &mut Sim, id: EndId, name: &str, options: RegisterOptions) -> RequestId {
    sim.act(id, |client, now| client.register(now, procedure(name), options)).expect("joined")
}

/// Registers a procedure.
///
/// # Panics
/// It is refused, or something else happens.
pub fn register_with(sim: &mut Sim, id: EndId, name: &str, options: RegisterOptions) -> RegistrationId {
    let request = ask_register(sim, id, name, options);
    match sim.events().as_slice() {
        [(whom, ClientEvent::Registered { request: answered, registration })] => {
            assert_eq!((*whom, *answered), (id, request));
            *registration
        }
        other => panic!("{other:?}"),
    }
}

/// As [`register_with`], with the default options.
pub fn register(sim: &mut Sim, id: EndId, name: &str) -> RegistrationId {
    register_with(sim, id, name, RegisterOptions::default())
}

/// Calls a procedure with one number.
pub fn call_with(sim: &mut Sim, id: EndId, name: &str, options: CallOptions, n: u64) -> RequestId {
    sim.act(id, |client, now| client.call(now, procedure(name), options, number(n))).expect("joined")
}

/// As [`call_with`], with the default options.
pub fn call(sim: &mut Sim, id: EndId, name: &str, n: u64) -> RequestId {
    call_with(sim, id, name, CallOptions::default(), n)
}

/// Cancels a call; what comes of it is still to come.
pub fn cancel(sim: &mut Sim, id: EndId, call: RequestId, mode: Option<CancelMode>) {
    sim.act(id, |client, _| client.cancel(call, mode)).expect("the call waits");
}

/// The one invocation that arrives.
///
/// # Panics
/// Nothing or something else happens.
pub fn invocation(sim: &mut Sim) -> (EndId, RequestId, InvocationDetails) {
    match sim.events().as_slice() {
        [(id, ClientEvent::Invocation { request, details, .. })] => (*id, *request, details.clone()),
        other => panic!("{other:?}"),
    }
}

/// The callee and the argument of each invocation that arrives.
///
/// # Panics
/// Something else happens.
pub fn invocations(sim: &mut Sim) -> Vec<(EndId, RequestId, u64)> {
    let one = |(id, event)| match event {
        ClientEvent::Invocation { request, payload, .. } => (id, request, value(&payload)),
        other => panic!("{other:?}"),
    };
    sim.events().into_iter().map(one).collect()
}

/// Answers an invocation with a result.
pub fn answer(sim: &mut Sim, id: EndId, invocation: RequestId, n: u64) {
    answer_with(sim, id, invocation, false, n);
}

/// Answers an invocation with a result, or with progress.
pub fn answer_with(sim: &mut Sim, id: EndId, invocation: RequestId, progress: bool, n: u64) {
    let options = YieldOptions { progress, ..YieldOptions::default() };
    sim.act(id, |client, _| client.yield_result(invocation, options, number(n))).expect("open");
}

/// Answers an invocation with an error.
pub fn answer_error(sim: &mut Sim, id: EndId, invocation: RequestId, error: Uri) {
    sim.act(id, |client, _| client.yield_error(invocation, error, Payload::empty())).expect("open");
}

/// The one answer that arrives: a result or an error.
///
/// # Panics
/// Nothing or something else happens.
pub fn outcome(sim: &mut Sim, id: EndId, request: RequestId) -> Result<u64, Uri> {
    let events = sim.events();
    let [event] = events.as_slice() else { panic!("{events:?}") };
    outcome_in(event, id, request)
}

/// The answer that this event is.
///
/// # Panics
/// It is none.
pub fn outcome_in((whom, event): &(EndId, ClientEvent), id: EndId, request: RequestId) -> Result<u64, Uri> {
    assert_eq!((*whom, event.answers()), (id, Some(request)), "{event:?}");
    match event {
        ClientEvent::Result { payload, .. } => Ok(value(payload)),
        ClientEvent::Failed { error, .. } => Err(error.clone()),
        other => panic!("{other:?}"),
    }
}
