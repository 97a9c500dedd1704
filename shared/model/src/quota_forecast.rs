//! Quota forecast: when a number of units will have been used, given the use of each window.
//!
//! Guarantees: pure, with the arithmetic of reservations: fixed UTC windows, a tenth of each kept
//! for interactive requests, and a request only where all of it fits.
//! Does not: consider how fast requests are answered. The result is the earliest moment that the
//! quota allows.

use chrono::{DateTime, Utc};

use crate::quota::{QuotaLimits, QuotaUsage, Window};

/// Most windows of a forecast. A month of work on a free tier needs a third of them.
const WINDOWS: usize = 10_000;

/// The requests that are left.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Units of all requests together.
    pub units: u64,
    /// Units of one request.
    pub per_request: u64,
}

/// When the last request may start, in Unix milliseconds; `None` if it is too far away to compute.
pub fn exhausted_at(
    limits: &QuotaLimits,
    used: &QuotaUsage,
    cost: Cost,
    now_ms: i64,
) -> Option<i64> {
    let a_request = cost.per_request.max(1);
    let mut left = cost.units;
    let mut used = Window::ALL.map(|window| used.of(window));
    let mut at = now_ms;
    for _ in 0..WINDOWS {
        let room = |index: usize| {
            let limit = limits.of(Window::ALL[index])?;
            let room = (limit - limit / 10).saturating_sub(used[index]);
            // An empty window admits any request, because a large one would never fit otherwise.
            Some(if used[index] == 0 { room.max(a_request) } else { room })
        };
        let rooms = [0, 1, 2].map(room);
        let least = rooms.iter().flatten().min().copied().unwrap_or(u64::MAX);
        if least >= left {
            return Some(at);
        }
        let sent = least - least % a_request;
        left -= sent;
        // The next request waits for the last window without room for it.
        let next = left.min(a_request);
        let full = |index: &usize| rooms[*index].is_some_and(|room| room - sent < next);
        let end = (0..3).filter(full).map(|index| end_ms(Window::ALL[index], at)).max()?;
        for (window, used) in Window::ALL.into_iter().zip(&mut used) {
            *used = if end >= end_ms(window, at) { 0 } else { *used + sent };
        }
        at = end;
    }
    None
}

impl QuotaUsage {
    /// The use at `then` if no request is made until then.
    #[must_use]
    pub fn at(&self, now: DateTime<Utc>, then: DateTime<Utc>) -> Self {
        let then = then.timestamp_millis();
        let [minute, hour, day] = Window::ALL.map(|window| {
            if then < end_ms(window, now.timestamp_millis()) { self.of(window) } else { 0 }
        });
        Self { minute, hour, day, blocked_until: None }
    }
}

fn end_ms(window: Window, at_ms: i64) -> i64 {
    let length = window.length_ms() as i64;
    (at_ms.div_euclid(length) + 1) * length
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: QuotaLimits =
        QuotaLimits { minute: Some(600), hour: Some(5_000), day: Some(10_000) };
    /// 2026-03-10T00:00:00Z.
    const MIDNIGHT: i64 = 1_773_100_800_000;

    fn minutes(used: [u64; 3], units: u64, now_minute: i64) -> Option<i64> {
        let [minute, hour, day] = used;
        let used = QuotaUsage { minute, hour, day, blocked_until: None };
        let now = MIDNIGHT + now_minute * 60_000;
        let at = exhausted_at(&FREE, &used, Cost { units, per_request: 100 }, now)?;
        Some((at - MIDNIGHT) / 60_000)
    }

    #[test]
    fn requests_wait_for_every_window_that_has_no_room() {
        let nothing = [0; 3];
        assert_eq!(minutes(nothing, 500, 0), Some(0));
        assert_eq!(minutes(nothing, 540, 0), Some(0), "a small last request has room");
        assert_eq!(minutes(nothing, 600, 0), Some(1), "a tenth is kept back");
        assert_eq!(minutes(nothing, 4_500, 0), Some(8));
        assert_eq!(minutes(nothing, 4_600, 0), Some(60));
        assert_eq!(minutes(nothing, 9_000, 0), Some(68));
        assert_eq!(minutes(nothing, 10_000, 0), Some(24 * 60 + 1));
        assert_eq!(minutes([500, 4_500, 4_500], 10, 30), Some(60), "this hour is exhausted");
        assert_eq!(minutes([0, 0, 9_000], 10, 30), Some(24 * 60), "this day is");
    }

    #[test]
    fn no_quota_means_now_and_the_far_future_is_none() {
        let none = QuotaLimits::default();
        let cost = Cost { units: u64::MAX, per_request: 1 };
        assert_eq!(exhausted_at(&none, &QuotaUsage::default(), cost, 7), Some(7));
        assert_eq!(exhausted_at(&FREE, &QuotaUsage::default(), cost, 7), None);
        let tiny = QuotaLimits { minute: Some(10), ..none };
        let cost = Cost { units: 250, per_request: 100 };
        assert_eq!(exhausted_at(&tiny, &QuotaUsage::default(), cost, 0), Some(120_000));
    }
}
