//! From a publication to the events that subscribers receive (spec: "Publishing and Events").

use super::audience::{self, Filter};
use super::broker::Broker;
use super::output::{Identity, Output, Recipients};
use super::passthru::needed_by_subscriber;
use super::peer::Peer;
use super::permission::Decision;
use super::realm::{RealmKey, Role};
use super::timers::TimerKey;
use super::{PeerKey, Router, work};
use crate::id::{PublicationId, SessionId, SubscriptionId};
use crate::message::{
    Audience, Disclosed, Event, EventDetails, Payload, Publish, PublishOptions, Published, RequestType,
};
use crate::rng::draw_id;
use crate::time::{Instant, UnixTime};
use crate::uri::{MatchPolicy, Uri, error};
use std::sync::Arc;

/// An event that its publisher may publish.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) id: PublicationId,
    pub(crate) topic: Uri,
    pub(crate) payload: Payload,
    pub(crate) options: PublishOptions,
    /// Who published, if it is disclosed.
    pub(crate) publisher: Option<Arc<Disclosed>>,
    pub(crate) trustlevel: Option<u64>,
    /// The publisher, if it is left out.
    pub(crate) excluded: Option<(PeerKey, SessionId)>,
    /// Who retains it, if it is to be retained.
    pub(crate) owner: Option<(Role, Arc<Identity>)>,
    /// When it is published; `None` for what is not to be kept in the history.
    pub(crate) time: Option<UnixTime>,
}

impl Publication {
    /// One of the router's own, for everybody.
    pub(crate) fn of_router(id: PublicationId, topic: Uri, payload: Payload) -> Self {
        let options = PublishOptions::default();
        let (publisher, trustlevel, excluded, owner, time) = (None, None, None, None, None);
        Self { id, topic, payload, options, publisher, trustlevel, excluded, owner, time }
    }

    /// The details of its EVENT for a subscription.
    pub(crate) fn details(&self, matching: MatchPolicy) -> EventDetails {
        EventDetails {
            publisher: self.publisher.clone(),
            topic: (matching != MatchPolicy::Exact).then(|| self.topic.clone()),
            trustlevel: self.trustlevel,
            retained: false,
            pass_thru: self.options.pass_thru.clone(),
        }
    }

    fn event(&self, subscription: SubscriptionId, matching: MatchPolicy) -> Event {
        let details = self.details(matching);
        Event { subscription, publication: self.id, details, payload: self.payload.clone() }
    }
}

impl Router {
    pub(crate) fn publish(&mut self, now: Instant, key: PeerKey, publish: Publish, decision: Decision) {
        let Publish { request, mut options, topic, payload } = publish;
        let Some(session) = self.peers.get(key).and_then(Peer::session) else { return };
        let publisher = match self.disclosure(session, decision, options.disclose_me) {
            Ok(publisher) => publisher,
            Err((error, text)) if options.acknowledge => {
                return self.fail(key, RequestType::Publish, request, error, text);
            }
            Err(_) => return,
        };
        let (realm, trustlevel) = (session.realm, session.trustlevel);
        if let Err(text) = self.check_audience(&options) {
            self.stats.limited += 1;
            if options.acknowledge {
                self.fail(key, RequestType::Publish, request, error::RESOURCE_LIMIT, text);
            }
            return;
        }
        let excluded = options.exclude_me.unwrap_or(true).then_some((key, session.id));
        let owner = options.retain.then(|| (session.role, session.identity.clone()));
        let id = self.draw_publication_id();
        self.stats.publications += 1;
        if options.acknowledge {
            self.send(key, Published { request, publication: id });
        }
        if let Some(audience) = &mut options.audience {
            audience::sort(audience);
        }
        let time = Some(self.wall_clock(now));
        let publication = Publication { id, topic, payload, options, publisher, trustlevel, excluded, owner, time };
        let congested = self.disseminate(realm, &publication);
        if let (true, Some(time)) = (congested, self.realms.get(realm).throttle_publishers) {
            self.throttle_publisher(now.after(time), key);
        }
    }

    /// Whether a publication names no more receivers than it may; otherwise why not, as a text.
    pub(crate) fn check_audience(&self, options: &PublishOptions) -> Result<(), String> {
        let (count, limit) = (options.audience.as_deref().map_or(0, Audience::len), self.config.limits.max_audience);
        if count <= limit {
            return Ok(());
        }
        Err(format!("{count} receivers are excluded or admitted by name: limit max_audience ({limit}) exceeded"))
    }

    /// A subscriber does not read as fast as the peer publishes: it is not read from for a while.
    fn throttle_publisher(&mut self, until: Instant, key: PeerKey) {
        let Some(peer) = self.peers.get_mut(key).filter(|peer| peer.throttled.is_none()) else { return };
        peer.throttled = Some(until);
        self.timers.set(until, TimerKey::Publisher(key));
        self.stats.publishers_throttled += 1;
    }

    /// A publisher has waited long enough.
    pub(crate) fn release_publisher(&mut self, key: PeerKey) {
        if let Some(peer) = self.peers.get_mut(key) {
            peer.throttled = None;
            if self.wants_input(key) {
                self.outputs.push_back(Output::InputReady(key));
            }
        }
    }

    /// Sends a publication to its subscribers, and keeps it where it is to be kept. Returns whether one of the subscribers is
    /// congested, if the realm makes publishers wait for that.
    pub(crate) fn disseminate(&mut self, realm: RealmKey, publication: &Publication) -> bool {
        let options = &publication.options;
        let filter = Filter {
            peers: &self.peers,
            sessions: &self.sessions,
            excluded: publication.excluded.map(|(peer, _)| peer),
            audience: options.audience.as_deref(),
            needed: needed_by_subscriber(options.pass_thru.as_deref(), &publication.payload),
            some_gone: !self.leaving.is_empty(),
        };
        let (outputs, stats, limits, work) = (&mut self.outputs, &mut self.stats, &self.config.limits, &self.work);
        let kept_at = publication.time.filter(|_| !options.audience.as_ref().is_some_and(|a| a.names_sessions()));
        let realm_entry = self.realms.get_mut(realm);
        let (throttles, mut congested) = (realm_entry.throttle_publishers.is_some(), false);
        let Broker { subscriptions, by_uri, .. } = &mut realm_entry.broker;
        work.add(by_uri.cost(publication.topic.as_str()));
        by_uri.for_each_match(publication.topic.as_str(), |id| {
            let Some(subscription) = subscriptions.get_mut(id) else { return };
            if let (Some(history), Some(time)) = (&mut subscription.history, kept_at) {
                stats.history_dropped += history.push(time, publication, subscription.matching, limits);
            }
            let to = subscription.subscribers.select(&filter, id, options.rkey.as_deref());
            work.add(filter.cost(subscription.subscribers.len()) + to.len() as u64);
            if to.is_empty() {
                return;
            }
            stats.events += to.len() as u64;
            work.add(work::MESSAGE);
            let is_congested = |&peer: &PeerKey| filter.peers.get(peer).is_some_and(|peer| peer.is_congested());
            congested |= throttles && to.iter().any(is_congested);
            let to = match to[..] {
                [peer] => Recipients::One(peer),
                _ => Recipients::Many(to.into_boxed_slice()),
            };
            let event = publication.event(id, subscription.matching);
            outputs.push_back(Output::Send { to, message: event.into() });
        });
        if options.retain {
            self.retain(realm, publication);
        }
        congested
    }

    pub(crate) fn draw_publication_id(&mut self) -> PublicationId {
        loop {
            if let Some(id) = PublicationId::new(draw_id(&mut *self.rng)) {
                return id;
            }
        }
    }
}
