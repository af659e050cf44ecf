//! It makes no difference to clients whether a link carries messages or bytes, cut anywhere, in whatever serializer,
//! nor whether those they talk to use another one. Except for what another serializer can not carry: that fails where
//! it was made, and harms nobody else.

use core::time::Duration;
use proptest::prelude::*;
use wampd_core::client::{ClientConfig, ClientEvent};
use wampd_core::codec::Format;
use wampd_core::id::{RegistrationId, RequestId, SubscriptionId};
use wampd_core::message::{CallOptions, Payload, PublishOptions, RegisterOptions, SubscribeOptions, YieldOptions};
use wampd_core::uri::{MatchPolicy, Uri, close, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::{REALM, Ruling, Timing, scripted};
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::sim::{EndId, Sim, Told};

const CLIENTS: usize = 3;

/// What an application does; it is settled before the next does anything.
#[derive(Clone, Debug)]
enum Act {
    Subscribe(Uri, MatchPolicy),
    Unsubscribe,
    Publish(Uri, Vec<Value>, Dict, bool),
    Register(Uri, MatchPolicy),
    Unregister,
    Call(Uri, Vec<Value>, Dict),
    /// Answers the oldest invocation.
    Answer(Vec<Value>, Dict, bool),
    Leave,
    Connect,
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::num::f64::NORMAL.prop_map(Value::from),
        "[a-z\"\\\\é日\n]{0,8}".prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(Value::Binary),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map("[a-z]{0,4}", inner, 0..4).prop_map(Value::Dict),
        ]
    })
}

fn any_act() -> impl Strategy<Value = Act> {
    let uri = prop::sample::select(vec!["com.a", "com.a.b", "com.b"]).prop_map(Uri::from);
    let matching = prop::sample::select(vec![MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard]);
    let args = prop::collection::vec(any_value(), 0..3);
    let kwargs = prop::collection::btree_map("[a-z]{1,4}", any_value(), 0..3);
    let payload = (args, kwargs).boxed();
    prop_oneof![
        3 => (uri.clone(), matching.clone()).prop_map(|(uri, matching)| Act::Subscribe(uri, matching)),
        1 => Just(Act::Unsubscribe),
        4 => (uri.clone(), payload.clone(), any::<bool>()).prop_map(|(uri, (a, k), ack)| Act::Publish(uri, a, k, ack)),
        3 => (uri.clone(), matching).prop_map(|(uri, matching)| Act::Register(uri, matching)),
        1 => Just(Act::Unregister),
        5 => (uri, payload.clone()).prop_map(|(uri, (a, k))| Act::Call(uri, a, k)),
        5 => (payload, any::<bool>()).prop_map(|((a, k), fails)| Act::Answer(a, k, fails)),
        1 => Just(Act::Leave),
        1 => Just(Act::Connect),
    ]
}

#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    subscriptions: Vec<(EndId, SubscriptionId)>,
    registrations: Vec<(EndId, RegistrationId)>,
    invocations: Vec<(EndId, RequestId)>,
}

impl Seen {
    /// Writes an event down, with the values of its payload instead of its bytes.
    fn event(&mut self, id: EndId, mut event: ClientEvent) {
        let mut values = None;
        match &mut event {
            ClientEvent::Event { payload, .. }
            | ClientEvent::Result { payload, .. }
            | ClientEvent::Invocation { payload, .. }
            | ClientEvent::Failed { payload, .. } => {
                values = Some(payload.values().expect("values"));
                *payload = Payload::empty();
            }
            _ => {}
        }
        self.lines.push(format!("{id:?} {event:?} {values:?}"));
        match event {
            ClientEvent::Subscribed { subscription, .. } => self.subscriptions.push((id, subscription)),
            ClientEvent::Registered { registration, .. } => self.registrations.push((id, registration)),
            ClientEvent::Invocation { request, .. } => self.invocations.push((id, request)),
            _ => {}
        }
    }
}

