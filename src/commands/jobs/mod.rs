//! `isobar jobs`: what the API says and does about jobs, on the terminal.
//!
//! One file per verb.

mod cancel;
pub mod list;
mod pause;
mod results;
mod retry;
mod show;
mod watch;

use std::time::Duration;

use isobar_model::duration::duration;
use isobar_model::ids::JobId;

use crate::app::App;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar jobs list")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show jobs, newest first
    #[command(before_help = "Example: isobar jobs list --limit 5")]
    List(list::Args),
    /// Show how a job stands
    #[command(before_help = "Example: isobar jobs show 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Show(One),
    /// Follow a job to its end: exit code 0 done, 3 some rows failed, 1 failed or cancelled
    #[command(before_help = "Example: isobar jobs watch 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Watch(One),
    /// Show what became of each row
    #[command(
        before_help = "Example: isobar jobs results 6fa1c1f0-52c4-4c39-9a55-000000000001 --status failed"
    )]
    Results(results::Args),
    /// End a job: what is left of it is skipped
    #[command(before_help = "Example: isobar jobs cancel 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Cancel(One),
    /// Set a job aside until it is resumed
    #[command(before_help = "Example: isobar jobs pause 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Pause(One),
    /// Let a paused job go on
    #[command(before_help = "Example: isobar jobs resume 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Resume(One),
    /// Publish the failed rows of a job again
    #[command(before_help = "Example: isobar jobs retry 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Retry(Again),
}

/// A job whose failed rows are published again.
#[derive(Debug, clap::Args)]
struct Again {
    #[command(flatten)]
    one: One,
    /// How long to wait for room in the stream (exit code 75 then)
    #[arg(long, default_value = "10m", value_parser = duration, value_name = "DURATION")]
    max_wait: Duration,
}

/// One job.
#[derive(Debug, clap::Args)]
struct One {
    /// The job's id
    #[arg(value_name = "JOB_ID")]
    id: JobId,
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    match args.action {
        Action::List(args) => list::run(&args, app).await,
        Action::Show(one) => show::run(one.id, app).await,
        Action::Watch(one) => watch::run(one.id, app).await,
        Action::Results(args) => results::run(&args, app).await,
        Action::Cancel(one) => cancel::run(one.id, app).await,
        Action::Pause(one) => pause::pause(one.id, app).await,
        Action::Resume(one) => pause::resume(one.id, app).await,
        Action::Retry(again) => retry::run(again.one.id, again.max_wait, app).await,
    }
}

fn unknown(id: JobId) -> anyhow::Error {
    anyhow::anyhow!("there is no job {id}; `isobar jobs list` shows the newest")
}
