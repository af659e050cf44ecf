//! A naive model of a realm: the rules of the specification in the simplest words, with lists that are searched from
//! end to end. Shown what happens to a router ([`Model::observe`]), it says what everybody must be told; what they are
//! told must be that.
//!
//! It knows what [`modelled`] makes up, and sessions only while they are open: how they come about is checked in
//! [`handshake`](crate::handshake). It learns from the router what the router is free to choose (ids, and one callee of
//! several if the policy is `random`), and checks that the choice is allowed. Texts for people are not compared, nor is
//! the order in which different things reach one peer: [`Books`](crate::books) check what order there must be.
//!
//! To extend it by a feature: let it act in `receive` or where the feature belongs, expect what is to be told, and let
//! [`modelled`] make up operations that use it. Whatever the model does not know makes it panic, so that nothing is
//! forgotten.

mod permission;
mod pubsub;
mod requests;
mod rpc;

use crate::codec;
use crate::driver::{Driver, Input, Seen, Slot};
use crate::ops::{Kind, Op, SLOTS};
use crate::rng::Pcg;
use core::time::Duration;
use pubsub::Subscription;
use requests::Waiting;
use rpc::{Call, Registration};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use wampd_core::id::{RegistrationId, RequestId, SessionId};
use wampd_core::message::{ClientRoles, Disclosed, Error, Features, Goodbye, Message, Payload, RequestType, Welcome};
use wampd_core::router::{Congestion, Limits};
use wampd_core::time::Instant;
use wampd_core::uri::{Uri, close, error};

/// The operations that the model knows: those that make up most of a world, as often as they should happen...
const USUAL: &[Kind] = {
    use Kind::*;
    &[
        Subscribe,
        Subscribe,
        Unsubscribe,
        Publish,
        Publish,
        Publish,
        Publish,
        Register,
        Register,
        Register,
        Unregister,
        Call,
        Call,
        Call,
        Call,
        Call,
        Call,
        Cancel,
        Yield,
        Yield,
        Yield,
        Yield,
        Error,
        Congest,
        Wait,
        DecideAction,
        DecideAction,
        DecideAction,
        Join,
        Join,
    ]
};

/// ...and those that end something.
const RARE: &[Kind] = {
    use Kind::*;
    &[Goodbye, Abort, Cut, Odd, Garble, Kill, Hello, Decide, Stale]
};

/// Random operations that the model knows, for [`play`](crate::ops::play).
pub fn modelled(seed: u64) -> Vec<u8> {
    let mut rng = Pcg::new(seed);
    let mut byte = |bound: usize| rng.index(bound) as u8;
    let mut data = vec![byte(256)];
    for slot in 0..SLOTS as u8 {
        data.extend(Op::new(Kind::Join, slot, 0, byte(255)).bytes());
    }
    for _ in 0..40 + usize::from(byte(160)) {
        let kinds = if byte(16) == 0 { RARE } else { USUAL };
        let kind = kinds[usize::from(byte(kinds.len()))];
        // Few URIs mostly.
        let what = if byte(4) == 0 { byte(16) } else { byte(3) };
        let how = match kind {
            Kind::Congest if byte(20) == 0 => 2,
            Kind::Congest => [0, 0, 1][usize::from(byte(3))],
            // Time goes by slowly.
            Kind::Wait if byte(8) > 0 => [0, 1, 2, 6, 7, 6, 7][usize::from(byte(7))],
            // Ids that make no sense are rare.
            _ if byte(4) > 0 => byte(0xf0),
            _ => byte(256),
        };
        data.extend(Op::new(kind, byte(SLOTS), what | byte(2) << 6, how).bytes());
    }
    tamed(&data)
}

/// Any operations, changed into such as the model knows.
pub fn tamed(data: &[u8]) -> Vec<u8> {
    // Narrow limits (bit 1), publishers that wait (bit 2) and what is put off (bit 3) are not modelled.
    let mut tamed: Vec<u8> = data.first().map(|choice| choice & !14).into_iter().collect();
    let (ops, _) = data.get(1..).unwrap_or(&[]).as_chunks::<4>();
    tamed.extend(ops.iter().flat_map(|op| tame(Op::read(*op)).bytes()));
    tamed
}

