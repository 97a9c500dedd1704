//! Opens everything that a role needs: settings, broker, store, upstream client and counters.
//!
//! Guarantees: a role starts while the broker or an upstream is down, because both are dialled
//! again when needed. It waits ten seconds for a store that is down, because containers start in
//! any order.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use isobar_broker::{Broker, BrokerError, Depth, Topic};
use isobar_consumer::{TrialCommand, WorkerParts, Workers};
use isobar_model::pipeline::PipelineName;
use isobar_producer::{ImportError, Imports};
use isobar_settings::Settings;
use isobar_settings::values::DatabaseUrl;
use isobar_store::{Store, StoreError};
use isobar_upstream::WeatherClient;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::exit::{Exit, ExitError};
use crate::recorder;

/// Attempts to open a store that is down, and the pause between them.
const STORE_TRIES: u32 = 10;
const STORE_PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Context {
    pub settings: Arc<Settings>,
    pub broker: Broker,
    pub store: Store,
    /// Which store this is; see [`Store::identity`].
    pub store_name: String,
    pub upstream: WeatherClient,
    pub metrics: PrometheusHandle,
}

impl Context {
    /// Opens everything and upgrades the schema of the store.
    pub async fn open(settings: Arc<Settings>) -> anyhow::Result<Self> {
        create_data_dir(&settings)?;
        let metrics = recorder::start()?;
        let broker = Broker::open(&settings)?;
        let (store, store_name) = open_store(&settings).await?;
        let upstream = WeatherClient::new(Arc::clone(&settings), broker.clone())?;
        Ok(Self { settings, broker, store, store_name, upstream, metrics })
    }

    /// For commands that only look: refused where there is nothing to look at, so that they create
    /// no files there.
    pub async fn open_existing(settings: Arc<Settings>) -> anyhow::Result<Self> {
        require_installation(&settings)?;
        Self::open(settings).await
    }

    /// For roles that run for long: fails if Redis is a server that cannot take tasks, or refuses us
    /// the keys that a role needs. Exit code 78
    /// if a person must change `REDIS_URL`. A replica may become the primary in a failover, so that
    /// is 75: the supervisor starts the role again.
    pub async fn check_broker(&self) -> anyhow::Result<()> {
        self.broker.check_rights().await?;
        refuse_wrong_server(&self.broker)
            .await?
            .map_or(Ok(()), |message| Err(ExitError { exit: Exit::TryAgain, message }.into()))
    }

    /// Fails if the streams belong to another store. A broker that is down does not say;
    /// workers ask again when they reach it.
    pub async fn check_store(&self) -> Result<(), BrokerError> {
        for stream in PipelineName::streams() {
            let topic = Topic::of(stream, &self.settings);
            let claimed = self.broker.claim_store(&topic, &self.store_name).await;
            if let Err(error @ BrokerError::Refused { .. }) = claimed {
                return Err(error);
            }
        }
        Ok(())
    }

    pub fn topic(&self) -> Topic {
        Topic::of(PipelineName::Weather, &self.settings)
    }

    /// A worker for each of `streams`.
    pub fn workers(
        &self,
        streams: impl IntoIterator<Item = PipelineName>,
        name: &str,
        trial: &TrialCommand,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Workers> {
        let parts = WorkerParts { trial: trial.clone(), ..self.worker_parts() };
        Workers::open(streams, &parts, name, shutdown).context("cannot open the key of cards")
    }

    /// What every worker needs; it starts no trials.
    pub fn worker_parts(&self) -> WorkerParts {
        WorkerParts {
            settings: Arc::clone(&self.settings),
            broker: self.broker.clone(),
            store: self.store.clone(),
            store_name: self.store_name.clone(),
            upstream: self.upstream.clone(),
            trial: TrialCommand::default(),
        }
    }

    /// The import outbox, which the API opens as well.
    pub fn imports(&self) -> Result<Imports, ImportError> {
        Imports::open(Arc::clone(&self.settings), self.broker.clone(), self.store.clone())
    }

    pub async fn depth(&self) -> Result<Depth, BrokerError> {
        self.broker.depth(&self.topic(), self.settings.claim_idle.0).await
    }
}

/// An error (exit 78) for a Redis that never takes tasks: a sentinel, a node of a cluster. Returns
/// what is wrong with a replica, which may take them later.
pub async fn refuse_wrong_server(broker: &Broker) -> anyhow::Result<Option<String>> {
    let Some(role) = broker.role().await else { return Ok(None) };
    match role.obstacle(&broker.location()) {
        Some(obstacle) if !role.may_become_primary() => Err(ExitError::config(obstacle)),
        obstacle => Ok(obstacle),
    }
}

/// An error (exit 78) if neither a database, nor an embedded broker, nor an outbox is there.
pub fn require_installation(settings: &Settings) -> anyhow::Result<()> {
    let is_there = match settings.database() {
        DatabaseUrl::Postgres(_) => true,
        DatabaseUrl::Sqlite(path) => path.exists(),
    };
    let mut files = settings.outboxes();
    files.push(settings.data_file(isobar_broker::EMBEDDED_FILE));
    if is_there || files.iter().any(|file| file.exists()) {
        return Ok(());
    }
    Err(ExitError::config(format!(
        "no installation found in {}: set ISOBAR_DATA_DIR or DATABASE_URL, or start one with `isobar up`",
        settings.data_dir
    )))
}

pub fn create_data_dir(settings: &Settings) -> anyhow::Result<()> {
    isobar_sqlite::private::create_folder(&settings.data_dir.0)
        .with_context(|| format!("cannot create the data dir {}", settings.data_dir))
}

/// Opens the store, and asks which one it is. Waits some time for a database that does not answer.
pub async fn open_store(settings: &Settings) -> Result<(Store, String), StoreError> {
    let mut tries = 1;
    loop {
        let opened = async {
            let store = Store::open(settings).await?;
            let name = store.identity().await?;
            Ok::<_, StoreError>((store, name))
        };
        match opened.await {
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
