//! Who has retained how much: one publisher must not push out what others have retained.
//!
//! A publisher is an authid with a role. Beyond its own limit its oldest event is dropped; beyond the limit of its role, or of
//! the realm, the oldest one of whoever has most (of the role that has most). So whoever has little loses nothing to one that
//! publishes much, nor to many of another role.

use super::config::Limits;
use super::realm::Role;
use crate::uri::Uri;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A publisher of retained events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    role: Role,
    authid: Arc<str>,
}

/// The retained events of a realm by their publishers.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    roles: BTreeMap<Role, RoleShare>,
}

#[derive(Debug, Default)]
struct RoleShare {
    events: usize,
    bytes: usize,
    publishers: BTreeMap<Arc<str>, Share>,
    /// The publishers by their [`size`].
    by_size: BTreeSet<(u64, Arc<str>)>,
}

#[derive(Debug, Default)]
struct Share {
    /// The topics of its events, the oldest first.
    events: BTreeMap<u64, Uri>,
    bytes: usize,
    size: u64,
}

/// How much of what a realm may retain this is, by events or by bytes, whichever is more.
fn size(events: usize, bytes: usize, limits: &Limits) -> u64 {
    let part = |amount: usize, most: usize| (amount as u64).saturating_mul(1 << 20) / (most as u64).max(1);
    part(events, limits.max_retained_events).max(part(bytes, limits.max_retained_bytes))
}

impl Shares {
    /// Names a publisher. Its events share the name.
    pub(crate) fn owner(&self, role: Role, authid: &str) -> Owner {
        let known = self.roles.get(&role).and_then(|share| share.publishers.get_key_value(authid));
        Owner { role, authid: known.map_or_else(|| Arc::from(authid), |(name, _)| name.clone()) }
    }

    /// An event is retained.
    pub(crate) fn add(&mut self, owner: &Owner, number: u64, topic: &Uri, bytes: usize, limits: &Limits) {
        self.change(owner, limits, |role, share| {
            share.events.insert(number, topic.clone());
            share.bytes += bytes;
            role.events += 1;
            role.bytes += bytes;
        });
    }

    /// An event is retained no more.
    pub(crate) fn remove(&mut self, owner: &Owner, number: u64, bytes: usize, limits: &Limits) {
        self.change(owner, limits, |role, share| {
            share.events.remove(&number);
            share.bytes -= bytes;
            role.events -= 1;
            role.bytes -= bytes;
        });
    }

    fn change(&mut self, owner: &Owner, limits: &Limits, how: impl FnOnce(&mut RoleShare, &mut Share)) {
        let role = self.roles.entry(owner.role).or_default();
        let mut share = role.publishers.remove(&owner.authid).unwrap_or_default();
        role.by_size.remove(&(share.size, owner.authid.clone()));
        how(role, &mut share);
        if !share.events.is_empty() {
            share.size = size(share.events.len(), share.bytes, limits);
            role.by_size.insert((share.size, owner.authid.clone()));
            role.publishers.insert(owner.authid.clone(), share);
        } else if role.publishers.is_empty() {
            self.roles.remove(&owner.role);
        }
    }

    /// What is to be dropped because a publisher, or its role, has retained more than it may.
    pub(crate) fn surplus(&self, owner: &Owner, limits: &Limits) -> Option<(Uri, u64)> {
        let role = self.roles.get(&owner.role)?;
        let share = role.publishers.get(&owner.authid)?;
        let (events, bytes) = (limits.max_retained_per_publisher, limits.max_retained_bytes_per_publisher);
        if share.events.len() > events || share.bytes > bytes {
            return share.oldest();
        }
        let (events, bytes) = (limits.max_retained_per_role, limits.max_retained_bytes_per_role);
        if role.events > events || role.bytes > bytes { role.oldest_of_largest() } else { None }
    }

    /// The oldest event of whoever has most.
    pub(crate) fn oldest_of_largest(&self, limits: &Limits) -> Option<(Uri, u64)> {
        // Roles are configured: they are few.
        let largest = self.roles.values().max_by_key(|role| size(role.events, role.bytes, limits))?;
        largest.oldest_of_largest()
    }

    /// # Panics
    /// When the tables do not agree with each other, or with what is retained: number, publisher and bytes of each event.
    pub(crate) fn check_invariants<'a>(
        &self,
        retained: impl Iterator<Item = (u64, &'a Owner, usize)>,
        limits: &Limits,
    ) {
        let mut expected = BTreeMap::new();
        let mut count = 0;
        for (number, owner, bytes) in retained {
            let share = self.roles.get(&owner.role).and_then(|role| role.publishers.get(&owner.authid));
            assert!(share.is_some_and(|share| share.events.contains_key(&number)), "an event without its publisher");
            *expected.entry((owner.role, owner.authid.clone())).or_insert(0) += bytes;
            count += 1;
        }
        for (name, role) in &self.roles {
            assert_eq!(role.publishers.len(), role.by_size.len(), "publishers by size");
            for (authid, share) in &role.publishers {
                assert_eq!(expected.get(&(*name, authid.clone())), Some(&share.bytes), "bytes of a publisher");
                assert_eq!(share.size, size(share.events.len(), share.bytes, limits), "size of a share");
                assert!(role.by_size.contains(&(share.size, authid.clone())), "a publisher by size");
                let (events, bytes) = (limits.max_retained_per_publisher, limits.max_retained_bytes_per_publisher);
                assert!(share.events.len() <= events && share.bytes <= bytes, "a publisher retains too much");
            }
            let events = role.publishers.values().map(|share| share.events.len()).sum::<usize>();
            let bytes = role.publishers.values().map(|share| share.bytes).sum::<usize>();
            assert_eq!((role.events, role.bytes), (events, bytes), "events of a role");
            let most = (limits.max_retained_per_role, limits.max_retained_bytes_per_role);
            assert!(events <= most.0 && bytes <= most.1, "a role retains too much");
            count -= events;
        }
        assert_eq!(count, 0, "events of publishers");
    }
}

impl RoleShare {
    fn oldest_of_largest(&self) -> Option<(Uri, u64)> {
        let (_, authid) = self.by_size.last()?;
        self.publishers.get(authid)?.oldest()
    }
}

impl Share {
    fn oldest(&self) -> Option<(Uri, u64)> {
        self.events.first_key_value().map(|(number, topic)| (topic.clone(), *number))
    }
}
