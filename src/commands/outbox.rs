//! `isobar outbox status|flush`: batches that the stream has not confirmed yet.
//!
//! `status` changes nothing and works while a producer runs. `flush` relays unsent batches without
//! extracting more: run it after an outage.

use std::path::PathBuf;
use std::time::Duration;

use isobar_broker::Broker;
use isobar_model::duration::{format_duration, parse_duration};
use isobar_model::human::grouped;
use isobar_model::pipeline::PipelineName;
use isobar_producer::outbox::{JobSummary, Outbox, OutboxJobState};
use isobar_producer::run::flush;
use isobar_producer::source::{OpenSource, open_sources};
use isobar_settings::Settings;
use serde_json::json;

use crate::app::App;
use crate::commands::produce::{exit_error, tools, with_bar};
use crate::context::require_installation;
use crate::exit::Exit;

/// Jobs that `status` lists.
const SHOWN: u32 = 50;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar outbox status")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show the jobs of the outbox with their unsent and unconfirmed batches
    Status,
    /// Send unsent batches without extracting more
    Flush {
        /// How long to wait for room in the stream (then exit 75)
        #[arg(long, default_value = "10m", value_parser = parse_duration, value_name = "DURATION")]
        max_wait: Duration,
    },
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let settings = app.settings()?;
    match args.action {
        Action::Status => status(&settings, app).await,
        Action::Flush { max_wait } => {
            app.stop_on_signals()?;
            let broker = Broker::open(&settings)?;
            let tools = tools(settings, broker, app);
            let published = with_bar(flush(&tools, max_wait), &tools.progress, app)
                .await
                .map_err(exit_error)?;
            let mut unsent = 0;
            for (_, jobs) in jobs(&tools.settings).await? {
                unsent += sum(&jobs, |job| job.unsent_tasks);
            }
            app.print(&json!({ "published": published, "unsent": unsent }), || {
                let rest = match unsent {
                    0 => "nothing is unsent".to_owned(),
                    unsent => format!(
                        "{} stay until the next run has read their list to its end: another host publishes it",
                        grouped(unsent)
                    ),
                };
                format!("{} tasks published; {rest}", grouped(published))
            })?;
            Ok(Exit::Done)
        }
    }
}

/// The newest jobs of each outbox that exists, with its path.
async fn jobs(settings: &Settings) -> anyhow::Result<Vec<(PathBuf, Vec<JobSummary>)>> {
    let mut jobs = Vec::new();
    for pipeline in PipelineName::streams() {
        let path = settings.outbox_of(pipeline);
        if path.exists() {
            let summaries = Outbox::open(&path)?.summaries(SHOWN).await?;
            jobs.push((path, summaries));
        }
    }
    Ok(jobs)
}

async fn status(settings: &Settings, app: &App) -> anyhow::Result<Exit> {
    require_installation(settings)?;
    let outboxes = jobs(settings).await?;
    let open = open_sources(settings).await?;
    let jobs: Vec<&JobSummary> = outboxes.iter().flat_map(|(_, jobs)| jobs).collect();
    let oldest = jobs.iter().filter(|job| job.unsent_batches > 0).map(|job| job.age_seconds).max();
    let document = json!({
        "outbox": settings.outbox_path(),
        "unsent_tasks": sum(jobs.iter().copied(), |job| job.unsent_tasks),
        "unsent_batches": sum(jobs.iter().copied(), |job| job.unsent_batches),
        "unconfirmed_batches": sum(jobs.iter().copied(), |job| job.unconfirmed_batches),
        "oldest_unsent_seconds": oldest,
        "jobs": jobs,
        "outboxes": outboxes.iter().map(|(path, jobs)| json!({
            "outbox": path,
            "unsent_tasks": sum(jobs, |job| job.unsent_tasks),
            "unconfirmed_batches": sum(jobs, |job| job.unconfirmed_batches),
            "jobs": jobs,
        })).collect::<Vec<_>>(),
        "open_sources": open,
    });
    app.print(&document, || {
        let mut lines = Vec::new();
        for (path, jobs) in &outboxes {
            lines.push(format!(
                "{}: {} tasks unsent, {} batches not confirmed",
                path.display(),
                grouped(sum(jobs, |job| job.unsent_tasks)),
                grouped(sum(jobs, |job| job.unconfirmed_batches)),
            ));
            lines.extend(jobs.iter().map(line));
        }
        if outboxes.is_empty() {
            let path = settings.outbox_path();
            lines.push(format!("{}: nothing was produced yet", path.display()));
        }
        lines.extend(open.iter().map(source_line));
        lines.join("\n")
    })?;
    Ok(Exit::Done)
}

fn sum<'a>(jobs: impl IntoIterator<Item = &'a JobSummary>, number: fn(&JobSummary) -> u64) -> u64 {
    jobs.into_iter().map(number).sum()
}

/// A source whose breaker is open.
pub fn source_line(source: &OpenSource) -> String {
    format!(
        "the source {} failed repeatedly; next attempt at {} ({}); `isobar breaker reset` requests it at once",
        source.host,
        source.until.format("%Y-%m-%d %H:%M:%S UTC"),
        source.outbox,
    )
}

fn line(job: &JobSummary) -> String {
    let state = match job.state {
        OutboxJobState::Extracting => "extracting",
        OutboxJobState::Sealed => "sealed",
        OutboxJobState::Done => "done",
        OutboxJobState::Superseded => "superseded",
        OutboxJobState::Conflicted => "CONFLICT",
    };
    let mut line = format!(
        "{}  {state:<10}  {} of {} tasks unsent  {} batches not confirmed  {} ago  {} ({})",
        job.job_id,
        grouped(job.unsent_tasks),
        grouped(job.tasks),
        grouped(job.unconfirmed_batches),
        format_duration(Duration::from_secs(job.age_seconds)),
        job.source,
        job.slot,
    );
    if let Some(error) = &job.error {
        line.push_str(": ");
        line.push_str(error);
    }
    line
}
