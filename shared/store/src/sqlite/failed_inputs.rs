//! Failed rows that can be published again, each with the dead letters of its task.
//!
//! One statement, so that row and letters are of one moment: a letter that is not among them came
//! from a later try and must stay.

use rusqlite::{Row, params};

use super::SqliteStore;
use super::columns::Id;
use crate::{FailedInput, LedgerCursor, Result};
use isobar_model::ids::{JobId, TaskId};

sql! {
    PAGE = r#"
SELECT failed.task_id, failed.try, failed."row", failed.input, (
    SELECT json_group_array(id) FROM (
        SELECT id FROM dead_letters
        WHERE dead_letters.task_id = failed.task_id AND dead_letters.job_id = failed.job_id
        ORDER BY id)) AS letters
FROM job_tasks AS failed
WHERE failed.job_id = ?1 AND failed.status = 'failed' AND failed.input IS NOT NULL
    AND (failed.rank, failed.task_id) > (?2, ?3)
ORDER BY failed.rank, failed.task_id
LIMIT ?4
"#;
    COUNT = r"
SELECT count(*) FROM job_tasks WHERE job_id = ?1 AND status = 'failed' AND input IS NOT NULL
";
}

impl SqliteStore {
    pub async fn failed_inputs(
        &self,
        job: JobId,
        after: Option<LedgerCursor>,
        limit: u32,
    ) -> Result<Vec<FailedInput>> {
        let (rank, task) = LedgerCursor::position(after);
        self.read(move |db| {
            db.prepare_cached(PAGE)?
                .query_map(params![Id(job.0), rank, Id(task.0), limit], read)?
                .collect()
        })
        .await
    }

    pub async fn count_failed_inputs(&self, job: JobId) -> Result<u64> {
        self.read(move |db| {
            let counted = db.prepare_cached(COUNT)?.query_row([Id(job.0)], |row| row.get(0));
            counted.map(|count: i64| count as u64)
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<FailedInput> {
    let letters: String = row.get("letters")?;
    Ok(FailedInput {
        row: row.get::<_, Option<i64>>("row")?.map(|n| n as u64),
        task_id: TaskId(row.get::<_, Id>("task_id")?.0),
        try_number: row.get("try")?,
        input: row.get("input")?,
        letters: serde_json::from_str(&letters).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                4,
                rusqlite::types::Type::Text,
                Box::new(error),
            )
        })?,
    })
}
