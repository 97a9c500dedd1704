//! Columns: how the records of a file are separated, and the position of each known field. Pure.
//!
//! Of several columns with one meaning the filled one counts; if two are filled, both go to the row,
//! which compares them. The cursor stores the columns, so another process reads the file alike.
//! Next: [`shape`](super::shape), which finds them.

use std::borrow::Cow;

use csv_core::{Reader, ReaderBuilder};
use serde::{Deserialize, Serialize};

use super::formula::unescape_formula;
use super::header::{self, KnownColumn};
use super::numbers::trim;
use super::row::RawRow;
use super::text_reader::ByteOrder;

/// Does not occur in text that people write: for files of one column, whose names may hold commas.
pub const NO_DELIMITER: u8 = 0x1f;
/// More columns than any file of cities has; a longer record is rejected.
pub const MAX_COLUMNS: usize = 512;

/// The position of each known field in a record. Fields are only added, with a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    pub delimiter: u8,
    /// False for a plain list of names.
    pub has_header: bool,
    city_id: Option<usize>,
    name: Option<usize>,
    country: Option<usize>,
    latitude: Option<usize>,
    longitude: Option<usize>,
    /// Further columns of the same meanings, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    more: Vec<(KnownColumn, usize)>,
    /// The number of columns; a record with a filled field beyond is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// A quote is a character like any other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unquoted: bool,
    /// Each line is one quoted cell. This delimiter separates it from blank cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapped: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utf16: Option<ByteOrder>,
    /// Lines end with CR alone, as on old Macs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cr_lines: bool,
}

impl Columns {
    /// A plain list of names.
    pub fn names() -> Self {
        Self { delimiter: NO_DELIMITER, name: Some(0), ..Self::default() }
    }

    /// The columns of a header; blank cells at its end do not count.
    pub fn of_header(header: &[String], delimiter: u8) -> Self {
        let mut known: Vec<(KnownColumn, u8, usize)> = header
            .iter()
            .enumerate()
            .filter_map(|(at, name)| header::column(name).map(|(column, rank)| (column, rank, at)))
            .collect();
        let has = |wanted| known.iter().any(|(column, ..)| *column == wanted);
        let is_projected = has(KnownColumn::X) && has(KnownColumn::Y);
        let use_xy = is_projected && !has(KnownColumn::Latitude) && !has(KnownColumn::Longitude);
        for (column, ..) in &mut known {
            *column = match *column {
                KnownColumn::Y if use_xy => KnownColumn::Latitude,
                KnownColumn::X if use_xy => KnownColumn::Longitude,
                KnownColumn::X | KnownColumn::Y => KnownColumn::Other,
                KnownColumn::Id
                | KnownColumn::Name
                | KnownColumn::Country
                | KnownColumn::Latitude
                | KnownColumn::Longitude
                | KnownColumn::Other => *column,
            };
        }
        known.sort_by_key(|(_, rank, at)| (*rank, *at));
        let mut columns = Self { delimiter, has_header: true, ..Self::default() };
        for (column, _, at) in known {
            columns.add(column, at);
        }
        let filled = header.iter().rposition(|name| !trim(name).is_empty());
        columns.width = Some(filled.map_or(0, |last| last + 1));
        columns
    }

    /// The dump of GeoNames: 19 columns without a header, quotes are text.
    pub fn geonames_dump() -> Self {
        let mut columns = Self { delimiter: b'\t', unquoted: true, ..Self::default() };
        for (column, at) in [
            (KnownColumn::Id, 0),
            (KnownColumn::Name, 1),
            (KnownColumn::Name, 2),
            (KnownColumn::Latitude, 4),
            (KnownColumn::Longitude, 5),
            (KnownColumn::Country, 8),
        ] {
            columns.add(column, at);
        }
        columns.width = Some(GEONAMES_COLUMNS);
        columns
    }

    fn add(&mut self, column: KnownColumn, at: usize) {
        let first = match column {
            KnownColumn::Id => &mut self.city_id,
            KnownColumn::Name => &mut self.name,
            KnownColumn::Country => &mut self.country,
            KnownColumn::Latitude => &mut self.latitude,
            KnownColumn::Longitude => &mut self.longitude,
            KnownColumn::X | KnownColumn::Y | KnownColumn::Other => return,
        };
        if first.is_none() {
            *first = Some(at);
        } else {
            self.more.push((column, at));
        }
    }

    /// Whether a row can say which city it means.
    pub fn names_cities(&self) -> bool {
        self.name.is_some() || self.city_id.is_some()
    }

