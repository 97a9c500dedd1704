//! `GET /operations`: the audit log, newest first.
//!
//! Next: `isobar_admin::actions` (which actions are written to it).

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_store::Operation;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::cursor::{self, OperationCursor};
use crate::http::paging::Paging;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct OperationPage {
    pub items: Vec<OperationItem>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct OperationItem {
    pub id: i64,
    pub at: DateTime<Utc>,
    /// `api <address>` or `cli <user>@<host>`.
    pub actor: String,
    /// For example `job.cancel`, `stream.pause` or `dead.replay`.
    pub action: String,
    /// The job or host that it was applied to.
    pub subject: Option<String>,
    pub detail: Option<String>,
}

/// Audit log, newest first
#[utoipa::path(
    get,
    path = "/operations",
    params(Paging),
    responses((status = 200, body = OperationPage, description = "a page of operator actions")),
)]
pub async fn list(
    State(app): State<SharedState>,
    params: Params,
) -> Result<Json<OperationPage>, Problem> {
    let limit = params.limit()?;
    let before = params.cursor::<OperationCursor>()?.map(|cursor| cursor.0);
    let found = app.store.operations(before, limit + 1).await?;
    let (found, next_cursor) = cursor::page(found, limit, |row| OperationCursor(row.id));
    Ok(Json(OperationPage { items: found.into_iter().map(Into::into).collect(), next_cursor }))
}

impl From<Operation> for OperationItem {
    fn from(row: Operation) -> Self {
        Self {
            id: row.id,
            at: row.at,
            actor: row.actor,
            action: row.action,
            subject: row.subject,
            detail: row.detail,
        }
    }
}
