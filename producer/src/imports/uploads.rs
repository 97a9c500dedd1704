//! Uploads: files that become jobs.
//!
//! Guarantees: when [`Imports::accept`] returns, the file is on disk and the job is in the outbox.
//! The same idempotency key with the same file is the same job; with another file it is refused. The
//! store has the keys, so that holds for all hosts.

use std::path::Path;

use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_model::task::JobKind;
use isobar_store::ImportKey;
use uuid::Uuid;

use super::accepted::AcceptedJob;
use super::error::ImportError;
use super::handle::Imports;
use crate::outbox::NewOutboxJob;
use crate::spool::{SpoolWriter, SpooledUpload};

/// A file that is being received. If it is dropped before it is accepted, its bytes are removed.
pub struct IncomingUpload {
    writer: Option<SpoolWriter>,
}

/// What describes an import, besides its file.
#[derive(Clone, Debug, Default)]
pub struct NewImport {
    /// Whose rows are cities.
    pub pipeline: PipelineName,
    /// The name of the file for people.
    pub name: String,
    /// Fetch even if the snapshot is current.
    pub force: bool,
    /// The same key with the same content is the same job.
    pub idempotency_key: Option<String>,
}

impl Imports {
    pub async fn spool(&self) -> Result<IncomingUpload, ImportError> {
        let spool = self.inner.spool.clone();
        let writer = blocking(move || spool.create()).await?;
        Ok(IncomingUpload { writer: Some(writer) })
    }

    /// Makes the file durable and adds its job. A file that cannot be read is refused.
    pub async fn accept(
        &self,
        arriving: IncomingUpload,
        import: NewImport,
    ) -> Result<AcceptedJob, ImportError> {
        let writer = arriving.writer.expect("an arriving file is written by one caller");
        // Before the key is claimed: a corrected file may have the same one.
        let (writer, shape) = blocking(move || writer.shape().map(|shape| (writer, shape))).await?;
        shape?;
        let slot = match &import.idempotency_key {
            Some(key) => format!("key:{key}"),
            None => Uuid::now_v7().to_string(),
        };
        let mut upload = writer.upload(import.pipeline, &import.name, &slot, import.force);
        // Held from the check of the key until the job with the key exists.
        let _one = match import.idempotency_key {
            Some(_) => Some(self.inner.keyed.lock().await),
            None => None,
        };
        if let Some(key) = import.idempotency_key.clone() {
            // Keys that an earlier version accepted are only here.
            if let Some(job) = self.inner.outbox.job_of_slot(slot.clone()).await? {
                return if job.job_id == upload.job_id {
                    Ok(AcceptedJob::new(job, false))
                } else {
                    Err(reused(&writer, &import, &slot, job.job_id))
                };
            }
            let (job_id, claimed_at) = (upload.job_id, upload.created_at);
            let name = import.name.clone();
            let claim = ImportKey { key, job_id, name, claimed_at };
            let claimed = self.inner.store.claim_import_key(&claim).await?;
            if claimed.job_id != job_id {
                return Err(reused(&writer, &import, &slot, claimed.job_id));
            }
            // Hosts that accept the same file at the same moment freeze the same bytes (I2).
            upload = writer.upload(import.pipeline, &claimed.name, &slot, import.force);
            upload.created_at = claimed.claimed_at;
            if self.inner.store.job(job_id).await?.is_some() {
                return Ok(AcceptedJob::of_other_host(&upload));
            }
        }
        let finished = upload.clone();
        blocking(move || writer.finish(&finished)).await?;
        let accepted = self.register_upload(upload).await?;
        self.inner.wake.notify_one();
        // The worker may have found the file first; for the caller it is new.
        Ok(AcceptedJob { is_new: true, ..accepted })
    }

    /// Adds the job of a spooled upload to the outbox, or finds it there.
    pub(super) async fn register_upload(
        &self,
        upload: SpooledUpload,
    ) -> Result<AcceptedJob, ImportError> {
        let new = NewOutboxJob {
            job_id: upload.job_id,
            slot: upload.slot,
            kind: JobKind::Import,
            spec: upload.spec,
            created_at: upload.created_at,
        };
        isobar_failpoint::hit("producer.adopt.before");
        let (job, is_new) = self.inner.outbox.open_job(new).await?;
        isobar_failpoint::hit("producer.adopt.after");
        Ok(AcceptedJob::new(job, is_new))
    }
}

impl IncomingUpload {
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ImportError> {
        let bytes = bytes.to_vec();
        self.with_writer(move |writer| writer.write(&bytes)).await
    }

    /// Copies a file of this host.
    pub async fn write_file(&mut self, path: &Path) -> Result<(), ImportError> {
        let path = path.to_owned();
        self.with_writer(move |writer| writer.write_all_of(std::fs::File::open(path)?)).await
    }

    async fn with_writer<F>(&mut self, write: F) -> Result<(), ImportError>
    where
        F: FnOnce(&mut SpoolWriter) -> std::io::Result<()> + Send + 'static,
    {
        let mut writer = self.writer.take().expect("written by one caller at a time");
        self.writer = Some(blocking(move || write(&mut writer).map(|()| writer)).await?);
        Ok(())
    }
}

/// Why a key that `first` has used is refused: another file, or the same file with other options.
fn reused(writer: &SpoolWriter, import: &NewImport, slot: &str, first: JobId) -> ImportError {
    let is_first =
        |force| writer.upload(import.pipeline, &import.name, slot, force).job_id == first;
    if is_first(!import.force) { ImportError::OtherOptions } else { ImportError::KeyReused }
}

async fn blocking<T, F>(work: F) -> Result<T, ImportError>
where
    T: Send + 'static,
    F: FnOnce() -> std::io::Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|panic| Err(std::io::Error::other(panic)))
        .map_err(ImportError::Spool)
}
