//! `/api/weather/`: the stored snapshots, all of them or by page, and one with its payload.
//!
//! Guarantees: without `limit` and `cursor` the whole table is one JSON array. It is read in pages
//! while it is sent, so memory does not depend on the number of cities. If the store is unavailable
//! at the start, the answer is 503. If it fails later, the connection is cut, so no client takes the
//! part for the whole array.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, LINK};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, stream};
use isobar_model::ids::CityId;
use isobar_store::{SnapshotRow, Store};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use crate::http::cursor;
use crate::http::paging::Paging;
use crate::http::params::{Params, PathId};
use crate::http::problem::Problem;
use crate::state::SharedState;

/// Snapshots in one read while all are streamed.
const STREAM_PAGE: u32 = 1_000;

#[derive(Debug, Serialize, ToSchema)]
pub struct SnapshotItem {
    #[schema(value_type = i64)]
    pub id: CityId,
    pub city_name: String,
    pub latitude: f64,
    pub longitude: f64,
    pub temperature: Option<f64>,
    pub windspeed: Option<f64>,
    pub winddirection: Option<i32>,
    pub weathercode: Option<i32>,
    /// The provider's own text, in UTC: `2026-01-16T05:00`.
    pub time: String,
    pub synced_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SnapshotWithPayload {
    #[serde(flatten)]
    pub snapshot: SnapshotItem,
    /// The provider's own JSON of this location.
    #[schema(value_type = Option<Object>)]
    pub raw_payload: Option<Value>,
}

/// Stored snapshots
///
/// All of them, streamed, if neither `limit` nor `cursor` is given; else a page.
#[utoipa::path(
    get,
    path = "/api/weather/",
    params(Paging),
    responses((status = 200, body = [SnapshotItem], description = "snapshots, ordered by city id",
               headers(("Link" = String, description = "the next page, rel=\"next\", if there is one")))),
)]
pub async fn list(State(app): State<SharedState>, params: Params) -> Result<Response, Problem> {
    if params.text("limit").is_none() && params.text("cursor").is_none() {
        return all(&app).await;
    }
    let limit = params.limit()?;
    let after = params.cursor::<CityId>()?;
    let rows = app.store.weather_page(after, limit + 1).await?;
    let (rows, next) = cursor::page(rows, limit, |row| row.city_id);
    let items: Vec<SnapshotItem> = rows.into_iter().map(SnapshotItem::from).collect();
    let mut response = Json(items).into_response();
    if let Some(next) = next {
        let link = format!("</api/weather/?limit={limit}&cursor={next}>; rel=\"next\"");
        let link = link.parse().expect("digits and letters are a header value");
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// Get the stored snapshot of a city
#[utoipa::path(
    get,
    path = "/api/weather/{id}/",
    params(("id" = i64, Path, description = "city id")),
    responses((status = 200, body = SnapshotWithPayload, description = "the snapshot with the provider's payload")),
)]
pub async fn show(
    State(app): State<SharedState>,
    PathId(id): PathId<i64>,
) -> Result<Json<SnapshotWithPayload>, Problem> {
    let row = app.store.weather(CityId(id)).await?;
    let mut row = row.ok_or_else(|| Problem::not_found("no snapshot of this city is stored"))?;
    // Text that is not JSON can only come from another program.
    let raw_payload = row.raw_payload.take();
    let raw_payload =
        raw_payload.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
    Ok(Json(SnapshotWithPayload { snapshot: row.into(), raw_payload }))
}

impl From<SnapshotRow> for SnapshotItem {
    fn from(row: SnapshotRow) -> Self {
        Self {
            id: row.city_id,
            city_name: row.city_name,
            latitude: row.latitude,
            longitude: row.longitude,
            temperature: row.temperature,
            windspeed: row.windspeed,
            winddirection: row.winddirection,
            weathercode: row.weathercode,
            time: row.time,
            synced_at: row.synced_at,
        }
    }
}

/// The position in a streamed array.
struct StreamCursor {
    store: Store,
    page: Vec<SnapshotRow>,
    opened: bool,
    _permit: OwnedSemaphorePermit,
}

async fn all(app: &SharedState) -> Result<Response, Problem> {
    let permit = app.stream_permit()?;
    let start = StreamCursor {
        store: app.store.clone(),
        page: app.store.weather_page(None, STREAM_PAGE).await?,
        opened: false,
        _permit: permit,
    };
    let pages = stream::unfold(Some(start), |cursor| async move {
        match next_piece(cursor?).await {
            Ok((piece, rest)) => Some((Ok(piece), rest)),
            Err(error) => Some((Err(error), None)),
        }
    });
    let body = Body::from_stream(pages.fuse());
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// One page as JSON, and the position after it.
async fn next_piece(mut cursor: StreamCursor) -> io::Result<(Bytes, Option<StreamCursor>)> {
    let rows = std::mem::take(&mut cursor.page);
    let last = rows.last().map(|row| row.city_id);
    let more = rows.len() == STREAM_PAGE as usize;
    let piece = piece(rows, cursor.opened, !more)?;
    if !more {
        return Ok((piece, None));
    }
    cursor.opened = true;
    cursor.page = cursor
        .store
        .weather_page(last, STREAM_PAGE)
        .await
        .inspect_err(|error| {
            let error = isobar_telemetry::error_chain(error);
            tracing::warn!(error, "a streamed answer was cut: the store is unavailable");
        })
        .map_err(io::Error::other)?;
    Ok((piece, Some(cursor)))
}

/// Rows as a part of an array: after earlier rows if `opened`, with the final bracket if `close`.
fn piece(rows: Vec<SnapshotRow>, opened: bool, close: bool) -> io::Result<Bytes> {
    let mut text = Vec::with_capacity(rows.len() * 256 + 2);
    if !opened {
        text.push(b'[');
    }
    for (at, row) in rows.into_iter().enumerate() {
        if opened || at > 0 {
            text.push(b',');
        }
        serde_json::to_writer(&mut text, &SnapshotItem::from(row))?;
    }
    if close {
        text.push(b']');
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ids: std::ops::Range<i64>) -> Vec<SnapshotRow> {
        ids.map(|id| SnapshotRow {
            city_id: CityId(id),
            city_name: format!("city \"{id}\""),
            latitude: 1.0,
            longitude: 2.0,
            temperature: None,
            windspeed: Some(3.5),
            winddirection: None,
            weathercode: Some(0),
            humidity: None,
            time: "2026-01-16T05:00".to_owned(),
            observed_at: DateTime::UNIX_EPOCH,
            fresh_until: DateTime::UNIX_EPOCH,
            synced_at: DateTime::UNIX_EPOCH,
            raw_payload: None,
        })
        .collect()
    }

    #[test]
    fn the_pieces_form_one_array() {
        for cut in 0..=3 {
            let mut whole = piece(rows(0..cut), false, false).expect("writes").to_vec();
            if cut == 0 {
                // A first page is never empty unless it is the last.
                whole = piece(rows(0..3), false, true).expect("writes").to_vec();
            } else {
                whole.extend(piece(rows(cut..3), true, true).expect("writes"));
            }
            let array: Vec<serde_json::Value> = serde_json::from_slice(&whole).expect("JSON");
            assert_eq!(array.len(), 3);
            assert_eq!(array[2]["id"], 2);
        }
        let empty = piece(Vec::new(), false, true).expect("writes");
        assert_eq!(empty, "[]".as_bytes());
    }
}
