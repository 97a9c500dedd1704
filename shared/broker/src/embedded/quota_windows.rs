//! Quota arithmetic: fixed windows aligned to UTC, as providers count them.
//!
//! Guarantees: pure; times are milliseconds. The conformance suite holds this file and the Redis
//! scripts to the same results. A window whose index is not the current one is empty. A weight
//! above a whole window is granted when the window is empty, because it would never fit otherwise.

use isobar_model::quota::{QuotaLimits, Window};

/// A clock that was set back by less costs no more than this.
const MAX_MINUTES_AHEAD: i64 = 5;

/// The use of one host by window, and the end of a block that the provider asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuotaWindows {
    pub counts: [WindowCount; 3],
    pub blocked_until_ms: i64,
}

/// The use of one window; `index` is the number of the window since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WindowCount {
    pub index: i64,
    pub used: u64,
}

impl WindowCount {
    fn at(self, index: i64) -> u64 {
        if self.index == index { self.used } else { 0 }
    }
}

fn index(window: Window, at_ms: i64) -> i64 {
    at_ms / window.length_ms() as i64
}

fn end_ms(window: Window, at_ms: i64) -> i64 {
    (index(window, at_ms) + 1) * window.length_ms() as i64
}

impl QuotaWindows {
    /// Counts `weight` in every window, or returns when there is room for it.
    pub fn reserve(
        &mut self,
        limits: &QuotaLimits,
        weight: u64,
        keep_interactive_reserve: bool,
        now_ms: i64,
    ) -> Result<(), i64> {
        if self.is_from_the_future(now_ms) {
            *self = Self::default();
        }
        if self.blocked_until_ms > now_ms {
            return Err(self.blocked_until_ms);
        }
        let full = Window::ALL.into_iter().zip(self.counts).filter(|(window, count)| {
            let used = count.at(index(*window, now_ms));
            limits.of(*window).is_some_and(|limit| {
                let allowed = if keep_interactive_reserve { limit - limit / 10 } else { limit };
                used > 0 && used + weight > allowed
            })
        });
        if let Some(until) = full.map(|(window, _)| end_ms(window, now_ms)).max() {
            return Err(until);
        }
        for (window, count) in Window::ALL.into_iter().zip(&mut self.counts) {
            let current = index(window, now_ms);
            *count = WindowCount { index: current, used: count.at(current) + weight };
        }
        Ok(())
    }

    /// Corrects a reservation of `at_ms` in the windows that are still current.
    pub fn settle(&mut self, reserved: u64, used: u64, at_ms: i64) {
        for (window, count) in Window::ALL.into_iter().zip(&mut self.counts) {
            if count.index == index(window, at_ms) {
                count.used = (count.used + used).saturating_sub(reserved);
            }
        }
    }

    /// Whether it was written while the clock was ahead: its block would last too long.
    fn is_from_the_future(&self, now_ms: i64) -> bool {
        let [minute, ..] = self.counts;
        minute.index > index(Window::Minute, now_ms) + MAX_MINUTES_AHEAD
    }

    /// The use of each window, and when a full window or the provider's block ends.
    pub fn used(&self, limits: &QuotaLimits, now_ms: i64) -> ([u64; 3], Option<i64>) {
        let mut used = [0; 3];
        if self.is_from_the_future(now_ms) {
            return (used, None);
        }
        let mut until = Some(self.blocked_until_ms).filter(|until| *until > now_ms);
        for ((window, count), used) in Window::ALL.into_iter().zip(self.counts).zip(&mut used) {
            *used = count.at(index(window, now_ms));
            if limits.of(window).is_some_and(|limit| *used >= limit) {
                until = until.max(Some(end_ms(window, now_ms)));
            }
        }
        (used, until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: QuotaLimits = QuotaLimits { minute: Some(100), hour: Some(150), day: None };
    /// Ten seconds into a minute, in the first minute of an hour.
    const NOW: i64 = 1_800_000_000_000 + 10_000;

    #[test]
    fn the_fullest_window_decides_until_when() {
        let mut windows = QuotaWindows::default();
        assert_eq!(windows.reserve(&LIMITS, 100, false, NOW), Ok(()));
        assert_eq!(windows.reserve(&LIMITS, 1, false, NOW), Err(NOW + 50_000));
        let later = NOW + 60_000;
        assert_eq!(windows.reserve(&LIMITS, 50, false, later), Ok(()));
        assert_eq!(windows.reserve(&LIMITS, 51, false, later), Err(1_800_000_000_000 + 3_600_000));
        assert_eq!(windows.used(&LIMITS, later).0, [50, 150, 150]);
    }

    #[test]
    fn a_block_from_a_clock_that_was_ahead_ends() {
        let mut windows = QuotaWindows::default();
        let ahead = NOW + 2 * 3_600_000;
        assert_eq!(windows.reserve(&LIMITS, 100, false, ahead), Ok(()));
        windows.blocked_until_ms = ahead + 60_000;
        assert!(windows.reserve(&LIMITS, 1, false, ahead).is_err());
        assert_eq!(windows.used(&LIMITS, NOW), ([0; 3], None));
        assert_eq!(windows.reserve(&LIMITS, 1, false, NOW), Ok(()));
    }

    #[test]
    fn an_interactive_reserve_of_a_tenth_stays_free() {
        let mut windows = QuotaWindows::default();
        assert_eq!(windows.reserve(&LIMITS, 90, true, NOW), Ok(()));
        assert!(windows.reserve(&LIMITS, 1, true, NOW).is_err());
        assert_eq!(windows.reserve(&LIMITS, 10, false, NOW), Ok(()));
    }

    #[test]
    fn an_empty_window_grants_more_than_its_limit() {
        let mut empty = QuotaWindows::default();
        assert_eq!(empty.reserve(&LIMITS, 1_000, true, NOW), Ok(()));
        assert!(empty.reserve(&LIMITS, 1, false, NOW).is_err());
    }

    #[test]
    fn settling_changes_only_the_reserved_window() {
        let mut windows = QuotaWindows::default();
        assert_eq!(windows.reserve(&LIMITS, 60, false, NOW), Ok(()));
        windows.settle(60, 1, NOW);
        assert_eq!(windows.used(&LIMITS, NOW).0, [1, 1, 1]);
        let later = NOW + 60_000;
        assert_eq!(windows.reserve(&LIMITS, 60, false, later), Ok(()));
        windows.settle(60, 0, NOW);
        assert_eq!(windows.used(&LIMITS, later).0, [60, 1, 1]);
    }
}
