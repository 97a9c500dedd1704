//! The broker in a SQLite file: the same promises as over Redis, with nothing installed.
//!
//! Any number of processes on one host share the file. Every transition is one write transaction,
//! which is what a script is in Redis; a commit survives the process at once and power loss after
//! the next checkpoint, and what power loss takes back is sent again, as after a Redis restart.
//! A new file is a stream that was lost: there is no topic in it until `heal` makes one, with an
//! epoch of its own.
//!
//! A topic here is its stream's name; a group's name says nothing more, as each stream has one.
//! Deliberately absent: retries, and other hosts (SQLite's locks do not reach over a network).
//! Next: `schema.sql`, then `append.rs`, `deliver.rs`, `lease.rs`, `depth.rs`, `quota.rs` (with the
//! arithmetic in `windows.rs`), `kept.rs`, `switches.rs`.

mod append;
mod cache;
mod deliver;
mod depth;
mod flags;
mod lease;
mod quota;
pub mod quota_windows;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction};
use tokio::sync::Notify;

use super::{BrokerError, EntryId, Lane, Topic};
use isobar_sqlite::{Db, Durability, SqliteError};

type Result<T> = std::result::Result<T, BrokerError>;

const MIGRATIONS: &[&str] = &[include_str!("schema.sql"), include_str!("flags.sql")];

/// A SQLite file as the broker. Cheap to clone.
#[derive(Clone, Debug)]
pub struct EmbeddedBroker {
    db: Db,
    /// Wakes readers of this process; those of others look again by themselves.
    appended: Arc<Notify>,
}

impl EmbeddedBroker {
    /// Opens or creates the file, and its folder. Blocks briefly; call it at start.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| BrokerError::Refused {
                location: folder.display().to_string(),
                detail: error.to_string(),
            })?;
        }
        // A commit that power loss takes back is sent again (the relay sees an older watermark),
        // so that an fsync for each batch would buy nothing.
        let db = Db::open(path, Durability::Normal, MIGRATIONS).map_err(|e| explain(path, e))?;
        Ok(Self { db, appended: Arc::new(Notify::new()) })
    }

    pub fn location(&self) -> String {
        self.db.path().display().to_string()
    }

    pub async fn ping(&self) -> Result<()> {
        self.read_db(|db| db.query_row("SELECT 1", [], |_| Ok(()))).await
    }

    async fn write_db<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let answer = self.db.write(work).await;
        answer.map_err(|error| explain(self.db.path(), error))
    }

    async fn read_db<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let answer = self.db.read(work).await;
        answer.map_err(|error| explain(self.db.path(), error))
    }

    /// A write to a topic that must be there.
    async fn write_topic<T: Send + 'static>(
        &self,
        topic: &Topic,
        work: impl FnOnce(&Transaction<'_>, i64) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let stream = topic.stream.clone();
        let answer = self
            .write_db(move |tx| match topic_id(tx, &stream)? {
                Some(topic_id) => work(tx, topic_id).map(Some),
                None => Ok(None),
            })
            .await?;
        answer.ok_or_else(|| BrokerError::Missing { stream: topic.stream.clone() })
    }

    /// A look at a topic; `None` when it is not there.
    async fn read_topic<T: Send + 'static>(
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
}

fn topic_id(db: &Connection, stream: &str) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached("SELECT topic_id FROM topics WHERE stream = ?1")?
        .query_row([stream], |row| row.get(0))
        .optional()
}

fn lane_number(lane: Lane) -> i64 {
    match lane {
        Lane::Tasks => 0,
        Lane::Control => 1,
    }
}

fn entry_id(id: i64) -> EntryId {
    EntryId { ms: id as u64, seq: 0 }
}

/// Ids of another broker's life may be larger than ours ever get; they name nothing here.
fn row_id(id: EntryId) -> i64 {
    i64::try_from(id.ms).unwrap_or(i64::MAX)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, ms)
}

fn ms(duration: Duration) -> i64 {
    // A tenth of the range: sums of a time and a duration stay within it.
    i64::try_from(duration.as_millis()).map_or(i64::MAX / 10, |ms| ms.min(i64::MAX / 10))
}

/// What an error of SQLite means to who waits for a broker.
fn explain(path: &Path, error: SqliteError) -> BrokerError {
    let location = path.display().to_string();
    let code = match &error {
        SqliteError::Open { source, .. } | SqliteError::Statement { source, .. } => {
            source.sqlite_error_code()
        }
        _ => None,
    };
    let refused = |error: SqliteError| BrokerError::Refused {
        location: location.clone(),
        detail: format!("{:#}", anyhow::Error::new(error)),
    };
    match (&error, code) {
        (SqliteError::NewerSchema { .. }, _)
        | (
            _,
            Some(
                ErrorCode::NotADatabase
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::PermissionDenied
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen,
            ),
        ) => refused(error),
        (_, Some(ErrorCode::DiskFull)) => BrokerError::NoRoom { location, source: error.into() },
        (SqliteError::Busy { .. } | SqliteError::Closed { .. }, _)
        | (
            _,
            Some(
                ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory,
            ),
        ) => BrokerError::Unavailable {
            broker: "the embedded broker",
            location,
            source: error.into(),
        },
        _ => BrokerError::Unexpected { location, source: error.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_is_no_database_is_refused_and_a_folder_is_made() {
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