fn act(sim: &mut Sim, seen: &mut Seen, id: EndId, act: Act) {
    match act {
        Act::Subscribe(topic, matching) => {
            let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
            let _ = sim.act(id, |client, now| client.subscribe(now, topic, options));
        }
        Act::Unsubscribe => {
            if let Some((id, subscription)) = seen.subscriptions.pop() {
                let _ = sim.act(id, |client, now| client.unsubscribe(now, subscription));
            }
        }
        Act::Publish(topic, args, kwargs, acknowledge) => {
            let options = PublishOptions { acknowledge, exclude_me: Some(false), ..PublishOptions::default() };
            let payload = Payload::from_values(args, kwargs);
            let _ = sim.act(id, |client, now| client.publish(now, topic, options, payload));
        }
        Act::Register(procedure, matching) => {
            let options = RegisterOptions { matching, ..RegisterOptions::default() };
            let _ = sim.act(id, |client, now| client.register(now, procedure, options));
        }
        Act::Unregister => {
            if let Some((id, registration)) = seen.registrations.pop() {
                let _ = sim.act(id, |client, now| client.unregister(now, registration));
            }
        }
        Act::Call(procedure, args, kwargs) => {
            let options = CallOptions { disclose_me: true, ..CallOptions::default() };
            let payload = Payload::from_values(args, kwargs);
            let _ = sim.act(id, |client, now| client.call(now, procedure, options, payload));
        }
        Act::Answer(args, kwargs, fails) => {
            if seen.invocations.is_empty() {
                return;
            }
            let (id, invocation) = seen.invocations.remove(0);
            let payload = Payload::from_values(args, kwargs);
            let _ = sim.act(id, |client, _| {
                if fails {
                    client.yield_error(invocation, Uri::from("com.error"), payload)
                } else {
                    client.yield_result(invocation, YieldOptions::default(), payload)
                }
            });
        }
        Act::Leave => sim.act(id, |client, now| client.leave(now, close::NORMAL)),
        Act::Connect => {
            if !sim.is_connected(id) {
                sim.connect(id, Default::default());
            }
        }
    }
}

/// What the clients see of a sequence of acts, whatever it is that their links carry.
fn live(acts: &[(usize, Act)], wires: [Wire; CLIENTS]) -> Vec<String> {
    let rulings = vec![(Ruling::Cra, Timing::Now), (Ruling::SaltedCra, Timing::Now), (Ruling::Welcome, Timing::Now)];
    let mut sim = Sim::new(5, open_realm(), Duration::ZERO, scripted(rulings, ANYTHING));
    let mut seen = Seen::default();
    let settle = |sim: &mut Sim, seen: &mut Seen| {
        sim.settle(10_000, |_, id, told| match told {
            Told::Event(event) => seen.event(id, event),
            other => panic!("{other:?}"),
        });
    };
    let ids = wires.map(|wire| {
        let credential = wampd_core::client::Credential::Cra("secret".to_owned());
        let id = sim.client(ClientConfig::with_credential(REALM, "joe", credential), wire);
        settle(&mut sim, &mut seen);
        id
    });
    for (who, what) in acts {
        act(&mut sim, &mut seen, ids[*who], what.clone());
        // Events for several clients may arrive in any order; for each client the order is fixed.
        let before = seen.lines.len();
        settle(&mut sim, &mut seen);
        seen.lines[before..].sort_by(|a, b| a.split(' ').next().cmp(&b.split(' ').next()));
    }
    seen.lines
}

proptest! {
    #[test]
    fn clients_can_not_tell_what_their_links_carry(
        acts in prop::collection::vec((0..CLIENTS, any_act()), 0..30),
    ) {
        let expected = live(&acts, [Wire::Messages; CLIENTS]);
        let [json, cbor, msgpack] = [Format::Json, Format::Cbor, Format::MsgPack].map(Wire::Bytes);
        for wires in [[json; 3], [cbor; 3], [msgpack; 3], [json, cbor, msgpack], [msgpack, json, Wire::Messages]] {
            prop_assert_eq!(&live(&acts, wires), &expected, "{:?}", wires);
        }
    }
}

