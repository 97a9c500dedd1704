//! What a producer left behind: a cron job is gone before a scrape comes, so the API tells of its
//! last run, from the word that it left in the broker, and of what the outboxes hold.

use isobar_producer::Report;
use isobar_producer::last_run::{LastRun, Outcome, last_done, last_run};
use isobar_producer::outbox::OutboxDepth;
use isobar_telemetry::exposition::Page;
use isobar_telemetry::metric::{Label, Metric};
use serde_json::Value;

const LAST_RUN: Metric = Metric::gauge(
    "isobar_producer_last_run_timestamp_seconds",
    "When the last run of a producer ended, well or not.",
);
const LAST_SUCCESS: Metric = Metric::gauge(
    "isobar_producer_last_success_timestamp_seconds",
    "When the last run of a producer ended with nothing unsent.",
);
const OUTCOME: Metric = Metric::gauge(
    "isobar_producer_last_run_outcome",
    "1 for how the last run of a producer ended.",
)
.by(&[Label::of("outcome", &Outcome::NAMES)]);
const DURATION: Metric =
    Metric::gauge("isobar_producer_last_run_duration_seconds", "Time of the last run.");
const ROWS: Metric =
    Metric::gauge("isobar_producer_last_run_rows", "Rows that the last run's source had.");
const TASKS: Metric = Metric::gauge("isobar_producer_last_run_tasks", "Tasks of the last run.");
const REJECTED: Metric = Metric::gauge(
    "isobar_producer_last_run_rejected_rows",
    "Rows of the last run that could not be used.",
);
const UNSENT: Metric = Metric::gauge(
    "isobar_outbox_unsent_tasks",
    "Tasks that are in an outbox and not in the stream; a producer's as its last run left it.",
)
.by(&[OUTBOX]);
const UNCONFIRMED: Metric = Metric::gauge(
    "isobar_outbox_unconfirmed_batches",
    "Batches in an outbox that are not known to be finished.",
)
.by(&[OUTBOX]);
const CONFLICTS: Metric = Metric::gauge(
    "isobar_outbox_conflicted_jobs",
    "Jobs in an outbox under whose numbers the stream holds something else.",
)
.by(&[OUTBOX]);
const OUTBOX: Label = Label::of("outbox", &["imports", "producer"]);

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

/// `imports` is the outbox of this process; what the roles say is none if the broker is away.
pub fn put(heartbeats: Option<&[(String, Value)]>, imports: Option<OutboxDepth>, page: &mut Page) {
    let last = heartbeats.and_then(last_run);
    if let Some(last) = &last {
        put_run(last, page);
    }
    if let Some(done) = heartbeats.and_then(last_done) {
        page.put(&LAST_SUCCESS, done.timestamp() as f64);
    }
    let outboxes = [("imports", imports), ("producer", last.and_then(|last| last.outbox))];
    let each = |number: fn(&OutboxDepth) -> u64| {
        let told = outboxes.iter().filter_map(|(name, depth)| Some((*name, depth.as_ref()?)));
        told.map(move |(name, depth)| ([name], number(depth) as f64))
    };
    page.put_each(&UNSENT, each(|depth| depth.unsent_tasks));
    page.put_each(&UNCONFIRMED, each(|depth| depth.unconfirmed_batches));
    page.put_each(&CONFLICTS, each(|depth| depth.conflicts));
}

fn put_run(last: &LastRun, page: &mut Page) {
    page.put(&LAST_RUN, last.at.timestamp() as f64);
    page.put_state(&OUTCOME, &Outcome::NAMES, last.outcome.as_str());
    if let Some(Report { elapsed_ms, rows, tasks, rejected, .. }) = last.report {
        page.put(&DURATION, elapsed_ms as f64 / 1000.0);
        page.put(&ROWS, rows as f64);
        page.put(&TASKS, tasks as f64);
        page.put(&REJECTED, rejected as f64);
    }
}
