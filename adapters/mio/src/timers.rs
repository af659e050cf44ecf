//! When connections want to be looked at.

use std::collections::BTreeSet;

use wampd_core::time::Instant;

/// The deadlines of connections, at most one each.
///
/// A deadline may be earlier than the connection needs, never later: moving one into the future costs nothing until it
/// is due, so the flow of messages never touches this set.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Instant, usize)>,
}

impl Timers {
    /// Makes sure that `connection` is looked at no later than `at`. `armed` is the connection's own note of its deadline.
    pub(crate) fn arm(&mut self, connection: usize, armed: &mut Option<Instant>, at: Instant) {
        if armed.is_some_and(|armed| armed <= at) {
            return;
        }
        self.cancel(connection, armed);
        self.due.insert((at, connection));
        *armed = Some(at);
    }

    pub(crate) fn cancel(&mut self, connection: usize, armed: &mut Option<Instant>) {
        if let Some(at) = armed.take() {
            self.due.remove(&(at, connection));
        }
    }

    /// The next connection that is due. Its note must be cleared.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let &(at, connection) = self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some(connection)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_moves_only_forward_to_now() {
        let at = Instant::from_micros;
        let mut timers = Timers::default();
        let mut armed = None;
        timers.arm(7, &mut armed, at(50));
        timers.arm(7, &mut armed, at(90));
        assert_eq!(timers.next(), Some(at(50)));
        timers.arm(7, &mut armed, at(20));
        assert_eq!((timers.next(), timers.due.len()), (Some(at(20)), 1));
        assert_eq!(timers.pop_due(at(19)), None);
        assert_eq!(timers.pop_due(at(20)), Some(7));
        armed = None;
        timers.arm(7, &mut armed, at(30));
        timers.cancel(7, &mut armed);
        assert_eq!((timers.next(), armed), (None, None));
    }
}
