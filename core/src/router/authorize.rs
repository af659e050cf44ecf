//! May this session act? Answered by the role's rules at once, or asked as a question and answered later
//! (the principle of authentication, once more).
//!
//! While a question is open, the session's further requests are held in order; answers to invocations, CANCEL and
//! GOODBYE pass, or an authorizer that itself calls could wait for ever.

use super::output::{ActionRequest, ActionVerdict, Output, StaleDecision};
use super::peer::Peer;
use super::peer::Question;
use super::permission::{Action, Decision};
use super::realm::Role;
use super::session::Session;
use super::{DecisionId, Limits, PeerKey, Router, RouterStats};
use crate::codec::request_options;
use crate::message::{
    Call, CallOptions, Cancel, Message, Publish, PublishOptions, RegisterOptions, RequestType, SubscribeOptions,
};
use crate::time::Instant;
use crate::uri::{MatchPolicy, Uri, UriRule, error};
use std::collections::VecDeque;

/// A request that waits for a verdict, and those that came after it.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) decision: DecisionId,
    /// [`Realm::role_changes`](super::realm::Realm::role_changes) when it was asked.
    role_changes: u64,
    pub(crate) request: Message,
    /// The request may be made. What was asked is whether this may be published, which it leaves with the router.
    about: Option<Message>,
    pub(crate) held: VecDeque<Held>,
}

impl Waiting {
    /// Holds a request behind this one.
    pub(crate) fn hold(&mut self, held: Held, limits: &Limits, stats: &mut RouterStats) {
        self.held.push_back(held);
        stats.held_full += u64::from(self.held.len() == limits.max_held_requests);
    }
}

/// What is held behind a request that waits.
#[derive(Debug)]
pub(crate) enum Held {
    /// A request, on which nothing has been decided.
    Request(Message),
    /// A further part of a call, which may be held itself.
    Part(Call),
}

/// A verdict on an action, kept for the session that it was given for: nobody else can profit from it.
#[derive(Debug)]
pub(crate) struct CachedVerdict {
    /// The options that were asked about.
    options: Options,
    decision: Decision,
    until: Instant,
    /// [`Realm::role_changes`](super::realm::Realm::role_changes) when it was given.
    role_changes: u64,
}

/// What is asked for, but for the options.
pub(crate) type ActionKey = (Action, MatchPolicy, Uri);

/// The options of a request.
#[derive(Debug)]
enum Options {
    Call(CallOptions),
    Publish(PublishOptions),
    Subscribe(SubscribeOptions),
    Register(RegisterOptions),
}

impl Options {
    /// The options of a request, if they are small and likely to come again.
    fn worth_keeping(request: &Message) -> Option<Self> {
        match request {
            Message::Call(call) if call.options.rkey.is_none() && call.options.pass_thru.is_none() => {
                Some(Self::Call(call.options.clone()))
            }
            Message::Publish(Publish { options, .. })
                if options.audience.is_none() && options.rkey.is_none() && options.pass_thru.is_none() =>
            {
                Some(Self::Publish(options.clone()))
            }
            Message::Subscribe(subscribe) if subscribe.options.nkey.is_none() => {
                Some(Self::Subscribe(subscribe.options.clone()))
            }
            Message::Register(register) => Some(Self::Register(register.options.clone())),
            _ => None,
        }
    }

    fn are_those_of(&self, request: &Message) -> bool {
        match (self, request) {
            (Self::Call(options), Message::Call(call)) => *options == call.options,
            (Self::Publish(options), Message::Publish(publish)) => *options == publish.options,
            (Self::Subscribe(options), Message::Subscribe(subscribe)) => *options == subscribe.options,
            (Self::Register(options), Message::Register(register)) => *options == register.options,
            _ => false,
        }
    }
}

/// What the rules say.
enum Ruling {
    Decided(Decision),
    Ask,
}

