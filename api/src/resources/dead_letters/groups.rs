//! `GET /dead-letters/groups`: what is given up, by code.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_store::DeadGroup;
use serde::Serialize;
use utoipa::ToSchema;

use super::filter;
use crate::http::params::Params;
use crate::http::problem::Problem;
use crate::state::Shared;

#[derive(Debug, Serialize, ToSchema)]
pub struct DeadGroups {
    pub items: Vec<DeadGroupItem>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeadGroupItem {
    pub code: String,
    pub count: u64,
    /// One of the reasons.
    pub sample: String,
    pub oldest: DateTime<Utc>,
    pub newest: DateTime<Utc>,
}

/// Tasks given up, by code
#[utoipa::path(
    get,
    path = "/dead-letters/groups",
    params(("job_id" = Option<uuid::Uuid>, Query, description = "only of this job")),
    responses((status = 200, body = DeadGroups, description = "the most frequent code first; without job_id some seconds old at most")),
)]
pub async fn list(State(app): State<Shared>, params: Params) -> Result<Json<DeadGroups>, Problem> {
    let groups = match filter(&params)?.job_id {
        None => app.dead_groups().await?,
        job => app.store.dead_letter_groups(job).await?,
    };
    Ok(Json(DeadGroups { items: groups.into_iter().map(Into::into).collect() }))
}

impl From<DeadGroup> for DeadGroupItem {
    fn from(group: DeadGroup) -> Self {
        Self {
            code: group.code,
            count: group.count,
            sample: group.sample,
            oldest: group.oldest,
            newest: group.newest,
        }
    }
}
