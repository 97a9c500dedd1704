//! The store in a SQLite file, for any number of processes on one host.
//!
//! All of it goes through [`isobar_sqlite`]: one writer on its own thread, readers apart. A commit
//! is one transaction of prepared loops (`commit.rs`). It is pressed onto the disk before it
//! returns: the entries are acknowledged after it, and an acknowledgement must never outlive its
//! result. Commits are batched, so that is one flush for many tasks.
//!
//! The same promises as PostgreSQL's, held by the same suite; `account.rs` decides about jobs.

mod cities;
mod columns;
mod commit;
mod dead_letters;
mod error;
mod failed_inputs;
mod jobs;
mod ledger;
mod operations;
mod prune;
mod searches;
mod snapshots;
mod ticks;
mod totals;
mod users;

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::Result;
use isobar_sqlite::{Db, Durability};

/// In order; the version of a file is how many of them it has.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_weather.sql"),
    include_str!("migrations/0002_operations.sql"),
    include_str!("migrations/0003_users.sql"),
];

sql! {
    PING = "SELECT count(*) FROM jobs WHERE job_id = ''";
}

/// Cheap to clone; the file closes with the last clone.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    db: Db,
}

impl SqliteStore {
    /// Makes the file's folder too, if there is none.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            // If this fails, so does opening the file, and says why.
            let _ = std::fs::create_dir_all(folder);
        }
        Db::open(path, Durability::Full, MIGRATIONS).map(|db| Self { db }).map_err(error::classify)
    }

    pub fn location(&self) -> String {
        location(self.db.path())
    }

    pub async fn ping(&self) -> Result<()> {
        self.read(|db| db.prepare_cached(PING)?.query_row([], |_| Ok(()))).await
    }

    async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.db.read(work).await.map_err(error::classify)
    }

    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.db.write(work).await.map_err(error::classify)
    }
}

/// Every statement that this backend runs on a migrated file.
pub fn statements() -> Vec<&'static str> {
    [
        STATEMENTS,
        cities::STATEMENTS,
        dead_letters::STATEMENTS,
        failed_inputs::STATEMENTS,
        jobs::STATEMENTS,
        ledger::STATEMENTS,
        operations::STATEMENTS,
        users::STATEMENTS,
        prune::STATEMENTS,
        searches::STATEMENTS,
        snapshots::STATEMENTS,
        ticks::STATEMENTS,
        totals::STATEMENTS,
    ]
    .concat()
}

fn location(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}
