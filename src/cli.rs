//! The commands and the options that all of them have.
//!
//! A command's `run` gets its own arguments and the [`App`]; it prints data to stdout and leaves
//! stderr to logs and progress.

use clap::{Parser, Subcommand};

use crate::app::App;
use crate::exit::Exit;

/// A weather ingestion pipeline that can be trusted with a cron job.
#[derive(Debug, Parser)]
#[command(name = "isobar", version, propagate_version = true, max_term_width = 100)]
#[command(before_help = "Example: isobar demo --exit\n")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Global {
    /// Print one JSON document on stdout, for machines
    #[arg(long, global = true)]
    pub json: bool,
    /// Only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// More detail (-vv for all)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

macro_rules! commands {
    ($($(#[$meta:meta])* $variant:ident => $module:ident),* $(,)?) => {
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[$meta])* $variant(crate::commands::$module::Args),)*
        }

        async fn dispatch(command: Command, app: App) -> anyhow::Result<Exit> {
            match command {
                $(Command::$variant(args) => crate::commands::$module::run(args, &app).await,)*
            }
        }
    };
}

commands! {
    /// The whole pipeline with nothing installed: simulator, import, progress, summary
    Demo => demo,
    /// API, worker, import relay and schedule in one process
    Up => up,
    /// One cron run: take cities from a source and put them into the stream
    Produce => produce,
    /// Show or send what producers hold that is not confirmed yet
    Outbox => outbox,
    /// Work on the stream's tasks; run as many as you like
    Consume => consume,
    /// The API, and the relay of what is imported through it
    Serve => serve,
    /// Built-in cron: fire the configured schedules; any number may run, each tick fires once
    Schedule => schedule,
    /// Look for what is wrong with the configuration and its surroundings
    Doctor => doctor,
    /// Ask a role of this host whether it lives
    Healthcheck => healthcheck,
    /// How far everything is: outbox, stream, jobs, workers
    Status => status,
    /// How much there is in each table and pipeline
    Stats => stats,
    /// Sync users, or find what they miss
    Users => users,
    /// Look at jobs and end, pause or resume them
    Jobs => jobs,
    /// Look at tasks that were given up, publish them again or throw them away
    Dead => dead,
    /// Have no worker read anything until it is resumed
    Pause => pause,
    /// Have workers read again
    Resume => resume,
    /// Have every process try the weather service again
    Breaker => breaker,
    /// Prove that nothing is lost, or name what does not balance
    Verify => verify,
    /// The upstreams, offline, with faults on a plan
    Sim => sim,
    /// Bring the store's schema up, and nothing else
    Migrate => migrate,
    /// Print the API's OpenAPI document
    Openapi => openapi,
    /// Print a completion script for a shell
    Completions => completions,
}

/// Runs the command on a runtime of its own.
pub fn run(cli: Cli) -> anyhow::Result<Exit> {
    let app = App::new(cli.global);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(dispatch(cli.command, app))
}
