//! What a server counts.

#[cfg(doc)]
use crate::{ListenerConfig, ServerLimits};

/// Counters of a server beyond those of its router, and how much it holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections now.
    pub connections: usize,
    /// Connections now without a session.
    pub opening: usize,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed because of [`ServerLimits::max_connections`].
    pub refused: u64,
    /// Connections closed because of [`ServerLimits::per_address`].
    pub refused_by_address: u64,
    /// Connections closed because they did not come from a trusted proxy, see [`ListenerConfig::proxies`].
    pub refused_as_no_proxy: u64,
    /// Connections and requests of trusted proxies refused because what should tell the address of a client was malformed.
    pub proxy_headers_malformed: u64,
    /// Connections without a session dropped to make room: for [`ServerLimits::max_opening`],
    /// [`ServerLimits::max_connections`], or for want of file descriptors.
    pub opening_dropped: u64,
    /// Connections dropped because of [`ServerLimits::max_memory_before_join`].
    pub memory_dropped_before_join: u64,
    /// Connections dropped because of [`ServerLimits::max_receive_memory`].
    pub receive_memory_dropped: u64,
    /// Connections ended because of [`ServerLimits::max_message_before_join`].
    pub too_long_before_join: u64,
    /// Bytes held now for peers that have not joined a session, see [`ServerLimits::max_memory_before_join`].
    pub memory_before_join: usize,
    /// Bytes in receive buffers now, see [`ServerLimits::max_receive_memory`].
    pub receive_memory: usize,
    /// Times that a TLS handshake went on, see [`ServerLimits::max_tls_handshakes_per_turn`].
    pub tls_handshake_steps: u64,
    /// Turns after which TLS handshakes had to wait.
    pub tls_handshakes_deferred: u64,
    /// Times that accepting was paused because the system had no resources.
    pub accept_pauses: u64,
    /// Connections closed because of [`ServerLimits::write_timeout`].
    pub write_timeouts: u64,
    /// The most bytes that ever waited for one connection, see [`ServerLimits::max_pending`].
    pub peak_pending: usize,
    /// Frames written into queues, each once per receiver.
    pub frames_queued: u64,
    /// Turns that ended because the router had worked for as long as
    /// [`Limits::work_slice`](wampd_core::router::Limits::work_slice) says.
    pub turns_cut: u64,
    /// WAMP messages received.
    pub messages_received: u64,
    /// Messages in JSON with halves of surrogate pairs, which were replaced by U+FFFD.
    pub surrogates_replaced: u64,
    /// Bytes received.
    pub bytes_received: u64,
}