impl Router {
    /// A further part of a call: passes it on, or holds it as a request.
    pub(crate) fn receive_part(&mut self, now: Instant, key: PeerKey, part: Call) {
        let Some(session) = self.peers.get_mut(key).and_then(Peer::session_mut) else { return };
        match &mut session.waiting {
            Some(waiting) => waiting.hold(Held::Part(part), &self.config.limits, &mut self.stats),
            None => self.continue_call(now, key, part),
        }
    }

    /// Acts on a request from an open session, its id accepted, or asks.
    pub(crate) fn process(&mut self, now: Instant, key: PeerKey, request: Message) {
        let Some((action, uri, matching)) = action_of(&request) else {
            return self.perform(now, key, request, Decision::DENY);
        };
        if let Err((error, text)) = self.check_target(key, action, uri, matching) {
            return self.answer_refused(key, &request, error, text);
        }
        match self.ruling(now, key, &request) {
            Ruling::Decided(decision) if decision.allow => self.perform(now, key, request, decision),
            Ruling::Decided(_) => {
                self.stats.denied += 1;
                let text = self.denial(key, action, uri);
                self.answer_refused(key, &request, error::NOT_AUTHORIZED, text);
            }
            Ruling::Ask => self.ask_action(now, key, request, None),
        }
    }

    fn ruling(&self, now: Instant, key: PeerKey, request: &Message) -> Ruling {
        let (Some(session), Some((action, uri, matching))) = (self.session(key), action_of(request)) else {
            return Ruling::Decided(Decision::DENY);
        };
        let realm = self.realms.get(session.realm);
        if let Some(permissions) = realm.permissions(session.role) {
            return Ruling::Decided(permissions.decide(action, uri.as_str(), matching));
        }
        if session.role == Role::Trusted {
            return Ruling::Decided(Decision { allow: true, disclose: true });
        }
        let holds = |cached: &&CachedVerdict| {
            now < cached.until && cached.role_changes == realm.role_changes && cached.options.are_those_of(request)
        };
        match session.verdicts.get(&(action, matching, uri.clone())).filter(holds) {
            Some(cached) => Ruling::Decided(cached.decision),
            None => Ruling::Ask,
        }
    }

    /// Asks whether a request may be made, or else whether what it is `about` may.
    fn ask_action(&mut self, now: Instant, key: PeerKey, request: Message, about: Option<Message>) {
        let asked = about.as_ref().unwrap_or(&request);
        let Some((action, uri, matching)) = action_of(asked) else { return };
        let expires = now.after(self.config.limits.authorize_timeout);
        let Some(peer) = self.peers.get_mut(key) else { return };
        let (transport, origin) = (peer.link.transport(), peer.link.origin);
        let Some(session) = peer.session_mut() else { return };
        let role_changes = self.realms.get(session.realm).role_changes;
        let id = self.decisions.insert(Question { peer: key });
        self.outputs.push_back(Output::Authorize(Box::new(ActionRequest {
            id,
            session: session.id,
            identity: session.identity.clone(),
            transport,
            action,
            uri: uri.clone(),
            matching,
            options: request_options(asked),
            origin,
            expires,
        })));
        session.waiting = Some(Box::new(Waiting { decision: id, role_changes, request, about, held: VecDeque::new() }));
        self.set_deadline(key, expires);
    }

    /// Takes the answer to a question about an action, and goes on with what was held behind it.
    pub(crate) fn take_action_verdict(
        &mut self,
        now: Instant,
        id: DecisionId,
        verdict: ActionVerdict,
    ) -> Result<(), StaleDecision> {
        let waits = |key| self.session(key).is_some_and(|s| s.waiting.as_ref().is_some_and(|w| w.decision == id));
        // What is asked may be who somebody is: then the question stays.
        let Some(key) = self.decisions.get(id).map(|question| question.peer).filter(|key| waits(*key)) else {
            self.stats.stale_decisions += 1;
            return Err(StaleDecision);
        };
        self.decisions.remove(id);
        self.resume(now, key, Some(verdict));
        Ok(())
    }

