//! Stand-in for the producer's imports: it refuses everything, and keeps nothing.
//!
//! It holds the place of `isobar_producer::Imports`, with the calls that the handlers make of it.
//! A body is read and checked as it will be, but nothing is ever answered 202: what is not safe on
//! disk must not be promised. `bulk/import.rs` and `sync.rs` are all that calls it.

use isobar_shared::config::Settings;
use isobar_shared::store::NewJob;

/// Takes uploads and starts syncs.
#[derive(Clone)]
pub struct Imports;

/// A file on its way in; dropped before it is accepted, it is gone.
pub struct Spool;

/// What an import is, beside its file.
pub struct NewImport {
    /// What a person knows the file by.
    pub name: String,
    /// Fetch even where the snapshot is current.
    pub force: bool,
    /// The same key with the same content is the same job.
    pub idempotency_key: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("this Idempotency-Key was used for another file")]
    KeyReused,
    #[error("cannot write the spool")]
    Spool(#[source] std::io::Error),
    #[error("the import relay is not part of this build")]
    Absent,
}

impl Imports {
    pub fn open(_: &Settings) -> Result<Self, ImportError> {
        Ok(Self)
    }

    pub async fn spool(&self) -> Result<Spool, ImportError> {
        std::future::ready(Ok(Spool)).await
    }

    /// Makes the file safe (fsync, rename), then known to the outbox. The job it has become.
    pub async fn accept(&self, _: Spool, import: NewImport) -> Result<NewJob, ImportError> {
        let key = import.idempotency_key.is_some();
        tracing::warn!(source = import.name, force = import.force, key, "an import was refused");
        std::future::ready(Err(ImportError::Absent)).await
    }

    /// The sync that runs, or the one that is started now.
    pub async fn sync(&self) -> Result<NewJob, ImportError> {
        std::future::ready(Err(ImportError::Absent)).await
    }
}

impl Spool {
    pub async fn write(&mut self, _: &[u8]) -> Result<(), ImportError> {
        std::future::ready(Ok(())).await
    }
}
