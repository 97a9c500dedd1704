//! `POST /bulk/jobs/{id}/pause` and `…/resume`.
//!
//! Guarantees: the request is in the audit log before it takes effect; workers and relays see it
//! within a second. Repeating it changes nothing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use isobar_broker::Flag;
use isobar_model::ids::JobId;
use serde::Serialize;
use utoipa::ToSchema;

use super::jobs::{finished, unknown};
use crate::http::actor::Actor;
use crate::http::params::PathId;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct JobPause {
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    pub paused: bool,
}

/// Pause a job
///
/// No more of its tasks are sent, and its tasks in the stream wait, until it is resumed.
#[utoipa::path(
    post,
    path = "/bulk/jobs/{id}/pause",
    params(("id" = uuid::Uuid, Path, description = "job id")),
    responses(
        (status = 200, body = JobPause, description = "paused"),
        (status = 409, description = "`job_finished`: the job has ended; `job_cancelled`: it is being cancelled"),
    ),
)]
pub async fn pause(
    State(app): State<SharedState>,
    PathId(job_id): PathId<JobId>,
    actor: Actor,
) -> Result<Json<JobPause>, Problem> {
    let job = app.store.job(job_id).await?.ok_or_else(unknown)?;
    if job.status.is_final() {
        return Err(finished(job.status));
    }
    if job.status.skips_tasks() {
        let detail = "the job is being cancelled: its remaining tasks are skipped";
        return Err(Problem::new(StatusCode::CONFLICT, "job_cancelled", detail));
    }
    app.operator(&actor).set(&Flag::JobPaused(job_id)).await?;
    Ok(Json(JobPause { job_id, paused: true }))
}

/// Resume a job
#[utoipa::path(
    post,
    path = "/bulk/jobs/{id}/resume",
    params(("id" = uuid::Uuid, Path, description = "job id")),
    responses((status = 200, body = JobPause, description = "resumed")),
)]
pub async fn resume(
    State(app): State<SharedState>,
    PathId(job_id): PathId<JobId>,
    actor: Actor,
) -> Result<Json<JobPause>, Problem> {
    app.store.job(job_id).await?.ok_or_else(unknown)?;
    app.operator(&actor).clear(&Flag::JobPaused(job_id)).await?;
    app.imports.wake_relays();
    Ok(Json(JobPause { job_id, paused: false }))
}
