//! `isobar jobs show ID`: how one job stands.

use anyhow::Context;
use isobar_admin::job_view::JobState;
use isobar_model::ids::JobId;
use isobar_producer::thousands;

use super::list::states;
use super::unknown;
use crate::age::{age, time};
use crate::app::App;
use crate::context::Parts;
use crate::exit::Exit;

pub async fn run(id: JobId, app: &App) -> anyhow::Result<Exit> {
    let parts = Parts::open(app.settings()?).await?;
    let row = parts.store.job(id).await?.ok_or_else(|| unknown(id))?;
    let job = states(&parts, vec![row]).await.pop().context("one row is one state")?;
    app.print(&job, || describe(&job))?;
    Ok(Exit::Done)
}

fn describe(job: &JobState) -> String {
    let total = job.total.map_or_else(|| "not known yet".to_owned(), thousands);
    let mut lines = vec![
        format!("job        {}", job.job_id),
        format!("kind       {}", job.kind.as_str()),
        format!("source     {}", job.source),
        format!("status     {}", job.status.as_str()),
        format!("rows       {total}"),
        format!(
            "processed  {} ({} succeeded, {} failed, {} skipped)",
            thousands(job.processed),
            thousands(job.succeeded),
            thousands(job.failed),
            thousands(job.skipped),
        ),
        format!("rejected   {} of the failed", thousands(job.rejected)),
        format!("duplicates {} of the skipped", thousands(job.duplicates)),
        format!("created    {}", time(Some(job.created_at))),
        format!("started    {}", time(job.started_at)),
        format!("finished   {}", time(job.finished_at)),
    ];
    if let Some(rate) = job.rate_per_s {
        lines.push(format!("rate       {rate} a second"));
    }
    if let Some(left) = job.eta_seconds {
        lines.push(format!("left       {}", age(left)));
    }
    if let Some(reason) = &job.paused_reason {
        lines.push(format!("waits      {reason}"));
    }
    if job.failed > 0 {
        lines.push(format!("`isobar jobs results {} --status failed` says why", job.job_id));
    }
    lines.join("\n")
}
