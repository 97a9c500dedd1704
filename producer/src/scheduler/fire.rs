//! One tick: claimed, run, and finished by whoever has it then.
//!
//! The lease is renewed while the producer runs. If it is lost all the same, the run ends at the next
//! batch and what came of it is for the new owner to say; two that ran at the same time have put the
//! same batches into the stream, once. A stop lets the tick go at once, so that nobody waits for the
//! lease. How a run ended is told when the store takes it, however long that is.

use std::time::Duration;

use crate::run::{Order, Report, Tools, run as produce};
use crate::{Backoff, Failure, Remedy};
use chrono::{DateTime, Utc};
use isobar_model::human::grouped;
use isobar_model::schedule::TickOutcome;
use isobar_store::{StoreError, Tick, TickClaim, TickEnding};
use isobar_telemetry::chain;
use tokio_util::sync::CancellationToken;

use super::{ScheduleRunner, events};

/// A lease is renewed so many times in the silence that would lose it.
const RENEWALS: u32 = 4;
const FINISH_BASE: Duration = Duration::from_millis(100);
const FINISH_CAP: Duration = Duration::from_secs(5);
/// How long a process that ends waits for the store; then the lease ends by itself.
const FAREWELL: Duration = Duration::from_secs(5);
/// A sentence of the history is not longer than this.
const MAX_DETAIL_CHARS: usize = 1_000;

/// How a run of ours came to its end.
enum Ending {
    Ran(TickEnding),
    /// We are stopped: whoever comes next goes on.
    Stopped,
    /// Somebody else has it.
    Lost,
}

/// Claims the tick and runs it; false if it is not to be had. `left` is the tick as a dead owner
/// left it.
pub async fn fire(
    runner: &ScheduleRunner,
    tick: DateTime<Utc>,
    left: Option<&Tick>,
    stop: &CancellationToken,
) -> Result<bool, StoreError> {
    let claim = runner.claim(tick);
    if !runner.store.claim_tick(&claim).await? {
        return Ok(false);
    }
    isobar_failpoint::hit("schedule.claim.after");
    events::fired(&claim, left);
    match run(runner, &claim, stop).await {
        Ending::Ran(ending) => {
            isobar_failpoint::hit("schedule.finish.before");
            finish(runner, &claim, &ending, stop).await;
            isobar_failpoint::hit("schedule.finish.after");
        }
        Ending::Stopped => {
            let released = runner.store.renew_tick(&claim, Duration::ZERO);
            // If the store is away, the lease ends by itself.
            let _ = tokio::time::timeout(FAREWELL, released).await;
            events::let_go(&claim);
        }
        Ending::Lost => events::lost(&claim),
    }
    Ok(true)
}

impl ScheduleRunner {
    pub fn claim(&self, tick: DateTime<Utc>) -> TickClaim {
        TickClaim {
            schedule: self.schedule.name.to_owned(),
            tick,
            owner: self.owner.clone(),
            job_id: self.order.at(tick).job_id(),
            started_at: Utc::now(),
            lease: self.lease,
        }
    }
}

async fn run(runner: &ScheduleRunner, claim: &TickClaim, stop: &CancellationToken) -> Ending {
    let stopping = stop.child_token();
    let order = runner.order.at(claim.tick);
    let tools = Tools {
        settings: runner.settings.clone(),
        broker: runner.broker.clone(),
        store: Some(runner.store.clone()),
        progress: std::sync::Arc::default(),
        shutdown: stopping.clone(),
    };
    let work = in_turn(runner, order, &tools);
    tokio::pin!(work);
    tokio::select! {
        result = &mut work => {
            let stopped = stop.is_cancelled();
            ending(result, stopped)
        }
        () = keep(runner, claim) => {
            stopping.cancel();
            // It ends in good order; what it says of itself no longer counts.
            let _ = work.await;
            Ending::Lost
        }
    }
}

async fn in_turn(runner: &ScheduleRunner, order: Order, tools: &Tools) -> Result<Report, Failure> {
    let _turn = runner.outbox.lock().await;
    produce(order, tools).await
}

/// Renews the lease, and returns only when it is lost.
async fn keep(runner: &ScheduleRunner, claim: &TickClaim) {
    loop {
        tokio::time::sleep(runner.lease / RENEWALS).await;
        match runner.store.renew_tick(claim, runner.lease).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                let (schedule, error) = (runner.schedule.name, chain(&error));
                tracing::warn!(schedule, error, "cannot renew the lease of a tick; going on");
            }
        }
    }
}

/// What the end of a run is to its tick.
fn ending(result: Result<Report, Failure>, stopped: bool) -> Ending {
    let (outcome, detail) = match result {
        Ok(report) => (TickOutcome::Done, describe(&report)),
        Err(failure) => match failure.remedy {
            Remedy::TryAgain if stopped => return Ending::Stopped,
            Remedy::TryAgain => (TickOutcome::TryAgain, failure.message),
            Remedy::GiveUp | Remedy::Configure => (TickOutcome::Failed, failure.message),
        },
    };
    let detail = detail.chars().take(MAX_DETAIL_CHARS).collect();
    Ending::Ran(TickEnding { at: Utc::now(), outcome, detail })
}

fn describe(report: &Report) -> String {
    format!(
        "{} rows from {}, {} tasks, {} rejected, {} duplicates; {} published",
        grouped(report.rows),
        report.source,
        grouped(report.tasks),
        grouped(report.rejected),
        grouped(report.duplicates),
        grouped(report.published),
    )
}

async fn finish(
    runner: &ScheduleRunner,
    claim: &TickClaim,
    ending: &TickEnding,
    stop: &CancellationToken,
) {
    let told = async {
        let mut pauses = Backoff::new(FINISH_BASE, FINISH_CAP);
        loop {
            match runner.store.finish_tick(claim, ending).await {
                Ok(true) => return events::ended(claim, ending),
                Ok(false) => return events::lost(claim),
                Err(error) => {
                    if pauses.tries() == 0 {
                        events::store_away(&runner.schedule, &error);
                    }
                    tokio::time::sleep(pauses.pause()).await;
                }
            }
        }
    };
    let farewell = async {
        stop.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        () = told => {}
        () = farewell => tracing::warn!(
            schedule = claim.schedule,
            tick = events::time(claim.tick),
            "the store is away: the next scheduler finds out that this tick is done"
        ),
    }
}
