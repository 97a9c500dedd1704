//! What `isobar verify` found, as JSON and as text.
//!
//! Guarantees: every finding is one line that names a command which mends it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use isobar_model::human::plural;
use isobar_model::ids::{JobId, TaskId};
use isobar_producer::outbox::JobKey;
use isobar_store::Imbalance;
use serde::Serialize;

/// Tasks, and failed jobs, that are listed; the others are only counted.
pub const NAMED: usize = 20;

const SEND_AGAIN: &str = "`isobar verify --repair` sends its rows again";
const FETCH_AGAIN: &str = "`isobar produce --force` fetches its rows again under a new job";

/// The findings.
#[derive(Debug, Default, Serialize)]
pub struct VerifyReport {
    pub balanced: bool,
    pub batches: u64,
    /// Tasks and rejects of batches that are not confirmed yet.
    pub tasks: u64,
    pub unsent: u64,
    pub in_stream: u64,
    pub in_ledger: u64,
    /// Republished tasks without a job that have left the stream: processed, by I3.
    pub unaccounted: u64,
    pub missing: u64,
    pub missing_sample: Vec<MissingTask>,
    /// Jobs with open rows that are neither in the stream nor in an outbox.
    pub lost: Vec<JobRows>,
    /// Entries of other producers: processed, but without a job to account for them.
    pub foreign: u64,
    pub imbalances: Vec<Imbalance>,
    /// Jobs that an outbox calls complete, and that the store knows otherwise or not at all.
    pub disagreements: Vec<Disagreement>,
    /// Jobs of an outbox under whose numbers another outbox has published.
    pub conflicts: Vec<Conflict>,
    /// Jobs without an end that no outbox is publishing, as far as the stream knows.
    pub abandoned: Vec<Abandoned>,
    /// Rows that came after their job had ended: their results are stored, the job is as it was.
    pub late: Vec<JobRows>,
    pub dead_letters: u64,
    /// The newest jobs whose source failed: rows that were not read belong to no other account.
    pub failed_jobs: Vec<FailedJob>,
    /// What `--repair` did before this was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<Repaired>,
    /// The lowest confirmed batch of a job whose rows the store lacks, by outbox.
    #[serde(skip)]
    pub kept: BTreeMap<(PathBuf, JobKey), u64>,
    /// The batches of a job that are sent and not confirmed, and of which rows are missing.
    #[serde(skip)]
    pub half_done: BTreeMap<(PathBuf, JobKey), Vec<u64>>,
}

#[derive(Debug, Default, Serialize)]
pub struct Repaired {
    /// Tasks that were sent again.
    pub published: u64,
    /// Tasks of unsent or lost batches that were not sent, because the ledger has all of them.
    pub kept_back: u64,
    /// Jobs whose batches are sent again: the store lacks rows of them.
    pub again: Vec<JobId>,
    /// Cancelled jobs that ended without their lost rows.
    pub closed: Vec<JobId>,
    /// Jobs in conflict that ended: a later job has read their source again.
    pub settled: Vec<JobId>,
    /// Jobs whose counters were taken from the ledger.
    pub recounted: Vec<JobId>,
    /// Outboxes that another process holds: it sends their batches.
    pub held: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct FailedJob {
    pub job_id: JobId,
    pub source: String,
    /// Rows that were read before it failed.
    pub rows: u64,
    pub code: String,
    pub detail: String,
}

#[derive(Debug, Serialize)]
pub struct MissingTask {
    pub job_id: JobId,
    pub task_id: TaskId,
    pub outbox: String,
}

#[derive(Debug, Serialize)]
pub struct Disagreement {
    pub job_id: JobId,
    pub outbox: String,
    /// Whether the outbox can send it again.
    pub is_kept: bool,
    pub detail: String,
}

#[derive(Debug, Serialize)]
pub struct Conflict {
    pub job_id: JobId,
    pub outbox: String,
    pub detail: String,
}

#[derive(Debug, Serialize)]
pub struct Abandoned {
    pub job_id: JobId,
    /// The outbox that published it, if the stream knows.
    pub publisher: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct JobRows {
    pub job_id: JobId,
    pub rows: u64,
}

impl VerifyReport {
    pub fn is_balanced(&self) -> bool {
        self.missing == 0
            && self.lost.is_empty()
            && self.imbalances.is_empty()
            && self.disagreements.is_empty()
            && self.abandoned.is_empty()
            && self.conflicts.is_empty()
    }

