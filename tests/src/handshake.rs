//! Joining and leaving, whatever clients, authenticators and links do. What comes of it is checked here; what is to be
//! tried is made up elsewhere: by proptest in `tests/handshake.rs`, by fuzzing from bytes.

use crate::answerer::{CHEAP, REALM, Ruling, Timing, scripted, signing_key};
use crate::config::{ANYTHING, open_realm};
use crate::feed::Feed;
use crate::link::Wire;
use crate::sim::{EndId, Sim, Told};
use core::time::Duration;
use wampd_core::auth::cra;
use wampd_core::auth::scram::Dialect;
use wampd_core::client::{ClientConfig, ClientEvent, ClientLimits, Credential};
use wampd_core::id::RequestId;
use wampd_core::message::{
    Abort, Authenticate, Call, CallOptions, ChallengeMessage, ClientRoles, Error, Features, Goodbye, Hello,
    HelloDetails, Message, Payload, Publish, PublishOptions, Register, RegisterOptions, RequestType, Subscribe,
    SubscribeOptions, Yield, YieldOptions,
};
use wampd_core::uri::{Uri, close, error};
use wampd_core::value::{Dict, Value};

/// More steps than any of these worlds needs.
pub const BOUND: usize = 100_000;

/// Longer than every deadline of client and router.
const LONG: Duration = Duration::from_secs(120);

