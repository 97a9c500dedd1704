//! Writes results, one transaction at a time, and acknowledges them after it (I3).
//!
//! One per process, apart from the fetch slots: while a transaction waits for the disk the next
//! one fills up. A row that the store refuses is looked for by bisection and becomes a dead
//! letter; its neighbours are stored. A commit whose outcome is unknown is simply run again:
//! repeats change nothing (I5). Results of entries that were lost to another worker are dropped.
//!
//! Acknowledging runs beside the next commit, on a task of its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use isobar_broker::{BrokerError, EntryId, Lane};
use isobar_model::ids::{JobId, TaskId};
use isobar_store::{Commit, DeadLetter, StoreError};
use tokio::sync::mpsc;

use crate::context::{Context, WorkerError};
use crate::events;
use crate::pipeline::Pipeline;
use crate::retry_delay::loop_delay;
use crate::settle::{Item, Outcome};

/// The most results in one transaction, and the longest that the first waits for company.
const COMMIT_ITEMS: usize = 2_000;
const COMMIT_LINGER: Duration = Duration::from_millis(25);
/// The code of a dead letter that the store made.
const REFUSED: &str = "store_refused";
/// How long a worker that is ending waits for a store in trouble before it gives entries back.
const FAREWELL: Duration = Duration::from_secs(5);
/// The same for a broker in trouble: what is not acknowledged is delivered again, harmlessly.
const FAREWELL_ACK_TRIES: u32 = 2;
/// Tries of an acknowledgement before its entries are left to be delivered again (harmless).
const ACK_TRIES: u32 = 12;

/// Commits what comes until the channel closes and everything is written.
pub async fn run<P: Pipeline>(
    ctx: Arc<Context<P>>,
    mut settled: mpsc::Receiver<Vec<Item<P::Record>>>,
    acks: mpsc::Sender<Vec<(Lane, EntryId)>>,
) -> Result<(), WorkerError> {
    let mut carried: Vec<Item<P::Record>> = Vec::new();
    loop {
        if carried.is_empty() {
            match settled.recv().await {
                Some(items) => carried = items,
                None => return Ok(()),
            }
        }
        let linger = tokio::time::sleep(COMMIT_LINGER);
        tokio::pin!(linger);
        while carried.len() < COMMIT_ITEMS {
            tokio::select! {
                biased;
                more = settled.recv() => match more {
                    Some(items) => carried.extend(items),
                    None => break,
                },
                () = &mut linger => break,
            }
        }
        let rest = carried.split_off(carried.len().min(COMMIT_ITEMS));
        commit(&ctx, std::mem::replace(&mut carried, rest), &acks).await?;
    }
}

/// Writes `items`, in as many transactions as the data needs.
async fn commit<P: Pipeline>(
    ctx: &Context<P>,
    items: Vec<Item<P::Record>>,
    acks: &mpsc::Sender<Vec<(Lane, EntryId)>>,
) -> Result<(), WorkerError> {
    let mut failures = 0;
    let mut failing_since = None;
    let mut open = vec![items];
    while let Some(items) = open.pop() {
        let mut items = still_ours(ctx, items);
        if items.is_empty() {
            continue;
        }
        let began = Instant::now();
        let buries = items.iter().any(|item| item.dead.is_some());
        if buries {
            isobar_failpoint::hit("consumer.dead.before");
        }
        isobar_failpoint::hit("consumer.commit.before");
        match ctx.store.commit(&assemble(&ctx.pipeline, &items)).await {
            Ok(report) => {
                isobar_failpoint::hit("consumer.commit.after");
                if buries {
                    isobar_failpoint::hit("consumer.dead.after");
                }
                failures = 0;
                failing_since = None;
                events::commit(items.len(), began.elapsed(), &report);
                ctx.tally.committed(&items);
                ctx.forget_switches(&report.finished_jobs).await;
                let ids = items.iter().map(|item| (item.lane, item.id)).collect();
                // The receiver ends after us.
                let _ = acks.send(ids).await;
            }
            Err(error @ StoreError::Data { .. }) if items.len() > 1 => {
                events::commit_bisected(&error, items.len());
                let back = items.split_off(items.len() / 2);
                open.push(back);
                open.push(items);
            }
            Err(error @ StoreError::Data { .. }) => {
                let item = items.remove(0);
                if was_refused(&item) {
                    // Not even the bare dead letter fits: that is a defect, not this row's fault.
                    return Err(WorkerError::Store(error));
                }
                open.push(vec![refused::<P>(item, &error)]);
            }
            Err(error) if error.is_transient() => {
                events::commit_failed(&error, items.len());
                let since = *failing_since.get_or_insert_with(Instant::now);
                if ctx.stop.is_cancelled() && since.elapsed() > FAREWELL {
                    // Still held: whoever leaves gives back what it holds.
                    continue;
                }
                tokio::time::sleep(loop_delay(failures)).await;
                failures += 1;
                open.push(items);
            }
            Err(error) => return Err(WorkerError::Store(error)),
        }
    }
    Ok(())
}

