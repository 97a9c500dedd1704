//! Workers: they read tasks, fetch what is requested, commit it, then acknowledge (I3).
//!
//! The way of an entry, and the order to read the files in: [`workers`] holds one worker for each
//! stream; [`worker`] starts its tasks. [`intake`] reads and claims; [`gate`] stops it, [`drain`] ends it, [`leases`] records what is held.
//! [`delivery`] processes one delivery: [`prepare`] sorts it, [`fetch`] requests it, [`settle`]
//! decides how each entry ends. [`trial`] runs an entry that may end its process in a child process,
//! and [`suspect`] decides what follows. [`committer`] stores results, then acknowledges. [`upkeep`] renews,
//! reports and sweeps. [`pipeline`] is what differs between streams.
//!
//! Does not: need an outbox, or import another role.

mod committer;
mod context;
mod delivery;
mod drain;
mod events;
mod fetch;
mod gate;
mod intake;
mod job_status;
mod leases;
pub mod pipeline;
mod prepare;
mod retry_delay;
mod run_summary;
mod settle;
mod suspect;
mod trial;
mod upkeep;
mod worker;
mod workers;

pub use context::WorkerError;
pub use events::WorkerCounters;
pub use pipeline::Pipeline;
pub use run_summary::{RunSummary, RunUntil, StopReason};
pub use suspect::{TrialLine, TrialReport};
pub use trial::{STOP_LIMIT, TrialCommand, TrialEntries};
pub use worker::Worker;
pub use workers::{WorkerParts, Workers, try_entries};

/// The metrics of this crate.
pub const METRICS: &[&[isobar_telemetry::metric::Metric]] = &[events::METRICS];
