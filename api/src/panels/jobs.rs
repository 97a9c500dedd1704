//! Jobs: those that run, with their bar, and those that ended last.
//!
//! A job that has just ended is shown twice for a moment: its bar, full, and its row.

use askama::Template;
use chrono::TimeDelta;
use isobar_model::human::plural;
use isobar_store::JobStatus;

use super::Lamp;
use crate::panels::format::{Count, Rate, Span, When};
use crate::panels::snapshot::Look;
use crate::resources::bulk::jobs::JobState;

/// How many are shown of each; more are counted.
const SHOWN: usize = 8;
/// How long the bar of a job stays after its end, so that one who watches it sees it full.
const LINGER: TimeDelta = TimeDelta::seconds(6);

#[derive(Template)]
#[template(path = "panels/jobs.html")]
pub struct Jobs {
    running: Vec<Running>,
    more: usize,
    ended: Vec<Ended>,
    trouble: Option<String>,
}

struct Running {
    id: String,
    source: String,
    kind: &'static str,
    status: &'static str,
    since: When,
    processed: Count,
    total: Option<Count>,
    percent: Option<f64>,
    /// Widths in per cent of the bar, one after the other.
    succeeded: f64,
    skipped: f64,
    failed: f64,
    failures: Option<Count>,
    rate: Option<Rate>,
    eta: Option<Span>,
    paused_reason: Option<String>,
    /// An operator paused this very job.
    is_paused: bool,
    is_cancelling: bool,
    /// Only its bar is still to be seen.
    has_ended: bool,
}

struct Ended {
    id: String,
    source: String,
    kind: &'static str,
    lamp: Lamp,
    status: &'static str,
    total: Option<Count>,
    succeeded: Count,
    skipped: Count,
    failed: Count,
    any_failed: bool,
    /// Failed rows that were tasks, and can be tasks again.
    retryable: Option<String>,
    took: Option<Span>,
    at: When,
}

impl Jobs {
    pub fn of(look: &Look) -> Self {
        let jobs = look.jobs.value.as_deref().unwrap_or_default();
        let ended_long_ago =
            |job: &JobState| job.finished_at.is_none_or(|at| look.at - at >= LINGER);
        let running = jobs.iter().filter(|job| !job.status.is_final() || !ended_long_ago(job));
        let mut running: Vec<&JobState> = running.collect();
        running.sort_by_key(|job| job.status.is_final());
        let more = running.iter().skip(SHOWN).filter(|job| !job.status.is_final()).count();
        let ended = jobs.iter().filter(|job| job.status.is_final());
        let paused = |job: &JobState| {
            look.switches.value.as_ref().is_some_and(|switches| switches.job(job.job_id).is_some())
        };
        Self {
            more,
            running: running.iter().take(SHOWN).map(|job| Running::of(job, paused(job))).collect(),
            ended: ended.take(SHOWN).map(Ended::of).collect(),
            trouble: look.jobs.trouble.clone(),
        }
    }

    fn more_running(&self) -> String {
        format!("{} running", plural(self.more as u64, "more job"))
    }
}

impl Running {
    fn of(job: &JobState, is_paused: bool) -> Self {
        // Until the source is read to its end the bar has nothing to be a part of.
        let share = |part: u64| match job.total {
            Some(total) if total > 0 => (part as f64 * 1000.0 / total as f64).round() / 10.0,
            _ => 0.0,
        };
        Self {
            id: job.job_id.to_string(),
            source: job.source.clone(),
            kind: job.kind.as_str(),
            status: job.status.as_str(),
            since: When::age(job.started_at.unwrap_or(job.created_at)),
            processed: Count(job.processed),
            total: job.total.map(Count),
            percent: job.percent,
            succeeded: share(job.succeeded),
            skipped: share(job.skipped),
            failed: share(job.failed),
            failures: (job.failed > 0).then_some(Count(job.failed)),
            rate: job.rate_per_s.filter(|_| job.paused_reason.is_none()).map(Rate),
            eta: job.eta_seconds.map(Span),
            paused_reason: job.paused_reason.clone(),
            is_paused,
            is_cancelling: job.status == JobStatus::Cancelling,
            has_ended: job.status.is_final(),
        }
    }
}

impl Ended {
    fn of(job: &JobState) -> Self {
        let lamp = match job.status {
            JobStatus::Done if job.failed == 0 => Lamp::Good,
            JobStatus::Done => Lamp::Warn,
            JobStatus::Failed => Lamp::Bad,
            _ => Lamp::Idle,
        };
        let ended_at = job.finished_at.unwrap_or(job.created_at);
        Self {
            id: job.job_id.to_string(),
            source: job.source.clone(),
            kind: job.kind.as_str(),
            lamp,
            status: job.status.as_str(),
            total: job.total.map(Count),
            succeeded: Count(job.succeeded),
            skipped: Count(job.skipped),
            failed: Count(job.failed),
            any_failed: job.failed > 0,
            retryable: retryable(job).map(|n| plural(n, "failed row")),
            took: job
                .started_at
                .map(|started| Span((ended_at - started).num_seconds().max(0) as u64)),
            at: When::age(ended_at),
        }
    }
}

/// Rejected rows never were tasks, and those of a cancelled job would only be skipped.
fn retryable(job: &JobState) -> Option<u64> {
    let tasks = job.failed.saturating_sub(job.rejected);
    (tasks > 0 && !job.status.skips_tasks()).then_some(tasks)
}
