//! The ledger: one row per finished task, let in once (I5), and read in pages.
//!
//! The primary key decides what is new, and counting happens in the statement that asks it: a
//! repeat counts nothing. A retry (`try` above 1) replaces a row of a lower try; its old row is
//! locked and read first, so that the counters move from what it really said.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{PostgresStore, column, unreadable};
use crate::account::Tally;
use crate::ledger::stored_try;
use crate::nul::without_nul;
use crate::{LedgerCursor, LedgerRow, Result, RowStatus};
use isobar_model::ids::{CityId, JobId, TaskId};

sql! {
    ENTER = r#"
WITH entered AS (
    INSERT INTO job_tasks (job_id, task_id, try, "row", city_id, city, status, error_code,
        last_error, attempts, input, finished_at, rejected, batch, entry)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::bigint[],
        $6::text[], $7::text[], $8::text[], $9::text[], $10::integer[], $11::text[],
        $12::timestamptz[], $13::boolean[], $14::bigint[], $15::text[])
    ON CONFLICT (job_id, task_id) DO NOTHING
    RETURNING job_id, status, rejected)
SELECT job_id, status, rejected, count(*) AS rows FROM entered GROUP BY job_id, status, rejected
"#;

    LOCK_LOWER_TRIES = r"
SELECT stored.job_id, stored.task_id, stored.status, stored.rejected
FROM job_tasks AS stored
JOIN unnest($1::uuid[], $2::uuid[], $3::integer[]) AS given (job_id, task_id, try)
    ON stored.job_id = given.job_id AND stored.task_id = given.task_id AND stored.try < given.try
ORDER BY stored.job_id, stored.task_id
FOR UPDATE OF stored
";

    REPLACE = r"
UPDATE job_tasks AS stored SET try = given.try, city_id = coalesce(given.city_id, stored.city_id),
    city = coalesce(given.city, stored.city), status = given.status,
    error_code = given.error_code, last_error = given.last_error, attempts = given.attempts,
    input = given.input, finished_at = given.finished_at, rejected = given.rejected,
    batch = given.batch, entry = given.entry
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::bigint[], $5::text[], $6::text[],
    $7::text[], $8::text[], $9::integer[], $10::text[], $11::timestamptz[], $12::boolean[],
    $13::bigint[], $14::text[])
    AS given (job_id, task_id, try, city_id, city, status, error_code, last_error, attempts,
        input, finished_at, rejected, batch, entry)
WHERE stored.job_id = given.job_id AND stored.task_id = given.task_id AND stored.try < given.try
";

    /// After the rank (row number, or above all where there is none) and the task.
    PAGE_OF_STATUS = r#"
WITH page AS (
    SELECT * FROM job_tasks
    WHERE job_id = $1 AND status = $2
        AND (coalesce("row", 9223372036854775807), task_id) > ($3, $4)
    ORDER BY coalesce("row", 9223372036854775807), task_id
    LIMIT $5)
SELECT page.job_id, page.task_id, page.try, page."row", page.city_id, page.city, page.status,
    page.error_code, page.last_error, page.attempts, page.input, page.finished_at, page.rejected,
    page.batch, page.entry, cities.last_refreshed_at
FROM page LEFT JOIN cities ON cities.id = page.city_id
ORDER BY coalesce(page."row", 9223372036854775807), page.task_id
"#;

    /// The three statuses merged, each from the index: a second index for the whole would cost
    /// every row a write more.
    PAGE = r#"
WITH page AS (
    (SELECT * FROM job_tasks WHERE job_id = $1 AND status = 'success'
        AND (coalesce("row", 9223372036854775807), task_id) > ($2, $3)
    ORDER BY coalesce("row", 9223372036854775807), task_id LIMIT $4)
    UNION ALL
    (SELECT * FROM job_tasks WHERE job_id = $1 AND status = 'failed'
        AND (coalesce("row", 9223372036854775807), task_id) > ($2, $3)
    ORDER BY coalesce("row", 9223372036854775807), task_id LIMIT $4)
    UNION ALL
    (SELECT * FROM job_tasks WHERE job_id = $1 AND status = 'skipped'
        AND (coalesce("row", 9223372036854775807), task_id) > ($2, $3)
    ORDER BY coalesce("row", 9223372036854775807), task_id LIMIT $4)
    ORDER BY 4 NULLS LAST, 2
    LIMIT $4)
