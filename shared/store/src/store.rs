//! The store: one of two backends, and the calls that every noun is built from.
//!
//! Guarantees: a call to PostgreSQL that a server should answer has a time limit, so a dead
//! connection cannot block its caller. A dropped call to SQLite still runs whole, or not at all.
//! Does not: retry; the committer knows how long it may wait.
//! Next: [`crate::commit`], then the files of the nouns (`job.rs`, `city.rs`, …).

use chrono::{DateTime, Utc};
use isobar_settings::Settings;
use isobar_settings::values::DatabaseUrl;

use crate::error::Result;
use crate::postgres::connection::PostgresStore;
use crate::row::FromRow;
use crate::sql::{Batch, Sql};
use crate::sqlite::connection::SqliteStore;
use crate::value::Value;

/// The one way to the database. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Store {
    Postgres(PostgresStore),
    Sqlite(SqliteStore),
}

/// Which database this is. The id stays when the data moves.
struct Installation {
    id: String,
    created_at: DateTime<Utc>,
}

sql! {
    INSTALLATION = "SELECT id, created_at FROM installation";
}

row! { Installation { id, created_at } }

impl Store {
    /// Connects and upgrades the schema, one process at a time; a newer schema is refused.
    pub async fn open(settings: &Settings) -> Result<Self> {
        match settings.database() {
            DatabaseUrl::Postgres(url) => {
                PostgresStore::open_with(&url, settings).await.map(Self::Postgres)
            }
            DatabaseUrl::Sqlite(path) => SqliteStore::open(&path).map(Self::Sqlite),
        }
    }

    /// `postgres` or `sqlite`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "postgres",
            Self::Sqlite(_) => "sqlite",
        }
    }

    /// Where it is, without secrets.
    pub fn location(&self) -> String {
        dispatch!(self, backend => backend.location())
    }

    /// Which store this is: its id, and where it is.
    pub async fn identity(&self) -> Result<String> {
        let id = self.installation().await?.map(|row| row.id).unwrap_or_default();
        Ok(format!("{id} {} at {}", self.kind(), self.location()))
    }

    /// When this database was made: jobs before that are in another one.
    pub async fn created_at(&self) -> Result<Option<DateTime<Utc>>> {
        Ok(self.installation().await?.map(|row| row.created_at))
    }

    async fn installation(&self) -> Result<Option<Installation>> {
        self.one(&INSTALLATION, args![]).await
    }

    /// Whether the database acknowledges commits that a crash may undo, unless a session asks for
    /// more. The sessions of this store do ([`crate::postgres`]); those of other programs may not.
    pub fn loses_commits_by_default(&self) -> bool {
        match self {
            Self::Postgres(backend) => backend.loses_commits_by_default(),
            Self::Sqlite(_) => false,
        }
    }

    pub async fn ping(&self) -> Result<()> {
        self.timed(async { dispatch!(self, backend => backend.ping().await) }).await
    }

    /// The result of `work`, which PostgreSQL must answer within its limit.
    pub(crate) async fn timed<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match self {
            Self::Postgres(backend) => backend.with_timeout(work).await,
            Self::Sqlite(_) => work.await,
        }
    }

    pub(crate) async fn all<T: FromRow + Send + 'static>(
        &self,
        sql: &'static Sql,
        args: Vec<Value<'_>>,
    ) -> Result<Vec<T>> {
        self.timed(async { dispatch!(self, backend => backend.all(sql, args).await) }).await
    }

    pub(crate) async fn one<T: FromRow + Send + 'static>(
        &self,
        sql: &'static Sql,
        args: Vec<Value<'_>>,
    ) -> Result<Option<T>> {
        self.timed(async { dispatch!(self, backend => backend.one(sql, args).await) }).await
    }

    pub(crate) async fn count(&self, sql: &'static Sql, args: Vec<Value<'_>>) -> Result<u64> {
        Ok(self.one(sql, args).await?.unwrap_or_default())
    }

    /// How many rows the statement changed.
    pub(crate) async fn run(&self, sql: &'static Sql, args: Vec<Value<'_>>) -> Result<u64> {
        self.timed(async { dispatch!(self, backend => backend.run(sql, args).await) }).await
    }

    /// All of them in one transaction.
    pub(crate) async fn run_together(
        &self,
        statements: Vec<(&'static Sql, Vec<Value<'_>>)>,
    ) -> Result<()> {
        self.timed(async { dispatch!(self, backend => backend.run_together(statements).await) })
            .await
    }

    /// Writes all rows in one transaction; returns how many rows changed.
    pub(crate) async fn write(&self, batch: Batch<'_>) -> Result<u64> {
        self.timed(async { dispatch!(self, backend => backend.write(batch).await) }).await
    }

    /// What the statement finds for the rows of the batch.
    pub(crate) async fn lookup<T: FromRow + Send + 'static>(
        &self,
        batch: Batch<'_>,
    ) -> Result<Vec<T>> {
        self.timed(async { dispatch!(self, backend => backend.lookup(batch).await) }).await
    }
}
