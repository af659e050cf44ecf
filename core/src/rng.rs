//! What the core draws at random. The source is an argument: the core never asks the operating system.

use crate::id::MAX_ID;
use rand_core::Rng;

/// An id of the global scope, uniform over 1..=2^53 (spec: "IDs"): the high 53 bits of one draw, plus one.
#[allow(dead_code, reason = "drawn by the router")]
pub(crate) fn draw_id<R: Rng + ?Sized>(rng: &mut R) -> u64 {
    const { assert!(MAX_ID == 1 << 53) }
    (rng.next_u64() >> 11) + 1
}

/// A source that is not random at all, for unit tests: counts up from a seed (SplitMix64).
#[cfg(test)]
pub(crate) struct CountingRng(pub(crate) u64);

#[cfg(test)]
impl rand_core::TryRng for CountingRng {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        self.try_next_u64().map(|n| (n >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(z ^ (z >> 31))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
        for chunk in out.chunks_mut(8) {
            let bytes = self.try_next_u64()?.to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
impl rand_core::TryCryptoRng for CountingRng {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SessionId;
    use rand_core::{CryptoRng, TryCryptoRng, TryRng};

    /// Yields one number for ever.
    struct Fixed(u64);

    impl TryRng for Fixed {
        type Error = core::convert::Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(self.0 as u32)
        }

        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(self.0)
        }

        fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Self::Error> {
            out.fill(self.0 as u8);
            Ok(())
        }
    }

    impl TryCryptoRng for Fixed {}

    #[test]
    fn ids_span_the_whole_range() {
        assert_eq!(draw_id(&mut Fixed(0)), 1);
        assert_eq!(draw_id(&mut Fixed(u64::MAX)), MAX_ID);
        assert_eq!(draw_id(&mut Fixed(1 << 11)), 2);
    }

    #[test]
    fn a_boxed_source_serves() {
        let mut rng: Box<dyn CryptoRng + Send> = Box::new(CountingRng(7));
        let ids: Vec<_> = (0..1_000).map(|_| SessionId::new(draw_id(&mut *rng))).collect();
        assert!(ids.iter().all(Option::is_some));
        assert!(ids.iter().flatten().any(|id| id.get() > MAX_ID / 2));
    }
}
