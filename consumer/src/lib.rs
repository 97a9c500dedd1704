//! Workers: read tasks, fetch what they ask for, commit it, then acknowledge (I3).
//!
//! A row's way through this crate, and the order to read it in: [`worker`] puts the parts
//! together and owns their tasks ([`context`] is what they share, [`ending`] how it went) ·
//! [`intake`] reads and claims entries, never more than there is room for ([`drain`]: when that
//! is over) · [`leases`] knows which are still ours · [`pipeline`] is what is fetched, the one
//! thing that differs between pipelines · [`delivery`] sees one delivery through: [`prepare`]
//! sorts it, [`fetch`] runs requests and bisects them, [`settle`] decides what becomes of an
//! entry · [`committer`] writes results in one transaction and acknowledges them · [`gate`]
//! holds reading back while waiting is all there is to do (I7) · [`upkeep`] renews and sweeps.
//!
//! It needs no outbox and imports no other role.

mod committer;
mod context;
mod delivery;
mod drain;
mod ending;
mod events;
mod fetch;
mod gate;
mod intake;
mod leases;
pub mod pipeline;
mod prepare;
mod retry_delay;
mod settle;
mod upkeep;
mod worker;

pub use context::WorkerError;
pub use ending::{Ending, Left, Until};
pub use events::Tally;
pub use pipeline::Pipeline;
pub use pipeline::users::PeoplePipeline;
pub use pipeline::weather::WeatherPipeline;
pub use worker::Worker;

/// The metrics of this crate.
pub const METRICS: &[&[isobar_telemetry::metric::Metric]] = &[events::METRICS];
