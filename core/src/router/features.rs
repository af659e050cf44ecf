//! What WELCOME announces: each feature exactly when it works.

use crate::message::{Features, RouterRoles};

const BROKER: Features = Features::PUBLISHER_IDENTIFICATION
    .union(Features::PUBLISHER_EXCLUSION)
    .union(Features::SUBSCRIBER_BLACKWHITE_LISTING)
    .union(Features::PATTERN_BASED_SUBSCRIPTION);

const DEALER: Features = Features::CALLER_IDENTIFICATION
    .union(Features::CALL_CANCELING)
    .union(Features::CALL_TIMEOUT)
    .union(Features::PROGRESSIVE_CALL_RESULTS)
    .union(Features::PATTERN_BASED_REGISTRATION)
    .union(Features::SHARED_REGISTRATION);

/// The router's roles and features.
pub(crate) const fn announced() -> RouterRoles {
    RouterRoles { broker: Some(BROKER), dealer: Some(DEALER) }
}
