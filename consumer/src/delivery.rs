//! Sees one delivery through: prepared, fetched in batches, every member settled or given back.
//!
//! Runs as a task per delivery beside the intake. What fails in a way that may pass is given back
//! with an attempt counted; what cannot be tried now (a stop, a shut gate, a wrong configuration)
//! is given back without one (I7). Nothing here acknowledges: that is the committer's, after the
//! commit (I3).

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use futures::future::join_all;
use isobar_broker::{Entry, GiveBack, Lane};
use isobar_store::{RowStatus, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::{Context, WorkerError};
use crate::events;
use crate::fetch::{Answered, Signal, fetch};
use crate::gate::Reason;
use crate::pipeline::{Pipeline, Verdict};
use crate::prepare::{Prepared, Rules, failed, prepare};
use crate::retry_delay::{entry_delay, loop_delay};
use crate::settle::{GivenUp, Held, Item, Outcome, Subject, has_attempts_left, ledger_row};

/// A wait no longer than this is waited out with the entries in hand.
const SHORT_WAIT: Duration = Duration::from_secs(2);

/// However the clocks of hosts differ, nothing is asked again sooner than this.
const LEAST_WAIT: Duration = Duration::from_millis(250);

/// Where settled entries go: the committer.
pub type Settled<P> = mpsc::Sender<Vec<Item<<P as Pipeline>::Record>>>;

/// Sees a delivery through to its end on a task of its own.
pub fn dispatch<P: Pipeline>(
    ctx: &Arc<Context<P>>,
    entries: Vec<Entry>,
    settled: &Settled<P>,
    stop: &CancellationToken,
    chunks: &mut JoinSet<Result<(), WorkerError>>,
) {
    let (ctx, settled, stop) = (Arc::clone(ctx), settled.clone(), stop.clone());
    chunks.spawn(async move {
        let Some(prepared) = prepare_patiently(&ctx, entries, &stop).await? else {
            return Ok(());
        };
        let unknown: Vec<GiveBack> = prepared
            .unknown
            .iter()
            .map(|id| GiveBack { id: *id, delay: ctx.settings.claim_idle.0, attempt: false })
            .collect();
        if !unknown.is_empty() {
            events::unknown_kind(unknown.len());
            ctx.return_ids(Lane::Control, &unknown).await;
        }
        ctx.park(&prepared.parked).await;
        if !prepared.items.is_empty() {
            // The receiver ends after us, or has failed and the run with it.
            let _ = settled.send(prepared.items).await;
        }
        join_all(prepared.batches.into_iter().map(|batch| run_batch(&ctx, batch, &settled, &stop)))
            .await;
        Ok(())
    });
}

/// Prepares as soon as the store answers; gives everything back if we are stopped before.
async fn prepare_patiently<P: Pipeline>(
    ctx: &Context<P>,
    entries: Vec<Entry>,
    stop: &CancellationToken,
) -> Result<Option<Prepared<P>>, WorkerError> {
    let mut failures = 0;
    loop {
        let (epoch, switches) = (ctx.epoch(), ctx.switches());
        let rules = Rules {
            max_deliveries: ctx.settings.max_deliveries,
            epoch: &epoch,
            switches: &switches,
        };
        // Cloned only so that a store in trouble can be asked again.
        match prepare(&ctx.pipeline, &ctx.store, &ctx.states, entries.clone(), rules).await {
            Ok(prepared) => return Ok(Some(prepared)),
            Err(error @ (StoreError::Unavailable { .. } | StoreError::Conflict { .. })) => {
                events::store_trouble("prepare", &error);
            }
            Err(error) => return Err(WorkerError::Store(error)),
        }
        if stop.run_until_cancelled(tokio::time::sleep(loop_delay(failures))).await.is_none() {
            for lane in Lane::BOTH {
                let back: Vec<GiveBack> = entries
                    .iter()
                    .filter(|entry| entry.lane == lane)
                    .map(|entry| GiveBack { id: entry.id, delay: Duration::ZERO, attempt: false })
                    .collect();
                ctx.return_ids(lane, &back).await;
            }
            return Ok(None);
        }
        failures += 1;
    }
}

/// Fetches one batch when a slot is free, and settles every member.
async fn run_batch<P: Pipeline>(
    ctx: &Context<P>,
    mut batch: Vec<Held<P::Task>>,
    settled: &Settled<P>,
    stop: &CancellationToken,
) {
    let Ok(_slot) = ctx.slots.acquire().await else {
        return;
    };
    loop {
        if stop.is_cancelled() {
            return ctx.give_back(&batch, |_| Duration::ZERO, false, "the worker is ending").await;
        }
        if let Some((until, reason)) = ctx.gate.shut(Utc::now()) {
            let delay = (until - Utc::now()).to_std().unwrap_or_default();
            return ctx.give_back(&batch, |_| delay, false, &reason.describe()).await;
        }
        for held in &batch {
            if let (Some(city), _) = P::subject(&held.task) {
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
            Some(Signal::Wait(until, why)) => {
                let left = (until - Utc::now()).to_std().unwrap_or_default().max(LEAST_WAIT);
                if left > SHORT_WAIT {
                    ctx.gate.wait_until(until, why);
                    events::gate_shut(&Reason::Waiting(why).describe(), until);
                } else {
                    // Not worth giving back; the leases are renewed meanwhile.
                    let _ = stop.run_until_cancelled(tokio::time::sleep(left)).await;
                }
            }
            Some(Signal::Config(reason)) => {
                ctx.gate.misconfigured(reason.clone(), Utc::now());
                if let Some((until, _)) = ctx.gate.shut(Utc::now()) {
                    events::gate_shut(&reason, until);
                }
            }
        }
        batch = fetched.returned;
        if batch.is_empty() {
            return;
        }
    }
}

/// Sends what ended to the committer and gives back what is worth another attempt.
async fn settle<P: Pipeline>(ctx: &Context<P>, verdicts: Answered<P>, settled: &Settled<P>) {
    let epoch = ctx.epoch();
    let max_attempts = ctx.settings.max_attempts;
    let mut items = Vec::with_capacity(verdicts.len());
    let mut again = Vec::new();
    let mut later = Vec::new();
    let mut why_again = String::new();
    for (mut held, verdict) in verdicts {
        let attempts_before = held.entry.attempts;
        held.entry.attempts += 1;
        match verdict {
            Verdict::Later { until, reason } => {
                held.entry.attempts = attempts_before;
                let delay = (until - Utc::now()).to_std().unwrap_or_default().max(LEAST_WAIT);
                later.push((held, delay, reason));
            }
            Verdict::Record(record) => items.push(succeeded::<P>(&held, record)),
            Verdict::Failed { code, reason } => {
                let why = GivenUp { code: code.to_owned(), reason };
                items.push(failed(&ctx.pipeline, &held, &why, &epoch));
            }
            Verdict::Retry { code, reason } if has_attempts_left(attempts_before, max_attempts) => {
                if why_again.is_empty() {
                    why_again = format!("{code}: {reason}");
                }
                again.push(held);
            }
            Verdict::Retry { code, reason } => {
                let why = GivenUp {
                    code: code.to_owned(),
                    reason: format!("gave up after {max_attempts} attempts: {reason}"),
                };
                items.push(failed(&ctx.pipeline, &held, &why, &epoch));
            }
        }
    }
    if items.iter().any(|item| matches!(item.result, Outcome::Succeeded(_))) {
        ctx.gate.succeeded();
    }
    if !items.is_empty() {
        // The receiver ends after us, or has failed and the run with it.
        let _ = settled.send(items).await;
    }
    for (held, delay, reason) in later {
        ctx.give_back(&[held], |_| delay, false, &reason).await;
    }
    if !again.is_empty() {
        ctx.give_back(&again, |held| entry_delay(held.entry.attempts), true, &why_again).await;
    }
}

fn succeeded<P: Pipeline>(held: &Held<P::Task>, record: P::Record) -> Item<P::Record> {
    let (city_id, city) = P::subject(&held.task);
    let subject = Subject { city_id, city };
    let status = RowStatus::Success;
    Item {
        lane: held.entry.lane,
        id: held.entry.id,
        result: Outcome::Succeeded(record),
        ledger: ledger_row(P::head(&held.task), subject, &held.entry, status, None, Utc::now()),
        city: None,
        dead: None,
    }
}
