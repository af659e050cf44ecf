//! Any sequence of joining, leaving, subscribing, publishing, retaining, asking for the past and leaving testaments,
//! against a model that knows only what the specification says: a list of all that was ever published.

use proptest::prelude::*;
use wampd_core::client::ClientEvent;
use wampd_core::id::SessionId;
use wampd_core::message::{Audience, CallOptions, Payload, PublishOptions, SubscribeOptions};
use wampd_core::router::EventHistory;
use wampd_core::uri::{MatchPolicy, Uri, close, matches};
use wampd_core::value::{Dict, Value};
use wampd_tests::pubsub::{join, roles, world};
use wampd_tests::sim::{EndId, Sim};

const TOPICS: [&str; 4] = ["com.a", "com.a.x", "com.ab.x", "com.b.x"];
const PATTERNS: [(&str, MatchPolicy); 7] = [
    ("com.a", MatchPolicy::Exact),
    ("com.a.x", MatchPolicy::Exact),
    ("com.a", MatchPolicy::Prefix),
    ("com.", MatchPolicy::Prefix),
    ("com..x", MatchPolicy::Wildcard),
    (".a", MatchPolicy::Wildcard),
    ("com.b.x", MatchPolicy::Exact),
];
const KEPT: [(&str, MatchPolicy); 2] = [("com.a", MatchPolicy::Prefix), ("com..x", MatchPolicy::Wildcard)];
const NAMES: [&str; 3] = ["ann", "bob", "cat"];
const ROLES: [&str; 2] = ["user", "admin"];

/// Whom an event is for, in the words of the model.
#[derive(Clone, Debug)]
enum For {
    All,
    Nobody,
    /// The session of the n-th client that is joined, or all others.
    Session(usize, bool),
    Name(usize, bool),
    Role(usize, bool),
}

#[derive(Clone, Debug)]
enum Op {
    Join { name: usize, role: usize },
    Leave { who: usize, politely: bool },
    Subscribe { who: usize, pattern: usize, get_retained: bool },
    Unsubscribe { who: usize, pattern: usize },
    Publish { who: usize, topic: usize, to: For, exclude_me: bool, retain: bool },
    Testament { who: usize, topic: usize, to: For, detached: bool, retain: bool },
    Flush { who: usize, detached: bool },
    Past { who: usize, kept: usize },
}

