//! Gauges of the producer's last run, and of the outboxes.
//!
//! A cron job has exited before Prometheus scrapes it, so the API reports the outcome that the run has
//! recorded in the broker.

use isobar_producer::RunReport;
use isobar_producer::last_run::{LastRun, RunOutcome, last_done, last_run};
use isobar_producer::outbox::OutboxDepth;
use isobar_telemetry::exposition::Exposition;
use isobar_telemetry::metric::{Label, Metric};
use serde_json::Value;

const LAST_RUN: Metric = Metric::gauge(
    "isobar_producer_last_run_timestamp_seconds",
    "When the last run of a producer ended, with any outcome.",
);
const LAST_SUCCESS: Metric = Metric::gauge(
    "isobar_producer_last_success_timestamp_seconds",
    "When the last run of a producer ended with nothing unsent.",
);
const OUTCOME: Metric = Metric::gauge(
    "isobar_producer_last_run_outcome",
    "1 for the outcome of the last run of a producer.",
)
.with_labels(&[Label::with_values("outcome", &RunOutcome::NAMES)]);
const DURATION: Metric =
    Metric::gauge("isobar_producer_last_run_duration_seconds", "Duration of the last run.");
const ROWS: Metric =
    Metric::gauge("isobar_producer_last_run_rows", "Rows in the source of the last run.");
const TASKS: Metric = Metric::gauge("isobar_producer_last_run_tasks", "Tasks of the last run.");
const REJECTED: Metric =
    Metric::gauge("isobar_producer_last_run_rejected_rows", "Rejected rows of the last run.");
const UNSENT: Metric = Metric::gauge(
    "isobar_outbox_unsent_tasks",
    "Tasks in an outbox that are not in the stream; of a producer: after its last run.",
)
.with_labels(&[OUTBOX]);
const UNCONFIRMED: Metric = Metric::gauge(
    "isobar_outbox_unconfirmed_batches",
    "Batches in an outbox that are not confirmed.",
)
.with_labels(&[OUTBOX]);
const CONFLICTS: Metric = Metric::gauge(
    "isobar_outbox_conflicted_jobs",
    "Jobs in an outbox whose entry ids hold other data in the stream.",
)
.with_labels(&[OUTBOX]);
const OUTBOX: Label = Label::with_values("outbox", &["imports", "producer"]);

pub const METRICS: &[Metric] = &[
    LAST_RUN,
    LAST_SUCCESS,
    OUTCOME,
    DURATION,
    ROWS,
    TASKS,
    REJECTED,
    UNSENT,
    UNCONFIRMED,
    CONFLICTS,
];

/// `imports` is the outbox of this process. `heartbeats` is `None` while the broker is down.
pub fn add_to(
    heartbeats: Option<&[(String, Value)]>,
    imports: Option<OutboxDepth>,
    page: &mut Exposition,
) {
    let last = heartbeats.and_then(last_run);
    if let Some(last) = &last {
        add_run(last, page);
    }
    if let Some(done) = heartbeats.and_then(last_done) {
        page.add(&LAST_SUCCESS, done.timestamp() as f64);
    }
    let outboxes = [("imports", imports), ("producer", last.and_then(|last| last.outbox))];
    let each = |number: fn(&OutboxDepth) -> u64| {
        let known = outboxes.iter().filter_map(|(name, depth)| Some((*name, depth.as_ref()?)));
        known.map(move |(name, depth)| ([name], number(depth) as f64))
    };
    page.add_series(&UNSENT, each(|depth| depth.unsent_tasks));
    page.add_series(&UNCONFIRMED, each(|depth| depth.unconfirmed_batches));
    page.add_series(&CONFLICTS, each(|depth| depth.conflicts));
}

fn add_run(last: &LastRun, page: &mut Exposition) {
    page.add(&LAST_RUN, last.at.timestamp() as f64);
    page.add_state(&OUTCOME, &RunOutcome::NAMES, last.outcome.as_str());
    if let Some(RunReport { elapsed_ms, rows, tasks, rejected, .. }) = last.report {
        page.add(&DURATION, elapsed_ms as f64 / 1000.0);
        page.add(&ROWS, rows as f64);
        page.add(&TASKS, tasks as f64);
        page.add(&REJECTED, rejected as f64);
    }
}