    /// Nobody answered in time: silence is a denial.
    pub(crate) fn action_overdue(&mut self, now: Instant, key: PeerKey) {
        let Some(decision) = self.session(key).and_then(|s| s.waiting.as_ref()).map(|w| w.decision) else { return };
        self.withdraw(decision);
        let message = "the authorizer did not answer in time".to_owned();
        self.resume(now, key, Some(ActionVerdict::Failed { message }));
    }

    /// Goes on behind the request that waited: with a verdict on it, or without it if it was canceled.
    fn resume(&mut self, now: Instant, key: PeerKey, verdict: Option<ActionVerdict>) {
        let wanted_input = self.wants_input(key);
        self.clear_deadline(key);
        let Some(session) = self.peers.get_mut(key).and_then(Peer::session_mut) else { return };
        let Some(waiting) = session.waiting.take() else { return };
        let Waiting { request, about, role_changes, held, .. } = *waiting;
        let roles_changed = role_changes != self.realms.get(session.realm).role_changes;
        match verdict {
            // It was asked for a role that is not what it was: its rules of now decide, or whom they ask.
            Some(_) if roles_changed => self.process(now, key, request),
            Some(verdict) => self.act_on(now, key, request, about, verdict),
            None => {}
        }
        self.process_held(now, key, held);
        if !wanted_input && self.wants_input(key) {
            self.outputs.push_back(Output::InputReady(key));
        }
    }

    /// Acts on requests that were held. One of them may have to wait too, or take long: the others are then held behind it.
    pub(crate) fn process_held(&mut self, now: Instant, key: PeerKey, mut held: VecDeque<Held>) {
        while let Some(next) = held.pop_front() {
            let Some(peer) = self.peers.get_mut(key) else { return };
            if let Some(behind) = &mut peer.busy {
                behind.push_back(next);
                behind.append(&mut held);
                return;
            }
            let Some(session) = peer.session_mut() else { return };
            match (&mut session.waiting, next) {
                (None, Held::Request(request)) => self.process(now, key, request),
                (None, Held::Part(part)) => self.continue_call(now, key, part),
                (Some(waiting), next) => {
                    waiting.held.push_back(next);
                    waiting.held.append(&mut held);
                }
            }
        }
    }

    fn act_on(&mut self, now: Instant, key: PeerKey, request: Message, about: Option<Message>, verdict: ActionVerdict) {
        let asked = about.as_ref().unwrap_or(&request);
        let Some((action, uri, _)) = action_of(asked) else { return };
        let (error, text) = match verdict {
            ActionVerdict::Allow { disclose, cache } => {
                let decision = Decision { allow: true, disclose };
                self.cache_verdict(key, asked, decision, cache.map(|time| now.after(time)));
                return match (request, about) {
                    (Message::Call(call), Some(_)) => self.call_meta(now, key, call, Some(decision)),
                    (request, _) => self.perform(now, key, request, decision),
                };
            }
            ActionVerdict::Deny { cache } => {
                self.cache_verdict(key, asked, Decision::DENY, cache.map(|time| now.after(time)));
                self.stats.denied += 1;
                (error::NOT_AUTHORIZED, self.denial(key, action, uri))
            }
            ActionVerdict::Failed { message } => {
                (error::AUTHORIZATION_FAILED, format!("failed to authorize {} '{uri}': {message}", gerund(action)))
            }
        };
        self.answer_refused(key, &request, error, text);
    }

