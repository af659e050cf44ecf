//! Any call of the meta API gets exactly one answer, and a realm of any size serves it.

use core::time::Duration;
use proptest::prelude::*;
use wampd_core::client::ClientEvent;
use wampd_core::id::{RegistrationId, RequestId, SubscriptionId};
use wampd_core::message::{
    Call, CallOptions, CallResult, Message, Payload, Register, RegisterOptions, Subscribe, SubscribeOptions,
};
use wampd_core::router::{AuthVerdict, LinkInfo, Output, PeerKey, Router};
use wampd_core::time::Instant;
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::identity;
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::link::Wire;
use wampd_tests::meta::{PROCEDURES, config, join, message, register, session, subscribe, world};
use wampd_tests::rng::Pcg;
use wampd_tests::sim::BEGINNING;

/// Arguments of which some fit somewhere. Small integers are replaced by ids of sessions, by turns.
fn any_argument() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec!["", "com.a", "user", "joe", "exact", "prefix", "wamp.session.get", "a b"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_i64..8).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        let key = prop::sample::select(vec!["match", "invoke", "x"]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..3).prop_map(Value::from),
        ]
    })
}

fn any_keywords() -> impl Strategy<Value = Dict> {
    let key = prop::sample::select(vec!["reason", "message", "x"]).prop_map(str::to_owned);
    prop::collection::btree_map(key, any_argument(), 0..3)
}

proptest! {
    #[test]
    fn every_call_gets_one_answer(
        wire in prop::sample::select(Wire::ALL.to_vec()),
        calls in prop::collection::vec(
            (prop::sample::select(PROCEDURES.to_vec()), prop::collection::vec(any_argument(), 0..4), any_keywords()),
            1..8,
        ),
    ) {
        let mut sim = world();
        let admin = sim.client(config("admin", ANYTHING), wire);
        let joe = join(&mut sim, "joe", "user");
        let ann = join(&mut sim, "ann", "user");
        subscribe(&mut sim, admin, "wamp.", MatchPolicy::Prefix);
        subscribe(&mut sim, joe, "com.a", MatchPolicy::Exact);
        register(&mut sim, joe, "com.a", RegisterOptions::default());
        let ids = [admin, joe, ann].map(|id| session(&sim, id));
        for (procedure, args, kwargs) in calls {
            let args = args.into_iter().map(|value| match value.as_u64() {
                Some(n @ 4..8) => ids[n as usize % ids.len()].clone(),
                _ => value,
            });
            let payload = Payload::from_values(args.collect(), kwargs);
            let asked = sim.act(admin, |client, now| {
                client.call(now, Uri::from(procedure), CallOptions::default(), payload)
            });
            let answers = sim.events().into_iter().filter(|(whom, event)| {
                *whom == admin && event.answers() == asked.ok() && !matches!(event, ClientEvent::Event { .. })
            });
            prop_assert_eq!(answers.count(), 1, "{}", sim.tail());
        }
        for id in sim.ends() {
            sim.cut(id);
        }
        sim.run_for(Duration::from_secs(60), 100_000, |_, _, _| ());
        let stats = sim.router.stats();
        prop_assert_eq!((stats.sessions, stats.subscriptions, stats.registrations, stats.timers), (0, 0, 0, 0));
    }
}

/// A router and one session that may do everything, without a simulated world around them.
struct Bare {
    router: Router,
    peer: PeerKey,
    request: RequestId,
}

