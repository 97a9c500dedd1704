//! The scheduler: fires each tick of a schedule once, however many schedulers run, on any hosts.
//!
//! Guarantees: the store decides which scheduler fires a tick, one row for each tick. A tick is a
//! slot, so a run that is repeated is the same job.
//! Does not: decide when a tick is due (see [`due`](isobar_model::schedule::due)).
//! Next: [`watch`] waits for ticks and claims them, `fire` runs one and keeps its lease.

mod events;
mod fire;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use isobar_broker::Broker;
use isobar_model::pipeline::PipelineName;
use isobar_model::schedule::Schedule;
use isobar_settings::Settings;
use isobar_store::Store;
use isobar_telemetry::metric::Metric;
use tokio::sync::Mutex;

use crate::run::Order;

pub use watch::watch;

pub const METRICS: &[Metric] = events::METRICS;

/// After so long a silence of its scheduler, another one takes a tick over.
pub const LEASE: Duration = Duration::from_mins(1);
/// How long a run waits for room in the stream, as `isobar produce` does.
const MAX_WAIT: Duration = Duration::from_mins(10);

/// One schedule, and everything that it takes to fire it.
pub struct ScheduleRunner {
    pub schedule: Schedule,
    /// The run of each tick, except for its slot.
    order: Order,
    /// The name of this process among the schedulers.
    owner: String,
    lease: Duration,
    settings: Arc<Settings>,
    broker: Broker,
    store: Store,
    /// Runs of a process that share an outbox take turns.
    outbox: Arc<Mutex<()>>,
    /// A scheduler with another expression is reported once.
    warned_foreign: Once,
}

/// One runner for each schedule that is set; there may be none.
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
        let order = Order::of(pipeline, settings, MAX_WAIT);
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
