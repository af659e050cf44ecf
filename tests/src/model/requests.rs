//! Requests: their ids, whether they are allowed, and those that wait until somebody says so.

use super::permission::{Ruling, is_valid, ruling};
use super::{Model, Session};
use crate::driver::{Seen, Slot};
use core::time::Duration;
use std::collections::VecDeque;
use wampd_core::id::RequestId;
use wampd_core::message::{Cancel, Message, RequestType};
use wampd_core::router::{Action, ActionVerdict, DecisionId, Limits};
use wampd_core::time::Instant;
use wampd_core::uri::{MatchPolicy, Uri, error};

/// A request that waits for a verdict, and those that came after it.
#[derive(Debug)]
pub(super) struct Waiting {
    id: DecisionId,
    request: Message,
    held: VecDeque<Message>,
    pub(super) deadline: Instant,
}

/// What a request asks for.
struct Target<'a> {
    action: Action,
    uri: &'a Uri,
    matching: MatchPolicy,
}

fn target(request: &Message) -> Option<Target<'_>> {
    let (action, uri, matching) = match request {
        Message::Call(m) => (Action::Call, &m.procedure, MatchPolicy::Exact),
        Message::Publish(m) => (Action::Publish, &m.topic, MatchPolicy::Exact),
        Message::Subscribe(m) => (Action::Subscribe, &m.topic, m.options.matching),
        Message::Register(m) => (Action::Register, &m.procedure, m.options.matching),
        _ => return None,
    };
    Some(Target { action, uri, matching })
}

fn id_of(request: &Message) -> RequestId {
    match request {
        Message::Call(m) => m.request,
        Message::Publish(m) => m.request,
        Message::Subscribe(m) => m.request,
        Message::Unsubscribe(m) => m.request,
        Message::Register(m) => m.request,
        Message::Unregister(m) => m.request,
        other => panic!("no request: {other:?}"),
    }
}

fn is_call(message: &Message, request: RequestId) -> bool {
    matches!(message, Message::Call(call) if call.request == request)
}

impl Session {
    pub(super) fn is_heard(&self) -> bool {
        self.waiting.as_ref().is_none_or(|waiting| waiting.held.len() < Limits::default().max_held_requests)
    }
}

impl Model {
    pub(super) fn request(&mut self, slot: Slot, request: &Message, seen: &[Seen]) {
        let id = id_of(request);
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        let waits = session
            .waiting
            .as_ref()
            .is_some_and(|waiting| is_call(&waiting.request, id) || waiting.held.iter().any(|held| is_call(held, id)));
        let in_use = waits || self.calls.iter().any(|call| call.key() == (slot, id));
        let in_sequence = id == session.next_request;
        if (matches!(request, Message::Call(_)) && in_use) || (self.strict && !in_sequence) {
            return self.violate(slot, seen);
        }
        session.next_request = id.next();
        match &mut session.waiting {
            Some(waiting) => waiting.held.push_back(request.clone()),
            None => self.process(slot, request, seen),
        }
    }

    fn process(&mut self, slot: Slot, request: &Message, seen: &[Seen]) {
        let Some(Target { action, uri, matching }) = target(request) else {
            return self.perform(slot, request, false, seen);
        };
        if !is_valid(action, uri.as_str(), matching) {
            return self.refuse(slot, request, error::INVALID_URI);
        }
        match ruling(&self.sessions[&slot].authrole, action, uri.as_str()) {
            Ruling::Allow => self.perform(slot, request, false, seen),
            Ruling::Deny => self.refuse(slot, request, error::NOT_AUTHORIZED),
            Ruling::Ask => {
                let id = self.asked_about(slot, &Target { action, uri, matching }, seen);
                let deadline = self.now.after(Limits::default().authorize_timeout);
                let waiting = Waiting { id, request: request.clone(), held: VecDeque::new(), deadline };
                if let Some(session) = self.sessions.get_mut(&slot) {
                    session.waiting = Some(waiting);
                }
            }
        }
    }

