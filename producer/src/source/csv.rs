//! A CSV file as a source.
//!
//! The whole file is hashed first: its content identifies it, not its path or name. The cursor is
//! the byte offset, the running hash of all bytes before it, the row number and the columns.
//!
//! Guarantees: another process continues after any row. It hashes the bytes before the offset again
//! and refuses a file that has changed; a change during reading is detected at the end of the file.
//! Memory is bounded by one record ([`CsvRecords`]) and the rows requested.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::cursor::CsvCursor;
use super::error::SourceError;
use super::records::{CsvRecords, Record, hash_prefix, hex};
use super::row::{ParsedRow, RowError, SourceRow, decide};
use super::shape::detect;

#[derive(Debug)]
pub struct CsvSource {
    path: PathBuf,
    content_hash: String,
    records: CsvRecords,
    row: u64,
}

/// What identifies a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileContent {
    pub hash: String,
    pub bytes: u64,
}

/// Reads and hashes the whole file.
pub fn content(path: &Path) -> io::Result<FileContent> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let hash = hash_prefix(&mut file, bytes)?
        .ok_or_else(|| io::Error::other("the file was truncated while being read"))?;
    Ok(FileContent { hash: hex(hash), bytes })
}

impl CsvSource {
    /// Opens at the beginning, or at `cursor`. Blocks.
    pub fn open(
        path: &Path,
        content_hash: &str,
        cursor: Option<&CsvCursor>,
    ) -> Result<Self, SourceError> {
        let unreadable = |source| SourceError::unreadable(path, source);
        let mut file = File::open(path).map_err(unreadable)?;
        let (records, row) = match cursor {
            None => (Self::begin(file, path)?, 0),
            Some(cursor) => {
                let prefix = hash_prefix(&mut file, cursor.offset)
                    .map_err(unreadable)?
                    .filter(|hash| hex(hash.clone()) == cursor.running_hash)
                    .ok_or_else(|| SourceError::changed(path))?;
                let columns = cursor.columns.clone();
                let records = CsvRecords::at(file, columns, cursor.offset, prefix, cursor.lines)
                    .map_err(unreadable)?;
                (records, cursor.row)
            }
        };
        Ok(Self { path: path.to_owned(), content_hash: content_hash.to_owned(), records, row })
    }

    fn begin(mut file: File, path: &Path) -> Result<CsvRecords, SourceError> {
        let unreadable = |source| SourceError::unreadable(path, source);
        let shape = detect(&mut file)
            .map_err(unreadable)?
            .map_err(|refusal| SourceError::unusable(refusal.kind.code(), refusal.detail))?;
        let prefix = hash_prefix(&mut file, shape.start)
            .map_err(unreadable)?
            .ok_or_else(|| SourceError::changed(path))?;
        let lines = Some(shape.line - 1);
        CsvRecords::at(file, shape.columns, shape.start, prefix, lines).map_err(unreadable)
    }

    /// Up to `limit` rows; none at the end. Blocks.
    pub fn read(&mut self, limit: usize) -> Result<Vec<SourceRow>, SourceError> {
        let mut rows = Vec::with_capacity(limit);
        while rows.len() < limit {
            let record = self
                .records
                .next()
                .map_err(|source| SourceError::unreadable(&self.path, source))?;
            let row = match record {
                Record::Fields(fields) => match decide(&fields.raw()) {
                    ParsedRow::Reject(error) => {
                        let record = Some(Box::new(fields.record(error.value.as_deref())));
                        ParsedRow::Reject(RowError { record, ..error })
                    }
                    row => row,
                },
                Record::Bad(error) => ParsedRow::Reject(error),
                Record::Blank => continue,
                Record::End => {
                    self.check_whole()?;
                    break;
                }
            };
            self.row += 1;
            rows.push(SourceRow { number: self.row, row });
        }
        Ok(rows)
    }

    pub fn cursor(&self) -> CsvCursor {
        let (offset, hash) = self.records.position();
        CsvCursor {
            offset,
            running_hash: hex(hash),
            row: self.row,
            columns: self.records.columns().clone(),
            lines: self.records.lines(),
        }
    }

