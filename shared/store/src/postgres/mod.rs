//! The store in PostgreSQL, for any number of hosts.
//!
//! A commit is one transaction of a few set-based statements (`commit.rs`), which take their locks
//! in one order everywhere: cities, dead letters, ledger, jobs, each by key. Connections carry time
//! limits, so that no statement outlives its use. `error.rs` decides what a refusal means.
//!
//! Answers name their columns, never `*`: statements stay prepared, and PostgreSQL refuses one whose
//! answer a newer version's migration has widened under it.
//!
//! Deliberately absent: retries, and any decision about a job, which is `account.rs`'s for both
//! databases. `migrations/` holds the tables and says which index serves what.

mod cities;
mod commit;
mod dead_letters;
mod error;
mod failed_inputs;
mod jobs;
mod ledger;
mod migrate;
mod operations;
mod prune;
mod searches;
mod snapshots;
mod ticks;
mod totals;
mod users;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};

use super::{Result, StoreError};

/// How long a caller waits for a free connection of the pool, or a new one.
const ACQUIRE_LIMIT: Duration = Duration::from_secs(5);
/// How long the first connection may take; a host that swallows packets would take minutes.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Readiness is asked often and must be answered soon.
const PING_LIMIT: Duration = Duration::from_secs(2);
/// The longest that a statement may run; the slowest of ours is a count over the ledger.
const STATEMENT_LIMIT_MS: &str = "60000";
/// How long a call waits for its answer: a statement's limit, and time for both ways. The server keeps
/// the first; only we can keep this one, where the connection has died without a word.
const ANSWER_LIMIT: Duration = Duration::from_secs(65);
/// A transaction of ours never waits for anything but its next statement.
const IDLE_TRANSACTION_LIMIT_MS: &str = "60000";

sql! {
    PING = "SELECT 1";
    CAN_WRITE = "SELECT current_setting('transaction_read_only') = 'off'";
}

/// Cheap to clone; the connections close with the last clone.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    location: Arc<str>,
}

impl PostgresStore {
    /// Says at once if nobody answers, instead of after the pool's patience.
    pub async fn open(url: &str, connections: u32) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| error::classify(error, "DATABASE_URL"))?
            .application_name("isobar")
            .options([
                ("statement_timeout", STATEMENT_LIMIT_MS),
                ("idle_in_transaction_session_timeout", IDLE_TRANSACTION_LIMIT_MS),
                ("timezone", "UTC"),
            ])
            .disable_statement_logging();
        let location: Arc<str> = location(&options).into();
        let classify = |error| error::classify(error, &location);

        let mut first =
            limited(CONNECT_LIMIT, PgConnection::connect_with(&options)).await.map_err(classify)?;
        migrate::migrate(&mut first, &location, classify).await?;
        first.close().await.map_err(classify)?;

        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_LIMIT)
            // The pool asks by itself whether a connection that comes back still works, and would wait
            // for ever for the answer of one that died without a word. One that was made while the
            // server was read-only may stay so when the server no longer is: it is closed.
            .after_release(|connection, _| {
                let asked = sqlx::query_scalar(CAN_WRITE).fetch_one(connection);
                Box::pin(limited(PING_LIMIT, asked))
            })
            .connect_lazy_with(options);
        Ok(Self { pool, location })
    }

    pub fn location(&self) -> String {
        self.location.to_string()
    }

    pub async fn ping(&self) -> Result<()> {
        let asked = sqlx::query(PING).execute(&self.pool);
        limited(PING_LIMIT, asked).await.map(drop).map_err(|error| self.failed(error))
    }

    /// What `work` answers, or that the server does not.
    pub(super) async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let silent = |_| Err(self.failed(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
        tokio::time::timeout(ANSWER_LIMIT, work).await.unwrap_or_else(silent)
    }

    fn failed(&self, error: sqlx::Error) -> StoreError {
        error::classify(error, &self.location)
    }
}

/// Every statement that this backend runs on a migrated database.
pub fn statements() -> Vec<&'static str> {
    [
        STATEMENTS,
        cities::STATEMENTS,
        dead_letters::STATEMENTS,
        failed_inputs::STATEMENTS,
        jobs::STATEMENTS,
        ledger::STATEMENTS,
        migrate::STATEMENTS,
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

async fn limited<T>(
    limit: Duration,
    work: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
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

/// One column of many rows, as UNNEST takes them.
fn column<'a, T, V>(rows: &[&'a T], value: impl Fn(&'a T) -> V) -> Vec<V> {
    rows.iter().map(|row| value(row)).collect()
}

/// A row that does not read as what we wrote.
fn unreadable(what: impl std::fmt::Display) -> sqlx::Error {
    sqlx::Error::Decode(what.to_string().into())
}
