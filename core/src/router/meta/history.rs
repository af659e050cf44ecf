//! `wamp.subscription.get_events` (spec: "Event History").

use super::arguments::{Argument, Arguments, invalid};
use super::{Answer, Caller, Refusal};
use crate::id::SubscriptionId;
use crate::router::Router;
use crate::router::broker::Subscription;
use crate::router::history::{Query, Range, UnknownPublication};
use crate::router::permission::Action;
use crate::router::realm::Role;
use crate::uri::error;
use crate::value::{Dict, Value};
use core::num::NonZeroU64;
use core::ops::Bound;

impl Router {
    /// Past events of a subscription. A second positional argument is Crossbar.io's: so many events, the latest first.
    ///
    /// Keyword arguments in the result say only that the router's own limits made it shorter: `{"truncated": true}`.
    pub(super) fn subscription_get_events(&self, caller: Caller, mut args: Arguments) -> Result<Answer, Refusal> {
        let id: SubscriptionId = args.required("subscription")?;
        let query = query(&mut args)?;
        args.finish()?;
        let subscription = self.subscription_with(caller, id)?;
        if !self.may_subscribe(caller, id, subscription) {
            let text = format!("session is not authorized to subscribe to topic '{}'", subscription.uri);
            return Err((error::NOT_AUTHORIZED, text));
        }
        let Some(history) = &subscription.history else {
            let text = format!("no history is kept of subscription {id}, '{}'", subscription.uri);
            return Err((error::HISTORY_UNAVAILABLE, text));
        };
        let Some(session) = self.session(caller.key) else { return Ok(Answer::value(Vec::new())) };
        let found = history.find(id, &query, session, &self.config.limits).map_err(|UnknownPublication(unknown)| {
            invalid(format!("publication {unknown} is not among the events of subscription {id} (any more)"))
        })?;
        self.work.add(found.work);
        let truncated = found.truncated.then(|| ("truncated".to_owned(), Value::Bool(true)));
        Ok(Answer { kwargs: truncated.into_iter().collect::<Dict>(), ..Answer::value(found.events) })
    }

    /// Whoever has a subscription, or could have it by the role's rules, may know its past. Of a role whose permissions
    /// are asked for only the subscribers: nobody has been asked about others.
    fn may_subscribe(&self, caller: Caller, id: SubscriptionId, subscription: &Subscription) -> bool {
        let Some(session) = self.session(caller.key) else { return false };
        if session.role == Role::Trusted || session.subscriptions.contains_key(&id) {
            return true;
        }
        let (uri, matching) = (subscription.uri.as_str(), subscription.matching);
        let permissions = self.realms.get(caller.realm).permissions(session.role);
        permissions.is_some_and(|permissions| permissions.decide(Action::Subscribe, uri, matching).allow)
    }
}

fn query(args: &mut Arguments) -> Result<Query, Refusal> {
    let latest: Option<NonZeroU64> = args.optional("limit")?;
    let limit = match (latest, args.keyword("limit")?) {
        (Some(_), Some(_)) => return Err(invalid("limit is given twice".to_owned())),
        (first, second) => first.or(second),
    };
    Ok(Query {
        reverse: args.keyword("reverse")?.unwrap_or_else(|| latest.is_some()),
        limit: limit.map_or(usize::MAX, |limit| usize::try_from(limit.get()).unwrap_or(usize::MAX)),
        time: both(args, ["from_time", "until_time"], ["after_time", "before_time"])?,
        publications: both(
            args,
            ["from_publication", "until_publication"],
            ["after_publication", "before_publication"],
        )?,
        topic: args.keyword("topic")?,
    })
}

/// Two ranges, one whose ends belong to it and one whose ends do not; what is in both is meant.
fn both<T: Argument>(args: &mut Arguments, with: [&str; 2], without: [&str; 2]) -> Result<[Range<T>; 2], Refusal> {
    let mut end = |name: &str, bound: fn(T) -> Bound<T>| Ok(args.keyword(name)?.map_or(Bound::Unbounded, bound));
    Ok([
        (end(with[0], Bound::Included)?, end(with[1], Bound::Included)?),
        (end(without[0], Bound::Excluded)?, end(without[1], Bound::Excluded)?),
    ])
}
