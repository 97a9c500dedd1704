//! Clock: the current time of the simulator, either the system time or a time that a test sets.
//!
//! Guarantees: clones of a fixed clock share one time, so a test can move the simulator through
//! hours and quota windows.
//! Does not: drive timers. Latency and slow bodies take real time (or the paused time of tokio).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Unix milliseconds of a fixed clock; `None` for the system time.
    fixed_ms: Option<Arc<AtomicI64>>,
}

impl Clock {
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that shows `at` until [`advance`](Self::advance) moves it.
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self { fixed_ms: Some(Arc::new(AtomicI64::new(at.timestamp_millis()))) }
    }

    /// Moves a fixed clock and all its clones forward. Has no effect on the system time.
    pub fn advance(&self, by: Duration) {
        if let Some(fixed) = &self.fixed_ms {
            fixed.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
        }
    }

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.unix_ms()).unwrap_or_default()
    }

    /// Whole seconds since 1970.
    pub fn unix_seconds(&self) -> i64 {
        self.unix_ms().div_euclid(1000)
    }

    fn unix_ms(&self) -> i64 {
        match &self.fixed_ms {
            Some(fixed) => fixed.load(Ordering::SeqCst),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_millis() as i64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_of_a_fixed_clock_move_together() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_000, 0).unwrap());
        let clone = clock.clone();
        clock.advance(Duration::from_mins(1));
        assert_eq!(clone.unix_seconds(), 1_060);
        assert_eq!(clock.now().timestamp(), 1_060);
    }
}
