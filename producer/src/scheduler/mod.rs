//! The scheduler: fires each tick of a schedule once, however many schedulers run, on any hosts.
//!
//! Guarantees: the store decides which scheduler fires a tick, one row for each tick. A tick is a
//! slot, so a run that is repeated is the same job.
//! Does not: decide when a tick is due (see [`due`](isobar_model::schedule::due)).
//! Next: [`watch`](mod@watch) waits for ticks and claims them, [`fire`] runs one and keeps its lease.

mod events;
mod fire;
mod runner;
mod watch;

use isobar_telemetry::metric::Metric;

pub use runner::{LEASE, ScheduleRunner, runners};
pub use watch::watch;

pub const METRICS: &[Metric] = events::METRICS;
