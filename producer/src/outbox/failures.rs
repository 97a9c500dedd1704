//! When city sources failed: the memory of the breaker, shared by all runs on this outbox.

use std::time::Duration;

use isobar_sqlite::SqliteError;

use super::Outbox;

/// More than any breaker counts; older ones say nothing new.
const KEPT_PER_HOST: u32 = 10_000;

impl Outbox {
    /// In ascending order, ms since 1970.
    pub async fn source_failures(&self, host: &str) -> Result<Vec<u64>, SqliteError> {
        let host = host.to_owned();
        self.read(move |db| {
            db.prepare_cached("SELECT at_ms FROM source_failures WHERE host = ?1 ORDER BY at_ms")?
                .query_map([&host], |row| row.get::<_, i64>(0).map(|ms| ms as u64))?
                .collect()
        })
        .await
    }

    /// Adds one, and drops those older than `keep`.
    pub async fn add_source_failure(
        &self,
        host: &str,
        at_ms: u64,
        keep: Duration,
    ) -> Result<(), SqliteError> {
        let host = host.to_owned();
        let oldest_ms = at_ms.saturating_sub(keep.as_millis() as u64) as i64;
        self.write(move |tx| {
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

    pub async fn forget_source_failures(&self, host: &str) -> Result<(), SqliteError> {
        let host = host.to_owned();
        self.write(move |tx| {
            tx.execute("DELETE FROM source_failures WHERE host = ?1", [&host])?;
            Ok(())
        })
        .await
    }
}
