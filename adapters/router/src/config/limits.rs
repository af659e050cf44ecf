//! Limits as tables: one line per key.

use super::reader::{Context, Section};
use crate::process::HostLimits;
use crate::script::ScriptLimits;
use core::ops::RangeInclusive;
use std::time::Duration;
use wampd_core::router::Limits;
use wampd_mio::ServerLimits;

/// Limits of connections, for all transports, and of what they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// Limits of connections and their queues.
    pub server: ServerLimits,
    /// Bytes of the static files that are being sent, or kept to be sent again. A larger file is not served. Default
    /// 64 MiB.
    pub max_file_memory: u64,
    /// Cookies of one WebSocket service that are remembered; at the limit one that nobody has logged in with makes room,
    /// or the one that ends first. Default 100,000.
    pub max_cookies: usize,
    /// Logins and actions that wait for functions, and for procedures in each of their realms. Default 16,384.
    pub max_waiting_decisions: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            server: ServerLimits::default(),
            max_file_memory: 64 << 20,
            max_cookies: 100_000,
            max_waiting_decisions: 16_384,
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
    count!(Limits, max_failed_logins_per_address, "", 1..=MANY, "failed logins from one address that are free"),
    count!(Limits, max_failed_logins_per_authid, "", 1..=MANY, "failed logins for one authid that are free"),
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
    count!(Limits, max_retained_per_topic, "", 1..=1_000, "retained events of a topic"),
    count!(Limits, max_retained_replies, "", 1..=MANY, "retained events sent for one SUBSCRIBE"),
    count!(Limits, max_retained_reply_bytes, "bytes", 1_024..=1 << 30, "retained events sent for one SUBSCRIBE"),
    count!(Limits, max_retained_search, "", 1..=MANY, "topics looked at for one SUBSCRIBE"),
    count!(Limits, max_testaments_per_session, "", 0..=MANY, "testaments of one session"),
    count!(Limits, max_testament_bytes, "bytes", 0..=1 << 30, "memory of the testaments of one session"),
    count!(Limits, max_history_bytes, "bytes", 1_024..=1 << 40, "memory of the past events of a topic"),
    count!(Limits, max_history_reply, "", 1..=MANY, "past events in one answer"),
    count!(Limits, max_history_reply_bytes, "bytes", 1_024..=1 << 30, "size of the past events in one answer"),
    count!(Limits, max_queued_calls, "", 0..=MANY, "calls of one registration that wait for a callee"),
    count!(Limits, max_kept_call_bytes, "bytes", 0..=1 << 32, "bytes kept of calls of one session that wait or go on"),
    count!(Limits, max_reroutes, "", 1..=1_000, "callees of one call that may say they are unavailable"),
    millis!(
        Limits,
        kill_timeout,
        "kill_timeout_ms",
        10..=HOUR,
        "time for a callee to answer an INTERRUPT of mode kill"
    ),
    millis!(Limits, stall_timeout, "stall_timeout_ms", 10..=HOUR, "time for a callee to keep up with a call in parts"),
];

/// `wampd.limits`, the part that the connections keep.
pub(super) const NODE: &[LimitKey<NodeLimits>] = &[
    server!(max_connections, "", 1..=MANY, "connections at a time over all transports"),
    server!(max_opening, "", 1..=MANY, "connections at a time that have no session yet"),
    server!(max_pending, "bytes", 65_536..=1 << 32, "bytes waiting to be written to one connection"),
    millis!(NodeLimits, server.write_timeout, "write_timeout_ms", 10..=HOUR, "time without progress in writing"),
    millis!(NodeLimits, server.linger_timeout, "linger_timeout_ms", 10..=HOUR, "time for a peer to close its side"),
    millis!(NodeLimits, server.accept_pause, "accept_pause_ms", 1..=60_000, "pause when the system has no resources"),
    millis!(NodeLimits, server.shutdown_timeout, "shutdown_timeout_ms", 10..=HOUR, "time for a shutdown in all"),
    count!(NodeLimits, server.decode.max_depth, "max_depth", "", 2..=MAX_DEPTH, "nesting of values in a message"),
    count!(NodeLimits, server.decode.max_uri, "max_uri", "bytes", 16..=65_535, "length of any URI in a message"),
    count!(NodeLimits, max_file_memory, "bytes", 0..=1 << 40, "static files being sent, or kept to be sent again"),
    count!(NodeLimits, max_cookies, "", 16..=MANY, "cookies of one WebSocket service that are remembered"),
    count!(NodeLimits, max_waiting_decisions, "", 1..=MANY, "logins and actions that wait for functions or procedures"),
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
    count!(HostLimits, max_questions, "", 1..=1_000_000, "questions that wait for one host"),
    count!(HostLimits, max_question_bytes, "bytes", 65_536..=1 << 32, "bytes that wait to be written to one host"),
    count!(HostLimits, max_answer, "bytes", 256..=16 << 20, "length of an answer of a host"),
    millis!(HostLimits, answer_timeout, "answer_timeout_ms", 10..=HOUR, "time for a host to answer"),
    millis!(HostLimits, start_timeout, "start_timeout_ms", 10..=HOUR, "time for a host to be ready"),
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
        // Those of the server and of decoding are structs of their own, which are no limits themselves.
        assert_eq!(fields(&NodeLimits::default()) - 2, NODE.len());
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
        check(SCRIPT);
        check(HOST);
    }
}
