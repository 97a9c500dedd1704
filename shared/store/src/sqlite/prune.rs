//! Retention in SQLite: the ledger rows of old jobs, in chunks.
//!
//! Next: [`crate::prune`].

use chrono::{DateTime, Utc};

use super::connection::SqliteStore;
use super::query::{one, run};
use crate::error::Result;
use crate::prune::{PRUNED, SQLITE_CHUNK};
use isobar_model::ids::JobId;

sql! {
    OLD_JOB = r"
UPDATE jobs SET ledger = 'going'
WHERE job_id = (
    SELECT job_id FROM jobs WHERE ledger <> 'gone' AND finished_at < $1
        AND (retried_at IS NULL OR retried_at < $1)
    ORDER BY finished_at LIMIT 1)
RETURNING job_id
";
    ROWS = r"
DELETE FROM job_tasks WHERE job_id = $1 AND task_id IN (
    SELECT task_id FROM job_tasks WHERE job_id = $1 LIMIT $2)
";
}

impl SqliteStore {
    pub(crate) async fn prune_ledger(&self, before: DateTime<Utc>) -> Result<u64> {
        let mut removed = 0;
        while let Some(rows) = self.prune_chunk(before).await? {
            removed += rows;
        }
        Ok(removed)
    }

    /// Removes one chunk of the oldest job; `None` when no job is old enough.
    async fn prune_chunk(&self, before: DateTime<Utc>) -> Result<Option<u64>> {
        self.transaction(move |tx| {
            let Some(job) = one::<JobId>(tx, &OLD_JOB, &args![before])? else {
                return Ok(None);
            };
            let removed = run(tx, &ROWS, &args![job, SQLITE_CHUNK])?;
            if removed == 0 {
                run(tx, &PRUNED, &args![job])?;
            }
            Ok(Some(removed))
        })
        .await
    }
}
