//! Retention in PostgreSQL: the ledger rows of old jobs, in chunks.
//!
//! Next: [`crate::prune`].

use chrono::{DateTime, Utc};

use super::connection::PostgresStore;
use crate::error::Result;
use crate::prune::PRUNED;
use crate::sql::Sql;
use isobar_model::ids::JobId;

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
                    let rows = self.run(&ROWS, args![job, CHUNK_ROWS]).await?;
                    removed += rows;
                    if rows == 0 {
                        break;
                    }
                }
                self.run(&PRUNED, args![job]).await?;
            }
        }
    }

    /// Removes what a statement finds before a time, chunk by chunk; returns how many rows.
    pub(crate) async fn run_until_none(
        &self,
        sql: &'static Sql,
        before: DateTime<Utc>,
    ) -> Result<u64> {
        let mut removed = 0;
        loop {
            let rows = self.run(sql, args![before, CHUNK_ROWS]).await?;
            removed += rows;
            if rows == 0 {
                return Ok(removed);
            }
        }
    }
}
