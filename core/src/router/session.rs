//! An open session: who it is, what it owns, and how it ends.

use super::authorize::{ActionKey, CachedVerdict, Waiting};
use super::call::{CallKey, HeldBack};
use super::leaving::Leaving;
use super::output::{CloseReason, Identity, Output, Recipients, Violation};
use super::peer::{Handshake, State};
use super::permission::Decision;
use super::realm::{RealmKey, Role};
use super::testament::Testaments;
use super::{PeerKey, RequestIdCheck, Router, work};
use crate::hash::{HashMap, Seed};
use crate::id::{RegistrationId, RequestId, SessionId, SubscriptionId};
use crate::message::{Abort, ClientRoles, Disclosed, Features, Goodbye, Message, PassThru, RawDict};
use crate::time::Instant;
use crate::uri::{Uri, close, error};
use crate::value::{Dict, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the router knows of a session. Everything the session owns elsewhere is listed here, so that its end costs what
/// it owned.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) realm: RealmKey,
    pub(crate) role: Role,
    pub(crate) roles: ClientRoles,
    pub(crate) identity: Arc<Identity>,
    /// What is told of this session to others when it is disclosed.
    pub(crate) disclosed: Arc<Disclosed>,
    /// What is told of the trust in this session.
    pub(crate) trustlevel: Option<u64>,
    /// The request id that follows in the client's sequence: the one after the highest so far.
    pub(crate) next_request: RequestId,
    /// Calls that the client has said to go on with, whether or not they have ended: what follows of them is no call of
    /// its own. Bounded; see [`Session::begins_stream`].
    pub(crate) streams: BTreeSet<RequestId>,
    /// The request id of the next INVOCATION to this session.
    pub(crate) next_invocation: RequestId,
    /// Subscriptions held, with the session's place among the subscribers.
    pub(crate) subscriptions: BTreeMap<SubscriptionId, u64>,
    /// Registrations held, with the session's place among the callees.
    pub(crate) registrations: BTreeMap<RegistrationId, u64>,
    /// Calls made that have no final answer.
    pub(crate) calls: HashMap<RequestId, CallKey>,
    /// How many of these go on faster than their callees keep up.
    pub(crate) stalled_calls: usize,
    /// Those of these that wait for callees that do not keep up.
    pub(crate) calls_held_back: HeldBack,
    /// Bytes kept of these calls.
    pub(crate) kept_call_bytes: usize,
    /// Invocations received that have no final answer.
    pub(crate) invocations: HashMap<RequestId, CallKey>,
    /// It was asked for progressive results, which it did not announce.
    pub(crate) asked_unannounced: bool,
    /// Registrations with calls that wait until this callee reads again.
    pub(crate) awaited: Vec<RegistrationId>,
    /// Events to be published when the session is over.
    pub(crate) testaments: Option<Box<Testaments>>,
    /// A request that waits for an authorizer.
    pub(crate) waiting: Option<Box<Waiting>>,
    /// What authorizers said that still holds.
    pub(crate) verdicts: HashMap<ActionKey, CachedVerdict>,
}

impl Session {
    pub(crate) fn new(
        handshake: &Handshake,
        identity: Identity,
        realm: RealmKey,
        role: Role,
        trustlevel: Option<u64>,
        seed: &Seed,
    ) -> Self {
        let disclosed = Disclosed {
            session: handshake.session,
            authid: Some(identity.authid.clone()),
            authrole: Some(identity.authrole.clone()),
        };
        Self {
            id: handshake.session,
            realm,
            role,
            roles: handshake.roles,
            identity: Arc::new(identity),
            disclosed: Arc::new(disclosed),
            trustlevel,
            next_request: RequestId::FIRST,
            streams: BTreeSet::new(),
            next_invocation: RequestId::FIRST,
            subscriptions: BTreeMap::new(),
            registrations: BTreeMap::new(),
            calls: seed.map(),
            stalled_calls: 0,
            calls_held_back: HeldBack::default(),
            kept_call_bytes: 0,
            invocations: seed.map(),
            asked_unannounced: false,
            awaited: Vec::new(),
            testaments: None,
            waiting: None,
            verdicts: seed.map(),
        }
    }

