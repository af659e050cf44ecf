//! Work, which the router counts instead of time; and what it puts off so that no input takes long.
//!
//! An input may take a sixteenth of [`Limits::work_slice`](super::Limits::work_slice). What can take more is a [`Job`]: it is
//! begun at once, in most cases done at once too, and otherwise gone on with in turn with other jobs, a slice for each
//! [`Router::handle_timeout`]. The peer that asked for it is not read from meanwhile, so that it has one at a time.

use super::authorize::Held;
use super::leaving::Leaving;
use super::meta::{Ending, Listing};
use super::output::Output;
use super::revocation::Revoking;
use super::{PeerKey, Router};
use crate::time::Instant;
use core::cell::Cell;
use std::collections::VecDeque;

/// Units of work of a message that is taken in or put out, beside what it makes the router look at.
pub(crate) const MESSAGE: u64 = 8;

/// Units of work of taking an item out of the tables.
pub(crate) const ITEM: u64 = 4;

/// So many inputs that do as much as they may fit into a slice.
const INPUTS_IN_SLICE: u64 = 16;

/// The count of work, and how far the present input may go.
#[derive(Debug)]
pub(crate) struct Work {
    /// A cell, so that looking does not need more than a shared reference.
    done: Cell<u64>,
    until: u64,
    slice: u64,
}

impl Work {
    pub(crate) const fn new(slice: u64) -> Self {
        Self { done: Cell::new(0), until: slice, slice }
    }

    pub(crate) const fn done(&self) -> u64 {
        self.done.get()
    }

    /// An input has come.
    pub(crate) fn begin(&mut self) {
        self.add(MESSAGE);
        self.allow(self.slice.div_ceil(INPUTS_IN_SLICE));
    }

    /// A slice begins now.
    pub(crate) fn begin_slice(&mut self) {
        self.allow(self.slice);
    }

    fn allow(&mut self, units: u64) {
        self.until = self.done.get().saturating_add(units);
    }

    pub(crate) fn add(&self, units: u64) {
        self.done.set(self.done.get() + units);
    }

    /// How much is left of the slice.
    pub(crate) const fn left(&self) -> u64 {
        self.until.saturating_sub(self.done.get())
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.done.get() >= self.until
    }
}

/// Something long, gone on with in slices.
#[derive(Debug)]
pub(crate) enum Job {
    /// Answers a call with a list or a count.
    List(Box<Listing>),
    /// Ends sessions.
    End(Box<Ending>),
    /// Takes back what a session owned that has ended.
    Leave(Box<Leaving>),
    /// Takes back what sessions may no longer hold.
    Revoke(Box<Revoking>),
    /// Ends everything, from this slot of the peers on.
    ShutDown(usize),
}

impl Job {
    /// Who asked for it, and is not read from until it is done.
    fn owner(&self) -> Option<PeerKey> {
        match self {
            Self::List(listing) => Some(listing.caller()),
            Self::End(ending) => Some(ending.caller()),
            Self::Leave(_) | Self::Revoke(_) | Self::ShutDown(_) => None,
        }
    }
}

impl Router {
    /// Units of work done since the router was made. It only grows.
    ///
    /// A unit is about what it takes to look at an item or to queue an event for a receiver, well below a microsecond. An
    /// adapter that serves many peers in turn takes the difference around an input for what its peer has used, and ends its turn
    /// when [`Limits::work_slice`](super::Limits::work_slice) is used up.
    pub const fn work(&self) -> u64 {
        self.work.done()
    }

    /// Whether something that an earlier input began is left to be done. [`Router::next_deadline`] is then in the
    /// past: [`Router::handle_timeout`] goes on with it, other inputs may come in between. To be asked when all outputs
    /// have been taken.
    pub fn has_work(&self) -> bool {
        !self.jobs.is_empty() || !self.testaments_due.is_empty()
    }

    /// Begins with a job. If it is not done in this slice, its owner is not read from until it is.
    pub(crate) fn start(&mut self, now: Instant, job: Job) {
        let owner = job.owner();
        let Some(job) = self.go_on(now, job) else { return };
        if let Some(peer) = owner.and_then(|owner| self.peers.get_mut(owner)) {
            peer.busy.get_or_insert_default();
        }
        if let Job::Leave(leaving) = &job
            && let Some(peer) = self.peers.get_mut(leaving.key)
        {
            peer.leaving = true;
        }
        self.put_off(job);
    }

    /// Goes on with a job later.
    pub(crate) fn put_off(&mut self, job: Job) {
        self.stats.jobs_put_off += 1;
        self.jobs.push_back(job);
    }

    /// Goes on with what was put off, for one slice.
    pub(crate) fn go_on_with_jobs(&mut self, now: Instant) {
        if self.has_work() {
            self.work.begin_slice();
        }
        while !self.work.is_spent()
            && let Some(job) = self.jobs.pop_front()
        {
            let owner = job.owner();
            match self.go_on(now, job) {
                Some(job) => self.jobs.push_back(job),
                None => owner.into_iter().for_each(|owner| self.end_busy(now, owner)),
            }
        }
        // Some of the testaments that are due, however much there is beside them.
        if self.work.is_spent() && !self.testaments_due.is_empty() {
            self.work.begin_slice();
        }
    }

    /// Goes on with a job until it is done or the slice is used up; what is left of it.
    fn go_on(&mut self, now: Instant, job: Job) -> Option<Job> {
        match job {
            Job::List(listing) => self.go_on_listing(now, listing),
            Job::End(ending) => self.go_on_ending(now, ending),
            Job::Leave(leaving) => self.go_on_leaving(now, leaving),
            Job::Revoke(revoking) => self.go_on_revoking(revoking),
            Job::ShutDown(slot) => self.go_on_shutting_down(now, slot),
        }
    }

    /// The job of a peer is done: what it sent meanwhile is acted upon, and it is read from again.
    fn end_busy(&mut self, now: Instant, key: PeerKey) {
        let held = self.peers.get_mut(key).and_then(|peer| peer.busy.take());
        let Some(held) = held else { return };
        self.process_held(now, key, *held);
        if self.wants_input(key) {
            self.outputs.push_back(Output::InputReady(key));
        }
    }
}

/// Requests of a peer that wait until its job is done.
pub(crate) type Behind = Box<VecDeque<Held>>;
