//! What all handlers share: the parts that the caller brought, and what this crate keeps itself.
//!
//! One [`App`] per server, behind an [`Arc`]; nothing in it is global, so that a test may have many.

pub mod ttl_cell;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use isobar_broker::{Broker, Topic};
use isobar_producer::Imports;
use isobar_settings::Settings;
use isobar_store::{DeadGroup, Store, StoreError, Totals};
use isobar_upstream::Upstream;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::dashboard::Live;
use crate::http::access::Access;
use crate::http::limits::Limits;
use crate::http::rate_limit::Rates;
use crate::resources::bulk::events::Watches;
use crate::resources::bulk::pace::Paces;
use crate::resources::bulk::summary::{FailureItem, RefreshedCity};
use crate::resources::cities::map::Drawn;
use crate::resources::history::History;
use crate::weather::Weather;
use ttl_cell::Young;

/// What a server is made of; the caller opened all of it.
pub struct Parts {
    pub settings: Arc<Settings>,
    pub broker: Broker,
    pub store: Store,
    pub upstream: Upstream,
    pub imports: Imports,
    pub metrics: PrometheusHandle,
    pub limits: Limits,
}

/// How old counts of whole tables may be.
const TOTALS_LIFE: Duration = Duration::from_secs(5);
/// The same of dead letters by code, of which people want to see that they have gone.
const GROUPS_LIFE: Duration = Duration::from_secs(2);

pub type Shared = Arc<App>;

/// Answers that are read from whole tables, kept for all who ask meanwhile.
#[derive(Default)]
pub struct Scans {
    pub totals: Young<Totals>,
    pub groups: Young<Vec<DeadGroup>>,
    pub refreshed: Young<Vec<RefreshedCity>>,
    pub failures: Young<Vec<FailureItem>>,
    pub map: Young<Arc<Drawn>>,
}

pub struct App {
    pub settings: Arc<Settings>,
    pub broker: Broker,
    pub store: Store,
    pub upstream: Upstream,
    pub imports: Imports,
    pub metrics: PrometheusHandle,
    pub limits: Limits,
    pub topic: Topic,
    pub access: Access,
    pub rates: Rates,
    pub history: History,
    pub weather: Weather,
    /// What was read from whole tables lately.
    pub scans: Scans,
    /// What open pages are shown.
    pub live: Live,
    /// What outlives a request: upstream fetches, bodies that are heard out.
    pub tasks: TaskTracker,
    /// One for each request in a handler.
    pub permits: Semaphore,
    /// How fast jobs were lately.
    pub paces: Paces,
    /// Jobs that somebody listens to, and a place for each listener.
    pub watches: Watches,
    pub listeners: Arc<Semaphore>,
    /// One for each answer that is streamed in pages.
    pub streams: Arc<Semaphore>,
    ready: AtomicBool,
    draining: AtomicBool,
}

impl App {
    pub fn new(parts: Parts, history: History, listen: SocketAddr) -> Shared {
        let tasks = TaskTracker::new();
        let weather = Weather::new(&parts, &tasks);
        let settings = parts.settings;
        Arc::new(Self {
            topic: Topic::new(&settings.stream, &settings.group),
            access: Access::new(&settings, listen),
            rates: Rates::new(settings.rate_limit_at(listen.ip())),
            weather,
            tasks,
            history,
            scans: Scans::default(),
            live: Live::default(),
            permits: Semaphore::new(parts.limits.requests),
            paces: Paces::default(),
            watches: Watches::default(),
            listeners: Arc::new(Semaphore::new(parts.limits.listeners)),
            streams: Arc::new(Semaphore::new(parts.limits.streams)),
            ready: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            settings,
            broker: parts.broker,
            store: parts.store,
            upstream: parts.upstream,
            imports: parts.imports,
            metrics: parts.metrics,
            limits: parts.limits,
        })
    }

    /// How much there is of everything, some seconds old at most.
    pub async fn totals(&self) -> Result<Totals, StoreError> {
        self.scans.totals.get(TOTALS_LIFE, self.store.totals()).await
    }

    /// All dead letters by code, some seconds old at most.
    pub async fn dead_groups(&self) -> Result<Vec<DeadGroup>, StoreError> {
        self.scans.groups.get(GROUPS_LIFE, self.store.dead_letter_groups(None)).await
    }

    /// Store and broker have both answered once.
    pub fn now_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub fn was_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// From now on this server asks not to be sent anything more.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
