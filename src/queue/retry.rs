//! How long to wait before trying again. Pure: knows no job, no clock and no storage.
//!
//! Invariants: a wait is at least half of its step and at most the step, a step doubles with each
//! failure, and none is longer than `BACKOFF_MAX`.

use crate::limits::BACKOFF_MAX;
use crate::random::Random;
use crate::time::Millis;

/// The wait after the `failures`-th failure in a row (from 1), with jitter.
/// Source: `interface.md`, `JOBS_BACKOFF_MS`.
pub fn backoff(base: Millis, failures: u32, random: &mut Random) -> Millis {
    random.jitter(doubled(base, failures))
}

/// `base` before the first doubling, at `n` = 1; never more than `BACKOFF_MAX`.
pub fn doubled(base: Millis, n: u32) -> Millis {
    // Past 2^20 of any base of a millisecond or more the bound holds anyway.
    let factor = 1_u64 << n.saturating_sub(1).min(20);
    base.times(factor).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_within_their_jitter_and_end_at_the_bound() {
        let mut random = Random::seeded(1);
        for failures in 1..=40 {
            let step = doubled(Millis(1000), failures);
            assert_eq!(
                step,
                Millis((1000 << (failures - 1).min(20)).min(BACKOFF_MAX.0))
            );
            for _ in 0..100 {
                let wait = backoff(Millis(1000), failures, &mut random);
                assert!(
                    wait >= Millis(step.0 / 2) && wait <= step,
                    "{failures}: {wait:?}"
                );
            }
        }
    }

    #[test]
    fn waits_of_a_herd_differ() {
        let mut random = Random::seeded(2);
        let mut waits: Vec<_> = (0..100)
            .map(|_| backoff(Millis(60_000), 3, &mut random).0)
            .collect();
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 90);
    }
}
