//! A router with peers around it, driven as an adapter does: frames in, frames out, nothing in between.
//!
//! Shared by the benchmarks, the instruction counts and the test of allocations.

#![allow(dead_code, missing_docs)] // not every user takes all of it
#![allow(unreachable_pub)] // a module of programs, not an interface

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use rand_core::{TryCryptoRng, TryRng};
use wampd_core::codec::{DecodeLimits, Format, decode, encode};
use wampd_core::id::{RegistrationId, RequestId, SubscriptionId};
use wampd_core::message::{
    Call, CallOptions, ClientRoles, Features, Hello, HelloDetails, Message, Payload, Publish, PublishOptions, Register,
    RegisterOptions, Subscribe, SubscribeOptions, Yield, YieldOptions,
};
use wampd_core::router::{
    AuthVerdict, Identity, LinkInfo, Output, PeerKey, Permissions, RealmConfig, Recipients, RequestIdCheck, RoleConfig,
    Router, RouterConfig,
};
use wampd_core::time::{Instant, UnixTime};
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::Value;

const NOW: Instant = Instant::ZERO;
const REALM: Uri = Uri::from_static("realm1");
pub const PROCEDURE: Uri = Uri::from_static("com.example.procedure");
pub const TOPIC: Uri = Uri::from_static("com.example.topic");

/// Ids and keys that need not be secret here (SplitMix64).
pub struct BenchRng(u64);

impl TryRng for BenchRng {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok((self.try_next_u64()? >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(z ^ z >> 31)
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
        rand_core::utils::fill_bytes_via_next_word(dst, || self.try_next_u64())
    }
}

impl TryCryptoRng for BenchRng {}

/// Randomness for a router that is the same each time.
pub fn rng() -> Box<BenchRng> {
    Box::new(BenchRng(1))
}

/// A router, its peers, and what it sends them.
pub struct Rig {
    pub router: Router,
    format: Format,
    limits: DecodeLimits,
    /// Encoded messages, overwritten by each next one.
    scratch: Vec<u8>,
    /// Messages sent since the last look, each once per receiver.
    pub sent: usize,
    pub sent_bytes: usize,
    last: Option<Message>,
}

impl Rig {
    pub fn new(format: Format) -> Self {
        let role = RoleConfig::new("anyone", Permissions::all());
        let realm = RealmConfig { request_ids: RequestIdCheck::Off, ..RealmConfig::new(REALM, vec![role]) };
        let config = RouterConfig { realms: vec![realm], ..RouterConfig::default() };
        Self {
            router: Router::new(config, NOW, UnixTime(0), rng()),
            format,
            limits: DecodeLimits::default(),
            scratch: Vec::with_capacity(1 << 20),
            sent: 0,
            sent_bytes: 0,
            last: None,
        }
    }

    /// A peer that has joined.
    pub fn join(&mut self) -> PeerKey {
        let peer = self.router.open(NOW, LinkInfo::default()).expect("room");
        let features = Some(Features::default());
        let roles = ClientRoles { publisher: features, subscriber: features, caller: features, callee: features };
        let details = HelloDetails { roles, ..HelloDetails::default() };
        self.give(peer, Hello { realm: Some(REALM), details });
        peer
    }

    /// Takes a peer away.
    pub fn leave(&mut self, peer: PeerKey) {
        self.router.connection_lost(NOW, peer);
        self.drain();
    }

    pub fn register(&mut self, peer: PeerKey, procedure: Uri, matching: MatchPolicy) -> RegistrationId {
        let options = RegisterOptions { matching, ..RegisterOptions::default() };
        match self.give(peer, Register { request: RequestId::FIRST, options, procedure }) {
            Some(Message::Registered(registered)) => registered.registration,
            other => panic!("{other:?}"),
        }
    }

    pub fn subscribe(&mut self, peer: PeerKey, topic: Uri, matching: MatchPolicy) -> SubscriptionId {
        let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
        match self.give(peer, Subscribe { request: RequestId::FIRST, options, topic }) {
            Some(Message::Subscribed(subscribed)) => subscribed.subscription,
            other => panic!("{other:?}"),
        }
    }

