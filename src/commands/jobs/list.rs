//! `isobar jobs list`: jobs, newest first.

use chrono::Utc;
use isobar_admin::job_delays::JobDelays;
use isobar_admin::job_view::JobView;
use isobar_model::human::grouped;
use isobar_store::JobRow;
use serde_json::json;

use crate::age::{age, seconds_since};
use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of jobs to show
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
}

pub async fn run(args: &Args, app: &App) -> anyhow::Result<Exit> {
    let context = Context::open_existing(app.settings()?).await?;
    let rows = context.store.jobs(None, args.limit).await?;
    let jobs = states(&context, rows).await;
    app.print(&json!({ "items": jobs }), || match jobs.as_slice() {
        [] => "no jobs yet; `isobar produce` creates one".to_owned(),
        jobs => jobs.iter().map(line).collect::<Vec<_>>().join("\n"),
    })?;
    Ok(Exit::Done)
}

/// The jobs as the API shows them, with the reason why they wait.
pub async fn states(context: &Context, rows: Vec<JobRow>) -> Vec<JobView> {
    let pauses = if rows.iter().any(|row| !row.status.is_final()) {
        JobDelays::fetch(&context.broker, &context.topic(), &context.upstream).await
    } else {
        JobDelays::default()
    };
    let now = Utc::now();
    let state = |row: JobRow| {
        let lately = pauses.progress_of(&row, None, now);
        JobView::of(row, lately, now)
    };
    rows.into_iter().map(state).collect()
}

/// One job on one line.
pub fn line(job: &JobView) -> String {
    let total = job.total.map_or_else(|| "?".to_owned(), grouped);
    let mut line = format!(
        "{}  {:<10}  {} of {total} ({} failed, {} skipped)  {} ago  {}",
        job.job_id,
        job.status.as_str(),
        grouped(job.processed),
        grouped(job.failed),
        grouped(job.skipped),
        age(seconds_since(job.created_at)),
        job.source,
    );
    if let Some(reason) = &job.paused_reason {
        line.push_str("  waiting: ");
        line.push_str(reason);
    }
    if let Some(error) = &job.error {
        line.push_str("  failed: ");
        line.push_str(&error.detail);
    }
    line
}
