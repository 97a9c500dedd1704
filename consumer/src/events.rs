//! What a worker says and counts: one function per event, so that the log line and the counter
//! cannot diverge.
//!
//! Start and end of a run at info, batches at debug, a failure that will be retried at warn.
//! What each metric means is said at the head; a new event adds its constant there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use isobar_broker::{BrokerError, Lane};
use isobar_model::pipeline::{PipelineName, STREAM_NAMES};
use isobar_store::{CommitReport, StoreError};
use isobar_telemetry::chain;
use isobar_telemetry::exposition::one_if;
use isobar_telemetry::metric::{Label, Metric};
use metrics::{counter, gauge, histogram};

use crate::gate::Reason;
use crate::settle::{Item, Outcome};

/// The workers of a process are told apart by it.
const PIPELINE: Label = Label::of("pipeline", &STREAM_NAMES);

const TASKS: Metric =
    Metric::counter("isobar_tasks_total", "Tasks that this process has finished.")
        .by(&[Label::of("outcome", &["succeeded", "failed", "skipped"])]);
const DEAD_LETTERS: Metric =
    Metric::counter("isobar_dead_letters_total", "Tasks that this process has given up.")
        .by(&[Label::open("code")]);
const COMMITS: Metric =
    Metric::counter("isobar_commits_total", "Transactions with results that were committed.");
const COMMIT_SECONDS: Metric =
    Metric::histogram("isobar_commit_seconds", "Time of a transaction with results.");
const COMMIT_FAILURES: Metric = Metric::counter(
    "isobar_commit_failures_total",
    "Transactions that failed and were tried again whole.",
);
const COMMIT_BISECTIONS: Metric = Metric::counter(
    "isobar_commit_bisections_total",
    "Transactions that were cut in two because the store refused a row.",
);
const BROKER_FAILURES: Metric = Metric::counter(
    "isobar_broker_failures_total",
    "Calls of the worker that the broker did not answer or refused.",
)
.by(&[Label::of(
    "step",
    &[
        "read",
        "ack",
        "renew",
        "heartbeat",
        "sweep",
        "give back",
        "park",
        "switches",
        "leave",
        "drain",
    ],
)]);
const STORE_FAILURES: Metric = Metric::counter(
    "isobar_store_failures_total",
    "Reads of the worker that the store did not answer; commits are counted apart.",
)
.by(&[Label::of("step", &["prepare", "prune"])]);
const HEALS: Metric = Metric::counter(
    "isobar_stream_heals_total",
    "Times that the stream or its group was found missing and was made anew.",
);
const GIVEN_BACK: Metric = Metric::counter(
    "isobar_given_back_total",
    "Entries given back to the stream; attempt says whether that counted as one.",
)
.by(&[Label::of("attempt", &["yes", "no"])]);
const PARKED: Metric =
    Metric::counter("isobar_parked_total", "Entries set aside because their job was paused.");
const LEASES_LOST: Metric = Metric::counter(
    "isobar_leases_lost_total",
    "Entries that another worker took over while this one had them.",
);
const PAUSES: Metric = Metric::counter(
    "isobar_pauses_total",
    "Times that reading stopped for quota, breaker, configuration or store.",
);
const PAUSED: Metric = Metric::gauge(
    "isobar_reading_paused",
    "1 for the reason why this worker reads nothing at the moment.",
)
.by(&[PIPELINE, Label::of("reason", &Reason::LABELS)]);
const ORPHANS: Metric = Metric::counter(
    "isobar_orphans_adopted_total",
    "Entries that nobody owned and that were made due again.",
);
const HELD: Metric =
    Metric::gauge("isobar_held_entries", "Entries that this worker has in hand.").by(&[PIPELINE]);

