//! Limiter: the limits of Open-Meteo's free tier, with the service's own algorithm.
//!
//! Weights add up in fixed UTC minutes, hours and days.
//! Guarantees: a request is checked before it is served and charged after it. One call may
//! therefore overshoot: at 599 used, 1,000 locations still pass. A refusal costs nothing, another
//! error costs 1. One request runs, four more may wait, the rest is refused.
//! Does not: count per address like the service. All clients of a test share one address, so the
//! simulator has one count per endpoint.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Length in seconds, limit, and the reason of a refusal, in the order of the checks.
const WINDOWS: [(i64, f64, &str); 3] =
    [(60, 600.0, MINUTELY), (3_600, 5_000.0, HOURLY), (86_400, 10_000.0, DAILY)];

/// The most requests that run or wait.
const IN_SYSTEM: usize = 5;

pub const MINUTELY: &str = "Minutely API request limit exceeded. Please try again in one minute.";
pub const HOURLY: &str = "Hourly API request limit exceeded. Please try again in the next hour.";
pub const DAILY: &str = "Daily API request limit exceeded. Please try again tomorrow.";
pub const CONCURRENT: &str = "Too many concurrent requests";

#[derive(Debug)]
pub struct Limiter {
    windows: Mutex<Windows>,
    running: Semaphore,
    in_system: AtomicUsize,
}

/// Permission to run. Dropping it lets the next request run.
#[derive(Debug)]
pub struct LimiterPermit<'a> {
    _running: SemaphorePermit<'a>,
    _slot: QueueSlot<'a>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            windows: Mutex::default(),
            running: Semaphore::new(1),
            in_system: AtomicUsize::new(0),
        }
    }
}

impl Limiter {
    /// Checks the windows, then waits for the running request. The error is the reason of the 429.
    pub async fn enter(&self, unix_seconds: i64) -> Result<LimiterPermit<'_>, &'static str> {
        self.windows().check(unix_seconds)?;
        let slot = QueueSlot::take(&self.in_system).ok_or(CONCURRENT)?;
        let running = self.running.acquire().await.map_err(|_| CONCURRENT)?;
        Ok(LimiterPermit { _running: running, _slot: slot })
    }

    pub fn charge(&self, unix_seconds: i64, weight: f64) {
        self.windows().charge(unix_seconds, weight);
    }

    fn windows(&self) -> std::sync::MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot for a running or waiting request. Dropping it frees the slot, also after a disconnect.
#[derive(Debug)]
struct QueueSlot<'a>(&'a AtomicUsize);

impl<'a> QueueSlot<'a> {
    fn take(in_system: &'a AtomicUsize) -> Option<Self> {
        in_system
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |held| {
                (held < IN_SYSTEM).then_some(held + 1)
            })
            .ok()
            .map(|_| Self(in_system))
    }
}

impl Drop for QueueSlot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The used weight of the current minute, hour and day.
#[derive(Debug, Default)]
struct Windows([Window; 3]);

#[derive(Debug, Default)]
struct Window {
    /// Windows since 1970.
    number: i64,
    used: f64,
}

impl Windows {
    fn check(&mut self, unix_seconds: i64) -> Result<(), &'static str> {
        self.roll(unix_seconds);
        let full = self.0.iter().zip(WINDOWS).find(|(window, (_, limit, _))| window.used >= *limit);
        full.map_or(Ok(()), |(_, (_, _, reason))| Err(reason))
    }

    fn charge(&mut self, unix_seconds: i64, weight: f64) {
        self.roll(unix_seconds);
        self.0.iter_mut().for_each(|window| window.used += weight);
    }

    fn roll(&mut self, unix_seconds: i64) {
        for (window, (seconds, ..)) in self.0.iter_mut().zip(WINDOWS) {
            let number = unix_seconds.div_euclid(seconds);
            if number != window.number {
                *window = Window { number, used: 0.0 };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // 2026-03-10T00:00:00Z: the start of a day, an hour and a minute.
    const MIDNIGHT: i64 = 1_773_100_800;

    #[test]
    fn one_call_may_overshoot_the_minute() {
        let mut windows = Windows::default();
        windows.charge(MIDNIGHT, 599.0);
        assert_eq!(windows.check(MIDNIGHT + 1), Ok(()));
        windows.charge(MIDNIGHT + 1, 1000.0);
        assert_eq!(windows.check(MIDNIGHT + 59), Err(MINUTELY));
        assert_eq!(windows.check(MIDNIGHT + 60), Ok(()));
    }

    #[test]
    fn hour_and_day_have_their_own_reasons() {
        let mut windows = Windows::default();
        windows.charge(MIDNIGHT, 5_000.0);
        assert_eq!(windows.check(MIDNIGHT + 60), Err(HOURLY));
        assert_eq!(windows.check(MIDNIGHT + 3600), Ok(()));
        windows.charge(MIDNIGHT + 3600, 5_000.0);
        assert_eq!(windows.check(MIDNIGHT + 7200), Err(DAILY));
        assert_eq!(windows.check(MIDNIGHT + 86_399), Err(DAILY));
        assert_eq!(windows.check(MIDNIGHT + 86_400), Ok(()));
    }

    #[tokio::test]
    async fn the_sixth_concurrent_request_is_refused() {
        let limiter = Limiter::default();
        let running = limiter.enter(MIDNIGHT).await.unwrap();
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(limiter.enter(MIDNIGHT))).collect();
        for entering in &mut waiting {
            let polled = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(entering.as_mut().poll(cx).is_pending())
            });
            assert!(polled.await);
        }
        assert_eq!(limiter.enter(MIDNIGHT).await.unwrap_err(), CONCURRENT);
        waiting.pop();
        drop(running);
        for entering in waiting {
            assert!(entering.await.is_ok());
        }
        assert_eq!(limiter.in_system.load(Ordering::SeqCst), 0);
    }
}