fn audience() -> impl Strategy<Value = For> {
    prop_oneof![
        4 => Just(For::All),
        1 => Just(For::Nobody),
        2 => (0..4usize, any::<bool>()).prop_map(|(n, only)| For::Session(n, only)),
        2 => (0..NAMES.len(), any::<bool>()).prop_map(|(n, only)| For::Name(n, only)),
        2 => (0..ROLES.len(), any::<bool>()).prop_map(|(n, only)| For::Role(n, only)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let who = || 0..8usize;
    let topic = || 0..TOPICS.len();
    prop_oneof![
        3 => (0..NAMES.len(), 0..ROLES.len()).prop_map(|(name, role)| Op::Join { name, role }),
        2 => (who(), any::<bool>()).prop_map(|(who, politely)| Op::Leave { who, politely }),
        6 => (who(), 0..PATTERNS.len(), any::<bool>())
            .prop_map(|(who, pattern, get_retained)| Op::Subscribe { who, pattern, get_retained }),
        2 => (who(), 0..PATTERNS.len()).prop_map(|(who, pattern)| Op::Unsubscribe { who, pattern }),
        10 => (who(), topic(), audience(), any::<bool>(), any::<bool>())
            .prop_map(|(who, topic, to, exclude_me, retain)| Op::Publish { who, topic, to, exclude_me, retain }),
        3 => (who(), topic(), audience(), any::<bool>(), any::<bool>())
            .prop_map(|(who, topic, to, detached, retain)| Op::Testament { who, topic, to, detached, retain }),
        1 => (who(), any::<bool>()).prop_map(|(who, detached)| Op::Flush { who, detached }),
        2 => (who(), 0..KEPT.len()).prop_map(|(who, kept)| Op::Past { who, kept }),
    ]
}

/// A session as the model knows it.
#[derive(Clone, Debug)]
struct Session {
    end: EndId,
    id: SessionId,
    name: usize,
    role: usize,
    patterns: Vec<usize>,
    testaments: [Vec<Published>; 2],
}

/// Something published, or left to be.
#[derive(Clone, Debug)]
struct Published {
    n: u64,
    topic: usize,
    audience: Audience,
    /// The publisher, if it is left out.
    excluded: Option<SessionId>,
    retain: bool,
}

impl Published {
    fn admits(&self, session: &Session) -> bool {
        self.excluded != Some(session.id) && self.admits_by(session, Some(session.id))
    }

    /// With `None`, whoever the session is.
    fn admits_by(&self, session: &Session, id: Option<SessionId>) -> bool {
        let (name, role) = (NAMES[session.name].to_owned(), ROLES[session.role].to_owned());
        let Audience { exclude, exclude_authid, exclude_authrole, eligible, eligible_authid, eligible_authrole } =
            &self.audience;
        id.is_none_or(|id| !exclude.contains(&id) && eligible.as_ref().is_none_or(|list| list.contains(&id)))
            && !exclude_authid.contains(&name)
            && !exclude_authrole.contains(&role)
            && eligible_authid.as_ref().is_none_or(|list| list.contains(&name))
            && eligible_authrole.as_ref().is_none_or(|list| list.contains(&role))
    }
}

#[derive(Default)]
struct Model {
    sessions: Vec<Session>,
    published: Vec<Published>,
    next: u64,
}

/// An event: who hears which number, and whether it is from the past.
type Heard = (EndId, u64, bool);

impl Model {
    fn at(&self, who: usize) -> Option<usize> {
        (!self.sessions.is_empty()).then(|| who % self.sessions.len())
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn audience(&self, to: &For) -> Audience {
        let name = |all: &[&str], n: usize| vec![all[n].to_owned()];
        let mut audience = Audience::default();
        match *to {
            For::All => {}
            For::Nobody => audience.eligible = Some(vec![]),
            For::Session(n, only) => {
                let list = self.at(n).map(|n| self.sessions[n].id).into_iter().collect();
                if only { audience.eligible = Some(list) } else { audience.exclude = list }
            }
            For::Name(n, true) => audience.eligible_authid = Some(name(&NAMES, n)),
            For::Name(n, false) => audience.exclude_authid = name(&NAMES, n),
            For::Role(n, true) => audience.eligible_authrole = Some(name(&ROLES, n)),
            For::Role(n, false) => audience.exclude_authrole = name(&ROLES, n),
        }
        audience
    }

    /// Who hears of a publication, once for each subscription that matches.
    fn publish(&mut self, published: Published) -> Vec<Heard> {
        let mut heard = Vec::new();
        for session in self.sessions.iter().filter(|session| published.admits(session)) {
            for &pattern in &session.patterns {
                let (uri, matching) = PATTERNS[pattern];
                if matches(uri, matching, TOPICS[published.topic]) {
                    heard.push((session.end, published.n, false));
                }
            }
        }
        self.published.push(published);
        heard
    }

    /// The last retained event of each topic that the session would have received, in the order of publication.
    fn retained(&self, session: &Session, pattern: usize) -> Vec<Heard> {
        let (uri, matching) = PATTERNS[pattern];
        let mut last: Vec<usize> = (0..TOPICS.len())
            .filter(|&topic| matches(uri, matching, TOPICS[topic]))
            .filter_map(|topic| {
                let receivable = |found: &Published| found.retain && found.topic == topic && found.admits(session);
                self.published.iter().rposition(receivable)
            })
            .collect();
        last.sort_unstable();
        last.iter().map(|&place| (session.end, self.published[place].n, true)).collect()
    }

    fn past(&self, session: &Session, kept: usize) -> Vec<u64> {
        let (uri, matching) = KEPT[kept];
        let kept = self.published.iter().filter(|found| {
            matches(uri, matching, TOPICS[found.topic])
                && found.audience.exclude.is_empty()
                && found.audience.eligible.is_none()
                && found.admits_by(session, None)
        });
        kept.map(|found| found.n).collect()
    }
}

fn options(published: &Published, exclude_me: bool) -> PublishOptions {
    let audience = Some(Box::new(published.audience.clone())).filter(|audience| **audience != Audience::default());
    PublishOptions { audience, exclude_me: Some(exclude_me), retain: published.retain, ..PublishOptions::default() }
}

/// The options of a publication as a dictionary.
fn dictionary(published: &Published) -> Dict {
    let texts = |list: &[String]| Value::List(list.iter().map(|text| text.as_str().into()).collect());
    let ids = |list: &[SessionId]| Value::List(list.iter().map(|id| id.get().into()).collect());
    let Audience { exclude, exclude_authid, exclude_authrole, eligible, eligible_authid, eligible_authrole } =
        &published.audience;
    let mut dict = Dict::from([
        ("retain".to_owned(), published.retain.into()),
        ("exclude".to_owned(), ids(exclude)),
        ("exclude_authid".to_owned(), texts(exclude_authid)),
        ("exclude_authrole".to_owned(), texts(exclude_authrole)),
    ]);
    dict.extend(eligible.iter().map(|list| ("eligible".to_owned(), ids(list))));
    dict.extend(eligible_authid.iter().map(|list| ("eligible_authid".to_owned(), texts(list))));
    dict.extend(eligible_authrole.iter().map(|list| ("eligible_authrole".to_owned(), texts(list))));
    dict
}

/// What was heard, and the arguments of the last result.
fn drain(sim: &mut Sim) -> (Vec<Heard>, Vec<Value>) {
    let (mut heard, mut result) = (Vec::new(), Vec::new());
    for (who, event) in sim.events() {
        match event {
            ClientEvent::Event { details, payload, .. } => {
                let n = payload.values().expect("values").0[0].as_u64().expect("a number");
                heard.push((who, n, details.retained));
            }
            ClientEvent::Result { payload, .. } => result = payload.values().expect("values").0,
            ClientEvent::Failed { error, payload, .. } => panic!("{error}: {:?}", payload.values()),
            _ => {}
        }
    }
    (heard, result)
}

fn call(sim: &mut Sim, id: EndId, procedure: &'static str, args: Vec<Value>, kwargs: Dict) -> (Vec<Heard>, Vec<Value>) {
    let payload = Payload::from_values(args, kwargs);
    let procedure = Uri::from(procedure);
    sim.act(id, |client, now| client.call(now, procedure, CallOptions::default(), payload)).expect("joined");
    drain(sim)
}

fn scope(detached: bool) -> (String, Value) {
    ("scope".to_owned(), if detached { "detached" } else { "destroyed" }.into())
}

/// Does one thing; what is heard must be what the model says, session by session in order.
fn step(sim: &mut Sim, model: &mut Model, op: &Op) {
    let (heard, expected) = match op {
        Op::Join { name, role } => {
            if model.sessions.len() >= 6 {
                return;
            }
            let end = join(sim, NAMES[*name], ROLES[*role]);
            let id = sim.session(end).session;
            let (name, role) = (*name, *role);
            model.sessions.push(Session { end, id, name, role, patterns: vec![], testaments: Default::default() });
            return;
        }
        Op::Leave { who, politely } => {
            let Some(n) = model.at(*who) else { return };
            let session = model.sessions.remove(n);
            if *politely {
                sim.act(session.end, |client, now| client.leave(now, close::NORMAL));
            } else {
                sim.hang_up(session.end);
            }
            let [detached, destroyed] = session.testaments;
            let expected = detached.into_iter().chain(destroyed).flat_map(|left| model.publish(left)).collect();
            (drain(sim).0, expected)
        }
        Op::Subscribe { who, pattern, get_retained } => {
            let Some(n) = model.at(*who) else { return };
            let (uri, matching) = PATTERNS[*pattern];
            let options = SubscribeOptions { matching, get_retained: *get_retained, ..SubscribeOptions::default() };
            let session = &mut model.sessions[n];
            sim.act(session.end, |client, now| client.subscribe(now, Uri::from(uri), options)).expect("joined");
            if !session.patterns.contains(pattern) {
                session.patterns.push(*pattern);
            }
            let expected = if *get_retained { model.retained(&model.sessions[n], *pattern) } else { vec![] };
            (drain(sim).0, expected)
        }
        Op::Unsubscribe { who, pattern } => {
            let Some(n) = model.at(*who) else { return };
            if !model.sessions[n].patterns.contains(pattern) {
                return;
            }
            let end = model.sessions[n].end;
            let (uri, matching) = PATTERNS[*pattern];
            let kwargs = Dict::from([("match".to_owned(), matching.as_str().into())]);
            let (_, found) = call(sim, end, "wamp.subscription.lookup", vec![uri.into(), kwargs.into()], Dict::new());
            let id = found[0].as_u64().and_then(wampd_core::id::SubscriptionId::new).expect("a subscription");
            sim.act(end, |client, now| client.unsubscribe(now, id)).expect("joined");
            model.sessions[n].patterns.retain(|held| held != pattern);
            (drain(sim).0, vec![])
        }
        Op::Publish { who, topic, to, exclude_me, retain } => {
            let Some(n) = model.at(*who) else { return };
            let Session { end, id, .. } = model.sessions[n];
            let (audience, excluded) = (model.audience(to), exclude_me.then_some(id));
            let published = Published { n: model.number(), topic: *topic, audience, excluded, retain: *retain };
            let options = options(&published, *exclude_me);
            let payload = Payload::from_args([published.n.into()]);
            let topic = Uri::from(TOPICS[*topic]);
            sim.act(end, |client, now| client.publish(now, topic, options, payload)).expect("joined");
            (drain(sim).0, model.publish(published))
        }
        Op::Testament { who, topic, to, detached, retain } => {
            let Some(n) = model.at(*who) else { return };
            let (audience, number) = (model.audience(to), model.number());
            let left = Published { n: number, topic: *topic, audience, excluded: None, retain: *retain };
            let kwargs = Dict::from([("publish_options".to_owned(), dictionary(&left).into()), scope(*detached)]);
            let args = vec![TOPICS[*topic].into(), vec![number.into()].into()];
            let session = &mut model.sessions[n];
            session.testaments[usize::from(!detached)].push(left);
            (call(sim, session.end, "wamp.session.add_testament", args, kwargs).0, vec![])
        }
        Op::Flush { who, detached } => {
            let Some(n) = model.at(*who) else { return };
            let session = &mut model.sessions[n];
            session.testaments[usize::from(!detached)].clear();
            let kwargs = Dict::from([scope(*detached)]);
            (call(sim, session.end, "wamp.session.flush_testaments", vec![], kwargs).0, vec![])
        }
        Op::Past { who, kept } => {
            let Some(n) = model.at(*who) else { return };
            let session = &model.sessions[n];
            let (uri, matching) = KEPT[*kept];
            let options = Dict::from([("match".to_owned(), matching.as_str().into())]);
            let args = vec![uri.into(), options.into()];
            let (_, found) = call(sim, session.end, "wamp.subscription.lookup", args, Dict::new());
            let (heard, result) = call(sim, session.end, "wamp.subscription.get_events", found, Dict::new());
            let events = result[0].as_list().expect("a list");
            let number =
                |event: &Value| event.as_dict().expect("an event")["args"].as_list().expect("args")[0].as_u64();
            let told: Vec<_> = events.iter().filter_map(number).collect();
            assert_eq!(told, model.past(session, *kept), "{}", sim.tail());
            (heard, vec![])
        }
    };
    for session in &model.sessions {
        let of = |list: &[Heard]| list.iter().filter(|event| event.0 == session.end).copied().collect::<Vec<_>>();
        assert_eq!(of(&heard), of(&expected), "{op:?}\n{}", sim.tail());
    }
    assert_eq!(heard.len(), expected.len(), "{op:?}: somebody hears what is for nobody\n{}", sim.tail());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn events_reach_whom_the_specification_says(ops in prop::collection::vec(op(), 1..120)) {
        let mut config = roles(&ROLES);
        let history = |&(uri, matching): &(&'static str, _)| EventHistory { uri: Uri::from(uri), matching, limit: 1_000 };
        config.realms[0].event_history = KEPT.iter().map(history).collect();
        let (mut sim, mut model) = (world(config), Model::default());
        for op in &ops {
            step(&mut sim, &mut model, op);
        }
        while !model.sessions.is_empty() {
            step(&mut sim, &mut model, &Op::Leave { who: 0, politely: true });
        }
        let stats = sim.router.stats();
        prop_assert_eq!((stats.sessions, stats.subscriptions, stats.testaments, stats.timers), (0, KEPT.len(), 0, 0));
    }
}
