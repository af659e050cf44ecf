//! The meta API: procedures under `wamp.` that the router itself answers, and events that it publishes itself
//! (spec: "Session Meta API", "Registration Meta API", "Subscriptions Meta API").
//!
//! A call is answered at once, by RESULT or ERROR. A procedure first reads its arguments and the tables, and says what
//! is to be done; that is done when the RESULT has been queued, so that the events of a change never precede the answer
//! to the call that asked for it.
//!
//! Calling what touches others needs a rule of its own (see [`permission`](super::permission)); the events are topics like
//! others.
//!
//! Sessions of the built-in role `trusted` are parts of the router: the session procedures neither show nor end them,
//! and nobody is told of their coming and going.

mod arguments;
mod events;
mod history;
mod registration;
mod session;
mod subscription;
mod testament;

pub(crate) use events::{MetaEvent, Watched};

use super::permission::Decision;
use super::realm::RealmKey;
use super::testament::{Scope, Testament};
use super::{PeerKey, Router};
use crate::id::{RegistrationId, SessionId, SubscriptionId};
use crate::message::{Call, CallResult, Payload, RequestType, ResultDetails};
use crate::time::Instant;
use crate::uri::{MatchPolicy, Uri, UriRule, error};
use crate::value::{Dict, Value};
use arguments::{Arguments, invalid};

/// Why a call is answered by ERROR: its URI and a text for people.
pub(crate) type Refusal = (Uri, String);

/// Declares the procedures with their URIs.
macro_rules! procedures {
    ($($name:ident = $uri:literal,)*) => {
        /// A procedure that the router answers itself.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Procedure {
            $($name,)*
        }

        impl Procedure {
            fn from_uri(uri: &str) -> Option<Self> {
                Some(match uri {
                    $($uri => Self::$name,)*
                    _ => return None,
                })
            }
        }
    };
}

procedures! {
    SessionCount = "wamp.session.count",
    SessionList = "wamp.session.list",
    SessionGet = "wamp.session.get",
    SessionKill = "wamp.session.kill",
    SessionKillByAuthid = "wamp.session.kill_by_authid",
    SessionKillByAuthrole = "wamp.session.kill_by_authrole",
    SessionKillAll = "wamp.session.kill_all",
    SessionAddTestament = "wamp.session.add_testament",
    SessionFlushTestaments = "wamp.session.flush_testaments",
    RegistrationList = "wamp.registration.list",
    RegistrationLookup = "wamp.registration.lookup",
    RegistrationMatch = "wamp.registration.match",
    RegistrationGet = "wamp.registration.get",
    RegistrationListCallees = "wamp.registration.list_callees",
    RegistrationCountCallees = "wamp.registration.count_callees",
    RegistrationRemoveCallee = "wamp.registration.remove_callee",
    SubscriptionList = "wamp.subscription.list",
    SubscriptionLookup = "wamp.subscription.lookup",
    SubscriptionMatch = "wamp.subscription.match",
    SubscriptionGet = "wamp.subscription.get",
    SubscriptionListSubscribers = "wamp.subscription.list_subscribers",
    SubscriptionCountSubscribers = "wamp.subscription.count_subscribers",
    SubscriptionRemoveSubscriber = "wamp.subscription.remove_subscriber",
    SubscriptionGetEvents = "wamp.subscription.get_events",
}

/// Whether a call of this can touch nobody but the caller: it tells about the realm, or keeps or drops the caller's own
/// testaments.
pub(super) fn is_harmless(uri: &str) -> bool {
    Procedure::from_uri(uri).is_some_and(|procedure| match procedure {
        Procedure::SessionKill
        | Procedure::SessionKillByAuthid
        | Procedure::SessionKillByAuthrole
        | Procedure::SessionKillAll
        | Procedure::RegistrationRemoveCallee
        | Procedure::SubscriptionRemoveSubscriber => false,
        Procedure::SessionCount
        | Procedure::SessionList
        | Procedure::SessionGet
        | Procedure::SessionAddTestament
        | Procedure::SessionFlushTestaments
        | Procedure::RegistrationList
        | Procedure::RegistrationLookup
        | Procedure::RegistrationMatch
        | Procedure::RegistrationGet
        | Procedure::RegistrationListCallees
        | Procedure::RegistrationCountCallees
        | Procedure::SubscriptionList
        | Procedure::SubscriptionLookup
        | Procedure::SubscriptionMatch
        | Procedure::SubscriptionGet
        | Procedure::SubscriptionListSubscribers
        | Procedure::SubscriptionCountSubscribers
        | Procedure::SubscriptionGetEvents => true,
    })
}

