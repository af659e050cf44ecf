//! What a role may do: rules on URIs and URI patterns, as in a Crossbar.io configuration, and their evaluation.
//!
//! The rule that decides on a URI is the exact rule for it, else the most specific wildcard rule that matches, else
//! the longest prefix rule that matches; without any the answer is no. It decides alone: what it does not allow is
//! denied, whatever less specific rules allow. No rule hides another by accident.
//!
//! A request for a pattern (SUBSCRIBE or REGISTER with `match`) is allowed if every URI that the pattern matches would
//! be: some rule that allows covers the whole pattern, and no more specific rule denies a part of it.
//!
//! Procedures under `wamp.` reach into the router itself. A rule for everything lets a role call those that tell about the
//! realm or change what is the caller's own; calling the others needs, besides, that a rule whose own URI begins with
//! `wamp` allows it. A role that may call everything can thus not end other sessions by accident.

use super::meta;
use super::pattern::{PatternMap, Shape, shape};
use crate::hash::Seed;
use crate::uri::{MatchPolicy, Uri, is_reserved, matches};
use core::cmp::Reverse;
use core::fmt;

/// What a session asks to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// CALL
    Call,
    /// REGISTER
    Register,
    /// PUBLISH
    Publish,
    /// SUBSCRIBE
    Subscribe,
}

/// The actions that a rule allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Call the procedure.
    pub call: bool,
    /// Register the procedure.
    pub register: bool,
    /// Publish to the topic.
    pub publish: bool,
    /// Subscribe to the topic.
    pub subscribe: bool,
}

impl Allow {
    /// Every action.
    pub const ALL: Self = Self { call: true, register: true, publish: true, subscribe: true };
    /// No action.
    pub const NONE: Self = Self { call: false, register: false, publish: false, subscribe: false };

    const fn action(self, action: Action) -> bool {
        match action {
            Action::Call => self.call,
            Action::Register => self.register,
            Action::Publish => self.publish,
            Action::Subscribe => self.subscribe,
        }
    }
}

/// Whose identity a rule discloses, asked for or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disclose {
    /// The caller's, to callees.
    pub caller: bool,
    /// The publisher's, to subscribers.
    pub publisher: bool,
}

/// What is allowed on a URI or on the URIs that match a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The URI or pattern.
    pub uri: Uri,
    /// How it is compared.
    pub matching: MatchPolicy,
    /// The actions allowed; all others are denied.
    pub allow: Allow,
    /// Whose identity is disclosed.
    pub disclose: Disclose,
    /// Whether the verdict may be cached. Accepted as in Crossbar.io; rules are evaluated each time, so it has no
    /// effect on them.
    pub cache: bool,
}

impl Rule {
    /// A rule that discloses nobody.
    pub const fn new(uri: Uri, matching: MatchPolicy, allow: Allow) -> Self {
        Self { uri, matching, allow, disclose: Disclose { caller: false, publisher: false }, cache: false }
    }
}

/// The answer to whether a role may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may.
    pub allow: bool,
    /// Whether its identity is disclosed to the receivers.
    pub disclose: bool,
}

impl Decision {
    /// It may not.
    pub const DENY: Self = Self { allow: false, disclose: false };
}

/// Two rules of one role for the same URI and match policy that do not say the same. The fault of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Position of the first rule.
    pub first: usize,
    /// Position of the rule that contradicts it.
    pub second: usize,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rules {} and {} are for the same URI and contradict each other", self.first, self.second)
    }
}

impl core::error::Error for Contradiction {}

/// The rules of a role.
#[derive(Clone, Debug)]
pub struct Permissions {
    asked: bool,
    rules: Vec<Rule>,
    by_uri: PatternMap<usize>,
}

impl Permissions {
    /// Permissions of these rules. Repeated rules are taken once.
    ///
    /// # Errors
    /// [`Contradiction`]
    pub fn new(rules: Vec<Rule>) -> Result<Self, Contradiction> {
        let mut by_uri = PatternMap::new(&Seed::public());
        for (index, rule) in rules.iter().enumerate() {
            match by_uri.get(rule.matching, rule.uri.as_str()) {
                Some(first) if rules.get(first) != Some(rule) => return Err(Contradiction { first, second: index }),
                Some(_) => {}
                None => by_uri.insert(rule.matching, rule.uri.clone(), index),
            }
        }
        Ok(Self { asked: false, rules, by_uri })
    }

    /// No rules: everything is denied.
    pub fn none() -> Self {
        Self { asked: false, rules: Vec::new(), by_uri: PatternMap::new(&Seed::public()) }
    }

