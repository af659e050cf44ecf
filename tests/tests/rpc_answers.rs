//! No CALL of any kind stays without an answer or an ABORT, whatever the caller announced, whatever ids it used before,
//! and however ids are checked; and nobody does what is for another role.

use std::collections::{BTreeMap, BTreeSet};
use wampd_core::id::{RequestId, SubscriptionId};
use wampd_core::message::*;
use wampd_core::router::{Identity, LinkInfo, Output, PeerKey, RequestIdCheck, Router};
use wampd_core::time::Instant;
use wampd_core::uri::{Uri, error};
use wampd_core::value::{Dict, Value};
use wampd_tests::answerer::REALM;
use wampd_tests::config::{ANYTHING, open_realm};
use wampd_tests::rng::Pcg;
use wampd_tests::sim::BEGINNING;

const ALL: Features =
    Features::PROGRESSIVE_CALL_INVOCATIONS.union(Features::CALL_CANCELING).union(Features::PROGRESSIVE_CALL_RESULTS);

/// A router with one callee.
struct World {
    router: Router,
    callee: PeerKey,
    caller: PeerKey,
    /// The callee answers the first part of a call already.
    hasty: bool,
    /// Invocations that the callee has answered.
    answered: BTreeSet<RequestId>,
    /// What the caller was told.
    told: Vec<Message>,
    closed: bool,
}

fn id(n: u64) -> RequestId {
    RequestId::new(n).expect("small")
}

fn roles(features: Features) -> ClientRoles {
    let any = Some(features);
    ClientRoles { publisher: any, subscriber: any, caller: any, callee: any }
}

fn join(router: &mut Router, roles: ClientRoles) -> PeerKey {
    let identity = Identity { realm: REALM, authid: "a".into(), authrole: ANYTHING.into(), ..Identity::default() };
    let link = LinkInfo { privileged: Some(identity), ..LinkInfo::default() };
    let key = router.open(Instant::ZERO, link).expect("room enough");
    let details = HelloDetails { roles, ..HelloDetails::default() };
    router.receive(Instant::ZERO, key, Hello { realm: Some(REALM), details }.into());
    key
}

impl World {
    fn new(mode: RequestIdCheck, caller: ClientRoles, callee: ClientRoles, hasty: bool) -> Self {
        let mut config = open_realm();
        config.realms[0].request_ids = mode;
        let mut router = Router::new(config, Instant::ZERO, BEGINNING, Box::new(Pcg::new(1)));
        let callee = join(&mut router, callee);
        let register = Register { request: id(1), options: RegisterOptions::default(), procedure: Uri::from("com.p") };
        router.receive(Instant::ZERO, callee, register.into());
        let caller = join(&mut router, caller);
        let mut world =
            Self { router, callee, caller, hasty, answered: BTreeSet::new(), told: Vec::new(), closed: false };
        world.drain();
        world.told.clear();
        world
    }

    fn say(&mut self, message: impl Into<Message>) {
        self.router.receive(Instant::ZERO, self.caller, message.into());
        self.drain();
    }

    fn call(&mut self, request: u64, progress: bool) {
        let options = CallOptions { progress, ..CallOptions::default() };
        self.say(Call { request: id(request), options, procedure: Uri::from("com.p"), payload: Payload::empty() });
    }