SELECT page.job_id, page.task_id, page.try, page."row", page.city_id, page.city, page.status,
    page.error_code, page.last_error, page.attempts, page.input, page.finished_at, page.rejected,
    page.batch, page.entry, cities.last_refreshed_at
FROM page LEFT JOIN cities ON cities.id = page.city_id
ORDER BY page."row" NULLS LAST, page.task_id
"#;

    ROWS = r#"
SELECT page.job_id, page.task_id, page.try, page."row", page.city_id, page.city, page.status,
    page.error_code, page.last_error, page.attempts, page.input, page.finished_at, page.rejected,
    page.batch, page.entry, NULL::timestamptz AS last_refreshed_at
FROM unnest($1::uuid[], $2::uuid[]) AS given (job_id, task_id)
JOIN job_tasks AS page ON page.job_id = given.job_id AND page.task_id = given.task_id
"#;

    /// What a forgotten ledger held is not missed: its job had ended.
    MISSING = r"
SELECT given.task_id
FROM unnest($2::uuid[], $3::integer[]) WITH ORDINALITY AS given (task_id, try, place)
WHERE NOT EXISTS (
    SELECT 1 FROM job_tasks AS stored
    WHERE job_id = $1 AND stored.task_id = given.task_id AND stored.try >= given.try)
    AND NOT EXISTS (SELECT 1 FROM jobs WHERE job_id = $1 AND ledger <> 'kept')
ORDER BY given.place
";
}

/// Enters what is new, replaces what a retry supersedes, and tells the tally.
pub(super) async fn enter(
    tx: &mut PgConnection,
    ledger: &[LedgerRow],
    tally: &mut Tally,
) -> sqlx::Result<()> {
    if ledger.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<&LedgerRow> = ledger.iter().collect();
    rows.sort_unstable_by_key(|row| (row.job_id, row.task_id));
    let entered = sqlx::query(ENTER)
        .bind(column(&rows, |row| row.job_id.0))
        .bind(column(&rows, |row| row.task_id.0))
        .bind(column(&rows, LedgerRow::stored_try))
        .bind(column(&rows, LedgerRow::stored_row))
        .bind(column(&rows, |row| row.city_id.map(|id| id.0)))
        .bind(column(&rows, |row| row.city.as_deref()))
        .bind(column(&rows, |row| row.status.as_str()))
        .bind(column(&rows, |row| row.error_code.as_deref()))
        .bind(column(&rows, last_error))
        .bind(column(&rows, |row| row.attempts as i32))
        .bind(column(&rows, |row| row.kept_input()))
        .bind(column(&rows, |row| row.finished_at))
        .bind(column(&rows, |row| row.rejected))
        .bind(column(&rows, LedgerRow::stored_batch))
        .bind(column(&rows, |row| row.entry.as_deref()))
        .fetch_all(&mut *tx)
        .await?;
    for counted in entered {
        let job = JobId(counted.try_get("job_id")?);
        let (status, rejected) = said(&counted)?;
        tally.entered(job, status, rejected, counted.try_get("rows")?);
    }
    rows.retain(|row| row.try_number > 1);
    if !rows.is_empty() {
        replace(tx, &rows, tally).await?;
    }
    Ok(())
}

