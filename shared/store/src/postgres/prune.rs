//! Retention: ledger rows of jobs that ended long ago, ticks of schedules, old searches and
//! operations go in small transactions. The newest tick of a schedule stays: what was missed counts
//! from it.
//!
//! A job that is being pruned is marked first (`ledger = 'going'`): its rows no longer make up its
//! counters, which stay. A prune that was cut short is taken up by the next one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::PostgresStore;
use crate::operations::OPERATIONS_KEPT;
use crate::{Result, cutoff};

/// Rows that one transaction removes: some milliseconds of work.
const CHUNK_ROWS: i64 = 2_000;
/// Jobs that one pass marks.
const CHUNK_JOBS: i64 = 100;

sql! {
    OLD_JOBS = r"
UPDATE jobs SET ledger = 'going'
WHERE job_id IN (
    SELECT job_id FROM jobs WHERE ledger <> 'gone' AND finished_at < $1
    ORDER BY finished_at LIMIT $2)
RETURNING job_id
";
    ROWS = r"
DELETE FROM job_tasks WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM job_tasks WHERE job_id = $1 LIMIT $2))
";
    GONE = "UPDATE jobs SET ledger = 'gone' WHERE job_id = $1";
    SEARCHES = r#"
DELETE FROM search_history WHERE id IN (
    SELECT id FROM search_history WHERE "timestamp" < $1 ORDER BY "timestamp" LIMIT $2)
"#;
    TICKS = r"
DELETE FROM schedule_ticks WHERE (schedule, tick) IN (
    SELECT schedule, tick FROM schedule_ticks AS old
    WHERE done_at < $1 AND EXISTS (
        SELECT FROM schedule_ticks AS newer
        WHERE newer.schedule = old.schedule AND newer.tick > old.tick)
    ORDER BY done_at LIMIT $2)
";
    OPERATIONS = r"
DELETE FROM operations WHERE id IN (
    SELECT id FROM operations WHERE at < $1 ORDER BY at LIMIT $2)
";
}

impl PostgresStore {
    pub async fn prune(
        &self,
        now: DateTime<Utc>,
        jobs: Duration,
        searches: Duration,
    ) -> Result<(u64, u64)> {
        let pruned = async {
            let rows = self.prune_ledger(cutoff(now, jobs)).await?;
            self.prune_chunks(TICKS, cutoff(now, jobs)).await?;
            let searches = self.prune_chunks(SEARCHES, cutoff(now, searches)).await?;
            self.prune_chunks(OPERATIONS, cutoff(now, OPERATIONS_KEPT)).await?;
            Ok((rows, searches))
        };
        pruned.await.map_err(|error| self.failed(error))
    }

    async fn prune_ledger(&self, before: DateTime<Utc>) -> sqlx::Result<u64> {
        let mut removed = 0;
        loop {
            let old: Vec<Uuid> = sqlx::query_scalar(OLD_JOBS)
                .bind(before)
                .bind(CHUNK_JOBS)
                .fetch_all(&self.pool)
                .await?;
            if old.is_empty() {
                return Ok(removed);
            }
            for job in old {
                loop {
                    let done =
                        sqlx::query(ROWS).bind(job).bind(CHUNK_ROWS).execute(&self.pool).await?;
                    removed += done.rows_affected();
                    if done.rows_affected() == 0 {
                        break;
                    }
                }
                sqlx::query(GONE).bind(job).execute(&self.pool).await?;
            }
        }
    }

    /// What a statement finds before a time, chunk by chunk.
    async fn prune_chunks(&self, sql: &'static str, before: DateTime<Utc>) -> sqlx::Result<u64> {
        let mut removed = 0;
        loop {
            let done = sqlx::query(sql).bind(before).bind(CHUNK_ROWS).execute(&self.pool).await?;
            removed += done.rows_affected();
            if done.rows_affected() == 0 {
                return Ok(removed);
            }
        }
    }
}
