//! `/metrics`: Prometheus' text.
//!
//! What this process counted is there already; what only the broker knows (the stream's depth) is
//! asked at the scrape, with a short limit, so that a broker that is away costs a scrape two gauges
//! and never its answer. No city or job id ever is a label.

use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use tokio::time::timeout;

use crate::state::Shared;

/// Prometheus gives up after ten seconds.
const DEPTH_LIMIT: Duration = Duration::from_secs(2);

/// Counters for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain",
               description = "in the text format of version 0.0.4")),
)]
pub async fn show(State(app): State<Shared>) -> impl IntoResponse {
    let depth = app.broker.depth(&app.topic, app.settings.claim_idle.0);
    if let Ok(Ok(depth)) = timeout(DEPTH_LIMIT, depth).await {
        metrics::gauge!("isobar_stream_unfinished_tasks").set(depth.tasks as f64);
        metrics::gauge!("isobar_stream_undelivered_entries").set(depth.undelivered as f64);
        metrics::gauge!("isobar_stream_pending_entries").set(depth.pending as f64);
        metrics::gauge!("isobar_stream_oldest_pending_seconds")
            .set(depth.oldest_pending_ms as f64 / 1000.0);
    }
    let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, app.metrics.render())
}

/// What it says under `/metrics` about the gauges of this file.
pub fn describe() {
    metrics::describe_gauge!(
        "isobar_stream_unfinished_tasks",
        "Tasks in the stream, delivered or not."
    );
    metrics::describe_gauge!(
        "isobar_stream_undelivered_entries",
        "Entries that no worker has had."
    );
    metrics::describe_gauge!(
        "isobar_stream_pending_entries",
        "Entries that a worker holds or gave back."
    );
    metrics::describe_gauge!(
        "isobar_stream_oldest_pending_seconds",
        metrics::Unit::Seconds,
        "Age of the oldest pending entry."
    );
}
