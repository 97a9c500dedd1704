//! The shape of a file: encoding, delimiter, columns, and where its rows begin.
//!
//! It is decided once, from the first 64 KiB, for uploads, imports by path and the command alike. The
//! header is the first of the first ten lines that has a column of names and another known one, so
//! titles and comments above it are not rows. Without such a line, a file of one column is a list of
//! names.
//! Guarantees: a file that cannot be understood is a [`Refusal`], never a list of its lines.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use csv_core::{ReadRecordResult, ReaderBuilder};

use super::columns::{Columns, GEONAMES_COLUMNS, MAX_COLUMNS, NO_DELIMITER};
use super::header::{KnownColumn, column};
use super::numbers::{Axis, coordinate, trim, whole};
use super::records::occurrences;
use super::refusal::{Refusal, check_bytes, check_text};
use super::text_reader::{ByteOrder, utf16_bytes};

/// The part of the file that decides.
const HEAD_BYTES: usize = 64 << 10;
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Lines among which the header is searched.
const HEADER_LINES: usize = 10;
/// Lines among which a late header shows that the lines above it are not names.
const SEARCHED_LINES: usize = 200;

/// The names that GeoNames gives the columns of its dump.
const GEONAMES_HEADER: [&str; GEONAMES_COLUMNS] = [
    "geonameid",
    "name",
    "asciiname",
    "alternatenames",
    "latitude",
    "longitude",
    "feature class",
    "feature code",
    "country code",
    "cc2",
    "admin1 code",
    "admin2 code",
    "admin3 code",
    "admin4 code",
    "population",
    "elevation",
    "dem",
    "timezone",
    "modification date",
];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const NO_NAME: &str = "no header was found: one of the first ten lines must have a column city (or city_name, name, town, place, id) and another known one, such as country, latitude or longitude";

/// What the first bytes of a file decide.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub columns: Columns,
    /// The offset of the first record of data.
    pub start: u64,
    /// The number of that line, from 1.
    pub line: u64,
    /// The cells of the header; one for a list of names.
    pub header: Vec<String>,
}

/// Detects the shape of a file. Blocks.
pub fn detect(file: &mut File) -> io::Result<Result<Shape, Refusal>> {
    file.seek(SeekFrom::Start(0))?;
    let mut raw = Vec::with_capacity(HEAD_BYTES);
    // Twice as much: UTF-16 needs two bytes for a letter.
    let read = file.take(2 * HEAD_BYTES as u64).read_to_end(&mut raw)?;
    Ok(shape(&raw, read < 2 * HEAD_BYTES))
}

fn shape(raw: &[u8], at_end: bool) -> Result<Shape, Refusal> {
    check_bytes(raw)?;
    let utf16 = match raw {
        [0xff, 0xfe, ..] => Some(ByteOrder::Little),
        [0xfe, 0xff, ..] => Some(ByteOrder::Big),
        _ => None,
    };
    let mark = match utf16 {
        Some(_) => 2,
        None if raw.starts_with(BYTE_ORDER_MARK) => BYTE_ORDER_MARK.len(),
        None => 0,
    };
    let decoded = utf16.map(|order| decode(&raw[mark..], order));
    let whole = decoded.as_deref().unwrap_or(&raw[mark..]);
    let head = Head {
        text: &whole[..whole.len().min(HEAD_BYTES)],
        at_end: at_end && whole.len() <= HEAD_BYTES,
    };
    let found = head.find()?;
    let before = &head.text[..found.start];
    let cr_lines = !head.text.contains(&b'\n') && head.text.contains(&b'\r');
    let mut columns = found.columns;
    (columns.utf16, columns.cr_lines) = (utf16, cr_lines);
    let line_ends = occurrences(before, columns.line_end());
    let bytes = if utf16.is_some() { utf16_bytes(before) } else { before.len() };
    Ok(Shape {
        columns,
        start: (mark + bytes) as u64,
        line: 1 + line_ends as u64,
        header: found.header,
    })
}

fn decode(raw: &[u8], order: ByteOrder) -> Vec<u8> {
    let units = raw.chunks_exact(2).map(|pair| match order {
        ByteOrder::Little => u16::from_le_bytes([pair[0], pair[1]]),
        ByteOrder::Big => u16::from_be_bytes([pair[0], pair[1]]),
    });
    let chars = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    chars.collect::<String>().into_bytes()
}

