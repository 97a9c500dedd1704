//! When a city service has failed so often that asking again helps nobody.
//!
//! Pure: failure times and a clock in, a verdict out. The times are kept in the outbox file
//! ([`outbox::failures`](crate::outbox)), so that cron runs, each a process of its own, share
//! them. After the open time the next request is the probe: if it fails, the window is full
//! again and the breaker opens anew; if it succeeds, the times are forgotten.

use isobar_settings::values::BreakerSpec;

/// Until when the breaker is open (ms since 1970), if it is at `now_ms`. `failures_ms` ascend.
pub fn open_until(spec: &BreakerSpec, failures_ms: &[u64], now_ms: u64) -> Option<u64> {
    let window_ms = spec.window.as_millis() as u64;
    let opened_ms = failures_ms
        .windows(spec.failures as usize)
        .filter(|failures| failures[failures.len() - 1] - failures[0] <= window_ms)
        .map(|failures| failures[failures.len() - 1])
        .next_back()?;
    let until_ms = opened_ms + spec.open.as_millis() as u64;
    (now_ms < until_ms).then_some(until_ms)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SPEC: BreakerSpec =
        BreakerSpec { failures: 3, window: Duration::from_secs(10), open: Duration::from_mins(1) };

    #[test]
    fn it_opens_when_enough_failures_fall_into_one_window() {
        assert_eq!(open_until(&SPEC, &[], 0), None);
        assert_eq!(open_until(&SPEC, &[0, 4_000], 5_000), None);
        assert_eq!(open_until(&SPEC, &[0, 9_000, 12_000], 12_000), None);
        assert_eq!(open_until(&SPEC, &[0, 4_000, 10_000], 10_000), Some(70_000));
    }

    #[test]
    fn it_closes_after_its_time_and_opens_again_when_the_probe_fails_soon() {
        let failures = [0, 1_000, 2_000];
        assert_eq!(open_until(&SPEC, &failures, 61_999), Some(62_000));
        assert_eq!(open_until(&SPEC, &failures, 62_000), None);
        let short = BreakerSpec { open: Duration::from_secs(1), ..SPEC };
        assert_eq!(open_until(&short, &[0, 1_000, 2_000, 3_500], 3_500), Some(4_500));
    }
}
