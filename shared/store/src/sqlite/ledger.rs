//! The ledger: one row per finished task, let in once (I5), and read in pages.
//!
//! The primary key decides what is new; a repeat counts nothing. A retry (`try` above 1) replaces
//! a row of a lower try, and the counters move from what the old row said.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::SqliteStore;
use super::columns::{Id, Time, word};
use crate::account::Tally;
use crate::ledger::stored_try;
use crate::nul::without_nul;
use crate::{LedgerCursor, LedgerRow, Result, RowStatus};
use isobar_model::ids::{CityId, JobId, TaskId};

sql! {
    ENTER = r#"
INSERT INTO job_tasks (job_id, task_id, try, "row", city_id, city, status, error_code, last_error,
    attempts, input, finished_at, rejected, batch, entry)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
ON CONFLICT (job_id, task_id) DO NOTHING
"#;
    LOWER_TRY = r"
SELECT status, rejected FROM job_tasks WHERE job_id = ?1 AND task_id = ?2 AND try < ?3
";
    REPLACE = r"
UPDATE job_tasks SET try = ?3, city_id = coalesce(?4, city_id), city = coalesce(?5, city),
    status = ?6, error_code = ?7, last_error = ?8, attempts = ?9, input = ?10, finished_at = ?11,
    rejected = ?12, batch = ?13, entry = ?14
WHERE job_id = ?1 AND task_id = ?2
";
    PAGE_OF_STATUS = r"
SELECT page.*, cities.last_refreshed_at
FROM (SELECT * FROM job_tasks
    WHERE job_id = ?1 AND status = ?5 AND (rank, task_id) > (?2, ?3)
    ORDER BY rank, task_id LIMIT ?4) AS page
LEFT JOIN cities ON cities.id = page.city_id
ORDER BY page.rank, page.task_id
";
    /// The three statuses merged, each from the index: a second index for the whole would cost
    /// every row a write more.
    PAGE = r"
SELECT page.*, cities.last_refreshed_at
FROM (SELECT * FROM (SELECT * FROM job_tasks
        WHERE job_id = ?1 AND status = 'success' AND (rank, task_id) > (?2, ?3)
        ORDER BY rank, task_id LIMIT ?4)
    UNION ALL SELECT * FROM (SELECT * FROM job_tasks
        WHERE job_id = ?1 AND status = 'failed' AND (rank, task_id) > (?2, ?3)
        ORDER BY rank, task_id LIMIT ?4)
    UNION ALL SELECT * FROM (SELECT * FROM job_tasks
        WHERE job_id = ?1 AND status = 'skipped' AND (rank, task_id) > (?2, ?3)
        ORDER BY rank, task_id LIMIT ?4)
    ORDER BY rank, task_id LIMIT ?4) AS page
LEFT JOIN cities ON cities.id = page.city_id
ORDER BY page.rank, page.task_id
";
    ROW = r"
SELECT *, NULL AS last_refreshed_at FROM job_tasks WHERE job_id = ?1 AND task_id = ?2
";
    /// What a forgotten ledger held is not missed: its job had ended.
    IS_THERE = r"
SELECT 1 FROM job_tasks WHERE job_id = ?1 AND task_id = ?2 AND try >= ?3
UNION ALL SELECT 1 FROM jobs WHERE job_id = ?1 AND ledger <> 'kept'
";
}

/// Enters what is new, replaces what a retry supersedes, and tells the tally.
pub(super) fn enter(
    tx: &Transaction<'_>,
    ledger: &[LedgerRow],
    tally: &mut Tally,
) -> rusqlite::Result<()> {
    let mut enter = tx.prepare_cached(ENTER)?;
    let mut rows: Vec<&LedgerRow> = ledger.iter().collect();
    rows.sort_unstable_by_key(|row| (row.job_id, row.task_id));
    for row in rows {
        let new = enter.execute(params![
            Id(row.job_id.0),
            Id(row.task_id.0),
            row.stored_try(),
            row.stored_row(),
            row.city_id.map(|id| id.0),
            row.city,
            row.status.as_str(),
            row.error_code,
            row.last_error.as_deref().map(without_nul),
            row.attempts,
            row.kept_input(),
            Time(row.finished_at),
            row.rejected,
            row.stored_batch(),
            row.entry,
        ])?;
        if new == 1 {
            tally.entered(row.job_id, row.status, row.rejected, 1);
        } else if row.try_number > 1 {
            replace(tx, row, tally)?;
        }
    }
    Ok(())
}

