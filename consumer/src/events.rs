//! Events: what a worker logs and counts, one function per event.
//!
//! Guarantees: the log line and the counter of an event cannot diverge. Start and end of a run are
//! logged at info, batches at debug, a failure that will be retried at warn. The constants at the
//! head say what each metric means.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use isobar_broker::{BrokerError, Entry, Lane};
use isobar_model::pipeline::{PipelineName, STREAM_NAMES};
use isobar_store::{CommitReport, StoreError};
use isobar_telemetry::error_chain;
use isobar_telemetry::exposition::bool_value;
use isobar_telemetry::metric::{Label, Metric};
use metrics::{counter, gauge, histogram};

use crate::gate::PauseReason;
use crate::settle::{EntryOutcome, SettledEntry};
use crate::suspect::{TrialEnd, TrialReport};

/// Distinguishes the workers of a process.
const PIPELINE: Label = Label::with_values("pipeline", &STREAM_NAMES);

const TASKS: Metric =
    Metric::counter("isobar_tasks_total", "Tasks that this process has finished.")
        .with_labels(&[Label::with_values("outcome", &["succeeded", "failed", "skipped"])]);
const DEAD_LETTERS: Metric =
    Metric::counter("isobar_dead_letters_total", "Tasks that this process has failed for good.")
        .with_labels(&[Label::dynamic("code")]);
const COMMITS: Metric =
    Metric::counter("isobar_commits_total", "Transactions with results that were committed.");
const COMMIT_SECONDS: Metric =
    Metric::histogram("isobar_commit_seconds", "Time of a transaction with results.");
const COMMIT_FAILURES: Metric = Metric::counter(
    "isobar_commit_failures_total",
    "Transactions that failed and were retried as a whole.",
);
const COMMIT_BISECTIONS: Metric = Metric::counter(
    "isobar_commit_bisections_total",
    "Transactions that were divided because the store refused a row.",
);
const BROKER_FAILURES: Metric = Metric::counter(
    "isobar_broker_failures_total",
    "Calls of the worker to the broker that failed or were refused.",
)
.with_labels(&[Label::with_values(
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
    "Reads of the worker from the store that failed; commits are counted apart.",
)
.with_labels(&[Label::with_values("step", &["prepare", "prune"])]);
const HEALS: Metric = Metric::counter(
    "isobar_stream_heals_total",
    "Times that the stream or its group was missing and was created again.",
);
const LATE_ROWS: Metric = Metric::counter(
    "isobar_late_rows_total",
    "Rows that came after their job had ended; no job accounts for them.",
);
const GIVEN_BACK: Metric = Metric::counter(
    "isobar_given_back_total",
    "Entries given back to the stream; attempt says whether that counted as one.",
)
.with_labels(&[Label::with_values("attempt", &["yes", "no"])]);
const PARKED: Metric =
    Metric::counter("isobar_parked_total", "Entries parked because their job was paused.");
const TRIALS: Metric = Metric::counter(
    "isobar_trials_total",
    "Child processes that tried entries, because workers ended while they held them.",
)
.with_labels(&[Label::with_values("end", &["finished", "crashed", "not tried"])]);
const LEASES_LOST: Metric = Metric::counter(
    "isobar_leases_lost_total",
    "Entries that another worker took over while this one held them.",
);
const PAUSES: Metric = Metric::counter(
    "isobar_pauses_total",
    "Times that reading stopped for quota, breaker, configuration or store.",
);
const PAUSED: Metric = Metric::gauge(
    "isobar_reading_paused",
    "1 for the current reason why this worker does not read.",
)
.with_labels(&[PIPELINE, Label::with_values("reason", &PauseReason::LABELS)]);
const ORPHANS: Metric = Metric::counter(
    "isobar_orphans_adopted_total",
    "Entries without an owner that were made due again.",
);
const HELD: Metric = Metric::gauge("isobar_held_entries", "Entries that this worker holds.")
    .with_labels(&[PIPELINE]);

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
    LATE_ROWS,
    GIVEN_BACK,
    PARKED,
    TRIALS,
    LEASES_LOST,
    PAUSES,
    PAUSED,
    ORPHANS,
    HELD,
];

/// The counters of a worker since its start, for heartbeats, progress and the summary.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    pub entries: AtomicU64,
    pub succeeded: AtomicU64,
    pub failed: AtomicU64,
    pub skipped: AtomicU64,
    pub dead: AtomicU64,
    /// Attempts and trials that failed and will be retried.
    pub attempts: AtomicU64,
    /// Dead letters by code, for the report of a trial.
    dead_codes: Mutex<BTreeMap<String, u64>>,
}