    /// A call of which more is to follow. Of those that have ended without their last part so many are remembered; the
    /// oldest are forgotten.
    pub(crate) fn begins_stream(&mut self, request: RequestId, most: usize) {
        self.streams.insert(request);
        if self.streams.len() > most {
            self.streams.pop_first();
        }
    }

    /// Whether the client announced all of `features` for the callee role.
    pub(crate) fn callee_has(&self, features: Features) -> bool {
        self.roles.callee.is_some_and(|announced| announced.contains(features))
    }

    /// Whether the client announced all of `features` for the subscriber role.
    pub(crate) fn subscriber_has(&self, features: Features) -> bool {
        self.roles.subscriber.is_some_and(|announced| announced.contains(features))
    }

    /// Whether the client announced all of `features` for the caller role.
    pub(crate) fn caller_has(&self, features: Features) -> bool {
        self.roles.caller.is_some_and(|announced| announced.contains(features))
    }
}

/// What is looked at first of a message from an open session.
pub(crate) struct Sent<'m> {
    /// Its request id, if it is a request.
    pub(crate) request: Option<RequestId>,
    /// What it says of its payload.
    pub(crate) pass_thru: Option<&'m PassThru>,
    /// The role in which the client sends it, and what the client announced for that.
    pub(crate) role: &'static str,
    pub(crate) announced: Option<Features>,
}

impl<'m> Sent<'m> {
    #[inline]
    pub(crate) fn new(message: &'m Message, roles: &ClientRoles) -> Self {
        let &ClientRoles { publisher, subscriber, caller, callee } = roles;
        let (request, pass_thru, role, announced) = match message {
            Message::Publish(publish) => {
                (Some(publish.request), publish.options.pass_thru.as_deref(), "publisher", publisher)
            }
            Message::Subscribe(subscribe) => (Some(subscribe.request), None, "subscriber", subscriber),
            Message::Unsubscribe(unsubscribe) => (Some(unsubscribe.request), None, "subscriber", subscriber),
            Message::Call(call) => (Some(call.request), call.options.pass_thru.as_deref(), "caller", caller),
            Message::Register(register) => (Some(register.request), None, "callee", callee),
            Message::Unregister(unregister) => (Some(unregister.request), None, "callee", callee),
            Message::Yield(answer) => (None, answer.options.pass_thru.as_deref(), "callee", callee),
            Message::Error(answer) => (None, answer.pass_thru.as_deref(), "callee", callee),
            _ => (None, None, "", None),
        };
        Self { request, pass_thru, role, announced }
    }
}

/// Keys of a hash map in ascending order: the order of a hash map must never become visible.
pub(crate) fn sorted_keys<K: Copy + Ord + core::hash::Hash + Eq, V>(map: &HashMap<K, V>) -> Vec<K> {
    let mut keys: Vec<K> = map.keys().copied().collect();
    keys.sort_unstable();
    keys
}

