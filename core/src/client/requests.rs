use crate::id::{RegistrationId, RequestId, SubscriptionId};
use crate::message::RequestType;
use crate::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// The requests of one session that wait for an answer.
///
/// Invariant: `deadlines` holds exactly the `(deadline, id)` of the entries that have a deadline.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// How many ids were given out; the next one follows from it.
    issued: u64,
    last: Option<RequestId>,
    pending: BTreeMap<RequestId, Entry>,
    deadlines: BTreeSet<(Instant, RequestId)>,
}

#[derive(Debug)]
struct Entry {
    kind: Pending,
    deadline: Option<Instant>,
    /// The application has been told that the request failed: what comes is for housekeeping only.
    abandoned: bool,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    Publish,
    Subscribe,
    Unsubscribe(SubscriptionId),
    Register,
    Unregister(RegistrationId),
    Call,
}

impl Pending {
    pub(super) const fn request_type(self) -> RequestType {
        match self {
            Self::Publish => RequestType::Publish,
            Self::Subscribe => RequestType::Subscribe,
            Self::Unsubscribe(_) => RequestType::Unsubscribe,
            Self::Register => RequestType::Register,
            Self::Unregister(_) => RequestType::Unregister,
            Self::Call => RequestType::Call,
        }
    }
}

/// What an answer is to the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The answer to this request, which the application waits for unless `abandoned`.
    To { kind: Pending, abandoned: bool },
    /// The answer to a request that does not wait any more, or never did.
    Late,
    /// The answer to a request that was never made, or to one of another type.
    Wrong,
}

impl Requests {
    /// How many requests wait.
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    /// A new id that waits for no answer.
    ///
    /// Terminates: fewer requests wait than there are ids.
    pub(super) fn issue(&mut self) -> RequestId {
        let mut id = self.last.map_or(RequestId::FIRST, RequestId::next);
        while self.pending.contains_key(&id) {
            id = id.next();
        }
        self.last = Some(id);
        self.issued = self.issued.saturating_add(1);
        id
    }

    /// A new id that waits for an answer until `deadline`; none of the application's if `abandoned`.
    pub(super) fn expect(&mut self, kind: Pending, deadline: Option<Instant>, abandoned: bool) -> RequestId {
        let id = self.issue();
        self.pending.insert(id, Entry { kind, deadline, abandoned });
        self.deadlines.extend(deadline.map(|deadline| (deadline, id)));
        id
    }

    /// Takes back a request that was not sent. If it is the newest, its id is issued again, so that ids have no gap.
    pub(super) fn retract(&mut self, id: RequestId) {
        self.forget(id);
        if self.last == Some(id) {
            self.last = RequestId::new(id.get() - 1);
            self.issued = self.issued.saturating_sub(1);
        }
    }

    /// What an answer of type `answered` to the request `id` is; the request no longer waits.
    pub(super) fn answer(&mut self, id: RequestId, answered: RequestType) -> Answer {
        match self.pending.get(&id) {
            Some(entry) if entry.kind.request_type() == answered => {
                let answer = Answer::To { kind: entry.kind, abandoned: entry.abandoned };
                self.forget(id);
                answer
            }
            Some(_) => Answer::Wrong,
            None if id.get() <= self.issued => Answer::Late,
            None => Answer::Wrong,
        }
    }

    /// A progressive result of the call `id`, which goes on waiting until `deadline`.
    pub(super) fn progress(&mut self, id: RequestId, deadline: Option<Instant>) -> Answer {
        let answer = self.answer(id, RequestType::Call);
        if let Answer::To { kind, abandoned } = answer {
            let deadline = if abandoned { None } else { deadline };
            self.pending.insert(id, Entry { kind, deadline, abandoned });
            self.deadlines.extend(deadline.map(|deadline| (deadline, id)));
        }
        answer
    }

