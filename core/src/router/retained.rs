//! Retained events: the last event of a topic, kept for later subscribers (spec: "Event Retention").
//!
//! A topic has the most recent event that everybody may receive. Beside it are kept events for some only, as long as
//! they can still be the most recent one for somebody: those published to a limited audience, those for one node of a
//! sharded subscription, and, where a publisher is left out of its own event, the one that came before it.
//!
//! Retained events are realm state: they stay when their publisher leaves, until a later event of their topic takes
//! their place. Limits bound them, each by dropping the oldest ones: events of a topic, and events and their bytes of a
//! publisher, of a role and of a realm (see [`shares`](super::shares)). An event that is larger than all bytes together
//! is not retained at all.
//!
//! Topics are kept in the order of their bytes. A prefix is then one range, and a wildcard pattern is answered by
//! jumping from one possible match to the next: what lies under a component that does not match is never visited.

use super::audience::admits;
use super::broker::{Broker, Subscription};
use super::config::Limits;
use super::passthru::needed_by_subscriber;
use super::peer::Peer;
use super::publication::Publication;
use super::realm::{RealmKey, Role};
use super::shares::{Owner, Shares};
use super::{PeerKey, Router};
use crate::id::{PublicationId, SessionId, SubscriptionId};
use crate::message::{Audience, Disclosed, Event, EventDetails, PassThru, Payload};
use crate::uri::{MatchPolicy, Uri};
use core::ops::Bound;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The retained events of a realm.
#[derive(Debug, Default)]
pub(crate) struct Retained {
    topics: BTreeMap<Uri, Topic>,
    /// Whose events they are.
    shares: Shares,
    /// Numbers the events in the order in which they were published.
    next: u64,
    events: usize,
    bytes: usize,
}

/// The events of a topic, the oldest first; never empty.
#[derive(Debug, Default)]
struct Topic {
    events: Vec<RetainedEvent>,
    bytes: usize,
}

/// An event as it was published.
#[derive(Debug)]
pub(crate) struct RetainedEvent {
    /// Its place in the order of publication.
    number: u64,
    pub(crate) publication: PublicationId,
    pub(crate) publisher: Option<Arc<Disclosed>>,
    pub(crate) trustlevel: Option<u64>,
    pub(crate) rkey: Option<String>,
    pub(crate) pass_thru: Option<Box<PassThru>>,
    pub(crate) payload: Payload,
    /// The publisher, if it was left out.
    pub(crate) excluded: Option<SessionId>,
    pub(crate) audience: Option<Box<Audience>>,
    owner: Owner,
    bytes: usize,
}

/// What became of an event that was to be retained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// It was larger than everything that may be retained.
    pub(crate) refused: bool,
    /// So many others were dropped to make room.
    pub(crate) evicted: u64,
    /// So many of these because their publisher, or its role, had more than its share.
    pub(crate) over_share: u64,
}

/// What a look-up found: events with their topics, in the order of publication.
pub(crate) struct Found<'a> {
    pub(crate) events: Vec<(&'a Uri, &'a RetainedEvent)>,
    /// Whether the look-up ended before everything was looked at.
    pub(crate) truncated: bool,
    /// At how many topics it looked.
    pub(crate) looked: u64,
}

/// What a topic costs beside its texts and payloads, roughly.
const TOPIC_BYTES: usize = 160;
/// What an event costs beside its texts and payload, roughly.
const EVENT_BYTES: usize = 160;

impl RetainedEvent {
    fn new(number: u64, publication: &Publication, owner: Owner) -> Self {
        let options = &publication.options;
        let mut payload = publication.payload.clone();
        payload.detach();
        let texts = options.rkey.as_ref().map_or(0, String::len);
        let audience = options.audience.as_deref().map_or(0, Audience::weight);
        let pass_thru = options.pass_thru.as_deref().map_or(0, PassThru::weight);
        Self {
            number,
            publication: publication.id,
            publisher: publication.publisher.clone(),
            trustlevel: publication.trustlevel,
            rkey: options.rkey.clone(),
            pass_thru: options.pass_thru.clone(),
            bytes: EVENT_BYTES + payload.weight() + texts + audience + pass_thru,
            payload,
            excluded: publication.excluded.map(|(_, session)| session),
            audience: options.audience.clone(),
            owner,
        }
    }

