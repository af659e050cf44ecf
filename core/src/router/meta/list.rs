//! Lists and counts: what looks at many items is made piece by piece (see [`work`](crate::router::work)).
//!
//! A list that takes several pieces is not of one moment: what comes or goes meanwhile may be in it or not. What is
//! there all the time is in it.

use super::{Caller, Farewell};
use crate::arena::{Arena, Key};
use crate::id::{RegistrationId, RequestId, SessionId, SubscriptionId};
use crate::message::{CallResult, Payload, ResultDetails};
use crate::router::realm::{Realm, RealmKey};
use crate::router::session::Session;
use crate::router::subscribers::Place;
use crate::router::work::Job;
use crate::router::{PeerKey, Router};
use crate::time::Instant;
use crate::uri::MatchPolicy;
use crate::value::{Dict, Value};
use core::ops::Bound::{self, Excluded, Unbounded};
use std::collections::BTreeSet;

/// Items looked at before the slice is looked at again.
const PIECE: u64 = 1_024;

/// A call whose answer is a list or a count, and how far it has come.
#[derive(Debug)]
pub(crate) struct Listing {
    caller: PeerKey,
    /// The caller's, whose session may be over when the answer is complete.
    session: SessionId,
    realm: RealmKey,
    pub(super) request: RequestId,
    source: Source,
    kind: Kind,
    /// The ids found, for exact, prefix and wildcard matching; all in the first if that does not matter.
    lists: [Vec<Value>; 3],
    /// The last of them.
    last: u64,
    /// The sessions that are to be ended.
    targets: Vec<(PeerKey, SessionId)>,
    count: u64,
    truncated: bool,
}

/// What is listed, and behind what the next piece begins.
#[derive(Debug)]
pub(super) enum Source {
    /// The sessions of the realm, in the order of their ids.
    Sessions { after: Option<SessionId>, wanted: Wanted },
    /// Those of the realm, in the order of their slots.
    Subscriptions { after: Option<SubscriptionId> },
    /// Those of a session, in the order of their ids.
    SubscriptionsOf { session: SessionId, after: Option<SubscriptionId> },
    /// Those of the realm, in the order of their slots.
    Registrations { after: Option<RegistrationId> },
    /// Those of a session, in the order of their ids.
    RegistrationsOf { session: SessionId, after: Option<RegistrationId> },
    /// In the order in which they came, those with node keys last.
    Subscribers { subscription: SubscriptionId, after: Option<Place> },
    /// In the order in which they came.
    Callees { registration: RegistrationId, after: Option<u64> },
}

/// Which sessions are meant.
#[derive(Debug)]
pub(super) enum Wanted {
    All,
    /// Those with one of these roles.
    Roles(BTreeSet<String>),
    /// All but the caller's own.
    Others,
    /// With this authid, but the caller's own.
    OthersNamed(String),
    /// With this role, but the caller's own.
    OthersWith(String),
}

/// What is made of what was found.
#[derive(Debug)]
pub(super) enum Kind {
    Count,
    List,
    ListByPolicy,
    /// The sessions are ended, when their ids or their number has been told.
    End {
        farewell: Farewell,
        silently: bool,
        ids: bool,
    },
}

/// Sessions that are being ended because somebody called for it.
#[derive(Debug)]
pub(crate) struct Ending {
    caller: PeerKey,
    targets: std::vec::IntoIter<(PeerKey, SessionId)>,
    farewell: Farewell,
    silently: bool,
}

/// An item found.
struct Item {
    matching: MatchPolicy,
    id: u64,
    session: Option<(PeerKey, SessionId)>,
}

impl Item {
    const fn plain(id: u64) -> Self {
        Self { matching: MatchPolicy::Exact, id, session: None }
    }

    const fn matched(matching: MatchPolicy, id: u64) -> Self {
        Self { matching, id, session: None }
    }
}

impl Wanted {
    fn includes(&self, session: &Session, caller: SessionId) -> bool {
        let identity = &session.identity;
        match self {
            Self::All => true,
            Self::Roles(roles) => roles.contains(&identity.authrole),
            Self::Others => session.id != caller,
            Self::OthersNamed(authid) => session.id != caller && identity.authid == *authid,
            Self::OthersWith(authrole) => session.id != caller && identity.authrole == *authrole,
        }
    }
}

