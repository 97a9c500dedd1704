//! How much of the upstream's quota is used, and when each window begins anew.

use askama::Template;
use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use crate::page::look::Look;
use crate::page::words::{Count, When};

#[derive(Template)]
#[template(path = "panels/quota.html")]
pub struct Quota {
    windows: Vec<Window>,
    shut_until: Option<When>,
    host: String,
}

pub struct Window {
    name: &'static str,
    used: Count,
    limit: Count,
    /// What batches may use: a tenth is kept for interactive requests.
    high: u64,
    resets: When,
}

impl Quota {
    pub fn of(look: &Look) -> Self {
        let Some(state) = &look.upstream.value else {
            return Self { windows: Vec::new(), shut_until: None, host: String::new() };
        };
        let (used, limits) = (&state.quota, look.quota_limits);
        let windows = [
            ("Minute", used.minute, limits.minute, TimeDelta::minutes(1)),
            ("Hour", used.hour, limits.hour, TimeDelta::hours(1)),
            ("Day", used.day, limits.day, TimeDelta::days(1)),
        ];
        let windows = windows
            .into_iter()
            .filter_map(|(name, used, limit, length)| {
                let limit = limit?;
                Some(Window {
                    name,
                    used: Count(used),
                    limit: Count(limit),
                    high: limit - limit / 10,
                    resets: When::until(next(look.at, length)),
                })
            })
            .collect();
        Self {
            windows,
            shut_until: used.shut_until.filter(|until| *until > look.at).map(When::until),
            host: state.host.clone(),
        }
    }
}

/// When the window of `length` that holds `now` ends, as the provider counts: whole UTC ones.
fn next(now: DateTime<Utc>, length: TimeDelta) -> DateTime<Utc> {
    now.duration_trunc(length).unwrap_or(now) + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_at_its_utc_boundary() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let now = at("2026-01-16T23:59:30Z");
        assert_eq!(next(now, TimeDelta::minutes(1)), at("2026-01-17T00:00:00Z"));
        assert_eq!(next(now, TimeDelta::days(1)), at("2026-01-17T00:00:00Z"));
        assert_eq!(next(at("2026-01-17T00:00:00Z"), TimeDelta::hours(1)), at("2026-01-17T01:00:00Z"));
    }
}
