//! Retry delay: how long to wait before the next try, for entries and for loops.
//!
//! Guarantees: a delay doubles with each failure up to its cap. Jitter spreads it over the upper
//! half, so that workers that fail together do not retry together.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// An entry that is given back: about 0.5 s after the first attempt, 30 s at most.
const ENTRY: ExponentialBuilder = policy(Duration::from_millis(500), Duration::from_secs(30));
/// A loop that waits for broker or store: about 0.1 s after the first failure, 5 s at most.
const LOOP: ExponentialBuilder = policy(Duration::from_millis(100), Duration::from_secs(5));
/// Both policies have reached their cap after fewer steps.
const MAX_STEP: u32 = 16;

/// Delay before attempt `attempts + 1` of an entry.
pub fn entry_delay(attempts: u32) -> Duration {
    delay(ENTRY, attempts)
}

/// Delay before try `failures + 1` of a loop's step.
pub fn loop_delay(failures: u32) -> Duration {
    delay(LOOP, failures)
}

/// backon adds jitter of up to the whole delay on top of it: half of each bound is given.
const fn policy(first: Duration, cap: Duration) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(half(first))
        .with_max_delay(half(cap))
        .without_max_times()
        .with_jitter()
}

const fn half(duration: Duration) -> Duration {
    Duration::from_millis(duration.as_millis() as u64 / 2)
}

fn delay(policy: ExponentialBuilder, step: u32) -> Duration {
    policy.build().nth(step.min(MAX_STEP) as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_cap() {
        for (delay, first_ms, cap_ms) in
            [(entry_delay as fn(u32) -> Duration, 500, 30_000), (loop_delay, 100, 5_000)]
        {
            let first = delay(0).as_millis();
            assert!((first_ms / 2..=first_ms).contains(&first), "{first} ms");
            for step in [MAX_STEP, u32::MAX] {
                let longest = delay(step).as_millis();
                assert!((cap_ms / 2..=cap_ms).contains(&longest), "{longest} ms");
            }
        }
    }
}
