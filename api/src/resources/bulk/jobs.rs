//! `/bulk/jobs`: how jobs stand.
//!
//! Counters are the ledger's accounts; percentage and the time left are computed from them, so a
//! restart changes nothing. `total` is unknown until the source has been read to its end, and so is
//! what follows from it. [`Standing`] is what else is known of jobs at the moment of a request.

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_model::ids::JobId;
use isobar_model::task::JobKind;
use isobar_store::{JobRow, JobStatus};
use serde::Serialize;
use utoipa::ToSchema;

use super::pace::Paces;
use super::pauses::{Lately, Pauses};
use crate::http::cursor::{self, JobCursor};
use crate::http::params::{Id, Params};
use crate::http::problem::Problem;
use crate::openapi::schemas::{self, Paging};
use crate::state::{App, Shared};

#[derive(Debug, Serialize, ToSchema)]
pub struct JobPage {
    pub items: Vec<JobState>,
    pub next_cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct JobState {
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    #[schema(value_type = schemas::JobKind)]
    pub kind: JobKind,
    pub source: String,
    #[schema(value_type = schemas::JobStatus)]
    pub status: JobStatus,
    /// Source rows; `null` until the source has been read to its end.
    pub total: Option<u64>,
    pub processed: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub percent: Option<f64>,
    /// Finished tasks per second lately, or on the average where that is not known.
    pub rate_per_s: Option<f64>,
    pub eta_seconds: Option<u64>,
    /// Why nothing moves at the moment, if something holds it up.
    pub paused_reason: Option<String>,
}

/// Jobs, newest first
#[utoipa::path(
    get,
    path = "/bulk/jobs",
    params(Paging),
    responses((status = 200, body = JobPage, description = "a page of jobs")),
)]
pub async fn list(State(app): State<Shared>, params: Params) -> Result<Json<JobPage>, Problem> {
    let limit = params.limit()?;
    let before = params.cursor::<JobCursor>()?.map(|cursor| (cursor.0, cursor.1));
    let rows = app.store.jobs(before, limit + 1).await?;
    let (rows, next_cursor) = cursor::page(rows, limit, |row| JobCursor(row.created_at, row.id));
    Ok(Json(JobPage { items: states(&app, rows).await, next_cursor }))
}

/// How a job stands
#[utoipa::path(
    get,
    path = "/bulk/jobs/{id}",
    params(("id" = uuid::Uuid, Path, description = "the job")),
    responses((status = 200, body = JobState, description = "its counters, from the ledger")),
)]
pub async fn show(State(app): State<Shared>, Id(id): Id<JobId>) -> Result<Json<JobState>, Problem> {
    let row = app.store.job(id).await?.ok_or_else(unknown)?;
    Ok(Json(state(&app, row).await))
}

/// How these jobs stand at this moment.
pub async fn states(app: &App, rows: Vec<JobRow>) -> Vec<JobState> {
    let standing = Standing::look(app, &rows).await;
    rows.into_iter().map(|row| standing.of(row)).collect()
}

/// How a job stands at this moment.
pub async fn state(app: &App, row: JobRow) -> JobState {
    Standing::look(app, std::slice::from_ref(&row)).await.of(row)
}

/// What is known of jobs beside their rows.
struct Standing<'a> {
    paces: &'a Paces,
    pauses: Pauses,
}

impl<'a> Standing<'a> {
    /// Asks why nothing moves, if any of the jobs might.
    async fn look(app: &'a App, rows: &[JobRow]) -> Self {
        let pauses = if rows.iter().any(|row| !row.status.is_final()) {
            Pauses::look(app).await
        } else {
            Pauses::default()
        };
        Self { paces: &app.paces, pauses }
    }

    fn of(&self, row: JobRow) -> JobState {
        let rate = if row.status.is_final() {
            None
        } else {
            self.paces.look(row.id, row.processed, Instant::now())
        };
        let now = Utc::now();
        let lately = self.pauses.lately(&row, rate, now);
        JobState::of(row, lately, now)
    }
}

pub fn unknown() -> Problem {
    Problem::not_found("there is no job of this id")
}

