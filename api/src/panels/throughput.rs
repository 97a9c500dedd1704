//! The last minutes of throughput and errors, kept in memory so that a new page has them at once.
//!
//! Workers count what they finished since their start and say so with every heartbeat; the
//! difference between two of them is what happened in between. A worker that is heard for the
//! first time counts from zero, for its name is as new as its process, but for those that were
//! there before this server was: what they did then is not ours to draw.
//!
//! Deliberately absent: anything lasting. `/metrics` is for those who want to look back further.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

/// One place of the ring: as long as a worker's heartbeats are apart, or it would beat as they do.
pub const BUCKET_SECONDS: u64 = 5;
/// Fifteen minutes.
pub const BUCKETS: usize = 180;
/// A worker that was silent for longer than the ring remembers is forgotten.
const FORGET_AFTER: TimeDelta = TimeDelta::minutes(15);

/// What a role says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    /// `<role>:<instance>`.
    pub name: String,
    pub state: BeatState,
}

/// Unknown fields are read over, missing ones are zero.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct BeatState {
    pub held: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub paused_reason: Option<String>,
    pub paused_until: Option<DateTime<Utc>>,
    pub upstream: Option<UpstreamBeat>,
    /// Of an import relay, or of the last producer.
    pub outbox: Option<OutboxBeat>,
}

/// What a worker knows of the upstream.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct UpstreamBeat {
    pub breaker: String,
    pub breaker_until: Option<DateTime<Utc>>,
    pub config_error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct OutboxBeat {
    pub unsent_tasks: u64,
}

impl Beat {
    /// `None` where it is no object of ours.
    pub fn read((name, state): (String, Value)) -> Option<Self> {
        let state = serde_json::from_value(state).ok()?;
        Some(Self { name, state })
    }

    /// The worker's name in the stream, if it is one.
    pub fn worker(&self) -> Option<&str> {
        self.name.strip_prefix("worker:")
    }
}

/// What was finished in one place of the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Bucket {
    pub fn finished(self) -> u64 {
        self.succeeded + self.failed + self.skipped
    }
}

/// The ring, newest last, and what each worker had counted when it was last heard.
#[derive(Clone, Debug, Default)]
pub struct Pulse {
    buckets: VecDeque<Bucket>,
    workers: HashMap<String, (Bucket, DateTime<Utc>)>,
    began: bool,
}

impl Pulse {
    /// Takes what the workers say now as the next place of the ring.
    pub fn beat(&mut self, beats: &[Beat], now: DateTime<Utc>) {
        let mut bucket = Bucket::default();
        for beat in beats.iter().filter(|beat| beat.worker().is_some()) {
            let counted = Bucket {
                succeeded: beat.state.succeeded,
                failed: beat.state.failed,
                skipped: beat.state.skipped,
            };
            let before = match self.workers.insert(beat.name.clone(), (counted, now)) {
                Some((before, _)) => before,
                None if self.began => Bucket::default(),
                None => counted,
            };
            bucket.succeeded += counted.succeeded.saturating_sub(before.succeeded);
            bucket.failed += counted.failed.saturating_sub(before.failed);
            bucket.skipped += counted.skipped.saturating_sub(before.skipped);
        }
        self.began = true;
        self.workers.retain(|_, (_, heard)| now - *heard < FORGET_AFTER);
        self.buckets.push_back(bucket);
        while self.buckets.len() > BUCKETS {
            self.buckets.pop_front();
        }
    }

    /// Oldest first, at most [`BUCKETS`].
    pub fn buckets(&self) -> Vec<Bucket> {
        self.buckets.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(name: &str, succeeded: u64, failed: u64) -> Beat {
        Beat {
            name: name.to_owned(),
            state: BeatState { succeeded, failed, ..BeatState::default() },
        }
    }

    fn bucket(succeeded: u64, failed: u64) -> Bucket {
        Bucket { succeeded, failed, skipped: 0 }
    }

    #[test]
    fn only_what_happened_since_this_server_listens_is_drawn() {
        let (mut pulse, now) = (Pulse::default(), DateTime::UNIX_EPOCH);
        pulse.beat(&[beat("worker:old", 1_000_000, 5)], now);
        pulse.beat(&[beat("worker:old", 1_000_100, 6), beat("worker:new", 40, 0)], now);
        // The old one is silent, the new one goes on; what is no worker counts nothing.
        pulse.beat(&[beat("worker:new", 50, 0), beat("imports:x", 9, 9)], now);
        pulse.beat(&[beat("worker:old", 1_000_200, 6), beat("worker:new", 50, 0)], now);
        assert_eq!(pulse.buckets(), [bucket(0, 0), bucket(140, 1), bucket(10, 0), bucket(100, 0)]);
    }

    #[test]
    fn the_ring_and_the_names_in_it_are_bounded() {
        let (mut pulse, mut now) = (Pulse::default(), DateTime::UNIX_EPOCH);
        for n in 0..(3 * BUCKETS) {
            pulse.beat(&[beat(&format!("worker:{n}"), 1, 0)], now);
            now += TimeDelta::seconds(BUCKET_SECONDS as i64);
        }
        assert_eq!(pulse.buckets().len(), BUCKETS);
        assert!(pulse.workers.len() <= BUCKETS);
    }
}
