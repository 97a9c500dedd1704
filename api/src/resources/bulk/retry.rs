//! `POST /bulk/jobs/{id}/retry`: publishes the failed rows of a job again.
//!
//! Guarantees: after the 202 the retry is in the outbox. While its tasks are on their way, a second
//! request gets the same answer. Rejected rows never were tasks and stay as they are.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use isobar_model::ids::JobId;
use isobar_store::{NewOperation, OperatorAction};
use serde::Serialize;
use utoipa::ToSchema;

use super::jobs::{accepted, unknown};
use crate::http::actor::Actor;
use crate::http::params::PathId;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct RetryAccepted {
    #[schema(value_type = uuid::Uuid)]
    pub job_id: JobId,
    #[schema(value_type = uuid::Uuid)]
    pub retry_id: JobId,
    /// Failed rows that will be published again.
    pub tasks: u64,
}

/// Retry the failed rows of a job
///
/// Its counters move from failed to succeeded as the rows succeed; its total and status stay.
#[utoipa::path(
    post,
    path = "/bulk/jobs/{id}/retry",
    params(("id" = uuid::Uuid, Path, description = "job id")),
    responses(
        (status = 202, body = RetryAccepted, description = "accepted; the rows will be published again",
         headers(("Location" = String, description = "the job"))),
        (status = 409, description = "`job_cancelled`: its tasks would be skipped again"),
    ),
)]
pub async fn retry(
    State(app): State<SharedState>,
    PathId(job_id): PathId<JobId>,
    actor: Actor,
) -> Result<Response, Problem> {
    let job = app.store.job(job_id).await?.ok_or_else(unknown)?;
    if job.status.skips_tasks() {
        let detail = "the job was cancelled: its tasks would be skipped again";
        return Err(Problem::new(StatusCode::CONFLICT, "job_cancelled", detail));
    }
    let operation = NewOperation::now(&actor.0, OperatorAction::JobRetry).about(&job_id);
    app.store.record_operation(&operation).await?;
    let retry = app.imports.retry(job_id).await?;
    let body = RetryAccepted { job_id, retry_id: retry.retry_id, tasks: retry.tasks };
    Ok(accepted(job_id, body))
}
