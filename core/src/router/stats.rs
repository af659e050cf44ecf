/// Counters of a router since it was made, and how much it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouterStats {
    /// Peers attached now.
    pub peers: usize,
    /// Peers attached now that have not joined.
    pub joining: usize,
    /// Sessions that have ended and of which something is still to be taken back now: see
    /// [`Limits::work_slice`](super::Limits::work_slice). They count as peers for
    /// [`Limits::max_peers`](super::Limits::max_peers).
    pub leaving: usize,
    /// Sessions joined now.
    pub sessions: usize,
    /// Subscriptions (topic and match policy) now.
    pub subscriptions: usize,
    /// Registrations (procedure and match policy) now.
    pub registrations: usize,
    /// Calls without a final answer now.
    pub calls_in_flight: usize,
    /// Calls of these that wait for a callee now.
    pub calls_waiting: usize,
    /// Questions without an answer now.
    pub undecided: usize,
    /// Deadlines waited for now.
    pub timers: usize,
    /// Addresses, authids and pairs of them whose logins are remembered now.
    pub tracked_logins: usize,
    /// Testaments of open sessions now.
    pub testaments: usize,
    /// Retained events now.
    pub retained_events: usize,
    /// Bytes of retained events now, as [`Limits::max_retained_bytes`](super::Limits::max_retained_bytes) counts them.
    pub retained_bytes: usize,
    /// Events kept in the history now.
    pub history_events: usize,
    /// Bytes of the events kept in the history now, as
    /// [`Limits::max_history_bytes`](super::Limits::max_history_bytes) counts them.
    pub history_bytes: usize,

    /// Sessions that joined.
    pub joined: u64,
    /// Handshakes refused, with ABORT or by cutting the peer off.
    pub refused: u64,
    /// Handshakes refused that may succeed later; they are among the refused.
    pub refused_for_now: u64,
    /// Logins that failed: a wrong secret, or a user that is not let in.
    pub logins_failed: u64,
    /// Logins refused untried, after too many that failed.
    pub logins_throttled: u64,
    /// Peers that broke the protocol.
    pub violations: u64,
    /// Peers dropped because they took too long.
    pub timeouts: u64,
    /// Peers dropped because they did not read.
    pub slow_consumers: u64,
    /// Transports refused by [`Limits::max_peers`](super::Limits::max_peers).
    pub peers_refused: u64,
    /// Peers dropped by [`Limits::max_joining_peers`](super::Limits::max_joining_peers).
    pub joining_dropped: u64,
    /// Times that a publisher was made to wait for a slow subscriber
    /// ([`RealmConfig::throttle_publishers`](super::RealmConfig::throttle_publishers)).
    pub publishers_throttled: u64,
    /// Publications accepted.
    pub publications: u64,
    /// Events sent, counted once for each receiver.
    pub events: u64,
    /// Of these, events left out because too much waited to be written to the receiver.
    pub events_dropped: u64,
    /// Calls accepted.
    pub calls: u64,
    /// Callees that were asked for progressive results without having announced `progressive_call_results`
    /// ([`RealmConfig::progress_needs_feature`](super::RealmConfig::progress_needs_feature)); each is counted once.
    pub progress_unannounced: u64,
    /// Calls that had to wait for a callee.
    pub calls_queued: u64,
    /// Of these, calls that waited for a callee that did not read as fast as it was called.
    pub calls_held_back: u64,
    /// Invocations, interrupts and progressive results left out because too much waited to be written to the receiver;
    /// their calls have failed.
    pub call_messages_dropped: u64,
    /// Times that calls no longer waited for a callee to read, after
    /// [`Limits::stall_timeout`](super::Limits::stall_timeout).
    pub callees_overdue: u64,
    /// Times that a call was given to another callee, the first being unavailable.
    pub calls_rerouted: u64,
    /// Calls that ended because they, or a callee that was interrupted, took longer than they may.
    pub calls_timed_out: u64,
    /// Times that a caller was not read from because a callee did not keep up with the parts of its call.
    pub calls_stalled: u64,
    /// Parts of progressive calls that came after their call had been answered.
    pub late_call_parts: u64,
    /// Subscriptions taken back from their subscribers.
    pub subscriptions_revoked: u64,
    /// Registrations taken back from a session by the router.
    pub registrations_revoked: u64,
    /// YIELD and ERROR that came after their call had been answered otherwise.
    pub late_answers: u64,
    /// ERRORs of callees whose URI was none, so that their callers were told of that instead.
    pub invalid_error_uris: u64,
    /// Messages that a receiver could not be given: not expressible in its serializer, or too large for it.
    pub undeliverable: u64,
    /// Requests refused because the session did not announce the role that makes them.
    pub role_not_announced: u64,
    /// Requests refused by the role's permissions.
    pub denied: u64,
    /// Testaments published.
    pub testaments_published: u64,
    /// Retained events dropped to make room for others.
    pub retained_evicted: u64,
    /// Retained events dropped because their publisher, or its role, had more than its share.
    pub retained_over_share: u64,
    /// Events not retained because they are larger than everything that may be.
    pub retained_refused: u64,
    /// SUBSCRIBEs whose look-up of retained events ended at a limit, so that some may not have been sent.
    pub retained_truncated: u64,
    /// Events dropped from the history to make room for later ones.
    pub history_dropped: u64,
    /// Requests refused by a limit on what one session may hold.
    pub limited: u64,
    /// Request ids out of sequence, with [`RequestIdCheck::Warn`](super::RequestIdCheck::Warn).
    pub request_ids_out_of_sequence: u64,
    /// How often a session was no longer read from because
    /// [`Limits::max_held_requests`](super::Limits::max_held_requests) were held.
    pub held_full: u64,
    /// Cached verdicts dropped by [`Limits::max_cached_verdicts`](super::Limits::max_cached_verdicts).
    pub verdicts_dropped: u64,
    /// Requests, ends of sessions and changes of permissions that took more than
    /// [`Limits::work_slice`](super::Limits::work_slice), and were gone on with later.
    pub jobs_put_off: u64,
    /// Lists of the meta API that ended at [`Limits::max_list_reply`](super::Limits::max_list_reply).
    pub lists_truncated: u64,
    /// Answers to questions that were no longer asked.
    pub stale_decisions: u64,
    /// Questions that were not answered: their peers left, their time was up, or their requests were canceled.
    pub withdrawn_decisions: u64,
    /// HELLOs refused by [`Limits::max_authid_length`](super::Limits::max_authid_length) or
    /// [`Limits::max_authmethods`](super::Limits::max_authmethods).
    pub hellos_too_long: u64,
}
