//! `POST /stream/pause`, `/stream/resume` and `/stream/breaker/reset`.
//!
//! Guarantees: each request is in the audit log before it takes effect; workers and relays see it
//! within a second. Repeating it changes nothing: the answer names who was first.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_admin::actions::ActionError;
use isobar_broker::Flag;
use isobar_producer::source::reset_sources;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::actor::Actor;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct ReadingState {
    pub paused: bool,
    /// Who paused the workers, and when; `null` while they are not paused.
    pub by: Option<String>,
    pub at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct BreakerReset {
    pub host: String,
    pub reset_at: DateTime<Utc>,
}

/// Pause all workers
///
/// No worker reads or claims a task until they are resumed. Tasks in progress are finished.
#[utoipa::path(
    post,
    path = "/stream/pause",
    responses((status = 200, body = ReadingState, description = "paused")),
)]
pub async fn pause(
    State(app): State<SharedState>,
    actor: Actor,
) -> Result<Json<ReadingState>, Problem> {
    let set_by = app.operator(&actor).set(&Flag::WorkersPaused).await?;
    Ok(Json(ReadingState { paused: true, by: Some(set_by.by), at: Some(set_by.at) }))
}

/// Resume all workers
#[utoipa::path(
    post,
    path = "/stream/resume",
    responses((status = 200, body = ReadingState, description = "resumed")),
)]
pub async fn resume(
    State(app): State<SharedState>,
    actor: Actor,
) -> Result<Json<ReadingState>, Problem> {
    app.operator(&actor).clear(&Flag::WorkersPaused).await?;
    Ok(Json(ReadingState { paused: false, by: None, at: None }))
}

/// Reset the circuit breaker of the weather service
///
/// In this process at once, in all workers within a second. So are the breakers of the city and user
/// sources on this host.
#[utoipa::path(
    post,
    path = "/stream/breaker/reset",
    responses((status = 200, body = BreakerReset, description = "reset; the next request is sent")),
)]
pub async fn reset_breaker(
    State(app): State<SharedState>,
    actor: Actor,
) -> Result<Json<BreakerReset>, Problem> {
    let mut reset_at = Utc::now();
    let hosts: Vec<String> = app.upstream.hosts().into_iter().map(str::to_owned).collect();
    // The weather service last: the answer names it and the time of its reset.
    for host in hosts.iter().rev() {
        reset_at = app.operator(&actor).set(&Flag::BreakerReset(host.clone())).await?.at;
    }
    app.upstream.apply_flags(&app.broker.flags(&app.topic).await?);
    if let Err(error) = reset_sources(&app.settings).await {
        let error = isobar_telemetry::error_chain(&error);
        tracing::warn!(error, "the circuit breakers of the sources could not be reset");
    }
    Ok(Json(BreakerReset { host: hosts.into_iter().next().unwrap_or_default(), reset_at }))
}

impl From<ActionError> for Problem {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Store(error) => error.into(),
            ActionError::Broker(error) => error.into(),
        }
    }
}
