//! `isobar dead`: what was given up, looked at, published again or thrown away, on the terminal.
//!
//! One file per verb. What each prints is what the API answers under `/dead-letters`. A verb that
//! changes something wants a filter or `--all`, so that nobody means all of them by leaving
//! something out.

mod discard;
mod export;
mod groups;
mod list;
mod replay;
mod show;

use isobar_model::ids::JobId;
use isobar_store::DeadFilter;

use crate::app::App;
use crate::exit::{Exit, Stop};

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
    /// Publish dead letters again
    #[command(before_help = "Example: isobar dead replay --code upstream_error")]
    Replay(replay::Args),
    /// Throw dead letters away
    #[command(before_help = "Example: isobar dead discard --code undecodable --dry-run")]
    Discard(Which),
}

/// Which dead letters are looked at: all, unless restricted.
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

/// Which dead letters are changed.
#[derive(Debug, clap::Args)]
struct Which {
    #[command(flatten)]
    filter: Filter,
    /// Only this one
    #[arg(long)]
    id: Option<i64>,
    /// All of them
    #[arg(long, conflicts_with_all = ["code", "job", "id"])]
    all: bool,
    /// Count, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Which {
    fn filter(&self) -> anyhow::Result<DeadFilter> {
        let filter = DeadFilter { id: self.id, ..DeadFilter::from(&self.filter) };
        if filter == DeadFilter::default() && !self.all {
            return Err(Stop::usage("say which: --code, --job or --id, or --all for all of them"));
        }
        Ok(filter)
    }
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    match args.action {
        Action::List(args) => list::run(&args, app).await,
        Action::Groups(args) => groups::run(&args, app).await,
        Action::Show(args) => show::run(&args, app).await,
        Action::Export(filter) => export::run(&filter, app).await,
        Action::Replay(args) => replay::run(args, app).await,
        Action::Discard(which) => discard::run(which, app).await,
    }
}
