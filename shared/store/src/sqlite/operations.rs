//! The record of operations: appended, read newest first; and the wish to cancel a job, which is
//! recorded with what it changes.

use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::SqliteStore;
use super::columns::{Id, Time, word};
use crate::nul::without_nul;
use crate::{CancelAnswer, JobStatus, NewOperation, Operation, Result};
use isobar_model::ids::JobId;

sql! {
    RECORD = r"
INSERT INTO operations (at, actor, action, subject, detail) VALUES (?1, ?2, ?3, ?4, ?5)
";
    CANCEL = r"
UPDATE jobs SET status = 'cancelling'
WHERE job_id = ?1 AND status IN ('queued', 'running', 'cancelling')
";
    STATUS = "SELECT status FROM jobs WHERE job_id = ?1";
    PAGE = "SELECT * FROM operations WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
}

pub(super) fn record(tx: &Transaction<'_>, operation: &NewOperation) -> rusqlite::Result<()> {
    tx.prepare_cached(RECORD)?.execute(params![
        Time(operation.at),
        without_nul(&operation.actor),
        operation.action.as_str(),
        operation.subject.as_deref().map(without_nul),
        operation.detail.as_deref().map(without_nul),
    ])?;
    Ok(())
}

impl SqliteStore {
    pub async fn request_cancel(
        &self,
        id: JobId,
        operation: &NewOperation,
    ) -> Result<CancelAnswer> {
        let operation = operation.clone();
        self.write(move |tx| {
            if tx.prepare_cached(CANCEL)?.execute([Id(id.0)])? > 0 {
                record(tx, &operation)?;
                return Ok(CancelAnswer::Cancelling);
            }
            let status = tx
                .prepare_cached(STATUS)?
                .query_row([Id(id.0)], |row| word(row, "status", JobStatus::parse))
                .optional()?;
            Ok(status.map_or(CancelAnswer::Unknown, CancelAnswer::Ended))
        })
        .await
    }

    pub async fn record_operation(&self, operation: &NewOperation) -> Result<()> {
        let operation = operation.clone();
        self.write(move |tx| record(tx, &operation)).await
    }

    pub async fn operations(&self, before: Option<i64>, limit: u32) -> Result<Vec<Operation>> {
        self.read(move |db| {
            db.prepare_cached(PAGE)?
                .query_map(params![before.unwrap_or(i64::MAX), limit], read)?
                .collect()
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Operation> {
    Ok(Operation {
        id: row.get("id")?,
        at: row.get::<_, Time>("at")?.0,
        actor: row.get("actor")?,
        action: row.get("action")?,
        subject: row.get("subject")?,
        detail: row.get("detail")?,
    })
}
