//! `isobar dead`: tasks that were given up, on the terminal.
//!
//! One file per verb. What each prints is what the API answers under `/dead-letters`.

mod export;
mod groups;
mod list;
mod show;

use isobar_shared::ids::JobId;
use isobar_shared::store::DeadFilter;

use crate::app::App;
use crate::exit::Exit;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar dead groups")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show dead letters, newest first
    #[command(before_help = "Example: isobar dead list --code upstream_error")]
    List(list::Args),
    /// Count dead letters by code
    #[command(before_help = "Example: isobar dead groups")]
    Groups(groups::Args),
    /// Show one with its payload
    #[command(before_help = "Example: isobar dead show 17")]
    Show(show::Args),
    /// Write all of them as JSON, one a line, newest first
    #[command(before_help = "Example: isobar dead export --code undecodable > dead.jsonl")]
    Export(Filter),
}

/// Which dead letters are meant: all, unless restricted.
#[derive(Debug, clap::Args)]
struct Filter {
    /// Only those of this code
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    code: Option<String>,
    /// Only those of this job
    #[arg(long, value_name = "JOB_ID")]
    job: Option<JobId>,
}

impl From<&Filter> for DeadFilter {
    fn from(filter: &Filter) -> Self {
        Self { code: filter.code.clone(), job_id: filter.job, id: None }
    }
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    match args.action {
        Action::List(args) => list::run(&args, app).await,
        Action::Groups(args) => groups::run(&args, app).await,
        Action::Show(args) => show::run(&args, app).await,
        Action::Export(filter) => export::run(&filter, app).await,
    }
}
