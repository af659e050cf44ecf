//! TLS channel binding: proofs that hold on one TLS connection only (RFC 5056).

use core::fmt;

/// The one type of channel binding that is supported: `tls-exporter` (RFC 9266).
///
/// `tls-unique` does not exist in TLS 1.3.
pub const TLS_EXPORTER: &str = "tls-exporter";

/// What both ends of a TLS connection, and nobody else, can compute: the `tls-exporter` value of RFC 9266 (label
/// `EXPORTER-Channel-Binding`, empty context, 32 bytes).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChannelBinding([u8; 32]);

impl ChannelBinding {
    /// The exported value of a connection.
    pub const fn tls_exporter(value: [u8; 32]) -> Self {
        Self(value)
    }

    /// The name of its type: [`TLS_EXPORTER`].
    pub const fn kind(&self) -> &'static str {
        TLS_EXPORTER
    }

    /// The value.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Not the value: it belongs to the connection.
impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelBinding({})", self.kind())
    }
}
