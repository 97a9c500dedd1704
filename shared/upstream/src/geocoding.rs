//! Geocoding: Open-Meteo's geocoder, from a name to cities, most populous first.
//!
//! Guarantees: cities are ranked here by population, since the first hit of the service is not
//! the largest ("Moscow" is in Idaho, too). A name without a match is an empty list.
//! Does not: keep answers; one name is one request, so callers store them (see [`crate::cities`]).

use isobar_model::city::{City, Coordinates};
use isobar_model::ids::CityId;
use serde::Deserialize;

use crate::answer::{Answer, Priority};
use crate::client::Client;
use crate::http::InvalidResponse;
use crate::json::{whole, whole_or_none};
use crate::weather_service::WeatherService;

const CANDIDATES: &str = "10";
/// The service matches no shorter name.
const MIN_NAME_CHARS: usize = 2;

pub async fn search(
    client: &Client,
    name: &str,
    country_code: Option<&str>,
    priority: Priority,
) -> Answer<Vec<City>> {
    let name = name.trim();
    if name.chars().count() < MIN_NAME_CHARS {
        return Answer::Ok(Vec::new());
    }
    let base = client.settings().geocoding_url.0.as_str().trim_end_matches('/');
    let endpoint = format!("{base}/v1/search");
    let build = |http: &reqwest::Client| {
        let query = [("name", name), ("count", CANDIDATES), ("language", "en"), ("format", "json")];
        let request = http.get(&endpoint).query(&query);
        match country_code {
            Some(code) => request.query(&[("countryCode", code)]),
            None => request,
        }
    };
    client.request(client.host(WeatherService::Geocoding), 1, priority, build, read).await
}

#[derive(Deserialize)]
struct GeocodeResponse {
    #[serde(default)]
    results: Vec<Match>,
    /// Always present: distinguishes an empty answer from foreign JSON.
    #[serde(rename = "generationtime_ms")]
    _generationtime_ms: f64,
}

#[derive(Deserialize)]
struct Match {
    #[serde(deserialize_with = "whole")]
    id: i64,
    name: String,
    latitude: f64,
    longitude: f64,
    country_code: Option<String>,
    #[serde(default, deserialize_with = "whole_or_none")]
    population: Option<i64>,
}

fn read(body: &[u8]) -> Result<Vec<City>, InvalidResponse> {
    let response: GeocodeResponse =
        serde_json::from_slice(body).map_err(|error| InvalidResponse::json(&error))?;
    let mut cities: Vec<City> = response
        .results
        .into_iter()
        .filter_map(|hit| {
            Some(City {
                id: CityId(hit.id),
                name: hit.name,
                country_code: hit.country_code.filter(|code| !code.is_empty()),
                // The service numbers regions otherwise than the built-in list.
                admin1_code: None,
                coordinates: Coordinates::new(hit.latitude, hit.longitude).ok()?,
                population: hit.population,
            })
        })
        .collect();
    cities.sort_by_key(|city| std::cmp::Reverse(city.population.unwrap_or(0)));
    Ok(cities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_are_ranked_by_population() {
        let body = br#"{"results":[
            {"id":5601538,"name":"Moscow","latitude":46.7,"longitude":-117.0,"country_code":"US","population":25060},
            {"id":524901,"name":"Moscow","latitude":55.75,"longitude":37.6,"country_code":"RU","population":10381222}],
            "generationtime_ms":0.8}"#;
        let cities = read(body).expect("reads");
        assert_eq!(cities[0].country_code.as_deref(), Some("RU"));
        assert_eq!(read(br#"{"generationtime_ms":0.5}"#).expect("reads"), []);
        assert!(matches!(read(b"{}"), Err(InvalidResponse::Broken(_))));
    }
}
