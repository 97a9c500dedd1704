//! `/bulk/jobs/{id}/results`: what became of each row, in the order of the rows.
//!
//! Pages are served by the ledger's index, however deep they lie. A page of a job that runs holds
//! what is finished so far; rows that finish later with lower numbers are not in a page that was
//! passed, so read a running job from the start once it is done.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use isobar_model::ids::{CityId, JobId};
use isobar_store::{LedgerCursor, LedgerRow, RowStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::export::export;
use super::jobs::unknown;
use crate::http::cursor;
use crate::http::params::{Id, Params};
use crate::http::problem::Problem;
use crate::openapi::schemas::{self, Paging};
use crate::state::Shared;

/// The form of an answer, for those who cannot say what they accept: links of a page.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "its names are what the document says of them")]
enum Format {
    Json,
    Csv,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ResultPage {
    pub items: Vec<ResultItem>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ResultItem {
    pub row: Option<u64>,
    pub city: Option<String>,
    #[schema(value_type = Option<i64>)]
    pub city_id: Option<CityId>,
    #[schema(value_type = schemas::RowStatus)]
    pub status: RowStatus,
    pub last_refreshed_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub error_code: Option<String>,
    pub attempts: u32,
}

/// What became of a job's rows, in their order
#[utoipa::path(
    get,
    path = "/bulk/jobs/{id}/results",
    params(
        ("id" = uuid::Uuid, Path, description = "the job"),
        Paging,
        ("status" = Option<schemas::RowStatus>, Query, description = "only rows that ended so"),
        ("format" = inline(Option<Format>), Query, description = "instead of `Accept`"),
    ),
    responses((status = 200, description = "a page of finished rows; as text/csv, all of them",
               content((ResultPage = "application/json"), (String = "text/csv")))),
)]
pub async fn list(
    State(app): State<Shared>,
    Id(id): Id<JobId>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = params.limit()?;
    let after = params.cursor::<LedgerCursor>()?;
    let status = params.text("status").map(status).transpose()?;
    let csv = match params.text("format") {
        Some("csv") => true,
        Some("json") => false,
        Some(_) => return Err(Problem::parameter("format", "it must be csv or json")),
        None => wants_csv(&headers),
    };
    if app.store.job(id).await?.is_none() {
        return Err(unknown());
    }
    if csv {
        return export(&app, id, status).await;
    }
    let rows = app.store.ledger(id, status, after, limit + 1).await?;
    let (rows, next_cursor) =
        cursor::page(rows, limit, |row| LedgerCursor { row: row.row, task_id: row.task_id });
    let items = rows.into_iter().map(ResultItem::from).collect();
    Ok(Json(ResultPage { items, next_cursor }).into_response())
}

/// Pages are JSON; who asks for CSV gets all of it.
fn wants_csv(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/csv"))
    })
}

fn status(text: &str) -> Result<RowStatus, Problem> {
    RowStatus::parse(text).ok_or_else(|| {
        let detail = "it must be success, failed or skipped";
        Problem::parameter("status", detail)
    })
}

impl From<LedgerRow> for ResultItem {
    fn from(row: LedgerRow) -> Self {
        Self {
            row: row.row,
            city: row.city,
            city_id: row.city_id,
            status: row.status,
            last_refreshed_at: row.last_refreshed_at,
            last_error: row.last_error,
            error_code: row.error_code,
            attempts: row.attempts,
        }
    }
}
