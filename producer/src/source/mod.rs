//! Where rows come from: a city or user service, a CSV file, the built-in list, the store.
//!
//! Each source is a reader that gives rows in order and can say, after any of them, where another
//! process would have to go on ([`Cursor`]). The cursor is committed together with the batch that
//! the rows became (I1). Rows are decided by pure functions in [`row`]; a source that ends
//! half-way is an error and never a short list.
//!
//! Next: [`extract`](crate::extract), which fills batches from here.

mod breaker;
mod city_page;
mod columns;
pub mod csv;
pub mod formula;
pub mod gazetteer;
pub mod incomplete_users;
mod job_spec;
pub mod paged_api;
mod records;
pub mod row;
mod user_page;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use isobar_sqlite::SqliteError;
use serde::{Deserialize, Serialize};

pub use job_spec::{JobSpec, Origin, Surroundings};
pub use row::{City, Row, Subject, Unusable};

/// A row with its number: from 1, the header not counted, over all pages.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceRow {
    pub number: u64,
    pub row: Row,
}

pub enum Source {
    Api(Box<paged_api::Api>),
    /// Taken out while a thread for blocking work reads it.
    Csv(Option<Box<csv::Csv>>),
    Gazetteer(gazetteer::Gazetteer),
    Lacking(incomplete_users::Lacking),
}

/// Where a source goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cursor {
    Api(paged_api::ApiCursor),
    Csv(csv::CsvCursor),
    Gazetteer(u64),
    Lacking(incomplete_users::LackingCursor),
}

/// Why a source gives no more, by what its job becomes.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The job waits and goes on with the next run.
    #[error("{source_name} is not answering properly: {detail}")]
    Away { source_name: String, detail: String },
    #[error("{source_name} failed too often; it is left alone until {}", until.format("%H:%M:%S UTC"))]
    BreakerOpen { source_name: String, until: DateTime<Utc> },
    #[error("stopped")]
    Stopped,
    /// The job cannot go on with this file, but would with the old one.
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
    /// Somebody else ended the job meanwhile.
    #[error("the job was ended by someone else")]
    Taken,
    /// It will never be read to its end: the job is sealed as failed.
    #[error("{reason}")]
    Unusable { reason: String },
    #[error(transparent)]
    Outbox(#[from] SqliteError),
}

impl SourceError {
    pub fn unusable(reason: impl Into<String>) -> Self {
        Self::Unusable { reason: reason.into() }
    }

    fn unreadable(path: &Path, source: std::io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source }
    }

    fn changed(path: &Path) -> Self {
        Self::Changed { path: path.to_owned() }
    }
}

impl Source {
    /// Up to `limit` rows; none at the end. A file is read on a thread for blocking work.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<SourceRow>, SourceError> {
        match self {
            Self::Api(api) => api.read(limit).await,
            Self::Gazetteer(gazetteer) => Ok(gazetteer.read(limit)),
            Self::Lacking(lacking) => lacking.read(limit).await,
            Self::Csv(slot) => {
                let mut csv = slot.take().expect("a source is read by one caller at a time");
                let (csv, rows) = tokio::task::spawn_blocking(move || {
                    let rows = csv.read(limit);
                    (csv, rows)
                })
                .await
                .map_err(|panic| SourceError::unusable(format!("reading the file: {panic}")))?;
                *slot = Some(csv);
                rows
            }
        }
    }

    pub fn cursor(&self) -> Cursor {
        match self {
            Self::Api(api) => Cursor::Api(api.cursor()),
            Self::Csv(csv) => Cursor::Csv(csv.as_ref().expect("nobody reads it").cursor()),
            Self::Gazetteer(gazetteer) => Cursor::Gazetteer(gazetteer.position()),
            Self::Lacking(lacking) => Cursor::Lacking(lacking.cursor()),
        }
    }

    /// Bytes read so far, where the end is known in bytes.
    pub fn bytes_done(&self) -> Option<u64> {
        match self {
            Self::Csv(Some(csv)) => Some(csv.bytes_done()),
            _ => None,
        }
    }
}
