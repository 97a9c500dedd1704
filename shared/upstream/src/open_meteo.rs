//! Open-Meteo's forecast: many locations in one request, answered in their order.
//!
//! One location comes back as a bare object, several as an array; answers are matched by
//! position, never by coordinates (those are grid-cell centres). Both `current=` and the legacy
//! `current_weather` shape are understood. What a location said is kept as it was said, sliced
//! out of the answer without the units, which are the same for all.

use std::fmt::Write;

use chrono::{NaiveDateTime, TimeDelta};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::client::{Client, Unreadable};
use super::{Answer, Observation, Priority};
use isobar_model::city::Coordinates;

const VARIABLES: &str =
    "temperature_2m,relative_humidity_2m,weather_code,wind_speed_10m,wind_direction_10m";
/// Beyond this many locations the URL grows too long for some of those on the way.
const LOCATIONS_PER_URL: usize = 100;
/// The interval of a model without 15-minute data is told; this is the usual one.
const INTERVAL_S: i64 = 900;
/// Others than these are not believed.
const INTERVALS_S: std::ops::RangeInclusive<i64> = 1..=86_400;

pub async fn weather(
    client: &Client,
    locations: &[Coordinates],
    priority: Priority,
) -> Answer<Vec<Observation>> {
    let (latitudes, longitudes) = lists(locations);
    let base = client.settings().open_meteo_url.0.as_str().trim_end_matches('/');
    let endpoint = format!("{base}/v1/forecast");
    let build = |http: &reqwest::Client| {
        if locations.len() > LOCATIONS_PER_URL {
            let form = format!("latitude={latitudes}&longitude={longitudes}&current={VARIABLES}");
            http.post(&endpoint)
                .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form)
        } else {
            http.get(format!(
                "{endpoint}?latitude={latitudes}&longitude={longitudes}&current={VARIABLES}"
            ))
        }
    };
    let parse = |body: &[u8]| read(body, locations.len());
    // Up to ten variables a location cost one.
    client.request(client.forecast(), locations.len() as u64, priority, build, parse).await
}

fn lists(locations: &[Coordinates]) -> (String, String) {
    let mut latitudes = String::with_capacity(locations.len() * 10);
    let mut longitudes = String::with_capacity(locations.len() * 10);
    for (at, location) in locations.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(latitudes, "{comma}{}", location.latitude());
        let _ = write!(longitudes, "{comma}{}", location.longitude());
    }
    (latitudes, longitudes)
}

#[derive(Deserialize)]
struct Location<'a> {
    #[serde(borrow)]
    latitude: &'a RawValue,
    #[serde(borrow)]
    longitude: &'a RawValue,
    #[serde(borrow)]
    elevation: Option<&'a RawValue>,
    #[serde(borrow)]
    current: Option<&'a RawValue>,
    #[serde(borrow)]
    current_units: Option<&'a RawValue>,
    #[serde(borrow)]
    current_weather: Option<&'a RawValue>,
    #[serde(borrow)]
    current_weather_units: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Current<'a> {
    time: &'a str,
    interval: Option<i64>,
    #[serde(alias = "temperature")]
    temperature_2m: Option<f64>,
    relative_humidity_2m: Option<f64>,
    #[serde(alias = "weathercode")]
    weather_code: Option<f64>,
    #[serde(alias = "windspeed")]
    wind_speed_10m: Option<f64>,
    #[serde(alias = "winddirection")]
    wind_direction_10m: Option<f64>,
}

#[derive(Deserialize)]
struct Units<'a> {
    #[serde(alias = "temperature", borrow)]
    temperature_2m: Option<&'a str>,
    #[serde(alias = "windspeed", borrow)]
    wind_speed_10m: Option<&'a str>,
}

fn read(body: &[u8], asked: usize) -> Result<Vec<Observation>, Unreadable> {
    let many = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let locations: Vec<Location> = if many {
        serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))?
    } else {
        vec![serde_json::from_slice(body).map_err(|error| Unreadable::json(&error))?]
    };
    if locations.len() != asked {
        return Err(Unreadable::Broken(format!(
            "asked for {asked} locations, {} were answered",
            locations.len()
        )));
    }
    // The units are the same for every location.
    if let Some(units) =
        locations.first().and_then(|first| first.current_units.or(first.current_weather_units))
    {
        check(units)?;
    }
    locations.iter().map(observation).collect()
}

fn check(units: &RawValue) -> Result<(), Unreadable> {
    let units: Units =
        serde_json::from_str(units.get()).map_err(|error| Unreadable::json(&error))?;
    for (unit, expected) in [(units.temperature_2m, "°C"), (units.wind_speed_10m, "km/h")] {
        if let Some(unit) = unit.filter(|unit| *unit != expected) {
            return Err(Unreadable::Units(format!(
                "the upstream answers in {unit}, not {expected}"
            )));
        }
    }
    Ok(())
}