impl Ending {
    pub(crate) const fn caller(&self) -> PeerKey {
        self.caller
    }
}

/// Takes `room` items at most; notes behind what the next piece begins. Returns at how many were looked.
fn walk<C: Copy>(
    items: impl Iterator<Item = (C, Option<Item>)>,
    after: &mut Option<C>,
    room: u64,
    found: &mut Vec<Item>,
) -> u64 {
    let mut looked = 0;
    for (at, item) in items.take(room as usize) {
        looked += 1;
        *after = Some(at);
        found.extend(item);
    }
    looked
}

fn behind<T>(after: Option<T>) -> (Bound<T>, Bound<T>) {
    (after.map_or(Unbounded, Excluded), Unbounded)
}

/// What follows a key in the order of the slots; the key may be stale.
fn slots_behind<K: Key, T>(arena: &Arena<K, T>, after: Option<K>) -> impl Iterator<Item = (K, &T)> {
    arena.iter_from(after.map_or(0, |key| key.into_parts().0 as usize + 1))
}

impl Source {
    /// Finds the items of the next piece. Returns at how many were looked: fewer than `room` if these were the last.
    fn next(&mut self, router: &Router, realm: &Realm, caller: SessionId, room: u64, found: &mut Vec<Item>) -> u64 {
        let (broker, dealer) = (&realm.broker, &realm.dealer);
        let session = |id: &SessionId| realm.sessions.get(id).and_then(|&key| router.session(key));
        let member = |key| router.session(key).map(|session| Item::plain(session.id.get()));
        match self {
            Self::Sessions { after, wanted } => {
                let sessions = realm.sessions.range(behind(*after)).map(|(&id, &key)| {
                    let session = router.session(key).filter(|session| wanted.includes(session, caller));
                    (id, session.map(|_| Item { session: Some((key, id)), ..Item::plain(id.get()) }))
                });
                walk(sessions, after, room, found)
            }
            Self::Subscriptions { after } => {
                let all = slots_behind(&broker.subscriptions, *after);
                walk(all.map(|(id, one)| (id, Some(Item::matched(one.matching, id.get())))), after, room, found)
            }
            Self::SubscriptionsOf { session: holder, after } => {
                let from = behind(*after);
                let held = session(holder).into_iter().flat_map(|session| session.subscriptions.range(from));
                let matched =
                    |id: SubscriptionId| broker.subscriptions.get(id).map(|one| Item::matched(one.matching, id.get()));
                walk(held.map(|(&id, _)| (id, matched(id))), after, room, found)
            }
            Self::Registrations { after } => {
                let all = slots_behind(&dealer.registrations, *after);
                walk(all.map(|(id, one)| (id, Some(Item::matched(one.matching, id.get())))), after, room, found)
            }
            Self::RegistrationsOf { session: holder, after } => {
                let from = behind(*after);
                let held = session(holder).into_iter().flat_map(|session| session.registrations.range(from));
                let matched =
                    |id: RegistrationId| dealer.registrations.get(id).map(|one| Item::matched(one.matching, id.get()));
                walk(held.map(|(&id, _)| (id, matched(id))), after, room, found)
            }
            Self::Subscribers { subscription, after } => {
                let (one, from) = (broker.subscriptions.get(*subscription), *after);
                let all = one.into_iter().flat_map(|one| one.subscribers.behind(from));
                walk(all.map(|(place, key)| (place, member(key))), after, room, found)
            }
            Self::Callees { registration, after } => {
                let (one, from) = (dealer.registrations.get(*registration), *after);
                let all = one.into_iter().flat_map(|one| one.callees_behind(from));
                walk(all.map(|callee| (callee.place, member(callee.peer))), after, room, found)
            }
        }
    }
}

impl Listing {
    pub(super) fn new(caller: Caller, source: Source, kind: Kind) -> Self {
        Self {
            caller: caller.key,
            session: caller.session,
            realm: caller.realm,
            request: RequestId::FIRST,
            source,
            kind,
            lists: Default::default(),
            last: 0,
            targets: Vec::new(),
            count: 0,
            truncated: false,
        }
    }

    pub(crate) const fn caller(&self) -> PeerKey {
        self.caller
    }

