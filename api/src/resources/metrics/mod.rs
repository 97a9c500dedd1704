//! `GET /metrics`: Prometheus text.
//!
//! This process's own counters are in memory. Values that all processes share (stream, quota, dead
//! letters, the producer's last run) are read at the scrape, each with a short limit.
//!
//! Guarantees: a component that does not answer costs only its own gauges. They are absent then, not
//! stale, and `isobar_broker_up` or `isobar_store_up` shows why. No label is a city or job id.
//! Next: [`broker`], [`store`], [`producer`] (one group of gauges each).

mod broker;
mod producer;
mod store;
mod within_limit;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use isobar_telemetry::exposition::{self, Exposition};
use isobar_telemetry::metric::Metric;
use isobar_telemetry::process;

use crate::state::SharedState;
use within_limit::within_limit;

const IN_FLIGHT: Metric = Metric::gauge("isobar_http_requests_in_flight", "Requests in handlers.");

pub const METRICS: &[Metric] = &[IN_FLIGHT];
/// Gauges that are read at scrape time.
pub const SCRAPED: [&[Metric]; 3] = [broker::METRICS, producer::METRICS, store::METRICS];

/// Metrics
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain",
               description = "Prometheus text format 0.0.4")),
)]
pub async fn show(State(app): State<SharedState>) -> impl IntoResponse {
    let (broker, store, imports) = tokio::join!(
        broker::fetch(&app),
        store::fetch(&app),
        within_limit(app.imports.outbox().depth()),
    );
    let mut page = Exposition::default();
    process::add(&mut page);
    page.add(&IN_FLIGHT, (app.limits.requests - app.permits.available_permits()) as f64);
    app.upstream.put(&mut page);
    broker.add_to(&mut page);
    store.add_to(&mut page);
    producer::add_to(broker.heartbeats.as_deref(), imports, &mut page);
    ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], page.with_recorder(&app.metrics))
}
