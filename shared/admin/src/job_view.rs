//! One job as operators see it: its counters, percentage, rate and time left.
//!
//! Guarantees: the counters are the ledger's and everything else is computed from them, so a restart
//! changes nothing. `total` is unknown until the source has been read to its end; percentage and
//! time left are unknown with it. 100 per cent means that every row is done.
//! Next: [`crate::job_delays`] (why it does not move), [`crate::job_rates`] (its current rate).

use chrono::{DateTime, Utc};
use isobar_model::ids::JobId;
use isobar_model::task::{JobError, JobKind};
use isobar_store::{JobRow, JobStatus};
use serde::Serialize;
use utoipa::ToSchema;

use crate::job_delays::JobProgress;
use crate::schemas;

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct JobView {
    #[schema(value_type = String, format = Uuid)]
    pub job_id: JobId,
    #[schema(value_type = schemas::JobKind)]
    pub kind: JobKind,
    pub source: String,
    #[schema(value_type = schemas::JobStatus)]
    pub status: JobStatus,
    /// Source rows; `null` until the source has been read to its end.
    pub total: Option<u64>,
    pub processed: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub skipped: u64,
    pub rejected: u64,
    pub duplicates: u64,
    pub created_at: DateTime<Utc>,
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    pub percent: Option<f64>,
    /// Finished tasks per second over the last 30 s; the average without samples.
    pub rate_per_s: Option<f64>,
    pub eta_seconds: Option<u64>,
    /// What the job waits for, if it waits.
    pub paused_reason: Option<String>,
    /// Why the job failed; `null` for every other one.
    pub error: Option<JobErrorView>,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct JobErrorView {
    /// Stable, for example `unusable_source`.
    pub code: String,
    /// One sentence for people.
    pub detail: String,
}

impl From<JobError> for JobErrorView {
    fn from(error: JobError) -> Self {
        Self { code: error.code, detail: error.detail }
    }
}

impl JobView {
    pub fn of(row: JobRow, progress: JobProgress, now: DateTime<Utc>) -> Self {
        let rate_per_s = progress.rate.or_else(|| average_rate(&row, now));
        let left = row.total.map(|total| total.saturating_sub(row.processed));
        let running = !row.status.is_final();
        Self {
            percent: row.total.map(|total| percent(row.processed, total)),
            eta_seconds: left
                .filter(|_| running)
                .and_then(|left| progress.eta(left, rate_per_s, now)),
            rate_per_s: rate_per_s.map(|rate| (rate * 10.0).round() / 10.0),
            paused_reason: progress.paused.filter(|_| running),
            error: row.error().map(Into::into),
            job_id: row.id,
            kind: row.kind,
            source: row.source,
            status: row.status,
            total: row.total,
            processed: row.processed,
            succeeded: row.succeeded,
            failed: row.failed,
            skipped: row.skipped,
            rejected: row.rejected,
            duplicates: row.duplicates,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

fn average_rate(row: &JobRow, now: DateTime<Utc>) -> Option<f64> {
    let started_at = row.started_at?;
    let until = row.finished_at.unwrap_or(now);
    let seconds = (until - started_at).as_seconds_f64();
    (seconds > 0.0 && row.processed > 0).then(|| row.processed as f64 / seconds)
}

/// Rounded down, so that 100 means all.
fn percent(processed: u64, total: u64) -> f64 {
    if processed >= total {
        return 100.0;
    }
    (processed as f64 / total as f64 * 1000.0).floor() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn row(processed: u64, total: Option<u64>) -> JobRow {
        let start = DateTime::UNIX_EPOCH;
        JobRow {
            pipeline: isobar_model::pipeline::PipelineName::Weather,
            id: JobId::derive("a", "b"),
            kind: JobKind::Import,
            source: "a.csv".to_owned(),
            status: JobStatus::Running,
            total,
            processed,
            succeeded: processed,
            failed: 0,
            skipped: 0,
            rejected: 0,
            duplicates: 0,
            created_at: start,
            started_at: Some(start),
            finished_at: None,
            error_code: None,
            error_detail: None,
        }
    }

    fn after_ten_seconds(row: JobRow, paused: Option<&str>) -> JobView {
        let now = DateTime::UNIX_EPOCH + TimeDelta::seconds(10);
        let paused = paused.map(str::to_owned);
        JobView::of(row, JobProgress { paused, ..JobProgress::default() }, now)
    }

    #[test]
    fn unknown_values_are_null() {
        let open = after_ten_seconds(row(50, None), None);
        assert_eq!((open.percent, open.eta_seconds, open.rate_per_s), (None, None, Some(5.0)));
        let sealed = after_ten_seconds(row(50, Some(200)), None);
        assert_eq!((sealed.percent, sealed.eta_seconds), (Some(25.0), Some(30)));
        let idle = after_ten_seconds(row(0, Some(200)), None);
        assert_eq!((idle.rate_per_s, idle.eta_seconds), (None, None));
        let paused = after_ten_seconds(row(50, Some(200)), Some("quota"));
        assert_eq!(paused.paused_reason.as_deref(), Some("quota"));
        assert_eq!(paused.eta_seconds, None);
    }

    #[test]
    fn the_quota_delays_the_end_of_a_job() {
        let now = DateTime::UNIX_EPOCH;
        let view = |progress| JobView::of(row(50, Some(200)), progress, now);
        let fast = view(JobProgress { rate: Some(75.0), ..JobProgress::default() });
        assert_eq!((fast.rate_per_s, fast.eta_seconds), (Some(75.0), Some(2)));
        let quota_until = Some(now + TimeDelta::hours(1));
        let limited = JobProgress { rate: Some(75.0), quota_until, ..JobProgress::default() };
        assert_eq!(view(limited).eta_seconds, Some(3_600));
        let exhausted = JobProgress {
            paused: Some("quota".into()),
            waits_for_quota: true,
            quota_until,
            rate: None,
        };
        assert_eq!(view(exhausted).eta_seconds, Some(3_600), "it reopens by itself");
    }

    #[test]
    fn only_finished_jobs_are_at_100_per_cent() {
        assert!(percent(1, 1) >= 100.0 && percent(0, 0) >= 100.0);
        assert!(percent(999_999, 1_000_000) < 100.0);
        let done = JobRow {
            status: JobStatus::Done,
            finished_at: Some(DateTime::UNIX_EPOCH + TimeDelta::seconds(4)),
            ..row(200, Some(200))
        };
        let done = after_ten_seconds(done, Some("quota"));
        assert_eq!(
            (done.rate_per_s, done.eta_seconds, done.paused_reason),
            (Some(50.0), None, None)
        );
    }
}
