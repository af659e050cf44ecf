//! How long after its end a process is started again.

use std::time::{Duration, Instant};

/// The next wait: each is twice as long as the one before, until a process has run for longer than the longest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, next: first }
    }

    /// A process that was started at `since` has ended at `now`; how long to wait.
    pub(super) fn pause(&mut self, since: Instant, now: Instant) -> Duration {
        if now.saturating_duration_since(since) > self.longest {
            self.next = self.first;
        }
        let pause = self.next;
        self.next = self.next.saturating_mul(2).min(self.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_a_good_run() {
        let ms = Duration::from_millis;
        let start = Instant::now();
        let mut backoff = Backoff::new(ms(100), ms(1_000));
        let pauses: Vec<_> = (0..6).map(|_| backoff.pause(start, start + ms(1_000))).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1_000, 1_000].map(ms));
        assert_eq!(backoff.pause(start, start + ms(1_001)), ms(100));
        assert_eq!(backoff.pause(start, start), ms(200));
        // A clock that goes back is no run at all.
        assert_eq!(backoff.pause(start + ms(5_000), start), ms(400));
        let mut still = Backoff::new(Duration::ZERO, ms(1));
        assert_eq!([still.pause(start, start), still.pause(start, start)], [Duration::ZERO; 2]);
    }
}
