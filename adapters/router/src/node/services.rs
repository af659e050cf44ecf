//! In-process sessions that call authenticators on behalf of the router.

use core::time::Duration;
use std::collections::BTreeMap;
use wampd_core::client::{ClientEvent, RequestError};
use wampd_core::id::RequestId;
use wampd_core::message::{CallOptions, Payload};
use wampd_core::router::Identity;
use wampd_core::uri::{Uri, error};
use wampd_core::value::{Dict, Value};
use wampd_mio::{LocalId, Locals};

/// Name of these sessions towards the procedures that they call.
const AUTHID: &str = "wampd";

/// Why a call failed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CallFailed {
    /// What went wrong.
    pub(super) error: Uri,
    /// The first argument of the error, if it is a text.
    pub(super) message: String,
}

/// Sessions by realm and role. Each is opened by its first call and stays. `Q` is what a call is made for.
#[derive(Debug)]
pub(super) struct Services<Q> {
    by_role: BTreeMap<(Uri, String), LocalId>,
    sessions: BTreeMap<LocalId, Session<Q>>,
    /// Calls of one session that are not over.
    max_open: usize,
}

#[derive(Debug)]
struct Session<Q> {
    key: (Uri, String),
    joined: bool,
    /// Calls to be made when the session is open.
    waiting: Vec<(Call, Q)>,
    calls: BTreeMap<RequestId, Q>,
}

/// A call to be made.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) procedure: Uri,
    pub(super) args: Vec<Value>,
    /// How long an answer is of use.
    pub(super) timeout: Duration,
}

/// A call that is over.
pub(super) type Finished<Q> = (Q, Result<Value, CallFailed>);

impl<Q> Services<Q> {
    /// No sessions yet, and never more than `max_open` calls of each at a time: peers that come and go can leave more calls
    /// than there are peers.
    pub(super) const fn new(max_open: usize) -> Self {
        Self { by_role: BTreeMap::new(), sessions: BTreeMap::new(), max_open }
    }

    /// Calls a procedure as this role in this realm. Returns the call if it has failed already; otherwise its end is
    /// returned by [`Services::event`].
    pub(super) fn call(
        &mut self,
        locals: &mut Locals,
        realm: Uri,
        role: String,
        call: Call,
        what: Q,
    ) -> Option<Finished<Q>> {
        let key = (realm, role);
        let id = match self.by_role.get(&key) {
            Some(id) => *id,
            None => {
                let (realm, authrole) = key.clone();
                let id = locals.add(Identity {
                    realm,
                    authid: AUTHID.to_owned(),
                    authrole,
                    authmethod: "internal".to_owned(),
                    authprovider: "internal".to_owned(),
                    authextra: Dict::new(),
                });
                self.by_role.insert(key.clone(), id);
                self.sessions.insert(id, Session { key, joined: false, waiting: Vec::new(), calls: BTreeMap::new() });
                id
            }
        };
        let session = self.sessions.get_mut(&id)?;
        if session.waiting.len() + session.calls.len() >= self.max_open {
            let message = "too many calls wait for an answer".to_owned();
            return Some((what, Err(CallFailed { error: error::UNAVAILABLE, message })));
        }
        if !session.joined {
            session.waiting.push((call, what));
            return None;
        }
        session.begin(locals, id, call, what)
    }

    /// What an event means for the calls of its session; `None` if it is not one of these sessions.
    pub(super) fn event(&mut self, locals: &mut Locals, id: LocalId, event: ClientEvent) -> Option<Vec<Finished<Q>>> {
        let session = self.sessions.get_mut(&id)?;
        Some(match event {
            ClientEvent::Joined(_) => {
                session.joined = true;
                let waiting = core::mem::take(&mut session.waiting);
                waiting.into_iter().filter_map(|(call, what)| session.begin(locals, id, call, what)).collect()
            }
            ClientEvent::Result { request, payload, .. } => session.finish(request, first_argument(&payload)),
            ClientEvent::Failed { request, error, payload, .. } => {
                let message = match first_argument(&payload) {
                    Ok(Value::Text(text)) => text,
                    _ => String::new(),
                };
                session.finish(request, Err(CallFailed { error, message }))
            }
            ClientEvent::Aborted { reason, details, .. } => {
                let message = details.get("message").and_then(Value::as_str).unwrap_or_default();
                self.end(id, &CallFailed { error: reason, message: message.to_owned() })
            }
            ClientEvent::Left { reason } => self.end(id, &CallFailed { error: reason, message: String::new() }),
            ClientEvent::Lost => {
                let message = "there is no room for the session that would call".to_owned();
                self.end(id, &CallFailed { error: error::UNAVAILABLE, message })
            }
            _ => Vec::new(),
        })
    }

    /// Forgets a session; the next call opens another.
    fn end(&mut self, id: LocalId, why: &CallFailed) -> Vec<Finished<Q>> {
        let Some(session) = self.sessions.remove(&id) else { return Vec::new() };
        self.by_role.remove(&session.key);
        let waiting = session.waiting.into_iter().map(|(_, what)| what);
        waiting.chain(session.calls.into_values()).map(|what| (what, Err(why.clone()))).collect()
    }
}

impl<Q> Session<Q> {
    fn begin(&mut self, locals: &mut Locals, id: LocalId, call: Call, what: Q) -> Option<Finished<Q>> {
        let millis = u64::try_from(call.timeout.as_millis()).unwrap_or(u64::MAX);
        let options = CallOptions { timeout: Some(millis.max(1)), ..CallOptions::default() };
        let payload = Payload::from_values(call.args, Dict::new());
        let made = match locals.get(id) {
            Some(mut peer) => peer.call(call.procedure, options, payload),
            None => Err(RequestError::NotJoined),
        };
        match made {
            Ok(request) => {
                self.calls.insert(request, what);
                None
            }
            Err(why) => Some((what, Err(CallFailed { error: error::UNAVAILABLE, message: why.to_string() }))),
        }
    }

    fn finish(&mut self, request: RequestId, result: Result<Value, CallFailed>) -> Vec<Finished<Q>> {
        self.calls.remove(&request).map(|what| (what, result)).into_iter().collect()
    }
}

/// The first argument; null if there is none.
fn first_argument(payload: &Payload) -> Result<Value, CallFailed> {
    match payload.values() {
        Ok((args, _)) => Ok(args.into_iter().next().unwrap_or(Value::Null)),
        Err(why) => Err(CallFailed { error: error::INVALID_ARGUMENT, message: why.to_string() }),
    }
}
