//! Event history: past events of a subscription, for those who ask (spec: "Event History").
//!
//! History is kept for the topics and topic patterns that the realm names. Each of them is a subscription that is there
//! from the start and stays without subscribers, so that its history goes back to before anybody subscribed, and its id
//! can be looked up.
//!
//! Black- and whitelists by authid and role hold for whoever asks. Events with such lists of session ids are not kept:
//! ids say nothing about who asks later. That the publisher is left out of its own event is forgotten for the same
//! reason.

use super::audience::admits_identity;
use super::config::Limits;
use super::publication::Publication;
use super::session::Session;
use super::work;
use crate::codec::{Budget, DecodeError};
use crate::id::{PublicationId, SubscriptionId};
use crate::message::{Audience, EventDetails, Payload};
use crate::time::UnixTime;
use crate::uri::{MatchPolicy, Uri};
use crate::value::{Dict, Value};
use core::ops::Bound;
use std::collections::VecDeque;

/// The past events of a subscription.
#[derive(Debug)]
pub(crate) struct History {
    /// So many events are kept at most.
    limit: usize,
    /// The oldest first.
    events: VecDeque<PastEvent>,
    bytes: usize,
}

#[derive(Debug)]
struct PastEvent {
    /// When it was published, in whole milliseconds: exactly what is told of it.
    time: UnixTime,
    publication: PublicationId,
    topic: Uri,
    details: EventDetails,
    payload: Payload,
    audience: Option<Box<Audience>>,
    bytes: usize,
}

/// From here to there.
pub(crate) type Range<T> = (Bound<T>, Bound<T>);

/// What is asked for. All conditions must hold.
#[derive(Debug)]
pub(crate) struct Query {
    /// Latest first.
    pub(crate) reverse: bool,
    /// So many events at most.
    pub(crate) limit: usize,
    pub(crate) time: [Range<UnixTime>; 2],
    pub(crate) publications: [Range<PublicationId>; 2],
    pub(crate) topic: Option<String>,
}

/// The answer to a [`Query`].
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) events: Vec<Value>,
    /// Whether a limit of the router ended the list before the query's own.
    pub(crate) truncated: bool,
    /// Units of work that it took.
    pub(crate) work: u64,
}

/// A publication in the conditions that is not among the events that the session may receive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownPublication(pub(crate) PublicationId);

/// What an event costs beside its texts and payload, roughly.
const EVENT_BYTES: usize = 240;

impl History {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { limit, events: VecDeque::new(), bytes: 0 }
    }

    /// Keeps a publication at `time`, in the place of the oldest events. Returns how many these are. Events are in the order of
    /// their publication, also where a clock is set back: none is older than the one before.
    pub(crate) fn push(
        &mut self,
        time: UnixTime,
        publication: &Publication,
        matching: MatchPolicy,
        limits: &Limits,
    ) -> u64 {
        let time = self.events.back().map_or(time, |last| time.max(last.time));
        let event = PastEvent::new(time, publication, matching);
        self.bytes += event.bytes;
        self.events.push_back(event);
        let mut dropped = 0;
        while self.events.len() > self.limit || self.bytes > limits.max_history_bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.bytes;
            dropped += 1;
        }
        dropped
    }

    /// The events asked for, as far as the session may receive them.
    pub(crate) fn find(
        &self,
        id: SubscriptionId,
        query: &Query,
        session: &Session,
        limits: &Limits,
    ) -> Result<Found, UnknownPublication> {
        let admitted = |(_, event): &(usize, &PastEvent)| {
            event.audience.as_ref().is_none_or(|audience| admits_identity(audience, session))
        };
        let visible = || self.events.iter().enumerate().filter(admitted);
        let at = |publication| {
            let found = visible().find(|(_, event)| event.publication == publication);
            found.map(|(n, _)| n).ok_or(UnknownPublication(publication))
        };
        let [first, second] = query.publications;
        let ranges = [(try_map(first.0, at)?, try_map(first.1, at)?), (try_map(second.0, at)?, try_map(second.1, at)?)];
        let asked = visible().filter(|(n, event)| {
            ranges.iter().all(|range| contains(*range, *n))
                && query.time.iter().all(|range| contains(*range, event.time))
                && query.topic.as_ref().is_none_or(|topic| event.topic.as_str() == topic)
        });
        let asked = asked.map(|(_, event)| event);
        let mut found =
            if query.reverse { take(id, query, asked.rev(), limits) } else { take(id, query, asked, limits) };
        // To pass an event by is little work, to tell it is as much as a message.
        found.work += self.events.len() as u64 / 8;
        Ok(found)
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// # Panics
    /// When the count is wrong or too large.
    pub(crate) fn check_invariants(&self, limits: &Limits) {
        assert_eq!(self.bytes, self.events.iter().map(|event| event.bytes).sum::<usize>(), "bytes of a history");
        assert!(self.events.len() <= self.limit && self.bytes <= limits.max_history_bytes, "a history is too long");
        assert!(self.events.iter().is_sorted_by_key(|event| event.time), "order of a history");
    }
}

