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
    /// What is said to peers that may come back.
    pub farewell: Farewell,
}

/// What is said to peers that may come back: to all at a [shutdown](super::Router::shut_down), and to those that could be
/// let in later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Farewell {
    /// GOODBYE and ABORT, with the reason (spec: "Session Close").
    #[default]
    Told,
    /// Nothing, where the peer can tell a transport that was cut from one that was closed ([`LinkInfo::cuttable`]). Sessions
    /// are closed, and who has not joined is [cut off](super::CloseReason::Unavailable). Clients of JavaScript do not come
    /// back after a GOODBYE or ABORT, whatever it says, and take up again what is merely lost.
    ///
    /// [`LinkInfo::cuttable`]: super::LinkInfo::cuttable
    Silent,
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
    /// Progressive results are asked only of callees that announce `progressive_call_results`, as the specification has it.
    /// Crossbar.io asks all of them, and wampy gives them without announcing it: false by default.
    pub progress_needs_feature: bool,
    /// Whom a callee may push off a procedure with `force_reregister`.
    pub force_reregister: ForceReregister,
    /// How long a publisher is not read from when a subscriber of what it published reads more slowly than it is sent to
    /// ([`Congestion::Soft`](super::Congestion::Soft)); then it may publish again, and is perhaps made to wait again. So a
    /// publisher can not be faster than its slowest subscriber for long, and that one can hold up the others by this time for
    /// each publication. `None`, the default: publishers never wait.
    pub throttle_publishers: Option<Duration>,
    /// What becomes of a subscriber for which there is no room for another event.
    pub slow_subscribers: SlowSubscribers,
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
            progress_needs_feature: false,
            force_reregister: ForceReregister::Nobody,
            throttle_publishers: None,
            slow_subscribers: SlowSubscribers::Drop,
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