    /// What it takes of its publisher's share: what its topic takes is counted for each event.
    fn charge(&self, topic: &Uri) -> usize {
        self.bytes + TOPIC_BYTES + topic.as_str().len()
    }

    /// Whether nobody can receive `old` any more, except the publisher that this event leaves out.
    fn supersedes(&self, old: &Self) -> bool {
        let node = self.rkey.is_none() || self.rkey == old.rkey;
        node && (self.audience.is_none() || self.audience == old.audience)
    }
}

impl Retained {
    /// Retains an event. `admits_publisher` tells whether the publisher, if it is left out, could receive an older one.
    pub(crate) fn insert(
        &mut self,
        publication: &Publication,
        limits: &Limits,
        admits_publisher: impl Fn(&RetainedEvent) -> bool,
    ) -> Kept {
        let mut topic_uri = publication.topic.clone();
        topic_uri.detach();
        let number = self.next;
        self.next += 1;
        let (role, authid) = publication.owner.as_ref().map_or((Role::Trusted, ""), |(role, who)| (*role, &who.authid));
        let owner = self.shares.owner(role, authid);
        let event = RetainedEvent::new(number, publication, owner.clone());
        let mut topic = self.take(topic_uri.as_str());
        // The publisher does not receive this event: for it, the one before stays the most recent.
        let left = publication.excluded.and_then(|_| {
            let receivable = |old: &&RetainedEvent| old.excluded != event.excluded && admits_publisher(old);
            topic.events.iter().rev().find(receivable).map(|old| old.number)
        });
        let shares = &mut self.shares;
        topic.events.retain(|old| {
            let stays = !event.supersedes(old) || Some(old.number) == left;
            if !stays {
                shares.remove(&old.owner, old.number, old.charge(&topic_uri), limits);
            }
            stays
        });
        let mut kept = Kept::default();
        let most = limits.max_retained_bytes_per_publisher.min(limits.max_retained_bytes_per_role);
        if event.charge(&topic_uri) > most.min(limits.max_retained_bytes) {
            kept.refused = true;
        } else {
            shares.add(&owner, number, &topic_uri, event.charge(&topic_uri), limits);
            topic.events.push(event);
        }
        let surplus = topic.events.len().saturating_sub(limits.max_retained_per_topic);
        for old in topic.events.drain(..surplus) {
            shares.remove(&old.owner, old.number, old.charge(&topic_uri), limits);
            kept.evicted += 1;
        }
        self.put(topic_uri, topic);
        self.make_room(&owner, limits, &mut kept);
        kept
    }

    /// Drops events until a publisher, its role and the realm have no more than they may.
    fn make_room(&mut self, owner: &Owner, limits: &Limits, kept: &mut Kept) {
        while let Some((topic, number)) = self.shares.surplus(owner, limits) {
            self.drop_event(topic, number, limits);
            kept.evicted += 1;
            kept.over_share += 1;
        }
        while (self.events > limits.max_retained_events || self.bytes > limits.max_retained_bytes)
            && let Some((topic, number)) = self.shares.oldest_of_largest(limits)
        {
            self.drop_event(topic, number, limits);
            kept.evicted += 1;
        }
    }

    fn drop_event(&mut self, uri: Uri, number: u64, limits: &Limits) {
        let mut topic = self.take(uri.as_str());
        if let Some(index) = topic.events.iter().position(|event| event.number == number) {
            let event = topic.events.remove(index);
            self.shares.remove(&event.owner, number, event.charge(&uri), limits);
        }
        self.put(uri, topic);
    }

    /// Takes a topic out of all tables; a new one if there is none.
    fn take(&mut self, uri: &str) -> Topic {
        let Some(topic) = self.topics.remove(uri) else { return Topic::default() };
        self.events -= topic.events.len();
        self.bytes -= topic.bytes;
        topic
    }

    fn put(&mut self, uri: Uri, mut topic: Topic) {
        if topic.events.is_empty() {
            return;
        }
        topic.bytes = TOPIC_BYTES + uri.as_str().len() + topic.events.iter().map(|event| event.bytes).sum::<usize>();
        self.events += topic.events.len();
        self.bytes += topic.bytes;
        self.topics.insert(uri, topic);
    }

