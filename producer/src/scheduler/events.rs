//! The events of a scheduler.
//!
//! Guarantees: one function writes the log line and counts, so log and metric agree.

use chrono::{DateTime, SecondsFormat, Utc};
use isobar_model::schedule::{Schedule, TickOutcome};
use isobar_store::{StoreError, Tick, TickClaim, TickResult};
use isobar_telemetry::error_chain;
use isobar_telemetry::metric::{Label, Metric};
use metrics::counter;

/// Counted by the scheduler that decided about the tick.
const TICKS: Metric = Metric::counter(
    "isobar_schedule_ticks_total",
    "Ticks of schedules that this process decided about.",
)
.with_labels(&[Label::with_values("outcome", &TickOutcome::NAMES)]);

pub const METRICS: &[Metric] = &[TICKS];

pub fn fired(claim: &TickClaim, left: Option<&Tick>) {
    let (schedule, tick) = (&claim.schedule, time(claim.tick));
    let job_id = claim.job_id.map(tracing::field::display);
    match left {
        None => tracing::info!(schedule, tick, job_id, "fired a tick"),
        Some(left) => {
            tracing::warn!(schedule, tick, job_id, from = left.owner, "took over a tick");
        }
    }
}

pub fn ended(claim: &TickClaim, ending: &TickResult) {
    count(ending.outcome);
    let (schedule, tick) = (&claim.schedule, time(claim.tick));
    let (outcome, detail) = (ending.outcome.as_str(), &ending.detail);
    match ending.outcome {
        TickOutcome::Failed => tracing::error!(schedule, tick, outcome, "a tick failed: {detail}"),
        TickOutcome::TryAgain => tracing::warn!(schedule, tick, outcome, "{detail}"),
        _ => tracing::info!(schedule, tick, outcome, "{detail}"),
    }
}

/// A tick that is not run.
pub fn skipped(claim: &TickClaim, ending: &TickResult) {
    count(ending.outcome);
    let (schedule, tick) = (&claim.schedule, time(claim.tick));
    tracing::warn!(schedule, tick, outcome = ending.outcome.as_str(), "{}", ending.detail);
}

pub fn released(claim: &TickClaim) {
    let (schedule, tick) = (&claim.schedule, time(claim.tick));
    tracing::info!(schedule, tick, "released the tick");
}

pub fn lost(claim: &TickClaim) {
    let (schedule, tick) = (&claim.schedule, time(claim.tick));
    tracing::warn!(schedule, tick, "another scheduler has taken over the tick");
}

pub fn store_away(schedule: &Schedule, error: &StoreError) {
    let schedule = schedule.name;
    tracing::warn!(
        schedule,
        error = error_chain(error),
        "the store is unavailable; ticks wait for it"
    );
}

pub fn store_back(schedule: &Schedule) {
    tracing::info!(schedule = schedule.name, "the store is available again");
}

pub fn clock_set_back(schedule: &Schedule, from: DateTime<Utc>, to: DateTime<Utc>) {
    tracing::warn!(
        schedule = schedule.name,
        from = time(from),
        to = time(to),
        "the clock was set back; ticks fire from the new time on, except those that have run"
    );
}

pub fn foreign_tick(schedule: &Schedule, tick: &Tick) {
    tracing::warn!(
        schedule = schedule.name,
        tick = time(tick.tick),
        owner = tick.owner,
        "tick does not match `{}`: another scheduler uses a different expression; the ticks of both will fire",
        schedule.expression
    );
}

fn count(outcome: TickOutcome) {
    counter!(TICKS.name, "outcome" => outcome.as_str()).increment(1);
}

pub fn time(tick: DateTime<Utc>) -> String {
    tick.to_rfc3339_opts(SecondsFormat::Secs, true)
}
