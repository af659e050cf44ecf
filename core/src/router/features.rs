//! What WELCOME announces: each feature exactly when it works.

use super::permission::Action;
use super::realm::{Realm, Role};
use crate::message::{Features, RouterRoles};
use crate::uri::MatchPolicy;

const EXACT: MatchPolicy = MatchPolicy::Exact;

const PAYLOADS: Features = Features::PAYLOAD_PASSTHRU_MODE.union(Features::PAYLOAD_TRANSPARENCY);

const BROKER: Features = Features::PUBLISHER_IDENTIFICATION
    .union(PAYLOADS)
    .union(Features::PUBLISHER_EXCLUSION)
    .union(Features::SUBSCRIBER_BLACKWHITE_LISTING)
    .union(Features::PATTERN_BASED_SUBSCRIPTION)
    .union(Features::SHARDED_SUBSCRIPTION)
    .union(Features::SUBSCRIPTION_REVOCATION)
    .union(Features::EVENT_RETENTION);

const DEALER: Features = Features::CALLER_IDENTIFICATION
    .union(PAYLOADS)
    .union(Features::CALL_CANCELING)
    .union(Features::CALL_TIMEOUT)
    .union(Features::CALL_REROUTE)
    .union(Features::PROGRESSIVE_CALL_RESULTS)
    .union(Features::PROGRESSIVE_CALL_INVOCATIONS)
    .union(Features::PATTERN_BASED_REGISTRATION)
    .union(Features::SHARED_REGISTRATION)
    .union(Features::SHARDED_REGISTRATION)
    .union(Features::REGISTRATION_REVOCATION);

/// Of the broker, where the realm has the meta API.
const META_BROKER: Features = Features::SESSION_META_API.union(Features::SUBSCRIPTION_META_API);

/// Of the dealer, where the realm has the meta API.
const META_DEALER: Features =
    Features::SESSION_META_API.union(Features::REGISTRATION_META_API).union(Features::TESTAMENT_META_API);

/// The router's roles and features in a realm, for a session of a role.
///
/// Trust levels are told where any role has one. The history is announced to those who may ask for it; of a role whose
/// permissions are asked for each time nobody knows that before.
pub(crate) fn announced(realm: &Realm, role: Role) -> RouterRoles {
    let (mut broker, mut dealer) = (BROKER, DEALER);
    if realm.has_trustlevels() {
        broker |= Features::PUBLICATION_TRUSTLEVELS;
        dealer |= Features::CALL_TRUSTLEVELS;
    }
    let may_call = |uri| realm.permissions(role).is_none_or(|allowed| allowed.decide(Action::Call, uri, EXACT).allow);
    if realm.meta_api {
        broker |= META_BROKER;
        dealer |= META_DEALER;
        if !realm.broker.histories.is_empty() && may_call("wamp.subscription.get_events") {
            broker |= Features::EVENT_HISTORY;
        }
    }
    RouterRoles { broker: Some(broker), dealer: Some(dealer) }
}
