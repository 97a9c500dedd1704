//! `GET /air-quality`: the air quality of a city by its name.
//!
//! The stored row while it is current, else the upstream's, else the stored one as stale.
//! Next: [`crate::weather::lookup`] (which city a name means, and which problem a failure is).

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use isobar_model::city::City;
use isobar_model::freshness::is_current;
use isobar_store::{AirQualityRow, Commit, Records};
use isobar_upstream::cities::air_quality_row;
use isobar_upstream::{Answer, Priority};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::{AppState, SharedState};
use crate::weather::answer::Origin;
use crate::weather::city::CityQuery;
use crate::weather::lookup::{bad_response, failure};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Concentrations are in µg/m³.
#[derive(Serialize, ToSchema)]
pub struct AirQualityReply {
    city: String,
    city_id: i64,
    country_code: Option<String>,
    latitude: f64,
    longitude: f64,
    pm10: Option<f64>,
    pm2_5: Option<f64>,
    carbon_monoxide: Option<f64>,
    nitrogen_dioxide: Option<f64>,
    ozone: Option<f64>,
    european_aqi: Option<i32>,
    us_aqi: Option<i32>,
    observed_at: DateTime<Utc>,
    fetched_at: DateTime<Utc>,
    source: &'static str,
    cache: Origin,
    /// Cities that the name may mean; this is the most populous one.
    candidates: usize,
}

/// The air quality of a city
///
/// `hit`: no upstream request was needed. `stale`: the upstream failed, and this is the last known
/// air quality.
#[utoipa::path(
    get,
    path = "/air-quality",
    params(
        ("city" = String, Query, description = "name of the city, in any spelling", min_length = 1,
         max_length = 200, example = "Paris"),
        ("country" = Option<String>, Query, description = "two-letter country code",
         pattern = "^[A-Za-z]{2}$"),
    ),
    responses(
        (status = 200, body = AirQualityReply, description = "the air quality", headers(
            ("X-Cache" = String, description = "hit, miss or stale"),
        )),
        (status = 404, description = "`city_not_found`: unknown city"),
        (status = 502, description = "`upstream_error`: the air quality service failed, and nothing is stored"),
    ),
)]
pub async fn show(State(app): State<SharedState>, params: Params) -> Result<Response, Problem> {
    let query = CityQuery::read(&params)?;
    let found = app.weather.resolve(&query).await?;
    let (row, cache) = current(&app, &found.city).await?;
    let reply = AirQualityReply {
        city: found.city.name,
        city_id: found.city.id.0,
        country_code: found.city.country_code,
        latitude: found.city.coordinates.latitude(),
        longitude: found.city.coordinates.longitude(),
        pm10: row.pm10,
        pm2_5: row.pm2_5,
        carbon_monoxide: row.carbon_monoxide,
        nitrogen_dioxide: row.nitrogen_dioxide,
        ozone: row.ozone,
        european_aqi: row.european_aqi,
        us_aqi: row.us_aqi,
        observed_at: row.observed_at,
        fetched_at: row.synced_at,
        source: "open-meteo",
        cache,
        candidates: found.candidates,
    };
    Ok(([(X_CACHE, HeaderValue::from_static(cache.as_str()))], Json(reply)).into_response())
}

async fn current(app: &AppState, city: &City) -> Result<(AirQualityRow, Origin), Problem> {
    let stored = app.store.air_quality(city.id).await?;
    let policy = app.settings.fresh_for;
    let is_current = |row: &&AirQualityRow| is_current(policy, row.times(), Utc::now());
    if let Some(row) = stored.as_ref().filter(is_current) {
        return Ok((row.clone(), Origin::Hit));
    }
    let answer = app.upstream.air_quality(&[city.coordinates], Priority::Interactive).await;
    let failed = match answer {
        Answer::Ok(values) => match values.into_iter().next() {
            Some(air) => match air_quality_row(city.id, &air, Utc::now()) {
                Ok(row) => {
                    let records = Records::AirQuality(vec![row.clone()]);
                    app.store.commit(&Commit { records, ..Commit::default() }).await?;
                    return Ok((row, Origin::Miss));
                }
                Err(error) => failure(&bad_response(&error)),
            },
            None => Problem::internal(anyhow::anyhow!("the answer for one location is empty")),
        },
        failed => failure(&failed),
    };
    stored.map(|row| (row, Origin::Stale)).ok_or(failed)
}
