//! The clock and the randomness that the core and the transports are given.

use std::{
    convert::Infallible,
    fmt,
    time::{self, SystemTime},
};

use rand_core::{TryCryptoRng, TryRng};
use wampd_core::time::{Instant, UnixTime};

/// The monotonic clock, as microseconds since it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(time::Instant);

impl Clock {
    pub(crate) fn new() -> Self {
        Self(time::Instant::now())
    }

    pub(crate) fn now(&self) -> Instant {
        Instant::ZERO.after(self.0.elapsed())
    }

    pub(crate) fn wall() -> UnixTime {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        UnixTime(0).after(since_1970)
    }
}

/// The system's randomness, fetched in blocks so that a draw is not a system call. Bytes are erased as they are drawn.
pub(crate) struct SystemRng {
    block: [u8; 512],
    used: usize,
}

impl SystemRng {
    pub(crate) const fn new() -> Self {
        Self { block: [0; 512], used: 512 }
    }

    fn draw<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    fn fill(&mut self, out: &mut [u8]) {
        for byte in out {
            if self.used == self.block.len() {
                // There is nothing to fall back on, and nothing a server may do without randomness.
                getrandom::fill(&mut self.block).expect("the system gives no randomness");
                self.used = 0;
            }
            *byte = std::mem::take(&mut self.block[self.used]);
            self.used += 1;
        }
    }
}

impl TryRng for SystemRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.draw()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.draw()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.fill(out);
        Ok(())
    }
}

impl TryCryptoRng for SystemRng {}

impl fmt::Debug for SystemRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SystemRng")
    }
}

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;

    #[test]
    fn draws_differ_across_blocks() {
        let mut rng = SystemRng::new();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..200 {
            assert!(seen.insert(rng.next_u64()));
            let mut bytes = [0; 24];
            rng.fill_bytes(&mut bytes);
            assert_ne!(bytes, [0; 24]);
        }
    }
}
