//! In-process sessions that call authenticators and authorizers on behalf of the router.

use super::absent::Absent;
use super::observe::Refusals;
use crate::log::Log;
use crate::reply::Question;
use std::collections::BTreeMap;
use std::sync::Arc;
use wampd_core::client::{ClientEvent, RequestError};
use wampd_core::id::RequestId;
use wampd_core::message::{CallOptions, CancelMode, Payload};
use wampd_core::router::Identity;
use wampd_core::time::Instant;
use wampd_core::uri::{Uri, error};
use wampd_core::value::{Dict, Value};
use wampd_mio::{Context, FairQueue, LocalId};

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

/// How often a procedure is called for one question if its callees end without an answer: a question that ends every
/// callee must not be asked again without end.
const MAX_TRIES: u8 = 3;

/// A session's realm and role.
pub(super) type Caller = (Uri, String);

/// Sessions by realm and role. Each is opened by its first call and stays. `Q` is what a call is made for.
#[derive(Debug)]
pub(super) struct Services<Q> {
    by_role: BTreeMap<Caller, LocalId>,
    sessions: BTreeMap<LocalId, Session<Q>>,
    /// Calls of procedures that nobody has registered.
    absent: Absent<Q>,
    refusals: Arc<Refusals>,
    log: Arc<Log>,
    /// Calls of one session that are not over.
    max_open: usize,
    /// Calls of one session that are made and not answered.
    max_made: usize,
}

#[derive(Debug)]
struct Session<Q> {
    caller: Caller,
    joined: bool,
    /// Calls to be made when the session is open and fewer are made.
    waiting: FairQueue<(Call, Q)>,
    calls: BTreeMap<RequestId, Made<Q>>,
}

/// A call that is not answered.
#[derive(Debug)]
struct Made<Q> {
    call: Call,
    what: Q,
    canceled: bool,
}

/// A call to be made.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) procedure: Uri,
    pub(super) payload: Payload,
    /// Until when an answer is of use.
    pub(super) expires: Instant,
    /// What it is made for.
    pub(super) question: Arc<Question>,
    /// How often it was made and came to nothing.
    pub(super) tries: u8,
}

impl Call {
    pub(super) fn new(procedure: Uri, args: Vec<Value>, expires: Instant, question: Arc<Question>) -> Self {
        Self { procedure, payload: Payload::from_values(args, Dict::new()), expires, question, tries: 0 }
    }
}

/// A call that is over.
pub(super) type Finished<Q> = (Q, Result<Value, CallFailed>);

impl<Q> Services<Q> {
    /// No sessions yet, and never more than `max_open` calls of each at a time, of which `max_made` are made: the others
    /// wait, and the addresses of those they are for take turns. Beside them `max_held` calls wait for procedures that
    /// nobody has registered.
    pub(super) fn new(
        max_open: usize,
        max_made: usize,
        max_held: usize,
        refusals: Arc<Refusals>,
        log: Arc<Log>,
    ) -> Self {
        let absent = Absent::new(max_held);
        Self { by_role: BTreeMap::new(), sessions: BTreeMap::new(), absent, refusals, log, max_open, max_made }
    }

    /// Calls a procedure as this role in this realm. Returns the calls that have failed already; the end of others is
    /// returned by [`Services::event`].
    pub(super) fn call(&mut self, cx: &mut Context<'_>, caller: Caller, call: Call, what: Q) -> Vec<Finished<Q>> {
        let id = match self.by_role.get(&caller) {
            Some(id) => *id,
            None => {
                let (realm, authrole) = caller.clone();
                let id = cx.locals().add(Identity {
                    realm,
                    authid: AUTHID.to_owned(),
                    authrole,
                    authmethod: "internal".to_owned(),
                    authprovider: "internal".to_owned(),
                    authextra: Dict::new(),
                });
                self.by_role.insert(caller.clone(), id);
                id
            }
        };
        let session = self.sessions.entry(id).or_insert_with(|| Session {
            caller,
            joined: false,
            waiting: FairQueue::default(),
            calls: BTreeMap::new(),
        });
        let lane = call.question.lane;
        let mut refused = None;
        if session.waiting.len() + session.calls.len() >= self.max_open {
            session.waiting.take_if(|(call, _)| call.question.is_settled());
        }
        if session.waiting.len() + session.calls.len() >= self.max_open {
            let Some((_, other)) = session.waiting.make_room(lane) else { return vec![too_many(what)] };
            refused = Some(too_many(other));
        }
        session.waiting.push(lane, (call, what));
        let mut finished = session.go_on(cx, id, self.max_made);
        finished.extend(refused);
        finished
    }