    /// The most recent event of each topic that matches and that `admits` its receiver: at most
    /// [`Limits::max_retained_replies`] and [`Limits::max_retained_reply_bytes`] of them, of the topics that come first
    /// in the order of their bytes.
    pub(crate) fn find(
        &self,
        pattern: &str,
        matching: MatchPolicy,
        limits: &Limits,
        admits: impl Fn(&RetainedEvent) -> bool,
    ) -> Found<'_> {
        let mut search = Search {
            topics: &self.topics,
            steps: limits.max_retained_search,
            looked: 0,
            room: limits.max_retained_replies,
            bytes: limits.max_retained_reply_bytes,
            truncated: false,
            events: Vec::new(),
            admits,
        };
        match matching {
            MatchPolicy::Exact => search.exact(pattern),
            MatchPolicy::Prefix => search.prefix(pattern),
            MatchPolicy::Wildcard => {
                let components: Vec<&str> = pattern.split('.').collect();
                search.wildcard(&mut String::new(), &components);
            }
        }
        let Search { mut events, truncated, looked, .. } = search;
        events.sort_unstable_by_key(|(_, event)| event.number);
        Found { events, truncated, looked }
    }

    pub(crate) const fn events(&self) -> usize {
        self.events
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// # Panics
    /// When the tables do not agree with each other.
    pub(crate) fn check_invariants(&self, limits: &Limits) {
        let (mut events, mut bytes) = (0, 0);
        for (uri, topic) in &self.topics {
            assert!(topic.events.is_sorted_by_key(|event| event.number), "order of retained events");
            assert!(topic.events.len() <= limits.max_retained_per_topic, "retained events of a topic");
            let texts = topic.events.iter().map(|event| event.bytes).sum::<usize>();
            assert_eq!(topic.bytes, TOPIC_BYTES + uri.as_str().len() + texts, "bytes of a retained topic");
            events += topic.events.len();
            bytes += topic.bytes;
        }
        let all = self.topics.iter().flat_map(|(uri, topic)| topic.events.iter().map(move |event| (uri, event)));
        let owned = all.map(|(uri, event)| (event.number, &event.owner, event.charge(uri)));
        self.shares.check_invariants(owned, limits);
        assert_eq!((self.events, self.bytes), (events, bytes), "count and bytes of retained events");
        assert!(events <= limits.max_retained_events && bytes <= limits.max_retained_bytes, "too much is retained");
    }
}

/// A look-up on its way.
struct Search<'a, F> {
    topics: &'a BTreeMap<Uri, Topic>,
    /// So many more topics may be looked at.
    steps: usize,
    looked: u64,
    /// So many more events may be found.
    room: usize,
    /// So many more bytes of them.
    bytes: usize,
    truncated: bool,
    events: Vec<(&'a Uri, &'a RetainedEvent)>,
    admits: F,
}

impl<'a, F: Fn(&RetainedEvent) -> bool> Search<'a, F> {
    fn exact(&mut self, uri: &str) {
        if let Some(entry) = self.topics.get_key_value(uri) {
            self.take(entry);
        }
    }

    fn prefix(&mut self, prefix: &str) {
        let range = self.topics.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        for entry in range.take_while(|(uri, _)| uri.as_str().starts_with(prefix)) {
            if !self.step() {
                return;
            }
            self.take(entry);
        }
    }

    /// Finds the topics that are `known` with components after it that match `pattern`.
    fn wildcard(&mut self, known: &mut String, pattern: &[&str]) {
        let start = known.len();
        let exact = pattern.iter().take_while(|component| !component.is_empty()).count();
        let (literal, rest) = pattern.split_at(exact);
        for (n, component) in literal.iter().enumerate() {
            known.push_str(component);
            if n + 1 < pattern.len() {
                known.push('.');
            }
        }
        match rest.split_first() {
            None => self.exact(known),
            Some((_, rest)) => self.any_component(known, rest),
        }
        known.truncate(start);
    }

