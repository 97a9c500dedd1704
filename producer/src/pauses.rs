//! Pauses between attempts: exponential with jitter.
//!
//! Guarantees: processes that lost the same server do not return at the same moment. No pause is
//! longer than the given longest one.

use std::time::Duration;

use backon::ExponentialBuilder;

/// Endless pauses; the first is at most `first`, and no pause is longer than `longest`.
pub fn pauses(first: Duration, longest: Duration) -> ExponentialBuilder {
    // Half of each: the jitter adds up to the pause itself.
    ExponentialBuilder::new()
        .with_min_delay(first / 2)
        .with_max_delay(longest / 2)
        .with_jitter()
        .without_max_times()
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder;

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let ms = Duration::from_millis;
        let given = pauses(ms(50), ms(3_000)).build().take(40);
        for (pause, most) in
            given.zip([50, 100, 200, 400, 800, 1_600].into_iter().chain([3_000; 34]))
        {
            assert!((ms(most) / 2..=ms(most)).contains(&pause), "{pause:?}, {most}");
        }
    }
}
