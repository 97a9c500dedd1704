//! `/livez` and `/metrics` of a worker or scheduler that runs without the API.
//!
//! Does not: export what all processes share (stream, quota). Only the API does, so that it is
//! counted once.

use std::net::SocketAddr;

use anyhow::Context;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use isobar_settings::Settings;
use isobar_telemetry::exposition::{self, Exposition};
use isobar_telemetry::process;
use isobar_upstream::WeatherClient;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::exit::ExitError;

/// Refuses an address that other hosts can reach while no key is set, as `serve` does.
pub fn check(address: SocketAddr, settings: &Settings) -> anyhow::Result<()> {
    if !address.ip().is_loopback() && settings.api_key.is_none() {
        return Err(ExitError::config(format!(
            "--listen {address} is not loopback and ISOBAR_API_KEY is unset: refusing, as `serve` does"
        )));
    }
    Ok(())
}

pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Serves until `stop`.
pub async fn serve(
    listener: TcpListener,
    recorder: PrometheusHandle,
    upstream: WeatherClient,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let routes = Router::new()
        .route("/livez", get(async || "ok"))
        .route("/metrics", get(async move || metrics(&recorder, &upstream)));
    axum::serve(listener, routes).with_graceful_shutdown(stop.cancelled_owned()).await?;
    Ok(())
}

fn metrics(recorder: &PrometheusHandle, upstream: &WeatherClient) -> impl IntoResponse + use<> {
    let mut page = Exposition::default();
    process::add(&mut page);
    upstream.put(&mut page);
    ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], page.with_recorder(recorder))
}
