//! Committer: stores results, one transaction at a time, and acknowledges them afterwards (I3).
//!
//! There is one per process, apart from the fetch slots: while one transaction waits for the disk
//! the next one fills. Acknowledging runs beside the next commit, on its own task.
//!
//! Guarantees: a row that the store refuses is found by bisection and becomes a dead letter; its
//! neighbours are stored. A commit with an unknown outcome runs again and changes nothing (I5).
//! Results of entries that another worker has taken over are dropped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_broker::{BrokerError, EntryId, Lane};
use isobar_model::ids::{JobId, TaskId};
use isobar_store::{Commit, StoreError};
use isobar_telemetry::error_chain;
use tokio::sync::mpsc;

use crate::context::{Context, WorkerError};
use crate::events;
use crate::pipeline::Pipeline;
use crate::retry_delay::loop_delay;
use crate::settle::{EntryOutcome, SettledEntry};

/// The most entries of one transaction, and the longest time that the first waits for others.
const COMMIT_ENTRIES: usize = 2_000;
const COMMIT_LINGER: Duration = Duration::from_millis(25);
/// How long a worker that shuts down waits for a failing store before it gives entries back.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// The same for a failing broker, in tries.
const SHUTDOWN_ACK_TRIES: u32 = 2;
/// Tries of an acknowledgement. After the last one its entries are delivered again, harmlessly.
const ACK_TRIES: u32 = 12;

/// Commits entries until the channel closes and everything is stored.
pub async fn run<P: Pipeline>(
    ctx: Arc<Context<P>>,
    mut settled: mpsc::Receiver<Vec<SettledEntry<P::Record>>>,
    acks: mpsc::Sender<Vec<(Lane, EntryId)>>,
) -> Result<(), WorkerError> {
    let mut carried: Vec<SettledEntry<P::Record>> = Vec::new();
    loop {
        if carried.is_empty() {
            match settled.recv().await {
                Some(entries) => carried = entries,
                None => return Ok(()),
            }
        }
        let linger = tokio::time::sleep(COMMIT_LINGER);
        tokio::pin!(linger);
        while carried.len() < COMMIT_ENTRIES {
            tokio::select! {
                biased;
                more = settled.recv() => match more {
                    Some(entries) => carried.extend(entries),
                    None => break,
                },
                () = &mut linger => break,
            }
        }
        let rest = carried.split_off(carried.len().min(COMMIT_ENTRIES));
        commit(&ctx, std::mem::replace(&mut carried, rest), &acks).await?;
    }
}

/// Stores `entries`, in as many transactions as the data needs.
async fn commit<P: Pipeline>(
    ctx: &Context<P>,
    entries: Vec<SettledEntry<P::Record>>,
    acks: &mpsc::Sender<Vec<(Lane, EntryId)>>,
) -> Result<(), WorkerError> {
    let mut failures = 0;
    let mut failing_since = None;
    let mut open = vec![entries];
    while let Some(entries) = open.pop() {
        let mut entries = retain_leased(ctx, entries);
        if entries.is_empty() {
            continue;
        }
        let began = Instant::now();
        let has_dead = entries.iter().any(|entry| entry.dead.is_some());
        if has_dead {
            isobar_failpoint::hit("consumer.dead.before");
        }
        isobar_failpoint::hit("consumer.commit.before");
        match ctx.store.commit(&assemble(&ctx.pipeline, &entries)).await {
            Ok(report) => {
                isobar_failpoint::hit("consumer.commit.after");
                if has_dead {
                    isobar_failpoint::hit("consumer.dead.after");
                }
                failures = 0;
                failing_since = None;
                events::commit(entries.len(), began.elapsed(), &report);
                ctx.tally.committed(&entries, &report);
                ctx.clear_ended_flags(&report.finished_jobs).await;
                let ids = entries.iter().map(|entry| (entry.lane, entry.id)).collect();
                // The receiver ends after this task.
                let _ = acks.send(ids).await;
            }
            Err(error @ StoreError::Data { .. }) if entries.len() > 1 => {
                events::commit_bisected(&error, entries.len());
                let back = entries.split_off(entries.len() / 2);
                open.push(back);
                open.push(entries);
            }
            Err(error @ StoreError::Data { .. }) => {
                let entry = entries.remove(0);
                if entry.is_refused() {
                    // Even the bare dead letter is refused: a defect of the program, not of a row.
                    return Err(WorkerError::Store(error));
                }
                open.push(vec![entry.refused(P::NAME, &error_chain(&error))]);
            }
            Err(error) if error.is_transient() => {
                events::commit_failed(&error, entries.len());
                let since = *failing_since.get_or_insert_with(Instant::now);
                if ctx.stop.is_cancelled() && since.elapsed() > SHUTDOWN_GRACE {
                    // The entries are still held: the end of the run gives them back.
                    continue;
                }
                tokio::time::sleep(loop_delay(failures)).await;
                failures += 1;
                open.push(entries);
            }
            Err(error) => return Err(WorkerError::Store(error)),
        }
    }
    Ok(())
}

