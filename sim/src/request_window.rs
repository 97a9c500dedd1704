//! Request window: DummyJSON's limit of a hundred requests in ten seconds.
//!
//! Guarantees: a window begins with the first request after the previous window ended. A refused
//! request counts too, and its answer has `Retry-After`.
//! Does not: count per address like the service. All clients of a test share one address, so the
//! simulator has one count.

use std::sync::{Mutex, PoisonError};

use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};

pub const LIMIT: u64 = 100;
const WINDOW_SECONDS: i64 = 10;

#[derive(Debug, Default)]
pub struct RequestWindow(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    ends_at: i64,
    used: u64,
}

/// The number of a request in its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowUsage {
    pub used: u64,
    pub seconds_left: i64,
}

impl RequestWindow {
    pub fn enter(&self, unix_seconds: i64) -> WindowUsage {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if unix_seconds >= window.ends_at {
            *window = Window { ends_at: unix_seconds + WINDOW_SECONDS, used: 0 };
        }
        window.used += 1;
        WindowUsage { used: window.used, seconds_left: window.ends_at - unix_seconds }
    }
}

impl WindowUsage {
    pub fn is_refused(self) -> bool {
        self.used > LIMIT
    }

    /// The limit headers that every answer of the service has.
    pub fn headers(self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![
            (HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from(LIMIT)),
            (
                HeaderName::from_static("x-ratelimit-remaining"),
                HeaderValue::from(LIMIT.saturating_sub(self.used)),
            ),
            (HeaderName::from_static("x-ratelimit-reset"), HeaderValue::from(self.seconds_left)),
        ];
        if self.is_refused() {
            headers.push((RETRY_AFTER, HeaderValue::from(self.seconds_left)));
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_101_is_refused_until_the_window_ends() {
        let window = RequestWindow::default();
        for _ in 0..LIMIT {
            assert!(!window.enter(1_000).is_refused());
        }
        let refused = window.enter(1_003);
        assert!(refused.is_refused());
        assert!(refused.headers().contains(&(RETRY_AFTER, HeaderValue::from(7))));
        assert_eq!(window.enter(1_010), WindowUsage { used: 1, seconds_left: 10 });
    }
}
