//! `GET /bulk/jobs` and `GET /bulk/jobs/{id}`.
//!
//! Next: `isobar_admin::job_view` (what a job shows), `isobar_admin::job_delays` (why it waits).

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use isobar_admin::job_delays::JobDelays;
use isobar_admin::job_view::JobView;
use isobar_model::ids::JobId;
use isobar_store::{JobRow, JobStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::cursor::{self, JobCursor};
use crate::http::paging::Paging;
use crate::http::params::{Params, PathId};
use crate::http::problem::Problem;
use crate::state::{AppState, SharedState};

#[derive(Debug, Serialize, ToSchema)]
pub struct JobPage {
    pub items: Vec<JobView>,
    pub next_cursor: Option<String>,
}

/// Jobs, newest first
#[utoipa::path(
    get,
    path = "/bulk/jobs",
    params(Paging),
    responses((status = 200, body = JobPage, description = "a page of jobs")),
)]
pub async fn list(
    State(app): State<SharedState>,
    params: Params,
) -> Result<Json<JobPage>, Problem> {
    let limit = params.limit()?;
    let before = params.cursor::<JobCursor>()?.map(|cursor| (cursor.0, cursor.1));
    let rows = app.store.jobs(before, limit + 1).await?;
    let (rows, next_cursor) = cursor::page(rows, limit, |row| JobCursor(row.created_at, row.id));
    Ok(Json(JobPage { items: views(&app, rows).await, next_cursor }))
}

/// Get a job
#[utoipa::path(
    get,
    path = "/bulk/jobs/{id}",
    params(("id" = uuid::Uuid, Path, description = "job id")),
    responses((status = 200, body = JobView, description = "the job with its counters")),
)]
pub async fn show(
    State(app): State<SharedState>,
    PathId(id): PathId<JobId>,
) -> Result<Json<JobView>, Problem> {
    let row = app.store.job(id).await?.ok_or_else(unknown)?;
    Ok(Json(view(&app, row).await))
}

pub async fn view(app: &AppState, row: JobRow) -> JobView {
    JobContext::fetch(app, std::slice::from_ref(&row)).await.view(row)
}

pub async fn views(app: &AppState, rows: Vec<JobRow>) -> Vec<JobView> {
    let context = JobContext::fetch(app, &rows).await;
    rows.into_iter().map(|row| context.view(row)).collect()
}

/// What a view needs beside the job's row.
struct JobContext<'a> {
    app: &'a AppState,
    delays: JobDelays,
}

impl<'a> JobContext<'a> {
    /// Fetches the delays only if one of the jobs has not ended.
    async fn fetch(app: &'a AppState, rows: &[JobRow]) -> Self {
        let delays = if rows.iter().any(|row| !row.status.is_final()) {
            JobDelays::fetch(&app.broker, &app.topic, &app.upstream).await
        } else {
            JobDelays::default()
        };
        Self { app, delays }
    }

    fn view(&self, row: JobRow) -> JobView {
        let rate = if row.status.is_final() {
            None
        } else {
            self.app.job_rates.sample(row.id, row.processed, Instant::now())
        };
        let now = Utc::now();
        let progress = self.delays.progress_of(&row, rate, now);
        JobView::of(row, progress, now)
    }
}

/// 202 with the location of the job.
pub fn accepted(job_id: JobId, body: impl Serialize) -> Response {
    let location = format!("/bulk/jobs/{job_id}");
    (StatusCode::ACCEPTED, [(LOCATION, location)], Json(body)).into_response()
}

pub fn unknown() -> Problem {
    Problem::not_found("no job has this id")
}

/// The request needs a job that has not ended.
pub fn finished(status: JobStatus) -> Problem {
    let detail = format!("the job has already ended: {}", status.as_str());
    Problem::new(StatusCode::CONFLICT, "job_finished", detail)
}
