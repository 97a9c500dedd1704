//! `GET /dead-letters` and `GET /dead-letters/{id}`.
//!
//! Next: `isobar_admin::dead_letter_view` (what a letter shows).

use axum::Json;
use axum::extract::State;
use isobar_admin::dead_letter_view::DeadLetterView;
use isobar_store::DeadLetterFilter;
use serde::Serialize;
use utoipa::ToSchema;

use super::filter::{self, DeadLetterQuery};
use crate::http::cursor::{self, DeadCursor};
use crate::http::paging::Paging;
use crate::http::params::{Params, PathId};
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct DeadPage {
    pub items: Vec<DeadLetterView>,
    pub next_cursor: Option<String>,
}

/// Dead letters, newest first
#[utoipa::path(
    get,
    path = "/dead-letters",
    params(Paging, DeadLetterQuery),
    responses((status = 200, body = DeadPage, description = "a page of dead letters")),
)]
pub async fn list(
    State(app): State<SharedState>,
    params: Params,
) -> Result<Json<DeadPage>, Problem> {
    let limit = params.limit()?;
    let before = params.cursor::<DeadCursor>()?.map(|cursor| cursor.0);
    let found = app.store.dead_letters(&filter::read(&params)?, before, limit + 1).await?;
    let (found, next_cursor) = cursor::page(found, limit, |letter| DeadCursor(letter.id));
    Ok(Json(DeadPage { items: found.into_iter().map(Into::into).collect(), next_cursor }))
}

/// Get a dead letter
#[utoipa::path(
    get,
    path = "/dead-letters/{id}",
    params(("id" = i64, Path, description = "dead letter id")),
    responses((status = 200, body = DeadLetterView, description = "the dead letter")),
)]
pub async fn show(
    State(app): State<SharedState>,
    PathId(id): PathId<i64>,
) -> Result<Json<DeadLetterView>, Problem> {
    let filter = DeadLetterFilter { id: Some(id), ..DeadLetterFilter::default() };
    let letter = app.store.dead_letters(&filter, None, 1).await?.into_iter().next();
    let letter = letter.ok_or_else(|| Problem::not_found("no dead letter has this id"))?;
    Ok(Json(letter.into()))
}
