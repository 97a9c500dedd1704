//! `isobar jobs show ID`: one job with its counters.

use anyhow::Context as _;
use isobar_admin::job_view::JobView;
use isobar_model::human::grouped;
use isobar_model::ids::JobId;

use super::list::states;
use super::unknown;
use crate::age::{age, time};
use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;

pub async fn run(id: JobId, app: &App) -> anyhow::Result<Exit> {
    let context = Context::open_existing(app.settings()?).await?;
    let row = context.store.job(id).await?.ok_or_else(|| unknown(id))?;
    let job = states(&context, vec![row]).await.pop().context("one row is one state")?;
    app.print(&job, || describe(&job))?;
    Ok(Exit::Done)
}

fn describe(job: &JobView) -> String {
    let total = job.total.map_or_else(|| "unknown until the source is read".to_owned(), grouped);
    let mut lines = vec![
        format!("job        {}", job.job_id),
        format!("kind       {}", job.kind.as_str()),
        format!("source     {}", job.source),
        format!("status     {}", job.status.as_str()),
        format!("rows       {total}"),
        format!(
            "processed  {} ({} succeeded, {} failed, {} skipped)",
            grouped(job.processed),
            grouped(job.succeeded),
            grouped(job.failed),
            grouped(job.skipped),
        ),
        format!("rejected   {} of the failed", grouped(job.rejected)),
        format!("duplicates {} of the skipped", grouped(job.duplicates)),
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
        lines.push(format!("waiting    {reason}"));
    }
    if let Some(error) = &job.error {
        lines.push(format!("error      {} ({})", error.detail, error.code));
    }
    if job.failed > 0 {
        lines.push(format!("`isobar jobs results {} --status failed` shows why", job.job_id));
    }
    lines.join("\n")
}
