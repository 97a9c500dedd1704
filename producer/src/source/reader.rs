//! The reader: opens the source of a [`JobSpec`] at a cursor and gives its rows.
//!
//! Next: one file for each kind of source; [`row`](super::row) decides what a row means.

use isobar_settings::Settings;
use isobar_settings::values::Secret;
use isobar_sqlite::Db;
use isobar_store::Store;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::breaker::SourceBreaker;
use super::csv::CsvSource;
use super::cursor::{ApiCursor, IncompleteCursor, RepublishCursor, SourceCursor};
use super::error::SourceError;
use super::failure_log::FailureLog;
use super::gazetteer::GazetteerSource;
use super::incomplete_users::IncompleteUsers;
use super::job_spec::{JobSpec, SourceSpec};
use super::paged_api::{Listing, PageLimits, PagedApi, PagedApiConfig};
use super::republication::Republication;
use super::row::{ParsedRow, SourceRow};

pub enum Source {
    Api(Box<PagedApi>),
    /// Absent while a thread for blocking work reads it.
    Csv(Option<Box<CsvSource>>),
    Gazetteer(GazetteerSource),
    Incomplete(IncompleteUsers),
    Republish(Box<Republication>),
}

/// What a source may need to be opened.
#[derive(Clone, Copy)]
pub struct SourceContext<'a> {
    pub settings: &'a Settings,
    /// The file whose failure log the circuit breaker uses.
    pub db: &'a Db,
    /// For sources that read the store.
    pub store: Option<&'a Store>,
    pub shutdown: &'a CancellationToken,
}

impl SourceContext<'_> {
    fn paged_api(
        self,
        base: &Url,
        listing: Listing,
        cursor: ApiCursor,
    ) -> Result<Source, SourceError> {
        let host = base.host_str().unwrap_or_default().to_owned();
        let log = FailureLog { db: self.db.clone(), host };
        let config = PagedApiConfig {
            base: base.clone(),
            listing,
            limits: PageLimits {
                attempts: self.settings.source_attempts,
                timeout: self.settings.request_timeout.0,
            },
            breaker: SourceBreaker::new(self.settings.source_breaker, log),
            shutdown: self.shutdown.clone(),
        };
        Ok(Source::Api(Box::new(PagedApi::open(config, cursor)?)))
    }

    fn store(self) -> Result<Store, SourceError> {
        self.store.cloned().ok_or_else(|| SourceError::reject_counts("the store was not opened"))
    }

    fn users_key(self) -> Option<Secret> {
        self.settings.users_api_key.clone()
    }
}

impl Source {
    /// Opens the source at its beginning, or at `cursor`.
    pub async fn open(
        spec: &JobSpec,
        cursor: Option<SourceCursor>,
        context: SourceContext<'_>,
    ) -> Result<Self, SourceError> {
        use SourceCursor as At;
        match (&spec.origin, cursor) {
            (
                SourceSpec::Api { url, page_limit, page_first },
                cursor @ (None | Some(At::Api(_))),
            ) => {
                let listing = Listing::Cities { page_limit: *page_limit };
                let cursor = match cursor {
                    Some(At::Api(cursor)) => cursor,
                    _ => ApiCursor::first(*page_first),
                };
                context.paged_api(url, listing, cursor)
            }
            (SourceSpec::Csv { path, content_hash, .. }, cursor @ (None | Some(At::Csv(_)))) => {
                let (path, content_hash) = (path.clone(), content_hash.clone());
                let opened = tokio::task::spawn_blocking(move || {
                    let cursor = match &cursor {
                        Some(At::Csv(cursor)) => Some(cursor),
                        _ => None,
                    };
                    CsvSource::open(&path, &content_hash, cursor)
                })
                .await
                .map_err(|panic| {
                    SourceError::reject_counts(format!("opening the file: {panic}"))
                })?;
                Ok(Self::Csv(Some(Box::new(opened?))))
            }
            (SourceSpec::Gazetteer, None) => Ok(Self::Gazetteer(GazetteerSource::at(0))),
            (SourceSpec::Gazetteer, Some(At::Gazetteer(position))) => {
                Ok(Self::Gazetteer(GazetteerSource::at(position)))
            }
            (SourceSpec::Users { url }, cursor @ (None | Some(At::Api(_)))) => {
                let listing = Listing::Users { key: context.users_key() };
                let cursor = match cursor {
                    Some(At::Api(cursor)) => cursor,
                    _ => ApiCursor::default(),
                };
                context.paged_api(url, listing, cursor)
            }
            (SourceSpec::Incomplete { missing }, cursor @ (None | Some(At::Incomplete(_)))) => {
                let cursor = match cursor {
                    Some(At::Incomplete(cursor)) => cursor,
                    _ => IncompleteCursor::default(),
                };
                let users = IncompleteUsers::new(context.store()?, *missing, spec.force, cursor);
                Ok(Self::Incomplete(users))
            }
            (SourceSpec::Republish { request, .. }, cursor @ (None | Some(At::Republish(_)))) => {
                let cursor = match cursor {
                    Some(At::Republish(cursor)) => cursor,
                    _ => RepublishCursor::default(),
                };
                let (store, request) = (context.store()?, request.clone());
                let mut tasks = Republication::new(store, spec.pipeline, request, cursor);
                tasks.delete_committed().await?;
                Ok(Self::Republish(Box::new(tasks)))
            }
            (_, Some(_)) => Err(SourceError::reject_counts(
                "the outbox holds a position in another kind of source",
            )),
        }
    }

    /// Up to `limit` rows; none at the end. A file is read on a thread for blocking work.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<SourceRow>, SourceError> {
        match self {
            Self::Api(api) => api.read(limit).await,
            Self::Gazetteer(gazetteer) => Ok(gazetteer.read(limit)),
            Self::Incomplete(users) => users.read(limit).await,
            Self::Republish(tasks) => {
                let tasks = tasks.read(limit).await?;
                // Their row numbers are those of the jobs that they came from.
                let row = |task| SourceRow { number: 0, row: ParsedRow::Republished(task) };
                Ok(tasks.into_iter().map(row).collect())
            }
            Self::Csv(slot) => {
                let mut csv = slot.take().expect("a source is read by one caller at a time");
                let (csv, rows) = tokio::task::spawn_blocking(move || {
                    let rows = csv.read(limit);
                    (csv, rows)
                })
                .await
                .map_err(|panic| {
                    SourceError::reject_counts(format!("reading the file: {panic}"))
                })?;
                *slot = Some(csv);
                rows
            }
        }
    }

    pub fn cursor(&self) -> SourceCursor {
        match self {
            Self::Api(api) => SourceCursor::Api(api.cursor()),
            Self::Csv(csv) => {
                let csv = csv.as_ref().expect("a source is read by one caller at a time");
                SourceCursor::Csv(csv.cursor())
            }
            Self::Gazetteer(gazetteer) => SourceCursor::Gazetteer(gazetteer.position()),
            Self::Incomplete(users) => SourceCursor::Incomplete(users.cursor()),
            Self::Republish(tasks) => SourceCursor::Republish(tasks.cursor()),
        }
    }

    /// Called once the rows up to the cursor are committed.
    pub async fn committed(&mut self) -> Result<(), SourceError> {
        match self {
            Self::Republish(tasks) => Ok(tasks.delete_committed().await?),
            _ => Ok(()),
        }
    }

    /// Bytes read so far, for sources whose size is known.
    pub fn bytes_done(&self) -> Option<u64> {
        match self {
            Self::Csv(Some(csv)) => Some(csv.bytes_done()),
            _ => None,
        }
    }
}