/// What becomes of a subscriber for which an event finds too much waiting to be written
/// ([`Undeliverable::Congested`](super::Undeliverable::Congested)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SlowSubscribers {
    /// It misses the event, and keeps its session: counted in [`RouterStats::events_dropped`](super::RouterStats).
    #[default]
    Drop,
    /// It is given up, so that it knows that it has missed something.
    Close,
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
/// invocation. A CALL that goes on with one that has ended meanwhile is discarded, as the specification wants it: its
/// caller has its answer.
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
    /// Peers attached at a time, joined or not, with the sessions that have ended and of which something is still to be
    /// released. Default 100,000.
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
    /// Bytes of the realm, the authid, the authrole and each authentication method that a HELLO names; a longer one is
    /// refused with ABORT `wamp.error.invalid_argument` before anybody is asked. Default 1,024.
    pub max_authid_length: usize,
    /// Authentication methods that a HELLO names; one with more is refused likewise. Default 32.
    pub max_authmethods: usize,
    /// Failed logins from one address (of IPv6: from one network of 64 bits) that are free; beyond it there is one in each
    /// `login_backoff`, and others from there wait as long, unless they have logged in from there before. Default 20.
    pub max_failed_logins_per_address: u32,
    /// Failed logins for one authid from one address that are free; each further one makes the next login for it from
    /// there wait, and nobody else. Default 10.
    pub max_failed_logins_per_pair: u32,
    /// Failed logins for one authid, whether it exists or not, that are free, from all addresses that it has not logged in
    /// from before; beyond it there is one in each `login_backoff` from addresses that have failed for it before, and one
    /// from those that have not. So this bounds how fast many addresses together can guess; whoever logs in from a new
    /// address meanwhile may have to wait if new addresses are among them. Default 100.
    pub max_failed_logins_per_authid: u32,
    /// The first wait after failed logins of one address for one authid, which each further failure doubles; and the time
    /// in which one failed login of an address, or for an authid, is forgotten. Default 1 s.
    pub login_backoff: Duration,
    /// The longest wait after failed logins. Default 30 s.
    pub max_login_backoff: Duration,
    /// Time without failures, after the wait, in which failed logins of an address for an authid are forgotten. Default
    /// 10 min.
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
    /// look-up. A shape counts once for every 16 components, rounded up. Default 64, which has room for all
    /// shapes of up to 6 components.
    pub max_wildcard_shapes: usize,
    /// Distinct node keys (`nkey`) among the subscribers of one subscription: each costs an event with a resource key a
    /// few nanoseconds. Default 1,024.
    pub max_nodes_per_subscription: usize,
    /// Retained events of a realm; beyond it the oldest is dropped of the publisher that has most, of the role that has
    /// most. Default 100,000.
    pub max_retained_events: usize,
    /// Bytes of the retained events of a realm, with what it takes to keep them; beyond it the oldest is dropped of the
    /// publisher that has most, of the role that has most. Default 64 MiB.
    pub max_retained_bytes: usize,
    /// Retained events of one publisher (authid and role) in a realm; beyond it its own oldest is dropped. Default 50,000.
    pub max_retained_per_publisher: usize,
    /// Bytes of the retained events of one publisher in a realm, with what it takes to keep them; beyond it its own oldest
    /// is dropped. Default 32 MiB.
    pub max_retained_bytes_per_publisher: usize,
    /// Retained events of all publishers with one role in a realm; beyond it the oldest is dropped of the one that has
    /// most. Default 75,000.
    pub max_retained_per_role: usize,
    /// Bytes of the retained events of all publishers with one role in a realm; beyond it the oldest is dropped of the
    /// one that has most. Default 48 MiB.
    pub max_retained_bytes_per_role: usize,
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
    /// Values in the arguments of one call of a procedure of the meta API, such as the roles in a filter; together they
    /// may take 256 bytes of memory for each. Those of a testament's event do not count. Default 4,096.
    pub max_meta_items: u32,
    /// Sessions, authids and roles that one PUBLISH excludes or admits, in all its lists together; with more it is
    /// refused. Default 4,096.
    pub max_audience: usize,
    /// Past events in one answer of `wamp.subscription.get_events`. Default 1,000.
    pub max_history_reply: usize,
    /// Bytes of past events in one answer of `wamp.subscription.get_events`, as `max_history_bytes` counts them; one
    /// event may be larger. Their values may take 16 times as much memory while the answer is made; an event whose
    /// values take more is told without its payload. Default 1 MiB.
    pub max_history_reply_bytes: usize,
    /// Calls of one registration that wait until a callee is below its `concurrency`, or reads again. Default 1,024.
    pub max_queued_calls: usize,
    /// Bytes kept of the calls of one registration that wait until a callee is below its `concurrency`, or reads again.
    /// Default 16 MiB.
    pub max_queued_call_bytes: usize,
    /// Calls of one session that may wait for callees that do not read as fast as they are called, before it is not
    /// read from until some of them are under way; so with half of `max_kept_call_bytes` kept of such calls. Default 16.
    pub max_calls_held_back: usize,
    /// Bytes kept of the calls of one session that wait for a callee, that could be re-routed to another, or of which
    /// more parts follow. Beyond it such calls are refused, or not re-routed. Default 8 MiB.
    pub max_kept_call_bytes: usize,
    /// Callees that may say in turn that they are unavailable before their caller is told so. Default 16.
    pub max_reroutes: usize,
    /// Time for a callee to answer an INTERRUPT of mode `kill`, for which its caller waits. Default 30 s.
    pub kill_timeout: Duration,
    /// Time for a callee that does not keep up with the parts of a progressive call to catch up. Meanwhile the caller is
    /// not read from; after it the call is canceled. Also the time that calls wait for a callee to read what waits to be
    /// written to it, before they are answered with `wamp.error.no_available_callee`. Default 10 s.
    pub stall_timeout: Duration,
    /// Units of work after which it is others' turn, see [`Router::work`](super::Router::work). A message may take a
    /// sixteenth of it; what is long is then gone on with in
    /// [`Router::handle_timeout`](super::Router::handle_timeout), a slice at a time, with other inputs in between. An
    /// adapter should end its turn after a slice too. Default 32,768, some milliseconds.
    pub work_slice: u64,
    /// Ids in one list of the meta API. A longer list ends there, its keyword arguments say `truncated` and the id
    /// `next`, behind which a call with the keyword argument `after` goes on. Default 100,000.
    pub max_list_reply: usize,
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
            max_authid_length: 1_024,
            max_authmethods: 32,
            max_failed_logins_per_address: 20,
            max_failed_logins_per_pair: 10,
            max_failed_logins_per_authid: 100,
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
            max_wildcard_shapes: 64,
            max_nodes_per_subscription: 1_024,
            max_retained_events: 100_000,
            max_retained_bytes: 64 << 20,
            max_retained_per_publisher: 50_000,
            max_retained_bytes_per_publisher: 32 << 20,
            max_retained_per_role: 75_000,
            max_retained_bytes_per_role: 48 << 20,
            max_retained_per_topic: 16,
            max_retained_replies: 1_000,
            max_retained_reply_bytes: 2 << 20,
            max_retained_search: 10_000,
            max_queued_calls: 1_024,
            max_queued_call_bytes: 16 << 20,
            max_calls_held_back: 16,
            max_kept_call_bytes: 8 << 20,
            max_reroutes: 16,
            kill_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(10),
            work_slice: 32_768,
            max_list_reply: 100_000,
            max_testaments_per_session: 100,
            max_testament_bytes: 256 << 10,
            max_history_bytes: 16 << 20,
            max_meta_items: 4_096,
            max_audience: 4_096,
            max_history_reply: 1_000,
            max_history_reply_bytes: 1 << 20,
        }
    }
}
