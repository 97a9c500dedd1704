//! `/schedules`: what fires by itself, when next, and what came of it before.
//!
//! The ticks are the store's, whichever scheduler fired them. Expression and next tick are those of
//! this process' own settings, for schedulers leave no word of theirs; a schedule that only others
//! know of is shown with its ticks and without an expression.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use isobar_model::ids::JobId;
use isobar_model::pipeline::{PIPELINES, PipelineName};
use isobar_model::schedule::{Schedule, TickOutcome};
use isobar_store::{StoreError, Tick};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::cursor::{self, TickCursor};
use crate::http::params::{Id, Params};
use crate::http::problem::Problem;
use crate::openapi::schemas::{self, Paging};
use crate::state::{App, Shared};

#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleList {
    pub items: Vec<ScheduleState>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleState {
    pub name: &'static str,
    /// `null` where this process knows of none.
    pub expression: Option<String>,
    pub timezone: &'static str,
    #[schema(value_type = schemas::Misfire)]
    pub misfire: &'static str,
    #[schema(value_type = schemas::Overlap)]
    pub overlap: &'static str,
    pub next_at: Option<DateTime<Utc>>,
    /// Newest first.
    pub ticks: Vec<TickState>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ScheduleHistory {
    #[serde(flatten)]
    pub schedule: ScheduleState,
    pub next_cursor: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TickState {
    pub tick: DateTime<Utc>,
    /// The scheduler that has it or had it last.
    pub owner: String,
    pub started_at: DateTime<Utc>,
    pub done_at: Option<DateTime<Utc>>,
    /// `null` while it runs.
    #[schema(value_type = Option<schemas::TickOutcome>)]
    pub outcome: Option<TickOutcome>,
    pub detail: Option<String>,
    #[schema(value_type = Option<uuid::Uuid>)]
    pub job_id: Option<JobId>,
}

/// What fires by itself, when next, and its last ticks
#[utoipa::path(
    get,
    path = "/schedules",
    params(("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "ticks of each")),
    responses((status = 200, body = ScheduleList, description = "every schedule that is set or was")),
)]
pub async fn list(
    State(app): State<Shared>,
    params: Params,
) -> Result<Json<ScheduleList>, Problem> {
    let limit = params.limit()?;
    Ok(Json(ScheduleList { items: states(&app, limit).await? }))
}

/// Every schedule that is set or was, with at most `limit` ticks of each.
pub async fn states(app: &App, limit: u32) -> Result<Vec<ScheduleState>, StoreError> {
    let mut items = Vec::new();
    for name in PIPELINES.map(|spec| spec.schedule) {
        let ticks = app.store.ticks(name, None, limit).await?;
        let set = configured(app, name);
        if set.is_some() || !ticks.is_empty() {
            items.push(ScheduleState::of(name, set.as_ref(), ticks, app));
        }
    }
    Ok(items)
}

/// One schedule with the history of its ticks
#[utoipa::path(
    get,
    path = "/schedules/{name}",
    params(("name" = String, Path, description = "as `/schedules` calls it"), Paging),
    responses((status = 200, body = ScheduleHistory, description = "a page of its ticks")),
)]
pub async fn show(
    State(app): State<Shared>,
    Id(name): Id<String>,
    params: Params,
) -> Result<Json<ScheduleHistory>, Problem> {
    let known = PipelineName::of_schedule(&name).map(|pipeline| pipeline.spec().schedule);
    let name = known.ok_or_else(|| Problem::not_found("there is no schedule of this name"))?;
    let limit = params.limit()?;
    let before = params.cursor::<TickCursor>()?.map(|cursor| cursor.0);
    let ticks = app.store.ticks(name, before, limit + 1).await?;
    let (ticks, next_cursor) = cursor::page(ticks, limit, |tick| TickCursor(tick.tick));
    let schedule = ScheduleState::of(name, configured(&app, name).as_ref(), ticks, &app);
    Ok(Json(ScheduleHistory { schedule, next_cursor }))
}

fn configured(app: &App, name: &str) -> Option<Schedule> {
    app.settings.schedules().into_iter().find(|schedule| schedule.name == name)
}

impl ScheduleState {
    fn of(name: &'static str, set: Option<&Schedule>, ticks: Vec<Tick>, app: &App) -> Self {
        Self {
            name,
            expression: set.map(|schedule| schedule.expression.to_string()),
            timezone: app.settings.timezone.0.name(),
            misfire: app.settings.misfire.as_str(),
            overlap: app.settings.overlap.as_str(),
            next_at: set.and_then(|schedule| schedule.next(Utc::now())),
            ticks: ticks.into_iter().map(TickState::from).collect(),
        }
    }
}

impl From<Tick> for TickState {
    fn from(tick: Tick) -> Self {
        Self {
            tick: tick.tick,
            owner: tick.owner,
            started_at: tick.started_at,
            done_at: tick.done_at,
            outcome: tick.outcome,
            detail: tick.detail,
            job_id: tick.job_id,
        }
    }
}
