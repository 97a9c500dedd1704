//! Retry delay: how long to wait before the next try, for entries and for loops.
//!
//! Guarantees: the bound of a delay doubles with each failure up to its cap. The delay is anything
//! up to its bound (full jitter), so workers that fail together do not retry together.

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

const fn policy(first_ms: u64, cap_ms: u64) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(first_ms))
        .with_max_delay(Duration::from_millis(cap_ms))
        .without_max_times()
}

fn delay(policy: ExponentialBuilder, step: u32) -> Duration {
    let step = step.min(MAX_STEP) as usize;
    let nth = |policy: ExponentialBuilder| policy.build().nth(step).unwrap_or_default();
    // backon adds a jitter of up to the whole bound on top of it: the jitter alone is full jitter.
    nth(policy.with_jitter()).saturating_sub(nth(policy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_below_their_bound() {
        for (policy, first_ms, cap_ms) in [(ENTRY, 500, 30_000), (LOOP, 100, 5_000)] {
            for (step, ms) in [(0, first_ms), (MAX_STEP, cap_ms), (u32::MAX, cap_ms)] {
                let found = delay(policy, step).as_millis();
                assert!((0..=ms).contains(&found), "step {step}: {found} ms");
            }
        }
    }
}
