//! Records of a CSV file, one at a time, in bounded memory whatever the file contains.
//!
//! csv-core parses (RFC 4180); this file handles hostile and broken input. A record is at most
//! [`MAX_RECORD_BYTES`] long, and a quote that never closes costs only the row in which it opens.
//! The bytes of each record are counted and hashed. So a reader can continue after any record, and
//! check that the bytes before it are the same.
//! Does not: decide what a record means (see [`row`](super::row)).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

use csv_core::{ReadRecordResult, Reader};
use isobar_model::task::MAX_FIELD_BYTES;
use sha2::{Digest, Sha256};

use super::columns::{Columns, MAX_COLUMNS};
use super::row::{RowError, too_long};

/// A quoted field that is still open after this many bytes counts as a quote that never closes.
const MAX_RECORD_BYTES: u64 = 1 << 20;
/// Room for the fields of one record; a longer record has a field that is too long.
const OUTPUT_BYTES: usize = 64 << 10;
const READ_BYTES: usize = 64 << 10;

/// A file, positioned between two records.
#[derive(Debug)]
pub struct CsvRecords {
    file: BufReader<File>,
    parser: Reader,
    columns: Columns,
    offset: u64,
    hash: Sha256,
    output: Vec<u8>,
    ends: Vec<usize>,
}

/// One record, or why there is none.
#[derive(Debug, PartialEq)]
pub enum Record<'a> {
    /// Fields by column, blank ones included.
    Fields(RecordFields<'a>),
    /// A line of white space, which is not a row.
    Blank,
    Bad(RowError),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordFields<'a> {
    text: &'a str,
    ends: &'a [usize],
}

impl<'a> RecordFields<'a> {
    pub fn get(&self, column: usize) -> Option<&'a str> {
        let end = *self.ends.get(column)?;
        let start = column.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }
}

/// The parsed bytes of one record: lengths in `output` and `ends`.
struct RawRecord {
    written: usize,
    count: usize,
    overflow: bool,
    end: RecordEnd,
}

enum RecordEnd {
    Record,
    NeverCloses,
    File,
}

