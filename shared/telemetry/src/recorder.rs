//! The recorder of this process's counters, which Prometheus scrapes under `/metrics`.

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

/// Buckets of every duration, in seconds: from a cache hit to the longest request.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Installs the recorder, once per process; the handle renders its metrics.
pub fn install_recorder() -> anyhow::Result<PrometheusHandle> {
    Ok(PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)?
        .install_recorder()?)
}

/// Keeps the recorder small until `stop`: without scrapes its histograms would grow.
pub async fn run_upkeep(recorder: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(UPKEEP_INTERVAL)).await.is_some() {
        recorder.run_upkeep();
    }
}
