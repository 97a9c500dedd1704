//! The ledger: one row per finished task of a job, entered once (I5) and read in pages.
//!
//! The primary key `(job_id, task_id)` decides what is new. A retry (`try` above 1) replaces a row
//! of a lower try. Pages follow row numbers; rows without a number come last, by task id.
//!
//! Next: `ledger.rs` of each backend (how a commit enters rows), [`crate::failed_input`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::nul::strip_nul;
use crate::sql::Batch;
use crate::store::Store;
use crate::value::clamp_i64;
use isobar_model::ids::{CityId, JobId, TaskId};
use isobar_model::string_enum;

string_enum! {
    serde RowStatus { Success = "success", Failed = "failed", Skipped = "skipped" }
}

/// One finished task of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerRow {
    pub job_id: JobId,
    pub task_id: TaskId,
    pub try_number: u32,
    pub row: Option<u64>,
    /// The batch that brought the task, for a city's timeline.
    pub batch: Option<u64>,
    /// The task's entry in the stream, for a city's timeline.
    pub entry: Option<String>,
    pub city_id: Option<CityId>,
    pub city: Option<String>,
    pub status: RowStatus,
    pub error_code: Option<String>,
    pub last_error: Option<String>,
    pub attempts: u32,
    /// The task's wire form as JSON; stored for a failed row only, so that it can be republished.
    pub input: Option<String>,
    pub finished_at: DateTime<Utc>,
    /// A source row that never became a task: counted in `rejected` too.
    pub rejected: bool,
    /// From the city's state when read; ignored when written.
    pub last_refreshed_at: Option<DateTime<Utc>>,
}

/// The end of a page of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerCursor {
    pub row: Option<u64>,
    pub task_id: TaskId,
}

impl LedgerCursor {
    /// The rank of rows without a number: after all others.
    const UNNUMBERED: i64 = i64::MAX;

    /// Where the next page starts, by the ledger's index; `None` is the start.
    pub(crate) fn position(after: Option<Self>) -> (i64, TaskId) {
        match after {
            None => (i64::MIN, TaskId(uuid::Uuid::nil())),
            Some(Self { row, task_id }) => (row.map_or(Self::UNNUMBERED, clamp_i64), task_id),
        }
    }
}

macro_rules! select {
    ($last_refreshed_at:literal, $rest:literal) => {
        concat!(
            r#"
SELECT page.job_id, page.task_id, page.try, page."row", page.city_id, page.city, page.status,
    page.error_code, page.last_error, page.attempts, page.input, page.finished_at, page.rejected,
    page.batch, page.entry, "#,
            $last_refreshed_at,
            $rest
        )
    };
}

/// A job that has ended takes in no further row, whatever arrives.
macro_rules! where_not_ended {
    () => {
        r"WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.job_id = given.job_id
    AND jobs.sealed IS NOT NULL AND jobs.status IN ('done', 'failed', 'cancelled'))"
    };
}
pub(crate) use where_not_ended;

