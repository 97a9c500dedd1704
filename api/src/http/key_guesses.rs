//! Guesses of the key: how many wrong keys one client may send.
//!
//! A client may send [`GUESSES`] wrong keys. After that its keys are not compared until it has waited,
//! in a form or in a header. That includes the right key: its answer would differ from that of a guess.
//! Public routes and sessions are not affected.
//!
//! Guarantees: memory is bounded, as in [`rate_limit`]. A repeated wrong key counts once, so a script
//! with an outdated key does not lock out the others behind its proxy.
//!
//! [`rate_limit`]: crate::http::rate_limit

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use isobar_settings::RateSpec;

use crate::http::rate_limit::RateLimiter;

/// At once, and then one every five seconds: enough for typing errors, 17,280 a day for a guesser.
const GUESSES: RateSpec = RateSpec::Limited { requests: 12, window: Duration::from_mins(1) };
/// Wrong keys that are remembered, of all clients together: one for each outdated script.
const MAX_KNOWN: usize = 64;

type KeyDigest = [u8; 32];

pub struct KeyGuesses {
    limiter: RateLimiter,
    /// The newest wrong keys, the oldest of them first.
    known_wrong: Mutex<VecDeque<KeyDigest>>,
}

impl Default for KeyGuesses {
    fn default() -> Self {
        Self { limiter: RateLimiter::new(GUESSES), known_wrong: Mutex::default() }
    }
}

impl KeyGuesses {
    /// Whether a key of this client may be compared; an error is the time until it may.
    pub fn check(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        self.limiter.check(peer, now)
    }

    /// Counts a wrong key.
    pub fn count(&self, peer: IpAddr, key: KeyDigest, now: Instant) {
        // After a panic elsewhere the queue is still whole.
        let mut known = self.known_wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&key) {
            return;
        }
        if known.len() == MAX_KNOWN {
            known.pop_front();
        }
        known.push_back(key);
        // Guesses that were compared at the same moment may be a few more than allowed.
        let _ = self.limiter.admit(peer, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn key(number: u32) -> KeyDigest {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_be_bytes());
        digest
    }

    #[test]
    fn guesses_are_slowed_to_one_every_five_seconds() {
        let guesses = KeyGuesses::default();
        let start = Instant::now();
        let mut allowed = 0;
        for tenth in 0..600_u32 {
            let now = start + Duration::from_millis(100) * tenth;
            if guesses.check(PEER, now).is_ok() {
                guesses.count(PEER, key(tenth), now);
                allowed += 1;
            }
        }
        assert_eq!(allowed, 12 + 11, "in a minute");
        let wait = guesses.check(PEER, start + Duration::from_mins(1)).err().unwrap_or_default();
        assert!(wait <= Duration::from_secs(5), "{wait:?}");
        let other = IpAddr::V4([192, 0, 2, 1].into());
        assert_eq!(guesses.check(other, start), Ok(()), "another client");
    }

    #[test]
    fn a_repeated_key_is_one_guess_and_few_are_remembered() {
        let guesses = KeyGuesses::default();
        let now = Instant::now();
        for _ in 0..1_000 {
            guesses.count(PEER, key(1), now);
        }
        assert_eq!(guesses.check(PEER, now), Ok(()));
        for number in 0..1_000 {
            guesses.count(PEER, key(number), now);
        }
        assert!(guesses.check(PEER, now).is_err());
        assert_eq!(guesses.known_wrong.lock().expect("a queue").len(), MAX_KNOWN);
    }
}