fn replace(tx: &Transaction<'_>, row: &LedgerRow, tally: &mut Tally) -> rusqlite::Result<()> {
    let lower = tx
        .prepare_cached(LOWER_TRY)?
        .query_row(params![Id(row.job_id.0), Id(row.task_id.0), row.stored_try()], |old| {
            Ok((word(old, "status", RowStatus::parse)?, old.get("rejected")?))
        })
        .optional()?;
    let Some(old) = lower else {
        return Ok(());
    };
    tx.prepare_cached(REPLACE)?.execute(params![
        Id(row.job_id.0),
        Id(row.task_id.0),
        row.stored_try(),
        row.city_id.map(|id| id.0),
        row.city,
        row.status.as_str(),
        row.error_code,
        row.last_error.as_deref().map(without_nul),
        row.attempts,
        row.kept_input(),
        Time(row.finished_at),
        row.rejected,
        row.stored_batch(),
        row.entry,
    ])?;
    tally.replaced(row.job_id, old, (row.status, row.rejected));
    Ok(())
}

impl SqliteStore {
    pub async fn ledger(
        &self,
        job: JobId,
        status: Option<RowStatus>,
        after: Option<LedgerCursor>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>> {
        let (rank, task) = LedgerCursor::position(after);
        self.read(move |db| {
            let (job, task) = (Id(job.0), Id(task.0));
            match status {
                Some(status) => db
                    .prepare_cached(PAGE_OF_STATUS)?
                    .query_map(params![job, rank, task, limit, status.as_str()], read)?
                    .collect(),
                None => db
                    .prepare_cached(PAGE)?
                    .query_map(params![job, rank, task, limit], read)?
                    .collect(),
            }
        })
        .await
    }

    pub async fn ledger_rows(&self, tasks: &[(JobId, TaskId)]) -> Result<Vec<LedgerRow>> {
        let tasks = tasks.to_vec();
        self.read(move |db| {
            let mut row = db.prepare_cached(ROW)?;
            let mut found = Vec::new();
            for (job, task) in tasks {
                found.extend(row.query_row(params![Id(job.0), Id(task.0)], read).optional()?);
            }
            Ok(found)
        })
        .await
    }

    pub async fn missing_from_ledger(
        &self,
        job: JobId,
        tasks: &[(TaskId, u32)],
    ) -> Result<Vec<TaskId>> {
        let mut tasks = tasks.to_vec();
        self.read(move |db| {
            let mut is_there = db.prepare_cached(IS_THERE)?;
            let mut failure = None;
            tasks.retain(|(task, number)| {
                let there = is_there.exists(params![Id(job.0), Id(task.0), stored_try(*number)]);
                !there.unwrap_or_else(|error| {
                    failure = Some(error);
                    false
                })
            });
            failure.map_or_else(|| Ok(tasks.into_iter().map(|(task, _)| task).collect()), Err)
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<LedgerRow> {
    Ok(LedgerRow {
        job_id: JobId(row.get::<_, Id>("job_id")?.0),
        task_id: TaskId(row.get::<_, Id>("task_id")?.0),
        try_number: row.get("try")?,
        row: row.get::<_, Option<i64>>("row")?.map(|n| n as u64),
        batch: row.get::<_, Option<i64>>("batch")?.map(|n| n as u64),
        entry: row.get("entry")?,
        city_id: row.get::<_, Option<i64>>("city_id")?.map(CityId),
        city: row.get("city")?,
        status: word(row, "status", RowStatus::parse)?,
        error_code: row.get("error_code")?,
        last_error: row.get("last_error")?,
        attempts: row.get("attempts")?,
        input: row.get("input")?,
        finished_at: row.get::<_, Time>("finished_at")?.0,
        rejected: row.get("rejected")?,
        last_refreshed_at: row.get::<_, Option<Time>>("last_refreshed_at")?.map(|time| time.0),
    })
}
