//! Forecast: Open-Meteo's current weather.
//!
//! Both the `current=` shape and the deprecated `current_weather` shape are read.

use std::borrow::Cow;

use isobar_model::city::Coordinates;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::{Answer, Priority};
use crate::client::Client;
use crate::http::InvalidResponse;
use crate::json::whole_or_none;
use crate::observation::Observation;
use crate::open_meteo::{self, Location, ObservationTime, Product, require_units};
use crate::weather_service::WeatherService;

const FORECAST: Product<Observation> = Product {
    service: WeatherService::Forecast,
    path: "/v1/forecast",
    variables: "temperature_2m,relative_humidity_2m,weather_code,wind_speed_10m,wind_direction_10m",
    check_units,
    read: observation,
};

pub async fn weather(
    client: &Client,
    locations: &[Coordinates],
    priority: Priority,
) -> Answer<Vec<Observation>> {
    open_meteo::fetch(client, &FORECAST, locations, priority).await
}

#[derive(Deserialize)]
struct Current<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default, deserialize_with = "whole_or_none")]
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
struct Units {
    #[serde(alias = "temperature")]
    temperature_2m: Option<String>,
    #[serde(alias = "windspeed")]
    wind_speed_10m: Option<String>,
}

fn check_units(units: &RawValue) -> Result<(), InvalidResponse> {
    let units: Units =
        serde_json::from_str(units.get()).map_err(|error| InvalidResponse::json(&error))?;
    require_units(&[
        (units.temperature_2m.as_deref(), "°C"),
        (units.wind_speed_10m.as_deref(), "km/h"),
    ])
}

fn observation(location: &Location) -> Result<Observation, InvalidResponse> {
    let values = location.values()?;
    let current: Current =
        serde_json::from_str(values.get()).map_err(|error| InvalidResponse::json(&error))?;
    let ObservationTime { observed_at, fresh_until } =
        ObservationTime::parse(&current.time, current.interval)?;
    let whole = |value: Option<f64>| value.map(|value| value.round() as i32);
    Ok(Observation {
        temperature: current.temperature_2m,
        windspeed: current.wind_speed_10m,
        winddirection: whole(current.wind_direction_10m),
        weathercode: whole(current.weather_code),
        humidity: whole(current.relative_humidity_2m),
        time: current.time.into_owned(),
        observed_at,
        fresh_until,
        raw_payload: location.raw_payload(values),
    })
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

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

    fn read(body: &[u8], expected: usize) -> Result<Vec<Observation>, InvalidResponse> {
        open_meteo::read(&FORECAST, body, expected)
    }

    #[test]
    fn objects_arrays_and_the_deprecated_shape_are_read() {
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
    fn the_spelling_of_json_does_not_matter() {
        let plain = read(CURRENT.as_bytes(), 1).expect("reads");
        for (from, to) in [
            ("km/h", r"km\/h"),
            ("\"°C\"", r#""\u00b0C""#),
            ("2024-12-01T12:30", r"2024\u002d12-01T12:30"),
            ("\"time\":\"2024", r#""tim\u0065":"2024"#),
            (":2.1,", ":21E-1,"),
            (":900,", ":9.0e+2,"),
            (":77,", ":77.0,"),
            (",", "\r\n\t,\n"),
        ] {
            let body = CURRENT.replace(from, to);
            assert_ne!(body, CURRENT, "{from}");
            let mut read = read(body.as_bytes(), 1).expect(to);
            assert!(serde_json::from_str::<serde_json::Value>(&read[0].raw_payload).is_ok());
            read[0].raw_payload.clone_from(&plain[0].raw_payload);
            assert_eq!(read, plain, "{to}");
        }
    }

    #[test]
    fn the_raw_payload_is_as_sent_without_units() {
        let raw = &read(CURRENT.as_bytes(), 1).expect("reads")[0].raw_payload;
        let value: serde_json::Value = serde_json::from_str(raw).expect("JSON");
        assert_eq!(value["longitude"], 13.419_998);
        assert_eq!(value["current"]["temperature_2m"], 2.1);
        assert!(value.get("current_units").is_none());
    }

    #[test]
    fn unreadable_answers_and_foreign_units_differ() {
        let truncated = &CURRENT.as_bytes()[..200];
        let streamed = format!("[{CURRENT}]Unexpected error while streaming data: timeout");
        for body in [truncated, b"<html>busy</html>", b"", streamed.as_bytes(), b"{}"] {
            assert!(matches!(read(body, 1), Err(InvalidResponse::Broken(_))));
        }
        assert!(matches!(read(CURRENT.as_bytes(), 2), Err(InvalidResponse::Broken(_))));
        let foreign = CURRENT.replace("km/h", "mp/h");
        assert!(matches!(read(foreign.as_bytes(), 1), Err(InvalidResponse::Units(_))));
    }
}
