//! `isobar status`: how far everything is, as one row of numbers that adds up.
//!
//! From left to right as a task moves: outbox, undelivered, pending, done or dead. It only looks.

use std::path::Path;

use chrono::Utc;
use isobar_producer::outbox::{JobState, Outbox};
use isobar_shared::broker::{ConsumerInfo, Depth};
use isobar_shared::store::{JobRow, Totals};
use isobar_shared::telemetry::chain;
use serde_json::{Value, json};

use crate::app::App;
use crate::exit::Exit;
use crate::parts::Parts;

/// Jobs that are shown.
const JOBS: u32 = 10;

#[derive(Debug, clap::Args)]
#[command(before_help = "Example: isobar status --json")]
pub struct Args {}

pub async fn run(_: Args, app: &App) -> anyhow::Result<Exit> {
    let parts = Parts::open(app.settings()?).await?;
    let unsent = unsent(&parts.settings.outbox_path()).await?
        + unsent(&parts.settings.imports_path()).await?;
    // A broker that is away is what one wants to see here, not a reason to see nothing.
    let stream = match parts.depth().await {
        Ok(depth) => Ok((depth, parts.broker.consumers(&parts.topic()).await.unwrap_or_default())),
        Err(error) => Err(chain(&error)),
    };
    let beats = parts.broker.heartbeats().await.unwrap_or_default();
    let totals = parts.store.totals().await?;
    let jobs = parts.store.jobs(None, JOBS).await?;
    let document = json!({
        "outbox": { "unsent_tasks": unsent },
        "stream": match &stream {
            Ok((depth, workers)) => json!({ "depth": depth, "workers": workers }),
            Err(error) => json!({ "error": error }),
        },
        "totals": totals,
        "jobs": jobs.iter().map(job_json).collect::<Vec<_>>(),
        "roles": beats.iter().cloned().collect::<serde_json::Map<_, _>>(),
    });
    app.print(&document, || describe(&parts, unsent, &stream, &totals, &jobs, &beats))?;
    Ok(if stream.is_ok() { Exit::Done } else { Exit::TryAgain })
}

async fn unsent(outbox: &Path) -> anyhow::Result<u64> {
    if !outbox.exists() {
        return Ok(0);
    }
    let jobs = Outbox::open(outbox)?.summaries(u32::MAX).await?;
    Ok(jobs.iter().filter(|job| job.state != JobState::Done).map(|job| job.unsent_tasks).sum())
}

fn job_json(job: &JobRow) -> Value {
    json!({
        "job_id": job.id,
        "kind": job.kind,
        "source": job.source,
        "status": job.status,
        "total": job.total,
        "processed": job.processed,
        "succeeded": job.succeeded,
        "failed": job.failed,
        "skipped": job.skipped,
        "created_at": job.created_at,
        "finished_at": job.finished_at,
    })
}

fn describe(
    parts: &Parts,
    unsent: u64,
    stream: &Result<(Depth, Vec<ConsumerInfo>), String>,
    totals: &Totals,
    jobs: &[JobRow],
    beats: &[(String, Value)],
) -> String {
    let mut lines = Vec::new();
    match stream {
        Ok((depth, workers)) => {
            lines.push(format!(
                "outbox {unsent} → undelivered {} → pending {} → dead {}",
                depth.undelivered, depth.pending, totals.dead_letters
            ));
            lines.push(format!(
                "{} broker at {}, {} store at {}, {} workers",
                parts.broker.kind(),
                parts.broker.location(),
                parts.store.kind(),
                parts.store.location(),
                workers.len()
            ));
        }
        Err(error) => lines.push(format!("outbox {unsent}; {error}")),
    }
    for (name, state) in beats {
        if let Some(reason) = state["paused_reason"].as_str() {
            let until = state["paused_until"].as_str().unwrap_or("?");
            lines.push(format!("{name} waits until {until}: {reason}"));
        }
    }
    lines.push(format!(
        "{} cities, {} with a snapshot, {} jobs ({} unfinished)",
        totals.cities, totals.snapshots, totals.jobs, totals.unfinished_jobs
    ));
    for job in jobs {
        let total = job.total.map_or_else(|| "?".to_owned(), |total| total.to_string());
        let age = (Utc::now() - job.created_at).num_minutes();
        lines.push(format!(
            "{}  {:<10} {}/{total} ({} failed, {} skipped)  {}  {age} min ago",
            job.id,
            job.status.as_str(),
            job.processed,
            job.failed,
            job.skipped,
            job.source,
        ));
    }
    lines.join("\n")
}