    /// Whether the role may act is asked each time: see [`Output::Authorize`](super::Output::Authorize).
    pub fn asked() -> Self {
        Self { asked: true, ..Self::none() }
    }

    /// Whether these are [`Permissions::asked`].
    pub const fn is_asked(&self) -> bool {
        self.asked
    }

    /// Everything is allowed, by the prefix rules on the empty prefix and on `wamp.`.
    pub fn all() -> Self {
        let mut all = Self::none();
        for (index, prefix) in ["", "wamp."].map(Uri::from_static).into_iter().enumerate() {
            all.by_uri.insert(MatchPolicy::Prefix, prefix.clone(), index);
            all.rules.push(Rule::new(prefix, MatchPolicy::Prefix, Allow::ALL));
        }
        all
    }

    /// The rules, in the order given.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether the role may act on a URI (with [`MatchPolicy::Exact`]) or on everything that a pattern matches.
    ///
    /// A URI costs one hash look-up, one for each shape of wildcard rules with as many components, and one for each
    /// length of prefix rules. A pattern costs a walk over the role's rules.
    pub fn decide(&self, action: Action, uri: &str, matching: MatchPolicy) -> Decision {
        let rule = match matching {
            MatchPolicy::Exact => self.deciding_rule(action, uri),
            // Every component given: it matches one URI only.
            MatchPolicy::Wildcard if uri.split('.').all(|component| !component.is_empty()) => {
                self.deciding_rule(action, uri)
            }
            MatchPolicy::Prefix | MatchPolicy::Wildcard => self.covering_rule(action, uri, matching),
        };
        let Some(rule) = rule else { return Decision::DENY };
        let disclose = match action {
            Action::Call => rule.disclose.caller,
            Action::Publish => rule.disclose.publisher,
            Action::Register | Action::Subscribe => false,
        };
        let allow = rule.allow.action(action);
        Decision { allow, disclose: allow && disclose }
    }

    /// The most specific rule that matches the URI, unless it allows a call that needs a rule of its own.
    fn deciding_rule(&self, action: Action, uri: &str) -> Option<&Rule> {
        let deciding = self.matching_rules(uri).next()?;
        if action == Action::Call && deciding.allow.call && is_reserved(uri) && !meta::is_harmless(uri) {
            return self.matching_rules(uri).find(|rule| rule.uri.is_reserved());
        }
        Some(deciding)
    }

    /// The rules that match the URI, the most specific first.
    fn matching_rules(&self, uri: &str) -> impl Iterator<Item = &Rule> {
        let rules = &self.by_uri;
        let matching = rules.exact(uri).into_iter().chain(rules.wildcards(uri)).chain(rules.prefixes(uri));
        matching.filter_map(|index| self.rules.get(index))
    }

    /// The most specific rule that covers the whole pattern, unless a more specific rule denies a part of it.
    fn covering_rule(&self, action: Action, pattern: &str, matching: MatchPolicy) -> Option<&Rule> {
        let covering =
            self.rules.iter().filter(|rule| covers(rule, pattern, matching)).max_by_key(|rule| rank(rule))?;
        let exception = self
            .rules
            .iter()
            .any(|rule| !rule.allow.action(action) && rank(rule) > rank(covering) && overlaps(rule, pattern, matching));
        (!exception).then_some(covering)
    }
}

/// How specific a rule is; the greater decides.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Prefix(usize),
    /// Shapes are ordered the most specific first.
    Wildcard(Reverse<Shape>),
    Exact,
}

fn rank(rule: &Rule) -> Rank {
    match rule.matching {
        MatchPolicy::Exact => Rank::Exact,
        MatchPolicy::Wildcard => Rank::Wildcard(Reverse(shape(rule.uri.as_str()))),
        MatchPolicy::Prefix => Rank::Prefix(rule.uri.as_str().len()),
    }
}

/// Whether the rule matches every URI that the pattern matches. The pattern is a prefix, or has a wildcard.
fn covers(rule: &Rule, pattern: &str, matching: MatchPolicy) -> bool {
    let uri = rule.uri.as_str();
    match (rule.matching, matching) {
        (MatchPolicy::Exact, _) | (MatchPolicy::Wildcard, MatchPolicy::Exact | MatchPolicy::Prefix) => false,
        (MatchPolicy::Prefix, MatchPolicy::Exact | MatchPolicy::Prefix) => pattern.starts_with(uri),
        (MatchPolicy::Prefix, MatchPolicy::Wildcard) => {
            // What all matching URIs begin with: the components before the first wildcard, and the dot after them.
            let head = pattern.split('.').take_while(|component| !component.is_empty()).map(|c| c.len() + 1).sum();
            pattern.get(..head).is_some_and(|head| head.starts_with(uri))
        }
        (MatchPolicy::Wildcard, MatchPolicy::Wildcard) => {
            same_length_and(uri, pattern, |rule, pattern| rule.is_empty() || rule == pattern)
        }
    }
}

