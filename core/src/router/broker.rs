//! Topics, subscribers and events (spec: "Publish and Subscribe").

use super::audience::Filter;
use super::meta::Watched;
use super::output::{Output, Recipients};
use super::pattern::PatternMap;
use super::peer::Peer;
use super::permission::Decision;
use super::realm::RealmKey;
use super::session::{Session, sorted_keys};
use super::{PeerKey, Router};
use crate::arena::Arena;
use crate::hash::Seed;
use crate::id::{PublicationId, SessionId, SubscriptionId};
use crate::message::{
    Event, EventDetails, Publish, Published, RequestType, Subscribe, Subscribed, Unsubscribe, Unsubscribed,
};
use crate::rng::draw_id;
use crate::time::{Instant, UnixTime};
use crate::uri::{MatchPolicy, Uri, error};
use std::collections::BTreeMap;

/// The subscriptions of a realm.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) subscriptions: Arena<SubscriptionId, Subscription>,
    pub(crate) by_uri: PatternMap<SubscriptionId>,
    /// The meta events that anybody is subscribed to.
    pub(crate) watched: Watched,
    /// Numbers subscribers in the order in which they came.
    next_place: u64,
}

/// One topic and match policy, shared by all its subscribers.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) uri: Uri,
    pub(crate) matching: MatchPolicy,
    pub(crate) created: UnixTime,
    /// In the order in which they came: events reach them in this order.
    pub(crate) subscribers: BTreeMap<u64, PeerKey>,
}

impl Broker {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self { subscriptions: Arena::new(), by_uri: PatternMap::new(seed), watched: Watched::default(), next_place: 0 }
    }

    fn create(&mut self, mut topic: Uri, matching: MatchPolicy, created: UnixTime) -> SubscriptionId {
        topic.detach();
        self.watched.add(topic.as_str(), matching);
        let subscription = Subscription { uri: topic.clone(), matching, created, subscribers: BTreeMap::new() };
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

    /// Takes a subscriber off, and returns whether the subscription was deleted with its last one.
    fn remove(&mut self, id: SubscriptionId, place: u64) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return false };
        subscription.subscribers.remove(&place);
        let deleted = subscription.subscribers.is_empty();
        if deleted {
            let (uri, matching) = (subscription.uri.as_str(), subscription.matching);
            self.watched.remove(uri, matching);
            self.by_uri.remove(matching, uri);
            self.subscriptions.remove(id);
        }
        deleted
    }
}

impl Router {
    pub(crate) fn subscribe(&mut self, now: Instant, key: PeerKey, subscribe: Subscribe) {
        let Subscribe { request, options, topic } = subscribe;
        let kind = RequestType::Subscribe;
        let created = self.wall_clock(now);
        let Some(session) = self.peers.get(key).and_then(Peer::session) else { return };
        let (realm, session_id) = (session.realm, session.id);
        let broker = &mut self.realms.get_mut(realm).broker;
        let held = session.subscriptions.len();
        let present = broker.by_uri.get(options.matching, topic.as_str());
        if let Some(id) = present
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
        let id = present.unwrap_or_else(|| broker.create(topic, options.matching, created));
        let place = broker.add(id, key);
        if let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) {
            session.subscriptions.insert(id, place);
        }
        self.send(key, Subscribed { request, subscription: id });
        self.note_subscribed(realm, session_id, id, present.is_none());
    }

    pub(crate) fn unsubscribe(&mut self, key: PeerKey, unsubscribe: &Unsubscribe) {
        let Unsubscribe { request, subscription } = *unsubscribe;
        if self.remove_subscriber(key, subscription) {
            self.send(key, Unsubscribed { request: Some(request), revocation: None });
        } else {
            let text = format!("session does not hold subscription {subscription}");
            self.fail(key, RequestType::Unsubscribe, request, error::NO_SUCH_SUBSCRIPTION, text);
        }
    }

    /// Takes a session off a subscription. False if it does not hold it.
    pub(crate) fn remove_subscriber(&mut self, key: PeerKey, id: SubscriptionId) -> bool {
        let Some(session) = self.peers.get_mut(key).and_then(|peer| peer.session_mut()) else { return false };
        let (realm, session_id) = (session.realm, session.id);
        let Some(place) = session.subscriptions.remove(&id) else { return false };
        self.leave_subscription(realm, session_id, id, place);
        true
    }

    fn leave_subscription(&mut self, realm: RealmKey, session: SessionId, id: SubscriptionId, place: u64) {
        let broker = &mut self.realms.get_mut(realm).broker;
        let is_of_router = broker.subscriptions.get(id).is_some_and(|subscription| subscription.uri.is_reserved());
        let deleted = broker.remove(id, place);
        if !is_of_router {
            self.note_unsubscribed(realm, session, id, deleted);
        }
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
        for id in sorted_keys(&session.subscriptions) {
            if let Some(&place) = session.subscriptions.get(&id) {
                self.leave_subscription(session.realm, session.id, id, place);
            }
        }
    }
}

pub(crate) fn draw_publication_id(rng: &mut dyn rand_core::CryptoRng) -> PublicationId {
    loop {
        if let Some(id) = PublicationId::new(draw_id(rng)) {
            return id;
        }
    }
}
