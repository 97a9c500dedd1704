//! The arithmetic of upstream quota: fixed windows aligned to UTC, as providers count them.
//!
//! Pure: times come in as milliseconds. Redis' scripts say the same in Lua, and the conformance
//! suite holds both to it. A window whose index is not the current one is empty. A weight above a
//! whole window is granted when the window is empty, or it never would be.

use isobar_model::quota::{QuotaLimits, Window};

/// What one host used, by window, and until when it is shut.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Windows {
    pub counted: [Counted; 3],
    pub shut_until_ms: i64,
}

/// One window: which one it is, and what was used in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    pub index: i64,
    pub used: u64,
}

impl Counted {
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

impl Windows {
    /// Counts `weight` in every window, or says until when there is no room for it.
    pub fn reserve(
        &mut self,
        limits: &QuotaLimits,
        weight: u64,
        keep_back: bool,
        now_ms: i64,
    ) -> Result<(), i64> {
        if self.shut_until_ms > now_ms {
            return Err(self.shut_until_ms);
        }
        let full = Window::ALL.into_iter().zip(self.counted).filter(|(window, counted)| {
            let used = counted.at(index(*window, now_ms));
            limits.of(*window).is_some_and(|limit| {
                let allowed = if keep_back { limit - limit / 10 } else { limit };
                used > 0 && used + weight > allowed
            })
        });
        if let Some(until) = full.map(|(window, _)| end_ms(window, now_ms)).max() {
            return Err(until);
        }
        for (window, counted) in Window::ALL.into_iter().zip(&mut self.counted) {
            let current = index(window, now_ms);
            *counted = Counted { index: current, used: counted.at(current) + weight };
        }
        Ok(())
    }

    /// Corrects what was reserved at `at_ms`, in the windows that are still the same.
    pub fn settle(&mut self, reserved: u64, used: u64, at_ms: i64) {
        for (window, counted) in Window::ALL.into_iter().zip(&mut self.counted) {
            if counted.index == index(window, at_ms) {
                counted.used = (counted.used + used).saturating_sub(reserved);
            }
        }
    }

    /// What each window has used, and until when a full one or the provider keeps it shut.
    pub fn used(&self, limits: &QuotaLimits, now_ms: i64) -> ([u64; 3], Option<i64>) {
        let mut used = [0; 3];
        let mut shut_until = Some(self.shut_until_ms).filter(|until| *until > now_ms);
        for ((window, counted), used) in Window::ALL.into_iter().zip(self.counted).zip(&mut used) {
            *used = counted.at(index(window, now_ms));
            if limits.of(window).is_some_and(|limit| *used >= limit) {
                shut_until = shut_until.max(Some(end_ms(window, now_ms)));
            }
        }
        (used, shut_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: QuotaLimits = QuotaLimits { minute: Some(100), hour: Some(150), day: None };
    /// Ten seconds into a minute, in the first minute of an hour.
    const NOW: i64 = 1_800_000_000_000 + 10_000;

    #[test]
    fn the_fullest_window_says_until_when() {
        let mut windows = Windows::default();
        assert_eq!(windows.reserve(&LIMITS, 100, false, NOW), Ok(()));
        assert_eq!(windows.reserve(&LIMITS, 1, false, NOW), Err(NOW + 50_000));
        let later = NOW + 60_000;
        assert_eq!(windows.reserve(&LIMITS, 50, false, later), Ok(()));
        assert_eq!(windows.reserve(&LIMITS, 51, false, later), Err(1_800_000_000_000 + 3_600_000));
        assert_eq!(windows.used(&LIMITS, later).0, [50, 150, 150]);
    }

    #[test]
    fn a_tenth_is_kept_back_and_more_than_a_window_is_granted_alone() {
        let mut windows = Windows::default();
        assert_eq!(windows.reserve(&LIMITS, 90, true, NOW), Ok(()));
        assert!(windows.reserve(&LIMITS, 1, true, NOW).is_err());
        assert_eq!(windows.reserve(&LIMITS, 10, false, NOW), Ok(()));
        let mut empty = Windows::default();
        assert_eq!(empty.reserve(&LIMITS, 1_000, true, NOW), Ok(()));
        assert!(empty.reserve(&LIMITS, 1, false, NOW).is_err());
    }

    #[test]
    fn settling_changes_only_the_window_it_was_reserved_in() {
        let mut windows = Windows::default();
        assert_eq!(windows.reserve(&LIMITS, 60, false, NOW), Ok(()));
        windows.settle(60, 1, NOW);
        assert_eq!(windows.used(&LIMITS, NOW).0, [1, 1, 1]);
        let later = NOW + 60_000;
        assert_eq!(windows.reserve(&LIMITS, 60, false, later), Ok(()));
        windows.settle(60, 0, NOW);
        assert_eq!(windows.used(&LIMITS, later).0, [60, 1, 1]);
    }
}
