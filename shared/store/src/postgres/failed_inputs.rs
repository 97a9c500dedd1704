//! Failed rows that can be published again, each with the dead letters of its task.
//!
//! One statement, so that row and letters are of one moment: a letter that is not among them came
//! from a later try and must stay.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::PostgresStore;
use crate::{FailedInput, LedgerCursor, Result};
use isobar_model::ids::{JobId, TaskId};

sql! {
    PAGE = r#"
SELECT failed.task_id, failed.try, failed."row", failed.input, ARRAY(
    SELECT id FROM dead_letters
    WHERE dead_letters.task_id = failed.task_id AND dead_letters.job_id = failed.job_id
    ORDER BY id) AS letters
FROM job_tasks AS failed
WHERE failed.job_id = $1 AND failed.status = 'failed' AND failed.input IS NOT NULL
    AND (coalesce(failed."row", 9223372036854775807), failed.task_id) > ($2, $3)
ORDER BY coalesce(failed."row", 9223372036854775807), failed.task_id
LIMIT $4
"#;
    COUNT = r"
SELECT count(*) FROM job_tasks WHERE job_id = $1 AND status = 'failed' AND input IS NOT NULL
";
}

impl PostgresStore {
    pub async fn failed_inputs(
        &self,
        job: JobId,
        after: Option<LedgerCursor>,
        limit: u32,
    ) -> Result<Vec<FailedInput>> {
        let (rank, task) = LedgerCursor::position(after);
        sqlx::query(PAGE)
            .bind(job.0)
            .bind(rank)
            .bind(task.0)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn count_failed_inputs(&self, job: JobId) -> Result<u64> {
        sqlx::query_scalar::<_, i64>(COUNT)
            .bind(job.0)
            .fetch_one(&self.pool)
            .await
            .map(|count| count as u64)
            .map_err(|error| self.failed(error))
    }
}

fn read(row: &PgRow) -> sqlx::Result<FailedInput> {
    Ok(FailedInput {
        row: row.try_get::<Option<i64>, _>("row")?.map(|n| n as u64),
        task_id: TaskId(row.try_get("task_id")?),
        try_number: row.try_get::<i32, _>("try")? as u32,
        input: row.try_get("input")?,
        letters: row.try_get("letters")?,
    })
}