    /// The question that must have been asked. Questions of one input have different deadlines or different sessions.
    fn asked_about(&self, slot: Slot, target: &Target<'_>, seen: &[Seen]) -> DecisionId {
        let expires = self.now.after(Duration::from_secs(15));
        let session = self.session_id(slot);
        let asked = seen.iter().find_map(|seen| match seen {
            Seen::AskedAction(question) if question.session == session && question.expires == expires => Some(question),
            _ => None,
        });
        let asked = asked.unwrap_or_else(|| panic!("nobody was asked about {:?} of {slot}", target.uri));
        assert_eq!((asked.action, &asked.uri, asked.matching), (target.action, target.uri, target.matching));
        asked.id
    }

    fn refuse(&mut self, slot: Slot, request: &Message, error: Uri) {
        let kind = match request {
            Message::Call(_) => RequestType::Call,
            Message::Register(_) => RequestType::Register,
            Message::Subscribe(_) => RequestType::Subscribe,
            Message::Publish(publish) if publish.options.acknowledge => RequestType::Publish,
            _ => return,
        };
        self.fail(slot, kind, id_of(request), error);
    }

    fn perform(&mut self, slot: Slot, request: &Message, disclose: bool, seen: &[Seen]) {
        match request {
            Message::Call(call) => self.call(slot, call, disclose, seen),
            Message::Publish(publish) => self.publish(slot, publish, disclose, seen),
            Message::Subscribe(subscribe) => self.subscribe(slot, subscribe, seen),
            Message::Unsubscribe(unsubscribe) => self.unsubscribe(slot, unsubscribe),
            Message::Register(register) => self.register(slot, register, seen),
            Message::Unregister(unregister) => self.unregister(slot, unregister, seen),
            other => panic!("no request: {other:?}"),
        }
    }

    pub(super) fn decide(&mut self, id: DecisionId, verdict: &ActionVerdict, seen: &[Seen]) {
        let is_asked = |session: &Session| session.waiting.as_ref().is_some_and(|waiting| waiting.id == id);
        if let Some(slot) = self.sessions.iter().find(|(_, session)| is_asked(session)).map(|(slot, _)| *slot) {
            self.resume(slot, Some(verdict), seen);
        }
    }

    /// Silence is a denial.
    pub(super) fn silence(&mut self, slot: Slot, seen: &[Seen]) {
        self.resume(slot, Some(&ActionVerdict::Failed { message: String::new() }), seen);
    }

    /// Goes on behind the request that waited; without a verdict it was canceled.
    fn resume(&mut self, slot: Slot, verdict: Option<&ActionVerdict>, seen: &[Seen]) {
        let waiting = self.sessions.get_mut(&slot).and_then(|session| session.waiting.take());
        let Some(Waiting { request, mut held, .. }) = waiting else { return };
        match verdict {
            Some(ActionVerdict::Allow { disclose, cache: None }) => self.perform(slot, &request, *disclose, seen),
            Some(ActionVerdict::Deny { cache: None }) => self.refuse(slot, &request, error::NOT_AUTHORIZED),
            Some(ActionVerdict::Failed { .. }) => self.refuse(slot, &request, error::AUTHORIZATION_FAILED),
            Some(other) => panic!("not modelled: {other:?}"),
            None => {}
        }
        while let Some(next) = held.pop_front() {
            self.process(slot, &next, seen);
            let Some(session) = self.sessions.get_mut(&slot) else { return };
            if let Some(waiting) = &mut session.waiting {
                return waiting.held = held;
            }
        }
    }

    pub(super) fn cancel(&mut self, slot: Slot, cancel: &Cancel, seen: &[Seen]) {
        let Some(session) = self.sessions.get_mut(&slot) else { return };
        if let Some(waiting) = &mut session.waiting {
            let before = waiting.held.len();
            waiting.held.retain(|held| !is_call(held, cancel.request));
            let asked = is_call(&waiting.request, cancel.request);
            if asked || waiting.held.len() < before {
                self.fail(slot, RequestType::Call, cancel.request, error::CANCELED);
                if asked {
                    self.resume(slot, None, seen);
                }
                return;
            }
        }
        self.cancel_call((slot, cancel.request), cancel.options.mode, seen);
    }
}
