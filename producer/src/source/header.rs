//! Headers: which known column a cell of a header names. Pure.
//!
//! Case, white space, punctuation, byte order marks, text in brackets and text after a line break
//! do not count: `Latitude (°)` is `latitude`.

use serde::{Deserialize, Serialize};

/// The meaning of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownColumn {
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
const KNOWN: [(&str, KnownColumn, u8); 31] = [
    ("city", KnownColumn::Name, 0),
    ("cityname", KnownColumn::Name, 1),
    ("name", KnownColumn::Name, 2),
    ("town", KnownColumn::Name, 3),
    ("place", KnownColumn::Name, 4),
    ("cityascii", KnownColumn::Name, 5),
    ("asciiname", KnownColumn::Name, 6),
    ("iso2", KnownColumn::Country, 0),
    ("countrycode", KnownColumn::Country, 1),
    ("country", KnownColumn::Country, 2),
    ("iso3", KnownColumn::Country, 3),
    ("latitude", KnownColumn::Latitude, 0),
    ("lat", KnownColumn::Latitude, 0),
    ("latitudedeg", KnownColumn::Latitude, 0),
    ("longitude", KnownColumn::Longitude, 0),
    ("lon", KnownColumn::Longitude, 0),
    ("lng", KnownColumn::Longitude, 0),
    ("long", KnownColumn::Longitude, 0),
    ("longitudedeg", KnownColumn::Longitude, 0),
    ("y", KnownColumn::Y, 0),
    ("x", KnownColumn::X, 0),
    ("id", KnownColumn::Id, 0),
    ("cityid", KnownColumn::Id, 0),
    ("geonameid", KnownColumn::Id, 0),
    ("admin1", KnownColumn::Other, 0),
    ("admin1code", KnownColumn::Other, 0),
    ("admin1name", KnownColumn::Other, 0),
    ("adminname", KnownColumn::Other, 0),
    ("population", KnownColumn::Other, 0),
    ("timezone", KnownColumn::Other, 0),
    ("elevation", KnownColumn::Other, 0),
];

/// The meaning and the rank of a column; `None` if its header is unknown.
pub fn column(header: &str) -> Option<(KnownColumn, u8)> {
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
            ("City", KnownColumn::Name),
            ("\u{feff}city", KnownColumn::Name),
            ("CITY NAME", KnownColumn::Name),
            ("city\u{a0}name", KnownColumn::Name),
            ("Latitude (°)", KnownColumn::Latitude),
            ("latitude\n(deg)", KnownColumn::Latitude),
            ("LAT [°N]", KnownColumn::Latitude),
            ("Long", KnownColumn::Longitude),
            ("longitude\r\nin degrees", KnownColumn::Longitude),
            ("geoname-id", KnownColumn::Id),
            ("Country Code", KnownColumn::Country),
            ("#city", KnownColumn::Name),
        ] {
            assert_eq!(column(header).map(|(column, _)| column), Some(expected), "{header:?}");
        }
        for unknown in ["", "cities", "(city)", "station", "latitude of station"] {
            assert_eq!(column(unknown), None, "{unknown:?}");
        }
    }
}
