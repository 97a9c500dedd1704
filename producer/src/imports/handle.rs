//! The handle of the imports: what uploads, syncs, republications and the worker share.
//!
//! Next: each of those files adds its own methods to [`Imports`].

use std::sync::Arc;

use isobar_broker::Broker;
use isobar_model::ids::JobId;
use isobar_settings::Settings;
use isobar_sqlite::SqliteError;
use isobar_store::Store;
use tokio::sync::{Mutex, Notify};

use super::error::ImportError;
use crate::cancel::{Cancelled, cancel};
use crate::outbox::{JobSummary, Outbox};
use crate::source::SourceError;
use crate::spool::Spool;

/// Accepts uploads, syncs, retries and replays. Cheap to clone.
#[derive(Clone)]
pub struct Imports {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub settings: Arc<Settings>,
    pub broker: Broker,
    /// For retries and replays; imports do not need it.
    pub store: Store,
    pub outbox: Outbox,
    pub spool: Spool,
    /// Wakes the worker: there is a new job.
    pub wake: Notify,
    /// Two syncs requested at once are one.
    pub sync: Mutex<()>,
    /// Imports with an idempotency key are accepted one at a time.
    pub keyed: Mutex<()>,
}

impl Imports {
    /// Opens outbox and spool in the data dir; nothing is done until [`work`](Self::work).
    pub fn open(
        settings: Arc<Settings>,
        broker: Broker,
        store: Store,
    ) -> Result<Self, ImportError> {
        let outbox = Outbox::open(&settings.imports_path())?;
        let spool = Spool::open(&settings.data_file("spool")).map_err(ImportError::Spool)?;
        let inner = Inner {
            settings,
            broker,
            store,
            outbox,
            spool,
            wake: Notify::new(),
            sync: Mutex::new(()),
            keyed: Mutex::new(()),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The outbox of imports, for reading.
    pub fn outbox(&self) -> &Outbox {
        &self.inner.outbox
    }

    /// Ends the extraction of a cancelled import, if it is in this outbox.
    pub async fn cancel(&self, job_id: JobId, who: &str) -> Result<Cancelled, SourceError> {
        let cancelled = cancel(&self.inner.outbox, job_id, who).await?;
        self.wake_relays();
        Ok(cancelled)
    }

    /// Makes the relays check at once for changes.
    pub fn wake_relays(&self) {
        self.inner.outbox.notify_relays();
    }

    /// The state of the job in the outbox; `None` if it is not there, or was pruned.
    pub async fn summary(&self, job_id: JobId) -> Result<Option<JobSummary>, SqliteError> {
        self.inner.outbox.summary(job_id).await
    }
}
