//! Who of a subscription's subscribers receives an event
//! (spec: "Publisher Exclusion", "Subscriber Black- and Whitelisting").

use super::PeerKey;
use super::peer::Peer;
use super::session::Session;
use crate::arena::Arena;
use crate::message::Audience;
use std::collections::BTreeMap;

/// The receivers that a publication admits.
pub(crate) struct Filter<'a> {
    excluded: Option<PeerKey>,
    audience: Option<&'a Audience>,
}

impl<'a> Filter<'a> {
    pub(crate) fn new(publisher: PeerKey, exclude_publisher: bool, audience: Option<&'a Audience>) -> Self {
        Self { excluded: exclude_publisher.then_some(publisher), audience }
    }

    /// The admitted subscribers, in the order of their places.
    pub(crate) fn select(&self, peers: &Arena<PeerKey, Peer>, subscribers: &BTreeMap<u64, PeerKey>) -> Vec<PeerKey> {
        let mut selected = Vec::with_capacity(subscribers.len());
        let candidates = subscribers.values().copied().filter(|&peer| Some(peer) != self.excluded);
        match self.audience {
            None => selected.extend(candidates),
            Some(audience) => selected.extend(candidates.filter(|&peer| {
                peers.get(peer).and_then(Peer::session).is_some_and(|session| admits(audience, session))
            })),
        }
        selected
    }
}

/// A session receives the event if no blacklist names it and every whitelist that is present does.
fn admits(audience: &Audience, session: &Session) -> bool {
    let (authid, authrole) = (&session.identity.authid, &session.identity.authrole);
    let excluded = audience.exclude.contains(&session.id)
        || audience.exclude_authid.contains(authid)
        || audience.exclude_authrole.contains(authrole);
    !excluded
        && audience.eligible.as_ref().is_none_or(|list| list.contains(&session.id))
        && audience.eligible_authid.as_ref().is_none_or(|list| list.contains(authid))
        && audience.eligible_authrole.as_ref().is_none_or(|list| list.contains(authrole))
}
