//! WAMP ids: integers in 1..=2^53, one type for each thing that has an id
//! (spec: "IDs" in the Basic Profile's building blocks).

use core::fmt;
use core::num::NonZeroU64;

/// The largest id: 2^53, the largest integer that a double holds without gaps below it.
pub const MAX_ID: u64 = 1 << 53;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(NonZeroU64);

        impl $name {
            /// The id with this value; `None` outside 1..=2^53.
            pub const fn new(value: u64) -> Option<Self> {
                match NonZeroU64::new(value) {
                    Some(id) if value <= MAX_ID => Some(Self(id)),
                    _ => None,
                }
            }

            /// The value, in 1..=2^53.
            pub const fn get(self) -> u64 {
                self.0.get()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// A session, in the global scope: drawn at random by the router.
    SessionId
    /// A publication, in the global scope: drawn at random by the broker.
    PublicationId
    /// A subscription, in the router scope: chosen by the broker.
    SubscriptionId
    /// A registration, in the router scope: chosen by the dealer.
    RegistrationId
    /// A request, in the session scope: sequential from 1 in each direction of one session.
    RequestId
}

impl RequestId {
    /// The first request id of a session.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The id that follows in sequence; 2^53 is followed by 1.
    #[must_use]
    pub const fn next(self) -> Self {
        match Self::new(self.get() + 1) {
            Some(next) => next,
            None => Self::FIRST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_is_1_to_2_pow_53() {
        assert_eq!(SessionId::new(0), None);
        assert_eq!(SessionId::new(MAX_ID + 1), None);
        assert_eq!(SessionId::new(MAX_ID).map(SessionId::get), Some(MAX_ID));
    }

    #[test]
    fn requests_wrap_after_the_largest() {
        assert_eq!(RequestId::FIRST.next().get(), 2);
        assert_eq!(RequestId::new(MAX_ID).map(RequestId::next), Some(RequestId::FIRST));
    }
}
