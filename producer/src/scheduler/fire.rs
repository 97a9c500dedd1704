//! One tick: claims it, runs it, and records its outcome.
//!
//! The lease is renewed while the producer runs. If it is lost, the run ends at the next batch and the
//! new owner records the outcome. Two runs at the same time append the same batches, once.
//!
//! On shutdown the tick is released at once; the next scheduler does not have to wait for the lease.
//! The outcome is recorded as soon as the store answers, however long that takes.

use std::time::Duration;

use backon::BackoffBuilder;
use chrono::{DateTime, Utc};
use isobar_model::human::grouped;
use isobar_model::schedule::TickOutcome;
use isobar_store::{StoreError, Tick, TickClaim, TickResult};
use isobar_telemetry::error_chain;
use tokio_util::sync::CancellationToken;

use super::events;
use super::runner::ScheduleRunner;
use crate::failure::{Failure, Remedy};
use crate::pauses::pauses;
use crate::report::RunReport;
use crate::run::{RunOrder, Tools, run as produce};

/// Renewals within one lease.
const RENEWALS: u32 = 4;
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// How long a process that shuts down waits for the store; then the lease expires.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// The longest sentence of the history.
const MAX_DETAIL_CHARS: usize = 1_000;

/// How a run of this process ended.
enum RunEnd {
    Ran(TickResult),
    /// Shutdown: the next scheduler continues.
    Stopped,
    /// Another scheduler owns the tick.
    Lost,
}

/// Claims the tick and runs it; false if another scheduler owns it. `left` is the tick as a dead
/// owner left it.
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
        RunEnd::Ran(ending) => {
            isobar_failpoint::hit("schedule.finish.before");
            finish(runner, &claim, &ending, stop).await;
            isobar_failpoint::hit("schedule.finish.after");
        }
        RunEnd::Stopped => {
            let released = runner.store.renew_tick(&claim, Duration::ZERO);
            // If the store is down, the lease expires.
            let _ = tokio::time::timeout(SHUTDOWN_GRACE, released).await;
            events::released(&claim);
        }
        RunEnd::Lost => events::lost(&claim),
    }
    Ok(true)
}

async fn run(runner: &ScheduleRunner, claim: &TickClaim, stop: &CancellationToken) -> RunEnd {
    let stopping = stop.child_token();
    let order = runner.order.at(claim.tick);
    let tools = Tools {
        settings: runner.settings.clone(),
        broker: runner.broker.clone(),
        store: Some(runner.store.clone()),
        progress: std::sync::Arc::default(),
        shutdown: stopping.clone(),
    };
    let work = run_exclusive(runner, order, &tools);
    tokio::pin!(work);
    tokio::select! {
        result = &mut work => {
            let stopped = stop.is_cancelled();
            run_end(result, stopped)
        }
        () = renew_until_lost(runner, claim) => {
            stopping.cancel();
            // The run ends in order; its result does not count any more.
            let _ = work.await;
            RunEnd::Lost
        }
    }
}

async fn run_exclusive(
    runner: &ScheduleRunner,
    order: RunOrder,
    tools: &Tools,
) -> Result<RunReport, Failure> {
    let _turn = runner.outbox.lock().await;
    produce(order, tools).await
}

/// Renews the lease; returns when it is lost.
async fn renew_until_lost(runner: &ScheduleRunner, claim: &TickClaim) {
    loop {
        tokio::time::sleep(runner.lease / RENEWALS).await;
        match runner.store.renew_tick(claim, runner.lease).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                let (schedule, error) = (runner.schedule.name, error_chain(&error));
                tracing::warn!(schedule, error, "cannot renew the lease of a tick; trying again");
            }
        }
    }
}

/// Turns the result of a run into the end of its tick.
fn run_end(result: Result<RunReport, Failure>, stopped: bool) -> RunEnd {
    let (outcome, detail) = match result {
        Ok(report) => (TickOutcome::Done, describe(&report)),
        Err(failure) => match failure.remedy {
            Remedy::TryAgain if stopped => return RunEnd::Stopped,
            Remedy::TryAgain => (TickOutcome::TryAgain, failure.message),
            Remedy::GiveUp | Remedy::Configure => (TickOutcome::Failed, failure.message),
        },
    };
    let detail = detail.chars().take(MAX_DETAIL_CHARS).collect();
    RunEnd::Ran(TickResult { at: Utc::now(), outcome, detail })
}

fn describe(report: &RunReport) -> String {
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
    ending: &TickResult,
    stop: &CancellationToken,
) {
    let recorded = async {
        let mut is_first = true;
        let mut pauses = pauses(FIRST_RETRY, LONGEST_RETRY).build();
        loop {
            match runner.store.finish_tick(claim, ending).await {
                Ok(true) => return events::ended(claim, ending),
                Ok(false) => return events::lost(claim),
                Err(error) => {
                    if std::mem::take(&mut is_first) {
                        events::store_away(&runner.schedule, &error);
                    }
                    let pause = pauses.next().unwrap_or(LONGEST_RETRY);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    };
    let grace_over = async {
        stop.cancelled().await;
        tokio::time::sleep(SHUTDOWN_GRACE).await;
    };
    tokio::select! {
        () = recorded => {}
        () = grace_over => tracing::warn!(
            schedule = claim.schedule,
            tick = events::time(claim.tick),
            "the store is unavailable: the next scheduler will find that this tick is done"
        ),
    }
}
