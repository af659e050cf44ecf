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
mod list;
mod registration;
mod session;
mod subscription;
mod testament;

pub(crate) use events::{MetaEvent, Watched};
pub(crate) use list::{Ending, Listing};

use super::permission::Decision;
use super::realm::RealmKey;
use super::testament::{Scope, Testament};
use super::work::Job;
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
    /// The answer is made piece by piece.
    List(Box<Listing>),
    /// Ends a session.
    End {
        session: PeerKey,
        farewell: Farewell,
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
    fn effect(then: Effect) -> Self {
        Self { args: Vec::new(), kwargs: Dict::new(), then }
    }

    /// A list or a count, which may take long.
    fn listing(caller: Caller, source: list::Source, kind: list::Kind) -> Self {
        Self::effect(Effect::List(Box::new(Listing::new(caller, source, kind))))
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
            .and_then(|known| {
                self.answer_meta(caller, known, Arguments::of(&payload, self.config.limits.max_meta_items)?)
            });
        match answer {
            Ok(Answer { then: Effect::List(mut listing), .. }) => {
                self.stats.calls += 1;
                listing.request = request;
                self.start(now, Job::List(listing));
            }
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
            Effect::Nothing | Effect::List(_) => {}
            Effect::End { session, farewell: Farewell { reason, message } } => {
                self.dismiss(now, session, reason, message.as_deref());
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

/// In bytes. Others are sent it.
const LONGEST_REASON: usize = 1_024;

fn reason_uri(value: Value) -> Result<Uri, Refusal> {
    let refused = |why: &str| (error::INVALID_URI, format!("reason must be a URI: {why}"));
    let text = value.as_str().ok_or_else(|| refused(&format!("it is of type {}", value.kind())))?;
    if text.len() > LONGEST_REASON {
        return Err(refused(&format!("it has more than {LONGEST_REASON} bytes")));
    }
    Uri::parse(text, UriRule::Loose).map_err(|why| refused(&why.to_string()))
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
