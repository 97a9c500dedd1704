//! The failure log of the sources' circuit breakers: when each host failed.
//!
//! It is one table in the file of the outbox, because cron runs are processes of their own and
//! share that file. Does not: decide anything (see [`breaker`](super::breaker)).

use std::time::Duration;

use isobar_sqlite::{Db, SqliteError};

/// More than any breaker counts; older failures add nothing.
const KEPT_PER_HOST: u32 = 10_000;

#[derive(Clone)]
pub struct FailureLog {
    pub db: Db,
    pub host: String,
}

/// The hosts with a failure.
pub async fn hosts(db: &Db) -> Result<Vec<String>, SqliteError> {
    db.read(|db| {
        db.prepare_cached("SELECT DISTINCT host FROM source_failures ORDER BY host")?
            .query_map([], |row| row.get(0))?
            .collect()
    })
    .await
}

impl FailureLog {
    /// In ascending order, ms since 1970.
    pub async fn failures(&self) -> Result<Vec<u64>, SqliteError> {
        let host = self.host.clone();
        self.db
            .read(move |db| {
                db.prepare_cached(
                    "SELECT at_ms FROM source_failures WHERE host = ?1 ORDER BY at_ms",
                )?
                .query_map([&host], |row| row.get::<_, i64>(0).map(|ms| ms as u64))?
                .collect()
            })
            .await
    }

    /// Adds one, and drops those older than `keep`.
    pub async fn add(&self, at_ms: u64, keep: Duration) -> Result<(), SqliteError> {
        let host = self.host.clone();
        let oldest_ms = at_ms.saturating_sub(keep.as_millis() as u64) as i64;
        self.db
            .write(move |tx| {
                tx.execute(
                    "DELETE FROM source_failures WHERE host = ?1 AND (at_ms < ?2 OR at_ms <
                       (SELECT at_ms FROM source_failures WHERE host = ?1 ORDER BY at_ms DESC LIMIT 1 OFFSET ?3))",
                    (&host, oldest_ms, KEPT_PER_HOST),
                )?;
                tx.execute(
                    "INSERT INTO source_failures (host, at_ms) VALUES (?1, ?2)",
                    (&host, at_ms as i64),
                )?;
                Ok(())
            })
            .await
    }

    pub async fn clear(&self) -> Result<(), SqliteError> {
        let host = self.host.clone();
        self.db
            .write(move |tx| {
                tx.execute("DELETE FROM source_failures WHERE host = ?1", [&host])?;
                Ok(())
            })
            .await
    }
}