fn take<'a>(id: SubscriptionId, query: &Query, events: impl Iterator<Item = &'a PastEvent>, limits: &Limits) -> Found {
    let mut found = Found::default();
    let mut bytes = 0;
    let weight = limits.max_history_reply_bytes.saturating_mul(DECODED).try_into().unwrap_or(u32::MAX - 1);
    let mut budget = Budget::new(u32::MAX, weight);
    for event in events.take(query.limit) {
        bytes += event.bytes;
        let full = found.events.len() >= limits.max_history_reply || bytes > limits.max_history_reply_bytes;
        if full && !found.events.is_empty() {
            found.truncated = true;
            break;
        }
        found.work += work::MESSAGE + event.bytes as u64 / 64;
        // What is left of the budget is not enough: the event begins the next answer, unless it is too large for any.
        let is_first = found.events.is_empty();
        match event.to_value(id, &mut budget) {
            (event, true) => found.events.push(event),
            (event, false) if is_first => found.events.push(event),
            (_, false) => {
                found.truncated = true;
                break;
            }
        }
    }
    found
}

/// Bytes of memory that the values of an answer may take for each byte that it may have.
const DECODED: usize = 16;

fn try_map<T, U, E>(bound: Bound<T>, map: impl Fn(T) -> Result<U, E>) -> Result<Bound<U>, E> {
    Ok(match bound {
        Bound::Included(value) => Bound::Included(map(value)?),
        Bound::Excluded(value) => Bound::Excluded(map(value)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}

/// Unlike that of ranges it takes any two bounds: an empty range is no error.
fn contains<T: Ord>((from, until): (Bound<T>, Bound<T>), value: T) -> bool {
    let begun = match from {
        Bound::Included(from) => value >= from,
        Bound::Excluded(from) => value > from,
        Bound::Unbounded => true,
    };
    begun
        && match until {
            Bound::Included(until) => value <= until,
            Bound::Excluded(until) => value < until,
            Bound::Unbounded => true,
        }
}

impl PastEvent {
    fn new(time: UnixTime, publication: &Publication, matching: MatchPolicy) -> Self {
        let mut topic = publication.topic.clone();
        topic.detach();
        let mut payload = publication.payload.clone();
        payload.detach();
        let mut details = publication.details(matching);
        details.topic = details.topic.map(|_| topic.clone());
        let options = &publication.options;
        let audience = options.audience.as_deref().map_or(0, Audience::weight);
        let pass_thru = details.pass_thru.as_deref().map_or(0, crate::message::PassThru::weight);
        Self {
            time: UnixTime(time.0 - time.0 % 1_000),
            publication: publication.id,
            bytes: EVENT_BYTES + topic.as_str().len() + payload.weight() + audience + pass_thru,
            topic,
            details,
            payload,
            audience: options.audience.clone(),
        }
    }

    /// The event as it is told. `topic` is Crossbar.io's; the specification has it in the details of patterns alone.
    ///
    /// A payload that not every serializer can carry is left out: it must not keep others from their answer. So is one that
    /// the budget is not enough for, and then the answer is false.
    fn to_value(&self, subscription: SubscriptionId, budget: &mut Budget) -> (Value, bool) {
        let mut event = Dict::from([
            ("timestamp".to_owned(), self.time.to_iso8601().into()),
            ("subscription".to_owned(), subscription.get().into()),
            ("publication".to_owned(), self.publication.get().into()),
            ("topic".to_owned(), self.topic.as_str().into()),
            ("details".to_owned(), details(&self.details).into()),
        ]);
        let values = self.payload.values_with(budget);
        let fits = !matches!(values, Err(DecodeError::OverLimit { .. }));
        if let Ok((args, kwargs)) = values
            && args.iter().all(Value::is_portable)
            && kwargs.iter().all(|(_, value)| value.is_portable())
        {
            event.insert("args".to_owned(), args.into());
            event.insert("kwargs".to_owned(), kwargs.into());
        }
        (event.into(), fits)
    }
}

/// The details of an EVENT as a dictionary.
fn details(details: &EventDetails) -> Dict {
    let mut dict = Dict::new();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            dict.insert(key.to_owned(), value);
        }
    };
    let EventDetails { publisher, topic, trustlevel, retained: _, pass_thru } = details;
    if let Some(publisher) = publisher {
        set("publisher", Some(publisher.session.get().into()));
        set("publisher_authid", publisher.authid.as_deref().map(Value::from));
        set("publisher_authrole", publisher.authrole.as_deref().map(Value::from));
    }
    set("topic", topic.as_ref().map(|topic| topic.as_str().into()));
    set("trustlevel", trustlevel.map(Value::from));
    for (key, text) in pass_thru.iter().flat_map(|pass_thru| pass_thru.entries()) {
        set(key, text.map(Value::from));
    }
    dict
}
