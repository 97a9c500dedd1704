//! `isobar jobs cancel ID`: cancels a job, also one that only an outbox of this host knows.
//!
//! A run that was killed during extraction leaves its job unsealed in the outbox. If its file no
//! longer exists, no run can finish it: this command seals it and removes its spooled file.

use std::path::{Path, PathBuf};

use anyhow::bail;
use isobar_model::ids::JobId;
use isobar_producer::outbox::Outbox;
use isobar_producer::spool::remove_if_there;
use isobar_producer::{Cancelled, cancel};
use isobar_store::{CancelOutcome, NewJob};
use serde_json::json;

use super::unknown;
use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;

pub async fn run(id: JobId, app: &App) -> anyhow::Result<Exit> {
    let operator = Operator::open(app).await?;
    let mut answer = operator.desk().cancel(id).await?;
    if answer == CancelOutcome::Unknown && create_row(id, &operator).await? {
        answer = operator.desk().cancel(id).await?;
    }
    match answer {
        CancelOutcome::Cancelling => {}
        CancelOutcome::Ended(status) => {
            bail!("job {id} has already ended: {}", status.as_str())
        }
        CancelOutcome::Unknown => return Err(unknown(id)),
    }
    let mut sealed = false;
    for path in outboxes(&operator) {
        sealed |= seal(&path, id, &operator).await? == Cancelled::Sealed;
    }
    app.print(&json!({ "job_id": id, "status": "cancelling", "sealed": sealed }), || {
        let mut text = format!("job {id} is being cancelled; its open tasks are skipped");
        if sealed {
            text.push_str(
                "\nits last batches are in the outbox; the next run sends them, or run `isobar outbox flush`",
            );
        }
        text
    })?;
    Ok(Exit::Done)
}

fn outboxes(operator: &Operator) -> impl Iterator<Item = PathBuf> {
    operator.context.settings.outboxes().into_iter().filter(|path| path.exists())
}

/// Creates the row of a job that no worker has seen yet, so that the store can cancel it.
async fn create_row(id: JobId, operator: &Operator) -> anyhow::Result<bool> {
    for path in outboxes(operator) {
        if let Some(job) = Outbox::open(&path)?.job(id).await? {
            let new = NewJob {
                id,
                kind: job.kind,
                pipeline: job.spec.pipeline,
                source: job.source,
                created_at: job.created_at,
            };
            operator.context.store.create_job(&new).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Seals the job in one outbox and removes the file that was spooled for it.
async fn seal(path: &Path, id: JobId, operator: &Operator) -> anyhow::Result<Cancelled> {
    let outbox = Outbox::open(path)?;
    let outcome = cancel(&outbox, id, operator.actor()).await?;
    if outcome == Cancelled::Sealed
        && let Some(job) = outbox.job(id).await?
        && let Some(file) = job.spec.path()
        && file.starts_with(operator.context.settings.data_file("spool"))
    {
        remove_if_there(file)?;
    }
    Ok(outcome)
}
