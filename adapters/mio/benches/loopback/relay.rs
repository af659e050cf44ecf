//! The floor: what moving the bytes alone costs. A relay that knows neither WebSocket nor WAMP, and its load.
//!
//! Everything is sent in frames: `[u32 length of all][u8 kind][3 bytes caller][rest]`, big-endian. The relay passes calls to
//! the callee and results to their callers, publications to all subscribers, and answers the steps of a join with as many
//! bytes as a router does.

use std::collections::BTreeMap;

use crate::{
    Meter,
    process::Process,
    sockets::{Happened, Sockets},
};

const CALL: u8 = 0;
const RESULT: u8 = 1;
const PUBLISH: u8 = 2;
const SUBSCRIBE: u8 = 3;
const REGISTER: u8 = 4;
const STEP: u8 = 5;

const HEAD: usize = 8;

/// Bytes of the requests and answers of a join over WebSocket in JSON: upgrade, HELLO, GOODBYE, close frame.
const STEPS: [(usize, usize); 4] = [(190, 166), (186, 700), (37, 37), (10, 4)];

fn push(out: &mut Vec<u8>, kind: u8, caller: usize, len: usize) {
    let len = len.max(HEAD);
    out.extend_from_slice(&(len as u32).to_be_bytes());
    out.extend_from_slice(&(u32::from(kind) << 24 | caller as u32).to_be_bytes());
    out.resize(out.len() + len - HEAD, b'x');
}

/// Takes whole frames off the front of the bytes received so far.
fn frames(held: &mut Vec<u8>, received: &[u8], mut show: impl FnMut(u8, usize, &[u8])) {
    let from_held = !held.is_empty();
    if from_held {
        held.extend_from_slice(received);
    }
    let bytes = if from_held { &held[..] } else { received };
    let mut at = 0;
    while let Some(head) = bytes.get(at..at + HEAD) {
        let len = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(frame) = bytes.get(at..at + len) else { break };
        let caller = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        show(head[4], caller, frame);
        at += len;
    }
    if from_held {
        held.drain(..at);
    } else {
        held.extend_from_slice(&received[at..]);
    }
}

/// What goes to the same place as what came before goes along with it.
fn pass_on(forward: &mut Vec<(Option<usize>, Vec<u8>)>, to: Option<usize>, frame: &[u8]) {
    match forward.last_mut() {
        Some((before, frames)) if *before == to => frames.extend_from_slice(frame),
        _ => forward.push((to, frame.to_vec())),
    }
}

/// Relays until it is killed.
pub(crate) fn run() {
    let mut sockets = Sockets::new();
    println!("listening on {}", sockets.listen());
    let mut held: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut joins: BTreeMap<usize, usize> = BTreeMap::new();
    let (mut callee, mut callers, mut subscribers) = (0, BTreeMap::new(), Vec::new());
    let mut forward: Vec<(Option<usize>, Vec<u8>)> = Vec::new();
    loop {
        let mut closed = Vec::new();
        sockets.turn(|id, happened| match happened {
            Happened::Closed => closed.push(id),
            Happened::Received(bytes) => frames(held.entry(id).or_default(), bytes, |kind, caller, frame| match kind {
                REGISTER => callee = id,
                SUBSCRIBE => subscribers.push(id),
                STEP => {
                    let step = joins.entry(id).or_default();
                    let mut answer = Vec::new();
                    push(&mut answer, STEP, 0, STEPS[*step].1);
                    *step += 1;
                    forward.push((Some(id), answer));
                }
                CALL => {
                    callers.insert(caller, id);
                    pass_on(&mut forward, Some(callee), frame);
                }
                RESULT => pass_on(&mut forward, callers.get(&caller).copied(), frame),
                _ => pass_on(&mut forward, None, frame),
            }),
        });
        for id in closed {
            held.remove(&id);
            joins.remove(&id);
            subscribers.retain(|&subscriber| subscriber != id);
        }
        for (to, frame) in forward.drain(..) {
            match to {
                Some(id) if !sockets.is_open(id) => {}
                Some(id) => {
                    let out = sockets.out(id);
                    if out.is_empty() {
                        *out = frame;
                    } else {
                        out.extend_from_slice(&frame);
                    }
                    if joins.get(&id) == Some(&STEPS.len()) {
                        joins.remove(&id);
                        held.remove(&id);
                        sockets.close(id);
                    }
                }
                None => subscribers.iter().for_each(|&id| sockets.out(id).extend_from_slice(&frame)),
            }
        }
    }
}

