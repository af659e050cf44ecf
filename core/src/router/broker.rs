//! Topics and subscribers (spec: "Subscribing and Unsubscribing", "Pattern-based Subscription", "Subscription
//! Revocation").

use super::config::EventHistory;
use super::history::History;
use super::meta::Watched;
use super::pattern::PatternMap;
use super::peer::Peer;
use super::realm::RealmKey;
use super::retained::Retained;
use super::subscribers::Subscribers;
use super::work::ITEM;
use super::{Limits, PeerKey, Router};
use crate::arena::Arena;
use crate::hash::Seed;
use crate::id::{SessionId, SubscriptionId};
use crate::message::{
    Features, RequestType, Revocation, Subscribe, SubscribeOptions, Subscribed, Unsubscribe, Unsubscribed,
};
use crate::time::{Instant, UnixTime};
use crate::uri::{MatchPolicy, Uri, error};

/// The subscriptions of a realm, and its retained events.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) subscriptions: Arena<SubscriptionId, Subscription>,
    pub(crate) by_uri: PatternMap<SubscriptionId>,
    /// The meta events that anybody is subscribed to.
    pub(crate) watched: Watched,
    pub(crate) retained: Retained,
    /// The subscriptions whose history is kept; they are never removed.
    pub(crate) histories: Vec<SubscriptionId>,
    /// Numbers subscribers in the order in which they came.
    next_place: u64,
}

/// One topic and match policy, shared by all its subscribers.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) uri: Uri,
    pub(crate) matching: MatchPolicy,
    pub(crate) created: UnixTime,
    pub(crate) subscribers: Subscribers,
    /// Past events, if they are kept. The subscription is then there without subscribers too.
    pub(crate) history: Option<Box<History>>,
}

impl Broker {
    /// A broker with the subscriptions whose history is kept.
    pub(crate) fn new(histories: Vec<EventHistory>, created: UnixTime, seed: &Seed) -> Self {
        let mut this = Self {
            subscriptions: Arena::new(),
            by_uri: PatternMap::new(seed),
            watched: Watched::default(),
            retained: Retained::default(),
            histories: Vec::new(),
            next_place: 0,
        };
        for EventHistory { uri, matching, limit } in histories {
            let present = this.by_uri.get(matching, uri.as_str());
            let id = present.unwrap_or_else(|| this.create(uri, matching, created));
            if let Some(subscription) = this.subscriptions.get_mut(id) {
                subscription.history = Some(Box::new(History::new(limit)));
            }
            if !this.histories.contains(&id) {
                this.histories.push(id);
            }
        }
        this
    }

    pub(crate) fn histories(&self) -> impl Iterator<Item = &History> {
        self.histories.iter().filter_map(|&id| self.subscriptions.get(id)?.history.as_deref())
    }

    fn create(&mut self, mut topic: Uri, matching: MatchPolicy, created: UnixTime) -> SubscriptionId {
        topic.detach();
        self.watched.add(topic.as_str(), matching);
        let subscription =
            Subscription { uri: topic.clone(), matching, created, subscribers: Subscribers::default(), history: None };
        let id = self.subscriptions.insert(subscription);
        self.by_uri.insert(matching, topic, id);
        id
    }

    /// Puts a subscriber at a new place.
    fn add(&mut self, id: SubscriptionId, peer: PeerKey, node: Option<&str>) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        if let Some(subscription) = self.subscriptions.get_mut(id) {
            subscription.subscribers.insert(place, peer, node);
        }
        place
    }

    /// Takes a subscriber off, and returns whether the subscription was deleted with its last one.
    fn remove(&mut self, id: SubscriptionId, place: u64) -> bool {
        let Some(subscription) = self.subscriptions.get_mut(id) else { return false };
        subscription.subscribers.remove(place);
        let deleted = subscription.subscribers.is_empty() && subscription.history.is_none();
        if deleted {
            let (uri, matching) = (subscription.uri.as_str(), subscription.matching);
            self.watched.remove(uri, matching);
            self.by_uri.remove(matching, uri);
            self.subscriptions.remove(id);
        }
        deleted
    }

    /// Why one more subscriber can not be taken, as a text.
    fn check_room(&self, topic: &Uri, options: &SubscribeOptions, limits: &Limits) -> Result<(), &'static str> {
        if !self.by_uri.has_room(options.matching, topic.as_str(), limits.max_wildcard_shapes) {
            return Err("the realm's subscriptions have as many shapes of such wildcard patterns as they may");
        }
        let Some(nkey) = &options.nkey else { return Ok(()) };
        if nkey.len() > limits.max_uri_length {
            return Err("the nkey is longer than a URI may be");
        }
        let present = self.by_uri.get(options.matching, topic.as_str()).and_then(|id| self.subscriptions.get(id));
        let max_nodes = limits.max_nodes_per_subscription;
        match present {
            Some(subscription) if !subscription.subscribers.has_room(nkey, max_nodes) => {
                Err("the subscription has as many node keys as it may")
            }
            _ => Ok(()),
        }
    }
}

