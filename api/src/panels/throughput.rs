//! Throughput: finished and failed tasks of the last fifteen minutes, in memory.
//!
//! Workers count since their start and report with every heartbeat; the difference between two
//! heartbeats is a bucket. A new worker counts from zero, because its name is as new as its process.
//! Workers that ran before this server count from their first heartbeat here.
//!
//! Does not: keep anything longer, or across a restart (see `/metrics`).

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

/// The length of a bucket: the interval of a worker's heartbeats, or buckets would alternate.
pub const BUCKET_SECONDS: u64 = 5;
/// Fifteen minutes.
pub const BUCKETS: usize = 180;
/// A worker that was silent for longer than the ring is long is removed.
const FORGET_AFTER: TimeDelta = TimeDelta::minutes(15);

/// One heartbeat.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// `<role>:<instance>`.
    pub name: String,
    pub state: HeartbeatState,
}

/// Unknown fields are ignored, missing ones are zero.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct HeartbeatState {
    pub held: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub paused_reason: Option<String>,
    pub paused_until: Option<DateTime<Utc>>,
    pub upstream: Option<UpstreamReport>,
    /// Of an import relay or of the last producer run.
    pub outbox: Option<OutboxReport>,
}

/// The upstream as a worker sees it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct UpstreamReport {
    pub breaker: String,
    pub breaker_until: Option<DateTime<Utc>>,
    pub config_error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct OutboxReport {
    pub unsent_tasks: u64,
}

impl Heartbeat {
    /// `None` if its fields have other types.
    pub fn read((name, state): (String, Value)) -> Option<Self> {
        let state = serde_json::from_value(state).ok()?;
        Some(Self { name, state })
    }

    /// The worker's name in the stream; `None` for other roles.
    pub fn worker(&self) -> Option<&str> {
        self.name.strip_prefix("worker:")
    }
}

/// Tasks that finished in one bucket.
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

/// The ring, newest bucket last, and each worker's counters at its last heartbeat.
#[derive(Clone, Debug, Default)]
pub struct Throughput {
    buckets: VecDeque<Bucket>,
    workers: HashMap<String, (Bucket, DateTime<Utc>)>,
    /// Heartbeats were read before.
    started: bool,
}

impl Throughput {
    /// Adds the next bucket.
    pub fn add(&mut self, heartbeats: &[Heartbeat], now: DateTime<Utc>) {
        let mut bucket = Bucket::default();
        for heartbeat in heartbeats.iter().filter(|heartbeat| heartbeat.worker().is_some()) {
            let HeartbeatState { succeeded, failed, skipped, .. } = heartbeat.state;
            let counted = Bucket { succeeded, failed, skipped };
            let before = match self.workers.insert(heartbeat.name.clone(), (counted, now)) {
                Some((before, _)) => before,
                None if self.started => Bucket::default(),
                None => counted,
            };
            bucket.succeeded += counted.succeeded.saturating_sub(before.succeeded);
            bucket.failed += counted.failed.saturating_sub(before.failed);
            bucket.skipped += counted.skipped.saturating_sub(before.skipped);
        }
        self.started = true;
        self.workers.retain(|_, (_, seen_at)| now - *seen_at < FORGET_AFTER);
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

    fn heartbeat(name: &str, succeeded: u64, failed: u64) -> Heartbeat {
        Heartbeat {
            name: name.to_owned(),
            state: HeartbeatState { succeeded, failed, ..HeartbeatState::default() },
        }
    }

    fn bucket(succeeded: u64, failed: u64) -> Bucket {
        Bucket { succeeded, failed, skipped: 0 }
    }

    #[test]
    fn only_tasks_since_the_server_started_count() {
        let (mut throughput, now) = (Throughput::default(), DateTime::UNIX_EPOCH);
        throughput.add(&[heartbeat("worker:old", 1_000_000, 5)], now);
        throughput
            .add(&[heartbeat("worker:old", 1_000_100, 6), heartbeat("worker:new", 40, 0)], now);
        // One worker is silent; other roles do not count.
        throughput.add(&[heartbeat("worker:new", 50, 0), heartbeat("imports:x", 9, 9)], now);
        throughput
            .add(&[heartbeat("worker:old", 1_000_200, 6), heartbeat("worker:new", 50, 0)], now);
        assert_eq!(
            throughput.buckets(),
            [bucket(0, 0), bucket(140, 1), bucket(10, 0), bucket(100, 0)]
        );
    }

    #[test]
    fn the_ring_and_its_workers_are_bounded() {
        let (mut throughput, mut now) = (Throughput::default(), DateTime::UNIX_EPOCH);
        for n in 0..(3 * BUCKETS) {
            throughput.add(&[heartbeat(&format!("worker:{n}"), 1, 0)], now);
            now += TimeDelta::seconds(BUCKET_SECONDS as i64);
        }
        assert_eq!(throughput.buckets().len(), BUCKETS);
        assert!(throughput.workers.len() <= BUCKETS);
    }
}