    /// Gives the router a message; returns the last one it sent for it.
    pub fn give(&mut self, peer: PeerKey, message: impl Into<Message>) -> Option<Message> {
        self.last = None;
        self.router.receive(NOW, peer, message.into());
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Send { message, .. } => self.last = Some(message),
                Output::Authenticate(request) => {
                    let identity = Identity {
                        realm: REALM,
                        authid: format!("peer-{}", request.session),
                        authrole: "anyone".to_owned(),
                        authmethod: "anonymous".to_owned(),
                        authprovider: "static".to_owned(),
                        ..Identity::default()
                    };
                    self.router.decide_auth(NOW, request.id, AuthVerdict::Welcome(identity)).expect("asked just now");
                }
                _ => {}
            }
        }
        self.last.take()
    }

    /// Decode, route, encode: what an adapter does with a frame.
    pub fn frame(&mut self, peer: PeerKey, frame: Bytes) {
        let message = decode(self.format, frame, &self.limits).expect("a message");
        self.router.receive(NOW, peer, message);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.router.poll_output() {
            if let Output::Send { to, message } = output {
                self.scratch.clear();
                encode(&message, self.format, &mut self.scratch).expect("the same format");
                let receivers = match &to {
                    Recipients::One(_) => 1,
                    Recipients::Many(peers) => peers.len(),
                };
                self.sent += receivers;
                self.sent_bytes += receivers * self.scratch.len();
            }
        }
    }
}

/// One of many URIs or patterns, of which none matches what the benchmarks route. One in a hundred is a prefix, one in a
/// hundred has wildcards; there are eight lengths of the ones and four shapes of the others.
fn other(n: usize) -> (Uri, MatchPolicy) {
    let group = n / 100 % 8;
    match n % 100 {
        98 => (Uri::from(format!("com.other.{}{n:08}.", "a".repeat(group))), MatchPolicy::Prefix),
        99 => {
            let mut components = ["com", "other", "of", "many", &format!("n{n}")].map(str::to_owned);
            components[group % 4].clear();
            (Uri::from(components.join(".")), MatchPolicy::Wildcard)
        }
        _ => (Uri::from(format!("com.other.of.many.n{n}")), MatchPolicy::Exact),
    }
}

/// A router in which others hold so many registrations and as many subscriptions, 1,000 for each session.
pub fn crowded(format: Format, others: usize) -> Rig {
    let mut rig = Rig::new(format);
    for first in (0..others).step_by(1000) {
        let peer = rig.join();
        hold(&mut rig, peer, first..first + 1000);
    }
    rig
}

/// Lets a peer hold the registrations and subscriptions with these numbers.
pub fn hold(rig: &mut Rig, peer: PeerKey, numbers: core::ops::Range<usize>) {
    for n in numbers {
        let (uri, matching) = other(n);
        rig.subscribe(peer, uri.clone(), matching);
        rig.register(peer, uri, matching);
    }
}

/// Arguments of about `len` bytes.
pub fn payload(len: usize) -> Payload {
    Payload::from_args([Value::from("x".repeat(len))])
}

/// Frames as clients send them, slices of one buffer as those of a read buffer are.
pub fn frames(format: Format, messages: impl IntoIterator<Item = Message>) -> VecDeque<Bytes> {
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for message in messages {
        encode(&message, format, &mut all).expect("encode");
        ends.push(all.len());
    }
    let mut all = BytesMut::from(&all[..]);
    let mut start = 0;
    ends.into_iter()
        .map(|end| {
            let frame = all.split_to(end - start).freeze();
            start = end;
            frame
        })
        .collect()
}

fn request(n: u64) -> RequestId {
    RequestId::new(n).expect("an id")
}

/// Calls with these request ids.
pub fn calls(format: Format, ids: core::ops::RangeInclusive<u64>, len: usize) -> VecDeque<Bytes> {
    let payload = payload(len);
    let call = |n| Call {
        request: request(n),
        options: CallOptions::default(),
        procedure: PROCEDURE,
        payload: payload.clone(),
    };
    frames(format, ids.map(|n| call(n).into()))
}

/// Answers to the invocations with these ids.
pub fn yields(format: Format, ids: core::ops::RangeInclusive<u64>, len: usize) -> VecDeque<Bytes> {
    let payload = payload(len);
    let answer = |n| Yield { request: request(n), options: YieldOptions::default(), payload: payload.clone() };
    frames(format, ids.map(|n| answer(n).into()))
}

/// Publications with these request ids.
pub fn publishes(format: Format, ids: core::ops::RangeInclusive<u64>, len: usize) -> VecDeque<Bytes> {
    let payload = payload(len);
    let publish =
        |n| Publish { request: request(n), options: PublishOptions::default(), topic: TOPIC, payload: payload.clone() };
    frames(format, ids.map(|n| publish(n).into()))
}