impl Router {
    pub(crate) fn subscribe(&mut self, now: Instant, key: PeerKey, subscribe: Subscribe) {
        let Subscribe { request, options, topic } = subscribe;
        let get_retained = options.get_retained;
        match self.try_subscribe(now, key, topic, &options) {
            Ok(subscription) => {
                self.send(key, Subscribed { request, subscription });
                if get_retained {
                    self.send_retained(key, subscription);
                }
            }
            Err(text) => {
                self.stats.limited += 1;
                self.fail(key, RequestType::Subscribe, request, error::RESOURCE_LIMIT, text);
            }
        }
    }

    /// Adds a session to the subscribers; one that is there already may get another node key.
    fn try_subscribe(
        &mut self,
        now: Instant,
        key: PeerKey,
        topic: Uri,
        options: &SubscribeOptions,
    ) -> Result<SubscriptionId, String> {
        let created = self.wall_clock(now);
        let Some(session) = self.peers.get_mut(key).and_then(Peer::session_mut) else { return Err(String::new()) };
        let limits = &self.config.limits;
        let (realm, session_id) = (session.realm, session.id);
        let broker = &mut self.realms.get_mut(realm).broker;
        let present = broker.by_uri.get(options.matching, topic.as_str());
        let held = present.and_then(|id| session.subscriptions.get(&id).map(|&place| (id, place)));
        if held.is_none() && session.subscriptions.len() >= limits.max_subscriptions_per_session {
            return Err(format!("session holds {} subscriptions, as many as it may", session.subscriptions.len()));
        }
        broker.check_room(&topic, options, limits)?;
        if let Some((id, place)) = held {
            if let Some(subscription) = broker.subscriptions.get_mut(id) {
                subscription.subscribers.remove(place);
                subscription.subscribers.insert(place, key, options.nkey.as_deref());
            }
            return Ok(id);
        }
        let id = present.unwrap_or_else(|| broker.create(topic, options.matching, created));
        let place = broker.add(id, key, options.nkey.as_deref());
        session.subscriptions.insert(id, place);
        self.note_subscribed(realm, session_id, id, present.is_none());
        Ok(id)
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

    /// Takes a subscription back from a session, and tells it if it announced that it understands (spec: "Subscription
    /// Revocation"). False if the session does not hold it.
    pub(crate) fn revoke_subscription(&mut self, key: PeerKey, id: SubscriptionId, reason: Option<Uri>) -> bool {
        if !self.remove_subscriber(key, id) {
            return false;
        }
        self.stats.subscriptions_revoked += 1;
        if self.session(key).is_some_and(|session| session.subscriber_has(Features::SUBSCRIPTION_REVOCATION)) {
            let revocation = Some(Box::new(Revocation { id, reason }));
            self.send(key, Unsubscribed { request: None, revocation });
        }
        true
    }

    /// Takes a session off a subscription at this place.
    pub(crate) fn leave_subscription(&mut self, realm: RealmKey, session: SessionId, id: SubscriptionId, place: u64) {
        let broker = &mut self.realms.get_mut(realm).broker;
        let is_of_router = broker.subscriptions.get(id).is_some_and(|subscription| subscription.uri.is_reserved());
        self.work.add(ITEM);
        let deleted = broker.remove(id, place);
        if !is_of_router {
            self.note_unsubscribed(realm, session, id, deleted);
        }
    }
}
