//! `GET /dead-letters` and `GET /dead-letters/{id}`.

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use isobar_model::ids::{CityId, JobId, TaskId};
use isobar_store::{DeadFilter, DeadLetter};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Filter, filter};
use crate::http::cursor::{self, DeadCursor};
use crate::http::params::{Id, Params};
use crate::http::problem::Problem;
use crate::openapi::schemas::Paging;
use crate::state::Shared;

#[derive(Debug, Serialize, ToSchema)]
pub struct DeadPage {
    pub items: Vec<DeadItem>,
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct DeadItem {
    pub id: i64,
    /// `null` where not even that could be read.
    #[schema(value_type = Option<uuid::Uuid>)]
    pub task_id: Option<TaskId>,
    #[schema(value_type = Option<uuid::Uuid>)]
    pub job_id: Option<JobId>,
    #[schema(value_type = Option<i64>)]
    pub city_id: Option<CityId>,
    pub code: String,
    pub reason: String,
    /// The entry as it came; `null` where it is no text.
    pub payload: Option<String>,
    /// Its bytes where it is no text.
    pub payload_base64: Option<String>,
    pub deliveries: u32,
    pub attempts: u32,
    pub first_seen: DateTime<Utc>,
    pub last_seen: DateTime<Utc>,
}

/// Tasks given up, newest first
#[utoipa::path(
    get,
    path = "/dead-letters",
    params(Paging, Filter),
    responses((status = 200, body = DeadPage, description = "a page of dead letters")),
)]
pub async fn list(State(app): State<Shared>, params: Params) -> Result<Json<DeadPage>, Problem> {
    let limit = params.limit()?;
    let before = params.cursor::<DeadCursor>()?.map(|cursor| cursor.0);
    let found = app.store.dead_letters(&filter(&params)?, before, limit + 1).await?;
    let (found, next_cursor) = cursor::page(found, limit, |letter| DeadCursor(letter.id));
    Ok(Json(DeadPage { items: found.into_iter().map(Into::into).collect(), next_cursor }))
}

/// One task given up
#[utoipa::path(
    get,
    path = "/dead-letters/{id}",
    params(("id" = i64, Path, description = "its number")),
    responses((status = 200, body = DeadItem, description = "the dead letter")),
)]
pub async fn show(State(app): State<Shared>, Id(id): Id<i64>) -> Result<Json<DeadItem>, Problem> {
    let filter = DeadFilter { id: Some(id), ..DeadFilter::default() };
    let letter = app.store.dead_letters(&filter, None, 1).await?.into_iter().next();
    letter
        .map(|letter| Json(letter.into()))
        .ok_or_else(|| Problem::not_found("there is no dead letter of this number"))
}

impl From<DeadLetter> for DeadItem {
    fn from(letter: DeadLetter) -> Self {
        let (payload, payload_base64) = match String::from_utf8(letter.payload) {
            Ok(text) => (Some(text), None),
            Err(bytes) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
        };
        Self {
            id: letter.id,
            task_id: letter.task_id,
            job_id: letter.job_id,
            city_id: letter.city_id,
            code: letter.code,
            reason: letter.reason,
            payload,
            payload_base64,
            deliveries: letter.deliveries,
            attempts: letter.attempts,
            first_seen: letter.first_seen,
            last_seen: letter.last_seen,
        }
    }
}