/// Drops the entries that may not be committed any more: their new owner commits its own result.
fn retain_leased<P: Pipeline>(
    ctx: &Context<P>,
    entries: Vec<SettledEntry<P::Record>>,
) -> Vec<SettledEntry<P::Record>> {
    let now = Instant::now();
    let (leased, lost): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| ctx.leases.may_commit(entry.lane, entry.id, now));
    if !lost.is_empty() {
        events::leases_lost(lost.len());
        for lane in Lane::BOTH {
            let ids: Vec<EntryId> =
                lost.iter().filter(|entry| entry.lane == lane).map(|entry| entry.id).collect();
            ctx.leases.release(lane, &ids);
        }
    }
    leased
}

/// The content of one transaction: each (job, task) and each city once, as the store requires.
///
/// Of several tries of a task the highest one counts. A worker that died before its acknowledgement
/// leaves an earlier try in the stream, beside the retry of the same task.
fn assemble<P: Pipeline>(pipeline: &P, entries: &[SettledEntry<P::Record>]) -> Commit {
    let mut commit = Commit::default();
    let mut records = Vec::with_capacity(entries.len());
    let mut open: HashMap<(JobId, TaskId), u32> = HashMap::with_capacity(entries.len());
    for row in entries.iter().filter_map(|entry| entry.ledger.as_ref()) {
        let highest = open.entry((row.job_id, row.task_id)).or_default();
        *highest = row.try_number.max(*highest);
    }
    let mut cities = HashMap::new();
    for entry in entries {
        if let Some(row) = &entry.ledger {
            let task = (row.job_id, row.task_id);
            // The first entry of the highest try, and no other.
            if open.get(&task) != Some(&row.try_number) {
                continue;
            }
            open.remove(&task);
            commit.ledger.push(row.clone());
        }
        match &entry.outcome {
            EntryOutcome::Succeeded(record) => records.push(record.clone()),
            EntryOutcome::Opened(open) => commit.opens.push(open.clone()),
            EntryOutcome::Sealed(seal) => commit.seals.push(seal.clone()),
            EntryOutcome::Failed | EntryOutcome::Skipped | EntryOutcome::Rejected => {}
        }
        if let Some(city) = &entry.city {
            cities.insert(city.city_id, city.clone());
        }
        commit.dead.extend(entry.dead.clone());
    }
    commit.failed_cities = cities.into_values().collect();
    commit.records = pipeline.records(records);
    commit
}

/// Acknowledges committed entries until the channel closes.
pub async fn acknowledge<P: Pipeline>(
    ctx: Arc<Context<P>>,
    mut committed: mpsc::Receiver<Vec<(Lane, EntryId)>>,
) -> Result<(), WorkerError> {
    while let Some(entries) = committed.recv().await {
        for lane in Lane::BOTH {
            let ids: Vec<EntryId> =
                entries.iter().filter(|(own, _)| *own == lane).map(|(_, id)| *id).collect();
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
    for failures in 0..ACK_TRIES {
        if failures > SHUTDOWN_ACK_TRIES && ctx.stop.is_cancelled() {
            break;
        }
        isobar_failpoint::hit("consumer.ack.before");
        match ctx.broker.ack(ctx.pipeline.topic(), lane, ids).await {
            Ok(_) => {
                isobar_failpoint::hit("consumer.ack.after");
                return Ok(());
            }
            // The stream is lost with its entries. Producers send again; the ledger knows repeats.
            Err(BrokerError::Missing { .. }) => return Ok(()),
            Err(error @ BrokerError::Refused { .. }) => return Err(WorkerError::Broker(error)),
            Err(error) => {
                events::broker_error("ack", &error);
                tokio::time::sleep(loop_delay(failures)).await;
            }
        }
    }
    // The entries are delivered again after the claim idle, found in the ledger, and acknowledged.
    Ok(())
}

#[cfg(test)]
#[path = "committer_tests.rs"]
mod tests;
