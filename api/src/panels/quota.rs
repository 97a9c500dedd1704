//! How much of the provider's quota is used, and when each window begins anew.

use askama::Template;
use chrono::{DateTime, Utc};
use isobar_model::quota::Window;

use crate::panels::format::{Count, When};
use crate::panels::snapshot::Look;

#[derive(Template)]
#[template(path = "panels/quota.html")]
pub struct Quota {
    host: String,
    gauges: Vec<Gauge>,
    shut_until: Option<When>,
}

struct Gauge {
    window: &'static str,
    used: Count,
    limit: Count,
    percent: u64,
    /// Nearly or wholly used up.
    tight: bool,
    resets: When,
}

impl Quota {
    pub fn of(look: &Look) -> Self {
        let Some(upstream) = &look.upstream.value else {
            return Self { host: String::new(), gauges: Vec::new(), shut_until: None };
        };
        let gauge = |window: Window| {
            let limit = look.quota_limits.of(window)?;
            let used = upstream.quota.of(window);
            let percent = (used * 100).checked_div(limit).unwrap_or(100).min(100);
            Some(Gauge {
                window: window.as_str(),
                used: Count(used),
                limit: Count(limit),
                percent,
                tight: percent >= 90,
                resets: When::until(end(window, look.at)),
            })
        };
        Self {
            host: upstream.host.clone(),
            gauges: Window::ALL.into_iter().filter_map(gauge).collect(),
            shut_until: upstream.quota.shut_until.map(When::until),
        }
    }
}

/// Windows are aligned to UTC.
fn end(window: Window, now: DateTime<Utc>) -> DateTime<Utc> {
    let length = window.length_ms() as i64;
    let end = (now.timestamp_millis().div_euclid(length) + 1) * length;
    DateTime::from_timestamp_millis(end).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_where_the_next_one_begins() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a moment");
        let now = at("2026-01-16T12:03:04.5Z");
        assert_eq!(end(Window::Minute, now), at("2026-01-16T12:04:00Z"));
        assert_eq!(end(Window::Hour, now), at("2026-01-16T13:00:00Z"));
        assert_eq!(end(Window::Day, at("2026-01-16T00:00:00Z")), at("2026-01-17T00:00:00Z"));
    }
}
