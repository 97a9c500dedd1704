//! The word that a run leaves in the broker, since a cron job is gone before anyone scrapes it.
//!
//! Every end leaves one, a failure too; a run that found another one at work has not run and leaves
//! none. Beside the last run the last good one is kept, so that one failure does not hide when
//! something was produced for the last time. A broker that is away takes no word; that it is away
//! is told by everyone else.

use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_broker::Broker;
use isobar_model::pipeline::PipelineName;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::timeout;

use crate::failure::{Failure, Remedy};
use crate::outbox::{Outbox, OutboxDepth};
use crate::run::Report;

/// Remembered for a week, or until the next one.
const TTL: Duration = Duration::from_hours(7 * 24);
/// A run's end does not wait longer than this for a broker that does not answer.
const TELL_LIMIT: Duration = Duration::from_secs(2);
const LAST: &str = "producer:last";
const LAST_DONE: &str = "producer:last-done";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    pub role: String,
    pub at: DateTime<Utc>,
    pub outcome: Outcome,
    /// Why it did not get to its end.
    pub error: Option<String>,
    /// How far it got, if it got anywhere.
    #[serde(rename = "last_run")]
    pub report: Option<Report>,
    /// What it left in its outbox.
    pub outbox: Option<OutboxDepth>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    TryAgain,
    Failed,
    BadConfig,
}

impl Outcome {
    pub const NAMES: [&'static str; 4] = ["done", "try_again", "failed", "bad_config"];

    pub fn as_str(self) -> &'static str {
        let [done, try_again, failed, bad_config] = Self::NAMES;
        match self {
            Self::Done => done,
            Self::TryAgain => try_again,
            Self::Failed => failed,
            Self::BadConfig => bad_config,
        }
    }
}

impl From<Remedy> for Outcome {
    fn from(remedy: Remedy) -> Self {
        match remedy {
            Remedy::TryAgain => Self::TryAgain,
            Remedy::GiveUp => Self::Failed,
            Remedy::Configure => Self::BadConfig,
        }
    }
}

/// Leaves word of a run; `outbox` is none where the run did not get so far as to open it.
pub async fn tell(
    pipeline: PipelineName,
    result: Result<&Report, &Failure>,
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
        outcome: result.map_or_else(|failure| failure.remedy.into(), |_| Outcome::Done),
        error: result.err().map(|failure| failure.message.clone()),
        report: match result {
            Ok(report) => Some(report.clone()),
            Err(failure) => failure.report.as_deref().cloned(),
        },
        outbox: depth,
    };
    let word = serde_json::to_value(&last).expect("a report is plain data");
    let told = async {
        if last.outcome == Outcome::Done {
            let done = serde_json::json!({ "role": last.role, "at": last.at });
            let _ = broker.heartbeat(&named(LAST_DONE, pipeline), &done, TTL).await;
        }
        let _ = broker.heartbeat(&named(LAST, pipeline), &word, TTL).await;
    };
    let _ = timeout(TELL_LIMIT, told).await;
}

/// Each pipeline leaves its own; that of cities has the plain name.
fn named(word: &str, pipeline: PipelineName) -> String {
    if pipeline == PipelineName::default() {
        return word.to_owned();
    }
    format!("{word}-{pipeline}")
}

/// The last run among what the roles say of themselves; one that another version left is none.
pub fn last_run(heartbeats: &[(String, Value)]) -> Option<LastRun> {
    LastRun::deserialize(word(heartbeats, LAST)?).ok()
}

/// When a run was done for the last time.
pub fn last_done(heartbeats: &[(String, Value)]) -> Option<DateTime<Utc>> {
    DateTime::deserialize(word(heartbeats, LAST_DONE)?.get("at")?).ok()
}

fn word<'a>(heartbeats: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    heartbeats.iter().find(|(own, _)| own == name).map(|(_, word)| word)
}
