//! Job delays: why jobs do not move at the moment, and how long the quota makes them take.
//!
//! The reasons in order: an operator paused the job, an operator paused all workers, every worker is
//! paused, this process knows that the weather service cannot be used.
//!
//! Guarantees: a broker that answers slowly costs the reason after [`REASON_TIMEOUT`], never the
//! job's numbers.
//! Next: [`crate::job_view`] (where the reason is shown).

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_broker::{Broker, Flags, Topic};
use isobar_model::ids::JobId;
use isobar_store::JobRow;
use isobar_upstream::{QuotaState, WeatherClient, WeatherService};
use tokio::time::timeout;

use crate::heartbeats;

const REASON_TIMEOUT: Duration = Duration::from_millis(500);

/// What delays jobs, as far as it is known.
#[derive(Debug, Default)]
pub struct JobDelays {
    flags: Flags,
    /// Why every worker waits.
    all_workers: Option<String>,
    quota: Option<QuotaState>,
}

/// What is known of a job at the moment and is not in its row.
#[derive(Debug, Default)]
pub struct JobProgress {
    pub paused: Option<String>,
    /// It waits only for the quota, which reopens by itself.
    pub waits_for_quota: bool,
    /// The earliest moment at which the quota lets the job's last row through.
    pub quota_until: Option<DateTime<Utc>>,
    /// Rows a second.
    pub rate: Option<f64>,
}

impl JobProgress {
    /// Seconds until `left` more rows are done, or `None` if that cannot be said.
    pub fn eta(&self, left: u64, rate: Option<f64>, now: DateTime<Utc>) -> Option<u64> {
        let quota = self.quota_until.map(|until| (until - now).num_seconds().max(0) as u64);
        if self.waits_for_quota {
            return quota;
        }
        let rate = rate.filter(|rate| self.paused.is_none() && *rate > 0.0)?;
        Some(((left as f64 / rate).ceil() as u64).max(quota.unwrap_or_default()))
    }
}

impl JobDelays {
    pub async fn fetch(broker: &Broker, topic: &Topic, upstream: &WeatherClient) -> Self {
        let fetched = async {
            let (flags, heartbeats, quota) =
                tokio::join!(broker.flags(topic), broker.heartbeats(), upstream.quota());
            let all_workers =
                heartbeats::paused_reason(&heartbeats.unwrap_or_default()).or_else(|| {
                    Some(upstream.closed_until(WeatherService::Forecast)?.1.describe().to_owned())
                });
            Self { flags: flags.unwrap_or_default(), all_workers, quota }
        };
        timeout(REASON_TIMEOUT, fetched).await.unwrap_or_default()
    }

    /// The delays of one job that has not ended. `rate` is in rows a second.
    pub fn progress_of(&self, job: &JobRow, rate: Option<f64>, now: DateTime<Utc>) -> JobProgress {
        let left = job.total.map(|total| total.saturating_sub(job.processed));
        let by_operator = self.flags.job(job.id).is_some() || self.flags.reading().is_some();
        let quota = left.zip(self.quota.as_ref());
        let is_shut = |(left, quota): (u64, &QuotaState)| quota.is_exhausted(left, now);
        JobProgress {
            paused: self.reason(job.id),
            waits_for_quota: self.all_workers.is_some()
                && !by_operator
                && quota.is_some_and(is_shut),
            quota_until: quota.and_then(|(left, quota)| quota.used_up_at(left, now)),
            rate,
        }
    }

    fn reason(&self, job: JobId) -> Option<String> {
        if let Some(set_by) = self.flags.job(job) {
            return Some(format!("job paused by {set_by}"));
        }
        if let Some(set_by) = self.flags.reading() {
            return Some(format!("workers paused by {set_by}"));
        }
        self.all_workers.clone()
    }
}
