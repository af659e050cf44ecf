//! Topics, subscribers, events.

use super::Model;
use super::permission::matches;
use crate::driver::{Seen, Slot};
use wampd_core::id::{PublicationId, SubscriptionId};
use wampd_core::message::{
    Audience, Event, EventDetails, Message, Publish, PublishOptions, Published, RequestType, Subscribe, Subscribed,
    Unsubscribe, Unsubscribed,
};
use wampd_core::uri::{MatchPolicy, Uri, error};

/// A topic or pattern, and who wants to hear of it.
#[derive(Debug)]
pub(super) struct Subscription {
    id: SubscriptionId,
    uri: Uri,
    matching: MatchPolicy,
    subscribers: Vec<Slot>,
}

impl Model {
    pub(super) fn subscribe(&mut self, slot: Slot, subscribe: &Subscribe, seen: &[Seen]) {
        let Subscribe { request, options, topic } = subscribe;
        assert!(!options.get_retained && options.nkey.is_none(), "not modelled: {options:?}");
        let present = self.subscriptions.iter_mut().find(|s| (&s.uri, s.matching) == (topic, options.matching));
        let id = match present {
            Some(subscription) => {
                if !subscription.subscribers.contains(&slot) {
                    subscription.subscribers.push(slot);
                }
                subscription.id
            }
            None => {
                let given = |seen: &Seen| match seen {
                    Seen::Told(whom, Message::Subscribed(m)) if (*whom, m.request) == (slot, *request) => {
                        Some(m.subscription)
                    }
                    _ => None,
                };
                let id = seen.iter().find_map(given).unwrap_or_else(|| panic!("{slot} is not told SUBSCRIBED"));
                assert!(self.subscriptions.iter().all(|s| s.id != id), "{id:?} is another subscription");
                let (uri, matching) = (topic.clone(), options.matching);
                self.subscriptions.push(Subscription { id, uri, matching, subscribers: vec![slot] });
                id
            }
        };
        self.tell(slot, Subscribed { request: *request, subscription: id });
    }

    pub(super) fn unsubscribe(&mut self, slot: Slot, unsubscribe: &Unsubscribe) {
        let Unsubscribe { request, subscription } = *unsubscribe;
        let held = self.subscriptions.iter_mut().find(|s| s.id == subscription && s.subscribers.contains(&slot));
        let Some(held) = held else {
            return self.fail(slot, RequestType::Unsubscribe, request, error::NO_SUCH_SUBSCRIPTION);
        };
        held.subscribers.retain(|subscriber| *subscriber != slot);
        self.subscriptions.retain(|subscription| !subscription.subscribers.is_empty());
        self.tell(slot, Unsubscribed { request: Some(request), revocation: None });
    }

    pub(super) fn leave_subscriptions(&mut self, slot: Slot) {
        for subscription in &mut self.subscriptions {
            subscription.subscribers.retain(|subscriber| *subscriber != slot);
        }
        self.subscriptions.retain(|subscription| !subscription.subscribers.is_empty());
    }

    pub(super) fn publish(&mut self, slot: Slot, publish: &Publish, disclose: bool, seen: &[Seen]) {
        let Publish { request, options, topic, payload } = publish;
        assert!(!options.retain && options.rkey.is_none() && options.pass_thru.is_none(), "not modelled: {options:?}");
        let session = &self.sessions[&slot];
        let publisher = (disclose || options.disclose_me).then(|| session.disclosed.clone());
        let trustlevel = session.trustlevel();
        let mut events = Vec::new();
        for subscription in &self.subscriptions {
            if !matches(subscription.uri.as_str(), subscription.matching, topic.as_str()) {
                continue;
            }
            let pattern = subscription.matching != MatchPolicy::Exact;
            let details = EventDetails {
                publisher: publisher.clone(),
                topic: pattern.then(|| topic.clone()),
                trustlevel,
                ..EventDetails::default()
            };
            for receiver in subscription.subscribers.iter().filter(|whom| self.receives(**whom, slot, options)) {
                events.push((*receiver, subscription.id, details.clone()));
            }
        }
        let id = publication(slot, publish, seen);
        if options.acknowledge {
            self.tell(slot, Published { request: *request, publication: id.expect("told PUBLISHED") });
        }
        for (receiver, subscription, details) in events {
            let publication = id.unwrap_or_else(|| panic!("{receiver} is told no event"));
            self.tell(receiver, Event { subscription, publication, details, payload: payload.clone() });
        }
    }

    fn receives(&self, receiver: Slot, publisher: Slot, options: &PublishOptions) -> bool {
        if receiver == publisher && options.exclude_me != Some(false) {
            return false;
        }
        let Some(audience) = &options.audience else { return true };
        let Audience { exclude, exclude_authid, exclude_authrole, eligible, eligible_authid, eligible_authrole } =
            &**audience;
        let told = &self.sessions[&receiver].disclosed;
        let (id, authid, authrole) = (&told.session, told.authid.as_ref(), told.authrole.as_ref());
        let is_in = |list: &[String], name: Option<&String>| name.is_some_and(|name| list.contains(name));
        let excluded = exclude.contains(id) || is_in(exclude_authid, authid) || is_in(exclude_authrole, authrole);
        !excluded
            && eligible.as_ref().is_none_or(|list| list.contains(id))
            && eligible_authid.as_ref().is_none_or(|list| is_in(list, authid))
            && eligible_authrole.as_ref().is_none_or(|list| is_in(list, authrole))
    }
}

/// The id that a publication got, if anybody was told.
fn publication(slot: Slot, publish: &Publish, seen: &[Seen]) -> Option<PublicationId> {
    seen.iter().find_map(|seen| match seen {
        Seen::Told(whom, Message::Published(m)) if (*whom, m.request) == (slot, publish.request) => Some(m.publication),
        Seen::Told(_, Message::Event(event)) if event.payload == publish.payload => Some(event.publication),
        _ => None,
    })
}
