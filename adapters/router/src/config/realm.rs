//! Realms, roles and permissions.

use super::authorizer::{self, Authorizer};
use super::exposure::Deciding;
use super::reader::{Context, Item, Place, Section};
use std::collections::BTreeMap;
use std::time::Duration;
use wampd_core::id::MAX_ID;
use wampd_core::router::{
    Allow, Disclose, ForceReregister, Permissions, RealmConfig, RequestIdCheck, RoleConfig, Rule, SlowSubscribers,
};
use wampd_core::uri::{MatchPolicy, Uri, UriRule};

/// A realm, and the authorizers of its roles.
pub(super) fn read(
    cx: &mut Context<'_>,
    item: &Item<'_>,
    others: &[RealmConfig],
) -> Option<(RealmConfig, BTreeMap<String, Authorizer>)> {
    let mut section = item.map(cx)?;
    let name = section.require(cx, "name", "the name that clients join").and_then(|item| name(cx, &item, others));
    let mut realm = RealmConfig::new(name.clone().unwrap_or_default(), Vec::new());
    // What a client is for that registers again while the router does not know that its connection is dead.
    realm.force_reregister = ForceReregister::SamePrincipal;
    options(cx, &mut section, &mut realm);
    let mut authorizers = BTreeMap::new();
    if let Some(item) = section.get("roles") {
        for item in item.list(cx).unwrap_or_default() {
            if let Some((role, authorizer)) = role(cx, &item, &realm) {
                authorizers.extend(authorizer.map(|authorizer| (role.name.clone(), authorizer)));
                realm.roles.push(role);
            }
        }
    }
    section.get("id");
    section.get("description");
    if let Some(item) = section.get("store") {
        realm.event_history = super::store::read(cx, &item, realm.uri_rule).unwrap_or_default();
    }
    section.finish(cx);
    name?;
    cx.sources.realms.push((realm.name.clone(), item.place.clone()));
    Some((realm, authorizers))
}

fn name(cx: &mut Context<'_>, item: &Item<'_>, others: &[RealmConfig]) -> Option<Uri> {
    let text = item.name(cx)?;
    let Ok(name) = Uri::parse(&text, UriRule::Loose) else {
        cx.error(&item.place, format!("{text:?} is not a realm name"), "a URI: no spaces, no #, no empty component");
        return None;
    };
    if others.iter().any(|other| other.name == name) {
        cx.error(&item.place, format!("there is already a realm {text:?}"), "merge the two, or rename one");
        return None;
    }
    Some(name)
}

fn options(cx: &mut Context<'_>, section: &mut Section<'_>, realm: &mut RealmConfig) {
    if let Some(mut options) = section.get("options").and_then(|item| item.map(cx)) {
        if let Some(item) = options.get("uri_check") {
            let rules = [("strict", UriRule::Strict), ("loose", UriRule::Loose)];
            realm.uri_rule = item.one_of(cx, &rules).unwrap_or(realm.uri_rule);
        }
        realm.meta_api = options.bool(cx, "enable_meta_api", realm.meta_api);
        options.fixed(cx, "bridge_meta_api", false, "meta events are told to the sessions of the realm only");
        options.ignore(cx, &[("event_dispatching_chunk_size", "events are sent as fast as receivers take them")]);
        options.finish(cx);
    }
    if let Some(mut wampd) = section.get("wampd").and_then(|item| item.map(cx)) {
        if let Some(item) = wampd.get("request_ids") {
            let checks =
                [("strict", RequestIdCheck::Strict), ("warn", RequestIdCheck::Warn), ("off", RequestIdCheck::Off)];
            realm.request_ids = item.one_of(cx, &checks).unwrap_or_default();
        }
        realm.disclose_me = wampd.bool(cx, "disclose_me", realm.disclose_me);
        if let Some(item) = wampd.get("leave_event_details") {
            realm.leave_event_details = item.bool(cx).unwrap_or(realm.leave_event_details);
            cx.leave_event_details.insert(realm.name.clone());
        }
        realm.call_timeout = timeout(cx, &mut wampd, "call_timeout_ms");
        realm.max_call_timeout = timeout(cx, &mut wampd, "max_call_timeout_ms");
        slow_subscribers(cx, &mut wampd, realm);
        realm.progress_needs_canceling = wampd.bool(cx, "progress_needs_canceling", false);
        realm.progress_needs_feature = wampd.bool(cx, "progress_needs_feature", false);
        if let Some(item) = wampd.get("force_reregister") {
            let whom = [
                ("nobody", ForceReregister::Nobody),
                ("same_principal", ForceReregister::SamePrincipal),
                ("anybody", ForceReregister::Anybody),
            ];
            realm.force_reregister = item.one_of(cx, &whom).unwrap_or(realm.force_reregister);
        }
        wampd.finish(cx);
    }
}

/// How long publishers wait for slow subscribers unless that is given.
const THROTTLE: Duration = Duration::from_millis(100);