/// Drops what may no longer be committed; its new owner will bring a result of its own.
fn still_ours<P: Pipeline>(ctx: &Context<P>, items: Vec<Item<P::Record>>) -> Vec<Item<P::Record>> {
    let now = Instant::now();
    let (ours, lost): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| ctx.leases.may_commit(item.lane, item.id, now));
    if !lost.is_empty() {
        events::leases_lost(lost.len());
        for lane in Lane::BOTH {
            let ids: Vec<EntryId> =
                lost.iter().filter(|item| item.lane == lane).map(|item| item.id).collect();
            ctx.leases.release(lane, &ids);
        }
    }
    ours
}

/// One transaction's worth: each (job, task) and each city once, or the store would refuse it.
fn assemble<P: Pipeline>(pipeline: &P, items: &[Item<P::Record>]) -> Commit {
    let mut commit = Commit::default();
    let mut records = Vec::with_capacity(items.len());
    let mut tasks: HashSet<(JobId, TaskId)> = HashSet::with_capacity(items.len());
    let mut cities = HashMap::new();
    for item in items {
        match &item.result {
            Outcome::Succeeded(record) => records.push(record.clone()),
            Outcome::Opened(open) => commit.opens.push(open.clone()),
            Outcome::Sealed(seal) => commit.seals.push(seal.clone()),
            Outcome::Failed | Outcome::Skipped | Outcome::Rejected => {}
        }
        if let Some(row) = &item.ledger
            && tasks.insert((row.job_id, row.task_id))
        {
            commit.ledger.push(row.clone());
        }
        if let Some(city) = &item.city {
            cities.insert(city.city_id, city.clone());
        }
        commit.dead.extend(item.dead.clone());
    }
    commit.failed_cities = cities.into_values().collect();
    commit.records = pipeline.records(records);
    commit
}

/// Whether the store refused this before, in its plainest form.
fn was_refused<R>(item: &Item<R>) -> bool {
    item.dead.as_ref().is_some_and(|dead| dead.code == REFUSED)
}

/// What is left of an item that the store refuses: its end, told in words that it can store.
fn refused<P: Pipeline>(item: Item<P::Record>, error: &StoreError) -> Item<P::Record> {
    let reason = isobar_telemetry::chain(error).replace('\0', "");
    let now = Utc::now();
    let row = item.ledger.as_ref();
    let dead = DeadLetter {
        id: 0,
        pipeline: P::NAME,
        task_id: row.map(|row| row.task_id).or(item.dead.as_ref().and_then(|dead| dead.task_id)),
        job_id: row.map(|row| row.job_id),
        city_id: row.and_then(|row| row.city_id),
        code: REFUSED.to_owned(),
        reason: reason.clone(),
        payload: row.and_then(|row| row.input.clone()).unwrap_or_default().into_bytes(),
        deliveries: item.dead.as_ref().map_or(1, |dead| dead.deliveries),
        attempts: row.map_or(0, |row| row.attempts),
        first_seen: now,
        last_seen: now,
        source: format!("refused/{}/{:?}/{}", P::NAME, item.lane, item.id),
    };
    let ledger = item.ledger.map(|row| isobar_store::LedgerRow {
        status: isobar_store::RowStatus::Failed,
        city: None,
        error_code: Some(REFUSED.to_owned()),
        last_error: Some(reason),
        input: None,
        ..row
    });
    Item {
        lane: item.lane,
        id: item.id,
        result: Outcome::Failed,
        ledger,
        city: None,
        dead: Some(dead),
    }
}

/// Acknowledges what was committed, until the channel closes.
pub async fn acknowledge<P: Pipeline>(
    ctx: Arc<Context<P>>,
    mut committed: mpsc::Receiver<Vec<(Lane, EntryId)>>,
) -> Result<(), WorkerError> {
    while let Some(entries) = committed.recv().await {
        for lane in Lane::BOTH {
            let ids: Vec<EntryId> =
                entries.iter().filter(|(of, _)| *of == lane).map(|(_, id)| *id).collect();
            if !ids.is_empty() {
                ack(&ctx, lane, &ids).await?;
                ctx.leases.release(lane, &ids);
            }
        }
    }
    Ok(())
}

async fn ack<P: Pipeline>(
    ctx: &Context<P>,
    lane: Lane,
    ids: &[EntryId],
) -> Result<(), WorkerError> {
    for tried in 0..ACK_TRIES {
        if tried > FAREWELL_ACK_TRIES && ctx.stop.is_cancelled() {
            break;
        }
        isobar_failpoint::hit("consumer.ack.before");
        match ctx.broker.ack(ctx.pipeline.topic(), lane, ids).await {
            Ok(_) => {
                isobar_failpoint::hit("consumer.ack.after");
                return Ok(());
            }
            // The stream went and its entries with it: producers send again, the ledger knows.
            Err(BrokerError::Missing { .. }) => return Ok(()),
            Err(error @ BrokerError::Refused { .. }) => return Err(WorkerError::Broker(error)),
            Err(error) => {
                events::broker_trouble("ack", &error);
                tokio::time::sleep(loop_delay(tried)).await;
            }
        }
    }
    // Delivered again after the claim idle, found in the ledger, acknowledged then.
    Ok(())
}