    /// Whether the application waits for the call `id`.
    pub(super) fn is_call(&self, id: RequestId) -> bool {
        self.pending.get(&id).is_some_and(|entry| entry.kind == Pending::Call && !entry.abandoned)
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The next request whose deadline has come; it is abandoned, its answer still expected.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(RequestId, Pending)> {
        let &(deadline, id) = self.deadlines.first().filter(|(deadline, _)| *deadline <= now)?;
        self.deadlines.remove(&(deadline, id));
        let entry = self.pending.get_mut(&id)?;
        (entry.deadline, entry.abandoned) = (None, true);
        Some((id, entry.kind))
    }

    /// Ends all requests: the ids that the application waits for, in order.
    pub(super) fn end(self) -> impl Iterator<Item = RequestId> {
        self.pending.into_iter().filter(|(_, entry)| !entry.abandoned).map(|(id, _)| id)
    }

    fn forget(&mut self, id: RequestId) {
        if let Some(Entry { deadline: Some(deadline), .. }) = self.pending.remove(&id) {
            self.deadlines.remove(&(deadline, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::MAX_ID;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn ids_count_from_one_and_wrap_around_the_pending() {
        let mut requests = Requests::default();
        assert_eq!(requests.issue().get(), 1);
        assert_eq!(requests.expect(Pending::Call, None, false).get(), 2);
        (requests.last, requests.issued) = (RequestId::new(MAX_ID), MAX_ID);
        assert_eq!(requests.issue().get(), 1);
        assert_eq!(requests.issue().get(), 3);
    }

    #[test]
    fn what_was_not_sent_leaves_no_trace() {
        let mut requests = Requests::default();
        let first = requests.expect(Pending::Call, Some(at(1)), false);
        requests.retract(first);
        assert_eq!((requests.len(), requests.next_deadline()), (0, None));
        assert_eq!(requests.answer(first, RequestType::Call), Answer::Wrong);
        assert_eq!(requests.issue(), first);
        let second = requests.expect(Pending::Call, None, false);
        requests.issue();
        requests.retract(second);
        assert_eq!((requests.len(), requests.issue().get()), (0, 4));
    }

    #[test]
    fn answers_are_told_apart() {
        let mut requests = Requests::default();
        let call = requests.expect(Pending::Call, None, false);
        assert_eq!(requests.answer(call, RequestType::Publish), Answer::Wrong);
        assert_eq!(requests.answer(call, RequestType::Call), Answer::To { kind: Pending::Call, abandoned: false });
        assert_eq!(requests.answer(call, RequestType::Call), Answer::Late);
        assert_eq!(requests.answer(call.next(), RequestType::Call), Answer::Wrong);
    }

    #[test]
    fn progress_moves_the_deadline() {
        let mut requests = Requests::default();
        let call = requests.expect(Pending::Call, Some(at(10)), false);
        requests.progress(call, Some(at(20)));
        assert_eq!(requests.next_deadline(), Some(at(20)));
        assert_eq!(requests.expire(at(19)), None);
        assert_eq!(requests.expire(at(20)), Some((call, Pending::Call)));
        assert_eq!((requests.next_deadline(), requests.expire(at(99))), (None, None));
        // Its late progress does not bring the deadline back, its late answer is still known.
        requests.progress(call, Some(at(30)));
        assert_eq!(requests.next_deadline(), None);
        assert_eq!(requests.answer(call, RequestType::Call), Answer::To { kind: Pending::Call, abandoned: true });
    }

    #[test]
    fn what_waits_at_the_end_is_told_once() {
        let mut requests = Requests::default();
        let ids: Vec<_> = (0..4).map(|n| requests.expect(Pending::Subscribe, Some(at(n)), false)).collect();
        requests.answer(ids[2], RequestType::Subscribe);
        requests.expire(at(0));
        assert_eq!((requests.len(), requests.next_deadline()), (3, Some(at(1))));
        assert_eq!(requests.end().collect::<Vec<_>>(), [ids[1], ids[3]]);
    }
}
