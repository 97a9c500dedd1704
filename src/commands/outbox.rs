//! `isobar outbox status|flush`: batches that the stream has not confirmed yet.
//!
//! `status` changes nothing and works while a producer runs. `flush` relays unsent batches without
//! extracting more: run it after an outage.

use std::time::Duration;

use isobar_broker::Broker;
use isobar_model::duration::{format_duration, parse_duration};
use isobar_model::human::grouped;
use isobar_model::pipeline::PipelineName;
use isobar_producer::outbox::{JobSummary, Outbox, OutboxJobState};
use isobar_producer::run::flush;
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
            for job in jobs(&tools.settings).await? {
                unsent += job.unsent_tasks;
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

/// The newest jobs of each outbox.
async fn jobs(settings: &Settings) -> anyhow::Result<Vec<JobSummary>> {
    let mut jobs = Vec::new();
    for pipeline in PipelineName::streams() {
        let path = settings.outbox_of(pipeline);
        if path.exists() {
            jobs.extend(Outbox::open(&path)?.summaries(SHOWN).await?);
        }
    }
    Ok(jobs)
}

async fn status(settings: &Settings, app: &App) -> anyhow::Result<Exit> {
    require_installation(settings)?;
    let path = settings.outbox_path();
    let jobs = jobs(settings).await?;
    let sum = |number: fn(&JobSummary) -> u64| jobs.iter().map(number).sum::<u64>();
    let oldest = jobs.iter().filter(|job| job.unsent_batches > 0).map(|job| job.age_seconds).max();
    let document = json!({
        "outbox": path,
        "unsent_tasks": sum(|job| job.unsent_tasks),
        "unsent_batches": sum(|job| job.unsent_batches),
        "unconfirmed_batches": sum(|job| job.unconfirmed_batches),
        "oldest_unsent_seconds": oldest,
        "jobs": jobs,
    });
    app.print(&document, || {
        let mut lines = vec![format!(
            "{}: {} tasks unsent, {} batches not confirmed",
            path.display(),
            grouped(sum(|job| job.unsent_tasks)),
            grouped(sum(|job| job.unconfirmed_batches)),
        )];
        lines.extend(jobs.iter().map(line));
        lines.join("\n")
    })?;
    Ok(Exit::Done)
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