/// The first text of a file; `at_end` if that is all of it.
struct Head<'a> {
    text: &'a [u8],
    at_end: bool,
}

/// Columns, and the offset of the first record of data in the text.
struct FoundHeader {
    columns: Columns,
    start: usize,
    header: Vec<String>,
}

/// A line that is not blank, by its offset in the text.
#[derive(Clone, Copy)]
struct TextLine<'a> {
    start: usize,
    text: &'a [u8],
}

impl TextLine<'_> {
    fn is_comment(&self) -> bool {
        let text = self.text.trim_ascii_start();
        [&b"#"[..], b"//", b"--", b"%"].iter().any(|mark| text.starts_with(mark))
    }
}

impl Head<'_> {
    fn find(&self) -> Result<FoundHeader, Refusal> {
        let mut lines = self.lines();
        let Some(first) = lines.first().copied() else {
            return Err(if self.at_end {
                Refusal::empty()
            } else {
                Refusal::no_header("the first 64 KiB of the file are blank", &[])
            });
        };
        check_text(first.text.trim_ascii_start())?;
        if is_binary(first.text) || is_binary(&self.text[..self.text.len().min(4096)]) {
            let what = "binary, or UTF-16 without a byte order mark";
            return Err(Refusal::not_a_table(what, first.text));
        }
        let named = separator(first.text);
        if named.is_some() {
            lines.remove(0);
        }
        let late = lines.split_off(lines.len().min(HEADER_LINES));
        let Some(first) = lines.iter().find(|line| !line.is_comment()).or(lines.first()).copied()
        else {
            return Err(Refusal::no_header(NO_NAME, &[String::from_utf8_lossy(first.text).into()]));
        };
        let delimiters: Vec<u8> = named
            .into_iter()
            .chain(DELIMITERS.into_iter().filter(|one| Some(*one) != named))
            .collect();
        if is_geonames_dump(first.text) {
            let header = GEONAMES_HEADER.map(str::to_owned).to_vec();
            return Ok(FoundHeader {
                columns: Columns::geonames_dump(),
                start: first.start,
                header,
            });
        }
        // A comment is a header only if nothing else is.
        let (comments, plain): (Vec<TextLine<'_>>, Vec<TextLine<'_>>) =
            lines.iter().copied().partition(TextLine::is_comment);
        for line in plain.iter().chain(&comments) {
            if let Some(found) = self.header_at(*line, &delimiters, named) {
                return Ok(found);
            }
        }
        if late.iter().any(|line| self.header_at(*line, &delimiters, named).is_some()) {
            let missing = "the header is below the first ten lines; delete the lines above it";
            return Err(Refusal::no_header(missing, &[String::from_utf8_lossy(first.text).into()]));
        }
        self.one_known_column(first, &plain, &delimiters)
    }

    /// The lines of the text that are not blank.
    fn lines(&self) -> Vec<TextLine<'_>> {
        let mut lines = Vec::new();
        let mut start = 0;
        for text in self.text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let is_blank = String::from_utf8_lossy(text)
                .chars()
                .all(|c| c.is_whitespace() || matches!(c, ',' | ';' | '|' | '"' | '\u{feff}'));
            if !is_blank {
                lines.push(TextLine { start, text: text.trim_ascii_end() });
            }
            start += text.len();
            if lines.len() > SEARCHED_LINES {
                break;
            }
        }
        lines
    }

    /// A header with a column of names or numbers and another known one, at that line.
    fn header_at(
        &self,
        line: TextLine<'_>,
        delimiters: &[u8],
        named: Option<u8>,
    ) -> Option<FoundHeader> {
        let candidates = delimiters.iter().filter_map(|&delimiter| {
            let (header, end) = self.record(line.start, delimiter)?;
            let known = known(&header);
            let columns = Columns::of_header(&header, delimiter);
            let is_header = known >= 2 && columns.names_cities();
            is_header.then_some((
                Some(delimiter) == named,
                known,
                header.len(),
                end,
                header,
                columns,
            ))
        });
        // The delimiter that is named, or gives the most known names, or the most columns.
        let best = candidates.reduce(|best, other| {
            let key =
                |one: &(bool, usize, usize, usize, Vec<String>, Columns)| (one.0, one.1, one.2);
            if key(&other) > key(&best) { other } else { best }
        });
        if let Some((.., end, header, columns)) = best {
            return Some(FoundHeader { columns, start: end, header });
        }
        self.quoted_header_at(line, delimiters)
    }

    /// A header that is one quoted cell, as are the lines after it.
    fn quoted_header_at(&self, line: TextLine<'_>, delimiters: &[u8]) -> Option<FoundHeader> {
        if !line.text.trim_ascii_start().starts_with(b"\"") {
            return None;
        }
        for &outer in delimiters.iter().chain([&NO_DELIMITER]) {
            let Some((cells, end)) = self.record(line.start, outer) else { continue };
            let Some((cell, others)) = cells.split_first() else { continue };
            let is_padded = !others.is_empty() && others.iter().all(|cell| trim(cell).is_empty());
            if !is_padded && outer != NO_DELIMITER {
                continue;
            }
            for &delimiter in delimiters {
                let header = fields(cell.as_bytes(), delimiter);
                let mut columns = Columns::of_header(&header, delimiter);
                if known(&header) >= 2 && columns.names_cities() {
                    columns.wrapped = Some(outer);
                    return Some(FoundHeader { columns, start: end, header });
                }
            }
        }
        None
    }

    /// A file without a line of two known columns: one known column, or a list of names.
    fn one_known_column(
        &self,
        first: TextLine<'_>,
        lines: &[TextLine<'_>],
        delimiters: &[u8],
    ) -> Result<FoundHeader, Refusal> {
        if let Some(sign) = lines.iter().find_map(|line| unsupported_delimiter(line.text)) {
            let missing = format!(
                "the columns are separated by {sign}; a comma, a semicolon, a tab or | is needed"
            );
            return Err(Refusal::no_header(
                &missing,
                &[String::from_utf8_lossy(first.text).into()],
            ));
        }
        if first.is_comment() {
            return Err(Refusal::no_header(NO_NAME, &[String::from_utf8_lossy(first.text).into()]));
        }
        let widest = delimiters
            .iter()
            .filter_map(|&delimiter| Some((delimiter, self.record(first.start, delimiter)?)))
            .reduce(|best, other| if other.1.0.len() > best.1.0.len() { other } else { best });
        let Some((delimiter, (cells, end))) = widest else {
            let line = String::from_utf8_lossy(first.text).into_owned();
            return Err(Refusal::no_header(
                "the first line has a quote that never closes",
                &[line],
            ));
        };
        if cells.len() > 1 {
            let columns = Columns::of_header(&cells, delimiter);
            let width = columns.width.unwrap_or_default();
            // More cells below than in the header: the line is a title.
            let fits = lines.iter().all(|line| {
                line.start <= first.start
                    || fields(line.text, delimiter).len() <= cells.len().max(width)
            });
            if columns.names_cities() && fits {
                return Ok(FoundHeader { columns, start: end, header: cells });
            }
            return Err(Refusal::no_header(NO_NAME, &cells));
        }
        for line in lines {
            let Some((header, end)) = self.record(line.start, NO_DELIMITER) else { continue };
            let mut columns = Columns::of_header(&header, NO_DELIMITER);
            if columns.names_cities() {
                // Names may hold commas.
                columns.width = None;
                return Ok(FoundHeader { columns, start: end, header });
            }
        }
        if let Some(below) = table_below(first, lines) {
            return Err(Refusal::no_header(NO_NAME, &below));
        }
        Ok(FoundHeader {
            columns: Columns::names(),
            start: first.start,
            header: vec!["city".to_owned()],
        })
    }

    /// The record at that offset and its end; `None` if the text ends within it.
    fn record(&self, start: usize, delimiter: u8) -> Option<(Vec<String>, usize)> {
        let text = &self.text[start..];
        let mut output = vec![0; text.len() + 1];
        let mut ends = [0; MAX_COLUMNS];
        let mut parser = ReaderBuilder::new().delimiter(delimiter).build();
        let (mut result, read, mut written, mut count) =
            parser.read_record(text, &mut output, &mut ends);
        if result == ReadRecordResult::InputEmpty && self.at_end {
            let (end, _, more, ended) =
                parser.read_record(&[], &mut output[written..], &mut ends[count..]);
            (result, written, count) = (end, written + more, count + ended);
        }
        debug_assert!(written <= output.len());
        (result == ReadRecordResult::Record).then(|| (cells(&output, &ends[..count]), start + read))
    }
}