    /// Finds the topics that are `known` with any one component after it, and then `rest`.
    fn any_component(&mut self, known: &mut String, rest: &[&str]) {
        let start = known.len();
        let mut from = Bound::Included(known.clone());
        loop {
            let range = (from.as_ref().map(String::as_str), Bound::Unbounded);
            let Some(entry) = self.topics.range::<str, _>(range).next() else { return };
            let Some(after) = entry.0.as_str().strip_prefix(known.as_str()) else { return };
            if !self.step() {
                return;
            }
            let Some((component, _)) = after.split_once('.') else {
                if rest.is_empty() {
                    self.take(entry);
                }
                from = Bound::Excluded(entry.0.as_str().to_owned());
                continue;
            };
            known.push_str(component);
            if !rest.is_empty() {
                known.push('.');
                self.wildcard(known, rest);
                known.pop();
            }
            // Behind everything that goes on with this component: `/` is what follows the dot.
            from = Bound::Included(format!("{known}/"));
            known.truncate(start);
        }
    }

    fn take(&mut self, (uri, topic): (&'a Uri, &'a Topic)) {
        let Some(event) = topic.events.iter().rev().find(|event| (self.admits)(event)) else { return };
        if self.room == 0 || (event.bytes > self.bytes && !self.events.is_empty()) {
            self.truncated = true;
            self.steps = 0;
            return;
        }
        self.room -= 1;
        self.bytes = self.bytes.saturating_sub(event.bytes);
        self.events.push((uri, event));
    }

    fn step(&mut self) -> bool {
        self.looked += 1;
        match self.steps.checked_sub(1) {
            None => self.truncated = true,
            Some(steps) => {
                self.steps = steps;
                return true;
            }
        }
        false
    }
}

impl Router {
    /// Retains a publication for later subscribers, in the place of what it supersedes.
    pub(crate) fn retain(&mut self, realm: RealmKey, publication: &Publication) {
        if publication.options.audience.as_ref().is_some_and(|audience| audience.is_nobody()) {
            return;
        }
        let publisher = publication.excluded.and_then(|(peer, _)| self.peers.get(peer)).and_then(Peer::session);
        let admits_publisher = |old: &RetainedEvent| {
            publisher.is_some_and(|session| old.audience.as_ref().is_none_or(|audience| admits(audience, session)))
        };
        let retained = &mut self.realms.get_mut(realm).broker.retained;
        let kept = retained.insert(publication, &self.config.limits, admits_publisher);
        self.stats.retained_evicted += kept.evicted;
        self.stats.retained_over_share += kept.over_share;
        self.stats.retained_refused += u64::from(kept.refused);
    }

