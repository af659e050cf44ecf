//! Who of a subscription's subscribers receives an event
//! (spec: "Publisher Exclusion", "Subscriber Black- and Whitelisting").

use super::PeerKey;
use super::peer::Peer;
use super::session::Session;
use crate::arena::Arena;
use crate::hash::HashMap;
use crate::id::{SessionId, SubscriptionId};
use crate::message::{Audience, Features};

/// The receivers that a publication admits, among the sessions of the router.
pub(crate) struct Filter<'a> {
    pub(crate) peers: &'a Arena<PeerKey, Peer>,
    pub(crate) sessions: &'a HashMap<SessionId, PeerKey>,
    /// The publisher, if it is left out.
    pub(crate) excluded: Option<PeerKey>,
    /// Its lists are sorted: see [`sort`].
    pub(crate) audience: Option<&'a Audience>,
    /// What a subscriber must have announced to understand the event.
    pub(crate) needed: Features,
    /// Some of the candidates may have no session any more: they are passed over.
    pub(crate) some_gone: bool,
}

impl Filter<'_> {
    /// Whether everybody but the publisher is admitted.
    fn admits_all(&self) -> bool {
        self.audience.is_none() && self.needed == Features::NONE && !self.some_gone
    }

    /// Whether a candidate has a session.
    pub(crate) fn is_there(&self, peer: PeerKey) -> bool {
        !self.some_gone || self.peers.get(peer).and_then(Peer::session).is_some()
    }

    /// Appends those of the candidates that are admitted, in the order given.
    pub(crate) fn select_into(&self, selected: &mut Vec<PeerKey>, candidates: impl Iterator<Item = PeerKey>) {
        let candidates = candidates.filter(|&peer| Some(peer) != self.excluded);
        if self.admits_all() {
            return selected.extend(candidates);
        }
        let session = |peer| self.peers.get(peer).and_then(Peer::session);
        selected.extend(candidates.filter(|&peer| {
            session(peer).is_some_and(|session| {
                session.subscriber_has(self.needed) && self.audience.is_none_or(|audience| admits(audience, session))
            })
        }));
    }

    /// Units of work of going through so many subscribers, beside those who receive the event.
    pub(crate) fn cost(&self, subscribers: usize) -> u64 {
        if self.admits_all() {
            return 0;
        }
        let eligible = self.audience.and_then(|audience| audience.eligible.as_ref());
        eligible.map_or(subscribers, |list| list.len().min(subscribers)) as u64
    }

    /// The sessions of the list of eligible ones that hold a subscription of this id, with their places, in their order;
    /// if going through that list is cheaper than through `subscribers`: one receiver among many costs no scan.
    ///
    /// Ids and places are those of a realm: sessions of other realms can be among them.
    pub(crate) fn eligible(&self, subscription: SubscriptionId, subscribers: usize) -> Option<Vec<(u64, PeerKey)>> {
        let list = self.audience?.eligible.as_ref().filter(|list| list.len() < subscribers)?;
        let place = |id| {
            let &peer = self.sessions.get(id)?;
            let &place = self.peers.get(peer)?.session()?.subscriptions.get(&subscription)?;
            Some((place, peer))
        };
        let mut found: Vec<_> = list.iter().filter_map(place).collect();
        found.sort_unstable();
        Some(found)
    }
}

/// Puts the lists into the order in which [`admits`] searches them, so that a long list does not cost each subscriber
/// a walk through it. Equal audiences then have equal lists.
pub(crate) fn sort(audience: &mut Audience) {
    fn sort<T: Ord>(list: &mut Vec<T>) {
        list.sort_unstable();
        list.dedup();
    }
    sort(&mut audience.exclude);
    sort(&mut audience.exclude_authid);
    sort(&mut audience.exclude_authrole);
    audience.eligible.iter_mut().for_each(sort);
    audience.eligible_authid.iter_mut().for_each(sort);
    audience.eligible_authrole.iter_mut().for_each(sort);
}

/// A session receives the event if no blacklist names it and every whitelist that is present does.
pub(crate) fn admits(audience: &Audience, session: &Session) -> bool {
    let lists = (&audience.exclude, &audience.eligible);
    permits(lists, &session.id) && admits_identity(audience, session)
}

/// [`admits`], as far as it does not depend on the session's id.
pub(crate) fn admits_identity(audience: &Audience, session: &Session) -> bool {
    let identity = &session.identity;
    permits((&audience.exclude_authid, &audience.eligible_authid), &identity.authid)
        && permits((&audience.exclude_authrole, &audience.eligible_authrole), &identity.authrole)
}

fn permits<T: Ord>((excluded, eligible): (&Vec<T>, &Option<Vec<T>>), item: &T) -> bool {
    excluded.binary_search(item).is_err() && eligible.as_ref().is_none_or(|list| list.binary_search(item).is_ok())
}
