//! Where and what a city is: coordinates that are on the globe, names that compare.
//!
//! [`Coordinates`] cannot hold a value that is off the globe or not a number, so code behind it
//! need not check. [`fold_name`] is the one way names are compared (`São Paulo` = `SAO PAULO`);
//! names find cities, they never are a key: that is [`CityId`](crate::ids::CityId).

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

/// Which coordinate was unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffTheGlobe {
    #[error("latitude must be a number from -90 to 90")]
    Latitude,
    #[error("longitude must be a number from -180 to 180")]
    Longitude,
}

impl Coordinates {
    pub fn new(latitude: f64, longitude: f64) -> Result<Self, OffTheGlobe> {
        if !(-90.0..=90.0).contains(&latitude) {
            return Err(OffTheGlobe::Latitude);
        }
        if !(-180.0..=180.0).contains(&longitude) {
            return Err(OffTheGlobe::Longitude);
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

/// A city as far as it is known: from the built-in list, a source, or the geocoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub id: CityId,
    pub name: String,
    pub country_code: Option<String>,
    pub admin1_code: Option<String>,
    pub coordinates: Coordinates,
    pub population: Option<i64>,
}

/// Folds case, accents and runs of white space away, so that spellings of one name compare equal.
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
            // Letters that decompose to nothing, spelt as the people who have no such key do.
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

/// The id of a city that its source does not number: a hash of name and country, and of the
/// coordinates where the source gave some, since two towns of one country may share a name.
pub fn unnumbered_city_id(
    name: &str,
    country_code: Option<&str>,
    at: Option<Coordinates>,
) -> CityId {
    CityId::from_key(&unnumbered_city_key(name, country_code, at))
}

/// What [`unnumbered_city_id`] hashes, and the key that finds duplicates in one source.
pub fn unnumbered_city_key(
    name: &str,
    country_code: Option<&str>,
    at: Option<Coordinates>,
) -> String {
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
    fn spellings_of_one_name_fold_to_the_same() {
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
    fn coordinates_off_the_globe_or_not_numbers_do_not_exist() {
        assert!(Coordinates::new(90.0, -180.0).is_ok());
        assert_eq!(Coordinates::new(90.1, 0.0), Err(OffTheGlobe::Latitude));
        assert_eq!(Coordinates::new(f64::NAN, 0.0), Err(OffTheGlobe::Latitude));
        assert_eq!(Coordinates::new(0.0, f64::INFINITY), Err(OffTheGlobe::Longitude));
    }
}
