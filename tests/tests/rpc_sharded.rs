//! Calls with a resource key go to the shard that has it (spec: "Sharded Registration", as far as it goes).

use std::collections::BTreeMap;
use wampd_core::client::ClientEvent;
use wampd_core::id::RequestId;
use wampd_core::message::{CallOptions, InvocationPolicy, RegisterOptions};
use wampd_core::uri::error;
use wampd_tests::calls::*;
use wampd_tests::sim::{EndId, Sim};

fn shard(nkey: &str, concurrency: Option<u32>) -> RegisterOptions {
    RegisterOptions {
        nkey: Some(nkey.to_owned()),
        invoke: InvocationPolicy::RoundRobin,
        concurrency,
        ..RegisterOptions::default()
    }
}

fn call_key(sim: &mut Sim, caller: EndId, rkey: &str, n: u64) -> RequestId {
    call_with(sim, caller, "x", CallOptions { rkey: Some(rkey.to_owned()), ..CallOptions::default() }, n)
}

/// Who has this key.
fn owner(sim: &mut Sim, caller: EndId, rkey: &str) -> EndId {
    call_key(sim, caller, rkey, 0);
    let (callee, invocation, _) = invocation(sim);
    answer(sim, callee, invocation, 0);
    sim.events();
    callee
}

fn owners(sim: &mut Sim, caller: EndId) -> BTreeMap<String, EndId> {
    (0..200).map(|n| format!("customer{n}")).map(|rkey| (rkey.clone(), owner(sim, caller, &rkey))).collect()
}

#[test]
fn a_partitioned_call_needs_a_key() {
    let (mut sim, [caller, callee]) = Sim::joined(1, [WIRE; 2]);
    register_with(&mut sim, callee, "x", shard("a", None));
    let partitioned =
        |rkey: Option<&str>| CallOptions { rkey: rkey.map(str::to_owned), partition: true, ..CallOptions::default() };
    let call = call_with(&mut sim, caller, "x", partitioned(None), 0);
    assert_eq!(outcome(&mut sim, caller, call), Err(error::INVALID_ARGUMENT));
    call_with(&mut sim, caller, "x", partitioned(Some("k")), 0);
    assert_eq!(invocation(&mut sim).0, callee);
}

#[test]
fn a_key_stays_with_its_shard() {
    let (mut sim, [caller, a, b, c, d]) = Sim::joined(1, [WIRE; 5]);
    for (callee, nkey) in [(a, "a"), (b, "b"), (c, "c")] {
        register_with(&mut sim, callee, "x", shard(nkey, None));
    }
    let before = owners(&mut sim, caller);
    assert_eq!(owners(&mut sim, caller), before);
    for callee in [a, b, c] {
        let share = before.values().filter(|owner| **owner == callee).count();
        assert!((40..95).contains(&share), "{share}");
    }
    // One more takes from all others, and gives it back when it goes.
    let registration = register_with(&mut sim, d, "x", shard("d", None));
    let with_d = owners(&mut sim, caller);
    let moved: Vec<_> = before.iter().filter(|(rkey, owner)| with_d[*rkey] != **owner).collect();
    assert!(moved.iter().all(|(rkey, _)| with_d[*rkey] == d) && (25..80).contains(&moved.len()), "{}", moved.len());
    sim.act(d, |client, now| client.unregister(now, registration)).expect("joined");
    sim.events();
    assert_eq!(owners(&mut sim, caller), before);
    // Another session under the same node key is the same shard.
    sim.cut(a);
    sim.events();
    register_with(&mut sim, d, "x", shard("a", None));
    let after = owners(&mut sim, caller);
    assert!(before.iter().all(|(rkey, owner)| after[rkey] == if *owner == a { d } else { *owner }));
}

#[test]
fn calls_without_a_key_and_callees_without_one_go_by_the_policy() {
    let (mut sim, [caller, a, b]) = Sim::joined(1, [WIRE; 3]);
    let plain = RegisterOptions { nkey: None, ..shard("", None) };
    register_with(&mut sim, a, "x", plain);
    assert_eq!(owner(&mut sim, caller, "any"), a, "no shards");
    register_with(&mut sim, b, "x", shard("b", None));
    for n in 0..20 {
        assert_eq!(owner(&mut sim, caller, &format!("key{n}")), b, "the only shard");
    }
    let mut seen = Vec::new();
    for _ in 0..4 {
        call(&mut sim, caller, "x", 1);
        seen.push(invocation(&mut sim).0);
    }
    assert_eq!(seen, [b, a, b, a]);
}

