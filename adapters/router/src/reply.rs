//! The way back for an answer that may come later, from any thread.

use core::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wampd_mio::Lane;

/// An answer that somebody waits for.
pub trait Answer: Sized {
    /// What it is taken for when no answer is given.
    fn missing() -> Self;
}

/// A question on behalf of a peer, for all who work on it.
#[derive(Debug, Default)]
pub(crate) struct Question {
    /// Where the peer comes from.
    pub(crate) lane: Lane,
    /// Until when the peer waits; `None`: not known.
    pub(crate) expires: Option<Instant>,
    settled: AtomicBool,
}

impl Question {
    pub(crate) fn new(lane: Lane) -> Arc<Self> {
        Arc::new(Self { lane, ..Self::default() })
    }

    /// One whose peer waits for so long.
    pub(crate) fn within(lane: Lane, patience: Duration) -> Arc<Self> {
        Arc::new(Self { lane, expires: Instant::now().checked_add(patience), ..Self::default() })
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed)
    }
}

/// The way back for an answer. Dropped without one, [`Answer::missing`] is the answer.
pub struct Reply<A: Answer> {
    send: Option<Box<dyn FnOnce(A) + Send>>,
    question: Arc<Question>,
}

impl<A: Answer> Reply<A> {
    /// A way back that hands the answer to `send`.
    pub fn new(send: impl FnOnce(A) + Send + 'static) -> Self {
        Self::to(Question::new(None), send)
    }

    /// A way back that hands the answer to `send`, as long as somebody waits for it.
    pub(crate) fn to(question: Arc<Question>, send: impl FnOnce(A) + Send + 'static) -> Self {
        Self { send: Some(Box::new(send)), question }
    }

    /// Whether somebody waits for the answer: the peer is there, and its time is not up. Work that takes long may stop
    /// when nobody does.
    pub fn is_wanted(&self) -> bool {
        !self.question.is_settled()
    }

    pub(crate) const fn question(&self) -> &Arc<Question> {
        &self.question
    }

    /// Answers. An answer that comes too late has no effect.
    pub fn send(mut self, answer: A) {
        self.give(|| answer);
    }

    fn give(&mut self, answer: impl FnOnce() -> A) {
        if let Some(send) = self.send.take().filter(|_| self.is_wanted()) {
            send(answer());
        }
    }
}

impl<A: Answer> Drop for Reply<A> {
    fn drop(&mut self) {
        self.give(A::missing);
    }
}

impl<A: Answer> fmt::Debug for Reply<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}
