//! The embedded broker itself: its file, and how a call reads or writes a topic.
//!
//! Guarantees: times are milliseconds by this host's clock. An entry's id is its row number.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use isobar_sqlite::{Db, Durability, private};
use rusqlite::{Connection, OptionalExtension, Transaction};
use tokio::sync::Notify;

use super::error::into_broker_error;
use crate::error::{BrokerError, Result};
use crate::lane::{EntryId, Lane};
use crate::topic::Topic;

const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("flags.sql"),
    include_str!("batches.sql"),
    include_str!("crashes.sql"),
];

/// A SQLite file as the broker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EmbeddedBroker {
    db: Db,
    /// Wakes the readers of this process. Readers of other processes poll.
    pub(super) appended: Arc<Notify>,
}

impl EmbeddedBroker {
    /// Opens or creates the file and its folder. Blocks briefly; call it at start.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            private::create_folder(folder).map_err(|error| BrokerError::Refused {
                location: folder.display().to_string(),
                detail: error.to_string(),
            })?;
        }
        // The relay sees an older watermark after power loss and sends the lost batches again, so
        // an fsync for each batch would gain nothing.
        let db = Db::open(path, Durability::Normal, MIGRATIONS)
            .map_err(|error| into_broker_error(path, error))?;
        Ok(Self { db, appended: Arc::new(Notify::new()) })
    }

    pub fn location(&self) -> String {
        self.db.path().display().to_string()
    }

    pub async fn ping(&self) -> Result<()> {
        self.read_db(|db| db.query_row("SELECT 1", [], |_| Ok(()))).await
    }

    pub(super) async fn write_db<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let result = self.db.write(work).await;
        result.map_err(|error| into_broker_error(self.db.path(), error))
    }

    pub(super) async fn read_db<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let result = self.db.read(work).await;
        result.map_err(|error| into_broker_error(self.db.path(), error))
    }

    /// Writes to a topic; [`BrokerError::Missing`] when it does not exist.
    pub(super) async fn write_topic<T: Send + 'static>(
        &self,
        topic: &Topic,
        work: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let stream = topic.stream.clone();
        let result = self
            .write_db(move |tx| match topic_id(tx, &stream)? {
                Some(topic_id) => work(tx, topic_id).map(Some),
                None => Ok(None),
            })
            .await?;
        result.ok_or_else(|| missing(topic))
    }

    /// Reads a topic; `None` when it does not exist.
    pub(super) async fn read_topic<T: Send + 'static>(
        &self,
        topic: &Topic,
        work: impl FnOnce(&Connection, i64) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<Option<T>> {
        let stream = topic.stream.clone();
        self.read_db(move |db| match topic_id(db, &stream)? {
            Some(topic_id) => work(db, topic_id).map(Some),
            None => Ok(None),
        })
        .await
    }

    pub(super) fn unexpected(&self, source: impl Into<anyhow::Error>) -> BrokerError {
        BrokerError::Unexpected { location: self.location(), source: source.into() }
    }
}

pub(super) fn missing(topic: &Topic) -> BrokerError {
    BrokerError::Missing { stream: topic.stream.clone() }
}

pub(super) fn topic_id(db: &Connection, stream: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT topic_id FROM topics WHERE stream = ?1")?
        .query_row([stream], |row| row.get(0))
        .optional()
}

pub(super) fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::Tasks => 0,
        Lane::Control => 1,
    }
}

pub(super) fn entry_id(id: i64) -> EntryId {
    EntryId { ms: id as u64, seq: 0 }
}

/// An id of another broker may be larger than any row number here; it then names no row.
pub(super) fn row_id(id: EntryId) -> i64 {
    i64::try_from(id.ms).unwrap_or(i64::MAX)
}

pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, ms)
}

pub(super) fn ms(duration: Duration) -> i64 {
    // A tenth of the range, so the sum of a time and a duration does not overflow.
    i64::try_from(duration.as_millis()).map_or(i64::MAX / 10, |ms| ms.min(i64::MAX / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn opening_makes_the_folder_and_refuses_other_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("deeper/broker.db");
        let broker = EmbeddedBroker::open(&path).expect("opens");
        broker.ping().await.expect("answers");

        let other = folder.path().join("notes.txt");
        std::fs::write(&other, "not a database, but longer than a header of one is".repeat(9))
            .expect("written");
        assert!(matches!(EmbeddedBroker::open(&other), Err(BrokerError::Refused { .. })));
    }
}
