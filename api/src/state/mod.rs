//! What all handlers share: the opened context, and what this crate keeps itself.
//!
//! One [`AppState`] per server, behind an [`Arc`]; nothing in it is global, so a test may have many.
//! In it: [`scans`] (results of whole tables), [`history_writer`] (the queue of searches),
//! [`job_watches`] (listeners of jobs), [`viewers`] (open dashboards), [`map_body`].
//!
//! Next: `context.rs` (from what it is made).

pub mod history_writer;
pub mod job_watches;
pub mod map_body;
pub mod scans;
pub mod viewers;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use isobar_admin::actions::OperatorActions;
use isobar_admin::job_rates::JobRates;
use isobar_broker::{Broker, Topic};
use isobar_producer::Imports;
use isobar_settings::Settings;
use isobar_store::{DeadLetterGroup, Store, StoreError, TableCounts};
use isobar_upstream::WeatherClient;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use crate::http::access::Access;
use crate::http::actor::Actor;
use crate::http::limits::ServerLimits;
use crate::http::problem::Problem;
use crate::http::rate_limit::RateLimiter;
use crate::weather::WeatherLookup;
use history_writer::History;
use job_watches::JobWatches;
use scans::Scans;
use viewers::Viewers;

/// `Retry-After` when too many tables are streamed.
const STREAMS_PAUSE: Duration = Duration::from_secs(5);

pub type SharedState = Arc<AppState>;

pub struct AppState {
    pub settings: Arc<Settings>,
    pub broker: Broker,
    pub store: Store,
    pub upstream: WeatherClient,
    pub imports: Imports,
    pub metrics: PrometheusHandle,
    pub limits: ServerLimits,
    pub topic: Topic,
    pub access: Access,
    pub rate_limiter: RateLimiter,
    pub history: History,
    pub weather: WeatherLookup,
    pub scans: Scans,
    pub viewers: Viewers,
    /// Tasks that outlive a request: upstream fetches, discarded request bodies.
    pub tasks: TaskTracker,
    /// One for each request in a handler.
    pub permits: Semaphore,
    pub job_rates: JobRates,
    pub watches: JobWatches,
    /// One for each listener of a job.
    pub listeners: Arc<Semaphore>,
    /// One for each response that streams a whole table.
    pub streams: Arc<Semaphore>,
    /// The OpenAPI document as it is served.
    pub openapi: Bytes,
    pub phase: Phase,
}

/// Where the server is between start and shutdown.
#[derive(Debug, Default)]
pub struct Phase {
    ready: AtomicBool,
    draining: AtomicBool,
}

impl AppState {
    /// Row counts, at most a few seconds old.
    pub async fn totals(&self) -> Result<TableCounts, Arc<StoreError>> {
        self.scans.totals.get_or_load(self.store.totals()).await
    }

    /// All dead letters by code, at most a few seconds old.
    pub async fn dead_groups(&self) -> Result<Vec<DeadLetterGroup>, Arc<StoreError>> {
        self.scans.groups.get_or_load(self.store.dead_letter_groups(None)).await
    }

    /// The permit of a response that streams a whole table.
    pub fn stream_permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            let detail = "too many streamed tables at once; request pages, or try again";
            Problem::unavailable("overloaded", detail, STREAMS_PAUSE)
        })
    }

    /// What an operator does through this server.
    pub fn operator<'a>(&'a self, actor: &'a Actor) -> OperatorActions<'a> {
        OperatorActions {
            broker: &self.broker,
            store: &self.store,
            settings: &self.settings,
            actor: &actor.0,
        }
    }
}

impl Phase {
    /// Store and broker have both answered once.
    pub fn mark_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub fn was_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// From now on `/readyz` answers 503.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
