//! Retention in PostgreSQL: the ledger rows of old jobs, in chunks.
//!
//! Next: [`crate::prune`].

use chrono::{DateTime, Utc};

use super::connection::PostgresStore;
use crate::error::Result;
use crate::prune::{POSTGRES_CHUNK, PRUNED};
use isobar_model::ids::JobId;

/// Jobs that one pass marks.
const CHUNK_JOBS: i64 = 100;

sql! {
    OLD_JOBS = r"
UPDATE jobs SET ledger = 'going'
WHERE job_id IN (
    SELECT job_id FROM jobs WHERE ledger <> 'gone' AND finished_at < $1
        AND (retried_at IS NULL OR retried_at < $1)
    ORDER BY finished_at LIMIT $2)
RETURNING job_id
";
    ROWS = r"
DELETE FROM job_tasks WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM job_tasks WHERE job_id = $1 LIMIT $2))
";
}

impl PostgresStore {
    pub(crate) async fn prune_ledger(&self, before: DateTime<Utc>) -> Result<u64> {
        let mut removed = 0;
        loop {
            let old: Vec<JobId> = self.all(&OLD_JOBS, args![before, CHUNK_JOBS]).await?;
            if old.is_empty() {
                return Ok(removed);
            }
            for job in old {
                loop {
                    let rows = self.run(&ROWS, args![job, POSTGRES_CHUNK]).await?;
                    removed += rows;
                    if rows == 0 {
                        break;
                    }
                }
                self.run(&PRUNED, args![job]).await?;
            }
        }
    }
}
