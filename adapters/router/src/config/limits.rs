//! Limits as tables: one line per key.

use super::reader::{Context, Section};
use crate::process::HostLimits;
use crate::script::ScriptLimits;
use core::ops::RangeInclusive;
use std::time::Duration;
use wampd_core::router::Limits;
use wampd_mio::{AddressLimits, ServerLimits};

/// Limits of connections, for all transports, and of what they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// Limits of connections and their queues.
    pub server: ServerLimits,
    /// Bytes of the static files that are being sent, or kept to be sent again. A larger file is not served. Default
    /// 64 MiB.
    pub max_file_memory: u64,
    /// Threads that read static files; if more files are on disks that hang, others wait, but nothing else does. Default 2.
    pub file_threads: usize,
    /// Requests that wait for static files; beyond it the last one of the address that has most gets 503. Default 1,024.
    pub max_waiting_files: usize,
    /// Entries of a folder that a listing shows. Default 1,000.
    pub max_listing_entries: usize,
    /// Cookies of one WebSocket service that are remembered; at the limit one that nobody has logged in with makes room,
    /// or the one that ends first. Default 100,000.
    pub max_cookies: usize,
    /// Memory that `authextra` of HELLO may take, which is kept for as long as its session: a login with more is refused.
    /// Default 16 KiB.
    pub max_authextra_bytes: usize,
    /// Logins and actions that wait for functions, and for procedures in each of their realms. Default 16,384.
    pub max_waiting_decisions: usize,
    /// Logins and actions that wait for procedures which nobody has registered yet; beyond it the last one of the address
    /// that has most is refused. Default 1,024.
    pub max_held_decisions: usize,
    /// Logins from one address (of IPv6: from one network of 64 bits) that functions and procedures decide on at a time;
    /// more are refused. Default 256.
    pub max_questions_per_address: usize,
    /// Questions that the procedures called in one realm as one role are given at a time; others wait, and the addresses
    /// they come from take turns. Default 16.
    pub max_questions_at_once: usize,
    /// Threads for scripts and the derivation of keys; 0, the default: as many as there are processors, 2 to 16.
    pub function_threads: usize,
    /// Keys derived from passwords that functions and procedures answer with, kept to be used again; those used last are.
    /// Default 1,024.
    pub max_derived_keys: usize,
    /// Bytes of log lines that wait for whoever reads the log; lines beyond it are dropped and counted. Default 1 MiB.
    pub max_log_bytes: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            server: ServerLimits::default(),
            max_file_memory: 64 << 20,
            file_threads: 2,
            max_waiting_files: 1_024,
            max_listing_entries: 1_000,
            max_cookies: 100_000,
            max_authextra_bytes: 16 << 10,
            max_waiting_decisions: 16_384,
            max_held_decisions: 1_024,
            max_questions_per_address: 256,
            max_questions_at_once: 16,
            function_threads: 0,
            max_derived_keys: 1_024,
            max_log_bytes: crate::log::DEFAULT_MAX_WAITING,
        }
    }
}

/// A configuration key for a limit in an `L`.
pub(super) struct LimitKey<L: 'static> {
    key: &'static str,
    unit: &'static str,
    range: RangeInclusive<u64>,
    meaning: &'static str,
    get: fn(&L) -> u64,
    set: fn(&mut L, u64),
}

/// What there is to know about one limit key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitDoc {
    /// Where it is in the configuration.
    pub path: String,
    /// What it bounds.
    pub meaning: &'static str,
    /// Its unit; empty for plain counts.
    pub unit: &'static str,
    /// The values it may have.
    pub range: RangeInclusive<u64>,
    /// Its value if it is not given.
    pub default: u64,
}

/// A count or size: `count!(Limits, max_peers, "", 1..=10_000_000, "meaning")`.
macro_rules! count {
    ($limits:ty, $field:ident, $unit:literal, $range:expr, $meaning:literal) => {
        count!($limits, $field, stringify!($field), $unit, $range, $meaning)
    };
    ($limits:ty, $($field:ident).+, $key:expr, $unit:literal, $range:expr, $meaning:literal) => {
        LimitKey::<$limits> {
            key: $key,
            unit: $unit,
            range: $range,
            meaning: $meaning,
            get: |limits| limits.$($field).+ as u64,
            // The ranges end within any of the types.
            set: |limits, n| limits.$($field).+ = n as _,
        }
    };
}

