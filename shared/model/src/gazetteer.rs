//! The built-in list: 34,006 cities with at least 15,000 people, by id and by name.
//!
//! It resolves names without coordinates, and adds region and population where a source has none.
//! The list is `data/cities.csv` (GeoNames, CC BY 4.0), compiled in and parsed once, on first use,
//! in a few milliseconds.
//! Guarantees: a name of several cities returns the most populous one with the number of matches,
//! so the caller knows that it is ambiguous.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::city::{City, Coordinates, fold_name};
use crate::ids::CityId;

/// The text of the file, which the demo also imports.
pub const CITIES_CSV: &str = include_str!("../../../data/cities.csv");

static LIST: LazyLock<Gazetteer> = LazyLock::new(|| Gazetteer::parse(CITIES_CSV));

/// Cities by descending population, with an index by id and one by name.
pub struct Gazetteer {
    cities: Vec<City>,
    by_id: HashMap<CityId, u32>,
    /// Folded name → positions, most populous first.
    by_name: HashMap<Box<str>, Vec<u32>>,
}

/// The built-in list.
pub fn builtin() -> &'static Gazetteer {
    &LIST
}

impl Gazetteer {
    /// All cities, most populous first.
    pub fn cities(&self) -> &[City] {
        &self.cities
    }

    pub fn by_id(&self, id: CityId) -> Option<&City> {
        self.by_id.get(&id).map(|&at| &self.cities[at as usize])
    }

    /// All cities of that name, most populous first.
    pub fn named(&self, name: &str) -> impl Iterator<Item = &City> {
        let positions = self.by_name.get(fold_name(name).as_str());
        positions.into_iter().flatten().map(|&at| &self.cities[at as usize])
    }

    /// The most populous city of that name, in that country if one is given, and how many there are.
    pub fn by_name(&self, name: &str, country_code: Option<&str>) -> Option<(&City, usize)> {
        let mut found = self.named(name).filter(|city| {
            country_code.is_none_or(|code| {
                city.country_code.as_deref().is_some_and(|its| its.eq_ignore_ascii_case(code))
            })
        });
        let first = found.next()?;
        Some((first, 1 + found.count()))
    }

    fn parse(csv: &str) -> Self {
        let mut cities = Vec::with_capacity(csv.len() / 50);
        for line in csv.lines().skip(1) {
            cities.push(parse_line(line).expect("the built-in list is well-formed"));
        }
        let mut by_id = HashMap::with_capacity(cities.len());
        let mut by_name: HashMap<Box<str>, Vec<u32>> = HashMap::with_capacity(cities.len());
        for (at, city) in cities.iter().enumerate() {
            by_id.insert(city.id, at as u32);
            by_name.entry(fold_name(&city.name).into()).or_default().push(at as u32);
        }
        Self { cities, by_id, by_name }
    }
}

/// Reads one line. In this file only a name with a comma has quotes.
fn parse_line(line: &str) -> Option<City> {
    let (id, rest) = line.split_once(',')?;
    let (name, rest) = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split_once("\",")?,
        None => rest.split_once(',')?,
    };
    let mut fields = rest.split(',');
    let country_code = fields.next()?;
    let admin1_code = fields.next()?;
    let latitude = fields.next()?.parse().ok()?;
    let longitude = fields.next()?.parse().ok()?;
    let population = fields.next()?.parse().ok()?;
    Some(City {
        id: CityId(id.parse().ok()?),
        name: name.replace("\"\"", "\""),
        country_code: Some(country_code.to_owned()),
        admin1_code: Some(admin1_code.to_owned()).filter(|code| !code.is_empty()),
        coordinates: Coordinates::new(latitude, longitude).ok()?,
        population: Some(population),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_complete_and_sorted() {
        let cities = builtin().cities();
        assert_eq!(cities.len(), 34_006);
        assert!(cities.is_sorted_by_key(|city| std::cmp::Reverse(city.population)));
    }

    #[test]
    fn a_name_finds_the_most_populous_city() {
        let (paris, candidates) = builtin().by_name("paris", None).expect("known");
        assert_eq!(paris.id, CityId(2_988_507));
        assert!(candidates > 1);
        let (texan, _) = builtin().by_name("PARIS", Some("us")).expect("known");
        assert_eq!(texan.country_code.as_deref(), Some("US"));
        assert_eq!(builtin().by_name("sao paulo", None).expect("known").0.name, "São Paulo");
        assert!(builtin().by_name("Nowhereville", None).is_none());
    }
}