    /// A question is settled that a procedure may be called for: asks for the call to be canceled.
    pub(super) fn settled(&mut self, cx: &mut Context<'_>) {
        self.absent.settled();
        for (id, session) in &mut self.sessions {
            for (request, made) in &mut session.calls {
                if made.call.question.is_settled()
                    && !core::mem::replace(&mut made.canceled, true)
                    && let Some(mut peer) = cx.locals().get(*id)
                {
                    // A call that is over already is none any more.
                    let _ = peer.cancel(*request, Some(CancelMode::Kill));
                }
            }
        }
    }

    /// What an event means for the calls of its session; `None` if it is not one of these sessions.
    pub(super) fn event(&mut self, cx: &mut Context<'_>, id: LocalId, event: ClientEvent) -> Option<Vec<Finished<Q>>> {
        let session = self.sessions.get_mut(&id)?;
        let (request, result) = match event {
            ClientEvent::Joined(_) => {
                session.joined = true;
                return Some(session.go_on(cx, id, self.max_made));
            }
            ClientEvent::Result { request, payload, .. } => (request, first_argument(&payload)),
            ClientEvent::Failed { request, error, payload, .. } => {
                let message = match first_argument(&payload) {
                    Ok(Value::Text(text)) => text,
                    _ => String::new(),
                };
                (request, Err(CallFailed { error, message }))
            }
            ClientEvent::Aborted { reason, details, .. } => {
                let message = details.get("message").and_then(Value::as_str).unwrap_or_default();
                return Some(self.end(id, &CallFailed { error: reason, message: message.to_owned() }));
            }
            ClientEvent::Left { reason } => {
                return Some(self.end(id, &CallFailed { error: reason, message: String::new() }));
            }
            ClientEvent::Lost => {
                let message = "there is no room for the session that would call".to_owned();
                return Some(self.end(id, &CallFailed { error: error::UNAVAILABLE, message }));
            }
            _ => return Some(Vec::new()),
        };
        let mut finished = self.finish(cx, id, request, result);
        if let Some(session) = self.sessions.get_mut(&id) {
            finished.extend(session.go_on(cx, id, self.max_made));
        }
        Some(finished)
    }

    /// A call is over, unless its procedure is not there: then it is made again when it is.
    fn finish(
        &mut self,
        cx: &mut Context<'_>,
        id: LocalId,
        request: RequestId,
        result: Result<Value, CallFailed>,
    ) -> Vec<Finished<Q>> {
        let Some(session) = self.sessions.get_mut(&id) else { return Vec::new() };
        let Some(Made { mut call, what, .. }) = session.calls.remove(&request) else { return Vec::new() };
        if call.question.is_settled() {
            return Vec::new();
        }
        let error = result.as_ref().err().map(|failed| &failed.error);
        let (absent, ended) = (error == Some(&error::NO_SUCH_PROCEDURE), error == Some(&error::CANCELED));
        call.tries += u8::from(ended);
        if !(absent || ended) || call.tries >= MAX_TRIES {
            return vec![(what, result)];
        }
        if !cx.await_procedure(&session.caller.0, &call.procedure) {
            let caller = session.caller.clone();
            return self.hold(caller, call, what).into_iter().collect();
        }
        // It is there again, or was all the time: a callee may answer with this error itself.
        call.tries += u8::from(absent);
        session.waiting.push(call.question.lane, (call, what));
        Vec::new()
    }

