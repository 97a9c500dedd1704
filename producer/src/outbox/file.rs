//! The file of an outbox: opened, read, written, and the signal that wakes the relays.
//!
//! Guarantees: [`sent marks`](super::sent_marks) that wait are written in the next transaction,
//! whichever that is.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use isobar_model::pipeline::PipelineName;
use isobar_sqlite::{Db, Durability, SqliteError, private};
use isobar_telemetry::host_name;
use rusqlite::{Connection, Transaction};
use tokio::sync::Notify;
use uuid::Uuid;

use super::sent_marks::{self, SentMark};

const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("identity.sql"),
    include_str!("kept.sql"),
    include_str!("published.sql"),
];

/// Cheap to clone; the clones share the file and the marks that wait.
#[derive(Clone, Debug)]
pub struct Outbox {
    db: Db,
    inner: Arc<OutboxInner>,
}

#[derive(Debug, Default)]
struct OutboxInner {
    marks: Mutex<Vec<SentMark>>,
    /// One for the relay of each stream.
    relays: [Notify; PipelineName::ALL.len()],
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

impl Outbox {
    /// Opens or creates the file, and its folder. Blocks briefly; call it at start.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            private::create_folder(folder)
                .map_err(|source| OpenError::Folder { path: folder.to_owned(), source })?;
        }
        Ok(Self { db: Db::open(path, Durability::Full, MIGRATIONS)?, inner: Arc::default() })
    }

    pub fn path(&self) -> &Path {
        self.db.path()
    }

    /// Which outbox this is: made up once, with the host's name for people.
    pub async fn id(&self) -> Result<String, SqliteError> {
        let new = format!("{}@{}", Uuid::new_v4(), host_name());
        self.write(move |tx| {
            let sql = "INSERT INTO outbox (id) SELECT ?1 WHERE NOT EXISTS (SELECT 1 FROM outbox)";
            tx.execute(sql, [new])?;
            tx.query_row("SELECT id FROM outbox", [], |row| row.get(0))
        })
        .await
    }

    /// The file itself, for the failure log of the sources.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Wakes the relays: there may be a batch to send.
    pub fn notify_relays(&self) {
        for relay in &self.inner.relays {
            relay.notify_one();
        }
    }

    /// Waits for the next [`notify_relays`](Self::notify_relays); returns at once if one was missed.
    pub async fn wait_for_work(&self, pipeline: PipelineName) {
        self.inner.relays[pipeline.stream() as usize].notified().await;
    }

    /// Marks a batch as sent; the mark is written with the next transaction.
    pub fn mark_sent(&self, mark: SentMark) {
        self.marks().push(mark);
    }

    pub fn unwritten_marks(&self) -> usize {
        self.marks().len()
    }

    /// Writes the marks that wait for a transaction.
    pub async fn flush_marks(&self) -> Result<(), SqliteError> {
        if self.unwritten_marks() == 0 {
            return Ok(());
        }
        self.write(|_| Ok(())).await
    }

    /// One write transaction, with the marks that wait.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, SqliteError>
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
                sent_marks::write(tx, &written)?;
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

    pub(super) async fn read<T, F>(&self, work: F) -> Result<T, SqliteError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.db.read(work).await
    }

    fn marks(&self) -> MutexGuard<'_, Vec<SentMark>> {
        self.inner.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
