//! Cities: all cities that the simulated services know, real ones first, then synthetic ones.
//!
//! Guarantees: city number *i* is row *i* of `data/cities.csv`. Higher numbers are synthetic: each
//! is derived from a real city, with another position, id and name. They need no memory and are the
//! same in every run. Synthetic ids are above every real id.
//! Does not: tolerate an invalid list. The list is parsed once per process, and an error panics.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use crate::weather::{Location, mix};

/// The first id of a synthetic city; real GeoNames ids are below 14 million.
pub const FIRST_SYNTHETIC_ID: i64 = 100_000_000;

/// The most cities that can be listed; limits ids and pages.
pub const MAX_CITIES: usize = 100_000_000;

static EMBEDDED: &str = include_str!("../../data/cities.csv");

static REAL: LazyLock<Vec<City>> =
    LazyLock::new(|| EMBEDDED.lines().skip(1).map(parse_row).collect());

static BY_ID: LazyLock<HashMap<i64, usize>> =
    LazyLock::new(|| REAL.iter().enumerate().map(|(index, city)| (city.id, index)).collect());

static BY_LOCATION: LazyLock<HashMap<Location, usize>> = LazyLock::new(|| {
    // In reverse, so that the more populous of two cities at one location wins.
    REAL.iter().enumerate().rev().map(|(index, city)| (city.location(), index)).collect()
});

#[derive(Clone, Debug, PartialEq)]
pub struct City {
    pub id: i64,
    pub name: Cow<'static, str>,
    pub country_code: &'static str,
    pub admin1_code: &'static str,
    pub latitude: f64,
    pub longitude: f64,
    pub population: i64,
    pub timezone: &'static str,
}

impl City {
    pub fn location(&self) -> Location {
        Location::new(self.latitude, self.longitude)
    }
}

/// The real cities, most populous first.
pub fn real() -> &'static [City] {
    &REAL
}

/// City number `index`, real or synthetic.
pub fn nth(index: usize) -> City {
    match REAL.get(index) {
        Some(city) => city.clone(),
        None => synthetic(index - REAL.len()),
    }
}

pub fn by_id(id: i64) -> Option<City> {
    if id < FIRST_SYNTHETIC_ID {
        return BY_ID.get(&id).map(|&index| REAL[index].clone());
    }
    let number = usize::try_from(id - FIRST_SYNTHETIC_ID).ok()?;
    (number < MAX_CITIES).then(|| synthetic(number))
}

/// The real city with exactly this location.
pub fn at_location(location: Location) -> Option<&'static City> {
    BY_LOCATION.get(&location).map(|&index| &REAL[index])
}

fn synthetic(number: usize) -> City {
    let original = &REAL[number % REAL.len()];
    let random = mix(number as u64);
    // Up to half a degree away, with five decimals like the real list.
    let moved = |degrees: f64, bits: u64, limit: f64| {
        let shift = ((bits & 0xffff) as f64 / 65_536.0) - 0.5;
        ((degrees + shift).clamp(-limit, limit) * 100_000.0).round() / 100_000.0
    };
    City {
        id: FIRST_SYNTHETIC_ID + number as i64,
        name: Cow::Owned(format!("{} {}", original.name, number / REAL.len() + 2)),
        latitude: moved(original.latitude, random, 89.0),
        longitude: moved(original.longitude, random >> 16, 180.0),
        population: 1_000,
        ..original.clone()
    }
}

/// One line: id, name, country, region, latitude, longitude, population, time zone.
fn parse_row(line: &'static str) -> City {
    let (id, rest) = line.split_once(',').unwrap_or_default();
    // Only a name can contain commas; then it is quoted. Quotes inside names do not occur.
    let name_and_rest = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once("\","),
        None => rest.split_once(','),
    };
    let (name, rest) = name_and_rest.unwrap_or_default();
    let fields: Vec<&str> = rest.split(',').collect();
    let [country_code, admin1_code, latitude, longitude, population, timezone] = fields[..] else {
        panic!("data/cities.csv: wrong number of fields: {line}");
    };
    City {
        id: number(id),
        name: Cow::Borrowed(name),
        country_code,
        admin1_code,
        latitude: number(latitude),
        longitude: number(longitude),
        population: number(population),
        timezone,
    }
}

fn number<T: std::str::FromStr>(field: &str) -> T {
    field.parse().unwrap_or_else(|_| panic!("data/cities.csv: {field:?} is not a number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_list_is_complete_and_sorted() {
        assert_eq!(real().len(), 34_006);
        assert_eq!(real()[0].name, "Shanghai");
        assert!(real().iter().all(|city| city.id > 0 && city.id < FIRST_SYNTHETIC_ID));
        assert!(real().iter().all(|city| city.latitude.abs() <= 90.0));
        assert!(real().windows(2).all(|pair| pair[0].population >= pair[1].population));
        assert!(real().iter().any(|city| city.name.contains(',')));
    }

    #[test]
    fn quoted_names_keep_their_commas() {
        assert_eq!(by_id(6_822_137).unwrap().name, "Misato, Saitama");
        assert!(real().iter().all(|city| !city.name.contains('"')));
    }

    #[test]
    fn cities_are_found_by_id_and_location() {
        let paris = by_id(2_988_507).unwrap();
        assert_eq!((paris.name.as_ref(), paris.country_code), ("Paris", "FR"));
        assert_eq!(at_location(Location::new(48.853_41, 2.3488)).unwrap().id, 2_988_507);
        assert!(by_id(1).is_none());
        assert!(by_id(-5).is_none());
    }

    #[test]
    fn synthetic_cities_follow_the_list_and_are_stable() {
        let first = nth(34_006);
        assert_eq!(first.id, FIRST_SYNTHETIC_ID);
        assert_eq!(first.name, "Shanghai 2");
        assert_eq!(by_id(first.id).unwrap(), first);
        assert_ne!(first.location(), real()[0].location());
        let ids: std::collections::HashSet<_> = (0..100_000).map(|index| nth(index).id).collect();
        assert_eq!(ids.len(), 100_000);
        assert_eq!(nth(99_999), nth(99_999));
    }
}
