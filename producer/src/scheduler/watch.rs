//! The watch over one schedule: waits for its ticks, and fires or skips each of them.
//!
//! One [`poll`] reads the last tick from the store, decides ([`due`]), records skipped ticks and
//! claims the one that is due. Between two polls it sleeps until the next tick by the wall clock, for
//! a limited time: the clock may be set, or another owner may leave its tick.
//!
//! Guarantees: everything it knows is in the store, so it may be cut off anywhere. It waits for a
//! store that is down, without a limit. After the clock is set back it warns, and ticks count from
//! the new time on; a tick that has run does not run again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff};
use chrono::{DateTime, TimeDelta, Utc};
use isobar_model::schedule::{Due, LastTick, TickOutcome, due};
use isobar_store::{StoreError, TickClaim, TickResult};
use tokio_util::sync::CancellationToken;

use super::events;
use super::fire::fire;
use super::runner::ScheduleRunner;
use crate::outbox::Outbox;
use crate::pauses::pauses;

/// The longest sleep: the delay after which a clock that was set forward is noticed.
const MAX_SLEEP: Duration = Duration::from_secs(30);
/// Corrections of a clock that are smaller are not reported.
const CLOCK_SLACK: TimeDelta = TimeDelta::seconds(5);
/// Between two polls of a tick that another scheduler owns.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A scheduler without leftovers in its outbox claims later by this time. So the host that holds
/// unsent rows gets the tick, and they do not wait for a later one.
const LEFTOVERS_HEAD_START: Duration = Duration::from_millis(200);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);

