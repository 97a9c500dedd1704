//! Cached answers and heartbeats: rows with an expiry.
//!
//! Guarantees: an expired row is never returned. Each write deletes some expired rows, so they do
//! not accumulate.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::broker::{EmbeddedBroker, ms, now_ms};
use crate::error::Result;

/// Expired answers that one write deletes: more than it adds, and few enough to be fast.
const SWEEP: i64 = 100;

impl EmbeddedBroker {
    pub async fn cache_get(&self, key: &str) -> Result<Option<(Vec<u8>, Duration)>> {
        let key = key.to_owned();
        self.read_db(move |db| {
            let now = now_ms();
            let sql = "SELECT value, expires_ms FROM cache WHERE key = ?1 AND expires_ms > ?2";
            db.prepare_cached(sql)?
                .query_row(params![key, now], |row| {
                    let expires_ms: i64 = row.get(1)?;
                    let left = Duration::from_millis((expires_ms - now) as u64);
                    Ok((row.get(0)?, left))
                })
                .optional()
        })
        .await
    }

    pub async fn cache_set(&self, key: &str, value: &[u8], ttl: Duration) -> Result<()> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write_db(move |tx| {
            let now = now_ms();
            tx.prepare_cached("INSERT OR REPLACE INTO cache VALUES (?1, ?2, ?3)")?
                .execute(params![key, value, now + ms(ttl)])?;
            tx.prepare_cached(
                "DELETE FROM cache WHERE key IN \
                 (SELECT key FROM cache WHERE expires_ms <= ?1 ORDER BY expires_ms LIMIT ?2)",
            )?
            .execute(params![now, SWEEP])
            .map(drop)
        })
        .await
    }

    pub async fn cache_len(&self) -> Result<u64> {
        self.read_db(|db| {
            db.prepare_cached("SELECT count(*) FROM cache WHERE expires_ms > ?1")?
                .query_row([now_ms()], |row| row.get::<_, i64>(0))
                .map(|count| count as u64)
        })
        .await
    }

    pub async fn heartbeat(
        &self,
        name: &str,
        state: &serde_json::Value,
        ttl: Duration,
    ) -> Result<()> {
        let (name, state) = (name.to_owned(), state.to_string());
        self.write_db(move |tx| {
            let now = now_ms();
            tx.prepare_cached("DELETE FROM heartbeats WHERE expires_ms <= ?1")?.execute([now])?;
            tx.prepare_cached("INSERT OR REPLACE INTO heartbeats VALUES (?1, ?2, ?3)")?
                .execute(params![name, state, now + ms(ttl)])
                .map(drop)
        })
        .await
    }

    pub async fn heartbeats(&self) -> Result<Vec<(String, serde_json::Value)>> {
        let rows = self
            .read_db(|db| {
                let sql = "SELECT name, state FROM heartbeats WHERE expires_ms > ?1 ORDER BY name";
                db.prepare_cached(sql)?
                    .query_map([now_ms()], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect::<rusqlite::Result<Vec<(String, String)>>>()
            })
            .await?;
        // A heartbeat that does not parse is of another version.
        Ok(rows
            .into_iter()
            .filter_map(|(name, state)| Some((name, serde_json::from_str(&state).ok()?)))
            .collect())
    }
}