    /// Holds a call until somebody registers its procedure. Returns what finds no room.
    fn hold(&mut self, caller: Caller, call: Call, what: Q) -> Option<Finished<Q>> {
        let (realm, procedure) = (caller.0.clone(), call.procedure.clone());
        if self.absent.begins(&realm, &procedure) {
            let event = "procedure is not registered yet: logins and requests that need it wait";
            self.log.warn(event).text("realm", realm.as_str()).text("procedure", procedure.as_str()).end();
        }
        let refused = self.absent.hold(caller, call, what)?;
        self.refusals.held(&self.log);
        let message = "limit max_held_decisions reached".to_owned();
        Some((refused, Err(CallFailed { error: error::UNAVAILABLE, message })))
    }

    /// A procedure has a callee: makes the calls that were held for it. Returns those that have failed already.
    pub(super) fn registered(&mut self, cx: &mut Context<'_>, realm: &Uri, procedure: &Uri) -> Vec<Finished<Q>> {
        let held = self.absent.release(realm, procedure);
        if !held.is_empty() {
            let line = self.log.info("procedure registered: what waited for it goes on");
            let line = line.text("realm", realm.as_str()).text("procedure", procedure.as_str());
            line.number("waiting", held.len() as u64).end();
        }
        held.into_iter().flat_map(|(caller, call, what)| self.call(cx, caller, call, what)).collect()
    }

    /// Forgets a session; the next call opens another.
    fn end(&mut self, id: LocalId, why: &CallFailed) -> Vec<Finished<Q>> {
        let Some(mut session) = self.sessions.remove(&id) else { return Vec::new() };
        self.by_role.remove(&session.caller);
        let waiting = session.waiting.take_if(|_| true).into_iter().map(|(_, what)| what);
        let made = session.calls.into_values().map(|made| made.what);
        waiting.chain(made).map(|what| (what, Err(why.clone()))).collect()
    }
}

fn too_many<Q>(what: Q) -> Finished<Q> {
    let message = "too many calls wait for an answer".to_owned();
    (what, Err(CallFailed { error: error::UNAVAILABLE, message }))
}

impl<Q> Session<Q> {
    /// Makes calls that wait, as long as there is room. Returns those that have failed already.
    fn go_on(&mut self, cx: &mut Context<'_>, id: LocalId, max_made: usize) -> Vec<Finished<Q>> {
        let mut failed = Vec::new();
        while self.joined && self.calls.len() < max_made {
            let Some((call, what)) = self.waiting.pop() else { break };
            if !call.question.is_settled() {
                failed.extend(self.begin(cx, id, call, what));
            }
        }
        failed
    }

    fn begin(&mut self, cx: &mut Context<'_>, id: LocalId, call: Call, what: Q) -> Option<Finished<Q>> {
        let millis = u64::try_from(call.expires.since(cx.now()).as_millis()).unwrap_or(u64::MAX);
        let options = CallOptions { timeout: Some(millis.max(1)), ..CallOptions::default() };
        let made = match cx.locals().get(id) {
            Some(mut peer) => peer.call(call.procedure.clone(), options, call.payload.clone()),
            None => Err(RequestError::NotJoined),
        };
        match made {
            Ok(request) => {
                self.calls.insert(request, Made { call, what, canceled: false });
                None
            }
            Err(why) => Some((what, Err(CallFailed { error: error::UNAVAILABLE, message: why.to_string() }))),
        }
    }
}

/// Bytes of memory that the values of an answer may take. Small items take many times the bytes that they have on the
/// wire.
const MAX_ANSWER_WEIGHT: u32 = 16 << 20;

/// The first argument; null if there is none.
fn first_argument(payload: &Payload) -> Result<Value, CallFailed> {
    match payload.values_within(MAX_ANSWER_WEIGHT) {
        Ok((args, _)) => Ok(args.into_iter().next().unwrap_or(Value::Null)),
        Err(why) => Err(CallFailed { error: error::INVALID_ARGUMENT, message: why.to_string() }),
    }
}
