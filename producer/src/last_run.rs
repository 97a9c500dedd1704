//! The last run: records the outcome of each run in the broker, because a cron job has exited before
//! Prometheus scrapes it.
//!
//! Guarantees: every run is recorded, also a failed one. A run that finds another one at work has not
//! run and records nothing. The time of the last successful run is kept beside it, so a failure does
//! not hide it.
//! Does not: report a broker that is down; every other role does.

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_broker::Broker;
use isobar_model::pipeline::PipelineName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::failure::{Failure, Remedy};
use crate::outbox::{Outbox, OutboxDepth};
use crate::report::RunReport;

/// How long a record is kept, unless a newer one replaces it.
const TTL: Duration = Duration::from_hours(7 * 24);
/// How long the end of a run waits for a broker that does not answer.
const RECORD_TIMEOUT: Duration = Duration::from_secs(2);
const LAST: &str = "producer:last";
const LAST_DONE: &str = "producer:last-done";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    pub role: String,
    pub at: DateTime<Utc>,
    pub outcome: RunOutcome,
    /// Why it failed.
    pub error: Option<String>,
    /// How far it got, if it started.
    #[serde(rename = "last_run")]
    pub report: Option<RunReport>,
    /// The backlog of its outbox.
    pub outbox: Option<OutboxDepth>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    Done,
    TryAgain,
    Failed,
    BadConfig,
}

impl RunOutcome {
    /// In the order of the variants.
    pub const NAMES: [&'static str; 4] = ["done", "try_again", "failed", "bad_config"];

    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl From<Remedy> for RunOutcome {
    fn from(remedy: Remedy) -> Self {
        match remedy {
            Remedy::TryAgain => Self::TryAgain,
            Remedy::GiveUp => Self::Failed,
            Remedy::Configure => Self::BadConfig,
        }
    }
}

/// Records a run; `outbox` is `None` if it could not be opened.
pub async fn record(
    pipeline: PipelineName,
    result: Result<&RunReport, &Failure>,
    outbox: Option<&Outbox>,
    broker: &Broker,
) {
    let depth = match outbox {
        Some(outbox) => outbox.depth().await.ok(),
        None => None,
    };
    let last = LastRun {
        role: "producer".to_owned(),
        at: Utc::now(),
        outcome: result.map_or_else(|failure| failure.remedy.into(), |_| RunOutcome::Done),
        error: result.err().map(|failure| failure.message.clone()),
        report: match result {
            Ok(report) => Some(report.clone()),
            Err(failure) => failure.report.as_deref().cloned(),
        },
        outbox: depth,
    };
    let value = serde_json::to_value(&last).expect("a report is plain data");
    let recorded = async {
        if last.outcome == RunOutcome::Done {
            let done = serde_json::json!({ "role": last.role, "at": last.at });
            let _ = broker.heartbeat(&heartbeat_name(LAST_DONE, pipeline), &done, TTL).await;
        }
        let _ = broker.heartbeat(&heartbeat_name(LAST, pipeline), &value, TTL).await;
    };
    let _ = timeout(RECORD_TIMEOUT, recorded).await;
}

/// Each pipeline has its own record; that of the default pipeline has the plain name.
fn heartbeat_name(name: &str, pipeline: PipelineName) -> String {
    if pipeline == PipelineName::default() {
        return name.to_owned();
    }
    format!("{name}-{pipeline}")
}

/// The last run among the heartbeats; `None` if another version wrote it and it cannot be read.
pub fn last_run(heartbeats: &[(String, Value)]) -> Option<LastRun> {
    LastRun::deserialize(find(heartbeats, LAST)?).ok()
}

/// The time of the last successful run.
pub fn last_done(heartbeats: &[(String, Value)]) -> Option<DateTime<Utc>> {
    DateTime::deserialize(find(heartbeats, LAST_DONE)?.get("at")?).ok()
}

fn find<'a>(heartbeats: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    heartbeats.iter().find(|(own, _)| own == name).map(|(_, value)| value)
}