/// What becomes of subscribers that do not keep up, and of those who publish to them.
fn slow_subscribers(cx: &mut Context<'_>, section: &mut Section<'_>, realm: &mut RealmConfig) {
    if let Some(item) = section.get("slow_subscribers") {
        let policies = [
            ("drop", (SlowSubscribers::Drop, None)),
            ("wait", (SlowSubscribers::Drop, Some(THROTTLE))),
            ("close", (SlowSubscribers::Close, None)),
        ];
        (realm.slow_subscribers, realm.throttle_publishers) = item.one_of(cx, &policies).unwrap_or_default();
    }
    if let Some(item) = section.get("throttle_publishers_ms") {
        realm.throttle_publishers = item.integer(cx, 1..=60_000, "ms").map(Duration::from_millis);
    }
}

/// A timeout of calls, up to a week.
fn timeout(cx: &mut Context<'_>, section: &mut Section<'_>, key: &'static str) -> Option<Duration> {
    section.get(key)?.integer(cx, 1..=604_800_000, "ms").map(Duration::from_millis)
}

fn role(cx: &mut Context<'_>, item: &Item<'_>, realm: &RealmConfig) -> Option<(RoleConfig, Option<Authorizer>)> {
    let mut section = item.map(cx)?;
    let name = section.require(cx, "name", "the name of the role").and_then(|item| {
        let name = item.name(cx)?;
        if realm.roles.iter().any(|other| other.name == name) {
            cx.error(&item.place, format!("the realm already has a role {name:?}"), "merge the two, or rename one");
            return None;
        }
        cx.sources.defined_roles.push((name.clone(), item.place));
        Some(name)
    });
    let mut permissions: Vec<(Rule, Place)> = Vec::new();
    if let Some(item) = section.get("permissions") {
        for item in item.list(cx).unwrap_or_default() {
            if let Some(permission) = permission(cx, &item, realm.uri_rule) {
                add(cx, &mut permissions, permission, item.place);
            }
        }
    }
    by_default(cx, &mut section, &mut permissions);
    let trustlevel = trustlevel(cx, &mut section);
    let authorizer = section.get("authorizer").map(|item| {
        if section.has("permissions") {
            cx.error(&item.place, "a role has either permissions or an authorizer", "remove one of the two");
        }
        let authorizer = authorizer::read(cx, &item, realm.uri_rule);
        if let Some(Authorizer::Procedure(procedure)) = &authorizer {
            let (procedure, realm) = (procedure.clone(), Some(realm.name.clone()));
            let (what, place) = ("what a role may do", item.place);
            cx.sources.authorizers.push(Deciding { procedure, realm, caller: None, what, place });
        }
        authorizer
    });
    section.get("id");
    section.get("description");
    section.refuse(cx, &[("disclose", "give disclose in each permission")]);
    section.finish(cx);
    if let Some(authorizer) = authorizer {
        let permissions = Permissions::asked();
        return Some((RoleConfig { name: name?, permissions, trustlevel }, Some(authorizer?)));
    }
    let rules = permissions.into_iter().map(|(rule, _)| rule).collect();
    match Permissions::new(rules) {
        Ok(permissions) => Some((RoleConfig { name: name?, permissions, trustlevel }, None)),
        Err(contradiction) => {
            cx.error(&item.place, contradiction.to_string(), "keep the one you mean");
            None
        }
    }
}

/// `wampd.trustlevel` of a role.
fn trustlevel(cx: &mut Context<'_>, section: &mut Section<'_>) -> Option<u64> {
    let mut wampd = section.get("wampd").and_then(|item| item.map(cx))?;
    let level = wampd.get("trustlevel").and_then(|item| item.integer(cx, 0..=MAX_ID, ""));
    wampd.finish(cx);
    level
}

/// `allow-by-default`: everything that no rule speaks of.
fn by_default(cx: &mut Context<'_>, section: &mut Section<'_>, permissions: &mut Vec<(Rule, Place)>) {
    let Some(item) = section.get("allow-by-default") else { return };
    if item.bool(cx) == Some(true) {
        let (uri, matching) = (Uri::from(String::new()), MatchPolicy::Prefix);
        let rule = Rule { uri, matching, allow: Allow::ALL, disclose: Disclose::default(), cache: true };
        add(cx, permissions, rule, item.place);
    }
}

/// Of two rules for the same URIs the later counts, as with Crossbar.io.
fn add(cx: &mut Context<'_>, permissions: &mut Vec<(Rule, Place)>, new: Rule, place: Place) {
    let same = |(old, _): &(Rule, Place)| old.uri == new.uri && old.matching == new.matching;
    let Some(at) = permissions.iter().position(same) else { return permissions.push((new, place)) };
    let (old, first) = permissions.remove(at);
    let rule = format!("the {} rule for {:?}", new.matching.as_str(), new.uri.as_str());
    let line = first.position.line;
    if (old.allow, old.disclose) == (new.allow, new.disclose) {
        let message = format!("{rule} is given twice, first at line {line}");
        cx.warn(&place, message, "remove one of the two");
    } else {
        let message = format!("{rule} contradicts the one at line {line}, which does not count");
        cx.warn(&place, message, "keep the one you mean");
    }
    permissions.push((new, place));
}

