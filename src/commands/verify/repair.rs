//! `isobar verify --repair`: sends again what the store or the stream lacks, and corrects counters.
//!
//! Guarantees: nothing is deleted. A row that is sent twice has one row in the ledger.
//! Does not: read a source again. What an outbox no longer keeps needs `isobar produce --force`; a
//! job whose rows are nowhere ends here once an operator has cancelled it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use isobar_model::ids::JobId;
use isobar_producer::outbox::{LockError, Outbox, OutboxLock};
use isobar_producer::run::{Tools, send_all};

use super::report::Repaired;
use super::survey;
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
    send(outboxes, &tools, &mut done).await?;
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
                tracing::warn!(job_id = %job.job_id, from, "the store lacks rows of confirmed batches; they are sent again");
                done.again.push(job.job_id);
            }
        }
    }
    send(outboxes, &tools, &mut done).await?;
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

/// Sends what is unsent. An outbox that another process holds is left to that process.
async fn send(outboxes: &[PathBuf], tools: &Tools, done: &mut Repaired) -> anyhow::Result<()> {
    done.held.clear();
    for path in outboxes {
        let outbox = Outbox::open(path)?;
        match OutboxLock::take(path) {
            Ok(_lock) => {
                send_all(&outbox, tools, MAX_WAIT).await.map_err(exit_error)?;
            }
            Err(LockError::Held { .. }) => done.held.push(path.display().to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
