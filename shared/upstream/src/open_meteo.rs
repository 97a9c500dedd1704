//! Open-Meteo: the requests and answers that its services have in common.
//!
//! Guarantees: answers are matched to locations by position, never by coordinates (those are
//! grid-cell centres). One location comes back as an object, several as an array; both are read.
//! A [`Product`] names what differs between two services: host, path, variables, reading.
//! Next: [`crate::forecast`], the first product.

use std::fmt::Write;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use isobar_model::city::Coordinates;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::{Answer, Priority};
use crate::client::Client;
use crate::http::InvalidResponse;
use crate::weather_service::WeatherService;

/// With more locations the URL grows too long for some proxies: they are sent as a form.
const LOCATIONS_PER_URL: usize = 100;
/// The interval of an answer that names none, or one outside the bounds below.
const INTERVAL_S: i64 = 900;
const INTERVALS_S: std::ops::RangeInclusive<i64> = 1..=86_400;

/// What one service of Open-Meteo gives for a location.
pub struct Product<T> {
    pub service: WeatherService,
    pub path: &'static str,
    /// Up to ten variables a location cost one unit of quota.
    pub variables: &'static str,
    /// The units are the same for every location: they are checked once.
    pub check_units: fn(&RawValue) -> Result<(), InvalidResponse>,
    pub read: fn(&Location) -> Result<T, InvalidResponse>,
}

/// One location of an answer.
#[derive(Deserialize)]
pub struct Location<'a> {
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
    /// The shape of the deprecated `current_weather=true`.
    #[serde(borrow)]
    current_weather: Option<&'a RawValue>,
    #[serde(borrow)]
    current_weather_units: Option<&'a RawValue>,
}

/// When values were observed, and until when they are the newest.
pub struct ObservationTime {
    pub observed_at: DateTime<Utc>,
    pub fresh_until: DateTime<Utc>,
}

/// Requests the current values of `product` at each of `locations`, in their order.
pub async fn fetch<T>(
    client: &Client,
    product: &Product<T>,
    locations: &[Coordinates],
    priority: Priority,
) -> Answer<Vec<T>> {
    let base = product.service.url(client.settings()).as_str().trim_end_matches('/');
    let endpoint = format!("{base}{}", product.path);
    let query = query(locations, product.variables);
    let build = |http: &reqwest::Client| {
        if locations.len() > LOCATIONS_PER_URL {
            http.post(&endpoint)
                .header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(query.clone())
        } else {
            http.get(format!("{endpoint}?{query}"))
        }
    };
    let parse = |body: &[u8]| read(product, body, locations.len());
    let host = client.host(product.service);
    client.request(host, locations.len() as u64, priority, build, parse).await
}

fn query(locations: &[Coordinates], variables: &str) -> String {
    let list = |value: fn(Coordinates) -> f64| {
        let values: Vec<String> = locations.iter().map(|at| value(*at).to_string()).collect();
        values.join(",")
    };
    let (latitudes, longitudes) = (list(Coordinates::latitude), list(Coordinates::longitude));
    format!("latitude={latitudes}&longitude={longitudes}&current={variables}")
}

/// Reads an answer for `expected` locations.
pub fn read<T>(
    product: &Product<T>,
    body: &[u8],
    expected: usize,
) -> Result<Vec<T>, InvalidResponse> {
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let locations: Vec<Location> = if is_array {
        serde_json::from_slice(body).map_err(|error| InvalidResponse::json(&error))?
    } else {
        vec![serde_json::from_slice(body).map_err(|error| InvalidResponse::json(&error))?]
    };
    if locations.len() != expected {
        return Err(InvalidResponse::Broken(format!(
            "requested {expected} locations, received {}",
            locations.len()
        )));
    }
    if let Some(units) =
        locations.first().and_then(|first| first.current_units.or(first.current_weather_units))
    {
        (product.check_units)(units)?;
    }
    locations.iter().map(product.read).collect()
}

/// Checks units, each with the expected one; a service that names no unit is trusted.
pub fn require_units(units: &[(Option<&str>, &str)]) -> Result<(), InvalidResponse> {
    for (unit, expected) in units {
        // Micro has two characters, and both look the same.
        let differs = |unit: &&str| unit.replace('\u{b5}', "\u{3bc}") != *expected;
        if let Some(unit) = unit.filter(differs) {
            let reason = format!("the upstream answers in {unit}, not {expected}");
            return Err(InvalidResponse::Units(reason));
        }
    }
    Ok(())
}

impl Location<'_> {
    /// The values, as sent.
    pub fn values(&self) -> Result<&RawValue, InvalidResponse> {
        self.current
            .or(self.current_weather)
            .ok_or_else(|| InvalidResponse::Broken("a location has no current values".to_owned()))
    }

    /// This location's own JSON as sent, without the units.
    pub fn raw_payload(&self, values: &RawValue) -> String {
        let mut payload = String::with_capacity(values.get().len() + 96);
        // Writing to a string cannot fail.
        let _ = write!(payload, r#"{{"latitude":{},"longitude":{}"#, self.latitude, self.longitude);
        if let Some(elevation) = self.elevation {
            let _ = write!(payload, r#","elevation":{elevation}"#);
        }
        let name = if self.current.is_some() { "current" } else { "current_weather" };
        let _ = write!(payload, r#","{name}":{values}}}"#);
        payload
    }
}

impl ObservationTime {
    /// `time` is in UTC without an offset, as in `2026-01-16T05:00`.
    pub fn parse(time: &str, interval_s: Option<i64>) -> Result<Self, InvalidResponse> {
        let invalid = || InvalidResponse::Broken(format!("{time:?} is not a valid time"));
        let observed_at =
            NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M").map_err(|_| invalid())?.and_utc();
        let interval_s =
            interval_s.filter(|seconds| INTERVALS_S.contains(seconds)).unwrap_or(INTERVAL_S);
        let fresh_until =
            observed_at.checked_add_signed(TimeDelta::seconds(interval_s)).ok_or_else(invalid)?;
        Ok(Self { observed_at, fresh_until })
    }
}