fn permission(cx: &mut Context<'_>, item: &Item<'_>, rule: UriRule) -> Option<Rule> {
    let mut section = item.map(cx)?;
    let uri = section.require(cx, "uri", "the URI or pattern that the rule is for");
    let policies =
        [("exact", MatchPolicy::Exact), ("prefix", MatchPolicy::Prefix), ("wildcard", MatchPolicy::Wildcard)];
    let given = section.get("match");
    let policy = given.as_ref().map(|item| item.one_of(cx, &policies));
    let allow = allow(cx, &mut section);
    let disclose = disclose(cx, &mut section);
    let cache = section.bool(cx, "cache", false);
    let old = "this is how version 1 was written: put it under allow";
    section.refuse(cx, &[("call", old), ("register", old), ("publish", old), ("subscribe", old)]);
    section.refuse(cx, &[("validate", "validate payloads in the component: it is not supported")]);
    section.finish(cx);
    let uri = uri?;
    let text = uri.str(cx)?;
    let (pattern, matching) = match policy {
        Some(policy) => (text.to_owned(), policy?),
        None => starred(text),
    };
    lint_pattern(cx, &uri.place, &pattern, matching, rule, allow);
    Some(Rule { uri: Uri::from(pattern), matching, allow, disclose, cache })
}

fn allow(cx: &mut Context<'_>, section: &mut Section<'_>) -> Allow {
    let Some(mut section) = section.get("allow").and_then(|item| item.map(cx)) else { return Allow::NONE };
    let allow = Allow {
        call: section.bool(cx, "call", false),
        register: section.bool(cx, "register", false),
        publish: section.bool(cx, "publish", false),
        subscribe: section.bool(cx, "subscribe", false),
    };
    section.finish(cx);
    allow
}

fn disclose(cx: &mut Context<'_>, section: &mut Section<'_>) -> Disclose {
    let Some(mut section) = section.get("disclose").and_then(|item| item.map(cx)) else { return Disclose::default() };
    let disclose =
        Disclose { caller: section.bool(cx, "caller", false), publisher: section.bool(cx, "publisher", false) };
    section.finish(cx);
    disclose
}

/// The starred form: no star is exact, a single one at the end a prefix, anything else a wildcard.
fn starred(text: &str) -> (String, MatchPolicy) {
    match text.matches('*').count() {
        0 => (text.to_owned(), MatchPolicy::Exact),
        1 if text.ends_with('*') => (text.trim_end_matches('*').to_owned(), MatchPolicy::Prefix),
        _ => (text.replace('*', ""), MatchPolicy::Wildcard),
    }
}

/// Warns of rules that no message can ever match, or none that is likely meant.
fn lint_pattern(
    cx: &mut Context<'_>,
    place: &Place,
    pattern: &str,
    matching: MatchPolicy,
    rule: UriRule,
    allow: Allow,
) {
    let starred = "with match given, * is an ordinary character: use match wildcard and empty components";
    if let Err(error) = Uri::parse_pattern(pattern, rule, matching) {
        let hint = match (pattern.contains('*'), rule, Uri::parse_pattern(pattern, UriRule::Loose, matching)) {
            (true, ..) => starred,
            (_, UriRule::Strict, Ok(_)) => "options.uri_check is strict: a-z, 0-9 and _",
            _ => "correct the URI",
        };
        cx.warn(place, format!("this rule can never match: {error}"), hint);
    } else if pattern.contains('*') {
        cx.warn(place, "this rule matches only URIs with a star", starred);
    }
    let first = pattern.split('.').next().unwrap_or_default();
    let reserved = first == "wamp" && (matching != MatchPolicy::Prefix || pattern.starts_with("wamp."));
    if reserved && (allow.register || allow.publish) {
        let message = "register and publish have no effect here: URIs under wamp. are reserved";
        cx.warn(place, message, "allow call or subscribe only");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars() {
        assert_eq!(starred("com.app.topic"), ("com.app.topic".to_owned(), MatchPolicy::Exact));
        assert_eq!(starred("com.app.*"), ("com.app.".to_owned(), MatchPolicy::Prefix));
        assert_eq!(starred("com.ap*"), ("com.ap".to_owned(), MatchPolicy::Prefix));
        assert_eq!(starred("*"), (String::new(), MatchPolicy::Prefix));
        assert_eq!(starred("com.*.topic"), ("com..topic".to_owned(), MatchPolicy::Wildcard));
        assert_eq!(starred("com.*.*"), ("com..".to_owned(), MatchPolicy::Wildcard));
    }
}