/// Calls through a relay; `overhead` are the bytes that a protocol adds.
pub(crate) fn rpc(callers: usize, inflight: usize, len: usize, meter: &Meter) -> f64 {
    let relay = Process::start(&["--relay"]);
    let mut sockets = Sockets::new();
    let callee = sockets.connect(relay.address);
    push(sockets.out(callee), REGISTER, 0, 0);
    let callers: Vec<usize> = (0..callers).map(|_| sockets.connect(relay.address)).collect();
    for (number, &caller) in callers.iter().enumerate() {
        (0..inflight).for_each(|_| push(sockets.out(caller), CALL, number, len));
    }
    let mut held: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
    let mut todo: Vec<(usize, u8, usize)> = Vec::new();
    meter.run(&relay, |done| {
        let alive = sockets.turn(|id, happened| {
            let Happened::Received(bytes) = happened else { panic!("the relay has closed a connection") };
            frames(held.entry(id).or_default(), bytes, |kind, caller, _| match kind {
                CALL => todo.push((callee, RESULT, caller)),
                _ => {
                    *done += 1;
                    todo.push((id, CALL, caller));
                }
            });
        });
        assert!(alive, "a call was lost");
        todo.drain(..).for_each(|(id, kind, caller)| push(sockets.out(id), kind, caller, len));
    })
}

/// Publications through a relay, `window` at a time.
pub(crate) fn pubsub(subscribers: usize, len: usize, window: u64, meter: &Meter) -> f64 {
    let relay = Process::start(&["--relay"]);
    let mut sockets = Sockets::new();
    let publisher = sockets.connect(relay.address);
    let mut received: BTreeMap<usize, u64> = BTreeMap::new();
    for _ in 0..subscribers {
        let id = sockets.connect(relay.address);
        push(sockets.out(id), SUBSCRIBE, 0, 0);
        received.insert(id, 0);
    }
    // Subscriptions are not acknowledged: the first events may miss some, so what is counted begins with the last of them.
    let (mut held, mut published, mut total) = (BTreeMap::<usize, Vec<u8>>::new(), 0, 0_u64);
    sockets.turn(|_, _| {});
    meter.run(&relay, |done| {
        let complete = total / subscribers as u64;
        while published < complete + window {
            push(sockets.out(publisher), PUBLISH, 0, len);
            published += 1;
        }
        let alive = sockets.turn(|id, happened| {
            let Happened::Received(bytes) = happened else { panic!("the relay has closed a connection") };
            frames(held.entry(id).or_default(), bytes, |_, _, _| {
                total += 1;
                *done += 1;
            });
        });
        assert!(alive, "an event was lost");
    })
}

/// Connections through the steps of a join.
pub(crate) fn join(concurrency: usize, meter: &Meter) -> f64 {
    let relay = Process::start(&["--relay"]);
    let mut sockets = Sockets::new();
    let (mut steps, mut held) = (BTreeMap::<usize, usize>::new(), BTreeMap::<usize, Vec<u8>>::new());
    meter.run(&relay, |done| {
        while steps.len() < concurrency {
            let id = sockets.connect(relay.address);
            push(sockets.out(id), STEP, 0, STEPS[0].0);
            steps.insert(id, 0);
        }
        let (mut next, mut over) = (Vec::new(), Vec::new());
        sockets.turn(|id, happened| match happened {
            Happened::Closed => over.push(id),
            Happened::Received(bytes) => frames(held.entry(id).or_default(), bytes, |_, _, _| next.push(id)),
        });
        for id in next {
            let step = steps.get_mut(&id).expect("joining");
            *step += 1;
            match STEPS.get(*step) {
                Some(&(len, _)) => push(sockets.out(id), STEP, 0, len),
                None => *done += 1,
            }
        }
        for id in over {
            steps.remove(&id);
            held.remove(&id);
        }
    })
}
