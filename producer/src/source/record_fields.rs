//! The fields of one record: the known ones for a row, and all of them for a reject.
//!
//! Guarantees: a field is borrowed from the record; only a reject copies.

use isobar_model::task::SourceRecord;

use super::columns::Columns;
use super::row::RawRow;

/// A longer record is not kept with its reject.
pub const MAX_KEPT_BYTES: usize = 8 << 10;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordFields<'a> {
    pub(super) text: &'a str,
    pub(super) ends: &'a [usize],
    pub(super) columns: &'a Columns,
    /// Line ends before the record.
    pub(super) line: Option<u64>,
}

impl<'a> RecordFields<'a> {
    pub fn get(&self, column: usize) -> Option<&'a str> {
        let end = *self.ends.get(column)?;
        let start = column.checked_sub(1).map_or(0, |before| self.ends[before]);
        self.text.get(start..end)
    }

    /// The known fields.
    pub fn raw(&self) -> RawRow<'a> {
        self.columns.raw(|column| self.get(column))
    }

    /// All fields, to be kept with a reject.
    pub fn record(&self, value: Option<&str>) -> SourceRecord {
        kept(self.text.as_bytes(), self.ends, self.columns, self.line, value)
    }
}

/// A record as it is kept with its reject, bytes that are not UTF-8 being replaced.
pub fn kept(
    bytes: &[u8],
    ends: &[usize],
    columns: &Columns,
    line: Option<u64>,
    value: Option<&str>,
) -> SourceRecord {
    let mut start = 0;
    let mut field = |end: &usize| {
        let field = bytes.get(start..*end).unwrap_or_default();
        start = *end;
        String::from_utf8_lossy(field).into_owned()
    };
    let is_short = bytes.len() <= MAX_KEPT_BYTES;
    SourceRecord {
        line: line.map(|before| before + 1),
        value: value.map(str::to_owned),
        fields: ends.iter().filter(|_| is_short).map(&mut field).collect(),
        known: columns.positions(),
        width: columns.width,
    }
}