    fn drain(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Send { message: Message::Invocation(invocation), .. } => {
                    let last = self.hasty || !invocation.details.progress;
                    if last && self.answered.insert(invocation.request) {
                        let (options, payload) = (YieldOptions::default(), Payload::empty());
                        let answer = Yield { request: invocation.request, options, payload };
                        self.router.receive(Instant::ZERO, self.callee, answer.into());
                    }
                }
                Output::Send { message: Message::Interrupt(Interrupt { request, .. }), .. }
                    if self.answered.insert(request) =>
                {
                    let (request_type, error) = (RequestType::Invocation, error::CANCELED);
                    let details = RawDict::new();
                    let payload = Payload::empty();
                    let answer = Error { request_type, request, details, pass_thru: None, error, payload };
                    self.router.receive(Instant::ZERO, self.callee, answer.into());
                }
                Output::Send { to, message } if to.as_slice() == [self.caller] => self.told.push(message),
                Output::Close { peer, .. } if peer == self.caller => self.closed = true,
                _ => {}
            }
        }
    }

    /// How many final answers each call has.
    fn answers(&self) -> BTreeMap<u64, usize> {
        let mut answers = BTreeMap::new();
        for message in &self.told {
            let request = match message {
                Message::Result(result) if !result.details.progress => result.request,
                Message::Error(error) if error.request_type == RequestType::Call => error.request,
                _ => continue,
            };
            *answers.entry(request.get()).or_default() += 1;
        }
        answers
    }
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Subscribe(u64),
    Call(u64, bool),
    Cancel(u64, CancelMode),
}

/// The features that calls depend on, by three bits.
fn chosen(bits: usize) -> ClientRoles {
    let features = Features::ALL.iter().map(|(feature, _)| *feature).filter(|feature| ALL.contains(*feature));
    let chosen = features.enumerate().filter(|(bit, _)| bits & 1 << bit != 0);
    roles(chosen.fold(Features::NONE, |set, (_, feature)| set | feature))
}

/// What the specification says, in the simplest words: a CALL goes on with one of the same id that said so, or is one of
/// its own, and each of those has one final answer.
#[derive(Debug, Default)]
struct Owed {
    answers: BTreeMap<u64, usize>,
    going_on: BTreeSet<u64>,
}

impl World {
    /// The caller says something; a call that goes on is canceled or not, but goes on until it says otherwise.
    fn hear(&mut self, said: Said, owed: &mut Owed) {
        match said {
            Said::Subscribe(n) => {
                let (request, topic) = (id(n), Uri::from("com.t"));
                self.say(Subscribe { request, options: SubscribeOptions::default(), topic });
            }
            Said::Call(n, progress) => {
                let is_part = !owed.going_on.insert(n);
                *owed.answers.entry(n).or_default() += usize::from(!is_part);
                if !progress {
                    owed.going_on.remove(&n);
                }
                self.call(n, progress);
            }
            Said::Cancel(n, mode) => self.say(Cancel { request: id(n), options: CancelOptions { mode: Some(mode) } }),
        }
    }
}

/// Every combination of the caller's features with every mode; the callee's features and haste change at random.
#[test]
fn every_call_is_answered_or_ends_the_session() {
    let each = |n| {
        let cancel = [CancelMode::Skip, CancelMode::Kill][n as usize % 2];
        [Said::Subscribe(n), Said::Call(n, false), Said::Call(n, true), Said::Cancel(n, cancel)]
    };
    let said: Vec<Said> = (1..=3).flat_map(each).collect();
    let (mut ended, mut rng) = (0, Pcg::new(1));
    for announced in 0..8 {
        for mode in [RequestIdCheck::Strict, RequestIdCheck::Warn, RequestIdCheck::Off] {
            for n in 0..said.len().pow(3) {
                let sequence = [n % 12, n / 12 % 12, n / 144].map(|which| said[which]);
                let (callee, hasty) = (rng.index(8), rng.index(2) == 0);
                let mut world = World::new(mode, chosen(announced), chosen(callee), hasty);
                let mut owed = Owed::default();
                sequence.into_iter().for_each(|said| world.hear(said, &mut owed));
                for n in owed.going_on.clone() {
                    world.call(n, false);
                }
                ended += usize::from(world.closed);
                let context = || format!("{sequence:?} {announced} {callee} {mode:?} {hasty} {:?}", world.told);
                assert!(world.closed || world.answers() == owed.answers, "{}: {owed:?}", context());
            }
        }
    }
    assert!(ended > 1_000, "{ended} sessions ended");
}