/// A count or size of [`ServerLimits`].
macro_rules! server {
    ($field:ident, $unit:literal, $range:expr, $meaning:literal) => {
        count!(NodeLimits, server.$field, stringify!($field), $unit, $range, $meaning)
    };
}

/// A duration in milliseconds; its key ends in `_ms`.
macro_rules! millis {
    ($limits:ty, $($field:ident).+, $key:literal, $range:expr, $meaning:literal) => {
        LimitKey::<$limits> {
            key: $key,
            unit: "ms",
            range: $range,
            meaning: $meaning,
            get: |limits| limits.$($field).+.as_millis() as u64,
            set: |limits, n| limits.$($field).+ = Duration::from_millis(n),
        }
    };
}

const MANY: u64 = 10_000_000;
const HOUR: u64 = 3_600_000;
const MAX_DEPTH: u64 = wampd_core::codec::MAX_DEPTH as u64;

/// `wampd.limits`, the part that the router core keeps.
pub(super) const ROUTER: &[LimitKey<Limits>] = &[
    count!(Limits, max_peers, "", 1..=MANY, "peers attached at a time, joined or not"),
    count!(Limits, max_joining_peers, "", 1..=MANY, "peers attached at a time that have not joined yet"),
    millis!(Limits, handshake_timeout, "handshake_timeout_ms", 10..=HOUR, "time for HELLO, and for AUTHENTICATE"),
    millis!(Limits, auth_timeout, "auth_timeout_ms", 10..=HOUR, "time for an authenticator to answer"),
    millis!(Limits, authorize_timeout, "authorize_timeout_ms", 10..=HOUR, "time for an authorizer to answer"),
    count!(Limits, max_held_requests, "", 1..=65_535, "requests of one session held behind one that waits"),
    count!(Limits, max_cached_verdicts, "", 0..=MANY, "verdicts of authorizers cached for one session"),
    count!(Limits, max_challenges, "", 1..=100, "CHALLENGEs in one handshake"),
    count!(Limits, max_authid_length, "bytes", 16..=65_535, "length of realm, authid, role and methods in HELLO"),
    count!(Limits, max_authmethods, "", 1..=1_000, "authentication methods in HELLO"),
    count!(Limits, max_failed_logins_per_address, "", 1..=MANY, "failed logins from one address that are free"),
    count!(
        Limits,
        max_failed_logins_per_pair,
        "",
        1..=MANY,
        "failed logins for one authid from one address that are free"
    ),
    count!(
        Limits,
        max_failed_logins_per_authid,
        "",
        1..=MANY,
        "failed logins for one authid from anywhere that are free"
    ),
    millis!(Limits, login_backoff, "login_backoff_ms", 1..=HOUR, "the first wait after failed logins; it doubles"),
    millis!(Limits, max_login_backoff, "max_login_backoff_ms", 1..=HOUR, "the longest wait after failed logins"),
    millis!(
        Limits,
        failed_login_memory,
        "failed_login_memory_ms",
        1_000..=24 * HOUR,
        "quiet until failures are forgotten"
    ),
    count!(Limits, max_tracked_logins, "", 16..=MANY, "addresses, and authids, whose failures are remembered"),
    millis!(Limits, goodbye_timeout, "goodbye_timeout_ms", 10..=HOUR, "time for a peer to answer GOODBYE"),
    count!(Limits, max_subscriptions_per_session, "", 1..=MANY, "subscriptions held by one session"),
    count!(Limits, max_registrations_per_session, "", 1..=MANY, "registrations held by one session"),
    count!(Limits, max_calls_in_flight, "", 1..=MANY, "calls of one session without a final answer"),
    count!(Limits, max_invocations_in_flight, "", 1..=MANY, "invocations of one session without a final answer"),
    count!(Limits, max_uri_length, "bytes", 16..=65_535, "length of a topic or procedure that is kept"),
    count!(Limits, max_wildcard_shapes, "", 1..=65_535, "distinct shapes of the wildcard patterns of a realm"),
    count!(Limits, max_nodes_per_subscription, "", 1..=65_535, "distinct node keys of the subscribers of a topic"),
    count!(Limits, max_retained_events, "", 0..=MANY, "retained events of a realm"),
    count!(Limits, max_retained_bytes, "bytes", 0..=1 << 40, "memory of the retained events of a realm"),
    count!(Limits, max_retained_per_publisher, "", 0..=MANY, "retained events of one publisher"),
    count!(
        Limits,
        max_retained_bytes_per_publisher,
        "bytes",
        0..=1 << 40,
        "memory of the retained events of one publisher"
    ),
    count!(Limits, max_retained_per_role, "", 0..=MANY, "retained events of all publishers with one role"),
    count!(Limits, max_retained_bytes_per_role, "bytes", 0..=1 << 40, "memory of the retained events of one role"),
    count!(Limits, max_retained_per_topic, "", 1..=1_000, "retained events of a topic"),
    count!(Limits, max_retained_replies, "", 1..=MANY, "retained events sent for one SUBSCRIBE"),
    count!(Limits, max_retained_reply_bytes, "bytes", 1_024..=1 << 30, "retained events sent for one SUBSCRIBE"),
    count!(Limits, max_retained_search, "", 1..=MANY, "topics looked at for one SUBSCRIBE"),
    count!(Limits, max_testaments_per_session, "", 0..=MANY, "testaments of one session"),
    count!(Limits, max_testament_bytes, "bytes", 0..=1 << 30, "memory of the testaments of one session"),
    count!(Limits, max_meta_items, "", 64..=MANY, "values in the arguments of a call of the meta API"),
    count!(Limits, max_audience, "", 0..=MANY, "receivers that one PUBLISH excludes or admits by name"),
    count!(Limits, max_history_bytes, "bytes", 1_024..=1 << 40, "memory of the past events of a topic"),
    count!(Limits, max_history_reply, "", 1..=MANY, "past events in one answer"),
    count!(Limits, max_history_reply_bytes, "bytes", 1_024..=1 << 30, "size of the past events in one answer"),
    count!(Limits, max_queued_calls, "", 0..=MANY, "calls of one registration that wait for a callee"),
    count!(
        Limits,
        max_queued_call_bytes,
        "bytes",
        0..=1 << 40,
        "memory of the calls of one registration that wait for a callee"
    ),
    count!(
        Limits,
        max_calls_held_back,
        "",
        1..=65_535,
        "calls of one session that wait for callees that do not keep up, before it is not read from"
    ),
    count!(Limits, max_kept_call_bytes, "bytes", 0..=1 << 32, "bytes kept of calls of one session that wait or go on"),
    count!(Limits, max_reroutes, "", 1..=1_000, "callees of one call that may say they are unavailable"),
    millis!(
        Limits,
        kill_timeout,
        "kill_timeout_ms",
        10..=HOUR,
        "time for a callee to answer an INTERRUPT of mode kill"
    ),
    millis!(Limits, stall_timeout, "stall_timeout_ms", 10..=HOUR, "time that callers wait for a callee to keep up"),
    count!(Limits, work_slice, "units", 1_024..=MANY, "work done for one message, and in one turn, before others"),
    count!(Limits, max_list_reply, "", 1..=MANY, "ids in one list of the meta API"),
];

