//! `POST /bulk/jobs/{id}/cancel`.
//!
//! Guarantees: after the 202 the request is stored. Workers skip the remaining tasks, the process that
//! extracts the job seals it, and the job is `cancelled` when every row is in the ledger.

use axum::extract::State;
use axum::response::Response;
use isobar_admin::schemas;
use isobar_model::ids::JobId;
use isobar_store::{CancelOutcome, JobStatus};
use isobar_telemetry::error_chain;
use serde::Serialize;
use utoipa::ToSchema;

use super::jobs::{accepted, finished, unknown};
use crate::http::actor::Actor;
use crate::http::params::PathId;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct Cancelling {
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    #[schema(value_type = schemas::JobStatus)]
    pub status: JobStatus,
}

/// Cancel a job
#[utoipa::path(
    post,
    path = "/bulk/jobs/{id}/cancel",
    params(("id" = uuid::Uuid, Path, description = "job id")),
    responses(
        (status = 202, body = Cancelling, description = "cancelling; the remaining tasks are skipped",
         headers(("Location" = String, description = "the job"))),
        (status = 409, description = "`job_finished`: the job has ended"),
    ),
)]
pub async fn cancel(
    State(app): State<SharedState>,
    PathId(job_id): PathId<JobId>,
    actor: Actor,
) -> Result<Response, Problem> {
    match app.operator(&actor).cancel(job_id).await? {
        CancelOutcome::Cancelling => {}
        CancelOutcome::Ended(status) => return Err(finished(status)),
        CancelOutcome::Unknown => return Err(unknown()),
    }
    if let Err(error) = app.imports.cancel(job_id, &actor.0).await {
        // The relay reads the flag and tries again.
        tracing::warn!(error = error_chain(&error), %job_id, "a cancelled import is not sealed yet");
    }
    Ok(accepted(job_id, Cancelling { job_id, status: JobStatus::Cancelling }))
}