/// Who calls.
#[derive(Clone, Copy, Debug)]
struct Caller {
    key: PeerKey,
    session: SessionId,
    realm: RealmKey,
    /// Whether it may publish what it leaves: see [`Router::testament_of`].
    publication: Decision,
}

/// The answer to a call, and what is done when it has been queued.
#[derive(Debug)]
struct Answer {
    args: Vec<Value>,
    kwargs: Dict,
    then: Effect,
}

/// What a call changes.
#[derive(Debug)]
enum Effect {
    Nothing,
    /// Ends sessions; `silently`, without telling those who stay.
    End {
        sessions: Vec<PeerKey>,
        farewell: Farewell,
        silently: bool,
    },
    RemoveCallee {
        session: PeerKey,
        registration: RegistrationId,
        reason: Option<Uri>,
    },
    RemoveSubscriber {
        session: PeerKey,
        subscription: SubscriptionId,
        reason: Option<Uri>,
    },
    AddTestament {
        session: PeerKey,
        scope: Scope,
        testament: Box<Testament>,
    },
    FlushTestaments {
        session: PeerKey,
        scope: Scope,
    },
}

/// What GOODBYE says to a session that is ended.
#[derive(Clone, Debug)]
struct Farewell {
    reason: Uri,
    message: Option<String>,
}

impl Answer {
    /// A result, and nothing is done.
    fn value(value: impl Into<Value>) -> Self {
        Self { args: vec![value.into()], kwargs: Dict::new(), then: Effect::Nothing }
    }

    /// No result, but something is done.
    const fn effect(then: Effect) -> Self {
        Self { args: Vec::new(), kwargs: Dict::new(), then }
    }

    fn and(self, then: Effect) -> Self {
        Self { then, ..self }
    }
}

impl Router {
    /// CALL of a reserved URI, which the session may make; and the decision on the publication that it leaves, if any.
    pub(crate) fn call_meta(&mut self, now: Instant, key: PeerKey, call: Call, publication: Option<Decision>) {
        let Some(session) = self.session(key) else { return };
        let publication = publication.unwrap_or(Decision::DENY);
        let caller = Caller { key, session: session.id, realm: session.realm, publication };
        let Call { request, procedure, payload, .. } = call;
        let known = self.realms.get(caller.realm).meta_api.then(|| Procedure::from_uri(procedure.as_str())).flatten();
        let answer = known
            .ok_or_else(|| (error::NO_SUCH_PROCEDURE, format!("no callee registered for procedure <{procedure}>")))
            .and_then(|known| self.answer_meta(caller, known, Arguments::of(&payload)?));
        match answer {
            Ok(Answer { args, kwargs, then }) => {
                self.stats.calls += 1;
                let payload = Payload::from_values(args, kwargs);
                self.send(key, CallResult { request, details: ResultDetails::default(), payload });
                self.take_effect(now, then);
            }
            Err((error, text)) => self.fail(key, RequestType::Call, request, error, text),
        }
        self.publish_meta_events();
    }

    fn answer_meta(&self, caller: Caller, procedure: Procedure, args: Arguments) -> Result<Answer, Refusal> {
        match procedure {
            Procedure::SessionCount => self.session_count(caller, args),
            Procedure::SessionList => self.session_list(caller, args),
            Procedure::SessionGet => self.session_get(caller, args),
            Procedure::SessionKill => self.session_kill(caller, args),
            Procedure::SessionKillByAuthid => self.session_kill_by_authid(caller, args),
            Procedure::SessionKillByAuthrole => self.session_kill_by_authrole(caller, args),
            Procedure::SessionKillAll => self.session_kill_all(caller, args),
            Procedure::SessionAddTestament => self.session_add_testament(caller, args),
            Procedure::SessionFlushTestaments => self.session_flush_testaments(caller, args),
            Procedure::RegistrationList => self.registration_list(caller, args),
            Procedure::RegistrationLookup => self.registration_lookup(caller, args),
            Procedure::RegistrationMatch => self.registration_match(caller, args),
            Procedure::RegistrationGet => self.registration_get(caller, args),
            Procedure::RegistrationListCallees => self.registration_list_callees(caller, args),
            Procedure::RegistrationCountCallees => self.registration_count_callees(caller, args),
            Procedure::RegistrationRemoveCallee => self.registration_remove_callee(caller, args),
            Procedure::SubscriptionList => self.subscription_list(caller, args),
            Procedure::SubscriptionLookup => self.subscription_lookup(caller, args),
            Procedure::SubscriptionMatch => self.subscription_match(caller, args),
            Procedure::SubscriptionGet => self.subscription_get(caller, args),
            Procedure::SubscriptionListSubscribers => self.subscription_list_subscribers(caller, args),
            Procedure::SubscriptionCountSubscribers => self.subscription_count_subscribers(caller, args),
            Procedure::SubscriptionRemoveSubscriber => self.subscription_remove_subscriber(caller, args),
            Procedure::SubscriptionGetEvents => self.subscription_get_events(caller, args),
        }
    }