/// The cells of one line.
fn fields(line: &[u8], delimiter: u8) -> Vec<String> {
    Head { text: line, at_end: true }
        .record(0, delimiter)
        .map(|(cells, _)| cells)
        .unwrap_or_default()
}

fn cells(output: &[u8], ends: &[usize]) -> Vec<String> {
    let mut start = 0;
    ends.iter()
        .map(|&end| {
            let text = String::from_utf8_lossy(&output[start..end]).into_owned();
            start = end;
            text
        })
        .collect()
}

fn known(header: &[String]) -> usize {
    header.iter().filter(|name| column(name).is_some()).count()
}

/// The delimiter that a line such as `sep=;` names.
fn separator(line: &[u8]) -> Option<u8> {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let line: Vec<u8> = line.iter().copied().filter(|byte| !matches!(byte, b'"' | b'\'')).collect();
    let name = line.get(..3)?;
    if !name.eq_ignore_ascii_case(b"sep") {
        return None;
    }
    let value = line[3..].trim_ascii_start().strip_prefix(b"=")?;
    match value {
        // The end of the line was trimmed, and the tab with it.
        [] | b"\\t" => Some(b'\t'),
        [one, rest @ ..] => {
            let is_sign = one.is_ascii_punctuation() || one.is_ascii_whitespace();
            let is_alone = rest.iter().all(|byte| byte == one || DELIMITERS.contains(byte));
            (is_sign && is_alone).then_some(*one)
        }
    }
}