impl CsvRecords {
    /// Starts at `offset`, the start of a record; `hash` is of all bytes before it.
    pub fn at(mut file: File, columns: Columns, offset: u64, hash: Sha256) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self {
            file: BufReader::with_capacity(READ_BYTES, file),
            parser: columns.parser(),
            columns,
            offset,
            hash,
            output: vec![0; OUTPUT_BYTES],
            ends: vec![0; MAX_COLUMNS],
        })
    }

    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The offset of the next record, and the hash of all bytes before it.
    pub fn position(&self) -> (u64, Sha256) {
        (self.offset, self.hash.clone())
    }

    pub fn next(&mut self) -> io::Result<Record<'_>> {
        let start = (self.offset, self.hash.clone());
        let raw = self.take()?;
        match raw.end {
            RecordEnd::File if raw.count == 0 => return Ok(Record::End),
            RecordEnd::NeverCloses => {
                (self.offset, self.hash) = start;
                self.skip_line()?;
                return Ok(Record::Bad(RowError::new(
                    "unclosed_quote",
                    "a quote opens in this line and never closes",
                )));
            }
            RecordEnd::Record | RecordEnd::File => {}
        }
        Ok(self.check(&raw))
    }

    /// Parses one record. Fields that do not fit are dropped, and `overflow` is set.
    fn take(&mut self) -> io::Result<RawRecord> {
        let start = self.offset;
        let (mut written, mut count, mut overflow) = (0, 0, false);
        let (mut quotes, mut lines, mut last) = (0_usize, 0_usize, b'\n');
        loop {
            let input = self.file.fill_buf()?;
            let at_end = input.is_empty();
            let (result, read, more, ended) = self.parser.read_record(
                input,
                &mut self.output[written..],
                &mut self.ends[count..],
            );
            let raw = &input[..read];
            quotes += occurrences(raw, b'"');
            lines += occurrences(raw, b'\n');
            last = raw.last().copied().unwrap_or(last);
            self.hash.update(raw);
            self.file.consume(read);
            self.offset += read as u64;
            written += more;
            count += ended;
            let end = match result {
                // The file ends inside quotes that opened on an earlier line: the last field has
                // line ends, and no quote closed it. Counting quotes alone is not enough, because
                // an inch mark is a quote too.
                ReadRecordResult::Record
                    if at_end
                        && lines > 0
                        && (last != b'"' || quotes % 2 == 1)
                        && (overflow || self.last_field(written, count).contains(&b'\n')) =>
                {
                    Some(RecordEnd::NeverCloses)
                }
                ReadRecordResult::Record => Some(RecordEnd::Record),
                ReadRecordResult::End => Some(RecordEnd::File),
                ReadRecordResult::OutputFull => {
                    (written, overflow) = (0, true);
                    None
                }
                ReadRecordResult::OutputEndsFull => {
                    (count, overflow) = (0, true);
                    None
                }
                ReadRecordResult::InputEmpty => None,
            };
            if let Some(end) = end {
                return Ok(RawRecord { written, count, overflow, end });
            }
            if self.offset - start > MAX_RECORD_BYTES {
                return Ok(RawRecord { written, count, overflow, end: RecordEnd::NeverCloses });
            }
        }
    }

    fn last_field(&self, written: usize, count: usize) -> &[u8] {
        let start = count.checked_sub(2).map_or(0, |before| self.ends[before]);
        self.output.get(start..written).unwrap_or_default()
    }

    fn check(&self, raw: &RawRecord) -> Record<'_> {
        if raw.overflow {
            return Record::Bad(too_long("the row or a field of it"));
        }
        let ends = &self.ends[..raw.count];
        let bytes = &self.output[..raw.written];
        let mut start = 0;
        let mut whole = true;
        for &end in ends {
            if end - start > MAX_FIELD_BYTES {
                return Record::Bad(too_long("a field"));
            }
            // Each field on its own: two broken halves must not form a whole letter.
            whole &= str::from_utf8(&bytes[start..end]).is_ok();
            start = end;
        }
        let Some(text) = str::from_utf8(bytes).ok().filter(|_| whole) else {
            let city = String::from_utf8_lossy(bytes.get(..200).unwrap_or(bytes)).into_owned();
            return Record::Bad(
                RowError::new("invalid_utf8", "the row is not valid UTF-8").with_name(Some(&city)),
            );
        };
        if text.contains('\0') {
            return Record::Bad(RowError::new("nul_byte", "the row contains a NUL byte"));
        }
        if ends.len() == 1 && text.trim().is_empty() {
            return Record::Blank;
        }
        Record::Fields(RecordFields { text, ends })
    }

    /// Skips the line at `self.offset`.
    fn skip_line(&mut self) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.offset))?;
        self.parser = self.columns.parser();
        // Line ends before the record do not belong to it.
        let mut inside = false;
        loop {
            let input = self.file.fill_buf()?;
            if input.is_empty() {
                return Ok(());
            }
            let end = input.iter().position(|byte| {
                inside |= !matches!(byte, b'\n' | b'\r');
                inside && *byte == b'\n'
            });
            let read = end.map_or(input.len(), |at| at + 1);
            self.hash.update(&input[..read]);
            self.file.consume(read);
            self.offset += read as u64;
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

#[expect(
    clippy::naive_bytecount,
    reason = "the compiler vectorises this loop; a crate is not needed"
)]
fn occurrences(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().filter(|byte| **byte == wanted).count()
}

/// The unfinished hash of the first `length` bytes; `None` if the file is shorter.
pub fn hash_prefix(file: &mut File, length: u64) -> io::Result<Option<Sha256>> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let read = io::copy(&mut file.take(length), &mut hash)?;
    Ok((read == length).then_some(hash))
}

