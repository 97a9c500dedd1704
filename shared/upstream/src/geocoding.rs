//! Geocoding: Open-Meteo's geocoder, from a name to cities, most populous first.
//!
//! Guarantees: cities are ranked here by population, since the first hit of the service is not
//! the largest ("Moscow" is in Idaho, too). A city of exactly the asked name, whatever its case and
//! accents, wins over all others. The service also finds names that only begin with the asked one:
//! they are other cities. A name of another language is neither, and is taken.
//! Does not: keep answers; one name is one request, so callers store them (see [`crate::cities`]).

use isobar_model::city::{City, Coordinates, fold_name};
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

/// The cities of a name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Named {
    pub cities: Vec<City>,
    /// A city whose name begins with the asked one, if there is no other.
    pub nearest: Option<String>,
}

pub async fn search(
    client: &Client,
    name: &str,
    country_code: Option<&str>,
    priority: Priority,
) -> Answer<Named> {
    let name = name.trim();
    if name.chars().count() < MIN_NAME_CHARS {
        return Answer::Ok(Named::default());
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
    let read = |body: &[u8]| read(body).map(|cities| choose(name, country_code, cities));
    client.request(client.host(WeatherService::Geocoding), 1, priority, build, read).await
}

/// Those of the hits that are called so.
fn choose(name: &str, country_code: Option<&str>, mut hits: Vec<City>) -> Named {
    let asked = fold_name(name);
    hits.retain(|city| country_code.is_none_or(|code| city.country_code.as_deref() == Some(code)));
    let is_exact = |city: &City| fold_name(&city.name) == asked;
    if hits.iter().any(is_exact) {
        hits.retain(is_exact);
    }
    let is_longer = |city: &&City| fold_name(&city.name).starts_with(&asked) && !is_exact(city);
    let nearest = hits.iter().find(is_longer).map(|city| city.name.clone());
    hits.retain(|city| !is_longer(&city));
    Named { nearest: nearest.filter(|_| hits.is_empty()), cities: hits }
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

    #[test]
    fn the_exact_name_wins_and_a_longer_one_is_another_city() {
        let city = |name: &str, code: &str| City {
            id: CityId(1),
            name: name.to_owned(),
            country_code: Some(code.to_owned()),
            admin1_code: None,
            coordinates: Coordinates::new(1.0, 2.0).expect("on the globe"),
            population: None,
        };
        let hits = [city("Moosbachtal", "DE"), city("Moosbach", "AT"), city("Moosbach", "DE")];
        for (asked, country, hits, expected, nearest) in [
            ("moosbach", None, &hits[..], &["Moosbach AT", "Moosbach DE"][..], None),
            ("Moosbach", Some("AT"), &hits, &["Moosbach AT"], None),
            ("Moosbach", Some("FR"), &hits, &[], None),
            ("Quellen", None, &[city("Quellenstetten", "DE")], &[], Some("Quellenstetten")),
            ("Sao Paulo", None, &[city("São Paulo", "BR")], &["São Paulo BR"], None),
            ("Kiew", None, &[city("Kyiv", "UA")], &["Kyiv UA"], None),
        ] {
            let named = choose(asked, country, hits.to_vec());
            let code = |city: &City| city.country_code.clone().unwrap_or_default();
            let found: Vec<String> =
                named.cities.iter().map(|city| format!("{} {}", city.name, code(city))).collect();
            assert_eq!(found, expected, "{asked} {country:?}");
            assert_eq!(named.nearest.as_deref(), nearest, "{asked}");
        }
    }
}
