//! Air quality: Open-Meteo's current air quality, in µg/m³ and as two indices.
//!
//! Guarantees: another unit is an invalid response, never a wrong number.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use isobar_model::city::Coordinates;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::{Answer, Priority};
use crate::client::Client;
use crate::http::InvalidResponse;
use crate::json::whole_or_none;
use crate::open_meteo::{self, Location, ObservationTime, Product, require_units};
use crate::weather_service::WeatherService;

const AIR_QUALITY: Product<AirQuality> = Product {
    service: WeatherService::AirQuality,
    path: "/v1/air-quality",
    variables: "pm10,pm2_5,carbon_monoxide,nitrogen_dioxide,ozone,european_aqi,us_aqi",
    check_units,
    read: air_quality,
};

/// The air quality at one location: concentrations in µg/m³, and indices without a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct AirQuality {
    pub pm10: Option<f64>,
    pub pm2_5: Option<f64>,
    pub carbon_monoxide: Option<f64>,
    pub nitrogen_dioxide: Option<f64>,
    pub ozone: Option<f64>,
    pub european_aqi: Option<i32>,
    pub us_aqi: Option<i32>,
    pub observed_at: DateTime<Utc>,
    pub fresh_until: DateTime<Utc>,
}

pub async fn current(
    client: &Client,
    locations: &[Coordinates],
    priority: Priority,
) -> Answer<Vec<AirQuality>> {
    open_meteo::fetch(client, &AIR_QUALITY, locations, priority).await
}

#[derive(Deserialize)]
struct Current<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default, deserialize_with = "whole_or_none")]
    interval: Option<i64>,
    pm10: Option<f64>,
    pm2_5: Option<f64>,
    carbon_monoxide: Option<f64>,
    nitrogen_dioxide: Option<f64>,
    ozone: Option<f64>,
    european_aqi: Option<f64>,
    us_aqi: Option<f64>,
}

#[derive(Deserialize)]
struct Units {
    pm10: Option<String>,
    ozone: Option<String>,
}

fn check_units(units: &RawValue) -> Result<(), InvalidResponse> {
    let units: Units =
        serde_json::from_str(units.get()).map_err(|error| InvalidResponse::json(&error))?;
    require_units(&[(units.pm10.as_deref(), "μg/m³"), (units.ozone.as_deref(), "μg/m³")])
}

fn air_quality(location: &Location) -> Result<AirQuality, InvalidResponse> {
    let current: Current = serde_json::from_str(location.values()?.get())
        .map_err(|error| InvalidResponse::json(&error))?;
    let time = ObservationTime::parse(&current.time, current.interval)?;
    let whole = |value: Option<f64>| value.map(|value| value.round() as i32);
    Ok(AirQuality {
        pm10: current.pm10,
        pm2_5: current.pm2_5,
        carbon_monoxide: current.carbon_monoxide,
        nitrogen_dioxide: current.nitrogen_dioxide,
        ozone: current.ozone,
        european_aqi: whole(current.european_aqi),
        us_aqi: whole(current.us_aqi),
        observed_at: time.observed_at,
        fresh_until: time.fresh_until,
    })
}
