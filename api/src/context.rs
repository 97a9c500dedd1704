//! The context of a server: what its caller has opened, and the state that is made from it.
//!
//! Does not: open or close anything itself.
//! Next: [`crate::state`] (what handlers share).

use std::net::SocketAddr;
use std::sync::Arc;

use isobar_admin::job_rates::JobRates;
use isobar_broker::{Broker, Topic};
use isobar_producer::Imports;
use isobar_settings::Settings;
use isobar_store::Store;
use isobar_upstream::WeatherClient;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::dashboard::refresh;
use crate::http::access::Access;
use crate::http::limits::ServerLimits;
use crate::http::rate_limit::RateLimiter;
use crate::openapi;
use crate::router;
use crate::state::history_writer::{History, HistoryWriter};
use crate::state::job_watches::JobWatches;
use crate::state::scans::Scans;
use crate::state::viewers::Viewers;
use crate::state::{AppState, Phase, SharedState};
use crate::weather::WeatherLookup;

/// What a server is made of. The caller has opened it and keeps its own clones.
pub struct Parts {
    pub settings: Arc<Settings>,
    pub broker: Broker,
    pub store: Store,
    pub upstream: WeatherClient,
    pub imports: Imports,
    pub metrics: PrometheusHandle,
    pub limits: ServerLimits,
}

impl Parts {
    /// The state of a server that listens on `listen`, and the writer that the server must run.
    pub(crate) fn into_state(self, listen: SocketAddr) -> (SharedState, HistoryWriter) {
        let Self { settings, broker, store, upstream, imports, metrics, limits } = self;
        let tasks = TaskTracker::new();
        let (history, writer) = History::new(store.clone());
        let state = AppState {
            topic: Topic::new(&settings.stream, &settings.group),
            access: Access::new(&settings, listen),
            rate_limiter: RateLimiter::new(settings.rate_limit_at(listen.ip())),
            weather: WeatherLookup::new(&settings, &broker, &store, &upstream, &tasks),
            viewers: Viewers::new(refresh::empty(&settings, &store, &broker)),
            permits: Semaphore::new(limits.requests),
            listeners: Arc::new(Semaphore::new(limits.listeners)),
            streams: Arc::new(Semaphore::new(limits.streams)),
            openapi: openapi::text(&router::table()).into(),
            history,
            tasks,
            scans: Scans::default(),
            job_rates: JobRates::default(),
            watches: JobWatches::default(),
            phase: Phase::default(),
            settings,
            broker,
            store,
            upstream,
            imports,
            metrics,
            limits,
        };
        (Arc::new(state), writer)
    }
}