fn tame(mut op: Op) -> Op {
    if !USUAL.contains(&op.kind) && !RARE.contains(&op.kind) {
        op.kind = USUAL[op.kind as usize % USUAL.len()];
    }
    // None of the URIs of the meta API; of the further options only that callees may want to know who calls.
    let uri = match op.what & 15 {
        9 | 12..=14 => 0,
        uri => uri,
    };
    op.what = uri | if op.kind == Kind::Register { op.what & 0x40 } else { 0 };
    op.how = match op.kind {
        // Neither re-routing nor payload passthru mode.
        Kind::Error => op.how & !5,
        Kind::Yield => op.how & !4,
        // No verdicts that are kept, and none on something else.
        Kind::DecideAction => op.how & 0x7f & !8,
        Kind::Decide => op.how & 0x7f,
        _ => op.how,
    };
    op
}

/// What the model thinks of the router.
#[derive(Debug)]
pub struct Model {
    now: Instant,
    /// Request ids that leave some out are violations.
    strict: bool,
    sessions: BTreeMap<Slot, Session>,
    /// Who does not keep up, and until when calls wait for it.
    congested: BTreeMap<Slot, Option<Instant>>,
    /// Registrations whose calls in line go on when all else is done.
    due_lines: VecDeque<RegistrationId>,
    subscriptions: Vec<Subscription>,
    registrations: Vec<Registration>,
    /// Calls without a final answer, in the order in which they came.
    calls: Vec<Call>,
    /// Numbers callees in the order in which they came.
    next_place: u64,
    /// What must be seen of this input.
    expected: Vec<(Slot, String)>,
    /// Who must be closed by this input.
    closed: BTreeSet<Slot>,
    /// Two things were due at once: which comes first is nobody's to say, and the model can not follow.
    lost: bool,
}

/// An open session.
#[derive(Debug)]
struct Session {
    authrole: String,
    disclosed: Arc<Disclosed>,
    roles: ClientRoles,
    next_request: RequestId,
    next_invocation: RequestId,
    /// A request that waits for a verdict, and those behind it.
    waiting: Option<Waiting>,
}

impl Session {
    fn callee_has(&self, features: Features) -> bool {
        self.roles.callee.is_some_and(|announced| announced.contains(features))
    }

    /// The trust level of the role.
    fn trustlevel(&self) -> Option<u64> {
        (self.authrole == crate::ops::ADMIN).then_some(3)
    }
}

/// A message as far as it is compared.
fn line(message: &Message) -> String {
    match message {
        Message::Error(Error { request_type, request, error, payload, .. }) => {
            let of_the_application = crate::books::is_numbered(payload).then(|| payload.values());
            format!("ERROR {request_type:?} {request:?} {error:?} {of_the_application:?}")
        }
        Message::Abort(abort) => format!("ABORT {:?}", abort.reason),
        Message::Goodbye(goodbye) => format!("GOODBYE {:?}", goodbye.reason),
        other => {
            let values = codec::payload(other).map(Payload::values);
            format!("{:?} {values:?}", codec::without_payload(other.clone()))
        }
    }
}

impl Model {
    /// Of a router with the configuration of [`ops::config`](crate::ops::config).
    pub const fn new(choice: u8) -> Self {
        Self {
            now: Instant::ZERO,
            strict: choice & 1 != 0,
            sessions: BTreeMap::new(),
            congested: BTreeMap::new(),
            due_lines: VecDeque::new(),
            subscriptions: Vec::new(),
            registrations: Vec::new(),
            calls: Vec::new(),
            next_place: 0,
            expected: Vec::new(),
            closed: BTreeSet::new(),
            lost: false,
        }
    }

    /// Whether the model could follow until now.
    pub const fn follows(&self) -> bool {
        !self.lost
    }

