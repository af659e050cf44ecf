//! What roles may do.

use crate::config::{ANYTHING, ASKED};
use crate::meta::{PROCEDURES, TOUCHES_OTHERS};
use crate::ops::ADMIN;
use wampd_core::router::Action;
use wampd_core::uri::{MatchPolicy, Uri};

/// What the role's rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    Allow,
    Deny,
    Ask,
}

/// What a role may do with a URI or pattern, once it is one that anybody could use.
pub(super) fn ruling(role: &str, action: Action, uri: &str) -> Ruling {
    let allowed = match role {
        ASKED => return Ruling::Ask,
        ADMIN => true,
        // Calling the router itself takes a rule of its own, unless it touches nobody else.
        ANYTHING => {
            let harmless = PROCEDURES.contains(&uri) && !TOUCHES_OTHERS.contains(&uri);
            action != Action::Call || !Uri::from(uri.to_owned()).is_reserved() || harmless
        }
        "frontend" => match (action, uri) {
            (_, "com.example.topic2") => false,
            (Action::Call, "com.example.add2") | (Action::Publish, "com.foobar.topic1") => true,
            (Action::Publish, "com.example.add2") => false,
            (Action::Publish, uri) => uri.starts_with("com.example."),
            _ => false,
        },
        other => panic!("not modelled: the role {other}"),
    };
    if allowed { Ruling::Allow } else { Ruling::Deny }
}

/// Whether anybody could use a URI or pattern for this.
pub(super) fn is_valid(action: Action, uri: &str, matching: MatchPolicy) -> bool {
    let components: Vec<_> = uri.split('.').collect();
    let last = components.len() - 1;
    let may_be_empty = |place: usize| match matching {
        MatchPolicy::Exact => false,
        MatchPolicy::Prefix => place == last,
        MatchPolicy::Wildcard => true,
    };
    let is_good = |(place, component): (usize, &&str)| {
        !component.contains([' ', '#']) && (!component.is_empty() || may_be_empty(place))
    };
    let reserved = matches!(action, Action::Register | Action::Publish) && components[0] == "wamp";
    components.iter().enumerate().all(is_good) && !reserved
}

/// Whether a pattern matches a URI.
pub(super) fn matches(pattern: &str, matching: MatchPolicy, uri: &str) -> bool {
    match matching {
        MatchPolicy::Exact => pattern == uri,
        MatchPolicy::Prefix => uri.starts_with(pattern),
        MatchPolicy::Wildcard => {
            let (pattern, uri): (Vec<_>, Vec<_>) = (pattern.split('.').collect(), uri.split('.').collect());
            pattern.len() == uri.len() && pattern.iter().zip(uri).all(|(p, u)| p.is_empty() || *p == u)
        }
    }
}
