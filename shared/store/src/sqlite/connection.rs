//! The SQLite file of a store, and single calls to it.
//!
//! Guarantees: a write is one transaction and on the disk before it returns.
//! Next: [`super::query`], [`super::error`].

use std::path::Path;

use rusqlite::{Connection, Transaction};

use super::{error, query};
use crate::error::Result;
use crate::row::FromRow;
use crate::sql::{Batch, Sql};
use crate::value::Value;
use isobar_sqlite::{Db, Durability, private};

/// In order; the version of a file is how many of them it has.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_weather.sql"),
    include_str!("migrations/0002_operations.sql"),
    include_str!("migrations/0003_users.sql"),
    include_str!("migrations/0004_air_quality.sql"),
    include_str!("migrations/0005_ended_jobs.sql"),
    include_str!("migrations/0006_identity.sql"),
    include_str!("migrations/0007_import_keys.sql"),
    include_str!("migrations/0008_job_errors.sql"),
];

sql! {
    PING = "SELECT count(*) AS count FROM jobs WHERE job_id = ''";
}

/// Cheap to clone; the file closes with the last clone.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    db: Db,
}

impl SqliteStore {
    /// Creates the file, and its folder, if there is none.
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            // If this fails, opening the file fails too, and its error has the reason.
            let _ = private::create_folder(folder);
        }
        Db::open(path, Durability::Full, MIGRATIONS).map(|db| Self { db }).map_err(error::classify)
    }

    pub fn location(&self) -> String {
        error::location(self.db.path())
    }

    pub async fn ping(&self) -> Result<()> {
        self.one::<u64>(&PING, args![]).await.map(drop)
    }

    pub(crate) async fn all<T: FromRow + Send + 'static>(
        &self,
        sql: &'static Sql,
        args: Vec<Value<'_>>,
    ) -> Result<Vec<T>> {
        let args = owned(args);
        self.read(move |db| query::all(db, sql, &args)).await
    }

    pub(crate) async fn one<T: FromRow + Send + 'static>(
        &self,
        sql: &'static Sql,
        args: Vec<Value<'_>>,
    ) -> Result<Option<T>> {
        let args = owned(args);
        self.read(move |db| query::one(db, sql, &args)).await
    }

    pub(crate) async fn run(&self, sql: &'static Sql, args: Vec<Value<'_>>) -> Result<u64> {
        let args = owned(args);
        self.transaction(move |tx| query::run(tx, sql, &args)).await
    }

    pub(crate) async fn run_together(
        &self,
        statements: Vec<(&'static Sql, Vec<Value<'_>>)>,
    ) -> Result<()> {
        let statements: Vec<_> =
            statements.into_iter().map(|(sql, args)| (sql, owned(args))).collect();
        self.transaction(move |tx| {
            statements.iter().try_for_each(|(sql, args)| query::run(tx, sql, args).map(drop))
        })
        .await
    }

    pub(crate) async fn write(&self, batch: Batch<'_>) -> Result<u64> {
        let batch = owned_batch(batch);
        self.transaction(move |tx| query::write(tx, &batch)).await
    }

    pub(crate) async fn lookup<T: FromRow + Send + 'static>(
        &self,
        batch: Batch<'_>,
    ) -> Result<Vec<T>> {
        let batch = owned_batch(batch);
        self.read(move |db| query::lookup(db, &batch)).await
    }

    async fn read<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.db.read(work).await.map_err(error::classify)
    }

    pub(super) async fn transaction<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.db.write(work).await.map_err(error::classify)
    }
}

fn owned(args: Vec<Value<'_>>) -> Vec<Value<'static>> {
    args.into_iter().map(Value::into_owned).collect()
}

fn owned_batch(batch: Batch<'_>) -> Batch<'static> {
    Batch { sql: batch.sql, rows: batch.rows.into_iter().map(owned).collect() }
}
