//! `POST /api/sync/`: runs the source of a bare `isobar produce`, as a job.
//!
//! Guarantees: safe to repeat. While a sync runs, the answer is its id.

use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use isobar_model::ids::JobId;
use isobar_store::NewJob;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
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

/// The body, which may be left out.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// Fetch cities that are current, too.
    #[serde(default)]
    #[schema(default = false)]
    pub force: bool,
}

impl SyncRequest {
    fn read(body: &[u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        // An array would be taken for the fields in their order.
        let object: Map<String, Value> = serde_json::from_slice(body).map_err(|_| refused())?;
        Self::deserialize(Value::Object(object)).map_err(|_| refused())
    }
}

fn refused() -> Problem {
    Problem::body("", "must be empty or {\"force\": true}; nothing was started")
}

/// Run the configured source as a job
///
/// While a sync runs, the answer is the running one.
#[utoipa::path(
    post,
    path = "/api/sync/",
    request_body(content = Option<SyncRequest>, content_type = "application/json"),
    responses((status = 202, body = SyncStarted, description = "started, or already running",
               headers(("Location" = String, description = "the job"))),
              (status = 422, description = "the body is neither empty nor `{\"force\": true}`")),
)]
pub async fn start(
    State(app): State<SharedState>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large("this server accepts"),
        _ => Problem::malformed(error.body_text()),
    })?;
    let SyncRequest { force } = SyncRequest::read(&body)?;
    let job = NewJob::from(app.imports.sync(force).await?);
    // So that Location exists before the first message has come through the stream.
    if let Err(error) = app.store.create_job(&job).await {
        let error = isobar_telemetry::error_chain(&error);
        tracing::warn!(error, job_id = %job.id, "sync started; its job is stored later");
    }
    Ok(accepted(job.id, SyncStarted { status: "started", task_id: job.id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_force_is_taken() {
        for (body, force) in
            [("", false), (" \n", false), ("{}", false), (r#"{"force":true}"#, true)]
        {
            assert_eq!(SyncRequest::read(body.as_bytes()).expect(body).force, force, "{body}");
        }
        for body in
            ["force=true", "[true]", "true", "null", r#"{"force":"yes"}"#, r#"{"forse":true}"#, "{"]
        {
            let problem = SyncRequest::read(body.as_bytes()).expect_err(body);
            assert_eq!(problem.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        }
    }
}