pub fn hex(hash: Sha256) -> String {
    format!("{:x}", hash.finalize())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn records(content: &[u8]) -> CsvRecords {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(content).expect("writes");
        let columns = Columns::detect(b"city,lat,lon").expect("a header");
        CsvRecords::at(file, columns, 0, Sha256::new()).expect("opens")
    }

    fn all(content: &[u8]) -> Vec<String> {
        let mut records = records(content);
        let mut seen = Vec::new();
        loop {
            seen.push(match records.next().expect("reads") {
                Record::Fields(fields) => {
                    let fields: Vec<_> = (0..).map_while(|at| fields.get(at)).collect();
                    fields.join("|")
                }
                Record::Blank => "blank".to_owned(),
                Record::Bad(error) => error.code.to_owned(),
                Record::End => return seen,
            });
        }
    }

    #[test]
    fn quotes_line_ends_and_blank_lines_are_parsed() {
        assert_eq!(
            all(b"a,1,2\r\n\r\n\"b, c\",3,4\n  \n\"d\ne\",5,\"\"\"6\"\"\"\nf"),
            ["a|1|2", "b, c|3|4", "blank", "d\ne|5|\"6\"", "f"]
        );
    }

    #[test]
    fn an_unclosed_quote_costs_only_its_row() {
        assert_eq!(
            all(b"a,1,2\n\"b,3,4\nc,5,6\nd,7,8\n"),
            ["a|1|2", "unclosed_quote", "c|5|6", "d|7|8"]
        );
        // An inch mark makes the number of quotes even, but the quote is still open.
        assert_eq!(
            all(b"a,1,2\n5\" b,\"c,4\nd,5,6\ne,7,8\n"),
            ["a|1|2", "unclosed_quote", "d|5|6", "e|7|8"]
        );
        assert_eq!(all(b"a,1,2\n5\" b,3,4"), ["a|1|2", "5\" b|3|4"]);
        let mut large = b"\"open,1,2\n".to_vec();
        for _ in 0..200_000 {
            large.extend_from_slice(b"c,5,6\r\n");
        }
        let seen = all(&large);
        assert_eq!(seen.len(), 200_001);
        assert_eq!(seen[0], "unclosed_quote");
    }

    #[test]
    fn a_long_field_costs_only_its_row() {
        for length in [MAX_FIELD_BYTES + 1, OUTPUT_BYTES * 3] {
            let content = format!("a,1,2\n{},3,4\nc,5,6\n", "x".repeat(length));
            assert_eq!(all(content.as_bytes()), ["a|1|2", "field_too_long", "c|5|6"]);
        }
        let longest = format!("{},1,2", "x".repeat(MAX_FIELD_BYTES));
        assert_eq!(all(longest.as_bytes()), [longest.replace(',', "|")]);
        let endless = format!("{}\nc,5,6\n", "x".repeat(3 << 20));
        assert_eq!(all(endless.as_bytes())[1..], ["c|5|6"]);
    }

    #[test]
    fn broken_bytes_cost_only_their_rows() {
        assert_eq!(
            all(b"Z\xfcrich,1,2\nA\xc3,\xbc,2\na\0b,1,2\nc,5,6\n"),
            ["invalid_utf8", "invalid_utf8", "nul_byte", "c|5|6"]
        );
    }

    #[test]
    fn reading_continues_after_any_record() {
        let content = b"a,1,2\r\n\"b\nc\",3,4\r\n\r\nd,5,6\n\"e,7,8\nf,9,0\n";
        let whole = all(content);
        for stop in 0..whole.len() {
            let mut first = records(content);
            for _ in 0..stop {
                first.next().expect("reads");
            }
            let (offset, hash) = first.position();
            let mut file = tempfile::tempfile().expect("a file");
            file.write_all(content).expect("writes");
            let prefix = hash_prefix(&mut file, offset).expect("reads").expect("there");
            assert_eq!(hex(prefix.clone()), hex(hash), "after {stop}");
            let mut rest =
                CsvRecords::at(file, first.columns.clone(), offset, prefix).expect("opens");
            let mut left = whole.len() - stop;
            while rest.next().expect("reads") != Record::End {
                left -= 1;
            }
            assert_eq!(left, 0, "after {stop}");
        }
    }
}
