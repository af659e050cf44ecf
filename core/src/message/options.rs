use crate::id::{RegistrationId, SessionId};
use crate::uri::{MatchPolicy, Uri};
use std::sync::Arc;

/// Who sent something, as disclosed to its receiver (spec: caller and publisher identification).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosed {
    /// The session.
    pub session: SessionId,
    /// Its authid.
    pub authid: Option<String>,
    /// Its role.
    pub authrole: Option<String>,
}

/// Attributes of a payload that the router passes on without looking inside: payload passthru mode (`ppt_*`) and
/// Crossbar.io's older payload transparency (`enc_*`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassThru {
    /// `ppt_scheme`
    pub ppt_scheme: Option<String>,
    /// `ppt_serializer`
    pub ppt_serializer: Option<String>,
    /// `ppt_cipher`
    pub ppt_cipher: Option<String>,
    /// `ppt_keyid`
    pub ppt_keyid: Option<String>,
    /// `enc_algo`: present if and only if the payload is opaque bytes in the place of the arguments.
    pub enc_algo: Option<String>,
    /// `enc_key`
    pub enc_key: Option<String>,
    /// `enc_serializer`
    pub enc_serializer: Option<String>,
}

impl PassThru {
    /// Whether this is payload passthru mode: `ppt_scheme` is there and not empty.
    pub fn is_passthru(&self) -> bool {
        self.ppt_scheme.as_deref().is_some_and(|scheme| !scheme.is_empty())
    }

    /// Whether any attribute of payload transparency is there.
    pub const fn is_transparent(&self) -> bool {
        self.enc_algo.is_some() || self.enc_key.is_some() || self.enc_serializer.is_some()
    }

    /// Whether an attribute can have this value: the names of payload transparency are known ones or begin with `x_`,
    /// which is what Autobahn takes. All else is the receiver's matter.
    pub(crate) fn takes(key: &str, name: &str) -> bool {
        const ALGORITHMS: [&str; 3] = ["cryptobox", "mqtt", "xbr"];
        const SERIALIZERS: [&str; 5] = ["json", "msgpack", "cbor", "ubjson", "flatbuffers"];
        let known: &[&str] = match key {
            "enc_algo" => &ALGORITHMS,
            "enc_serializer" => &SERIALIZERS,
            _ => return true,
        };
        known.contains(&name) || is_custom(name)
    }

    /// Its attributes with their names on the wire.
    pub(crate) fn entries(&self) -> [(&'static str, Option<&str>); 7] {
        let Self { ppt_scheme, ppt_serializer, ppt_cipher, ppt_keyid, enc_algo, enc_key, enc_serializer } = self;
        [
            ("ppt_scheme", ppt_scheme.as_deref()),
            ("ppt_serializer", ppt_serializer.as_deref()),
            ("ppt_cipher", ppt_cipher.as_deref()),
            ("ppt_keyid", ppt_keyid.as_deref()),
            ("enc_algo", enc_algo.as_deref()),
            ("enc_key", enc_key.as_deref()),
            ("enc_serializer", enc_serializer.as_deref()),
        ]
    }

    /// How many bytes it takes in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.entries().iter().filter_map(|(_, text)| *text).map(str::len).sum::<usize>()
    }
}

/// Whether a name is one that no specification gives: `x_` alone, or followed by `[a-z][0-9a-z_]+`.
fn is_custom(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("x_") else { return false };
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    match rest.as_bytes() {
        [] => true,
        [first, rest @ ..] => first.is_ascii_lowercase() && !rest.is_empty() && rest.iter().all(|&c| inner(c)),
    }
}

/// Who may and who may not receive an event (spec: "Subscriber Black- and Whitelisting").
///
/// An `eligible` list that is present and empty means nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Sessions that do not receive the event.
    pub exclude: Vec<SessionId>,
    /// authids that do not receive the event.
    pub exclude_authid: Vec<String>,
    /// Roles that do not receive the event.
    pub exclude_authrole: Vec<String>,
    /// If present, only these sessions receive the event.
    pub eligible: Option<Vec<SessionId>>,
    /// If present, only sessions with these authids receive the event.
    pub eligible_authid: Option<Vec<String>>,
    /// If present, only sessions with these roles receive the event.
    pub eligible_authrole: Option<Vec<String>>,
}

