//! Records of a CSV file, one at a time, in bounded memory whatever the file contains.
//!
//! csv-core parses (RFC 4180); this file handles hostile and broken input. A record is at most
//! [`MAX_RECORD_BYTES`] long, and a quote that never closes costs only the row in which it opens.
//! The bytes of each record are counted and hashed. So a reader can continue after any record, and
//! check that the bytes before it are the same.
//! Does not: decide what a record means (see [`row`](super::row)).

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use csv_core::{ReadRecordResult, Reader};
use isobar_model::task::{MAX_FIELD_BYTES, SourceRecord};
use sha2::{Digest, Sha256};

use super::columns::{Columns, MAX_COLUMNS};
use super::numbers::trim;
use super::record_fields::{MAX_KEPT_BYTES, RecordFields, kept};
use super::row::{RowError, too_long};
use super::shown::quoted;
use super::text_reader::TextReader;

/// A quoted field that is still open after this many bytes counts as a quote that never closes.
const MAX_RECORD_BYTES: u64 = 1 << 20;
/// Room for the fields of one record; a longer record has a field that is too long.
const OUTPUT_BYTES: usize = 64 << 10;

/// A file, positioned between two records.
#[derive(Debug)]
pub struct CsvRecords {
    file: TextReader,
    parser: Reader,
    columns: Columns,
    /// Line ends before the next record; `None` in a job that an older version began.
    lines: Option<u64>,
    /// Line ends before the record that was read last.
    line: Option<u64>,
    output: Vec<u8>,
    ends: Vec<usize>,
    /// For lines that are one quoted cell: their parsed content, swapped with the above.
    inner: Option<(Vec<u8>, Vec<usize>)>,
}