/// Whether some URI matches both the rule and the pattern.
fn overlaps(rule: &Rule, pattern: &str, matching: MatchPolicy) -> bool {
    let uri = rule.uri.as_str();
    match (rule.matching, matching) {
        (MatchPolicy::Exact, _) => matches(pattern, matching, uri),
        (_, MatchPolicy::Exact) => matches(uri, rule.matching, pattern),
        (MatchPolicy::Prefix, MatchPolicy::Prefix) => uri.starts_with(pattern) || pattern.starts_with(uri),
        (MatchPolicy::Prefix, MatchPolicy::Wildcard) => wildcard_reaches(pattern, uri),
        (MatchPolicy::Wildcard, MatchPolicy::Prefix) => wildcard_reaches(uri, pattern),
        (MatchPolicy::Wildcard, MatchPolicy::Wildcard) => {
            same_length_and(uri, pattern, |a, b| a.is_empty() || b.is_empty() || a == b)
        }
    }
}

/// Whether some URI that matches the wildcard pattern begins with `prefix`.
fn wildcard_reaches(pattern: &str, prefix: &str) -> bool {
    let mut have = pattern.split('.');
    let mut want = prefix.split('.').peekable();
    while let Some(start) = want.next() {
        let Some(component) = have.next() else { return false };
        let last = want.peek().is_none();
        let fits = component.is_empty() || if last { component.starts_with(start) } else { component == start };
        if !fits {
            return false;
        }
    }
    true
}

