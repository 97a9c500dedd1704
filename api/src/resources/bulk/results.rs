//! `GET /bulk/jobs/{id}/results`: the finished rows of a job, in the order of its source.
//!
//! Guarantees: a page costs the same at any depth, because the ledger's index serves it. JSON is
//! paged; CSV has all rows.
//! Does not: show later rows of a running job in pages that were already read. Read such a job from
//! the start when it is done.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::{IntoResponse, Response};
use isobar_admin::job_view::JobErrorView;
use isobar_admin::row_view::RowView;
use isobar_admin::schemas;
use isobar_model::ids::JobId;
use isobar_store::{LedgerCursor, RowStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::export::export;
use super::jobs::unknown;
use crate::http::cursor;
use crate::http::paging::Paging;
use crate::http::params::{Params, PathId};
use crate::http::problem::Problem;
use crate::state::SharedState;

/// The format of an answer, for clients that cannot send `Accept`: links of a page.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only the document reads its variants")]
enum Format {
    Json,
    Csv,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ResultPage {
    pub items: Vec<RowView>,
    pub next_cursor: Option<String>,
    /// Why the job failed: its source could not be read, or not to its end.
    pub error: Option<JobErrorView>,
}

/// Results of a job, in the order of its rows
#[utoipa::path(
    get,
    path = "/bulk/jobs/{id}/results",
    params(
        ("id" = uuid::Uuid, Path, description = "job id"),
        Paging,
        ("status" = Option<schemas::RowStatus>, Query, description = "filter by result"),
        ("format" = inline(Option<Format>), Query, description = "used instead of `Accept`"),
    ),
    responses((status = 200, description = "a page of finished rows; as text/csv, all rows",
               content((ResultPage = "application/json"), (String = "text/csv")))),
)]
pub async fn list(
    State(app): State<SharedState>,
    PathId(id): PathId<JobId>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let limit = params.limit()?;
    let after = params.cursor::<LedgerCursor>()?;
    let status = params.text("status").map(status).transpose()?;
    let csv = match params.text("format") {
        Some("csv") => true,
        Some("json") => false,
        Some(_) => return Err(Problem::parameter("format", "must be csv or json")),
        None => wants_csv(&headers),
    };
    let job = app.store.job(id).await?.ok_or_else(unknown)?;
    if csv {
        return export(&app, id, status).await;
    }
    let rows = app.store.ledger(id, status, after, limit + 1).await?;
    let (rows, next_cursor) =
        cursor::page(rows, limit, |row| LedgerCursor { row: row.row, task_id: row.task_id });
    let items = rows.into_iter().map(RowView::from).collect();
    let error = job.error().map(Into::into);
    Ok(Json(ResultPage { items, next_cursor, error }).into_response())
}

fn wants_csv(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|kind| {
        kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/csv"))
    })
}

fn status(text: &str) -> Result<RowStatus, Problem> {
    RowStatus::parse(text).ok_or_else(|| {
        let detail = "must be success, failed or skipped";
        Problem::parameter("status", detail)
    })
}
