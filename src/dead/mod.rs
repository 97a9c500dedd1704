//! `isobar dead`: what was given up, published again or thrown away, on the terminal.
//!
//! One file per verb. Without a filter a command wants `--all`, so that nobody means all of them by
//! leaving something out.

mod discard;
mod replay;

use isobar_shared::ids::JobId;
use isobar_shared::store::DeadFilter;

use crate::app::App;
use crate::exit::{Exit, Stop};

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar dead replay --code upstream_error")]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Publish dead letters again
    #[command(before_help = "Example: isobar dead replay --code upstream_error")]
    Replay(replay::Args),
    /// Throw dead letters away
    #[command(before_help = "Example: isobar dead discard --code undecodable --dry-run")]
    Discard(Which),
}

/// Which dead letters are meant.
#[derive(Debug, clap::Args)]
struct Which {
    /// Only those of this code
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    code: Option<String>,
    /// Only those of this job
    #[arg(long, value_name = "JOB_ID")]
    job: Option<JobId>,
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
        let filter = DeadFilter { code: self.code.clone(), job_id: self.job, id: self.id };
        if filter == DeadFilter::default() && !self.all {
            return Err(Stop::usage("say which: --code, --job or --id, or --all for all of them"));
        }
        Ok(filter)
    }
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    match args.action {
        Action::Replay(args) => replay::run(args, app).await,
        Action::Discard(which) => discard::run(which, app).await,
    }
}
