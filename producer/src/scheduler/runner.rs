//! The runner of a schedule: everything that it takes to fire the ticks of one schedule.
//!
//! Next: [`watch`](mod@super::watch), which drives a runner.

use std::collections::HashMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use chrono::{DateTime, Utc};
use isobar_broker::Broker;
use isobar_model::pipeline::PipelineName;
use isobar_model::schedule::Schedule;
use isobar_settings::Settings;
use isobar_store::{Store, TickClaim};
use tokio::sync::Mutex;

use crate::run::RunOrder;

/// Another scheduler takes a tick over after this silence of its owner.
pub const LEASE: Duration = Duration::from_mins(1);
/// How long a run waits for room in the stream, as `isobar produce` does.
const MAX_WAIT: Duration = Duration::from_mins(10);

/// One schedule, and everything that it takes to fire it.
pub struct ScheduleRunner {
    pub schedule: Schedule,
    /// The run of each tick, except for its slot.
    pub(super) order: RunOrder,
    /// The name of this process among the schedulers.
    pub(super) owner: String,
    pub(super) lease: Duration,
    pub(super) settings: Arc<Settings>,
    pub(super) broker: Broker,
    pub(super) store: Store,
    /// Runs of a process that share an outbox take turns.
    pub(super) outbox: Arc<Mutex<()>>,
    /// A scheduler with another expression is reported once.
    pub(super) warned_foreign: Once,
}

impl ScheduleRunner {
    pub(super) fn claim(&self, tick: DateTime<Utc>) -> TickClaim {
        TickClaim {
            schedule: self.schedule.name.to_owned(),
            tick,
            owner: self.owner.clone(),
            job_id: self.order.at(tick).job_id(),
            started_at: Utc::now(),
            lease: self.lease,
        }
    }
}

/// One runner for each schedule that is set; the list may be empty.
pub fn runners(
    settings: &Arc<Settings>,
    broker: &Broker,
    store: &Store,
    owner: &str,
    lease: Duration,
) -> Vec<ScheduleRunner> {
    let outboxes: HashMap<PipelineName, Arc<Mutex<()>>> =
        PipelineName::streams().map(|pipeline| (pipeline, Arc::default())).collect();
    let runner = |schedule: Schedule| {
        let pipeline = PipelineName::of_schedule(schedule.name).expect("a row of the table");
        let order = RunOrder::of(pipeline, settings, MAX_WAIT);
        ScheduleRunner {
            outbox: Arc::clone(&outboxes[&order.spec.pipeline.stream()]),
            order,
            schedule,
            owner: owner.to_owned(),
            lease,
            settings: Arc::clone(settings),
            broker: broker.clone(),
            store: store.clone(),
            warned_foreign: Once::new(),
        }
    };
    settings.schedules().into_iter().map(runner).collect()
}
