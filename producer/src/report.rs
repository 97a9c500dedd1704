//! The report of a run: what `isobar produce --json` prints.
//!
//! Next: [`last_run`](crate::last_run), which stores it in the broker.

use isobar_model::ids::JobId;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    pub job_id: JobId,
    pub source: String,
    pub slot: String,
    pub rows: u64,
    pub tasks: u64,
    pub rejected: u64,
    pub duplicates: u64,
    /// Tasks of this job that this run appended to the stream.
    pub published: u64,
    pub batches: u64,
    /// Tasks that are in the outbox but not in the stream.
    pub unsent: u64,
    /// Why nothing of this list is published, if another host has published another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded: Option<String>,
    /// Whether an earlier run began this job, or one of the same source before it.
    pub resumed: bool,
    pub elapsed_ms: u64,
}
