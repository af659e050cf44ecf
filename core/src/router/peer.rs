//! A transport attached to the router, before, during and after a session.

use super::link::Link;
use super::output::{Congestion, LinkInfo};
use super::proof::Proof;
use super::session::Session;
use super::work::Behind;
use super::{DecisionId, Limits, PeerKey};
use crate::auth;
use crate::id::SessionId;
use crate::message::{ClientRoles, Hello};
use crate::time::Instant;
use crate::uri::Uri;
use crate::value::{Dict, Value};

/// A peer: its transport, and the state of the protocol with it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) link: Link,
    pub(crate) congestion: Congestion,
    /// Until when calls wait for it to read, while it is congested; without, or after that, they are not given to it.
    pub(crate) patience: Option<Instant>,
    /// It published to a congested subscriber, and is not read from until then.
    pub(crate) throttled: Option<Instant>,
    /// A job of it is under way; it is not read from, and these requests of it wait.
    pub(crate) busy: Option<Behind>,
    /// What its last session owned is being taken back; it cannot join before that is done.
    pub(crate) leaving: bool,
    pub(crate) state: State,
    /// When this peer's [`TimerKey::Peer`](super::timers::TimerKey::Peer) is due, if one is set.
    pub(crate) deadline: Option<Instant>,
    /// The peer's place among those that have not joined.
    pub(crate) joining: Option<u64>,
}

/// What the router waits for from a peer.
#[derive(Debug)]
pub(crate) enum State {
    /// HELLO.
    AwaitHello,
    /// An answer to [`Output::Authenticate`](super::Output::Authenticate).
    AwaitVerdict(DecisionId, Box<Handshake>),
    /// AUTHENTICATE.
    AwaitAuthenticate(Box<Proof>, Box<Handshake>),
    /// Requests: the session is open.
    Joined(Box<Session>),
    /// GOODBYE, the router having sent its own: the session is over.
    AwaitGoodbye,
}

/// What is known of a peer that asks to join.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// The id the session will have, and which challenges carry.
    pub(crate) session: SessionId,
    pub(crate) realm: Option<Uri>,
    pub(crate) roles: ClientRoles,
    pub(crate) authid: Option<String>,
    /// Whether the peer offers to prove who it is.
    pub(crate) proves: bool,
    /// What challenges need of `authextra`.
    pub(crate) extra: Dict,
    /// CHALLENGEs sent so far.
    pub(crate) challenges: u32,
}

impl Handshake {
    pub(crate) fn new(session: SessionId, hello: &mut Hello) -> Self {
        Self {
            session,
            realm: hello.realm.take(),
            roles: hello.details.roles,
            authid: hello.details.authid.clone(),
            proves: hello.details.authmethods.iter().any(|method| method != auth::ANONYMOUS),
            extra: hello
                .details
                .authextra
                .as_ref()
                .map(|extra| proof_extra(&extra.pick(&PROOF_KEYS)))
                .unwrap_or_default(),
            challenges: 0,
        }
    }
}

impl Peer {
    pub(crate) fn new(info: LinkInfo) -> Self {
        Self {
            link: Link::new(info),
            congestion: Congestion::Clear,
            patience: None,
            throttled: None,
            busy: None,
            leaving: false,
            state: State::AwaitHello,
            deadline: None,
            joining: None,
        }
    }

    pub(crate) fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Joined(session) => Some(session),
            _ => None,
        }
    }

    pub(crate) fn session_mut(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Joined(session) => Some(session),
            _ => None,
        }
    }

    /// Whether the peer is sent more than it reads.
    pub(crate) fn is_congested(&self) -> bool {
        self.congestion != Congestion::Clear
    }

    /// Whether calls wait for it until it has read some of what waits to be written to it.
    pub(crate) fn is_awaited(&self) -> bool {
        self.is_congested() && self.patience.is_some()
    }

    /// Whether messages are taken now.
    pub(crate) fn wants_input(&self, limits: &Limits) -> bool {
        !self.is_congested()
            && self.throttled.is_none()
            && self.busy.is_none()
            && match &self.state {
                State::AwaitVerdict(..) => false,
                State::Joined(session) => {
                    session.stalled_calls == 0
                        && session.calls_held_back.admit_more(limits)
                        && session.waiting.as_ref().is_none_or(|waiting| waiting.held.len() < limits.max_held_requests)
                }
                State::AwaitHello => !self.leaving,
                State::AwaitAuthenticate(..) | State::AwaitGoodbye => true,
            }
    }
}

/// The members of `authextra` that challenges are made with.
const PROOF_KEYS: [&str; 4] = ["nonce", "channel_binding", "challenge", "pubkey"];

/// What is kept of [`PROOF_KEYS`]. What is no text, or longer than any of them may be, is
/// kept as `true`: wrong, but not absent.
fn proof_extra(authextra: &Dict) -> Dict {
    const LONGEST: usize = 1_024;
    let kept = |value: &Value| match value {
        Value::Null => Value::Null,
        Value::Text(text) if text.len() <= LONGEST => value.clone(),
        _ => Value::Bool(true),
    };
    authextra.iter().map(|(key, value)| (key.clone(), kept(value))).collect()
}

/// A question asked, until it is answered or its peer is gone.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) peer: PeerKey,
}
