//! The order of calls from one caller to one callee (spec: "Ordering Guarantees"), also where they wait for it.

use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use wampd_core::client::ClientEvent;
use wampd_core::id::{RegistrationId, RequestId};
use wampd_core::message::{CallOptions, InvocationPolicy, RegisterOptions};
use wampd_tests::calls::*;
use wampd_tests::sim::{EndId, Sim};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// A caller calls, with a resource key or without.
    Call { caller: usize, key: Option<u8> },
    /// Of the invocations that wait for their answers, this one gets it.
    Answer(prop::sample::Index),
    /// A callee leaves the registration, or comes back.
    Turn(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_usize, prop::option::of(0..4_u8)).prop_map(|(caller, key)| Step::Call { caller, key }),
        3 => any::<prop::sample::Index>().prop_map(Step::Answer),
        1 => (0..3_usize).prop_map(Step::Turn),
    ]
}

struct World {
    sim: Sim,
    callers: [EndId; 2],
    callees: [EndId; 3],
    /// The invocations that were not answered yet.
    open: Vec<(EndId, RequestId)>,
    /// The last call of each caller that each callee was given.
    last: BTreeMap<(EndId, u64), u64>,
}

impl World {
    /// Takes note of what arrived; whether one of it was the answer to a registration, and which.
    fn look(&mut self) -> Option<RegistrationId> {
        let mut registered = None;
        for (id, event) in self.sim.events() {
            match event {
                ClientEvent::Registered { registration, .. } => registered = Some(registration),
                ClientEvent::Invocation { request, payload, .. } => {
                    let (caller, number) = (value(&payload) % 2, value(&payload) / 2);
                    let before = self.last.insert((id, caller), number);
                    assert!(before < Some(number), "call {number} after {before:?}");
                    self.open.push((id, request));
                }
                _ => {}
            }
        }
        registered
    }
}

fn options(place: usize, sharded: bool, concurrency: u32, invoke: InvocationPolicy) -> RegisterOptions {
    let nkey = sharded.then(|| format!("shard{place}"));
    RegisterOptions { invoke, nkey, concurrency: Some(concurrency), ..RegisterOptions::default() }
}

fn check(steps: &[Step], sharded: bool, concurrency: u32, invoke: InvocationPolicy) {
    let (sim, [a, b, x, y, z]) = Sim::joined(1, [WIRE; 5]);
    let mut world = World { sim, callers: [a, b], callees: [x, y, z], open: Vec::new(), last: BTreeMap::new() };
    let mut registrations = BTreeMap::new();
    for (place, callee) in world.callees.into_iter().enumerate() {
        let options = options(place, sharded, concurrency, invoke);
        registrations.insert(place, register_with(&mut world.sim, callee, "x", options));
    }
    for (number, step) in (1..).zip(steps) {
        match step {
            Step::Call { caller, key } => {
                let rkey = key.map(|key| format!("key{key}"));
                let options = CallOptions { rkey, ..CallOptions::default() };
                call_with(&mut world.sim, world.callers[*caller], "x", options, 2 * number + *caller as u64);
            }
            Step::Answer(which) if !world.open.is_empty() => {
                let (callee, invocation) = world.open.swap_remove(which.index(world.open.len()));
                answer(&mut world.sim, callee, invocation, 0);
            }
            Step::Answer(_) => {}
            // What waits for a shard that leaves goes to another, which has been given later calls by then.
            Step::Turn(_) if sharded => {}
            Step::Turn(place) => {
                let callee = world.callees[*place];
                if let Some(registration) = registrations.remove(place) {
                    world.sim.act(callee, |client, now| client.unregister(now, registration)).expect("joined");
                } else {
                    let options = options(*place, sharded, concurrency, invoke);
                    ask_register(&mut world.sim, callee, "x", options);
                    registrations.insert(*place, world.look().expect("registered"));
                }
            }
        }
        world.look();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn calls_that_wait_keep_the_order_of_one_caller_to_one_callee(
        steps in vec(step(), 1..80),
        sharded in any::<bool>(),
        concurrency in 1..3_u32,
        invoke in prop::sample::select(vec![
            InvocationPolicy::RoundRobin, InvocationPolicy::Random, InvocationPolicy::First, InvocationPolicy::Last,
        ]),
    ) {
        check(&steps, sharded, concurrency, invoke);
    }
}
