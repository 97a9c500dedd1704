//! `POST /dead-letters/replay`: dead letters become tasks once more.
//!
//! The 202 says that the replay is safe in the outbox; each letter leaves the list when its task
//! is, too. A dry run counts and changes nothing.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use isobar_model::ids::JobId;
use isobar_store::{Action, NewOperation};
use serde::Serialize;
use utoipa::ToSchema;

use super::selection::{DeadSelection, Selection};
use crate::http::actor::Actor;
use crate::http::problem::Problem;
use crate::state::Shared;

#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayAccepted {
    #[schema(value_type = uuid::Uuid)]
    pub replay_id: JobId,
    pub matched: u64,
    /// What holds no task, and what is of a cancelled job, cannot be published again and stays.
    pub replayable: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ReplayCount {
    pub dry_run: bool,
    pub matched: u64,
    pub replayable: u64,
}

/// Publish dead letters again
///
/// Those that are there now and fit; without a filter, all. The task keeps its job, whose accounts
/// follow. One that fails again is a new dead letter.
#[utoipa::path(
    post,
    path = "/dead-letters/replay",
    params(DeadSelection),
    request_body = Option<DeadSelection>,
    responses(
        (status = 200, body = ReplayCount, description = "a dry run: what a replay would find"),
        (status = 202, body = ReplayAccepted, description = "they will be published again"),
        (status = 400, description = "the query or the body cannot be read"),
        (status = 408, description = "the body stopped coming"),
        (status = 415, description = "the body is no JSON"),
        (status = 422, description = "the body names no such filter, or no such value"),
    ),
)]
pub async fn replay(
    State(app): State<Shared>,
    actor: Actor,
    selection: Selection,
) -> Result<Response, Problem> {
    if selection.dry_run {
        let found = app.imports.letters(&selection.filter).await?;
        let count =
            ReplayCount { dry_run: true, matched: found.matched, replayable: found.replayable };
        return Ok(Json(count).into_response());
    }
    let operation = NewOperation::now(&actor.0, Action::DeadReplay);
    app.store.record_operation(&operation.saying(selection.filter.to_string())).await?;
    let replay = app.imports.replay(&selection.filter).await?;
    let accepted = ReplayAccepted {
        replay_id: replay.replay_id,
        matched: replay.letters.matched,
        replayable: replay.letters.replayable,
    };
    Ok((StatusCode::ACCEPTED, Json(accepted)).into_response())
}
