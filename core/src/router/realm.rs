//! A realm: its rules, its roles, its topics and procedures.

use super::PeerKey;
use super::broker::Broker;
use super::config::{ForceReregister, RealmConfig, RequestIdCheck, RoleConfig, SlowSubscribers};
use super::dealer::Dealer;
use super::permission::Permissions;
use crate::hash::{HashMap, Seed};
use crate::id::{MAX_ID, SessionId};
use crate::message::Features;
use crate::time::UnixTime;
use crate::uri::{Uri, UriRule};
use core::time::Duration;
use std::collections::BTreeMap;

/// Names a realm of this router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RealmKey(usize);

/// Names a role of a realm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// The built-in role of privileged peers, which may do everything.
    Trusted,
    /// A configured role.
    Configured(usize),
}

/// The name of the built-in role.
pub(crate) const TRUSTED: &str = "trusted";

#[derive(Debug)]
pub(crate) struct Realm {
    pub(crate) name: Uri,
    pub(crate) uri_rule: UriRule,
    pub(crate) request_ids: RequestIdCheck,
    pub(crate) meta_api: bool,
    pub(crate) leave_event_details: bool,
    /// Whether sessions may ask to be disclosed.
    pub(crate) disclose_me: bool,
    /// The open sessions, but for those of the built-in role.
    pub(crate) sessions: BTreeMap<SessionId, PeerKey>,
    call_timeout: Option<Duration>,
    max_call_timeout: Option<Duration>,
    /// What a callee must have announced to be asked for progressive results.
    pub(crate) progressive_results: Features,
    pub(crate) force_reregister: ForceReregister,
    /// How long a publisher waits for a congested subscriber.
    pub(crate) throttle_publishers: Option<Duration>,
    /// What becomes of a subscriber that has no room for an event.
    pub(crate) slow_subscribers: SlowSubscribers,
    roles: Vec<RoleConfig>,
    /// How often a role was changed: verdicts cached before that are void.
    pub(crate) role_changes: u64,
    role_by_name: HashMap<String, usize>,
    pub(crate) broker: Broker,
    pub(crate) dealer: Dealer,
}

impl Realm {
    fn new(config: RealmConfig, created: UnixTime, seed: &Seed) -> Self {
        let mut roles = Vec::with_capacity(config.roles.len());
        let mut role_by_name = seed.map();
        for role in config.roles {
            role_by_name.insert(role.name.clone(), roles.len());
            roles.push(role);
        }
        Self {
            name: config.name,
            uri_rule: config.uri_rule,
            request_ids: config.request_ids,
            meta_api: config.meta_api,
            leave_event_details: config.leave_event_details,
            disclose_me: config.disclose_me,
            throttle_publishers: config.throttle_publishers,
            slow_subscribers: config.slow_subscribers,
            sessions: BTreeMap::new(),
            call_timeout: config.call_timeout,
            max_call_timeout: config.max_call_timeout,
            progressive_results: if config.progress_needs_canceling {
                Features::PROGRESSIVE_CALL_RESULTS.union(Features::CALL_CANCELING)
            } else if config.progress_needs_feature {
                Features::PROGRESSIVE_CALL_RESULTS
            } else {
                Features::NONE
            },
            force_reregister: config.force_reregister,
            roles,
            role_changes: 0,
            role_by_name,
            broker: Broker::new(config.event_history, created, seed),
            dealer: Dealer::new(seed),
        }
    }

    /// The configured role of this name.
    pub(crate) fn role(&self, name: &str) -> Option<Role> {
        self.role_by_name.get(name).map(|&index| Role::Configured(index))
    }

    /// The rules of a role; `None` if it is trusted, or asked for each time.
    pub(crate) fn permissions(&self, role: Role) -> Option<&Permissions> {
        match role {
            Role::Trusted => None,
            Role::Configured(index) => {
                self.roles.get(index).map(|role| &role.permissions).filter(|permissions| !permissions.is_asked())
            }
        }
    }

    /// Whether there is a role of which a trust level is told.
    pub(crate) fn has_trustlevels(&self) -> bool {
        self.roles.iter().any(|role| role.trustlevel.is_some())
    }

    /// What is told of the trust in sessions of a role.
    pub(crate) fn trustlevel(&self, role: Role) -> Option<u64> {
        match role {
            Role::Trusted => None,
            Role::Configured(index) => self.roles.get(index)?.trustlevel,
        }
    }

    /// The timeout of a call with this `timeout` option, in milliseconds: 0 asks for none, absence for the default.
    pub(crate) fn call_timeout(&self, option: Option<u64>) -> Option<Duration> {
        let asked = match option {
            None => self.call_timeout,
            Some(0) => None,
            // No longer than a number that every client can read: a callee may be told of it.
            Some(ms) => Some(Duration::from_millis(ms.min(MAX_ID))),
        };
        match (asked, self.max_call_timeout) {
            (Some(asked), Some(max)) => Some(asked.min(max)),
            (asked, max) => asked.or(max),
        }
    }

    /// Replaces what a role may do, from now on. False if there is no such role.
    pub(crate) fn set_permissions(&mut self, role: &str, permissions: Permissions) -> bool {
        let Some(entry) = self.role_by_name.get(role).and_then(|&index| self.roles.get_mut(index)) else {
            return false;
        };
        entry.permissions = permissions;
        self.role_changes += 1;
        true
    }
}

/// All realms of a router. They are never removed, so a key always finds its realm.
#[derive(Debug)]
pub(crate) struct Realms {
    realms: Vec<Realm>,
    by_name: HashMap<Uri, RealmKey>,
}

impl Realms {
    pub(crate) fn new(configs: Vec<RealmConfig>, created: UnixTime, seed: &Seed) -> Self {
        let mut this = Self { realms: Vec::with_capacity(configs.len()), by_name: seed.map() };
        for config in configs {
            this.by_name.insert(config.name.clone(), RealmKey(this.realms.len()));
            this.realms.push(Realm::new(config, created, seed));
        }
        this
    }

    pub(crate) fn find(&self, name: &Uri) -> Option<RealmKey> {
        self.by_name.get(name).copied()
    }

    #[allow(clippy::indexing_slicing, reason = "keys are made by `new` only, and realms are never removed")]
    pub(crate) fn get(&self, key: RealmKey) -> &Realm {
        &self.realms[key.0]
    }

    #[allow(clippy::indexing_slicing, reason = "keys are made by `new` only, and realms are never removed")]
    pub(crate) fn get_mut(&mut self, key: RealmKey) -> &mut Realm {
        &mut self.realms[key.0]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Realm> {
        self.realms.iter()
    }
}
