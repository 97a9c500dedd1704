//! The spool: files that are kept until their job is sealed, from uploads and standard input.
//!
//! Guarantees: a spooled file is complete or absent. Bytes go to a `.part` file, which is flushed to
//! disk and renamed; its folder is flushed too before the caller hears that the file is safe. Beside
//! an upload a small JSON file describes its job. A process that starts finds both and continues,
//! also after a kill before the job was in the outbox. Files are [`private`].

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use isobar_model::ids::JobId;
use isobar_model::pipeline::PipelineName;
use isobar_sqlite::private;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::source::csv::FileContent;
use crate::source::shape::{Shape, detect};
use crate::source::{JobSpec, Refusal, SourceSpec};

/// A `.part` file without a write for this time has lost its writer.
const ABANDONED_AFTER: Duration = Duration::from_hours(6);
const COPY_BYTES: usize = 64 << 10;

/// The folder of spooled files.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
}

/// Writes one file. If it is dropped before it is finished, its bytes are removed.
#[derive(Debug)]
pub struct SpoolWriter {
    folder: PathBuf,
    part: PathBuf,
    file: File,
    hash: Sha256,
    bytes: u64,
    finished: bool,
}

/// What the job of an upload needs besides its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SpooledUpload {
    pub job_id: JobId,
    pub slot: String,
    pub spec: JobSpec,
    pub created_at: DateTime<Utc>,
}

impl Spool {
    /// Opens or creates the folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        private::create_folder(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub fn create(&self) -> io::Result<SpoolWriter> {
        let part = self.folder.join(format!("{}.part", Uuid::now_v7()));
        Ok(SpoolWriter {
            folder: self.folder.clone(),
            file: private::create_file(&part)?,
            part,
            hash: Sha256::new(),
            bytes: 0,
            finished: false,
        })
    }

    /// Uploads, oldest first. Those that are not [whole](Self::is_whole) were interrupted, before
    /// their caller got an answer or while they were removed.
    pub fn uploads(&self) -> io::Result<Vec<SpooledUpload>> {
        let mut uploads = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "json")
                && let Some(bytes) = if_exists(fs::read(&path))?
                && let Ok(upload) = serde_json::from_slice(&bytes)
            {
                uploads.push(upload);
            }
        }
        uploads.sort_by_key(|upload: &SpooledUpload| upload.created_at);
        Ok(uploads)
    }

    pub fn is_whole(&self, upload: &SpooledUpload) -> bool {
        self.file(&upload.job_id.to_string()).exists()
    }

    /// Removes an upload whose job is sealed.
    pub fn remove(&self, job_id: JobId) -> io::Result<()> {
        let csv = self.file(&job_id.to_string());
        isobar_failpoint::hit("spool.remove.before");
        remove_if_there(&csv)?;
        // The sidecar is removed last: as long as it exists, the next start finds the rest.
        isobar_failpoint::hit("spool.remove.between");
        remove_if_there(&csv.with_extension("json"))?;
        isobar_failpoint::hit("spool.remove.after");
        Ok(())
    }

    /// Removes the files of writers that were killed.
    pub fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let path = entry.path();
            let left_over = match path.extension().and_then(|extension| extension.to_str()) {
                Some("part") => true,
                Some("json") => !path.with_extension("csv").exists(),
                _ => false,
            };
            if !left_over {
                continue;
            }
            let Some(metadata) = if_exists(entry.metadata())? else { continue };
            let age = SystemTime::now().duration_since(metadata.modified()?);
            if age.is_ok_and(|age| age > ABANDONED_AFTER) {
                remove_if_there(&path)?;
            }
        }
        Ok(())
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.csv"))
    }
}

