//! The record of operations: appended, read newest first; and the wish to cancel a job, which is
//! recorded with what it changes.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::{PostgresStore, unreadable};
use crate::nul::without_nul;
use crate::{CancelAnswer, JobStatus, NewOperation, Operation, Result};
use isobar_model::ids::JobId;

sql! {
    RECORD = r"
INSERT INTO operations (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)
";
    CANCEL = r"
UPDATE jobs SET status = 'cancelling'
WHERE job_id = $1 AND status IN ('queued', 'running', 'cancelling')
";
    STATUS = "SELECT status FROM jobs WHERE job_id = $1";
    PAGE = r"
SELECT id, at, actor, action, subject, detail FROM operations
WHERE id < $1 ORDER BY id DESC LIMIT $2
";
}

pub(super) async fn record(tx: &mut PgConnection, operation: &NewOperation) -> sqlx::Result<()> {
    sqlx::query(RECORD)
        .bind(operation.at)
        .bind(without_nul(&operation.actor))
        .bind(operation.action.as_str())
        .bind(operation.subject.as_deref().map(without_nul))
        .bind(operation.detail.as_deref().map(without_nul))
        .execute(tx)
        .await
        .map(drop)
}

impl PostgresStore {
    pub async fn request_cancel(
        &self,
        id: JobId,
        operation: &NewOperation,
    ) -> Result<CancelAnswer> {
        self.cancel(id, operation).await.map_err(|error| self.failed(error))
    }

    async fn cancel(&self, id: JobId, operation: &NewOperation) -> sqlx::Result<CancelAnswer> {
        let mut tx = self.pool.begin().await?;
        let changed = sqlx::query(CANCEL).bind(id.0).execute(&mut *tx).await?.rows_affected();
        if changed > 0 {
            record(&mut tx, operation).await?;
            tx.commit().await?;
            return Ok(CancelAnswer::Cancelling);
        }
        let status: Option<String> =
            sqlx::query_scalar(STATUS).bind(id.0).fetch_optional(&mut *tx).await?;
        let Some(status) = status else {
            return Ok(CancelAnswer::Unknown);
        };
        match JobStatus::parse(&status) {
            Some(status) => Ok(CancelAnswer::Ended(status)),
            None => Err(unreadable(format!("status {status:?} of a job"))),
        }
    }

    pub async fn record_operation(&self, operation: &NewOperation) -> Result<()> {
        let recorded = async { record(&mut *self.pool.acquire().await?, operation).await };
        recorded.await.map_err(|error| self.failed(error))
    }

    pub async fn operations(&self, before: Option<i64>, limit: u32) -> Result<Vec<Operation>> {
        sqlx::query(PAGE)
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::from(limit))
            .fetch_all(&self.pool)
            .await
            .and_then(|rows| rows.iter().map(read).collect())
            .map_err(|error| self.failed(error))
    }
}

fn read(row: &PgRow) -> sqlx::Result<Operation> {
    Ok(Operation {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        subject: row.try_get("subject")?,
        detail: row.try_get("detail")?,
    })
}
