//! The way back for an answer that may come later, from any thread.

use core::fmt;

/// An answer that somebody waits for.
pub trait Answer: Sized {
    /// What it is taken for when no answer is given.
    fn missing() -> Self;
}

/// The way back for an answer. Dropped without one, [`Answer::missing`] is the answer.
pub struct Reply<A: Answer>(Option<Box<dyn FnOnce(A) + Send>>);

impl<A: Answer> Reply<A> {
    /// A way back that hands the answer to `send`.
    pub fn new(send: impl FnOnce(A) + Send + 'static) -> Self {
        Self(Some(Box::new(send)))
    }

    /// Answers. An answer that comes too late has no effect.
    pub fn send(mut self, answer: A) {
        if let Some(send) = self.0.take() {
            send(answer);
        }
    }
}

impl<A: Answer> Drop for Reply<A> {
    fn drop(&mut self) {
        if let Some(send) = self.0.take() {
            send(A::missing());
        }
    }
}

impl<A: Answer> fmt::Debug for Reply<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}
