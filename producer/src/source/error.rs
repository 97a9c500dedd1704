//! Why a source gives no more rows, grouped by what happens to its job.
//!
//! Next: [`failure`](crate::failure), which says what a person does about it.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use isobar_sqlite::SqliteError;
use isobar_store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The job waits; the next run continues it.
    #[error("{source_name} is not available: {detail}")]
    Away { source_name: String, detail: String },
    /// A person must correct the configuration; the next run continues the job.
    #[error("{source_name}: {detail}")]
    Refused { source_name: String, detail: String },
    #[error("{source_name} failed repeatedly; next attempt at {}", until.format("%H:%M:%S UTC"))]
    BreakerOpen { source_name: String, until: DateTime<Utc> },
    #[error("stopped")]
    Stopped,
    /// The job cannot continue with this file; it could with the old one.
    #[error(
        "{} has changed since it was first read; put the old file back and run again to finish that job, or import the new content under another name", path.display()
    )]
    Changed { path: PathBuf },
    #[error("cannot read {}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot write {}", path.display())]
    Unwritable {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot read the rows to republish")]
    Store(#[from] StoreError),
    /// For example cancelled, or extracted by another process.
    #[error("the job was ended by another process")]
    Taken,
    /// The source can never be read to its end: the job is sealed as failed.
    #[error("{reason}")]
    Unusable { code: &'static str, reason: String },
    #[error(transparent)]
    Outbox(#[from] SqliteError),
}

impl SourceError {
    /// Without a code of its own.
    pub fn reject_counts(reason: impl Into<String>) -> Self {
        Self::unusable("unusable_source", reason)
    }

    pub fn unusable(code: &'static str, reason: impl Into<String>) -> Self {
        Self::Unusable { code, reason: reason.into() }
    }

    pub(super) fn unreadable(path: &Path, source: std::io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source }
    }

    pub(super) fn changed(path: &Path) -> Self {
        Self::Changed { path: path.to_owned() }
    }
}
