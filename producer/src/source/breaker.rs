//! The circuit breaker of a source: a service that failed often is not asked for some time.
//!
//! The decision is pure: failure times and a clock in, the end of the open time out. The times
//! are stored ([`failure_log`](super::failure_log)), so cron runs share them. After the open time
//! the next request is the probe. If it fails, the breaker opens again, because the window is
//! still full; if it succeeds, the times are deleted.

use chrono::{DateTime, Utc};
use isobar_settings::values::BreakerSpec;
use isobar_sqlite::SqliteError;

use super::failure_log::FailureLog;

pub struct SourceBreaker {
    spec: BreakerSpec,
    log: FailureLog,
}

impl SourceBreaker {
    pub fn new(spec: BreakerSpec, log: FailureLog) -> Self {
        Self { spec, log }
    }

    /// Until when the host must not be asked.
    pub async fn open_until(&self) -> Result<Option<DateTime<Utc>>, SqliteError> {
        let until_ms = open_until(&self.spec, &self.log.failures().await?, now_ms());
        Ok(until_ms.map(|ms| DateTime::from_timestamp_millis(ms as i64).unwrap_or_default()))
    }

    pub async fn record_failure(&self) -> Result<(), SqliteError> {
        self.log.add(now_ms(), self.spec.window + self.spec.open).await
    }

    /// Closes the breaker if it was open and this was the probe.
    pub async fn record_success(&self) -> Result<(), SqliteError> {
        if self.log.failures().await?.len() >= self.spec.failures as usize {
            self.log.clear().await?;
        }
        Ok(())
    }
}

/// Until when the breaker is open (ms since 1970), if it is at `now_ms`. `failures_ms` ascend.
fn open_until(spec: &BreakerSpec, failures_ms: &[u64], now_ms: u64) -> Option<u64> {
    let window_ms = spec.window.as_millis() as u64;
    let open_ms = spec.open.as_millis() as u64;
    // Later ones are from a clock that was ahead, and would keep it open until then.
    let known = failures_ms.partition_point(|at| *at <= now_ms + open_ms);
    let opened_ms = failures_ms[..known]
        .windows(spec.failures as usize)
        .filter(|failures| failures[failures.len() - 1] - failures[0] <= window_ms)
        .map(|failures| failures[failures.len() - 1])
        .next_back()?;
    let until_ms = opened_ms + open_ms;
    (now_ms < until_ms).then_some(until_ms)
}

fn now_ms() -> u64 {
    Utc::now().timestamp_millis() as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SPEC: BreakerSpec =
        BreakerSpec { failures: 3, window: Duration::from_secs(10), open: Duration::from_mins(1) };

    #[test]
    fn enough_failures_in_one_window_open_it() {
        assert_eq!(open_until(&SPEC, &[], 0), None);
        assert_eq!(open_until(&SPEC, &[0, 4_000], 5_000), None);
        assert_eq!(open_until(&SPEC, &[0, 9_000, 12_000], 12_000), None);
        assert_eq!(open_until(&SPEC, &[0, 4_000, 10_000], 10_000), Some(70_000));
    }

    #[test]
    fn failures_of_a_clock_that_was_ahead_do_not_count() {
        let hour = 3_600_000;
        assert_eq!(open_until(&SPEC, &[hour, hour + 1, hour + 2], 0), None);
        assert_eq!(open_until(&SPEC, &[0, 1, 2, hour, hour + 1, hour + 2], 3), Some(60_002));
    }

    #[test]
    fn a_failed_probe_opens_it_again() {
        let failures = [0, 1_000, 2_000];
        assert_eq!(open_until(&SPEC, &failures, 61_999), Some(62_000));
        assert_eq!(open_until(&SPEC, &failures, 62_000), None);
        let short = BreakerSpec { open: Duration::from_secs(1), ..SPEC };
        assert_eq!(open_until(&short, &[0, 1_000, 2_000, 3_500], 3_500), Some(4_500));
    }
}
