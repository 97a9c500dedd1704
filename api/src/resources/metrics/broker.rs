//! Gauges from the broker: the backlog, the workers, and the quota that all processes have used.
//!
//! Guarantees: a value that the broker does not return in time is absent, not stale.

use isobar_admin::heartbeats;
use isobar_broker::Depth;
use isobar_telemetry::exposition::{Exposition, bool_value};
use isobar_telemetry::metric::Metric;
use isobar_upstream::Quotas;
use serde_json::Value;

use super::within_limit::within_limit;
use crate::state::AppState;

const UP: Metric = Metric::gauge("isobar_broker_up", "1 if the broker answered this scrape.");
const UNFINISHED: Metric =
    Metric::gauge("isobar_stream_unfinished_tasks", "Tasks in the stream, delivered or not.");
const UNDELIVERED: Metric =
    Metric::gauge("isobar_stream_undelivered_entries", "Entries not yet delivered to a worker.");
const PENDING: Metric =
    Metric::gauge("isobar_stream_pending_entries", "Entries that a worker holds or gave back.");
const OLDEST_PENDING: Metric = Metric::gauge(
    "isobar_stream_oldest_pending_seconds",
    "Age of the oldest entry that a worker holds or gave back; 0 if there is none.",
);
const WORKERS: Metric = Metric::gauge("isobar_workers", "Workers with a recent heartbeat.");
const WORKERS_PAUSED: Metric =
    Metric::gauge("isobar_workers_paused", "Workers that are paused at the moment.");

pub const METRICS: &[Metric] =
    &[UP, UNFINISHED, UNDELIVERED, PENDING, OLDEST_PENDING, WORKERS, WORKERS_PAUSED];

/// What the broker answered within the limit.
pub struct BrokerAnswers<'a> {
    depth: Option<Depth>,
    pub heartbeats: Option<Vec<(String, Value)>>,
    quotas: Option<Quotas<'a>>,
}

pub async fn fetch(app: &AppState) -> BrokerAnswers<'_> {
    let (depth, heartbeats, quotas) = tokio::join!(
        within_limit(app.broker.depth(&app.topic, app.settings.claim_idle.0)),
        within_limit(app.broker.heartbeats()),
        within_limit(app.upstream.quotas()),
    );
    BrokerAnswers { depth, heartbeats, quotas }
}

impl BrokerAnswers<'_> {
    pub fn add_to(&self, page: &mut Exposition) {
        page.add(&UP, bool_value(self.depth.is_some()));
        if let Some(depth) = &self.depth {
            page.add(&UNFINISHED, depth.tasks as f64);
            page.add(&UNDELIVERED, depth.undelivered as f64);
            page.add(&PENDING, depth.pending as f64);
            page.add(&OLDEST_PENDING, depth.oldest_pending_ms as f64 / 1000.0);
        }
        if let Some(heartbeats) = &self.heartbeats {
            let (alive, paused) = heartbeats::workers(heartbeats);
            page.add(&WORKERS, alive as f64);
            page.add(&WORKERS_PAUSED, paused as f64);
        }
        if let Some(quotas) = &self.quotas {
            quotas.put(page);
        }
    }
}
