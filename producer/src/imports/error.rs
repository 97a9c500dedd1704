//! Errors of requests: why an upload, a sync, a retry or a replay was not accepted.
//!
//! Does not: cover errors after the acceptance; the worker handles them (see [`worker`](super::worker)).

use isobar_sqlite::SqliteError;
use isobar_store::StoreError;

use crate::outbox::OpenError;
use crate::source::Refusal;

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("this Idempotency-Key was used for another file")]
    KeyReused,
    #[error("this Idempotency-Key was used for the same file with other options")]
    OtherOptions,
    /// The file is not a list of cities.
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("cannot write the spool")]
    Spool(#[source] std::io::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Outbox(#[from] SqliteError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