impl Audience {
    /// Whether a list of eligible receivers is there and empty, so that nobody receives the event.
    pub(crate) fn is_nobody(&self) -> bool {
        let Self { eligible, eligible_authid, eligible_authrole, .. } = self;
        eligible.as_ref().is_some_and(Vec::is_empty)
            || [eligible_authid, eligible_authrole].into_iter().flatten().any(Vec::is_empty)
    }

    /// Whether it names sessions by their ids, which mean nothing when these sessions are gone.
    pub(crate) const fn names_sessions(&self) -> bool {
        !self.exclude.is_empty() || self.eligible.is_some()
    }

    /// How many sessions, authids and roles its lists name.
    pub(crate) fn len(&self) -> usize {
        let Self { exclude, exclude_authid, exclude_authrole, eligible, eligible_authid, eligible_authrole } = self;
        let names = [eligible_authid, eligible_authrole].into_iter().flatten().map(Vec::len).sum::<usize>();
        exclude.len() + exclude_authid.len() + exclude_authrole.len() + eligible.as_ref().map_or(0, Vec::len) + names
    }

    /// How many bytes it takes in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        let Self { exclude, exclude_authid, exclude_authrole, eligible, eligible_authid, eligible_authrole } = self;
        let ids = exclude.len() + eligible.as_ref().map_or(0, Vec::len);
        let names = [exclude_authid, exclude_authrole].into_iter();
        let names = names.chain([eligible_authid, eligible_authrole].into_iter().flatten()).flatten();
        size_of::<Self>()
            + ids * size_of::<SessionId>()
            + names.map(|name| size_of::<String>() + name.len()).sum::<usize>()
    }
}

/// Options of PUBLISH.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishOptions {
    /// Answer with PUBLISHED or ERROR.
    pub acknowledge: bool,
    /// Whether the publisher is left out; `None` is `Some(true)`.
    pub exclude_me: Option<bool>,
    /// Ask the router to tell subscribers who publishes.
    pub disclose_me: bool,
    /// Keep the event for later subscribers.
    pub retain: bool,
    /// Limits on who receives the event.
    pub audience: Option<Box<Audience>>,
    /// Resource key for sharded subscriptions.
    pub rkey: Option<String>,
    /// Payload passthru attributes.
    pub pass_thru: Option<Box<PassThru>>,
}

/// Options of SUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// `match`: how the topic is compared.
    pub matching: MatchPolicy,
    /// Send the retained event, if there is one.
    pub get_retained: bool,
    /// Node key for sharded subscriptions.
    pub nkey: Option<String>,
}

/// Details of EVENT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventDetails {
    /// `publisher`, `publisher_authid`, `publisher_authrole`: who published, if disclosed.
    pub publisher: Option<Arc<Disclosed>>,
    /// The topic published to, for pattern-based subscriptions.
    pub topic: Option<Uri>,
    /// Trust level of the publication.
    pub trustlevel: Option<u64>,
    /// The event was published before the subscription.
    pub retained: bool,
    /// Payload passthru attributes.
    pub pass_thru: Option<Box<PassThru>>,
}

/// Options of CALL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// The caller takes progressive results.
    pub receive_progress: bool,
    /// More CALLs with this request id follow (progressive call invocations).
    pub progress: bool,
    /// Milliseconds until the call is canceled; 0 or absent is never.
    pub timeout: Option<u64>,
    /// Ask the router to tell the callee who calls.
    pub disclose_me: bool,
    /// Resource key for sharded registrations.
    pub rkey: Option<String>,
    /// `runmode` is `partition`, so that there must be a resource key.
    pub partition: bool,
    /// Payload passthru attributes.
    pub pass_thru: Option<Box<PassThru>>,
}

