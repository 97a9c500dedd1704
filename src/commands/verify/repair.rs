//! `isobar verify --repair`: sends again what the store or the stream lacks, and corrects counters.
//!
//! Guarantees: nothing is deleted. A row that is sent twice has one row in the ledger. A batch whose rows
//! are all in the ledger is not fetched again: only its open and its seal are sent.
//! Does not: read a source again. What an outbox no longer keeps needs `isobar produce --force`; a
//! job whose rows are nowhere ends here once an operator has cancelled it.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use isobar_broker::Topic;
use isobar_model::ids::{JobId, TaskId};
use isobar_model::pipeline::PipelineName;
use isobar_producer::outbox::{LockError, Outbox, OutboxLock};
use isobar_producer::relay::InLedger;
use isobar_producer::run::{Tools, send_missing};
use isobar_store::Store;

use super::report::{Repaired, VerifyReport};
use super::{BATCHES, ledger, survey};
use crate::app::App;
use crate::commands::produce::{exit_error, tools};
use crate::context::Context;

/// How long to wait for room in the stream (then exit 75).
const MAX_WAIT: Duration = Duration::from_mins(10);

pub async fn repair(
    context: &Context,
    outboxes: &[PathBuf],
    app: &App,
) -> anyhow::Result<Repaired> {
    app.stop_on_signals()?;
    let tools = tools(Arc::clone(&context.settings), context.broker.clone(), app);
    let mut done = Repaired::default();
    // First what the stream lacks: this also confirms what workers have finished since.
    send(context, outboxes, &tools, &mut done).await?;
    let found = survey(context, outboxes).await?;
    let kept = found.disagreements.iter().filter(|found| found.is_kept);
    let disagreements: HashSet<JobId> = kept.map(|found| found.job_id).collect();
    for path in outboxes {
        let outbox = Outbox::open(path)?;
        done.settled.extend(outbox.end_settled_conflicts().await?);
        for job in outbox.kept_jobs().await? {
            let missing = found.kept.get(&(path.clone(), job.key)).copied();
            let from = missing.or(disagreements.contains(&job.job_id).then_some(job.first));
            if let Some(from) = from
                && outbox.send_again(job.key, from).await?
            {
                tracing::warn!(job_id = %job.job_id, from, "the store lacks rows, or the end, of confirmed batches; they are sent again");
                done.again.push(job.job_id);
            }
        }
        forget_half_done(context, path, &outbox, &found, &mut done).await?;
    }
    send(context, outboxes, &tools, &mut done).await?;
    let unkept = found.disagreements.iter().filter(|found| !found.is_kept);
    let without_rows = (found.lost.iter().map(|found| found.job_id))
        .chain(found.abandoned.iter().map(|found| found.job_id))
        .chain(unkept.map(|found| found.job_id));
    for job_id in without_rows {
        if !done.again.contains(&job_id) && context.store.close_cancelled(job_id).await? {
            done.closed.push(job_id);
        }
    }
    done.recounted = found.imbalances.iter().map(|found| found.job_id).collect();
    context.store.recount(&done.recounted).await?;
    done.published = tools.progress.snapshot().published;
    Ok(done)
}

/// Makes the stream forget batches of which rows are missing, so that the relay takes them for lost and
/// sends them whole, whichever process it runs in. Entries of them that are still in the stream are
/// processed twice; the ledger has each row once.
async fn forget_half_done(
    context: &Context,
    path: &Path,
    outbox: &Outbox,
    found: &VerifyReport,
    done: &mut Repaired,
) -> anyhow::Result<()> {
    for pipeline in PipelineName::streams() {
        let topic = Topic::of(pipeline, &context.settings);
        for job in outbox.open_jobs(pipeline).await? {
            let seqs = found.half_done.get(&(path.to_owned(), job.key)).into_iter().flatten();
            for &seq in seqs {
                tracing::warn!(job_id = %job.job_id, batch = seq, "rows of a batch are neither in the stream nor in the ledger; it is sent again");
                context.broker.forget_batches(&topic, job.job_id, seq..=seq).await?;
                if !done.again.contains(&job.job_id) {
                    done.again.push(job.job_id);
                }
            }
        }
    }
    Ok(())
}

/// Sends what is unsent. An outbox that another process holds is left to that process.
async fn send(
    context: &Context,
    outboxes: &[PathBuf],
    tools: &Tools,
    done: &mut Repaired,
) -> anyhow::Result<()> {
    done.held.clear();
    for path in outboxes {
        let outbox = Outbox::open(path)?;
        match OutboxLock::take(path) {
            Ok(_lock) => {
                let in_ledger = Arc::new(in_ledger(&outbox, &context.store).await?);
                let sent = send_missing(&outbox, &in_ledger, tools, MAX_WAIT).await;
                done.kept_back += in_ledger.kept_back();
                sent.map_err(exit_error)?;
            }
            Err(LockError::Held { .. }) => done.held.push(path.display().to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The batches that are not confirmed and whose rows the ledger has: after a restored outbox or a
/// restored stream, all that workers had finished since.
async fn in_ledger(outbox: &Outbox, store: &Store) -> anyhow::Result<InLedger> {
    let (mut found, mut after) = (InLedger::default(), (0, 0));
    loop {
        let page = outbox.batch_ids(after, BATCHES).await?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = *last;
        for ((key, seq), batch) in page {
            let mut by_job: BTreeMap<JobId, Vec<(TaskId, u32)>> = BTreeMap::new();
            let mut is_known = !batch.tasks.is_empty();
            for task in &batch.tasks {
                match task.job_id {
                    Some(job) => {
                        by_job.entry(job).or_default().push((task.task_id, task.try_number));
                    }
                    // Nothing accounts for a task without a job.
                    None => is_known = false,
                }
            }
            for (job, tasks) in by_job {
                is_known = is_known && ledger(store, job, &tasks).await?.is_empty();
            }
            if is_known {
                found.add(key, seq);
            }
        }
    }
}
