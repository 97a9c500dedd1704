//! OpenWeather: its current weather, one location a request, in the units of [`Observation`].
//!
//! Metric units give °C and m/s. Wind becomes km/h, condition ids become WMO codes, `dt` becomes
//! the time. The key is in the URL, so no URL of this file may reach a log or an error.

use chrono::{DateTime, TimeDelta};
use isobar_model::city::Coordinates;
use serde::Deserialize;

use crate::answer::{Answer, Priority};
use crate::client::Client;
use crate::http::InvalidResponse;
use crate::json::whole;
use crate::observation::Observation;
use crate::weather_service::WeatherService;
use crate::wmo;

/// How often a station's value changes. The service does not report it.
const INTERVAL: TimeDelta = TimeDelta::minutes(10);

pub async fn weather(
    client: &Client,
    locations: &[Coordinates],
    priority: Priority,
) -> Answer<Vec<Observation>> {
    let [location] = locations else {
        let reason =
            format!("OpenWeather accepts one location per request, not {}", locations.len());
        return Answer::TooLarge { reason };
    };
    let settings = client.settings();
    let base = settings.openweather_url.0.as_str().trim_end_matches('/');
    let endpoint = format!("{base}/data/2.5/weather");
    let key = settings.openweather_api_key.as_ref().map_or("", |key| key.expose());
    let build = |http: &reqwest::Client| {
        http.get(&endpoint).query(&[
            ("lat", location.latitude().to_string().as_str()),
            ("lon", location.longitude().to_string().as_str()),
            ("units", "metric"),
            ("appid", key),
        ])
    };
    client.request(client.host(WeatherService::Forecast), 1, priority, build, read).await
}

#[derive(Deserialize)]
struct Current {
    #[serde(default)]
    weather: Vec<Condition>,
    main: Main,
    #[serde(default)]
    wind: Wind,
    #[serde(deserialize_with = "whole")]
    dt: i64,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(deserialize_with = "whole")]
    id: i64,
}

#[derive(Deserialize)]
struct Main {
    temp: Option<f64>,
    humidity: Option<f64>,
}

#[derive(Default, Deserialize)]
struct Wind {
    speed: Option<f64>,
    deg: Option<f64>,
}

fn read(body: &[u8]) -> Result<Vec<Observation>, InvalidResponse> {
    let text = str::from_utf8(body)
        .map_err(|_| InvalidResponse::Broken("the answer is not valid UTF-8".to_owned()))?;
    let current: Current =
        serde_json::from_str(text).map_err(|error| InvalidResponse::json(&error))?;
    let time = DateTime::from_timestamp(current.dt, 0)
        .and_then(|at| Some((at, at.checked_add_signed(INTERVAL)?)));
    let (observed_at, fresh_until) =
        time.ok_or_else(|| InvalidResponse::Broken(format!("{} is not a valid time", current.dt)))?;
    let whole = |value: Option<f64>| value.map(|value| value.round() as i32);
    Ok(vec![Observation {
        temperature: current.main.temp,
        windspeed: current.wind.speed.map(km_per_h),
        winddirection: whole(current.wind.deg),
        weathercode: current
            .weather
            .first()
            .and_then(|condition| wmo::from_openweather(condition.id)),
        humidity: whole(current.main.humidity),
        time: observed_at.format("%Y-%m-%dT%H:%M").to_string(),
        observed_at,
        fresh_until,
        raw_payload: text.to_owned(),
    }])
}

/// To one decimal, as Open-Meteo gives it.
fn km_per_h(m_per_s: f64) -> f64 {
    (m_per_s * 36.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_codes_are_translated() {
        let body = br#"{"coord":{"lon":-71.3,"lat":42.6},"weather":[{"id":802,"main":"Clouds"}],"base":"stations",
            "main":{"temp":22,"humidity":61},"wind":{"speed":4.12,"deg":270},"dt":1733004014,"id":4942618,"cod":200}"#;
        let seen = &read(body).expect("reads")[0];
        assert_eq!(seen.temperature, Some(22.0));
        assert_eq!(seen.windspeed, Some(14.8));
        assert_eq!((seen.weathercode, seen.winddirection), (Some(2), Some(270)));
        assert_eq!(seen.time, "2024-11-30T22:00");
        assert!(matches!(read(b"<html>"), Err(InvalidResponse::Broken(_))));
    }
}
