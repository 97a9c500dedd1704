//! `/schedules`: the schedules with their next and recent ticks.
//!
//! Next: `isobar_admin::schedule_view` (where the values come from).

use axum::Json;
use axum::extract::State;
use isobar_admin::schedule_view::ScheduleState;
use isobar_model::pipeline::{PIPELINES, PipelineName};
use isobar_store::StoreError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::cursor::{self, TickCursor};
use crate::http::paging::Paging;
use crate::http::params::{Params, PathId};
use crate::http::problem::Problem;
use crate::state::{AppState, SharedState};

#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleList {
    pub items: Vec<ScheduleState>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleHistory {
    #[serde(flatten)]
    pub schedule: ScheduleState,
    pub next_cursor: Option<String>,
}

/// Schedules with next and recent ticks
#[utoipa::path(
    get,
    path = "/schedules",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "ticks of each schedule")),
    responses((status = 200, body = ScheduleList, description = "every schedule that is configured here or has ticks")),
)]
pub async fn list(
    State(app): State<SharedState>,
    params: Params,
) -> Result<Json<ScheduleList>, Problem> {
    let limit = params.limit()?;
    Ok(Json(ScheduleList { items: views(&app, limit).await? }))
}

/// Every schedule that is configured here or has ticks, with at most `limit` ticks of each.
pub async fn views(app: &AppState, limit: u32) -> Result<Vec<ScheduleState>, StoreError> {
    let mut items = Vec::new();
    for name in PIPELINES.map(|spec| spec.schedule) {
        let ticks = app.store.ticks(name, None, limit).await?;
        let view = ScheduleState::of(name, ticks, &app.settings);
        if view.expression.is_some() || !view.ticks.is_empty() {
            items.push(view);
        }
    }
    Ok(items)
}

/// Get a schedule with its ticks
#[utoipa::path(
    get,
    path = "/schedules/{name}",
    params(("name" = String, Path, description = "schedule name"), Paging),
    responses((status = 200, body = ScheduleHistory, description = "the schedule with a page of its ticks")),
)]
pub async fn show(
    State(app): State<SharedState>,
    PathId(name): PathId<String>,
    params: Params,
) -> Result<Json<ScheduleHistory>, Problem> {
    let known = PipelineName::of_schedule(&name).map(|pipeline| pipeline.spec().schedule);
    let name = known.ok_or_else(|| Problem::not_found("no schedule has this name"))?;
    let limit = params.limit()?;
    let before = params.cursor::<TickCursor>()?.map(|cursor| cursor.0);
    let ticks = app.store.ticks(name, before, limit + 1).await?;
    let (ticks, next_cursor) = cursor::page(ticks, limit, |tick| TickCursor(tick.tick));
    let schedule = ScheduleState::of(name, ticks, &app.settings);
    Ok(Json(ScheduleHistory { schedule, next_cursor }))
}
