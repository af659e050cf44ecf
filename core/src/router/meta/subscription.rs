//! `wamp.subscription.*` (spec: "Subscriptions Meta API"), and Crossbar.io's `remove_subscriber`.

use super::arguments::Arguments;
use super::list::{Kind, Source};
use super::{Answer, Caller, Effect, Refusal, match_option, revocation_reason};
use crate::id::{SessionId, SubscriptionId};
use crate::router::Router;
use crate::router::broker::Subscription;
use crate::uri::error;
use crate::value::{Dict, Value};

/// What is told of a subscription to whoever asks, and when it is created.
pub(super) fn details(id: SubscriptionId, subscription: &Subscription) -> Dict {
    Dict::from([
        ("id".to_owned(), id.get().into()),
        ("created".to_owned(), subscription.created.to_iso8601().into()),
        ("uri".to_owned(), subscription.uri.as_str().into()),
        ("match".to_owned(), subscription.matching.as_str().into()),
    ])
}

fn not_subscribed(session: SessionId, id: SubscriptionId) -> Refusal {
    (error::NO_SUCH_SUBSCRIPTION, format!("session {session} does not hold subscription {id}"))
}

impl Router {
    /// Of the whole realm, or (as with Crossbar.io) of one session.
    pub(super) fn subscription_list(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let session: Option<SessionId> = args.optional("session")?;
        let after = args.keyword("after")?;
        args.finish()?;
        let source = match session {
            None => Source::Subscriptions { after },
            Some(session) => {
                self.session_of(caller, session)?;
                Source::SubscriptionsOf { session, after }
            }
        };
        Ok(Answer::listing(caller, source, Kind::ListByPolicy))
    }

    pub(super) fn subscription_lookup(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let topic: String = args.required("topic")?;
        let matching = match_option(&mut args)?;
        args.finish()?;
        let found = self.realms.get(caller.realm).broker.by_uri.get(matching, &topic);
        Ok(Answer::value(found.map_or(Value::Null, |id| id.get().into())))
    }

    pub(super) fn subscription_match(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let topic: String = args.required("topic")?;
        args.finish()?;
        let mut found: Vec<Value> = Vec::new();
        let broker = &self.realms.get(caller.realm).broker;
        broker.by_uri.for_each_match(&topic, |id| found.push(id.get().into()));
        Ok(Answer::value(if found.is_empty() { Value::Null } else { found.into() }))
    }

    pub(super) fn subscription_get(&self, caller: Caller, args: Arguments) -> Result<Answer, Refusal> {
        let (id, subscription) = self.subscription_of(caller, args)?;
        Ok(Answer::value(details(id, subscription)))
    }

    pub(super) fn subscription_list_subscribers(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let after: Option<SessionId> = args.keyword("after")?;
        let (id, subscription) = self.subscription_of(caller, args)?;
        let place = |session| {
            let place = self.session_of(caller, session)?.1.subscriptions.get(&id);
            place.map(|&place| subscription.subscribers.locate(place)).ok_or_else(|| not_subscribed(session, id))
        };
        let source = Source::Subscribers { subscription: id, after: after.map(place).transpose()? };
        Ok(Answer::listing(caller, source, Kind::List))
    }

    pub(super) fn subscription_count_subscribers(&self, caller: Caller, args: Arguments) -> Result<Answer, Refusal> {
        let (id, subscription) = self.subscription_of(caller, args)?;
        if self.leaving.is_empty() {
            return Ok(Answer::value(subscription.subscribers.len() as u64));
        }
        Ok(Answer::listing(caller, Source::Subscribers { subscription: id, after: None }, Kind::Count))
    }

    pub(super) fn subscription_remove_subscriber(
        &self,
        caller: Caller,
        mut args: Arguments,
    ) -> Result<Answer, Refusal> {
        let subscription: SubscriptionId = args.required("subscription")?;
        let subscriber: SessionId = args.required("subscriber")?;
        let reason = revocation_reason(&mut args)?;
        args.finish()?;
        self.subscription_with(caller, subscription)?;
        let (session, found) = self.session_of(caller, subscriber)?;
        if !found.subscriptions.contains_key(&subscription) {
            return Err(not_subscribed(subscriber, subscription));
        }
        Ok(Answer::effect(Effect::RemoveSubscriber { session, subscription, reason }))
    }

    /// The subscription that is the only argument.
    fn subscription_of(&self, caller: Caller, mut args: Arguments) -> Result<(SubscriptionId, &Subscription), Refusal> {
        let id = args.required("subscription")?;
        args.finish()?;
        Ok((id, self.subscription_with(caller, id)?))
    }

    pub(super) fn subscription_with(&self, caller: Caller, id: SubscriptionId) -> Result<&Subscription, Refusal> {
        let found = self.realms.get(caller.realm).broker.subscriptions.get(id);
        found.ok_or_else(|| (error::NO_SUCH_SUBSCRIPTION, format!("no subscription with ID {id} exists on this realm")))
    }
}