/// Data is with its shard only: a call waits for it though another is idle, and no one else waits behind it.
#[test]
fn a_busy_shard_is_waited_for() {
    let (mut sim, [caller, a, b]) = Sim::joined(1, [WIRE; 3]);
    register_with(&mut sim, a, "x", shard("a", Some(1)));
    register_with(&mut sim, b, "x", shard("b", Some(1)));
    let owners = owners(&mut sim, caller);
    let of = |callee| owners.iter().find(|(_, owner)| **owner == callee).expect("one at least").0.clone();
    let (of_a, of_b) = (of(a), of(b));
    let busy = call_key(&mut sim, caller, &of_a, 1);
    let (_, first, _) = invocation(&mut sim);
    call_key(&mut sim, caller, &of_a, 2);
    assert_eq!(sim.events(), [], "b is idle, but has not the data");
    let now = call_key(&mut sim, caller, &of_b, 3);
    let (callee, of_b_now, _) = invocation(&mut sim);
    assert_eq!(callee, b);
    answer(&mut sim, b, of_b_now, 4);
    assert_eq!(outcome(&mut sim, caller, now), Ok(4));
    // Without a key it waits for neither.
    call(&mut sim, caller, "x", 5);
    assert_eq!(invocation(&mut sim).0, b);
    // Now one waits for a, and one for any; the shard's own came first.
    call(&mut sim, caller, "x", 6);
    assert_eq!(sim.events(), []);
    answer(&mut sim, a, first, 7);
    let events = sim.events();
    let next: Vec<_> = events
        .iter()
        .filter_map(|(id, event)| match event {
            ClientEvent::Invocation { payload, .. } => Some((*id, value(payload))),
            _ => None,
        })
        .collect();
    assert_eq!(next, [(a, 2)], "after {busy}");
    assert_eq!(sim.router.stats().calls_waiting, 1);
}

#[test]
fn those_that_wait_for_a_shard_that_goes_get_the_next() {
    let (mut sim, [caller, a, b, c]) = Sim::joined(1, [WIRE; 4]);
    for (callee, nkey) in [(a, "a"), (b, "b"), (c, "c")] {
        register_with(&mut sim, callee, "x", shard(nkey, Some(1)));
    }
    let before = owners(&mut sim, caller);
    let keys: Vec<_> = before.iter().filter(|(_, owner)| **owner == a).map(|(rkey, _)| rkey.clone()).take(4).collect();
    for (n, rkey) in (0..).zip(&keys) {
        call_key(&mut sim, caller, rkey, n);
    }
    assert_eq!(invocations(&mut sim).len(), 1);
    assert_eq!(sim.router.stats().calls_waiting, 3);
    sim.cut(a);
    let mut served = BTreeMap::new();
    loop {
        let events = sim.events();
        let invoked = events.iter().filter_map(|(id, event)| match event {
            ClientEvent::Invocation { request, payload, .. } => Some((*id, *request, value(payload))),
            _ => None,
        });
        let invoked: Vec<_> = invoked.collect();
        if invoked.is_empty() {
            break;
        }
        for (callee, invocation, n) in invoked {
            served.insert(n, callee);
            answer(&mut sim, callee, invocation, 0);
        }
    }
    assert_eq!(served.keys().copied().collect::<Vec<_>>(), [1, 2, 3], "{served:?}");
    assert_eq!(sim.router.stats().calls_waiting, 0);
    for (n, callee) in served {
        assert_eq!(owner(&mut sim, caller, &keys[usize::try_from(n).expect("small")]), callee);
    }
}

#[test]
fn an_unavailable_shard_is_as_good_as_gone() {
    let (mut sim, [caller, a, b, plain]) = Sim::joined(1, [WIRE; 4]);
    register_with(&mut sim, a, "x", shard("a", None));
    register_with(&mut sim, b, "x", shard("b", None));
    register_with(&mut sim, plain, "x", RegisterOptions { nkey: None, ..shard("", None) });
    let first = owner(&mut sim, caller, "k");
    let request = call_key(&mut sim, caller, "k", 1);
    for expected in [first, if first == a { b } else { a }] {
        let (callee, invocation, _) = invocation(&mut sim);
        assert_eq!(callee, expected);
        answer_error(&mut sim, callee, invocation, error::UNAVAILABLE);
    }
    assert_eq!(outcome(&mut sim, caller, request), Err(error::NO_AVAILABLE_CALLEE), "the other is no shard");
}

#[test]
fn of_equal_node_keys_the_first_serves() {
    let (mut sim, [caller, a, standby]) = Sim::joined(1, [WIRE; 3]);
    register_with(&mut sim, a, "x", shard("same", None));
    register_with(&mut sim, standby, "x", shard("same", None));
    assert!((0..10).all(|n| owner(&mut sim, caller, &n.to_string()) == a));
    sim.cut(a);
    sim.events();
    assert_eq!(owner(&mut sim, caller, "1"), standby);
}
