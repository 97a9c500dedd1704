//! The reject file: the rejected rows that `--rejects PATH` lists, to be corrected and imported again.
//!
//! Each row has its number, code, reason, line and unusable value, and then its fields under the
//! header of its own file. Sources that are not files have only the name of the city. It is written
//! while the rows are read. For a resumed job it starts with the rejects that the outbox still holds.
//! Cells that a spreadsheet would run as formulas are escaped; an import restores them.

use std::fs::File;
use std::path::{Path, PathBuf};

use isobar_model::task::Reject;

use crate::outbox::{JobKey, Outbox};
use crate::source::formula::neutralised;
use crate::source::shape::detect;
use crate::source::{JobSpec, SourceError};

#[derive(Debug)]
pub struct RejectFile {
    path: PathBuf,
    file: csv::Writer<File>,
    /// Whether the rows have the fields of a file.
    has_fields: bool,
}

impl RejectFile {
    /// Creates the file; an existing one is overwritten. Reads the header of the source.
    pub async fn create(path: &Path, spec: &JobSpec) -> Result<Self, SourceError> {
        let (path, source) = (path.to_owned(), spec.path().map(Path::to_owned));
        tokio::task::spawn_blocking(move || Self::begin(path, source.as_deref()))
            .await
            .map_err(|panic| SourceError::reject_counts(format!("writing the rejects: {panic}")))?
    }

    fn begin(path: PathBuf, source: Option<&Path>) -> Result<Self, SourceError> {
        // A source that cannot be read has no rejects.
        let header = source.and_then(|source| {
            let shape = detect(&mut File::open(source).ok()?).ok()?;
            Some(shape.ok()?.header)
        });
        let file = match File::create(&path) {
            Ok(file) => csv::WriterBuilder::new().flexible(true).from_writer(file),
            Err(source) => return Err(SourceError::Unwritable { path, source }),
        };
        let mut rejects = Self { path, file, has_fields: header.is_some() };
        match header {
            Some(header) => {
                let own = ["row", "code", "reason", "line", "value"];
                rejects.write(own.into_iter().chain(header.iter().map(String::as_str)))?;
            }
            None => rejects.write(["row", "code", "reason", "city"])?,
        }
        Ok(rejects)
    }

    pub fn add(&mut self, reject: &Reject) -> Result<(), SourceError> {
        let city = reject.city.as_deref().unwrap_or_default();
        let row = reject.row.to_string();
        let own = [row.as_str(), &reject.code, &reject.reason];
        let Some(record) = reject.record.as_deref().filter(|_| self.has_fields) else {
            let blank = self.has_fields.then_some("");
            let city = neutralised(city);
            let cells = own.into_iter().chain(blank).chain(blank);
            return self.write(cells.chain([&*city]));
        };
        let line = record.line.map(|line| line.to_string()).unwrap_or_default();
        let value = neutralised(record.value.as_deref().unwrap_or_default());
        let fields: Vec<_> = record.fields.iter().map(|field| neutralised(field)).collect();
        let fields = fields.iter().map(|field| &**field);
        self.write(own.into_iter().chain([line.as_str(), &*value]).chain(fields))
    }

    /// Adds the rejects of the job that an earlier process froze.
    pub async fn add_frozen(&mut self, outbox: &Outbox, job: JobKey) -> Result<(), SourceError> {
        for reject in outbox.rejects(job).await? {
            self.add(&reject)?;
        }
        Ok(())
    }

    fn write<'a>(&mut self, record: impl IntoIterator<Item = &'a str>) -> Result<(), SourceError> {
        self.file
            .write_record(record)
            .map_err(std::io::Error::from)
            .and_then(|()| self.file.flush())
            .map_err(|source| SourceError::Unwritable { path: self.path.clone(), source })
    }
}
