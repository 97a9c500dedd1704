//! `DELETE /dead-letters`: deletes dead letters; the ledger keeps their error codes and reasons.
//!
//! Guarantees: the request is in the audit log before a letter is deleted. A dry run only counts.

use axum::Json;
use axum::extract::State;
use isobar_store::{NewOperation, OperatorAction};
use serde::Serialize;
use utoipa::ToSchema;

use super::selection::{DeadSelection, Selection};
use crate::http::actor::Actor;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct Discarded {
    pub dry_run: bool,
    /// In a dry run: how many would be discarded.
    pub discarded: u64,
}

/// Discard dead letters
///
/// All that match now; without a filter, all. This cannot be undone.
#[utoipa::path(
    delete,
    path = "/dead-letters",
    params(DeadSelection),
    request_body = Option<DeadSelection>,
    responses(
        (status = 200, body = Discarded, description = "discarded; in a dry run, counted"),
        (status = 400, description = "malformed query or body"),
        (status = 408, description = "request body timed out"),
        (status = 415, description = "the body is not JSON"),
        (status = 422, description = "unknown filter or invalid value in the body"),
    ),
)]
pub async fn discard(
    State(app): State<SharedState>,
    actor: Actor,
    selection: Selection,
) -> Result<Json<Discarded>, Problem> {
    let Selection { filter, dry_run } = selection;
    if dry_run {
        let discarded = app.store.count_dead_letters(&filter).await?;
        return Ok(Json(Discarded { dry_run, discarded }));
    }
    let operation = NewOperation::now(&actor.0, OperatorAction::DeadDiscard);
    app.store.record_operation(&operation.with_detail(filter.to_string())).await?;
    let discarded = app.store.discard_dead_letters(&filter).await?;
    Ok(Json(Discarded { dry_run, discarded }))
}