sql! {
    PAGE_OF_STATUS = select!("cities.last_refreshed_at", r#"
FROM (SELECT * FROM job_tasks
    WHERE job_id = $1 AND (coalesce("row", 9223372036854775807), task_id) > ($2, $3)
        AND status = $5
    ORDER BY coalesce("row", 9223372036854775807), task_id LIMIT $4) AS page
LEFT JOIN cities ON cities.id = page.city_id
ORDER BY page."row" NULLS LAST, page.task_id
"#);
    /// Merges the three statuses, each from the index: a second index for the whole ledger would
    /// cost every row one more write.
    PAGE = select!("cities.last_refreshed_at", r#"
FROM (
    SELECT * FROM (SELECT * FROM job_tasks WHERE job_id = $1 AND status = 'success'
        AND (coalesce("row", 9223372036854775807), task_id) > ($2, $3)
        ORDER BY coalesce("row", 9223372036854775807), task_id LIMIT $4) AS succeeded
    UNION ALL
    SELECT * FROM (SELECT * FROM job_tasks WHERE job_id = $1 AND status = 'failed'
        AND (coalesce("row", 9223372036854775807), task_id) > ($2, $3)
        ORDER BY coalesce("row", 9223372036854775807), task_id LIMIT $4) AS failed
    UNION ALL
    SELECT * FROM (SELECT * FROM job_tasks WHERE job_id = $1 AND status = 'skipped'
        AND (coalesce("row", 9223372036854775807), task_id) > ($2, $3)
        ORDER BY coalesce("row", 9223372036854775807), task_id LIMIT $4) AS skipped
    ORDER BY 4 NULLS LAST, 2
    LIMIT $4) AS page
LEFT JOIN cities ON cities.id = page.city_id
ORDER BY page."row" NULLS LAST, page.task_id
"#);
    ROWS((JobId, TaskId)) = select!("NULL::timestamptz AS last_refreshed_at", r"
FROM given JOIN job_tasks AS page ON page.job_id = given.job_id AND page.task_id = given.task_id
");
    /// The jobs of those tasks that have no row.
    LATE((JobId, TaskId)) = r"
SELECT given.job_id FROM given
WHERE NOT EXISTS (
    SELECT 1 FROM job_tasks AS stored
    WHERE stored.job_id = given.job_id AND stored.task_id = given.task_id)
";
    /// The ledger of a pruned job is not missed: the job had ended.
    MISSING(ExpectedTask) = r"
SELECT given.task_id FROM given
WHERE NOT EXISTS (
    SELECT 1 FROM job_tasks AS stored
    WHERE stored.job_id = given.job_id AND stored.task_id = given.task_id
        AND stored.try >= given.try)
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.job_id = given.job_id AND ledger <> 'kept')
ORDER BY given.place
";
    /// Replaces rows of lower tries. A retry that does not know its city keeps the stored one.
    REPLACE(LedgerRow) = r"
UPDATE job_tasks AS stored SET try = given.try, city_id = coalesce(given.city_id, stored.city_id),
    city = coalesce(given.city, stored.city), status = given.status,
    error_code = given.error_code, last_error = given.last_error, attempts = given.attempts,
    input = given.input, finished_at = given.finished_at, rejected = given.rejected,
    batch = given.batch, entry = given.entry
FROM given
WHERE stored.job_id = given.job_id AND stored.task_id = given.task_id AND stored.try < given.try
";
}

given! { LedgerRow as row {
    job_id: uuid = row.job_id,
    task_id: uuid = row.task_id,
    try: integer = row.try_number,
    row: bigint = row.row,
    city_id: bigint = row.city_id,
    city: text = &row.city,
    status: text = row.status.as_str(),
    error_code: text = &row.error_code,
    last_error: text = row.last_error.as_deref().map(strip_nul),
    attempts: integer = row.attempts,
    input: text = row.input.as_deref().filter(|_| row.status == RowStatus::Failed),
    finished_at: timestamptz = row.finished_at,
    rejected: boolean = row.rejected,
    batch: bigint = row.batch,
    entry: text = &row.entry,
} }

given! { (JobId, TaskId) as task {
    job_id: uuid = task.0,
    task_id: uuid = task.1,
} }

/// A task that the ledger should have, at `place` of the caller's list.
struct ExpectedTask {
    job_id: JobId,
    task_id: TaskId,
    try_number: u32,
    place: u64,
}

given! { ExpectedTask as task {
    job_id: uuid = task.job_id,
    task_id: uuid = task.task_id,
    try: integer = task.try_number,
    place: bigint = task.place,
} }

column! {
    RowStatus: String | String, |word| RowStatus::parse(&word);
}

row! { LedgerRow {
    job_id, task_id, try_number: "try", row, batch, entry, city_id, city, status, error_code,
    last_error, attempts, input, finished_at, rejected, last_refreshed_at,
} }

impl Store {
    /// Finished tasks in the order of their rows, after `after`. A deep page costs no more than
    /// the first.
    pub async fn ledger(
        &self,
        job: JobId,
        status: Option<RowStatus>,
        after: Option<LedgerCursor>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>> {
        let (rank, task) = LedgerCursor::position(after);
        match status {
            Some(status) => {
                self.all(&PAGE_OF_STATUS, args![job, rank, task, limit, status.as_str()]).await
            }
            None => self.all(&PAGE, args![job, rank, task, limit]).await,
        }
    }

    /// The ledger rows of these tasks; tasks without a row are absent.
    pub async fn ledger_rows(&self, tasks: &[(JobId, TaskId)]) -> Result<Vec<LedgerRow>> {
        self.lookup(Batch::new(&ROWS, tasks)).await
    }

    /// Those of `tasks` that have no ledger row of their try or a higher one. None of a job whose
    /// ledger was pruned.
    pub async fn missing_from_ledger(
        &self,
        job_id: JobId,
        tasks: &[(TaskId, u32)],
    ) -> Result<Vec<TaskId>> {
        let expected = tasks.iter().zip(0..);
        let expected: Vec<ExpectedTask> = expected
            .map(|(&(task_id, try_number), place)| ExpectedTask {
                job_id,
                task_id,
                try_number,
                place,
            })
            .collect();
        self.lookup(Batch::new(&MISSING, &expected)).await
    }
}
