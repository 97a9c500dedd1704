//! The free tier's limiter, as the service itself works.
//!
//! Weights are counted in fixed UTC minutes, hours and days. A request is checked *before* it is
//! served and charged after, so one call may overshoot: at 599 used, 1,000 locations still pass. A
//! refusal costs nothing, another error 1. One request runs, four more may wait, the rest is refused.
//!
//! The service counts per address; the simulator has one count for all, because in tests all
//! clients share one address. Only `/v1/forecast` is limited.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Seconds of each window, what it allows, and the reason when that is used; checked in this order.
const WINDOWS: [(i64, f64, &str); 3] =
    [(60, 600.0, MINUTELY), (3_600, 5_000.0, HOURLY), (86_400, 10_000.0, DAILY)];

/// Requests running or waiting; one runs.
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

/// The right to be served; dropping it lets the next request run.
#[derive(Debug)]
pub struct Turn<'a> {
    _running: SemaphorePermit<'a>,
    _place: PlaceInSystem<'a>,
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
    /// Checks the windows, then waits for the one running slot. The error is the 429's reason.
    pub async fn enter(&self, unix_seconds: i64) -> Result<Turn<'_>, &'static str> {
        self.windows().check(unix_seconds)?;
        let place = PlaceInSystem::take(&self.in_system).ok_or(CONCURRENT)?;
        let running = self.running.acquire().await.map_err(|_| CONCURRENT)?;
        Ok(Turn { _running: running, _place: place })
    }

    pub fn charge(&self, unix_seconds: i64, weight: f64) {
        self.windows().charge(unix_seconds, weight);
    }

    fn windows(&self) -> std::sync::MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives its place back however the request ends, also when the client hangs up while it waits.
#[derive(Debug)]
struct PlaceInSystem<'a>(&'a AtomicUsize);

impl<'a> PlaceInSystem<'a> {
    fn take(in_system: &'a AtomicUsize) -> Option<Self> {
        in_system
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |held| {
                (held < IN_SYSTEM).then_some(held + 1)
            })
            .ok()
            .map(|_| Self(in_system))
    }
}

impl Drop for PlaceInSystem<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What is used of each window, and which window that was.
#[derive(Debug, Default)]
struct Windows([Window; 3]);

#[derive(Debug, Default)]
struct Window {
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

    // 2026-03-10T00:00:00Z: the beginning of a day, hour and minute.
    const MIDNIGHT: i64 = 1_773_100_800;

    #[test]
    fn one_call_may_overshoot_and_the_next_waits_for_the_utc_minute() {
        let mut windows = Windows::default();
        windows.charge(MIDNIGHT, 599.0);
        assert_eq!(windows.check(MIDNIGHT + 1), Ok(()));
        windows.charge(MIDNIGHT + 1, 1000.0);
        assert_eq!(windows.check(MIDNIGHT + 59), Err(MINUTELY));
        assert_eq!(windows.check(MIDNIGHT + 60), Ok(()));
    }

    #[test]
    fn hour_and_day_are_refused_with_their_own_reasons() {
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
    async fn one_runs_four_wait_and_the_sixth_is_refused() {
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
