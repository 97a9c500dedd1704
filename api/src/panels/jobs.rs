//! Jobs: the running ones with a progress bar, and the last finished ones.
//!
//! A job that has just finished appears twice for a moment: its full bar, and its row.

use askama::Template;
use chrono::TimeDelta;
use isobar_admin::job_view::JobView;
use isobar_model::human::plural;
use isobar_store::JobStatus;

use super::format::{Count, HumanDuration, Rate, TimeTag};
use super::health_state::HealthState;
use super::snapshot::DashboardSnapshot;

/// Shown of each list; the rest is counted.
const MAX_SHOWN: usize = 8;
/// How long the bar of a finished job stays, so that viewers see it full.
const LINGER: TimeDelta = TimeDelta::seconds(6);

#[derive(Template)]
#[template(path = "panels/jobs.html")]
pub struct JobsPanel {
    running: Vec<RunningJob>,
    more: usize,
    ended: Vec<EndedJob>,
    error: Option<String>,
}

struct RunningJob {
    id: String,
    source: String,
    kind: &'static str,
    status: &'static str,
    since: TimeTag,
    processed: Count,
    total: Option<Count>,
    percent: Option<f64>,
    /// Widths of the bar's parts in per cent, in this order.
    succeeded: f64,
    skipped: f64,
    failed: f64,
    failures: Option<Count>,
    rate: Option<Rate>,
    eta: Option<HumanDuration>,
    paused_reason: Option<String>,
    /// An operator paused this job.
    is_paused: bool,
    is_cancelling: bool,
    /// Only its bar is still shown.
    has_ended: bool,
}

struct EndedJob {
    id: String,
    source: String,
    kind: &'static str,
    health: HealthState,
    status: &'static str,
    total: Option<Count>,
    succeeded: Count,
    skipped: Count,
    failed: Count,
    any_failed: bool,
    /// Failed rows that were tasks and can be retried.
    retryable: Option<String>,
    /// Why it failed.
    error: Option<String>,
    took: Option<HumanDuration>,
    at: TimeTag,
}

impl JobsPanel {
    pub fn from_snapshot(snapshot: &DashboardSnapshot) -> Self {
        let jobs = snapshot.jobs.value.as_deref().unwrap_or_default();
        let ended_long_ago =
            |job: &JobView| job.finished_at.is_none_or(|at| snapshot.at - at >= LINGER);
        let running = jobs.iter().filter(|job| !job.status.is_final() || !ended_long_ago(job));
        let mut running: Vec<&JobView> = running.collect();
        running.sort_by_key(|job| job.status.is_final());
        let more = running.iter().skip(MAX_SHOWN).filter(|job| !job.status.is_final()).count();
        let ended = jobs.iter().filter(|job| job.status.is_final());
        let paused = |job: &JobView| {
            snapshot.flags.value.as_ref().is_some_and(|flags| flags.job(job.job_id).is_some())
        };
        Self {
            more,
            running: running
                .iter()
                .take(MAX_SHOWN)
                .map(|job| RunningJob::new(job, paused(job)))
                .collect(),
            ended: ended.take(MAX_SHOWN).map(EndedJob::new).collect(),
            error: snapshot.jobs.error.clone(),
        }
    }

    fn more_running(&self) -> String {
        plural(self.more as u64, "more job running")
    }
}

impl RunningJob {
    fn new(job: &JobView, is_paused: bool) -> Self {
        // The bar is empty until the source has been read to its end.
        let share = |part: u64| match job.total {
            Some(total) if total > 0 => (part as f64 * 1000.0 / total as f64).round() / 10.0,
            _ => 0.0,
        };
        Self {
            id: job.job_id.to_string(),
            source: job.source.clone(),
            kind: job.kind.as_str(),
            status: job.status.as_str(),
            since: TimeTag::age(job.started_at.unwrap_or(job.created_at)),
            processed: Count(job.processed),
            total: job.total.map(Count),
            percent: job.percent,
            succeeded: share(job.succeeded),
            skipped: share(job.skipped),
            failed: share(job.failed),
            failures: (job.failed > 0).then_some(Count(job.failed)),
            rate: job.rate_per_s.filter(|_| job.paused_reason.is_none()).map(Rate),
            eta: job.eta_seconds.map(HumanDuration),
            paused_reason: job.paused_reason.clone(),
            is_paused,
            is_cancelling: job.status == JobStatus::Cancelling,
            has_ended: job.status.is_final(),
        }
    }
}

impl EndedJob {
    fn new(job: &JobView) -> Self {
        let health = match job.status {
            JobStatus::Done if job.failed == 0 => HealthState::Good,
            JobStatus::Done => HealthState::Warn,
            JobStatus::Failed => HealthState::Bad,
            _ => HealthState::Idle,
        };
        let ended_at = job.finished_at.unwrap_or(job.created_at);
        Self {
            id: job.job_id.to_string(),
            source: job.source.clone(),
            kind: job.kind.as_str(),
            health,
            status: job.status.as_str(),
            total: job.total.map(Count),
            succeeded: Count(job.succeeded),
            skipped: Count(job.skipped),
            failed: Count(job.failed),
            any_failed: job.failed > 0,
            retryable: retryable(job).map(|n| plural(n, "failed row")),
            error: job.error.as_ref().map(|error| error.detail.clone()),
            took: job
                .started_at
                .map(|started| HumanDuration((ended_at - started).num_seconds().max(0) as u64)),
            at: TimeTag::age(ended_at),
        }
    }
}

/// Without rejected rows, which never were tasks. `None` for a cancelled job, whose tasks are skipped.
fn retryable(job: &JobView) -> Option<u64> {
    let tasks = job.failed.saturating_sub(job.rejected);
    (tasks > 0 && !job.status.skips_tasks()).then_some(tasks)
}
