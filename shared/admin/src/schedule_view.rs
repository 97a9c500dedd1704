//! One schedule as operators see it: when it runs next, and its recent ticks.
//!
//! The ticks are the store's, whichever scheduler ran them. Expression and next tick come from the
//! settings of this process, because schedulers do not publish theirs. A schedule that is configured
//! only on other hosts is shown with its ticks and without an expression.

use chrono::{DateTime, Utc};
use isobar_model::ids::JobId;
use isobar_model::schedule::TickOutcome;
use isobar_settings::Settings;
use isobar_store::Tick;
use serde::Serialize;
use utoipa::ToSchema;

use crate::schemas;

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ScheduleState {
    pub name: &'static str,
    /// `null` if it is not configured in this process.
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

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TickState {
    pub tick: DateTime<Utc>,
    /// The scheduler that runs it or ran it last.
    pub owner: String,
    pub started_at: DateTime<Utc>,
    pub done_at: Option<DateTime<Utc>>,
    /// `null` while it runs.
    #[schema(value_type = Option<schemas::TickOutcome>)]
    pub outcome: Option<TickOutcome>,
    pub detail: Option<String>,
    #[schema(value_type = Option<String>, format = Uuid)]
    pub job_id: Option<JobId>,
}

impl ScheduleState {
    pub fn of(name: &'static str, ticks: Vec<Tick>, settings: &Settings) -> Self {
        let schedule = settings.schedules().into_iter().find(|schedule| schedule.name == name);
        Self {
            name,
            expression: schedule.as_ref().map(|schedule| schedule.expression.to_string()),
            timezone: settings.timezone.0.name(),
            misfire: settings.misfire.as_str(),
            overlap: settings.overlap.as_str(),
            next_at: schedule.and_then(|schedule| schedule.next(Utc::now())),
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
