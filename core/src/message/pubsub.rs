use super::{EventDetails, Payload, PublishOptions, Revocation, SubscribeOptions};
use crate::id::{PublicationId, RequestId, SubscriptionId};
use crate::uri::Uri;

/// `[PUBLISH, Request|id, Options|dict, Topic|uri (, Arguments|list (, ArgumentsKw|dict))]`
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// Chosen by the publisher.
    pub request: RequestId,
    /// How to publish.
    pub options: PublishOptions,
    /// The topic.
    pub topic: Uri,
    /// The event.
    pub payload: Payload,
}

/// `[PUBLISHED, PUBLISH.Request|id, Publication|id]`
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// The request answered.
    pub request: RequestId,
    /// The publication's id.
    pub publication: PublicationId,
}

/// `[SUBSCRIBE, Request|id, Options|dict, Topic|uri]`
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribe {
    /// Chosen by the subscriber.
    pub request: RequestId,
    /// How to match the topic.
    pub options: SubscribeOptions,
    /// The topic or topic pattern.
    pub topic: Uri,
}

/// `[SUBSCRIBED, SUBSCRIBE.Request|id, Subscription|id]`
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribed {
    /// The request answered.
    pub request: RequestId,
    /// The subscription, shared by all subscribers of this topic and match policy.
    pub subscription: SubscriptionId,
}

/// `[UNSUBSCRIBE, Request|id, SUBSCRIBED.Subscription|id]`
#[derive(Clone, Debug, PartialEq)]
pub struct Unsubscribe {
    /// Chosen by the subscriber.
    pub request: RequestId,
    /// The subscription to leave.
    pub subscription: SubscriptionId,
}

/// `[UNSUBSCRIBED, UNSUBSCRIBE.Request|id (, Details|dict)]`
#[derive(Clone, Debug, PartialEq)]
pub struct Unsubscribed {
    /// The request answered; `None` (0 on the wire) when the router revokes a subscription.
    pub request: Option<RequestId>,
    /// What was revoked; only without a request.
    pub revocation: Option<Box<Revocation<SubscriptionId>>>,
}

/// `[EVENT, SUBSCRIBED.Subscription|id, PUBLISHED.Publication|id, Details|dict (, Arguments|list (, ArgumentsKw|dict))]`
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The subscription that matched.
    pub subscription: SubscriptionId,
    /// The publication.
    pub publication: PublicationId,
    /// About the publication.
    pub details: EventDetails,
    /// The event.
    pub payload: Payload,
}

/// `[EVENT_RECEIVED, EVENT.Publication|id]`
#[derive(Clone, Debug, PartialEq)]
pub struct EventReceived {
    /// The publication that arrived.
    pub publication: PublicationId,
}