    fn take_effect(&mut self, now: Instant, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::End { sessions, farewell: Farewell { reason, message }, silently } => {
                for key in sessions {
                    self.dismiss(now, key, reason.clone(), message.as_deref(), silently);
                }
            }
            Effect::RemoveCallee { session, registration, reason } => {
                self.revoke(session, registration, reason);
            }
            Effect::RemoveSubscriber { session, subscription, reason } => {
                self.revoke_subscription(session, subscription, reason);
            }
            Effect::AddTestament { session, scope, testament } => self.add_testament(session, scope, *testament),
            Effect::FlushTestaments { session, scope } => self.flush_testaments(session, scope),
        }
    }
}

/// The next argument, `options`, of which only `match` counts.
fn match_option(args: &mut Arguments) -> Result<MatchPolicy, Refusal> {
    let options: Option<Dict> = args.optional("options")?;
    match options.as_ref().and_then(|options| options.get("match")) {
        None | Some(Value::Null) => Ok(MatchPolicy::Exact),
        Some(policy) => match policy.as_str() {
            Some("exact") => Ok(MatchPolicy::Exact),
            Some("prefix") => Ok(MatchPolicy::Prefix),
            Some("wildcard") => Ok(MatchPolicy::Wildcard),
            _ => Err(invalid("options.match must be \"exact\", \"prefix\" or \"wildcard\"".to_owned())),
        },
    }
}

/// A URI that says why, from the keyword argument `reason`.
fn reason(args: &mut Arguments) -> Result<Option<Uri>, Refusal> {
    args.keyword("reason")?.map(reason_uri).transpose()
}

/// As [`reason`], which may also be the next positional argument, as with Crossbar.io.
fn revocation_reason(args: &mut Arguments) -> Result<Option<Uri>, Refusal> {
    match args.optional("reason")? {
        Some(value) => reason_uri(value).map(Some),
        None => reason(args),
    }
}

fn reason_uri(value: Value) -> Result<Uri, Refusal> {
    let refused = |why: &str| (error::INVALID_URI, format!("reason must be a URI: {why}"));
    let text = value.as_str().ok_or_else(|| refused(&format!("it is of type {}", value.kind())))?;
    Uri::parse(text, UriRule::Loose).map_err(|why| refused(&why.to_string()))
}

/// Ids in one list for each match policy.
fn by_policy(ids: impl Iterator<Item = (MatchPolicy, u64)>) -> Dict {
    let (mut exact, mut prefix, mut wildcard) = (Vec::new(), Vec::new(), Vec::new());
    for (matching, id) in ids {
        let list = match matching {
            MatchPolicy::Exact => &mut exact,
            MatchPolicy::Prefix => &mut prefix,
            MatchPolicy::Wildcard => &mut wildcard,
        };
        list.push(Value::from(id));
    }
    let lists = [(MatchPolicy::Exact, exact), (MatchPolicy::Prefix, prefix), (MatchPolicy::Wildcard, wildcard)];
    lists.into_iter().map(|(matching, ids)| (matching.as_str().to_owned(), ids.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procedures_are_found_by_their_whole_uri() {
        assert_eq!(Procedure::from_uri("wamp.session.get"), Some(Procedure::SessionGet));
        assert_eq!(Procedure::from_uri("wamp.subscription.get"), Some(Procedure::SubscriptionGet));
        for unknown in ["", "wamp", "wamp.session", "wamp.session.get.x", "wamp.session.on_join", "com.session.get"] {
            assert_eq!(Procedure::from_uri(unknown), None, "{unknown}");
        }
    }
}
