//! Cities: valid coordinates, and names that compare.
//!
//! Guarantees: [`Coordinates`] never hold a value that is out of range or not a number, so no other
//! code checks them. [`fold_name`] is the one way to compare names (`São Paulo` = `SAO PAULO`).
//! Names find cities but are never a key: that is [`CityId`].

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::ids::CityId;

/// A point on the globe in decimal degrees (WGS 84).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Coordinates {
    latitude: f64,
    longitude: f64,
}

/// Which coordinate is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCoordinates {
    #[error("latitude must be a number from -90 to 90")]
    Latitude,
    #[error("longitude must be a number from -180 to 180")]
    Longitude,
}

impl Coordinates {
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, InvalidCoordinates> {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(InvalidCoordinates::Latitude);
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(InvalidCoordinates::Longitude);
        }
        Ok(Self { latitude, longitude })
    }

    pub fn latitude(self) -> f64 {
        self.latitude
    }

    pub fn longitude(self) -> f64 {
        self.longitude
    }
}

/// A city of the built-in list, of a source, or of the geocoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct City {
    pub id: CityId,
    pub name: String,
    pub country_code: Option<String>,
    pub admin1_code: Option<String>,
    pub coordinates: Coordinates,
    pub population: Option<i64>,
}

/// Removes case, accents and repeated white space, so all spellings of a name compare equal.
pub fn fold_name(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    let mut space = false;
    for c in name.nfkd().filter(|c| !is_combining_mark(*c)) {
        if c.is_whitespace() {
            space = !folded.is_empty();
            continue;
        }
        if space {
            folded.push(' ');
            space = false;
        }
        match c {
            // Letters without a decomposition, as people without such a keyboard write them.
            'ß' => folded.push_str("ss"),
            'ø' | 'Ø' => folded.push('o'),
            'æ' | 'Æ' => folded.push_str("ae"),
            'œ' | 'Œ' => folded.push_str("oe"),
            'đ' | 'Đ' | 'ð' | 'Ð' => folded.push('d'),
            'ł' | 'Ł' => folded.push('l'),
            'ı' => folded.push('i'),
            '’' | 'ʼ' | '‘' | '`' => folded.push('\''),
            _ => folded.extend(c.to_lowercase().filter(|c| !is_combining_mark(*c))),
        }
    }
    folded
}

/// The id of a city without a number in its source: a hash of name and country, and of the
/// coordinates if the source has them, because two towns of one country may share a name.
pub fn derived_city_id(name: &str, country_code: Option<&str>, at: Option<Coordinates>) -> CityId {
    CityId::from_key(&derived_city_key(name, country_code, at))
}

/// The text that [`unnumbered_city_id`] hashes; it also finds duplicates in one source.
pub fn derived_city_key(name: &str, country_code: Option<&str>, at: Option<Coordinates>) -> String {
    let country = country_code.unwrap_or_default().to_ascii_uppercase();
    match at {
        Some(at) => format!("{}|{country}|{:.4},{:.4}", fold_name(name), at.latitude, at.longitude),
        None => format!("{}|{country}", fold_name(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_fold_alike() {
        for (a, b) in [
            ("São Paulo", "sao  paulo"),
            ("SÃO PAULO", "são paulo"),
            ("Zürich", "ZURICH"),
            ("Weißenfels", "weissenfels"),
            ("İstanbul", "istanbul"),
            ("Łódź", "lodz"),
            (" Tromsø ", "tromso"),
        ] {
            assert_eq!(fold_name(a), fold_name(b), "{a} and {b}");
        }
        assert_ne!(fold_name("東京"), fold_name("京都"));
    }

    #[test]
    fn invalid_coordinates_are_refused() {
        assert!(Coordinates::new(90.0, -180.0).is_ok());
        assert_eq!(Coordinates::new(90.1, 0.0), Err(InvalidCoordinates::Latitude));
        assert_eq!(Coordinates::new(f64::NAN, 0.0), Err(InvalidCoordinates::Latitude));
        assert_eq!(Coordinates::new(0.0, f64::INFINITY), Err(InvalidCoordinates::Longitude));
    }
}