impl JobState {
    pub fn of(row: JobRow, lately: Lately, now: DateTime<Utc>) -> Self {
        let rate_per_s = lately.rate.or_else(|| average(&row, now));
        let left = row.total.map(|total| total.saturating_sub(row.processed));
        let running = !row.status.is_final();
        Self {
            percent: row.total.map(|total| percent(row.processed, total)),
            eta_seconds: left
                .filter(|_| running)
                .and_then(|left| lately.eta(left, rate_per_s, now)),
            rate_per_s: rate_per_s.map(|rate| round_to(rate, 10.0)),
            paused_reason: lately.paused.filter(|_| running),
            job_id: row.id,
            kind: row.kind,
            source: row.source,
            status: row.status,
            total: row.total,
            processed: row.processed,
            succeeded: row.succeeded,
            failed: row.failed,
            skipped: row.skipped,
            rejected: row.rejected,
            duplicates: row.duplicates,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

fn average(row: &JobRow, now: DateTime<Utc>) -> Option<f64> {
    let started_at = row.started_at?;
    let until = row.finished_at.unwrap_or(now);
    let seconds = (until - started_at).as_seconds_f64();
    (seconds > 0.0 && row.processed > 0).then(|| row.processed as f64 / seconds)
}

/// Never says 100 before the last task is done.
fn percent(processed: u64, total: u64) -> f64 {
    if processed >= total {
        return 100.0;
    }
    (processed as f64 / total as f64 * 1000.0).floor() / 10.0
}

fn round_to(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn row(processed: u64, total: Option<u64>) -> JobRow {
        let start = DateTime::UNIX_EPOCH;
        JobRow {
            pipeline: isobar_model::pipeline::PipelineName::Weather,
            id: JobId::derive("a", "b"),
            kind: JobKind::Import,
            source: "a.csv".to_owned(),
            status: JobStatus::Running,
            total,
            processed,
            succeeded: processed,
            failed: 0,
            skipped: 0,
            rejected: 0,
            duplicates: 0,
            created_at: start,
            started_at: Some(start),
            finished_at: None,
        }
    }

    fn after_ten_seconds(row: JobRow, paused: Option<&str>) -> JobState {
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(10);
        let paused = paused.map(str::to_owned);
        JobState::of(row, Lately { paused, ..Lately::default() }, now)
    }

    #[test]
    fn what_is_not_known_is_null_and_the_rest_follows_from_the_counters() {
        let open = after_ten_seconds(row(50, None), None);
        assert_eq!((open.percent, open.eta_seconds, open.rate_per_s), (None, None, Some(5.0)));
        let sealed = after_ten_seconds(row(50, Some(200)), None);
        assert_eq!((sealed.percent, sealed.eta_seconds), (Some(25.0), Some(30)));
        let idle = after_ten_seconds(row(0, Some(200)), None);
        assert_eq!((idle.rate_per_s, idle.eta_seconds), (None, None));
        let paused = after_ten_seconds(row(50, Some(200)), Some("quota"));
        assert_eq!(paused.paused_reason.as_deref(), Some("quota"));
        assert_eq!(paused.eta_seconds, None);
        let now = DateTime::UNIX_EPOCH;
        let lately = |lately| JobState::of(row(50, Some(200)), lately, now);
        let fast = Lately { rate: Some(75.0), ..Lately::default() };
        let fast = lately(fast);
        assert_eq!((fast.rate_per_s, fast.eta_seconds), (Some(75.0), Some(2)));
        let quota_until = Some(now + TimeDelta::hours(1));
        let limited = Lately { rate: Some(75.0), quota_until, ..Lately::default() };
        assert_eq!(lately(limited).eta_seconds, Some(3_600), "the quota makes it wait");
        let shut =
            Lately { paused: Some("quota".into()), waits_for_quota: true, quota_until, rate: None };
        assert_eq!(lately(shut).eta_seconds, Some(3_600), "it opens by itself");
    }

    #[test]
    fn a_finished_job_is_at_a_hundred_and_no_other_one_is() {
        assert!(percent(1, 1) >= 100.0 && percent(0, 0) >= 100.0);
        assert!(percent(999_999, 1_000_000) < 100.0);
        let done = JobRow {
            status: JobStatus::Done,
            finished_at: Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(4)),
            ..row(200, Some(200))
        };
        let done = after_ten_seconds(done, Some("quota"));
        assert_eq!(
            (done.rate_per_s, done.eta_seconds, done.paused_reason),
            (Some(50.0), None, None)
        );
    }
}
