//! `GET /dead-letters/groups`: dead letters by error code.
//!
//! Guarantees: without a filter all callers within a few seconds share one scan.

use axum::Json;
use axum::extract::State;
use isobar_admin::dead_letter_view::DeadGroupItem;
use serde::Serialize;
use utoipa::ToSchema;

use super::filter;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::SharedState;

#[derive(Debug, Serialize, ToSchema)]
pub struct DeadGroups {
    pub items: Vec<DeadGroupItem>,
}

/// Dead letters by error code
#[utoipa::path(
    get,
    path = "/dead-letters/groups",
    params(("job_id" = Option<uuid::Uuid>, Query, description = "filter by job")),
    responses((status = 200, body = DeadGroups,
               description = "most frequent code first; without `job_id` at most a few seconds old")),
)]
pub async fn list(
    State(app): State<SharedState>,
    params: Params,
) -> Result<Json<DeadGroups>, Problem> {
    let groups = match filter::read(&params)?.job_id {
        None => app.dead_groups().await?,
        job => app.store.dead_letter_groups(job).await?,
    };
    Ok(Json(DeadGroups { items: groups.into_iter().map(Into::into).collect() }))
}
