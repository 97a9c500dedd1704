//! `DELETE /dead-letters`: they are thrown away, and what they said stands in the ledger alone.

use axum::Json;
use axum::extract::State;
use isobar_store::{Action, NewOperation};
use serde::Serialize;
use utoipa::ToSchema;

use super::selection::{DeadSelection, Selection};
use crate::http::actor::Actor;
use crate::http::problem::Problem;
use crate::state::Shared;

#[derive(Debug, Serialize, ToSchema)]
pub struct Discarded {
    pub dry_run: bool,
    /// In a dry run, how many there are.
    pub discarded: u64,
}

/// Throw dead letters away
///
/// Those that are there now and fit; without a filter, all.
#[utoipa::path(
    delete,
    path = "/dead-letters",
    params(DeadSelection),
    request_body = Option<DeadSelection>,
    responses(
        (status = 200, body = Discarded, description = "they are gone; in a dry run, counted"),
        (status = 400, description = "the query or the body cannot be read"),
        (status = 408, description = "the body stopped coming"),
        (status = 415, description = "the body is no JSON"),
        (status = 422, description = "the body names no such filter, or no such value"),
    ),
)]
pub async fn discard(
    State(app): State<Shared>,
    actor: Actor,
    selection: Selection,
) -> Result<Json<Discarded>, Problem> {
    let Selection { filter, dry_run } = selection;
    if dry_run {
        let discarded = app.store.count_dead_letters(&filter).await?;
        return Ok(Json(Discarded { dry_run, discarded }));
    }
    let operation = NewOperation::now(&actor.0, Action::DeadDiscard);
    app.store.record_operation(&operation.saying(filter.to_string())).await?;
    let discarded = app.store.discard_dead_letters(&filter).await?;
    Ok(Json(Discarded { dry_run, discarded }))
}