fn observation(location: &Location) -> Result<Observation, Unreadable> {
    let raw = location
        .current
        .or(location.current_weather)
        .ok_or_else(|| Unreadable::Broken("a location has no current weather".to_owned()))?;
    let current: Current =
        serde_json::from_str(raw.get()).map_err(|error| Unreadable::json(&error))?;
    let observed_at = NaiveDateTime::parse_from_str(current.time, "%Y-%m-%dT%H:%M")
        .map_err(|error| {
            Unreadable::Broken(format!("the time {:?} is none: {error}", current.time))
        })?
        .and_utc();
    let interval_s =
        current.interval.filter(|seconds| INTERVALS_S.contains(seconds)).unwrap_or(INTERVAL_S);
    let fresh_until = observed_at
        .checked_add_signed(TimeDelta::seconds(interval_s))
        .ok_or_else(|| Unreadable::Broken(format!("the time {:?} is none", current.time)))?;
    let whole = |value: Option<f64>| value.map(|value| value.round() as i32);
    let mut raw_payload = String::with_capacity(raw.get().len() + 96);
    let _ = write!(
        raw_payload,
        r#"{{"latitude":{},"longitude":{}"#,
        location.latitude, location.longitude
    );
    if let Some(elevation) = location.elevation {
        let _ = write!(raw_payload, r#","elevation":{elevation}"#);
    }
    let name = if location.current.is_some() { "current" } else { "current_weather" };
    let _ = write!(raw_payload, r#","{name}":{raw}}}"#);
    Ok(Observation {
        temperature: current.temperature_2m,
        windspeed: current.wind_speed_10m,
        winddirection: whole(current.wind_direction_10m),
        weathercode: whole(current.weather_code),
        humidity: whole(current.relative_humidity_2m),
        time: current.time.to_owned(),
        observed_at,
        fresh_until,
        raw_payload,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: &str = r#"{"latitude":52.52,"longitude":13.419998,"generationtime_ms":0.04,"utc_offset_seconds":0,
        "timezone":"GMT","timezone_abbreviation":"GMT","elevation":38.0,
        "current_units":{"time":"iso8601","interval":"seconds","temperature_2m":"°C","wind_speed_10m":"km/h"},
        "current":{"time":"2024-12-01T12:30","interval":900,"temperature_2m":2.1,"relative_humidity_2m":77,
        "weather_code":0,"wind_speed_10m":6.8,"wind_direction_10m":null}}"#;

    const LEGACY: &str = r#"{"latitude":48.26,"longitude":13.04,"elevation":353.0,
        "current_weather_units":{"temperature":"°C","windspeed":"km/h"},
        "current_weather":{"time":"2026-03-10T08:00","interval":900,"temperature":1.7,"windspeed":0.4,
        "winddirection":270,"is_day":1,"weathercode":45}}"#;

    #[test]
    fn an_object_and_an_array_and_the_legacy_shape_are_understood() {
        let one = read(CURRENT.as_bytes(), 1).expect("an object");
        assert_eq!(one[0].temperature, Some(2.1));
        assert_eq!((one[0].humidity, one[0].winddirection), (Some(77), None));
        assert_eq!(one[0].fresh_until - one[0].observed_at, TimeDelta::seconds(900));
        let two = read(format!("[{CURRENT},{LEGACY}]").as_bytes(), 2).expect("an array");
        assert_eq!(two[0], one[0]);
        assert_eq!((two[1].weathercode, two[1].windspeed), (Some(45), Some(0.4)));
        assert_eq!((two[1].winddirection, two[1].humidity), (Some(270), None));
    }

    #[test]
    fn what_a_location_said_is_kept_as_it_was_said_without_the_units() {
        let raw = &read(CURRENT.as_bytes(), 1).expect("reads")[0].raw_payload;
        let value: serde_json::Value = serde_json::from_str(raw).expect("JSON");
        assert_eq!(value["longitude"], 13.419_998);
        assert_eq!(value["current"]["temperature_2m"], 2.1);
        assert!(value.get("current_units").is_none());
    }

    #[test]
    fn what_cannot_be_read_is_said_to_be_broken_and_foreign_units_are_refused() {
        let truncated = &CURRENT.as_bytes()[..200];
        let streamed = format!("[{CURRENT}]Unexpected error while streaming data: timeout");
        for body in [truncated, b"<html>busy</html>", b"", streamed.as_bytes(), b"{}"] {
            assert!(matches!(read(body, 1), Err(Unreadable::Broken(_))));
        }
        assert!(matches!(read(CURRENT.as_bytes(), 2), Err(Unreadable::Broken(_))));
        let foreign = CURRENT.replace("km/h", "mp/h");
        assert!(matches!(read(foreign.as_bytes(), 1), Err(Unreadable::Units(_))));
    }
}
