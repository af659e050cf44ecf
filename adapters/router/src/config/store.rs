//! The store of a realm: what is kept of the past.

use super::reader::{Context, Item};
use std::ops::RangeInclusive;
use wampd_core::router::EventHistory;
use wampd_core::uri::{MatchPolicy, Uri, UriRule};

/// Events kept for a topic if nothing is said. As with Crossbar.io.
const DEFAULT_LIMIT: u64 = 100;
/// Asking costs a walk over what is kept.
const LIMITS: RangeInclusive<u64> = 1..=1_000_000;

/// `store` of a realm: `{"type": "memory", "limit": N, "event-history": [{"uri": ..., "match": ..., "limit": N}]}`.
pub(super) fn read(cx: &mut Context<'_>, item: &Item<'_>, rule: UriRule) -> Option<Vec<EventHistory>> {
    let mut section = item.map(cx)?;
    if let Some(kind) = section.require(cx, "type", "memory")
        && kind.str(cx).is_some_and(|kind| kind != "memory")
    {
        // What else such a store has is of no interest.
        cx.error(&kind.place, "only the store \"memory\" is supported", "past events do not outlive the router");
        return None;
    }
    let limit = section.integer(cx, "limit", LIMITS, "", DEFAULT_LIMIT);
    let mut histories: Vec<EventHistory> = Vec::new();
    if let Some(item) = section.get("event-history") {
        for item in item.list(cx).unwrap_or_default() {
            let Some(history) = history(cx, &item, rule, limit) else { continue };
            if histories.iter().any(|other| (&other.uri, other.matching) == (&history.uri, history.matching)) {
                let message = format!("there is already a history of {:?}", history.uri.as_str());
                cx.error(&item.place, message, "keep the one you mean");
                continue;
            }
            histories.push(history);
        }
    }
    section.refuse(cx, &[("call-queue", "remove it: how many calls wait is up to wampd.limits.max_queued_calls")]);
    section.finish(cx);
    Some(histories)
}

fn history(cx: &mut Context<'_>, item: &Item<'_>, rule: UriRule, default: u64) -> Option<EventHistory> {
    let mut section = item.map(cx)?;
    let uri = section.require(cx, "uri", "the topic or pattern whose events are kept");
    let policies =
        [("exact", MatchPolicy::Exact), ("prefix", MatchPolicy::Prefix), ("wildcard", MatchPolicy::Wildcard)];
    let matching = section.get("match").map_or(Some(MatchPolicy::Exact), |item| item.one_of(cx, &policies));
    let limit = section.integer(cx, "limit", LIMITS, "", default);
    section.finish(cx);
    let (uri, matching) = (uri?, matching?);
    let text = uri.str(cx)?;
    match Uri::parse_pattern(text, rule, matching) {
        Ok(parsed) if parsed.is_reserved() => {
            cx.error(&uri.place, "no history is kept of the router's own topics", "");
            None
        }
        Ok(parsed) => {
            let limit = usize::try_from(limit).ok()?;
            Some(EventHistory { uri: parsed, matching, limit })
        }
        Err(error) => {
            let hint = match rule {
                UriRule::Strict => "a topic or pattern that clients can subscribe to; see also options.uri_check",
                UriRule::Loose => "a topic or pattern that clients can subscribe to",
            };
            cx.error(&uri.place, format!("{text:?} can not be matched {}: {error}", matching.as_str()), hint);
            None
        }
    }
}
