//! Calls that are held until somebody registers their procedure.

use super::services::{Call, Caller};
use std::collections::BTreeSet;
use wampd_core::uri::Uri;
use wampd_mio::FairQueue;

/// Calls of procedures that nobody has registered. `Q` is what a call is made for.
#[derive(Debug)]
pub(super) struct Absent<Q> {
    held: FairQueue<Held<Q>>,
    /// The procedures that are waited for, with their realms.
    procedures: BTreeSet<(Uri, Uri)>,
    /// Held calls that nobody waits for any more, at most.
    settled: usize,
    max: usize,
}

/// Who calls, what is called, and what for.
pub(super) type Held<Q> = (Caller, Call, Q);

impl<Q> Absent<Q> {
    pub(super) fn new(max: usize) -> Self {
        Self { held: FairQueue::default(), procedures: BTreeSet::new(), settled: 0, max }
    }

    /// Whether a procedure begins to be waited for.
    pub(super) fn begins(&mut self, realm: &Uri, procedure: &Uri) -> bool {
        self.procedures.insert((realm.clone(), procedure.clone()))
    }

    /// Holds a call. Returns what finds no room: the last one of the address that has most, or this one.
    pub(super) fn hold(&mut self, caller: Caller, call: Call, what: Q) -> Option<Q> {
        let lane = call.question.lane;
        if self.held.len() >= self.max && self.settled > 0 {
            self.forget_settled();
        }
        let mut refused = None;
        if self.held.len() >= self.max {
            let Some((_, _, other)) = self.held.make_room(lane) else { return Some(what) };
            refused = Some(other);
        }
        self.held.push(lane, (caller, call, what));
        refused
    }

    /// Takes the calls of a procedure, in the order in which they came from each address.
    pub(super) fn release(&mut self, realm: &Uri, procedure: &Uri) -> Vec<Held<Q>> {
        self.procedures.remove(&(realm.clone(), procedure.clone()));
        let released = self.held.take_if(|(caller, call, _)| caller.0 == *realm && call.procedure == *procedure);
        released.into_iter().filter(|(_, call, _)| !call.question.is_settled()).collect()
    }

    /// A question is settled that a held call may be for.
    pub(super) fn settled(&mut self) {
        if self.held.is_empty() {
            self.settled = 0;
            return;
        }
        self.settled += 1;
        // All of them together: each held call is looked at once or twice.
        if self.settled * 2 > self.held.len() {
            self.forget_settled();
        }
    }

    fn forget_settled(&mut self) {
        self.settled = 0;
        self.held.take_if(|(_, call, _)| call.question.is_settled());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Question;
    use std::net::IpAddr;
    use std::sync::Arc;
    use wampd_core::router::Origin;
    use wampd_core::time::Instant;

    const REALM: Uri = Uri::from_static("realm1");
    const PROCEDURE: Uri = Uri::from_static("com.auth");

    fn call(address: u8, procedure: &'static str) -> (Arc<Question>, Call) {
        let question = Question::new(Some(Origin::from(IpAddr::from([10, 0, 0, address]))));
        (question.clone(), Call::new(Uri::from_static(procedure), Vec::new(), Instant::ZERO, question))
    }

    fn hold(absent: &mut Absent<u8>, address: u8, what: u8) -> (Arc<Question>, Option<u8>) {
        let (question, call) = call(address, "com.auth");
        (question, absent.hold((REALM, "trusted".to_owned()), call, what))
    }

    fn release(absent: &mut Absent<u8>) -> Vec<u8> {
        absent.release(&REALM, &PROCEDURE).into_iter().map(|(_, _, what)| what).collect()
    }

    #[test]
    fn calls_are_released_by_realm_and_procedure() {
        let mut absent = Absent::new(10);
        hold(&mut absent, 1, 1);
        let (_other, call) = call(1, "com.other");
        assert_eq!(absent.hold((REALM, "trusted".to_owned()), call, 2), None);
        assert_eq!(absent.release(&Uri::from_static("realm2"), &PROCEDURE).len(), 0);
        assert_eq!(release(&mut absent), [1]);
        assert_eq!(release(&mut absent), [0; 0]);
        assert_eq!(absent.held.len(), 1);
    }

    #[test]
    fn at_the_limit_the_address_that_holds_most_makes_room() {
        let mut absent = Absent::new(3);
        let refused = [(1, 10), (1, 11), (1, 12), (1, 13), (2, 20), (3, 30)]
            .map(|(address, what)| hold(&mut absent, address, what).1);
        assert_eq!(refused, [None, None, None, Some(13), Some(12), Some(11)]);
        assert_eq!(release(&mut absent), [10, 20, 30]);
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten_and_takes_no_room() {
        let mut absent = Absent::new(4);
        let questions: Vec<_> = (0..4).map(|n| hold(&mut absent, 1, n).0).collect();
        questions[1].settle();
        absent.settled();
        assert_eq!(absent.held.len(), 4, "not yet worth a look at all");
        assert_eq!(hold(&mut absent, 1, 4).1, None, "it makes room");
        for question in [&questions[0], &questions[2], &questions[3]] {
            question.settle();
            absent.settled();
        }
        assert_eq!(absent.held.len(), 1);
        assert_eq!(release(&mut absent), [4]);
    }
}