    /// A parser for records from any position in a file. It reads a byte order mark as text;
    /// otherwise a row would differ when another process continues exactly there.
    pub fn parser(&self) -> Reader {
        let delimiter = self.wrapped.unwrap_or(self.delimiter);
        let mut parser = ReaderBuilder::new().delimiter(delimiter).quoting(!self.unquoted).build();
        // The parser looks for a mark in its first input only. A line end before a record is ignored.
        parser.read_record(b"\n", &mut [0], &mut [0]);
        parser
    }

    /// For the content of a quoted line.
    pub fn inner_parser(&self) -> Reader {
        ReaderBuilder::new().delimiter(self.delimiter).build()
    }

    pub fn line_end(&self) -> u8 {
        if self.cr_lines { b'\r' } else { b'\n' }
    }

    /// The known fields of one record.
    pub fn raw<'a>(&self, field: impl Fn(usize) -> Option<&'a str>) -> RawRow<'a> {
        let cell = |column: Option<usize>| column.and_then(&field);
        let at =
            |column: Option<usize>| cell(column).map(|text| Cow::Borrowed(unescape_formula(text)));
        let mut raw = RawRow {
            city_id: at(self.city_id),
            name: at(self.name),
            country: at(self.country),
            latitude: at(self.latitude),
            longitude: at(self.longitude),
            more: Vec::new(),
        };
        for (column, position) in &self.more {
            let Some(text) = field(*position).filter(|text| !trim(text).is_empty()) else {
                continue;
            };
            let first = match column {
                KnownColumn::Name => &mut raw.name,
                KnownColumn::Id => &mut raw.city_id,
                KnownColumn::Country => &mut raw.country,
                KnownColumn::Latitude => &mut raw.latitude,
                KnownColumn::Longitude => &mut raw.longitude,
                KnownColumn::X | KnownColumn::Y | KnownColumn::Other => continue,
            };
            let is_filled = first.as_deref().is_some_and(|text| !trim(text).is_empty());
            let text = Cow::Borrowed(unescape_formula(text));
            if !is_filled {
                *first = Some(text);
            } else if *column != KnownColumn::Name {
                raw.more.push((*column, text));
            }
        }
        if self.name.is_some() && raw.name.is_none() {
            // The record ends before its name: the name is blank, not absent.
            raw.name = Some(Cow::Borrowed(""));
        }
        raw
    }

    /// The field that shows which city a rejected record meant.
    pub fn shown_name(&self, field: impl Fn(usize) -> Option<String>) -> Option<String> {
        let more = self.more.iter().filter(|(column, _)| *column == KnownColumn::Name);
        let positions = self.name.into_iter().chain(more.map(|(_, at)| *at));
        positions.filter_map(field).find(|name| !trim(name).is_empty())
    }

    /// Positions by the names that a task's fields have.
    pub fn positions(&self) -> Vec<(String, usize)> {
        [
            ("city_id", self.city_id),
            ("city", self.name),
            ("country_code", self.country),
            ("latitude_deg", self.latitude),
            ("longitude_deg", self.longitude),
        ]
        .into_iter()
        .filter_map(|(name, at)| Some((name.to_owned(), at?)))
        .collect()
    }
}

/// The width of GeoNames' dump.
pub const GEONAMES_COLUMNS: usize = 19;

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(header: &[&str]) -> Columns {
        let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
        Columns::of_header(&header, b',')
    }

    #[test]
    fn a_short_record_has_a_blank_name() {
        let record = ["1", "2"];
        let raw = columns(&["lat", "lon", "city"]).raw(|at| record.get(at).copied());
        assert_eq!(raw.name.as_deref(), Some(""));
    }

    #[test]
    fn the_filled_one_of_two_columns_counts() {
        let columns = columns(&["name", "lat", "latitude", "lon", "longitude", "city"]);
        let record = ["", "", "56.3", "-3.4", "", "Perth"];
        let raw = columns.raw(|at| record.get(at).copied());
        assert_eq!(raw.name.as_deref(), Some("Perth"));
        assert_eq!(raw.latitude.as_deref(), Some("56.3"));
        assert_eq!(raw.longitude.as_deref(), Some("-3.4"));
        assert!(raw.more.is_empty());
    }

    #[test]
    fn x_and_y_count_together_and_alone() {
        let record = ["Perth", "115.8", "-31.9", "-30"];
        let at = |columns: &Columns| {
            let raw = columns.raw(|at| record.get(at).copied());
            (raw.latitude.map(Cow::into_owned), raw.longitude.map(Cow::into_owned))
        };
        let both = at(&columns(&["city", "x", "y"]));
        assert_eq!(both, (Some("-31.9".to_owned()), Some("115.8".to_owned())));
        assert_eq!(at(&columns(&["city", "x", "foo"])), (None, None));
        assert_eq!(at(&columns(&["city", "x", "y", "lat"])), (Some("-30".to_owned()), None));
    }
}