    pub fn bytes_done(&self) -> u64 {
        self.records.position().0
    }

    fn check_whole(&self) -> Result<(), SourceError> {
        let (_, hash) = self.records.position();
        if hex(hash) == self.content_hash { Ok(()) } else { Err(SourceError::changed(&self.path)) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::row::RowSubject;

    fn file(bytes: &[u8]) -> (tempfile::NamedTempFile, String) {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(bytes).expect("writes");
        let content = content(file.path()).expect("reads");
        assert_eq!(content.bytes, bytes.len() as u64);
        (file, content.hash)
    }

    fn codes(rows: &[SourceRow]) -> Vec<(u64, &'static str)> {
        rows.iter()
            .filter_map(|row| match &row.row {
                ParsedRow::Reject(error) => Some((row.number, error.code)),
                ParsedRow::Task(_) | ParsedRow::Republished(_) => None,
            })
            .collect()
    }

    #[test]
    fn the_sample_gives_exactly_its_documented_rejects() {
        let (file, hash) = file(include_bytes!("../../../data/samples/cities-with-rejects.csv"));
        let expected: Vec<(u64, &str)> =
            include_str!("../../../data/samples/cities-with-rejects.expected.csv")
                .lines()
                .skip(1)
                .map(|line| {
                    let (row, code) = line.split_once(',').expect("two columns");
                    (row.parse().expect("a number"), code)
                })
                .collect();
        let mut csv = CsvSource::open(file.path(), &hash, None).expect("opens");
        let rows = csv.read(1000).expect("reads");
        assert_eq!(codes(&rows), expected);
        assert_eq!(rows.len(), 22);
    }

    #[test]
    fn a_list_of_names_needs_no_header() {
        let (file, hash) = file(b"Paris\n\n\"Mianzhu, Deyang, Sichuan\"\nWashington, D.C.\n");
        let mut csv = CsvSource::open(file.path(), &hash, None).expect("opens");
        let names: Vec<_> = csv
            .read(10)
            .expect("reads")
            .into_iter()
            .map(|row| match row.row {
                ParsedRow::Task(RowSubject::City(city)) => city.name.expect("named"),
                ParsedRow::Reject(error) => error.code.to_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(names, ["Paris", "Mianzhu, Deyang, Sichuan", "Washington, D.C."]);
    }

    #[test]
    fn a_cursor_continues_the_same_file_only() {
        let (file, hash) = file(b"city\nA\nB\nC\nD\n");
        let mut csv = CsvSource::open(file.path(), &hash, None).expect("opens");
        assert_eq!(csv.read(2).expect("reads").len(), 2);
        let cursor: CsvCursor =
            serde_json::from_str(&serde_json::to_string(&csv.cursor()).expect("plain data"))
                .expect("reads back");
        let mut rest = CsvSource::open(file.path(), &hash, Some(&cursor)).expect("opens");
        let rows = rest.read(10).expect("reads");
        assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [3, 4]);

        std::fs::write(file.path(), b"city\nA\nX\nC\nD\n").expect("writes");
        let refused = CsvSource::open(file.path(), &hash, Some(&cursor)).expect_err("changed");
        assert!(refused.to_string().contains("changed"), "{refused}");
    }

    #[test]
    fn a_change_during_reading_is_detected() {
        let (file, _) = file(b"city\nA\nB\n");
        let mut csv = CsvSource::open(file.path(), "another hash", None).expect("opens");
        assert!(matches!(csv.read(10), Err(SourceError::Changed { .. })));
    }

    #[test]
    fn unusable_files_are_refused_with_a_reason() {
        for (bytes, reason) in [
            (b"".as_slice(), "is empty"),
            (b"\xef\xbb\xbf\n \r\n", "is empty"),
            (b"foo,bar\n1,2\n", "foo, bar"),
        ] {
            let (file, hash) = file(bytes);
            let error = CsvSource::open(file.path(), &hash, None).expect_err("unusable");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
