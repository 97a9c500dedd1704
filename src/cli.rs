//! The table of commands, with the help that each shows.
//!
//! Each command's `run` gets its own arguments and the [`App`]. Data goes to stdout; logs and
//! progress go to stderr.

use clap::{Parser, Subcommand};

use crate::app::{App, Global};
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
    /// Run the whole pipeline with nothing installed
    Demo => demo,
    /// Run API, worker, import relay and schedule in one process
    Up => up,
    /// Read a source once and publish its rows
    Produce => produce,
    /// Show or send batches that the stream has not confirmed
    Outbox => outbox,
    /// Run a worker (start as many as you like)
    Consume => consume,
    /// Run the API and the import relay
    Serve => serve,
    /// Run the configured schedules; each tick fires once, however many schedulers run
    Schedule => schedule,
    /// Check configuration, servers and upstreams
    Doctor => doctor,
    /// Check that a local process is alive
    Healthcheck => healthcheck,
    /// Show backlog, jobs and workers
    Status => status,
    /// Show row counts by table and pipeline
    Stats => stats,
    /// Sync users and enrich them with addresses and cards
    Users => users,
    /// List, watch, pause, resume, cancel and retry jobs
    Jobs => jobs,
    /// List, replay and discard dead letters
    Dead => dead,
    /// Pause all workers until `isobar resume`
    Pause => pause,
    /// Resume paused workers
    Resume => resume,
    /// Reset the circuit breaker of the weather service
    Breaker => breaker,
    /// Prove that no row is lost
    Verify => verify,
    /// Copy the SQLite store while everything runs, and check the copy
    Backup => backup,
    /// Make this store the one of the streams, after a move or a new database
    Adopt => adopt,
    /// Simulate all upstreams offline, with planned faults
    Sim => sim,
    /// Create or upgrade the database schema
    Migrate => migrate,
    /// Print the API's OpenAPI document
    Openapi => openapi,
    /// Print a completion script for a shell
    Completions => completions,
    /// Work on one entry for a worker, which may not survive it
    #[command(hide = true)]
    Trial => trial,
}

/// Runs the command on a runtime of its own.
pub fn run(cli: Cli) -> anyhow::Result<Exit> {
    let app = App::new(cli.global);
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(dispatch(cli.command, app))
}
