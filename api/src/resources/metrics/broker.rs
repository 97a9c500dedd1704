//! What only the broker knows: the backlog, who works on it, what the fleet used of its quotas.

use isobar_broker::Depth;
use isobar_telemetry::exposition::{Page, one_if};
use isobar_telemetry::metric::Metric;
use isobar_upstream::Quotas;
use serde_json::Value;

use super::answered;
use crate::heartbeats;
use crate::state::App;

const UP: Metric = Metric::gauge("isobar_broker_up", "1 if the broker answered this scrape.");
const UNFINISHED: Metric =
    Metric::gauge("isobar_stream_unfinished_tasks", "Tasks in the stream, delivered or not.");
const UNDELIVERED: Metric =
    Metric::gauge("isobar_stream_undelivered_entries", "Entries that no worker has had.");
const PENDING: Metric =
    Metric::gauge("isobar_stream_pending_entries", "Entries that a worker holds or gave back.");
const OLDEST_PENDING: Metric = Metric::gauge(
    "isobar_stream_oldest_pending_seconds",
    "Age of the oldest entry that a worker holds or gave back; 0 if there is none.",
);
const WORKERS: Metric =
    Metric::gauge("isobar_workers", "Workers that gave a sign of life in the last seconds.");
const WORKERS_PAUSED: Metric =
    Metric::gauge("isobar_workers_paused", "Workers among them that read nothing at the moment.");

pub const METRICS: &[Metric] =
    &[UP, UNFINISHED, UNDELIVERED, PENDING, OLDEST_PENDING, WORKERS, WORKERS_PAUSED];

/// What the broker said; nothing of what it did not say in time.
pub struct Said<'a> {
    depth: Option<Depth>,
    pub heartbeats: Option<Vec<(String, Value)>>,
    quotas: Option<Quotas<'a>>,
}

pub async fn ask(app: &App) -> Said<'_> {
    let (depth, heartbeats, quotas) = tokio::join!(
        answered(app.broker.depth(&app.topic, app.settings.claim_idle.0)),
        answered(app.broker.heartbeats()),
        answered(app.upstream.quotas()),
    );
    Said { depth, heartbeats, quotas }
}

impl Said<'_> {
    pub fn put(&self, page: &mut Page) {
        page.put(&UP, one_if(self.depth.is_some()));
        if let Some(depth) = &self.depth {
            page.put(&UNFINISHED, depth.tasks as f64);
            page.put(&UNDELIVERED, depth.undelivered as f64);
            page.put(&PENDING, depth.pending as f64);
            page.put(&OLDEST_PENDING, depth.oldest_pending_ms as f64 / 1000.0);
        }
        if let Some(heartbeats) = &self.heartbeats {
            let (alive, paused) = heartbeats::workers(heartbeats);
            page.put(&WORKERS, alive as f64);
            page.put(&WORKERS_PAUSED, paused as f64);
        }
        if let Some(quotas) = &self.quotas {
            quotas.put(page);
        }
    }
}
