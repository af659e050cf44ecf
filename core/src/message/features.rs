use core::fmt;
use core::ops::{BitOr, BitOrAssign};

/// A set of advanced features that a role announces (spec: "Feature Announcement"). Unknown names are ignored.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Features(u32);

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Features {
            features!(@consts 0u32; $($(#[$doc])* $name;)*);

            /// Every feature with its name on the wire, in a fixed order.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),*];
        }
    };
    (@consts $n:expr; ) => {};
    (@consts $n:expr; $(#[$doc:meta])* $name:ident; $($rest:tt)*) => {
        $(#[$doc])*
        pub const $name: Self = Self(1 << ($n));
        features!(@consts $n + 1; $($rest)*);
    };
}

features! {
    /// progressive_call_results
    PROGRESSIVE_CALL_RESULTS = "progressive_call_results";
    /// progressive_call_invocations
    PROGRESSIVE_CALL_INVOCATIONS = "progressive_call_invocations";
    /// call_timeout
    CALL_TIMEOUT = "call_timeout";
    /// call_canceling
    CALL_CANCELING = "call_canceling";
    /// caller_identification
    CALLER_IDENTIFICATION = "caller_identification";
    /// call_trustlevels
    CALL_TRUSTLEVELS = "call_trustlevels";
    /// registration_meta_api
    REGISTRATION_META_API = "registration_meta_api";
    /// pattern_based_registration
    PATTERN_BASED_REGISTRATION = "pattern_based_registration";
    /// shared_registration
    SHARED_REGISTRATION = "shared_registration";
    /// sharded_registration
    SHARDED_REGISTRATION = "sharded_registration";
    /// registration_revocation
    REGISTRATION_REVOCATION = "registration_revocation";
    /// call_reroute
    CALL_REROUTE = "call_reroute";
    /// testament_meta_api
    TESTAMENT_META_API = "testament_meta_api";
    /// session_meta_api
    SESSION_META_API = "session_meta_api";
    /// payload_passthru_mode
    PAYLOAD_PASSTHRU_MODE = "payload_passthru_mode";
    /// payload_transparency
    PAYLOAD_TRANSPARENCY = "payload_transparency";
    /// payload_encryption_cryptobox
    PAYLOAD_ENCRYPTION_CRYPTOBOX = "payload_encryption_cryptobox";
    /// subscriber_blackwhite_listing
    SUBSCRIBER_BLACKWHITE_LISTING = "subscriber_blackwhite_listing";
    /// publisher_exclusion
    PUBLISHER_EXCLUSION = "publisher_exclusion";
    /// publisher_identification
    PUBLISHER_IDENTIFICATION = "publisher_identification";
    /// publication_trustlevels
    PUBLICATION_TRUSTLEVELS = "publication_trustlevels";
    /// subscription_meta_api
    SUBSCRIPTION_META_API = "subscription_meta_api";
    /// pattern_based_subscription
    PATTERN_BASED_SUBSCRIPTION = "pattern_based_subscription";
    /// sharded_subscription
    SHARDED_SUBSCRIPTION = "sharded_subscription";
    /// event_history
    EVENT_HISTORY = "event_history";
    /// event_retention
    EVENT_RETENTION = "event_retention";
    /// subscription_revocation
    SUBSCRIPTION_REVOCATION = "subscription_revocation";
    /// x_acknowledged_event_delivery
    X_ACKNOWLEDGED_EVENT_DELIVERY = "x_acknowledged_event_delivery";
}

impl Features {
    /// No feature.
    pub const NONE: Self = Self(0);

    /// The feature of this name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, text)| *text == name).map(|(feature, _)| *feature)
    }

    /// The features of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every feature of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the features in this set, in the order of [`Features::ALL`].
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(move |(feature, _)| self.contains(*feature)).map(|(_, text)| *text)
    }
}

impl BitOr for Features {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Features {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.union(other);
    }
}

impl fmt::Debug for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// The roles of a client with the features of each; `None` where it does not have the role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientRoles {
    /// Publishes events.
    pub publisher: Option<Features>,
    /// Receives events.
    pub subscriber: Option<Features>,
    /// Calls procedures.
    pub caller: Option<Features>,
    /// Offers procedures.
    pub callee: Option<Features>,
}

impl ClientRoles {
    /// Whether no role is announced, which HELLO must not do.
    pub const fn is_empty(&self) -> bool {
        self.publisher.is_none() && self.subscriber.is_none() && self.caller.is_none() && self.callee.is_none()
    }
}

/// The roles of a router with the features of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouterRoles {
    /// Routes events.
    pub broker: Option<Features>,
    /// Routes calls.
    pub dealer: Option<Features>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_bits_agree() {
        let mut seen = Features::NONE;
        for &(feature, name) in Features::ALL {
            assert!(!seen.contains(feature), "{name} shares its bit");
            assert_eq!(Features::from_name(name), Some(feature));
            seen |= feature;
        }
        assert_eq!(seen.names().count(), Features::ALL.len());
        assert_eq!(Features::from_name("no_such_feature"), None);
    }
}
