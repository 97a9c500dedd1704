//! `isobar jobs cancel ID`: ends a job, also one that only this host's outbox knows.
//!
//! A run that was killed while it extracted has left its job unsealed in the outbox; if its file is
//! gone or another one, no run will ever finish it. Here it is sealed, and its spooled file removed.

use std::path::{Path, PathBuf};

use anyhow::bail;
use isobar_model::ids::JobId;
use isobar_producer::outbox::Outbox;
use isobar_producer::spool::remove_if_there;
use isobar_producer::{Cancelled, cancel};
use isobar_store::{CancelAnswer, NewJob};
use serde_json::json;

use super::unknown;
use crate::app::App;
use crate::exit::Exit;
use crate::operator::Operator;

pub async fn run(id: JobId, app: &App) -> anyhow::Result<Exit> {
    let operator = Operator::open(app).await?;
    let mut answer = operator.desk().cancel(id).await?;
    if answer == CancelAnswer::Unknown && announce(id, &operator).await? {
        answer = operator.desk().cancel(id).await?;
    }
    match answer {
        CancelAnswer::Cancelling => {}
        CancelAnswer::Ended(status) => {
            bail!("job {id} has ended already: it is {}", status.as_str())
        }
        CancelAnswer::Unknown => return Err(unknown(id)),
    }
    let mut sealed = false;
    for path in outboxes(&operator) {
        sealed |= seal(&path, id, &operator).await? == Cancelled::Sealed;
    }
    app.print(&json!({ "job_id": id, "status": "cancelling", "sealed": sealed }), || {
        let mut said = format!("job {id} is being cancelled: what is left of it is skipped");
        if sealed {
            said.push_str(
                "\nits last batches wait in the outbox; the next run sends them, or `isobar outbox flush`",
            );
        }
        said
    })?;
    Ok(Exit::Done)
}

fn outboxes(operator: &Operator) -> impl Iterator<Item = PathBuf> {
    operator.parts.settings.outboxes().into_iter().filter(|path| path.exists())
}

/// Tells the store of a job that no worker has had anything of, so that it can be cancelled there.
async fn announce(id: JobId, operator: &Operator) -> anyhow::Result<bool> {
    for path in outboxes(operator) {
        if let Some(job) = Outbox::open(&path)?.job(id).await? {
            let new = NewJob {
                id,
                kind: job.kind,
                pipeline: job.spec.pipeline,
                source: job.source,
                created_at: job.created_at,
            };
            operator.parts.store.create_job(&new).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Seals the job in one outbox; what was spooled for it is read no more.
async fn seal(path: &Path, id: JobId, operator: &Operator) -> anyhow::Result<Cancelled> {
    let outbox = Outbox::open(path)?;
    let here = cancel(&outbox, id, operator.actor()).await?;
    if here == Cancelled::Sealed
        && let Some(job) = outbox.job(id).await?
        && let Some(file) = job.spec.path()
        && file.starts_with(operator.parts.settings.data_file("spool"))
    {
        remove_if_there(file)?;
    }
    Ok(here)
}
