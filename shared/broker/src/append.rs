//! Batches: what a producer appends, and what the stream answers.
//!
//! Guarantees: plain values. The watermark of a job and the record of the batch decide about an
//! append, the same way in both backends (I1, I2).

use std::time::Duration;

use isobar_model::ids::JobId;

/// One frozen batch. Each payload is a JSON array of names and values in turn, exactly as the
/// outbox froze it.
#[derive(Clone, Copy, Debug)]
pub struct AppendBatch<'a> {
    pub job_id: JobId,
    /// Dense, from 1.
    pub seq: u64,
    /// The chained hash of this batch.
    pub hash: &'a str,
    /// The chained hash of the batch before it; empty before the first.
    pub previous_hash: &'a str,
    /// The lowest unconfirmed batch of this job. The job starts there if the stream has no
    /// watermark for it.
    pub floor: u64,
    pub high_water: u64,
    /// The outbox that publishes this job; empty for a job that only one outbox can have.
    pub outbox: &'a str,
    /// The rows of the whole list, with its last batch.
    pub total: Option<u64>,
    pub tasks: &'a [&'a str],
    pub control: &'a [&'a str],
}

/// How an append ended. Only `Sent` has written anything.
#[derive(Clone, Debug, PartialEq)]
pub enum AppendOutcome {
    Sent,
    /// The batch was appended before: it is finished, or entries of it are in the stream.
    Duplicate,
    /// A batch with another content has this number, or the number before it.
    Conflict,
    /// The batches before this one are missing; continue with `expected`.
    Gap {
        expected: u64,
    },
    /// The batch would exceed the high-water mark.
    Full {
        unfinished: u64,
    },
    /// Another outbox publishes this job, or has published it.
    Taken(Publisher),
}

/// The outbox that publishes a job, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    pub outbox: String,
    /// Its last batch, and the chained hash of that.
    pub seq: u64,
    pub hash: String,
    /// The rows of the whole list, once it is published to its end.
    pub total: Option<u64>,
    /// Since when it has said nothing of this job.
    pub silent: Duration,
}

/// What the stream knows of an appended batch, read in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchRecord {
    /// Its tasks and control messages.
    pub size: u64,
    /// Those that workers acknowledged while they were in the stream.
    pub acked: u64,
    /// Whether any of them is in the stream.
    pub is_left: bool,
}

impl BatchRecord {
    pub fn is_finished(&self) -> bool {
        self.acked >= self.size
    }

    /// Whether entries were removed without a worker, so that it will never be finished.
    pub fn is_lost(&self) -> bool {
        !self.is_finished() && !self.is_left
    }
}

/// The stream after a heal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealOutcome {
    pub epoch: String,
    /// Whether anything was missing.
    pub recreated: bool,
}