/// Whether the share of NUL bytes is that of UTF-16 or of data, not of a text with a fault.
fn is_binary(text: &[u8]) -> bool {
    16 * occurrences(text, 0) > text.len()
}

/// 19 columns with a number, coordinates and a country where GeoNames has them.
fn is_geonames_dump(line: &[u8]) -> bool {
    let cells: Vec<&[u8]> = line.split(|byte| *byte == b'\t').collect();
    let text = |at: usize| str::from_utf8(cells[at]).unwrap_or_default();
    // Blank cells at the end of the line may have been trimmed.
    (GEONAMES_COLUMNS - 2..=GEONAMES_COLUMNS).contains(&cells.len())
        && whole(text(0)).is_some_and(|id| id > 0)
        && !text(1).is_empty()
        && coordinate(text(4), Axis::Latitude).is_some()
        && coordinate(text(5), Axis::Longitude).is_some()
        && (text(8).is_empty() || text(8).len() == 2)
}

/// A sign that would separate known columns in this line but is not supported.
fn unsupported_delimiter(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let kinds = |parts: &mut dyn Iterator<Item = &str>| {
        let mut kinds: Vec<KnownColumn> = parts.filter_map(|part| Some(column(part)?.0)).collect();
        kinds.dedup();
        kinds.len()
    };
    let signs: Vec<char> = text
        .chars()
        .filter(|c| {
            !c.is_alphanumeric() && !matches!(c, '_' | '-' | ' ' | '"' | ',' | ';' | '\t' | '|')
        })
        .collect();
    for sign in signs {
        if kinds(&mut text.split(sign)) >= 2 {
            return Some(if sign.is_control() {
                "a control character".to_owned()
            } else {
                sign.to_string()
            });
        }
    }
    // "Long Town" is a name: spaces need more evidence.
    (kinds(&mut text.split_whitespace()) >= 3).then(|| "spaces".to_owned())
}

/// The cells of the second line if the lines below the first one are a table.
fn table_below(first: TextLine<'_>, lines: &[TextLine<'_>]) -> Option<Vec<String>> {
    let below: Vec<&TextLine<'_>> = lines.iter().filter(|line| line.start > first.start).collect();
    for (line, delimiter) in below.iter().flat_map(|line| DELIMITERS.map(|one| (line, one))) {
        let cells = fields(line.text, delimiter);
        if cells.len() > 1 && Columns::of_header(&cells, delimiter).names_cities() {
            return Some(cells);
        }
    }
    if below.len() < 2 {
        return None;
    }
    for delimiter in DELIMITERS {
        let widths: Vec<usize> =
            below.iter().map(|line| fields(line.text, delimiter).len()).collect();
        let is_even = widths.iter().all(|width| *width == widths[0]);
        // "Deyang, Sichuan" is a name; a table has no space after its commas.
        let is_prose = delimiter == b','
            && (widths[0] < 3 || below.iter().any(|line| contains(line.text, b", ")));
        if is_even && widths[0] > 1 && !is_prose {
            return Some(fields(below[0].text, delimiter));
        }
    }
    None
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
#[path = "shape_tests.rs"]
mod tests;
