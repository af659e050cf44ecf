//! Questions that wait for functions and procedures: who asks how many, and when nobody waits for an answer any more.

use super::functions::{Fate, Functions};
use super::host::log_failure;
use super::observe::Refusals;
use crate::authn::answerer::Pending;
use crate::authn::derived::DerivedKeys;
use crate::authn::grant::{FunctionError, FunctionGrant};
use crate::log::Log;
use crate::reply::Question;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wampd_core::router::{AuthVerdict, DecisionId, Origin};
use wampd_core::uri::error;
use wampd_mio::{Lane, ServerHandle};

/// Questions of the router that are open.
#[derive(Debug)]
pub(super) struct Questions {
    open: BTreeMap<DecisionId, Open>,
    /// How many logins of each address are open.
    logins: BTreeMap<Origin, usize>,
    max_per_address: usize,
}

#[derive(Debug)]
struct Open {
    question: Arc<Question>,
    is_login: bool,
}

impl Questions {
    pub(super) const fn new(max_per_address: usize) -> Self {
        Self { open: BTreeMap::new(), logins: BTreeMap::new(), max_per_address }
    }

    /// A login begins to be asked about, whose peer waits for so long; `None` if too many of its address are.
    pub(super) fn login(&mut self, id: DecisionId, lane: Lane, patience: Duration) -> Option<Arc<Question>> {
        if let Some(origin) = lane {
            let count = self.logins.entry(origin).or_default();
            if *count >= self.max_per_address {
                return None;
            }
            *count += 1;
        }
        Some(self.begin(id, lane, patience, true))
    }

    /// An action begins to be asked about, whose peer waits for so long. A session has one such question at a time.
    pub(super) fn action(&mut self, id: DecisionId, lane: Lane, patience: Duration) -> Arc<Question> {
        self.begin(id, lane, patience, false)
    }

    fn begin(&mut self, id: DecisionId, lane: Lane, patience: Duration, is_login: bool) -> Arc<Question> {
        let question = Question::within(lane, patience);
        self.open.insert(id, Open { question: question.clone(), is_login });
        question
    }

    /// A question is over. Returns whether it was open.
    pub(super) fn settle(&mut self, id: DecisionId) -> bool {
        let Some(Open { question, is_login }) = self.open.remove(&id) else { return false };
        question.settle();
        if let Some(origin) = question.lane.filter(|_| is_login)
            && let Some(count) = self.logins.get_mut(&origin)
        {
            *count -= 1;
            if *count == 0 {
                self.logins.remove(&origin);
            }
        }
        true
    }
}

/// What every login that is asked about needs in the end.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) functions: Functions,
    pub(super) keys: Arc<DerivedKeys>,
    pub(super) refusals: Arc<Refusals>,
    pub(super) server: ServerHandle,
    pub(super) log: Arc<Log>,
}

/// A login that is asked about: what its answer leads to, on any thread.
#[derive(Debug)]
pub(super) struct Conclusion {
    pub(super) desk: Desk,
    pub(super) id: DecisionId,
    /// Who is asked, for the log.
    pub(super) name: String,
    pub(super) pending: Pending,
    pub(super) question: Arc<Question>,
}

impl Conclusion {
    /// The function or procedure has answered.
    pub(super) fn answered(self, answer: Result<FunctionGrant, FunctionError>) {
        if let Err(error) = &answer {
            log_failure(&self.desk.log, &self.name, self.pending.method(), error);
        }
        let derivation = answer.as_ref().ok().and_then(|grant| self.pending.derivation(grant));
        match (answer, derivation) {
            (Ok(grant), Some(derivation)) => match self.desk.keys.kept(&derivation) {
                Some(derived) => self.decide(Ok(grant.with_derived(derived))),
                None => {
                    let (functions, question) = (self.desk.functions.clone(), self.question.clone());
                    functions.run(&question, move |fate| match fate {
                        Fate::Run => {
                            let keys = self.desk.keys.clone();
                            let then = move |derived| self.decide(Ok(grant.with_derived(derived)));
                            keys.derive(derivation, Box::new(then));
                        }
                        Fate::Refused => self.refused(),
                    });
                }
            },
            (answer, _) => self.decide(answer),
        }
    }

    /// There is no room for the work on it.
    pub(super) fn refused(self) {
        self.desk.refusals.decision(&self.desk.log);
        self.desk.server.decide(self.id, too_many("too many logins wait"));
    }

    fn decide(self, answer: Result<FunctionGrant, FunctionError>) {
        self.desk.server.decide(self.id, self.pending.verdict(answer));
    }
}

/// The verdict on a login that there is no room for.
pub(super) fn too_many(message: &str) -> AuthVerdict {
    AuthVerdict::Unavailable { reason: error::AUTHENTICATION_FAILED, message: message.to_owned() }
}
