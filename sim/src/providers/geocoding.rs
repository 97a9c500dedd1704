//! Geocoding: Open-Meteo's `/v1/search?name=` and `/v1/get?id=` over the embedded cities.
//!
//! Guarantees: one character finds nothing, two find exact names, three or more also find longer
//! names. Case and diacritics have no effect. Exact names come first, then the more
//! populous: "Moscow" is the capital before the city in Idaho. "City, Region" keeps cities with
//! that country or region code. No match is a 200 without `results`.
//! Does not: depend on the number of cities that the city service lists, or send country names.

use std::sync::LazyLock;

use serde::Serialize;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::cities::{self, City};
use crate::query::Query;
use crate::reply::Reply;
use crate::weather::elevation_metres;

const GENERATION_MS: f64 = 0.548_839_57;

/// Folded names and city numbers, sorted by name and then by population.
static BY_NAME: LazyLock<Vec<(String, usize)>> = LazyLock::new(|| {
    let mut names: Vec<_> =
        cities::real().iter().enumerate().map(|(index, city)| (fold(&city.name), index)).collect();
    names.sort_unstable();
    names
});

#[derive(Serialize)]
struct SearchResult {
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
struct SearchAnswer {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<SearchResult>,
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
    let results: Vec<SearchResult> = find_cities(name)
        .into_iter()
        .filter(|city| country.as_deref().is_none_or(|code| city.country_code == code))
        .take(count)
        .map(|city| search_result(city, seed))
        .collect();
    let locations = results.len();
    json(&SearchAnswer { results, generationtime_ms: GENERATION_MS }).with_locations(locations)
}

pub fn get(query: &Query<'_>, seed: u64) -> Reply {
    match query.get("id").and_then(|id| id.parse().ok()).and_then(cities::by_id) {
        Some(city) => json(&search_result(&city, seed)).with_locations(1),
        None => Reply::bad_request("Location ID not found."),
    }
}

/// The cities with a matching name, the best match first.
pub fn find_cities(name: &str) -> Vec<&'static City> {
    let (city, region) = match name.split_once(',') {
        // A comma can be part of a name: "Misato, Saitama".
        Some((city, region)) if exact(&fold(name)).is_empty() => (city, Some(region.trim())),
        _ => (name, None),
    };
    let folded = fold(city);
    let mut found: Vec<usize> = match folded.chars().count() {
        0 | 1 => Vec::new(),
        2 => exact(&folded),
        _ => {
            let start = BY_NAME.partition_point(|(name, _)| *name < folded);
            let mut matching: Vec<(bool, usize)> = BY_NAME[start..]
                .iter()
                .take_while(|(name, _)| name.starts_with(&folded))
                .map(|(name, index)| (*name != folded, *index))
                .collect();
            // The number of a city is its rank by population.
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
    let start = BY_NAME.partition_point(|(name, _)| name.as_str() < folded);
    let equal = BY_NAME[start..].iter().take_while(|(name, _)| name == folded);
    equal.map(|(_, index)| *index).collect()
}

/// The name in lower case, without diacritics.
pub fn fold(name: &str) -> String {
    name.trim()
        .nfkd()
        .filter(|letter| !is_combining_mark(*letter))
        .flat_map(char::to_lowercase)
        .collect()
}

fn search_result(city: &City, seed: u64) -> SearchResult {
    SearchResult {
        id: city.id,
        name: city.name.to_string(),
        latitude: city.latitude,
        longitude: city.longitude,
        elevation: elevation_metres(city.location(), seed) as f64,
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
    fn the_more_populous_city_comes_first() {
        let found = found_by("name=moscow&count=100");
        let results = found["results"].as_array().unwrap();
        assert_eq!(results[0]["country_code"], "RU");
        assert!(results.iter().any(|city| city["country_code"] == "US"));
        let idaho = found_by("name=Moscow&countryCode=us");
        assert_eq!(idaho["results"][0]["country_code"], "US");
        assert_eq!(found_by("name=Moscow,%20ID")["results"][0]["country_code"], "US");
    }

    #[test]
    fn case_and_diacritics_have_no_effect() {
        let plain = found_by("name=sao paulo");
        assert_eq!(plain["results"], found_by("name=S%C3%83O%20Paulo")["results"]);
        assert_eq!(plain["results"][0]["name"], "São Paulo");
    }

    #[test]
    fn short_names_match_exactly() {
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
    fn a_name_can_contain_a_comma() {
        assert_eq!(found_by("name=Misato,%20Saitama")["results"][0]["id"], 6_822_137);
    }

    #[test]
    fn no_match_is_a_200_without_results() {
        let nothing = search(&Query::parse("name=Qwxyzzy", b""), 0);
        assert_eq!(nothing.status, 200);
        assert_eq!(&nothing.body[..], b"{\"generationtime_ms\":0.54883957}");
    }

    #[test]
    fn invalid_parameters_are_refused() {
        assert_eq!(search(&Query::parse("count=5", b""), 0).status, 400);
        assert_eq!(search(&Query::parse("name=x&count=0", b""), 0).status, 400);
        assert_eq!(get(&Query::parse("id=1", b""), 0).status, 400);
        let paris = get(&Query::parse("id=2988507", b""), 0).body;
        let paris: serde_json::Value = serde_json::from_slice(&paris).unwrap();
        assert_eq!(paris["name"], "Paris");
    }
}
