//! An accepted job: it will be done, whatever happens to this process.
//!
//! Next: `api/src/resources/bulk/import.rs`, which adds it to the store at once.

use chrono::{DateTime, Utc};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;
use isobar_store::NewJob as NewStoredJob;

use crate::outbox::OutboxJob;
use crate::spool::SpooledUpload;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcceptedJob {
    pub job_id: JobId,
    pub kind: JobKind,
    pub pipeline: PipelineName,
    pub source: String,
    pub created_at: DateTime<Utc>,
    /// False if the job existed before.
    pub is_new: bool,
}

impl AcceptedJob {
    pub(super) fn new(job: OutboxJob, is_new: bool) -> Self {
        Self {
            job_id: job.job_id,
            kind: job.kind,
            pipeline: job.spec.pipeline,
            source: job.source,
            created_at: job.created_at,
            is_new,
        }
    }

    /// The same upload, which another host has accepted.
    pub(super) fn of_other_host(upload: &SpooledUpload) -> Self {
        Self {
            job_id: upload.job_id,
            kind: JobKind::Import,
            pipeline: upload.spec.pipeline,
            source: upload.spec.label(),
            created_at: upload.created_at,
            is_new: false,
        }
    }
}

impl From<AcceptedJob> for NewStoredJob {
    fn from(job: AcceptedJob) -> Self {
        Self {
            id: job.job_id,
            kind: job.kind,
            pipeline: job.pipeline,
            source: job.source,
            created_at: job.created_at,
        }
    }
}
