//! Delivery: processes one delivery: prepared, fetched in batches, each member settled or returned.
//!
//! Each delivery has a task of its own beside the intake.
//!
//! Guarantees: a failure that may pass is given back with an attempt counted. Work that cannot be
//! tried now (shutdown, closed gate, wrong configuration) is given back without one (I7).
//! Does not: acknowledge; the committer does, after the commit (I3).

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::future::join_all;
use isobar_broker::{Entry, GiveBack, Lane};
use isobar_store::StoreError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::context::{Context, WorkerError};
use crate::events;
use crate::fetch::{FetchedTasks, UpstreamSignal, fetch};
use crate::gate::PauseReason;
use crate::pipeline::{Pipeline, TaskOutcome};
use crate::prepare::{PrepareRules, Prepared, prepare};
use crate::retry_delay::{entry_delay, loop_delay};
use crate::settle::{DecodedEntry, EntryOutcome, FailureReason, SettledEntry, has_attempts_left};

/// A shorter wait keeps its entries instead of giving them back.
const SHORT_WAIT: Duration = Duration::from_secs(2);

/// The shortest wait, whatever the difference between the clocks of hosts.
const MIN_WAIT: Duration = Duration::from_millis(250);

/// The way of settled entries to the committer.
pub type SettledSender<P> = mpsc::Sender<Vec<SettledEntry<<P as Pipeline>::Record>>>;

/// Processes a delivery to its end, on a task of its own.
pub fn dispatch<P: Pipeline>(
    ctx: &Arc<Context<P>>,
    entries: Vec<Entry>,
    settled: &SettledSender<P>,
    chunks: &mut JoinSet<Result<(), WorkerError>>,
) {
    let (ctx, settled) = (Arc::clone(ctx), settled.clone());
    chunks.spawn(async move { deliver(&ctx, entries, None, &settled).await });
}

/// Processes a delivery to its end. Entries that are `condemned` do not run; they fail with that
/// reason.
pub async fn deliver<P: Pipeline>(
    ctx: &Context<P>,
    entries: Vec<Entry>,
    condemned: Option<FailureReason>,
    settled: &SettledSender<P>,
) -> Result<(), WorkerError> {
    let Some(prepared) = prepare_with_retry(ctx, entries, condemned.as_ref()).await? else {
        return Ok(());
    };
    let unknown: Vec<GiveBack> = prepared
        .unknown
        .iter()
        .map(|id| GiveBack { id: *id, delay: ctx.settings.claim_idle.0, counted: None })
        .collect();
    if !unknown.is_empty() {
        events::unknown_kind(unknown.len());
        ctx.return_ids(Lane::Control, &unknown).await;
    }
    ctx.park(&prepared.parked).await;
    if !prepared.settled.is_empty() {
        // The receiver ends after this task, or has failed and ended the run.
        let _ = settled.send(prepared.settled).await;
    }
    join_all(prepared.batches.into_iter().map(|batch| run_batch(ctx, batch, settled))).await;
    Ok(())
}

/// Prepares as soon as the store responds. After a stop it gives everything back: `None`.
async fn prepare_with_retry<P: Pipeline>(
    ctx: &Context<P>,
    entries: Vec<Entry>,
    condemned: Option<&FailureReason>,
) -> Result<Option<Prepared<P>>, WorkerError> {
    let mut failures = 0;
    loop {
        let (epoch, flags) = (ctx.epoch(), ctx.flags());
        let rules = PrepareRules { condemned, epoch: &epoch, flags: &flags };
        // Cloned for the next try, in case the store fails.
        match prepare(&ctx.pipeline, &ctx.store, &ctx.statuses, entries.clone(), rules).await {
            Ok(prepared) => return Ok(Some(prepared)),
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Conflict { .. })) => {
                events::store_error("prepare", &error);
            }
            Err(error) => return Err(WorkerError::Store(error)),
        }
        if ctx.stop.run_until_cancelled(tokio::time::sleep(loop_delay(failures))).await.is_none() {
            for lane in Lane::BOTH {
                let back: Vec<GiveBack> = entries
                    .iter()
                    .filter(|entry| entry.lane == lane)
                    .map(|entry| GiveBack { id: entry.id, delay: Duration::ZERO, counted: None })
                    .collect();
                ctx.return_ids(lane, &back).await;
            }
            return Ok(None);
        }
        failures += 1;
    }
}