impl Bare {
    fn new() -> Self {
        let mut router = Router::new(open_realm(), Instant::ZERO, BEGINNING, Box::new(Pcg::new(1)));
        let peer = router.open(Instant::ZERO, LinkInfo::default()).expect("room");
        let mut this = Self { router, peer, request: RequestId::FIRST };
        this.exchange(message(r#"[1,"realm1",{"roles":{"caller":{},"callee":{},"subscriber":{}}}]"#));
        this
    }

    /// Gives the router a message, and returns the last one that it sends.
    fn exchange(&mut self, message: impl Into<Message>) -> Message {
        self.router.receive(Instant::ZERO, self.peer, message.into());
        let mut last = None;
        loop {
            let Some(output) = self.router.poll_output() else {
                // A long answer is made slice by slice.
                if !self.router.has_work() {
                    break;
                }
                self.router.handle_timeout(Instant::ZERO);
                continue;
            };
            match output {
                Output::Authenticate(request) => {
                    let verdict = AuthVerdict::Welcome(identity(&request, ANYTHING, "anonymous"));
                    self.router.decide_auth(Instant::ZERO, request.id, verdict).expect("asked");
                }
                Output::Send { message, .. } => last = Some(message),
                Output::InputReady(_) => {}
                other => panic!("{other:?}"),
            }
        }
        last.expect("an answer")
    }

    fn next_request(&mut self) -> RequestId {
        let next = self.request.next();
        core::mem::replace(&mut self.request, next)
    }

    fn subscribe(&mut self, topic: String, matching: MatchPolicy) -> SubscriptionId {
        let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
        let request = self.next_request();
        match self.exchange(Subscribe { request, options, topic: Uri::from(topic) }) {
            Message::Subscribed(answer) => answer.subscription,
            other => panic!("{other:?}"),
        }
    }

    fn register(&mut self, procedure: String, matching: MatchPolicy) -> RegistrationId {
        let options = RegisterOptions { matching, ..RegisterOptions::default() };
        let request = self.next_request();
        match self.exchange(Register { request, options, procedure: Uri::from(procedure) }) {
            Message::Registered(answer) => answer.registration,
            other => panic!("{other:?}"),
        }
    }

    fn call(&mut self, procedure: &'static str, args: Vec<Value>) -> Value {
        let (request, options) = (self.next_request(), CallOptions::default());
        let payload = Payload::from_values(args, Dict::new());
        match self.exchange(Call { request, options, procedure: Uri::from(procedure), payload }) {
            Message::Result(CallResult { payload, .. }) => payload.values().expect("values").0.remove(0),
            other => panic!("{other:?}"),
        }
    }
}

/// The three kinds of patterns, each a third.
fn pattern(n: usize) -> (String, MatchPolicy) {
    match n % 3 {
        0 => (format!("com.app.n{n}"), MatchPolicy::Exact),
        1 => (format!("com.prefix{n:06}."), MatchPolicy::Prefix),
        _ => (format!("com..n{n}.x"), MatchPolicy::Wildcard),
    }
}

#[test]
fn a_realm_with_100_000_registrations_and_subscriptions_is_served() {
    const COUNT: usize = 100_000;
    let mut bare = Bare::new();
    let mut held = Vec::new();
    for n in 0..COUNT {
        let (uri, matching) = pattern(n);
        held.push((bare.register(uri.clone(), matching), bare.subscribe(uri, matching)));
    }
    let listed = |value: &Value| -> Vec<usize> {
        let lists = value.as_dict().expect("a dictionary").values();
        lists.map(|list| list.as_list().expect("a list").len()).collect()
    };
    let thirds = [COUNT / 3 + 1, COUNT / 3, COUNT / 3];
    assert_eq!(listed(&bare.call("wamp.registration.list", vec![])), thirds);
    assert_eq!(listed(&bare.call("wamp.subscription.list", vec![])), thirds);
    // As many times as there are entries: hopeless if one of these were a walk over them.
    for (n, &(registration, subscription)) in held.iter().enumerate() {
        let (registration, subscription) = (Value::from(registration.get()), Value::from(subscription.get()));
        let (uri, matching) = pattern(n);
        let args = vec![uri.into(), Dict::from([("match".to_owned(), matching.as_str().into())]).into()];
        assert_eq!(bare.call("wamp.registration.lookup", args.clone()), registration);
        assert_eq!(bare.call("wamp.subscription.lookup", args), subscription);
        assert_eq!(bare.call("wamp.registration.count_callees", vec![registration]), 1.into());
        assert_eq!(bare.call("wamp.subscription.count_subscribers", vec![subscription]), 1.into());
        if n % 3 == 0 {
            let uri = vec![Value::from(format!("com.app.n{n}"))];
            assert_eq!(bare.call("wamp.registration.match", uri.clone()), held[n].0.get().into());
            assert_eq!(bare.call("wamp.subscription.match", uri), vec![Value::from(held[n].1.get())].into());
        }
    }
    bare.router.check_invariants();
    bare.router.connection_lost(Instant::ZERO, bare.peer);
    while bare.router.has_work() {
        bare.router.handle_timeout(Instant::ZERO);
    }
    bare.router.check_invariants();
    assert_eq!((bare.router.stats().registrations, bare.router.stats().subscriptions), (0, 0));
}