impl Router {
    /// Checks a request id against the session's sequence and advances it. False: the peer has been sent away.
    #[inline]
    pub(crate) fn accept_request(&mut self, now: Instant, key: PeerKey, request: RequestId) -> bool {
        let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) else { return false };
        let expected = session.next_request;
        if request == expected {
            session.next_request = request.next();
            return true;
        }
        session.next_request = expected.max(request.next());
        match self.realms.get(session.realm).request_ids {
            RequestIdCheck::Off => true,
            RequestIdCheck::Warn => {
                self.stats.request_ids_out_of_sequence += 1;
                true
            }
            RequestIdCheck::Strict => {
                self.violate(now, key, Violation::RequestOutOfSequence { expected, got: request });
                false
            }
        }
    }

    /// What the receivers of a session's call or event are told of it: something if the rules say so, or if it asks.
    ///
    /// # Errors
    /// It asks, and its realm does not let sessions ask (spec: "Caller Identification", "Publisher Identification").
    pub(crate) fn disclosure(
        &self,
        session: &Session,
        decision: Decision,
        disclose_me: bool,
    ) -> Result<Option<Arc<Disclosed>>, (Uri, String)> {
        if disclose_me && !decision.disclose && !self.realms.get(session.realm).disclose_me {
            let text = "the realm does not let sessions disclose themselves with disclose_me".to_owned();
            return Err((error::DISCLOSE_ME_NOT_ALLOWED, text));
        }
        Ok((decision.disclose || disclose_me).then(|| session.disclosed.clone()))
    }

    /// GOODBYE from an open session: answered, and the session is over. The transport may be used for another HELLO.
    pub(crate) fn receive_goodbye(&mut self, now: Instant, key: PeerKey, goodbye: &Goodbye) {
        let Some(leaving) = self.begin_leaving(key, false) else { return };
        // Autobahn expects its own reason back; who logs out is told that it was understood.
        let echoed = [close::NORMAL, close::LOGOUT].into_iter().find(|reason| *reason == goodbye.reason);
        let reason = echoed.unwrap_or(close::GOODBYE_AND_OUT);
        self.send(key, Goodbye { details: RawDict::new(), reason });
        self.await_hello(now, key);
        self.take_back(now, leaving);
    }

    /// Ends a session at the router's wish: it can do nothing more, and its transport is closed when it has answered
    /// the GOODBYE, or has failed to in time.
    pub(crate) fn dismiss(&mut self, now: Instant, key: PeerKey, reason: Uri, message: Option<&str>) {
        if let Some(leaving) = self.begin_dismissing(now, key, reason, message, false) {
            self.take_back(now, leaving);
        }
    }

    /// As [`Router::dismiss`], but what the session owned is yet to be taken back. `silently`: others are not told that
    /// the session has left, and it leaves no testaments.
    pub(crate) fn begin_dismissing(
        &mut self,
        now: Instant,
        key: PeerKey,
        reason: Uri,
        message: Option<&str>,
        silently: bool,
    ) -> Option<Box<Leaving>> {
        let wanted_input = self.wants_input(key);
        let leaving = self.begin_leaving(key, silently)?;
        let details =
            message.map(|message| ("message".to_owned(), Value::from(message))).into_iter().collect::<Dict>().into();
        self.send(key, Goodbye { details, reason });
        if let Some(peer) = self.peers.get_mut(key) {
            peer.state = State::AwaitGoodbye;
        }
        self.set_deadline(key, now.after(self.config.limits.goodbye_timeout));
        // Too many requests were held: now the answer to the GOODBYE is waited for.
        if !wanted_input && self.wants_input(key) {
            self.outputs.push_back(Output::InputReady(key));
        }
        Some(leaving)
    }

    /// The peer broke the protocol: ABORT, and away with it.
    pub(crate) fn violate(&mut self, now: Instant, key: PeerKey, violation: Violation) {
        self.stats.violations += 1;
        self.end_session(now, key);
        self.send_abort(key, error::PROTOCOL_VIOLATION, &violation.to_string());
        self.close(key, CloseReason::Violation(violation));
    }

    pub(crate) fn send_abort(&mut self, key: PeerKey, reason: Uri, message: &str) {
        // JSON has no text that begins with U+0000.
        let message = message.trim_start_matches('\0');
        let details = Dict::from([("message".to_owned(), Value::from(message))]);
        self.send(key, Abort { details: details.into(), reason, payload: Default::default() });
    }

    /// Queues a message to one peer.
    pub(crate) fn send(&mut self, to: PeerKey, message: impl Into<Message>) {
        self.work.add(work::MESSAGE);
        self.outputs.push_back(Output::Send { to: Recipients::One(to), message: message.into() });
    }
}
