//! Ticket-based authentication (spec: "Ticket-based Authentication" in the Advanced Profile): the client shows a text
//! that the router knows, or knows the digest of.

use core::fmt;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// The SHA-256 digest of a ticket: enough to check the ticket, not enough to use it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TicketDigest([u8; 32]);

impl TicketDigest {
    /// The digest of a ticket's UTF-8 bytes.
    pub fn of(ticket: &str) -> Self {
        Self(Sha256::digest(ticket).into())
    }

    /// A digest computed before.
    pub const fn from_bytes(sha256: [u8; 32]) -> Self {
        Self(sha256)
    }

    /// Whether this is the digest of `ticket`; compares in constant time.
    #[must_use]
    pub fn matches(&self, ticket: &str) -> bool {
        self.0.ct_eq(&Self::of(ticket).0).into()
    }
}

/// Tickets can be short: their digests are not printed either.
impl fmt::Debug for TicketDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketDigest(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_its_ticket_only() {
        let digest = TicketDigest::of("abc");
        let fips_180_2 = *b"\xba\x78\x16\xbf\x8f\x01\xcf\xea\x41\x41\x40\xde\x5d\xae\x22\x23\xb0\x03\x61\xa3\x96\x17\x7a\x9c\xb4\x10\xff\x61\xf2\x00\x15\xad";
        assert_eq!(digest, TicketDigest::from_bytes(fips_180_2));
        assert!(digest.matches("abc"));
        for other in ["", "ab", "abcd", "ABC"] {
            assert!(!digest.matches(other), "{other:?}");
        }
        assert!(TicketDigest::of("").matches(""));
    }

    #[test]
    fn is_not_printed() {
        assert_eq!(format!("{:?}", TicketDigest::of("abc")), "TicketDigest(***)");
    }
}
