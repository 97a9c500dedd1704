//! How long to wait before the next try: full-jitter exponential back-off.
//!
//! Pure but for the dice. One place, so that workers that fail together do not return together.

use std::time::Duration;

use rand::Rng;

/// First step of the back-off of an entry that is given back, and its longest delay.
const ENTRY_BASE: Duration = Duration::from_millis(500);
const ENTRY_CAP: Duration = Duration::from_secs(30);
/// The same for a loop that waits for the broker or the store.
const LOOP_BASE: Duration = Duration::from_millis(100);
const LOOP_CAP: Duration = Duration::from_secs(5);

/// Delay before attempt `attempts + 1` of an entry.
pub fn entry_delay(attempts: u32) -> Duration {
    full_jitter(ENTRY_BASE, ENTRY_CAP, attempts)
}

/// Delay before try `failures + 1` of a loop's step.
pub fn loop_delay(failures: u32) -> Duration {
    full_jitter(LOOP_BASE, LOOP_CAP, failures)
}

fn full_jitter(base: Duration, cap: Duration, step: u32) -> Duration {
    let ceiling = base.saturating_mul(2_u32.saturating_pow(step.min(16))).min(cap);
    ceiling.mul_f64(rand::rng().random_range(0.0..1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_below_their_cap_however_often_it_failed() {
        for attempts in [0, 1, 10, u32::MAX] {
            assert!(entry_delay(attempts) <= ENTRY_CAP);
            assert!(loop_delay(attempts) <= LOOP_CAP);
        }
    }
}
