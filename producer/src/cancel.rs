//! Ends the extraction of a cancelled job, from whatever process.
//!
//! The job is sealed behind its last frozen batch. What is frozen stays and is sent: workers skip it,
//! and each row gets its line in the ledger, so a cancelled job balances like any other. A process
//! that is extracting finds at its next commit that the job is sealed, and ends; of two that seal,
//! one does.

use isobar_model::ids::JobId;
use isobar_model::task::SealOutcome;

use crate::batch::Draft;
use crate::extract::seal_early;
use crate::outbox::{JobState, Outbox};
use crate::source::SourceError;

/// How often a process that is extracting may be faster before this one comes through: it commits a
/// few times a second at most.
const TRIES: u32 = 50;

/// What became of the job in this outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It was being extracted, and is sealed now.
    Sealed,
    /// Its source had been read to the end: there is nothing to stop.
    Whole,
    /// It is not here.
    Unknown,
}

/// Seals the job if it is still being extracted; `who` cancelled it.
pub async fn cancel(outbox: &Outbox, id: JobId, who: &str) -> Result<Cancelled, SourceError> {
    for _ in 0..TRIES {
        let Some(job) = outbox.job(id).await? else {
            return Ok(Cancelled::Unknown);
        };
        if job.state != JobState::Extracting {
            return Ok(Cancelled::Whole);
        }
        let reason = format!("it was cancelled by {who}");
        let sealed =
            seal_early(outbox, &job, Draft::default(), (SealOutcome::Cancelled, &reason)).await;
        match sealed {
            Ok(()) => {
                tracing::info!(job_id = %id, by = who, rows = job.rows, "the job was cancelled");
                return Ok(Cancelled::Sealed);
            }
            // A batch came in between: the seal has to stand behind it.
            Err(SourceError::Taken) => {}
            Err(error) => return Err(error),
        }
    }
    Err(SourceError::Taken)
}