/// As in the report: other requests have used higher ids.
#[test]
fn a_call_is_made_whatever_ids_other_requests_have_used() {
    let mut world = World::new(RequestIdCheck::Warn, roles(ALL), roles(ALL), false);
    for n in 1..=3 {
        world.say(Subscribe { request: id(n), options: SubscribeOptions::default(), topic: Uri::from("com.t") });
    }
    world.call(1, false);
    assert_eq!(world.answers(), BTreeMap::from([(1, 1)]));
}

/// Of calls that ended before their last part was said, a bounded number is remembered.
#[test]
fn abandoned_calls_are_forgotten_in_the_end() {
    let mut config = open_realm();
    config.realms[0].request_ids = RequestIdCheck::Off;
    config.limits.max_calls_in_flight = 4;
    let mut world = World::new(RequestIdCheck::Off, roles(ALL), roles(ALL), true);
    world.router = Router::new(config, Instant::ZERO, BEGINNING, Box::new(Pcg::new(1)));
    world.caller = join(&mut world.router, roles(ALL));
    world.drain();
    world.told.clear();
    for n in 1..=100 {
        world.call(n, true);
    }
    let late = |world: &World| world.router.stats().late_call_parts;
    world.call(100, false);
    assert_eq!(late(&world), 1);
    world.call(1, false);
    assert_eq!((late(&world), world.answers()[&1]), (1, 2), "forgotten, so it is a call of its own");
}

#[test]
fn a_request_of_a_role_that_was_not_announced_is_refused_in_clear_words() {
    let subscription = SubscriptionId::new(1).expect("above 0");
    let registration = wampd_core::id::RegistrationId::new(1).expect("above 0");
    let uri = || Uri::from("com.p");
    let payload = Payload::empty;
    let acknowledged = PublishOptions { acknowledge: true, ..PublishOptions::default() };
    let publish = |options| Publish { request: id(1), options, topic: uri(), payload: payload() };
    let requests: [(&str, Message); 6] = [
        ("publisher", publish(acknowledged).into()),
        ("subscriber", Subscribe { request: id(1), options: SubscribeOptions::default(), topic: uri() }.into()),
        ("subscriber", Unsubscribe { request: id(1), subscription }.into()),
        (
            "caller",
            Call { request: id(1), options: CallOptions::default(), procedure: uri(), payload: payload() }.into(),
        ),
        ("callee", Register { request: id(1), options: RegisterOptions::default(), procedure: uri() }.into()),
        ("callee", Unregister { request: id(1), registration }.into()),
    ];
    let without = |role: &str| {
        let keep = |name: &str| (name != role).then_some(Features::NONE);
        let [publisher, subscriber, caller, callee] = ["publisher", "subscriber", "caller", "callee"].map(keep);
        ClientRoles { publisher, subscriber, caller, callee }
    };
    for (role, request) in requests {
        let mut world = World::new(RequestIdCheck::Strict, without(role), roles(ALL), false);
        let name = request.name();
        world.say(request);
        let [Message::Error(refused)] = &world.told[..] else { panic!("{:?}", world.told) };
        assert_eq!((&refused.error, refused.request), (&error::FEATURE_NOT_SUPPORTED, id(1)));
        let text = format!("{name} needs the role {role}, which the session did not announce in HELLO");
        assert_eq!(refused.payload.values(), Ok((vec![Value::from(text)], Dict::new())));
        assert_eq!(world.router.stats().role_not_announced, 1);
        assert!(!world.closed, "the session goes on");
    }
    // Who asks for no answer gets none.
    let mut world = World::new(RequestIdCheck::Strict, without("publisher"), roles(ALL), false);
    world.say(publish(PublishOptions::default()));
    assert_eq!((&world.told[..], world.router.stats().publications), (&[][..], 0));
    // What is left to be published needs the role of who publishes.
    let args = [Value::from("com.t"), Value::List(vec![]), Value::Dict(Dict::new())];
    let procedure = Uri::from("wamp.session.add_testament");
    world.say(Call { request: id(2), options: CallOptions::default(), procedure, payload: Payload::from_args(args) });
    assert!(matches!(&world.told[..], [Message::Error(refused)] if refused.error == error::FEATURE_NOT_SUPPORTED));
}
