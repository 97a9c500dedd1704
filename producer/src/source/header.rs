//! Headers: which known column a cell of a header names. Pure.
//!
//! Case, white space, punctuation, byte order marks, text in brackets and text after a line break
//! do not count: `Latitude (°)` is `latitude`.

use serde::{Deserialize, Serialize};

/// The meaning of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Column {
    Id,
    Name,
    Country,
    Latitude,
    Longitude,
    /// A latitude if no column is called latitude or longitude.
    Y,
    /// The same for a longitude.
    X,
    /// Known, but not part of a task.
    Other,
}

/// Meaning and rank: of several names or countries, the lowest rank comes first.
const KNOWN: [(&str, Column, u8); 31] = [
    ("city", Column::Name, 0),
    ("cityname", Column::Name, 1),
    ("name", Column::Name, 2),
    ("town", Column::Name, 3),
    ("place", Column::Name, 4),
    ("cityascii", Column::Name, 5),
    ("asciiname", Column::Name, 6),
    ("iso2", Column::Country, 0),
    ("countrycode", Column::Country, 1),
    ("country", Column::Country, 2),
    ("iso3", Column::Country, 3),
    ("latitude", Column::Latitude, 0),
    ("lat", Column::Latitude, 0),
    ("latitudedeg", Column::Latitude, 0),
    ("longitude", Column::Longitude, 0),
    ("lon", Column::Longitude, 0),
    ("lng", Column::Longitude, 0),
    ("long", Column::Longitude, 0),
    ("longitudedeg", Column::Longitude, 0),
    ("y", Column::Y, 0),
    ("x", Column::X, 0),
    ("id", Column::Id, 0),
    ("cityid", Column::Id, 0),
    ("geonameid", Column::Id, 0),
    ("admin1", Column::Other, 0),
    ("admin1code", Column::Other, 0),
    ("admin1name", Column::Other, 0),
    ("adminname", Column::Other, 0),
    ("population", Column::Other, 0),
    ("timezone", Column::Other, 0),
    ("elevation", Column::Other, 0),
];

/// The meaning and the rank of a column; `None` if its header is unknown.
pub fn column(header: &str) -> Option<(Column, u8)> {
    let name = normal(header);
    KNOWN.iter().find(|(known, ..)| *known == name).map(|(_, column, rank)| (*column, *rank))
}

fn normal(header: &str) -> String {
    let lines = header.split(['\n', '\r']).map(str::trim);
    let line = lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default();
    let mut depth = 0_u32;
    let mut name = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' | '>' => depth = depth.saturating_sub(1),
            c if depth == 0 && c.is_alphanumeric() => name.extend(c.to_lowercase()),
            _ => {}
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_header_are_one_column() {
        for (header, expected) in [
            ("City", Column::Name),
            ("\u{feff}city", Column::Name),
            ("CITY NAME", Column::Name),
            ("city\u{a0}name", Column::Name),
            ("Latitude (°)", Column::Latitude),
            ("latitude\n(deg)", Column::Latitude),
            ("LAT [°N]", Column::Latitude),
            ("Long", Column::Longitude),
            ("longitude\r\nin degrees", Column::Longitude),
            ("geoname-id", Column::Id),
            ("Country Code", Column::Country),
            ("#city", Column::Name),
        ] {
            assert_eq!(column(header).map(|(column, _)| column), Some(expected), "{header:?}");
        }
        for unknown in ["", "cities", "(city)", "station", "latitude of station"] {
            assert_eq!(column(unknown), None, "{unknown:?}");
        }
    }
}
