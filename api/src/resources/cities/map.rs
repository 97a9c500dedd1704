//! `GET /map`: every city as a point.
//!
//! Guarantees: the body is made and compressed once for all callers within ten seconds. Its entity tag
//! lets a page that already has it get a 304.
//! Next: `state/map_body.rs` (how the body is made).

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH,
    VARY,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::Utc;

use crate::http::etag::is_known;
use crate::http::problem::Problem;
use crate::state::SharedState;
use crate::state::map_body::{Map, MapBody};

/// Every city as a point of the map
#[utoipa::path(
    get,
    path = "/map",
    responses(
        (status = 200, body = Map, description = "at most a few seconds old",
         headers(("ETag" = String, description = "tag of the points"))),
        (status = 304, description = "not modified"),
    ),
)]
pub async fn show(State(app): State<SharedState>, headers: HeaderMap) -> Result<Response, Problem> {
    let body = app.scans.map.get_or_load(async {
        let points = app.store.map_points().await?;
        let made = tokio::task::spawn_blocking(move || MapBody::from_points(&points, Utc::now()));
        made.await.map(Arc::new).map_err(Problem::internal)
    });
    let body = body.await.map_err(|problem: Arc<Problem>| (*problem).clone())?;
    let mut response = if is_known(headers.get(IF_NONE_MATCH), &body.etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if accepts_gzip(&headers) {
            let gzip = (CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            ([json, gzip], body.gzip.clone()).into_response()
        } else {
            ([json], body.plain.clone()).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, body.etag.clone());
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim() == "gzip" && weight.trim() != "q=0"
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_that_accept_gzip_get_it() {
        for (value, expected) in [
            ("gzip", true),
            ("br, gzip;q=0.8", true),
            ("br", false),
            ("gzip;q=0", false),
            ("", false),
        ] {
            let headers =
                HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
    }
}
