//! `/metrics`: Prometheus' text.
//!
//! What this process counted is there already; what is shared by all (stream, quota, dead letters,
//! the producer's last run) is asked for at the scrape, each with a short limit. A part that does
//! not answer costs the scrape its own gauges and never the answer: they are absent then, rather
//! than at their last value, and `isobar_broker_up` or `isobar_store_up` says why. No city or job
//! id ever is a label.
//!
//! Next: [`broker`], [`store`], [`producer`] (one kind of gauges each).

mod broker;
mod producer;
mod store;

use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use isobar_telemetry::exposition::{Page, TEXT};
use isobar_telemetry::metric::Metric;
use isobar_telemetry::process;
use tokio::time::timeout;

use crate::state::Shared;

/// Prometheus gives up after ten seconds.
const ASK_LIMIT: Duration = Duration::from_secs(2);

const IN_FLIGHT: Metric =
    Metric::gauge("isobar_http_requests_in_flight", "Requests that are in a handler.");

pub const METRICS: &[Metric] = &[IN_FLIGHT];
/// What is asked for.
pub const ASKED: [&[Metric]; 3] = [broker::METRICS, producer::METRICS, store::METRICS];

/// Counters for Prometheus
#[utoipa::path(
    get,
    path = "/metrics",
    responses((status = 200, body = String, content_type = "text/plain",
               description = "in the text format of version 0.0.4")),
)]
pub async fn show(State(app): State<Shared>) -> impl IntoResponse {
    let (broker, store, imports) =
        tokio::join!(broker::ask(&app), store::ask(&app), answered(app.imports.outbox().depth()),);
    let mut page = Page::default();
    process::put(&mut page);
    page.put(&IN_FLIGHT, (app.limits.requests - app.permits.available_permits()) as f64);
    app.upstream.put(&mut page);
    broker.put(&mut page);
    store.put(&mut page);
    producer::put(broker.heartbeats.as_deref(), imports, &mut page);
    ([(CONTENT_TYPE, TEXT)], page.with_counted(&app.metrics))
}

/// What a part says within the limit; why it said nothing is told elsewhere.
async fn answered<T, E>(asked: impl Future<Output = Result<T, E>>) -> Option<T> {
    timeout(ASK_LIMIT, asked).await.ok()?.ok()
}
