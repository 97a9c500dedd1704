//! `isobar jobs watch ID`: a live bar that ends with the job.
//!
//! The numbers are the ledger's, so it can be stopped and started again at any time, on any host. A
//! store that is away for a while is waited for. A job that only the outbox of this host knows is
//! waited for too: nobody has worked on it yet.

use std::time::Duration;

use anyhow::bail;
use isobar_admin::job_view::JobState;
use isobar_model::ids::JobId;
use isobar_producer::outbox::Outbox;
use isobar_store::JobStatus;
use isobar_telemetry::chain;

use super::list::{line, states};
use super::unknown;
use crate::app::App;
use crate::context::Parts;
use crate::exit::Exit;
use crate::progress::{self, Bar};

/// How often the job is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

pub async fn run(id: JobId, app: &App) -> anyhow::Result<Exit> {
    app.stop_on_signals()?;
    let parts = Parts::open(app.settings()?).await?;
    let mut bar = Bar::new("job", "rows", app.global.quiet);
    let job = loop {
        match look(&parts, id).await? {
            Seen::Job(job) if job.status.is_final() => break job,
            Seen::Job(job) => {
                let message = job.paused_reason.map(|reason| format!("waits: {reason}"));
                bar.set(job.processed, job.total, message.unwrap_or_default());
            }
            Seen::Nothing(why) => bar.set(0, None, why),
        }
        if app.shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
            bar.finish();
            progress::say(&format!("job {id} goes on; nobody watches it now"));
            return Ok(Exit::TryAgain);
        }
    };
    bar.finish();
    app.print(&job, || line(&job))?;
    Ok(ending(job.status, job.failed))
}

/// What is to be seen of the job at a moment.
enum Seen {
    Job(JobState),
    /// Not yet, or not now.
    Nothing(String),
}

async fn look(parts: &Parts, id: JobId) -> anyhow::Result<Seen> {
    let row = match parts.store.job(id).await {
        Err(error) if error.is_transient() => return Ok(Seen::Nothing(chain(&error))),
        row => row?,
    };
    if let Some(row) = row
        && let Some(job) = states(parts, vec![row]).await.pop()
    {
        return Ok(Seen::Job(job));
    }
    for path in parts.settings.outboxes() {
        if path.exists() && Outbox::open(&path)?.job(id).await?.is_some() {
            return Ok(Seen::Nothing("no worker has had any of it yet".to_owned()));
        }
    }
    bail!(unknown(id))
}

fn ending(status: JobStatus, failed: u64) -> Exit {
    match status {
        JobStatus::Done if failed == 0 => Exit::Done,
        JobStatus::Done => Exit::SomeFailed,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_how_the_job_ended() {
        assert_eq!(ending(JobStatus::Done, 0), Exit::Done);
        assert_eq!(ending(JobStatus::Done, 1), Exit::SomeFailed);
        assert_eq!(ending(JobStatus::Failed, 0), Exit::Failed);
        assert_eq!(ending(JobStatus::Cancelled, 0), Exit::Failed);
    }
}
