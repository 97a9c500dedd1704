//! `GET /cities/{id}`: one city with its timeline. "Why is Paris stale?"
//!
//! The ledger has no index on the city, because every row would pay for it. A task's id is computed
//! from its job and its city, so the newest jobs are asked for exactly that row. Dead letters of the
//! city are added, with or without a job.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_model::city::derived_city_key;
use isobar_model::ids::{CityId, JobId, TaskId};
use isobar_store::{CityRow, DeadLetter, JobRow, LedgerRow, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::list::CityItem;
use crate::http::params::PathId;
use crate::http::problem::Problem;
use crate::resources::snapshots::SnapshotItem;
use crate::state::{AppState, SharedState};

/// The newest jobs that are searched for the city.
const JOBS: u32 = 100;
/// Dead letters in a timeline.
const LETTERS: u32 = 50;

#[derive(Debug, Serialize, ToSchema)]
pub struct CityTimeline {
    #[serde(flatten)]
    pub city: CityItem,
    /// `null` while no snapshot is stored.
    pub weather: Option<SnapshotItem>,
    /// The city's results in the newest jobs, newest first.
    pub timeline: Vec<Event>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    pub at: DateTime<Utc>,
    #[schema(value_type = Option<uuid::Uuid>)]
    pub job_id: Option<JobId>,
    /// The job's source.
    pub source: Option<String>,
    /// Row of the source, number of the batch, and id of the stream entry.
    pub row: Option<u64>,
    pub batch: Option<u64>,
    pub entry: Option<String>,
    pub r#try: Option<u32>,
    pub attempts: u32,
    /// `success`, `failed` or `skipped`; `dead` for a dead letter.
    pub status: &'static str,
    pub error_code: Option<String>,
    pub last_error: Option<String>,
}

/// City timeline
///
/// The snapshot of a city, and its results job by job.
#[utoipa::path(
    get,
    path = "/cities/{id}",
    params(("id" = i64, Path, description = "city id")),
    responses((status = 200, body = CityTimeline, description = "the city with its timeline")),
)]
pub async fn show(
    State(app): State<SharedState>,
    PathId(id): PathId<i64>,
) -> Result<Json<CityTimeline>, Problem> {
    let timeline = timeline(&app, CityId(id)).await?;
    timeline.map(Json).ok_or_else(|| Problem::not_found("no city has this id"))
}

/// `None` if no city has this id.
pub async fn timeline(app: &AppState, id: CityId) -> Result<Option<CityTimeline>, StoreError> {
    let Some(mut city) = app.store.city(id).await? else {
        return Ok(None);
    };
    let jobs = app.store.jobs(None, JOBS).await?;
    let tasks = tasks(&city, &jobs);
    let (rows, letters) =
        tokio::join!(app.store.ledger_rows(&tasks), app.store.dead_letters_of_city(id, LETTERS));
    let sources: HashMap<JobId, String> =
        jobs.into_iter().map(|job| (job.id, job.source)).collect();
    let source = |job: Option<JobId>| sources.get(&job?).cloned();
    let rows = rows?.into_iter().map(|row| row_event(source(Some(row.job_id)), row));
    let letters = letters?.into_iter().map(|letter| letter_event(source(letter.job_id), letter));
    let mut timeline: Vec<Event> = rows.chain(letters).collect();
    timeline.sort_by_key(|event| std::cmp::Reverse(event.at));
    let weather = city.weather.take().map(SnapshotItem::from);
    Ok(Some(CityTimeline { city: city.into(), weather, timeline }))
}

/// The ids that the city's tasks would have in these jobs, for every way a source may name it.
fn tasks(city: &CityRow, jobs: &[JobRow]) -> Vec<(JobId, TaskId)> {
    let country = city.country_code.as_deref();
    let keys = [
        city.id.to_string(),
        derived_city_key(&city.name, country, city.coordinates),
        derived_city_key(&city.name, country, None),
        derived_city_key(&city.name, None, None),
    ];
    let in_job = |job: &JobRow| keys.each_ref().map(|key| (job.id, job.id.task(key)));
    jobs.iter().flat_map(in_job).collect()
}

fn row_event(source: Option<String>, row: LedgerRow) -> Event {
    Event {
        at: row.finished_at,
        job_id: Some(row.job_id),
        source,
        row: row.row,
        batch: row.batch,
        entry: row.entry,
        r#try: Some(row.try_number),
        attempts: row.attempts,
        status: row.status.as_str(),
        error_code: row.error_code,
        last_error: row.last_error,
    }
}

fn letter_event(source: Option<String>, letter: DeadLetter) -> Event {
    Event {
        at: letter.last_seen,
        job_id: letter.job_id,
        source,
        row: None,
        batch: None,
        entry: letter.source.rsplit('/').next().map(str::to_owned),
        r#try: None,
        attempts: letter.attempts,
        status: "dead",
        error_code: Some(letter.code),
        last_error: Some(letter.reason),
    }
}
