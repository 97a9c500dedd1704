//! The connection to PostgreSQL: a pool with time limits, and single calls through it.
//!
//! Guarantees: no statement outlives its limit on the server, and [`PostgresStore::with_timeout`]
//! ends a call whose connection has died. No commit is acknowledged before it is on the disk, even
//! where `synchronous_commit` is `off` by default. Behind a pooler that takes no options of a
//! session, limits and durability hold in transactions alone. An error never names user or password.
//! Next: [`super::query`], [`super::error`].

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use isobar_settings::Settings;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool, Postgres, Transaction};

use super::query::{batch, query, write};
use super::{error, migrate};
use crate::error::{Result, StoreError};
use crate::row::FromRow;
use crate::sql::{Batch, Sql};
use crate::value::Value;

/// How long a caller waits for a free connection of the pool, or a new one.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
/// How long the first connection may take; a host that drops packets would take minutes.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Readiness is asked often and must be answered soon.
const PING_LIMIT: Duration = Duration::from_secs(2);
/// The longest that a statement may run; the slowest is a count over the ledger.
const STATEMENT_LIMIT_MS: &str = "60000";
/// How long a call waits for its answer: a statement's limit, and time for both ways. The server
/// keeps the first limit; only the client can keep this one, when the connection is dead.
const ANSWER_LIMIT: Duration = Duration::from_secs(65);
/// A transaction waits for its next statement only.
const IDLE_TRANSACTION_LIMIT_MS: &str = "60000";

/// Behind a pooler a session belongs to others too: what holds is set for the transaction.
const BEGIN_POOLED: &str = "BEGIN; SET LOCAL statement_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = '60s'";
const BEGIN_POOLED_SAFE: &str = "BEGIN; SET LOCAL statement_timeout = '60s'; SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL synchronous_commit = 'on'";

sql! {
    PING = "SELECT 1";
    CAN_WRITE = "SELECT current_setting('transaction_read_only') = 'off'";
    /// What a session has by server, database and role, before it sets anything.
    DEFAULTS = "SELECT current_setting('synchronous_commit'), current_setting('server_encoding')";
}

/// Cheap to clone; the connections close with the last clone.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pub(super) pool: PgPool,
    location: Arc<str>,
    begin: &'static str,
    loses_commits_by_default: bool,
}