fn same_length_and(a: &str, b: &str, fits: impl Fn(&str, &str) -> bool) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(a), Some(b)) if fits(a, b) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::UriRule;
    use MatchPolicy::{Exact, Prefix, Wildcard};
    use core::cmp::Ordering;
    use proptest::prelude::*;

    const CALL: Allow = Allow { call: true, ..Allow::NONE };
    const SUBSCRIBE: Allow = Allow { subscribe: true, ..Allow::NONE };

    fn permissions(rules: &[(&'static str, MatchPolicy, Allow)]) -> Permissions {
        let rules = rules.iter().map(|&(uri, matching, allow)| Rule::new(Uri::from_static(uri), matching, allow));
        Permissions::new(rules.collect()).unwrap()
    }

    fn may_call(rules: &[(&'static str, MatchPolicy, Allow)], uri: &str) -> bool {
        permissions(rules).decide(Action::Call, uri, Exact).allow
    }

    #[test]
    fn no_rule_hides_another() {
        let nothing = Allow::NONE;
        assert!(may_call(&[("com.a", Exact, nothing), ("", Prefix, CALL)], "com.a.b"));
        assert!(!may_call(&[("com.a", Exact, nothing), ("", Prefix, CALL)], "com.a"));
        let private = [("com.app.user.private.", Prefix, nothing), ("com.app..private.read", Wildcard, CALL)];
        assert!(may_call(&private, "com.app.user.private.read"));
        assert!(!may_call(&private, "com.app.user.private.write"));
        let two = [("com..read", Wildcard, CALL), ("com..write", Wildcard, CALL)];
        assert!(may_call(&two, "com.x.read") && may_call(&two, "com.x.write"));
        let shorter = [("com.app..read", Wildcard, nothing), ("com..x.write", Wildcard, CALL)];
        assert!(may_call(&shorter, "com.app.x.write"));
        assert!(may_call(&[(".app.read", Wildcard, CALL)], "com.app.read"));
        assert!(may_call(&[("com.app.", Wildcard, CALL)], "com.app.read"));
        assert!(may_call(&[("com.App.", Wildcard, CALL)], "com.App.read"));
        let both = [("com.a", Exact, CALL), ("com.a", Prefix, SUBSCRIBE)];
        assert!(may_call(&both, "com.a") && !may_call(&both, "com.ab"));
        assert!(permissions(&both).decide(Action::Subscribe, "com.ab", Exact).allow);
        assert!(may_call(&[("com.ex", Prefix, CALL)], "com.example.z"));
        assert!(!may_call(&[], "com.a"));
    }

    #[test]
    fn calling_the_router_needs_a_rule_of_its_own() {
        let kill = "wamp.session.kill";
        let everything = ("", Prefix, Allow::ALL);
        assert!(!may_call(&[everything], kill) && may_call(&[everything], "wampire.session.kill"));
        assert!(!may_call(&[everything, ("..kill", Wildcard, CALL)], kill));
        for own in [(kill, Exact, CALL), ("wamp.session.", Prefix, CALL), ("wamp..kill", Wildcard, CALL)] {
            assert!(may_call(&[everything, own], kill) && may_call(&[own], kill));
            assert!(may_call(&[own, ("..kill", Wildcard, CALL)], kill), "less specific than one that allows too");
        }
        let denied = [("wamp.", Prefix, CALL), ("..kill", Wildcard, Allow::NONE)];
        assert!(!may_call(&denied, kill), "a more specific rule denies");
        assert!(!may_call(&[everything, ("wamp.", Prefix, SUBSCRIBE)], kill));
        let (list, lists) = ("wamp.session.list", ("wamp.session.", Prefix, SUBSCRIBE));
        assert!(may_call(&[everything], list), "it ends nothing");
        assert!(!may_call(&[everything, lists], list), "a more specific rule denies");
        assert!(permissions(&[everything]).decide(Action::Subscribe, "wamp.session.on_join", Exact).allow);
        assert!(Permissions::all().decide(Action::Call, kill, Exact).allow);
    }

    #[test]
    fn the_seeds_frontend_may_publish_beside_its_procedure() {
        let publish = Allow { publish: true, ..Allow::NONE };
        let rules = [
            ("com.example.add2", Exact, CALL),
            ("com.example.", Prefix, publish),
            ("com.example.topic2", Exact, Allow::NONE),
            ("com.foobar.topic1", Exact, publish),
        ];
        let frontend = permissions(&rules);
        let allowed = |action, uri| frontend.decide(action, uri, Exact).allow;
        assert!(allowed(Action::Publish, "com.example.add22") && !allowed(Action::Publish, "com.example.add2"));
        assert!(allowed(Action::Publish, "com.example.topic1") && !allowed(Action::Publish, "com.example.topic2"));
        assert!(allowed(Action::Publish, "com.foobar.topic1") && !allowed(Action::Publish, "com.foobar.topic2"));
        assert!(allowed(Action::Call, "com.example.add2") && !allowed(Action::Register, "com.example.mul2"));
    }

    #[test]
    fn a_pattern_needs_a_rule_for_all_of_it() {
        let may = |rules: &[_], uri, matching| permissions(rules).decide(Action::Subscribe, uri, matching).allow;
        let public = [("com.app.public", Exact, SUBSCRIBE)];
        assert!(may(&public, "com.app.public", Exact) && !may(&public, "com.app.public", Prefix));
        assert!(may(&public, "com.app.public", Wildcard), "a wildcard pattern without a wildcard is a URI");
        let app = [("com.app.", Prefix, SUBSCRIBE)];
        assert!(may(&app, "com.app.x", Prefix) && may(&app, "com.app..x", Wildcard) && !may(&app, "com..x", Wildcard));
        assert!(!may(&app, "com.", Prefix));
        let except = [("", Prefix, SUBSCRIBE), ("com.example.topic2", Exact, Allow::NONE)];
        assert!(may(&except, "org.", Prefix) && !may(&except, "com.example.", Prefix));
        assert!(!may(&except, "com..topic2", Wildcard) && may(&except, "com..topic1", Wildcard));
    }

    #[test]
    fn disclosure_is_the_deciding_rules() {
        let mut rule = Rule::new(Uri::from_static("com."), Prefix, Allow::ALL);
        rule.disclose = Disclose { caller: true, publisher: false };
        let permissions = Permissions::new(vec![rule]).unwrap();
        assert!(permissions.decide(Action::Call, "com.x", Exact).disclose);
        assert!(!permissions.decide(Action::Publish, "com.x", Exact).disclose);
    }

    #[test]
    fn contradictions_are_refused_and_repetitions_are_not() {
        let rule = |allow| Rule::new(Uri::from_static("com.a"), Exact, allow);
        assert!(Permissions::new(vec![rule(CALL), rule(CALL)]).is_ok());
        let contradiction = Permissions::new(vec![rule(CALL), rule(CALL), rule(SUBSCRIBE)]).unwrap_err();
        assert_eq!(contradiction, Contradiction { first: 0, second: 2 });
    }

    /// The more specific of two rules is the greater, written down a second time.
    fn specificity(a: &Rule, b: &Rule) -> Ordering {
        let kind = |rule: &Rule| match rule.matching {
            Exact => 2,
            Wildcard => 1,
            Prefix => 0,
        };
        kind(a).cmp(&kind(b)).then_with(|| match a.matching {
            Wildcard => {
                // Lengths of the runs of exact components before each wildcard.
                let runs = |rule: &Rule| {
                    let given: String =
                        rule.uri.as_str().split('.').map(|c| if c.is_empty() { ' ' } else { 'x' }).collect();
                    given.split(' ').map(str::len).collect::<Vec<_>>()
                };
                runs(a).cmp(&runs(b))
            }
            _ => a.uri.as_str().len().cmp(&b.uri.as_str().len()),
        })
    }

    /// What the rules say on a URI, found by looking at every rule.
    fn naive(rules: &[Rule], uri: &str) -> bool {
        let matching = rules.iter().filter(|rule| matches(rule.uri.as_str(), rule.matching, uri));
        matching.max_by(|a, b| specificity(a, b)).is_some_and(|rule| rule.allow.subscribe)
    }

    /// What the rules say on a pattern that matches exactly these URIs, found by trying them all.
    fn naive_pattern(rules: &[Rule], uris: &[&String]) -> bool {
        let hits = |rule: &Rule, uri: &str| matches(rule.uri.as_str(), rule.matching, uri);
        let covers = |rule: &&Rule| uris.iter().all(|uri| hits(rule, uri));
        let Some(covering) = rules.iter().filter(covers).max_by(|a, b| specificity(a, b)) else { return false };
        let excepts = |rule: &Rule| {
            !rule.allow.subscribe
                && specificity(rule, covering) == Ordering::Greater
                && uris.iter().any(|uri| hits(rule, uri))
        };
        covering.allow.subscribe && !rules.iter().any(excepts)
    }

    /// Valid patterns of up to three components over an alphabet with one component that begins with another.
    fn patterns() -> impl Strategy<Value = (String, MatchPolicy)> {
        let component = prop::sample::select(vec!["", "", "a", "b", "ab"]);
        (proptest::collection::vec(component, 1..4), prop::sample::select(vec![Exact, Prefix, Wildcard]))
            .prop_map(|(components, matching)| (components.join("."), matching))
            .prop_filter("valid", |(uri, matching)| Uri::parse_pattern(uri, UriRule::Strict, *matching).is_ok())
    }

    fn rules() -> impl Strategy<Value = Vec<Rule>> {
        let allow = |subscribe| Allow { subscribe, ..Allow::NONE };
        let rule = (patterns(), prop::bool::weighted(0.7))
            .prop_map(move |((uri, matching), subscribe)| Rule::new(Uri::from(uri), matching, allow(subscribe)));
        (proptest::collection::vec(rule, 0..7), any::<bool>()).prop_map(move |(mut rules, open)| {
            if open {
                rules.push(Rule::new(Uri::from_static(""), Prefix, allow(true)));
            }
            rules
        })
    }

    /// All URIs of up to four components over the alphabet and a component that no rule names: enough to tell apart
    /// any two sets of URIs that rules and patterns of [`patterns`] can describe.
    fn universe() -> Vec<String> {
        let components = ["a", "b", "ab", "z"];
        let mut all = components.map(str::to_owned).to_vec();
        let mut longest = all.clone();
        for _ in 1..4 {
            longest = longest.iter().flat_map(|uri| components.map(|c| format!("{uri}.{c}"))).collect();
            all.extend(longest.iter().cloned());
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn decides_as_trying_everything(rules in rules(), (pattern, matching) in patterns()) {
            let Ok(permissions) = Permissions::new(rules.clone()) else { return Ok(()) };
            let universe = universe();
            let uris: Vec<_> = universe.iter().filter(|uri| matches(&pattern, matching, uri)).collect();
            let decided = permissions.decide(Action::Subscribe, &pattern, matching).allow;
            match uris[..] {
                [uri] => prop_assert_eq!(decided, naive(&rules, uri)),
                _ => prop_assert_eq!(decided, naive_pattern(&rules, &uris)),
            }
            for uri in uris {
                let exact = permissions.decide(Action::Subscribe, uri, Exact).allow;
                prop_assert_eq!(exact, naive(&rules, uri));
                prop_assert!(exact || !decided, "{} is denied, {:?} {} allowed", uri, matching, pattern);
            }
        }
    }

    #[test]
    fn ranks_are_in_the_order_of_precedence() {
        let rank = |uri, matching| rank(&Rule::new(Uri::from_static(uri), matching, Allow::ALL));
        let order =
            [rank("a", Prefix), rank("a.b.", Prefix), rank("..c", Wildcard), rank("a..", Wildcard), rank("a", Exact)];
        assert!(order.windows(2).all(|pair| pair[0].cmp(&pair[1]) == Ordering::Less));
    }
}
