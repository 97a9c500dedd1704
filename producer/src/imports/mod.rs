//! Uploads and syncs: producer runs inside the API's process.
//!
//! An accepted upload is safe before anyone is told so: its file is spooled and its job is in the
//! outbox of imports, which is a file of its own, so that cron and API never wait for each other.
//! [`worker`](Imports::work) extracts and relays for ever; several processes may accept uploads
//! into one data dir, and the one that holds the outbox's lock works on all of them.
//!
//! Next: [`worker`] (the loop), [`republish`] (retries and replays), [`spool`](crate::spool).

mod republish;
mod worker;

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use isobar_broker::{Broker, Topic};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;
use isobar_settings::Settings;
use isobar_sqlite::SqliteError;
use isobar_store::{NewJob as NewStoredJob, Store, StoreError};
use tokio::sync::{Mutex, Notify};
use uuid::Uuid;

pub use republish::{Letters, Replay, Retry, WorkedOff};

use crate::cancel::{Cancelled, cancel};
use crate::outbox::{Job, JobKey, JobState, JobSummary, NewJob, OpenError, Outbox};
use crate::source::{JobSpec, SourceError};
use crate::spool::{Incoming, Spool, Upload};

/// Receipts asked about at a time.
const PAGE: u32 = 200;

/// Takes uploads, starts syncs, and publishes again what failed. Cheap to clone.
#[derive(Clone)]
pub struct Imports {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Arc<Settings>,
    broker: Broker,
    /// Retries and replays read it; imports do not need it.
    store: Store,
    outbox: Outbox,
    spool: Spool,
    /// There is a new job.
    wake: Notify,
    /// There is a new retry or replay.
    again: Notify,
    /// Two syncs asked for at once are one.
    sync: Mutex<()>,
    /// Imports with a key are taken one at a time.
    keyed: Mutex<()>,
}

/// A file on its way in; dropped before it is accepted, it is gone.
pub struct Arriving {
    incoming: Option<Incoming>,
}

/// What an import is, beside its file.
#[derive(Clone, Debug, Default)]
pub struct NewImport {
    /// What a person knows the file by.
    pub name: String,
    /// Fetch even where the snapshot is current.
    pub force: bool,
    /// The same key with the same content is the same job.
    pub idempotency_key: Option<String>,
}

/// A job that is safe: it will be worked on, whatever happens to this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub job_id: JobId,
    pub kind: JobKind,
    pub source: String,
    pub created_at: DateTime<Utc>,
    /// False where the job was there before.
    pub is_new: bool,
}

