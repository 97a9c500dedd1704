//! What fires by itself: when next, and how the last ticks went.

use askama::Template;
use isobar_model::schedule::TickOutcome;

use super::Lamp;
use crate::panels::format::When;
use crate::panels::snapshot::Look;
use crate::resources::schedules::{ScheduleState, TickState};

#[derive(Template)]
#[template(path = "panels/schedules.html")]
pub struct Schedules {
    schedules: Vec<Shown>,
    known: bool,
}

struct Shown {
    name: &'static str,
    expression: Option<String>,
    timezone: &'static str,
    next: Option<When>,
    ticks: Vec<ShownTick>,
}

struct ShownTick {
    at: When,
    lamp: Lamp,
    word: String,
    detail: String,
}

impl Schedules {
    pub fn of(look: &Look) -> Self {
        let shown = |schedule: &ScheduleState| Shown {
            name: schedule.name,
            expression: schedule.expression.clone(),
            timezone: schedule.timezone,
            next: schedule.next_at.map(When::until),
            ticks: schedule.ticks.iter().map(ShownTick::of).collect(),
        };
        Self {
            schedules: look.schedules.value.iter().flatten().map(shown).collect(),
            known: look.schedules.value.is_some(),
        }
    }
}

impl ShownTick {
    fn of(tick: &TickState) -> Self {
        let lamp = match tick.outcome {
            None => Lamp::Idle,
            Some(TickOutcome::Done) => Lamp::Good,
            Some(TickOutcome::Failed) => Lamp::Bad,
            Some(_) => Lamp::Warn,
        };
        let word = tick.outcome.map_or("running", TickOutcome::as_str).replace('_', " ");
        let detail = tick.detail.clone().unwrap_or_else(|| format!("by {}", tick.owner));
        Self { at: When::age(tick.tick), lamp, word, detail }
    }
}
