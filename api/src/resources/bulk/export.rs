//! `/bulk/jobs/{id}/results` as CSV: all of a job's rows, in a form that can be imported again.
//!
//! Read in pages while it is sent, so that neither side's number of rows decides how much memory this
//! takes. Country and coordinates come from the store's city, or from what the task brought; a number
//! that we gave a city ourselves is left out, since name and place make it again. What a spreadsheet
//! would take for a formula is made text. A store that goes away cuts the connection.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::SecondsFormat;
use futures::{StreamExt, stream};
use isobar_model::ids::{CityId, JobId};
use isobar_producer::source::formula::neutralised;
use isobar_store::{CityRow, LedgerCursor, LedgerRow, RowStatus, Store, StoreError};
use isobar_telemetry::chain;
use tokio::sync::OwnedSemaphorePermit;

use crate::http::problem::Problem;
use crate::state::App;

/// Rows read at a time.
const PAGE: u32 = 1_000;
const STREAMS_PAUSE: Duration = Duration::from_secs(5);
const HEADER: [&str; 11] = [
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
];

/// Where an export got to.
struct Progress {
    store: Store,
    job: JobId,
    status: Option<RowStatus>,
    page: Vec<LedgerRow>,
    begun: bool,
    _permit: OwnedSemaphorePermit,
}

/// All rows of the job, or those of one status.
pub async fn export(app: &App, job: JobId, status: Option<RowStatus>) -> Result<Response, Problem> {
    let permit = Arc::clone(&app.streams).try_acquire_owned().map_err(|_| {
        let detail = "too many whole tables are being sent; ask for pages, or try again";
        Problem::unavailable("overloaded", detail, STREAMS_PAUSE)
    })?;
    let page = app.store.ledger(job, status, None, PAGE).await?;
    let start =
        Progress { store: app.store.clone(), job, status, page, begun: false, _permit: permit };
    let pieces = stream::unfold(Some(start), |progress| async move {
        match next_piece(progress?).await {
            Ok((piece, rest)) => Some((Ok(piece), rest)),
            Err(error) => {
                let said = chain(&error);
                tracing::warn!(error = said, "an export was cut because the store went away");
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

/// One page as text, and what is left to send after it.
async fn next_piece(mut progress: Progress) -> Result<(Bytes, Option<Progress>), StoreError> {
    let rows = std::mem::take(&mut progress.page);
    let ids: Vec<CityId> = rows.iter().filter_map(|row| row.city_id).collect();
    let cities = progress.store.cities_by_id(&ids).await?;
    let cities: HashMap<CityId, CityRow> = cities.into_iter().map(|city| (city.id, city)).collect();
    let piece = piece(&rows, &cities, !progress.begun);
    let last = rows.last().map(|row| LedgerCursor { row: row.row, task_id: row.task_id });
    if rows.len() < PAGE as usize {
        return Ok((piece, None));
    }
    progress.begun = true;
    progress.page = progress.store.ledger(progress.job, progress.status, last, PAGE).await?;
    Ok((piece, Some(progress)))
}

fn piece(rows: &[LedgerRow], cities: &HashMap<CityId, CityRow>, header: bool) -> Bytes {
    let mut file = csv::Writer::from_writer(Vec::with_capacity(rows.len() * 96));
    if header {
        file.write_record(HEADER).expect("memory takes what is written to it");
    }
    for row in rows {
        let city = row.city_id.and_then(|id| cities.get(&id));
        file.write_record(record(row, city)).expect("each record has the header's columns");
    }
    file.into_inner().expect("memory takes what is written to it").into()
}

fn record(row: &LedgerRow, city: Option<&CityRow>) -> [String; 11] {
    let brought: HashMap<String, String> =
        row.input.as_deref().and_then(|input| serde_json::from_str(input).ok()).unwrap_or_default();
    let brought = |name: &str| brought.get(name).cloned();
    let at = city.and_then(|city| city.coordinates);
    let text = |text: Option<String>| neutralised(&text.unwrap_or_default()).into_owned();
    [
        row.row.map(|row| row.to_string()).unwrap_or_default(),
        text(row.city.clone().or_else(|| city.map(|city| city.name.clone()))),
        row.city_id.filter(|id| id.0 > 0).map(|id| id.to_string()).unwrap_or_default(),
        text(city.and_then(|city| city.country_code.clone()).or_else(|| brought("country_code"))),
        at.map(|at| at.latitude().to_string())
            .or_else(|| brought("latitude_deg"))
            .unwrap_or_default(),
        at.map(|at| at.longitude().to_string())
            .or_else(|| brought("longitude_deg"))
            .unwrap_or_default(),
        row.status.as_str().to_owned(),
        text(row.error_code.clone()),
        text(row.last_error.clone()),
        row.attempts.to_string(),
        row.last_refreshed_at
            .map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true))
            .unwrap_or_default(),
    ]
}
