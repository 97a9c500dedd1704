//! The record of what operators did: who, when, what, to what.
//!
//! A row is written before the deed (or with it, in one transaction), so that nothing happens
//! unrecorded; a deed that then fails leaves a row for an attempt. Rows are kept for
//! [`OPERATIONS_KEPT`].

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::JobStatus;

/// A year, and a little for whoever looks a day late.
pub(super) const OPERATIONS_KEPT: Duration = Duration::from_hours(400 * 24);

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    JobCancel,
    JobRetry,
    JobPause,
    JobResume,
    DeadReplay,
    DeadDiscard,
    StreamPause,
    StreamResume,
    BreakerReset,
    HistoryClear,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobCancel => "job.cancel",
            Self::JobRetry => "job.retry",
            Self::JobPause => "job.pause",
            Self::JobResume => "job.resume",
            Self::DeadReplay => "dead.replay",
            Self::DeadDiscard => "dead.discard",
            Self::StreamPause => "stream.pause",
            Self::StreamResume => "stream.resume",
            Self::BreakerReset => "breaker.reset",
            Self::HistoryClear => "history.clear",
        }
    }
}

/// What became of the wish to cancel a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelAnswer {
    Cancelling,
    /// It had ended before.
    Ended(JobStatus),
    Unknown,
}

/// A row to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOperation {
    pub at: DateTime<Utc>,
    /// `api <address>` or `cli <user>@<host>`.
    pub actor: String,
    pub action: Action,
    /// A job, a host; nothing where there is only one.
    pub subject: Option<String>,
    pub detail: Option<String>,
}

impl NewOperation {
    pub fn now(actor: &str, action: Action) -> Self {
        Self { at: Utc::now(), actor: actor.to_owned(), action, subject: None, detail: None }
    }

    #[must_use]
    pub fn on(self, subject: &impl ToString) -> Self {
        Self { subject: Some(subject.to_string()), ..self }
    }

    #[must_use]
    pub fn saying(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }
}

/// A row as it is read; the action may be a newer version's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    pub action: String,
    pub subject: Option<String>,
    pub detail: Option<String>,
}