    /// Sends the retained events of a subscription to one that has just subscribed: of each topic the most recent one
    /// that it would have received.
    pub(crate) fn send_retained(&mut self, key: PeerKey, id: SubscriptionId) {
        let Some(session) = self.peers.get(key).and_then(Peer::session) else { return };
        let Some(&place) = session.subscriptions.get(&id) else { return };
        let Broker { subscriptions, retained, .. } = &self.realms.get(session.realm).broker;
        let Some(Subscription { uri, matching, subscribers, .. }) = subscriptions.get(id) else { return };
        let is_there = |peer| self.leaving.is_empty() || self.session(peer).is_some();
        let admitted = |event: &RetainedEvent| {
            event.excluded != Some(session.id)
                && event.audience.as_ref().is_none_or(|audience| admits(audience, session))
                && subscribers.reaches(place, event.rkey.as_deref(), is_there)
                && session.subscriber_has(needed_by_subscriber(event.pass_thru.as_deref(), &event.payload))
        };
        let found = retained.find(uri.as_str(), *matching, &self.config.limits, admitted);
        self.stats.retained_truncated += u64::from(found.truncated);
        let looked = found.looked;
        self.stats.events += found.events.len() as u64;
        let events: Vec<Event> = found
            .events
            .into_iter()
            .map(|(topic, event)| Event {
                subscription: id,
                publication: event.publication,
                details: EventDetails {
                    publisher: event.publisher.clone(),
                    topic: (*matching != MatchPolicy::Exact).then(|| topic.clone()),
                    trustlevel: event.trustlevel,
                    retained: true,
                    pass_thru: event.pass_thru.clone(),
                },
                payload: event.payload.clone(),
            })
            .collect();
        self.work.add(looked);
        for event in events {
            self.send(key, event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::PublishOptions;
    use crate::uri::matches;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn publication(topic: &str, audience: Option<Audience>, excluded: Option<u64>) -> Publication {
        let options = PublishOptions { audience: audience.map(Box::new), ..PublishOptions::default() };
        let session = |n| (crate::arena::Key::from_parts(0, 0), SessionId::new(n).unwrap());
        Publication {
            id: PublicationId::new(1).unwrap(),
            topic: Uri::from(topic.to_owned()),
            payload: Payload::empty(),
            options,
            publisher: None,
            trustlevel: None,
            excluded: excluded.map(session),
            owner: None,
            time: None,
        }
    }

    #[test]
    fn nothing_of_the_frame_is_kept() {
        let frame = Bytes::from(vec![b'x'; 1_000]);
        let mut retained = Retained::default();
        let payload = Payload::opaque(frame.slice(10..20));
        let published = Publication { payload, ..publication("com.x", None, None) };
        retained.insert(&published, &Limits::default(), |_| true);
        drop(published);
        assert!(frame.is_unique());
    }

    /// Who may receive what, in a world of the sessions 1 to 3, which have no names or roles.
    fn admits(event: &RetainedEvent, session: u64) -> bool {
        let session = SessionId::new(session).unwrap();
        let eligible = event.audience.as_ref().and_then(|audience| audience.eligible.as_ref());
        event.excluded != Some(session) && eligible.is_none_or(|list| list.contains(&session))
    }

    proptest! {
        #[test]
        fn finds_what_a_list_finds(
            topics in proptest::collection::vec(
                proptest::collection::vec("[ab-]{1,2}", 1..4).prop_map(|components| components.join(".")),
                0..40,
            ),
            pattern in proptest::collection::vec("[ab-]{0,2}", 1..4).prop_map(|components| components.join(".")),
        ) {
            let (mut retained, limits) = (Retained::default(), Limits::default());
            for topic in &topics {
                retained.insert(&publication(topic, None, None), &limits, |_| true);
            }
            retained.check_invariants(&limits);
            for matching in [MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard] {
                let last = |(n, topic): &(usize, &String)| !topics[n + 1..].contains(topic);
                let expected: Vec<_> = topics
                    .iter()
                    .enumerate()
                    .filter(|entry| matches(&pattern, matching, entry.1) && last(entry))
                    .map(|(_, topic)| topic.as_str())
                    .collect();
                let found = retained.find(&pattern, matching, &limits, |_| true);
                prop_assert!(!found.truncated);
                prop_assert_eq!(found.events.iter().map(|(uri, _)| uri.as_str()).collect::<Vec<_>>(), expected);
            }
        }

        /// Whatever is dropped because it is superseded, everybody finds the event that was the last for it.
        #[test]
        fn keeps_the_last_event_of_everybody(
            published in proptest::collection::vec(
                (1..=3u64, any::<bool>(), proptest::option::of(proptest::collection::btree_set(1..=3u64, 1..3))),
                1..40,
            ),
        ) {
            let (mut retained, limits) = (Retained::default(), Limits::default());
            for (publisher, excluded, eligible) in &published {
                let list = eligible.as_ref().map(|ids| ids.iter().map(|n| SessionId::new(*n).unwrap()).collect());
                let audience = list.map(|list| Audience { eligible: Some(list), ..Audience::default() });
                let published = publication("com.x", audience, excluded.then_some(*publisher));
                retained.insert(&published, &limits, |old| admits(old, *publisher));
            }
            retained.check_invariants(&limits);
            for session in 1..=3 {
                let receives = |(publisher, excluded, eligible): &(u64, bool, Option<std::collections::BTreeSet<u64>>)| {
                    !(*excluded && *publisher == session) && eligible.as_ref().is_none_or(|ids| ids.contains(&session))
                };
                let expected = published.iter().rposition(receives).map(|n| n as u64);
                let found = retained.find("com.x", MatchPolicy::Exact, &limits, |event| admits(event, session));
                prop_assert_eq!(found.events.first().map(|(_, event)| event.number), expected);
            }
        }
    }
}
