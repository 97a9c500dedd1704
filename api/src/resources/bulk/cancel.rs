//! `/bulk/jobs/{id}/cancel`: the wish that a job end.
//!
//! The 202 says that the wish is kept: workers skip what is left of the job, whoever extracts it
//! seals it, and when every row has its line in the ledger the job is `cancelled`.

use axum::Json;
use axum::extract::State;
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use isobar_model::ids::JobId;
use isobar_store::{CancelAnswer, JobStatus};
use isobar_telemetry::chain;
use serde::Serialize;
use utoipa::ToSchema;

use super::jobs::unknown;
use crate::http::actor::Actor;
use crate::http::params::Id;
use crate::http::problem::Problem;
use crate::openapi::schemas;
use crate::resources::pause::finished;
use crate::state::Shared;

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
    params(("id" = uuid::Uuid, Path, description = "the job")),
    responses(
        (status = 202, body = Cancelling, description = "it will end; what is left is skipped",
         headers(("Location" = String, description = "the job"))),
        (status = 409, description = "the job has ended"),
    ),
)]
pub async fn cancel(
    State(app): State<Shared>,
    Id(job_id): Id<JobId>,
    actor: Actor,
) -> Result<Response, Problem> {
    match app.desk(&actor).cancel(job_id).await? {
        CancelAnswer::Cancelling => {}
        CancelAnswer::Ended(status) => return Err(finished(status.as_str())),
        CancelAnswer::Unknown => return Err(unknown()),
    }
    if let Err(error) = app.imports.cancel(job_id, &actor.0).await {
        // The relay finds the switch and tries again.
        tracing::warn!(error = chain(&error), %job_id, "a cancelled import is not sealed yet");
    }
    let location = format!("/bulk/jobs/{job_id}");
    let location = HeaderValue::from_str(&location).expect("an id is a header value");
    let body = Json(Cancelling { job_id, status: JobStatus::Cancelling });
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], body).into_response())
}
