//! Waits for the ticks of one schedule and sees to it that each is decided about.
//!
//! A look ([`look`]) asks the store what is known, decides ([`due`]), notes what is not run and
//! claims what is. It keeps nothing in memory that another scheduler or the next start could not
//! find out, so it may be cut off anywhere. Between two looks it sleeps to the next tick by the
//! wall clock, and never for long: a clock may be set, and a tick be left by its owner.
//!
//! A store that is away is waited for, for ever.

use std::time::Duration;

use crate::Backoff;
use crate::outbox::Outbox;
use chrono::{DateTime, Utc};
use isobar_model::schedule::TickOutcome;
use isobar_model::schedule::{Due, Known, due};
use isobar_store::{StoreError, TickClaim, TickEnding};
use tokio_util::sync::CancellationToken;

use super::fire::fire;
use super::{ScheduleRunner, events};

/// The longest sleep: how late a clock that was set forward is noticed.
const MAX_NAP: Duration = Duration::from_secs(30);
/// Between two looks at a tick that somebody else has.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Who has nothing left in its outbox claims so much later than who has: rows that lie on one host
/// are not to wait until chance gives it a tick.
const HEAD_START: Duration = Duration::from_millis(200);
const AWAY_BASE: Duration = Duration::from_millis(100);
const AWAY_CAP: Duration = Duration::from_secs(5);

/// Until `stop`.
pub async fn watch(runner: ScheduleRunner, stop: CancellationToken) {
    let began = Utc::now();
    let mut away = Backoff::new(AWAY_BASE, AWAY_CAP);
    while !stop.is_cancelled() {
        let pause = match look(&runner, began, &stop).await {
            Ok(pause) => {
                if away.tries() > 0 {
                    events::store_back(&runner.schedule);
                    away.reset();
                }
                pause
            }
            Err(error) => {
                if away.tries() == 0 {
                    events::store_away(&runner.schedule, &error);
                }
                away.pause()
            }
        };
        // That it was cancelled is seen at the head of the loop.
        let _ = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

/// Decides about everything that is due by now, and says when to look again.
async fn look(
    runner: &ScheduleRunner,
    began: DateTime<Utc>,
    stop: &CancellationToken,
) -> Result<Duration, StoreError> {
    let (store, schedule) = (&runner.store, &runner.schedule);
    if let Some(left) = store.unfinished_tick(schedule.name).await? {
        // Its owner renews its lease, so it is ours only if that owner is no more.
        let fired = fire(runner, left.tick, Some(&left), stop).await?;
        return Ok(if fired { Duration::ZERO } else { nap(runner).min(LOOK_EVERY) });
    }
    let now = Utc::now();
    let known = match store.last_tick(schedule.name, now).await? {
        Some(last) => {
            if last.started_at > began && last.owner != runner.owner && !schedule.is_tick(last.tick)
            {
                runner.warned_foreign.call_once(|| events::not_ours(schedule, &last));
            }
            last.known()
        }
        None => Known::beginning(began),
    };
    let due = due(schedule, known, now);
    note(runner, &due, known).await?;
    let Some(tick) = due.fire else {
        let nap = nap(runner);
        tracing::debug!(
            schedule = schedule.name,
            nap_ms = nap.as_millis() as u64,
            "nothing is due"
        );
        return Ok(nap);
    };
    if !has_leftovers(runner).await {
        // Cut short by a stop, which the run then hears of.
        let _ = stop.run_until_cancelled(tokio::time::sleep(HEAD_START)).await;
    }
    if stop.is_cancelled() {
        return Ok(Duration::ZERO);
    }
    let fired = fire(runner, tick, None, stop).await?;
    Ok(if fired { Duration::ZERO } else { nap(runner).min(LOOK_EVERY) })
}

/// Until the next tick.
fn nap(runner: &ScheduleRunner) -> Duration {
    let now = Utc::now();
    let until = runner.schedule.next(now).and_then(|next| (next - now).to_std().ok());
    until.map_or(MAX_NAP, |until| until.min(MAX_NAP))
}

/// Writes down what will not be run, under the last tick of each span.
async fn note(runner: &ScheduleRunner, due: &Due, known: Known) -> Result<(), StoreError> {
    if let Some(span) = due.passed_over {
        let at = known.busy_until;
        let detail = format!("{span} fell due while the run before was still going");
        note_one(
            runner,
            span.last,
            TickEnding { at, outcome: TickOutcome::SkippedOverlap, detail },
        )
        .await?;
    }
    if let Some(span) = due.missed {
        let made_up = due.fire.map_or_else(String::new, |tick| {
            format!("; the run of {} makes up for it", events::time(tick))
        });
        let detail = format!("nobody was there to fire {span}{made_up}");
        let ending = TickEnding { at: Utc::now(), outcome: TickOutcome::Missed, detail };
        note_one(runner, span.last, ending).await?;
    }
    Ok(())
}

async fn note_one(
    runner: &ScheduleRunner,
    tick: DateTime<Utc>,
    ending: TickEnding,
) -> Result<(), StoreError> {
    let claim = TickClaim { job_id: None, ..runner.claim(tick) };
    if runner.store.note_tick(&claim, &ending).await? {
        events::noted(&claim, &ending);
    }
    Ok(())
}

/// Whether an earlier run left anything that only this host can go on with.
async fn has_leftovers(runner: &ScheduleRunner) -> bool {
    let path = runner.settings.outbox_of(runner.order.spec.pipeline);
    if !path.exists() {
        return false;
    }
    let Ok(outbox) = Outbox::open(&path) else {
        // The run will say why.
        return false;
    };
    outbox.depth().await.is_ok_and(|depth| depth.extracting > 0 || depth.unsent_tasks > 0)
}
