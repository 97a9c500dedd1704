//! Failed inputs: failed rows that can be republished, each with the dead letters of its task.
//!
//! Guarantees: row and letters are read by one statement, so they belong to one moment. A letter
//! that is not listed came from a later try and must stay.

use crate::error::Result;
use crate::ledger::LedgerCursor;
use crate::store::Store;
use isobar_model::ids::{JobId, TaskId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedInput {
    pub row: Option<u64>,
    pub task_id: TaskId,
    pub try_number: u32,
    /// The task's wire form as JSON.
    pub input: String,
    /// The dead letters of the task, oldest first.
    pub letters: Vec<i64>,
}

macro_rules! select {
    ($letters:literal) => {
        concat!(
            r#"
SELECT failed.task_id, failed.try, failed."row", failed.input, "#,
            $letters,
            r#" AS letters
FROM job_tasks AS failed
WHERE job_id = $1 AND status = 'failed' AND input IS NOT NULL AND NOT rejected
    AND (coalesce("row", 9223372036854775807), task_id) > ($2, $3)
ORDER BY coalesce("row", 9223372036854775807), task_id
LIMIT $4
"#
        )
    };
}

sql! {
    PAGE = select!(r"ARRAY(
    SELECT id FROM dead_letters
    WHERE dead_letters.task_id = failed.task_id AND dead_letters.job_id = failed.job_id
    ORDER BY id)") => select!(r"(
    SELECT json_group_array(id) FROM (
        SELECT id FROM dead_letters
        WHERE dead_letters.task_id = failed.task_id AND dead_letters.job_id = failed.job_id
        ORDER BY id))");
    COUNT = r"
SELECT count(*) AS count FROM job_tasks
WHERE job_id = $1 AND status = 'failed' AND input IS NOT NULL AND NOT rejected
";
}

row! { FailedInput { row, task_id, try_number: "try", input, letters } }

impl Store {
    /// Failed rows that kept their input, in the order of their rows, after `after`.
    pub async fn failed_inputs(
        &self,
        job: JobId,
        after: Option<LedgerCursor>,
        limit: u32,
    ) -> Result<Vec<FailedInput>> {
        let (rank, task) = LedgerCursor::position(after);
        self.all(&PAGE, args![job, rank, task, limit]).await
    }

    /// How many failed rows kept their input.
    pub async fn count_failed_inputs(&self, job: JobId) -> Result<u64> {
        self.count(&COUNT, args![job]).await
    }
}
