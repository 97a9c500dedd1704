//! The provider's quota: how much of each window is used, and when it resets.
//!
//! Guarantees: only windows with a limit are shown.

use askama::Template;
use chrono::{DateTime, Utc};
use isobar_model::quota::Window;

use super::format::{Count, TimeTag};
use super::snapshot::DashboardSnapshot;

#[derive(Template)]
#[template(path = "panels/quota.html")]
pub struct QuotaPanel {
    host: String,
    gauges: Vec<Gauge>,
    exhausted_until: Option<TimeTag>,
}

struct Gauge {
    window: &'static str,
    used: Count,
    limit: Count,
    percent: u64,
    /// At least 90 per cent used.
    tight: bool,
    resets: TimeTag,
}

impl QuotaPanel {
    pub fn from_snapshot(snapshot: &DashboardSnapshot) -> Self {
        let Some(upstream) = &snapshot.upstream.value else {
            return Self { host: String::new(), gauges: Vec::new(), exhausted_until: None };
        };
        let gauge = |window: Window| {
            let limit = snapshot.quota_limits.of(window)?;
            let used = upstream.quota.of(window);
            let percent = (used * 100).checked_div(limit).unwrap_or(100).min(100);
            Some(Gauge {
                window: window.as_str(),
                used: Count(used),
                limit: Count(limit),
                percent,
                tight: percent >= 90,
                resets: TimeTag::until(end(window, snapshot.at)),
            })
        };
        Self {
            host: upstream.host.clone(),
            gauges: Window::ALL.into_iter().filter_map(gauge).collect(),
            exhausted_until: upstream.quota.blocked_until.map(TimeTag::until),
        }
    }
}

/// The end of the current window; windows are aligned to UTC.
fn end(window: Window, now: DateTime<Utc>) -> DateTime<Utc> {
    let length = window.length_ms() as i64;
    let end = (now.timestamp_millis().div_euclid(length) + 1) * length;
    DateTime::from_timestamp_millis(end).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_the_next_begins() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let now = at("2026-01-16T12:03:04.5Z");
        assert_eq!(end(Window::Minute, now), at("2026-01-16T12:04:00Z"));
        assert_eq!(end(Window::Hour, now), at("2026-01-16T13:00:00Z"));
        assert_eq!(end(Window::Day, at("2026-01-16T00:00:00Z")), at("2026-01-17T00:00:00Z"));
    }
}
