//! Why jobs stand still at the moment, and how long the quota makes them take.
//!
//! An operator's word comes first (for one job, then for all), then what the workers say, then what
//! this process knows of the weather service. A job's numbers are worth more than the reason of its
//! pause: a broker that takes long to answer costs the reason and never the answer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_broker::{Broker, Switches, Topic};
use isobar_model::ids::JobId;
use isobar_store::JobRow;
use isobar_upstream::{Quota, Upstream};
use tokio::time::timeout;

use crate::heartbeats;
use crate::state::App;

/// How long the reason is waited for.
const REASON_LIMIT: Duration = Duration::from_millis(500);

/// What holds jobs up, as far as it is known.
#[derive(Debug, Default)]
pub struct Pauses {
    switches: Switches,
    everyone: Option<String>,
    quota: Option<Quota>,
}

/// What is true of a job lately and not in its row.
#[derive(Debug, Default)]
pub struct Lately {
    pub paused: Option<String>,
    /// It stands still for the quota alone, which opens by itself.
    pub waits_for_quota: bool,
    /// The quota lets its last row through then at the earliest.
    pub quota_until: Option<DateTime<Utc>>,
    /// Rows a second.
    pub rate: Option<f64>,
}

impl Lately {
    /// Seconds until so many more rows are done, if that can be said.
    pub fn eta(&self, left: u64, rate: Option<f64>, now: DateTime<Utc>) -> Option<u64> {
        let quota = self.quota_until.map(|until| (until - now).num_seconds().max(0) as u64);
        if self.waits_for_quota {
            return quota;
        }
        let rate = rate.filter(|rate| self.paused.is_none() && *rate > 0.0)?;
        Some(((left as f64 / rate).ceil() as u64).max(quota.unwrap_or_default()))
    }
}

impl Pauses {
    pub async fn look(app: &App) -> Self {
        Self::ask(&app.broker, &app.topic, &app.upstream).await
    }

    pub async fn ask(broker: &Broker, topic: &Topic, upstream: &Upstream) -> Self {
        let look = async {
            let (switches, heartbeats, quota) =
                tokio::join!(broker.switches(topic), broker.heartbeats(), upstream.quota());
            let everyone = heartbeats::paused_reason(&heartbeats.unwrap_or_default())
                .or_else(|| Some(upstream.shut_until()?.1.describe().to_owned()));
            Self { switches: switches.unwrap_or_default(), everyone, quota }
        };
        timeout(REASON_LIMIT, look).await.unwrap_or_default()
    }

    /// What holds up this job, if it has not ended.
    pub fn lately(&self, job: &JobRow, rate: Option<f64>, now: DateTime<Utc>) -> Lately {
        let left = job.total.map(|total| total.saturating_sub(job.processed));
        let is_switched = self.switches.job(job.id).is_some() || self.switches.reading().is_some();
        let quota = left.zip(self.quota.as_ref());
        let is_shut = |(left, quota): (u64, &Quota)| quota.is_shut(left, now);
        Lately {
            paused: self.of(job.id),
            waits_for_quota: self.everyone.is_some() && !is_switched && quota.is_some_and(is_shut),
            quota_until: quota.and_then(|(left, quota)| quota.used_up_at(left, now)),
            rate,
        }
    }

    fn of(&self, job: JobId) -> Option<String> {
        if let Some(thrown) = self.switches.job(job) {
            return Some(format!("it was paused by {thrown}"));
        }
        if let Some(thrown) = self.switches.reading() {
            return Some(format!("reading was paused by {thrown}"));
        }
        self.everyone.clone()
    }
}
