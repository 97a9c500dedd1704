//! Jobs: rows and states; what creates, ends and lists them.
//!
//! A worker may hear of a job first by a task, its seal or its open: the first message makes the
//! row. Counters are written by a commit alone, in the ledger's transaction (I3).
//!
//! Next: [`crate::account`] (how a commit changes a job).

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::nul::strip_nul;
use crate::row::{FromRow, Row};
use crate::store::Store;
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::string_enum;
use isobar_model::task::{JobError, JobKind};

string_enum! {
    serde JobStatus {
        Queued = "queued",
        Running = "running",
        Done = "done",
        Failed = "failed",
        Cancelling = "cancelling",
        Cancelled = "cancelled"
    }
}

impl JobStatus {
    /// Nothing changes any more, except by a retry of failed rows.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// Workers skip its tasks.
    pub fn skips_tasks(self) -> bool {
        matches!(self, Self::Cancelling | Self::Cancelled)
    }
}

#[derive(Clone, Debug)]
pub struct NewJob {
    pub id: JobId,
    pub kind: JobKind,
    pub pipeline: PipelineName,
    pub source: String,
    pub created_at: DateTime<Utc>,
}

/// A job and its counters: `total = succeeded + failed + skipped + open` after the seal (I5).
#[derive(Clone, Debug, PartialEq)]
pub struct JobRow {
    pub id: JobId,
    pub kind: JobKind,
    pub pipeline: PipelineName,
    pub source: String,
    pub status: JobStatus,
    /// Source rows; unknown until the job is sealed.
    pub total: Option<u64>,
    pub processed: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    /// Part of `failed`.
    pub rejected: u64,
    /// Part of `skipped`, counted at the seal.
    pub duplicates: u64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub error_code: Option<String>,
    pub error_detail: Option<String>,
}

impl JobRow {
    /// Why its source failed, if it did.
    pub fn error(&self) -> Option<JobError> {
        let code = self.error_code.clone()?;
        Some(JobError { code, detail: self.error_detail.clone().unwrap_or_default() })
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            r"
SELECT job_id, kind, pipeline, source, status, total, processed, succeeded, failed, skipped,
    rejected, duplicates, created_at, started_at, finished_at, error_code, error_detail
FROM jobs",
            $rest
        )
    };
}

sql! {
    JOB = select!(" WHERE job_id = $1");
    NEWEST = select!(" ORDER BY created_at DESC, job_id DESC LIMIT $1");
    OLDER = select!(r"
WHERE (created_at, job_id) < ($2, $3) ORDER BY created_at DESC, job_id DESC LIMIT $1
");
    FAILED_SOURCES = select!(r"
WHERE status = 'failed' AND error_code IS NOT NULL ORDER BY created_at DESC, job_id DESC LIMIT $1
");
    STATUSES = "SELECT job_id, status FROM jobs WHERE job_id = ANY($1::uuid[])";
    CREATE = r"
INSERT INTO jobs AS stored (job_id, kind, source, status, created_at, known, pipeline)
VALUES ($1, $2, $3, 'queued', $4, true, $5)
ON CONFLICT (job_id) DO UPDATE
SET kind = excluded.kind, source = excluded.source, created_at = excluded.created_at, known = true,
    pipeline = excluded.pipeline
WHERE NOT stored.known
";
    RETRIED = "UPDATE jobs SET retried_at = $2 WHERE job_id = $1 AND ledger = 'kept'";
    LATE_ROWS = "SELECT job_id, late_rows FROM jobs WHERE late_rows > 0 ORDER BY created_at, job_id";
    FAIL = r"
UPDATE jobs SET status = 'failed', finished_at = $2
WHERE job_id = $1 AND status IN ('queued', 'cancelling') AND processed = 0 AND sealed IS NULL
";
    /// Its open rows are nowhere, so nothing else would end it.
    CLOSE = r"
UPDATE jobs SET status = 'cancelled', total = processed, sealed = 'cancelled', known = true,
    finished_at = $2
WHERE job_id = $1 AND status = 'cancelling'
";
}

column! {
    JobStatus: String | String, |word| JobStatus::parse(&word);
}

row! { JobRow {
    id: "job_id", kind, pipeline, source, status, total, processed, succeeded, failed, skipped,
    rejected, duplicates, created_at, started_at, finished_at, error_code, error_detail,
} }

impl FromRow for (JobId, JobStatus) {
    fn from_row<R: Row>(row: &R) -> std::result::Result<Self, R::Error> {
        Ok((row.get("job_id")?, row.get("status")?))
    }
}

impl FromRow for (JobId, u64) {
    fn from_row<R: Row>(row: &R) -> std::result::Result<Self, R::Error> {
        Ok((row.get("job_id")?, row.get("late_rows")?))
    }
}

impl Store {
    /// Ends a job that is being cancelled with the rows that it has. False if it is not.
    pub async fn close_cancelled(&self, id: JobId) -> Result<bool> {
        self.run(&CLOSE, args![id, Utc::now()]).await.map(|changed| changed > 0)
    }

    /// Stores a `queued` job before its first message comes through the stream. A known job does
    /// not change.
    pub async fn create_job(&self, job: &NewJob) -> Result<()> {
        let (kind, pipeline) = (job.kind.as_str(), job.pipeline.as_str());
        let args = args![job.id, kind, strip_nul(&job.source), job.created_at, pipeline];
        self.run(&CREATE, args).await.map(drop)
    }

    /// Ends a job whose source failed before any of its rows was published; other jobs do not
    /// change.
    pub async fn fail_job(&self, id: JobId, now: DateTime<Utc>) -> Result<()> {
        self.run(&FAIL, args![id, now]).await.map(drop)
    }

    /// Notes that failed rows of a job are tried again: its rows are kept as if it had just ended.
    /// False if they are not kept any more.
    pub async fn keep_for_retry(&self, id: JobId, now: DateTime<Utc>) -> Result<bool> {
        Ok(self.run(&RETRIED, args![id, now]).await? > 0)
    }

    /// The jobs for which rows came after they had ended, and how many.
    pub async fn late_rows(&self) -> Result<Vec<(JobId, u64)>> {
        self.all(&LATE_ROWS, args![]).await
    }

    pub async fn job(&self, id: JobId) -> Result<Option<JobRow>> {
        self.one(&JOB, args![id]).await
    }

    /// Newest first, older than `before` if given.
    pub async fn jobs(
        &self,
        before: Option<(DateTime<Utc>, JobId)>,
        limit: u32,
    ) -> Result<Vec<JobRow>> {
        match before {
            Some((created_at, id)) => self.all(&OLDER, args![limit, created_at, id]).await,
            None => self.all(&NEWEST, args![limit]).await,
        }
    }

    /// The jobs whose source failed, newest first.
    pub async fn failed_sources(&self, limit: u32) -> Result<Vec<JobRow>> {
        self.all(&FAILED_SOURCES, args![limit]).await
    }

    /// The states of `jobs`; unknown jobs are absent.
    pub async fn job_statuses(&self, jobs: &[JobId]) -> Result<HashMap<JobId, JobStatus>> {
        Ok(self.all(&STATUSES, args![jobs]).await?.into_iter().collect())
    }
}
