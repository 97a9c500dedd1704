//! `POST /api/sync/`: runs the source of a bare `isobar produce`, as a job.
//!
//! Guarantees: safe to repeat. While a sync runs, the answer is its id.

use axum::extract::State;
use axum::response::Response;
use isobar_model::ids::JobId;
use isobar_store::NewJob;
use serde::Serialize;
use utoipa::ToSchema;

use super::bulk::jobs::accepted;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct SyncStarted {
    pub status: &'static str,
    /// The job's id.
    #[schema(value_type = uuid::Uuid)]
    pub task_id: JobId,
}

/// Run the configured source as a job
///
/// While a sync runs, the answer is the running one.
#[utoipa::path(
    post,
    path = "/api/sync/",
    responses((status = 202, body = SyncStarted, description = "started, or already running",
               headers(("Location" = String, description = "the job")))),
)]
pub async fn start(State(app): State<SharedState>) -> Result<Response, Problem> {
    let job = NewJob::from(app.imports.sync().await?);
    // So that Location exists before the first message has come through the stream.
    if let Err(error) = app.store.create_job(&job).await {
        let error = isobar_telemetry::error_chain(&error);
        tracing::warn!(error, job_id = %job.id, "sync started; its job is stored later");
    }
    Ok(accepted(job.id, SyncStarted { status: "started", task_id: job.id }))
}
