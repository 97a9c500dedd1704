//! The request to cancel a job, recorded in the transaction that changes the job.

use super::connection::SqliteStore;
use super::query::{one, run};
use crate::error::Result;
use crate::job::JobStatus;
use crate::operations::{CANCEL, CancelOutcome, NewOperation, RECORD, STATUS};
use isobar_model::ids::JobId;

impl SqliteStore {
    pub(crate) async fn request_cancel(
        &self,
        id: JobId,
        operation: &NewOperation,
    ) -> Result<CancelOutcome> {
        let operation = operation.clone();
        self.transaction(move |tx| {
            if run(tx, &CANCEL, &args![id])? > 0 {
                run(tx, &RECORD, &operation.args())?;
                return Ok(CancelOutcome::Cancelling);
            }
            let found: Option<(JobId, JobStatus)> = one(tx, &STATUS, &args![id])?;
            Ok(found.map_or(CancelOutcome::Unknown, |(_, status)| CancelOutcome::Ended(status)))
        })
        .await
    }
}