    /// Compares what was seen of an input with what must be seen.
    ///
    /// # Panics
    /// They differ.
    pub fn observe(&mut self, driver: &Driver, input: &Input, seen: &[Seen]) {
        if self.lost {
            return;
        }
        let open: BTreeSet<Slot> = self.sessions.keys().copied().collect();
        self.expected.clear();
        self.closed.clear();
        self.input(input, seen);
        self.serve_due(seen);
        // A slot without a peer is not congested.
        self.congested.retain(|slot, _| driver.is_attached(*slot));
        if self.lost {
            return;
        }
        let mut told: Vec<_> = seen.iter().filter_map(|seen| told_to(seen, &open)).collect();
        let mut expected = core::mem::take(&mut self.expected);
        told.sort();
        expected.sort();
        assert_eq!(told, expected, "after {input:?}, as the model has it: {self:#?}");
        let closed = seen.iter().filter_map(|seen| match seen {
            Seen::Closed(slot, _) if open.contains(slot) => Some(*slot),
            _ => None,
        });
        assert_eq!(closed.collect::<BTreeSet<_>>(), self.closed, "after {input:?}");
        for seen in seen {
            if let Seen::Told(slot, Message::Welcome(welcome)) = seen {
                self.join(driver, *slot, welcome);
            }
        }
        for slot in self.sessions.keys() {
            assert_eq!(
                driver.is_heard(*slot),
                self.is_heard(*slot),
                "whether input of {slot} is wanted after {input:?}"
            );
        }
    }

    fn join(&mut self, driver: &Driver, slot: Slot, welcome: &Welcome) {
        let details = &welcome.details;
        let disclosed =
            Disclosed { session: welcome.session, authid: details.authid.clone(), authrole: details.authrole.clone() };
        let session = Session {
            authrole: details.authrole.clone().expect("told in WELCOME"),
            disclosed: Arc::new(disclosed),
            roles: driver.books(slot).session().expect("just joined").roles,
            next_request: RequestId::FIRST,
            next_invocation: RequestId::FIRST,
            waiting: None,
        };
        assert!(self.sessions.insert(slot, session).is_none(), "joined twice");
    }

    fn input(&mut self, input: &Input, seen: &[Seen]) {
        match input {
            Input::Say(slot, message) if self.is_heard(*slot) => self.receive(*slot, message, seen),
            Input::Open(_) | Input::Say(..) | Input::Stale(..) | Input::Decide(..) => {}
            Input::Unable(_, false) | Input::Fill(_, false) => {}
            Input::Garble(slot) if self.is_heard(*slot) => self.violate(*slot, seen),
            Input::Garble(_) => {}
            Input::Cut(slot) => self.end(*slot, seen),
            Input::Congest(slot, level) => self.congest(*slot, *level, seen),
            Input::Kill(slot) if self.sessions.contains_key(slot) => {
                self.end(*slot, seen);
                self.tell(*slot, Goodbye { details: Default::default(), reason: close::KILLED });
            }
            Input::Kill(_) => {}
            Input::DecideAction(id, verdict) => self.decide(*id, verdict, seen),
            Input::Wait(time) => self.wait(*time, seen),
            Input::Unable(_, true) | Input::Fill(_, true) | Input::Permit(..) | Input::ShutDown => {
                panic!("not modelled: {input:?}")
            }
        }
    }

    fn is_heard(&self, slot: Slot) -> bool {
        let session = self.sessions.get(&slot);
        session.is_some_and(|session| session.is_heard())
            && !self.congested.contains_key(&slot)
            && self.calls_held_back(slot) < Limits::default().max_calls_held_back
    }

    fn congest(&mut self, slot: Slot, level: Congestion, seen: &[Seen]) {
        match level {
            Congestion::Clear => {
                self.congested.remove(&slot);
                self.serve_of(slot);
            }
            Congestion::Soft => {
                let patience = self.is_callee(slot).then(|| self.now.after(Limits::default().stall_timeout));
                self.congested.entry(slot).or_insert(patience);
            }
            Congestion::Hard => {
                if self.sessions.contains_key(&slot) {
                    self.closed.insert(slot);
                }
                self.end(slot, seen);
            }
        }
    }