    fn cache_verdict(&mut self, key: PeerKey, request: &Message, decision: Decision, until: Option<Instant>) {
        let (Some(until), Some(options)) = (until, Options::worth_keeping(request)) else { return };
        let Some((action, uri, matching)) = action_of(request) else { return };
        let Some(session) = self.peers.get_mut(key).and_then(Peer::session_mut) else { return };
        let max = self.config.limits.max_cached_verdicts;
        if max == 0 {
            return;
        }
        if session.verdicts.len() >= max {
            self.stats.verdicts_dropped += session.verdicts.len() as u64;
            // Simpler than an order of eviction, and no less bounded.
            session.verdicts.clear();
        }
        let mut uri = uri.clone();
        uri.detach();
        let role_changes = self.realms.get(session.realm).role_changes;
        session.verdicts.insert((action, matching, uri), CachedVerdict { options, decision, until, role_changes });
    }

    /// CANCEL of a call that waits or is held: it has not been made, and is not going to be. True if there was one.
    pub(crate) fn cancel_held(&mut self, now: Instant, key: PeerKey, cancel: &Cancel) -> bool {
        let is_it = |message: &Message| matches!(message, Message::Call(call) if call.request == cancel.request);
        let wanted_input = self.wants_input(key);
        let Some(session) = self.peers.get_mut(key).and_then(Peer::session_mut) else { return false };
        let Some(waiting) = &mut session.waiting else { return false };
        let (asked, decision) = (is_it(&waiting.request), waiting.decision);
        if !asked {
            let is_held = |held: &Held| matches!(held, Held::Request(request) if is_it(request));
            let Some(index) = waiting.held.iter().position(is_held) else { return false };
            waiting.held.remove(index);
        }
        self.fail(
            key,
            RequestType::Call,
            cancel.request,
            error::CANCELED,
            "the call was canceled by its caller".to_owned(),
        );
        if asked {
            self.withdraw(decision);
            self.resume(now, key, None);
        } else if !wanted_input && self.wants_input(key) {
            self.outputs.push_back(Output::InputReady(key));
        }
        true
    }

    /// Forgets the question that an ended session waits for.
    pub(crate) fn forget_waiting(&mut self, session: &Session) {
        if let Some(waiting) = &session.waiting {
            self.withdraw(waiting.decision);
        }
    }

    /// Forgets a question that has not been answered.
    pub(crate) fn withdraw(&mut self, id: DecisionId) {
        if self.decisions.remove(id).is_some() {
            self.stats.withdrawn_decisions += 1;
            self.outputs.push_back(Output::Withdrawn(id));
        }
    }
}

impl Router {
    /// Whether a URI can be the target of an action at all; otherwise the error and its text.
    pub(crate) fn check_target(
        &self,
        key: PeerKey,
        action: Action,
        uri: &Uri,
        matching: MatchPolicy,
    ) -> Result<(), (Uri, String)> {
        let Some(session) = self.session(key) else { return Ok(()) };
        let rule = self.realms.get(session.realm).uri_rule;
        let (verb, kind) = match action {
            Action::Call => ("call with", "procedure"),
            Action::Register => ("register for", "procedure"),
            Action::Publish => ("publish with", "topic"),
            Action::Subscribe => ("subscribe for", "topic"),
        };
        let limit = self.config.limits.max_uri_length;
        if uri.as_str().len() > limit {
            return Err((error::INVALID_URI, format!("{verb} a {kind} URI of more than {limit} bytes")));
        }
        if let Err(reason) = uri.check(rule, matching) {
            let strict = rule == UriRule::Strict;
            let text = format!("{verb} invalid {kind} URI '{uri}': {reason} (URI strict checking {strict})");
            return Err((error::INVALID_URI, text));
        }
        if matches!(action, Action::Register | Action::Publish) && uri.is_reserved() {
            return Err((error::INVALID_URI, format!("{verb} reserved {kind} URI '{uri}'")));
        }
        Ok(())
    }

