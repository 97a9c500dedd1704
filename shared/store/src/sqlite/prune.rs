//! Retention: ledger rows of jobs that ended long ago, ticks of schedules, old searches and
//! operations go in small transactions. The newest tick of a schedule stays: what was missed counts
//! from it.
//!
//! A job that is being pruned is marked first (`ledger = 'going'`): its rows no longer make up its
//! counters, which stay. A prune that was cut short is taken up by the next one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use super::SqliteStore;
use super::columns::{Id, Time};
use crate::operations::OPERATIONS_KEPT;
use crate::{Result, cutoff};

/// Rows that one transaction removes: some milliseconds of work, for others wait for it.
const CHUNK_ROWS: u32 = 500;

sql! {
    OLD_JOB = r"
UPDATE jobs SET ledger = 'going'
WHERE job_id = (
    SELECT job_id FROM jobs WHERE ledger <> 'gone' AND finished_at < ?1
    ORDER BY finished_at LIMIT 1)
RETURNING job_id
";
    ROWS = r"
DELETE FROM job_tasks WHERE job_id = ?1 AND task_id IN (
    SELECT task_id FROM job_tasks WHERE job_id = ?1 LIMIT ?2)
";
    GONE = "UPDATE jobs SET ledger = 'gone' WHERE job_id = ?1";
    SEARCHES = r#"
DELETE FROM search_history WHERE id IN (
    SELECT id FROM search_history WHERE "timestamp" < ?1 ORDER BY "timestamp" LIMIT ?2)
"#;
    TICKS = r"
DELETE FROM schedule_ticks WHERE (schedule, tick) IN (
    SELECT schedule, tick FROM schedule_ticks AS old
    WHERE done_at < ?1 AND EXISTS (
        SELECT 1 FROM schedule_ticks AS newer
        WHERE newer.schedule = old.schedule AND newer.tick > old.tick)
    ORDER BY done_at LIMIT ?2)
";
    OPERATIONS = r"
DELETE FROM operations WHERE id IN (
    SELECT id FROM operations WHERE at < ?1 ORDER BY at LIMIT ?2)
";
}

impl SqliteStore {
    pub async fn prune(
        &self,
        now: DateTime<Utc>,
        jobs: Duration,
        searches: Duration,
    ) -> Result<(u64, u64)> {
        let mut rows = 0;
        while let Some(removed) = self.prune_ledger(cutoff(now, jobs)).await? {
            rows += removed;
        }
        self.prune_chunks(TICKS, cutoff(now, jobs)).await?;
        let searches = self.prune_chunks(SEARCHES, cutoff(now, searches)).await?;
        self.prune_chunks(OPERATIONS, cutoff(now, OPERATIONS_KEPT)).await?;
        Ok((rows, searches))
    }

    /// What a statement finds before a time, chunk by chunk.
    async fn prune_chunks(&self, sql: &'static str, before: DateTime<Utc>) -> Result<u64> {
        let mut gone = 0;
        loop {
            let removed = self
                .write(move |tx| tx.prepare_cached(sql)?.execute(params![Time(before), CHUNK_ROWS]))
                .await?;
            if removed == 0 {
                return Ok(gone);
            }
            gone += removed as u64;
        }
    }

    /// One chunk of the oldest job; `None` once no job is old enough.
    async fn prune_ledger(&self, before: DateTime<Utc>) -> Result<Option<u64>> {
        self.write(move |tx| {
            let old: Option<Id> = tx
                .prepare_cached(OLD_JOB)?
                .query_row([Time(before)], |row| row.get(0))
                .optional()?;
            let Some(job) = old else {
                return Ok(None);
            };
            let removed = tx.prepare_cached(ROWS)?.execute(params![job, CHUNK_ROWS])?;
            if removed == 0 {
                tx.prepare_cached(GONE)?.execute([job])?;
            }
            Ok(Some(removed as u64))
        })
        .await
    }
}
