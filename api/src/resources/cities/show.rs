//! `GET /cities/{id}`: one city's story. "Why is Paris stale?"
//!
//! What became of a city in a job is found without an index on the city, which every row of the
//! ledger would have to pay for: a task's id is computed from its job and its city, so the newest
//! jobs are asked for just that row. What was given up stands beside it, with or without a job.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_model::city::unnumbered_city_key;
use isobar_model::ids::{CityId, JobId, TaskId};
use isobar_store::{CityRow, DeadLetter, JobRow, LedgerRow, StoreError};
use serde::Serialize;
use utoipa::ToSchema;

use super::list::CityItem;
use crate::http::params::Id;
use crate::http::problem::Problem;
use crate::resources::snapshots::SnapshotItem;
use crate::state::{App, Shared};

/// The newest jobs that are asked what became of the city.
const JOBS: u32 = 100;
/// Dead letters that are shown.
const LETTERS: u32 = 50;

#[derive(Debug, Serialize, ToSchema)]
pub struct CityStory {
    #[serde(flatten)]
    pub city: CityItem,
    /// `null` while there is none.
    pub weather: Option<SnapshotItem>,
    /// What became of it in the newest jobs, newest first.
    pub timeline: Vec<Event>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Event {
    pub at: DateTime<Utc>,
    #[schema(value_type = Option<uuid::Uuid>)]
    pub job_id: Option<JobId>,
    /// The job's source.
    pub source: Option<String>,
    /// Row of the source, number of the batch, and place in the stream.
    pub row: Option<u64>,
    pub batch: Option<u64>,
    pub entry: Option<String>,
    pub r#try: Option<u32>,
    pub attempts: u32,
    /// `success`, `failed`, `skipped`, or `dead` for a dead letter.
    pub status: &'static str,
    pub error_code: Option<String>,
    pub last_error: Option<String>,
}

/// One city: its snapshot, and what became of it job by job
#[utoipa::path(
    get,
    path = "/cities/{id}",
    params(("id" = i64, Path, description = "the city")),
    responses((status = 200, body = CityStory, description = "the city's story")),
)]
pub async fn show(State(app): State<Shared>, Id(id): Id<i64>) -> Result<Json<CityStory>, Problem> {
    let story = story(&app, CityId(id)).await?;
    story.map(Json).ok_or_else(|| Problem::not_found("no city of this number is known"))
}

/// All of it, if there is such a city.
pub async fn story(app: &App, id: CityId) -> Result<Option<CityStory>, StoreError> {
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
    let rows = rows?.into_iter().map(|row| of_row(source(Some(row.job_id)), row));
    let letters = letters?.into_iter().map(|letter| of_letter(source(letter.job_id), letter));
    let mut timeline: Vec<Event> = rows.chain(letters).collect();
    timeline.sort_by_key(|event| std::cmp::Reverse(event.at));
    let weather = city.weather.take().map(SnapshotItem::from);
    Ok(Some(CityStory { city: city.into(), weather, timeline }))
}

/// The tasks that the city would be in these jobs, however their sources named it.
fn tasks(city: &CityRow, jobs: &[JobRow]) -> Vec<(JobId, TaskId)> {
    let country = city.country_code.as_deref();
    let keys = [
        city.id.to_string(),
        unnumbered_city_key(&city.name, country, city.coordinates),
        unnumbered_city_key(&city.name, country, None),
        unnumbered_city_key(&city.name, None, None),
    ];
    let in_job = |job: &JobRow| keys.each_ref().map(|key| (job.id, job.id.task(key)));
    jobs.iter().flat_map(in_job).collect()
}

fn of_row(source: Option<String>, row: LedgerRow) -> Event {
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

fn of_letter(source: Option<String>, letter: DeadLetter) -> Event {
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
