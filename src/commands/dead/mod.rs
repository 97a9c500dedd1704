//! `isobar dead`: dead letters on the terminal, one file per verb.
//!
//! Guarantees: each verb prints what the API answers under `/dead-letters`. A verb that changes
//! something needs a filter or `--all`: a forgotten filter never means all dead letters.

mod discard;
mod export;
mod groups;
mod list;
mod replay;
mod show;

use isobar_model::ids::JobId;
use isobar_store::DeadLetterFilter;

use crate::app::App;
use crate::exit::{Exit, ExitError};

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
    /// Show a dead letter with its payload
    #[command(before_help = "Example: isobar dead show 17")]
    Show(show::Args),
    /// Write dead letters as JSON lines, newest first
    #[command(before_help = "Example: isobar dead export --code undecodable > dead.jsonl")]
    Export(DeadLetterArgs),
    /// Replay dead letters: publish their tasks again
    #[command(before_help = "Example: isobar dead replay --code upstream_error")]
    Replay(replay::Args),
    /// Discard dead letters
    #[command(before_help = "Example: isobar dead discard --code undecodable --dry-run")]
    Discard(DeadLetterSelection),
}

/// Restricts which dead letters are shown.
#[derive(Debug, clap::Args)]
struct DeadLetterArgs {
    /// Only with this error code
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    code: Option<String>,
    /// Only of this job
    #[arg(long, value_name = "JOB_ID")]
    job: Option<JobId>,
}

impl From<&DeadLetterArgs> for DeadLetterFilter {
    fn from(filter: &DeadLetterArgs) -> Self {
        Self { code: filter.code.clone(), job_id: filter.job, id: None }
    }
}

/// The dead letters to change.
#[derive(Debug, clap::Args)]
struct DeadLetterSelection {
    #[command(flatten)]
    filter: DeadLetterArgs,
    /// Only this one
    #[arg(long)]
    id: Option<i64>,
    /// All dead letters
    #[arg(long, conflicts_with_all = ["code", "job", "id"])]
    all: bool,
    /// Count them and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl DeadLetterSelection {
    fn filter(&self) -> anyhow::Result<DeadLetterFilter> {
        let filter = DeadLetterFilter { id: self.id, ..DeadLetterFilter::from(&self.filter) };
        if filter == DeadLetterFilter::default() && !self.all {
            return Err(ExitError::usage(
                "select dead letters with --code, --job or --id, or use --all",
            ));
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
        Action::Discard(selection) => discard::run(selection, app).await,
    }
}