    pub fn add_missing(&mut self, outbox: &Path, job_id: JobId, tasks: Vec<TaskId>) {
        self.missing += tasks.len() as u64;
        let named = tasks.into_iter().take(NAMED.saturating_sub(self.missing_sample.len()));
        let outbox = outbox.display().to_string();
        self.missing_sample.extend(named.map(|task_id| MissingTask {
            job_id,
            task_id,
            outbox: outbox.clone(),
        }));
    }
}

pub fn describe(report: &VerifyReport) -> String {
    let mut lines: Vec<String> = report.repaired.iter().flat_map(describe_repair).collect();
    lines.push(describe_outboxes(report));
    if report.foreign > 0 {
        lines.push(format!(
            "{} entries in the stream come from other producers; they are processed, but no job accounts for them",
            report.foreign
        ));
    }
    if report.dead_letters > 0 {
        let letters = plural(report.dead_letters, "dead letter");
        lines.push(format!("{letters}, each with its reason"));
    }
    for failed in &report.failed_jobs {
        lines.push(format!(
            "FAILED job {} ({}), {} read: {}",
            failed.job_id,
            failed.source,
            plural(failed.rows, "row"),
            failed.detail
        ));
    }
    for late in &report.late {
        lines.push(format!(
            "{} came after job {} had ended; their results are stored, the job is as it was",
            plural(late.rows, "row"),
            late.job_id
        ));
    }
    for missing in &report.missing_sample {
        lines.push(format!(
            "MISSING task {} of job {} ({})",
            missing.task_id, missing.job_id, missing.outbox
        ));
    }
    if report.missing > 0 {
        lines.push(format!(
            "{} rows are neither in the stream nor in the ledger; `isobar verify --repair` sends them again",
            report.missing
        ));
    }
    let mut to_close = Vec::new();
    for found in &report.disagreements {
        let remedy = if found.is_kept { SEND_AGAIN } else { FETCH_AGAIN };
        lines.push(format!(
            "DISAGREEMENT job {}: {} ({}); {remedy}",
            found.job_id, found.detail, found.outbox
        ));
        to_close.extend((!found.is_kept).then_some(found.job_id));
    }
    for found in &report.conflicts {
        lines.push(format!(
            "CONFLICT job {}: {} ({}); read its source again under a new job (`isobar produce` without `--slot`), then `isobar verify --repair` closes this one",
            found.job_id, found.detail, found.outbox
        ));
    }
    for found in &report.abandoned {
        let host = found.publisher.as_deref().and_then(|outbox| outbox.split_once('@'));
        let host = host.map_or("unknown", |(_, host)| host);
        lines.push(format!(
            "ABANDONED job {}: its publisher is silent, and its list is not complete; the next `isobar produce` on its host ({host}) continues it",
            found.job_id
        ));
    }
    for lost in &report.lost {
        lines.push(format!(
            "LOST {} open rows of job {}: another client removed entries from the stream (see `isobar doctor`), or the store was restored from before; the relay of the host that published them sends them again (`isobar verify --repair` there)",
            lost.rows, lost.job_id
        ));
    }
    to_close.extend(report.abandoned.iter().map(|found| found.job_id));
    to_close.extend(report.lost.iter().map(|found| found.job_id));
    if let Some(job) = to_close.first() {
        lines.push(format!(
            "if the rows of a job cannot come back, close it: `isobar jobs cancel {job}`, then `isobar verify --repair`"
        ));
    }
    for imbalance in &report.imbalances {
        lines.push(format!(
            "IMBALANCE job {}: {}; `isobar verify --repair` takes the counters from the ledger",
            imbalance.job_id, imbalance.detail
        ));
    }
    lines.push(if report.balanced { "everything balances" } else { "NOT balanced" }.to_owned());
    lines.join("\n")
}

/// Batches whose rows are all finished are the usual state after a drain, and need no numbers.
fn describe_outboxes(report: &VerifyReport) -> String {
    if report.in_ledger == report.tasks && report.missing == 0 {
        return match report.tasks {
            0 => "nothing is on its way: the outboxes are empty".to_owned(),
            tasks => format!(
                "nothing is on its way: {} of {} are all in the ledger; the next run of the producer clears them from the outbox",
                plural(tasks, "row"),
                plural(report.batches, "batch"),
            ),
        };
    }
    format!(
        "{} on the way: {}, of them {} unsent (safe in the outbox), {} in the stream, {} in the ledger",
        plural(report.batches, "batch"),
        plural(report.tasks, "row"),
        report.unsent,
        report.in_stream,
        report.in_ledger
    )
}

fn describe_repair(done: &Repaired) -> Vec<String> {
    let mut lines = vec![format!("repair: {} sent again", plural(done.published, "task"))];
    if done.kept_back > 0 {
        lines.push(format!(
            "repair: {} not sent, because the ledger has their rows",
            plural(done.kept_back, "task")
        ));
    }
    let again = done
        .again
        .iter()
        .map(|job| format!("repair: what the store lacks of job {job} is sent again"));
    lines.extend(again);
    let closed = done.closed.iter().map(|job| format!("repair: the cancelled job {job} has ended"));
    lines.extend(closed);
    let settled = done
        .settled
        .iter()
        .map(|job| format!("repair: job {job} is closed; a later job has read its source again"));
    lines.extend(settled);
    let recounted = done
        .recounted
        .iter()
        .map(|job| format!("repair: job {job} has the counters of its ledger"));
    lines.extend(recounted);
    let held = done.held.iter().map(|outbox| {
        format!("repair: another process holds {outbox}, and sends its batches within a minute")
    });
    lines.extend(held);
    lines
}