/// `wampd.limits`, the part that the connections keep.
pub(super) const NODE: &[LimitKey<NodeLimits>] = &[
    server!(max_connections, "", 1..=MANY, "connections at a time over all transports"),
    server!(max_opening, "", 1..=MANY, "connections at a time that have no session yet"),
    server!(max_pending, "bytes", 65_536..=1 << 32, "bytes waiting to be written to one connection"),
    server!(max_transcoded, "bytes", 65_536..=1 << 32, "length of a message in another serializer than it came in"),
    millis!(NodeLimits, server.write_timeout, "write_timeout_ms", 10..=HOUR, "time without progress in writing"),
    millis!(
        NodeLimits,
        server.tcp_keepalive,
        "tcp_keepalive_ms",
        0..=HOUR,
        "silence before TCP asks for a sign of life"
    ),
    millis!(
        NodeLimits,
        server.tcp_user_timeout,
        "tcp_user_timeout_ms",
        0..=HOUR,
        "time without acknowledgement by TCP"
    ),
    millis!(NodeLimits, server.linger_timeout, "linger_timeout_ms", 10..=HOUR, "time for a peer to close its side"),
    millis!(NodeLimits, server.accept_pause, "accept_pause_ms", 1..=60_000, "pause when the system has no resources"),
    millis!(NodeLimits, server.shutdown_timeout, "shutdown_timeout_ms", 10..=HOUR, "time for a shutdown in all"),
    server!(max_message_before_join, "bytes", 4_096..=16 << 20, "length of a message before a session is joined"),
    server!(max_memory_before_join, "bytes", 1 << 20..=1 << 40, "memory held for all peers without a session"),
    server!(max_receive_memory, "bytes", 1 << 20..=1 << 40, "memory of the receive buffers of all connections"),
    server!(max_tls_handshakes_per_turn, "", 1..=1_000, "TLS handshakes that go on in one turn of the server"),
    count!(NodeLimits, server.decode.max_depth, "max_depth", "", 2..=MAX_DEPTH, "nesting of values in a message"),
    count!(NodeLimits, server.decode.max_uri, "max_uri", "bytes", 16..=65_535, "length of any URI in a message"),
    count!(NodeLimits, server.decode.max_items, "max_items", "", 64..=MANY, "decoded values of one message"),
    count!(
        NodeLimits,
        server.decode.max_weight,
        "max_weight",
        "bytes",
        4_096..=1 << 30,
        "memory of the decoded values of one message"
    ),
    count!(NodeLimits, max_file_memory, "bytes", 0..=1 << 40, "static files being sent, or kept to be sent again"),
    count!(NodeLimits, file_threads, "", 1..=256, "threads that read static files"),
    count!(NodeLimits, max_waiting_files, "", 1..=MANY, "requests that wait for static files"),
    count!(NodeLimits, max_listing_entries, "", 1..=MANY, "entries of a folder that a listing shows"),
    count!(NodeLimits, max_cookies, "", 16..=MANY, "cookies of one WebSocket service that are remembered"),
    count!(NodeLimits, max_authextra_bytes, "bytes", 0..=1 << 20, "memory that authextra of HELLO may take"),
    count!(NodeLimits, max_waiting_decisions, "", 1..=MANY, "logins and actions that wait for functions or procedures"),
    count!(
        NodeLimits,
        max_held_decisions,
        "",
        0..=MANY,
        "logins and actions that wait for procedures that nobody has registered"
    ),
    count!(NodeLimits, max_questions_per_address, "", 1..=MANY, "logins from one address that are asked about"),
    count!(NodeLimits, max_questions_at_once, "", 1..=MANY, "questions that procedures of a realm are given at a time"),
    count!(NodeLimits, function_threads, "", 0..=256, "threads for scripts and keys; 0: as many as processors"),
    count!(NodeLimits, max_derived_keys, "", 0..=MANY, "keys derived from passwords that are kept"),
    count!(NodeLimits, max_log_bytes, "bytes", 4_096..=1 << 30, "log lines that wait for whoever reads the log"),
];

