//! A CSV file as a source that can stop after any row and go on there in another process.
//!
//! The whole file is hashed first: its content is its identity, wherever it lies and whatever it
//! is called. The cursor is the byte offset, the running hash of all bytes before it, the row
//! number and the columns. Going on hashes the bytes before once more and refuses a file that has
//! changed; a file that changes while it is read is noticed at its end. Memory is that of one
//! record ([`Records`]) and of the rows asked for.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::columns::Columns;
use super::records::{Record, Records, hash_prefix, hex};
use super::row::{Row, decide};
use super::{SourceError, SourceRow};

/// The first line must fit here, or it is no header.
const MAX_HEADER_BYTES: u64 = 64 << 10;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug)]
pub struct Csv {
    path: PathBuf,
    content_hash: String,
    records: Records,
    row: u64,
}

/// Where to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CsvCursor {
    offset: u64,
    running_hash: String,
    row: u64,
    columns: Columns,
}

/// What identifies a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub hash: String,
    pub bytes: u64,
}

/// Reads the file once, to know its content.
pub fn content(path: &Path) -> io::Result<Content> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let hash = hash_prefix(&mut file, bytes)?
        .ok_or_else(|| io::Error::other("the file became shorter while it was read"))?;
    Ok(Content { hash: hex(hash), bytes })
}

impl Csv {
    /// Opens at the beginning, or where `cursor` says. Blocks.
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
                let records = Records::at(file, cursor.columns.clone(), cursor.offset, prefix)
                    .map_err(unreadable)?;
                (records, cursor.row)
            }
        };
        Ok(Self { path: path.to_owned(), content_hash: content_hash.to_owned(), records, row })
    }

    fn begin(mut file: File, path: &Path) -> Result<Records, SourceError> {
        let unreadable = |source| SourceError::unreadable(path, source);
        let (start, line) = first_line(&mut file).map_err(unreadable)?;
        if line.is_empty() {
            return Err(SourceError::unusable(format!("{} is empty", path.display())));
        }
        let columns = Columns::detect(&line)
            .map_err(|reason| SourceError::unusable(format!("{}: {reason}", path.display())))?;
        let prefix = hash_prefix(&mut file, start)
            .map_err(unreadable)?
            .ok_or_else(|| SourceError::changed(path))?;
        let has_header = columns.has_header;
        let mut records = Records::at(file, columns, start, prefix).map_err(unreadable)?;
        if has_header {
            records.next().map_err(unreadable)?;
        }
        Ok(records)
    }

    /// Up to `limit` rows; none at the end. Blocks.
    pub fn read(&mut self, limit: usize) -> Result<Vec<SourceRow>, SourceError> {
        let mut rows = Vec::with_capacity(limit);
        while rows.len() < limit {
            let columns = self.records.columns().clone();
            let record = self
                .records
                .next()
                .map_err(|source| SourceError::unreadable(&self.path, source))?;
            let row = match record {
                Record::Fields(fields) => decide(&columns.raw(|column| fields.get(column))),
                Record::Bad(unusable) => Row::Reject(unusable),
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

/// Where the first line that is not blank starts, and its bytes without the line end.
fn first_line(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(file.by_ref());
    let mut start = 0;
    if reader.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
        start += BYTE_ORDER_MARK.len() as u64;
    }
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(MAX_HEADER_BYTES).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok((start, Vec::new()));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            start += read as u64;
            continue;
        }
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        // A file of the Macs of old ends its lines with CR alone.
        if let Some(end) = line.iter().position(|byte| *byte == b'\r') {
            line.truncate(end);
        }
        return Ok((start, line));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::Subject;

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
                Row::Reject(unusable) => Some((row.number, unusable.code)),
                Row::Task(_) => None,
            })
            .collect()
    }

    #[test]
    fn the_sample_with_rejects_gives_exactly_those_it_documents() {
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
        let mut csv = Csv::open(file.path(), &hash, None).expect("opens");
        let rows = csv.read(1000).expect("reads");
        assert_eq!(codes(&rows), expected);
        assert_eq!(rows.len(), 22);
    }

    #[test]
    fn a_list_of_names_needs_no_header() {
        let (file, hash) = file(b"Paris\n\n\"Mianzhu, Deyang, Sichuan\"\nWashington, D.C.\n");
        let mut csv = Csv::open(file.path(), &hash, None).expect("opens");
        let names: Vec<_> = csv
            .read(10)
            .expect("reads")
            .into_iter()
            .map(|row| match row.row {
                Row::Task(Subject::City(city)) => city.name.expect("named"),
                Row::Task(other) => panic!("{other:?}"),
                Row::Reject(unusable) => unusable.code.to_owned(),
            })
            .collect();
        assert_eq!(names, ["Paris", "Mianzhu, Deyang, Sichuan", "Washington, D.C."]);
    }

    #[test]
    fn it_goes_on_where_it_stopped_and_refuses_another_file() {
        let (file, hash) = file(b"city\nA\nB\nC\nD\n");
        let mut csv = Csv::open(file.path(), &hash, None).expect("opens");
        assert_eq!(csv.read(2).expect("reads").len(), 2);
        let cursor: CsvCursor =
            serde_json::from_str(&serde_json::to_string(&csv.cursor()).expect("plain data"))
                .expect("reads back");
        let mut rest = Csv::open(file.path(), &hash, Some(&cursor)).expect("opens");
        let rows = rest.read(10).expect("reads");
        assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [3, 4]);

        std::fs::write(file.path(), b"city\nA\nX\nC\nD\n").expect("writes");
        let refused = Csv::open(file.path(), &hash, Some(&cursor)).expect_err("changed");
        assert!(refused.to_string().contains("changed"), "{refused}");
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_noticed() {
        let (file, _) = file(b"city\nA\nB\n");
        let mut csv = Csv::open(file.path(), "another hash", None).expect("opens");
        assert!(matches!(csv.read(10), Err(SourceError::Changed { .. })));
    }

    #[test]
    fn an_empty_file_and_one_of_other_things_say_so() {
        for (bytes, says) in [
            (b"".as_slice(), "is empty"),
            (b"\xef\xbb\xbf\n \r\n", "is empty"),
            (b"foo,bar\n1,2\n", "foo, bar"),
        ] {
            let (file, hash) = file(bytes);
            let error = Csv::open(file.path(), &hash, None).expect_err("unusable");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
