//! Why jobs stand still at the moment.
//!
//! An operator's word comes first (for one job, then for all), then what the workers say, then what
//! this process knows of the weather service. A job's numbers are worth more than the reason of its
//! pause: a broker that takes long to answer costs the reason and never the answer.

use std::time::Duration;

use isobar_shared::broker::{Broker, Switches, Topic};
use isobar_shared::ids::JobId;
use isobar_shared::upstream::Upstream;
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
}

impl Pauses {
    pub async fn look(app: &App) -> Self {
        Self::ask(&app.broker, &app.topic, &app.upstream).await
    }

    pub async fn ask(broker: &Broker, topic: &Topic, upstream: &Upstream) -> Self {
        let look = async {
            let (switches, heartbeats) = tokio::join!(broker.switches(topic), broker.heartbeats());
            let everyone = heartbeats::paused_reason(&heartbeats.unwrap_or_default())
                .or_else(|| Some(upstream.shut_until()?.1.describe().to_owned()));
            Self { switches: switches.unwrap_or_default(), everyone }
        };
        timeout(REASON_LIMIT, look).await.unwrap_or_default()
    }

    /// Why this job stands still, if it has not ended.
    pub fn of(&self, job: JobId) -> Option<String> {
        if let Some(thrown) = self.switches.job(job) {
            return Some(format!("it was paused by {thrown}"));
        }
        if let Some(thrown) = self.switches.reading() {
            return Some(format!("reading was paused by {thrown}"));
        }
        self.everyone.clone()
    }
}
