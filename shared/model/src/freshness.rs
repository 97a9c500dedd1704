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

/// Whether a value that the upstream renews at `fresh_until`, fetched at `synced_at`, is current.
pub fn is_current(
    policy: FreshFor,
    fresh_until: DateTime<Utc>,
    synced_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> bool {
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

    #[test]
    fn auto_is_current_until_the_upstream_has_newer() {
        let now = Utc::now();
        let minute = TimeDelta::minutes(1);
        assert!(is_current(FreshFor::Auto, now + minute, now - minute, now));
        assert!(!is_current(FreshFor::Auto, now, now - minute, now));
    }

    #[test]
    fn a_fixed_age_counts_from_the_fetch() {
        let now = Utc::now();
        let minute = TimeDelta::minutes(1);
        let fixed = |seconds| FreshFor::Fixed(Duration::from_secs(seconds));
        assert!(is_current(fixed(61), now - minute, now - minute, now));
        assert!(!is_current(fixed(60), now + minute, now - minute, now));
        assert!(!is_current(fixed(0), now + minute, now, now), "zero always fetches");
        assert!(is_current(fixed(u64::MAX), now - minute, now - minute, now));
    }

    #[test]
    fn the_policy_has_one_spelling() {
        assert_eq!("AUTO".parse::<FreshFor>().expect("auto").to_string(), "auto");
        assert_eq!("0".parse(), Ok(FreshFor::Fixed(Duration::ZERO)));
    }
}
