//! The first and the last control message of a job: its open and its seal.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::pipeline::PipelineName;
use crate::string_enum;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobOpen {
    pub job_id: JobId,
    pub job_kind: JobKind,
    /// Absent in messages from before there was a second pipeline.
    #[serde(default)]
    pub pipeline: PipelineName,
    /// The source's name for people: a file name, a URL without its query, `gazetteer`.
    pub source: String,
    pub slot: String,
    pub created_at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSeal {
    pub job_id: JobId,
    pub rows: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub outcome: SealOutcome,
    /// Why the source failed. Absent in messages of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
}

/// Why a job failed: a stable code, and one sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobError {
    pub code: String,
    pub detail: String,
}

impl JobError {
    /// Characters of a detail that are kept: it may quote a line of a file.
    const MAX_CHARS: usize = 1_000;

    pub fn new(code: &str, detail: &str) -> Self {
        let is_shown = |c: &char| !c.is_control() || *c == '\n';
        let detail = detail.chars().filter(is_shown).take(Self::MAX_CHARS).collect();
        Self { code: code.to_owned(), detail }
    }
}

string_enum! {
    /// How the extraction of a source ended.
    serde SealOutcome {
        /// It reached the end of the source.
        Complete = "complete",
        /// It could not reach the end of the source and will not resume.
        Failed = "failed",
        /// An operator cancelled the job; it has the rows that were extracted before.
        Cancelled = "cancelled",
    }
}

string_enum! {
    /// What started a job: `POST /api/sync/`, an upload, or `isobar produce`.
    serde JobKind { Sync = "sync", Import = "import", Produce = "produce" }
}
