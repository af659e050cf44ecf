//! A router whose work is counted, and sessions that use it.
//!
//! Whatever one session asks for, another waits for a slice of it at most: [`Rig::finish`] checks it.

use crate::answerer::REALM;
use crate::rng::Pcg;
use crate::sim::BEGINNING;
use wampd_core::id::{RequestId, SessionId};
use wampd_core::message::*;
use wampd_core::router::{
    Allow, AuthStep, AuthVerdict, Identity, LinkInfo, Output, PeerKey, Permissions, RealmConfig, RoleConfig, Router,
    RouterConfig, Rule,
};
use wampd_core::time::Instant;
use wampd_core::uri::{MatchPolicy, Uri};
use wampd_core::value::{Dict, Value};

/// Units of work in a slice.
pub const SLICE: u64 = 4_096;

/// What a message and the little it touches may take beside its slice.
pub const LITTLE: u64 = 600;

/// A router, and what was sent to each of its peers.
pub struct Rig {
    /// The router.
    pub router: Router,
    told: Vec<(PeerKey, Message)>,
    /// Peers that are read from again.
    pub ready: Vec<PeerKey>,
}

/// An open session.
#[derive(Clone, Copy)]
pub struct Session {
    /// Its peer.
    pub peer: PeerKey,
    /// Its id.
    pub id: SessionId,
    next: u64,
}

impl Session {
    /// The id of its next request.
    pub fn request(&mut self) -> RequestId {
        self.next += 1;
        RequestId::new(self.next).expect("in range")
    }
}

impl Rig {
    /// A router with the roles `admin` and `user`, who may do everything, `user` without touching others.
    pub fn new(change: impl FnOnce(&mut RouterConfig)) -> Self {
        let rule = |uri: &'static str| Rule::new(Uri::from(uri), MatchPolicy::Prefix, Allow::ALL);
        let all = Permissions::new(vec![rule(""), rule("wamp.")]).expect("no rule contradicts another");
        let roles = vec![RoleConfig::new("admin", all), RoleConfig::new("user", Permissions::all())];
        let mut config = RouterConfig { realms: vec![RealmConfig::new(REALM, roles)], ..RouterConfig::default() };
        config.limits.work_slice = SLICE;
        change(&mut config);
        let router = Router::new(config, Instant::ZERO, BEGINNING, Box::new(Pcg::new(1)));
        Self { router, told: Vec::new(), ready: Vec::new() }
    }

    /// Takes all outputs.
    pub fn drain(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Send { to, message } => {
                    self.told.extend(to.as_slice().iter().map(|peer| (*peer, message.clone())));
                }
                Output::Authenticate(request) => {
                    let AuthStep::Hello { authrole, .. } = &request.step else { panic!("no HELLO") };
                    let authrole = authrole.clone().expect("given");
                    let identity = Identity { realm: REALM, authid: "x".into(), authrole, ..Identity::default() };
                    let welcome = AuthVerdict::Welcome(identity);
                    self.router.decide_auth(Instant::ZERO, request.id, welcome).expect("asked just now");
                }
                Output::InputReady(peer) => self.ready.push(peer),
                _ => {}
            }
        }
    }

    /// A session with this role joins, which has announced everything.
    pub fn join(&mut self, role: &str) -> Session {
        let peer = self.router.open(Instant::ZERO, LinkInfo::default()).expect("taken");
        self.join_again(peer, role)
    }

    /// A peer without a session joins.
    pub fn join_again(&mut self, peer: PeerKey, role: &str) -> Session {
        let all = Features::ALL.iter().fold(Features::NONE, |set, (feature, _)| set | *feature);
        let any = Some(all);
        let roles = ClientRoles { caller: any, callee: any, publisher: any, subscriber: any };
        let details = HelloDetails { roles, authrole: Some(role.to_owned()), ..HelloDetails::default() };
        self.say(peer, Hello { realm: Some(REALM), details });
        let told = self.take(peer);
        let [Message::Welcome(welcome)] = &told[..] else { panic!("{told:?}") };
        Session { peer, id: welcome.session, next: 0 }
    }

    /// Gives a message, and returns what it took.
    pub fn say(&mut self, peer: PeerKey, message: impl Into<Message>) -> u64 {
        self.input(|router| router.receive(Instant::ZERO, peer, message.into()))
    }

    /// Gives an input, and returns what it took.
    pub fn input(&mut self, input: impl FnOnce(&mut Router)) -> u64 {
        let before = self.router.work();
        input(&mut self.router);
        self.drain();
        self.router.work() - before
    }

    /// What a peer was told since it was last asked.
    pub fn take(&mut self, peer: PeerKey) -> Vec<Message> {
        let (taken, told) = core::mem::take(&mut self.told).into_iter().partition(|(to, _)| *to == peer);
        self.told = told;
        let taken: Vec<(PeerKey, Message)> = taken;
        taken.into_iter().map(|(_, message)| message).collect()
    }

    /// Goes on with what was put off until it is done. Between any two slices a bystander publishes and is answered; neither the
    /// slices nor its own message take more than they may. Returns how many slices it took.
    pub fn finish(&mut self, bystander: &mut Session) -> usize {
        for slices in 0.. {
            if !self.router.has_work() {
                return slices;
            }
            assert_eq!(self.router.next_deadline(), Some(Instant::ZERO), "at once");
            let before = self.router.work();
            let request = bystander.request();
            let options = PublishOptions { acknowledge: true, ..PublishOptions::default() };
            let topic = Uri::from("com.bystander");
            let took = self.say(bystander.peer, Publish { request, options, topic, payload: Payload::empty() });
            assert!(took < LITTLE, "{took}");
            assert!(matches!(self.take(bystander.peer)[..], [Message::Published(_)]));
            self.router.handle_timeout(Instant::ZERO);
            self.drain();
            let took = self.router.work() - before;
            assert!(took <= 2 * SLICE + LITTLE, "{took}");
            self.router.check_invariants();
        }
        unreachable!("it ends")
    }

    /// Calls a procedure of the router.
    pub fn call(&mut self, caller: &mut Session, procedure: &'static str, args: Vec<Value>, kwargs: Dict) -> u64 {
        let request = caller.request();
        let payload = Payload::from_values(args, kwargs);
        let (options, procedure) = (CallOptions::default(), Uri::from(procedure));
        self.say(caller.peer, Call { request, options, procedure, payload })
    }

    /// The only thing that a caller was told: a result.
    pub fn result(&mut self, caller: &Session) -> (Vec<Value>, Dict) {
        let told = self.take(caller.peer);
        let [Message::Result(result)] = &told[..] else { panic!("{told:?}") };
        result.payload.values().expect("values")
    }

    /// Subscribes.
    pub fn subscribe(&mut self, subscriber: &mut Session, topic: String, matching: MatchPolicy) {
        let request = subscriber.request();
        let options = SubscribeOptions { matching, ..SubscribeOptions::default() };
        self.say(subscriber.peer, Subscribe { request, options, topic: Uri::from(topic) });
        assert!(matches!(self.take(subscriber.peer)[..], [Message::Subscribed(_)]));
    }

    /// Registers.
    pub fn register(&mut self, callee: &mut Session, procedure: String) {
        let request = callee.request();
        self.say(
            callee.peer,
            Register { request, options: RegisterOptions::default(), procedure: Uri::from(procedure) },
        );
        assert!(matches!(self.take(callee.peer)[..], [Message::Registered(_)]));
    }
}
