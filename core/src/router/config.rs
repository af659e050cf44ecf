//! What a router is told when it is made: realms, roles and limits.

use super::permission::Permissions;
use crate::auth::cryptosign::SecretKey;
use crate::uri::{MatchPolicy, Uri, UriRule};
use core::time::Duration;

/// Everything a [`Router`](super::Router) needs to know before its first peer.
#[derive(Clone, Debug, Default)]
pub struct RouterConfig {
    /// The realms; names are unique (a later realm of the same name replaces the earlier one).
    pub realms: Vec<RealmConfig>,
    /// Bounds on what peers may hold and how long they may take.
    pub limits: Limits,
    /// `agent` in WELCOME: name and version of the software, if it is to be told.
    pub agent: Option<String>,
    /// The key by which clients of cryptosign may know this router. Without one their challenges are not answered.
    pub cryptosign_key: Option<SecretKey>,
}

/// A realm: a routing domain with its roles.
#[derive(Clone, Debug)]
pub struct RealmConfig {
    /// The realm's name.
    pub name: Uri,
    /// The roles that sessions may have; names are unique (a later role of the same name replaces the earlier one).
    pub roles: Vec<RoleConfig>,
    /// What URI components may contain.
    pub uri_rule: UriRule,
    /// What happens to request ids out of sequence.
    pub request_ids: RequestIdCheck,
    /// Whether the procedures and topics of the meta API exist. What a session may do with them is up to its role.
    pub meta_api: bool,
    /// Whether `wamp.session.on_leave` tells authid and role of the session that left, as the specification has it, beside
    /// its id. Crossbar.io tells the id alone, and handlers in Python that were written for that take nothing else.
    pub leave_event_details: bool,
    /// Whether sessions may ask to be disclosed with `disclose_me`; if not, such a request is refused with
    /// `wamp.error.option_disallowed.disclose_me`, unless the role's rule discloses anyway.
    pub disclose_me: bool,
    /// Timeout of a call whose caller names none (spec: "Call Timeouts"). `None`: it may take for ever.
    pub call_timeout: Option<Duration>,
    /// The longest timeout that a call can have; without one, or with a longer one, it has this. `None`: any.
    pub max_call_timeout: Option<Duration>,
    /// Whether progressive results of a callee need its announcement of `call_canceling`, as the specification has it;
    /// without it they are not asked for. Not so by default: Autobahn|JS gives them and announces no canceling, and what
    /// such a callee sends for a caller that is gone is dropped all the same.
    pub progress_needs_canceling: bool,
    /// Whom a callee may push off a procedure with `force_reregister`.
    pub force_reregister: ForceReregister,
    /// How long a publisher is not read from when a subscriber of what it published reads more slowly than it is sent to
    /// ([`Congestion::Soft`](super::Congestion::Soft)); then it may publish again, and is perhaps made to wait again. So a
    /// publisher can not be faster than its slowest subscriber for long, and that one can hold up the others by this time for
    /// each publication. `None`, the default: publishers never wait, and a subscriber that is too slow is given up.
    pub throttle_publishers: Option<Duration>,
    /// Topics whose past events are kept; unique by URI and match policy (a later one replaces the earlier one).
    pub event_history: Vec<EventHistory>,
}

impl RealmConfig {
    /// A realm with loose URIs, lenient request ids, the meta API and these roles, in which sessions may disclose
    /// themselves.
    pub const fn new(name: Uri, roles: Vec<RoleConfig>) -> Self {
        Self {
            name,
            roles,
            uri_rule: UriRule::Loose,
            request_ids: RequestIdCheck::Warn,
            meta_api: true,
            leave_event_details: true,
            disclose_me: true,
            call_timeout: None,
            max_call_timeout: None,
            progress_needs_canceling: false,
            force_reregister: ForceReregister::Nobody,
            throttle_publishers: None,
            event_history: Vec::new(),
        }
    }
}

/// Whom a session may push off a procedure that it registers with `force_reregister`, an option of Crossbar.io.
///
/// Where it may not, the option has no effect: the procedure is registered if it is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForceReregister {
    /// Nobody.
    #[default]
    Nobody,
    /// Sessions of the same authid and role, such as its own predecessor whose connection is dead but not known to be.
    SamePrincipal,
    /// Anybody.
    Anybody,
}

/// A topic or topic pattern whose past events are kept (spec: "Event History").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventHistory {
    /// The topic or pattern. It is a subscription of its own, there from the start.
    pub uri: Uri,
    /// How the topic is compared.
    pub matching: MatchPolicy,
    /// So many events are kept; beyond it the oldest is dropped.
    pub limit: usize,
}

