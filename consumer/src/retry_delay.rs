//! Retry delay: how long to wait before the next try, for entries and for loops.
//!
//! Guarantees: a delay doubles with each failure up to its cap. Jitter spreads it over the upper
//! half, so that workers that fail together do not retry together.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// An entry that is given back: 0.5 s after the first attempt, 30 s at most.
const ENTRY: ExponentialBuilder = policy(500, 30_000);
/// A loop that waits for broker or store: 0.1 s after the first failure, 5 s at most.
const LOOP: ExponentialBuilder = policy(100, 5_000);
/// Both policies reach their cap in fewer steps.
const MAX_STEP: u32 = 16;

/// Delay before attempt `attempts + 1` of an entry.
pub fn entry_delay(attempts: u32) -> Duration {
    delay(ENTRY, attempts)
}

/// Delay before try `failures + 1` of a loop's step.
pub fn loop_delay(failures: u32) -> Duration {
    delay(LOOP, failures)
}

/// Half of each bound is given: backon adds jitter of up to the whole delay on top of it.
const fn policy(first_ms: u64, cap_ms: u64) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(first_ms / 2))
        .with_max_delay(Duration::from_millis(cap_ms / 2))
        .without_max_times()
        .with_jitter()
}

fn delay(policy: ExponentialBuilder, step: u32) -> Duration {
    policy.build().nth(step.min(MAX_STEP) as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_cap() {
        for (policy, first_ms, cap_ms) in [(ENTRY, 500, 30_000), (LOOP, 100, 5_000)] {
            for (step, ms) in [(0, first_ms), (MAX_STEP, cap_ms), (u32::MAX, cap_ms)] {
                let found = delay(policy, step).as_millis();
                assert!((ms / 2..=ms).contains(&found), "step {step}: {found} ms");
            }
        }
    }
}
