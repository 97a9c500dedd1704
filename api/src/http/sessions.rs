//! Sessions: who has signed in on the page, in the memory of this process.
//!
//! Guarantees: a session is 32 random bytes that only the browser knows; this process keeps their
//! digest and their expiry. It ends after [`LIFETIME`], with a sign-out, with the process, or when
//! [`MAX_SESSIONS`] newer ones have been opened. It grants what the key grants and nothing more.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

/// The cookie that holds a session.
pub const NAME: &str = "isobar_session";
/// A working day.
pub const LIFETIME: Duration = Duration::from_hours(12);
const MAX_SESSIONS: usize = 1_000;

#[derive(Default)]
pub struct Sessions(Mutex<HashMap<[u8; 32], Instant>>);

impl Sessions {
    /// A new session's secret, for the cookie.
    pub fn open(&self, now: Instant) -> String {
        let mut secret = [0; 32];
        OsRng.try_fill_bytes(&mut secret).expect("the system has random bytes");
        let secret = secret.iter().fold(String::with_capacity(64), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string never fails");
            hex
        });
        let mut ends = self.ends();
        ends.retain(|_, end| *end > now);
        if ends.len() >= MAX_SESSIONS
            && let Some(oldest) = ends.iter().min_by_key(|(_, end)| **end).map(|(id, _)| *id)
        {
            ends.remove(&oldest);
        }
        ends.insert(digest(&secret), now + LIFETIME);
        secret
    }

    /// Whether the request's cookie is a valid session.
    pub fn holds(&self, headers: &HeaderMap, now: Instant) -> bool {
        secrets(headers).any(|secret| {
            let end = self.ends().get(&digest(secret)).copied();
            end.is_some_and(|end| end > now)
        })
    }

    /// Ends the session of the request's cookie.
    pub fn close(&self, headers: &HeaderMap) {
        for secret in secrets(headers) {
            self.ends().remove(&digest(secret));
        }
    }

    fn ends(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Instant>> {
        // After a panic elsewhere the map is still whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The values of the session cookie: a browser sends one, other clients may send more.
fn secrets(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))
}

/// The time of a lookup by digest reveals nothing about the secret.
fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(COOKIE, cookie.parse().expect("a value"))])
    }

    #[test]
    fn a_session_ends_when_closed_or_expired() {
        let sessions = Sessions::default();
        let now = Instant::now();
        let secret = sessions.open(now);
        let cookie = headers(&format!("theme=dark; {NAME}={secret}"));
        assert!(sessions.holds(&cookie, now));
        assert!(!sessions.holds(&cookie, now + LIFETIME));
        for foreign in ["", "x=y", NAME, "isobar_session=", "isobar_session=00", &secret] {
            assert!(!sessions.holds(&headers(foreign), now), "{foreign}");
        }
        sessions.close(&cookie);
        assert!(!sessions.holds(&cookie, now));
    }

    #[test]
    fn the_oldest_session_makes_room_for_the_newest() {
        let sessions = Sessions::default();
        let start = Instant::now();
        let opened: Vec<String> = (0..=MAX_SESSIONS)
            .map(|n| sessions.open(start + Duration::from_millis(n as u64)))
            .collect();
        let held = |secret: &String| sessions.holds(&headers(&format!("{NAME}={secret}")), start);
        assert!(!held(&opened[0]));
        assert!(opened[1..].iter().all(held));
    }
}
