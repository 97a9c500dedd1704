//! The results of a job as CSV: all of its rows, in a form that can be imported again.
//!
//! Guarantees: rows are read in pages while they are sent, so memory does not depend on their number.
//! Country and coordinates come from the stored city, or from the input of the task or rejected row.
//! A rejected row has its fields as its file had them; fields beyond the header stay behind the last
//! column, so the file is refused there again until they are corrected. An id that Isobar
//! derived is left out, because name and position give it again. Text that a spreadsheet would take
//! for a formula is escaped. If the store becomes unavailable, the connection is cut.

use std::collections::HashMap;
use std::io;

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::SecondsFormat;
use futures::{StreamExt, stream};
use isobar_model::ids::{CityId, JobId};
use isobar_producer::source::formula::neutralised;
use isobar_store::{CityRow, LedgerCursor, LedgerRow, RowStatus, Store, StoreError};
use isobar_telemetry::error_chain;
use tokio::sync::OwnedSemaphorePermit;

use crate::http::problem::Problem;
use crate::state::AppState;

/// Rows read at a time.
const PAGE: u32 = 1_000;
const HEADER: [&str; 13] = [
    "row",
    "city",
    "city_id",
    "country_code",
    "latitude",
    "longitude",
    "status",
    "error_code",
    "last_error",
    "attempts",
    "last_refreshed_at",
    "line",
    "value",
];

/// The position of an export.
struct ExportCursor {
    store: Store,
    job: JobId,
    status: Option<RowStatus>,
    page: Vec<LedgerRow>,
    begun: bool,
    _permit: OwnedSemaphorePermit,
}

/// All rows of the job, or those of one status.
pub async fn export(
    app: &AppState,
    job: JobId,
    status: Option<RowStatus>,
) -> Result<Response, Problem> {
    let permit = app.stream_permit()?;
    let page = app.store.ledger(job, status, None, PAGE).await?;
    let start =
        ExportCursor { store: app.store.clone(), job, status, page, begun: false, _permit: permit };
    let pieces = stream::unfold(Some(start), |cursor| async move {
        match next_piece(cursor?).await {
            Ok((piece, rest)) => Some((Ok(piece), rest)),
            Err(error) => {
                let message = error_chain(&error);
                tracing::warn!(error = message, "an export was cut: the store is unavailable");
                Some((Err(io::Error::other(error)), None))
            }
        }
    });
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"results-{job}.csv\"")),
    ];
    Ok((headers, Body::from_stream(pieces.fuse())).into_response())
}

/// One page as text, and the position after it.
async fn next_piece(mut cursor: ExportCursor) -> Result<(Bytes, Option<ExportCursor>), StoreError> {
    let rows = std::mem::take(&mut cursor.page);
    let ids: Vec<CityId> = rows.iter().filter_map(|row| row.city_id).collect();
    let cities = cursor.store.cities_by_id(&ids).await?;
    let cities: HashMap<CityId, CityRow> = cities.into_iter().map(|city| (city.id, city)).collect();
    let piece = piece(&rows, &cities, !cursor.begun);
    let last = rows.last().map(|row| LedgerCursor { row: row.row, task_id: row.task_id });
    if rows.len() < PAGE as usize {
        return Ok((piece, None));
    }
    cursor.begun = true;
    cursor.page = cursor.store.ledger(cursor.job, cursor.status, last, PAGE).await?;
    Ok((piece, Some(cursor)))
}

fn piece(rows: &[LedgerRow], cities: &HashMap<CityId, CityRow>, header: bool) -> Bytes {
    let buffer = Vec::with_capacity(rows.len() * 96);
    // Rejected rows may have more fields than the header.
    let mut file = csv::WriterBuilder::new().flexible(true).from_writer(buffer);
    if header {
        file.write_record(HEADER).expect("writing to memory never fails");
    }
    for row in rows {
        let city = row.city_id.and_then(|id| cities.get(&id));
        file.write_record(record(row, city)).expect("writing to memory never fails");
    }
    file.into_inner().expect("writing to memory never fails").into()
}

fn record(row: &LedgerRow, city: Option<&CityRow>) -> Vec<String> {
    let input: HashMap<String, String> =
        row.input.as_deref().and_then(|input| serde_json::from_str(input).ok()).unwrap_or_default();
    let input = |name: &str| input.get(name).cloned();
    let rejected = |name: &str| input(name).filter(|_| row.rejected);
    let at = city.and_then(|city| city.coordinates);
    let text = |text: Option<String>| neutralised(&text.unwrap_or_default()).into_owned();
    let name = rejected("city").or_else(|| row.city.clone());
    let id = row.city_id.filter(|id| id.0 > 0).map(|id| id.to_string());
    let mut record = vec![
        row.row.map(|row| row.to_string()).unwrap_or_default(),
        text(name.or_else(|| city.map(|city| city.name.clone()))),
        text(id.or_else(|| rejected("city_id"))),
        text(city.and_then(|city| city.country_code.clone()).or_else(|| input("country_code"))),
        text(at.map(|at| at.latitude().to_string()).or_else(|| input("latitude_deg"))),
        text(at.map(|at| at.longitude().to_string()).or_else(|| input("longitude_deg"))),
        row.status.as_str().to_owned(),
        text(row.error_code.clone()),
        text(row.last_error.clone()),
        row.attempts.to_string(),
        row.last_refreshed_at
            .map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
            .unwrap_or_default(),
        text(rejected("line")),
        text(rejected("value")),
    ];
    let surplus: Vec<String> =
        rejected("surplus").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    record.extend(surplus.into_iter().map(|field| text(Some(field))));
    record
}
