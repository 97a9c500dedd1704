//! The outbox: a SQLite file that holds every job until its last batch is confirmed.
//!
//! Guarantees: a batch, the source cursor behind it and the keys it has seen commit in one
//! transaction that survives a power cut (I1, `synchronous=FULL`); a batch never changes (I2).
//! That a batch was sent is remembered in memory and rides in the next transaction, whichever that
//! is: losing it costs one repeated append, which the stream answers with "was there already".
//!
//! Deliberately absent: the stream (see [`relay`](crate::relay)) and rows (see
//! [`extract`](crate::extract)). Next: [`jobs`], [`republications`], [`batches`],
//! [`seen_keys`], [`lock`], [`summary`].

mod batches;
mod failures;
mod jobs;
mod lock;
mod republications;
mod seen_keys;
mod summary;

use isobar_model::pipeline::PipelineName;
use isobar_sqlite::{Db, Durability, SqliteError};
use rusqlite::{Connection, Transaction};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

pub use batches::{BatchIds, Frozen, Mark, Published, SentBatch, StoredBatch};
pub use jobs::{Job, JobKey, JobState, NewJob, OpenJob};
pub use lock::{LockError, OutboxLock};
pub use republications::{NewRepublication, Place, Position, Republication, Wanted};
pub use seen_keys::Seen;
pub use summary::{JobSummary, OutboxDepth};

const MIGRATIONS: &[&str] = &[include_str!("schema.sql")];

/// Cheap to clone; the clones share the file and what waits to be marked as sent.
#[derive(Clone, Debug)]
pub struct Outbox {
    db: Db,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    marks: Mutex<Vec<Mark>>,
    /// One for each stream's relay.
    changed: [Notify; PipelineName::ALL.len()],
}

impl Outbox {
    /// Opens or creates the file, and its folder. Blocks briefly; call it at start.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
        }
        Ok(Self { db: Db::open(path, Durability::Full, MIGRATIONS)?, shared: Arc::default() })
    }

    pub fn path(&self) -> &Path {
        self.db.path()
    }

    /// Wakes the relays: there may be a batch to send.
    pub fn announce(&self) {
        for changed in &self.shared.changed {
            changed.notify_one();
        }
    }

    /// Waits for the next [`announce`](Self::announce), or returns at once if one was missed.
    pub async fn changed(&self, pipeline: PipelineName) {
        self.shared.changed[pipeline.stream() as usize].notified().await;
    }

    /// One write transaction, with the marks that wait.
    async fn write<T, F>(&self, work: F) -> Result<T, SqliteError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        let marks = std::mem::take(&mut *self.marks());
        let pending = marks.len();
        let written = marks.clone();
        if pending > 0 {
            isobar_failpoint::hit("producer.mark.before");
        }
        let result = self
            .db
            .write(move |tx| {
                batches::mark_sent(tx, &written)?;
                work(tx)
            })
            .await;
        match &result {
            Ok(_) if pending > 0 => isobar_failpoint::hit("producer.mark.after"),
            Ok(_) => {}
            Err(_) => self.marks().splice(..0, marks).for_each(drop),
        }
        result
    }

    async fn read<T, F>(&self, work: F) -> Result<T, SqliteError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.db.read(work).await
    }

    fn marks(&self) -> std::sync::MutexGuard<'_, Vec<Mark>> {
        self.shared.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot create the folder {}", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error(transparent)]
    Db(#[from] SqliteError),
}
