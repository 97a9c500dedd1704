//! Open-Meteo geocoding: `/v1/search?name=` and `/v1/get?id=` over the embedded cities.
//!
//! One character finds nothing, two an exact name, three or more also names that begin so; case and
//! diacritics do not matter. Exact names come before longer ones, then the more populous: "Moscow" is
//! the capital first and Idaho's second. "City, Region" keeps cities whose country or
//! first-level region code is the part after the comma. No match is a 200 without `results`.
//!
//! All real cities are known here however few the city service lists. Names of countries and
//! regions are left out; they are optional upstream.

use std::sync::LazyLock;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::cities::{self, City};
use crate::query::Query;
use crate::reply::Reply;
use crate::weather::elevation_metres;

const GENERATION_MS: f64 = 0.548_839_57;

/// Folded names with their city's number, sorted by name and then population.
static BY_NAME: LazyLock<Vec<(String, usize)>> = LazyLock::new(|| {
    let mut names: Vec<_> =
        cities::real().iter().enumerate().map(|(index, city)| (fold(&city.name), index)).collect();
    names.sort_unstable();
    names
});

#[derive(Serialize)]
struct Found {
    id: i64,
    name: String,
    latitude: f64,
    longitude: f64,
    elevation: f64,
    feature_code: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    country_code: &'static str,
    timezone: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    population: Option<i64>,
}

#[derive(Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<Found>,
    generationtime_ms: f64,
}

pub fn search(query: &Query<'_>, seed: u64) -> Reply {
    let Some(name) = query.get("name") else {
        return Reply::bad_request("Value of type 'String' required for key 'name'.");
    };
    let count = match query.get("count").map_or(Ok(10), str::parse::<usize>) {
        Ok(count) if (1..=100).contains(&count) => count,
        _ => return Reply::bad_request("Parameter count must be between 1 and 100."),
    };
    let country = query.get("countryCode").map(str::to_uppercase);
    let results: Vec<Found> = named(name)
        .into_iter()
        .filter(|city| country.as_deref().is_none_or(|code| city.country_code == code))
        .take(count)
        .map(|city| found(city, seed))
        .collect();
    let locations = results.len();
    json(&Answer { results, generationtime_ms: GENERATION_MS }).with_locations(locations)
}

pub fn get(query: &Query<'_>, seed: u64) -> Reply {
    match query.get("id").and_then(|id| id.parse().ok()).and_then(cities::by_id) {
        Some(city) => json(&found(&city, seed)).with_locations(1),
        None => Reply::bad_request("Location ID not found."),
    }
}

/// The cities a name may mean, the likeliest first.
pub fn named(name: &str) -> Vec<&'static City> {
    let (city, region) = match name.split_once(',') {
        // A comma may belong to the name itself: "Misato, Saitama".
        Some((city, region)) if exact(&fold(name)).is_empty() => (city, Some(region.trim())),
        _ => (name, None),
    };
    let wanted = fold(city);
    let mut found: Vec<usize> = match wanted.chars().count() {
        0 | 1 => Vec::new(),
        2 => exact(&wanted),
        _ => {
            let start = BY_NAME.partition_point(|(known, _)| *known < wanted);
            let mut matching: Vec<(bool, usize)> = BY_NAME[start..]
                .iter()
                .take_while(|(known, _)| known.starts_with(&wanted))
                .map(|(known, index)| (*known != wanted, *index))
                .collect();
            // A city's number is its rank by population.
            matching.sort_unstable();
            matching.into_iter().map(|(_, index)| index).collect()
        }
    };
    let cities = cities::real();
    if let Some(region) = region {
        found.retain(|&index| {
            let city = &cities[index];
            region.eq_ignore_ascii_case(city.country_code)
                || region.eq_ignore_ascii_case(city.admin1_code)
        });
    }
    found.into_iter().map(|index| &cities[index]).collect()
}

fn exact(folded: &str) -> Vec<usize> {
    let start = BY_NAME.partition_point(|(known, _)| known.as_str() < folded);
    let equal = BY_NAME[start..].iter().take_while(|(known, _)| known == folded);
    equal.map(|(_, index)| *index).collect()
}

/// Lower case without diacritics.
pub fn fold(name: &str) -> String {
    name.trim()
        .nfkd()
        .filter(|letter| !is_combining_mark(*letter))
        .flat_map(char::to_lowercase)
        .collect()
}

fn found(city: &City, seed: u64) -> Found {
    Found {
        id: city.id,
        name: city.name.to_string(),
        latitude: city.latitude,
        longitude: city.longitude,
        elevation: elevation_metres(city.place(), seed) as f64,
        feature_code: "PPL",
        country_code: city.country_code,
        timezone: city.timezone,
        population: Some(city.population).filter(|people| *people != 0),
    }
}

fn json<T: Serialize>(answer: &T) -> Reply {
    Reply::ok(serde_json::to_vec(answer).expect("plain structs serialise"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_by(query: &str) -> serde_json::Value {
        serde_json::from_slice(&search(&Query::parse(query, b""), 0).body).unwrap()
    }

    #[test]
    fn the_capital_comes_before_its_american_namesake() {
        let found = found_by("name=moscow&count=100");
        let results = found["results"].as_array().unwrap();
        assert_eq!(results[0]["country_code"], "RU");
        assert!(results.iter().any(|city| city["country_code"] == "US"));
        let idaho = found_by("name=Moscow&countryCode=us");
        assert_eq!(idaho["results"][0]["country_code"], "US");
        assert_eq!(found_by("name=Moscow,%20ID")["results"][0]["country_code"], "US");
    }

    #[test]
    fn case_and_diacritics_do_not_matter() {
        let plain = found_by("name=sao paulo");
        assert_eq!(plain["results"], found_by("name=S%C3%83O%20Paulo")["results"]);
        assert_eq!(plain["results"][0]["name"], "São Paulo");
    }

    #[test]
    fn short_names_are_exact_and_exact_names_come_first() {
        assert!(found_by("name=a").get("results").is_none());
        for city in found_by("name=Ub")
            .get("results")
            .into_iter()
            .flat_map(|found| found.as_array().unwrap())
        {
            assert_eq!(fold(city["name"].as_str().unwrap()), "ub");
        }
        assert_eq!(found_by("name=London")["results"][0]["id"], 2_643_743);
        assert_eq!(found_by("name=Londo")["results"][0]["id"], 2_643_743);
    }

    #[test]
    fn a_comma_within_a_name_is_no_region() {
        assert_eq!(found_by("name=Misato,%20Saitama")["results"][0]["id"], 6_822_137);
    }

    #[test]
    fn no_match_is_a_success_without_results() {
        let nothing = search(&Query::parse("name=Qwxyzzy", b""), 0);
        assert_eq!(nothing.status, 200);
        assert_eq!(&nothing.body[..], b"{\"generationtime_ms\":0.54883957}");
    }

    #[test]
    fn wrong_parameters_are_refused() {
        assert_eq!(search(&Query::parse("count=5", b""), 0).status, 400);
        assert_eq!(search(&Query::parse("name=x&count=0", b""), 0).status, 400);
        assert_eq!(get(&Query::parse("id=1", b""), 0).status, 400);
        let paris = get(&Query::parse("id=2988507", b""), 0).body;
        let paris: serde_json::Value = serde_json::from_slice(&paris).unwrap();
        assert_eq!(paris["name"], "Paris");
    }
}