pub const METRICS: &[Metric] = &[
    TASKS,
    DEAD_LETTERS,
    COMMITS,
    COMMIT_SECONDS,
    COMMIT_FAILURES,
    COMMIT_BISECTIONS,
    BROKER_FAILURES,
    STORE_FAILURES,
    HEALS,
    GIVEN_BACK,
    PARKED,
    LEASES_LOST,
    PAUSES,
    PAUSED,
    ORPHANS,
    HELD,
];

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
            counter!(TASKS.name, "outcome" => outcome).increment(1);
            if item.lane == Lane::Tasks {
                self.entries.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(dead) = &item.dead {
                self.dead.fetch_add(1, Ordering::Relaxed);
                counter!(DEAD_LETTERS.name, "code" => dead.code.clone()).increment(1);
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
    histogram!(COMMIT_SECONDS.name).record(took);
    counter!(COMMITS.name).increment(1);
    tracing::debug!(items, took_ms = took.as_millis() as u64, "committed");
    for job in &report.finished_jobs {
        tracing::info!(job_id = %job, "job finished");
    }
}

pub fn commit_failed(error: &StoreError, items: usize) {
    counter!(COMMIT_FAILURES.name).increment(1);
    tracing::warn!(items, error = chain(error), "a commit failed and is tried again");
}

pub fn commit_bisected(error: &StoreError, items: usize) {
    counter!(COMMIT_BISECTIONS.name).increment(1);
    tracing::warn!(items, error = chain(error), "the store refuses a row; looking for it");
}

pub fn broker_trouble(doing: &'static str, error: &BrokerError) {
    counter!(BROKER_FAILURES.name, "step" => doing).increment(1);
    tracing::warn!(step = doing, error = chain(error), "the broker failed; trying again");
}

pub fn store_trouble(doing: &'static str, error: &StoreError) {
    counter!(STORE_FAILURES.name, "step" => doing).increment(1);
    tracing::warn!(step = doing, error = chain(error), "the store failed; trying again");
}

/// `first`: this worker has not seen the stream before, so it may simply be new.
pub fn healed(epoch: &str, first: bool) {
    if first {
        tracing::info!(epoch, "made the stream and its group");
        return;
    }
    counter!(HEALS.name).increment(1);
    tracing::warn!(
        epoch,
        "the stream or its group was missing and was created anew; producers send again what they have"
    );
}

pub fn given_back(tally: &Tally, count: usize, reason: &str, attempt: bool) {
    counter!(GIVEN_BACK.name, "attempt" => if attempt { "yes" } else { "no" })
        .increment(count as u64);
    if attempt {
        tally.attempts.fetch_add(count as u64, Ordering::Relaxed);
        tracing::warn!(count, error = reason, "tasks failed and will be tried again");
    } else {
        tracing::debug!(count, reason, "gave entries back");
    }
}

/// At each delivery: somebody has to see it.
pub fn unknown_kind(count: usize) {
    tracing::warn!(
        count,
        "control messages of a kind that this version does not know are left for a newer worker"
    );
}

pub fn parked(count: usize) {
    counter!(PARKED.name).increment(count as u64);
    tracing::debug!(count, "set entries of paused jobs aside");
}

pub fn leases_lost(count: usize) {
    counter!(LEASES_LOST.name).increment(count as u64);
    tracing::warn!(count, "another worker took entries over; their results are dropped");
}

pub fn gate_shut(reason: &str, until: chrono::DateTime<chrono::Utc>) {
    counter!(PAUSES.name).increment(1);
    tracing::warn!(until = until.to_rfc3339(), "not reading: {reason}");
}

pub fn adopted(count: u64) {
    counter!(ORPHANS.name).increment(count);
    tracing::warn!(count, "found entries that nobody owned");
}

pub fn holding(pipeline: PipelineName, entries: usize) {
    gauge!(HELD.name, "pipeline" => pipeline.as_str()).set(entries as f64);
}

pub fn paused(pipeline: PipelineName, reason: Option<&Reason>) {
    let is = reason.map(Reason::label);
    for label in Reason::LABELS {
        gauge!(PAUSED.name, "pipeline" => pipeline.as_str(), "reason" => label)
            .set(one_if(is == Some(label)));
    }
}
