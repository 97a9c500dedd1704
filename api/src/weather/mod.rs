//! `/weather`: the weather of a city by its name, from the nearest place that has it.
//!
//! Order: this process' front cache → the broker's cache → a snapshot in the store that is still
//! current → the upstream, once for everyone who asks → the last snapshot, marked `stale`. Every
//! success is a search in the history; a cached one costs no I/O beyond that.
//!
//! This file is the HTTP side: parameters, headers, 304. Next: [`lookup`] (the order above),
//! [`city`] (which city a name means), [`answer`] (what is kept, how long), [`single_flight`].

pub mod answer;
mod city;
mod lookup;
pub mod single_flight;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use crate::http::etag::is_known;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::Shared;
use answer::Prepared;
use city::Asked;
pub use lookup::{METRICS, Weather};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// Where an answer came from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// No upstream request was needed.
    Hit,
    Miss,
    /// The upstream failed; this is the last that is known.
    Stale,
}

impl Origin {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
        }
    }
}

/// The weather of a city
///
/// From a cache, the store or the upstream, whichever has it first. A success is a search in the
/// history. `hit`: no upstream request was needed; `stale`: the upstream failed, and this is the
/// last that is known.
#[utoipa::path(
    get,
    path = "/weather",
    params(
        ("city" = String, Query, description = "its name in any spelling", min_length = 1,
         max_length = 200, example = "Paris"),
        ("country" = Option<String>, Query, description = "narrows the name to a country: two letters",
         pattern = "^[A-Za-z]{2}$"),
        ("If-None-Match" = Option<String>, Header, description = "an ETag from before"),
    ),
    responses(
        (status = 200, body = answer::WeatherReply, description = "its weather", headers(
            ("X-Cache" = String, description = "hit, miss or stale"),
            ("Age" = u64, description = "seconds since it was fetched"),
            ("ETag" = String, description = "for If-None-Match"),
            ("Cache-Control" = String, description = "how long it may be kept"),
        )),
        (status = 304, description = "what If-None-Match names is still current", headers(
            ("X-Cache" = String, description = "hit, miss or stale"),
            ("Age" = u64, description = "seconds since it was fetched"),
            ("ETag" = String, description = "for If-None-Match"),
            ("Cache-Control" = String, description = "how long it may be kept"),
        )),
        (status = 404, description = "`city_not_found`: nobody knows a city of this name"),
        (status = 502, description = "`upstream_error`: the weather service failed, and nothing is stored"),
    ),
)]
pub async fn weather(
    State(app): State<Shared>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let asked = Asked::read(&params)?;
    let (prepared, origin) = app.weather.find(asked).await?;
    let now = Utc::now();
    app.history.record(Arc::clone(&prepared.city), now);
    let known = is_known(headers.get(IF_NONE_MATCH), &prepared.etag);
    Ok(answer(&prepared, origin, known, now))
}

fn answer(prepared: &Prepared, origin: Origin, known: bool, now: DateTime<Utc>) -> Response {
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body: Bytes = prepared.body(origin);
        let kind = HeaderValue::from_static("application/json");
        ([(CONTENT_TYPE, kind)], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(X_CACHE, HeaderValue::from_static(origin.as_str()));
    headers.insert(AGE, HeaderValue::from(prepared.age_seconds(now)));
    headers.insert(ETAG, prepared.etag.clone());
    let cache_control = match origin {
        Origin::Stale => HeaderValue::from_static("no-cache"),
        _ => prepared.cache_control.clone(),
    };
    headers.insert(CACHE_CONTROL, cache_control);
    response
}