/// Nobody is attached, and nothing of anybody is left.
///
/// # Panics
/// When it is not so.
pub fn assert_nothing_left(sim: &Sim) {
    let stats = sim.router.stats();
    let held = [
        stats.peers,
        stats.joining,
        stats.sessions,
        stats.subscriptions,
        stats.registrations,
        stats.calls_in_flight,
        stats.undecided,
        stats.timers,
    ];
    assert_eq!(held, [0; 8], "{stats:?}\n{}", sim.tail());
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug)]
pub enum Proof {
    /// Not at all.
    Anonymous,
    /// By a ticket.
    Ticket(&'static str),
    /// By WAMP-CRA.
    Cra(&'static str),
    /// By SCRAM.
    Scram(Dialect, &'static str),
    /// By cryptosign.
    Cryptosign,
    /// By answering the riddle.
    Riddle,
    /// Would have to answer the riddle, but does not.
    Mute,
    /// Anything the router likes.
    All,
}

impl Proof {
    /// Every proof, right and wrong.
    pub const ALL: [Self; 12] = [
        Self::Anonymous,
        Self::Ticket("secret"),
        Self::Ticket("wrong"),
        Self::Cra("secret"),
        Self::Cra("wrong"),
        Self::Scram(Dialect::WampScram, "secret"),
        Self::Scram(Dialect::WampScram, "wrong"),
        Self::Scram(Dialect::Crossbar, "secret"),
        Self::Cryptosign,
        Self::Riddle,
        Self::Mute,
        Self::All,
    ];

    fn config(self) -> ClientConfig {
        let riddle = || Credential::External { method: "riddle".to_owned() };
        let credentials = match self {
            Self::Anonymous => vec![],
            Self::Ticket(ticket) => vec![Credential::Ticket(ticket.to_owned())],
            Self::Cra(secret) => vec![Credential::Cra(secret.to_owned())],
            Self::Scram(dialect, password) => vec![Credential::Scram { dialect, password: password.to_owned() }],
            Self::Cryptosign => vec![Credential::Cryptosign { key: signing_key(), router: None }],
            Self::Riddle | Self::Mute => vec![riddle()],
            Self::All => vec![
                Credential::Anonymous,
                Credential::Cra("secret".to_owned()),
                Credential::Ticket("secret".to_owned()),
                riddle(),
            ],
        };
        let limits = ClientLimits { kdf: CHEAP, ..ClientLimits::default() };
        ClientConfig { credentials, authid: Some("joe".to_owned()), limits, ..ClientConfig::anonymous(REALM) }
    }

    /// Whether a client with this proof may be let in if these rulings are all that is made.
    fn suffices(self, rulings: &[(Ruling, Timing)]) -> bool {
        let made = |wanted: &[Ruling]| rulings.iter().any(|(ruling, _)| wanted.contains(ruling));
        let cra = [Ruling::Cra, Ruling::SaltedCra];
        // A client of SCRAM believes no router that just lets it in.
        (made(&[Ruling::Welcome]) && !matches!(self, Self::Scram(..)))
            || match self {
                Self::Cra("secret") => made(&cra),
                Self::Ticket("secret") => made(&[Ruling::Ticket]),
                Self::Scram(dialect, "secret") => made(&[Ruling::Scram(dialect)]),
                Self::Cryptosign => made(&[Ruling::Cryptosign]),
                Self::All => made(&cra) || made(&[Ruling::Ticket]),
                Self::Anonymous | Self::Cra(_) | Self::Scram(..) | Self::Ticket(_) | Self::Riddle | Self::Mute => false,
            }
    }
}

/// What befalls a client some milliseconds after the event before.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Its link is cut.
    Cut,
    /// It leaves.
    Leave,
    /// It hangs up.
    HangUp,
    /// It connects again.
    Again,
}

impl Fate {
    /// Every fate.
    pub const ALL: [Self; 4] = [Self::Cut, Self::Leave, Self::HangUp, Self::Again];
}

/// Well-behaved clients, to which anything may happen.
#[derive(Clone, Debug)]
pub struct Agreement {
    /// Decides delays and cuts.
    pub seed: u64,
    /// What links carry.
    pub wire: Wire,
    /// One for each client.
    pub proofs: Vec<Proof>,
    /// Taken in turn.
    pub rulings: Vec<(Ruling, Timing)>,
    /// After how many milliseconds, to whom, what.
    pub fates: Vec<(u64, usize, Fate)>,
}

impl Agreement {
    /// What these bytes decide.
    pub fn read(feed: &mut Feed<'_>) -> Self {
        let (seed, wire) = (feed.byte().into(), feed.pick(&Wire::ALL));
        let proofs = (0..1 + feed.below(3)).map(|_| feed.pick(&Proof::ALL)).collect();
        let rulings = read_rulings(feed);
        let fates = feed.list(6, |feed| (feed.below(8) * feed.below(2_500), feed.byte().into(), feed.pick(&Fate::ALL)));
        Self { seed, wire, proofs, rulings, fates }
    }

    /// Both ends agree on who has joined, nobody is let in without a proof that suffices, nobody waits for ever, and
    /// nothing is left when all have left.
    ///
    /// # Panics
    /// When it is not so.
    pub fn check(self) {
        let Self { seed, wire, proofs, rulings, fates } = self;
        let answerer = scripted(rulings.clone(), ANYTHING);
        let mut sim = Sim::new(seed, open_realm(), Duration::from_millis(3), answerer);
        let ids: Vec<EndId> = proofs.iter().map(|proof| sim.client(proof.config(), wire)).collect();
        for (after, whom, fate) in fates {
            sim.run_for(Duration::from_millis(after), BOUND, |sim, id, told| react(sim, id, &told, &proofs));
            let id = ids[whom % ids.len()];
            match fate {
                Fate::Cut => sim.cut(id),
                Fate::Leave => sim.act(id, |client, now| client.leave(now, close::NORMAL)),
                Fate::HangUp => sim.hang_up(id),
                Fate::Again if !sim.is_connected(id) => {
                    sim.connect(id, Default::default());
                }
                Fate::Again => {}
            }
        }
        sim.run_for(LONG, BOUND, |sim, id, told| react(sim, id, &told, &proofs));
        let joined = ids.iter().filter(|id| sim.get(**id).is_joined());
        for id in joined.clone() {
            assert!(proofs[id.0].suffices(&rulings), "{:?} let in by {rulings:?}", proofs[id.0]);
        }
        assert_eq!(sim.router.stats().sessions, joined.count(), "{}", sim.tail());
        assert!(ids.iter().all(|id| sim.get(*id).is_joined() || sim.get(*id).is_closed()), "nobody waits");
        for id in ids {
            sim.act(id, |client, now| client.leave(now, close::NORMAL));
        }
        sim.run(BOUND, |_, _, _| ());
        assert_nothing_left(&sim);
    }
}

/// Answers the riddle, if the client is of that kind.
fn react(sim: &mut Sim, id: EndId, told: &Told, proofs: &[Proof]) {
    if let Told::Event(ClientEvent::Challenged { method, .. }) = told {
        assert_eq!(method, "riddle");
        if !matches!(proofs[id.0], Proof::Mute) {
            sim.act(id, |client, _| client.authenticate("man".to_owned(), Dict::new())).expect("challenged");
        }
    }
}

/// One thing that a peer of no good manners does.
#[derive(Clone, Debug)]
pub enum Act {
    /// HELLO
    Hello {
        /// The realm asked for.
        realm: Option<&'static str>,
        /// Whether any role is announced.
        roles: bool,
    },
    /// Answers the last challenge.
    Authenticate {
        /// With the secret, or with another.
        rightly: bool,
    },
    /// Any message.
    Say(Message),
    /// Bytes that are no message.
    Garbage,
    /// Some milliseconds go by.
    Wait(u64),
    /// The link is cut.
    Cut,
    /// The peer hangs up.
    HangUp,
}

/// The realms that a peer may ask for, if any.
pub const REALMS: [Option<&str>; 4] = [Some("realm1"), Some("realm1"), Some("nowhere"), None];

/// Messages that have no place in a handshake.
pub fn nonsense() -> Vec<Message> {
    let request = RequestId::FIRST;
    let uri = || Uri::from("com.example.a");
    let payload = Payload::empty;
    vec![
        Goodbye { details: Default::default(), reason: close::NORMAL }.into(),
        Abort::default().into(),
        Call { request, options: CallOptions::default(), procedure: uri(), payload: payload() }.into(),
        Publish { request, options: PublishOptions::default(), topic: uri(), payload: payload() }.into(),
        Subscribe { request, options: SubscribeOptions::default(), topic: uri() }.into(),
        Register { request, options: RegisterOptions::default(), procedure: uri() }.into(),
        Yield { request, options: YieldOptions::default(), payload: payload() }.into(),
        Error {
            request_type: RequestType::Invocation,
            request,
            pass_thru: None,
            details: Default::default(),
            error: error::CANCELED,
            payload: payload(),
        }
        .into(),
        ChallengeMessage::default().into(),
    ]
}

/// What a bare peer knows of its session.
#[derive(Debug, Default)]
pub struct View {
    /// Whether it is open.
    pub joined: bool,
    /// The last challenge: method and extra.
    pub challenge: Option<(String, Dict)>,
}

impl View {
    /// Takes in what the peer is told.
    ///
    /// # Panics
    /// It can not be right.
    pub fn told(&mut self, told: Told) {
        match told {
            Told::Message(Message::Welcome(_)) => {
                assert!(!self.joined, "welcomed twice");
                self.joined = true;
            }
            Told::Message(Message::Challenge(challenge)) => self.challenge = Some((challenge.method, challenge.extra)),
            Told::Message(Message::Abort(_) | Message::Goodbye(_)) | Told::End => self.joined = false,
            Told::Message(_) => {}
            Told::Event(event) => panic!("not a client: {event:?}"),
        }
    }

    /// The answer to the last challenge.
    pub fn answer(&self, rightly: bool) -> Authenticate {
        let secret = if rightly { "secret" } else { "wrong" };
        let signature = match &self.challenge {
            Some((method, extra)) if method == "wampcra" => sign(extra, secret),
            _ => secret.to_owned(),
        };
        Authenticate { signature, extra: Default::default() }
    }
}

/// The signature of a WAMP-CRA challenge.
///
/// # Panics
/// There is nothing to sign in it.
pub fn sign(extra: &Dict, secret: &str) -> String {
    let text = extra["challenge"].as_str().expect("a text to sign");
    let key = match extra.get("salt").and_then(Value::as_str) {
        None => secret.to_owned(),
        Some(salt) => cra::derive_key(secret.as_bytes(), salt.as_bytes(), 2, 32),
    };
    cra::sign(key.as_bytes(), text)
}

/// HELLO with every role, or with none.
pub fn hello(realm: Option<&'static str>, roles: bool) -> Hello {
    let caller = roles.then_some(Features::NONE);
    let roles = ClientRoles { caller, callee: caller, publisher: caller, subscriber: caller };
    Hello { realm: realm.map(Uri::from), details: HelloDetails { roles, ..HelloDetails::default() } }
}

/// A peer that says anything at any time.
#[derive(Clone, Debug)]
pub struct Confusion {
    /// Decides delays and cuts.
    pub seed: u64,
    /// What the link carries.
    pub wire: Wire,
    /// Taken in turn.
    pub rulings: Vec<(Ruling, Timing)>,
    /// What the peer does.
    pub acts: Vec<Act>,
}

impl Confusion {
    /// What these bytes decide.
    pub fn read(feed: &mut Feed<'_>) -> Self {
        let (seed, wire, rulings) = (feed.byte().into(), feed.pick(&Wire::ALL), read_rulings(feed));
        let acts = feed.list(30, |feed| match feed.below(12) {
            0..=2 => Act::Hello { realm: feed.pick(&REALMS), roles: true },
            3 => Act::Hello { realm: feed.pick(&REALMS), roles: false },
            4 | 5 => Act::Authenticate { rightly: true },
            6 => Act::Authenticate { rightly: false },
            7 => Act::Say(feed.pick(&nonsense())),
            8 => Act::Garbage,
            9 => Act::Wait(feed.below(8) * feed.below(2_500)),
            10 => Act::Cut,
            _ => Act::HangUp,
        });
        Self { seed, wire, rulings, acts }
    }

    /// Peer and router agree on whether it has joined, and nothing is left when it is gone.
    ///
    /// # Panics
    /// When it is not so.
    pub fn check(self) {
        let Self { seed, wire, rulings, acts } = self;
        let mut sim = Sim::new(seed, open_realm(), Duration::from_millis(3), scripted(rulings, ANYTHING));
        let bystander = sim.bare(Wire::Messages);
        let id = sim.bare(wire);
        let mut view = View::default();
        for act in acts {
            match act {
                Act::Hello { realm, roles } => sim.send(id, hello(realm, roles)),
                Act::Authenticate { rightly } => sim.send(id, view.answer(rightly)),
                Act::Say(message) => sim.send(id, message),
                Act::Garbage => sim.send_frame(id, b"\xff garbage"),
                Act::Wait(ms) => listen(&mut sim, Duration::from_millis(ms), id, &mut view),
                Act::Cut => sim.cut(id),
                Act::HangUp => sim.hang_up(id),
            }
        }
        listen(&mut sim, LONG, id, &mut view);
        assert_eq!(usize::from(view.joined), sim.router.stats().sessions, "{}", sim.tail());
        sim.hang_up(id);
        sim.hang_up(bystander);
        sim.run(BOUND, |_, _, _| ());
        assert_nothing_left(&sim);
    }
}

fn listen(sim: &mut Sim, time: Duration, id: EndId, view: &mut View) {
    sim.run_for(time, BOUND, |_, whom, told| {
        if whom == id {
            view.told(told);
        }
    });
}

fn read_rulings(feed: &mut Feed<'_>) -> Vec<(Ruling, Timing)> {
    let ruling = |feed: &mut Feed<'_>| {
        let timing = match feed.below(6) {
            0..=2 => Timing::Now,
            3 => Timing::Late(feed.below(20_000)),
            4 => Timing::Twice(feed.below(20_000)),
            _ => Timing::Never,
        };
        (feed.pick(&Ruling::ALL), timing)
    };
    (0..1 + feed.below(3)).map(|_| ruling(feed)).collect()
}
