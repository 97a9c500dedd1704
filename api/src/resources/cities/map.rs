//! `GET /map`: every city as a point, for who draws the world.
//!
//! Columns instead of objects, and whole numbers: 34,006 cities are half a megabyte on the wire. The
//! body is made once for all who ask within [`LIFE`], compressed beside it, and known by its tag, so
//! that a page that has it already costs a 304.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH,
    VARY,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use isobar_store::MapPoint;
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use crate::http::etag::is_known;
use crate::http::problem::Problem;
use crate::state::Shared;

const LIFE: Duration = Duration::from_secs(10);

/// Columns of equal length: the n-th of each belong to one city.
#[derive(Debug, Serialize, ToSchema)]
pub struct Map {
    pub at: DateTime<Utc>,
    pub ids: Vec<i64>,
    pub names: Vec<String>,
    /// Hundredths of a degree.
    pub latitude: Vec<i32>,
    pub longitude: Vec<i32>,
    /// Tenths of a degree Celsius; `null` while there is no snapshot.
    pub temperature: Vec<Option<i32>>,
}

/// The map as it is sent.
#[derive(Debug)]
pub struct Drawn {
    tag: HeaderValue,
    plain: Bytes,
    gzip: Bytes,
}

/// Every city as a point of the map
#[utoipa::path(
    get,
    path = "/map",
    responses(
        (status = 200, body = Map, description = "some seconds old at most",
         headers(("ETag" = String, description = "the points' tag"))),
        (status = 304, description = "If-None-Match holds the tag of these points"),
    ),
)]
pub async fn show(State(app): State<Shared>, headers: HeaderMap) -> Result<Response, Problem> {
    let drawn = app.scans.map.get(LIFE, async {
        let points = app.store.map_points().await?;
        let drawn = tokio::task::spawn_blocking(move || draw(&points, Utc::now())).await;
        drawn.map(Arc::new).map_err(Problem::internal)
    });
    let drawn = drawn.await?;
    let mut response = if is_known(headers.get(IF_NONE_MATCH), &drawn.tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if takes_gzip(&headers) {
            let gzip = (CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            ([json, gzip], drawn.gzip.clone()).into_response()
        } else {
            ([json], drawn.plain.clone()).into_response()
        }
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, drawn.tag.clone());
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim() == "gzip" && weight.trim() != "q=0"
        })
    })
}

fn draw(points: &[MapPoint], at: DateTime<Utc>) -> Drawn {
    let scaled = |value: f64, by: f64| (value * by).round() as i32;
    let map = Map {
        at,
        ids: points.iter().map(|point| point.id.0).collect(),
        names: points.iter().map(|point| point.name.clone()).collect(),
        latitude: points.iter().map(|point| scaled(point.latitude, 100.0)).collect(),
        longitude: points.iter().map(|point| scaled(point.longitude, 100.0)).collect(),
        temperature: points
            .iter()
            .map(|point| point.temperature.map(|degrees| scaled(degrees, 10.0)))
            .collect(),
    };
    let plain = serde_json::to_vec(&map).expect("a map is plain data");
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 3), Compression::fast());
    let gzip = encoder.write_all(&plain).and_then(|()| encoder.finish());
    let gzip = gzip.expect("memory takes what is written to it");
    // The time is left out: the same points are the same map.
    let points = serde_json::to_vec(&(&map.ids, &map.latitude, &map.longitude, &map.temperature));
    let digest = Sha256::digest(points.expect("a map is plain data"));
    let tag = format!("W/\"{digest:x}\"").parse().expect("digits are a header value");
    Drawn { tag, plain: plain.into(), gzip: gzip.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isobar_model::ids::CityId;
    use std::io::Read;

    fn point(temperature: Option<f64>) -> MapPoint {
        MapPoint {
            id: CityId(7),
            name: "Nuuk".to_owned(),
            latitude: 64.1835,
            longitude: -51.7216,
            temperature,
        }
    }

    #[test]
    fn the_same_points_have_one_tag_and_both_bodies_are_one_map() {
        let (one, later) = (Utc::now(), Utc::now() + chrono::TimeDelta::hours(1));
        let drawn = draw(&[point(Some(-7.25)), point(None)], one);
        assert_eq!(drawn.tag, draw(&[point(Some(-7.25)), point(None)], later).tag);
        assert_ne!(drawn.tag, draw(&[point(Some(-7.0)), point(None)], one).tag);
        let mut text = String::new();
        flate2::read::GzDecoder::new(&drawn.gzip[..]).read_to_string(&mut text).expect("gzip");
        assert_eq!(text.as_bytes(), drawn.plain);
        let map: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(map["latitude"][0], 6418);
        assert_eq!(map["temperature"], serde_json::json!([-73, null]));
    }

    #[test]
    fn gzip_is_sent_only_to_who_takes_it() {
        for (value, expected) in [
            ("gzip", true),
            ("br, gzip;q=0.8", true),
            ("br", false),
            ("gzip;q=0", false),
            ("", false),
        ] {
            let headers =
                HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(value))]);
            assert_eq!(takes_gzip(&headers), expected, "{value}");
        }
    }
}