    /// The text of a refusal, as Crossbar.io words it.
    pub(crate) fn denial(&self, key: PeerKey, action: Action, uri: &Uri) -> String {
        let Some(session) = self.session(key) else { return String::new() };
        let verb = match action {
            Action::Publish => return format!("session not authorized to publish to topic '{uri}'"),
            Action::Subscribe => return format!("session is not authorized to subscribe to topic '{uri}'"),
            Action::Call => "call",
            Action::Register => "register",
        };
        format!(
            "session (session_id={}, authid=\"{}\", authrole=\"{}\") is not authorized to {verb} procedure \"{uri}\" on realm \"{}\"",
            session.id,
            session.identity.authid,
            session.identity.authrole,
            self.realms.get(session.realm).name,
        )
    }

    /// A request that only another role makes (spec: "Peers and Roles").
    pub(crate) fn refuse_role(&mut self, key: PeerKey, request: &Message, role: &str) {
        self.stats.role_not_announced += 1;
        let text = format!("{} needs the role {role}, which the session did not announce in HELLO", request.name());
        self.answer_refused(key, request, error::FEATURE_NOT_SUPPORTED, text);
    }

    /// Answers a request with an ERROR; without `acknowledge` the publisher is not told (spec: "Publishing and Events").
    fn answer_refused(&mut self, key: PeerKey, request: &Message, error: Uri, text: String) {
        let (kind, request) = match request {
            Message::Call(call) => (RequestType::Call, call.request),
            Message::Register(register) => (RequestType::Register, register.request),
            Message::Subscribe(subscribe) => (RequestType::Subscribe, subscribe.request),
            Message::Publish(publish) if publish.options.acknowledge => (RequestType::Publish, publish.request),
            Message::Unsubscribe(unsubscribe) => (RequestType::Unsubscribe, unsubscribe.request),
            Message::Unregister(unregister) => (RequestType::Unregister, unregister.request),
            _ => return,
        };
        self.fail(key, kind, request, error, text);
    }

    /// Does what was asked for and is allowed.
    fn perform(&mut self, now: Instant, key: PeerKey, request: Message, decision: Decision) {
        match request {
            Message::Call(call) if call.procedure.is_reserved() => self.call_router(now, key, call),
            Message::Call(call) => self.call(now, key, call, decision),
            Message::Publish(publish) => self.publish(now, key, publish, decision),
            Message::Subscribe(subscribe) => self.subscribe(now, key, subscribe),
            Message::Unsubscribe(unsubscribe) => self.unsubscribe(key, &unsubscribe),
            Message::Register(register) => self.register(now, key, register),
            Message::Unregister(unregister) => self.unregister(key, &unregister),
            _ => {}
        }
        self.publish_meta_events();
    }
}

impl Router {
    /// A call to the router itself, which may be made. What it leaves to be published needs a permission of its own.
    fn call_router(&mut self, now: Instant, key: PeerKey, call: Call) {
        let Some(publish) = self.testament_of(key, &call).map(Message::from) else {
            return self.call_meta(now, key, call, None);
        };
        match self.ruling(now, key, &publish) {
            Ruling::Decided(decision) => self.call_meta(now, key, call, Some(decision)),
            Ruling::Ask => self.ask_action(now, key, call.into(), Some(publish)),
        }
    }
}

/// What a request needs permission for; `None` if for nothing.
fn action_of(request: &Message) -> Option<(Action, &Uri, MatchPolicy)> {
    Some(match request {
        Message::Call(call) => (Action::Call, &call.procedure, MatchPolicy::Exact),
        Message::Publish(publish) => (Action::Publish, &publish.topic, MatchPolicy::Exact),
        Message::Subscribe(subscribe) => (Action::Subscribe, &subscribe.topic, subscribe.options.matching),
        Message::Register(register) => (Action::Register, &register.procedure, register.options.matching),
        _ => return None,
    })
}

const fn gerund(action: Action) -> &'static str {
    match action {
        Action::Call => "calling procedure",
        Action::Register => "registering procedure",
        Action::Publish => "publishing to topic",
        Action::Subscribe => "subscribing to topic",
    }
}