impl WorkerCounters {
    /// Counts committed entries; control messages do not count, rejected rows are failures.
    pub fn committed<R>(&self, settled: &[SettledEntry<R>], report: &CommitReport) {
        let mut older = report.older;
        for entry in settled {
            let (outcome, counter) = match &entry.outcome {
                EntryOutcome::Succeeded(_) if older > 0 => {
                    older -= 1;
                    ("skipped", &self.skipped)
                }
                EntryOutcome::Succeeded(_) => ("succeeded", &self.succeeded),
                EntryOutcome::Failed | EntryOutcome::Rejected => ("failed", &self.failed),
                EntryOutcome::Skipped => ("skipped", &self.skipped),
                EntryOutcome::Opened(_) | EntryOutcome::Sealed(_) => continue,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            counter!(TASKS.name, "outcome" => outcome).increment(1);
            if entry.lane == Lane::Tasks {
                self.entries.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(dead) = &entry.dead {
                self.dead.fetch_add(1, Ordering::Relaxed);
                counter!(DEAD_LETTERS.name, "code" => dead.code.clone()).increment(1);
                *self.dead_codes().entry(dead.code.clone()).or_default() += 1;
                tracing::warn!(
                    task_id = dead.task_id.map(tracing::field::display),
                    job_id = dead.job_id.map(tracing::field::display),
                    city_id = dead.city_id.map(|id| id.0),
                    attempt = dead.attempts,
                    outcome = "dead",
                    error = dead.reason,
                    "a task failed for good: {}",
                    dead.code
                );
            }
        }
    }

    pub fn report(&self) -> TrialReport {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TrialReport {
            entries: count(&self.entries),
            succeeded: count(&self.succeeded),
            failed: count(&self.failed),
            skipped: count(&self.skipped),
            dead: self.dead_codes().clone(),
        }
    }

    fn dead_codes(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.dead_codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what a trial of this worker has committed.
    pub fn tried(&self, report: &TrialReport) {
        self.entries.fetch_add(report.entries, Ordering::Relaxed);
        for (outcome, counter, count) in [
            ("succeeded", &self.succeeded, report.succeeded),
            ("failed", &self.failed, report.failed),
            ("skipped", &self.skipped, report.skipped),
        ] {
            counter.fetch_add(count, Ordering::Relaxed);
            counter!(TASKS.name, "outcome" => outcome).increment(count);
        }
        for (code, count) in &report.dead {
            self.dead.fetch_add(*count, Ordering::Relaxed);
            counter!(DEAD_LETTERS.name, "code" => code.clone()).increment(*count);
        }
    }
}

pub fn started(name: &str, pipeline: &str, capacity: usize, concurrency: usize) {
    tracing::info!(worker = name, pipeline, capacity, concurrency, "worker started");
}

pub fn ended(name: &str, tally: &WorkerCounters) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    tracing::info!(
        worker = name,
        entries = count(&tally.entries),
        succeeded = count(&tally.succeeded),
        failed = count(&tally.failed),
        skipped = count(&tally.skipped),
        dead = count(&tally.dead),
        "worker ended"
    );
}

pub fn commit(entries: usize, took: Duration, report: &CommitReport) {
    histogram!(COMMIT_SECONDS.name).record(took);
    counter!(COMMITS.name).increment(1);
    tracing::debug!(items = entries, took_ms = took.as_millis() as u64, "committed");
    if report.late > 0 {
        counter!(LATE_ROWS.name).increment(report.late);
        tracing::warn!(
            rows = report.late,
            "rows came after their jobs had ended; their results are stored, the jobs stay as they are"
        );
    }
    for job in &report.finished_jobs {
        tracing::info!(job_id = %job, "job finished");
    }
}

pub fn commit_failed(error: &StoreError, entries: usize) {
    counter!(COMMIT_FAILURES.name).increment(1);
    tracing::warn!(items = entries, error = error_chain(error), "a commit failed; retrying");
}

pub fn commit_bisected(error: &StoreError, entries: usize) {
    counter!(COMMIT_BISECTIONS.name).increment(1);
    tracing::warn!(
        items = entries,
        error = error_chain(error),
        "the store refuses a row; bisecting"
    );
}

pub fn broker_error(step: &'static str, error: &BrokerError) {
    counter!(BROKER_FAILURES.name, "step" => step).increment(1);
    tracing::warn!(step, error = error_chain(error), "the broker failed; retrying");
}

pub fn store_error(step: &'static str, error: &StoreError) {
    counter!(STORE_FAILURES.name, "step" => step).increment(1);
    tracing::warn!(step, error = error_chain(error), "the store failed; retrying");
}

/// `is_first`: this worker has not used the stream before, so the stream may be new.
pub fn healed(epoch: &str, is_first: bool) {
    if is_first {
        tracing::info!(epoch, "created the stream and its group");
        return;
    }
    counter!(HEALS.name).increment(1);
    tracing::warn!(
        epoch,
        "the stream or its group was missing and was created again; producers send their batches again"
    );
}

pub fn given_back(tally: &WorkerCounters, count: usize, reason: &str, attempt: bool) {
    counter!(GIVEN_BACK.name, "attempt" => if attempt { "yes" } else { "no" })
        .increment(count as u64);
    if attempt {
        tally.attempts.fetch_add(count as u64, Ordering::Relaxed);
        tracing::warn!(count, error = reason, "tasks failed; they will be retried");
    } else {
        tracing::debug!(count, reason, "gave entries back");
    }
}

/// Logged at each delivery, so that it is noticed.
pub fn unknown_kind(count: usize) {
    tracing::warn!(count, "control messages of an unknown kind are left for a newer worker");
}

pub fn parked(count: usize) {
    counter!(PARKED.name).increment(count as u64);
    tracing::debug!(count, "parked entries of paused jobs");
}

pub fn trial_started(entry: &Entry) {
    tracing::info!(
        entry = %entry.id,
        deliveries = entry.deliveries,
        crashes = entry.crashes,
        "workers ended while they held this entry; a child process tries it alone"
    );
}

pub fn group_started(group: &[Entry]) {
    tracing::info!(
        count = group.len(),
        "workers ended while they held these entries; a child process tries them together"
    );
}

pub fn group_ended(tally: &WorkerCounters, group: &[Entry], end: &TrialEnd) {
    let count = group.len();
    let label = match end {
        TrialEnd::Finished(report) => {
            tally.tried(report);
            tracing::info!(count, "the trial ended; the entries are settled or given back");
            "finished"
        }
        TrialEnd::NotTried(reason) => {
            tracing::warn!(count, reason, "the trial did not take place; it will be repeated");
            "not tried"
        }
        TrialEnd::Crashed(how) => {
            tracing::warn!(
                count,
                error = how,
                "one of these entries ended the process; each half is tried apart"
            );
            "crashed"
        }
    };
    counter!(TRIALS.name, "end" => label).increment(1);
}

pub fn trial_ended(tally: &WorkerCounters, entry: &Entry, end: &TrialEnd) {
    let id = entry.id;
    let label = match end {
        TrialEnd::Finished(report) => {
            tally.tried(report);
            tracing::info!(entry = %id, "the trial ended; the entry is settled or given back");
            "finished"
        }
        TrialEnd::NotTried(reason) => {
            tracing::warn!(entry = %id, reason, "the trial did not take place; it will be repeated");
            "not tried"
        }
        TrialEnd::Crashed(how) => {
            tally.attempts.fetch_add(1, Ordering::Relaxed);
            let crashes = entry.crashes + 1;
            tracing::warn!(entry = %id, crashes, error = how, "the entry ended the process that tried it");
            "crashed"
        }
    };
    counter!(TRIALS.name, "end" => label).increment(1);
}

pub fn leases_lost(count: usize) {
    counter!(LEASES_LOST.name).increment(count as u64);
    tracing::warn!(count, "another worker took entries over; their results are dropped");
}

pub fn gate_closed(reason: &str, until: chrono::DateTime<chrono::Utc>) {
    counter!(PAUSES.name).increment(1);
    tracing::warn!(until = until.to_rfc3339(), "not reading: {reason}");
}

pub fn adopted(count: u64) {
    counter!(ORPHANS.name).increment(count);
    tracing::warn!(count, "found entries without an owner");
}

pub fn holding(pipeline: PipelineName, entries: usize) {
    gauge!(HELD.name, "pipeline" => pipeline.as_str()).set(entries as f64);
}

pub fn paused(pipeline: PipelineName, reason: Option<&PauseReason>) {
    let current = reason.map(PauseReason::label);
    for label in PauseReason::LABELS {
        gauge!(PAUSED.name, "pipeline" => pipeline.as_str(), "reason" => label)
            .set(bool_value(current == Some(label)));
    }
}
