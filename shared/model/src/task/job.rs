//! The first and the last control message of a job: its open and its seal.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::JobId;
use crate::pipeline::PipelineName;

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
}

/// How the extraction of a source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SealOutcome {
    /// It reached the end of the source.
    Complete,
    /// It could not reach the end of the source and will not resume.
    Failed,
    /// An operator cancelled the job; it has the rows that were extracted before.
    Cancelled,
}

impl SealOutcome {
    pub const ALL: [Self; 3] = [Self::Complete, Self::Failed, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// What started a job: `POST /api/sync/`, an upload, or `isobar produce`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    Sync,
    Import,
    Produce,
}

impl JobKind {
    pub const ALL: [Self; 3] = [Self::Sync, Self::Import, Self::Produce];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Import => "import",
            Self::Produce => "produce",
        }
    }
}