    /// A message of an open session.
    fn receive(&mut self, slot: Slot, message: &Message, seen: &[Seen]) {
        match message {
            Message::Goodbye(goodbye) => {
                self.end(slot, seen);
                let normal = goodbye.reason == close::NORMAL;
                let reason = if normal { close::NORMAL } else { close::GOODBYE_AND_OUT };
                self.tell(slot, Goodbye { details: Default::default(), reason });
            }
            Message::Abort(_) => {
                self.end(slot, seen);
                self.closed.insert(slot);
            }
            Message::Call(_)
            | Message::Publish(_)
            | Message::Subscribe(_)
            | Message::Unsubscribe(_)
            | Message::Register(_)
            | Message::Unregister(_) => self.request(slot, message, seen),
            Message::Yield(answer) => self.answer(slot, answer.request, message, seen),
            Message::Error(answer) if answer.request_type == RequestType::Invocation => {
                self.answer(slot, answer.request, message, seen);
            }
            Message::Cancel(cancel) => self.cancel(slot, cancel, seen),
            _ => self.violate(slot, seen),
        }
    }

    /// The peer broke the protocol.
    fn violate(&mut self, slot: Slot, seen: &[Seen]) {
        self.end(slot, seen);
        self.expected.push((slot, format!("ABORT {:?}", error::PROTOCOL_VIOLATION)));
        self.closed.insert(slot);
    }

    /// A session is over: it holds nothing more, and others learn of it.
    fn end(&mut self, slot: Slot, seen: &[Seen]) {
        if self.sessions.remove(&slot).is_some() {
            self.leave_subscriptions(slot);
            self.leave_calls(slot, seen);
        }
    }

    /// Deadlines come one after the other.
    fn wait(&mut self, time: Duration, seen: &[Seen]) {
        let until = self.now.after(time);
        loop {
            let calls = self.calls.iter().filter_map(|call| call.deadline.map(|at| (at, Due::Call(call.key()))));
            let questions = self.sessions.iter().filter_map(|(slot, session)| {
                session.waiting.as_ref().map(|waiting| (waiting.deadline, Due::Question(*slot)))
            });
            let patience = self.congested.iter().filter_map(|(slot, at)| Some(((*at)?, Due::Patience(*slot))));
            let mut due: Vec<_> = calls.chain(questions).chain(patience).filter(|(at, _)| *at <= until).collect();
            due.sort_by_key(|(at, _)| *at);
            let [(at, what), rest @ ..] = &due[..] else { break };
            if rest.first().is_some_and(|(next, _)| next == at) {
                return self.lost = true;
            }
            self.now = *at;
            match what {
                Due::Call(key) => self.overdue(*key, seen),
                Due::Question(slot) => self.silence(*slot, seen),
                Due::Patience(slot) => {
                    self.congested.insert(*slot, None);
                    self.serve_of(*slot);
                }
            }
            self.serve_due(seen);
        }
        self.now = until;
    }

    fn tell(&mut self, slot: Slot, message: impl Into<Message>) {
        self.expected.push((slot, line(&message.into())));
    }

    /// ERROR of the router's own.
    fn fail(&mut self, slot: Slot, request_type: RequestType, request: RequestId, error: Uri) {
        self.tell(
            slot,
            Error {
                request_type,
                request,
                pass_thru: None,
                details: Default::default(),
                error,
                payload: Payload::empty(),
            },
        );
    }

    fn session_id(&self, slot: Slot) -> SessionId {
        self.sessions[&slot].disclosed.session
    }
}

/// Something that is due.
enum Due {
    Call((Slot, RequestId)),
    Question(Slot),
    Patience(Slot),
}

/// What an open session was told, but for events of the router's own.
fn told_to(seen: &Seen, open: &BTreeSet<Slot>) -> Option<(Slot, String)> {
    let Seen::Told(slot, message) = seen else { return None };
    let meta = matches!(message, Message::Event(event) if event.details.topic.as_ref().is_some_and(Uri::is_reserved));
    (open.contains(slot) && !meta).then(|| (*slot, line(message)))
}
