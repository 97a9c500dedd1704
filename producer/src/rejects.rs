//! The reject file: the rejected rows that `--rejects PATH` lists, with row, code, reason and city.
//!
//! It is written while the rows are read. For a resumed job it starts with the rejects that the
//! outbox still holds. Cells that a spreadsheet would run as formulas are escaped.

use std::fs::File;
use std::path::{Path, PathBuf};

use isobar_model::task::Reject;

use crate::outbox::{JobKey, Outbox};
use crate::source::SourceError;
use crate::source::formula::neutralised;

#[derive(Debug)]
pub struct RejectFile {
    path: PathBuf,
    file: csv::Writer<File>,
}

impl RejectFile {
    /// Creates the file; an existing one is overwritten.
    pub fn create(path: &Path) -> Result<Self, SourceError> {
        let failed = |source| SourceError::Unwritable { path: path.to_owned(), source };
        let mut rejects = Self {
            path: path.to_owned(),
            file: csv::Writer::from_writer(File::create(path).map_err(failed)?),
        };
        rejects.write(["row", "code", "reason", "city"])?;
        Ok(rejects)
    }

    pub fn add(&mut self, reject: &Reject) -> Result<(), SourceError> {
        let city = reject.city.as_deref().unwrap_or_default();
        self.write([
            reject.row.to_string().as_str(),
            &reject.code,
            &reject.reason,
            &neutralised(city),
        ])
    }

    /// Adds the rejects of the job that an earlier process froze.
    pub async fn add_frozen(&mut self, outbox: &Outbox, job: JobKey) -> Result<(), SourceError> {
        for reject in outbox.rejects(job).await? {
            self.add(&reject)?;
        }
        Ok(())
    }

    fn write(&mut self, record: [&str; 4]) -> Result<(), SourceError> {
        self.file
            .write_record(record)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.flush())
            .map_err(|source| SourceError::Unwritable { path: self.path.clone(), source })
    }
}
