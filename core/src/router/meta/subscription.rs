//! `wamp.subscription.*` (spec: "Subscriptions Meta API"), and Crossbar.io's `remove_subscriber`.

use super::arguments::Arguments;
use super::{Answer, Caller, Effect, Refusal, by_policy, match_option, revocation_reason};
use crate::id::{SessionId, SubscriptionId};
use crate::router::Router;
use crate::router::broker::Subscription;
use crate::router::session::sorted_keys;
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

impl Router {
    /// Of the whole realm, or (as with Crossbar.io) of one session.
    pub(super) fn subscription_list(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let session: Option<SessionId> = args.optional("session")?;
        args.finish()?;
        let subscriptions = &self.realms.get(caller.realm).broker.subscriptions;
        let lists = match session {
            None => by_policy(subscriptions.iter().map(|(id, found)| (found.matching, id.get()))),
            Some(session) => {
                let held = sorted_keys(&self.session_of(caller, session)?.1.subscriptions);
                by_policy(held.iter().filter_map(|&id| Some((subscriptions.get(id)?.matching, id.get()))))
            }
        };
        Ok(Answer::value(lists))
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

    pub(super) fn subscription_list_subscribers(&self, caller: Caller, args: Arguments) -> Result<Answer, Refusal> {
        let (_, subscription) = self.subscription_of(caller, args)?;
        let subscribers = subscription.subscribers.iter().filter_map(|key| self.session(key));
        Ok(Answer::value(subscribers.map(|session| session.id.get().into()).collect::<Vec<Value>>()))
    }

    pub(super) fn subscription_count_subscribers(&self, caller: Caller, args: Arguments) -> Result<Answer, Refusal> {
        let (_, subscription) = self.subscription_of(caller, args)?;
        Ok(Answer::value(subscription.subscribers.len() as u64))
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
            let text = format!("session {subscriber} does not hold subscription {subscription}");
            return Err((error::NO_SUCH_SUBSCRIPTION, text));
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
