//! Pauses that grow and are spread: exponential with full jitter, so that many who lost the same
//! server do not come back in step.

use std::time::Duration;

use rand::Rng;

#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    tries: u32,
}

impl Backoff {
    pub fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, tries: 0 }
    }

    /// How often it was asked since it was reset.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    pub fn reset(&mut self) {
        self.tries = 0;
    }

    pub fn pause(&mut self) -> Duration {
        let longest = longest(self.base, self.cap, self.tries);
        self.tries += 1;
        rand::rng().random_range(longest / 4..=longest)
    }
}

fn longest(base: Duration, cap: Duration, tries: u32) -> Duration {
    base.saturating_mul(1 << tries.min(20)).min(cap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let ms = Duration::from_millis;
        let pauses = [0, 1, 2, 30].map(|tries| longest(ms(50), ms(3_000), tries));
        assert_eq!(pauses, [ms(50), ms(100), ms(200), ms(3_000)]);
    }
}