/// A role and what it may do.
#[derive(Clone, Debug)]
pub struct RoleConfig {
    /// The role's name.
    pub name: String,
    /// What sessions with this role may do.
    pub permissions: Permissions,
    /// Trust in calls and events of sessions with this role, told to those who receive them (spec: "Call Trust
    /// Levels", "Publication Trust Levels"). 0 is the lowest; what higher levels mean is the application's matter.
    /// `None`: nothing is told.
    pub trustlevel: Option<u64>,
}

impl RoleConfig {
    /// A role without a trust level.
    pub fn new(name: impl Into<String>, permissions: Permissions) -> Self {
        Self { name: name.into(), permissions, trustlevel: None }
    }
}

/// What happens to a request id that is not the one that follows in the session's sequence (spec: "IDs").
///
/// In every mode the id of a call still in flight is refused with ABORT, unless the CALL goes on with a progressive call
/// invocation. From a caller that announced those, a CALL with an id that is not above all others before is taken to go
/// on with a call that has ended meanwhile, and is discarded, as the specification wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestIdCheck {
    /// ABORT `wamp.error.protocol_violation`.
    Strict,
    /// Counted in [`RouterStats::request_ids_out_of_sequence`](super::RouterStats), otherwise accepted.
    #[default]
    Warn,
    /// Accepted.
    Off,
}

