//! Schedules: when each runs next, and how its last ticks ended.
//!
//! Next: `isobar_admin::schedule_view` (where the values come from).

use askama::Template;
use isobar_admin::schedule_view::{ScheduleState, TickState};
use isobar_model::schedule::TickOutcome;

use super::format::TimeTag;
use super::health_state::HealthState;
use super::snapshot::DashboardSnapshot;

#[derive(Template)]
#[template(path = "panels/schedules.html")]
pub struct SchedulesPanel {
    schedules: Vec<ScheduleRow>,
    known: bool,
}

struct ScheduleRow {
    name: &'static str,
    expression: Option<String>,
    timezone: &'static str,
    next: Option<TimeTag>,
    ticks: Vec<TickRow>,
}

struct TickRow {
    at: TimeTag,
    health: HealthState,
    state: String,
    detail: String,
}

impl SchedulesPanel {
    pub fn from_snapshot(snapshot: &DashboardSnapshot) -> Self {
        let row = |schedule: &ScheduleState| ScheduleRow {
            name: schedule.name,
            expression: schedule.expression.clone(),
            timezone: schedule.timezone,
            next: schedule.next_at.map(TimeTag::until),
            ticks: schedule.ticks.iter().map(TickRow::from).collect(),
        };
        Self {
            schedules: snapshot.schedules.value.iter().flatten().map(row).collect(),
            known: snapshot.schedules.value.is_some(),
        }
    }
}

impl From<&TickState> for TickRow {
    fn from(tick: &TickState) -> Self {
        let health = match tick.outcome {
            None => HealthState::Idle,
            Some(TickOutcome::Done) => HealthState::Good,
            Some(TickOutcome::Failed) => HealthState::Bad,
            Some(_) => HealthState::Warn,
        };
        let state = tick.outcome.map_or("running", TickOutcome::as_str).replace('_', " ");
        let detail = tick.detail.clone().unwrap_or_else(|| format!("by {}", tick.owner));
        Self { at: TimeTag::age(tick.tick), health, state, detail }
    }
}