impl From<Accepted> for NewStoredJob {
    fn from(job: Accepted) -> Self {
        Self {
            id: job.job_id,
            kind: job.kind,
            // An upload or a sync: cities.
            pipeline: PipelineName::Weather,
            source: job.source,
            created_at: job.created_at,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("this Idempotency-Key was used for another file")]
    KeyReused,
    #[error("cannot write the spool")]
    Spool(#[source] std::io::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Outbox(#[from] SqliteError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Imports {
    /// Opens outbox and spool in the data dir; nothing is worked on until [`worker`](Self::work).
    pub fn open(
        settings: Arc<Settings>,
        broker: Broker,
        store: Store,
    ) -> Result<Self, ImportError> {
        let outbox = Outbox::open(&settings.imports_path())?;
        let folder = settings.data_file("spool");
        let spool = Spool::open(&folder).map_err(ImportError::Spool)?;
        let inner = Inner {
            settings,
            broker,
            store,
            outbox,
            spool,
            wake: Notify::new(),
            again: Notify::new(),
            sync: Mutex::new(()),
            keyed: Mutex::new(()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The outbox of imports, to look into.
    pub fn outbox(&self) -> &Outbox {
        &self.inner.outbox
    }

    pub async fn spool(&self) -> Result<Arriving, ImportError> {
        let spool = self.inner.spool.clone();
        let incoming = blocking(move || spool.create()).await?;
        Ok(Arriving { incoming: Some(incoming) })
    }

    /// Makes the file safe and its job known. The same key with the same file is the same job.
    pub async fn accept(
        &self,
        arriving: Arriving,
        import: NewImport,
    ) -> Result<Accepted, ImportError> {
        let incoming = arriving.incoming.expect("an arriving file is written by one caller");
        let slot = match &import.idempotency_key {
            Some(key) => format!("key:{key}"),
            None => Uuid::now_v7().to_string(),
        };
        let upload = incoming.upload(&import.name, &slot, import.force);
        // From the look at the key to the job that has it, nobody else may take it.
        let _one = match import.idempotency_key {
            Some(_) => Some(self.inner.keyed.lock().await),
            None => None,
        };
        if import.idempotency_key.is_some()
            && let Some(job) = self.inner.outbox.job_of_slot(&slot).await?
        {
            return if job.job_id == upload.job_id {
                Ok(accepted(&job, false))
            } else {
                Err(ImportError::KeyReused)
            };
        }
        let finished = upload.clone();
        blocking(move || incoming.finish(&finished)).await?;
        let accepted = self.adopt(upload).await?;
        self.inner.wake.notify_one();
        // The loop may have found the file first; to the caller it is new all the same.
        Ok(Accepted { is_new: true, ..accepted })
    }

    /// The sync that runs, or the one that is started now: the source of a bare `isobar produce`.
    pub async fn sync(&self) -> Result<Accepted, ImportError> {
        let _one = self.inner.sync.lock().await;
        if let Some(job) = self.inner.outbox.newest_sync().await?
            && self.is_running(job.key, (job.spec.pipeline, job.state, job.confirmed_seq)).await?
        {
            return Ok(accepted(&job, false));
        }
        let spec = JobSpec::configured(&self.inner.settings, None, false);
        let slot = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
        let new = NewJob {
            job_id: JobId::derive(&spec.identity(), &slot),
            slot,
            kind: JobKind::Sync,
            spec,
            created_at: Utc::now(),
        };
        let (job, is_new) = self.inner.outbox.open_job(new).await?;
        self.inner.wake.notify_one();
        Ok(accepted(&job, is_new))
    }

    /// Ends the extraction of a cancelled import; one that is not here is none of ours.
    pub async fn cancel(&self, job_id: JobId, who: &str) -> Result<Cancelled, SourceError> {
        let cancelled = cancel(&self.inner.outbox, job_id, who).await?;
        self.look();
        Ok(cancelled)
    }

    /// Has the relay look at once for what has changed.
    pub fn look(&self) {
        self.inner.outbox.announce();
    }

    /// How far the job's way through the outbox is; none if it never was here, or long ago.
    pub async fn summary(&self, job_id: JobId) -> Result<Option<JobSummary>, SqliteError> {
        self.inner.outbox.summary(job_id).await
    }

    /// Puts a spooled upload into the outbox, or finds it there.
    async fn adopt(&self, upload: Upload) -> Result<Accepted, ImportError> {
        let new = NewJob {
            job_id: upload.job_id,
            slot: upload.slot,
            kind: JobKind::Import,
            spec: upload.spec,
            created_at: upload.created_at,
        };
        isobar_failpoint::hit("producer.adopt.before");
        let (job, is_new) = self.inner.outbox.open_job(new).await?;
        isobar_failpoint::hit("producer.adopt.after");
        Ok(accepted(&job, is_new))
    }

    /// Whether any of its tasks is still to be extracted, sent or worked on. In doubt it is.
    async fn is_running(
        &self,
        key: JobKey,
        (pipeline, state, confirmed_seq): (PipelineName, JobState, u64),
    ) -> Result<bool, ImportError> {
        match state {
            JobState::Extracting => return Ok(true),
            JobState::Done | JobState::Conflicted => return Ok(false),
            JobState::Sealed => {}
        }
        if self.inner.outbox.unsent_batches(Some(key)).await? > 0 {
            return Ok(true);
        }
        let topic = Topic::of(pipeline, &self.inner.settings);
        let mut after = confirmed_seq;
        loop {
            let sent = self.inner.outbox.sent(key, after, PAGE).await?;
            let Some(last) = sent.last() else { return Ok(false) };
            after = last.seq;
            let receipts: Vec<_> = sent.into_iter().map(|batch| batch.receipt).collect();
            match self.inner.broker.unfinished(&topic, &receipts).await {
                Ok(unfinished) if !unfinished.contains(&true) => {}
                Ok(_) | Err(_) => return Ok(true),
            }
        }
    }
}

impl Arriving {
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let mut incoming = self.incoming.take().expect("written by one caller at a time");
        let bytes = bytes.to_vec();
        let incoming = blocking(move || incoming.write(&bytes).map(|()| incoming)).await?;
        self.incoming = Some(incoming);
        Ok(())
    }

    /// Copies a file of this host.
    pub async fn write_file(&mut self, path: &Path) -> Result<(), ImportError> {
        let mut incoming = self.incoming.take().expect("written by one caller at a time");
        let path = path.to_owned();
        let incoming =
            blocking(move || incoming.write_all_of(std::fs::File::open(path)?).map(|()| incoming))
                .await?;
        self.incoming = Some(incoming);
        Ok(())
    }
}

fn accepted(job: &Job, is_new: bool) -> Accepted {
    Accepted {
        job_id: job.job_id,
        kind: job.kind,
        source: job.source.clone(),
        created_at: job.created_at,
        is_new,
    }
}

async fn blocking<T, F>(work: F) -> Result<T, ImportError>
where
    T: Send + 'static,
    F: FnOnce() -> std::io::Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
        .map_err(ImportError::Spool)
}
