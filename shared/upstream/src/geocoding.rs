//! Open-Meteo's geocoder: from a name to places, most populous first.
//!
//! One name a request, so answers are kept for ever by whoever asks. No match is a 200 without
//! `results`. The first hit of the service is not the largest city of a name ("Moscow" is in
//! Idaho too): they are ranked here.

use serde::Deserialize;

use super::client::{Client, Unreadable};
use super::{Answer, Priority};
use isobar_model::city::{Coordinates, Place};
use isobar_model::ids::CityId;

const CANDIDATES: &str = "10";
/// Shorter names match nothing there.
const SHORTEST_NAME_CHARS: usize = 2;

pub async fn search(
    client: &Client,
    name: &str,
    country_code: Option<&str>,
    priority: Priority,
) -> Answer<Vec<Place>> {
    let name = name.trim();
    if name.chars().count() < SHORTEST_NAME_CHARS {
        return Answer::Ok(Vec::new());
    }
    let base = client.settings().geocoding_url.0.as_str().trim_end_matches('/');
    let endpoint = format!("{base}/v1/search");
    let build = |http: &reqwest::Client| {
        let asked = [("name", name), ("count", CANDIDATES), ("language", "en"), ("format", "json")];
        let request = http.get(&endpoint).query(&asked);
        match country_code {
            Some(code) => request.query(&[("countryCode", code)]),
            None => request,
        }
    };
    client.request(client.geocoder(), 1, priority, build, read).await
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    results: Vec<Match>,
    /// Always there: tells an empty answer from something that is no answer.
    #[serde(rename = "generationtime_ms")]
    _generationtime_ms: f64,
}

#[derive(Deserialize)]
struct Match {
    id: i64,
    name: String,
    latitude: f64,
    longitude: f64,
    country_code: Option<String>,
    population: Option<i64>,
}

fn read(body: &[u8]) -> Result<Vec<Place>, Unreadable> {
    let found: Found = serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))?;
    let mut places: Vec<Place> = found
        .results
        .into_iter()
        .filter_map(|found| {
            Some(Place {
                id: CityId(found.id),
                name: found.name,
                country_code: found.country_code.filter(|code| !code.is_empty()),
                // Its own numbers for regions are not the codes of our list.
                admin1_code: None,
                coordinates: Coordinates::new(found.latitude, found.longitude).ok()?,
                population: found.population,
            })
        })
        .collect();
    places.sort_by_key(|place| std::cmp::Reverse(place.population.unwrap_or(0)));
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_populous_comes_first_and_no_match_is_empty() {
        let body = br#"{"results":[
            {"id":5601538,"name":"Moscow","latitude":46.7,"longitude":-117.0,"country_code":"US","population":25060},
            {"id":524901,"name":"Moscow","latitude":55.75,"longitude":37.6,"country_code":"RU","population":10381222}],
            "generationtime_ms":0.8}"#;
        let places = read(body).expect("reads");
        assert_eq!(places[0].country_code.as_deref(), Some("RU"));
        assert_eq!(read(br#"{"generationtime_ms":0.5}"#).expect("reads"), []);
        assert!(matches!(read(b"{}"), Err(Unreadable::Broken(_))));
    }
}
