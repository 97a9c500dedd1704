//! Columns: finds the delimiter and the meaning of each column in the first line of a file. Pure.
//!
//! Header names match in any case, with spaces or dashes for underscores; unknown columns are
//! ignored. A file with one column and no known header is a plain list of names, and its first
//! line is its first city. A line that names no city gives an error text for the owner of the file.

use std::borrow::Cow;

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use serde::{Deserialize, Serialize};

use super::formula::unescape_formula;
use super::row::RawRow;

/// Does not occur in text that people write: for files of one column, whose names may hold commas.
const NO_DELIMITER: u8 = 0x1f;
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
/// More columns than any file of cities has; further columns are ignored.
pub const MAX_COLUMNS: usize = 512;

/// The position of each known field in a record.
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
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FileColumn {
    Id,
    Name,
    Country,
    Latitude,
    Longitude,
    /// Known, but not part of a task.
    Other,
}

impl Columns {
    /// `first_line` is the file's first line that is not blank, without a byte-order mark.
    pub fn detect(first_line: &[u8]) -> Result<Self, String> {
        let candidates = DELIMITERS.map(|delimiter| {
            let header = fields(first_line, delimiter);
            let known = header.iter().filter(|name| parse(name).is_some()).count();
            (known, header.len(), delimiter, header)
        });
        // The delimiter that gives the most known names; among equals, the most columns.
        let (count, width, delimiter, header) = candidates
            .into_iter()
            .max_by_key(|(known, width, delimiter, _)| {
                (*known, *width, std::cmp::Reverse(*delimiter))
            })
            .expect("there are delimiters");
        if width == 1 && count == 0 {
            return Ok(Self { delimiter: NO_DELIMITER, name: Some(0), ..Self::default() });
        }
        let at = |wanted| header.iter().position(|name| parse(name) == Some(wanted));
        let columns = Self {
            delimiter: if width == 1 { NO_DELIMITER } else { delimiter },
            has_header: true,
            city_id: at(FileColumn::Id),
            name: at(FileColumn::Name),
            country: at(FileColumn::Country),
            latitude: at(FileColumn::Latitude),
            longitude: at(FileColumn::Longitude),
        };
        if columns.name.is_none() && columns.city_id.is_none() {
            return Err(format!(
                "no column is called city, name, city_name, id, city_id or geoname_id; the first line has: {}",
                shown(&header)
            ));
        }
        Ok(columns)
    }

    /// A parser for records from any position in a file. It reads a byte order mark as text;
    /// otherwise a row would differ when another process continues exactly there.
    pub fn parser(&self) -> Reader {
        let mut parser = ReaderBuilder::new().delimiter(self.delimiter).build();
        // The parser looks for a mark in its first input only. A line end before a record is ignored.
        parser.read_record(b"\n", &mut [0], &mut [0]);
        parser
    }

    /// The known fields of one record.
    pub fn raw<'a>(&self, field: impl Fn(usize) -> Option<&'a str>) -> RawRow<'a> {
        let cell = |column: Option<usize>| column.and_then(&field);
        let at = |column: Option<usize>| cell(column).map(Cow::Borrowed);
        let mut raw = RawRow {
            city_id: at(self.city_id),
            name: cell(self.name).map(|name| Cow::Borrowed(unescape_formula(name))),
            country: at(self.country),
            latitude: at(self.latitude),
            longitude: at(self.longitude),
        };
        if self.name.is_some() && raw.name.is_none() {
            // The record ends before its name: the name is blank, not absent.
            raw.name = Some(Cow::Borrowed(""));
        }
        raw
    }
}

fn parse(name: &str) -> Option<FileColumn> {
    let name = name.trim().to_lowercase().replace([' ', '-'], "_");
    Some(match name.as_str() {
        "city" | "name" | "city_name" => FileColumn::Name,
        "country" | "country_code" => FileColumn::Country,
        "latitude" | "lat" | "latitude_deg" => FileColumn::Latitude,
        "longitude" | "lon" | "lng" | "longitude_deg" => FileColumn::Longitude,
        "id" | "city_id" | "geoname_id" => FileColumn::Id,
        "admin1" | "admin1_code" | "population" => FileColumn::Other,
        _ => return None,
    })
}

fn fields(line: &[u8], delimiter: u8) -> Vec<String> {
    let mut output = vec![0; line.len() + 1];
    let mut ends = [0; MAX_COLUMNS];
    let mut parser = ReaderBuilder::new().delimiter(delimiter).build();
    let (result, _, written, mut count) = parser.read_record(line, &mut output, &mut ends);
    if result == ReadRecordResult::InputEmpty {
        // The end of the line ends the header.
        count += parser.read_record(&[], &mut output[written..], &mut ends[count..]).3;
    }
    let mut start = 0;
    ends[..count]
        .iter()
        .map(|&end| {
            let text = String::from_utf8_lossy(&output[start..end]).into_owned();
            start = end;
            text
        })
        .collect()
}

fn shown(header: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut names: Vec<String> =
        header.iter().take(SHOWN).map(|name| name.chars().take(40).collect()).collect();
    if header.len() > SHOWN {
        names.push("…".to_owned());
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_and_header_names_are_detected() {
        for (line, delimiter) in [
            ("city_id,city,country,latitude,longitude", b','),
            ("ID;Name;Country Code;LAT;LNG", b';'),
            ("geoname-id\tCity_Name\tcountry_code\tlatitude_deg\tlongitude_deg", b'\t'),
            ("\"id\",\"city\",\"country\",\"lat\",\"lon\"", b','),
        ] {
            let columns = Columns::detect(line.as_bytes()).expect(line);
            assert_eq!(columns.delimiter, delimiter, "{line}");
            let at = (
                columns.city_id,
                columns.name,
                columns.country,
                columns.latitude,
                columns.longitude,
            );
            assert_eq!(at, (Some(0), Some(1), Some(2), Some(3), Some(4)), "{line}");
        }
    }

    #[test]
    fn a_single_bare_column_lists_names() {
        let list = Columns::detect(b"Paris").expect("a list");
        assert!(!list.has_header);
        let named = Columns::detect(b"City").expect("a header");
        assert!(named.has_header);
        assert_eq!(named.delimiter, NO_DELIMITER, "names may hold commas");
    }

    #[test]
    fn the_error_lists_the_columns_of_the_file() {
        let error = Columns::detect(b"foo,lat,lon").expect_err("unusable");
        assert!(error.contains("foo, lat, lon"), "{error}");
        assert!(Columns::detect(b"Paris,FR,48.85,2.35").is_err());
    }

    #[test]
    fn a_short_record_has_a_blank_name() {
        let columns = Columns::detect(b"lat,lon,city").expect("a header");
        let record = ["1", "2"];
        let raw = columns.raw(|at| record.get(at).copied());
        assert_eq!(raw.name.as_deref(), Some(""));
    }
}
