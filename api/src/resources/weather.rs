//! `GET /weather`: the weather of a city by its name.
//!
//! Parameters, headers and 304 are here. Every success is a search in the history; a cached answer
//! costs no I/O beyond that.
//!
//! Next: [`crate::weather`] (which city a name means, and where its weather comes from).

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
use crate::state::SharedState;
use crate::weather::answer::{self, Origin, PreparedAnswer};
use crate::weather::city::CityQuery;

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");

/// The weather of a city
///
/// From a cache, the store or the upstream, whichever has it first. A success is recorded in the
/// search history. `hit`: no upstream request was needed. `stale`: the upstream failed, and this is
/// the last known weather.
#[utoipa::path(
    get,
    path = "/weather",
    params(
        ("city" = String, Query, description = "name of the city, in any spelling", min_length = 1,
         max_length = 200, example = "Paris"),
        ("country" = Option<String>, Query, description = "two-letter country code",
         pattern = "^[A-Za-z]{2}$"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag` of an earlier answer"),
    ),
    responses(
        (status = 200, body = answer::WeatherReply, description = "the weather", headers(
            ("X-Cache" = String, description = "hit, miss or stale"),
            ("Age" = u64, description = "seconds since the weather was fetched"),
            ("ETag" = String, description = "value for `If-None-Match`"),
            ("Cache-Control" = String, description = "how long the answer may be kept"),
        )),
        (status = 304, description = "not modified", headers(
            ("X-Cache" = String, description = "hit, miss or stale"),
            ("Age" = u64, description = "seconds since the weather was fetched"),
            ("ETag" = String, description = "value for `If-None-Match`"),
            ("Cache-Control" = String, description = "how long the answer may be kept"),
        )),
        (status = 404, description = "`city_not_found`: unknown city"),
        (status = 502, description = "`upstream_error`: the weather service failed, and no snapshot is stored"),
    ),
)]
pub async fn weather(
    State(app): State<SharedState>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = CityQuery::read(&params)?;
    let (prepared, origin) = Box::pin(app.weather.find(query)).await?;
    let now = Utc::now();
    app.history.record(Arc::clone(&prepared.city), now);
    let known = is_known(headers.get(IF_NONE_MATCH), &prepared.etag);
    Ok(respond(&prepared, origin, known, now))
}

fn respond(prepared: &PreparedAnswer, origin: Origin, known: bool, now: DateTime<Utc>) -> Response {
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
