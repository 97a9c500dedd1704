//! Deadline: the end of a wait, kept on the monotonic clock.
//!
//! Guarantees: a wait is as long as it was when it began, even if the clock of the host is set
//! during it. [`Deadline::time`] is for people: it is computed from the clock when it is read.
//! Does not: survive its process.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

/// The longest wait: a longer one is cut, because instants have an end.
const MAX_WAIT: Duration = Duration::from_hours(24 * 365);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    pub fn after(wait: Duration) -> Self {
        Self(Instant::now() + wait.min(MAX_WAIT))
    }

    /// For a wait until `until`, which was computed from the clock just now.
    pub fn at(until: DateTime<Utc>) -> Self {
        Self::after((until - Utc::now()).to_std().unwrap_or_default())
    }

    /// `None` once it is over.
    pub fn left(self) -> Option<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// When it is over by the clock as it is set now; `None` once it is over.
    pub fn time(self) -> Option<DateTime<Utc>> {
        Some(Utc::now() + TimeDelta::from_std(self.left()?).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_lasts_as_long_as_its_wait() {
        let hour = Duration::from_hours(1);
        let deadline = Deadline::at(Utc::now() + hour);
        let left = deadline.left().expect("it is not over");
        assert!(left <= hour && left > Duration::from_mins(59), "{left:?}");
        assert!(deadline.time().expect("it is not over") > Utc::now());
        assert_eq!(Deadline::at(Utc::now() - hour).left(), None, "a time in the past");
        assert!(Deadline::after(Duration::MAX).left().is_some());
    }
}