/// What JSON would read as binary.
const RESERVED: fn() -> Payload = || Payload::from_args([Value::from("\0x")]);

fn procedure() -> Uri {
    Uri::from("com.example.x")
}

fn carried() -> [Wire; 2] {
    [Wire::Bytes(Format::Cbor), Wire::Bytes(Format::Json)]
}

#[test]
fn a_call_that_the_callee_can_not_read_fails() {
    let (mut sim, [caller, callee]) = Sim::joined(1, carried());
    sim.act(callee, |client, now| client.register(now, procedure(), RegisterOptions::default())).expect("joined");
    sim.events();
    let call = |client: &mut wampd_core::client::Client, now| {
        client.call(now, procedure(), CallOptions::default(), RESERVED()).expect("joined")
    };
    let request = sim.act(caller, call);
    match &sim.events()[..] {
        [(id, ClientEvent::Failed { request: failed, error: why, .. })] => {
            assert_eq!((*id, *failed, why), (caller, request, &error::INVALID_ARGUMENT));
        }
        other => panic!("{other:?}"),
    }
    let stats = sim.router.stats();
    assert_eq!((stats.calls_in_flight, stats.undeliverable, stats.sessions), (0, 1, 2));
    // The callee's next invocation is none the worse.
    sim.act(caller, |client, now| client.call(now, procedure(), CallOptions::default(), Payload::empty()))
        .expect("joined");
    assert!(matches!(&sim.events()[..], [(_, ClientEvent::Invocation { .. })]));
}

#[test]
fn a_result_that_the_caller_can_not_read_is_an_error() {
    for (fails, progress) in [(false, false), (true, false), (false, true)] {
        let (mut sim, [callee, caller]) = Sim::joined(1, carried());
        sim.act(callee, |client, now| client.register(now, procedure(), RegisterOptions::default())).expect("joined");
        sim.events();
        let options = CallOptions { receive_progress: progress, ..CallOptions::default() };
        let request =
            sim.act(caller, |client, now| client.call(now, procedure(), options, Payload::empty())).expect("joined");
        let events = sim.events();
        let [(_, ClientEvent::Invocation { request: invocation, .. })] = &events[..] else { panic!("{events:?}") };
        let own = Uri::from("com.example.error");
        sim.act(callee, |client, _| {
            if fails {
                client.yield_error(*invocation, own.clone(), RESERVED())
            } else {
                client.yield_result(*invocation, YieldOptions { progress, ..YieldOptions::default() }, RESERVED())
            }
        })
        .expect("open");
        let events: Vec<_> = sim.events().into_iter().filter(|(id, _)| *id == caller).collect();
        match &events[..] {
            [(_, ClientEvent::Failed { request: failed, error: why, .. })] => {
                let expected = if fails { own } else { error::INVALID_ARGUMENT };
                assert_eq!((*failed, why), (request, &expected));
            }
            other => panic!("{other:?}"),
        }
        let stats = sim.router.stats();
        assert_eq!((stats.calls_in_flight, stats.undeliverable, stats.sessions), (0, 1, 2));
    }
}

#[test]
fn an_event_reaches_those_who_can_read_it() {
    let (mut sim, [publisher, able, unable]) =
        Sim::joined(1, [Format::Cbor, Format::MsgPack, Format::Json].map(Wire::Bytes));
    for id in [able, unable] {
        sim.act(id, |client, now| client.subscribe(now, procedure(), SubscribeOptions::default())).expect("joined");
    }
    sim.events();
    sim.act(publisher, |client, now| client.publish(now, procedure(), PublishOptions::default(), RESERVED()))
        .expect("joined");
    match &sim.events()[..] {
        [(id, ClientEvent::Event { .. })] => assert_eq!(*id, able),
        other => panic!("{other:?}"),
    }
    let stats = sim.router.stats();
    assert_eq!((stats.undeliverable, stats.sessions), (1, 3));
}
