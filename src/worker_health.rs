//! The two questions a worker answers over HTTP: is it alive, and what has it counted.
//!
//! The API answers these too, and much more; a worker on a host of its own has no API.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Answers until `stop`.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let routes = Router::new()
        .route("/livez", get(async || "ok"))
        .route("/metrics", get(async move || metrics.render()));
    axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}
