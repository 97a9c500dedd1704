//! The metrics of the process, registered once with their descriptions.
//!
//! Guarantees: every process knows the metrics of all roles, so a counter is exported as zero
//! before it is first incremented.

use isobar_telemetry::metric;
use metrics_exporter_prometheus::PrometheusHandle;

pub fn start() -> anyhow::Result<PrometheusHandle> {
    let recorder = isobar_telemetry::install_recorder()?;
    let all = [
        isobar_telemetry::METRICS,
        &[isobar_upstream::METRICS],
        isobar_producer::METRICS,
        isobar_consumer::METRICS,
        isobar_api::METRICS,
    ];
    metric::describe(all.into_iter().flatten().copied().flatten());
    Ok(recorder)
}