/// `wampd.limits.per_address`.
pub(super) const PER_ADDRESS: &[LimitKey<AddressLimits>] = &[
    count!(AddressLimits, connections, "", 1..=MANY, "connections at a time from one address"),
    count!(AddressLimits, connections_per_second, "", 1..=MANY, "connections accepted in a second from one address"),
];

/// `wampd.script_limits`.
pub(super) const SCRIPT: &[LimitKey<ScriptLimits>] = &[
    count!(ScriptLimits, max_operations, "", 1_000..=1_000_000_000, "operations of one run of a script"),
    count!(ScriptLimits, max_call_depth, "", 1..=64, "nested function calls in a script"),
    count!(ScriptLimits, max_expression_depth, "", 8..=128, "nesting of expressions in a script"),
    count!(ScriptLimits, max_variables, "", 10..=100_000, "variables of a script alive at a time"),
    count!(ScriptLimits, max_string_size, "bytes", 256..=16 << 20, "length of a string in a script"),
    count!(ScriptLimits, max_array_size, "", 16..=2_000, "items of an array in a script"),
    count!(ScriptLimits, max_map_size, "", 16..=2_000, "entries of a map in a script"),
];

/// `wampd.host_limits`.
pub(super) const HOST: &[LimitKey<HostLimits>] = &[
    count!(HostLimits, max_questions, "", 1..=1_000_000, "questions that wait for one host or are with it"),
    count!(HostLimits, max_questions_at_once, "", 1..=1_000_000, "questions that one host has at a time"),
    count!(HostLimits, max_question_bytes, "bytes", 65_536..=1 << 32, "bytes that wait to be written to one host"),
    count!(HostLimits, max_answer, "bytes", 256..=16 << 20, "length of an answer of a host"),
    millis!(HostLimits, answer_timeout, "answer_timeout_ms", 10..=HOUR, "time for a host to answer"),
    millis!(
        HostLimits,
        start_timeout,
        "start_timeout_ms",
        10..=HOUR,
        "time for a host to be ready, and for a component before others do not wait for it any more"
    ),
    millis!(HostLimits, restart_backoff, "restart_backoff_ms", 1..=HOUR, "the first wait before a restart; it doubles"),
    millis!(HostLimits, max_restart_backoff, "max_restart_backoff_ms", 1..=HOUR, "the longest wait before a restart"),
    millis!(HostLimits, stop_timeout, "stop_timeout_ms", 10..=HOUR, "time for a process to end before it is killed"),
];

