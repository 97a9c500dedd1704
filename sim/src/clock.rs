//! The simulator's "now": the system's time, or a time a test holds in its hand.
//!
//! Clones of one settable clock share it, so a test can keep one end and move the simulator
//! through hours and quota windows at will. It does not drive timers: latency and slow bodies
//! take real (or tokio's paused) time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Unix milliseconds when settable, `None` when it is the system's time.
    held_ms: Option<Arc<AtomicI64>>,
}

impl Clock {
    pub fn system() -> Self {
        Self::default()
    }

    /// A clock that stands still at `at` until [`advance`](Self::advance) moves it.
    pub fn fixed(at: DateTime<Utc>) -> Self {
        Self { held_ms: Some(Arc::new(AtomicI64::new(at.timestamp_millis()))) }
    }

    /// Moves a fixed clock and all its clones forward; the system's time cannot be moved.
    pub fn advance(&self, by: Duration) {
        if let Some(held) = &self.held_ms {
            held.fetch_add(by.as_millis() as i64, Ordering::SeqCst);
        }
    }

    pub fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.unix_ms()).unwrap_or_default()
    }

    /// Whole seconds since 1970, all that the weather needs of the time.
    pub fn unix_seconds(&self) -> i64 {
        self.unix_ms().div_euclid(1000)
    }

    fn unix_ms(&self) -> i64 {
        match &self.held_ms {
            Some(held) => held.load(Ordering::SeqCst),
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
