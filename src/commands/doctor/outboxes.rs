//! The outboxes of this host: whether each can be read, and what is not moving in it.
//!
//! Guarantees: one line for each outbox, also for one that does not exist.
//! Does not: compare with stream and store; `isobar verify` does that.

use std::path::Path;
use std::time::Duration;

use isobar_model::human::plural;
use isobar_producer::outbox::{JobSummary, Outbox, OutboxDepth};
use isobar_settings::Settings;
use isobar_sqlite::{SqliteError, disk};
use isobar_telemetry::error_chain;

use super::{Finding, broken, ok, warning};
use crate::age::age;

const CHECK: &str = "outbox";
/// Unsent rows of an older job stand still: a run, or the relay of the API, sends within seconds.
const STANDS_STILL: Duration = Duration::from_mins(15);
/// Failed jobs are shown for this long.
const RECENT: Duration = Duration::from_hours(24);

pub async fn check(settings: &Settings) -> Vec<Finding> {
    let imports = settings.imports_path();
    let mut findings = Vec::new();
    for path in settings.outboxes() {
        findings.push(of(&path, path == imports).await);
    }
    findings
}

async fn of(path: &Path, is_imports: bool) -> Finding {
    let name = path.display();
    if !path.exists() {
        let detail = format!("{name} does not exist: nothing was produced here, or it was removed");
        return ok(CHECK, detail);
    }
    match read(path).await {
        Ok((depth, failed)) => judge(path, is_imports, &depth, &failed),
        Err(error) if disk::is_full(error.as_ref()) => {
            broken(CHECK, format!("{name} cannot be opened: the disk is full; make room"))
        }
        Err(error) => broken(
            CHECK,
            format!(
                "{name} cannot be read ({}); move it away, or restore it from a backup, then run `isobar verify --repair`; rows that it had not sent are lost with it",
                error_chain(error.as_ref())
            ),
        ),
    }
}

async fn read(path: &Path) -> anyhow::Result<(OutboxDepth, Vec<JobSummary>)> {
    let outbox = Outbox::open(path)?;
    let failed: Result<_, SqliteError> = outbox.failed_jobs(RECENT).await;
    Ok((outbox.depth().await?, failed?))
}

fn judge(path: &Path, is_imports: bool, depth: &OutboxDepth, failed: &[JobSummary]) -> Finding {
    let name = path.display();
    if depth.conflicts > 0 {
        let jobs = plural(depth.conflicts, "job");
        let detail =
            format!("{name}: {jobs} in conflict with the stream; `isobar verify` says more");
        return broken(CHECK, detail);
    }
    let mut faults = Vec::new();
    let oldest = depth.oldest_unsent_seconds.map(Duration::from_secs);
    if let Some(oldest) = oldest.filter(|oldest| *oldest >= STANDS_STILL) {
        let remedy = if is_imports {
            "`isobar serve` sends them"
        } else {
            "run again, or send them with `isobar outbox flush`"
        };
        faults.push(format!(
            "{} not sent, the oldest for {}; {remedy}",
            plural(depth.unsent_tasks, "task"),
            age(oldest.as_secs())
        ));
    }
    if let Some(newest) = failed.first() {
        let reason = newest.error.as_deref().unwrap_or("the outbox has no reason");
        faults.push(format!(
            "{} in the last day failed; {} ({}): {reason}",
            plural(failed.len() as u64, "job"),
            newest.source,
            newest.job_id
        ));
    }
    if !faults.is_empty() {
        return warning(CHECK, format!("{name}: {}", faults.join("; ")));
    }
    let unsent = plural(depth.unsent_tasks, "task");
    ok(CHECK, format!("{name} can be read; {unsent} not sent"))
}
