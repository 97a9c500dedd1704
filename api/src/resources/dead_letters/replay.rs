//! `POST /dead-letters/replay`: publishes dead letters again as tasks.
//!
//! Guarantees: after the 202 the replay is in the outbox. Each letter leaves the list when its task is
//! in the outbox too. A dry run counts and changes nothing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use isobar_model::ids::JobId;
use isobar_store::{NewOperation, OperatorAction};
use serde::Serialize;
use utoipa::ToSchema;

use super::selection::{DeadSelection, Selection};
use crate::http::actor::Actor;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayAccepted {
    #[schema(value_type = uuid::Uuid)]
    pub replay_id: JobId,
    pub matched: u64,
    /// Without entries that hold no task and tasks of cancelled jobs, which stay dead letters.
    pub replayable: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayCount {
    pub dry_run: bool,
    pub matched: u64,
    pub replayable: u64,
}

/// Replay dead letters
///
/// All that match now; without a filter, all. A task keeps its job, whose counters follow. A task that
/// fails again becomes a new dead letter.
#[utoipa::path(
    post,
    path = "/dead-letters/replay",
    params(DeadSelection),
    request_body = Option<DeadSelection>,
    responses(
        (status = 200, body = ReplayCount, description = "dry run: counted"),
        (status = 202, body = ReplayAccepted, description = "accepted; the tasks will be published again"),
        (status = 400, description = "malformed query or body"),
        (status = 408, description = "request body timed out"),
        (status = 415, description = "the body is not JSON"),
        (status = 422, description = "unknown filter or invalid value in the body"),
    ),
)]
pub async fn replay(
    State(app): State<SharedState>,
    actor: Actor,
    selection: Selection,
) -> Result<Response, Problem> {
    if selection.dry_run {
        let found = app.imports.letters(&selection.filter).await?;
        let count =
            ReplayCount { dry_run: true, matched: found.matched, replayable: found.replayable };
        return Ok(Json(count).into_response());
    }
    let operation = NewOperation::now(&actor.0, OperatorAction::DeadReplay);
    app.store.record_operation(&operation.with_detail(selection.filter.to_string())).await?;
    let replay = app.imports.replay(&selection.filter).await?;
    let accepted = ReplayAccepted {
        replay_id: replay.replay_id,
        matched: replay.letters.matched,
        replayable: replay.letters.replayable,
    };
    Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
}
