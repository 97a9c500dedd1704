//! `isobar jobs`: the job routes of the API on the terminal, one file per verb.

mod cancel;
pub mod list;
mod pause;
mod results;
mod retry;
mod show;
mod watch;

use std::time::Duration;

use isobar_model::duration::parse_duration;
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
    /// Show a job
    #[command(before_help = "Example: isobar jobs show 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Show(One),
    /// Watch a job until it ends: exit 0 done, 3 some rows failed, 1 failed or cancelled
    #[command(before_help = "Example: isobar jobs watch 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Watch(One),
    /// Show the result of each row
    #[command(
        before_help = "Example: isobar jobs results 6fa1c1f0-52c4-4c39-9a55-000000000001 --status failed"
    )]
    Results(results::Args),
    /// Cancel a job: its open tasks are skipped
    #[command(before_help = "Example: isobar jobs cancel 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Cancel(One),
    /// Pause a job until it is resumed
    #[command(before_help = "Example: isobar jobs pause 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Pause(One),
    /// Resume a paused job
    #[command(before_help = "Example: isobar jobs resume 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Resume(One),
    /// Publish the failed rows of a job again
    #[command(before_help = "Example: isobar jobs retry 6fa1c1f0-52c4-4c39-9a55-000000000001")]
    Retry(RetryArgs),
}

/// The arguments of `retry`.
#[derive(Debug, clap::Args)]
struct RetryArgs {
    #[command(flatten)]
    one: One,
    /// How long to wait for room in the stream (then exit 75)
    #[arg(long, default_value = "10m", value_parser = parse_duration, value_name = "DURATION")]
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
        Action::Retry(args) => retry::run(args.one.id, args.max_wait, app).await,
    }
}

fn unknown(id: JobId) -> anyhow::Error {
    anyhow::anyhow!("job {id} does not exist; `isobar jobs list` shows the newest")
}
