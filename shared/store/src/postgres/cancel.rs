//! The request to cancel a job, recorded in the transaction that changes the job.

use super::connection::PostgresStore;
use super::query::query;
use crate::error::Result;
use crate::operations::{CANCEL, CancelOutcome, NewOperation, RECORD, STATUS};
use crate::row::Row;
use isobar_model::ids::JobId;

impl PostgresStore {
    pub(crate) async fn request_cancel(
        &self,
        id: JobId,
        operation: &NewOperation,
    ) -> Result<CancelOutcome> {
        self.cancel(id, operation).await.map_err(|error| self.failed(error))
    }

    async fn cancel(&self, id: JobId, operation: &NewOperation) -> sqlx::Result<CancelOutcome> {
        let mut tx = self.begin().await?;
        if query(&CANCEL, args![id]).execute(&mut *tx).await?.rows_affected() > 0 {
            query(&RECORD, operation.args()).execute(&mut *tx).await?;
            tx.commit().await?;
            return Ok(CancelOutcome::Cancelling);
        }
        match query(&STATUS, args![id]).fetch_optional(&mut *tx).await? {
            Some(row) => row.get("status").map(CancelOutcome::Ended),
            None => Ok(CancelOutcome::Unknown),
        }
    }
}