/// What happens to a call that is canceled (spec: "Call Canceling").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CancelMode {
    /// The caller gets its ERROR at once; the callee is not told.
    Skip,
    /// The callee is interrupted; the caller waits for its answer.
    Kill,
    /// The callee is interrupted and the caller gets its ERROR at once.
    KillNoWait,
}

impl CancelMode {
    /// The mode's name on the wire: `skip`, `kill` or `killnowait`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Kill => "kill",
            Self::KillNoWait => "killnowait",
        }
    }
}

/// Options of CANCEL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CancelOptions {
    /// `mode`; the router's default applies when absent.
    pub mode: Option<CancelMode>,
}

/// Details of RESULT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultDetails {
    /// More results of this call follow.
    pub progress: bool,
    /// `callee`, `callee_authid`, `callee_authrole`: who answered, if disclosed.
    pub callee: Option<Arc<Disclosed>>,
    /// Payload passthru attributes.
    pub pass_thru: Option<Box<PassThru>>,
}

/// How a call is given to one of several callees (spec: "Shared Registration").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InvocationPolicy {
    /// Only one callee may register.
    #[default]
    Single,
    /// Each in turn.
    RoundRobin,
    /// Any, at random.
    Random,
    /// The one that registered first.
    First,
    /// The one that registered last.
    Last,
}

impl InvocationPolicy {
    /// The policy's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::RoundRobin => "roundrobin",
            Self::Random => "random",
            Self::First => "first",
            Self::Last => "last",
        }
    }
}

/// Options of REGISTER.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterOptions {
    /// `match`: how the procedure is compared.
    pub matching: MatchPolicy,
    /// `invoke`: which callee gets a call.
    pub invoke: InvocationPolicy,
    /// How many invocations this callee takes at a time.
    pub concurrency: Option<u32>,
    /// Take the registration from its present callees (Crossbar.io).
    pub force_reregister: bool,
    /// The callee wants to know who calls; `None` leaves it to the realm.
    pub disclose_caller: Option<bool>,
    /// The callee takes care of call timeouts itself.
    pub forward_timeout: bool,
    /// Node key: the callee is a shard of this name (sharded registrations).
    pub nkey: Option<String>,
}

/// Details of INVOCATION.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvocationDetails {
    /// `caller`, `caller_authid`, `caller_authrole`: who calls, if disclosed.
    pub caller: Option<Arc<Disclosed>>,
    /// The procedure called, for pattern-based registrations.
    pub procedure: Option<Uri>,
    /// Trust level of the call.
    pub trustlevel: Option<u64>,
    /// Milliseconds until the call times out, forwarded to callees that asked for it.
    pub timeout: Option<u64>,
    /// The caller takes progressive results.
    pub receive_progress: bool,
    /// More INVOCATIONs with this request id follow.
    pub progress: bool,
    /// Payload passthru attributes.
    pub pass_thru: Option<Box<PassThru>>,
}

/// Options of INTERRUPT.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterruptOptions {
    /// `mode`: whether the caller still waits.
    pub mode: Option<CancelMode>,
    /// Why the call was canceled.
    pub reason: Option<Uri>,
}

/// Options of YIELD.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct YieldOptions {
    /// More results follow.
    pub progress: bool,
    /// Payload passthru attributes.
    pub pass_thru: Option<Box<PassThru>>,
}

/// What the router took back, and why (`Details` of UNSUBSCRIBED and UNREGISTERED without a request).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation<Id = RegistrationId> {
    /// `subscription` or `registration`.
    pub id: Id,
    /// Why.
    pub reason: Option<Uri>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn custom_names_are_those_that_autobahn_takes() {
        for name in ["x_", "x_ab", "x_a1_"] {
            assert!(is_custom(name), "{name}");
        }
        for name in ["", "x", "x_a", "x_1a", "x_aB", "y_ab", "x_a-b", "X_ab"] {
            assert!(!is_custom(name), "{name}");
        }
    }
}