/// Runs until `stop`.
pub async fn watch(runner: ScheduleRunner, stop: CancellationToken) {
    let began = Utc::now();
    let mut set_back_to = None;
    let mut latest = began;
    // Set while the store is down.
    let mut retries: Option<ExponentialBackoff> = None;
    while !stop.is_cancelled() {
        let now = Utc::now();
        if was_set_back(latest, now) {
            events::clock_set_back(&runner.schedule, latest, now);
            set_back_to = Some(now);
        }
        latest = now;
        let pause = match poll(&runner, began, set_back_to, &stop).await {
            Ok(pause) => {
                if retries.take().is_some() {
                    events::store_back(&runner.schedule);
                }
                pause
            }
            Err(error) => {
                if retries.is_none() {
                    events::store_away(&runner.schedule, &error);
                }
                let retries =
                    retries.get_or_insert_with(|| pauses(FIRST_RETRY, LONGEST_RETRY).build());
                retries.next().unwrap_or(LONGEST_RETRY)
            }
        };
        // The head of the loop checks for the cancellation.
        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

/// Decides about every tick that is due, and returns when to poll again.
async fn poll(
    runner: &ScheduleRunner,
    began: DateTime<Utc>,
    set_back_to: Option<DateTime<Utc>>,
    stop: &CancellationToken,
) -> Result<Duration, StoreError> {
    let (store, schedule) = (&runner.store, &runner.schedule);
    if let Some(left) = store.unfinished_tick(schedule.name).await? {
        // Its owner renews the lease, so the claim succeeds only if that owner is dead.
        let fired = fire(runner, left.tick, Some(&left), stop).await?;
        return Ok(if fired { Duration::ZERO } else { until_next_tick(runner).min(POLL_INTERVAL) });
    }
    let now = Utc::now();
    let known = match store.last_tick(schedule.name, now).await? {
        Some(last) => {
            if last.started_at > began && last.owner != runner.owner && !schedule.is_tick(last.tick)
            {
                runner.warned_foreign.call_once(|| events::foreign_tick(schedule, &last));
            }
            from_now_on(last.last_tick(), set_back_to, now)
        }
        None => LastTick::never(set_back_to.unwrap_or(began)),
    };
    let due = due(schedule, known, now);
    record_skipped(runner, &due, known).await?;
    let Some(tick) = due.fire else {
        let sleep = until_next_tick(runner);
        tracing::debug!(
            schedule = schedule.name,
            nap_ms = sleep.as_millis() as u64,
            "nothing is due"
        );
        return Ok(sleep);
    };
    if !has_unsent(runner).await {
        // A stop cuts this short; it is checked below.
        let _ = stop.run_until_cancelled(tokio::time::sleep(LEFTOVERS_HEAD_START)).await;
    }
    if stop.is_cancelled() {
        return Ok(Duration::ZERO);
    }
    let fired = fire(runner, tick, None, stop).await?;
    Ok(if fired { Duration::ZERO } else { until_next_tick(runner).min(POLL_INTERVAL) })
}

/// Whether the clock shows less than at the last poll, by more than its usual corrections.
fn was_set_back(latest: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    latest - now > CLOCK_SLACK
}

/// The last tick as the base for the next one. After the clock was set back, ticks count from the
/// new time on; the end of a run that the clock has not reached yet is ignored.
fn from_now_on(last: LastTick, set_back_to: Option<DateTime<Utc>>, now: DateTime<Utc>) -> LastTick {
    let tick = set_back_to.map_or(last.tick, |to| to.max(last.tick));
    let is_ahead = last.busy_until - now > CLOCK_SLACK;
    LastTick { tick, busy_until: if is_ahead { tick } else { last.busy_until } }
}

/// The time until the next tick, at most [`MAX_SLEEP`].
fn until_next_tick(runner: &ScheduleRunner) -> Duration {
    let now = Utc::now();
    let until = runner.schedule.next(now).and_then(|next| (next - now).to_std().ok());
    until.map_or(MAX_SLEEP, |until| until.min(MAX_SLEEP))
}

/// Records the ticks that are not run, under the last tick of each range.
async fn record_skipped(
    runner: &ScheduleRunner,
    due: &Due,
    known: LastTick,
) -> Result<(), StoreError> {
    if let Some(span) = due.skipped {
        let at = known.busy_until;
        let detail = format!("{span} fell due while the previous run was still working");
        record_one(
            runner,
            span.last,
            TickResult { at, outcome: TickOutcome::SkippedOverlap, detail },
        )
        .await?;
    }
    if let Some(span) = due.missed {
        let replaced = due.fire.map_or_else(String::new, |tick| {
            format!("; the run of {} replaces it", events::time(tick))
        });
        let detail = format!("missed: no scheduler was running for {span}{replaced}");
        let ending = TickResult { at: Utc::now(), outcome: TickOutcome::Missed, detail };
        record_one(runner, span.last, ending).await?;
    }
    Ok(())
}

async fn record_one(
    runner: &ScheduleRunner,
    tick: DateTime<Utc>,
    ending: TickResult,
) -> Result<(), StoreError> {
    let claim = TickClaim { job_id: None, ..runner.claim(tick) };
    if runner.store.record_skipped_tick(&claim, &ending).await? {
        events::skipped(&claim, &ending);
    }
    Ok(())
}

/// Whether an earlier run left rows that only this host can send.
async fn has_unsent(runner: &ScheduleRunner) -> bool {
    let path = runner.settings.outbox_of(runner.order.spec.pipeline);
    if !path.exists() {
        return false;
    }
    let Ok(outbox) = Outbox::open(&path) else {
        // The run will report the error.
        return false;
    };
    outbox.depth().await.is_ok_and(|depth| depth.extracting > 0 || depth.unsent_tasks > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_moves_the_base_of_ticks() {
        let now = Utc::now();
        let hours = TimeDelta::hours;
        assert!(was_set_back(now + hours(2), now));
        assert!(!was_set_back(now + TimeDelta::seconds(1), now) && !was_set_back(now, now));
        // The run began before the clock was ahead, and ended while it was.
        let last = LastTick { tick: now - hours(3), busy_until: now + hours(2) };
        assert_eq!(from_now_on(last, Some(now), now), LastTick::never(now));
        assert_eq!(from_now_on(last, None, now), LastTick::never(last.tick));
        let later = LastTick { tick: now + hours(1), busy_until: now + hours(1) };
        assert_eq!(from_now_on(later, Some(now), now + hours(1)), later);
    }
}
