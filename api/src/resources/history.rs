//! `/history`: the search history, newest first.
//!
//! Guarantees: a client sees its own earlier searches, and clearing removes every earlier search,
//! because both wait for the queue.
//! Next: `state/history_writer.rs` (the queue).

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use isobar_store::{NewOperation, OperatorAction};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::actor::Actor;
use crate::http::cursor::{self, SearchCursor};
use crate::http::paging::Paging;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryPage {
    pub items: Vec<HistoryItem>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryItem {
    pub id: i64,
    pub city: String,
    pub timestamp: DateTime<Utc>,
}

/// Search history, newest first
#[utoipa::path(
    get,
    path = "/history",
    params(Paging),
    responses((status = 200, body = HistoryPage, description = "a page of searches")),
)]
pub async fn list(
    State(app): State<SharedState>,
    params: Params,
) -> Result<Json<HistoryPage>, Problem> {
    let limit = params.limit()?;
    let before = params.cursor::<SearchCursor>()?.map(|cursor| cursor.0);
    app.history.flush().await;
    let found = app.store.searches(before, limit + 1).await?;
    let (found, next_cursor) = cursor::page(found, limit, |search| SearchCursor(search.id));
    let items = found
        .into_iter()
        .map(|search| HistoryItem {
            id: search.id,
            city: search.city_name,
            timestamp: search.timestamp,
        })
        .collect();
    Ok(Json(HistoryPage { items, next_cursor }))
}

/// Clear the search history
#[utoipa::path(
    delete,
    path = "/history",
    responses((status = 204, description = "cleared")),
)]
pub async fn clear(State(app): State<SharedState>, actor: Actor) -> Result<StatusCode, Problem> {
    let operation = NewOperation::now(&actor.0, OperatorAction::HistoryClear);
    app.store.record_operation(&operation).await?;
    app.history.flush().await;
    app.store.clear_searches().await?;
    Ok(StatusCode::NO_CONTENT)
}
