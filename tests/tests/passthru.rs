//! Payloads that the router passes on without looking inside: payload passthru mode (spec: "Payload Passthru Mode") and
//! Crossbar.io's older payload transparency, whose payload is opaque bytes in the place of the arguments.

use core::time::Duration;
use wampd_core::client::{AnswerError, ClientConfig, ClientEvent, RequestError, supported_roles};
use wampd_core::codec::Format;
use wampd_core::id::RequestId;
use wampd_core::message::{
    Call, CallOptions, ClientRoles, Error, Features, Message, PassThru, Payload, Publish, PublishOptions,
    RegisterOptions, RequestType, Shape, SubscribeOptions, Yield, YieldOptions,
};
use wampd_core::router::{CloseReason, Violation};
use wampd_core::uri::{Uri, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::{REALM, everybody};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::sim::{EndId, Sim};

const PASSTHRU: Features = Features::PAYLOAD_PASSTHRU_MODE;
const TRANSPARENCY: Features = Features::PAYLOAD_TRANSPARENCY;

fn secret() -> Vec<u8> {
    (0..=255).collect()
}

/// Both kinds of payload, with all their attributes.
fn kinds() -> [(Box<PassThru>, Payload); 2] {
    let text = |text: &str| Some(text.to_owned());
    let mode = PassThru {
        ppt_scheme: text("wamp"),
        ppt_serializer: text("cbor"),
        ppt_cipher: text("xsalsa20poly1305"),
        ppt_keyid: text("GTtQ37XGJO2O4R8Dvx4AUo8pe61D9evIWpKGQAPdOh0="),
        ..PassThru::default()
    };
    let transparency = PassThru {
        enc_algo: text("cryptobox"),
        enc_key: text("key"),
        enc_serializer: text("json"),
        ..PassThru::default()
    };
    [
        (Box::new(mode), Payload::from_args([Value::Binary(secret())])),
        (Box::new(transparency), Payload::opaque(secret().into())),
    ]
}

/// The roles of a client that has not announced these features.
fn without(features: Features) -> ClientRoles {
    let mut roles = supported_roles();
    for role in [&mut roles.publisher, &mut roles.subscriber, &mut roles.caller, &mut roles.callee] {
        let has = role.expect("all four roles");
        let kept =
            Features::ALL.iter().map(|(feature, _)| *feature).filter(|f| has.contains(*f) && !features.contains(*f));
        *role = Some(kept.fold(Features::NONE, Features::union));
    }
    roles
}

fn world() -> Sim {
    Sim::new(1, open_realm(), Duration::ZERO, everybody(ANYTHING))
}

fn join(sim: &mut Sim, wire: Wire, roles: ClientRoles) -> EndId {
    let id = sim.client(ClientConfig { roles, ..ClientConfig::anonymous(REALM) }, wire);
    assert!(matches!(&sim.events()[..], [(_, ClientEvent::Joined(_))]));
    id
}

fn register(sim: &mut Sim, id: EndId) {
    register_as(sim, id, RegisterOptions::default());
}

fn register_as(sim: &mut Sim, id: EndId, options: RegisterOptions) {
    sim.act(id, |client, now| client.register(now, Uri::from("com.p"), options)).expect("joined");
    assert!(matches!(&sim.events()[..], [(_, ClientEvent::Registered { .. })]));
}

fn subscribe(sim: &mut Sim, id: EndId) {
    let options = SubscribeOptions::default();
    sim.act(id, |client, now| client.subscribe(now, Uri::from("com.x"), options)).expect("joined");
    assert!(matches!(&sim.events()[..], [(_, ClientEvent::Subscribed { .. })]));
}

fn call(sim: &mut Sim, id: EndId, (pass_thru, payload): (Box<PassThru>, Payload)) -> RequestId {
    let options = CallOptions { pass_thru: Some(pass_thru), receive_progress: true, ..CallOptions::default() };
    sim.act(id, |client, now| client.call(now, Uri::from("com.p"), options, payload)).expect("joined")
}

fn publish(sim: &mut Sim, id: EndId, (pass_thru, payload): (Box<PassThru>, Payload)) {
    let options = PublishOptions { pass_thru: Some(pass_thru), ..PublishOptions::default() };
    sim.act(id, |client, now| client.publish(now, Uri::from("com.x"), options, payload)).expect("joined");
}

/// Whether this is what was sent, untouched.
fn same(pass_thru: &Option<Box<PassThru>>, payload: &Payload, sent: &(Box<PassThru>, Payload)) -> bool {
    let bytes = match payload.as_opaque() {
        Some(bytes) => bytes.to_vec(),
        None => match &payload.values().expect("values") {
            (args, kwargs) if kwargs.is_empty() => match &args[..] {
                [Value::Binary(bytes)] => bytes.clone(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        },
    };
    pass_thru.as_ref() == Some(&sent.0)
        && (payload.shape() == Shape::Opaque) == sent.0.enc_algo.is_some()
        && bytes == secret()
}

/// CALL to INVOCATION, YIELD to RESULT, ERROR to ERROR and PUBLISH to EVENT, between any two serializers.
#[test]
fn attributes_and_bytes_pass_untouched_across_serializers() {
    for from in Wire::ALL {
        for to in Wire::ALL {
            let mut sim = world();
            let [sender, receiver] = [from, to].map(|wire| join(&mut sim, wire, supported_roles()));
            register(&mut sim, receiver);
            subscribe(&mut sim, receiver);
            for sent in kinds() {
                publish(&mut sim, sender, sent.clone());
                let events = sim.events();
                let [(_, ClientEvent::Event { details, payload, .. })] = &events[..] else { panic!("{events:?}") };
                assert!(same(&details.pass_thru, payload, &sent), "EVENT {from:?} {to:?}");

                for fails in [false, true] {
                    let called = call(&mut sim, sender, sent.clone());
                    let events = sim.events();
                    let [(_, ClientEvent::Invocation { request, details, payload, .. })] = &events[..] else {
                        panic!("{events:?}")
                    };
                    assert!(same(&details.pass_thru, payload, &sent), "INVOCATION {from:?} {to:?}");
                    let (request, (pass_thru, payload)) = (*request, sent.clone());
                    sim.act(receiver, |client, _| {
                        let pass_thru = Some(pass_thru);
                        if fails {
                            client.yield_error_with(request, Uri::from("com.error"), pass_thru, payload)
                        } else {
                            client.yield_result(request, YieldOptions { pass_thru, progress: false }, payload)
                        }
                    })
                    .expect("open");
                    let events = sim.events();
                    let (answered, pass_thru, payload) = match &events[..] {
                        [(_, ClientEvent::Result { request, details, payload })] if !fails => {
                            (request, &details.pass_thru, payload)
                        }
                        [(_, ClientEvent::Failed { request, error, pass_thru, payload })] if fails => {
                            assert_eq!(error.as_str(), "com.error");
                            (request, pass_thru, payload)
                        }
                        other => panic!("{other:?}"),
                    };
                    assert_eq!(*answered, called);
                    assert!(same(pass_thru, payload, &sent), "answer {to:?} {from:?}");
                }
            }
        }
    }
}

#[test]
fn both_are_announced_for_both_roles() {
    let mut sim = world();
    let id = join(&mut sim, Wire::Messages, supported_roles());
    let roles = sim.session(id).details.roles;
    for role in [roles.broker, roles.dealer] {
        assert!(role.is_some_and(|features| features.contains(PASSTHRU | TRANSPARENCY)));
    }
}

/// Payload passthru mode that was not announced in HELLO ends the session.
#[test]
fn passthru_mode_without_announcement_breaks_the_protocol() {
    let [mode, _] = kinds();
    type Make = fn(RequestId, Box<PassThru>, Payload) -> Message;
    let messages: [(Make, &str); 4] = [
        (
            |request, pass_thru, payload| {
                let options = PublishOptions { pass_thru: Some(pass_thru), ..PublishOptions::default() };
                Publish { request, options, topic: Uri::from("com.x"), payload }.into()
            },
            "publisher",
        ),
        (
            |request, pass_thru, payload| {
                let options = CallOptions { pass_thru: Some(pass_thru), ..CallOptions::default() };
                Call { request, options, procedure: Uri::from("com.p"), payload }.into()
            },
            "caller",
        ),
        (
            |request, pass_thru, payload| {
                Yield { request, options: YieldOptions { pass_thru: Some(pass_thru), progress: false }, payload }.into()
            },
            "callee",
        ),
        (
            |request, pass_thru, payload| {
                let (request_type, error) = (RequestType::Invocation, Uri::from("com.error"));
                Error { request_type, request, pass_thru: Some(pass_thru), details: Default::default(), error, payload }
                    .into()
            },
            "callee",
        ),
    ];
    for (make, role) in messages {
        for announced in [true, false] {
            let mut sim = world();
            let roles = if announced { supported_roles() } else { without(PASSTHRU) };
            let id = join(&mut sim, Wire::Messages, roles);
            let message = make(RequestId::FIRST, mode.0.clone(), mode.1.clone());
            let name = message.name();
            sim.send(id, message);
            sim.settle(1_000, |_, _, _| ());
            let expected = Violation::NotAnnounced { message: name, role, feature: "payload_passthru_mode" };
            match &sim.closed[..] {
                // No such invocation: another breach of the protocol. And the client did not call what is answered.
                [(_, CloseReason::Violation(Violation::UnknownInvocation(_)))] if announced => {}
                [] | [(_, CloseReason::AbortedByPeer)] if announced => {}
                [(_, CloseReason::Violation(found))] => assert_eq!(*found, expected),
                other => panic!("{other:?}"),
            }
        }
    }
    // A scheme that is empty is none.
    let mut sim = world();
    let id = join(&mut sim, Wire::Messages, without(PASSTHRU));
    let pass_thru = Some(Box::new(PassThru { ppt_scheme: Some(String::new()), ..PassThru::default() }));
    let options = PublishOptions { pass_thru, acknowledge: true, ..PublishOptions::default() };
    let (request, topic, payload) = (RequestId::FIRST, Uri::from("com.x"), Payload::empty());
    sim.act(id, |client, now| client.publish(now, topic.clone(), options.clone(), payload.clone())).expect("joined");
    assert!(matches!(&sim.events()[..], [(_, ClientEvent::Published { request: of, .. })] if *of == request));
}

#[test]
fn a_call_finds_a_callee_that_understands_it_or_fails() {
    for (sent, feature) in kinds().into_iter().zip([PASSTHRU, TRANSPARENCY]) {
        let mut sim = world();
        let caller = join(&mut sim, Wire::Messages, supported_roles());
        let old = join(&mut sim, Wire::Messages, without(feature));
        let shared =
            || RegisterOptions { invoke: wampd_core::message::InvocationPolicy::First, ..RegisterOptions::default() };
        register_as(&mut sim, old, shared());
        let request = call(&mut sim, caller, sent.clone());
        let events = sim.events();
        let [(_, ClientEvent::Failed { request: failed, error: why, payload, .. })] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((*failed, why), (request, &error::FEATURE_NOT_SUPPORTED));
        let (args, _) = payload.values().expect("values");
        let name = feature.names().next().expect("one feature");
        assert!(args[0].as_str().is_some_and(|text| text.contains(name)), "{args:?}");
        let able = join(&mut sim, Wire::Messages, supported_roles());
        register_as(&mut sim, able, shared());
        call(&mut sim, caller, sent);
        assert!(matches!(&sim.events()[..], [(id, ClientEvent::Invocation { .. })] if *id == able));
        // What is no such payload goes to any callee.
        let options = CallOptions::default();
        sim.act(caller, |client, now| client.call(now, Uri::from("com.p"), options, Payload::empty())).expect("joined");
        assert!(matches!(&sim.events()[..], [(id, ClientEvent::Invocation { .. })] if *id == old));
    }
}

#[test]
fn a_result_that_the_caller_does_not_understand_fails_its_call() {
    for (sent, feature) in kinds().into_iter().zip([PASSTHRU, TRANSPARENCY]) {
        for progress in [false, true] {
            let mut sim = world();
            let callee = join(&mut sim, Wire::Messages, supported_roles());
            register(&mut sim, callee);
            let caller = join(&mut sim, Wire::Messages, without(feature));
            let options = CallOptions { receive_progress: true, ..CallOptions::default() };
            let called = sim
                .act(caller, |client, now| client.call(now, Uri::from("com.p"), options, Payload::empty()))
                .expect("joined");
            let events = sim.events();
            let [(_, ClientEvent::Invocation { request, .. })] = &events[..] else { panic!("{events:?}") };
            let (request, (pass_thru, payload)) = (*request, sent.clone());
            let options = YieldOptions { pass_thru: Some(pass_thru), progress };
            sim.act(callee, |client, _| client.yield_result(request, options, payload)).expect("open");
            let mut events = sim.events();
            events.sort_by_key(|(id, _)| *id);
            let (interrupted, failed) = events.split_at(usize::from(progress));
            assert!(interrupted.iter().all(|(_, event)| matches!(event, ClientEvent::Interrupted { .. })));
            let [(whom, ClientEvent::Failed { request: of, error: why, .. })] = failed else { panic!("{events:?}") };
            assert_eq!((*whom, *of, why), (caller, called, &error::FEATURE_NOT_SUPPORTED));
            assert!(sim.get(callee).is_joined(), "the callee lives on");
            assert_eq!(sim.router.stats().calls_in_flight, 0);
        }
    }
}

#[test]
fn an_error_that_the_caller_does_not_understand_comes_without_its_payload() {
    for (sent, feature) in kinds().into_iter().zip([PASSTHRU, TRANSPARENCY]) {
        let mut sim = world();
        let callee = join(&mut sim, Wire::Messages, supported_roles());
        register(&mut sim, callee);
        let caller = join(&mut sim, Wire::Messages, without(feature));
        let options = CallOptions::default();
        sim.act(caller, |client, now| client.call(now, Uri::from("com.p"), options, Payload::empty())).expect("joined");
        let events = sim.events();
        let [(_, ClientEvent::Invocation { request, .. })] = &events[..] else { panic!("{events:?}") };
        let (request, (pass_thru, payload)) = (*request, sent.clone());
        let error = Uri::from("com.error");
        sim.act(callee, |client, _| client.yield_error_with(request, error, Some(pass_thru), payload)).expect("open");
        let events = sim.events();
        let [(_, ClientEvent::Failed { error, pass_thru: None, payload, .. })] = &events[..] else {
            panic!("{events:?}")
        };
        assert_eq!((error.as_str(), payload.shape()), ("com.error", Shape::Nothing));
    }
}

/// Opaque bytes are no message for a subscriber that does not know them; what payload passthru mode sends is one.
#[test]
fn events_reach_who_can_read_them() {
    let mut sim = world();
    let publisher = join(&mut sim, Wire::Messages, supported_roles());
    let old = join(&mut sim, Wire::Bytes(Format::Json), without(PASSTHRU | TRANSPARENCY));
    let able = join(&mut sim, Wire::Bytes(Format::Json), supported_roles());
    for id in [old, able] {
        subscribe(&mut sim, id);
    }
    let [mode, transparency] = kinds();
    let receivers = |sim: &mut Sim| {
        let mut ids: Vec<_> = sim.events().into_iter().map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
    };
    publish(&mut sim, publisher, mode);
    assert_eq!(receivers(&mut sim), [old, able]);
    publish(&mut sim, publisher, transparency.clone());
    assert_eq!(receivers(&mut sim), [able]);
    // The same for an event that was retained.
    let options = PublishOptions { pass_thru: Some(transparency.0), retain: true, ..PublishOptions::default() };
    let payload = transparency.1;
    sim.act(publisher, |client, now| client.publish(now, Uri::from("com.y"), options, payload)).expect("joined");
    sim.events();
    for (id, expected) in [(old, 1), (able, 2)] {
        let options = SubscribeOptions { get_retained: true, ..SubscribeOptions::default() };
        sim.act(id, |client, now| client.subscribe(now, Uri::from("com.y"), options)).expect("joined");
        assert_eq!(sim.events().len(), expected);
    }
}

#[test]
fn parts_of_a_call_and_of_its_result_may_be_of_such_payloads() {
    for sent in kinds() {
        let mut sim = world();
        let [caller, callee] = [0; 2].map(|_| join(&mut sim, Wire::Bytes(Format::Cbor), supported_roles()));
        register(&mut sim, callee);
        let options = CallOptions {
            pass_thru: Some(sent.0.clone()),
            receive_progress: true,
            progress: true,
            ..CallOptions::default()
        };
        let payload = sent.1.clone();
        let called =
            sim.act(caller, |client, now| client.call(now, Uri::from("com.p"), options, payload)).expect("joined");
        sim.act(caller, |client, _| client.continue_call(called, false, sent.1.clone())).expect("goes on");
        let events = sim.events();
        assert_eq!(events.len(), 2);
        let mut invocation = None;
        for (_, event) in &events {
            let ClientEvent::Invocation { request, details, payload, .. } = event else { panic!("{event:?}") };
            assert!(same(&details.pass_thru, payload, &sent));
            invocation = Some(*request);
        }
        let invocation = invocation.expect("two parts");
        for progress in [true, false] {
            let options = YieldOptions { pass_thru: Some(sent.0.clone()), progress };
            sim.act(callee, |client, _| client.yield_result(invocation, options, sent.1.clone())).expect("open");
        }
        let events = sim.events();
        assert_eq!(events.len(), 2);
        for (_, event) in &events {
            let ClientEvent::Result { details, payload, .. } = event else { panic!("{event:?}") };
            assert!(same(&details.pass_thru, payload, &sent));
        }
    }
}

/// The client does not send what would end its session.
#[test]
fn the_client_refuses_what_was_not_announced() {
    for ((pass_thru, payload), feature) in kinds().into_iter().zip([PASSTHRU, TRANSPARENCY]) {
        let mut sim = world();
        let id = join(&mut sim, Wire::Messages, without(feature));
        let publish = PublishOptions { pass_thru: Some(pass_thru.clone()), ..PublishOptions::default() };
        let call = CallOptions { pass_thru: Some(pass_thru.clone()), ..CallOptions::default() };
        let (topic, procedure) = (Uri::from("com.x"), Uri::from("com.p"));
        let refused = Err(RequestError::FeatureNotAnnounced(feature));
        let done = sim.act(id, |client, now| client.publish(now, topic.clone(), publish.clone(), payload.clone()));
        assert_eq!(done, refused);
        let done = sim.act(id, |client, now| client.call(now, procedure.clone(), call, payload.clone()));
        assert_eq!(done, refused);
        register(&mut sim, id);
        let options = CallOptions::default();
        sim.act(id, |client, now| client.call(now, procedure, options, Payload::empty())).expect("joined");
        let events = sim.events();
        let [(_, ClientEvent::Invocation { request, .. })] = &events[..] else { panic!("{events:?}") };
        let options = YieldOptions { pass_thru: Some(pass_thru.clone()), progress: false };
        let done = sim.act(id, |client, _| client.yield_result(*request, options, payload.clone()));
        assert_eq!(done, Err(AnswerError::FeatureNotAnnounced(feature)));
        sim.act(id, |client, _| client.yield_result(*request, YieldOptions::default(), Payload::empty()))
            .expect("open");
    }
    let mut sim = world();
    let id = join(&mut sim, Wire::Messages, supported_roles());
    let [_, (pass_thru, opaque)] = kinds();
    let named = PublishOptions { pass_thru: Some(pass_thru), ..PublishOptions::default() };
    let args = Payload::from_values(vec![1.into()], Dict::new());
    for (options, payload) in [(PublishOptions::default(), opaque), (named, args)] {
        let done = sim.act(id, |client, now| client.publish(now, Uri::from("com.x"), options, payload));
        assert_eq!(done, Err(RequestError::PayloadMismatch));
    }
}