impl PostgresStore {
    /// Fails at once if no server answers, instead of after the pool's limit.
    pub async fn open(url: &str, connections: u32) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| error::classify(error, "DATABASE_URL"))?;
        Self::connect(options, connections).await
    }

    /// The same, trusting the authorities of the settings too, unless the URL names its own.
    pub async fn open_with(url: &str, settings: &Settings) -> Result<Self> {
        let mut options = PgConnectOptions::from_str(url)
            .map_err(|error| error::classify(error, "DATABASE_URL"))?;
        if let Some(file) = settings.ca_file.as_ref().filter(|_| !url.contains("sslrootcert=")) {
            options = options.ssl_root_cert(&file.0);
        }
        Self::connect(options, settings.db_connections).await
    }

    async fn connect(options: PgConnectOptions, connections: u32) -> Result<Self> {
        isobar_tls::install();
        let options = options
            .application_name("isobar")
            // Floats are read in binary; a pooler refuses the parameter.
            .extra_float_digits(None)
            .disable_statement_logging();
        let location: Arc<str> = location(&options).into();
        let classify = |error| error::classify(error, &location);

        let with_limits = options.clone().options([
            ("statement_timeout", STATEMENT_LIMIT_MS),
            ("idle_in_transaction_session_timeout", IDLE_TRANSACTION_LIMIT_MS),
        ]);
        let dialled = timed(CONNECT_LIMIT, PgConnection::connect_with(&with_limits)).await;
        let (mut first, is_pooled) = match dialled {
            Err(error) if error::refuses_options(&error) => {
                let first = timed(CONNECT_LIMIT, PgConnection::connect_with(&options));
                (first.await.map_err(classify)?, true)
            }
            dialled => (dialled.map_err(classify)?, false),
        };
        let options = if is_pooled { options } else { with_limits };
        let asked = sqlx::query_as(DEFAULTS.postgres()).fetch_one(&mut first);
        let (default, encoding): (String, String) =
            timed(CONNECT_LIMIT, asked).await.map_err(classify)?;
        if !matches!(encoding.as_str(), "UTF8" | "SQL_ASCII") {
            let source = anyhow::anyhow!(
                "the encoding of the database is {encoding}, in which not every name can be stored; create the database with ENCODING 'UTF8'"
            );
            return Err(StoreError::Refused { location: location.to_string(), source });
        }
        migrate::migrate(&mut first, &location, classify).await?;
        // With `off` a commit that was answered may be lost in a crash. Each other value stays, and
        // is set too: else a changed server file would change the sessions that are open.
        let loses_commits_by_default = default == "off";
        let pinned = if loses_commits_by_default { "on".to_owned() } else { default };
        first.close().await.map_err(classify)?;

        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_LIMIT)
            // The pool itself checks a connection that comes back, but without a time limit. A
            // connection that was made while the server was read-only may stay read-only: close it.
            .after_release(|connection, _| {
                let answer = sqlx::query_scalar(CAN_WRITE.postgres()).fetch_one(connection);
                Box::pin(timed(PING_LIMIT, answer))
            })
            // An option of the connection costs no round trip. A pooler takes none.
            .connect_lazy_with(if is_pooled {
                options
            } else {
                options.options([("synchronous_commit", pinned)])
            });
        let begin = match (is_pooled, loses_commits_by_default) {
            (false, _) => "BEGIN",
            (true, false) => BEGIN_POOLED,
            (true, true) => BEGIN_POOLED_SAFE,
        };
        Ok(Self { pool, location, begin, loses_commits_by_default })
    }

    pub fn location(&self) -> String {
        self.location.to_string()
    }

    pub async fn ping(&self) -> Result<()> {
        let answer = query(&PING, args![]).execute(&self.pool);
        timed(PING_LIMIT, answer).await.map(drop).map_err(|error| self.failed(error))
    }

    /// Whether other sessions of this user could lose acknowledged commits in a crash.
    pub(crate) fn loses_commits_by_default(&self) -> bool {
        self.loses_commits_by_default
    }

    /// The result of `work`, or [`StoreError::Unavailable`] after the limit.
    pub(crate) async fn with_timeout<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let timed_out = |_| Err(self.failed(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
        tokio::time::timeout(ANSWER_LIMIT, work).await.unwrap_or_else(timed_out)
    }

    pub(crate) async fn all<T: FromRow>(
        &self,
        sql: &'static Sql,
        args: Vec<Value<'_>>,
    ) -> Result<Vec<T>> {
        let rows = query(sql, args).fetch_all(&self.pool).await;
        rows.and_then(|rows| rows.iter().map(T::from_row).collect())
            .map_err(|error| self.failed(error))
    }

    pub(crate) async fn one<T: FromRow>(
        &self,
        sql: &'static Sql,
        args: Vec<Value<'_>>,
    ) -> Result<Option<T>> {
        let row = query(sql, args).fetch_optional(&self.pool).await;
        row.and_then(|row| row.as_ref().map(T::from_row).transpose())
            .map_err(|error| self.failed(error))
    }

    pub(crate) async fn run(&self, sql: &'static Sql, args: Vec<Value<'_>>) -> Result<u64> {
        let done = query(sql, args).execute(&self.pool).await;
        done.map(|done| done.rows_affected()).map_err(|error| self.failed(error))
    }

    pub(crate) async fn run_together(
        &self,
        statements: Vec<(&'static Sql, Vec<Value<'_>>)>,
    ) -> Result<()> {
        let work = async {
            let mut tx = self.begin().await?;
            for (sql, args) in statements {
                query(sql, args).execute(&mut *tx).await?;
            }
            tx.commit().await
        };
        work.await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn write(&self, rows: Batch<'_>) -> Result<u64> {
        let work = async { write(&mut *self.pool.acquire().await?, &rows).await };
        work.await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn lookup<T: FromRow>(&self, rows: Batch<'_>) -> Result<Vec<T>> {
        let Some(query) = batch(&rows) else { return Ok(Vec::new()) };
        let found = query.fetch_all(&self.pool).await;
        found
            .and_then(|rows| rows.iter().map(T::from_row).collect())
            .map_err(|error| self.failed(error))
    }

    pub(super) async fn begin(&self) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.pool.begin_with(self.begin).await
    }

    pub(super) fn failed(&self, error: sqlx::Error) -> StoreError {
        error::classify(error, &self.location)
    }
}

async fn timed<T>(limit: Duration, work: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

/// Host, port and database; never the user or the password.
fn location(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => options.get_host().to_owned(),
    };
    let database = options.get_database().unwrap_or_default();
    format!("postgres://{host}:{}/{database}", options.get_port())
}
