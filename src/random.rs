//! The one source of randomness of a machine. The edge seeds it from the runtime's generator, a
//! test from its own number: the same seed gives the same run. Draws ids and jitter; secrets of
//! the service are never made here.

use crate::time::Millis;

/// A seeded generator.
#[derive(Debug, Clone)]
pub struct Random(fastrand::Rng);

impl Random {
    pub fn seeded(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number of at most `bits` bits, never zero: zero stays free for "none".
    pub fn bits(&mut self, bits: u32) -> u64 {
        self.0.u64(1..=u64::MAX >> (64 - bits.clamp(1, 64)))
    }

    /// "Equal jitter": at least half of `length`, at most all of it, so that a herd spreads and
    /// nobody waits for nothing.
    pub fn jitter(&mut self, length: Millis) -> Millis {
        let half = length.0 / 2;
        Millis(half + self.0.u64(0..=length.0 - half))
    }
}
