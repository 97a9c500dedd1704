//! Freshness: whether a stored value is still current, so that no request is needed.
//!
//! Guarantees: workers and API decide alike; values in, decision out.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::duration::{format_duration, parse_duration};

/// How long a stored value counts as current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreshFor {
    /// Until observation time + interval: before that the upstream has no newer data.
    Auto,
    /// For this long after the fetch; zero means never.
    Fixed(Duration),
}

/// A time that is further ahead of our clock is wrong: clocks of hosts differ by less.
const MAX_AHEAD: TimeDelta = TimeDelta::hours(1);

/// The times of a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueTimes {
    pub observed_at: DateTime<Utc>,
    /// Before this time the upstream has nothing newer.
    pub fresh_until: DateTime<Utc>,
    pub synced_at: DateTime<Utc>,
}

/// Whether `time` is so far ahead of `now` that it cannot be right. The store's statements have the
/// same bound: they replace such a value.
pub fn is_ahead(time: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    time - now > MAX_AHEAD
}

/// Whether a stored value is current. One from the future never is.
pub fn is_current(policy: FreshFor, times: ValueTimes, now: DateTime<Utc>) -> bool {
    let ValueTimes { observed_at, fresh_until, synced_at } = times;
    if is_ahead(observed_at, now) || is_ahead(synced_at, now) {
        return false;
    }
    match policy {
        FreshFor::Auto => now < fresh_until,
        // A duration beyond the calendar never ends.
        FreshFor::Fixed(age) => TimeDelta::from_std(age)
            .ok()
            .and_then(|age| synced_at.checked_add_signed(age))
            .is_none_or(|until| now < until),
    }
}

impl FromStr for FreshFor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("auto") {
            Ok(Self::Auto)
        } else {
            parse_duration(text).map(Self::Fixed)
        }
    }
}

impl fmt::Display for FreshFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Fixed(duration) => f.write_str(&format_duration(*duration)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(fresh_until: DateTime<Utc>, synced_at: DateTime<Utc>) -> ValueTimes {
        ValueTimes { observed_at: synced_at, fresh_until, synced_at }
    }

    #[test]
    fn a_value_from_the_future_is_not_current() {
        let now = Utc::now();
        let later = now + TimeDelta::minutes(61);
        let observed_later = ValueTimes { observed_at: later, fresh_until: later, synced_at: now };
        for policy in [FreshFor::Auto, FreshFor::Fixed(Duration::from_hours(9))] {
            assert!(!is_current(policy, observed_later, now));
            assert!(!is_current(policy, times(later, later), now));
            let skewed = now + TimeDelta::minutes(59);
            assert!(is_current(policy, times(skewed, skewed), now));
        }
    }

    #[test]
    fn auto_is_current_until_the_upstream_has_newer() {
        let now = Utc::now();
        let minute = TimeDelta::minutes(1);
        assert!(is_current(FreshFor::Auto, times(now + minute, now - minute), now));
        assert!(!is_current(FreshFor::Auto, times(now, now - minute), now));
    }

    #[test]
    fn a_fixed_age_counts_from_the_fetch() {
        let now = Utc::now();
        let minute = TimeDelta::minutes(1);
        let fixed = |seconds| FreshFor::Fixed(Duration::from_secs(seconds));
        assert!(is_current(fixed(61), times(now - minute, now - minute), now));
        assert!(!is_current(fixed(60), times(now + minute, now - minute), now));
        assert!(!is_current(fixed(0), times(now + minute, now), now), "zero always fetches");
        assert!(is_current(fixed(u64::MAX), times(now - minute, now - minute), now));
    }

    #[test]
    fn the_policy_has_one_spelling() {
        assert_eq!("AUTO".parse::<FreshFor>().expect("auto").to_string(), "auto");
        assert_eq!("0".parse(), Ok(FreshFor::Fixed(Duration::ZERO)));
    }
}
