//! Batches: what a producer appends, and what the stream answers.
//!
//! Guarantees: plain values. The watermark of a job decides about an append, the same way in both
//! backends (I1, I2).

use std::collections::HashMap;

use isobar_model::ids::JobId;
use serde::{Deserialize, Serialize};

use crate::lane::EntryId;

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
    pub tasks: &'a [&'a str],
    pub control: &'a [&'a str],
}

/// How an append ended. Only `Sent` has written anything.
#[derive(Clone, Debug, PartialEq)]
pub enum AppendOutcome {
    Sent(Receipt),
    /// The batch was appended before; the receipt spans where its entries may still be.
    Duplicate(Receipt),
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
}

/// Where in the stream a batch is, and in which epoch of the stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub epoch: String,
    pub tasks: Option<EntryRange>,
    pub control: Option<EntryRange>,
}

/// First and last entry, both included.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryRange {
    pub first: EntryId,
    pub last: EntryId,
}

/// The stream after a heal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealOutcome {
    pub epoch: String,
    /// Whether anything was missing.
    pub recreated: bool,
}

/// The last batch of each job in this epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watermarks {
    /// `None` when the stream does not exist.
    pub epoch: Option<String>,
    pub last_seq: HashMap<JobId, u64>,
}