pub(super) fn read<L>(cx: &mut Context<'_>, section: &mut Section<'_>, keys: &[LimitKey<L>], limits: &mut L) {
    for key in keys {
        let default = (key.get)(limits);
        let value = section.integer(cx, key.key, key.range.clone(), key.unit, default);
        (key.set)(limits, value);
    }
}

/// Every limit key with its meaning, range and default.
pub fn limit_docs() -> Vec<LimitDoc> {
    let mut docs = Vec::new();
    document("wampd.limits", ROUTER, &Limits::default(), &mut docs);
    document("wampd.limits", NODE, &NodeLimits::default(), &mut docs);
    document("wampd.limits.per_address", PER_ADDRESS, &AddressLimits::default(), &mut docs);
    document("wampd.script_limits", SCRIPT, &ScriptLimits::default(), &mut docs);
    document("wampd.host_limits", HOST, &HostLimits::default(), &mut docs);
    docs
}

fn document<L>(under: &str, keys: &[LimitKey<L>], defaults: &L, docs: &mut Vec<LimitDoc>) {
    docs.extend(keys.iter().map(|key| LimitDoc {
        path: format!("{under}.{}", key.key),
        meaning: key.meaning,
        unit: key.unit,
        range: key.range.clone(),
        default: (key.get)(defaults),
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_in_range_and_keys_unique() {
        let docs = limit_docs();
        for doc in &docs {
            assert!(doc.range.contains(&doc.default), "{doc:?}");
            assert_eq!(docs.iter().filter(|other| other.path == doc.path).count(), 1, "{doc:?}");
        }
    }

    /// A limit without a key would be a limit that nobody can change.
    #[test]
    fn every_limit_has_a_key() {
        let fields = |limits: &dyn core::fmt::Debug| format!("{limits:?}").matches(": ").count();
        assert_eq!(fields(&Limits::default()), ROUTER.len());
        assert_eq!(fields(&AddressLimits::default()), PER_ADDRESS.len());
        // Those of the server, of addresses and of decoding are structs of their own, which are no limits themselves.
        assert_eq!(fields(&NodeLimits::default()) - 3 - PER_ADDRESS.len(), NODE.len());
        assert_eq!(fields(&ScriptLimits::default()), SCRIPT.len());
        assert_eq!(fields(&HostLimits::default()), HOST.len());
    }

    #[test]
    fn setting_is_getting() {
        fn check<L: Default>(keys: &[LimitKey<L>]) {
            for key in keys {
                let mut limits = L::default();
                for value in [*key.range.start(), *key.range.end()] {
                    (key.set)(&mut limits, value);
                    assert_eq!((key.get)(&limits), value, "{}", key.key);
                }
            }
        }
        check(ROUTER);
        check(NODE);
        check(PER_ADDRESS);
        check(SCRIPT);
        check(HOST);
    }
}