/// Fetches one batch when a slot is free, and settles each member.
async fn run_batch<P: Pipeline>(
    ctx: &Context<P>,
    mut batch: Vec<DecodedEntry<P::Task>>,
    settled: &SettledSender<P>,
) {
    let stop = &ctx.stop;
    let Ok(_slot) = ctx.slots.acquire().await else {
        return;
    };
    loop {
        if stop.is_cancelled() {
            return ctx
                .give_back(&batch, |_| Duration::ZERO, false, "the worker is shutting down")
                .await;
        }
        if let Some((until, reason)) = ctx.gate.closed_until() {
            let delay = (until - Utc::now()).to_std().unwrap_or_default();
            return ctx.give_back(&batch, |_| delay, false, &reason.describe()).await;
        }
        for decoded in &batch {
            if let Some(city) = P::subject(&decoded.task).city_id {
                isobar_failpoint::hit_with_key("consumer.fetch.poison", city.0);
            }
        }
        isobar_failpoint::hit("consumer.fetch.before");
        let fetched = fetch(&ctx.pipeline, batch).await;
        isobar_failpoint::hit("consumer.fetch.after");
        if !fetched.settled.is_empty() {
            settle(ctx, fetched.settled, settled).await;
        }
        match fetched.signal {
            None => {}
            Some(UpstreamSignal::Wait(until, why)) => {
                let left = (until - Utc::now()).to_std().unwrap_or_default().max(MIN_WAIT);
                if left > SHORT_WAIT {
                    ctx.gate.close_until(until, why);
                    events::gate_closed(&PauseReason::WaitReason(why).describe(), until);
                } else {
                    // Too short to give back; the leases are renewed during it.
                    let _ = stop.run_until_cancelled(tokio::time::sleep(left)).await;
                }
            }
            Some(UpstreamSignal::Config(reason)) => {
                ctx.gate.misconfigured(reason.clone());
                if let Some((until, _)) = ctx.gate.closed_until() {
                    events::gate_closed(&reason, until);
                }
            }
        }
        batch = fetched.returned;
        if batch.is_empty() {
            return;
        }
    }
}

/// Sends ended tasks to the committer and gives back those with another attempt.
async fn settle<P: Pipeline>(
    ctx: &Context<P>,
    fetched: FetchedTasks<P>,
    settled: &SettledSender<P>,
) {
    let epoch = ctx.epoch();
    let max_attempts = ctx.settings.max_attempts;
    let mut ended = Vec::with_capacity(fetched.len());
    let mut retried = Vec::new();
    let mut deferred = Vec::new();
    let mut retry_reason = String::new();
    for (mut task, outcome) in fetched {
        let attempts_before = task.entry.attempts;
        task.entry.attempts += 1;
        match outcome {
            TaskOutcome::Deferred { until, reason } => {
                task.entry.attempts = attempts_before;
                let delay = (until - Utc::now()).to_std().unwrap_or_default().max(MIN_WAIT);
                deferred.push((task, delay, reason));
            }
            TaskOutcome::Record(record) => {
                ended.push(SettledEntry::succeeded::<P>(&task, record));
            }
            TaskOutcome::Failed { code, reason } => {
                let why = FailureReason::new(code, reason);
                ended.push(SettledEntry::failed(&ctx.pipeline, &task, &why, &epoch));
            }
            TaskOutcome::Retry { code, reason }
                if has_attempts_left(attempts_before, max_attempts) =>
            {
                if retry_reason.is_empty() {
                    retry_reason = format!("{code}: {reason}");
                }
                retried.push(task);
            }
            TaskOutcome::Retry { code, reason } => {
                let reason = format!("gave up after {max_attempts} attempts: {reason}");
                let why = FailureReason::new(code, reason);
                ended.push(SettledEntry::failed(&ctx.pipeline, &task, &why, &epoch));
            }
        }
    }
    if ended.iter().any(|entry| matches!(entry.outcome, EntryOutcome::Succeeded(_))) {
        ctx.gate.succeeded();
    }
    if !ended.is_empty() {
        // The receiver ends after this task, or has failed and ended the run.
        let _ = settled.send(ended).await;
    }
    for (task, delay, reason) in deferred {
        ctx.give_back(&[task], |_| delay, false, &reason).await;
    }
    if !retried.is_empty() {
        let delay = |task: &DecodedEntry<P::Task>| entry_delay(task.entry.attempts);
        ctx.give_back(&retried, delay, true, &retry_reason).await;
    }
}
