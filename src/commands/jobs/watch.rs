//! `isobar jobs watch ID`: a live bar until the job ends.
//!
//! Guarantees: the counters come from the ledger, so the command can be stopped and started again
//! at any time, on any host. It waits while the store is down, and for a job that only an outbox of
//! this host knows because no worker has seen it yet.

use std::time::Duration;

use anyhow::bail;
use isobar_admin::job_view::JobView;
use isobar_model::ids::JobId;
use isobar_producer::outbox::Outbox;
use isobar_store::JobStatus;
use isobar_telemetry::error_chain;

use super::list::{line, states};
use super::unknown;
use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;
use crate::progress::{self, Bar};

/// How often the job is read.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

pub async fn run(id: JobId, app: &App) -> anyhow::Result<Exit> {
    app.stop_on_signals()?;
    let context = Context::open_existing(app.settings()?).await?;
    let mut bar = Bar::new("job", "rows", app.global.quiet);
    let job = loop {
        match poll(&context, id).await? {
            JobSighting::Job(job) if job.status.is_final() => break job,
            JobSighting::Job(job) => {
                let message = job.paused_reason.map(|reason| format!("waiting: {reason}"));
                bar.set(job.processed, job.total, message.unwrap_or_default());
            }
            JobSighting::Unavailable(why) => bar.set(0, None, why),
        }
        if app.shutdown.run_until_cancelled(tokio::time::sleep(POLL_INTERVAL)).await.is_none() {
            bar.finish();
            progress::print_status(&format!("stopped watching; job {id} continues"));
            return Ok(Exit::TryAgain);
        }
    };
    bar.finish();
    app.print(&job, || line(&job))?;
    Ok(ending(job.status, job.failed))
}

/// The state of the job at one moment.
enum JobSighting {
    Job(Box<JobView>),
    /// It cannot be read now, with the reason.
    Unavailable(String),
}

async fn poll(context: &Context, id: JobId) -> anyhow::Result<JobSighting> {
    let row = match context.store.job(id).await {
        Err(error) if error.is_transient() => {
            return Ok(JobSighting::Unavailable(error_chain(&error)));
        }
        row => row?,
    };
    if let Some(row) = row
        && let Some(job) = states(context, vec![row]).await.pop()
    {
        return Ok(JobSighting::Job(Box::new(job)));
    }
    for path in context.settings.outboxes() {
        if path.exists() && Outbox::open(&path)?.job(id).await?.is_some() {
            return Ok(JobSighting::Unavailable("no worker has started it yet".to_owned()));
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
    fn the_exit_code_follows_the_status() {
        assert_eq!(ending(JobStatus::Done, 0), Exit::Done);
        assert_eq!(ending(JobStatus::Done, 1), Exit::SomeFailed);
        assert_eq!(ending(JobStatus::Failed, 0), Exit::Failed);
        assert_eq!(ending(JobStatus::Cancelled, 0), Exit::Failed);
    }
}
