//! Operations: the audit log of operator actions (who, when, what).
//!
//! A row is written before the action takes effect, or in its transaction, so every change has an
//! author. An action that then fails leaves a row for the attempt. Rows are kept for
//! [`OPERATIONS_KEPT`].

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::Result;
use crate::job::JobStatus;
use crate::nul::strip_nul;
use crate::store::Store;
use crate::value::Value;
use isobar_model::ids::JobId;
use isobar_model::string_enum;

/// A year, and some days for a late reader.
pub(crate) const OPERATIONS_KEPT: Duration = Duration::from_hours(400 * 24);

string_enum! {
    /// What an operator may do, as the audit log stores it.
    OperatorAction {
        JobCancel = "job.cancel",
        JobRetry = "job.retry",
        JobPause = "job.pause",
        JobResume = "job.resume",
        DeadReplay = "dead.replay",
        DeadDiscard = "dead.discard",
        StreamPause = "stream.pause",
        StreamResume = "stream.resume",
        BreakerReset = "breaker.reset",
        HistoryClear = "history.clear"
    }
}

/// The outcome of a request to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    Cancelling,
    /// It had ended before.
    Ended(JobStatus),
    Unknown,
}

/// A row to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOperation {
    pub at: DateTime<Utc>,
    /// `api <address>` or `cli <user>@<host>`.
    pub actor: String,
    pub action: OperatorAction,
    /// A job or a host; absent where there is only one.
    pub subject: Option<String>,
    pub detail: Option<String>,
}

impl NewOperation {
    pub fn now(actor: &str, action: OperatorAction) -> Self {
        Self { at: Utc::now(), actor: actor.to_owned(), action, subject: None, detail: None }
    }

    #[must_use]
    pub fn about(self, subject: &impl ToString) -> Self {
        Self { subject: Some(subject.to_string()), ..self }
    }

    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The arguments of [`RECORD`].
    pub(crate) fn args(&self) -> Vec<Value<'_>> {
        args![
            self.at,
            strip_nul(&self.actor),
            self.action.as_str(),
            self.subject.as_deref().map(strip_nul),
            self.detail.as_deref().map(strip_nul),
        ]
    }
}

/// A stored row. The action is text, because a newer version may have written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub subject: Option<String>,
    pub detail: Option<String>,
}

sql! {
    RECORD = r"
INSERT INTO operations (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)
";
    CANCEL = r"
UPDATE jobs SET status = 'cancelling'
WHERE job_id = $1 AND status IN ('queued', 'running', 'cancelling')
";
    STATUS = "SELECT job_id, status FROM jobs WHERE job_id = $1";
    PAGE = r"
SELECT id, at, actor, action, subject, detail FROM operations
WHERE id < $1 ORDER BY id DESC LIMIT $2
";
}

row! { Operation { id, at, actor, action, subject, detail } }

impl Store {
    /// Requests the end of a job, and records it in the same transaction: from then on workers
    /// skip its tasks. A job that has ended, or that is unknown, does not change.
    pub async fn request_cancel(
        &self,
        id: JobId,
        operation: &NewOperation,
    ) -> Result<CancelOutcome> {
        self.timed(async {
            dispatch!(self, backend => backend.request_cancel(id, operation).await)
        })
        .await
    }

    pub async fn record_operation(&self, operation: &NewOperation) -> Result<()> {
        self.run(&RECORD, operation.args()).await.map(drop)
    }

    /// Newest first, below id `before` if given.
    pub async fn operations(&self, before: Option<i64>, limit: u32) -> Result<Vec<Operation>> {
        self.all(&PAGE, args![before.unwrap_or(i64::MAX), limit]).await
    }
}
