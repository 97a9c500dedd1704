//! Opens everything that a role needs: settings, broker, store, upstream client and counters.
//!
//! Guarantees: a role starts while the broker or an upstream is down, because both are dialled
//! again when needed. It waits ten seconds for a store that is down, because containers start in
//! any order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use isobar_broker::{Broker, BrokerError, Depth, Topic};
use isobar_consumer::{WorkerParts, Workers};
use isobar_model::pipeline::PipelineName;
use isobar_producer::{ImportError, Imports};
use isobar_settings::Settings;
use isobar_store::{Store, StoreError};
use isobar_upstream::WeatherClient;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::recorder;

/// Attempts to open a store that is down, and the pause between them.
const STORE_TRIES: u32 = 10;
const STORE_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Context {
    pub settings: Arc<Settings>,
    pub broker: Broker,
    pub store: Store,
    pub upstream: WeatherClient,
    pub metrics: PrometheusHandle,
}

impl Context {
    /// Opens everything and upgrades the schema of the store.
    pub async fn open(settings: Arc<Settings>) -> anyhow::Result<Self> {
        create_data_dir(&settings)?;
        let metrics = recorder::start()?;
        let broker = Broker::open(&settings)?;
        let store = open_store(&settings).await?;
        let upstream = WeatherClient::new(Arc::clone(&settings), broker.clone())?;
        Ok(Self { settings, broker, store, upstream, metrics })
    }

    pub fn topic(&self) -> Topic {
        Topic::of(PipelineName::Weather, &self.settings)
    }

    /// A worker for each of `streams`.
    pub fn workers(
        &self,
        streams: impl IntoIterator<Item = PipelineName>,
        name: &str,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Workers> {
        let parts = WorkerParts {
            settings: Arc::clone(&self.settings),
            broker: self.broker.clone(),
            store: self.store.clone(),
            upstream: self.upstream.clone(),
        };
        Workers::open(streams, &parts, name, shutdown).context("cannot open the key of cards")
    }

    /// The import outbox, which the API opens as well.
    pub fn imports(&self) -> Result<Imports, ImportError> {
        Imports::open(Arc::clone(&self.settings), self.broker.clone(), self.store.clone())
    }

    pub async fn depth(&self) -> Result<Depth, BrokerError> {
        self.broker.depth(&self.topic(), self.settings.claim_idle.0).await
    }
}

pub fn create_data_dir(settings: &Settings) -> anyhow::Result<()> {
    isobar_sqlite::private::create_folder(&settings.data_dir.0)
        .with_context(|| format!("cannot create the data dir {}", settings.data_dir))
}

pub async fn open_store(settings: &Settings) -> Result<Store, StoreError> {
    let mut tries = 1;
    loop {
        match Store::open(settings).await {
            Err(error) if error.is_transient() && tries < STORE_TRIES => {
                tracing::warn!(
                    error = isobar_telemetry::error_chain(&error),
                    "the store is not answering yet"
                );
                tokio::time::sleep(STORE_PAUSE).await;
                tries += 1;
            }
            opened => return opened,
        }
    }
}
