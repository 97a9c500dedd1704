//! What a worker says and counts: one function per event, so that the log line and the counter
//! cannot diverge.
//!
//! Start and end of a run at info, batches at debug, a failure that will be retried at warn.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use isobar_shared::broker::{BrokerError, Lane};
use isobar_shared::store::{CommitReport, StoreError};
use isobar_shared::telemetry::chain;
use metrics::{counter, gauge, histogram};

use crate::settle::{Item, Outcome};

/// What a worker has done since it started, for heartbeats, progress and the summary.
#[derive(Debug, Default)]
pub struct Tally {
    pub entries: AtomicU64,
    pub succeeded: AtomicU64,
    pub failed: AtomicU64,
    pub skipped: AtomicU64,
    pub dead: AtomicU64,
    /// Attempts that failed and will be repeated.
    pub attempts: AtomicU64,
}

impl Tally {
    /// Books committed items; control messages are not entries, rejected rows are failures.
    pub fn committed<R>(&self, items: &[Item<R>]) {
        for item in items {
            let (outcome, counted) = match &item.result {
                Outcome::Succeeded(_) => ("succeeded", &self.succeeded),
                Outcome::Failed | Outcome::Rejected => ("failed", &self.failed),
                Outcome::Skipped => ("skipped", &self.skipped),
                Outcome::Opened(_) | Outcome::Sealed(_) => continue,
            };
            counted.fetch_add(1, Ordering::Relaxed);
            counter!("isobar_tasks_total", "outcome" => outcome).increment(1);
            if item.lane == Lane::Tasks {
                self.entries.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(dead) = &item.dead {
                self.dead.fetch_add(1, Ordering::Relaxed);
                counter!("isobar_dead_letters_total", "code" => dead.code.clone()).increment(1);
                tracing::warn!(
                    task_id = dead.task_id.map(tracing::field::display),
                    job_id = dead.job_id.map(tracing::field::display),
                    city_id = dead.city_id.map(|id| id.0),
                    attempt = dead.attempts,
                    outcome = "dead",
                    error = dead.reason,
                    "gave a task up: {}",
                    dead.code
                );
            }
        }
    }
}

pub fn started(name: &str, pipeline: &str, capacity: usize, concurrency: usize) {
    tracing::info!(worker = name, pipeline, capacity, concurrency, "worker started");
}

pub fn ended(name: &str, tally: &Tally) {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    tracing::info!(
        worker = name,
        entries = of(&tally.entries),
        succeeded = of(&tally.succeeded),
        failed = of(&tally.failed),
        skipped = of(&tally.skipped),
        dead = of(&tally.dead),
        "worker ended"
    );
}

pub fn commit(items: usize, took: Duration, report: &CommitReport) {
    histogram!("isobar_commit_seconds").record(took);
    counter!("isobar_commits_total").increment(1);
    tracing::debug!(items, took_ms = took.as_millis() as u64, "committed");
    for job in &report.finished_jobs {
        tracing::info!(job_id = %job, "job finished");
    }
}

pub fn commit_failed(error: &StoreError, items: usize) {
    counter!("isobar_commit_failures_total").increment(1);
    tracing::warn!(items, error = chain(error), "a commit failed and is tried again");
}

pub fn commit_bisected(error: &StoreError, items: usize) {
    counter!("isobar_commit_bisections_total").increment(1);
    tracing::warn!(items, error = chain(error), "the store refuses a row; looking for it");
}

pub fn broker_trouble(doing: &'static str, error: &BrokerError) {
    counter!("isobar_broker_failures_total", "step" => doing).increment(1);
    tracing::warn!(step = doing, error = chain(error), "the broker failed; trying again");
}

pub fn store_trouble(doing: &'static str, error: &StoreError) {
    counter!("isobar_store_failures_total", "step" => doing).increment(1);
    tracing::warn!(step = doing, error = chain(error), "the store failed; trying again");
}

/// `first`: this worker has not seen the stream before, so it may simply be new.
pub fn healed(epoch: &str, first: bool) {
    if first {
        tracing::info!(epoch, "made the stream and its group");
        return;
    }
    counter!("isobar_stream_heals_total").increment(1);
    tracing::warn!(
        epoch,
        "the stream or its group was missing and was created anew; producers send again what they have"
    );
}

pub fn given_back(tally: &Tally, count: usize, reason: &str, attempt: bool) {
    counter!("isobar_given_back_total", "attempt" => if attempt { "yes" } else { "no" })
        .increment(count as u64);
    if attempt {
        tally.attempts.fetch_add(count as u64, Ordering::Relaxed);
        tracing::warn!(count, error = reason, "tasks failed and will be tried again");
    } else {
        tracing::debug!(count, reason, "gave entries back");
    }
}

pub fn leases_lost(count: usize) {
    counter!("isobar_leases_lost_total").increment(count as u64);
    tracing::warn!(count, "another worker took entries over; their results are dropped");
}

pub fn gate_shut(reason: &str, until: chrono::DateTime<chrono::Utc>) {
    counter!("isobar_pauses_total").increment(1);
    tracing::warn!(until = until.to_rfc3339(), "not reading: {reason}");
}

pub fn adopted(count: u64) {
    counter!("isobar_orphans_adopted_total").increment(count);
    tracing::warn!(count, "found entries that nobody owned");
}

pub fn holding(entries: usize) {
    gauge!("isobar_held_entries").set(entries as f64);
}
