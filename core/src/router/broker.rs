//! Topics, subscribers and events (spec: "Publish and Subscribe").

use super::audience::Filter;
use super::output::{Output, Recipients};
use super::pattern::PatternMap;
use super::peer::Peer;
use super::permission::Decision;
use super::session::{Session, sorted_keys};
use super::{PeerKey, Router};
use crate::arena::Arena;
use crate::hash::Seed;
use crate::id::{PublicationId, SubscriptionId};
use crate::message::{
    Event, EventDetails, Publish, Published, RequestType, Subscribe, Subscribed, Unsubscribe, Unsubscribed,
};
use crate::rng::draw_id;
use crate::uri::{MatchPolicy, Uri, error};
use std::collections::BTreeMap;

/// The subscriptions of a realm.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) subscriptions: Arena<SubscriptionId, Subscription>,
    pub(crate) by_uri: PatternMap<SubscriptionId>,
    /// Numbers subscribers in the order in which they came.
    next_place: u64,
}

/// One topic and match policy, shared by all its subscribers.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) uri: Uri,
    pub(crate) matching: MatchPolicy,
    /// In the order in which they came: events reach them in this order.
    pub(crate) subscribers: BTreeMap<u64, PeerKey>,
}

impl Broker {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self { subscriptions: Arena::new(), by_uri: PatternMap::new(seed), next_place: 0 }
    }

    /// The subscription for a topic, made if nobody has it yet.
    fn subscription(&mut self, mut topic: Uri, matching: MatchPolicy) -> SubscriptionId {
        if let Some(id) = self.by_uri.get(matching, topic.as_str()) {
            return id;
        }
        topic.detach();
        let subscription = Subscription { uri: topic.clone(), matching, subscribers: BTreeMap::new() };
        let id = self.subscriptions.insert(subscription);
        self.by_uri.insert(matching, topic, id);
        id
    }

    fn add(&mut self, id: SubscriptionId, peer: PeerKey) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        if let Some(subscription) = self.subscriptions.get_mut(id) {
            subscription.subscribers.insert(place, peer);
        }
        place
    }

    fn remove(&mut self, id: SubscriptionId, place: u64) {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return };
        subscription.subscribers.remove(&place);
        if subscription.subscribers.is_empty() {
            self.by_uri.remove(subscription.matching, subscription.uri.as_str());
            self.subscriptions.remove(id);
        }
    }
}

impl Router {
    pub(crate) fn subscribe(&mut self, key: PeerKey, subscribe: Subscribe) {
        let Subscribe { request, options, topic } = subscribe;
        let kind = RequestType::Subscribe;
        let Some(session) = self.peers.get(key).and_then(Peer::session) else { return };
        let broker = &mut self.realms.get_mut(session.realm).broker;
        let held = session.subscriptions.len();
        if let Some(id) = broker.by_uri.get(options.matching, topic.as_str())
            && session.subscriptions.contains_key(&id)
        {
            return self.send(key, Subscribed { request, subscription: id });
        }
        if held >= self.config.limits.max_subscriptions_per_session {
            self.stats.limited += 1;
            let text = format!("session holds {held} subscriptions, as many as it may");
            return self.fail(key, kind, request, error::RESOURCE_LIMIT, text);
        }
        let max_shapes = self.config.limits.max_wildcard_shapes;
        if !broker.by_uri.has_room(options.matching, topic.as_str(), max_shapes) {
            self.stats.limited += 1;
            let text = "the realm's subscriptions have as many shapes of such wildcard patterns as they may".to_owned();
            return self.fail(key, kind, request, error::RESOURCE_LIMIT, text);
        }
        let id = broker.subscription(topic, options.matching);
        let place = broker.add(id, key);
        if let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) {
            session.subscriptions.insert(id, place);
        }
        self.send(key, Subscribed { request, subscription: id });
    }

    pub(crate) fn unsubscribe(&mut self, key: PeerKey, unsubscribe: &Unsubscribe) {
        let Unsubscribe { request, subscription } = *unsubscribe;
        let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) else { return };
        let realm = session.realm;
        let Some(place) = session.subscriptions.remove(&subscription) else {
            let text = format!("session does not hold subscription {subscription}");
            return self.fail(key, RequestType::Unsubscribe, request, error::NO_SUCH_SUBSCRIPTION, text);
        };
        self.realms.get_mut(realm).broker.remove(subscription, place);
        self.send(key, Unsubscribed { request: Some(request), revocation: None });
    }

    pub(crate) fn publish(&mut self, key: PeerKey, publish: Publish, decision: Decision) {
        let Publish { request, options, topic, payload } = publish;
        let Some(session) = self.peers.get(key).and_then(Peer::session) else { return };
        let realm = self.realms.get(session.realm);
        let publication = draw_publication_id(&mut *self.rng);
        self.stats.publications += 1;
        if options.acknowledge {
            self.outputs.push_back(Output::Send {
                to: Recipients::One(key),
                message: Published { request, publication }.into(),
            });
        }
        let publisher = (decision.disclose || options.disclose_me).then(|| session.disclosed.clone());
        let filter = Filter::new(key, options.exclude_me.unwrap_or(true), options.audience.as_deref());
        let (peers, outputs, events) = (&self.peers, &mut self.outputs, &mut self.stats.events);
        realm.broker.by_uri.for_each_match(topic.as_str(), |id| {
            let Some(subscription) = realm.broker.subscriptions.get(id) else { return };
            let to = filter.select(peers, &subscription.subscribers);
            if to.is_empty() {
                return;
            }
            *events += to.len() as u64;
            let details = EventDetails {
                publisher: publisher.clone(),
                topic: (subscription.matching != MatchPolicy::Exact).then(|| topic.clone()),
                pass_thru: options.pass_thru.clone(),
                ..EventDetails::default()
            };
            let event = Event { subscription: id, publication, details, payload: payload.clone() };
            let to = match to[..] {
                [peer] => Recipients::One(peer),
                _ => Recipients::Many(to.into_boxed_slice()),
            };
            outputs.push_back(Output::Send { to, message: event.into() });
        });
    }

    /// Takes an ended session off its subscriptions.
    pub(crate) fn leave_broker(&mut self, session: &Session) {
        let broker = &mut self.realms.get_mut(session.realm).broker;
        for id in sorted_keys(&session.subscriptions) {
            if let Some(&place) = session.subscriptions.get(&id) {
                broker.remove(id, place);
            }
        }
    }
}

fn draw_publication_id(rng: &mut dyn rand_core::CryptoRng) -> PublicationId {
    loop {
        if let Some(id) = PublicationId::new(draw_id(rng)) {
            return id;
        }
    }
}