/// Bounds of a router. Reaching one never harms a peer that did not cause it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Peers attached at a time, joined or not. Default 100,000.
    pub max_peers: usize,
    /// Peers attached at a time that have not joined yet; beyond it the one that has waited longest is dropped to
    /// make room. Default 10,000.
    pub max_joining_peers: usize,
    /// Time from the attachment (or the end of the last session) to HELLO, and from CHALLENGE to AUTHENTICATE.
    /// Default 10 s.
    pub handshake_timeout: Duration,
    /// Time for an answer to an [`Output::Authenticate`](super::Output::Authenticate). Default 15 s.
    pub auth_timeout: Duration,
    /// Time for an answer to an [`Output::Authorize`](super::Output::Authorize). Default 15 s.
    pub authorize_timeout: Duration,
    /// Requests of one session held behind one that waits for an authorizer, before no more are read. Default 64.
    pub max_held_requests: usize,
    /// Verdicts of authorizers cached for one session; at the limit all of them are dropped. Default 1,024.
    pub max_cached_verdicts: usize,
    /// CHALLENGEs in one handshake, at least 1. Default 4.
    pub max_challenges: u32,
    /// Failed logins from one address (of IPv6: from one network of 64 bits) that are free; each further one makes the
    /// next login from there wait. Default 20.
    pub max_failed_logins_per_address: u32,
    /// Failed logins for one authid, whether it exists or not, that are free; each further one makes the next login
    /// for it wait, unless it comes from an address that it has logged in from before. Default 10.
    pub max_failed_logins_per_authid: u32,
    /// The first wait after failed logins; each further failure doubles it. Default 1 s.
    pub login_backoff: Duration,
    /// The longest wait after failed logins. Default 30 s.
    pub max_login_backoff: Duration,
    /// Time without failures, after the wait, in which failed logins are forgotten. Default 10 min.
    pub failed_login_memory: Duration,
    /// Addresses whose failed logins are remembered at a time, and as many authids, and as many pairs of both that have
    /// logged in; at the limit the one that would be forgotten first is. Default 65,536.
    pub max_tracked_logins: usize,
    /// Time for a peer to answer a GOODBYE before its transport is closed. Default 5 s.
    pub goodbye_timeout: Duration,
    /// Subscriptions held by one session. Default 100,000.
    pub max_subscriptions_per_session: usize,
    /// Registrations held by one session. Default 100,000.
    pub max_registrations_per_session: usize,
    /// Calls of one session without a final answer. Default 65,536.
    pub max_calls_in_flight: usize,
    /// Invocations of one session without a final answer. Default 65,536.
    pub max_invocations_in_flight: usize,
    /// Bytes of a topic, procedure or pattern that is subscribed to or registered. It also bounds how many distinct
    /// lengths prefix patterns can have, each of which costs every message a look-up. Default 1,024.
    pub max_uri_length: usize,
    /// Distinct shapes (which components are wildcards) that the wildcard patterns of equally many components may have
    /// among a realm's subscriptions, and among its registrations: each costs a message of as many components a
    /// look-up. A shape of more than 16 components counts once for every 16 begun. Default 256, which has room for all
    /// shapes of up to 8 components.
    pub max_wildcard_shapes: usize,
    /// Distinct node keys (`nkey`) among the subscribers of one subscription: each costs an event with a resource key a
    /// few nanoseconds. Default 1,024.
    pub max_nodes_per_subscription: usize,
    /// Retained events of a realm; beyond it those of the topic that was not published to for longest are dropped.
    /// Default 100,000.
    pub max_retained_events: usize,
    /// Bytes of the retained events of a realm, with what it takes to keep them; beyond it those of the topic that was
    /// not published to for longest are dropped. Default 64 MiB.
    pub max_retained_bytes: usize,
    /// Retained events of one topic: the one for everybody and those for limited audiences; beyond it the oldest is
    /// dropped. Default 16.
    pub max_retained_per_topic: usize,
    /// Retained events sent for one SUBSCRIBE with a pattern. Default 1,000.
    pub max_retained_replies: usize,
    /// Bytes of retained events sent for one SUBSCRIBE with a pattern, as `max_retained_bytes` counts them; one event may
    /// be larger. It keeps far below what may wait to be written to a peer. Default 2 MiB.
    pub max_retained_reply_bytes: usize,
    /// Topics looked at to find the retained events for one SUBSCRIBE with a pattern. Default 10,000.
    pub max_retained_search: usize,
    /// Testaments of one session, of both scopes together. Default 100.
    pub max_testaments_per_session: usize,
    /// Bytes of the testaments of one session, with what it takes to keep them. Default 256 KiB.
    pub max_testament_bytes: usize,
    /// Bytes of the events kept for one topic with event history, with what it takes to keep them; beyond it the oldest
    /// is dropped. Default 16 MiB.
    pub max_history_bytes: usize,
    /// Past events in one answer of `wamp.subscription.get_events`. Default 1,000.
    pub max_history_reply: usize,
    /// Bytes of past events in one answer of `wamp.subscription.get_events`, as `max_history_bytes` counts them; one
    /// event may be larger. Default 1 MiB.
    pub max_history_reply_bytes: usize,
    /// Calls of one registration that wait until a callee is below its `concurrency`. Default 1,024.
    pub max_queued_calls: usize,
    /// Bytes kept of the calls of one session that wait for a callee, that could be re-routed to another, or of which
    /// more parts follow. Beyond it such calls are refused, or not re-routed. Default 8 MiB.
    pub max_kept_call_bytes: usize,
    /// Callees that may say in turn that they are unavailable before their caller is told so. Default 16.
    pub max_reroutes: usize,
    /// Time for a callee to answer an INTERRUPT of mode `kill`, for which its caller waits. Default 30 s.
    pub kill_timeout: Duration,
    /// Time for a callee that does not keep up with the parts of a progressive call to catch up. Meanwhile the caller is
    /// not read from; after it the call is canceled. Default 10 s.
    pub stall_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_peers: 100_000,
            max_joining_peers: 10_000,
            handshake_timeout: Duration::from_secs(10),
            auth_timeout: Duration::from_secs(15),
            authorize_timeout: Duration::from_secs(15),
            max_held_requests: 64,
            max_cached_verdicts: 1_024,
            max_challenges: 4,
            max_failed_logins_per_address: 20,
            max_failed_logins_per_authid: 10,
            login_backoff: Duration::from_secs(1),
            max_login_backoff: Duration::from_secs(30),
            failed_login_memory: Duration::from_secs(600),
            max_tracked_logins: 65_536,
            goodbye_timeout: Duration::from_secs(5),
            max_subscriptions_per_session: 100_000,
            max_registrations_per_session: 100_000,
            max_calls_in_flight: 65_536,
            max_invocations_in_flight: 65_536,
            max_uri_length: 1_024,
            max_wildcard_shapes: 256,
            max_nodes_per_subscription: 1_024,
            max_retained_events: 100_000,
            max_retained_bytes: 64 << 20,
            max_retained_per_topic: 16,
            max_retained_replies: 1_000,
            max_retained_reply_bytes: 2 << 20,
            max_retained_search: 10_000,
            max_queued_calls: 1_024,
            max_kept_call_bytes: 8 << 20,
            max_reroutes: 16,
            kill_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(10),
            max_testaments_per_session: 100,
            max_testament_bytes: 256 << 10,
            max_history_bytes: 16 << 20,
            max_history_reply: 1_000,
            max_history_reply_bytes: 1 << 20,
        }
    }
}