    /// Takes one item in. False: the list is as long as it may be.
    fn take(&mut self, item: Item, most: usize) -> bool {
        let has_room = self.lists.iter().map(Vec::len).sum::<usize>() < most;
        let listed = match self.kind {
            Kind::Count => false,
            Kind::List | Kind::ListByPolicy if !has_room => {
                self.truncated = true;
                return false;
            }
            Kind::List | Kind::ListByPolicy => true,
            Kind::End { ids, .. } => ids && has_room,
        };
        self.count += 1;
        if let Kind::End { .. } = self.kind {
            self.targets.extend(item.session);
        }
        if listed {
            let [exact, prefix, wildcard] = &mut self.lists;
            let list = match item.matching {
                MatchPolicy::Exact => exact,
                MatchPolicy::Prefix => prefix,
                MatchPolicy::Wildcard => wildcard,
            };
            list.push(Value::from(item.id));
            self.last = item.id;
        }
        true
    }

    /// What is told, and what there is to be done then.
    fn answer(self) -> (Vec<Value>, Dict, Option<Ending>) {
        let Self { caller, kind, lists, targets, count, last, .. } = self;
        let [exact, prefix, wildcard] = lists;
        let mut kwargs = Dict::new();
        if self.truncated {
            kwargs.insert("truncated".to_owned(), Value::Bool(true));
            kwargs.insert("next".to_owned(), last.into());
        }
        let (value, ending) = match kind {
            Kind::Count => (count.into(), None),
            Kind::List => (exact.into(), None),
            Kind::ListByPolicy => {
                let policies = [MatchPolicy::Exact, MatchPolicy::Prefix, MatchPolicy::Wildcard];
                let named = policies.iter().map(|policy| policy.as_str().to_owned());
                let lists = [exact, prefix, wildcard].into_iter().map(Value::from);
                (named.zip(lists).collect::<Dict>().into(), None)
            }
            Kind::End { farewell, silently, ids } => {
                let value = if ids { exact.into() } else { count.into() };
                (value, Some(Ending { caller, targets: targets.into_iter(), farewell, silently }))
            }
        };
        (vec![value], kwargs, ending)
    }
}

impl Router {
    /// Goes on with a list; what is left of it if the slice is used up.
    pub(crate) fn go_on_listing(&mut self, now: Instant, mut listing: Box<Listing>) -> Option<Job> {
        // Whoever is gone needs no answer.
        if self.session(listing.caller).is_none_or(|session| session.id != listing.session) {
            return None;
        }
        let most = self.config.limits.max_list_reply;
        let mut found = Vec::new();
        loop {
            let room = self.work.left().min(PIECE);
            if room == 0 {
                return Some(Job::List(listing));
            }
            let realm = self.realms.get(listing.realm);
            let looked = listing.source.next(self, realm, listing.session, room, &mut found);
            self.work.add(looked);
            if !found.drain(..).all(|item| listing.take(item, most)) || looked < room {
                break;
            }
        }
        self.stats.lists_truncated += u64::from(listing.truncated);
        let (caller, request) = (listing.caller, listing.request);
        let (args, kwargs, ending) = listing.answer();
        let payload = Payload::from_values(args, kwargs);
        self.send(caller, CallResult { request, details: ResultDetails::default(), payload });
        ending.and_then(|ending| self.go_on_ending(now, Box::new(ending)))
    }

    /// Goes on with ending sessions, whether or not who called for it is still there; what is left.
    pub(crate) fn go_on_ending(&mut self, now: Instant, mut ending: Box<Ending>) -> Option<Job> {
        // First they end, so that none of them is told what becomes of the others.
        let mut ended = Vec::new();
        for (key, id) in ending.targets.by_ref() {
            if self.session(key).is_some_and(|session| session.id == id) {
                let Farewell { reason, message } = &ending.farewell;
                let (reason, message, silently) = (reason.clone(), message.as_deref(), ending.silently);
                ended.extend(self.begin_dismissing(now, key, reason, message, silently));
            }
            self.work.add(1);
            if self.work.is_spent() {
                break;
            }
        }
        ended.into_iter().for_each(|leaving| self.take_back(now, leaving));
        (ending.targets.len() > 0).then_some(Job::End(ending))
    }
}
