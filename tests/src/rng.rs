//! Randomness that comes back with its seed.

use core::convert::Infallible;
use rand_core::{TryCryptoRng, TryRng};

/// The usual seeds of a test, or those of `WAMPD_SEEDS=from..to`.
///
/// # Panics
/// The variable is something else.
pub fn seeds(usual: core::ops::Range<u64>) -> core::ops::Range<u64> {
    let Ok(text) = std::env::var("WAMPD_SEEDS") else { return usual };
    let (from, to) = text.split_once("..").expect("WAMPD_SEEDS=from..to");
    from.parse().expect("a number")..to.parse().expect("a number")
}

/// PCG-XSH-RR: 64 bits of state, 32 bits a draw. Not secure, whatever traits it wears: for tests alone.
#[derive(Clone, Debug)]
pub struct Pcg(u64);

impl Pcg {
    const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
    const INCREMENT: u64 = 1_442_695_040_888_963_407;

    /// The generator of this seed.
    pub const fn new(seed: u64) -> Self {
        let mut this = Self(seed.wrapping_add(Self::INCREMENT));
        this.draw();
        this
    }

    /// Another generator, whose draws do not depend on how often this one is used later.
    pub const fn fork(&mut self) -> Self {
        let seed = (self.draw() as u64) << 32 | self.draw() as u64;
        Self::new(seed)
    }

    /// A number below `bound`, which must not be 0. Slightly biased, which does not matter here.
    pub fn below(&mut self, bound: u64) -> u64 {
        (u64::from(self.draw()) << 32 | u64::from(self.draw())) % bound
    }

    /// An index into something of this length, which must not be 0.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True once in `n` times on average.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    const fn draw(&mut self) -> u32 {
        let state = self.0;
        self.0 = state.wrapping_mul(Self::MULTIPLIER).wrapping_add(Self::INCREMENT);
        let xorshifted = (((state >> 18) ^ state) >> 27) as u32;
        xorshifted.rotate_right((state >> 59) as u32)
    }
}

impl TryRng for Pcg {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.draw())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from(self.draw()) << 32 | u64::from(self.draw()))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(4) {
            let bytes = self.draw().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Pcg {}

/// A generator whose first number of 64 bits is given, and takes the place of its own: of a router's randomness, the
/// first is the key of its hash maps, and all that follows can be seen from outside.
#[derive(Clone, Debug)]
pub struct BeginningWith {
    first: Option<u64>,
    rng: Pcg,
}

impl BeginningWith {
    /// `first`, then what `rng` gives after its own first.
    pub const fn new(first: u64, rng: Pcg) -> Self {
        Self { first: Some(first), rng }
    }
}

impl TryRng for BeginningWith {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.rng.try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let own = self.rng.try_next_u64()?;
        Ok(self.first.take().unwrap_or(own))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.rng.try_fill_bytes(out)
    }
}

impl TryCryptoRng for BeginningWith {}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let [mut a, mut b, mut c] = [Pcg::new(1), Pcg::new(1), Pcg::new(2)];
        let draws = |rng: &mut Pcg| [rng.next_u64(), rng.next_u64(), rng.next_u64()];
        let of_a = draws(&mut a);
        assert_eq!(of_a, draws(&mut b));
        assert_ne!(of_a, draws(&mut c));
        assert!((0..1_000).all(|_| a.below(7) < 7));
    }
}
