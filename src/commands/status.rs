//! `isobar status`: backlog, jobs and workers, as numbers that add up.
//!
//! They follow the way of a task: outbox, undelivered, pending, done or dead.
//! Does not: change anything.

use std::path::Path;

use isobar_admin::job_view::JobView;
use isobar_broker::{ConsumerInfo, Depth};
use isobar_model::human::{grouped, plural};
use isobar_producer::outbox::Outbox;
use isobar_store::TableCounts;
use isobar_telemetry::error_chain;
use serde::Serialize;
use serde_json::{Value, json};

use crate::age::age;
use crate::app::App;
use crate::commands::jobs::list::{line, states};
use crate::context::Context;
use crate::exit::Exit;

/// Number of jobs shown.
const JOBS: u32 = 10;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar status --json")]
pub struct Args {}

pub async fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let context = Context::open_existing(app.settings()?).await?;
    let mut unsent = Unsent::default();
    for path in context.settings.outboxes() {
        unsent.add(&path).await?;
    }
    // A broker that is down is part of the report, not a reason to print nothing.
    let stream = match context.depth().await {
        Ok(depth) => {
            Ok((depth, context.broker.consumers(&context.topic()).await.unwrap_or_default()))
        }
        Err(error) => Err(error_chain(&error)),
    };
    let beats = context.broker.heartbeats().await.unwrap_or_default();
    let totals = context.store.totals().await?;
    let jobs = states(&context, context.store.jobs(None, JOBS).await?).await;
    let document = json!({
        "outbox": unsent,
        "stream": match &stream {
            Ok((depth, workers)) => json!({ "depth": depth, "workers": workers }),
            Err(error) => json!({ "error": error }),
        },
        "totals": totals,
        "jobs": jobs,
        "roles": beats.iter().cloned().collect::<serde_json::Map<_, _>>(),
    });
    app.print(&document, || describe(&context, &unsent, &stream, &totals, &jobs, &beats))?;
    Ok(if stream.is_ok() { Exit::Done } else { Exit::TryAgain })
}

/// Unsent tasks in the outboxes of this host.
#[derive(Default, Serialize)]
struct Unsent {
    unsent_tasks: u64,
    /// Age of the oldest job with unsent tasks.
    oldest_unsent_seconds: Option<u64>,
}

impl Unsent {
    async fn add(&mut self, outbox: &Path) -> anyhow::Result<()> {
        if outbox.exists() {
            let depth = Outbox::open(outbox)?.depth().await?;
            self.unsent_tasks += depth.unsent_tasks;
            self.oldest_unsent_seconds =
                self.oldest_unsent_seconds.max(depth.oldest_unsent_seconds);
        }
        Ok(())
    }
}

fn describe(
    context: &Context,
    unsent: &Unsent,
    stream: &Result<(Depth, Vec<ConsumerInfo>), String>,
    totals: &TableCounts,
    jobs: &[JobView],
    beats: &[(String, Value)],
) -> String {
    let mut lines = Vec::new();
    match stream {
        Ok((depth, workers)) => {
            lines.push(format!(
                "outbox {}{} → undelivered {}{} → pending {}{} → dead {}",
                unsent.unsent_tasks,
                aged(unsent.oldest_unsent_seconds),
                depth.undelivered,
                aged(seconds(depth.undelivered, depth.oldest_undelivered_ms)),
                depth.pending,
                aged(seconds(depth.pending, depth.oldest_pending_ms)),
                totals.dead_letters
            ));
            lines.push(format!(
                "{} broker at {}, {} store at {}, {}",
                context.broker.kind(),
                context.broker.location(),
                context.store.kind(),
                context.store.location(),
                plural(workers.len() as u64, "worker")
            ));
        }
        Err(error) => lines.push(format!("outbox {}; {error}", unsent.unsent_tasks)),
    }
    for (name, state) in beats {
        if let Some(reason) = state["paused_reason"].as_str() {
            let until = state["paused_until"].as_str().unwrap_or("?");
            lines.push(format!("{name} waits until {until}: {reason}"));
        }
    }
    lines.push(format!(
        "{}, {} with a snapshot, {} ({} unfinished)",
        plural(totals.cities, "city"),
        grouped(totals.snapshots),
        plural(totals.jobs, "job"),
        totals.unfinished_jobs
    ));
    lines.extend(jobs.iter().map(line));
    lines.join("\n")
}

fn seconds(entries: u64, oldest_ms: u64) -> Option<u64> {
    (entries > 0).then_some(oldest_ms / 1_000)
}

/// How old the oldest is, behind a number of them.
fn aged(seconds: Option<u64>) -> String {
    seconds.map_or_else(String::new, |seconds| format!(" (oldest {})", age(seconds)))
}
