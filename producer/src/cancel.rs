//! Cancellation: ends the extraction of a cancelled job, from any process.
//!
//! The job is sealed behind its last frozen batch. Frozen batches are still sent; workers skip their
//! tasks, and each row gets its entry in the ledger.
//!
//! Guarantees: the counters of a cancelled job balance like those of any other. A process that is
//! extracting the job ends at its next commit. Of two processes that seal the job, one succeeds.

use isobar_model::ids::JobId;
use isobar_model::task::{JobError, SealOutcome};

use crate::batch::BatchDraft;
use crate::extract::seal;
use crate::outbox::{Outbox, OutboxJobState};
use crate::source::SourceError;

/// Attempts to seal between two commits of an extracting process, which commits a few times a second.
const TRIES: u32 = 50;

/// The result of a cancellation in this outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It was being extracted and is now sealed.
    Sealed,
    /// Its source was already read to the end.
    Whole,
    /// It is not in this outbox.
    Unknown,
}

/// Seals the job if it is still being extracted; `who` is recorded as the author.
pub async fn cancel(outbox: &Outbox, id: JobId, who: &str) -> Result<Cancelled, SourceError> {
    for _ in 0..TRIES {
        let Some(mut job) = outbox.job(id).await? else {
            return Ok(Cancelled::Unknown);
        };
        if job.state != OutboxJobState::Extracting {
            return Ok(Cancelled::Whole);
        }
        let reason = JobError::new("cancelled", &format!("it was cancelled by {who}"));
        let sealed = (SealOutcome::Cancelled, Some(reason));
        match seal(outbox, &mut job, BatchDraft::default(), sealed).await {
            Ok(()) => {
                tracing::info!(job_id = %id, by = who, rows = job.rows, "the job was cancelled");
                return Ok(Cancelled::Sealed);
            }
            // Another batch was committed first: the seal must follow it.
            Err(SourceError::Taken) => {}
            Err(error) => return Err(error),
        }
    }
    Err(SourceError::Taken)
}
