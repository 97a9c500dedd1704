//! What an operator may switch: reading, one job, the breaker of an upstream host.
//!
//! Each is recorded and then done ([`Desk`]); workers and relays see it within a second. Doing it
//! twice changes nothing. Who did it first is the answer.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use isobar_admin::actions::{Desk, OperateError};
use isobar_broker::Switch;
use isobar_model::ids::JobId;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::actor::Actor;
use crate::http::params::Id;
use crate::http::problem::Problem;
use crate::resources::bulk::jobs::unknown;
use crate::state::{App, Shared};

#[derive(Debug, Serialize, ToSchema)]
pub struct ReadingState {
    pub paused: bool,
    /// Who paused it, and when; `null` while it is not paused.
    pub by: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct JobPause {
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    pub paused: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct BreakerReset {
    pub host: String,
    pub reset_at: DateTime<Utc>,
}

impl App {
    /// Where operators act through this server.
    pub fn desk<'a>(&'a self, actor: &'a Actor) -> Desk<'a> {
        Desk { broker: &self.broker, store: &self.store, settings: &self.settings, actor: &actor.0 }
    }
}

/// Pause reading
///
/// No worker reads or claims anything until it is resumed; what they hold is finished.
#[utoipa::path(
    post,
    path = "/stream/pause",
    responses((status = 200, body = ReadingState, description = "paused, now or before")),
)]
pub async fn pause(State(app): State<Shared>, actor: Actor) -> Result<Json<ReadingState>, Problem> {
    let thrown = app.desk(&actor).throw(&Switch::Reading).await?;
    Ok(Json(ReadingState { paused: true, by: Some(thrown.by), at: Some(thrown.at) }))
}

/// Resume reading
#[utoipa::path(
    post,
    path = "/stream/resume",
    responses((status = 200, body = ReadingState, description = "not paused any more")),
)]
pub async fn resume(
    State(app): State<Shared>,
    actor: Actor,
) -> Result<Json<ReadingState>, Problem> {
    app.desk(&actor).let_go(&Switch::Reading).await?;
    Ok(Json(ReadingState { paused: false, by: None, at: None }))
}

/// Close the weather service's breaker
///
/// In this process at once, in all workers within a second.
#[utoipa::path(
    post,
    path = "/stream/breaker/reset",
    responses((status = 200, body = BreakerReset, description = "the next request is tried")),
)]
pub async fn reset_breaker(
    State(app): State<Shared>,
    actor: Actor,
) -> Result<Json<BreakerReset>, Problem> {
    let mut reset_at = Utc::now();
    // The host of forecasts comes first in the list: it is reset last and named in the answer.
    let mut host = "";
    for name in app.upstream.hosts().into_iter().rev() {
        host = name;
        reset_at = app.desk(&actor).throw(&Switch::Breaker(name.to_owned())).await?.at;
    }
    app.upstream.obey(&app.broker.switches(&app.topic).await?);
    Ok(Json(BreakerReset { host: host.to_owned(), reset_at }))
}

/// Pause a job
///
/// Nothing more of it is sent, and its tasks in the stream are set aside, until it is resumed.
#[utoipa::path(
    post,
    path = "/bulk/jobs/{id}/pause",
    params(("id" = uuid::Uuid, Path, description = "the job")),
    responses(
        (status = 200, body = JobPause, description = "paused, now or before"),
        (status = 409, description = "the job has ended"),
    ),
)]
pub async fn pause_job(
    State(app): State<Shared>,
    Id(job_id): Id<JobId>,
    actor: Actor,
) -> Result<Json<JobPause>, Problem> {
    let job = app.store.job(job_id).await?.ok_or_else(unknown)?;
    if job.status.is_final() {
        return Err(finished(job.status.as_str()));
    }
    app.desk(&actor).throw(&Switch::Job(job_id)).await?;
    Ok(Json(JobPause { job_id, paused: true }))
}

/// Resume a job
#[utoipa::path(
    post,
    path = "/bulk/jobs/{id}/resume",
    params(("id" = uuid::Uuid, Path, description = "the job")),
    responses((status = 200, body = JobPause, description = "not paused any more")),
)]
pub async fn resume_job(
    State(app): State<Shared>,
    Id(job_id): Id<JobId>,
    actor: Actor,
) -> Result<Json<JobPause>, Problem> {
    app.store.job(job_id).await?.ok_or_else(unknown)?;
    app.desk(&actor).let_go(&Switch::Job(job_id)).await?;
    app.imports.look();
    Ok(Json(JobPause { job_id, paused: false }))
}

/// A job that has ended cannot be stopped.
pub fn finished(status: &str) -> Problem {
    let detail = format!("the job has ended already: it is {status}");
    Problem::new(StatusCode::CONFLICT, "job_finished", detail)
}

impl From<OperateError> for Problem {
    fn from(error: OperateError) -> Self {
        match error {
            OperateError::Store(error) => error.into(),
            OperateError::Broker(error) => error.into(),
        }
    }
}
