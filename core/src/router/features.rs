//! What WELCOME announces: each feature exactly when it works.

use crate::message::{Features, RouterRoles};

const BROKER: Features = Features::PUBLISHER_IDENTIFICATION
    .union(Features::PUBLISHER_EXCLUSION)
    .union(Features::SUBSCRIBER_BLACKWHITE_LISTING)
    .union(Features::PATTERN_BASED_SUBSCRIPTION)
    .union(Features::PUBLICATION_TRUSTLEVELS)
    .union(Features::SHARDED_SUBSCRIPTION)
    .union(Features::EVENT_RETENTION);

const DEALER: Features = Features::CALLER_IDENTIFICATION
    .union(Features::CALL_CANCELING)
    .union(Features::CALL_TIMEOUT)
    .union(Features::CALL_TRUSTLEVELS)
    .union(Features::CALL_REROUTE)
    .union(Features::PROGRESSIVE_CALL_RESULTS)
    .union(Features::PROGRESSIVE_CALL_INVOCATIONS)
    .union(Features::PATTERN_BASED_REGISTRATION)
    .union(Features::SHARED_REGISTRATION)
    .union(Features::SHARDED_REGISTRATION)
    .union(Features::REGISTRATION_REVOCATION);

/// Of the broker, where the realm has the meta API.
const META_BROKER: Features =
    Features::SESSION_META_API.union(Features::SUBSCRIPTION_META_API).union(Features::SUBSCRIPTION_REVOCATION);

/// Of the dealer, where the realm has the meta API.
const META_DEALER: Features =
    Features::SESSION_META_API.union(Features::REGISTRATION_META_API).union(Features::REGISTRATION_REVOCATION);

/// The router's roles and features, in a realm with or without the meta API.
pub(crate) const fn announced(meta_api: bool) -> RouterRoles {
    if meta_api {
        RouterRoles { broker: Some(BROKER.union(META_BROKER)), dealer: Some(DEALER.union(META_DEALER)) }
    } else {
        RouterRoles { broker: Some(BROKER), dealer: Some(DEALER) }
    }
}
