use super::output::AnswerError;
use crate::id::RequestId;
use crate::message::InvocationDetails;
use crate::time::Instant;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// The invocations of one session that the application has not answered.
///
/// Invariant: `deadlines` holds exactly the `(deadline, id)` of those that have a deadline.
#[derive(Debug, Default)]
pub(super) struct Invocations {
    open: BTreeMap<RequestId, Open>,
    deadlines: BTreeSet<(Instant, RequestId)>,
    /// Invocations that were answered before their last part came. Not all routers count invocations as the
    /// specification wants it, so that their ids alone would not tell.
    cut_short: BTreeSet<RequestId>,
}

/// How many of those are remembered.
const MAX_CUT_SHORT: usize = 4_096;

#[derive(Debug)]
struct Open {
    takes_progress: bool,
    /// More parts of the call follow.
    goes_on: bool,
    /// The time to the next result, which the router leaves to the callee.
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    /// There was a result since the deadline was set.
    progressed: bool,
}

/// What an INVOCATION is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    New,
    /// The next part of one that is open.
    Part,
    /// A further part of one that was answered: the router could not know.
    Late,
    /// The id of one that is open, of which no more parts were to come.
    Wrong,
}

impl Invocations {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn is_open(&self, id: RequestId) -> bool {
        self.open.contains_key(&id)
    }

    /// Tells what an INVOCATION is (spec: "Progressive Call Invocations").
    pub(super) fn arrive(&mut self, id: RequestId, details: &InvocationDetails) -> Arrival {
        if let Some(open) = self.open.get_mut(&id) {
            if !open.goes_on {
                return Arrival::Wrong;
            }
            open.goes_on = details.progress;
            return Arrival::Part;
        }
        if self.cut_short.contains(&id) {
            if !details.progress {
                self.cut_short.remove(&id);
            }
            return Arrival::Late;
        }
        Arrival::New
    }

    /// An invocation is answered without being opened.
    pub(super) fn refuse(&mut self, id: RequestId, details: &InvocationDetails) {
        if details.progress {
            self.cut_short(id);
        }
    }

    fn cut_short(&mut self, id: RequestId) {
        self.cut_short.insert(id);
        if self.cut_short.len() > MAX_CUT_SHORT {
            self.cut_short.pop_first();
        }
    }

    /// The application gets an invocation to answer.
    pub(super) fn open(&mut self, now: Instant, id: RequestId, details: &InvocationDetails) {
        let timeout = details.timeout.filter(|ms| *ms > 0).map(Duration::from_millis);
        let deadline = timeout.map(|timeout| now.after(timeout));
        let (takes_progress, goes_on) = (details.receive_progress, details.progress);
        self.open.insert(id, Open { takes_progress, goes_on, timeout, deadline, progressed: false });
        self.deadlines.extend(deadline.map(|deadline| (deadline, id)));
    }

    /// The application answers: with the last answer, or with progress.
    pub(super) fn answer(&mut self, id: RequestId, progress: bool) -> Result<(), AnswerError> {
        let open = self.open.get_mut(&id).ok_or(AnswerError::UnknownRequest)?;
        if !progress {
            self.close(id);
        } else if open.takes_progress {
            open.progressed = true;
        } else {
            return Err(AnswerError::ProgressNotRequested);
        }
        Ok(())
    }

    fn close(&mut self, id: RequestId) {
        let Some(open) = self.open.remove(&id) else { return };
        if let Some(deadline) = open.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        if open.goes_on {
            self.cut_short(id);
        }
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The next invocation whose time is over; it is no longer open.
    ///
    /// The application's results come without a time. One that had a result since its deadline was set gets as much
    /// time again, so that none is ever given up early.
    pub(super) fn expire(&mut self, now: Instant) -> Option<RequestId> {
        loop {
            let &(deadline, id) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now)?;
            match self.open.get_mut(&id) {
                Some(Open { progressed: progressed @ true, timeout: Some(timeout), deadline: own, .. }) => {
                    let later = deadline.after(*timeout);
                    (*progressed, *own) = (false, Some(later));
                    self.deadlines.remove(&(deadline, id));
                    self.deadlines.insert((later, id));
                }
                _ => {
                    self.close(id);
                    return Some(id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> RequestId {
        RequestId::new(n).unwrap()
    }

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    fn details(progress: bool, timeout: Option<u64>) -> InvocationDetails {
        InvocationDetails { progress, timeout, receive_progress: true, ..InvocationDetails::default() }
    }

    #[test]
    fn parts_are_told_from_new_ones() {
        let mut invocations = Invocations::default();
        let arrive = |invocations: &mut Invocations, n, progress| {
            let details = details(progress, None);
            let arrival = invocations.arrive(id(n), &details);
            if arrival == Arrival::New {
                invocations.open(at(0), id(n), &details);
            }
            arrival
        };
        assert_eq!(arrive(&mut invocations, 1, true), Arrival::New);
        assert_eq!(arrive(&mut invocations, 2, false), Arrival::New);
        assert_eq!(arrive(&mut invocations, 1, true), Arrival::Part);
        assert_eq!(arrive(&mut invocations, 1, false), Arrival::Part);
        assert_eq!(arrive(&mut invocations, 1, true), Arrival::Wrong);
        assert_eq!(arrive(&mut invocations, 3, true), Arrival::New);
        invocations.answer(id(3), false).unwrap();
        assert_eq!(arrive(&mut invocations, 3, true), Arrival::Late);
        assert_eq!(arrive(&mut invocations, 3, false), Arrival::Late);
        assert_eq!((invocations.is_open(id(3)), invocations.len()), (false, 2));
        assert_eq!(invocations.cut_short.len(), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut invocations = Invocations::default();
        for n in 1..=MAX_CUT_SHORT as u64 + 1 {
            invocations.refuse(id(n), &details(true, None));
        }
        assert_eq!(invocations.cut_short.len(), MAX_CUT_SHORT);
        assert_eq!(invocations.arrive(id(2), &details(true, None)), Arrival::Late);
    }

    #[test]
    fn time_is_between_results() {
        let mut invocations = Invocations::default();
        invocations.open(at(0), id(1), &details(false, Some(100)));
        invocations.open(at(10), id(2), &details(false, Some(100)));
        invocations.open(at(10), id(3), &details(false, Some(0)));
        assert_eq!(invocations.next_deadline(), Some(at(100)));
        invocations.answer(id(1), true).unwrap();
        assert_eq!(invocations.expire(at(109)), None);
        assert_eq!(invocations.expire(at(110)), Some(id(2)));
        assert_eq!(invocations.answer(id(2), false), Err(AnswerError::UnknownRequest));
        assert_eq!(invocations.next_deadline(), Some(at(200)));
        invocations.answer(id(1), false).unwrap();
        assert_eq!((invocations.next_deadline(), invocations.expire(at(1_000))), (None, None));
        assert!(invocations.is_open(id(3)), "0 is no timeout");
    }
}