impl SpoolWriter {
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn write_all_of(&mut self, mut reader: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => self.write(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The shape of the file that was written, or why it cannot be read.
    pub fn shape(&self) -> io::Result<Result<Shape, Refusal>> {
        detect(&mut File::open(&self.part)?)
    }

    /// The upload with its job id, which its pipeline, content and slot determine.
    pub fn upload(
        &self,
        pipeline: PipelineName,
        name: &str,
        slot: &str,
        force: bool,
    ) -> SpooledUpload {
        let content = self.content();
        let spec = |path| JobSpec {
            pipeline,
            origin: SourceSpec::csv(path, name.to_owned(), content.clone()),
            limit: None,
            force,
        };
        let job_id = JobId::derive(&spec(PathBuf::new()).identity(), slot);
        let path = self.folder.join(format!("{job_id}.csv"));
        SpooledUpload { job_id, slot: slot.to_owned(), spec: spec(path), created_at: Utc::now() }
    }

    /// Makes an upload durable: when this returns, it survives a power cut.
    pub fn finish(mut self, upload: &SpooledUpload) -> io::Result<()> {
        let csv = self.folder.join(format!("{}.csv", upload.job_id));
        let sidecar = csv.with_extension("json");
        let written = self.folder.join(format!("{}.part", Uuid::now_v7()));
        let mut file = private::create_file(&written)?;
        file.write_all(&serde_json::to_vec(upload).map_err(io::Error::other)?)?;
        isobar_failpoint::hit("spool.fsync.before");
        file.sync_all()?;
        self.file.sync_all()?;
        isobar_failpoint::hit("spool.rename.before");
        fs::rename(&written, &sidecar)?;
        isobar_failpoint::hit("spool.rename.between");
        fs::rename(&self.part, &csv)?;
        File::open(&self.folder)?.sync_all()?;
        isobar_failpoint::hit("spool.rename.after");
        self.finished = true;
        Ok(())
    }

    /// Keeps standard input under the hash of its content, so the same input finds it again.
    pub fn keep(mut self) -> io::Result<(PathBuf, FileContent)> {
        let content = self.content();
        let path = self.folder.join(format!("stdin-{}.csv", content.hash));
        self.file.sync_all()?;
        isobar_failpoint::hit("spool.keep.before");
        fs::rename(&self.part, &path)?;
        File::open(&self.folder)?.sync_all()?;
        isobar_failpoint::hit("spool.keep.after");
        self.finished = true;
        Ok((path, content))
    }

    fn content(&self) -> FileContent {
        FileContent { hash: format!("{:x}", self.hash.clone().finalize()), bytes: self.bytes }
    }
}

impl Drop for SpoolWriter {
    fn drop(&mut self) {
        if !self.finished {
            // A file that cannot be removed now is swept later.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// `None` if another task removed or renamed the file while the folder was read.
fn if_exists<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spool() -> (tempfile::TempDir, Spool) {
        let folder = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(&folder.path().join("spool")).expect("opens");
        (folder, spool)
    }

    fn files(spool: &Spool) -> usize {
        fs::read_dir(&spool.folder).expect("lists").count()
    }

    #[test]
    fn an_upload_is_whole_or_absent() {
        let (_folder, spool) = spool();
        let mut dropped = spool.create().expect("creates");
        dropped.write(b"city\nPar").expect("writes");
        drop(dropped);
        assert_eq!(files(&spool), 0);

        let mut writer = spool.create().expect("creates");
        writer.write(b"city\nPa").expect("writes");
        writer.write(b"ris\n").expect("writes");
        let upload = writer.upload(PipelineName::Weather, "cities.csv", "key:1", false);
        writer.finish(&upload).expect("finishes");
        assert_eq!(spool.uploads().expect("lists"), std::slice::from_ref(&upload));
        let path = upload.spec.path().expect("a file");
        assert_eq!(fs::read(path).expect("reads"), b"city\nParis\n");
        spool.remove(upload.job_id).expect("removes");
        assert_eq!(files(&spool), 0);
    }

    #[test]
    fn content_and_slot_determine_the_job() {
        let (_folder, spool) = spool();
        let job = |bytes: &[u8], slot: &str| {
            let mut writer = spool.create().expect("creates");
            writer.write(bytes).expect("writes");
            writer.upload(PipelineName::Weather, "x", slot, false).job_id
        };
        assert_eq!(job(b"a", "1"), job(b"a", "1"));
        assert_ne!(job(b"a", "1"), job(b"b", "1"));
        assert_ne!(job(b"a", "1"), job(b"a", "2"));
    }

    #[test]
    fn standard_input_is_kept_under_its_hash() {
        let (_folder, spool) = spool();
        let mut paths = Vec::new();
        for _ in 0..2 {
            let mut writer = spool.create().expect("creates");
            writer.write_all_of(b"city\nParis\n".as_slice()).expect("reads");
            paths.push(writer.keep().expect("keeps").0);
        }
        assert_eq!(paths[0], paths[1]);
        assert_eq!(files(&spool), 1);
    }
}
