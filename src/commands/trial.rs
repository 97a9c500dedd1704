//! `isobar trial`: the child of a worker, which works on entries that may end its process.
//!
//! Only workers start it, so help and completions do not show it. The environment is complete: no
//! `.env` is read. Standard output is for the worker (see [`TrialLine`]), logs go to stderr.
//!
//! Guarantees: it ends when its worker ends, which closes standard input; a request in flight may
//! finish first. When memory runs out, Linux ends this process before any other.

use std::io::{Read, Write};
use std::time::Instant;

use isobar_broker::{EntryId, Lane};
use isobar_consumer::{STOP_LIMIT, TrialEntries, TrialLine, try_entries};
use isobar_model::pipeline::PipelineName;
use isobar_settings::Environment;
use isobar_telemetry::error_chain;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::context::Context;
use crate::exit::Exit;

/// The exit code of a trial that was stopped: try again later.
const STOPPED: i32 = 75;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Pipeline of the entry
    #[arg(long, value_parser = pipeline)]
    pipeline: PipelineName,
    /// Name of the worker that owns the entry
    #[arg(long)]
    worker: String,
    /// Id of an entry; once for each
    #[arg(long = "entry", required = true)]
    entries: Vec<EntryId>,
    /// The entries are control messages
    #[arg(long)]
    control: bool,
}

fn pipeline(name: &str) -> Result<PipelineName, String> {
    PipelineName::parse(name).ok_or_else(|| format!("unknown pipeline {name}"))
}

pub async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    // Only Linux has this file, and a process may always raise its own.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    stop_with_worker(app.shutdown.clone());
    let settings = app.load(&Environment::from_process_without(&[]))?;
    app.stop_on_signals()?;
    let context = Context::open(settings).await?;
    let lane = if args.control { Lane::Control } else { Lane::Tasks };
    let entries = TrialEntries { worker: args.worker, lane, ids: args.entries };
    let parts = context.worker_parts();
    let begun = || write_line(&TrialLine::Begun);
    match try_entries(args.pipeline, &parts, entries, begun, &app.shutdown).await {
        Ok(report) => {
            write_line(&TrialLine::Finished(report));
            Ok(Exit::Done)
        }
        Err(error) if error.is_defect() => Err(error.into()),
        Err(error) => {
            // The broker or the store, not the entry.
            tracing::warn!(error = error_chain(&error), "the trial could not be finished");
            Ok(Exit::TryAgain)
        }
    }
}

fn write_line(line: &TrialLine) {
    let text = serde_json::to_string(line).expect("names and numbers are JSON");
    // A worker that has ended reads nothing.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Stops when standard input closes. A thread, because the entry may keep the runtime busy.
fn stop_with_worker(shutdown: CancellationToken) {
    std::thread::spawn(move || {
        // The worker writes nothing: only the end of its pipe, or an error, ends the read.
        let _ = std::io::stdin().read(&mut [0]);
        shutdown.cancel();
        let asked = Instant::now();
        while asked.elapsed() < STOP_LIMIT {
            std::thread::park_timeout(STOP_LIMIT);
        }
        #[expect(clippy::disallowed_methods, reason = "the entry holds the process up")]
        std::process::exit(STOPPED);
    });
}