/// One record, or why there is none.
#[derive(Debug, PartialEq)]
pub enum Record<'a> {
    /// Fields by column, blank ones included.
    Fields(RecordFields<'a>),
    /// A record of blank fields, which is not a row.
    Blank,
    Bad(RowError),
    End,
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
    /// Starts at `offset`, the start of a record; `hash` is of all bytes before it, and `lines` the
    /// number of lines.
    pub fn at(
        file: File,
        columns: Columns,
        offset: u64,
        hash: Sha256,
        lines: Option<u64>,
    ) -> io::Result<Self> {
        Ok(Self {
            file: TextReader::at(file, columns.utf16, offset, hash)?,
            parser: columns.parser(),
            lines,
            line: lines,
            output: vec![0; OUTPUT_BYTES],
            ends: vec![0; MAX_COLUMNS],
            inner: columns.wrapped.map(|_| (vec![0; OUTPUT_BYTES], vec![0; MAX_COLUMNS])),
            columns,
        })
    }

    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The offset of the next record, and the hash of all bytes before it.
    pub fn position(&self) -> (u64, Sha256) {
        (self.file.offset(), self.file.hash().clone())
    }

    /// Line ends before the next record.
    pub fn lines(&self) -> Option<u64> {
        self.lines
    }

    pub fn next(&mut self) -> io::Result<Record<'_>> {
        let start = self.position();
        let lines = self.lines;
        let mut raw = self.take()?;
        match raw.end {
            RecordEnd::File if raw.count == 0 => return Ok(Record::End),
            RecordEnd::NeverCloses => {
                self.file.seek(start.0, start.1)?;
                self.lines = lines;
                let line = self.skip_line()?;
                let reason = format!(
                    "a quote opens in this line and never closes; it is {}",
                    quoted(&String::from_utf8_lossy(&line))
                );
                let error = RowError::new("unclosed_quote", reason);
                let record = self.broken_line(&line);
                return Ok(Record::Bad(RowError { record: Some(Box::new(record)), ..error }));
            }
            RecordEnd::Record | RecordEnd::File => {}
        }
        if self.inner.is_some() {
            self.unwrap_line(&mut raw);
        }
        Ok(self.check(&raw))
    }

    /// Parses the content of a line that is one quoted cell.
    fn unwrap_line(&mut self, raw: &mut RawRecord) {
        let Some((output, ends)) = &mut self.inner else { return };
        let (Some(&first), false) = (self.ends.first(), raw.overflow || raw.count == 0) else {
            return;
        };
        let text = &self.output[..raw.written];
        if !text[first..].trim_ascii().is_empty() {
            // More than one cell: the record stays as it is, and its fields are too few or too many.
            return;
        }
        let mut parser = self.columns.inner_parser();
        let (result, _, mut written, mut count) = parser.read_record(&text[..first], output, ends);
        if result == ReadRecordResult::InputEmpty {
            let (_, _, more, ended) =
                parser.read_record(&[], &mut output[written..], &mut ends[count..]);
            (written, count) = (written + more, count + ended);
        }
        (raw.written, raw.count) = (written, count);
        std::mem::swap(&mut self.output, output);
        std::mem::swap(&mut self.ends, ends);
    }

    /// Parses one record. Fields that do not fit are dropped, and `overflow` is set.
    fn take(&mut self) -> io::Result<RawRecord> {
        let start = self.file.offset();
        let line_end = self.columns.line_end();
        let (mut written, mut count, mut overflow) = (0, 0, false);
        let (mut quotes, mut lines, mut last) = (0_usize, 0_usize, b'\n');
        // Line ends before the record do not belong to it.
        let mut before = Some(0_usize);
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
            let ended_lines = occurrences(raw, line_end);
            if let Some(before_so_far) = before {
                let blank = raw.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
                let ends = before_so_far + occurrences(&raw[..blank], line_end);
                self.line = self.lines.map(|lines| lines + ends as u64);
                before = (blank == raw.len()).then_some(ends);
            }
            lines += ended_lines;
            last = raw.last().copied().unwrap_or(last);
            self.file.consume(read);
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
                self.lines = self.lines.map(|before| before + lines as u64);
                return Ok(RawRecord { written, count, overflow, end });
            }
            if self.file.offset() - start > MAX_RECORD_BYTES {
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
            return self.bad(&[], &[], too_long("the row or a field of it"));
        }
        let ends = &self.ends[..raw.count];
        let bytes = &self.output[..raw.written];
        let mut start = 0;
        let mut whole = true;
        for &end in ends {
            // The dump of GeoNames has long fields that no task needs.
            if end - start > MAX_FIELD_BYTES && !self.columns.unquoted {
                return self.bad(bytes, ends, too_long("a field"));
            }
            // Each field on its own: two broken halves must not form a whole letter.
            whole &= str::from_utf8(&bytes[start..end]).is_ok();
            start = end;
        }
        let Some(text) = str::from_utf8(bytes).ok().filter(|_| whole) else {
            let reason = "the row is not valid UTF-8: save the file as UTF-8";
            return self.bad(bytes, ends, RowError::new("invalid_utf8", reason));
        };
        if text.contains('\0') {
            return self.bad(bytes, ends, RowError::new("nul_byte", "the row contains a NUL byte"));
        }
        if trim(text).is_empty() {
            return Record::Blank;
        }
        if let Some(width) = self.columns.width.filter(|width| ends.len() > *width) {
            let surplus = width.checked_sub(1).map_or(0, |last| ends[last]);
            if !trim(&text[surplus..]).is_empty() {
                return self.bad(bytes, ends, self.ragged(text, ends, width));
            }
        }
        let (columns, line) = (&self.columns, self.line);
        Record::Fields(RecordFields { text, ends, columns, line })
    }

    fn ragged(&self, text: &str, ends: &[usize], width: usize) -> RowError {
        let field = |at: usize| &text[at.checked_sub(1).map_or(0, |before| ends[before])..ends[at]];
        let filled = (width..ends.len()).rfind(|at| !trim(field(*at)).is_empty());
        let fields = filled.map_or(ends.len(), |last| last + 1);
        let cause = match self.columns.delimiter {
            b',' => "a decimal comma, or a comma in a name, needs quotes".to_owned(),
            b'\t' => "a tab in a field needs quotes".to_owned(),
            other => format!("a {} in a field needs quotes", char::from(other)),
        };
        let reason = format!("{fields} fields, the header has {width}; {cause}");
        let value: Vec<&str> = (0..fields).map(field).collect();
        let delimiter = char::from(self.columns.delimiter).to_string();
        RowError { value: Some(value.join(&delimiter)), ..RowError::new("ragged_row", reason) }
    }

    /// A record that cannot be read, with its name and its fields.
    fn bad(&self, bytes: &[u8], ends: &[usize], error: RowError) -> Record<'static> {
        let field = |at: usize| {
            let start = at.checked_sub(1).map_or(0, |before| ends[before]);
            Some(String::from_utf8_lossy(bytes.get(start..*ends.get(at)?)?))
        };
        let name = self.columns.shown_name(|at| field(at).map(Cow::into_owned));
        let is_broken = |field: &Cow<'_, str>| field.contains([char::REPLACEMENT_CHARACTER, '\0']);
        let value = error.value.clone().or_else(|| {
            let broken = (0..ends.len()).filter_map(field).find(is_broken);
            broken.map(Cow::into_owned)
        });
        let record = kept(bytes, ends, &self.columns, self.line, value.as_deref());
        Record::Bad(RowError {
            record: Some(Box::new(record)),
            value,
            ..error.with_name(name.as_deref())
        })
    }

    /// A line that is not a record: it is kept behind the last column, where no column has it.
    fn broken_line(&self, line: &[u8]) -> SourceRecord {
        let width = self.columns.width.unwrap_or(1);
        let mut fields = vec![String::new(); width];
        fields.push(String::from_utf8_lossy(line).into_owned());
        let known = self.columns.positions();
        let line = self.line.map(|before| before + 1);
        SourceRecord { line, value: None, fields, known, width: Some(width) }
    }

    /// Skips the line at the position of the file and returns its beginning.
    fn skip_line(&mut self) -> io::Result<Vec<u8>> {
        self.parser = self.columns.parser();
        let line_end = self.columns.line_end();
        // Line ends before the record do not belong to it.
        let mut inside = false;
        let mut line = Vec::new();
        loop {
            let input = self.file.fill_buf()?;
            if input.is_empty() {
                return Ok(line);
            }
            let end = input.iter().position(|byte| {
                inside |= !matches!(byte, b'\n' | b'\r');
                inside && *byte == line_end
            });
            let read = end.map_or(input.len(), |at| at + 1);
            let ends = occurrences(&input[..read], line_end);
            let room = MAX_KEPT_BYTES - line.len();
            line.extend_from_slice(&input[..read.min(room)]);
            self.file.consume(read);
            self.lines = self.lines.map(|before| before + ends as u64);
            if end.is_some() {
                let length = line.trim_ascii().len();
                let start = line.len() - line.trim_ascii_start().len();
                return Ok(line[start..start + length].to_vec());
            }
        }
    }
}

#[expect(
    clippy::naive_bytecount,
    reason = "the compiler vectorises this loop; a crate is not needed"
)]
pub fn occurrences(bytes: &[u8], wanted: u8) -> usize {
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

    fn columns() -> Columns {
        let header = ["city", "lat", "lon"].map(str::to_owned);
        Columns::of_header(&header, b',')
    }

    fn records(content: &[u8]) -> CsvRecords {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(content).expect("writes");
        CsvRecords::at(file, columns(), 0, Sha256::new(), Some(0)).expect("opens")
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
            let mut rest = CsvRecords::at(file, columns(), offset, prefix, None).expect("opens");
            let mut left = whole.len() - stop;
            while rest.next().expect("reads") != Record::End {
                left -= 1;
            }
            assert_eq!(left, 0, "after {stop}");
        }
    }
}
