//! Stand-in for the producer's imports until they are merged.

use chrono::Utc;
use isobar_shared::ids::JobId;
use isobar_shared::store::NewJob;
use isobar_shared::task::JobKind;

#[derive(Clone)]
pub struct Imports;

pub struct Spool {
    pub bytes: u64,
}

pub struct NewImport {
    pub name: String,
    pub force: bool,
    pub idempotency_key: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("this Idempotency-Key was used for another file")]
    KeyReused,
    #[error("cannot write the spool")]
    Spool(#[source] std::io::Error),
}

impl Imports {
    pub fn open(_: &isobar_shared::config::Settings) -> anyhow::Result<Self> {
        Ok(Self)
    }

    #[expect(clippy::unused_async, reason = "stand-in")]
    pub async fn spool(&self) -> Result<Spool, ImportError> {
        Ok(Spool { bytes: 0 })
    }

    #[expect(clippy::unused_async, reason = "stand-in")]
    pub async fn accept(&self, _: Spool, import: NewImport) -> Result<NewJob, ImportError> {
        Ok(NewJob {
            id: JobId::derive(&import.name, "x"),
            kind: JobKind::Import,
            source: import.name,
            created_at: Utc::now(),
        })
    }

    #[expect(clippy::unused_async, reason = "stand-in")]
    pub async fn sync(&self) -> Result<NewJob, ImportError> {
        Ok(NewJob {
            id: JobId::derive("sync", "x"),
            kind: JobKind::Sync,
            source: "gazetteer".to_owned(),
            created_at: Utc::now(),
        })
    }
}

impl Spool {
    #[expect(clippy::unused_async, reason = "stand-in")]
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), ImportError> {
        self.bytes += piece.len() as u64;
        Ok(())
    }
}