/// By now every row is there: entered just now, or before.
async fn replace(
    tx: &mut PgConnection,
    rows: &[&LedgerRow],
    tally: &mut Tally,
) -> sqlx::Result<()> {
    let lower = sqlx::query(LOCK_LOWER_TRIES)
        .bind(column(rows, |row| row.job_id.0))
        .bind(column(rows, |row| row.task_id.0))
        .bind(column(rows, LedgerRow::stored_try))
        .fetch_all(&mut *tx)
        .await?;
    let mut old = HashMap::with_capacity(lower.len());
    for row in lower {
        let key: (Uuid, Uuid) = (row.try_get("job_id")?, row.try_get("task_id")?);
        old.insert(key, said(&row)?);
    }
    let rows: Vec<&LedgerRow> = rows
        .iter()
        .copied()
        .filter(|row| old.contains_key(&(row.job_id.0, row.task_id.0)))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(REPLACE)
        .bind(column(&rows, |row| row.job_id.0))
        .bind(column(&rows, |row| row.task_id.0))
        .bind(column(&rows, LedgerRow::stored_try))
        .bind(column(&rows, |row| row.city_id.map(|id| id.0)))
        .bind(column(&rows, |row| row.city.as_deref()))
        .bind(column(&rows, |row| row.status.as_str()))
        .bind(column(&rows, |row| row.error_code.as_deref()))
        .bind(column(&rows, last_error))
        .bind(column(&rows, |row| row.attempts as i32))
        .bind(column(&rows, |row| row.kept_input()))
        .bind(column(&rows, |row| row.finished_at))
        .bind(column(&rows, |row| row.rejected))
        .bind(column(&rows, LedgerRow::stored_batch))
        .bind(column(&rows, |row| row.entry.as_deref()))
        .execute(tx)
        .await?;
    for row in rows {
        let old = old[&(row.job_id.0, row.task_id.0)];
        tally.replaced(row.job_id, old, (row.status, row.rejected));
    }
    Ok(())
}

impl PostgresStore {
    pub async fn ledger(
        &self,
        job: JobId,
        status: Option<RowStatus>,
        after: Option<LedgerCursor>,
        limit: u32,
    ) -> Result<Vec<LedgerRow>> {
        let (rank, task) = LedgerCursor::position(after);
        let query = match status {
            Some(status) => sqlx::query(PAGE_OF_STATUS).bind(job.0).bind(status.as_str()),
            None => sqlx::query(PAGE).bind(job.0),
        };
        query
            .bind(rank)
            .bind(task.0)
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn ledger_rows(&self, tasks: &[(JobId, TaskId)]) -> Result<Vec<LedgerRow>> {
        let (jobs, tasks): (Vec<Uuid>, Vec<Uuid>) =
            tasks.iter().map(|(job, task)| (job.0, task.0)).unzip();
        sqlx::query(ROWS)
            .bind(jobs)
            .bind(tasks)
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }

    pub async fn missing_from_ledger(
        &self,
        job: JobId,
        tasks: &[(TaskId, u32)],
    ) -> Result<Vec<TaskId>> {
        let (tasks, tries): (Vec<Uuid>, Vec<i32>) =
            tasks.iter().map(|(task, number)| (task.0, stored_try(*number))).unzip();
        sqlx::query_scalar(MISSING)
            .bind(job.0)
            .bind(tasks)
            .bind(tries)
            .fetch_all(&self.pool)
            .await
            .map(|missing| missing.into_iter().map(TaskId).collect())
            .map_err(|error| self.failed(error))
    }
}

fn last_error(row: &LedgerRow) -> Option<std::borrow::Cow<'_, str>> {
    row.last_error.as_deref().map(without_nul)
}

fn said(row: &PgRow) -> sqlx::Result<(RowStatus, bool)> {
    Ok((status(row)?, row.try_get("rejected")?))
}

fn status(row: &PgRow) -> sqlx::Result<RowStatus> {
    let name: &str = row.try_get("status")?;
    RowStatus::parse(name).ok_or_else(|| unreadable(format!("status {name:?} of a ledger row")))
}

fn read(row: &PgRow) -> sqlx::Result<LedgerRow> {
    Ok(LedgerRow {
        job_id: JobId(row.try_get("job_id")?),
        task_id: TaskId(row.try_get("task_id")?),
        try_number: row.try_get::<i32, _>("try")? as u32,
        row: row.try_get::<Option<i64>, _>("row")?.map(|n| n as u64),
        batch: row.try_get::<Option<i64>, _>("batch")?.map(|n| n as u64),
        entry: row.try_get("entry")?,
        city_id: row.try_get::<Option<i64>, _>("city_id")?.map(CityId),
        city: row.try_get("city")?,
        status: status(row)?,
        error_code: row.try_get("error_code")?,
        last_error: row.try_get("last_error")?,
        attempts: row.try_get::<i32, _>("attempts")? as u32,
        input: row.try_get("input")?,
        finished_at: row.try_get("finished_at")?,
        rejected: row.try_get("rejected")?,
        last_refreshed_at: row.try_get("last_refreshed_at")?,
    })
}
