//! The counters of the process, started once and described in full.
//!
//! Every role's metrics are known to every process, so that one that does several roles' work has
//! one list, and a counter is there at zero before it first moves.

use isobar_telemetry::metric;
use metrics_exporter_prometheus::PrometheusHandle;

pub fn start() -> anyhow::Result<PrometheusHandle> {
    let counted = isobar_telemetry::count()?;
    let all = [
        isobar_telemetry::METRICS,
        &[isobar_upstream::METRICS],
        isobar_producer::METRICS,
        isobar_consumer::METRICS,
        isobar_api::METRICS,
    ];
    metric::describe(all.into_iter().flatten().copied().flatten());
    Ok(counted)
}
